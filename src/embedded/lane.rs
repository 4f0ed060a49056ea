//! One queue lane in memory: what is still to be done of it, and who has it in hand.
//!
//! A lane is a numbered list on disk. In memory it is a floor (everything below is final), the finals above it, what
//! has been handed out, what waits for its time, and a short ring of what is ready; the rest stays on disk until the
//! ring runs low, so a million waiting entries cost nothing here. All of it can be rebuilt from disk. The committer
//! alone numbers entries and ends them; the consumer alone takes them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::keys::ordinal_of;
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
/// Nothing waits in memory for longer than half of this: what seems to is due, and the wall clock has been set back.
const STALE: Duration = Duration::from_secs(120);
/// By how much the mark of what may have been handed out runs ahead, at least.
const LEAD: u64 = 64;

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
}

/// The part of a lane that changes.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// The lane's number is on disk.
    pub(crate) saved: bool,
    /// The number that the next entry gets. Only the committer moves it.
    pub(crate) next: u64,
    /// Entries below are on disk.
    committed: u64,
    /// Entries below have been in memory.
    loaded: u64,
    /// Entries at or above `loaded` that are in memory all the same: their time came before their turn.
    ahead: BTreeSet<u64>,
    /// Entries below are final.
    pub(crate) floor: u64,
    /// The floor that is on disk.
    pub(crate) floor_saved: u64,
    /// Entries below may have been handed out by an earlier run that did not end in order.
    suspect: u64,
    /// Entries that an earlier run, which did, says may have reached their receiver.
    known: BTreeSet<u64>,
    /// The mark on disk: entries below may have been handed out.
    handed_saved: u64,
    /// Entries below have been handed out by this run. Entries that stand for an earlier one do not count: they say
    /// themselves that they are suspect after a crash.
    handed: u64,
    /// Up to where the consumer would have taken, had the mark been there; and whether the committer has been asked for it.
    wanted: u64,
    mark_asked: bool,
    /// What `handed` was when the mark was last written.
    handed_then: u64,
    /// Final entries above the floor.
    finals: BTreeSet<u64>,
    /// Entries that are about to become final: nobody gets them any more.
    leaving: BTreeSet<u64>,
    /// Entries in memory that may have reached their receiver.
    doubtful: BTreeSet<u64>,
    /// What an earlier run noted of entries that it put back: how often.
    attempts: BTreeMap<u64, u32>,
    ring: VecDeque<Entry>,
    taken: BTreeMap<u64, Entry>,
    /// Entries that wait for their time, those of one instant in the order in which they were first recorded.
    delayed: BTreeMap<(Timestamp, Ticket, u64), Entry>,
    /// Entries that wait on disk for their time.
    later: u64,
    /// The same as the committer's drafts have it, and as it is on disk.
    pub(crate) later_drafted: u64,
    pub(crate) later_saved: u64,
    /// Entries below belonged to a channel that was deleted. As the committer's drafts have it.
    pub(crate) void: u64,
    /// The same for entries that have no place yet.
    pub(crate) void_unplaced: u64,
    closed: bool,
    /// Counts consumers; the latest one is the lane's.
    generation: u64,
    consumer: bool,
    announced: bool,
}

