//! Where a chunked body ends, so that waiting for its rest can be told from waiting for the answer.
//!
//! Only the times of the listener depend on it: hyper reads the chunks and refuses what is malformed, and no request follows.

/// Follows the chunks of one body (RFC 9112 section 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Chunks(At);

/// The places at which hyper tells bytes apart, so that neither waits while the other does not. Where hyper takes one byte only,
/// any byte leads on here: it has failed at another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In the digits of a size.
    Size(u64),
    /// In the rest of the line of a size.
    Line(u64),
    /// Behind the CR of a line of a size.
    LineFeed(u64),
    /// In data and the CR LF behind it: so many bytes are left.
    Data(u64),
    /// Where a trailer line or the last line begins.
    TrailerStart,
    /// In a trailer line.
    Trailer,
    /// Behind the CR of a trailer line.
    TrailerLineFeed,
    /// Behind the CR of the last line.
    LastLineFeed,
    /// Behind the last line.
    End,
}

impl Default for At {
    fn default() -> Self {
        Self::Size(0)
    }
}

impl Chunks {
    /// Passes over the next bytes of the connection.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        while let Some((&byte, rest)) = bytes.split_first() {
            bytes = rest;
            self.0 = match (self.0, byte) {
                (At::Size(size) | At::Line(size), b'\r') => At::LineFeed(size),
                (At::Size(size), _) => match char::from(byte).to_digit(16) {
                    Some(digit) => At::Size(size.saturating_mul(16).saturating_add(digit.into())),
                    None => At::Line(size),
                },
                (At::Line(size), _) => At::Line(size),
                (At::LineFeed(0), _) => At::TrailerStart,
                (At::LineFeed(size), _) => At::Data(size.saturating_add(2)),
                (At::Data(left), _) => {
                    // All of it at once; the byte at hand is the first.
                    let skip = usize::try_from(left.saturating_sub(1)).unwrap_or(usize::MAX).min(bytes.len());
                    bytes = bytes.get(skip..).unwrap_or_default();
                    match left.saturating_sub(1).saturating_sub(skip as u64) {
                        0 => At::Size(0),
                        left => At::Data(left),
                    }
                }
                (At::TrailerStart, b'\r') => At::LastLineFeed,
                (At::Trailer, b'\r') => At::TrailerLineFeed,
                (At::TrailerStart | At::Trailer, _) => At::Trailer,
                (At::TrailerLineFeed, _) => At::TrailerStart,
                (At::LastLineFeed, _) => At::End,
                (At::End, _) => return,
            };
        }
    }

    /// Whether the body is over.
    pub(super) fn is_over(self) -> bool {
        self.0 == At::End
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found_however_the_bytes_are_cut() {
        for (body, over) in [
            ("0\r\n\r\n", true),
            ("3\r\nabc\r\n0\r\n\r\n", true),
            ("00a;x=y\r\n0\r\n\r\n0\r\n\r\n\r\n0\r\nA: b\r\nC: d\r\n\r\n", true),
            ("5\r\n0\r\n\r\n\r\n", false),
            ("1F\r\n0\r\n\r\n", false),
            ("3\r\nabc\r\n0\r\nA: b\r\n", false),
            // Hyper waits on: a line ends in CR LF.
            ("0\r\n\n", false),
            ("0\r\nA: b\n\n", false),
            ("0\r\nA: b\r\n\n", false),
            ("0\r\nA: b\n\r\n", false),
            ("0\r\nA: b\n\r\n\r\n", true),
            ("", false),
            ("ffffffffffffffffffff\r\n0\r\n\r\n", false),
        ] {
            let mut whole = Chunks::default();
            whole.pass(body.as_bytes());
            assert_eq!(whole.is_over(), over, "{body:?}");
            for size in 1..body.len() {
                let mut cut = Chunks::default();
                body.as_bytes().chunks(size).for_each(|piece| cut.pass(piece));
                assert_eq!(cut, whole, "{body:?} in pieces of {size}");
            }
        }
    }
}
