//! A network that can be read is written back to itself, holds its own address, and holds no address of the other family.

#![no_main]

use std::net::IpAddr;

use countersign_core::network::Network;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(network) = text.parse::<Network>() else { return };
    assert_eq!(network.to_string().parse::<Network>().as_ref(), Ok(&network));
    assert!(network.contains(network.address()));
    let other: IpAddr = if network.address().is_ipv4() { [0u16; 8].into() } else { [0u8; 4].into() };
    assert!(!network.contains(other), "{network} holds {other}");
});