/// What a lane's records on disk say of it; see [`State`] for the words.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    pub(crate) floor: u64,
    pub(crate) next: u64,
    pub(crate) suspect: u64,
    pub(crate) handed_saved: u64,
    pub(crate) known: BTreeSet<u64>,
    /// Entries that stand for earlier ones.
    pub(crate) references: BTreeSet<u64>,
    pub(crate) later: u64,
    pub(crate) void: u64,
    pub(crate) void_unplaced: u64,
    pub(crate) closed: bool,
    pub(crate) finals: BTreeSet<u64>,
    pub(crate) attempts: BTreeMap<u64, u32>,
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
        Self { number, name, outbound, state: Mutex::default(), work, rings }
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

    pub(super) fn ticket(&self, seq: u64) -> Ticket {
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
            let noted = state.attempts.remove(&entry.seq).unwrap_or_default();
            if !state.finals.contains(&entry.seq) && !state.ahead.remove(&entry.seq) {
                entry.possible_duplicate |= entry.seq < state.suspect || state.known.remove(&entry.seq);
                entry.attempts = entry.attempts.max(noted);
                state.doubt(entry.seq, entry.possible_duplicate);
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
        state.consumer = true;
        state.announced = true;
        // An earlier consumer must not go on hearing what is meant for this one.
        self.work.notify_waiters();
        state.generation
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

impl State {
    /// Entries in the lane without an end.
    fn waiting(&self) -> u64 {
        let finals = u64::try_from(self.finals.len()).unwrap_or(u64::MAX);
        self.committed.saturating_sub(self.floor).saturating_sub(finals)
    }

    fn is_final(&self, seq: u64) -> bool {
        seq < self.floor || self.finals.contains(&seq) || self.leaving.contains(&seq)
    }

    fn is_worth_sending(&self, entry: &Entry, now: Timestamp) -> bool {
        !self.is_final(entry.seq) && !entry.has_expired(now)
    }

    fn doubt(&mut self, seq: u64, doubtful: bool) {
        if doubtful {
            self.doubtful.insert(seq);
        } else {
            self.doubtful.remove(&seq);
        }
    }

    fn is_doubtful(&self, seq: u64, noted: bool) -> bool {
        let in_memory = seq < self.loaded || self.ahead.contains(&seq);
        if in_memory { self.doubtful.contains(&seq) } else { noted || seq < self.suspect || self.known.contains(&seq) }
    }

    fn waits(&self, seq: u64) -> Waits {
        if self.is_final(seq) || seq >= self.committed || self.closed {
            Waits::Gone
        } else if self.taken.contains_key(&seq) {
            Waits::InHand
        } else {
            Waits::Taken
        }
    }

    /// Whether the mark on disk says that this entry may have been handed out.
    fn is_marked(&self, seq: u64) -> bool {
        seq < self.handed_saved
    }

    /// The next delayed entry that is due.
    fn pop_due(&mut self, now: Timestamp) -> Option<Entry> {
        if self.first_due()? <= now {
            return self.delayed.pop_first().map(|(_, entry)| entry);
        }
        let far = now.plus(STALE);
        self.delayed.last_key_value().filter(|((at, ..), _)| *at > far)?;
        let never = Ticket { lane: u32::MAX, seq: u64::MAX };
        let key = self.delayed.range((far, never, u64::MAX)..).next().map(|(key, _)| *key)?;
        self.delayed.remove(&key)
    }

    /// When the first delayed entry is due.
    fn first_due(&self) -> Option<Timestamp> {
        self.delayed.first_key_value().map(|((at, _, _), _)| *at)
    }

    /// Rebuilds the state from what is on disk.
    pub(super) fn recover(&mut self, from: Recovered) {
        let Recovered { floor, next, suspect, handed_saved, known, references, .. } = from;
        let Recovered { later, void, void_unplaced, closed, finals, attempts, .. } = from;
        let marked = known.iter().rev().find(|seq| !references.contains(seq));
        *self = Self {
            saved: true,
            next,
            committed: next,
            loaded: floor,
            floor,
            floor_saved: floor,
            suspect,
            handed_saved,
            // Known suspects stay so after a crash, too: the next mark covers them.
            handed: marked.map_or(floor, |last| floor.max(last + 1)),
            handed_then: floor,
            known,
            finals,
            attempts,
            later,
            later_drafted: later,
            later_saved: later,
            void,
            void_unplaced,
            closed,
            ..Self::default()
        };
        self.advance();
    }

    fn finish(&mut self, seq: u64) {
        self.leaving.remove(&seq);
        self.doubtful.remove(&seq);
        if seq >= self.floor {
            self.finals.insert(seq);
            self.advance();
        }
    }

    fn advance(&mut self) {
        while self.finals.remove(&self.floor) {
            self.floor += 1;
        }
        self.loaded = self.loaded.max(self.floor);
        // What ended without having been handed out says nothing of the pace of hand-outs.
        let passed = self.floor.saturating_sub(self.handed);
        self.handed += passed;
        self.handed_then += passed;
        if self.ahead.first().is_some_and(|seq| *seq < self.loaded) {
            self.ahead = self.ahead.split_off(&self.loaded);
        }
    }

    /// The mark that the next commit must write, if it has to move. Nothing beyond it is handed out, so it runs ahead by
    /// what is in hand, or by what is handed out from one mark to the next: few hand-outs ever wait for it, and few
    /// entries that never left are suspected.
    pub(super) fn handed_mark(&self) -> Option<u64> {
        let taken = u64::try_from(self.taken.len()).unwrap_or(LEAD);
        let pace = self.handed.saturating_sub(self.handed_then).saturating_mul(2);
        let lead = taken.max(pace).max(LEAD);
        let outrun = self.handed + lead / 2 > self.handed_saved || self.wanted > self.handed_saved;
        outrun.then(|| (self.handed + lead).max(self.wanted))
    }

    /// Entries below have been handed out by this run.
    pub(super) fn handed(&self) -> u64 {
        self.handed
    }

    /// Whether an entry belonged to a channel that was deleted since.
    pub(super) fn is_void(&self, ticket: Ticket) -> bool {
        match ordinal_of(ticket) {
            Some(ordinal) => ordinal < self.void_unplaced,
            None => ticket.seq < self.void,
        }
    }

    /// The marks of a draft are on disk.
    pub(super) fn marked(&mut self, floor: u64, handed: Option<(u64, u64)>, later: u64) {
        self.saved = true;
        self.floor_saved = self.floor_saved.max(floor);
        self.later_saved = later;
        if let Some((mark, then)) = handed {
            (self.handed_saved, self.handed_then) = (mark, then);
        }
        self.mark_asked = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(rings: &Arc<AtomicUsize>) -> Lane {
        let lane = Lane::new(0, "out/1/c".into(), true, Arc::default(), rings.clone());
        lane.state().marked(0, Some((u64::MAX, 0)), 0);
        lane
    }

    fn entry(seq: u64) -> Entry {
        let message = Outbound::plain("", "");
        let item = Item::Message(Arc::new(message));
        Entry { seq, origin: Ticket { lane: 0, seq }, item, attempts: 0, possible_duplicate: false }
    }

    fn seqs(taken: Taken) -> Vec<u64> {
        match taken {
            Taken::Entries(entries) => entries.into_iter().map(|entry| entry.seq).collect(),
            Taken::Load { .. } | Taken::Unmarked { .. } | Taken::Nothing { .. } => Vec::new(),
        }
    }

    #[test]
    fn a_blocked_lane_keeps_a_bounded_part_of_its_entries_in_memory() {
        let rings = Arc::default();
        let lane = lane(&rings);
        (0..200_000).for_each(|seq| lane.appended(entry(seq)));
        assert_eq!(lane.state().ring.len(), RING);
        assert_eq!(lane.waiting(), 200_000);
        let crowd: Vec<_> = (0..40).map(|_| self::lane(&rings)).collect();
        crowd.iter().for_each(|lane| (0..RING as u64 + 9).for_each(|seq| lane.appended(entry(seq))));
        assert!(rings.load(Ordering::Relaxed) <= RINGS + crowd.len() * SMALL_RING);
        assert!(crowd.last().is_some_and(|lane| lane.state().ring.len() == SMALL_RING));
        lane.close(200_000);
        crowd.iter().for_each(|lane| lane.close(0));
        assert_eq!(rings.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn while_too_many_wait_for_their_time_nothing_new_is_handed_out() {
        let lane = lane(&Arc::default());
        (0..=DELAYED as u64).for_each(|seq| lane.appended(entry(seq)));
        let generation = lane.acquire();
        let taken = seqs(lane.take(generation, DELAYED, |_| 1, Timestamp(0)));
        taken.into_iter().filter_map(|seq| lane.settle(seq)).for_each(|entry| lane.delay(entry, Timestamp(9)));
        assert!(matches!(lane.take(generation, 1, |_| 1, Timestamp(0)), Taken::Nothing { due: Some(Timestamp(9)) }));
        assert_eq!(seqs(lane.take(generation, 2, |_| 1, Timestamp(9))), [0, 1]);
    }

    #[test]
    fn a_clock_that_is_set_back_holds_up_neither_what_waits_in_memory_nor_what_is_behind_it() {
        let lane = lane(&Arc::default());
        (0..=DELAYED as u64).for_each(|seq| lane.appended(entry(seq)));
        let generation = lane.acquire();
        let hour = Timestamp(0).plus(Duration::from_secs(3_600));
        let taken = seqs(lane.take(generation, DELAYED, |_| 1, hour));
        let again = hour.plus(Duration::from_secs(60));
        taken.iter().filter_map(|seq| lane.settle(*seq)).for_each(|entry| lane.delay(entry, again));
        assert!(seqs(lane.take(generation, 1, |_| 1, hour)).is_empty());
        assert_eq!(seqs(lane.take(generation, DELAYED, |_| 1, Timestamp(0))), taken);
        assert!(matches!(lane.take(generation, 9, |_| 1, Timestamp(0)), Taken::Load { from: 2_048, .. }));
    }

    #[test]
    fn entries_of_one_instant_come_in_the_order_in_which_they_were_recorded() {
        let lane = lane(&Arc::default());
        (0..3).for_each(|seq| lane.appended(entry(seq)));
        let generation = lane.acquire();
        assert_eq!(seqs(lane.take(generation, 2, |_| 1, Timestamp(0))), [0, 1]);
        // The first waited on disk and comes back as number 3; the second waits in memory for the same instant.
        lane.settle(0).unwrap();
        lane.moved(0);
        lane.delay(lane.settle(1).unwrap(), Timestamp(5));
        let back = Entry { origin: Ticket { lane: 0, seq: 0 }, ..entry(3) };
        lane.resumed(back, Timestamp(5));
        assert_eq!(lane.waiting(), 3);
        assert_eq!(seqs(lane.take(generation, 9, |_| 1, Timestamp(4))), [2]);
        assert_eq!(seqs(lane.take(generation, 9, |_| 1, Timestamp(5))), [3, 1]);
    }

    #[test]
    fn nothing_is_handed_out_beyond_the_mark_and_the_mark_follows_the_pace() {
        let lane = lane(&Arc::default());
        (0..2_000).for_each(|seq| lane.appended(entry(seq)));
        lane.state().marked(0, Some((64, 0)), 0);
        let generation = lane.acquire();
        let take = |room| lane.take(generation, room, |_| 1, Timestamp(0));
        assert_eq!(seqs(take(1_000)).len(), 64);
        assert!(matches!(take(1_000), Taken::Unmarked { ask: true }));
        assert!(matches!(take(1_000), Taken::Unmarked { ask: false }));
        // What it would have taken, and not only what it has.
        assert_eq!(lane.state().handed_mark(), Some(1_064));
        lane.state().marked(0, Some((1_064, 64)), 0);
        assert_eq!(seqs(take(1_000)).len(), 1_000);
        assert!(lane.state().handed_mark().is_some_and(|mark| mark >= 2_000));
    }

    #[test]
    fn the_mark_follows_what_was_never_handed_out_and_what_stands_for_an_earlier_entry() {
        for references in [false, true] {
            let lane = lane(&Arc::default());
            lane.state().marked(0, Some((64, 0)), 0);
            for seq in 0..200 {
                if references {
                    lane.appended(Entry { origin: Ticket { lane: 1, seq }, ..entry(seq) });
                } else {
                    lane.archived(seq);
                }
            }
            lane.appended(entry(200));
            let generation = lane.acquire();
            let take = || lane.take(generation, 300, |_| 1, Timestamp(0));
            if references {
                assert_eq!(seqs(take()).len(), 200);
            }
            assert!(matches!(take(), Taken::Unmarked { ask: true }));
            let mark = lane.state().handed_mark().unwrap();
            assert!((500..=600).contains(&mark), "{mark} is not what it wants");
            let handed = lane.state().handed();
            lane.state().marked(0, Some((mark, handed)), 0);
            assert_eq!(seqs(take()), [200]);
        }
    }

    #[test]
    fn whoever_is_to_leave_is_handed_out_no_more_and_whoever_is_in_hand_stays() {
        let lane = lane(&Arc::default());
        (0..3).for_each(|seq| lane.appended(entry(seq)));
        let generation = lane.acquire();
        assert_eq!(seqs(lane.take(generation, 1, |_| 1, Timestamp(0))), [0]);
        assert_eq!(
            [0, 1, 1, 9].map(|seq| lane.withdraw(seq, false)),
            [Waits::InHand, Waits::Taken, Waits::Gone, Waits::Gone]
        );
        assert_eq!(seqs(lane.take(generation, 9, |_| 1, Timestamp(0))), [2]);
        lane.finish(1);
        assert_eq!(lane.waiting(), 2);
    }

    #[test]
    fn what_came_ahead_of_its_turn_is_not_loaded_again() {
        let lane = lane(&Arc::default());
        lane.state().recover(Recovered { next: 3, handed_saved: 3, ..Recovered::default() });
        lane.resumed(Entry { origin: Ticket { lane: 0, seq: 0 }, ..entry(3) }, Timestamp(1));
        let generation = lane.acquire();
        assert!(matches!(lane.take(generation, 9, |_| 1, Timestamp(0)), Taken::Load { from: 0, to: 4, .. }));
        lane.loaded(0, 4, (0..4).map(entry).collect());
        assert_eq!(seqs(lane.take(generation, 9, |_| 1, Timestamp(0))), [0, 1, 2]);
        assert_eq!(seqs(lane.take(generation, 9, |_| 1, Timestamp(1))), [3]);
        assert!(seqs(lane.take(generation, 9, |_| 1, Timestamp(1))).is_empty());
    }
}
