//! Whom an address stands for, where what one of them may take is bounded.

use std::net::{IpAddr, Ipv6Addr};

/// Whoever has one IPv6 address has its network of 64 bits; an IPv4 address stands for itself, however it is written.
#[must_use]
pub fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_64_bits_and_single_ipv4_addresses() {
        let of = |address: &str| subscriber(address.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:ffff::1"), "2001:db8:1:2::");
        assert_ne!(of("2001:db8:1:3::1"), of("2001:db8:1:2::1"));
        assert_eq!((of("203.0.113.1"), of("::ffff:203.0.113.1")), ("203.0.113.1".into(), "203.0.113.1".into()));
    }
}
