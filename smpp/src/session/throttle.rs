//! Pace: how many requests may leave now, and what ESME_RTHROTTLED and ESME_RMSGQFUL do to that.
//!
//! A bucket that fills at the configured rate and holds a tenth of a second's worth, one at least. A refusal
//! holds everything back, longer each time, and halves the pace; every accepted request gives a little back.
//! Independent of the window.

use std::time::{Duration, Instant};

use super::config::ThrottleConfig;

/// See the file's head.
#[derive(Debug)]
pub(crate) struct Throttle {
    config: ThrottleConfig,
    /// Share of the configured rate in use, after refusals.
    share: f64,
    /// Requests that may leave; negative while a burst is being paid back.
    tokens: f64,
    filled: Instant,
    backoff: Option<Backoff>,
}

#[derive(Clone, Copy, Debug)]
struct Backoff {
    until: Instant,
    pause: Duration,
}

/// Share regained with each accepted request.
const RECOVERY: f64 = 0.01;
/// Smallest share that refusals leave.
const FLOOR: f64 = 1.0 / 64.0;

impl Throttle {
    pub(crate) fn new(config: ThrottleConfig, now: Instant) -> Self {
        let mut throttle = Self { config, share: 1.0, tokens: 0.0, filled: now, backoff: None };
        throttle.tokens = throttle.rate().map_or(0.0, burst);
        throttle
    }

    fn rate(&self) -> Option<f64> {
        self.config.rate.map(|rate| rate * self.share)
    }

    /// How many requests may leave now, or when the next one may.
    pub(crate) fn budget(&mut self, now: Instant) -> Result<usize, Instant> {
        if let Some(backoff) = self.backoff.filter(|backoff| backoff.until > now) {
            return Err(backoff.until);
        }
        let Some(rate) = self.rate() else { return Ok(usize::MAX) };
        self.fill(rate, now);
        if self.tokens >= 1.0 {
            // Rounds down; a positive float below the burst always fits.
            return Ok(self.tokens as usize);
        }
        let wait = Duration::from_secs_f64((1.0 - self.tokens) / rate);
        // One nanosecond more, so that rounding never wakes the caller a moment too early.
        Err(now + wait + Duration::from_nanos(1))
    }

    /// A request left.
    pub(crate) fn spend(&mut self, now: Instant) {
        if let Some(rate) = self.rate() {
            self.fill(rate, now);
            self.tokens -= 1.0;
        }
    }

    fn fill(&mut self, rate: f64, now: Instant) {
        let gained = now.saturating_duration_since(self.filled).as_secs_f64() * rate;
        self.tokens = (self.tokens + gained).min(burst(rate));
        self.filled = now;
    }

    /// The peer asked for less. Refusals of one burst count once: those that arrive during a pause do not extend it.
    pub(crate) fn refused(&mut self, now: Instant) {
        if self.backoff.is_some_and(|backoff| backoff.until > now) {
            return;
        }
        let pause = match self.backoff {
            Some(backoff) => (backoff.pause * 2).min(self.config.max_backoff),
            None => self.config.initial_backoff,
        };
        self.backoff = Some(Backoff { until: now + pause, pause });
        self.share = (self.share / 2.0).max(FLOOR);
    }

    /// The peer took a request.
    pub(crate) fn accepted(&mut self, now: Instant) {
        if self.backoff.is_some_and(|backoff| backoff.until <= now) {
            self.backoff = None;
        }
        self.share = (self.share + RECOVERY).min(1.0);
    }
}

/// What the bucket holds.
fn burst(rate: f64) -> f64 {
    (rate / 10.0).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(rate: f64, now: Instant) -> Throttle {
        Throttle::new(ThrottleConfig { rate: Some(rate), ..ThrottleConfig::default() }, now)
    }

    #[test]
    fn the_third_of_two_a_second_waits_although_answers_arrive_at_once() {
        let start = Instant::now();
        let mut throttle = limited(2.0, start);
        let mut now = start;
        let mut sent = Vec::new();
        while sent.len() < 4 {
            match throttle.budget(now) {
                Ok(_) => {
                    throttle.spend(now);
                    throttle.accepted(now);
                    sent.push(now - start);
                }
                Err(at) => now = at,
            }
        }
        assert!(sent[2] >= Duration::from_millis(999), "{sent:?}");
        assert!(sent[3] <= Duration::from_millis(1501), "{sent:?}");
    }

    #[test]
    fn refusals_pause_longer_each_time_and_a_success_after_the_pause_ends_that() {
        let start = Instant::now();
        let mut throttle = Throttle::new(ThrottleConfig::default(), start);
        throttle.refused(start);
        throttle.refused(start);
        assert_eq!(throttle.budget(start), Err(start + Duration::from_millis(100)));
        let later = start + Duration::from_millis(100);
        assert_eq!(throttle.budget(later), Ok(usize::MAX));
        throttle.refused(later);
        assert_eq!(throttle.budget(later), Err(later + Duration::from_millis(200)));
        throttle.accepted(later + Duration::from_millis(10));
        assert_eq!(throttle.budget(later + Duration::from_millis(10)), Err(later + Duration::from_millis(200)));
        let end = later + Duration::from_millis(200);
        throttle.accepted(end);
        throttle.refused(end);
        assert_eq!(throttle.budget(end), Err(end + Duration::from_millis(100)));
    }
}
