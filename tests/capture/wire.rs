//! Captures made packet by packet.

use std::io::Cursor;
use std::time::Duration;

use bytes::BytesMut;
use etherparse::PacketBuilder;
use maybug::capture::{Capture, Conversation, Sender, read_from};
use smpp::pdu::{Bind, BindMode, BindResp, DeliverSm, DeliverSmResp, SubmitSm, SubmitSmResp};
use smpp::{CommandStatus, Pdu, RawPdu, SequenceNumber, ShortMessage};

pub(crate) const ESME: (u8, u16) = (1, 40_000);
pub(crate) const SMSC: (u8, u16) = (2, 3_100);

/// Which way a segment goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Way {
    Up,
    Down,
}

/// How packets are wrapped.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wrap {
    Ethernet,
    Vlan,
    Ipv6,
    Raw,
    Null,
    Sll,
    Sll2,
}

impl Wrap {
    pub(crate) fn link(self) -> u32 {
        match self {
            Self::Ethernet | Self::Vlan | Self::Ipv6 => 1,
            Self::Raw => 101,
            Self::Null => 0,
            Self::Sll => 113,
            Self::Sll2 => 276,
        }
    }
}

/// A TCP segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tcp<'a> {
    pub(crate) way: Way,
    /// The ESME's port.
    pub(crate) port: u16,
    pub(crate) sequence: u32,
    pub(crate) ack: Option<u32>,
    pub(crate) syn: bool,
    pub(crate) fin: bool,
    pub(crate) payload: &'a [u8],
}

impl<'a> Tcp<'a> {
    pub(crate) fn data(way: Way, sequence: u32, payload: &'a [u8]) -> Self {
        Self { way, port: ESME.1, sequence, ack: None, syn: false, fin: false, payload }
    }

    pub(crate) fn syn(way: Way, sequence: u32) -> Self {
        Self { syn: true, ..Self::data(way, sequence, &[]) }
    }

    /// As a packet.
    pub(crate) fn wrapped(self, wrap: Wrap) -> Vec<u8> {
        let (esme, smsc) = ((ESME.0, self.port), SMSC);
        let ((from, from_port), (to, to_port)) = if self.way == Way::Up { (esme, smsc) } else { (smsc, esme) };
        let (source, destination) = ([10, 0, 0, from], [10, 0, 0, to]);
        let mac = |end: u8| [2, 0, 0, 0, 0, end];
        let six = |end: u8| [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, end];
        let mut out = Vec::new();
        macro_rules! finish {
            ($builder:expr) => {{
                let builder = $builder.tcp(from_port, to_port, self.sequence, 65_535);
                let builder = if self.syn { builder.syn() } else { builder };
                let builder = if self.fin { builder.fin() } else { builder };
                let builder = if let Some(ack) = self.ack { builder.ack(ack) } else { builder };
                builder.write(&mut out, self.payload).unwrap();
            }};
        }
        match wrap {
            Wrap::Ethernet => finish!(PacketBuilder::ethernet2(mac(from), mac(to)).ipv4(source, destination, 64)),
            Wrap::Vlan => {
                finish!(
                    PacketBuilder::ethernet2(mac(from), mac(to))
                        .single_vlan(etherparse::VlanId::try_new(7).unwrap())
                        .ipv4(source, destination, 64)
                )
            }
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
}

pub(crate) fn packet(wrap: Wrap, way: Way, sequence: u32, syn: bool, payload: &[u8]) -> Vec<u8> {
    Tcp { syn, ..Tcp::data(way, sequence, payload) }.wrapped(wrap)
}

/// A classic pcap file of packets.
pub(crate) fn pcap(link: u32, packets: &[Vec<u8>]) -> Vec<u8> {
    let times = (0..).map(Duration::from_millis);
    timed(link, &times.zip(packets.iter().cloned()).collect::<Vec<_>>())
}

/// The same, with the times of packets.
pub(crate) fn timed(link: u32, packets: &[(Duration, Vec<u8>)]) -> Vec<u8> {
    let header = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, link];
    let mut file: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
    for (at, packet) in packets {
        let length = u32::try_from(packet.len()).unwrap();
        let seconds = 1_700_000_000 + u32::try_from(at.as_secs()).unwrap();
        [seconds, at.subsec_micros(), length, length].iter().for_each(|word| file.extend(word.to_le_bytes()));
        file.extend(packet);
    }
    file
}

pub(crate) fn read(link: u32, packets: &[Vec<u8>]) -> Capture {
    read_from(Cursor::new(pcap(link, packets))).unwrap()
}

pub(crate) fn octets(pdu: impl Into<Pdu>, sequence: u32) -> Vec<u8> {
    let mut out = BytesMut::new();
    pdu.into().encode(CommandStatus::ESME_ROK, SequenceNumber(sequence), &mut out);
    out.to_vec()
}

pub(crate) fn submit(text: &str) -> SubmitSm {
    SubmitSm { short_message: ShortMessage::new(text.as_bytes().to_vec()).unwrap(), ..SubmitSm::default() }
}

/// A short conversation: way and octets of each PDU.
pub(crate) fn conversation() -> Vec<(Way, Vec<u8>)> {
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
pub(crate) fn packets(wrap: Wrap, pdus: &[(Way, Vec<u8>)], start: u32) -> Vec<Vec<u8>> {
    let mut next = [start.wrapping_add(1); 2];
    let mut packets = vec![packet(wrap, Way::Up, start, true, &[]), packet(wrap, Way::Down, start, true, &[])];
    for (way, octets) in pdus {
        let next = &mut next[usize::from(*way == Way::Down)];
        packets.push(packet(wrap, *way, *next, false, octets));
        *next = next.wrapping_add(u32::try_from(octets.len()).unwrap());
    }
    packets
}

pub(crate) fn raws(conversation: &Conversation) -> Vec<(Sender, RawPdu)> {
    conversation.pdus.iter().map(|pdu| (pdu.sender, pdu.raw.clone())).collect()
}

pub(crate) fn expected(pdus: &[(Way, Vec<u8>)]) -> Vec<(Sender, RawPdu)> {
    let raw = |octets: &Vec<u8>| RawPdu::split(&mut BytesMut::from(&octets[..]), 70_000).unwrap().unwrap();
    pdus.iter().map(|(way, octets)| (if *way == Way::Up { Sender::Esme } else { Sender::Smsc }, raw(octets))).collect()
}
