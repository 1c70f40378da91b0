//! Networks in CIDR notation (RFC 4632, RFC 4291), parsed strictly: what people write by mistake is an error, not a guess.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network: an address without host bits and a prefix length. One address is a network of length 32 or 128.
///
/// IPv4-mapped IPv6 (`::ffff:0:0/96`) is stored as IPv4, so that one address has one form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    address: IpAddr,
    length: u8,
}

/// Why a text is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadNetwork {
    /// The part before `/` is not an address: a leading zero, a zone, a short form, a host name.
    #[error("{0:?} is not an IP address: write all four decimal numbers without leading zeros, or IPv6 without a zone")]
    Address(String),
    /// The part after `/` is not a length for this kind of address.
    #[error("{0:?} is not a prefix length: write a number from 0 to {1} without sign or leading zeros")]
    Length(String, u8),
    /// Bits are set behind the prefix.
    #[error("{given} has bits set behind its prefix: write {meant}")]
    HostBits {
        /// The network as written.
        given: String,
        /// The network that was probably meant.
        meant: Network,
    },
    /// A prefix shorter than 96 that cuts through the IPv4-mapped range.
    #[error("{0:?} is written in IPv4-mapped form with a prefix shorter than 96: write the IPv4 network")]
    Mapped(String),
}

impl Network {
    /// The network of exactly one address.
    pub fn host(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, length: width(address) }
    }

    /// The first address.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// The prefix length: 0 to 32 for IPv4, 0 to 128 for IPv6.
    pub const fn length(&self) -> u8 {
        self.length
    }

    /// Whether `address` is in the network. An IPv4-mapped IPv6 address is the IPv4 address it stands for; an IPv6 network
    /// never holds an IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && mask(address, self.length) == self.address
    }

    /// The network around `address` that shares counters: the address itself for IPv4, its /64 for IPv6.
    pub fn for_counting(address: IpAddr) -> Self {
        let address = address.to_canonical();
        let length = if address.is_ipv4() { 32 } else { 64 };
        Self { address: mask(address, length), length }
    }
}

const fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn mask(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let keep = u32::MAX.checked_shl(32u32.saturating_sub(length.into())).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & keep))
        }
        IpAddr::V6(v6) => {
            let keep = u128::MAX.checked_shl(128u32.saturating_sub(length.into())).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & keep))
        }
    }
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let shown = || text.chars().take(80).collect::<String>();
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        // The standard library refuses leading zeros, hexadecimal, short forms and zones.
        let written: IpAddr = address.parse().map_err(|_| BadNetwork::Address(address.chars().take(80).collect()))?;
        let full = width(written);
        let length = match length {
            None => full,
            Some(digits) => {
                let plain = (1..=3).contains(&digits.len())
                    && digits.bytes().all(|b| b.is_ascii_digit())
                    && (digits.len() == 1 || !digits.starts_with('0'));
                match digits.parse::<u8>() {
                    Ok(length) if plain && length <= full => length,
                    _ => return Err(BadNetwork::Length(digits.chars().take(20).collect(), full)),
                }
            }
        };
        let canonical = written.to_canonical();
        let length = if canonical.is_ipv4() && written.is_ipv6() {
            length.checked_sub(96).ok_or_else(|| BadNetwork::Mapped(shown()))?
        } else {
            length
        };
        let network = Self { address: mask(canonical, length), length };
        if network.address == canonical { Ok(network) } else { Err(BadNetwork::HostBits { given: shown(), meant: network }) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_people_mistype_is_refused() {
        for bad in [
            "010.0.0.0/8",
            "10/8",
            "10.1/16",
            "10.0.0.5/8",
            "10.0.0.0/08",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.0/",
            " 10.0.0.0/8",
            "10.0.0.0/8 ",
            "10.0.0.0 /8",
            "10.0.0.0/255.0.0.0",
            "0x0a.0.0.0/8",
            "167772160/8",
            "fe80::1%eth0",
            "::/129",
            "2001:db8::1/32",
            "::ffff:10.0.0.0/8",
            "example.org",
            "",
            "/",
            "10.0.0.0/8/8",
            "１０.0.0.0/8",
            "10.0.0.0/٨",
            "[::1]",
            "1.2.3.4:80",
        ] {
            assert!(bad.parse::<Network>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_error_for_host_bits_names_what_was_meant() {
        let error = "10.0.0.5/8".parse::<Network>().unwrap_err();
        assert_eq!(error.to_string(), "10.0.0.5/8 has bits set behind its prefix: write 10.0.0.0/8");
    }

    #[test]
    fn mapped_addresses_are_ipv4() {
        let mapped: Network = "::ffff:10.0.0.0/104".parse().unwrap();
        assert_eq!(mapped, "10.0.0.0/8".parse().unwrap());
        assert!(mapped.contains("::ffff:10.1.2.3".parse().unwrap()));
        let all6: Network = "::/0".parse().unwrap();
        assert!(!all6.contains("10.0.0.1".parse().unwrap()) && !all6.contains("::ffff:10.0.0.1".parse().unwrap()));
        assert!(!"10.0.0.0/8".parse::<Network>().unwrap().contains("64:ff9b::a00:1".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn every_network_reads_back(bits: u128, v4: bool, length in 0u8..=128) {
            let address: IpAddr = if v4 { Ipv4Addr::from_bits(bits as u32).into() } else { Ipv6Addr::from_bits(bits).into() };
            let address = address.to_canonical();
            let length = length.min(width(address));
            let network = Network { address: mask(address, length), length };
            prop_assert!(network.contains(address));
            prop_assert_eq!(network.to_string().parse::<Network>(), Ok(network));
        }
    }
}
