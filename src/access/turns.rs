//! Whose password is checked next: one of each line at a time, so that a source that floods waits for itself.
//!
//! Each source has a line, and a second one for the names that it has proved of late (`proven`): whoever floods from
//! where others are rightful keeps only strangers waiting. Only the first of each line waits for the few checks that run
//! at a time.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Checks that run at a time.
const AT_ONCE: usize = 4;
/// Checks in a line.
const OF_LINE: usize = 64;
/// Checks in all lines of names that are not proved. Beyond it, only the first of a source gets a place.
const OF_ALL: usize = 256;
/// Sources with such lines.
const SOURCES: usize = 512;
/// Those of one IPv6 network of 48 bits, which is what one customer has.
const OF_NETWORK: usize = 16;

/// All lines.
pub(super) struct Turns {
    lines: Arc<Mutex<Lines>>,
    running: Arc<Semaphore>,
}

#[derive(Default)]
struct Lines {
    /// In lines of names that are not proved.
    in_hand: usize,
    /// By source, and whether it has proved the names.
    lines: HashMap<(IpAddr, bool), Line>,
}

/// Checks that run or wait.
struct Line {
    in_hand: usize,
    /// One permit.
    first: Arc<Semaphore>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// Too many of this source, or of its network, wait.
    Source,
    /// Too many of all sources wait.
    All,
}

/// A place in a line.
pub(super) struct Place {
    lines: Arc<Mutex<Lines>>,
    line: (IpAddr, bool),
    first: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

/// The place of the first in a line.
pub(super) struct First {
    _first: OwnedSemaphorePermit,
    place: Place,
}

/// The right to run a check, until it is dropped.
pub(super) struct Turn {
    _running: OwnedSemaphorePermit,
    _first: First,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self { lines: Arc::default(), running: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// A place in a source's line for names that it has proved, or for others.
    pub(super) fn enter(&self, source: IpAddr, proven: bool) -> Result<Place, Full> {
        let mut lines = lock(&self.lines);
        let line = lines.lines.get(&(source, proven)).map_or(0, |line| line.in_hand);
        if line >= OF_LINE {
            return Err(Full::Source);
        }
        if !proven {
            lines.check(source, line == 0)?;
            lines.in_hand += 1;
        }
        let new = || Line { in_hand: 0, first: Arc::new(Semaphore::new(1)) };
        let line = lines.lines.entry((source, proven)).or_insert_with(new);
        line.in_hand += 1;
        let (first, running) = (line.first.clone(), self.running.clone());
        Ok(Place { lines: self.lines.clone(), line: (source, proven), first, running })
    }

    /// The turn of work that is nobody's guess, and of which there is one at a time. `None` when nothing runs any more.
    pub(super) async fn any(&self) -> Option<OwnedSemaphorePermit> {
        self.running.clone().acquire_owned().await.ok()
    }

    /// Nothing runs from here on.
    #[cfg(test)]
    pub(super) fn close(&self) {
        self.running.close();
    }

    /// Nothing runs until this is dropped.
    #[cfg(test)]
    pub(super) fn hold(&self) -> OwnedSemaphorePermit {
        let all = u32::try_from(AT_ONCE).unwrap_or(u32::MAX);
        self.running.clone().try_acquire_many_owned(all).expect("nothing runs yet")
    }

    /// Places that are taken.
    #[cfg(test)]
    pub(super) fn in_hand(&self) -> usize {
        lock(&self.lines).lines.values().map(|line| line.in_hand).sum()
    }
}

impl Lines {
    /// That a source may have one more for a name that it has not proved; its first one is `new`.
    fn check(&self, source: IpAddr, new: bool) -> Result<(), Full> {
        if !new {
            return if self.in_hand < OF_ALL { Ok(()) } else { Err(Full::All) };
        }
        let sources = || self.lines.keys().filter(|(_, proven)| !proven);
        if sources().count() >= SOURCES {
            return Err(Full::All);
        }
        let network = network(source);
        let of_network =
            network.map_or(0, |_| sources().filter(|(source, _)| self::network(*source) == network).count());
        if of_network < OF_NETWORK { Ok(()) } else { Err(Full::Source) }
    }
}

/// The network of 48 bits that an address is in.
fn network(source: IpAddr) -> Option<u128> {
    match source {
        IpAddr::V6(address) => Some(Ipv6Addr::to_bits(address) >> 80),
        IpAddr::V4(_) => None,
    }
}

impl Place {
    /// Waits until it is the first of its line. `None` as for [`Turns::any`].
    pub(super) async fn first(self) -> Option<First> {
        let first = self.first.clone().acquire_owned().await.ok()?;
        Some(First { _first: first, place: self })
    }
}

impl First {
    /// Waits for its turn. `None` as for [`Turns::any`].
    pub(super) async fn turn(self) -> Option<Turn> {
        let running = self.place.running.clone().acquire_owned().await.ok()?;
        Some(Turn { _running: running, _first: self })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lines = lock(&self.lines);
        let Lines { in_hand, lines } = &mut *lines;
        if !self.line.1 {
            *in_hand -= 1;
        }
        match lines.get_mut(&self.line) {
            Some(line) if line.in_hand > 1 => line.in_hand -= 1,
            _ => drop(lines.remove(&self.line)),
        }
    }
}

fn lock(lines: &Mutex<Lines>) -> MutexGuard<'_, Lines> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use futures_util::FutureExt;

