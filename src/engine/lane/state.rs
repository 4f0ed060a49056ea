//! What a lane knows of its numbers: which are final, which are in memory, which may have been handed out, and how far
//! the marks on disk have got. Whoever holds the lane's lock moves it, in steps that leave it sound.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::super::keys::ordinal_of;
use super::{Entry, Waits};
use crate::model::Timestamp;
use crate::store::Ticket;

/// Nothing waits in memory for longer than half of this: what seems to is due, and the wall clock has been set back.
const STALE: Duration = Duration::from_secs(120);
/// By how much the mark of what may have been handed out runs ahead, at least.
const LEAD: u64 = 64;

/// The part of a lane that changes.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// The lane's number is on disk.
    pub(crate) saved: bool,
    /// The number that the next entry gets. Only the committer moves it.
    pub(crate) next: u64,
    /// Entries below are on disk.
    pub(super) committed: u64,
    /// Entries below have been in memory.
    pub(super) loaded: u64,
    /// Entries at or above `loaded` that are in memory all the same: their time came before their turn.
    pub(super) ahead: BTreeSet<u64>,
    /// Entries below are final.
    pub(crate) floor: u64,
    /// The floor that is on disk.
    pub(crate) floor_saved: u64,
    /// Entries below may have been handed out by an earlier run that did not end in order.
    pub(super) suspect: u64,
    /// Entries that an earlier run, which did, says may have reached their receiver.
    pub(super) known: BTreeSet<u64>,
    /// The mark on disk: entries below may have been handed out.
    pub(super) handed_saved: u64,
    /// Entries below have been handed out by this run. Entries that stand for an earlier one do not count: they say
    /// themselves that they are suspect after a crash.
    pub(super) handed: u64,
    /// Up to where the consumer would have taken, had the mark been there; and whether the committer has been asked for it.
    pub(super) wanted: u64,
    pub(super) mark_asked: bool,
    /// The mark never runs ahead of what the consumer would take: each hand-out waits for it.
    pub(super) exact: bool,
    /// What `handed` was when the mark was last written.
    pub(super) handed_then: u64,
    /// Final entries above the floor.
    pub(super) finals: BTreeSet<u64>,
    /// Entries that are about to become final: nobody gets them any more.
    pub(super) leaving: BTreeSet<u64>,
    /// Entries in memory that may have reached their receiver.
    pub(super) doubtful: BTreeSet<u64>,
    /// What an earlier run noted of entries that it put back: how often.
    pub(super) attempts: BTreeMap<u64, u32>,
    pub(super) ring: VecDeque<Entry>,
    pub(super) taken: BTreeMap<u64, Entry>,
    /// Entries that wait for their time, those of one instant in the order in which they were first recorded.
    pub(super) delayed: BTreeMap<(Timestamp, Ticket, u64), Entry>,
    /// Entries that wait on disk for their time.
    pub(super) later: u64,
    /// The same as the committer's drafts have it, and as it is on disk.
    pub(crate) later_drafted: u64,
    pub(crate) later_saved: u64,
    /// Entries below belonged to a channel that was deleted. As the committer's drafts have it.
    pub(crate) void: u64,
    /// The same for entries that have no place yet.
    pub(crate) void_unplaced: u64,
    pub(super) closed: bool,
    /// Counts consumers; the latest one is the lane's.
    pub(super) generation: u64,
    pub(super) consumer: bool,
    pub(super) announced: bool,
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

impl State {
    /// Entries in the lane without an end.
    pub(super) fn waiting(&self) -> u64 {
        let finals = u64::try_from(self.finals.len()).unwrap_or(u64::MAX);
        self.committed.saturating_sub(self.floor).saturating_sub(finals)
    }

    pub(super) fn is_final(&self, seq: u64) -> bool {
        seq < self.floor || self.finals.contains(&seq) || self.leaving.contains(&seq)
    }

    pub(super) fn is_worth_sending(&self, entry: &Entry, now: Timestamp) -> bool {
        !self.is_final(entry.seq) && !entry.has_expired(now)
    }

    pub(super) fn doubt(&mut self, seq: u64, doubtful: bool) {
        if doubtful {
            self.doubtful.insert(seq);
        } else {
            self.doubtful.remove(&seq);
        }
    }

