//! The one writing thread: takes everything that has arrived, writes it as one batch, syncs once, wakes all.
//!
//! No timer: a lone change is synced at once, and under load a batch is what arrived during the last sync. A failed
//! write or sync ends writing for good (an fsync that failed once must never be believed again); reads go on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, Instant};

use fjall::{Database, PersistMode};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::Keyspaces;
use super::keys::{self, Kind, table};
use super::lanes::{Item, Lane, Lanes};
use crate::model::Timestamp;
use crate::store::{CommitError, Ticket};

/// One change as the committer writes it; records are encoded by whoever makes it.
pub(super) enum Op {
    /// Appends to a lane; `id` makes the entry findable.
    Append { lane: Arc<Lane>, value: Vec<u8>, item: Item, id: Option<[u8; 16]> },
    /// An event of an entry; final for it when it is its own.
    Event { origin: Ticket, value: Vec<u8> },
    /// The end of an entry without an event of its own.
    Finish(Ticket),
    /// Back into the lane after a delay.
    Retry { ticket: Ticket, at: Timestamp },
    /// Puts a value.
    Put(Table, Vec<u8>, Vec<u8>),
    /// Removes a value.
    Remove(Table, Vec<u8>),
    /// Nothing of these lanes is to be done any more.
    Close(Vec<Arc<Lane>>),
    /// These lanes are in use again.
    Reopen(Vec<Arc<Lane>>),
}

/// Keyspaces that changes name directly.
#[derive(Clone, Copy)]
pub(super) enum Table {
    Meta,
    Smsc,
    Inbound,
}

/// What one caller wants written together.
pub(super) struct Job {
    pub(super) ops: Vec<Op>,
    /// Told once it is durable, or why not; `None` when the caller does not wait.
    pub(super) done: Option<oneshot::Sender<Result<(), CommitError>>>,
    /// The caller's share of the inbox, given back when the job is.
    pub(super) room: [OwnedSemaphorePermit; 2],
}

/// Retries sooner than this wait in memory, later ones on disk.
const NEAR: Duration = Duration::from_secs(60);
/// Most changes in one batch.
const MAX_OPS: usize = 4_096;
/// How often due entries are looked for and idle keyspaces touched.
const TICK: Duration = Duration::from_millis(500);
/// How often every keyspace gets a record, so that none pins old journals.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// State of the writing thread.
pub(super) struct Committer {
    pub(super) database: Database,
    pub(super) keyspaces: Keyspaces,
    pub(super) lanes: Arc<Lanes>,
    /// Why nothing is written any more.
    pub(super) failed: Arc<OnceLock<Arc<str>>>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) sync: bool,
    /// Orders the events of all messages.
    pub(super) ordinal: u64,
    pub(super) heartbeat: Instant,
}

/// What is to be done in memory once a batch is on disk.
enum Effect {
    Appended { lane: Arc<Lane>, seq: u64, origin: Ticket, item: Item, attempts: u32 },
    Finished(Arc<Lane>, u64),
    Delayed(Arc<Lane>, u64, Timestamp),
    Parked(Arc<Lane>, u64),
    Closed(Arc<Lane>),
    Reopened(Arc<Lane>),
}

/// A batch in the making.
struct Draft {
    batch: fjall::OwnedWriteBatch,
    effects: Vec<Effect>,
    touched: HashMap<u32, Arc<Lane>>,
    now: Timestamp,
}

