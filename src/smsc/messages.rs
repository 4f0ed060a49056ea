//! What an account's messages are doing: on their way until their time comes, then remembered for a while.
//!
//! Bounded twice: messages on their way by `queue_limit`, which refuses submits, and finished ones by `remember`,
//! which forgets the oldest.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use smpp::{Address, DataCoding, MessageState, RegisteredDelivery};

use super::ids::Number;

/// A message that was taken.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) source: Address,
    pub(super) destination: Address,
    /// Further destinations of a submit_multi.
    pub(super) others: Vec<Address>,
    pub(super) data_coding: DataCoding,
    /// Its text, or what this segment has of it, without header.
    pub(super) octets: Bytes,
    pub(super) registered_delivery: RegisteredDelivery,
    pub(super) submitted: DateTime<Utc>,
    /// Where it stands; ENROUTE until it is finished.
    pub(super) state: MessageState,
    /// What its state will be.
    pub(super) fate: MessageState,
    pub(super) finished: Option<DateTime<Utc>>,
}

impl Message {
    pub(super) fn destinations(&self) -> impl Iterator<Item = &Address> {
        std::iter::once(&self.destination).chain(&self.others)
    }
}

/// See the file's head.
#[derive(Debug, Default)]
pub(super) struct Messages {
    all: HashMap<Number, Message>,
    finished: VecDeque<Number>,
}

impl Messages {
    /// How many are on their way.
    pub(super) fn on_their_way(&self) -> usize {
        self.all.len() - self.finished.len()
    }

    pub(super) fn insert(&mut self, number: Number, message: Message) {
        self.all.insert(number, message);
    }

    pub(super) fn find(&self, number: Number) -> Option<&Message> {
        self.all.get(&number)
    }

    /// One that can still be changed.
    pub(super) fn on_its_way(&mut self, number: Number) -> Option<&mut Message> {
        self.all.get_mut(&number).filter(|message| message.finished.is_none())
    }

    /// Those on their way between two addresses.
    pub(super) fn between(&self, source: &Address, destination: &Address) -> Vec<Number> {
        let meant = |message: &Message| {
            message.finished.is_none()
                && message.source.digits == source.digits
                && message.destinations().any(|address| address.digits == destination.digits)
        };
        self.all.iter().filter(|(_, message)| meant(message)).map(|(number, _)| *number).collect()
    }

    /// Finishes one, unless it was; gives it back.
    pub(super) fn finish(
        &mut self,
        number: Number,
        state: Option<MessageState>,
        now: DateTime<Utc>,
        remember: usize,
    ) -> Option<&Message> {
        let message = self.all.get_mut(&number).filter(|message| message.finished.is_none())?;
        message.state = state.unwrap_or(message.fate);
        message.finished = Some(now);
        self.finished.push_back(number);
        // The one just finished is still wanted by the caller, so one more than `remember` stays until the next.
        while self.finished.len() > remember + 1 {
            if let Some(oldest) = self.finished.pop_front() {
                self.all.remove(&oldest);
            }
        }
        self.all.get(&number)
    }
}
