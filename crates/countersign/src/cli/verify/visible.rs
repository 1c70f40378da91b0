//! Bytes as people can tell them apart, and where two texts differ.

/// How much of a text is shown, in bytes.
const MOST_SHOWN: usize = 16 * 1024;

/// One line of text: what cannot be seen is escaped as in C, and so is every byte that is not ASCII.
pub fn line(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(*byte)),
            other => text.push_str(&format!("\\x{other:02x}")),
        }
    }
    text
}

/// Text of many lines: each line feed is a `␊` at the end of its line. A space at the very end is escaped, too.
pub fn lines(bytes: &[u8]) -> Vec<String> {
    let shown = bytes.get(..MOST_SHOWN).unwrap_or(bytes);
    let mut all: Vec<String> = shown.split_inclusive(|byte| *byte == b'\n').map(one_of_many).collect();
    let more = bytes.len().saturating_sub(shown.len());
    if more > 0 {
        all.push(format!("... and {more} bytes more; --json has them"));
    }
    if all.is_empty() {
        all.push("(empty)".into());
    }
    all
}

fn one_of_many(bytes: &[u8]) -> String {
    match (bytes.strip_suffix(b"\n"), bytes.strip_suffix(b" ")) {
        (Some(whole), _) => format!("{}\u{240a}", line(whole)),
        (None, Some(before)) => format!("{}\\x20", line(before)),
        (None, None) => line(bytes),
    }
}

/// Where two texts differ first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The line, from 1.
    pub line: usize,
    /// The byte in that line, from 1.
    pub byte: usize,
    /// That line of the text that is expected, with its line feed; `None` when it has ended.
    pub expected: Option<Vec<u8>>,
    /// That line of the text that was given.
    pub given: Option<Vec<u8>>,
}

/// The first difference, if there is one.
pub fn first_difference(expected: &[u8], given: &[u8]) -> Option<Difference> {
    if expected == given {
        return None;
    }
    let same = expected.iter().zip(given).take_while(|(a, b)| a == b).count();
    let before = expected.get(..same).unwrap_or_default();
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at.saturating_add(1));
    let line_of = |text: &[u8]| text.get(start..)?.split_inclusive(|byte| *byte == b'\n').next().map(<[u8]>::to_vec);
    Some(Difference {
        line: before.iter().filter(|byte| **byte == b'\n').count().saturating_add(1),
        byte: same.saturating_sub(start).saturating_add(1),
        expected: line_of(expected),
        given: line_of(given),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_shown() {
        assert_eq!(line(b"a\tb\r\n\\ \xc3\xa9\x1b[2J\0"), "a\\tb\\r\\n\\\\ \\xc3\\xa9\\x1b[2J\\x00");
        assert_eq!(lines(b"a \n\n b"), ["a \u{240a}", "\u{240a}", " b"]);
        assert_eq!(lines(b"a\n"), ["a\u{240a}"]);
        assert_eq!(lines(b"a "), ["a\\x20"]);
        assert_eq!(lines(b""), ["(empty)"]);
        assert_eq!(lines(&[b'a'; MOST_SHOWN + 7]).last().unwrap(), "... and 7 bytes more; --json has them");
    }

    #[test]
    fn the_first_difference_has_a_line_and_a_byte() {
        let at = |expected: &str, given: &str| {
            let found = first_difference(expected.as_bytes(), given.as_bytes())?;
            let text = |line: Option<Vec<u8>>| line.map(|line| String::from_utf8(line).unwrap());
            Some((found.line, found.byte, text(found.expected), text(found.given)))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(at("a\nb", "a\nb"), None);
        assert_eq!(at("a\nbc\nd", "a\nbx\nd"), Some((2, 2, some("bc\n"), some("bx\n"))));
        assert_eq!(at("a\nb", "a\nb\n"), Some((2, 2, some("b"), some("b\n"))));
        assert_eq!(at("a\n", "a\nb"), Some((2, 1, None, some("b"))));
        assert_eq!(at("a\nb", "a"), Some((1, 2, some("a\n"), some("a"))));
        assert_eq!(at("", "x"), Some((1, 1, None, some("x"))));
    }
}
