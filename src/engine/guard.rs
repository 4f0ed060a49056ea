//! What is still accepted when that fills up which the store is kept on: the disk, or Redis's memory.
//!
//! Sends are refused first, so that there is room for what providers tell us about those already accepted. It must
//! act before the engine does, because a write that fails ends all writing.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::rows::Fjall;
use crate::model::Priority;
use crate::store::{Change, CommitError};

/// How full the disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pressure {
    /// Everything is accepted.
    None = 0,
    /// Sends of the lowest priority are refused.
    Bulk = 1,
    /// Sends are refused.
    Sends = 2,
    /// Everything new is refused; results of what was accepted are still taken.
    All = 3,
}

/// How full it is; cheap to ask.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    /// What is watched.
    place: &'static str,
    pressure: Arc<AtomicU8>,
}

/// What the guard goes by.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) path: PathBuf,
    pub(super) quota: Option<u64>,
    pub(super) min_free: u64,
}

/// Share of the quota, in percent, from which sends of the lowest priority are refused.
const REFUSE_BULK: u64 = 85;
/// Share from which all sends are.
const REFUSE_SENDS: u64 = 92;
/// Share from which everything is.
const REFUSE_ALL: u64 = 97;

impl Guard {
    /// Watches this.
    pub(crate) fn new(place: &'static str) -> Self {
        Self { place, pressure: Arc::default() }
    }

    /// Why not everything is accepted, if that is so.
    pub(super) fn complaint(&self) -> Option<String> {
        let place = self.place;
        match self.pressure() {
            Pressure::None => None,
            Pressure::Bulk => Some(format!("{place} fills up: bulk sends are refused")),
            Pressure::Sends => Some(format!("{place} is nearly full: sends are refused")),
            Pressure::All => Some(format!("{place} is full: everything new is refused")),
        }
    }

    /// So many percent of what there may be are taken.
    pub(crate) fn note(&self, percent: u64) {
        self.set(Pressure::of(percent));
    }

    fn set(&self, pressure: Pressure) {
        let before = self.pressure.swap(pressure as u8, Ordering::Relaxed);
        if before != pressure as u8 {
            tracing::warn!(?pressure, "{} has come to another mark", self.place);
        }
    }

    pub(super) fn pressure(&self) -> Pressure {
        match self.pressure.load(Ordering::Relaxed) {
            0 => Pressure::None,
            1 => Pressure::Bulk,
            2 => Pressure::Sends,
            _ => Pressure::All,
        }
    }

    /// Whether a batch may be written. What providers tell us is refused last, and only where somebody waits for the
    /// answer and will say it again (`durable`); what became of messages in hand is never refused.
    pub(super) fn admit(&self, batch: &[Change], durable: bool) -> Result<(), CommitError> {
        let pressure = self.pressure();
        let refused = |change: &Change| match change {
            Change::Accept(message) if message.priority == Priority::BULK => pressure >= Pressure::Bulk,
            Change::Accept(_) | Change::Archive { .. } => pressure >= Pressure::Sends,
            change => durable && pressure >= Pressure::All && is_new(change),
        };
        if pressure > Pressure::None && batch.iter().any(refused) { Err(CommitError::Full(self.place)) } else { Ok(()) }
    }

    /// The same for what another place had.
    pub(super) fn admit_more(&self) -> Result<(), CommitError> {
        if self.pressure() >= Pressure::Sends { Err(CommitError::Full(self.place)) } else { Ok(()) }
    }

    /// Looks at the disk; called about once a second, away from the message path.
    pub(super) fn look(&self, tables: &Fjall, limits: &Limits) {
        self.set(limits.pressure(tables));
    }
}

/// Whether a change is none of what has become of something that was accepted, so that it can come again.
pub(super) fn is_new(change: &Change) -> bool {
    match change {
        Change::Accept(_) | Change::Archive { .. } | Change::Receive { .. } | Change::SavePart { .. } => true,
        Change::Record { leaves, .. } => leaves.is_none(),
        _ => false,
    }
}

impl Limits {
    fn pressure(&self, tables: &Fjall) -> Pressure {
        // A file system that cannot be asked is not a full one; the engine will find out.
        let free = rustix::fs::statvfs(&self.path).map_or(u64::MAX, |stat| stat.f_bavail.saturating_mul(stat.f_frsize));
        let by_free = match free {
            free if free < self.min_free / 4 => Pressure::All,
            free if free < self.min_free => Pressure::Sends,
            _ => Pressure::None,
        };
        by_free.max(self.by_quota(tables))
    }

    fn by_quota(&self, tables: &Fjall) -> Pressure {
        let (Some(quota), Some(used)) = (self.quota, tables.disk_space()) else { return Pressure::None };
        Pressure::of(used.saturating_mul(100) / quota.max(1))
    }
}

impl Pressure {
    fn of(percent: u64) -> Self {
        match percent {
            REFUSE_ALL.. => Self::All,
            REFUSE_SENDS.. => Self::Sends,
            REFUSE_BULK.. => Self::Bulk,
            _ => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Event, EventKind, JsonObject, MessageId, Timestamp};
    use crate::store::Ticket;

    #[test]
    fn results_are_never_refused_and_receipts_only_where_the_provider_will_say_them_again() {
        let guard = Guard::new("the disk");
        guard.pressure.store(Pressure::All as u8, Ordering::Relaxed);
        let origin = Ticket { lane: 0, seq: 0 };
        let record = |leaves| Change::Record {
            event: Event {
                id: MessageId::mint(),
                message: MessageId::mint(),
                channel: "c".into(),
                at: Timestamp(0),
                kind: EventKind::Nack { reason: String::new() },
                details: JsonObject::new(),
            },
            origin,
            leaves,
            correlate: Vec::new(),
            callbacks: Vec::new(),
        };
        assert_eq!(guard.admit(&[record(Some(origin))], true), Ok(()));
        assert_eq!(guard.admit(&[record(None)], false), Ok(()));
        assert_eq!(guard.admit(&[record(None)], true), Err(CommitError::Full("the disk")));
        assert_eq!(guard.admit(&[Change::CallbackDone(origin)], true), Ok(()));
    }
}
