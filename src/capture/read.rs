//! Conversations out of a pcap or pcapng file: packets, TCP streams, PDUs.
//!
//! A stream is put in order and rid of what was sent twice. Where a packet is missing for good, its direction ends there:
//! what follows could be cut anywhere. Connections in which no PDU begins where one should are not SMPP and left out.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use bytes::BytesMut;
use etherparse::{NetSlice, SlicedPacket, TcpSlice, TransportSlice};
use pcap_parser::pcapng::Block;
use pcap_parser::{Linktype, PcapBlockOwned, PcapError, create_reader};
use smpp::{CommandId, RawPdu};

use super::conversation::{CapturedPdu, Conversation, Sender};

/// What a capture has of SMPP.
#[derive(Clone, Debug, PartialEq)]
pub struct Capture {
    /// Its conversations, in the order in which they begin.
    pub conversations: Vec<Conversation>,
}

/// Why a capture could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The operating system said no.
    #[error("the file cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is no capture, or is damaged.
    #[error("this is no pcap or pcapng file, or it is damaged: {0}")]
    Format(String),
}

/// Octets read at a time; a packet is smaller.
const BUFFER: usize = 1 << 20;
/// Octets of a stream that may wait for a packet before them.
const MOST_WAITING: usize = 1 << 20;

/// Reads a capture.
///
/// # Errors
/// [`CaptureError`] when it cannot be read to its end; a last packet that is cut off is no error.
pub fn read(path: &Path) -> Result<Capture, CaptureError> {
    let file = File::open(path)?;
    let mut reader = create_reader(BUFFER, file).map_err(|error| CaptureError::Format(format!("{error:?}")))?;
    let mut streams = Streams::default();
    let mut timing = Timing::default();
    loop {
        match reader.next() {
            Ok((length, block)) => {
                if let Some((at, link, packet)) = timing.packet(&block) {
                    streams.packet(at, link, packet);
                }
                reader.consume(length);
            }
            // A capture that was interrupted ends inside a packet.
            Err(PcapError::Eof | PcapError::UnexpectedEof) => break,
            Err(PcapError::Incomplete(_)) => {
                reader.refill().map_err(|error| CaptureError::Format(format!("{error:?}")))?;
            }
            Err(error) => return Err(CaptureError::Format(format!("{error:?}"))),
        }
    }
    Ok(Capture { conversations: streams.conversations() })
}

/// How the file writes times, and where they begin.
#[derive(Default)]
struct Timing {
    /// Legacy: link type, and units of a second.
    legacy: Option<(Linktype, u64)>,
    /// pcapng: the same for each interface.
    interfaces: Vec<(Linktype, u64)>,
    first: Option<Duration>,
}

impl Timing {
    /// A packet's time since the first one's, its link type, and its octets.
    fn packet<'a>(&mut self, block: &'a PcapBlockOwned<'a>) -> Option<(Duration, Linktype, &'a [u8])> {
        let (at, link, packet) = match block {
            PcapBlockOwned::LegacyHeader(header) => {
                let units = if header.is_nanosecond_precision() { 1_000_000_000 } else { 1_000_000 };
                self.legacy = Some((header.network, units));
                return None;
            }
            PcapBlockOwned::Legacy(packet) => {
                let (link, units) = self.legacy?;
                let at = Duration::from_secs(u64::from(packet.ts_sec)) + fraction(u64::from(packet.ts_usec), units);
                (at, link, packet.data)
            }
            PcapBlockOwned::NG(Block::SectionHeader(_)) => {
                self.interfaces.clear();
                return None;
            }
            PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
                self.interfaces.push((interface.linktype, interface.ts_resolution().unwrap_or(1_000_000)));
                return None;
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                let (link, units) = *self.interfaces.get(usize::try_from(packet.if_id).ok()?)?;
                let time = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
                let at = Duration::from_secs(time / units.max(1)) + fraction(time % units.max(1), units);
                let length = usize::try_from(packet.caplen).ok()?;
                (at, link, packet.data.get(..length)?)
            }
            PcapBlockOwned::NG(_) => return None,
        };
        let first = *self.first.get_or_insert(at);
        Some((at.saturating_sub(first), link, packet))
    }
}

