//! Addresses: a range of them, and where a peer is from.

use std::{fmt, net::IpAddr, str::FromStr};

/// A range of addresses, as `10.0.0.0/8`, `2001:db8::/32` or one address. An IPv4 address that an IPv6 socket reports in its
/// mapped form (`::ffff:10.0.0.1`) is an IPv4 address here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// What counts as one origin of connections: an IPv4 address or an IPv6 /64, of which one host may use all addresses.
    pub fn origin(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self { address: address.into(), prefix: 32 },
            IpAddr::V6(address) => Self { address: masked(address.into(), 64), prefix: 64 },
        }
    }

    /// Whether the address is in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.prefix) == self.address
    }
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V4((u32::from(address) & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6((u128::from(address) & mask).into())
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// A text that is no range of addresses.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no range of addresses: {reason} (examples: 10.64.0.0/16, 2001:db8::1)")]
pub struct BadNetwork {
    text: String,
    reason: &'static str,
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let bad = |reason| BadNetwork { text: text.to_owned(), reason };
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| bad("the address cannot be read"))?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(prefix) => prefix
                .parse()
                .ok()
                .filter(|prefix| *prefix <= longest)
                .ok_or_else(|| bad("behind the slash stands how many bits of the address count"))?,
        };
        if masked(address, prefix) != address {
            return Err(bad("bits behind the prefix are set"));
        }
        Ok(Self { address, prefix })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_contains_what_its_prefix_says_and_mapped_addresses_are_ipv4() {
        for (range, address, contained) in [
            ("10.0.0.0/8", "10.255.1.2", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:1::7", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("::1", "::1", true),
        ] {
            let network: Network = range.parse().unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), contained, "{range} {address}");
        }
        for text in ["", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/", "host", "::/129", "10.0.0.0/-1"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_origin_is_an_ipv4_address_or_an_ipv6_network_of_64_bits() {
        let origin = |address: &str| Network::origin(address.parse().unwrap());
        assert_eq!(origin("192.0.2.7"), origin("::ffff:192.0.2.7"));
        assert_ne!(origin("192.0.2.7"), origin("192.0.2.8"));
        assert_eq!(origin("2001:db8::1"), origin("2001:db8::ffff:1"));
        assert_ne!(origin("2001:db8::1"), origin("2001:db8:0:1::1"));
    }
}
