//! Where a request came from (section 2.4 of the design): the peer, or what trusted proxies say.
//!
//! Forwarded addresses are walked from right to left past trusted proxies; the first that is not one of them is the client.
//! What stands left of it was written by somebody nobody vouches for and is not looked at. An entry at or right of it that
//! cannot be read makes the request unclear, and unclear means no.

use std::net::{IpAddr, Ipv6Addr};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName, HeaderValue};

use crate::code::{Code, Refusal};
use crate::network::Network;
use crate::request_view::Scheme;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The most entries that a chain may have, over all its lines.
pub const MOST_ENTRIES: usize = 64;

/// Which header trusted proxies write. `X-Real-IP` is not among them: it says nothing of who wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Family {
    /// None: the peer is the client.
    #[default]
    None,
    /// `X-Forwarded-For` and `X-Forwarded-Proto`.
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// The proxies whose word counts, and how they speak. The default trusts nobody.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proxies {
    /// Their networks.
    pub trusted: Vec<Network>,
    /// The header that they write.
    pub family: Family,
}

/// What the connection and its proxies say of the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The client's address; IPv4-mapped IPv6 is IPv4.
    pub address: IpAddr,
    /// The scheme that the client used, when a trusted proxy says so.
    pub scheme: Option<Scheme>,
}

impl Proxies {
    /// Whether `address` is one of them.
    pub fn trust(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }

    /// Finds the origin of a request that `peer` sent. Fails with `unclear_client_address`.
    pub fn find_origin(&self, peer: IpAddr, headers: &HeaderMap) -> Result<Origin, Refusal> {
        let peer = peer.to_canonical();
        match self.family {
            Family::XForwardedFor if self.trust(peer) => self.walk_x_forwarded_for(peer, headers),
            Family::Forwarded if self.trust(peer) => self.walk_forwarded(peer, headers),
            _ => Ok(Origin { address: peer, scheme: None }),
        }
    }

    fn walk_x_forwarded_for(&self, peer: IpAddr, headers: &HeaderMap) -> Result<Origin, Refusal> {
        let scheme = match headers.get(X_FORWARDED_PROTO) {
            None => None,
            Some(value) => Some(parse_scheme(value.as_bytes()).ok_or_else(|| unclear("X-Forwarded-Proto is neither http nor https."))?),
        };
        let mut address = peer;
        let mut count = 0usize;
        // Several lines are one list (RFC 9110 section 5.3).
        let lines: Vec<&HeaderValue> = headers.get_all(X_FORWARDED_FOR).iter().collect();
        for line in &lines {
            count = count.saturating_add(line.as_bytes().iter().filter(|b| **b == b',').count()).saturating_add(1);
            if count > MOST_ENTRIES {
                return Err(unclear("X-Forwarded-For has too many entries."));
            }
        }
        let entries = lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|b| *b == b','));
        for entry in entries {
            let text = std::str::from_utf8(entry).unwrap_or_default().trim_matches([' ', '\t']);
            address = text.parse::<IpAddr>().map_err(|_| unclear("An entry of X-Forwarded-For is not a bare address."))?.to_canonical();
            if !self.trust(address) {
                break;
            }
        }
        Ok(Origin { address, scheme })
    }

    fn walk_forwarded(&self, peer: IpAddr, headers: &HeaderMap) -> Result<Origin, Refusal> {
        let mut elements = Vec::new();
        for line in headers.get_all(FORWARDED) {
            let text = line.to_str().map_err(|_| malformed())?;
            read_elements(text, &mut elements).ok_or_else(malformed)?;
        }
        let mut origin = Origin { address: peer, scheme: None };
        for element in elements.iter().rev() {
            let node = element.node.as_deref().ok_or_else(|| unclear("An element of Forwarded has no for."))?;
            origin.address = parse_node(node).ok_or_else(|| unclear("A for in Forwarded is not an address."))?.to_canonical();
            origin.scheme = match &element.proto {
                None => None,
                Some(proto) => {
                    Some(parse_scheme(proto.as_bytes()).ok_or_else(|| unclear("A proto in Forwarded is neither http nor https."))?)
                }
            };
            if !self.trust(origin.address) {
                break;
            }
        }
        Ok(origin)
    }
}

/// One element of `Forwarded`, as far as it is used.
#[derive(Default)]
struct Element {
    node: Option<String>,
    proto: Option<String>,
}

