//! When an ESME wants a message delivered, and until when (§7.1.1).

use std::time::Duration;

use chrono::{DateTime, Days, Months, NaiveDate, TimeDelta, Utc};
use smpp::CString;
use smpp::field::time::Time;

/// Text that is no time, or one that no calendar has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadTime;

/// From `now` to a time; nothing when it is past, `None` when the ESME gave none.
pub(super) fn until(text: &CString<17>, now: DateTime<Utc>) -> Result<Option<Duration>, BadTime> {
    if text.is_empty() {
        return Ok(None);
    }
    let at = instant(text.to_text().parse().map_err(|_| BadTime)?, now).ok_or(BadTime)?;
    Ok(Some((at - now).to_std().unwrap_or_default()))
}

fn instant(time: Time, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    match time {
        Time::Absolute { year, month, day, hour, minute, second, tenth, quarters } => {
            let date = NaiveDate::from_ymd_opt(2000 + i32::from(year), month.into(), day.into())?;
            let milliseconds = u32::from(tenth) * 100;
            let local = date.and_hms_milli_opt(hour.into(), minute.into(), second.into(), milliseconds)?;
            local.and_utc().checked_sub_signed(TimeDelta::minutes(15 * i64::from(quarters)))
        }
        Time::Relative { years, months, days, hours, minutes, seconds } => {
            let seconds = (i64::from(hours) * 60 + i64::from(minutes)) * 60 + i64::from(seconds);
            now.checked_add_months(Months::new(u32::from(years) * 12 + u32::from(months)))?
                .checked_add_days(Days::new(days.into()))?
                .checked_add_signed(TimeDelta::seconds(seconds))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_spans_from_now() {
        let now = NaiveDate::from_ymd_opt(2026, 9, 1).unwrap().and_hms_opt(12, 0, 0).unwrap().and_utc();
        let seconds = |text: &str| until(&text.try_into().unwrap(), now).map(|span| span.map(|span| span.as_secs()));
        assert_eq!(seconds(""), Ok(None));
        // An hour ahead of UTC, and behind.
        assert_eq!(seconds("260901140000004+"), Ok(Some(3600)));
        assert_eq!(seconds("260901110000008-"), Ok(Some(3600)));
        assert_eq!(seconds("250901140000004+"), Ok(Some(0)), "past");
        assert_eq!(seconds("000001020304000R"), Ok(Some(86_400 + 7_384)));
        assert_eq!(seconds("000100000000000R"), Ok(Some(30 * 86_400)));
        assert_eq!((seconds("tomorrow"), seconds("260231120000000+")), (Err(BadTime), Err(BadTime)));
    }
}
