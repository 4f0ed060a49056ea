//! One queue lane in memory: what is still to be done of it, and who has it in hand.
//!
//! A lane is a numbered list on disk. In memory it is a floor (everything below is final), the finals above it, what
//! has been handed out, what waits for its time, and a short ring of what is ready; the rest stays on disk until the
//! ring runs low, so a million waiting entries cost nothing here. All of it can be rebuilt from disk. The committer
//! alone numbers entries and ends them; the consumer alone takes them.

mod choose;
mod state;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

pub(crate) use self::choose::Reach;
pub(super) use self::choose::{Chosen, Peeked};
pub(crate) use self::state::{Recovered, State};
use crate::model::{Callback, ChannelId, Outbound, Timestamp};
use crate::store::Ticket;

/// Most entries that wait in a lane's ring.
const RING: usize = 2_048;
/// Entries that all rings may hold together; once they do, a ring takes `SMALL_RING` at most.
const RINGS: usize = 65_536;
/// See [`RINGS`]; also the size of a block read from disk then.
const SMALL_RING: usize = 64;
/// Entries read from disk at once.
const BLOCK: usize = 256;
/// Entries that may wait in memory for their time; while so many do, nothing new is handed out.
const DELAYED: usize = 2_048;

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
    /// The entry that it first was; differs from its own place after a long delay.
    pub(crate) origin: Ticket,
    pub(crate) item: Item,
    /// How often it has been put back.
    pub(crate) attempts: u32,
    pub(crate) possible_duplicate: bool,
}

impl Entry {
    /// Whether it is not worth sending any more.
    fn has_expired(&self, now: Timestamp) -> bool {
        matches!(&self.item, Item::Message(message) if message.expires_at.is_some_and(|at| at <= now))
    }
}

/// One lane; see the file's head.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) number: u32,
    pub(crate) name: Arc<str>,
    /// Whether its entries are MTs; otherwise they are callbacks.
    pub(crate) outbound: bool,
    state: Mutex<State>,
    /// Told when there is something to pull; shared by the lanes of one queue.
    pub(crate) work: Arc<Notify>,
    /// Entries in all rings.
    rings: Arc<AtomicUsize>,
    /// Held by whoever loads a block of it.
    loading: Arc<tokio::sync::Mutex<()>>,
}

impl Drop for Lane {
    fn drop(&mut self) {
        // Other engines go on with what rings may hold.
        self.rings.fetch_sub(self.state().ring.len(), Ordering::Relaxed);
    }
}

/// What `take` found.
pub(crate) enum Taken {
    /// Entries, now in hand.
    Entries(Vec<Entry>),
    /// The ring is empty but the disk is not: load at most this many of these.
    Load { from: u64, to: u64, most: usize },
    /// There are entries, but the mark of what may have been handed out must be on disk first; whether it must be asked for.
    Unmarked { ask: bool },
    /// Nothing; the first delayed entry is due then.
    Nothing { due: Option<Timestamp> },
}

/// Whether an entry could be taken out of its lane without its consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    /// It waits: from now on nobody gets it.
    Taken,
    /// Its consumer has it in hand.
    InHand,
    /// It has left already.
    Gone,
}

/// How much a lane has that has no end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Length {
    /// All but what waits on disk for its time.
    pub(super) waiting: u64,
    /// Of those, what its consumer has in hand.
    pub(super) in_hand: u64,
    /// And what waits in memory for its time.
    pub(super) delayed: u64,
    pub(super) later: u64,
}

/// What the lane's front has.
enum Front {
    Entry(Entry),
    /// An entry that the mark does not cover: its number.
    Unmarked(u64),
    Nothing,
}

impl Lane {
    pub(super) fn new(number: u32, name: Arc<str>, outbound: bool, work: Arc<Notify>, rings: Arc<AtomicUsize>) -> Self {
        Self { number, name, outbound, state: Mutex::default(), work, rings, loading: Arc::default() }
    }

    /// The state. A panic while it was held is a bug that has been reported; the state itself is only ever changed in
    /// steps that leave it sound.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether its MTs are this channel's.
    pub(super) fn is_of(&self, channel: &ChannelId) -> bool {
        self.outbound && self.name.rsplit_once('/').is_some_and(|(_, of)| of == channel.as_str())
    }

    pub(crate) fn ticket(&self, seq: u64) -> Ticket {
        Ticket { lane: self.number, seq }
    }