/// Reads one line by the grammar of RFC 7239 section 4. Every element must have at least one pair, no pair twice.
fn read_elements(line: &str, elements: &mut Vec<Element>) -> Option<()> {
    let mut rest = line.trim_matches([' ', '\t']);
    loop {
        let mut element = Element::default();
        let mut seen: Vec<String> = Vec::new();
        loop {
            let (name, after) = rest.split_once('=')?;
            let (value, after) = read_value(after)?;
            let name = name.to_ascii_lowercase();
            if !is_token(&name) || seen.contains(&name) || seen.len() > 8 {
                return None;
            }
            match name.as_str() {
                "for" => element.node = Some(value),
                "proto" => element.proto = Some(value),
                _ => {}
            }
            seen.push(name);
            rest = after;
            match rest.strip_prefix(';') {
                Some(more) => rest = more,
                None => break,
            }
        }
        elements.push(element);
        rest = rest.trim_start_matches([' ', '\t']);
        if rest.is_empty() {
            return Some(());
        }
        rest = rest.strip_prefix(',')?.trim_start_matches([' ', '\t']);
        if elements.len() >= MOST_ENTRIES {
            return None;
        }
    }
}

/// Reads a token or a quoted string (RFC 9110 section 5.6) and returns what follows.
fn read_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',', ' ', '\t']).unwrap_or(text.len());
        let (value, rest) = text.split_at_checked(end)?;
        return is_token(value).then(|| (value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return Some((value, characters.as_str())),
            '\\' => value.push(characters.next()?),
            other => value.push(other),
        }
    }
}

/// An address with an optional port: `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn parse_node(node: &str) -> Option<IpAddr> {
    let (address, port): (IpAddr, _) = match node.strip_prefix('[') {
        Some(inside) => {
            let (address, port) = inside.split_once(']')?;
            (address.parse::<Ipv6Addr>().ok()?.into(), port)
        }
        None => {
            let end = node.find(':').unwrap_or(node.len());
            let (address, port) = node.split_at_checked(end)?;
            (address.parse::<std::net::Ipv4Addr>().ok()?.into(), port)
        }
    };
    let good =
        port.is_empty() || port.strip_prefix(':').is_some_and(|p| (1..=5).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit()));
    good.then_some(address)
}

