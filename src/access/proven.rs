//! Which names have been proved from where of late: their passwords do not wait behind guesses (`turns`).

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long after it was last found right a password counts.
const REMEMBERED: Duration = Duration::from_secs(900);
/// Most names and sources that are remembered.
const MOST: usize = 4_096;

/// Names and the sources they were proved from.
#[derive(Default)]
pub(super) struct Proven {
    at: HashMap<(IpAddr, String), Instant>,
}

impl Proven {
    /// Whether a password for this name from this source was right.
    pub(super) fn has(&self, now: Instant, source: IpAddr, name: &str) -> bool {
        let at = self.at.get(&(source, name.to_owned()));
        at.is_some_and(|at| now.duration_since(*at) < REMEMBERED)
    }

    /// It was right. At the bound the oldest is forgotten.
    pub(super) fn add(&mut self, now: Instant, source: IpAddr, name: &str) {
        let key = (source, name.to_owned());
        if self.at.len() >= MOST && !self.at.contains_key(&key) {
            let oldest = self.at.iter().min_by_key(|(_, at)| **at).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| self.at.remove(&oldest));
        }
        self.at.insert(key, now);
    }

    /// What was right for this name is not any more.
    pub(super) fn forget(&mut self, name: &str) {
        self.at.retain(|(_, proven), _| proven != name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_counts_from_its_source_for_a_while_and_the_oldest_makes_room() {
        let (mut proven, now) = (Proven::default(), Instant::now());
        let source = |number: u8| IpAddr::from([203, 0, 113, number]);
        proven.add(now, source(1), "shop");
        assert!(proven.has(now, source(1), "shop"));
        assert!(!proven.has(now, source(2), "shop") && !proven.has(now, source(1), "root"));
        let last = REMEMBERED - Duration::from_millis(1);
        assert!(proven.has(now + last, source(1), "shop") && !proven.has(now + REMEMBERED, source(1), "shop"));
        (0..MOST).for_each(|number| proven.add(now + last, source(1), &format!("name {number}")));
        assert!(!proven.has(now + last, source(1), "shop") && proven.has(now + last, source(1), "name 0"));
        assert_eq!(proven.at.len(), MOST);
    }
}
