//! Words for a POSIX shell: what is printed to be pasted.

/// The text as one word, in quotes.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The text as one word, in quotes only when it needs them.
pub fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,:@%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) { text.to_owned() } else { quoted(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stays_one_word() {
        for (text, expected) in [
            ("/tmp/a-b_c.1/demo.env", "/tmp/a-b_c.1/demo.env"),
            ("my data/demo.env", "'my data/demo.env'"),
            ("it's", r"'it'\''s'"),
            ("~", "'~'"),
            ("$HOME;", "'$HOME;'"),
            ("", "''"),
        ] {
            assert_eq!(word(text), expected);
        }
    }
}
