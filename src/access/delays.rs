//! How long somebody waits who has given wrong passwords: twice as long after each, for one name from one source.
//!
//! A source is not made to wait for what others do, so that nobody is locked out of an account from elsewhere; whoever
//! shares a source with somebody who guesses waits too. Names that nobody has are treated as others are.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Wrong passwords that cost nothing: people mistype.
const FREE: u32 = 3;
/// The longest delay.
const LONGEST: Duration = Duration::from_secs(60);
/// How long a wrong password is remembered against its source.
const REMEMBERED: Duration = Duration::from_secs(900);
/// Most names and sources that are remembered.
const MOST: usize = 8_192;
/// Wrong passwords that are told from new ones, for each name and source.
const DISTINCT: usize = 8;

/// Wrong passwords.
#[derive(Default)]
pub(super) struct Delays {
    wrong: HashMap<u64, Wrong>,
    state: RandomState,
}

/// Wrong passwords for one name from one source.
struct Wrong {
    /// How many different ones.
    count: u32,
    /// When the last one came.
    at: Instant,
    /// What the last ones are known under, the oldest first.
    passwords: Vec<[u8; 32]>,
}

impl Wrong {
    fn until(&self) -> Instant {
        let doublings = self.count.checked_sub(FREE + 1);
        let delay = doublings.map(|doublings| Duration::from_secs(1 << doublings.min(30)).min(LONGEST));
        self.at + delay.unwrap_or_default()
    }

    fn is_old(&self, now: Instant) -> bool {
        now.duration_since(self.at) >= REMEMBERED
    }
}

impl Delays {
    /// How long until a password for this name from this source is looked at again.
    pub(super) fn left(&self, now: Instant, source: IpAddr, name: &str) -> Option<Duration> {
        let wrong = self.wrong.get(&self.key(source, name)).filter(|wrong| !wrong.is_old(now))?;
        Some(wrong.until().saturating_duration_since(now)).filter(|left| !left.is_zero())
    }

    /// It was wrong. One of the last again is no guess, but a client that nobody has told of the new one.
    pub(super) fn wrong(&mut self, now: Instant, (source, name): (IpAddr, &str), password: [u8; 32]) {
        let key = self.key(source, name);
        if self.wrong.len() >= MOST && !self.wrong.contains_key(&key) {
            self.make_room(now);
        }
        let none = || Wrong { count: 0, at: now, passwords: Vec::new() };
        let wrong = self.wrong.entry(key).or_insert_with(none);
        if wrong.is_old(now) {
            *wrong = none();
        }
        if wrong.passwords.contains(&password) {
            return;
        }
        if wrong.passwords.len() >= DISTINCT {
            wrong.passwords.remove(0);
        }
        wrong.passwords.push(password);
        (wrong.count, wrong.at) = (wrong.count.saturating_add(1), now);
    }

    /// It was right: whoever it is may mistype again.
    pub(super) fn right(&mut self, source: IpAddr, name: &str) {
        let key = self.key(source, name);
        self.wrong.remove(&key);
    }

    /// At the bound those go that are old, or else the eighth that has been wrong least often and longest ago: a flood of
    /// names does not push out the one that is being guessed at.
    fn make_room(&mut self, now: Instant) {
        self.wrong.retain(|_, wrong| !wrong.is_old(now));
        if self.wrong.len() >= MOST {
            let mut all: Vec<_> = self.wrong.iter().map(|(key, wrong)| (wrong.count, wrong.at, *key)).collect();
            let (least, ..) = all.select_nth_unstable(MOST / 8);
            for (.., key) in least {
                self.wrong.remove(key);
            }
        }
    }

    /// The key of a table that anybody may fill must be nothing that they can choose.
    fn key(&self, source: IpAddr, name: &str) -> u64 {
        self.state.hash_one((source, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 2));

    fn password(number: u32) -> [u8; 32] {
        let mut password = [0; 32];
        password[..4].copy_from_slice(&number.to_be_bytes());
        password
    }

    #[test]
    fn each_wrong_one_doubles_the_delay_of_its_name_and_source_only() {
        let (mut delays, mut now) = (Delays::default(), Instant::now());
        let mut seconds = Vec::new();
        for number in 0..12 {
            delays.wrong(now, (HERE, "shop"), password(number));
            let left = delays.left(now, HERE, "shop").unwrap_or_default();
            seconds.push(left.as_secs());
            assert_eq!((delays.left(now, THERE, "shop"), delays.left(now, HERE, "root")), (None, None));
            now += left;
            assert_eq!(delays.left(now, HERE, "shop"), None);
        }
        assert_eq!(seconds, [0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        delays.right(HERE, "shop");
        delays.wrong(now, (HERE, "shop"), password(1));
        assert_eq!(delays.left(now, HERE, "shop"), None, "it begins anew");
    }

    #[test]
    fn the_same_wrong_one_again_is_no_guess_and_old_ones_are_forgotten() {
        let (mut delays, now) = (Delays::default(), Instant::now());
        (0..20).for_each(|_| delays.wrong(now, (HERE, "shop"), password(1)));
        assert_eq!(delays.left(now, HERE, "shop"), None);
        (0..20).for_each(|number| delays.wrong(now, (HERE, "shop"), password(number)));
        assert_eq!(delays.left(now, HERE, "shop"), Some(LONGEST));
        delays.wrong(now + REMEMBERED, (HERE, "shop"), password(3));
        assert_eq!(delays.left(now + REMEMBERED, HERE, "shop"), None);
    }

    #[test]
    fn clients_with_different_old_passwords_lock_nobody_out() {
        let (mut delays, mut now) = (Delays::default(), Instant::now());
        for _ in 0..20 {
            (0..3).for_each(|number| delays.wrong(now, (HERE, "shop"), password(number)));
            now += Duration::from_secs(60);
            assert_eq!(delays.left(now, HERE, "shop"), None);
        }
        (0..20).for_each(|number| delays.wrong(now, (HERE, "shop"), password(number)));
        let (last, before) = (password(12), password(11));
        let key = delays.key(HERE, "shop");
        delays.wrong(now, (HERE, "shop"), last);
        assert_eq!(delays.wrong[&key].count, 20, "one of the last");
        delays.wrong(now, (HERE, "shop"), before);
        assert_eq!((delays.wrong[&key].count, delays.wrong[&key].passwords.len()), (21, DISTINCT));
    }

    #[test]
    fn a_flood_of_names_does_not_push_out_the_one_that_is_guessed_at() {
        let (mut delays, now) = (Delays::default(), Instant::now());
        (0..9).for_each(|number| delays.wrong(now, (HERE, "shop"), password(number)));
        for number in 0..2 * MOST {
            delays.wrong(now, (HERE, &format!("name {number}")), password(0));
        }
        assert!(delays.left(now, HERE, "shop").is_some());
        assert!((MOST / 2..=MOST).contains(&delays.wrong.len()), "{}", delays.wrong.len());
    }
}
