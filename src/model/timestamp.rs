//! Wall-clock instants for records, in microseconds, and their one text form.
//!
//! `YYYY-MM-DD HH:MM:SS.ffffff`, UTC, always six digits: applications parse exactly this (Junebug reference
//! §4.9). Pacing and time-outs use monotonic time, never this type.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};

const FORMAT: &str = "%Y-%m-%d %H:%M:%S%.6f";

/// Microseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The present instant.
    #[must_use]
    pub fn now() -> Self {
        Self(Utc::now().timestamp_micros())
    }

    /// This instant moved forward; saturates at the end of time.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    /// How long until `later`; zero when that has passed.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        Duration::from_micros(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }

    /// Seconds since the epoch with their fraction, as log entries carry them.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        Duration::from_micros(u64::try_from(self.0).unwrap_or(0)).as_secs_f64()
    }

    /// Reads the text form; the fraction may be absent.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let naive = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok()?;
        Some(Self(naive.and_utc().timestamp_micros()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        DateTime::<Utc>::from_timestamp_micros(self.0).unwrap_or_default().format(FORMAT).fmt(f)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_always_has_six_digits_and_reads_back() {
        let instant = Timestamp(1_709_285_400_000_000);
        assert_eq!(instant.to_string(), "2024-03-01 09:30:00.000000");
        assert_eq!(Timestamp::parse("2024-03-01 09:30:00"), Some(instant));
        assert_eq!(
            Timestamp::parse(&Timestamp(1_709_285_400_000_210).to_string()),
            Some(Timestamp(1_709_285_400_000_210))
        );
    }
}
