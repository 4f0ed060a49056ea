//! Which request a response answers: that of the other side with the same sequence number (SMPP v3.4 §5.1.4).

use std::collections::HashMap;
use std::time::Duration;

use smpp::CommandId;

use super::conversation::{CapturedPdu, Sender};

/// Most requests that are remembered; of more, the tenth that waits longest will not be answered.
const MOST_WAITING: usize = 100_000;

/// What a PDU is to those before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Paired {
    /// A request that may be answered, and those that will not be any more.
    Request(Vec<CommandId>),
    /// A request to which there is no answer.
    Told,
    /// The answer to this command, after this time.
    Answer(CommandId, Duration),
    /// An answer to nothing that was seen.
    Stray,
}

/// Requests of a conversation that wait.
#[derive(Clone, Debug, Default)]
pub struct Pairing {
    /// By who sent them and their number: what, when, and how many came before it.
    waiting: HashMap<(Sender, u32), (CommandId, Duration, u64)>,
    count: u64,
    outstanding: (usize, usize),
}

impl Pairing {
    /// Takes the next PDU.
    pub fn take(&mut self, pdu: &CapturedPdu) -> Paired {
        let CapturedPdu { at, sender, raw } = pdu;
        if raw.id.is_response() {
            return match self.remove((sender.other(), raw.sequence.0)) {
                Some((id, asked)) => Paired::Answer(id, at.saturating_sub(asked)),
                None => Paired::Stray,
            };
        }
        if !raw.id.has_response() {
            return Paired::Told;
        }
        let key = (*sender, raw.sequence.0);
        let mut lost: Vec<CommandId> = self.remove(key).into_iter().map(|(id, _)| id).collect();
        if self.waiting.len() >= MOST_WAITING {
            let mut oldest: Vec<_> = self.waiting.iter().map(|(key, (_, _, count))| (*count, *key)).collect();
            oldest.sort_unstable_by_key(|(count, _)| *count);
            oldest.truncate(MOST_WAITING / 10);
            lost.extend(oldest.into_iter().filter_map(|(_, key)| self.remove(key)).map(|(id, _)| id));
        }
        self.count += 1;
        self.waiting.insert(key, (raw.id, *at, self.count));
        *self.outstanding(*sender) += 1;
        Paired::Request(lost)
    }

    /// Requests of the ESME and of the SMSC that wait.
    #[must_use]
    pub fn window(&self) -> (usize, usize) {
        self.outstanding
    }

    /// The commands that still wait.
    pub fn unanswered(self) -> impl Iterator<Item = CommandId> {
        self.waiting.into_values().map(|(id, _, _)| id)
    }

    fn remove(&mut self, key: (Sender, u32)) -> Option<(CommandId, Duration)> {
        let (id, at, _) = self.waiting.remove(&key)?;
        *self.outstanding(key.0) -= 1;
        Some((id, at))
    }

    fn outstanding(&mut self, sender: Sender) -> &mut usize {
        match sender {
            Sender::Esme => &mut self.outstanding.0,
            Sender::Smsc => &mut self.outstanding.1,
        }
    }
}
