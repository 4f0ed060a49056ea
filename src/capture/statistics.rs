//! What a conversation comes to: commands, statuses, response times, what was never answered.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use smpp::CommandId;

use super::conversation::{CapturedPdu, Conversation, Sender};

/// See the file's head.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// From the first PDU to the last.
    pub duration: Duration,
    /// PDUs by sender's word and command.
    pub commands: BTreeMap<(&'static str, String), u64>,
    /// Responses by command and status.
    pub statuses: BTreeMap<(String, String), u64>,
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
    pub count: usize,
    /// The shortest.
    pub min: Duration,
    /// Half were not longer.
    pub p50: Duration,
    /// Ninety-nine in a hundred were not longer.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

impl Latency {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |share: usize| times.get((times.len() - 1) * share / 100).copied().unwrap_or_default();
        if times.is_empty() {
            return Self::default();
        }
        Self { count: times.len(), min: at(0), p50: at(50), p99: at(99), max: at(100) }
    }
}

/// The word for a sender.
pub(crate) fn word(sender: Sender) -> &'static str {
    match sender {
        Sender::Esme => "esme",
        Sender::Smsc => "smsc",
    }
}

impl Statistics {
    /// Counts a conversation.
    #[must_use]
    pub fn of(conversation: &Conversation) -> Self {
        let mut statistics = Self::default();
        let mut times: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
        // Requests that wait, by who sent them and their number.
        let mut waiting: HashMap<(Sender, u32), (CommandId, Duration)> = HashMap::new();
        let mut outstanding = (0, 0);
        for CapturedPdu { at, sender, raw } in &conversation.pdus {
            *statistics.commands.entry((word(*sender), raw.id.to_string())).or_default() += 1;
            if !raw.id.is_response() {
                if raw.id.has_response() {
                    let before = waiting.insert((*sender, raw.sequence.0), (raw.id, *at));
                    if let Some((id, _)) = before {
                        *statistics.unanswered.entry(id.to_string()).or_default() += 1;
                    } else {
                        let count = if *sender == Sender::Esme { &mut outstanding.0 } else { &mut outstanding.1 };
                        *count += 1;
                    }
                    statistics.window.0 = statistics.window.0.max(outstanding.0);
                    statistics.window.1 = statistics.window.1.max(outstanding.1);
                }
                continue;
            }
            *statistics.statuses.entry((raw.id.to_string(), raw.status.to_string())).or_default() += 1;
            let asker = match sender {
                Sender::Esme => Sender::Smsc,
                Sender::Smsc => Sender::Esme,
            };
            match waiting.remove(&(asker, raw.sequence.0)) {
                Some((id, asked)) => {
                    let count = if asker == Sender::Esme { &mut outstanding.0 } else { &mut outstanding.1 };
                    *count -= 1;
                    times.entry(id.to_string()).or_default().push(at.saturating_sub(asked));
                }
                None => *statistics.strays.entry(raw.id.to_string()).or_default() += 1,
            }
        }
        for (id, _) in waiting.into_values() {
            *statistics.unanswered.entry(id.to_string()).or_default() += 1;
        }
        statistics.latencies = times.into_iter().map(|(command, times)| (command, Latency::of(times))).collect();
        let (first, last) = (conversation.pdus.first(), conversation.pdus.last());
        statistics.duration = match (first, last) {
            (Some(first), Some(last)) => last.at.saturating_sub(first.at),
            _ => Duration::ZERO,
        };
        statistics
    }
}
