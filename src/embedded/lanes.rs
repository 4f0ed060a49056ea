//! Queue lanes in memory: what is still to be done of each, and who has it in hand.
//!
//! A lane is a numbered list on disk. In memory it is a floor (everything below is final), the finals above it, what
//! has been handed out, and a short ring of what is ready to be; everything else stays on disk until the ring runs
//! low, so a million waiting entries cost nothing here. All of it can be rebuilt from disk.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};

use crate::model::{Callback, ChannelId, Outbound, Priority, Timestamp};
use crate::store::Ticket;

/// Most entries that wait in memory, per lane.
pub(crate) const RING: usize = 2_048;
/// Entries read from disk at once.
pub(crate) const BLOCK: usize = 256;
/// Numbers by which the mark of what may have been handed out moves.
const HANDED_STEP: u64 = 1_024;

/// What a queue entry carries.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    /// An MT.
    Message(Arc<Outbound>),
    /// A request that we owe.
    Callback(Arc<Callback>),
}

/// An entry in memory.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) seq: u64,
    /// Where the record itself is.
    pub(crate) origin: Ticket,
    pub(crate) item: Item,
    pub(crate) attempts: u32,
    pub(crate) possible_duplicate: bool,
}

/// One lane; see the file's head.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) number: u32,
    pub(crate) name: Arc<str>,
    state: Mutex<State>,
    /// Told when there is something to pull; shared by the lanes of one queue.
    pub(crate) work: Arc<Notify>,
}

/// The part of a lane that changes.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// The lane's number is on disk.
    pub(crate) saved: bool,
    /// The number that the next entry gets. Only the committer moves it.
    pub(crate) next: u64,
    /// Entries below are on disk.
    pub(crate) committed: u64,
    /// Entries below have been in the ring.
    pub(crate) loaded: u64,
    /// Entries below are final.
    pub(crate) floor: u64,
    /// The floor that is on disk.
    pub(crate) floor_saved: u64,
    /// Entries below may have been handed out by an earlier run that did not end in order.
    pub(crate) suspect: u64,
    /// The mark on disk: entries below may have been handed out.
    pub(crate) handed_saved: u64,
    /// Entries below have been handed out by this run.
    handed: u64,
    finals: BTreeSet<u64>,
    ring: VecDeque<Entry>,
    taken: BTreeMap<u64, Entry>,
    /// Entries that wait for their time, at most a minute ahead.
    delayed: BTreeMap<(Timestamp, u64), Entry>,
    /// Entries that wait on disk for their time.
    pub(crate) parked: u64,
    closed: bool,
    consumer: bool,
    announced: bool,
}

/// What `take` found.
pub(crate) enum Taken {
    /// Entries, now in hand.
    Entries(Vec<Entry>),
    /// The ring is empty but the disk is not: load from this number up to the other.
    Load { from: u64, to: u64 },
    /// Nothing; the first delayed entry is due then.
    Nothing { due: Option<Timestamp> },
}

impl Lane {
    pub(crate) fn new(number: u32, name: Arc<str>, work: Arc<Notify>) -> Self {
        Self { number, name, state: Mutex::default(), work }
    }

