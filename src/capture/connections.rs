//! The connections of a capture: which one a segment belongs to, and what both of its directions say together.
//!
//! Bounded: so many connections are followed at once, and so much is held for all of them.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::conversation::{CapturedPdu, Sender};
use super::judge::{Heard, Judge, Verdict};
use super::link::Segment;
use super::stream::{Moment, Stream};

/// Most connections that are followed at once; the tenth of them that began first is then taken to have ended.
pub(super) const MOST_CONNECTIONS: usize = 10_000;
/// Most octets that wait in all connections for packets before them, for the rest of a PDU, or to be known as SMPP.
const MOST_HELD: usize = 64 * 1024 * 1024;
/// Notes of a connection that is not known to be SMPP yet.
const MOST_NOTES: usize = 100;
/// PDUs that are held live until one tells which side is the ESME.
const MOST_UNDECIDED: usize = 8;
/// Ports from here on are nobody's (RFC 6335 §6 and the practice of operating systems): whoever has one has connected.
const EPHEMERAL: u16 = 32_768;

/// How long PDUs may be held to learn who sent them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// To the end of the connection.
    Whole,
    /// As short as possible.
    Live,
}

/// What becomes known.
pub(super) enum Seen {
    /// A PDU of the connection with this number; it came in this packet.
    Pdu { connection: u64, esme: SocketAddr, smsc: SocketAddr, packet: u64, pdu: CapturedPdu },
    /// No more will come of the connection with this number.
    Ended { connection: u64 },
    /// Something could not be read.
    Note(String),
}

/// Two ends of a connection, the smaller address first.
type Ends = (SocketAddr, SocketAddr);

/// A connection as far as it has been read.
struct Connection {
    ends: Ends,
    /// How many had begun before it, and itself.
    number: u64,
    /// From the first end, and from the second.
    streams: [Stream; 2],
    judge: Judge,
    notes: Vec<String>,
    last: Moment,
    /// The end that sent the first SYN, if that was seen.
    opener: Option<usize>,
    /// The number of each side's first octet, as the other's SYN has acknowledged it.
    acknowledged: [Option<u32>; 2],
    /// Whether a FIN or RST was seen.
    ended: bool,
    /// Which side is the ESME, once PDUs are shown.
    esme: Option<usize>,
    /// What was last counted as held.
    held: usize,
}

/// See the file's head.
pub(super) struct Connections {
    open: HashMap<Ends, Connection>,
    began: u64,
    held: usize,
    patience: Patience,
    /// What has become known and nobody has taken.
    pub(super) seen: Vec<Seen>,
}

impl Connections {
    pub(super) fn new(patience: Patience) -> Self {
        Self { open: HashMap::new(), began: 0, held: 0, patience, seen: Vec::new() }
    }

    /// A segment came.
    pub(super) fn segment(&mut self, at: Moment, segment: Segment<'_>) {
        let forward = segment.from <= segment.to;
        let ends = if forward { (segment.from, segment.to) } else { (segment.to, segment.from) };
        let side = usize::from(!forward);
        if segment.syn && self.open.get(&ends).is_some_and(|open| open.is_other(side, &segment)) {
            self.close(ends);
        }
        if !self.open.contains_key(&ends) {
            if segment.payload.is_empty() && !segment.syn {
                return;
            }
            if self.open.len() >= MOST_CONNECTIONS {
                self.close_oldest(at.0);
            }
            self.began += 1;
        }
        let number = self.began;
        let connection = self.open.entry(ends).or_insert_with(|| Connection::new(ends, number, at));
        connection.segment(side, at, &segment);
        connection.settle(self.patience, &mut self.seen);
        self.held = self.held - connection.held + connection.hold();
        if self.held > MOST_HELD {
            self.relieve(at.0);
        }
    }

    /// Many at once, for each look at all of them has its cost; first those that have ended anyway.
    fn close_oldest(&mut self, packet: u64) {
        let mut open: Vec<(bool, u64, Ends)> =
            self.open.values().map(|open| (!open.ended, open.number, open.ends)).collect();
        open.sort_unstable_by_key(|(goes_on, number, _)| (*goes_on, *number));
        open.truncate(MOST_CONNECTIONS / 10);
        let cut = open.iter().filter(|(goes_on, _, _)| *goes_on).count();
        open.into_iter().for_each(|(_, _, ends)| self.close(ends));
        if cut > 0 {
            self.seen.push(Seen::Note(format!(
                "packet {packet}: more than {MOST_CONNECTIONS} connections at once; \
                 the {cut} that began first are taken to have ended"
            )));
        }
    }

    /// Holds as little as it can, for there is too much of it.
    fn relieve(&mut self, packet: u64) {
        self.held = 0;
        for connection in self.open.values_mut() {
            if connection.held > 0 {
                connection.streams.iter_mut().for_each(Stream::relieve);
                connection.hear();
                if connection.judge.octets > 0 {
                    connection.judge.close();
                }
                connection.settle(self.patience, &mut self.seen);
            }
            self.held += connection.hold();
        }
        self.seen.push(Seen::Note(format!(
            "packet {packet}: more than {} MiB wait for packets that are missing; they are waited for no longer",
            MOST_HELD >> 20
        )));
    }