    /// Takes entries that are due, as many as weigh `room` together, for the consumer of this generation. The last may weigh
    /// more than is left.
    pub(super) fn take(
        &self,
        generation: u64,
        mut room: usize,
        weigh: impl Fn(&Item) -> usize,
        now: Timestamp,
    ) -> Taken {
        let mut state = self.state();
        if state.closed || state.generation != generation {
            return Taken::Nothing { due: None };
        }
        let mut entries = Vec::new();
        let mut unmarked = None;
        while room > 0 {
            match self.pop(&mut state, now) {
                Front::Entry(entry) => {
                    room = room.saturating_sub(weigh(&entry.item));
                    state.taken.insert(entry.seq, entry.clone());
                    if !self.is_reference(&entry) {
                        state.handed = state.handed.max(entry.seq + 1);
                    }
                    entries.push(entry);
                }
                Front::Unmarked(seq) => {
                    unmarked = Some(seq);
                    break;
                }
                Front::Nothing => break,
            }
        }
        if !entries.is_empty() {
            return Taken::Entries(entries);
        }
        if let Some(seq) = unmarked {
            // From where it stopped: what lies before may never have been handed out.
            state.wanted = state.handed.max(seq) + u64::try_from(room.min(RING)).unwrap_or_default();
            let ask = !std::mem::replace(&mut state.mark_asked, true);
            return Taken::Unmarked { ask };
        }
        if state.loaded < state.committed && state.delayed.len() < DELAYED {
            let most = if self.crowded() { SMALL_RING } else { BLOCK };
            return Taken::Load { from: state.loaded, to: state.committed, most };
        }
        Taken::Nothing { due: state.first_due() }
    }

    /// The next entry that is due, has not become final while it waited, and is still worth something: what has expired
    /// is nobody's any more, and leaves on its own.
    fn pop(&self, state: &mut State, now: Timestamp) -> Front {
        loop {
            let popped = if let Some(entry) = state.pop_due(now) {
                Some(entry)
            } else if state.delayed.len() < DELAYED {
                let front = state.ring.front().filter(|entry| state.is_worth_sending(entry, now));
                if let Some(front) = front
                    && self.outbound
                    && !self.is_reference(front)
                    && !state.is_marked(front.seq)
                {
                    return Front::Unmarked(front.seq);
                }
                state.ring.pop_front().inspect(|_| {
                    self.rings.fetch_sub(1, Ordering::Relaxed);
                })
            } else {
                None
            };
            let Some(entry) = popped else { return Front::Nothing };
            if state.is_worth_sending(&entry, now) {
                return Front::Entry(entry);
            }
        }
    }

    /// Whether an entry stands for an earlier one.
    fn is_reference(&self, entry: &Entry) -> bool {
        entry.origin != self.ticket(entry.seq)
    }

    /// The right to load a block, unless somebody does.
    pub(super) fn begin_loading(&self) -> Option<tokio::sync::OwnedMutexGuard<()>> {
        self.loading.clone().try_lock_owned().ok()
    }

    /// Puts entries read from disk into the ring: those of `from..to`, of which some may be final already.
    pub(super) fn loaded(&self, from: u64, to: u64, entries: Vec<Entry>) {
        let mut state = self.state();
        // Somebody else may have read the same block meanwhile; the first one's counts.
        if state.loaded != from || state.closed {
            return;
        }
        let mut expected = from;
        for mut entry in entries {
            // Numbers without a record are past their retention: final.
            state.finals.extend(expected..entry.seq);
            expected = entry.seq + 1;
            if !state.finals.contains(&entry.seq) && !state.ahead.remove(&entry.seq) {
                state.enter(&mut entry);
                state.ring.push_back(entry);
                self.rings.fetch_add(1, Ordering::Relaxed);
            }
        }
        state.finals.extend(expected..to);
        state.loaded = to;
        state.advance();
    }

    /// Lets a consumer in; what an earlier one had in hand is to be done again. Returns its generation.
    pub(super) fn acquire(&self) -> u64 {
        let mut state = self.state();
        self.put_back(&mut state);
        state.generation += 1;
        state.exact = false;
        state.consumer = true;
        state.announced = true;
        // An earlier consumer must not go on hearing what is meant for this one.
        self.work.notify_waiters();
        state.generation
    }

    /// From now on nothing is suspected after a crash beyond what the consumer would have taken.
    pub(crate) fn mark_exactly(&self) {
        self.state().exact = true;
    }

    /// Whether this generation's consumer is the latest.
    pub(crate) fn is_held_by(&self, generation: u64) -> bool {
        self.state().generation == generation
    }

