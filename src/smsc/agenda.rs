//! What happens at which time: a queue by instants, in the order of its making where they are the same.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Instant;

/// See the file's head.
#[derive(Debug)]
pub(super) struct Agenda<T> {
    items: BinaryHeap<Reverse<Item<T>>>,
    order: u64,
}

#[derive(Debug)]
struct Item<T> {
    at: Instant,
    order: u64,
    what: T,
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self { items: BinaryHeap::new(), order: 0 }
    }
}

impl<T> Agenda<T> {
    /// Whether it is the first thing that will happen.
    pub(super) fn add(&mut self, at: Instant, what: T) -> bool {
        let first = self.next().is_none_or(|next| at < next);
        self.order += 1;
        self.items.push(Reverse(Item { at, order: self.order, what }));
        first
    }

    /// When something happens next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.items.peek().map(|Reverse(item)| item.at)
    }

    /// Takes what was to happen by `now`, the earliest first.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<T> {
        if self.next()? <= now { self.take() } else { None }
    }

    /// Takes what is to happen first, whenever that is.
    pub(super) fn take(&mut self) -> Option<T> {
        self.items.pop().map(|Reverse(item)| item.what)
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }
}

impl<T> Ord for Item<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl<T> PartialOrd for Item<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Item<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Item<T> {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn things_happen_in_the_order_of_their_times_and_then_of_their_making() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut agenda = Agenda::default();
        assert_eq!([agenda.add(later, 'c'), agenda.add(now, 'a'), agenda.add(now, 'b')], [true, true, false]);
        assert_eq!([agenda.take_due(now), agenda.take_due(now), agenda.take_due(now)], [Some('a'), Some('b'), None]);
        assert_eq!((agenda.next(), agenda.len(), agenda.take()), (Some(later), 1, Some('c')));
    }
}
