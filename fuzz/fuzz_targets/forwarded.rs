//! What a client writes into the headers of proxies never makes it anybody whom a trusted proxy has not named.

#![no_main]

use std::net::IpAddr;

use countersign_core::forwarded::{Family, Proxies};
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((how, text)) = data.split_first() else { return };
    let (family, name, named) = match how & 1 {
        0 => (Family::XForwardedFor, "x-forwarded-for", "198.51.100.7"),
        _ => (Family::Forwarded, "forwarded", "for=198.51.100.7"),
    };
    let mut headers = HeaderMap::new();
    for line in text.split(|byte| *byte == b'\n') {
        let Ok(value) = HeaderValue::from_bytes(line) else { return };
        headers.append(HeaderName::from_static(name), value);
    }
    let proxies = Proxies { trusted: vec!["192.0.2.0/24".parse().expect("a network")], family };
    let stranger: IpAddr = [203, 0, 113, 9].into();
    let proxy: IpAddr = [192, 0, 2, 1].into();
    // A stranger's word counts for nothing.
    assert_eq!(proxies.find_origin(stranger, &headers).map(|origin| origin.address).ok(), Some(stranger));
    if let Ok(origin) = proxies.find_origin(proxy, &headers) {
        assert_eq!(origin.address, origin.address.to_canonical());
    }
    // What the proxy appends is what counts, whatever stood there before; or the whole is unclear.
    headers.append(HeaderName::from_static(name), HeaderValue::from_static(named));
    if let Ok(origin) = proxies.find_origin(proxy, &headers) {
        assert_eq!(origin.address, IpAddr::from([198, 51, 100, 7]));
    }
});