const fn parse_scheme(text: &[u8]) -> Option<Scheme> {
    if text.eq_ignore_ascii_case(b"https") {
        Some(Scheme::Https)
    } else if text.eq_ignore_ascii_case(b"http") {
        Some(Scheme::Http)
    } else {
        None
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn malformed() -> Refusal {
    unclear("Forwarded does not follow RFC 7239.")
}

fn unclear(detail: &'static str) -> Refusal {
    Refusal::with(Code::UnclearClientAddress, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(family: Family) -> Proxies {
        Proxies { trusted: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()], family }
    }

    fn origin(family: Family, peer: &str, lines: &[(&'static str, &str)]) -> Result<Origin, Code> {
        let headers: HeaderMap =
            lines.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_bytes(v.as_bytes()).unwrap())).collect();
        proxies(family).find_origin(peer.parse().unwrap(), &headers).map_err(|refusal| refusal.code)
    }

    fn address(family: Family, peer: &str, lines: &[(&'static str, &str)]) -> Result<String, Code> {
        origin(family, peer, lines).map(|origin| origin.address.to_string())
    }

    #[test]
    fn an_untrusted_peer_is_the_client_whatever_it_sends() {
        for family in [Family::None, Family::XForwardedFor, Family::Forwarded] {
            let lines =
                [("x-forwarded-for", "10.0.0.1"), ("forwarded", "for=10.0.0.1"), ("x-real-ip", "10.0.0.1"), ("x-forwarded-proto", "https")];
            assert_eq!(origin(family, "203.0.113.9", &lines), Ok(Origin { address: "203.0.113.9".parse().unwrap(), scheme: None }));
            assert_eq!(address(family, "::ffff:203.0.113.9", &[("x-forwarded-for", "junk")]).unwrap(), "203.0.113.9");
        }
        assert_eq!(address(Family::None, "10.0.0.1", &[("x-forwarded-for", "192.0.2.1")]).unwrap(), "10.0.0.1");
    }

    #[test]
    fn the_client_is_the_first_address_from_the_right_that_is_no_proxy() {
        for (lines, client) in [
            (&["10.0.0.1, 203.0.113.9"][..], "203.0.113.9"),
            (&["203.0.113.9,10.0.0.2 ,\t10.0.0.3"], "203.0.113.9"),
            (&["1.1.1.1", "203.0.113.9, 10.0.0.3"], "203.0.113.9"),
            (&["203.0.113.9", "10.0.0.3"], "203.0.113.9"),
            (&["10.0.0.4, 10.0.0.3"], "10.0.0.4"),
            (&["::ffff:203.0.113.9"], "203.0.113.9"),
            (&["2001:db8::1, fd00::1"], "2001:db8::1"),
            (&["unknown, what ever, 203.0.113.9"], "203.0.113.9"),
            (&["64:ff9b::a00:1"], "64:ff9b::a00:1"),
            (&[], "10.0.0.1"),
        ] {
            let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
            assert_eq!(address(Family::XForwardedFor, "::ffff:10.0.0.1", &lines).unwrap(), client, "{lines:?}");
        }
    }

    #[test]
    fn a_garbled_chain_is_refused() {
        let many = "10.0.0.1,".repeat(10_000) + "10.0.0.1";
        for bad in [
            "unknown",
            "",
            ",",
            "203.0.113.9,",
            "203.0.113.9,,10.0.0.2",
            "1.2.3.4:80",
            "[::1]:80",
            "[::1]",
            "\"1.2.3.4\"",
            "010.0.0.1",
            "1.2.3",
            "fe80::1%eth0",
            "1.2.3.4 5.6.7.8",
            "\u{ff11}.2.3.4",
            &many,
        ] {
            assert_eq!(
                address(Family::XForwardedFor, "10.0.0.1", &[("x-forwarded-for", bad)]),
                Err(Code::UnclearClientAddress),
                "{bad:.60}"
            );
        }
        for bad in [
            "",
            ",",
            "for",
            "for=",
            "for=unknown",
            "for=_hidden",
            "for=1.2.3.4;for=5.6.7.8",
            "FOR=1.2.3.4;for=5.6.7.8",
            "for=\"1.2.3.4",
            "for=1.2.3.4,",
            "for=1.2.3.4;",
            "for=[::1]",
            "for=1.2.3.4:80",
            "for=\"::1\"",
            "for=\"[::1]:x\"",
            "for=\"1.2.3.4\"x",
            "for = 1.2.3.4",
            "by=1.2.3.4",
            "for=1.2.3.4;proto=ftp",
            "for=1.2.3.4 for=2.2.2.2",
            "for=10.0.0.9;host=\", for=203.0.113.9",
            "for=1.2.3.4,,for=10.0.0.1",
            "for=\"[::1%25eth0]\"",
        ] {
            assert_eq!(address(Family::Forwarded, "10.0.0.1", &[("forwarded", bad)]), Err(Code::UnclearClientAddress), "{bad}");
        }
        assert_eq!(address(Family::Forwarded, "10.0.0.1", &[("forwarded", &"for=10.0.0.1,".repeat(100))]), Err(Code::UnclearClientAddress));
    }

    #[test]
    fn forwarded_is_read_by_its_grammar() {
        for (line, client, scheme) in [
            ("for=203.0.113.9", "203.0.113.9", None),
            ("For=\"[2001:db8::1]:4711\";proto=HTTPS;by=203.0.113.43", "2001:db8::1", Some(Scheme::Https)),
            (
                "for=_x;proto=http, for=203.0.113.9;proto=https;host=\"a, for=b\" , for=10.0.0.7;proto=http",
                "203.0.113.9",
                Some(Scheme::Https),
            ),
            ("for=\"\\1.2.3.4:80\"", "1.2.3.4", None),
            ("for=\"[::ffff:203.0.113.9]\"", "203.0.113.9", None),
        ] {
            let got = origin(Family::Forwarded, "10.0.0.1", &[("forwarded", line)]);
            assert_eq!(got, Ok(Origin { address: client.parse().unwrap(), scheme }), "{line}");
        }
    }

    #[test]
    fn a_trusted_proxy_tells_the_scheme() {
        let scheme = |value| origin(Family::XForwardedFor, "10.0.0.1", &[("x-forwarded-proto", value)]).map(|origin| origin.scheme);
        assert_eq!(scheme("HTTPS"), Ok(Some(Scheme::Https)));
        assert_eq!(scheme("http"), Ok(Some(Scheme::Http)));
        assert_eq!(scheme("https,http"), Err(Code::UnclearClientAddress));
        assert_eq!(scheme(""), Err(Code::UnclearClientAddress));
    }
}
