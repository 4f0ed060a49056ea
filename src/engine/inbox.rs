//! What waits to be written: bounded in changes and in octets, in the order in which it came.
//!
//! Whoever finds it full waits: a commit for a moment, then it is told that the store is busy; a post as long as it
//! takes, which is what slows a channel down.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::committer::{Condition, Job};
use super::draft::Op;
use crate::store::CommitError;

/// Most changes that may wait to be written.
pub(super) const MOST_OPS: usize = 65_536;
/// Most octets that may wait to be written, in KiB.
pub(super) const MOST_KIB: usize = 32 * 1024;
/// How long `commit` waits for room before it says that the store is busy.
const ROOM_WAIT: Duration = Duration::from_millis(100);

/// See the file's head.
pub(super) struct Inbox {
    /// As long as `room` lasts. `None` once the store has been closed; then nothing is accepted and the committer ends.
    sender: RwLock<Option<mpsc::UnboundedSender<Job>>>,
    ops: Arc<Semaphore>,
    kib: Arc<Semaphore>,
    condition: Arc<Condition>,
}

/// A job's share of the inbox.
pub(super) type Room = [OwnedSemaphorePermit; 2];

impl Inbox {
    /// An inbox and where its jobs come out.
    pub(super) fn new(condition: Arc<Condition>) -> (Self, mpsc::UnboundedReceiver<Job>) {
        let (sender, jobs) = mpsc::unbounded_channel();
        let (ops, kib) = (Arc::new(Semaphore::new(MOST_OPS)), Arc::new(Semaphore::new(MOST_KIB)));
        (Self { sender: RwLock::new(Some(sender)), ops, kib, condition }, jobs)
    }

    /// Hands changes over; waits until they are durable.
    pub(super) async fn commit(&self, ops: Vec<Op>) -> Result<(), CommitError> {
        let octets = ops.iter().map(Op::size).sum();
        let room = if ops.is_empty() {
            // Takes no room, and must not be told that there is none: whoever asks waits for what came before.
            None
        } else {
            let room = tokio::time::timeout(ROOM_WAIT, self.room(ops.len(), octets));
            Some(room.await.unwrap_or(Err(CommitError::Busy))?)
        };
        let (done, result) = oneshot::channel();
        self.send(Job { ops, octets, done: Some(done), room })?;
        result.await.map_err(|_| self.gone())?
    }

    /// Hands changes over; waits until there is room for them.
    pub(super) async fn post(&self, ops: Vec<Op>) -> Result<(), CommitError> {
        let octets = ops.iter().map(Op::size).sum();
        let room = self.room(ops.len(), octets).await?;
        self.send(Job { ops, octets, done: None, room: Some(room) })?;
        self.condition.check()
    }

    /// Hands over what `make` makes, unless there is no room for `count` changes now.
    pub(super) async fn offer<E>(&self, count: usize, make: impl Future<Output = Result<Vec<Op>, E>>) -> Result<(), E> {
        let Some(room) = self.room_now(count, count / 16) else { return Ok(()) };
        let ops = make.await?;
        if !ops.is_empty() {
            let octets = ops.iter().map(Op::size).sum();
            // Nobody waits for it; a store that has been closed or has failed says so to those who do.
            let _ = self.send(Job { ops, octets, done: None, room: Some(room) });
        }
        Ok(())
    }

    /// Nothing is accepted from now on; what waits is still written.
    pub(super) fn close(&self) {
        self.sender.write().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Waits for room. A job that is larger than the inbox takes all of it.
    pub(super) async fn room(&self, ops: usize, octets: usize) -> Result<Room, CommitError> {
        // A wait may be told to come back although there is room, when its task has had its turn (tokio's budget): on a
        // busy machine that may be after the time for which a commit waits.
        if let Some(room) = self.room_now(ops, octets.div_ceil(1024)) {
            return Ok(room);
        }
        let gone = |_| CommitError::Busy;
        let ops = self.ops.clone().acquire_many_owned(share(ops, MOST_OPS)).await.map_err(gone)?;
        let kib = self.kib.clone().acquire_many_owned(share(octets.div_ceil(1024), MOST_KIB)).await.map_err(gone)?;
        Ok([ops, kib])
    }

    /// Room, if there is any now.
    fn room_now(&self, ops: usize, kib: usize) -> Option<Room> {
        let ops = self.ops.clone().try_acquire_many_owned(share(ops, MOST_OPS)).ok()?;
        let kib = self.kib.clone().try_acquire_many_owned(share(kib, MOST_KIB)).ok()?;
        Some([ops, kib])
    }

    pub(super) fn send(&self, job: Job) -> Result<(), CommitError> {
        let sender = self.sender.read().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = &*sender else { return Err(self.gone()) };
        sender.send(job).map_err(|_| self.gone())
    }

    /// Why a job was not taken.
    fn gone(&self) -> CommitError {
        self.condition.fail("the store has been closed".into())
    }
}

fn share(wanted: usize, all: usize) -> u32 {
    u32::try_from(wanted.clamp(1, all)).unwrap_or(u32::MAX)
}