    pub(super) fn is_doubtful(&self, seq: u64, noted: bool) -> bool {
        if self.is_on_disk(seq) {
            noted || seq < self.suspect || self.known.contains(&seq)
        } else {
            self.doubtful.contains(&seq)
        }
    }

    /// Whether an entry that has been recorded has not been in memory.
    pub(super) fn is_on_disk(&self, seq: u64) -> bool {
        seq >= self.loaded && !self.ahead.contains(&seq)
    }

    /// An entry comes from disk: it gets what is known of it beside its record.
    pub(super) fn enter(&mut self, entry: &mut Entry) {
        let noted = self.attempts.remove(&entry.seq).unwrap_or_default();
        entry.possible_duplicate |= entry.seq < self.suspect || self.known.remove(&entry.seq);
        entry.attempts = entry.attempts.max(noted);
        self.doubt(entry.seq, entry.possible_duplicate);
    }

    pub(super) fn waits(&self, seq: u64) -> Waits {
        if self.is_final(seq) || seq >= self.committed || self.closed {
            Waits::Gone
        } else if self.taken.contains_key(&seq) {
            Waits::InHand
        } else {
            Waits::Taken
        }
    }

    /// Whether the mark on disk says that this entry may have been handed out.
    pub(super) fn is_marked(&self, seq: u64) -> bool {
        seq < self.handed_saved
    }

    /// The next delayed entry that is due.
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<Entry> {
        if self.first_due()? <= now {
            return self.delayed.pop_first().map(|(_, entry)| entry);
        }
        let far = now.plus(STALE);
        self.delayed.last_key_value().filter(|((at, ..), _)| *at > far)?;
        let never = Ticket { lane: u32::MAX, seq: u64::MAX };
        let key = self.delayed.range((far, never, u64::MAX)..).next().map(|(key, _)| *key)?;
        self.delayed.remove(&key)
    }

    /// Those that are.
    pub(super) fn due(&self, now: Timestamp) -> impl Iterator<Item = &Entry> {
        let far = now.plus(STALE);
        self.delayed.iter().filter(move |((at, ..), _)| *at <= now || *at > far).map(|(_, entry)| entry)
    }

    /// When the first delayed entry is due.
    pub(super) fn first_due(&self) -> Option<Timestamp> {
        self.delayed.first_key_value().map(|((at, _, _), _)| *at)
    }

    /// Rebuilds the state from what is on disk.
    pub(in crate::engine) fn recover(&mut self, from: Recovered) {
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

    pub(super) fn finish(&mut self, seq: u64) {
        self.leaving.remove(&seq);
        self.doubtful.remove(&seq);
        if seq >= self.floor {
            self.finals.insert(seq);
            self.advance();
        }
    }

    pub(super) fn advance(&mut self) {
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
    /// entries that never left are suspected; unless the consumer wants none suspected beyond what it takes.
    pub(in crate::engine) fn handed_mark(&self) -> Option<u64> {
        if self.exact {
            return (self.wanted > self.handed_saved).then_some(self.wanted);
        }
        let taken = u64::try_from(self.taken.len()).unwrap_or(LEAD);
        let pace = self.handed.saturating_sub(self.handed_then).saturating_mul(2);
        let lead = taken.max(pace).max(LEAD);
        let outrun = self.handed + lead / 2 > self.handed_saved || self.wanted > self.handed_saved;
        outrun.then(|| (self.handed + lead).max(self.wanted))
    }

    /// Entries below have been handed out by this run.
    pub(in crate::engine) fn handed(&self) -> u64 {
        self.handed
    }

    /// Whether an entry belonged to a channel that was deleted since.
    pub(in crate::engine) fn is_void(&self, ticket: Ticket) -> bool {
        match ordinal_of(ticket) {
            Some(ordinal) => ordinal < self.void_unplaced,
            None => ticket.seq < self.void,
        }
    }

    /// The marks of a draft are on disk.
    pub(in crate::engine) fn marked(&mut self, floor: u64, handed: Option<(u64, u64)>, later: u64) {
        self.saved = true;
        self.floor_saved = self.floor_saved.max(floor);
        self.later_saved = later;
        if let Some((mark, then)) = handed {
            (self.handed_saved, self.handed_then) = (mark, then);
        }
        self.mark_asked = false;
    }
}
