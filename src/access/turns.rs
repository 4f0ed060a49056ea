//! Whose password is checked next: one of each source at a time, so that a source that floods waits for itself.
//!
//! Each source has its own line, and only the first of each waits for the few checks that run at a time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Checks that run at a time.
const AT_ONCE: usize = 4;
/// Checks of one source that run or wait.
const OF_SOURCE: usize = 64;
/// Checks of all sources that run or wait. Beyond it, only the first of a source gets a place.
const OF_ALL: usize = 256;
/// Sources with checks that run or wait.
const SOURCES: usize = 512;

/// All lines.
pub(super) struct Turns {
    lines: Arc<Mutex<Lines>>,
    running: Arc<Semaphore>,
}

#[derive(Default)]
struct Lines {
    /// Of all sources.
    in_hand: usize,
    by_source: HashMap<IpAddr, Line>,
}

/// The checks of one source that run or wait.
struct Line {
    in_hand: usize,
    /// One permit.
    first: Arc<Semaphore>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// Too many of this source wait.
    Source,
    /// Too many of all sources wait.
    All,
}

/// The right to run a check, until it is dropped.
pub(super) struct Turn {
    _first: OwnedSemaphorePermit,
    _running: OwnedSemaphorePermit,
    _place: Place,
}

/// A place in a line.
struct Place {
    lines: Arc<Mutex<Lines>>,
    source: IpAddr,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self { lines: Arc::default(), running: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// The turn of a source's check, when it comes.
    pub(super) async fn of(&self, source: IpAddr) -> Result<Turn, Full> {
        let (place, first) = self.enter(source)?;
        let first = first.acquire_owned().await.map_err(|_| Full::All)?;
        let running = self.any().await.ok_or(Full::All)?;
        Ok(Turn { _first: first, _running: running, _place: place })
    }

    /// The turn of work that is nobody's guess, and of which there is one at a time. `None` when nothing runs any more.
    pub(super) async fn any(&self) -> Option<OwnedSemaphorePermit> {
        self.running.clone().acquire_owned().await.ok()
    }

    fn enter(&self, source: IpAddr) -> Result<(Place, Arc<Semaphore>), Full> {
        let mut lines = lock(&self.lines);
        let Lines { in_hand, by_source } = &mut *lines;
        let sources = by_source.len();
        let first = match by_source.get_mut(&source) {
            None if sources >= SOURCES => return Err(Full::All),
            None => {
                let line = Line { in_hand: 1, first: Arc::new(Semaphore::new(1)) };
                by_source.entry(source).or_insert(line).first.clone()
            }
            Some(line) if line.in_hand >= OF_SOURCE => return Err(Full::Source),
            Some(_) if *in_hand >= OF_ALL => return Err(Full::All),
            Some(line) => {
                line.in_hand += 1;
                line.first.clone()
            }
        };
        *in_hand += 1;
        Ok((Place { lines: self.lines.clone(), source }, first))
    }

    /// Nothing runs from here on.
    #[cfg(test)]
    pub(super) fn close(&self) {
        self.running.close();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lines = lock(&self.lines);
        lines.in_hand -= 1;
        match lines.by_source.get_mut(&self.source) {
            Some(line) if line.in_hand > 1 => line.in_hand -= 1,
            _ => drop(lines.by_source.remove(&self.source)),
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

    #[tokio::test]
    async fn a_source_that_floods_waits_for_itself() {
        let turns = Turns::new();
        let first = turns.of(source(1)).await.unwrap();
        let mut flood: Vec<_> = (1..OF_SOURCE).map(|_| Box::pin(turns.of(source(1)))).collect();
        assert!(flood.iter_mut().all(|turn| turn.now_or_never().is_none()), "one at a time");
        assert_eq!(turns.of(source(1)).await.err(), Some(Full::Source));
        let others: Vec<_> = (2..=AT_ONCE).map(|number| turns.of(source(number)).now_or_never()).collect();
        assert!(others.iter().all(|turn| matches!(turn, Some(Ok(_)))), "they run at once");
        let mut last = Box::pin(turns.of(source(5)));
        assert!((&mut last).now_or_never().is_none(), "{AT_ONCE} run");
        drop(first);
        assert!(matches!((&mut last).now_or_never(), Some(Ok(_))), "its first comes before the flood's second");
        drop((flood, others, last));
        let lines = lock(&turns.lines);
        assert_eq!((lines.in_hand, lines.by_source.len()), (0, 0));
    }

    #[tokio::test]
    async fn when_all_places_are_taken_a_new_source_still_gets_one() {
        let turns = Turns::new();
        let floods = OF_ALL / OF_SOURCE;
        let flood: Vec<_> = (0..OF_ALL).map(|number| turns.enter(source(number % floods)).ok().unwrap()).collect();
        let others: Vec<_> = (floods..SOURCES).map(|number| turns.enter(source(number)).ok().unwrap()).collect();
        assert_eq!(turns.enter(source(floods)).err(), Some(Full::All), "it has one");
        assert_eq!(turns.enter(source(SOURCES)).err(), Some(Full::All), "the bound of sources");
        drop((flood, others));
        assert_eq!(lock(&turns.lines).in_hand, 0);
    }
}
