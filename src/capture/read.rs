//! Conversations out of a capture file: packets to TCP streams, both streams of a connection to a conversation.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use smpp::{BindMode, CommandId, RawPdu};

use super::conversation::{CapturedPdu, Conversation, Sender};
use super::file::{self, Packet};
use super::link::{self, Content, Segment};
use super::stream::{Moment, Stream};

/// What a capture has of SMPP.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Capture {
    /// Its conversations, in the order in which they begin.
    pub conversations: Vec<Conversation>,
    /// What could not be read, and was passed over.
    pub notes: Vec<String>,
}

/// Why a capture could not be read to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// It cannot be opened.
    #[error("the file cannot be opened")]
    Open(#[from] std::io::Error),
    /// It is something else.
    #[error("this is no pcap or pcapng file")]
    NotACapture,
    /// The file system failed.
    #[error("the file cannot be read at packet {packet}")]
    Unreadable {
        /// Counted from 1.
        packet: u64,
    },
    /// It ends in the middle of a packet.
    #[error("the file ends in the middle of packet {packet}")]
    CutOff {
        /// Counted from 1.
        packet: u64,
    },
    /// It makes no sense any more.
    #[error("the file is damaged at packet {packet}")]
    Damaged {
        /// Counted from 1.
        packet: u64,
    },
}

/// Most connections that are followed at once; the tenth of them that began first is then taken to have ended.
const MOST_CONNECTIONS: usize = 10_000;
/// Most notes that are kept.
const MOST_NOTES: usize = 1_000;

/// Reads a capture file.
///
/// # Errors
/// [`CaptureError`] when it is none. A file that ends early or is damaged further on gives what it has, with a note.
pub fn read(path: &Path) -> Result<Capture, CaptureError> {
    read_from(File::open(path)?)
}

/// Reads a capture, wherever it comes from.
///
/// # Errors
/// As [`read`].
pub fn read_from(file: impl Read + Send + 'static) -> Result<Capture, CaptureError> {
    let mut reader = Reader::default();
    let ended = file::packets(file, |packet| reader.packet(&packet));
    let mut capture = reader.finish();
    match ended {
        Ok(_) => {}
        Err(error @ (CaptureError::CutOff { .. } | CaptureError::Damaged { .. }))
            if !capture.conversations.is_empty() =>
        {
            capture.notes.push(error.to_string());
        }
        Err(error) => return Err(error),
    }
    Ok(capture)
}

/// Two ends of a connection, the smaller address first.
type Ends = (SocketAddr, SocketAddr);

/// A connection as far as it has been read.
struct Connection {
    ends: Ends,
    /// When it began, for the order of conversations.
    order: u64,
    /// From the first end, and from the second.
    streams: [Stream; 2],
    last: Moment,
    /// The end that sent the first SYN, if that was seen.
    opener: Option<usize>,
}

#[derive(Default)]
struct Reader {
    open: HashMap<Ends, Connection>,
    finished: Vec<(u64, Conversation)>,
    began: u64,
    /// The first packet's time.
    start: Option<Duration>,
    fragments: u64,
    unknown_links: u64,
    notes: Vec<String>,
}

impl Reader {
    fn packet(&mut self, packet: &Packet<'_>) {
        let start = *self.start.get_or_insert(packet.at);
        let at = packet.at.saturating_sub(start);
        match link::read(packet.link, packet.data) {
            Content::Tcp(segment) => self.segment(packet.number, at, segment),
            Content::Fragment => self.fragments += 1,
            Content::UnknownLink => self.unknown_links += 1,
            Content::Other => {}
        }
    }

    fn segment(&mut self, number: u64, at: Duration, segment: Segment<'_>) {
        let forward = segment.from <= segment.to;
        let ends = if forward { (segment.from, segment.to) } else { (segment.to, segment.from) };
        let side = usize::from(!forward);
        if segment.syn && self.open.get(&ends).is_some_and(|open| open.streams[side].is_other(segment.sequence)) {
            self.close(ends);
        }
        if !self.open.contains_key(&ends) {
            if segment.payload.is_empty() && !segment.syn {
                return;
            }
            if self.open.len() >= MOST_CONNECTIONS {
                self.close_oldest();
            }
            self.began += 1;
        }
        let order = self.began;
        let connection = self.open.entry(ends).or_insert_with(|| Connection {
            ends,
            order,
            streams: Default::default(),
            last: (number, at),
            opener: None,
        });
        connection.last = (number, connection.last.1.max(at));
        let mut sequence = segment.sequence;
        if segment.syn {
            connection.opener.get_or_insert(side);
            connection.streams[side].begin(sequence);
            sequence = sequence.wrapping_add(1);
        }
        connection.streams[side].push((number, at), sequence, segment.payload);
        let notes = std::mem::take(&mut connection.streams[side].notes);
        self.note(number, ends, side, notes);
    }

