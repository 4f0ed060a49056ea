//! Absolute and relative time in its 16-character form (§7.1.1): `YYMMDDhhmmsstnnp`.
//!
//! Only the fields: what a relative time is relative to is the SMSC's business.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// `schedule_delivery_time`, `validity_period` or `final_date`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Time {
    /// A calendar instant.
    Absolute {
        /// Year within the century, 0 to 99.
        year: u8,
        /// 1 to 12.
        month: u8,
        /// 1 to 31.
        day: u8,
        /// 0 to 23.
        hour: u8,
        /// 0 to 59.
        minute: u8,
        /// 0 to 59.
        second: u8,
        /// Tenths of a second, 0 to 9.
        tenth: u8,
        /// Local time minus UTC in quarters of an hour, -48 to 48.
        quarters: i8,
    },
    /// A span from the moment that the SMSC takes the message.
    Relative {
        /// 0 to 99.
        years: u8,
        /// 0 to 99.
        months: u8,
        /// 0 to 99.
        days: u8,
        /// 0 to 99.
        hours: u8,
        /// 0 to 99.
        minutes: u8,
        /// 0 to 99.
        seconds: u8,
    },
}

/// Text that is no time of §7.1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time has the form YYMMDDhhmmsstnn+, YYMMDDhhmmsstnn- or YYMMDDhhmmss000R")]
pub struct TimeError;

impl Time {
    /// A span, rounded down to seconds; months count thirty days where there are more than 99 days. At most about 250
    /// years.
    #[must_use]
    pub fn relative(span: Duration) -> Self {
        let seconds = span.as_secs();
        let days = seconds / 86_400;
        let (months, days) = if days > 99 { (days / 30, days % 30) } else { (0, days) };
        // Two digits each; what is longer is as good as for ever.
        let two = |value: u64| u8::try_from(value.min(99)).unwrap_or(99);
        Self::Relative {
            years: two(months / 12),
            months: two(months % 12),
            days: two(days),
            hours: two(seconds / 3_600 % 24),
            minutes: two(seconds / 60 % 60),
            seconds: two(seconds % 60),
        }
    }
}

impl FromStr for Time {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let octets: &[u8; 16] = text.as_bytes().try_into().map_err(|_| TimeError)?;
        if !octets[..15].iter().all(u8::is_ascii_digit) {
            return Err(TimeError);
        }
        let digit = |at: usize| octets[at] - b'0';
        let pair = |at: usize| digit(at) * 10 + digit(at + 1);
        let sign = match octets[15] {
            b'+' => 1,
            b'-' => -1,
            b'R' => {
                return Ok(Self::Relative {
                    years: pair(0),
                    months: pair(2),
                    days: pair(4),
                    hours: pair(6),
                    minutes: pair(8),
                    seconds: pair(10),
                });
            }
            _ => return Err(TimeError),
        };
        let (month, day, hour, minute, second) = (pair(2), pair(4), pair(6), pair(8), pair(10));
        let quarters = i8::try_from(pair(13)).map_err(|_| TimeError)?;
        let in_range = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 60;
        if !in_range || quarters > 48 {
            return Err(TimeError);
        }
        Ok(Self::Absolute {
            year: pair(0),
            month,
            day,
            hour,
            minute,
            second,
            tenth: digit(12),
            quarters: sign * quarters,
        })
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Absolute { year, month, day, hour, minute, second, tenth, quarters } => {
                let sign = if quarters < 0 { '-' } else { '+' };
                let quarters = quarters.unsigned_abs();
                write!(f, "{year:02}{month:02}{day:02}{hour:02}{minute:02}{second:02}{tenth}{quarters:02}{sign}")
            }
            Self::Relative { years, months, days, hours, minutes, seconds } => {
                write!(f, "{years:02}{months:02}{days:02}{hours:02}{minutes:02}{seconds:02}000R")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_read_and_write_the_same_text() {
        for text in ["260203040506708+", "000010203040506R", "991231235959948-"] {
            let parsed: Result<Time, _> = text.parse();
            match parsed {
                Ok(Time::Relative { .. }) => assert_eq!(parsed.unwrap().to_string(), "000010203040000R"),
                other => assert_eq!(other.unwrap().to_string(), text),
            }
        }
        for text in ["", "261303040506708+", "260203040506749+", "260203040506708*", "26020304050670é"] {
            assert_eq!(text.parse::<Time>(), Err(TimeError), "{text}");
        }
    }
}
