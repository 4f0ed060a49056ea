//! Conversations as a pcap file that any dissector opens: Ethernet, IP and TCP headers are made up, their checksums are
//! right, each connection opens and closes in order.
//!
//! Classic pcap with nanoseconds, because every reader of captures takes it. Times are as the conversations have them,
//! from the epoch on: nothing in the file tells when it was recorded.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::BytesMut;
use etherparse::{IpHeaders, PacketBuilder, PacketBuilderStep};

use super::conversation::{Conversation, Sender};

/// pcap with nanoseconds, in the octet order in which it is written.
const MAGIC: u32 = 0xa1b2_3c4d;
/// LINKTYPE_ETHERNET.
const ETHERNET: u32 = 1;
/// Most octets of a packet that readers need expect.
const SNAP_LENGTH: u32 = 65_535;
/// Octets of a PDU in one segment; a longer PDU takes several, as on a real Ethernet.
const SEGMENT: usize = 1_400;

/// Writes the conversations, their packets in the order of time.
///
/// # Errors
/// Whatever `out` says.
pub fn write(conversations: &[Conversation], out: &mut impl Write) -> io::Result<()> {
    let header: [u32; 6] = [MAGIC, 0x0004_0002, 0, 0, SNAP_LENGTH, ETHERNET];
    for word in header {
        out.write_all(&word.to_le_bytes())?;
    }
    let mut streams: Vec<Stream> = conversations.iter().map(Stream::new).collect();
    let order = in_time(conversations);
    let mut packet = Vec::new();
    let first = order.first().map(|(stream, _)| *stream);
    for (stream, pdu) in order {
        // Times count from the first packet, so that has to be there.
        let begins = first == Some(stream);
        let conversation = &conversations[stream];
        let stream = &mut streams[stream];
        let captured = &conversation.pdus[pdu];
        if pdu == 0 {
            let at = if begins { Duration::ZERO } else { captured.at };
            stream.open(at, &mut packet, out)?;
        }
        let mut octets = BytesMut::new();
        captured.raw.encode(&mut octets);
        for piece in octets.chunks(SEGMENT) {
            stream.packet(captured.at, captured.sender, Flags::Data, piece, &mut packet, out)?;
        }
        if pdu + 1 == conversation.pdus.len() {
            stream.close(captured.at, captured.sender, &mut packet, out)?;
        }
    }
    Ok(())
}

/// Conversation and PDU, by time; what happened at once stays in its conversation's order.
fn in_time(conversations: &[Conversation]) -> Vec<(usize, usize)> {
    let all = conversations.iter().enumerate();
    let mut order: Vec<(usize, usize)> =
        all.flat_map(|(stream, conversation)| (0..conversation.pdus.len()).map(move |pdu| (stream, pdu))).collect();
    order.sort_by_key(|(stream, pdu)| (conversations[*stream].pdus[*pdu].at, *stream, *pdu));
    order
}

/// What a packet is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flags {
    Syn,
    SynAck,
    Ack,
    Data,
    Fin,
}

/// One connection's addresses and sequence numbers.
struct Stream {
    esme: SocketAddr,
    smsc: SocketAddr,
    /// What each has sent so far.
    esme_sent: u32,
    smsc_sent: u32,
}

impl Stream {
    fn new(conversation: &Conversation) -> Self {
        Self { esme: conversation.esme, smsc: conversation.smsc, esme_sent: 0, smsc_sent: 0 }
    }

    fn open(&mut self, at: Duration, packet: &mut Vec<u8>, out: &mut impl Write) -> io::Result<()> {
        self.packet(at, Sender::Esme, Flags::Syn, &[], packet, out)?;
        self.packet(at, Sender::Smsc, Flags::SynAck, &[], packet, out)?;
        self.packet(at, Sender::Esme, Flags::Ack, &[], packet, out)
    }

    fn close(&mut self, at: Duration, last: Sender, packet: &mut Vec<u8>, out: &mut impl Write) -> io::Result<()> {
        let other = last.other();
        self.packet(at, last, Flags::Fin, &[], packet, out)?;
        self.packet(at, other, Flags::Fin, &[], packet, out)?;
        self.packet(at, last, Flags::Ack, &[], packet, out)
    }

    fn packet(
        &mut self,
        at: Duration,
        sender: Sender,
        flags: Flags,
        payload: &[u8],
        packet: &mut Vec<u8>,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let (from, to, sent, heard) = match sender {
            Sender::Esme => (self.esme, self.smsc, &mut self.esme_sent, self.smsc_sent),
            Sender::Smsc => (self.smsc, self.esme, &mut self.smsc_sent, self.esme_sent),
        };
        let tcp = ip(from, to).tcp(from.port(), to.port(), *sent, u16::MAX);
        let tcp = match flags {
            Flags::Syn => tcp.syn(),
            Flags::SynAck => tcp.syn().ack(heard),
            Flags::Ack => tcp.ack(heard),
            Flags::Data => tcp.psh().ack(heard),
            Flags::Fin => tcp.fin().ack(heard),
        };
        // A SYN and a FIN count as one octet each (RFC 9293 §3.4).
        let control = u32::from(matches!(flags, Flags::Syn | Flags::SynAck | Flags::Fin));
        *sent = sent.wrapping_add(u32::try_from(payload.len()).unwrap_or(0)).wrapping_add(control);
        packet.clear();
        tcp.write(packet, payload).map_err(io::Error::other)?;
        // What a pcap record can say of a time ends in 2106.
        let seconds = u32::try_from(at.as_secs()).unwrap_or(u32::MAX);
        let length = u32::try_from(packet.len()).unwrap_or(SNAP_LENGTH);
        for word in [seconds, at.subsec_nanos(), length, length] {
            out.write_all(&word.to_le_bytes())?;
        }
        out.write_all(packet)
    }
}

/// Locally administered addresses, so that they are nobody's.
fn ip(from: SocketAddr, to: SocketAddr) -> PacketBuilderStep<IpHeaders> {
    let ethernet = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => ethernet.ipv4(from.octets(), to.octets(), 64),
        (from, to) => ethernet.ipv6(v6(from), v6(to), 64),
    }
}

/// The address in IPv6; an IPv4 address mapped, where one end has each.
fn v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}
