//! When a callback that failed is tried again: pure arithmetic.

use std::time::Duration;

use crate::model::Timestamp;

/// Patience with receivers.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Wait after the first failure; doubles with each further one.
    pub first: Duration,
    /// Longest wait.
    pub longest: Duration,
    /// Age at which a callback is given up.
    pub max_age: Duration,
}

/// Longest wait that a receiver's `Retry-After` is granted.
const MOST_ASKED: Duration = Duration::from_secs(3600);

/// What to do with a callback that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Try again then.
    At(Timestamp),
    /// It has become too old.
    GiveUp,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(300),
            max_age: Duration::from_secs(24 * 3600),
        }
    }
}

impl RetryPolicy {
    /// The wait after `failures` failures in a row, moved by up to a fifth either way; `jitter` is in 0 to 1.
    #[must_use]
    pub fn delay(&self, failures: u32, jitter: f64) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.min(20).saturating_sub(1));
        self.first.saturating_mul(doubled).min(self.longest).mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0))
    }

    /// Whether a callback has reached the age at which it is given up.
    #[must_use]
    pub fn is_too_old(&self, created_at: Timestamp, now: Timestamp) -> bool {
        created_at.until(now) >= self.max_age
    }

    /// What to do after another failure. `asked` is what the receiver's `Retry-After` wants.
    #[must_use]
    pub fn verdict(
        &self,
        created_at: Timestamp,
        now: Timestamp,
        failures: u32,
        asked: Option<Duration>,
        jitter: f64,
    ) -> Verdict {
        if self.is_too_old(created_at, now) {
            return Verdict::GiveUp;
        }
        let asked = asked.unwrap_or_default().min(MOST_ASKED);
        Verdict::At(now.plus(self.delay(failures, jitter).max(asked)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_a_limit_and_age_ends_them() {
        let policy = RetryPolicy::default();
        let waits: Vec<u64> = (1..12).map(|failures| policy.delay(failures, 0.5).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert!(policy.delay(3, 0.0) < policy.delay(3, 1.0));
        let created = Timestamp(0);
        let day = Timestamp(24 * 3600 * 1_000_000);
        assert_eq!(policy.verdict(created, day, 1, None, 0.5), Verdict::GiveUp);
        let now = Timestamp(1_000_000);
        let asked = Some(Duration::from_secs(30));
        assert_eq!(policy.verdict(created, now, 1, asked, 0.5), Verdict::At(now.plus(Duration::from_secs(30))));
        let absurd = Some(Duration::from_secs(1_000_000));
        assert_eq!(policy.verdict(created, now, 1, absurd, 0.5), Verdict::At(now.plus(MOST_ASKED)));
    }
}
