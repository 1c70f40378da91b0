//! A request that is judged good names one place: no two readers of its path can come to different resources.
//!
//! The input is a path and query, then lines of headers.

#![no_main]

use std::sync::Arc;

use countersign_core::forwarded::{Family, Proxies};
use countersign_core::request_view::{Connection, RequestView, Scheme};
use http::{HeaderName, HeaderValue, Request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut lines = data.split(|byte| *byte == b'\n');
    let Some(target) = lines.next() else { return };
    let mut request = Request::builder().uri(target);
    for line in lines {
        let at = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(at);
        let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value.get(1..).unwrap_or_default())) else {
            return;
        };
        request = request.header(name, value);
    }
    let Ok(request) = request.body(()) else { return };
    let (parts, ()) = request.into_parts();
    let proxies = Proxies { trusted: vec!["192.0.2.0/24".parse().expect("a network")], family: Family::XForwardedFor };
    let connection = Connection { peer: ([192, 0, 2, 1], 1).into(), public_scheme: Scheme::Http, proxies: Arc::new(proxies) };
    let Ok(view) = RequestView::judge(&parts, &connection) else { return };
    assert_eq!(view.target(), parts.uri.path_and_query().map_or("", |target| target.as_str()), "what is judged is what was sent");
    let path = view.path();
    assert!(path.starts_with('/') && !path.contains(['?', '#', '\\']));
    if view.first_finding().is_some() {
        return;
    }
    assert!(!path.contains("//") && !path.contains(';'));
    let decoded = decode(path.as_bytes());
    assert_eq!(decoded.iter().filter(|byte| **byte == b'/').count(), path.matches('/').count(), "a slash is hidden in {path:?}");
    assert!(decoded.iter().all(|byte| !byte.is_ascii_control() && *byte != b'\\'), "{path:?}");
    let decoded = String::from_utf8(decoded).expect("a good path is UTF-8");
    assert!(decoded.split('/').all(|segment| segment != "." && segment != ".."), "{path:?}");
    // Decoding once more must change nothing: nobody who decodes twice sees another path.
    assert_eq!(decode(decoded.as_bytes()), decoded.as_bytes(), "{path:?}");
});

fn decode(mut text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    while let Some((first, rest)) = text.split_first() {
        let byte = rest.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match byte.and_then(|digits| digits.bytes().all(|d| d.is_ascii_hexdigit()).then(|| u8::from_str_radix(digits, 16).ok()).flatten()) {
            Some(byte) => {
                decoded.push(byte);
                text = rest.get(2..).unwrap_or_default();
            }
            None => {
                decoded.push(*first);
                text = rest;
            }
        }
    }
    decoded
}
