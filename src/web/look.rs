//! One look at something slow, shared by all who ask, and good for a while: those who ask cannot make it more often.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// The latest look.
pub(super) struct Latest<T> {
    /// How long after its end it is good.
    good_for: Duration,
    look: Mutex<Option<Look<T>>>,
}

/// A look; `None` while it is under way.
type Look<T> = watch::Receiver<Option<Seen<T>>>;

/// What was seen.
struct Seen<T> {
    what: Arc<T>,
    at: Instant,
}

impl<T: Send + Sync + 'static> Latest<T> {
    pub(super) fn new(good_for: Duration) -> Self {
        Self { good_for, look: Mutex::default() }
    }

    /// What is seen, by the look that is good or under way or else by this one. `None` when it was broken off: it has
    /// panicked, or everything ends.
    pub(super) async fn see<F>(&self, look: impl FnOnce() -> F) -> Option<Arc<T>>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut look = self.join(look);
        let seen = look.wait_for(Option::is_some).await.ok()?;
        seen.as_ref().map(|seen| seen.what.clone())
    }

    fn join<F>(&self, look: impl FnOnce() -> F) -> Look<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut latest = self.look.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(look) = latest.as_ref().filter(|look| self.is_good(look)) {
            return look.clone();
        }
        let (told, begun) = watch::channel(None);
        let look = look();
        // Whoever asked first may go: the others wait for it too, and asking and going must not make more looks.
        tokio::spawn(async move {
            let what = Arc::new(look.await);
            told.send_replace(Some(Seen { what, at: Instant::now() }));
        });
        *latest = Some(begun.clone());
        begun
    }

    fn is_good(&self, look: &Look<T>) -> bool {
        match &*look.borrow() {
            Some(seen) => seen.at.elapsed() < self.good_for,
            // One that was broken off ends no more.
            None => look.has_changed().is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

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

    #[tokio::test(start_paused = true)]
    async fn all_who_ask_share_one_look_until_it_is_old() {
        let (latest, (begun, look)) = (Latest::new(GOOD), counted());
        let all = futures_util::future::join_all((0..50).map(|_| latest.see(&look))).await;
        assert!(all.iter().all(|seen| seen.as_deref() == Some(&1)), "{all:?}");
        tokio::time::sleep(GOOD - Duration::from_millis(1)).await;
        assert_eq!(latest.see(&look).await.as_deref(), Some(&1));
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(latest.see(&look).await.as_deref(), Some(&2));
        assert_eq!(begun.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn asking_and_going_makes_no_more_looks() {
        let (latest, (begun, look)) = (Latest::new(GOOD), counted());
        for _ in 0..5 {
            assert!(tokio::time::timeout(Duration::from_secs(1), latest.see(&look)).await.is_err());
        }
        assert_eq!((latest.see(&look).await.as_deref(), begun.load(Ordering::Relaxed)), (Some(&1), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_was_broken_off_is_made_again() {
        let latest = Latest::new(GOOD);
        assert_eq!(latest.see(|| async { panic!("on purpose") }).await, None::<Arc<usize>>);
        assert_eq!(latest.see(|| async { 2 }).await.as_deref(), Some(&2));
    }
}
