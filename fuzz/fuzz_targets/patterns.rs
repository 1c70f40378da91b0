//! Networks and path patterns: what parses reads back, and matching is bounded and consistent.
#![no_main]

use std::net::IpAddr;

use countersign_core::network::Network;
use countersign_core::path_pattern::PathPattern;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str, &str, [u8; 16])| {
    let (network, pattern, path, address) = input;
    if let Ok(network) = network.parse::<Network>() {
        assert_eq!(network.to_string().parse(), Ok(network));
        assert!(network.contains(network.address()));
        let address = IpAddr::from(address);
        assert_eq!(network.contains(address), network.contains(address.to_canonical()));
        assert!(Network::host(address).contains(address) && Network::for_counting(address).contains(address));
    }
    if let Ok(pattern) = pattern.parse::<PathPattern>() {
        assert_eq!(pattern.to_string().parse().as_ref(), Ok(&pattern));
        if pattern.matches(path) {
            assert!(path.starts_with('/') && pattern.matches_folded(path) && pattern.matches_folded(&path.to_ascii_uppercase()));
        }
        if pattern.is_fixed() {
            assert!(pattern.matches(pattern.as_str()));
            assert_eq!(pattern.matches(path), path == pattern.as_str());
        }
        assert!(pattern.by_specificity(&pattern).is_eq());
    }
});