    fn close(&mut self, ends: Ends) {
        let Some(mut connection) = self.open.remove(&ends) else { return };
        self.held -= connection.held;
        let last = connection.last;
        connection.streams.iter_mut().for_each(|stream| stream.finish(last));
        connection.hear();
        connection.judge.close();
        connection.esme.get_or_insert(connection.judge.esme.unwrap_or(connection.likely_esme()));
        connection.settle(self.patience, &mut self.seen);
        if connection.judge.verdict == Verdict::Smpp {
            self.seen.push(Seen::Ended { connection: connection.number });
        }
    }

    /// The capture has ended.
    pub(super) fn finish(&mut self) {
        let mut open: Vec<(u64, Ends)> = self.open.values().map(|open| (open.number, open.ends)).collect();
        open.sort_unstable_by_key(|(number, _)| *number);
        open.into_iter().for_each(|(_, ends)| self.close(ends));
    }
}

impl Connection {
    fn new(ends: Ends, number: u64, at: Moment) -> Self {
        Self {
            ends,
            number,
            streams: Default::default(),
            judge: Judge::default(),
            notes: Vec::new(),
            last: at,
            opener: None,
            acknowledged: [None; 2],
            ended: false,
            esme: None,
            held: 0,
        }
    }

    /// Whether this SYN of a side begins another connection than this one (RFC 9293 §3.5).
    fn is_other(&self, side: usize, syn: &Segment<'_>) -> bool {
        let [own, other] = self.both(side);
        let first = syn.sequence.wrapping_add(1);
        match own.first().or(self.acknowledged[side]) {
            // The same SYN again, except behind the end.
            Some(known) if known == first => own.began() && self.ended,
            Some(_) => true,
            // Nothing of this side was seen, so it must fit what was seen of the other.
            None => match syn.ack {
                Some(ack) => other.first().is_some_and(|first| ack != first),
                None => other.spoke(),
            },
        }
    }

    fn both(&self, side: usize) -> [&Stream; 2] {
        let [first, second] = &self.streams;
        if side == 0 { [first, second] } else { [second, first] }
    }

    fn segment(&mut self, side: usize, at: Moment, segment: &Segment<'_>) {
        self.last = (at.0, self.last.1.max(at.1));
        self.ended |= segment.ends;
        let mut sequence = segment.sequence;
        if segment.syn {
            // What acknowledges a SYN answers it.
            self.opener.get_or_insert(if segment.ack.is_some() { 1 - side } else { side });
            self.acknowledged[1 - side] = segment.ack.or(self.acknowledged[1 - side]);
            self.streams[side].begin(sequence);
            sequence = sequence.wrapping_add(1);
        } else if let Some(ack) = segment.ack {
            self.streams[1 - side].acknowledged(at.1, ack);
        }
        self.streams[side].push(at, sequence, segment.payload);
        self.streams.iter_mut().for_each(|stream| stream.pass(at.1));
        self.hear();
    }

    /// Takes what the streams have found.
    fn hear(&mut self) {
        for side in 0..2 {
            let framing = &mut self.streams[side].framing;
            let (from, to) = if side == 0 { self.ends } else { (self.ends.1, self.ends.0) };
            for note in framing.notes.drain(..).take(MOST_NOTES.saturating_sub(self.notes.len())) {
                self.notes.push(format!("packet {}, {from} to {to}: {note}", self.last.0));
            }
            framing.pdus.drain(..).for_each(|(at, raw)| self.judge.hear((side, at, raw)));
        }
    }

    /// Shows what can be shown.
    fn settle(&mut self, patience: Patience, seen: &mut Vec<Seen>) {
        match self.judge.verdict {
            Verdict::Open => return,
            Verdict::Foreign => {
                self.streams.iter_mut().for_each(Stream::give_up);
                return self.notes.clear();
            }
            Verdict::Smpp => self.streams.iter_mut().for_each(|stream| stream.framing.trust()),
        }
        seen.extend(self.notes.drain(..).map(Seen::Note));
        if self.judge.heard.is_empty() {
            return;
        }
        let esme = self.esme.or(self.judge.esme).or_else(|| self.guess(patience));
        let Some(esme) = esme else { return };
        self.esme = Some(esme);
        let (ends, connection) = (self.ends, self.number);
        let (esme_at, smsc_at) = if esme == 0 { ends } else { (ends.1, ends.0) };
        seen.extend(self.judge.take().into_iter().map(|(side, (packet, at), raw): Heard| {
            let sender = if side == esme { Sender::Esme } else { Sender::Smsc };
            Seen::Pdu { connection, esme: esme_at, smsc: smsc_at, packet, pdu: CapturedPdu { at, sender, raw } }
        }));
    }

    /// Which side is the ESME as far as is known while nothing tells.
    fn guess(&self, patience: Patience) -> Option<usize> {
        let ports = (self.ends.0.port() < EPHEMERAL, self.ends.1.port() < EPHEMERAL);
        let clear = self.opener.is_some() || ports.0 != ports.1 || self.judge.heard.len() >= MOST_UNDECIDED;
        (patience == Patience::Live && clear).then(|| self.likely_esme())
    }

    /// Whoever has connected; else whoever has the higher port.
    fn likely_esme(&self) -> usize {
        self.opener.unwrap_or_else(|| usize::from(self.ends.0.port() < self.ends.1.port()))
    }

    /// Counts what is held now.
    fn hold(&mut self) -> usize {
        let doubted = if self.judge.verdict == Verdict::Open { self.judge.octets } else { 0 };
        self.held = doubted + self.streams.iter().map(Stream::held).sum::<usize>();
        self.held
    }
}
