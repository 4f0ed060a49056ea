//! When an ESME wants a message delivered, and until when (§7.1.1).

use std::time::Duration;

use chrono::{DateTime, Utc};
use smpp::CString;

use crate::model::Timestamp;

/// Text that is no time, or one that no calendar has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadTime;

/// From `now` to a time; nothing when it is past, `None` when the ESME gave none.
pub(super) fn until(text: &CString<17>, now: DateTime<Utc>) -> Result<Option<Duration>, BadTime> {
    if text.is_empty() {
        return Ok(None);
    }
    let now = Timestamp(now.timestamp_micros());
    let at = Timestamp::of(text.to_text().parse().map_err(|_| BadTime)?, now).ok_or(BadTime)?;
    Ok(Some(now.until(at)))
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

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