    fn note(&mut self, number: u64, ends: Ends, side: usize, notes: Vec<String>) {
        for note in notes {
            if self.notes.len() < MOST_NOTES {
                let (from, to) = if side == 0 { ends } else { (ends.1, ends.0) };
                self.notes.push(format!("packet {number}, {from} to {to}: {note}"));
            }
        }
    }

    /// Many at once, for each look at all of them has its cost.
    fn close_oldest(&mut self) {
        let mut open: Vec<(u64, Ends)> = self.open.values().map(|open| (open.order, open.ends)).collect();
        open.sort_unstable_by_key(|(order, _)| *order);
        open.truncate(MOST_CONNECTIONS / 10);
        open.into_iter().for_each(|(_, ends)| self.close(ends));
    }

    fn close(&mut self, ends: Ends) {
        let Some(mut connection) = self.open.remove(&ends) else { return };
        for side in 0..2 {
            connection.streams[side].finish(connection.last);
            let notes = std::mem::take(&mut connection.streams[side].notes);
            let speaks = !connection.streams[side].pdus.is_empty();
            for note in notes.into_iter().filter(|_| speaks) {
                if self.notes.len() < MOST_NOTES {
                    let (from, to) = if side == 0 { ends } else { (ends.1, ends.0) };
                    self.notes.push(format!("{from} to {to}: {note}"));
                }
            }
        }
        let order = connection.order;
        self.finished.extend(conversation(connection).map(|conversation| (order, conversation)));
    }

    fn finish(mut self) -> Capture {
        let open: Vec<Ends> = self.open.keys().copied().collect();
        open.into_iter().for_each(|ends| self.close(ends));
        self.finished.sort_by_key(|(order, _)| *order);
        if self.fragments > 0 {
            self.notes.push(format!("{} fragments of IP packets were passed over", self.fragments));
        }
        if self.unknown_links > 0 {
            self.notes.push(format!("{} packets of an unknown link type were passed over", self.unknown_links));
        }
        let conversations = self.finished.into_iter().map(|(_, conversation)| conversation).collect();
        Capture { conversations, notes: self.notes }
    }
}

/// Joins both streams; `None` when they are not SMPP.
fn conversation(connection: Connection) -> Option<Conversation> {
    let Connection { ends, streams: [first, second], opener, .. } = connection;
    if first.pdus.is_empty() && second.pdus.is_empty() {
        return None;
    }
    let esme = esme(&first.pdus, &second.pdus).or(opener).unwrap_or_else(|| usize::from(ends.0.port() < ends.1.port()));
    let sender = |side: usize| if side == esme { Sender::Esme } else { Sender::Smsc };
    let of = |side: usize, pdus: Vec<(Moment, RawPdu)>| {
        pdus.into_iter().map(move |((packet, at), raw)| (packet, CapturedPdu { at, sender: sender(side), raw }))
    };
    let mut pdus: Vec<(u64, CapturedPdu)> = of(0, first.pdus).chain(of(1, second.pdus)).collect();
    pdus.sort_by_key(|(packet, _)| *packet);
    let pdus = pdus.into_iter().map(|(_, pdu)| pdu).collect();
    let (esme, smsc) = if esme == 0 { ends } else { (ends.1, ends.0) };
    Some(Conversation { esme, smsc, pdus })
}

/// Which side is the ESME, by what it says.
fn esme(first: &[(Moment, RawPdu)], second: &[(Moment, RawPdu)]) -> Option<usize> {
    let told = |side: usize, raw: &RawPdu| {
        let request = CommandId(raw.id.0 & 0x7fff_ffff);
        let answers = raw.id.is_response();
        let by_esme = match request {
            CommandId::SUBMIT_SM
            | CommandId::SUBMIT_MULTI
            | CommandId::QUERY_SM
            | CommandId::CANCEL_SM
            | CommandId::REPLACE_SM
            | CommandId::BROADCAST_SM => true,
            CommandId::DELIVER_SM | CommandId::ALERT_NOTIFICATION | CommandId::OUTBIND => false,
            id if BindMode::of(id).is_some() => true,
            _ => return None,
        };
        Some(if by_esme != answers { side } else { 1 - side })
    };
    let sides = first.iter().map(|(_, raw)| told(0, raw)).chain(second.iter().map(|(_, raw)| told(1, raw)));
    sides.flatten().next()
}