impl Committer {
    /// Runs until told to stop and everything has been written.
    pub(super) fn run(mut self, inbox: &mpsc::Receiver<Job>) {
        let mut next_tick = Instant::now();
        loop {
            let wait = next_tick.saturating_duration_since(Instant::now());
            let mut jobs = Vec::new();
            match inbox.recv_timeout(wait) {
                Ok(job) => jobs.push(job),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
            let mut ops = jobs.iter().map(|job| job.ops.len()).sum::<usize>();
            while ops < MAX_OPS
                && let Ok(job) = inbox.try_recv()
            {
                ops += job.ops.len();
                jobs.push(job);
            }
            let tick = Instant::now() >= next_tick;
            if tick {
                next_tick = Instant::now() + TICK;
            }
            if !jobs.is_empty() || tick {
                self.commit(jobs, tick);
            }
            if self.stop.load(Ordering::Acquire) && ops == 0 {
                return;
            }
        }
    }

    fn commit(&mut self, mut jobs: Vec<Job>, tick: bool) {
        let result = match self.failed.get() {
            Some(reason) => Err(CommitError::NotReady(reason.clone())),
            None => self.write(&mut jobs, tick),
        };
        for job in jobs {
            drop(job.room);
            if let Some(done) = job.done {
                // The caller may have gone; what it wanted is written all the same.
                let _ = done.send(result.clone());
            }
        }
    }

    fn write(&mut self, jobs: &mut [Job], tick: bool) -> Result<(), CommitError> {
        let mut draft = Draft {
            batch: self.database.batch().durability(self.sync.then_some(PersistMode::SyncData)),
            effects: Vec::new(),
            touched: HashMap::new(),
            now: Timestamp::now(),
        };
        for op in jobs.iter_mut().flat_map(|job| std::mem::take(&mut job.ops)) {
            self.draft(&mut draft, op);
        }
        if tick {
            self.draft_due(&mut draft)?;
            self.draft_heartbeat(&mut draft);
            for lane in self.lanes.all().into_iter().filter(|lane| lane.state().has_marks()) {
                draft.touch(&lane);
            }
        }
        let marks = self.draft_marks(&mut draft);
        if !draft.batch.is_empty() {
            draft.batch.commit().map_err(|error| self.fail(&error))?;
        }
        for (lane, floor, handed) in marks {
            let mut state = lane.state();
            state.floor_saved = state.floor_saved.max(floor);
            state.handed_saved = state.handed_saved.max(handed);
            state.saved = true;
        }
        let mut woken = HashMap::new();
        for effect in draft.effects {
            if let Effect::Appended { lane, .. } | Effect::Delayed(lane, ..) = &effect {
                woken.entry(lane.number).or_insert_with(|| lane.clone());
            }
            self.apply(effect);
        }
        woken.values().for_each(|lane| self.lanes.wake(lane));
        Ok(())
    }

    fn draft(&mut self, draft: &mut Draft, op: Op) {
        match op {
            Op::Append { lane, value, item, id } => {
                let ticket = draft.append(&self.keyspaces, &lane, value);
                if let Some(id) = id {
                    let value = keys::value(Kind::Record, draft.now, &keys::entry(ticket));
                    draft.batch.insert(&self.keyspaces.id, id, value);
                }
                draft.appended(&lane, ticket, ticket, item, 0);
            }
            Op::Event { origin, value } => {
                self.ordinal += 1;
                if let Some((Kind::Final, _)) = keys::open(&value) {
                    self.finished(draft, origin);
                }
                draft.batch.insert(&self.keyspaces.fate, keys::fate(origin, self.ordinal), value);
            }
            Op::Finish(ticket) => {
                let value = keys::value(Kind::Final, draft.now, &[]);
                draft.batch.insert(&self.keyspaces.fate, keys::fate(ticket, u64::MAX), value);
                self.finished(draft, ticket);
            }
            Op::Retry { ticket, at } => self.draft_retry(draft, ticket, at),
            Op::Put(table, key, value) => {
                draft.batch.insert(self.keyspaces.of(table), key, value);
            }
            Op::Remove(table, key) => draft.batch.remove(self.keyspaces.of(table), key),
            Op::Close(lanes) => {
                for lane in lanes {
                    let floor = lane.state().next.to_be_bytes();
                    let key = keys::meta(table::FLOOR, &lane.number.to_be_bytes());
                    draft.batch.insert(&self.keyspaces.meta, key, floor.to_vec());
                    draft.effects.push(Effect::Closed(lane));
                }
            }
            Op::Reopen(lanes) => draft.effects.extend(lanes.into_iter().map(Effect::Reopened)),
        }
    }

    fn finished(&self, draft: &mut Draft, ticket: Ticket) {
        if let Some(lane) = self.lanes.numbered(ticket.lane) {
            draft.touch(&lane);
            draft.effects.push(Effect::Finished(lane, ticket.seq));
        }
    }

    /// Near retries stay in memory: after a crash the entry is simply live again. Far ones leave their place, so
    /// that the floor never waits for them.
    fn draft_retry(&self, draft: &mut Draft, ticket: Ticket, at: Timestamp) {
        let Some(lane) = self.lanes.numbered(ticket.lane) else { return };
        if draft.now.until(at) <= NEAR {
            draft.touch(&lane);
            draft.effects.push(Effect::Delayed(lane, ticket.seq, at));
            return;
        }
        let Some(entry) = lane.in_hand(ticket.seq) else { return };
        let content = [&keys::entry(entry.origin)[..], &(entry.attempts + 1).to_be_bytes()].concat();
        let value = keys::value(Kind::Reference, draft.now, &content);
        draft.batch.insert(&self.keyspaces.due, keys::due(at, ticket), value);
        let moved = keys::value(Kind::Moved, draft.now, &[]);
        draft.batch.insert(&self.keyspaces.fate, keys::fate(ticket, u64::MAX), moved);
        draft.touch(&lane);
        draft.effects.push(Effect::Parked(lane, ticket.seq));
    }

    /// Entries whose time has come go to the end of their lane, as references.
    fn draft_due(&mut self, draft: &mut Draft) -> Result<(), CommitError> {
        let end = keys::due(draft.now, Ticket { lane: u32::MAX, seq: u64::MAX });
        let due = self.keyspaces.due.range(..=end.to_vec()).take(MAX_OPS);
        let due: Result<Vec<_>, _> = due.map(fjall::Guard::into_inner).collect();
        for (key, value) in due.map_err(|error| self.fail(&error))? {
            if key[..] == keys::HEARTBEAT {
                continue;
            }
            draft.batch.remove(&self.keyspaces.due, key.clone());
            let reference = keys::open(&value).filter(|(kind, _)| *kind == Kind::Reference);
            let Some((origin, attempts)) = reference.and_then(|(_, content)| reference_of(content)) else { continue };
            let place = key.get(8..).and_then(keys::ticket);
            let Some(lane) = place.and_then(|ticket| self.lanes.numbered(ticket.lane)) else { continue };
            let Some(item) = self.keyspaces.item(origin) else { continue };
            let ticket = draft.append(&self.keyspaces, &lane, value.to_vec());
            draft.appended(&lane, ticket, origin, item, attempts);
            let mut state = lane.state();
            state.parked = state.parked.saturating_sub(1);
        }
        Ok(())
    }

    fn draft_heartbeat(&mut self, draft: &mut Draft) {
        if self.heartbeat.elapsed() >= HEARTBEAT {
            self.heartbeat = Instant::now();
            for keyspace in self.keyspaces.idle() {
                let beat = keys::value(Kind::Final, draft.now, &[]);
                draft.batch.insert(keyspace, keys::HEARTBEAT, beat);
            }
        }
    }

    /// Floors and hand-out marks ride along with whatever is written.
    fn draft_marks(&self, draft: &mut Draft) -> Vec<(Arc<Lane>, u64, u64)> {
        let mut marks = Vec::new();
        for lane in draft.touched.values() {
            let state = lane.state();
            let number = lane.number.to_be_bytes();
            if !state.saved {
                let key = keys::meta(table::LANE, &number);
                draft.batch.insert(&self.keyspaces.meta, key, lane.name.as_bytes());
            }
            if state.floor > state.floor_saved {
                let key = keys::meta(table::FLOOR, &number);
                draft.batch.insert(&self.keyspaces.meta, key, state.floor.to_be_bytes());
            }
            let handed = state.handed_mark();
            if let Some(handed) = handed {
                let key = keys::meta(table::HANDED, &number);
                draft.batch.insert(&self.keyspaces.meta, key, handed.to_be_bytes());
            }
            marks.push((lane.clone(), state.floor, handed.unwrap_or_default()));
        }
        marks
    }

    fn apply(&self, effect: Effect) {
        match effect {
            Effect::Appended { lane, seq, origin, item, attempts } => lane.appended(seq, origin, item, attempts),
            Effect::Finished(lane, seq) => lane.finish(seq),
            Effect::Delayed(lane, seq, at) => lane.delay(seq, at),
            Effect::Parked(lane, seq) => {
                lane.finish(seq);
                lane.state().parked += 1;
            }
            Effect::Closed(lane) => lane.close(),
            Effect::Reopened(lane) => lane.reopen(),
        }
    }

    /// Writing is over: whoever asks from now on is told why.
    fn fail(&self, error: &fjall::Error) -> CommitError {
        let reason: Arc<str> = format!("{error}; restart the server once the disk is sound").into();
        tracing::error!(%reason, "the store does not accept writes any more");
        CommitError::NotReady(self.failed.get_or_init(|| reason).clone())
    }
}

/// A reference's content: where the record is, how often it was tried.
pub(super) fn reference_of(content: &[u8]) -> Option<(Ticket, u32)> {
    let attempts = u32::from_be_bytes(*content.get(12..)?.first_chunk()?);
    Some((keys::ticket(content)?, attempts))
}

impl Draft {
    fn touch(&mut self, lane: &Arc<Lane>) {
        self.touched.entry(lane.number).or_insert_with(|| lane.clone());
    }

    /// Gives the next number of the lane to a value.
    fn append(&mut self, keyspaces: &Keyspaces, lane: &Arc<Lane>, value: Vec<u8>) -> Ticket {
        let seq = {
            let mut state = lane.state();
            let seq = state.next;
            state.next += 1;
            seq
        };
        let ticket = lane.ticket(seq);
        self.batch.insert(&keyspaces.msg, keys::entry(ticket), value);
        self.touch(lane);
        ticket
    }

    fn appended(&mut self, lane: &Arc<Lane>, ticket: Ticket, origin: Ticket, item: Item, attempts: u32) {
        self.effects.push(Effect::Appended { lane: lane.clone(), seq: ticket.seq, origin, item, attempts });
    }
}
