//! What the headers of a request may be, apart from what the head gate has refused already.

use http::HeaderMap;
use http::header::{EXPECT, HeaderValue, VIA};

use crate::code::{Code, Refusal};
use crate::request_view::Relax;

/// The name by which this gateway is known in `Via` (RFC 9110 section 7.6.3).
pub const PSEUDONYM: &str = "countersign";

/// Headers that may come once: those that HTTP defines so and those that the gateway reads.
///
/// Upstreams differ in whether the first or the last of several counts, so a second one is refused.
const SINGLE: &[&str] = &[
    "access-control-request-method",
    "age",
    "authorization",
    "content-digest",
    "content-encoding",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "date",
    "expect",
    "from",
    "host",
    "idempotency-key",
    "if-modified-since",
    "if-range",
    "if-unmodified-since",
    "max-forwards",
    "origin",
    "proxy-authorization",
    "range",
    "referer",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-fetch-user",
    "sec-websocket-key",
    "sec-websocket-version",
    "traceparent",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-api-key",
    "x-body-digest",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-http-method-override",
    "x-key-id",
    "x-nonce",
    "x-real-ip",
    "x-request-id",
    "x-signature",
    "x-timestamp",
];

/// Further headers that mean something to the gateway or to what lies behind it, so that no other name may be read as one.
const NOTABLE: &[&str] = &[
    "connection",
    "cookie",
    "forwarded",
    "te",
    "trailer",
    "via",
    "x-consumer-id",
    "x-consumer-scopes",
    "x-consumer-username",
    "x-credential-identifier",
    "x-forwarded-for",
    "x-forwarded-path",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-uri",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
];

/// Judges names, repetitions, `Expect` and `Via`. What no route can allow is an error; what a route may relax is returned.
pub(crate) fn check(headers: &HeaderMap) -> Result<Relax, Refusal> {
    let mut found = Relax::default();
    // Two comparisons of each name cost less than two look-ups.
    let (mut expects, mut vias) = (false, false);
    for name in headers.keys() {
        expects |= *name == EXPECT;
        vias |= *name == VIA;
        let name = name.as_str();
        if !is_plain(name) {
            if is_alias(name) {
                return Err(Refusal::with(Code::HeaderAlias, format!("The header is {name:?}.")));
            }
            if name.contains('_') {
                found.insert(Relax::HEADER_ALIAS);
            }
        }
    }
    // Only a repeated name makes the two counts differ.
    if headers.len() != headers.keys_len() {
        for name in SINGLE {
            if headers.get_all(*name).iter().nth(1).is_some() {
                return Err(Refusal::with(Code::DuplicateHeader, format!("The header is {name}.")));
            }
        }
    }
    if expects
        && let Some(expect) = headers.get(EXPECT)
        && !expect.as_bytes().eq_ignore_ascii_case(b"100-continue")
    {
        return Err(Code::ExpectationFailed.into());
    }
    if vias && headers.get_all(VIA).iter().any(names_us) {
        return Err(Code::ForwardingLoop.into());
    }
    Ok(found)
}

/// Whether a name is made of lower-case letters, digits and dashes alone.
fn is_plain(name: &str) -> bool {
    static PLAIN: [bool; 256] = {
        let (mut plain, mut at) = ([false; 256], 0);
        #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, within the length of the table")]
        while at < 256 {
            plain[at] = matches!(at as u8, b'a'..=b'z' | b'0'..=b'9' | b'-');
            at += 1;
        }
        plain
    };
    // Without a way out in the middle, which is several times as fast.
    name.bytes().fold(true, |plain, byte| plain & PLAIN.get(usize::from(byte)).copied().unwrap_or(false))
}

/// Whether a name would be one of the gateway's if every byte but letters and digits were a dash, which is how CGI and
/// its heirs read names.
fn is_alias(name: &str) -> bool {
    let same = |known: &&str| {
        known.len() == name.len()
            && name.bytes().zip(known.bytes()).all(|(given, known)| given == known || (known == b'-' && !given.is_ascii_alphanumeric()))
    };
    SINGLE.iter().any(same) || NOTABLE.iter().any(same)
}

/// Whether a `Via` line lists our pseudonym: `[protocol/]version SP received-by [SP comment]`, joined by commas.
fn names_us(line: &HeaderValue) -> bool {
    line.as_bytes().split(|b| *b == b',').any(|hop| {
        let mut words = hop.split(|b| matches!(b, b' ' | b'\t')).filter(|word| !word.is_empty());
        words.next().is_some() && words.next().is_some_and(|by| by.eq_ignore_ascii_case(PSEUDONYM.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::HeaderName;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        lines.iter().map(|(n, v)| (n.parse::<HeaderName>().unwrap(), HeaderValue::from_str(v).unwrap())).collect()
    }

    fn code(lines: &[(&str, &str)]) -> Option<Code> {
        check(&headers(lines)).err().map(|refusal| refusal.code)
    }

    #[test]
    fn a_header_that_may_come_once_is_refused_twice_even_if_equal() {
        for name in SINGLE {
            // An Expect of any other value is refused for itself.
            let value = if *name == "expect" { "100-continue" } else { "x" };
            assert_eq!(code(&[(name, value)]), None, "{name}");
            assert_eq!(code(&[(name, value), ("a", "b"), (name, value)]), Some(Code::DuplicateHeader), "{name}");
        }
        assert_eq!(code(&[("accept", "a"), ("accept", "b"), ("cookie", "a=b"), ("cookie", "c=d")]), None);
    }

    #[test]
    fn names_that_fold_to_one_of_ours_are_refused_for_good() {
        for name in
            ["x_key_id", "x-key_id", "x.key.id", "x_forwarded_for", "content_length", "x_consumer.id", "transfer.encoding", "x!api~key"]
        {
            assert_eq!(code(&[(name, "x")]), Some(Code::HeaderAlias), "{name}");
        }
    }

    #[test]
    fn other_names_with_an_underscore_are_refused_unless_the_route_allows_them() {
        assert_eq!(check(&headers(&[("my_header", "x")])).unwrap().first(), Some(Code::HeaderAlias));
        assert_eq!(check(&headers(&[("my.header", "x"), ("accept", "x")])).unwrap(), Relax::default());
    }

    #[test]
    fn only_100_continue_may_be_expected() {
        assert_eq!(code(&[("expect", "100-Continue")]), None);
        assert_eq!(code(&[("expect", "100-continue, x")]), Some(Code::ExpectationFailed));
        assert_eq!(code(&[("expect", "")]), Some(Code::ExpectationFailed));
    }

    #[test]
    fn a_request_that_came_through_here_is_refused() {
        assert_eq!(code(&[("via", "1.1 countersign")]), Some(Code::ForwardingLoop));
        assert_eq!(code(&[("via", "1.0 fred, HTTP/1.1  Countersign (x), 1.1 b")]), Some(Code::ForwardingLoop));
        assert_eq!(code(&[("via", "1.1 a"), ("via", "1.1\tcountersign")]), Some(Code::ForwardingLoop));
        assert_eq!(code(&[("via", "1.1 countersign.example, 1.1 b (countersign)")]), None);
    }

    #[test]
    fn the_lists_are_sorted_lower_case_and_disjoint() {
        assert!(SINGLE.is_sorted() && NOTABLE.is_sorted());
        assert!(SINGLE.iter().chain(NOTABLE).all(|n| n.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))));
        assert!(SINGLE.iter().all(|name| !NOTABLE.contains(name)));
    }
}
