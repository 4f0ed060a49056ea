//! The right to work for a slot, which one node at a time has: to take it, to watch it, to give it up.
//!
//! Redis keeps it for a while only, and the [`renewer`](super::renewer) renews it as long as there is a [`Lease`]. No write
//! depends on it, since Redis can forget it and a process can be paused at any time: those are refused by their epoch.
//! It is what keeps two nodes from binding to the same SMSC.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::Cmd;
use tokio::sync::watch;
use tokio::time::Instant;

use super::error::RedisError;
use super::slot::{Epoch, Kept, Slot};
use super::term::{Tenure, Term};

/// A lease of ours, renewed until it is given up or dropped. Of a dropped one Redis hears nothing: it lapses.
#[derive(Debug)]
pub(crate) struct Lease(Arc<Held>);

/// What holder and renewer share.
pub(super) struct Held {
    pub(super) slot: Slot,
    number: u64,
    nonce: u64,
    node: String,
    state: Mutex<State>,
    tenure: watch::Sender<Tenure>,
}

struct State {
    term: Term,
    /// Requests that have no answer yet.
    asked: u32,
    /// Whether the last one failed.
    failed: bool,
}

/// Why a slot was not taken.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum TakeError {
    /// Another node has it.
    #[error("the node {by} has the lease on the slot {slot} for {} ms more, unless it renews it", .left.as_millis())]
    Busy {
        /// The slot.
        slot: String,
        /// The node.
        by: String,
        /// How long Redis will keep it for that one.
        left: Duration,
    },
    /// Redis did not say that it is ours; it may be, and this node can take it again then.
    #[error(transparent)]
    Redis(#[from] RedisError),
}

impl Slot {
    /// Takes the lease, unless another node has it, and the right to write: whoever had that before cannot write any
    /// more, even in this process. `node` is the id of this node, which others are told.
    ///
    /// # Errors
    /// [`TakeError`].
    pub(crate) async fn take(&self, node: &str) -> Result<(Lease, Epoch), TakeError> {
        let shared = &self.redis.0;
        // 0 is nobody's: a slot that was given up has it.
        let nonce = fastrand::u64(1..);
        let sent = Instant::now();
        let call = |whole| {
            let mut call = shared.scripts.take.call(whole, &[&self.named.fence, &self.named.lease]);
            call.arg(format!("{nonce:x}")).arg(node).arg(shared.times.kept());
            call
        };
        let (number, by, left): (u64, String, i64) = self.change(call).await?;
        if number == 0 {
            let left = Duration::from_millis(left.try_into().unwrap_or_default());
            return Err(TakeError::Busy { slot: self.named.name.clone(), by, left });
        }
        let state = State { term: Term::new(shared.times, sent), asked: 0, failed: false };
        let tenure = watch::Sender::new(state.term.tenure(Instant::now()));
        let (slot, node) = (self.clone(), node.to_owned());
        let epoch = Epoch::new(number, nonce, node.clone());
        let held = Arc::new(Held { slot, number, nonce, node, state: Mutex::new(state), tenure });
        shared.renewer.add(&self.redis, &held);
        Ok((Lease(held), epoch))
    }
}

impl Slot {
    /// The id of the node that has the lease, if any has.
    ///
    /// # Errors
    /// [`RedisError`].
    pub(crate) async fn holder(&self) -> Result<Option<String>, RedisError> {
        let lease: Option<String> = self.ask(redis::cmd("GET").arg(&self.named.lease)).await?;
        Ok(lease.and_then(|lease| lease.splitn(3, ' ').nth(2).map(str::to_owned)))
    }
}

impl Lease {
    /// How it stands at this very moment: what is to be asked before something is begun that only the holder may do.
    pub(crate) fn tenure(&self) -> Tenure {
        let now = Instant::now();
        let tenure = self.0.state().term.tenure(now);
        let redis = &self.0.slot.redis.0;
        let unseen = tenure == Tenure::Good && redis.renewer.since_look(now) > redis.times.pause;
        if unseen { Tenure::Doubtful } else { tenure }
    }

    /// How it stands, whenever that changes.
    #[cfg(test)]
    pub(super) fn watch(&self) -> watch::Receiver<Tenure> {
        self.0.tenure.subscribe()
    }

    /// Gives the slot up, so that another node can take it at once; what is written with its epoch is refused from now on.
    ///
    /// # Errors
    /// [`RedisError`]: it lapses, then.
    pub(crate) async fn release(self) -> Result<(), RedisError> {
        // Before it is not ours any more, nobody here believes that it is.
        self.0.end(None);
        self.0.slot.run(|whole| self.0.call(&self.0.slot.redis.0.scripts.release, whole)).await
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.end(None);
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("slot", &self.slot).field("epoch", &self.number).finish_non_exhaustive()
    }
}

impl Held {
    /// The command that renews it.
    pub(super) fn renewal(&self, whole: bool) -> Cmd {
        let shared = &self.slot.redis.0;
        let mut call = self.call(&shared.scripts.renew, whole);
        call.arg(shared.times.kept());
        call
    }

    fn call(&self, script: &Kept, whole: bool) -> Cmd {
        let mut call = script.call(whole, &[&self.slot.named.fence, &self.slot.named.lease]);
        call.arg(self.number).arg(format!("{:x}", self.nonce)).arg(&self.node);
        call
    }

    /// Whether Redis is to be asked now, and counts that: it is time to, this process was paused until now, or the last
    /// time failed.
    pub(super) fn ask(&self, now: Instant, is_time: bool, paused: bool) -> bool {
        let mut state = self.state();
        if paused {
            state.term.paused(now);
        }
        let idle = state.asked == 0 && (is_time || state.failed);
        let ask = !state.term.is_over() && (paused || idle);
        state.asked += u32::from(ask);
        ask
    }

    /// What came of a request that was sent then: who has the slot, if somebody else does.
    pub(super) fn answered(&self, sent: Instant, answer: Result<Option<String>, RedisError>) {
        let mut state = self.state();
        state.asked = state.asked.saturating_sub(1);
        state.failed = answer.is_err();
        match answer {
            Ok(None) => state.term.renewed(sent),
            Ok(Some(by)) if !state.term.is_over() => {
                tracing::warn!(slot = ?self.slot, %by, "another node has the slot; this one stops working for it");
                state.term.end(Some(by.into()));
            }
            Ok(Some(_)) | Err(_) => {}
        }
        drop(state);
        self.publish(Instant::now());
    }

    /// Whether the last request failed, or has no answer yet.
    pub(super) fn is_troubled(&self) -> bool {
        let state = self.state();
        !state.term.is_over() && (state.failed || state.asked > 0)
    }

    /// Tells its holder how it stands: whether that is news, and until when it stays so if nothing happens.
    pub(super) fn publish(&self, now: Instant) -> (Option<Tenure>, Option<Instant>) {
        // Held meanwhile, so that news are told in their order.
        let state = self.state();
        let tenure = state.term.tenure(now);
        let news = self.tenure.send_if_modified(|told| {
            let is_new = *told != tenure;
            told.clone_from(&tenure);
            is_new
        });
        (news.then_some(tenure), state.term.change(now))
    }

    fn end(&self, by: Option<Arc<str>>) {
        self.state().term.end(by);
        self.publish(Instant::now());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
