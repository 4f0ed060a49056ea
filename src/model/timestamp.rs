//! Wall-clock instants for records, in microseconds, and their one text form.
//!
//! `YYYY-MM-DD HH:MM:SS.ffffff`, UTC, always six digits: applications parse exactly this (Junebug reference
//! §4.9). Pacing and time-outs use monotonic time, never this type.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Days, Months, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use smpp::field::time::Time;

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

    /// The instant that a time of SMPP's (v3.4 §7.1.1) is, seen from `now`; `None` when no calendar has it.
    #[must_use]
    pub fn of(time: Time, now: Self) -> Option<Self> {
        let at = match time {
            Time::Absolute { year, month, day, hour, minute, second, tenth, quarters } => {
                let date = NaiveDate::from_ymd_opt(2000 + i32::from(year), month.into(), day.into())?;
                let milliseconds = u32::from(tenth) * 100;
                let local = date.and_hms_milli_opt(hour.into(), minute.into(), second.into(), milliseconds)?;
                local.and_utc().checked_sub_signed(TimeDelta::minutes(15 * i64::from(quarters)))?
            }
            Time::Relative { years, months, days, hours, minutes, seconds } => {
                let seconds = (i64::from(hours) * 60 + i64::from(minutes)) * 60 + i64::from(seconds);
                DateTime::<Utc>::from_timestamp_micros(now.0)?
                    .checked_add_months(Months::new(u32::from(years) * 12 + u32::from(months)))?
                    .checked_add_days(Days::new(days.into()))?
                    .checked_add_signed(TimeDelta::seconds(seconds))?
            }
        };
        Some(Self(at.timestamp_micros()))
    }

    /// Reads the text form, or ISO 8601 with its offset from UTC (`2026-08-01T08:00:00+02:00`, `…Z`).
    #[must_use]
    pub fn parse_any(text: &str) -> Option<Self> {
        let iso = || DateTime::parse_from_rfc3339(text).ok().map(|at| Self(at.timestamp_micros()));
        Self::parse(text).or_else(iso)
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
        for text in ["2024-03-01 09:30:00.0", "2024-03-01T09:30:00Z", "2024-03-01T11:00:00.000000+01:30"] {
            assert_eq!(Timestamp::parse_any(text), Some(instant), "{text}");
        }
        for text in ["2024-03-01T09:30:00", "2024-03-01", "soon", "", "2024-02-30 09:30:00"] {
            assert_eq!(Timestamp::parse_any(text), None, "{text}");
        }
        assert_eq!(
            Timestamp::parse(&Timestamp(1_709_285_400_000_210).to_string()),
            Some(Timestamp(1_709_285_400_000_210))
        );
    }
}
