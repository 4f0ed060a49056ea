//! The one writer: takes everything that has arrived, writes it as one batch, syncs once, wakes all.
//!
//! No timer: a lone change is synced at once, and under load a batch is what arrived during the last sync. A failed
//! write or sync ends writing until the process is restarted (an fsync that failed once must never be believed again,
//! and what is in memory is no longer what is on disk); reads go on.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout_at;

use super::draft::{Draft, Op, Ordinal};
use super::expiry::Expiries;
use super::inbox::Room;
use super::keys::{self, DueKey};
use super::lanes::Lanes;
use super::records::clean_mark;
use super::rows::{Rows, Span, Table};
use crate::model::Timestamp;
use crate::store::{CommitError, ReadError, Ticket};

/// What one caller wants written together.
pub(super) struct Job {
    pub(super) ops: Vec<Op>,
    /// About how many octets they will write.
    pub(super) octets: usize,
    /// Told once it is durable, or why not; `None` when the caller does not wait.
    pub(super) done: Option<oneshot::Sender<Result<(), CommitError>>>,
    /// The caller's share of the inbox, given back when the job is.
    pub(super) room: Option<Room>,
}

/// Most changes in one batch.
const MAX_OPS: usize = 4_096;
/// Most octets in one batch; a larger job is a batch of its own.
const MAX_OCTETS: usize = 4 * 1024 * 1024;
/// How often marks are brought up to date.
const TICK: Duration = Duration::from_millis(500);
/// How often due entries are looked for, unless there were too many for one batch: those of many instants share a sync.
const DUE_PERIOD: Duration = Duration::from_millis(50);
/// Most entries that leave the disk in one batch.
const MAX_DUE: usize = 1_024;
/// How often every keyspace gets a record, so that none pins old journals.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// A commit that takes longer than this is a reason to be called not ready.
const STALLED: Duration = Duration::from_secs(5);

/// What others see of the writer.
#[derive(Debug)]
pub(super) struct Condition {
    failed: OnceLock<Arc<str>>,
    epoch: Instant,
    /// When the running commit began, in milliseconds since `epoch`, plus one; zero when there is none.
    busy_since: AtomicU64,
}

impl Condition {
    pub(super) fn new() -> Self {
        Self { failed: OnceLock::new(), epoch: Instant::now(), busy_since: AtomicU64::new(0) }
    }

    /// Why nothing is written any more, if that is so.
    pub(super) fn check(&self) -> Result<(), CommitError> {
        self.failed.get().map_or(Ok(()), |reason| Err(CommitError::NotReady(reason.clone())))
    }

    /// Writing is over; the first reason counts.
    pub(super) fn fail(&self, reason: Arc<str>) -> CommitError {
        CommitError::NotReady(self.failed.get_or_init(|| reason).clone())
    }

    /// Whether the running commit takes suspiciously long.
    pub(super) fn is_stalled(&self) -> bool {
        let since = self.busy_since.load(Ordering::Relaxed);
        since != 0 && self.epoch.elapsed() > Duration::from_millis(since) + STALLED
    }

    fn set_busy(&self, busy: bool) {
        let now = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.busy_since.store(if busy { now + 1 } else { 0 }, Ordering::Relaxed);
    }
}

/// The state of the writer.
pub(super) struct Committer {
    rows: Rows,
    lanes: Arc<Lanes>,
    condition: Arc<Condition>,
    ordinal: Ordinal,
    heartbeat: Instant,
    /// No entry of `due` lies before this key, so that nobody looks through what has been removed.
    due_from: DueKey,
    /// Due entries are not looked for before.
    due_next: Instant,
    /// Other nodes have left more than the last batch took.
    deposits: bool,
    /// Whether somebody has asked for them who need not ask again.
    asked: Arc<AtomicBool>,
    expiries: Arc<Expiries>,
}

impl Committer {
    pub(super) fn new(
        rows: Rows,
        lanes: Arc<Lanes>,
        condition: Arc<Condition>,
        ordinal: u64,
        (expiries, asked): (Arc<Expiries>, Arc<AtomicBool>),
    ) -> Self {
        Self {
            rows,
            lanes,
            condition,
            ordinal: Ordinal::new(ordinal),
            heartbeat: Instant::now(),
            due_from: [0; 20],
            due_next: Instant::now(),
            deposits: false,
            asked,
            expiries,
        }
    }

