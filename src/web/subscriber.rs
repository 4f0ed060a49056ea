//! Whom an address stands for, where what one of them may take is bounded.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whoever has one IPv6 address has its network of 64 bits, except among the neighbours of one link (RFC 4291 §2.5.6). An
/// IPv4 address stands for itself, however it is written, translated by NAT64 (RFC 6052 §2.1) too.
#[must_use]
pub fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if address.is_unicast_link_local() => address.into(),
        IpAddr::V6(address) if address.segments()[..6] == NAT64 => {
            let [.., a, b, c, d] = address.octets();
            Ipv4Addr::new(a, b, c, d).into()
        }
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// `64:ff9b::/96`.
const NAT64: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_64_bits_and_single_ipv4_addresses() {
        let of = |address: &str| subscriber(address.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:ffff::1"), "2001:db8:1:2::");
        assert_ne!(of("2001:db8:1:3::1"), of("2001:db8:1:2::1"));
        assert_eq!((of("203.0.113.1"), of("::ffff:203.0.113.1")), ("203.0.113.1".into(), "203.0.113.1".into()));
        assert_eq!(
            (of("64:ff9b::203.0.113.1"), of("64:ff9b::1:203.0.113.1")),
            ("203.0.113.1".into(), "64:ff9b::".into())
        );
        assert_eq!(
            (of("fe80::1"), of("fe80::2"), of("febf::1:2:3:4")),
            ("fe80::1".into(), "fe80::2".into(), "febf::1:2:3:4".into())
        );
        assert_eq!(of("fec0::1"), "fec0::");
    }
}
