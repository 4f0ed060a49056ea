//! Joining segments: keyed by both addresses and the reference, in any order, with a deadline.
//!
//! The caller keeps the segments wherever it likes and gets its tokens back when a message is complete or given up.
//! When too many messages are incomplete the oldest is given up, and so is one whose reference is used again with
//! other content. A repeated segment of a message that was just completed is recognised by its content.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::hash::Hash;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Tables;
use super::udh::Concat;
use crate::field::{Address, DataCoding};

/// One segment of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment<T> {
    /// From whom.
    pub source: Address,
    /// To whom.
    pub destination: Address,
    /// Which piece.
    pub concat: Concat,
    /// How its text is coded.
    pub data_coding: DataCoding,
    /// Its text, without header.
    pub text: Bytes,
    /// The national tables that its header announces.
    pub tables: Tables,
    /// The caller's handle on it.
    pub token: T,
}

/// What became of a segment.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// Others are missing.
    Waiting,
    /// An identical one had come before; this one is not needed.
    Duplicate(T),
    /// It was the last: all segments, in order.
    Complete(Vec<Segment<T>>),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    source: Address,
    destination: Address,
    reference: u16,
    total: u8,
}

#[derive(Debug)]
struct Set<T> {
    generation: u64,
    segments: Vec<Option<Segment<T>>>,
    missing: usize,
}

/// See the module's head.
#[derive(Debug)]
pub struct Reassembler<T> {
    timeout: Duration,
    max_sets: usize,
    sets: HashMap<Key, Set<T>>,
    /// Sets in the order they were begun; entries of another generation are history, of which none is in front and the
    /// others are at most about as many as the sets.
    order: VecDeque<(Instant, u64, Key)>,
    /// Sets whose reference was used again.
    superseded: VecDeque<Vec<Segment<T>>>,
    /// Texts of completed messages, whose late duplicates must not begin a new set.
    done: HashMap<Key, (Instant, Vec<Bytes>)>,
    done_order: VecDeque<(Instant, Key)>,
    generation: u64,
}

impl<T> Reassembler<T> {
    /// Gives up sets after `timeout`, and the oldest when `max_sets` are incomplete.
    #[must_use]
    pub fn new(timeout: Duration, max_sets: usize) -> Self {
        Self {
            timeout,
            max_sets: max_sets.max(1),
            sets: HashMap::new(),
            order: VecDeque::new(),
            superseded: VecDeque::new(),
            done: HashMap::new(),
            done_order: VecDeque::new(),
            generation: 0,
        }
    }

    /// Takes a segment.
    pub fn push(&mut self, now: Instant, segment: Segment<T>) -> Outcome<T> {
        self.forget_done(now);
        let key = Key {
            source: segment.source.clone(),
            destination: segment.destination.clone(),
            reference: segment.concat.reference,
            total: segment.concat.total,
        };
        let index = usize::from(segment.concat.part).wrapping_sub(1);
        let repeats = |texts: &[Bytes]| texts.get(index).is_some_and(|text| *text == segment.text);
        if !self.sets.contains_key(&key) && self.done.get(&key).is_some_and(|(_, texts)| repeats(texts)) {
            return Outcome::Duplicate(segment.token);
        }
        let earlier = self.sets.get(&key).and_then(|set| set.segments.get(index)?.as_ref());
        match earlier.map(|earlier| earlier.text == segment.text) {
            Some(true) => return Outcome::Duplicate(segment.token),
            Some(false) => {
                let set = self.sets.remove(&key).map(|set| set.segments).unwrap_or_default();
                self.superseded.push_back(set.into_iter().flatten().collect());
                self.forget_history();
            }
            None => {}
        }
        let set = self.set(now, &key);
        let Some(slot) = set.segments.get_mut(index) else { return Outcome::Duplicate(segment.token) };
        *slot = Some(segment);
        set.missing -= 1;
        if set.missing > 0 {
            return Outcome::Waiting;
        }
        let segments = self.sets.remove(&key).map(|set| set.segments).unwrap_or_default();
        let segments: Vec<Segment<T>> = segments.into_iter().flatten().collect();
        let texts = segments.iter().map(|segment| segment.text.clone()).collect();
        self.done.insert(key.clone(), (now, texts));
        self.done_order.push_back((now, key));
        self.forget_history();
        Outcome::Complete(segments)
    }