    /// The state. A panic while it was held is a bug that has been reported; the state itself is only ever changed in
    /// steps that leave it sound.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn ticket(&self, seq: u64) -> Ticket {
        Ticket { lane: self.number, seq }
    }

    /// Takes up to `max` entries that are due.
    pub(crate) fn take(&self, max: usize, now: Timestamp) -> Taken {
        let mut state = self.state();
        if state.closed {
            return Taken::Nothing { due: None };
        }
        let mut entries = Vec::new();
        while entries.len() < max {
            let due = state.delayed.first_key_value().is_some_and(|((at, _), _)| *at <= now);
            let next = if due { state.delayed.pop_first().map(|(_, entry)| entry) } else { state.ring.pop_front() };
            let Some(entry) = next else { break };
            state.taken.insert(entry.seq, entry.clone());
            state.handed = state.handed.max(entry.seq + 1);
            entries.push(entry);
        }
        if !entries.is_empty() {
            return Taken::Entries(entries);
        }
        if state.loaded < state.committed {
            return Taken::Load { from: state.loaded, to: state.committed };
        }
        Taken::Nothing { due: state.delayed.first_key_value().map(|((at, _), _)| *at) }
    }

    /// Puts entries read from disk into the ring: those of `from..to`, of which some may be final already.
    pub(crate) fn loaded(&self, from: u64, to: u64, entries: Vec<Entry>) {
        let mut state = self.state();
        // Two readers may have raced; the first one's block counts.
        if state.loaded != from || state.closed {
            return;
        }
        let suspect = state.suspect;
        let mut expected = from;
        for entry in entries {
            // Numbers without a record are past their retention: final.
            state.finals.extend(expected..entry.seq);
            expected = entry.seq + 1;
            if !state.finals.contains(&entry.seq) {
                let possible_duplicate = entry.seq < suspect;
                state.ring.push_back(Entry { possible_duplicate, ..entry });
            }
        }
        state.finals.extend(expected..to);
        state.loaded = to;
        state.advance();
    }

    /// Everything in hand goes back to the front, in order: the consumer has gone.
    pub(crate) fn release(&self) {
        let mut state = self.state();
        let state = &mut *state;
        for (_, entry) in std::mem::take(&mut state.taken).into_iter().rev() {
            state.ring.push_front(entry);
        }
    }

    /// Lets a consumer in; what an earlier one had in hand is to be done again.
    pub(crate) fn acquire(&self) {
        self.release();
        let mut state = self.state();
        state.consumer = true;
        state.announced = true;
    }

    /// The consumer has gone; whether somebody should come for what is left.
    pub(crate) fn abandon(&self) -> bool {
        self.release();
        let mut state = self.state();
        state.consumer = false;
        state.announced = state.waiting() > 0 && !state.closed;
        state.announced
    }

    /// Whether a lane without a consumer has got work that nobody has been told of yet.
    pub(crate) fn announce(&self) -> bool {
        let mut state = self.state();
        if state.consumer || state.announced || state.waiting() == 0 || state.closed {
            return false;
        }
        state.announced = true;
        true
    }

    /// An entry was appended and is on disk. `item` is what it carries, when that is at hand.
    pub(crate) fn appended(&self, seq: u64, origin: Ticket, item: Item, attempts: u32) {
        let mut state = self.state();
        state.committed = state.committed.max(seq + 1);
        if state.loaded == seq && state.ring.len() < RING && !state.closed {
            state.ring.push_back(Entry { seq, origin, item, attempts, possible_duplicate: false });
            state.loaded = seq + 1;
        }
    }

    /// An entry will be tried again at `at`; it stays in memory.
    pub(crate) fn delay(&self, seq: u64, at: Timestamp) {
        let mut state = self.state();
        if let Some(mut entry) = state.taken.remove(&seq) {
            entry.attempts += 1;
            state.delayed.insert((at, seq), entry);
        }
    }

    /// An entry in hand.
    pub(crate) fn in_hand(&self, seq: u64) -> Option<Entry> {
        self.state().taken.get(&seq).cloned()
    }

    /// An entry is final, on disk.
    pub(crate) fn finish(&self, seq: u64) {
        let mut state = self.state();
        if seq >= state.floor {
            state.taken.remove(&seq);
            state.finals.insert(seq);
            state.advance();
        }
    }

    /// The channel was deleted: nothing is handed out any more.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        let next = state.next;
        let saved = state.saved;
        *state = State { saved, next, committed: next, loaded: next, floor: next, closed: true, ..State::default() };
    }

    /// The channel is there again.
    pub(crate) fn reopen(&self) {
        self.state().closed = false;
    }

    /// How much waits, on disk for its time included.
    pub(crate) fn waiting(&self) -> u64 {
        let state = self.state();
        state.waiting() + state.parked
    }
}

impl State {
    /// Entries without an end.
    fn waiting(&self) -> u64 {
        let finals = u64::try_from(self.finals.len()).unwrap_or(u64::MAX);
        self.committed.saturating_sub(self.floor).saturating_sub(finals)
    }

