//! One direction of a TCP connection: segments put in order, and the PDUs in them.
//!
//! What was sent twice counts once. Where octets are missing for good, and where the capture begins in the middle, the
//! next PDU is looked for: a header whose length and command can be, followed by another such header or by the end.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use smpp::raw::HEADER_LEN;
use smpp::{CommandId, RawPdu};

/// Octets of one direction that may wait for a packet before them, with what each segment costs besides.
const MOST_WAITING: usize = 4 * 1024 * 1024;
/// About what a segment that waits costs besides its octets.
const SEGMENT_COST: usize = 96;
/// Octets that are looked through for a PDU before a direction is taken not to be SMPP.
const MOST_SEARCHED: usize = 256 * 1024;
/// Longest PDU that is believed in.
const MOST_PDU: usize = 70_000;

/// A packet's number and time.
pub(super) type Moment = (u64, Duration);

/// See the file's head.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// The number of the next octet, once known.
    next: Option<u32>,
    /// What came too early and when, by its distance from the first octet seen.
    waiting: BTreeMap<u64, (Moment, Vec<u8>)>,
    held: usize,
    /// Octets put in order so far.
    position: u64,
    buffer: BytesMut,
    framing: Framing,
    searched: usize,
    /// Whether a PDU was ever found here.
    speaks: bool,
    pub(super) pdus: Vec<(Moment, RawPdu)>,
    /// What could not be read, in words.
    pub(super) notes: Vec<String>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Framing {
    /// Nothing has been seen yet: the first octets may be anywhere in a PDU.
    #[default]
    Unknown,
    /// The next octet begins a PDU.
    Sound,
    /// The next PDU is looked for.
    Lost,
    /// This is not SMPP.
    Foreign,
}

impl Stream {
    /// The stream begins: the first octet has the number after this one.
    pub(super) fn begin(&mut self, sequence: u32) {
        self.next = Some(sequence.wrapping_add(1));
        self.framing = Framing::Sound;
    }

    /// Whether a SYN with this number would begin another connection than this one.
    pub(super) fn is_other(&self, sequence: u32) -> bool {
        self.next.is_some_and(|next| self.position > 0 || next != sequence.wrapping_add(1))
    }

    /// A segment came.
    pub(super) fn push(&mut self, at: Moment, sequence: u32, payload: &[u8]) {
        if payload.is_empty() || self.framing == Framing::Foreign {
            return;
        }
        let next = *self.next.get_or_insert(sequence);
        // Half of the numbers lie ahead, half behind (RFC 9293 §3.4).
        let distance = i64::from(sequence.wrapping_sub(next).cast_signed());
        if distance > 0 {
            self.wait(self.position.saturating_add_signed(distance), at, payload);
            return;
        }
        let known = usize::try_from(-distance).unwrap_or(usize::MAX);
        if let Some(fresh) = payload.get(known..).filter(|fresh| !fresh.is_empty()) {
            self.append(at, fresh);
            self.catch_up(Some(at));
        }
    }

    fn wait(&mut self, position: u64, at: Moment, payload: &[u8]) {
        let longer = self.waiting.get(&position).is_none_or(|(_, other)| other.len() < payload.len());
        if longer {
            self.held += payload.len() + SEGMENT_COST;
            if let Some((_, other)) = self.waiting.insert(position, (at, payload.to_vec())) {
                self.held -= other.len() + SEGMENT_COST;
            }
        }
        while self.held > MOST_WAITING {
            self.skip_gap();
        }
    }

    /// Takes what has become due: by what came at this moment, or else because nothing before it will come any more, and
    /// then it counts from when it came itself.
    fn catch_up(&mut self, due: Option<Moment>) {
        while let Some(entry) = self.waiting.first_entry().filter(|entry| *entry.key() <= self.position) {
            let (position, (came, payload)) = entry.remove_entry();
            self.held -= payload.len() + SEGMENT_COST;
            let known = usize::try_from(self.position - position).unwrap_or(usize::MAX);
            if let Some(fresh) = payload.get(known..).filter(|fresh| !fresh.is_empty()) {
                self.append(due.unwrap_or(came), fresh);
            }
        }
    }

