//! What waits in a lane for a consumer that takes only some of it: it looks through the lane, which leaves everything where
//! it is, and takes what it has chosen.
//!
//! The ring is filled as far as it may be; what lies deeper is read from disk and forgotten again.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::Ordering;

use super::{BLOCK, Entry, Lane, RING, SMALL_RING, State};
use crate::model::Timestamp;

/// How far a consumer has looked into a lane.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    begun: bool,
    /// Entries of the ring that have been looked at.
    ring: usize,
    /// Entries below that are on disk only have been looked at.
    disk: u64,
}

/// What is next in a lane.
pub(in crate::engine) enum Peeked {
    /// These; none if all of them have left.
    Entries(Vec<Entry>),
    /// The ring has room for at most this many of these.
    Load { from: u64, to: u64, most: usize },
    /// The ring has none; at most this many of these are to be read.
    Read { from: u64, to: u64, most: usize },
    /// Nothing.
    End,
}

/// What a consumer has got of what it has chosen.
pub(in crate::engine) struct Chosen {
    /// Now in hand.
    pub(in crate::engine) taken: Vec<Entry>,
    /// Whether the mark of what may have been handed out must be asked for, which the rest waits for.
    pub(in crate::engine) ask: bool,
}

impl Lane {
    /// The next entries that the consumer of this generation might take, about `most`.
    pub(in crate::engine) fn peek(&self, generation: u64, reach: &mut Reach, most: usize, now: Timestamp) -> Peeked {
        let mut state = self.state();
        if state.closed || state.generation != generation {
            return Peeked::End;
        }
        if !std::mem::replace(&mut reach.begun, true) {
            self.let_go(&mut state, |state, entry| !state.is_worth_sending(entry, now));
            let due: Vec<Entry> = state.due(now).filter(|entry| state.is_worth_sending(entry, now)).cloned().collect();
            if !due.is_empty() {
                return Peeked::Entries(due);
            }
        }
        let until = state.ring.len().min(reach.ring + most);
        if reach.ring < until {
            let next = state.ring.range(reach.ring..until).filter(|entry| state.is_worth_sending(entry, now));
            reach.ring = until;
            return Peeked::Entries(next.cloned().collect());
        }
        let (from, to) = (state.loaded.max(reach.disk), state.committed);
        let room = if self.crowded() { SMALL_RING } else { RING }.saturating_sub(state.ring.len());
        if from >= to {
            Peeked::End
        } else if reach.disk == 0 && room > 0 {
            Peeked::Load { from, to, most: BLOCK.min(room) }
        } else {
            Peeked::Read { from, to, most: BLOCK }
        }
    }

    /// Those of some that were read up to `to` that are on disk only.
    pub(in crate::engine) fn deeper(
        &self,
        reach: &mut Reach,
        to: u64,
        mut read: Vec<Entry>,
        now: Timestamp,
    ) -> Vec<Entry> {
        reach.disk = to;
        let state = self.state();
        read.retain(|entry| state.is_on_disk(entry.seq) && state.is_worth_sending(entry, now));
        read
    }

    /// Takes what the consumer of this generation has chosen, in its order, and leaves out what has left meanwhile. What
    /// stays in `chosen` waits for the mark.
    pub(in crate::engine) fn take_chosen(
        &self,
        generation: u64,
        chosen: &mut VecDeque<Entry>,
        now: Timestamp,
    ) -> Chosen {
        let mut state = self.state();
        let (mut taken, mut ask) = (Vec::new(), false);
        if state.closed || state.generation != generation {
            chosen.clear();
        }
        while let Some(mut entry) = chosen.pop_front() {
            let seq = entry.seq;
            if !state.is_worth_sending(&entry, now) || state.taken.contains_key(&seq) {
                continue;
            }
            if self.outbound && !self.is_reference(&entry) && !state.is_marked(seq) {
                chosen.push_front(entry);
                state.wanted = chosen.iter().map(|entry| entry.seq + 1).fold(state.wanted, u64::max);
                ask = !std::mem::replace(&mut state.mark_asked, true);
                break;
            }
            if state.is_on_disk(seq) {
                state.enter(&mut entry);
                state.ahead.insert(seq);
            }
            if !self.is_reference(&entry) {
                state.handed = state.handed.max(seq + 1);
            }
            taken.push(entry);
        }
        let seqs: HashSet<u64> = taken.iter().map(|entry| entry.seq).collect();
        self.let_go(&mut state, |_, entry| seqs.contains(&entry.seq));
        state.delayed.retain(|(_, _, seq), _| !seqs.contains(seq));
        state.taken.extend(taken.iter().map(|entry| (entry.seq, entry.clone())));
        Chosen { taken, ask }
    }

    /// Removes entries from the ring.
    fn let_go(&self, state: &mut State, goes: impl Fn(&State, &Entry) -> bool) {
        let mut ring = std::mem::take(&mut state.ring);
        let before = ring.len();
        ring.retain(|entry| !goes(state, entry));
        self.rings.fetch_sub(before - ring.len(), Ordering::Relaxed);
        state.ring = ring;
    }
}
