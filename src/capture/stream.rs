//! One direction of a TCP connection: its segments put in order.
//!
//! What was sent twice counts once. What is missing is waited for until it is clear that it will not come: the other end
//! has acknowledged it, or too much time has passed, or too many octets wait behind it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::framing::Framing;

/// Octets of one direction that may wait for a packet before them, with what each segment costs besides.
const MOST_WAITING: usize = 4 * 1024 * 1024;
/// About what a segment that waits costs besides its octets.
const SEGMENT_COST: usize = 96;
/// How long a packet may come late after what it brings was acknowledged: captures of several queues reorder.
const LATE: Duration = Duration::from_secs(1);
/// How long is waited for what nobody has acknowledged, as where only one direction was captured. TCP would have sent it
/// again several times (RFC 6298 §2).
const PATIENCE: Duration = Duration::from_secs(60);

/// A packet's number and time.
pub(super) type Moment = (u64, Duration);

/// See the file's head.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// The number of the first octet: from the SYN, or that of the first segment seen.
    first: Option<(u32, Start)>,
    /// The number of the next octet, once known.
    next: Option<u32>,
    /// What came too early and when, by its distance from the first octet seen.
    waiting: BTreeMap<u64, (Moment, Vec<u8>)>,
    held: usize,
    /// Since when what is missing is known to have arrived at the other end.
    missed_since: Option<Duration>,
    /// Octets put in order so far.
    position: u64,
    pub(super) framing: Framing,
}

/// How the number of the first octet is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Syn,
    Segment,
}

impl Stream {
    /// The stream begins: the first octet has the number after this one.
    pub(super) fn begin(&mut self, sequence: u32) {
        let first = sequence.wrapping_add(1);
        self.first = Some((first, Start::Syn));
        if self.next.is_none() {
            self.next = Some(first);
            self.framing.begin();
        }
    }

    /// The number of the first octet, when the stream's beginning or anything else of it was seen.
    pub(super) fn first(&self) -> Option<u32> {
        self.first.map(|(first, _)| first)
    }

    /// Whether its SYN was seen.
    pub(super) fn began(&self) -> bool {
        self.first.is_some_and(|(_, start)| start == Start::Syn)
    }

    /// Whether any octet came.
    pub(super) fn spoke(&self) -> bool {
        self.position > 0 || !self.waiting.is_empty()
    }

    /// A segment came.
    pub(super) fn push(&mut self, at: Moment, sequence: u32, payload: &[u8]) {
        if payload.is_empty() || self.framing.is_foreign() {
            return;
        }
        self.first.get_or_insert((sequence, Start::Segment));
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

    /// The other end waits for the octet with this number.
    pub(super) fn acknowledged(&mut self, at: Duration, number: u32) {
        let missed = self.next.is_some_and(|next| number.wrapping_sub(next).cast_signed() > 0);
        if missed && !self.waiting.is_empty() {
            self.missed_since.get_or_insert(at);
        }
    }

    /// Gives up what will not come any more.
    pub(super) fn pass(&mut self, now: Duration) {
        let late = |since: Duration, patience| now.saturating_sub(since) > patience;
        while let Some((_, ((_, came), _))) = self.waiting.first_key_value() {
            if !late(*came, PATIENCE) && !self.missed_since.is_some_and(|since| late(since, LATE)) {
                return;
            }
            self.skip_gap();
        }
    }

    /// Octets that are held, with what holding them costs.
    pub(super) fn held(&self) -> usize {
        self.held + self.framing.held()
    }

    /// Holds as little as it can.
    pub(super) fn relieve(&mut self) {
        while !self.waiting.is_empty() {
            self.skip_gap();
        }
        if self.framing.held() > 0 {
            self.framing.gap();
        }
    }

    /// The connection is known not to be SMPP.
    pub(super) fn give_up(&mut self) {
        self.waiting = BTreeMap::new();
        self.held = 0;
        self.framing.give_up();
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
            self.missed_since = None;
        }
    }

    /// Gives up what is missing before the first segment that waits.
    fn skip_gap(&mut self) {
        let Some((&position, _)) = self.waiting.first_key_value() else { return };
        let missing = position.saturating_sub(self.position);
        self.framing.notes.push(format!("{missing} octets are missing"));
        self.advance(missing);
        self.framing.gap();
        self.missed_since = None;
        self.catch_up(None);
    }

    fn advance(&mut self, octets: u64) {
        self.position += octets;
        // Sequence numbers count modulo 2^32.
        self.next = self.next.map(|next| next.wrapping_add((octets & u64::from(u32::MAX)) as u32));
    }

    fn append(&mut self, at: Moment, octets: &[u8]) {
        self.advance(octets.len() as u64);
        self.framing.push(at, octets);
    }

    /// The capture or the connection has ended: whatever still waits is all that will come.
    pub(super) fn finish(&mut self, at: Moment) {
        while !self.waiting.is_empty() {
            self.skip_gap();
        }
        self.framing.finish(at);
    }
}