    /// Gives up what is missing before the first segment that waits.
    fn skip_gap(&mut self) {
        let Some((&position, _)) = self.waiting.first_key_value() else { return };
        let missing = position.saturating_sub(self.position);
        self.notes.push(format!("{missing} octets are missing"));
        self.advance(missing);
        self.buffer.clear();
        self.framing = Framing::Lost;
        self.searched = 0;
        self.catch_up(None);
    }

    fn advance(&mut self, octets: u64) {
        self.position += octets;
        // Sequence numbers count modulo 2^32.
        self.next = self.next.map(|next| next.wrapping_add((octets & u64::from(u32::MAX)) as u32));
    }

    fn append(&mut self, at: Moment, octets: &[u8]) {
        self.advance(octets.len() as u64);
        self.buffer.extend_from_slice(octets);
        self.cut(at, false);
    }

    /// The capture or the connection has ended: whatever still waits is all that will come.
    pub(super) fn finish(&mut self, at: Moment) {
        while !self.waiting.is_empty() {
            self.skip_gap();
        }
        self.cut(at, true);
        if self.framing == Framing::Sound && self.speaks && !self.buffer.is_empty() {
            self.notes.push(format!("the last {} octets are no whole PDU", self.buffer.len()));
        }
    }

    /// Cuts off the PDUs that are complete.
    fn cut(&mut self, at: Moment, ended: bool) {
        loop {
            match self.framing {
                Framing::Foreign => return self.buffer.clear(),
                Framing::Sound => match plausible(&self.buffer) {
                    Header::Incomplete => return,
                    Header::Impossible if self.speaks => {
                        self.notes.push("octets that begin no PDU were passed over".to_owned());
                        self.framing = Framing::Lost;
                        self.searched = 0;
                    }
                    Header::Impossible => self.framing = Framing::Foreign,
                    Header::Pdu(_) => match RawPdu::split(&mut self.buffer, MOST_PDU) {
                        Ok(Some(raw)) => {
                            self.speaks = true;
                            self.pdus.push((at, raw));
                        }
                        Ok(None) | Err(_) => return,
                    },
                },
                Framing::Unknown | Framing::Lost => {
                    if !self.search(ended) {
                        return;
                    }
                }
            }
        }
    }

    /// Looks for the next PDU; whether it was found.
    fn search(&mut self, ended: bool) -> bool {
        while self.buffer.len() >= HEADER_LEN {
            if let Header::Pdu(length) = plausible(&self.buffer) {
                let sure = match self.buffer.get(length..) {
                    // What follows must begin like a PDU, or not be there.
                    Some(rest) => !matches!(plausible(rest), Header::Impossible),
                    None => ended,
                };
                if sure {
                    self.framing = Framing::Sound;
                    return true;
                }
                if self.buffer.get(length..).is_none() {
                    // Its end has not come yet; it may tell.
                    return false;
                }
            }
            self.buffer.advance(1);
            self.searched += 1;
            if self.searched > MOST_SEARCHED && !self.speaks {
                self.framing = Framing::Foreign;
                return true;
            }
        }
        false
    }
}

enum Header {
    /// A PDU of this length may begin here.
    Pdu(usize),
    Incomplete,
    Impossible,
}

/// Whether a PDU may begin at the front: a length that can be, a command that exists or is a vendor's.
fn plausible(octets: &[u8]) -> Header {
    let word = |at: usize| octets.get(at..).and_then(<[u8]>::first_chunk).copied().map(u32::from_be_bytes);
    let Some(length) = word(0) else { return Header::Incomplete };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if !(HEADER_LEN..=MOST_PDU).contains(&length) {
        return Header::Impossible;
    }
    match word(4).map(CommandId) {
        None => Header::Incomplete,
        Some(id) if known(id) => Header::Pdu(length),
        Some(_) => Header::Impossible,
    }
}

/// Commands of the standard, and the range that it leaves to vendors (§5.1.2.1).
fn known(id: CommandId) -> bool {
    id.name().is_some() || (0x0001_0200..=0x0001_02ff).contains(&(id.0 & 0x7fff_ffff)) || (id.0 & 0x7fff_ffff) <= 0x1ff
}
