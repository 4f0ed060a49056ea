//! From a packet to its TCP segment: Ethernet with VLANs, Linux cooked, raw IP, loopback; IPv4 and IPv6.

use std::net::{IpAddr, SocketAddr};

use etherparse::{EtherType, IpFragOffset, IpNumber, Ipv6ExtensionSlice, TcpSlice, TransportSlice};
use etherparse::{LaxIpPayloadSlice, LaxNetSlice, LaxSlicedPacket};
use pcap_parser::Linktype;

/// A TCP segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment<'a> {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) sequence: u32,
    /// The number of the octet that its sender waits for, where it says so.
    pub(super) ack: Option<u32>,
    pub(super) syn: bool,
    /// Whether it ends the connection: FIN or RST.
    pub(super) ends: bool,
    pub(super) payload: &'a [u8],
}

/// A piece of an IP packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragment<'a> {
    /// What the pieces of a packet have in common.
    pub(super) packet: PacketId,
    pub(super) offset: IpFragOffset,
    /// Whether others come behind it.
    pub(super) more: bool,
    pub(super) payload: &'a [u8],
}

/// An IP packet of which pieces come (RFC 791 §3.2, RFC 8200 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PacketId {
    pub(super) from: IpAddr,
    pub(super) to: IpAddr,
    pub(super) protocol: IpNumber,
    pub(super) identification: u32,
}

/// What a packet is.
pub(super) enum Content<'a> {
    Tcp(Segment<'a>),
    Fragment(Fragment<'a>),
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
    packet.map_or(Content::Other, |packet| content(&packet))
}

/// Behind a header of `length` octets that has the protocol at `at`.
fn cooked(data: &[u8], at: usize, length: usize) -> Option<LaxSlicedPacket<'_>> {
    let protocol = data.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)?;
    Some(LaxSlicedPacket::from_ether_type(EtherType(protocol), data.get(length..)?))
}

fn content<'a>(packet: &LaxSlicedPacket<'a>) -> Content<'a> {
    let (from, to, payload): (IpAddr, IpAddr, &LaxIpPayloadSlice<'a>) = match &packet.net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            let header = ip.header();
            (header.source_addr().into(), header.destination_addr().into(), ip.payload())
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            let header = ip.header();
            (header.source_addr().into(), header.destination_addr().into(), ip.payload())
        }
        _ => return Content::Other,
    };
    match &packet.transport {
        Some(TransportSlice::Tcp(tcp)) => Content::Tcp(segment(from, to, tcp)),
        None if payload.fragmented => {
            let place = packet.net.as_ref().and_then(place);
            place.map_or(Content::Other, |(identification, offset, more)| {
                let packet = PacketId { from, to, protocol: payload.ip_number, identification };
                Content::Fragment(Fragment { packet, offset, more, payload: payload.payload })
            })
        }
        _ => Content::Other,
    }
}

/// Which packet a fragment belongs to, where in it, and whether more of it follows.
fn place(net: &LaxNetSlice<'_>) -> Option<(u32, IpFragOffset, bool)> {
    match net {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            Some((u32::from(header.identification()), header.fragments_offset(), header.more_fragments()))
        }
        LaxNetSlice::Ipv6(ip) => ip.extensions().clone().into_iter().find_map(|extension| match extension {
            Ipv6ExtensionSlice::Fragment(header) => {
                Some((header.identification(), header.fragment_offset(), header.more_fragments()))
            }
            _ => None,
        }),
        LaxNetSlice::Arp(_) => None,
    }
}

/// The segment in a packet that was put together of fragments.
pub(super) fn joined<'a>(packet: &PacketId, payload: &'a [u8]) -> Option<Segment<'a>> {
    let tcp = (packet.protocol == IpNumber::TCP).then(|| TcpSlice::from_slice(payload).ok()).flatten()?;
    Some(segment(packet.from, packet.to, &tcp))
}

fn segment<'a>(from: IpAddr, to: IpAddr, tcp: &TcpSlice<'a>) -> Segment<'a> {
    Segment {
        from: SocketAddr::new(from, tcp.source_port()),
        to: SocketAddr::new(to, tcp.destination_port()),
        sequence: tcp.sequence_number(),
        ack: tcp.ack().then(|| tcp.acknowledgment_number()),
        syn: tcp.syn(),
        ends: tcp.fin() || tcp.rst(),
        payload: tcp.payload(),
    }
}