    /// The consumer of this generation has gone. Whether somebody should come for what is left.
    pub(super) fn release(&self, generation: u64) -> bool {
        let mut state = self.state();
        if state.generation != generation {
            return false;
        }
        self.put_back(&mut state);
        state.consumer = false;
        state.announced = state.waiting() > 0 && !state.closed;
        state.announced
    }

    /// Everything in hand goes back to the front, in order.
    fn put_back(&self, state: &mut State) {
        let taken = std::mem::take(&mut state.taken);
        self.to_front(state, taken.into_values());
    }

    /// Some of what the consumer of this generation has in hand goes back to the front; in order, as it was taken.
    pub(super) fn give_back(&self, generation: u64, seqs: &[u64]) {
        let mut state = self.state();
        if state.generation == generation {
            let given: Vec<Entry> = seqs.iter().filter_map(|seq| state.taken.remove(seq)).collect();
            self.to_front(&mut state, given.into_iter());
        }
    }

    fn to_front(&self, state: &mut State, entries: impl DoubleEndedIterator<Item = Entry> + ExactSizeIterator) {
        self.rings.fetch_add(entries.len(), Ordering::Relaxed);
        for entry in entries.rev() {
            state.ring.push_front(entry);
        }
    }

    /// Whether a lane without a consumer has got work that nobody has been told of yet.
    pub(super) fn announce(&self) -> bool {
        let mut state = self.state();
        if state.consumer || state.announced || state.waiting() == 0 || state.closed {
            return false;
        }
        state.announced = true;
        true
    }

