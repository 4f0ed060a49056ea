//! Reads the SMPP octets out of the captures of `fixtures/pcap`: classic pcap and pcapng, Ethernet and BSD loopback and
//! raw IP, IPv4, TCP. Segments are put in the order of their sequence numbers; nothing more than these files need.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// One direction of a TCP connection.
pub(crate) type Flow = ((Ipv4Addr, u16), (Ipv4Addr, u16));

/// The octets of each direction, in the order of their first segment.
pub(crate) fn flows(capture: &[u8]) -> Vec<(Flow, Vec<u8>)> {
    let packets = match &capture[..4] {
        [0x0a, 0x0d, 0x0d, 0x0a] => pcapng(capture),
        _ => pcap(capture),
    };
    let mut order = Vec::new();
    let mut segments: BTreeMap<Flow, BTreeMap<u32, Vec<u8>>> = BTreeMap::new();
    let mut first: BTreeMap<Flow, u32> = BTreeMap::new();
    for (link, packet) in packets {
        let Some((flow, sequence, payload)) = tcp(link, &packet) else { continue };
        if payload.is_empty() {
            continue;
        }
        let first = *first.entry(flow).or_insert_with(|| {
            order.push(flow);
            sequence
        });
        // A retransmission has the octets that are there already.
        segments.entry(flow).or_default().entry(sequence.wrapping_sub(first)).or_insert_with(|| payload.to_vec());
    }
    order.into_iter().map(|flow| (flow, segments[&flow].values().flatten().copied().collect())).collect()
}

fn u32_at(octets: &[u8], at: usize, little: bool) -> u32 {
    let four: [u8; 4] = octets[at..at + 4].try_into().unwrap();
    if little { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) }
}

fn u16_be(octets: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([octets[at], octets[at + 1]])
}

fn pcap(capture: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let little = capture[0] != 0xa1;
    let link = u32_at(capture, 20, little);
    let mut packets = Vec::new();
    let mut at = 24;
    while at < capture.len() {
        let length = u32_at(capture, at + 8, little) as usize;
        packets.push((link, capture[at + 16..at + 16 + length].to_vec()));
        at += 16 + length;
    }
    packets
}

fn pcapng(capture: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let little = u32_at(capture, 8, true) == 0x1a2b_3c4d;
    let (mut links, mut packets, mut at) = (Vec::new(), Vec::new(), 0);
    while at < capture.len() {
        let (kind, length) = (u32_at(capture, at, little), u32_at(capture, at + 4, little) as usize);
        match kind {
            1 => links.push(u32_at(capture, at + 8, little) & 0xffff),
            6 => {
                let link = links[u32_at(capture, at + 8, little) as usize & 0xffff];
                let captured = u32_at(capture, at + 20, little) as usize;
                packets.push((link, capture[at + 28..at + 28 + captured].to_vec()));
            }
            _ => {}
        }
        at += length;
    }
    packets
}

fn tcp(link: u32, packet: &[u8]) -> Option<(Flow, u32, &[u8])> {
    let ip = match link {
        1 => (u16_be(packet, 12) == 0x0800).then(|| &packet[14..])?,
        0 => &packet[4..],
        113 => &packet[16..],
        276 => &packet[20..],
        _ => packet,
    };
    if ip[0] >> 4 != 4 || ip[9] != 6 {
        return None;
    }
    let (ip, head) = (&ip[..usize::from(u16_be(ip, 2))], usize::from(ip[0] & 0x0f) * 4);
    let tcp = &ip[head..];
    let address = |at: usize| Ipv4Addr::new(ip[at], ip[at + 1], ip[at + 2], ip[at + 3]);
    let flow = ((address(12), u16_be(tcp, 0)), (address(16), u16_be(tcp, 2)));
    Some((flow, u32_at(tcp, 4, false), &tcp[usize::from(tcp[12] >> 4) * 4..]))
}
