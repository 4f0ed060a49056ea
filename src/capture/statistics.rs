//! What a conversation comes to: commands, statuses, optional parameters, response times, what was never answered.
//!
//! Counted PDU by PDU, so that a conversation need not be there as a whole.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use smpp::Pdu;

use super::conversation::{CapturedPdu, Conversation};
use super::pairing::{Paired, Pairing};

/// See the file's head.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// How many PDUs there were.
    pub pdus: u64,
    /// From the first PDU to the last.
    pub duration: Duration,
    /// PDUs by sender's word and command.
    pub commands: BTreeMap<(&'static str, String), u64>,
    /// Responses by command and status.
    pub statuses: BTreeMap<(String, String), u64>,
    /// Optional parameters by command and tag.
    pub tlvs: BTreeMap<(String, String), u64>,
    /// PDUs that cannot be read, by command.
    pub malformed: BTreeMap<String, u64>,
    /// Response times by command.
    pub latencies: BTreeMap<String, Latency>,
    /// Requests without an answer, by command.
    pub unanswered: BTreeMap<String, u64>,
    /// Responses to nothing, by command.
    pub strays: BTreeMap<String, u64>,
    /// Most requests of the ESME, and of the SMSC, that waited at once.
    pub window: (usize, usize),
}

/// Response times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// How many.
    pub count: u64,
    /// The shortest.
    pub min: Duration,
    /// Half were not longer; of more than a hundred thousand, half of that many taken by chance.
    pub p50: Duration,
    /// Ninety-nine in a hundred were not longer; likewise.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

/// Response times that are kept; of more, so many taken by chance (Vitter's algorithm R).
const MOST_TIMES: usize = 100_000;
/// Rows of a table that peers fill with whatever they like; what is beyond them is counted together.
const MOST_ROWS: usize = 1_000;
/// The name for that.
const OTHERS: &str = "others";

#[derive(Clone, Debug, Default)]
struct Times {
    count: u64,
    min: Option<Duration>,
    max: Duration,
    kept: Vec<Duration>,
}

impl Times {
    fn add(&mut self, time: Duration, chances: &mut Rng) {
        self.count += 1;
        self.min = Some(self.min.map_or(time, |min| min.min(time)));
        self.max = self.max.max(time);
        if self.kept.len() < MOST_TIMES {
            self.kept.push(time);
        } else if let Some(slot) = usize::try_from(chances.u64(..self.count)).ok().and_then(|at| self.kept.get_mut(at))
        {
            *slot = time;
        }
    }

    fn latency(mut self) -> Latency {
        self.kept.sort_unstable();
        let last = self.kept.len().saturating_sub(1);
        let at = |share: usize| self.kept.get(last * share / 100).copied().unwrap_or_default();
        let min = self.min.unwrap_or_default();
        Latency { count: self.count, min, p50: at(50), p99: at(99), max: self.max }
    }
}

/// A conversation that is being counted.
#[derive(Clone, Debug)]
pub struct Counting {
    statistics: Statistics,
    pairing: Pairing,
    times: BTreeMap<String, Times>,
    chances: Rng,
    first: Option<Duration>,
}

impl Default for Counting {
    fn default() -> Self {
        let (statistics, pairing, times) = Default::default();
        // The same capture gives the same numbers.
        Self { statistics, pairing, times, chances: Rng::with_seed(0), first: None }
    }
}

/// One more in a row, or in the one for all that have none.
fn count<K: Ord>(rows: &mut BTreeMap<K, u64>, row: K, others: K) {
    let row = if rows.len() < MOST_ROWS || rows.contains_key(&row) { row } else { others };
    *rows.entry(row).or_default() += 1;
}

impl Counting {
    /// Counts the next PDU.
    pub fn add(&mut self, captured: &CapturedPdu) {
        let CapturedPdu { at, sender, raw } = captured;
        let statistics = &mut self.statistics;
        let (id, others) = (raw.id.to_string(), || OTHERS.to_owned());
        statistics.pdus += 1;
        let first = *self.first.get_or_insert(*at);
        statistics.duration = at.saturating_sub(first);
        count(&mut statistics.commands, (sender.word(), id.clone()), (sender.word(), others()));
        if raw.id.is_response() {
            count(&mut statistics.statuses, (id.clone(), raw.status.to_string()), (others(), others()));
        }
        match Pdu::decode(raw) {
            Ok(pdu) => {
                for tlv in pdu.tlvs().into_iter().flat_map(smpp::Tlvs::iter) {
                    count(&mut statistics.tlvs, (id.clone(), tlv.tag.to_string()), (others(), others()));
                }
            }
            Err(_) => count(&mut statistics.malformed, id.clone(), others()),
        }
        match self.pairing.take(captured) {
            Paired::Request(lost) => {
                lost.into_iter().for_each(|id| count(&mut statistics.unanswered, id.to_string(), others()));
                let (esme, smsc) = self.pairing.window();
                statistics.window = (statistics.window.0.max(esme), statistics.window.1.max(smsc));
            }
            Paired::Answer(id, time) => {
                let id = id.to_string();
                let kept = self.times.len() < MOST_ROWS || self.times.contains_key(&id);
                self.times.entry(if kept { id } else { others() }).or_default().add(time, &mut self.chances);
            }
            Paired::Stray => count(&mut statistics.strays, id, others()),
            Paired::Told => {}
        }
    }

    /// What it came to.
    #[must_use]
    pub fn finish(self) -> Statistics {
        let mut statistics = self.statistics;
        for id in self.pairing.unanswered() {
            count(&mut statistics.unanswered, id.to_string(), OTHERS.to_owned());
        }
        statistics.latencies = self.times.into_iter().map(|(command, times)| (command, times.latency())).collect();
        statistics
    }
}

impl Statistics {
    /// Counts a conversation.
    #[must_use]
    pub fn of(conversation: &Conversation) -> Self {
        let mut counting = Counting::default();
        conversation.pdus.iter().for_each(|pdu| counting.add(pdu));
        counting.finish()
    }
}
