//! Text for people: what cannot be seen is written out.

use std::fmt::Write as _;

/// As much of a text as a sentence repeats, in bytes.
const MOST_QUOTED: usize = 100;

/// Bytes with everything visible: `\n`, `\t`, `\x00`, `\u{feff}`. A backslash is `\\`.
pub fn visible(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\\' => out.push_str("\\\\"),
                ' '..='~' => out.push(c),
                c if c.is_alphanumeric() => out.push(c),
                c if u32::from(c) < 0x80 => {
                    let _ = write!(out, "\\x{:02x}", u32::from(c));
                }
                c => {
                    let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
                }
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// The same between backticks, shortened from both ends so that `around` is in it.
pub(super) fn quoted(bytes: &[u8], around: usize) -> String {
    let start = if bytes.len() <= MOST_QUOTED { 0 } else { around.saturating_sub(MOST_QUOTED / 2).min(bytes.len() - MOST_QUOTED) };
    let end = bytes.len().min(start + MOST_QUOTED);
    let (before, after) = (if start > 0 { "..." } else { "" }, if end < bytes.len() { "..." } else { "" });
    format!("`{before}{}{after}`", visible(bytes.get(start..end).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_written_out() {
        assert_eq!(visible(b"a b\tc\r\n\\n\0\x7f"), "a b\\tc\\r\\n\\\\n\\x00\\x7f");
        assert_eq!(visible("\u{feff}Zürich\u{a0}\u{200b}".as_bytes()), "\\u{feff}Zürich\\u{a0}\\u{200b}");
        assert_eq!(visible(b"\xff\xfea"), "\\xff\\xfea");
    }

    #[test]
    fn long_texts_are_shortened_around_the_place() {
        let long = [b"x".repeat(500), b"HERE".to_vec(), b"y".repeat(500)].concat();
        let short = quoted(&long, 500);
        assert!(short.contains("xHEREy") && short.starts_with("`...x") && short.ends_with("y...`"), "{short}");
        assert_eq!(quoted(b"short", 3), "`short`");
        assert!(quoted(&long, 0).starts_with("`xxx"));
        assert!(quoted(&long, 9999).ends_with("yyy`"));
    }
}
