//! Two texts compared: the first line and byte in which they differ.

use super::visible::quoted;

/// Where a client's string to sign first differs from ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The piece of text: `the string to sign`, or the name that the profile gives it, such as `canonical_request`.
    pub piece: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The byte in that line, counted from 1. One past the last byte of a line is its end.
    pub byte: usize,
    /// What stands in that line here, with invisible bytes made visible, shortened around the byte. Absent when there is no
    /// such line.
    pub ours: Option<String>,
    /// What stands in that line of the other text.
    pub theirs: Option<String>,
}

/// The first difference, if there is one.
pub(super) fn first(piece: &str, ours: &[u8], theirs: &[u8]) -> Option<Difference> {
    if ours == theirs {
        return None;
    }
    let (mut mine, mut other) = (lines(ours), lines(theirs));
    let mut line = 1;
    loop {
        match (mine.next(), other.next()) {
            (Some(a), Some(b)) if a == b => line += 1,
            (a, b) => {
                let (x, y) = (a.unwrap_or_default(), b.unwrap_or_default());
                let at = x.iter().zip(y).take_while(|(x, y)| x == y).count();
                let show = |line: Option<&[u8]>| line.map(|line| quoted(line, at));
                return Some(Difference { piece: piece.to_owned(), line, byte: at + 1, ours: show(a), theirs: show(b) });
            }
        }
    }
}

/// How many bytes two texts have in common at their beginning.
pub(super) fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// The lines, each with the line feed that ends it, so that a missing one is a difference.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ours: &str, theirs: &str) -> Option<(usize, usize, Option<String>, Option<String>)> {
        first("p", ours.as_bytes(), theirs.as_bytes()).map(|d| (d.line, d.byte, d.ours, d.theirs))
    }

    #[test]
    fn the_first_line_and_byte_are_named() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of("a\nb", "a\nb"), None);
        assert_eq!(of("a\nbcd\ne", "a\nbxd\ne"), Some((2, 2, some("`bcd\\n`"), some("`bxd\\n`"))));
        assert_eq!(of("a\nb", "a\nb\n"), Some((2, 2, some("`b`"), some("`b\\n`"))));
        assert_eq!(of("a\nb", "a\r\nb"), Some((1, 2, some("`a\\n`"), some("`a\\r\\n`"))));
        assert_eq!(of("a\n", "a\nb"), Some((2, 1, None, some("`b`"))));
        assert_eq!(of("", "x"), Some((1, 1, None, some("`x`"))));
    }
}