    /// The set with this key, begun now if there is none.
    fn set(&mut self, now: Instant, key: &Key) -> &mut Set<T> {
        self.sets.entry(key.clone()).or_insert_with(|| {
            self.generation += 1;
            self.order.push_back((now, self.generation, key.clone()));
            let total = usize::from(key.total);
            Set {
                generation: self.generation,
                segments: std::iter::repeat_with(|| None).take(total).collect(),
                missing: total,
            }
        })
    }

    /// The next message to give up by `now`, with what it has, in order: too old, or one of too many.
    pub fn take_expired(&mut self, now: Instant) -> Option<Vec<Segment<T>>> {
        if let Some(segments) = self.superseded.pop_front() {
            return Some(segments);
        }
        let (begun, _, _) = self.order.front()?;
        if *begun + self.timeout > now && self.sets.len() <= self.max_sets {
            return None;
        }
        let (_, _, key) = self.order.pop_front()?;
        let set = self.sets.remove(&key)?;
        self.forget_history();
        Some(set.segments.into_iter().flatten().collect())
    }

    /// When the oldest incomplete message is to be given up.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.order.front().map(|(begun, _, _)| *begun + self.timeout)
    }

    /// How many messages are incomplete.
    #[must_use]
    pub fn incomplete(&self) -> usize {
        self.sets.len()
    }

    /// Drops entries of sets that are gone: those in front, and all once they outnumber the others.
    fn forget_history(&mut self) {
        let live = |(_, generation, key): &(Instant, u64, Key)| {
            self.sets.get(key).is_some_and(|set| set.generation == *generation)
        };
        while self.order.front().is_some_and(|entry| !live(entry)) {
            self.order.pop_front();
        }
        if self.order.len() > 2 * self.sets.len() + 16 {
            self.order.retain(live);
        }
    }

    fn forget_done(&mut self, now: Instant) {
        while let Some((completed, key)) = self.done_order.front() {
            if *completed + self.timeout.min(DONE_MEMORY) > now && self.done_order.len() <= self.max_sets {
                break;
            }
            if self.done.get(key).is_some_and(|(at, _)| at == completed) {
                self.done.remove(key);
            }
            self.done_order.pop_front();
        }
    }
}

