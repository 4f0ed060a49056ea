//! Captures made packet by packet: every link type, and TCP as it really arrives.

use std::io::Cursor;

use bytes::BytesMut;
use etherparse::PacketBuilder;
use maybug::capture::{Capture, Conversation, Sender, read_from};
use proptest::prelude::*;
use smpp::pdu::{Bind, BindMode, BindResp, DeliverSm, DeliverSmResp, SubmitSm, SubmitSmResp};
use smpp::{CommandStatus, Pdu, RawPdu, SequenceNumber, ShortMessage};

const ESME: (u8, u16) = (1, 40_000);
const SMSC: (u8, u16) = (2, 3_100);

/// Which way a segment goes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Up,
    Down,
}

/// How packets are wrapped.
#[derive(Clone, Copy, Debug)]
enum Wrap {
    Ethernet,
    Vlan,
    Ipv6,
    Raw,
    Null,
    Sll,
    Sll2,
}

impl Wrap {
    fn link(self) -> u32 {
        match self {
            Self::Ethernet | Self::Vlan | Self::Ipv6 => 1,
            Self::Raw => 101,
            Self::Null => 0,
            Self::Sll => 113,
            Self::Sll2 => 276,
        }
    }
}

fn packet(wrap: Wrap, way: Way, sequence: u32, syn: bool, payload: &[u8]) -> Vec<u8> {
    let ((from, from_port), (to, to_port)) = if way == Way::Up { (ESME, SMSC) } else { (SMSC, ESME) };
    let (source, destination) = ([10, 0, 0, from], [10, 0, 0, to]);
    let mac = |end: u8| [2, 0, 0, 0, 0, end];
    let six = |end: u8| [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, end];
    let mut out = Vec::new();
    macro_rules! finish {
        ($builder:expr) => {{
            let builder = $builder.tcp(from_port, to_port, sequence, 65_535);
            let builder = if syn { builder.syn() } else { builder };
            builder.write(&mut out, payload).unwrap();
        }};
    }
    match wrap {
        Wrap::Ethernet => finish!(PacketBuilder::ethernet2(mac(from), mac(to)).ipv4(source, destination, 64)),
        Wrap::Vlan => finish!(
            PacketBuilder::ethernet2(mac(from), mac(to)).single_vlan(etherparse::VlanId::try_new(7).unwrap()).ipv4(
                source,
                destination,
                64
            )
        ),
        Wrap::Ipv6 => finish!(PacketBuilder::ethernet2(mac(from), mac(to)).ipv6(six(from), six(to), 64)),
        _ => finish!(PacketBuilder::ipv4(source, destination, 64)),
    }
    let head: &[u8] = match wrap {
        Wrap::Null => &[2, 0, 0, 0],
        Wrap::Sll => &[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0],
        Wrap::Sll2 => &[8, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0],
        // Ethernet pads short packets; what is behind the IP packet is none of it.
        Wrap::Ethernet => {
            out.resize(out.len().max(60), 0xee);
            &[]
        }
        _ => &[],
    };
    [head, &out].concat()
}

/// A classic pcap file of packets.
fn pcap(link: u32, packets: &[Vec<u8>]) -> Vec<u8> {
    let header = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, link];
    let mut file: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
    for (n, packet) in (0_u32..).zip(packets) {
        let length = u32::try_from(packet.len()).unwrap();
        [1_700_000_000 + n / 1000, n % 1000 * 1000, length, length]
            .iter()
            .for_each(|word| file.extend(word.to_le_bytes()));
        file.extend(packet);
    }
    file
}

fn read(link: u32, packets: &[Vec<u8>]) -> Capture {
    read_from(Cursor::new(pcap(link, packets))).unwrap()
}

fn octets(pdu: impl Into<Pdu>, sequence: u32) -> Vec<u8> {
    let mut out = BytesMut::new();
    pdu.into().encode(CommandStatus::ESME_ROK, SequenceNumber(sequence), &mut out);
    out.to_vec()
}

