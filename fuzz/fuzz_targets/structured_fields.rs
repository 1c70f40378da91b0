//! HTTP Message Signatures: what is read has one canonical form, each component gives one line, and a part of the request
//! that a signature is said to reach cannot change without changing what was signed.
//!
//! The input is a method and a target, one a line, then lines of headers.

#![no_main]

use countersign_core::request_view::Scheme;
use countersign_core::signature::content_digest::content_digest;
use countersign_core::signature::rfc9421::{Found, Message, Reached, choose, find, signature, signature_base};
use countersign_fuzz::head;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((method, target, headers)) = head(data.split(|byte| *byte == b'\n')) else { return };
    if let Ok(Some(digest)) = content_digest(&headers) {
        assert!(digest.sha256().is_some() || digest.sha512().is_some());
    }
    let request = Request { method: method.to_owned(), scheme: Scheme::Https, host: "a", target: target.to_owned(), headers };
    let Ok(all) = find(&request.headers) else { return };
    for found in all {
        // What is wrong with one signature is kept with it.
        let label = found.label();
        let Ok(Some(found)) = choose(vec![found], None, Some(label)) else { continue };
        is_canonical(&found);
        let mut reached = Vec::new();
        let mut report = |part: Reached<'_>| reached.push((format!("{part:?}"), request.with_other(part)));
        let Ok(base) = signature_base(&found, &request.message(), &mut report) else { continue };
        let text = std::str::from_utf8(&base).expect("a base is ASCII");
        assert!(text.is_ascii() && text.ends_with(found.signature_params()));
        assert_eq!(text.matches('\n').count(), found.components().count());
        for (part, other) in reached {
            if let Ok(changed) = signature_base(&found, &other.message(), &mut |_| ()) {
                assert_ne!(changed, base, "{part} is not reached by {text}");
            }
        }
    }
});

/// A request of its own.
struct Request {
    method: String,
    scheme: Scheme,
    host: &'static str,
    target: String,
    headers: HeaderMap,
}

impl Request {
    fn message(&self) -> Message<'_> {
        let Self { method, scheme, host, target, headers } = self;
        let (path, query) = target.split_once('?').map_or((&**target, None), |(path, query)| (path, Some(query)));
        Message { method, scheme: *scheme, host, target, path, query, headers }
    }

    /// The same with another value of one part.
    fn with_other(&self, part: Reached<'_>) -> Self {
        let mut other = Self { method: self.method.clone(), target: self.target.clone(), headers: self.headers.clone(), ..*self };
        match part {
            Reached::Method => other.method.push('X'),
            Reached::Scheme => other.scheme = Scheme::Http,
            Reached::Host => {
                other.host = "b";
                if let Some(host) = other.headers.get_mut("host") {
                    append(host);
                }
            }
            Reached::Path => other.target.insert(0, '/'),
            Reached::Query => other.target.push_str(if self.target.contains('?') { "x" } else { "?x" }),
            Reached::Header(name) => append(other.headers.get_mut(name).expect("what is signed is there")),
        }
        other
    }
}

fn append(value: &mut HeaderValue) {
    *value = HeaderValue::from_bytes(&[value.as_bytes(), b"x"].concat()).expect("one more letter");
}

fn is_canonical(found: &Found<'_>) {
    let mut headers = HeaderMap::new();
    let signature = signature(found.label(), found.mac()).expect("what was read can be written");
    headers.insert("signature-input", found.signature_input().parse().expect("ASCII"));
    headers.insert("signature", signature.parse().expect("ASCII"));
    let again = find(&headers).expect("what was written can be read");
    assert_eq!((again[0].signature_params(), again[0].mac()), (found.signature_params(), found.mac()));
    assert_eq!((again[0].created(), again[0].expires()), (found.created(), found.expires()));
    assert_eq!((again[0].keyid(), again[0].nonce()), (found.keyid(), found.nonce()));
    assert_eq!((again[0].alg(), again[0].tag()), (found.alg(), found.tag()));
}
