//! Seven rates per channel, router and destination, as Junebug counts them (Junebug reference §3.4): fixed buckets aligned to the epoch, and
//! what is shown is the last complete one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::Timestamp;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// MOs handed on.
    Inbound,
    /// MTs accepted over HTTP.
    Outbound,
    /// Acks.
    Submitted,
    /// Nacks.
    Rejected,
    /// Receipts: delivered.
    DeliverySucceeded,
    /// Receipts: failed.
    DeliveryFailed,
    /// Receipts: pending.
    DeliveryPending,
}

impl Label {
    /// Every label with its name in the API.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Inbound, "inbound_message_rate"),
        (Self::Outbound, "outbound_message_rate"),
        (Self::Submitted, "submitted_event_rate"),
        (Self::Rejected, "rejected_event_rate"),
        (Self::DeliverySucceeded, "delivery_succeeded_rate"),
        (Self::DeliveryFailed, "delivery_failed_rate"),
        (Self::DeliveryPending, "delivery_pending_rate"),
    ];
}

/// Counters by id, in memory.
#[derive(Debug)]
pub struct Rates {
    /// Microseconds.
    window: i64,
    counters: Mutex<HashMap<Arc<str>, [Counter; 7]>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counter {
    bucket: i64,
    current: u64,
    previous: u64,
}

impl Counter {
    fn turn(&mut self, bucket: i64) {
        if bucket != self.bucket {
            self.previous = if bucket == self.bucket + 1 { self.current } else { 0 };
            self.current = 0;
            self.bucket = bucket;
        }
    }
}

impl Rates {
    /// Counts in windows of this many seconds.
    #[must_use]
    pub fn new(window: f64) -> Self {
        // Rounds to microseconds; a window of less than one makes no sense.
        Self { window: ((window * 1e6) as i64).max(1), counters: Mutex::default() }
    }

    fn counters(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<str>, [Counter; 7]>> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts `count` of something.
    pub fn count(&self, id: &Arc<str>, label: Label, now: Timestamp, count: u64) {
        let mut all = self.counters();
        if !all.contains_key(id) {
            all.insert(id.clone(), Default::default());
        }
        if let Some(counter) = all.get_mut(id).and_then(|counters| counters.get_mut(label as usize)) {
            counter.turn(now.0.div_euclid(self.window));
            counter.current += count;
        }
    }

    /// The rate per second in the last complete window.
    #[must_use]
    pub fn rate(&self, id: &Arc<str>, label: Label, now: Timestamp) -> f64 {
        let mut all = self.counters();
        let Some(counter) = all.get_mut(id).and_then(|counters| counters.get_mut(label as usize)) else {
            return 0.0;
        };
        counter.turn(now.0.div_euclid(self.window));
        counter.previous as f64 / (self.window as f64 / 1e6)
    }

    /// Forgets an id.
    pub fn forget(&self, id: &Arc<str>) {
        self.counters().remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_shows_for_one_window_after_its_own() {
        let rates = Rates::new(10.0);
        let channel: Arc<str> = "c".into();
        let at = |seconds: i64| Timestamp(seconds * 1_000_000);
        rates.count(&channel, Label::Inbound, at(101), 2);
        rates.count(&channel, Label::Inbound, at(109), 3);
        assert_eq!(rates.rate(&channel, Label::Inbound, at(109)), 0.0);
        assert_eq!(rates.rate(&channel, Label::Inbound, at(110)), 0.5);
        assert_eq!(rates.rate(&channel, Label::Inbound, at(119)), 0.5);
        assert_eq!(rates.rate(&channel, Label::Inbound, at(120)), 0.0);
        assert_eq!(rates.rate(&channel, Label::Outbound, at(110)), 0.0);
    }
}
