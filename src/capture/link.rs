//! From a packet to its TCP segment: Ethernet with VLANs, Linux cooked, raw IP, loopback; IPv4 and IPv6.

use std::net::{IpAddr, SocketAddr};

use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, TransportSlice};
use pcap_parser::Linktype;

/// A TCP segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment<'a> {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) sequence: u32,
    pub(super) syn: bool,
    pub(super) payload: &'a [u8],
}

/// What a packet is.
pub(super) enum Content<'a> {
    Tcp(Segment<'a>),
    /// A piece of an IP packet; they are not put together.
    Fragment,
    /// Nothing of interest.
    Other,
    /// A link type that is not known.
    UnknownLink,
}

/// Octets of a Linux cooked header, version 1 and 2.
const SLL: (usize, usize) = (16, 20);

/// Reads a packet.
pub(super) fn read(link: Linktype, data: &[u8]) -> Content<'_> {
    let packet = match link {
        Linktype::ETHERNET => LaxSlicedPacket::from_ethernet(data).ok(),
        // 12 and 14 are what some systems call raw IP.
        Linktype::RAW | Linktype::IPV4 | Linktype::IPV6 | Linktype(12 | 14) => LaxSlicedPacket::from_ip(data).ok(),
        Linktype::NULL | Linktype::LOOP => data.get(4..).and_then(|data| LaxSlicedPacket::from_ip(data).ok()),
        Linktype::LINUX_SLL => cooked(data, 14, SLL.0),
        Linktype::LINUX_SLL2 => cooked(data, 0, SLL.1),
        _ => return Content::UnknownLink,
    };
    packet.map_or(Content::Other, |packet| segment(&packet))
}

/// Behind a header of `length` octets that has the protocol at `at`.
fn cooked(data: &[u8], at: usize, length: usize) -> Option<LaxSlicedPacket<'_>> {
    let protocol = data.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)?;
    Some(LaxSlicedPacket::from_ether_type(EtherType(protocol), data.get(length..)?))
}

fn segment<'a>(packet: &LaxSlicedPacket<'a>) -> Content<'a> {
    let (from, to, fragment): (IpAddr, IpAddr, bool) = match &packet.net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            let header = ip.header();
            (header.source_addr().into(), header.destination_addr().into(), ip.payload().fragmented)
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            let header = ip.header();
            (header.source_addr().into(), header.destination_addr().into(), ip.payload().fragmented)
        }
        _ => return Content::Other,
    };
    match &packet.transport {
        Some(TransportSlice::Tcp(tcp)) => Content::Tcp(Segment {
            from: SocketAddr::new(from, tcp.source_port()),
            to: SocketAddr::new(to, tcp.destination_port()),
            sequence: tcp.sequence_number(),
            syn: tcp.syn(),
            payload: tcp.payload(),
        }),
        None if fragment => Content::Fragment,
        _ => Content::Other,
    }
}
