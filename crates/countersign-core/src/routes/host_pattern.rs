//! Which hosts a route is for.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A host name, an address, or `*.` and a host name, which stands for every name below it (not for the name itself).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPattern {
    wildcard: bool,
    /// In lower case, without a trailing dot; with a leading one for a wildcard.
    name: String,
}

/// The text is not a host pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a host: {why}")]
pub struct BadHostPattern {
    /// The text, cut to 80 characters.
    pub text: String,
    /// What is wrong and what to write.
    pub why: &'static str,
}

impl HostPattern {
    /// Whether the pattern stands for all names below its own.
    pub const fn is_wildcard(&self) -> bool {
        self.wildcard
    }

    /// What is compared: the whole host, or for a wildcard its end, which starts with a dot.
    pub(super) fn compared(&self) -> &str {
        &self.name
    }
}

impl FromStr for HostPattern {
    type Err = BadHostPattern;

    fn from_str(text: &str) -> Result<Self, BadHostPattern> {
        let bad = |why| BadHostPattern { text: text.chars().take(80).collect(), why };
        let lower = text.to_ascii_lowercase();
        if let Some(inner) = lower.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let address: Ipv6Addr = inner.parse().map_err(|_| bad("brackets hold an IPv6 address"))?;
            return Ok(Self { wildcard: false, name: format!("[{address}]") });
        }
        if lower == "*" {
            return Err(bad("leave host out to stand for any host"));
        }
        let (wildcard, name) = lower.strip_prefix("*.").map_or((false, lower.as_str()), |name| (true, name));
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.contains(':') {
            return Err(bad("write it without a port, and IPv6 addresses in brackets"));
        }
        if name.contains('*') {
            return Err(bad("* stands only at the start, as in *.example.com"));
        }
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if name.len() > 253 || !name.split('.').all(label) {
            return Err(bad("write letters, digits and dashes between dots; names outside ASCII in their xn-- form"));
        }
        let numeric = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
        if numeric && (wildcard || name.parse::<Ipv4Addr>().is_err()) {
            return Err(bad("an IPv4 address has four decimal numbers without leading zeros"));
        }
        Ok(Self { wildcard, name: if wildcard { format!(".{name}") } else { name.to_owned() } })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.wildcard { "*" } else { "" }, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_read_in_one_form() {
        for (written, shown) in [
            ("API.Example.com.", "api.example.com"),
            ("*.Example.com", "*.example.com"),
            ("localhost", "localhost"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "[::1]"),
            ("[0:0::1]", "[::1]"),
        ] {
            assert_eq!(written.parse::<HostPattern>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_could_never_match_is_refused() {
        for bad in [
            "",
            "*",
            "*.",
            ".",
            "a..b",
            "a.*.b",
            "*a.b",
            "a:80",
            "::1",
            "[::1]:80",
            "é.example",
            "a b",
            "-a.b",
            "010.0.0.1",
            "1.2.3",
            "a/b",
            "*.1.2.3.4",
        ] {
            assert!(bad.parse::<HostPattern>().is_err(), "{bad:?}");
        }
    }
}
