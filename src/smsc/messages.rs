//! What an account's messages are doing: on their way until their time comes, then remembered for a while.
//!
//! Bounded twice: messages on their way by `queue_limit`, which refuses submits, and finished ones by `remember`,
//! which forgets the oldest.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use smpp::{Address, CString, DataCoding, MessageState, RegisteredDelivery};

use super::ids::Number;

/// A message that was taken.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) service_type: CString<6>,
    pub(super) source: Address,
    pub(super) destination: Address,
    /// Further destinations of a submit_multi.
    pub(super) others: Vec<Address>,
    pub(super) data_coding: DataCoding,
    /// Its text, or what this segment has of it, without header.
    pub(super) octets: Bytes,
    pub(super) registered_delivery: RegisteredDelivery,
    pub(super) submitted: DateTime<Utc>,
    pub(super) times: Times,
    /// Its receipt is sent twice.
    pub(super) twice: bool,
    /// Where it stands; ENROUTE until it is finished.
    pub(super) state: MessageState,
    /// What its state will be.
    pub(super) fate: MessageState,
    pub(super) finished: Option<DateTime<Utc>>,
}

/// When what happens to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    /// Delivery begins (`schedule_delivery_time`).
    begins: Instant,
    /// It would have its fate.
    fate: Instant,
    /// It has expired by then (`validity_period`), if it has not ended.
    expires: Option<Instant>,
}

impl Times {
    /// Of a message taken now that is delivered at its schedule, takes `delay` for it, and may take `validity` in all.
    pub(super) fn new(now: Instant, schedule: Option<Duration>, delay: Duration, validity: Option<Duration>) -> Self {
        let begins = now + schedule.unwrap_or_default();
        Self { begins, fate: begins + delay, expires: validity.map(|validity| now + validity) }
    }

    /// What is given anew takes the place of what was.
    pub(super) fn change(
        &mut self,
        now: Instant,
        schedule: Option<Duration>,
        delay: Duration,
        validity: Option<Duration>,
    ) {
        if schedule.is_some() {
            *self = Self { expires: self.expires, ..Self::new(now, schedule, delay, None) };
        }
        self.expires = validity.map(|validity| now + validity).or(self.expires);
    }

    /// Its last state is reached.
    pub(super) fn ends(&self) -> Instant {
        self.expires.map_or(self.fate, |expires| expires.min(self.fate))
    }

    /// Half of the way to its fate.
    pub(super) fn half(&self) -> Instant {
        self.begins + self.fate.saturating_duration_since(self.begins) / 2
    }

    pub(super) fn expires_first(&self) -> bool {
        self.expires.is_some_and(|expires| expires < self.fate)
    }

    /// It waits for its time.
    pub(super) fn is_scheduled(&self, now: Instant) -> bool {
        now < self.begins
    }
}

impl Message {
    /// Between these addresses, in this service unless that is empty.
    fn is_meant(&self, service_type: &CString<6>, source: &Address, destination: &Address) -> bool {
        self.source.digits == source.digits
            && (service_type.is_empty() || self.service_type == *service_type)
            && self.destinations().any(|address| address.digits == destination.digits)
    }

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

    /// Those on their way between two addresses, of one service when one is named (§4.9.1).
    pub(super) fn between(&self, service_type: &CString<6>, source: &Address, destination: &Address) -> Vec<Number> {
        let meant =
            |message: &Message| message.finished.is_none() && message.is_meant(service_type, source, destination);
        self.all.iter().filter(|(_, message)| meant(message)).map(|(number, _)| *number).collect()
    }

    /// Those on their way that `new` replaces: of the same service, between the same addresses (§5.2.18). Looks at every
    /// message, which costs only those who ask for it.
    pub(super) fn replaced_by(&self, new: &Message) -> Vec<Number> {
        let same = |message: &Message| {
            message.service_type == new.service_type
                && new.destinations().any(|to| message.is_meant(&new.service_type, &new.source, to))
        };
        let replaced = self.all.iter().filter(|(_, message)| message.finished.is_none() && same(message));
        replaced.map(|(number, _)| *number).collect()
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
        let ends_as = if message.times.expires_first() { MessageState::EXPIRED } else { message.fate };
        message.state = state.unwrap_or(ends_as);
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
