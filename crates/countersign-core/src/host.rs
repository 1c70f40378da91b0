//! The authority of a request (RFC 3986 section 3.2): a host name or address with an optional port, in one normal form.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::request_view::Scheme;

/// An authority as written, taken apart. It exists only if the grammar holds.
///
/// Accepted: letters, digits, `-`, `_` and `.` in labels of 1 to 63 bytes, 253 in all, perhaps with a trailing dot; an IPv4
/// address; an IPv6 address in brackets without a zone; then perhaps `:` and a port of 1 to 65535 without leading zeros.
/// User information, percent-encoding and lists are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authority<'r> {
    /// The name or address as written, brackets included, without a trailing dot.
    name: &'r str,
    /// The whole text, when no trailing dot stands between name and port.
    text: Option<&'r str>,
    port: Option<u16>,
    lower: bool,
}

impl<'r> Authority<'r> {
    /// Takes `text` apart; `None` when it is not an authority.
    pub fn parse(text: &'r str) -> Option<Self> {
        let (written, port, lower) = if text.starts_with('[') {
            let (inside, port) = text.strip_prefix('[')?.split_once(']')?;
            inside.parse::<Ipv6Addr>().ok()?;
            let written = text.get(..inside.len().saturating_add(2))?;
            (written, port, !inside.bytes().any(|b| b.is_ascii_uppercase()))
        } else {
            let end = text.bytes().position(|b| b == b':').unwrap_or(text.len());
            let (written, port) = text.split_at_checked(end)?;
            (written, port, name_is_lower(written)?)
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            None => return None,
            Some(digits) => Some(parse_port(digits)?),
        };
        match written.strip_suffix('.') {
            Some(name) => Some(Self { name, text: None, port, lower }),
            None => Some(Self { name: written, text: Some(text), port, lower }),
        }
    }

    /// The normal form: lower case, no trailing dot, and no port when it is the default of `scheme`.
    ///
    /// Also says how many of its bytes are the name. Allocates only when the text is not normal yet.
    pub fn normal(&self, scheme: Scheme) -> (Cow<'r, str>, usize) {
        let length = self.name.len();
        let port = self.port.filter(|port| *port != scheme.default_port());
        let normal = match (port, self.text) {
            (None, _) if self.lower => Cow::Borrowed(self.name),
            (Some(_), Some(text)) if self.lower => Cow::Borrowed(text),
            (None, _) => Cow::Owned(self.name.to_ascii_lowercase()),
            (Some(port), _) => Cow::Owned(format!("{}:{port}", self.name.to_ascii_lowercase())),
        };
        (normal, length)
    }

    /// Whether both name the same place under `scheme`.
    pub fn is_same(&self, other: &Self, scheme: Scheme) -> bool {
        let port = |of: &Self| of.port.unwrap_or(scheme.default_port());
        self.name.eq_ignore_ascii_case(other.name) && port(self) == port(other)
    }
}

/// Whether a host name is all lower case; `None` when it is not a host name.
fn name_is_lower(written: &str) -> Option<bool> {
    let name = written.strip_suffix('.').unwrap_or(written);
    if name.is_empty() || name.len() > 253 {
        return None;
    }
    let (mut all, mut last) = (0, 0);
    for label in name.as_bytes().split(|byte| *byte == b'.') {
        last = label.iter().fold(0, |found, byte| found | CLASS.get(usize::from(*byte)).unwrap_or(&NEVER));
        if label.is_empty() || label.len() > 63 || last & NEVER != 0 {
            return None;
        }
        all |= last;
    }
    // A name that ends in a number is an address to every resolver, or to some: only the plain form is clear.
    let good = last != DIGIT || (written == name && name.parse::<Ipv4Addr>().is_ok());
    good.then_some(all & UPPER == 0)
}

const DIGIT: u8 = 1;
const LOWER: u8 = 2;
const UPPER: u8 = 4;
const NEVER: u8 = 8;

/// What the bytes of a label are.
static CLASS: [u8; 256] = {
    let mut table = [NEVER; 256];
    let mut byte = 0;
    #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, within the length of the table")]
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'0'..=b'9' => DIGIT,
            b'a'..=b'z' | b'-' | b'_' => LOWER,
            b'A'..=b'Z' => UPPER,
            _ => NEVER,
        };
        byte += 1;
    }
    table
};

fn parse_port(digits: &str) -> Option<u16> {
    let plain = (1..=5).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    if plain { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_form_is_lower_case_without_default_port_and_trailing_dot() {
        for (written, http, https) in [
            ("example.org", "example.org", "example.org"),
            ("Example.ORG.", "example.org", "example.org"),
            ("example.org:80", "example.org", "example.org:80"),
            ("example.org.:443", "example.org:443", "example.org"),
            ("EXAMPLE.org:8443", "example.org:8443", "example.org:8443"),
            ("localhost:8080", "localhost:8080", "localhost:8080"),
            ("my_service", "my_service", "my_service"),
            ("127.0.0.1:80", "127.0.0.1", "127.0.0.1:80"),
            ("[::1]", "[::1]", "[::1]"),
            ("[2001:DB8::1]:443", "[2001:db8::1]:443", "[2001:db8::1]"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example", "xn--bcher-kva.example"),
        ] {
            let authority = Authority::parse(written).unwrap_or_else(|| panic!("{written}"));
            assert_eq!(authority.normal(Scheme::Http).0, http, "{written}");
            assert_eq!(authority.normal(Scheme::Https).0, https, "{written}");
            let again = Authority::parse(http).unwrap();
            assert_eq!(again.normal(Scheme::Http).0, http, "the normal form of {written} is its own normal form");
        }
    }

    #[test]
    fn what_is_not_an_authority_is_refused() {
        let long = format!("{}.org", "a".repeat(64));
        let longer = ["a.", &"b.".repeat(130)].concat();
        for bad in [
            "",
            ":",
            ":80",
            "a:",
            "a:0",
            "a:080",
            "a:99999",
            "a:+80",
            "a:8a",
            "a:80:80",
            "a b",
            "a, b",
            "a,b",
            "u@a",
            "a..b",
            ".",
            "..",
            ".a",
            "a..",
            "a/b",
            "a%2eb",
            "a;b",
            "a?b",
            "a#b",
            "a\\b",
            "[::1",
            "::1",
            "[::1]x",
            "[::1]:",
            "[::1%25eth0]",
            "[v1.x]",
            "[]",
            "[1.2.3.4]",
            "[::1].",
            "1.2.3",
            "010.0.0.1",
            "1.2.3.4.",
            "1.2.3.256",
            "2130706433",
            "a.1",
            "é.org",
            "a\0",
            "a\tb",
            &long,
            &longer,
        ] {
            assert_eq!(Authority::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn two_spellings_of_one_place_are_the_same() {
        let same = |a, b, scheme| Authority::parse(a).unwrap().is_same(&Authority::parse(b).unwrap(), scheme);
        assert!(same("Example.org.", "example.org:80", Scheme::Http));
        assert!(!same("example.org", "example.org:80", Scheme::Https));
        assert!(!same("example.org", "example.org:8080", Scheme::Http));
        assert!(!same("example.org", "example.com", Scheme::Http));
    }
}
