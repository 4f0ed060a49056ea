//! Patience with what fails: after a failure it stands for a growing pause, so that nobody asks again meanwhile, and
//! whoever waited for the same answer need not wait as long once more.

use std::time::Duration;

use tokio::time::Instant;

use super::error::RedisError;

/// The first and the longest pause.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// Does something in a task of its own. Whoever holds a lock while it waits for a server, or has just been given it, may
/// be part of a task that waits for something else before it goes on: that could be the same lock.
pub(super) async fn apart<T: Send + 'static>(something: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(something).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and with it whoever waits here.
            Err(_) => std::future::pending().await,
        },
    }
}

/// What came of it so far.
#[derive(Default)]
pub(super) struct Pace {
    pause: Duration,
    failed: Option<(RedisError, Instant)>,
}

impl Pace {
    /// Tries it, unless it has failed just now.
    ///
    /// # Errors
    /// Those of the attempt, or of the last one.
    pub(super) async fn attempt<T>(
        &mut self,
        attempt: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, RedisError> {
        if let Some((error, until)) = &self.failed
            && Instant::now() < *until
        {
            return Err(error.clone());
        }
        let done = attempt.await;
        match &done {
            Ok(_) => *self = Self::default(),
            Err(error) => {
                self.pause = (self.pause * 2).clamp(PAUSES.0, PAUSES.1);
                self.failed = Some((error.clone(), Instant::now() + self.pause));
            }
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_failure_stands_for_ever_longer_until_it_works() {
        let mut pace = Pace::default();
        let fail = async || Err(RedisError::NoNode { why: String::new() });
        let mut asked = Vec::new();
        let start = Instant::now();
        while asked.len() < 9 {
            let _: Result<(), _> = pace
                .attempt(async {
                    asked.push(start.elapsed().as_millis());
                    fail().await
                })
                .await;
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        assert_eq!(asked, [0, 20, 60, 140, 300, 620, 1260, 2260, 3260]);
        tokio::time::advance(PAUSES.1).await;
        assert!(pace.attempt(async { Ok(()) }).await.is_ok());
        let _: Result<(), _> = pace.attempt(fail()).await;
        assert_eq!(pace.pause, PAUSES.0);
        let _: Result<(), _> = pace.attempt(async { unreachable!("it has failed just now") }).await;
    }
}