    /// Rebuilds the state of a lane whose entries lie in `floor..next`.
    pub(crate) fn recover(&mut self, floor: u64, next: u64, finals: BTreeSet<u64>, suspect: u64) {
        *self = Self { next, committed: next, loaded: floor, floor, floor_saved: floor, suspect, ..Self::default() };
        self.saved = true;
        self.handed_saved = suspect;
        self.finals = finals;
        self.advance();
        self.loaded = self.loaded.max(self.floor);
    }

    fn advance(&mut self) {
        while self.finals.remove(&self.floor) {
            self.floor += 1;
        }
        self.loaded = self.loaded.max(self.floor);
    }

    /// Whether floor or mark have moved since they were written.
    pub(crate) fn has_marks(&self) -> bool {
        self.floor > self.floor_saved || self.handed_mark().is_some()
    }

    /// The mark that the next commit must write, if it has to move.
    pub(crate) fn handed_mark(&self) -> Option<u64> {
        (self.handed > self.handed_saved).then(|| self.handed + HANDED_STEP)
    }
}

/// All lanes by name and number, and the news of callback lanes that have work.
#[derive(Debug)]
pub(crate) struct Lanes {
    tables: Mutex<Tables>,
    announce: mpsc::UnboundedSender<Arc<Lane>>,
}

#[derive(Debug, Default)]
struct Tables {
    by_name: HashMap<Arc<str>, Arc<Lane>>,
    by_number: HashMap<u32, Arc<Lane>>,
    notifies: HashMap<ChannelId, Arc<Notify>>,
}

/// Name of a channel's lane for one priority.
pub(crate) fn outbound_name(channel: &ChannelId, priority: Priority) -> String {
    format!("{OUTBOUND}{}/{channel}", priority.value())
}

/// What the names of outbound lanes begin with.
const OUTBOUND: &str = "out/";

impl Lanes {
    /// No lanes yet, and where callback lanes with work will be announced (each at most once until it is served, so
    /// the queue of news is bounded by the number of lanes).
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Arc<Lane>>) {
        let (announce, news) = mpsc::unbounded_channel();
        (Self { tables: Mutex::default(), announce }, news)
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lane with this name; made now if there was none.
    pub(crate) fn named(&self, name: &str) -> Arc<Lane> {
        let mut tables = self.tables();
        if let Some(lane) = tables.by_name.get(name) {
            return lane.clone();
        }
        let number = tables.by_number.keys().max().map_or(0, |number| number + 1);
        tables.insert(number, name.into())
    }

    /// Puts a lane that was on disk back.
    pub(crate) fn restore(&self, number: u32, name: &str) -> Arc<Lane> {
        let lane = self.tables().insert(number, name.into());
        lane.state().saved = true;
        lane
    }

    pub(crate) fn numbered(&self, number: u32) -> Option<Arc<Lane>> {
        self.tables().by_number.get(&number).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Lane>> {
        self.tables().by_number.values().cloned().collect()
    }

    /// Wakes whoever pulls from the lane, or looks for somebody who will.
    pub(crate) fn wake(&self, lane: &Arc<Lane>) {
        lane.work.notify_one();
        if !lane.name.starts_with(OUTBOUND) && lane.announce() {
            self.announce(lane);
        }
    }

    /// Tells that a callback lane has work and nobody who does it.
    pub(crate) fn announce(&self, lane: &Arc<Lane>) {
        // When nobody listens any more the server is on its way down.
        let _ = self.announce.send(lane.clone());
    }
}

impl Tables {
    fn insert(&mut self, number: u32, name: Arc<str>) -> Arc<Lane> {
        // The five lanes of a channel share one bell.
        let channel = name.strip_prefix(OUTBOUND).and_then(|rest| rest.split_once('/')).map(|(_, channel)| channel);
        let work = match channel {
            Some(channel) => self.notifies.entry(channel.into()).or_default().clone(),
            None => Arc::default(),
        };
        let lane = Arc::new(Lane::new(number, name.clone(), work));
        self.by_name.insert(name, lane.clone());
        self.by_number.insert(number, lane.clone());
        lane
    }
}