    use super::*;

    fn source(number: usize) -> IpAddr {
        Ipv4Addr::from_bits(u32::try_from(number).unwrap()).into()
    }

    /// The turn of a check of a name that its source has not proved.
    async fn turn(turns: &Turns, number: usize) -> Result<Turn, Full> {
        turns.enter(source(number), false)?.first().await.unwrap().turn().await.ok_or(Full::All)
    }

    #[tokio::test]
    async fn a_source_that_floods_waits_for_itself() {
        let turns = Turns::new();
        let first = turn(&turns, 1).await.unwrap();
        let mut flood: Vec<_> = (1..OF_LINE).map(|_| Box::pin(turn(&turns, 1))).collect();
        assert!(flood.iter_mut().all(|turn| turn.now_or_never().is_none()), "one at a time");
        assert_eq!(turn(&turns, 1).await.err(), Some(Full::Source));
        let others: Vec<_> = (2..=AT_ONCE).map(|number| turn(&turns, number).now_or_never()).collect();
        assert!(others.iter().all(|turn| matches!(turn, Some(Ok(_)))), "they run at once");
        let mut last = Box::pin(turn(&turns, 5));
        assert!((&mut last).now_or_never().is_none(), "{AT_ONCE} run");
        drop(first);
        assert!(matches!((&mut last).now_or_never(), Some(Ok(_))), "its first comes before the flood's second");
        drop((flood, others, last));
        assert_eq!((turns.in_hand(), lock(&turns.lines).in_hand), (0, 0));
    }

    #[tokio::test]
    async fn names_that_a_source_has_proved_pass_by_its_flood() {
        let turns = Turns::new();
        let flood: Vec<_> = (0..OF_LINE).map(|_| turns.enter(source(1), false).ok().unwrap()).collect();
        assert_eq!(turns.enter(source(1), false).err(), Some(Full::Source));
        let proven = turns.enter(source(1), true).ok().unwrap();
        assert!(matches!(proven.first().now_or_never(), Some(Some(_))), "it is the first of its line");
        drop(flood);
        let proven: Vec<_> = (0..OF_LINE).map(|_| turns.enter(source(1), true).ok().unwrap()).collect();
        assert_eq!(turns.enter(source(1), true).err(), Some(Full::Source), "it is bounded too");
        drop(proven);
        assert_eq!(turns.in_hand(), 0);
    }

    #[test]
    fn when_all_places_are_taken_a_new_source_still_gets_one() {
        let turns = Turns::new();
        let floods = OF_ALL / OF_LINE;
        let flood: Vec<_> =
            (0..OF_ALL).map(|number| turns.enter(source(number % floods), false).ok().unwrap()).collect();
        let others: Vec<_> = (floods..SOURCES).map(|number| turns.enter(source(number), false).ok().unwrap()).collect();
        assert_eq!(turns.enter(source(floods), false).err(), Some(Full::All), "it has one");
        assert_eq!(turns.enter(source(SOURCES), false).err(), Some(Full::All), "the bound of sources");
        assert!(turns.enter(source(SOURCES), true).is_ok(), "whoever is known gets one");
        drop((flood, others));
        assert_eq!((turns.in_hand(), lock(&turns.lines).in_hand), (0, 0));
    }

    #[test]
    fn an_ipv6_network_of_48_bits_gets_few_of_the_places_of_sources() {
        let turns = Turns::new();
        let source = |network: u16, number: u16| Ipv6Addr::from([0x2001, 0xdb8, network, number, 0, 0, 0, 0]).into();
        let most = u16::try_from(OF_NETWORK).unwrap();
        let taken: Vec<_> = (0..most).map(|number| turns.enter(source(1, number), false).ok().unwrap()).collect();
        assert_eq!(turns.enter(source(1, most), false).err(), Some(Full::Source));
        assert!(turns.enter(source(1, 0), false).is_ok(), "it has a line");
        assert!(turns.enter(source(1, most), true).is_ok(), "it is known");
        assert!(turns.enter(source(2, 0), false).is_ok(), "another network");
        drop(taken);
        assert!(turns.enter(source(1, most), false).is_ok());
    }
}