    /// An entry was appended and is on disk. It stays in memory if there is room and nothing older waits on disk.
    pub(super) fn appended(&self, entry: Entry) {
        let mut state = self.state();
        state.committed = state.committed.max(entry.seq + 1);
        let room = if self.crowded() { SMALL_RING } else { RING };
        if state.loaded == entry.seq && state.ring.len() < room && !state.closed {
            state.loaded += 1;
            state.ring.push_back(entry);
            self.rings.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// An entry that waited on disk for its time is about to be due, and has been appended as a new one.
    pub(super) fn resumed(&self, entry: Entry, at: Timestamp) {
        let mut state = self.state();
        state.later = state.later.saturating_sub(1);
        state.committed = state.committed.max(entry.seq + 1);
        if state.closed || state.delayed.len() >= DELAYED {
            return;
        }
        if state.loaded == entry.seq {
            state.loaded += 1;
        } else {
            state.ahead.insert(entry.seq);
        }
        state.doubt(entry.seq, entry.possible_duplicate);
        state.delayed.insert((at, entry.origin, entry.seq), entry);
    }

    /// An MT has been accepted that waits on disk for its time.
    pub(super) fn scheduled(&self) {
        self.state().later += 1;
    }

    /// A scheduled MT has got its place.
    pub(super) fn placed(&self, entry: Entry) {
        self.unscheduled();
        self.appended(entry);
    }

    /// What waited on disk for its time waits no more.
    pub(super) fn unscheduled(&self) {
        let mut state = self.state();
        state.later = state.later.saturating_sub(1);
    }

    /// A scheduled MT has got its place and its end at once.
    pub(super) fn ended(&self, seq: u64) {
        self.unscheduled();
        self.archived(seq);
    }

    /// An entry was appended that is final already; nobody gets it.
    pub(super) fn archived(&self, seq: u64) {
        let mut state = self.state();
        // At one stroke: whoever saw it in the lane and not yet final would take it for one that waits.
        state.committed = state.committed.max(seq + 1);
        state.finish(seq);
    }

    /// An entry was appended that waited elsewhere; it stays on disk until its turn.
    pub(super) fn restored(&self, seq: u64, attempts: u32, possible_duplicate: bool) {
        let mut state = self.state();
        state.committed = state.committed.max(seq + 1);
        if attempts > 0 {
            state.attempts.insert(seq, attempts);
        }
        if possible_duplicate {
            state.known.insert(seq);
        }
    }

    /// How often an entry that has not been in memory has been put back.
    pub(super) fn noted_attempts(&self, seq: u64) -> u32 {
        self.state().attempts.get(&seq).copied().unwrap_or_default()
    }

    /// How many entries wait on disk for their time.
    pub(crate) fn later(&self) -> u64 {
        self.state().later
    }

    /// Takes an entry out of the lane, unless its consumer has it in hand or it has left; nobody gets it any more. One that
    /// may have reached its receiver counts as in hand until whoever withdraws it knows that (`doubtful`).
    pub(super) fn withdraw(&self, seq: u64, doubtful: bool) -> Waits {
        let mut state = self.state();
        let waits = match state.waits(seq) {
            Waits::Taken if !doubtful && state.is_doubtful(seq, false) => Waits::InHand,
            waits => waits,
        };
        if waits == Waits::Taken {
            state.leaving.insert(seq);
        }
        waits
    }

    /// Whether an entry could be taken out of the lane.
    pub(super) fn waits(&self, seq: u64) -> Waits {
        self.state().waits(seq)
    }

    /// Whether an entry may have reached its receiver; `noted` is what is on disk with it.
    pub(super) fn is_doubtful(&self, seq: u64, noted: bool) -> bool {
        self.state().is_doubtful(seq, noted)
    }

    /// The entries without an end are among these.
    pub(super) fn live(&self) -> std::ops::Range<u64> {
        let state = self.state();
        state.floor..state.committed
    }

    /// An entry that was in hand will be tried again at `at`; it stays in memory.
    pub(super) fn delay(&self, entry: Entry, at: Timestamp) {
        let mut state = self.state();
        if !state.closed {
            state.delayed.insert((at, entry.origin, entry.seq), entry);
        }
    }

    /// Whether an entry in hand may have reached its receiver.
    pub(super) fn suspect(&self, seq: u64, suspect: bool) {
        let mut state = self.state();
        if let Some(entry) = state.taken.get_mut(&seq) {
            entry.possible_duplicate = suspect;
            state.doubt(seq, suspect);
        }
    }

    /// What may have reached its receiver, of all that has no end; what has not been read from disk yet included.
    pub(super) fn suspects(&self) -> Vec<Ticket> {
        let state = self.state();
        let unread = (state.loaded..state.suspect.min(state.committed)).chain(state.known.iter().copied());
        let unread = unread.filter(|seq| !state.ahead.contains(seq));
        let all = state.doubtful.iter().copied().chain(unread).filter(|seq| !state.is_final(*seq));
        all.map(|seq| self.ticket(seq)).collect()
    }

    /// An entry in hand.
    pub(super) fn in_hand(&self, seq: u64) -> Option<Entry> {
        self.state().taken.get(&seq).cloned()
    }

    /// Takes an entry out of its consumer's hands, because what becomes of it is being written.
    pub(super) fn settle(&self, seq: u64) -> Option<Entry> {
        self.state().taken.remove(&seq)
    }

    /// An entry is about to become final: nobody has it in hand or gets it any more.
    pub(super) fn leave(&self, seq: u64) {
        let mut state = self.state();
        state.taken.remove(&seq);
        state.leaving.insert(seq);
    }

    /// An entry is final, on disk.
    pub(super) fn finish(&self, seq: u64) {
        self.state().finish(seq);
    }

    /// An entry that waited has become final, on disk; should it have waited for its time, its place there is free at once.
    pub(super) fn withdrawn(&self, seq: u64) {
        self.state().delayed.retain(|(_, _, waits), _| *waits != seq);
        self.finish(seq);
    }

    /// An entry has left its place to wait on disk.
    pub(super) fn moved(&self, seq: u64) {
        self.finish(seq);
        self.state().later += 1;
    }

    /// The channel was deleted: nothing below `void` is handed out any more.
    pub(super) fn close(&self, void: u64) {
        let mut state = self.state();
        self.rings.fetch_sub(state.ring.len(), Ordering::Relaxed);
        *state = State {
            saved: state.saved,
            next: state.next,
            committed: void,
            loaded: void,
            floor: void,
            floor_saved: void,
            handed: void,
            handed_then: void,
            later_drafted: state.later_drafted,
            later_saved: state.later_saved,
            void: state.void,
            void_unplaced: state.void_unplaced,
            generation: state.generation,
            closed: true,
            ..State::default()
        };
    }

    /// The channel is there again.
    pub(super) fn reopen(&self) {
        self.state().closed = false;
    }

    /// How much waits, on disk for its time included.
    pub(crate) fn waiting(&self) -> u64 {
        let state = self.state();
        state.waiting() + state.later
    }

    /// How much waits, by what for.
    pub(super) fn length(&self) -> Length {
        let state = self.state();
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        Length {
            waiting: state.waiting(),
            in_hand: count(state.taken.len()),
            delayed: count(state.delayed.len()),
            later: state.later,
        }
    }

    /// Whether all rings together hold as much as they may.
    fn crowded(&self) -> bool {
        self.rings.load(Ordering::Relaxed) >= RINGS
    }
}

#[cfg(test)]
mod tests;
