//! Retention of the providers' message ids and of the phones' messages: old ones disappear while the engine compacts, so no
//! deletion is written. (Where the rows are in Redis, a sweep looks for them.)
//!
//! This works because new ids fall anywhere among the old ones, so that every part of the table is rewritten again and
//! again. Tables that only grow at their ends are never rewritten; those are swept (`sweep.rs`).

use std::time::Duration;

use fjall::compaction::filter::{CompactionFilter, CompactionFilterResult, Context, Factory, ItemAccessor, Verdict};

use super::keys;
use crate::model::Timestamp;

/// Decides for one keyspace.
pub(super) struct Retention {
    pub(super) keep: Duration,
}

struct Filter {
    oldest: u32,
}

impl Factory for Retention {
    fn name(&self) -> &str {
        "retention"
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        Box::new(Filter { oldest: oldest(Timestamp::now(), self.keep) })
    }
}

impl CompactionFilter for Filter {
    fn filter_item(&mut self, item: ItemAccessor<'_>, _: &Context) -> CompactionFilterResult {
        let old = keys::written(&item.value()?).is_some_and(|written| written < self.oldest);
        Ok(if old { Verdict::Destroy } else { Verdict::Keep })
    }
}

/// The first second whose records are kept.
pub(super) fn oldest(now: Timestamp, keep: Duration) -> u32 {
    let oldest = (now.0 / 1_000_000).saturating_sub(i64::try_from(keep.as_secs()).unwrap_or(i64::MAX));
    u32::try_from(oldest).unwrap_or_default()
}
