//! The files of signature profiles: any text loads or is refused with a place in it, and what loads can be run.

#![no_main]

use std::collections::BTreeMap;

use countersign_core::now::UnixMillis;
use countersign_core::request_view::Scheme;
use countersign_core::signature::{Body, Head, Profile};
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let profile = match Profile::load(text, &BTreeMap::new()) {
        Ok(profile) => profile,
        Err(bad) => {
            let (line, column) = bad.line_and_column(text);
            assert!(line >= 1 && column >= 1 && !bad.message.is_empty() && !bad.help.is_empty());
            return;
        }
    };
    let mut headers = HeaderMap::new();
    for (name, value) in
        [("host", "api.test"), ("authorization", "X a=1,b=\"2\""), ("date", "Tue, 20 Apr 2021 02:07:55 GMT"), ("x-signature", "00")]
    {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let head = Head { method: "POST", scheme: Scheme::Https, host: "api.test", target: "/a/b?c=d&e=%20", headers: &headers };
    let body = Body::of(br#"{"a": [1, "x"]}"#);
    if let Ok(Some(fields)) = profile.find_fields(head) {
        let trace = fields.trace(body, &[], UnixMillis::from_seconds(1_618_884_475));
        assert!(trace.judged.is_err(), "no key is known");
    }
});
