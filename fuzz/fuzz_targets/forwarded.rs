//! What a client writes left of a trusted proxy's entry never decides the address, and nobody's bytes stop the process.
#![no_main]

use std::net::IpAddr;

use countersign_core::forwarded::{Family, Proxies};
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, Vec<&[u8]>, [u8; 4])| {
    let (standard, lines, client) = input;
    let family = if standard { Family::Forwarded } else { Family::XForwardedFor };
    let name = if standard { "forwarded" } else { "x-forwarded-for" };
    let proxies = Proxies { trusted: vec!["10.0.0.0/8".parse().expect("a network")], family };
    let proxy: IpAddr = [10, 0, 0, 1].into();
    let client = IpAddr::from(client);
    let mut headers = HeaderMap::new();
    for line in lines {
        let Ok(value) = HeaderValue::from_bytes(line) else { return };
        headers.append(name, value);
    }
    // An untrusted peer is the client, whatever it wrote.
    if !proxies.trust(client) {
        assert_eq!(proxies.find_origin(client, &headers).expect("a peer is always clear").address, client);
    }
    if let Ok(origin) = proxies.find_origin(proxy, &headers) {
        assert_eq!(origin.address, origin.address.to_canonical());
    }
    if proxies.trust(client) {
        return;
    }
    // The proxy appends a line of its own, or its entry to the client's last line: its word counts, or the request is refused.
    let entry = if standard { format!("for={client}") } else { client.to_string() };
    let mut appended = headers.clone();
    appended.append(name, entry.parse().expect("an address is a header value"));
    if let Ok(origin) = proxies.find_origin(proxy, &appended) {
        assert_eq!(origin.address, client);
    }
    let joined: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).chain([entry.as_bytes()]).collect();
    let mut one = HeaderMap::new();
    one.insert(name, HeaderValue::from_bytes(&joined.join(&b", "[..])).expect("header values joined by commas are one"));
    if let Ok(origin) = proxies.find_origin(proxy, &one) {
        assert_eq!(origin.address, client);
    }
});
