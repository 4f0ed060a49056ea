//! Lanes as their consumers and the committer see them, without a disk.

use std::collections::VecDeque;
use std::time::Duration;

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

/// Everything that may be seen of a lane of so many entries.
fn seen(lane: &Lane, generation: u64, now: Timestamp) -> Vec<Entry> {
    let (mut reach, mut seen) = (Reach::default(), Vec::new());
    loop {
        let (from, to, most, read) = match lane.peek(generation, &mut reach, 500, now) {
            Peeked::Entries(entries) => {
                seen.extend(entries);
                continue;
            }
            Peeked::End => return seen,
            Peeked::Load { from, to, most } => (from, to, most, false),
            Peeked::Read { from, to, most } => (from, to, most, true),
        };
        let to = to.min(from + most as u64);
        let entries = (from..to).map(entry).collect();
        if read {
            seen.extend(lane.deeper(&mut reach, to, entries, now));
        } else {
            lane.loaded(from, to, entries);
        }
    }
}

fn numbers(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.seq).collect()
}

fn chosen(seen: &[Entry], seqs: &[u64]) -> VecDeque<Entry> {
    seen.iter().filter(|entry| seqs.contains(&entry.seq)).cloned().collect()
}

#[test]
fn whoever_looks_leaves_everything_where_it_is_and_takes_what_it_chooses() {
    let rings = Arc::default();
    let lane = lane(&rings);
    (0..8).for_each(|seq| lane.appended(entry(seq)));
    let generation = lane.acquire();
    // One has waited for its time.
    lane.resumed(Entry { origin: Ticket { lane: 0, seq: 0 }, ..entry(8) }, Timestamp(5));
    assert_eq!(numbers(&seen(&lane, generation, Timestamp(4))), [0, 1, 2, 3, 4, 5, 6, 7]);
    let seen = seen(&lane, generation, Timestamp(5));
    assert_eq!(numbers(&seen), [8, 0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!((lane.length().in_hand, lane.withdraw(3, false)), (0, Waits::Taken));
    let mut left = chosen(&seen, &[8, 1, 3, 5]);
    let Chosen { taken, ask } = lane.take_chosen(generation, &mut left, Timestamp(5));
    assert_eq!((numbers(&taken), left.len(), ask), (vec![8, 1, 5], 0, false));
    // What was withdrawn goes when somebody looks next.
    assert_eq!((lane.length().in_hand, rings.load(Ordering::Relaxed)), (3, 6));
    // Nobody gets twice what is in hand; what is put back is next.
    assert!(lane.take_chosen(generation, &mut chosen(&seen, &[1]), Timestamp(5)).taken.is_empty());
    lane.give_back(generation, &[1, 5]);
    assert_eq!(seqs(lane.take(generation, 9, |_| 1, Timestamp(5))), [1, 5, 0, 2, 4, 6, 7]);
    // And whoever was the consumer once gets nothing.
    lane.acquire();
    assert!(lane.take_chosen(generation, &mut chosen(&seen, &[0]), Timestamp(5)).taken.is_empty());
}

#[test]
fn a_look_at_many_keeps_a_bounded_part_of_them_in_memory() {
    let rings = Arc::default();
    let lane = lane(&rings);
    lane.state().recover(Recovered { next: 5_000, handed_saved: 5_000, suspect: 4_500, ..Recovered::default() });
    let generation = lane.acquire();
    let all = seen(&lane, generation, Timestamp(0));
    assert!(numbers(&all).into_iter().eq(0..5_000), "{} were seen", all.len());
    assert_eq!((lane.state().ring.len(), rings.load(Ordering::Relaxed)), (RING, RING));
    let mut deep = chosen(&all, &[7, 4_000, 4_900]);
    let taken = lane.take_chosen(generation, &mut deep, Timestamp(0)).taken;
    let doubtful: Vec<_> = taken.iter().map(|entry| (entry.seq, entry.possible_duplicate)).collect();
    assert_eq!(doubtful, [(7, true), (4_000, true), (4_900, false)]);
    assert_eq!(lane.length().in_hand, 3);
    assert_eq!([4_000, 4_900].map(|seq| lane.withdraw(seq, false)), [Waits::InHand; 2]);
    lane.finish(lane.settle(4_000).unwrap().seq);
    // Each of the others comes once, whether it was taken from disk and put back or not.
    lane.give_back(generation, &[4_900]);
    let mut had = vec![7];
    loop {
        match lane.take(generation, 500, |_| 1, Timestamp(0)) {
            Taken::Entries(entries) => had.extend(numbers(&entries)),
            Taken::Load { from, to, most } => {
                let to = to.min(from + most as u64);
                lane.loaded(from, to, (from..to).map(entry).collect());
            }
            Taken::Unmarked { .. } | Taken::Nothing { .. } => break,
        }
    }
    had.sort_unstable();
    assert!(had.iter().copied().eq((0..5_000).filter(|seq| *seq != 4_000)), "{} came", had.len());
}

#[test]
fn what_is_chosen_beyond_the_mark_waits_for_it() {
    let lane = lane(&Arc::default());
    (0..600).for_each(|seq| lane.appended(entry(seq)));
    lane.state().marked(0, Some((64, 0)), 0);
    let generation = lane.acquire();
    let seen = seen(&lane, generation, Timestamp(0));
    let mut left = chosen(&seen, &[10, 500, 590]);
    let Chosen { taken, ask } = lane.take_chosen(generation, &mut left, Timestamp(0));
    assert_eq!((numbers(&taken), left.len(), ask), (vec![10], 2, true));
    let mark = lane.state().handed_mark().unwrap();
    assert!(mark >= 591, "{mark}");
    lane.state().marked(0, Some((mark, 11)), 0);
    assert_eq!(numbers(&lane.take_chosen(generation, &mut left, Timestamp(0)).taken), [500, 590]);
}