fn fraction(count: u64, units: u64) -> Duration {
    let nanoseconds = u128::from(count) * 1_000_000_000 / u128::from(units.max(1));
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or_default())
}

/// Connections by their ends, the lower one first.
#[derive(Default)]
struct Streams {
    numbers: BTreeMap<(SocketAddr, SocketAddr), usize>,
    streams: Vec<Stream>,
}

/// One connection.
struct Stream {
    ends: [SocketAddr; 2],
    directions: [Direction; 2],
    /// Which end sent each PDU.
    pdus: Vec<(Duration, usize, RawPdu)>,
}

/// One direction of it.
#[derive(Default)]
struct Direction {
    /// The sequence number that comes next, once one has come.
    next: Option<u32>,
    /// Octets that have come too early, by how far they are ahead.
    early: BTreeMap<u32, Vec<u8>>,
    waiting: usize,
    octets: BytesMut,
    /// Nothing can be cut out of what follows.
    lost: bool,
}

impl Streams {
    fn packet(&mut self, at: Duration, link: Linktype, packet: &[u8]) {
        let sliced = match link {
            Linktype::ETHERNET => SlicedPacket::from_ethernet(packet).ok(),
            Linktype::LINUX_SLL => SlicedPacket::from_linux_sll(packet).ok(),
            // The address family in four octets, then IP.
            Linktype::NULL | Linktype::LOOP => packet.get(4..).and_then(|packet| SlicedPacket::from_ip(packet).ok()),
            _ => SlicedPacket::from_ip(packet).ok(),
        };
        let Some(SlicedPacket { net: Some(net), transport: Some(TransportSlice::Tcp(tcp)), .. }) = sliced else {
            return;
        };
        let (from, to): (IpAddr, IpAddr) = match &net {
            NetSlice::Ipv4(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
            NetSlice::Ipv6(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
            NetSlice::Arp(_) => return,
        };
        let from = SocketAddr::new(from, tcp.source_port());
        let to = SocketAddr::new(to, tcp.destination_port());
        self.segment(at, from, to, &tcp);
    }

    fn segment(&mut self, at: Duration, from: SocketAddr, to: SocketAddr, tcp: &TcpSlice<'_>) {
        let ends = if from < to { [from, to] } else { [to, from] };
        // A SYN of one that has said something before begins another connection between the same ports.
        let opens = tcp.syn() && !tcp.ack();
        let known = self.numbers.get(&(ends[0], ends[1])).copied();
        let number = match known.filter(|number| !(opens && self.streams[*number].has_spoken())) {
            Some(number) => number,
            None => {
                self.streams.push(Stream { ends, directions: Default::default(), pdus: Vec::new() });
                self.numbers.insert((ends[0], ends[1]), self.streams.len() - 1);
                self.streams.len() - 1
            }
        };
        let stream = &mut self.streams[number];
        let side = usize::from(from == ends[1] && ends[0] != ends[1]);
        stream.directions[side].segment(tcp);
        stream.cut(at, side);
    }

    fn conversations(self) -> Vec<Conversation> {
        let mut all: Vec<Conversation> = self.streams.into_iter().filter_map(Stream::conversation).collect();
        all.sort_by_key(|conversation| conversation.pdus.first().map(|captured| captured.at));
        all
    }
}

impl Direction {
    fn segment(&mut self, tcp: &TcpSlice<'_>) {
        let (sequence, payload) = (tcp.sequence_number(), tcp.payload());
        if tcp.syn() {
            self.next = Some(sequence.wrapping_add(1));
            return;
        }
        let next = *self.next.get_or_insert(sequence);
        let ahead = sequence.wrapping_sub(next);
        if payload.is_empty() || self.lost {
            return;
        }
        // Half of the number space lies behind.
        if ahead > u32::MAX / 2 {
            let seen = usize::try_from(ahead.wrapping_neg()).unwrap_or(usize::MAX);
            if let Some(new) = payload.get(seen..).filter(|new| !new.is_empty()) {
                self.take(new);
            }
        } else if ahead == 0 {
            self.take(payload);
        } else {
            self.waiting += payload.len();
            self.early.insert(sequence, payload.to_vec());
            self.lost |= self.waiting > MOST_WAITING;
        }
        self.catch_up();
    }

    fn take(&mut self, payload: &[u8]) {
        self.octets.extend_from_slice(payload);
        let length = u32::try_from(payload.len()).unwrap_or(0);
        self.next = self.next.map(|next| next.wrapping_add(length));
    }

    /// What came too early may follow now.
    fn catch_up(&mut self) {
        while let Some(next) = self.next {
            let due = self.early.keys().copied().find(|sequence| next.wrapping_sub(*sequence) <= u32::MAX / 2);
            let Some(payload) =
                due.and_then(|sequence| self.early.remove(&sequence).map(|payload| (sequence, payload)))
            else {
                return;
            };
            let (sequence, payload) = payload;
            self.waiting -= payload.len();
            let seen = usize::try_from(next.wrapping_sub(sequence)).unwrap_or(usize::MAX);
            if let Some(new) = payload.get(seen..) {
                self.take(new);
            }
        }
    }
}

impl Stream {
    fn has_spoken(&self) -> bool {
        !self.pdus.is_empty() || self.directions.iter().any(|direction| direction.lost)
    }

    /// Takes whole PDUs off a direction.
    fn cut(&mut self, at: Duration, side: usize) {
        let direction = &mut self.directions[side];
        while !direction.lost {
            // What begins with no known command is no SMPP, or begins in the middle of a PDU.
            let command = direction.octets.get(4..8).and_then(|id| id.first_chunk::<4>().copied());
            let foreign = command.is_some_and(|id| CommandId(u32::from_be_bytes(id)).name().is_none());
            match RawPdu::split(&mut direction.octets, smpp::raw::DEFAULT_MAX_PDU_LEN) {
                Ok(Some(raw)) if !foreign => self.pdus.push((at, side, raw)),
                Ok(None) if !foreign => return,
                _ => direction.lost = true,
            }
        }
    }

    fn conversation(self) -> Option<Conversation> {
        let esme = self.pdus.iter().find_map(|(_, side, raw)| sender(raw.id).map(|sender| (*side, sender)));
        let esme = match esme? {
            (side, Sender::Esme) => side,
            (side, Sender::Smsc) => 1 - side,
        };
        let pdus = self.pdus.into_iter().map(|(at, side, raw)| {
            let sender = if side == esme { Sender::Esme } else { Sender::Smsc };
            CapturedPdu { at, sender, raw }
        });
        Some(Conversation { esme: self.ends[esme], smsc: self.ends[1 - esme], pdus: pdus.collect() })
    }
}

/// Who alone sends this; `None` for what both may send.
fn sender(id: CommandId) -> Option<Sender> {
    let request = CommandId(id.0 & !CommandId::GENERIC_NACK.0);
    let esme = match request {
        CommandId::BIND_TRANSMITTER
        | CommandId::BIND_RECEIVER
        | CommandId::BIND_TRANSCEIVER
        | CommandId::SUBMIT_SM
        | CommandId::SUBMIT_MULTI
        | CommandId::QUERY_SM
        | CommandId::CANCEL_SM
        | CommandId::REPLACE_SM => true,
        CommandId::DELIVER_SM | CommandId::ALERT_NOTIFICATION | CommandId::OUTBIND => false,
        _ => return None,
    };
    Some(if esme != id.is_response() { Sender::Esme } else { Sender::Smsc })
}