fn submit(text: &str) -> SubmitSm {
    SubmitSm { short_message: ShortMessage::new(text.as_bytes().to_vec()).unwrap(), ..SubmitSm::default() }
}

/// A short conversation: way and octets of each PDU.
fn conversation() -> Vec<(Way, Vec<u8>)> {
    let bind = Pdu::Bind(BindMode::Transceiver, Bind { system_id: "me".try_into().unwrap(), ..Bind::default() });
    vec![
        (Way::Up, octets(bind, 1)),
        (Way::Down, octets(Pdu::BindResp(BindMode::Transceiver, BindResp::default()), 1)),
        (Way::Up, octets(submit("hello"), 2)),
        (Way::Down, octets(SubmitSmResp::default(), 2)),
        (Way::Down, octets(DeliverSm::default(), 1)),
        (Way::Up, octets(DeliverSmResp::default(), 1)),
    ]
}

/// Its packets, one for each PDU, from these sequence numbers on.
fn packets(wrap: Wrap, pdus: &[(Way, Vec<u8>)], start: u32) -> Vec<Vec<u8>> {
    let mut next = [start.wrapping_add(1); 2];
    let mut packets = vec![packet(wrap, Way::Up, start, true, &[]), packet(wrap, Way::Down, start, true, &[])];
    for (way, octets) in pdus {
        let next = &mut next[usize::from(*way == Way::Down)];
        packets.push(packet(wrap, *way, *next, false, octets));
        *next = next.wrapping_add(u32::try_from(octets.len()).unwrap());
    }
    packets
}

fn raws(conversation: &Conversation) -> Vec<(Sender, RawPdu)> {
    conversation.pdus.iter().map(|pdu| (pdu.sender, pdu.raw.clone())).collect()
}

fn expected(pdus: &[(Way, Vec<u8>)]) -> Vec<(Sender, RawPdu)> {
    let raw = |octets: &Vec<u8>| RawPdu::split(&mut BytesMut::from(&octets[..]), 70_000).unwrap().unwrap();
    pdus.iter().map(|(way, octets)| (if *way == Way::Up { Sender::Esme } else { Sender::Smsc }, raw(octets))).collect()
}

#[test]
fn every_link_type_gives_the_same_conversation() {
    let pdus = conversation();
    for wrap in [Wrap::Ethernet, Wrap::Vlan, Wrap::Ipv6, Wrap::Raw, Wrap::Null, Wrap::Sll, Wrap::Sll2] {
        let capture = read(wrap.link(), &packets(wrap, &pdus, 7));
        assert_eq!(capture.notes, Vec::<String>::new(), "{wrap:?}");
        let [conversation] = &capture.conversations[..] else { panic!("{wrap:?}: {capture:?}") };
        assert_eq!((conversation.esme.port(), conversation.smsc.port()), (ESME.1, SMSC.1), "{wrap:?}");
        assert_eq!(raws(conversation), expected(&pdus), "{wrap:?}");
    }
}

#[test]
fn sequence_numbers_wrap_and_a_capture_may_begin_in_the_middle() {
    let pdus = conversation();
    let wrapped = packets(Wrap::Raw, &pdus, u32::MAX - 20);
    assert_eq!(raws(&read(101, &wrapped).conversations[0]), expected(&pdus));
    // Without the SYNs, and with the front of the first PDU missing.
    let mut late = wrapped[2..].to_vec();
    late[0] = packet(Wrap::Raw, Way::Up, u32::MAX - 20 + 1 + 9, false, &pdus[0].1[9..]);
    let capture = read(101, &late);
    assert_eq!(raws(&capture.conversations[0]), expected(&pdus[1..]));
    assert_eq!(capture.conversations[0].esme.port(), ESME.1, "whoever submits is the ESME");
}

