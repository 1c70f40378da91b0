//! A request that is judged good has one reading: no byte of its path changes its structure when decoded, once or twice, and
//! judging what is forwarded gives the same answer.
#![no_main]

use std::sync::Arc;

use countersign_core::request_view::{Connection, Relax, RequestView, Scheme};
use http::Request;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str, Vec<(&str, &[u8])>)| {
    let (target, host, headers) = input;
    let mut request = Request::builder().uri(target).header("host", host);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let Ok(request) = request.body(()) else { return };
    let parts = request.into_parts().0;
    let connection = Connection { peer: ([192, 0, 2, 1], 4711).into(), public_scheme: Scheme::Http, proxies: Arc::default() };
    let Ok(view) = RequestView::judge(&parts, &connection) else { return };
    assert!(view.target().starts_with('/') && view.target().bytes().all(|b| b.is_ascii_graphic() && b != b'#'));
    assert!(view.target().starts_with(view.path()) && !view.path().contains('?'));
    assert!(view.host().starts_with(view.host_name()) && !view.host().bytes().any(|b| b.is_ascii_uppercase()));
    assert_eq!(view.client_address(), connection.peer.ip());

    let once = decode(view.path().as_bytes());
    let text = std::str::from_utf8(&once).expect("the decoded path is UTF-8");
    assert!(!text.contains('\\') && !text.contains(char::is_control));
    assert_eq!(decode(&once), once, "decoding twice changes nothing");
    // With or without what stands behind `;`, no segment climbs.
    assert!(text.split('/').all(|segment| !matches!(segment.split(';').next(), Some("." | ".."))));
    if view.unrelaxed(&Relax::default()).is_none() {
        assert_eq!(text.matches('/').count(), view.path().matches('/').count());
        assert!(!text.contains("//") && !text.contains(';'));
        assert!(parts.headers.keys().all(|name| !name.as_str().contains('_')));
    }

    // What is forwarded is judged alike by a second gateway.
    let mut again = parts.clone();
    again.uri = view.target().parse().expect("a good target is a good URI");
    again.headers.insert("host", view.host().parse().expect("a good host is a good header"));
    let second = RequestView::judge(&again, &connection).expect("good once, good twice");
    assert_eq!((second.target(), second.host()), (view.target(), view.host()));
});

fn decode(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        let pair = after.split_at_checked(2).and_then(|(pair, after)| {
            let text = std::str::from_utf8(pair).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))?;
            Some((u8::from_str_radix(text, 16).ok()?, after))
        });
        match pair {
            Some((value, after)) if byte == b'%' => {
                decoded.push(value);
                rest = after;
            }
            _ => {
                decoded.push(byte);
                rest = after;
            }
        }
    }
    decoded
}
