//! How many MTs of a channel have been accepted of late, where a limit refuses what is beyond it
//! (`rate_limit_action: reject`). What a limit makes wait is the channel's own business (`channel/queue`).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::model::{ChannelId, RateLimit};

/// A channel's meter for each that refuses.
#[derive(Default)]
pub(super) struct Meters(Mutex<HashMap<ChannelId, Meter>>);

/// Counts in slices of the window, so that no window has more than the limit, and the wait for the next message is
/// longer than it must be by a slice at most.
struct Meter {
    limit: RateLimit,
    began: Instant,
    /// Which slice since then is being counted.
    slice: u64,
    counts: [u64; SLICES],
    sum: u64,
}

/// Slices that are remembered: a window and the slice that is being counted.
const SLICES: usize = 65;

impl Meters {
    /// Counts a message, if it may be accepted.
    ///
    /// # Errors
    /// How long until one may.
    pub(super) fn admit(&self, channel: &ChannelId, limit: RateLimit, now: Instant) -> Result<(), Duration> {
        let mut meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let meter = meters.entry(channel.clone()).or_insert_with(|| Meter::new(limit, now));
        if meter.limit != limit {
            *meter = Meter::new(limit, now);
        }
        meter.admit(now)
    }

    /// Forgets a channel.
    pub(super) fn forget(&self, channel: &ChannelId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(channel);
    }
}

impl Meter {
    fn new(limit: RateLimit, now: Instant) -> Self {
        Self { limit, began: now, slice: 0, counts: [0; SLICES], sum: 0 }
    }

    fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        self.advance(now);
        if self.sum >= self.limit.count {
            return Err(self.until_less(now));
        }
        let index = place(self.slice);
        if let Some(count) = self.counts.get_mut(index) {
            *count += 1;
            self.sum += 1;
        }
        Ok(())
    }

    /// Forgets the slices that are out of the window.
    fn advance(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.began);
        let slice = u64::try_from(elapsed.as_nanos() / self.width().as_nanos()).unwrap_or(u64::MAX);
        let passed = slice.saturating_sub(self.slice).min(SLICES as u64);
        for step in 1..=passed {
            let index = place(self.slice.wrapping_add(step));
            if let Some(count) = self.counts.get_mut(index) {
                self.sum -= std::mem::take(count);
            }
        }
        self.slice = self.slice.max(slice);
    }

    /// How long until the oldest slice with a message in it is out of the window.
    fn until_less(&self, now: Instant) -> Duration {
        let ages = (1..=SLICES as u64).find(|age| self.counts[place(self.slice.wrapping_add(*age))] > 0);
        let leaves = u128::from(self.slice.saturating_add(ages.unwrap_or(1))) * self.width().as_nanos();
        let leaves = Duration::from_nanos(u64::try_from(leaves).unwrap_or(u64::MAX));
        (self.began + leaves).saturating_duration_since(now)
    }

    fn width(&self) -> Duration {
        self.limit.window / (SLICES as u32 - 1) + Duration::from_nanos(1)
    }
}

/// Where a slice's count is.
fn place(slice: u64) -> usize {
    (slice % SLICES as u64) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    #[test]
    fn what_is_beyond_the_limit_is_told_when_to_come_again() {
        let (meters, channel, now) = (Meters::default(), ChannelId::from("c"), Instant::now());
        let limit = RateLimit { count: 2, window: WINDOW };
        assert_eq!(meters.admit(&channel, limit, now), Ok(()));
        assert_eq!(meters.admit(&channel, limit, now + WINDOW / 2), Ok(()));
        let wait = meters.admit(&channel, limit, now + WINDOW / 2).unwrap_err();
        assert!(wait > WINDOW / 2 && wait <= WINDOW / 2 + WINDOW / 32, "{wait:?}");
        assert_eq!(meters.admit(&channel, limit, now + WINDOW / 2 + wait), Ok(()));
        // Another limit begins anew.
        let wider = RateLimit { count: 1, window: WINDOW };
        assert_eq!(meters.admit(&channel, wider, now + WINDOW), Ok(()));
        assert!(meters.admit(&channel, wider, now + WINDOW).is_err());
        assert_eq!(meters.admit(&channel, wider, now + WINDOW * 1_000_000), Ok(()));
    }

    proptest! {
        #[test]
        fn no_window_has_more_than_the_limit_and_who_waits_as_told_is_let_in(
            count in 1_u64..5,
            steps in prop::collection::vec(0_u64..6_000, 1..200),
        ) {
            let (limit, begun) = (RateLimit { count, window: WINDOW }, Instant::now());
            let (mut meter, mut now, mut admitted) = (Meter::new(limit, begun), begun, Vec::new());
            for step in steps {
                now += Duration::from_millis(step);
                match meter.admit(now) {
                    Ok(()) => {}
                    Err(wait) => {
                        prop_assert!(wait <= WINDOW + WINDOW / 32);
                        now += wait;
                        prop_assert_eq!(meter.admit(now), Ok(()));
                    }
                }
                admitted.push(now);
            }
            for (index, first) in admitted.iter().enumerate() {
                let within = admitted[index..].iter().take_while(|at| **at - *first < WINDOW).count();
                prop_assert!(within as u64 <= count);
            }
        }
    }
}