/// How long a completed message is remembered: SMSCs repeat what was not acknowledged within minutes, while phones
/// come round their 256 references later than that.
const DONE_MEMORY: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn segment(source: &str, reference: u16, total: u8, part: u8) -> Segment<u8> {
        Segment {
            source: Address { digits: source.try_into().unwrap(), ..Address::default() },
            destination: Address::default(),
            concat: Concat::new(reference, total, part).unwrap(),
            data_coding: DataCoding(0),
            text: Bytes::from(vec![part]),
            tables: Tables::default(),
            token: part,
        }
    }

    fn reassembler() -> Reassembler<u8> {
        Reassembler::new(Duration::from_secs(60), 4)
    }

    #[test]
    fn two_senders_with_one_reference_do_not_mix() {
        let (mut joiner, now) = (reassembler(), Instant::now());
        assert_eq!(joiner.push(now, segment("1", 7, 2, 1)), Outcome::Waiting);
        assert_eq!(joiner.push(now, segment("2", 7, 2, 2)), Outcome::Waiting);
        let Outcome::Complete(first) = joiner.push(now, segment("1", 7, 2, 2)) else { panic!() };
        assert!(first.iter().all(|segment| segment.source.digits.to_text() == "1"));
    }

    #[test]
    fn duplicates_are_reported_before_and_after_completion() {
        let (mut joiner, now) = (reassembler(), Instant::now());
        joiner.push(now, segment("1", 7, 2, 1));
        assert_eq!(joiner.push(now, segment("1", 7, 2, 1)), Outcome::Duplicate(1));
        assert!(matches!(joiner.push(now, segment("1", 7, 2, 2)), Outcome::Complete(_)));
        assert_eq!(joiner.push(now, segment("1", 7, 2, 2)), Outcome::Duplicate(2));
        let later = now + Duration::from_secs(61);
        assert_eq!(joiner.push(later, segment("1", 7, 2, 2)), Outcome::Waiting);
    }

    #[test]
    fn old_sets_and_the_oldest_of_too_many_are_given_up() {
        let (mut joiner, now) = (reassembler(), Instant::now());
        for reference in 0..5 {
            joiner.push(now, segment("1", reference, 2, 1));
        }
        assert_eq!(joiner.take_expired(now).map(|set| set[0].concat.reference), Some(0));
        assert_eq!(joiner.take_expired(now), None);
        assert_eq!(joiner.poll_timeout(), Some(now + Duration::from_secs(60)));
        let later = now + Duration::from_secs(60);
        assert_eq!(std::iter::from_fn(|| joiner.take_expired(later)).count(), 4);
        assert_eq!(joiner.poll_timeout(), None);
    }

    #[test]
    fn a_reference_used_again_with_other_content_begins_a_new_message() {
        let (mut joiner, now) = (reassembler(), Instant::now());
        joiner.push(now, segment("1", 7, 2, 1));
        let other = Segment { text: Bytes::from_static(b"other"), ..segment("1", 7, 2, 1) };
        assert_eq!(joiner.push(now, other), Outcome::Waiting);
        assert_eq!(joiner.take_expired(now).map(|set| set.len()), Some(1));
        assert!(matches!(joiner.push(now, segment("1", 7, 2, 2)), Outcome::Complete(_)));
        let again = Segment { text: Bytes::from_static(b"again"), ..segment("1", 7, 2, 2) };
        assert_eq!(joiner.push(now, again), Outcome::Waiting);
    }

    #[test]
    fn what_is_complete_is_forgotten_behind_what_is_not() {
        let (mut joiner, now) = (reassembler(), Instant::now());
        let second = Duration::from_secs(1);
        joiner.push(now, segment("1", 0, 2, 1));
        for reference in 0..10_000 {
            joiner.push(now, segment("2", reference, 2, 1));
            joiner.push(now, segment("2", reference, 2, 2));
            assert_eq!(joiner.take_expired(now), None);
        }
        assert!(joiner.order.len() < 100, "{} entries for {} incomplete", joiner.order.len(), joiner.incomplete());
        joiner.push(now + second, segment("3", 0, 2, 1));
        assert_eq!(joiner.poll_timeout(), Some(now + 60 * second));
        joiner.push(now + second, segment("1", 0, 2, 2));
        assert_eq!(joiner.poll_timeout(), Some(now + 61 * second));
    }

    proptest! {
        #[test]
        fn segments_join_in_any_order(order in (1_u8..12).prop_flat_map(|total| Just((1..=total).collect::<Vec<_>>()).prop_shuffle())) {
            let (mut joiner, now) = (reassembler(), Instant::now());
            let total = u8::try_from(order.len()).unwrap();
            let mut outcomes: Vec<_> = order.iter().map(|part| joiner.push(now, segment("1", 9, total, *part))).collect();
            let Some(Outcome::Complete(joined)) = outcomes.pop() else { panic!("not complete") };
            prop_assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Waiting));
            prop_assert_eq!(joined.iter().map(|segment| segment.token).collect::<Vec<_>>(), (1..=total).collect::<Vec<_>>());
            prop_assert_eq!(joiner.incomplete(), 0);
        }
    }
}
