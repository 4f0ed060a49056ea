//! One look at something slow, shared by all who ask, and good for a while: those who ask cannot make it more often.
//!
//! While a new look is under way, what was seen last is told as long as it is not too old; few may wait for the look.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

/// The latest look.
pub(super) struct Latest<T> {
    /// How long after its end it is good.
    good_for: Duration,
    looks: Mutex<Looks<T>>,
    /// A permit for each who may wait.
    waiting: Semaphore,
}

struct Looks<T> {
    newest: Option<Look<T>>,
    /// What the one before has seen.
    before: Option<Seen<T>>,
}

/// A look; `None` while it is under way.
type Look<T> = watch::Receiver<Option<Seen<T>>>;

/// What was seen.
pub(super) struct Seen<T> {
    pub(super) what: Arc<T>,
    at: Instant,
}

/// Why there is nothing to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unseen {
    /// Too many wait for the look.
    Crowded,
    /// The look has panicked, or everything ends.
    BrokenOff,
}

/// How long after it was seen something is told while a new look is under way.
const STALE: Duration = Duration::from_secs(60);
/// Most who wait for a look.
const MOST: usize = 32;

impl<T> Seen<T> {
    /// How long ago it was seen.
    pub(super) fn age(&self) -> Duration {
        self.at.elapsed()
    }
}

impl<T> Clone for Seen<T> {
    fn clone(&self) -> Self {
        Self { what: self.what.clone(), at: self.at }
    }
}

impl<T: Send + Sync + 'static> Latest<T> {
    pub(super) fn new(good_for: Duration) -> Self {
        let looks = Mutex::new(Looks { newest: None, before: None });
        Self { good_for, looks, waiting: Semaphore::new(MOST) }
    }

    /// What is seen, by the look that is good or under way or else by this one; or, at once, what was seen before.
    pub(super) async fn see<F>(&self, look: impl FnOnce() -> F) -> Result<Seen<T>, Unseen>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let (mut look, before) = self.join(look);
        let told = look.borrow().clone();
        if let Some(seen) = told.or(before) {
            return Ok(seen);
        }
        let _waits = self.waiting.try_acquire().map_err(|_| Unseen::Crowded)?;
        let seen = look.wait_for(Option::is_some).await.map_err(|_| Unseen::BrokenOff)?;
        seen.clone().ok_or(Unseen::BrokenOff)
    }

    /// The look that is good or under way, or else a new one; and what was seen before it.
    fn join<F>(&self, look: impl FnOnce() -> F) -> (Look<T>, Option<Seen<T>>)
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = match looks.newest.as_ref().filter(|look| self.is_good(look)) {
            Some(newest) => newest.clone(),
            None => {
                looks.before = looks.newest.as_ref().and_then(|look| look.borrow().clone());
                let newest = Self::begin(look());
                looks.newest = Some(newest.clone());
                newest
            }
        };
        (newest, looks.before.clone().filter(|seen| seen.age() < STALE))
    }

    /// Whoever asked first may go: the others wait for it too, and asking and going must not make more looks.
    fn begin(look: impl Future<Output = T> + Send + 'static) -> Look<T> {
        let (told, begun) = watch::channel(None);
        tokio::spawn(async move {
            let what = Arc::new(look.await);
            told.send_replace(Some(Seen { what, at: Instant::now() }));
        });
        begun
    }

    fn is_good(&self, look: &Look<T>) -> bool {
        match &*look.borrow() {
            Some(seen) => seen.age() < self.good_for,
            // One that was broken off ends no more.
            None => look.has_changed().is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt;

    use super::*;

    const LONG: Duration = Duration::from_secs(7);
    const GOOD: Duration = Duration::from_secs(5);

    /// Looks that have begun, and one that says how many, after a long time.
    fn counted() -> (Arc<AtomicUsize>, impl Fn() -> Pin) {
        let begun = Arc::new(AtomicUsize::new(0));
        let count = begun.clone();
        let look = move || -> Pin {
            let number = count.fetch_add(1, Ordering::Relaxed) + 1;
            Box::pin(async move {
                tokio::time::sleep(LONG).await;
                number
            })
        };
        (begun, look)
    }

    type Pin = std::pin::Pin<Box<dyn Future<Output = usize> + Send>>;

    /// What is told, and how old it is.
    fn told(seen: Result<Seen<usize>, Unseen>) -> Result<(usize, Duration), Unseen> {
        seen.map(|seen| (*seen.what, seen.age()))
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_ask_share_one_look_until_it_is_old() {
        let (latest, (begun, look)) = (Latest::new(GOOD), counted());
        let all = futures_util::future::join_all((0..MOST).map(|_| latest.see(&look))).await;
        assert!(all.into_iter().all(|seen| told(seen) == Ok((1, Duration::ZERO))));
        tokio::time::sleep(GOOD - Duration::from_millis(1)).await;
        assert_eq!(told(latest.see(&look).await), Ok((1, GOOD - Duration::from_millis(1))));
        assert_eq!(begun.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_seen_last_is_told_while_a_new_look_is_under_way() {
        let (latest, (begun, look)) = (Latest::new(GOOD), counted());
        assert_eq!(told(latest.see(&look).await), Ok((1, Duration::ZERO)));
        tokio::time::sleep(GOOD).await;
        assert_eq!(told(latest.see(&look).await), Ok((1, GOOD)), "at once");
        assert_eq!(begun.load(Ordering::Relaxed), 2);
        let tick = Duration::from_millis(1);
        tokio::time::sleep(LONG + tick).await;
        assert_eq!(told(latest.see(&look).await), Ok((2, tick)));
        tokio::time::sleep(STALE).await;
        assert_eq!(told(latest.see(&look).await), Ok((3, Duration::ZERO)), "nothing older than that is told");
    }

    #[tokio::test(start_paused = true)]
    async fn few_wait_for_a_look() {
        let (latest, (begun, look)) = (Latest::new(GOOD), counted());
        let mut all: Vec<_> = (0..=MOST).map(|_| Box::pin(latest.see(&look))).collect();
        let said: Vec<_> = all.iter_mut().filter_map(FutureExt::now_or_never).map(told).collect();
        assert_eq!(said, [Err(Unseen::Crowded)]);
        drop(all);
        assert_eq!((told(latest.see(&look).await), begun.load(Ordering::Relaxed)), (Ok((1, Duration::ZERO)), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn asking_and_going_makes_no_more_looks() {
        let (latest, (begun, look)) = (Latest::new(GOOD), counted());
        for _ in 0..5 {
            assert!(tokio::time::timeout(Duration::from_secs(1), latest.see(&look)).await.is_err());
        }
        assert_eq!(told(latest.see(&look).await), Ok((1, Duration::ZERO)));
        assert_eq!(begun.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_was_broken_off_is_made_again() {
        let latest = Latest::new(GOOD);
        assert_eq!(told(latest.see(|| async { panic!("on purpose") }).await), Err(Unseen::BrokenOff));
        assert_eq!(told(latest.see(|| async { 2 }).await), Ok((2, Duration::ZERO)));
    }
}
