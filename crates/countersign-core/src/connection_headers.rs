//! Headers that concern one connection only and are never forwarded (RFC 9110 section 7.6.1), in either direction.

use http::HeaderMap;
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};

use crate::code::{Code, Refusal};

/// Always removed, whether `Connection` names them or not. Trailers are dropped, so neither is their announcement true.
const ALWAYS: [HeaderName; 9] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
];

/// The most names that `Connection` may list.
const MOST_NAMED: usize = 32;

/// Removes them. Run it before identity headers are set, so that `Connection` cannot name one of those away.
///
/// Fails with `bad_header_value` if `Connection` is not a list of names, or names what frames or routes the message. What a
/// signature may cover it cannot name: see [`check_signed`].
pub fn remove(headers: &mut HeaderMap) -> Result<(), Refusal> {
    if headers.contains_key(CONNECTION) {
        for name in named(headers)? {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
    // One look at each name that is there costs less than looking up each of ours in vain.
    while let Some(name) = headers.keys().find(|name| ALWAYS.contains(name)).cloned() {
        headers.remove(name);
    }
    Ok(())
}

/// Checks a signed request: `Connection`, which is never signed, must not have a header taken off that may be.
///
/// # Errors
/// `bad_header_value` if it names any header but those that concern the connection alone.
pub fn check_signed(headers: &HeaderMap) -> Result<(), Refusal> {
    if !headers.contains_key(CONNECTION) || named(headers)?.iter().all(|name| ALWAYS.contains(name)) {
        return Ok(());
    }
    Err(Refusal::with(Code::BadHeaderValue, "Connection of a signed request names a header that would not be forwarded."))
}

/// The headers that `Connection` names, apart from its options `close` and `keep-alive`.
fn named(headers: &HeaderMap) -> Result<Vec<HeaderName>, Refusal> {
    let mut names = Vec::new();
    for line in headers.get_all(CONNECTION) {
        for option in line.as_bytes().split(|b| *b == b',') {
            let option = option.trim_ascii();
            // Empty list members are allowed (RFC 9110 section 5.6.1.2); the two options that nearly all senders use name no header.
            if option.is_empty() || option.eq_ignore_ascii_case(b"close") || option.eq_ignore_ascii_case(b"keep-alive") {
                continue;
            }
            let name =
                HeaderName::from_bytes(option).map_err(|_| Refusal::with(Code::BadHeaderValue, "Connection is not a list of names."))?;
            if name == HOST || name == CONTENT_LENGTH || name == CONTENT_TYPE || names.len() >= MOST_NAMED {
                return Err(Refusal::with(Code::BadHeaderValue, "Connection names a header that it must not name, or too many."));
            }
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::HeaderValue;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        lines.iter().map(|(n, v)| (n.parse::<HeaderName>().unwrap(), HeaderValue::from_str(v).unwrap())).collect()
    }

    fn left(lines: &[(&str, &str)]) -> Vec<String> {
        let mut headers = headers(lines);
        remove(&mut headers).unwrap();
        headers.keys().map(ToString::to_string).collect()
    }

    #[test]
    fn headers_of_the_connection_are_removed_and_others_stay() {
        for name in [
            "connection",
            "keep-alive",
            "proxy-connection",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "proxy-authenticate",
            "proxy-authorization",
            "http2-settings",
        ] {
            assert_eq!(left(&[("accept", "x"), (name, "x"), (name, "y")]), ["accept"], "{name}");
        }
        assert_eq!(
            left(&[("accept", "x"), ("content-length", "1"), ("authorization", "x")]),
            ["accept", "content-length", "authorization"]
        );
    }

    #[test]
    fn what_connection_names_is_removed_from_every_line() {
        assert_eq!(
            left(&[
                ("connection", "close, X-Auth-User ,, b"),
                ("connection", "c"),
                ("x-auth-user", "x"),
                ("b", "x"),
                ("b", "y"),
                ("c", "x"),
                ("d", "x")
            ]),
            ["d"]
        );
    }

    #[test]
    fn connection_names_nothing_of_a_signed_request() {
        for good in ["", "close", "keep-alive, Upgrade", "TE, close", "http2-settings"] {
            assert!(check_signed(&headers(&[("connection", good)])).is_ok(), "{good}");
        }
        for bad in ["x-amount", "close, If-Match", "content-digest", "signature-input", "host", "a b"] {
            let refused = check_signed(&headers(&[("connection", "close"), ("connection", bad)]));
            assert_eq!(refused.unwrap_err().code, Code::BadHeaderValue, "{bad}");
        }
    }

    #[test]
    fn connection_cannot_name_what_frames_or_routes_the_message() {
        let many = vec!["a"; 33].join(",");
        for bad in ["host", "Content-Length", "content-type", "a b", "a:b", "\"a\"", &many] {
            let mut map = headers(&[("connection", bad), ("host", "a")]);
            assert_eq!(remove(&mut map).unwrap_err().code, Code::BadHeaderValue, "{bad}");
        }
    }
}