#[test]
fn a_lost_packet_costs_the_pdus_in_it_and_is_said() {
    let mut pdus = conversation();
    for n in 10..20 {
        pdus.push((Way::Up, octets(submit(&format!("text {n}")), n)));
        pdus.push((Way::Down, octets(SubmitSmResp::default(), n)));
    }
    let mut lossy = packets(Wrap::Ethernet, &pdus, 1);
    // One in the middle of the ESME's submits.
    lossy.remove(2 + 10);
    let capture = read(1, &lossy);
    let mut rest = pdus.clone();
    rest.remove(10);
    // What follows the loss keeps its place among what the other side said.
    assert_eq!(raws(&capture.conversations[0]), expected(&rest));
    assert!(capture.notes.iter().any(|note| note.contains("octets are missing")), "{:?}", capture.notes);
}

#[test]
fn other_protocols_are_left_out_and_what_is_no_capture_is_refused() {
    let http =
        [(Way::Up, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()), (Way::Down, b"HTTP/1.1 200 OK\r\n\r\n".to_vec())];
    assert_eq!(read(1, &packets(Wrap::Ethernet, &http, 1)).conversations, Vec::new());
    let error = read_from(Cursor::new(b"this is a text, and no capture at all".to_vec())).unwrap_err();
    assert_eq!(error.to_string(), "this is no pcap or pcapng file");
    let mut cut = pcap(1, &packets(Wrap::Ethernet, &conversation(), 1));
    cut.truncate(cut.len() - 5);
    let capture = read_from(Cursor::new(cut)).unwrap();
    assert_eq!(capture.conversations[0].pdus.len(), 5);
    assert!(capture.notes[0].contains("ends in the middle of packet 8"), "{:?}", capture.notes);
}

#[test]
fn a_hundred_thousand_pdus_are_read() {
    let mut pdus = conversation();
    for n in 3..50_003 {
        pdus.push((Way::Up, octets(submit("a hundred thousand"), n)));
        pdus.push((Way::Down, octets(SubmitSmResp::default(), n)));
    }
    let capture = read(1, &packets(Wrap::Ethernet, &pdus, 1));
    assert_eq!(capture.conversations[0].pdus.len(), 100_006);
}

proptest! {
    #[test]
    fn any_cutting_reordering_and_doubling_of_segments_gives_the_same_pdus(
        count in 1_usize..30,
        sizes in prop::collection::vec(1_usize..90, 1..40),
        swaps in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..6), 0..20),
        doubles in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..40), 0..10),
        start in any::<u32>(),
    ) {
        let pdus: Vec<Vec<u8>> = (1..).take(count).map(|n| octets(submit(&format!("text {n}")), n)).collect();
        let stream = pdus.concat();
        let mut segments = Vec::new();
        let mut at = 0;
        for size in sizes.iter().cycle() {
            if at >= stream.len() {
                break;
            }
            let end = (at + size).min(stream.len());
            segments.push((at, end));
            at = end;
        }
        // Again, and longer or shorter than before.
        for (place, more) in &doubles {
            let (from, to) = segments[place.index(segments.len())];
            segments.push((from, (to + more).min(stream.len())));
        }
        for (place, by) in &swaps {
            let a = place.index(segments.len());
            let b = (a + by).min(segments.len() - 1);
            segments.swap(a, b);
        }
        let mut list = vec![packet(Wrap::Raw, Way::Up, start, true, &[])];
        for (from, to) in segments {
            let sequence = start.wrapping_add(1).wrapping_add(u32::try_from(from).unwrap());
            list.push(packet(Wrap::Raw, Way::Up, sequence, false, &stream[from..to]));
        }
        let capture = read(101, &list);
        let read: Vec<(Sender, RawPdu)> = raws(&capture.conversations[0]);
        let pdus: Vec<_> = pdus.into_iter().map(|octets| (Way::Up, octets)).collect();
        prop_assert_eq!(read, expected(&pdus));
    }

    #[test]
    fn arbitrary_packets_and_files_never_panic(
        packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 0..20),
        link in prop_oneof![Just(0_u32), Just(1), Just(101), Just(113), Just(276), any::<u32>()],
        noise in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let _ = read_from(Cursor::new(pcap(link, &packets)));
        let _ = read_from(Cursor::new(noise));
    }
}
