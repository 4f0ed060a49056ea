//! Requests sent and not yet answered, in the order they were sent.
//!
//! A queue sorted by age, because sequence numbers only grow (round the wrap): the usual answer is found at its
//! front, any other by halving. Answered entries in the middle are blanked and swept when they outnumber the
//! living, so one unanswered request never makes the queue grow.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::command::{CommandId, SequenceNumber};

/// One request on the wire.
#[derive(Debug)]
pub(crate) struct Outstanding<T> {
    pub(crate) sequence: SequenceNumber,
    pub(crate) command: CommandId,
    pub(crate) sent: Instant,
    /// The caller's handle; `None` for the session's own requests.
    pub(crate) token: Option<T>,
}

/// See the file's head.
#[derive(Debug)]
pub(crate) struct Window<T> {
    slots: VecDeque<Slot<T>>,
    live: usize,
    /// Of those, the caller's.
    requests: usize,
}

#[derive(Debug)]
struct Slot<T> {
    sequence: SequenceNumber,
    outstanding: Option<Outstanding<T>>,
}

/// Blanks that are tolerated before a sweep.
const SLACK: usize = 64;

impl<T> Window<T> {
    pub(crate) fn new() -> Self {
        Self { slots: VecDeque::new(), live: 0, requests: 0 }
    }

    /// How many of the caller's requests are outstanding.
    pub(crate) fn requests(&self) -> usize {
        self.requests
    }

    /// Adds a request younger than all others.
    pub(crate) fn push(&mut self, outstanding: Outstanding<T>) {
        self.live += 1;
        self.requests += usize::from(outstanding.token.is_some());
        self.slots.push_back(Slot { sequence: outstanding.sequence, outstanding: Some(outstanding) });
    }

    /// Takes the request with this number out, if it is outstanding.
    pub(crate) fn take(&mut self, sequence: SequenceNumber) -> Option<Outstanding<T>> {
        let first = self.slots.front()?.sequence;
        let age = distance(first, sequence)?;
        let at = self.slots.partition_point(|slot| distance(first, slot.sequence).is_some_and(|other| other < age));
        let slot = self.slots.get_mut(at).filter(|slot| slot.sequence == sequence)?;
        let taken = slot.outstanding.take()?;
        self.forget(&taken);
        Some(taken)
    }

    /// Whether a number is in use; a wrapped counter must not hand it out again.
    pub(crate) fn contains(&self, sequence: SequenceNumber) -> bool {
        self.slots.iter().any(|slot| slot.sequence == sequence && slot.outstanding.is_some())
    }

    /// When the oldest request was sent.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.slots.front()?.outstanding.as_ref().map(|outstanding| outstanding.sent)
    }

    /// The caller's requests, oldest first.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|slot| slot.outstanding.as_ref()?.token.as_ref())
    }

    /// Takes the oldest request out if it has waited for `timeout`.
    pub(crate) fn take_expired(&mut self, now: Instant, timeout: Duration) -> Option<Outstanding<T>> {
        if self.oldest()? + timeout > now {
            return None;
        }
        let taken = self.slots.front_mut()?.outstanding.take()?;
        self.forget(&taken);
        Some(taken)
    }

    /// Everything that is left, oldest first.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Outstanding<T>> {
        self.live = 0;
        self.requests = 0;
        std::mem::take(&mut self.slots).into_iter().filter_map(|slot| slot.outstanding)
    }

    /// Keeps the counters and the invariant that the front is alive.
    fn forget(&mut self, taken: &Outstanding<T>) {
        self.live -= 1;
        self.requests -= usize::from(taken.token.is_some());
        while self.slots.front().is_some_and(|slot| slot.outstanding.is_none()) {
            self.slots.pop_front();
        }
        if self.slots.len() > 2 * self.live + SLACK {
            self.slots.retain(|slot| slot.outstanding.is_some());
        }
    }
}

/// How many numbers after `first` this one was handed out; `None` for numbers that are never ours.
fn distance(first: SequenceNumber, sequence: SequenceNumber) -> Option<u32> {
    if !(SequenceNumber::FIRST..=SequenceNumber::LAST).contains(&sequence) {
        return None;
    }
    let span = SequenceNumber::LAST.0;
    Some((sequence.0 + span - first.0) % span)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(numbers: impl IntoIterator<Item = u32>, now: Instant) -> Window<u32> {
        let mut window = Window::new();
        for number in numbers {
            window.push(Outstanding {
                sequence: SequenceNumber(number),
                command: CommandId::SUBMIT_SM,
                sent: now,
                token: Some(number),
            });
        }
        window
    }

    #[test]
    fn answers_in_any_order_round_the_wrap_find_their_request() {
        let numbers = [0x7fff_fffe, 0x7fff_ffff, 1, 2];
        let mut window = window(numbers, Instant::now());
        for number in [1, 0x7fff_ffff, 2, 0x7fff_fffe] {
            assert_eq!(window.take(SequenceNumber(number)).and_then(|request| request.token), Some(number));
            assert!(window.take(SequenceNumber(number)).is_none(), "a second answer finds nothing");
        }
        assert!(window.live == 0 && window.slots.is_empty());
        assert!(window.take(SequenceNumber(0)).is_none() && window.take(SequenceNumber(0x8000_0000)).is_none());
    }

    #[test]
    fn one_unanswered_request_does_not_let_the_queue_grow() {
        let now = Instant::now();
        let mut window = window([1], now);
        for number in 2..100_000 {
            let sequence = SequenceNumber(number);
            window.push(Outstanding { sequence, command: CommandId::SUBMIT_SM, sent: now, token: Some(number) });
            assert!(window.take(sequence).is_some());
        }
        assert!(window.slots.len() < 2 * SLACK);
        assert_eq!(window.requests(), 1);
    }
}
