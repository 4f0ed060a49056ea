//! What is in memory and perhaps not in the store yet: batches under way, and what to do when one fails.
//!
//! Segments, sessions and the fates of receipts are noted in memory as PDUs are read, and stored with the batch that the
//! PDUs are of. If a batch fails, memory knows more than the store: what comes again would be taken for a repetition and
//! acknowledged, though nothing has kept it. Then nothing more is taken until every batch has ended and memory has been
//! read back from the store.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Memory is read back at most this often.
const PAUSE: Duration = Duration::from_secs(1);

/// See the file's head.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    state: Mutex<State>,
    /// A batch has ended.
    ended: Notify,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// Batches that have begun and not ended.
    open: BTreeSet<u64>,
    /// How many were not stored.
    failures: u64,
    /// Memory is not what is stored.
    stale: bool,
    reread: Option<Instant>,
}

/// A batch from the first thing that memory knows of it to its end. Dropped without [`Batch::stored`] it has failed.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    ledger: &'a Ledger,
    number: u64,
    stored: bool,
}

/// How memory stands to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    /// It can be relied on.
    Sound,
    /// It is to be read back, now.
    Reread,
    /// It knows too much, and cannot be read back before this, or before batches have ended.
    Stale(Instant),
}

impl Ledger {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A batch begins.
    pub(super) fn begin(&self) -> Batch<'_> {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.open.insert(number);
        Batch { ledger: self, number, stored: false }
    }

    /// Whether memory can be relied on. Whoever is told [`Memory::Reread`] does it at once, and says so ([`Ledger::trust`]).
    pub(super) fn memory(&self, now: Instant) -> Memory {
        let mut state = self.state();
        if !state.stale {
            return Memory::Sound;
        }
        let earliest = state.reread.map_or(now, |reread| reread + PAUSE);
        if now < earliest || !state.open.is_empty() {
            return Memory::Stale(earliest.max(now + PAUSE / 10));
        }
        state.reread = Some(now);
        Memory::Reread
    }

    /// Memory has been read back: it is what is stored.
    pub(super) fn trust(&self) {
        self.state().stale = false;
    }

    /// Memory could not be read back. When that is to be tried again.
    pub(super) fn distrust(&self, now: Instant) -> Instant {
        let mut state = self.state();
        (state.stale, state.reread) = (true, Some(now));
        now + PAUSE
    }

    /// Waits for every batch that has begun by now; whether all that ended meanwhile were stored.
    pub(super) async fn earlier_stored(&self) -> bool {
        let (until, failures) = {
            let state = self.state();
            (state.next, state.failures)
        };
        loop {
            let ended = self.ended.notified();
            {
                let state = self.state();
                if state.stale || state.failures != failures {
                    return false;
                }
                if state.open.first().is_none_or(|oldest| *oldest >= until) {
                    return true;
                }
            }
            ended.await;
        }
    }
}

impl Batch<'_> {
    /// All of it is durable.
    pub(super) fn stored(mut self) {
        self.stored = true;
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        let mut state = self.ledger.state();
        state.open.remove(&self.number);
        if !self.stored {
            state.failures += 1;
            state.stale = true;
        }
        drop(state);
        self.ledger.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn memory_is_read_back_once_nothing_is_under_way_and_not_again_at_once() {
        let (ledger, now) = (Ledger::default(), Instant::now());
        let (first, second) = (ledger.begin(), ledger.begin());
        drop(first);
        assert!(matches!(ledger.memory(now), Memory::Stale(_)), "another batch is under way");
        second.stored();
        assert_eq!(ledger.memory(now), Memory::Reread);
        assert!(matches!(ledger.memory(now), Memory::Stale(_)), "it is being read back");
        ledger.trust();
        assert_eq!(ledger.memory(now), Memory::Sound);
        drop(ledger.begin());
        assert_eq!(ledger.memory(now), Memory::Stale(now + PAUSE));
        assert_eq!(ledger.distrust(now), now + PAUSE, "what cannot be read back is tried again as rarely");
        assert_eq!(ledger.memory(now), Memory::Stale(now + PAUSE));
        assert_eq!(ledger.memory(now + PAUSE), Memory::Reread);
    }

    #[test]
    fn a_repetition_waits_for_what_it_repeats() {
        let ledger = Ledger::default();
        assert_eq!(ledger.earlier_stored().now_or_never(), Some(true));
        let (first, second) = (ledger.begin(), ledger.begin());
        let (waiting, failing) = (ledger.earlier_stored(), ledger.earlier_stored());
        let (mut waiting, mut failing) = (Box::pin(waiting), Box::pin(failing));
        assert_eq!(waiting.as_mut().now_or_never(), None);
        assert_eq!(failing.as_mut().now_or_never(), None);
        let later = ledger.begin();
        first.stored();
        second.stored();
        assert_eq!(waiting.as_mut().now_or_never(), Some(true), "what began later is no concern");
        drop(later);
        assert_eq!(failing.as_mut().now_or_never(), Some(false), "something was not stored: better to hear it again");
    }
}