    /// Runs until the inbox has been closed and everything in it has been written; says then that this was an end in order.
    pub(super) async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Job>) {
        let _deadman = Deadman(self.condition.clone());
        let mut next_tick = Instant::now();
        let mut jobs = Vec::new();
        loop {
            let until = match self.deposits {
                true => Instant::now(),
                false => self.next_due().map_or(next_tick, |due| next_tick.min(due)),
            };
            match timeout_at(until.into(), inbox.recv()).await {
                Ok(Some(job)) => take(job, &mut inbox, &mut jobs),
                Ok(None) => break,
                Err(_) => {}
            }
            let tick = Instant::now() >= next_tick;
            if tick {
                next_tick = Instant::now() + TICK;
            }
            self.condition.set_busy(true);
            self.commit(&mut jobs, tick).await;
            self.condition.set_busy(false);
        }
        self.end().await;
    }

    async fn end(&self) {
        if self.condition.check().is_err() {
            return;
        }
        // What may have reached its receiver, of all that this run leaves behind.
        let outbound = self.lanes.all().into_iter().filter(|lane| lane.outbound);
        let suspects: Vec<Ticket> = outbound.flat_map(|lane| lane.suspects()).collect();
        if let Err(error) = self.rows.write(vec![clean_mark(&suspects)]).await {
            tracing::warn!(%error, "the store could not be marked as closed in order");
        }
    }

    /// When due entries are to be looked for, if there are any in sight.
    fn next_due(&self) -> Option<Instant> {
        let wait = Timestamp::now().until(keys::due_time(&self.due_from));
        // The wall clock may be set: what is far is looked at again with every tick.
        (wait < TICK).then(|| self.due_next.max(Instant::now() + wait))
    }

    async fn commit(&mut self, jobs: &mut Vec<Job>, tick: bool) {
        let result = match self.condition.check() {
            Ok(()) => self.write(jobs, tick).await.map_err(|reason| self.fail(reason)),
            Err(error) => Err(error),
        };
        for job in jobs.drain(..) {
            drop(job.room);
            if let Some(done) = job.done {
                // The caller may have gone; what it wanted is written all the same.
                let _ = done.send(result.clone());
            }
        }
    }

    async fn write(&mut self, jobs: &mut [Job], tick: bool) -> Result<(), String> {
        let unreadable = |ReadError(error)| error.to_string();
        let mut draft = Draft::new(&self.rows, &self.lanes);
        for op in jobs.iter_mut().flat_map(|job| std::mem::take(&mut job.ops)) {
            draft.add(op, &mut self.ordinal).await.map_err(unreadable)?;
        }
        if draft.deposits || self.deposits {
            self.asked.store(false, Ordering::Relaxed);
            self.deposits = draft.take_deposits(&mut self.ordinal).await.map_err(unreadable)?;
        }
        let now = Instant::now();
        if now >= self.due_next && keys::due_time(&self.due_from) <= draft.now {
            let end = keys::due(draft.now.plus(Duration::from_micros(1)), Ticket { lane: 0, seq: 0 });
            let resumed = resume_due(&mut draft, &self.rows, self.due_from, end);
            let (next, all) = resumed.await.map_err(unreadable)?;
            self.due_from = next;
            self.due_next = if all { now + DUE_PERIOD } else { now };
        }
        if tick && self.heartbeat.elapsed() >= HEARTBEAT {
            self.heartbeat = Instant::now();
            draft.heartbeat();
        }
        draft.mark(tick);
        let first = draft.commit().await?;
        self.due_from = first.entry.map_or(self.due_from, |first| first.min(self.due_from));
        if let Some(first) = first.expiry {
            self.expiries.note(first);
        }
        Ok(())
    }

    fn fail(&self, reason: String) -> CommitError {
        tracing::error!(%reason, "the store does not accept writes any more");
        self.condition.fail(reason.into())
    }
}

/// Everything that has arrived, as far as one batch goes.
fn take(first: Job, inbox: &mut mpsc::UnboundedReceiver<Job>, jobs: &mut Vec<Job>) {
    let (mut ops, mut octets) = (first.ops.len(), first.octets);
    jobs.push(first);
    while ops < MAX_OPS
        && octets < MAX_OCTETS
        && let Ok(job) = inbox.try_recv()
    {
        ops += job.ops.len();
        octets += job.octets;
        jobs.push(job);
    }
}

/// Entries whose time has come go into their lanes. Returns the first one of which that is not so, and whether there was
/// room for all.
async fn resume_due(
    draft: &mut Draft<'_>,
    rows: &Rows,
    from: DueKey,
    end: DueKey,
) -> Result<(DueKey, bool), ReadError> {
    for (count, (key, value)) in
        rows.first_surely(Table::Due, &Span::new(from, end), MAX_DUE + 1).await?.into_iter().enumerate()
    {
        let Ok(key) = DueKey::try_from(&key[..]) else { continue };
        if count == MAX_DUE {
            return Ok((key, false));
        }
        draft.resume(key, &value).await?;
    }
    let never = keys::expiries();
    let next = rows.first_surely(Table::Due, &Span::new(end, never), 1).await?;
    let next = next.first().and_then(|(key, _)| DueKey::try_from(&key[..]).ok());
    Ok((next.unwrap_or(never), true))
}

/// Tells everybody should the writer panic.
struct Deadman(Arc<Condition>);

impl Drop for Deadman {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail("the store's writer has ended unexpectedly; restart the server".into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_that_hangs_is_noticed_and_the_first_failure_is_the_reason() {
        let epoch = Instant::now().checked_sub(Duration::from_secs(6)).unwrap();
        let condition = Condition { epoch, ..Condition::new() };
        assert!(!condition.is_stalled());
        condition.set_busy(true);
        assert!(!condition.is_stalled());
        condition.busy_since.store(1, Ordering::Relaxed);
        assert!(condition.is_stalled());
        assert_eq!(condition.check(), Ok(()));
        condition.fail("first".into());
        condition.fail("second".into());
        assert_eq!(condition.check(), Err(CommitError::NotReady("first".into())));
    }
}
