//! Retention: old records disappear while the engine compacts, so no deletion is ever written.
//!
//! A queue entry goes only when it is past its retention *and* below its lane's floor; an entry that still waits is
//! kept however old it is.

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use fjall::compaction::filter::{CompactionFilter, CompactionFilterResult, Context, Factory, ItemAccessor, Verdict};

use super::keys;
use super::lanes::Lanes;
use crate::model::Timestamp;

/// Decides for one keyspace.
pub(super) struct Retention {
    pub(super) keep: Duration,
    /// Set for keyspaces whose keys begin with a queue entry's.
    pub(super) lanes: Option<Arc<Lanes>>,
}

// The lanes' locks recover from poisoning, so a panic elsewhere leaves nothing unsound to see.
impl UnwindSafe for Retention {}
impl RefUnwindSafe for Retention {}

struct Filter {
    oldest: u32,
    lanes: Option<Arc<Lanes>>,
}

impl Factory for Retention {
    fn name(&self) -> &str {
        "retention"
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        let now = Timestamp::now().0 / 1_000_000;
        let oldest = now.saturating_sub(i64::try_from(self.keep.as_secs()).unwrap_or(i64::MAX));
        Box::new(Filter { oldest: u32::try_from(oldest).unwrap_or_default(), lanes: self.lanes.clone() })
    }
}

impl CompactionFilter for Filter {
    fn filter_item(&mut self, item: ItemAccessor<'_>, _: &Context) -> CompactionFilterResult {
        let value = item.value()?;
        if keys::written(&value).is_none_or(|written| written >= self.oldest) {
            return Ok(Verdict::Keep);
        }
        let Some(lanes) = &self.lanes else { return Ok(Verdict::Destroy) };
        let place = keys::ticket(item.key());
        let final_ = place.and_then(|ticket| Some(ticket.seq < lanes.numbered(ticket.lane)?.state().floor_saved));
        Ok(if final_ == Some(true) { Verdict::Destroy } else { Verdict::Keep })
    }
}
