//! Passwords: argon2id, few at a time, and right answers remembered for a minute.
//!
//! A check costs tens of milliseconds and 19 MiB, and basic authentication sends the password with every request.
//! Verdicts are kept under a key of this process, so that its memory has no password and no plain hash of one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::sync::Semaphore;

use super::{AccountError, Denied};
use crate::model::PasswordHash;

/// Checks at a time.
const AT_ONCE: usize = 4;
/// Checks that may wait; more are refused.
const WAITING: usize = 64;
/// How long a verdict is believed.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Most verdicts that are kept.
const MOST_VERDICTS: usize = 1_024;

/// Checks passwords.
pub(super) struct Passwords {
    /// Of this process; `None` when the operating system gave none, and nothing is remembered then.
    key: Option<[u8; 32]>,
    verdicts: ArcSwap<HashMap<[u8; 32], Verdict>>,
    running: Arc<Semaphore>,
    queue: Semaphore,
}

#[derive(Clone, Copy)]
struct Verdict {
    right: bool,
    until: Instant,
}

/// The hash of a password that nobody has, for names that nobody has.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyBpdCE$\
                      AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

impl Passwords {
    pub(super) fn new() -> Self {
        let mut key = [0; 32];
        Self {
            key: getrandom::fill(&mut key).ok().map(|()| key),
            verdicts: ArcSwap::default(),
            running: Arc::new(Semaphore::new(AT_ONCE)),
            queue: Semaphore::new(AT_ONCE + WAITING),
        }
    }

    /// Hashes a new password.
    pub(super) async fn hash(&self, password: String) -> Result<PasswordHash, AccountError> {
        let hashed = self.work(move || Argon2::default().hash_password(password.as_bytes())).await;
        let hashed = hashed.ok_or(AccountError::Busy)?;
        Ok(PasswordHash(hashed.map_err(|error| AccountError::Secret(error.to_string()))?.to_string()))
    }

    /// Whether a password is that of an account's hash; without a hash it is not, after as long.
    pub(super) async fn verify(
        &self,
        account: &str,
        hash: Option<PasswordHash>,
        password: &str,
    ) -> Result<bool, Denied> {
        let hash = hash.map_or_else(|| NOBODY.to_owned(), |hash| hash.0);
        let name = self.name(account, &hash, password);
        if let Some(right) = name.and_then(|name| self.remembered(&name)) {
            return Ok(right);
        }
        let password = password.to_owned();
        let checked = self.work(move || Argon2::default().verify_password(password.as_bytes(), &*hash).is_ok()).await;
        let right = checked.ok_or(Denied::Busy)?;
        if let Some(name) = name {
            self.remember(name, right);
        }
        Ok(right)
    }

    /// Runs in its turn; `None` when too many wait.
    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let _waiting = self.queue.try_acquire().ok()?;
        let running = self.running.clone().acquire_owned().await.ok()?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            // Only now: whoever asked may have gone, and the work goes on without them.
            drop(running);
            done
        });
        done.await.ok()
    }

    /// What a verdict is kept under. A new password has a new hash, so that nothing old is believed of it.
    /// Those of one account say nothing of another: how soon an answer comes would tell which names there are.
    fn name(&self, account: &str, hash: &str, password: &str) -> Option<[u8; 32]> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.as_ref()?).ok()?;
        [account, hash].iter().for_each(|part| {
            mac.update(part.as_bytes());
            mac.update(&[0]);
        });
        mac.update(password.as_bytes());
        Some(mac.finalize().into_bytes().into())
    }

    fn remembered(&self, name: &[u8; 32]) -> Option<bool> {
        let verdicts = self.verdicts.load();
        let verdict = verdicts.get(name)?;
        (Instant::now() < verdict.until).then_some(verdict.right)
    }

    /// At the bound wrong ones make room: there is no end of them.
    fn remember(&self, name: [u8; 32], right: bool) {
        self.verdicts.rcu(|verdicts| {
            let mut verdicts = HashMap::clone(verdicts);
            let now = Instant::now();
            verdicts.retain(|_, verdict| now < verdict.until);
            if verdicts.len() >= MOST_VERDICTS {
                verdicts.retain(|_, verdict| verdict.right);
            }
            if verdicts.len() < MOST_VERDICTS {
                verdicts.insert(name, Verdict { right, until: now + REMEMBERED });
            }
            verdicts
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_verdict_is_remembered_for_one_hash_and_one_password_only() {
        let passwords = Passwords::new();
        let hash = passwords.hash("correct horse".to_owned()).await.unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.0);
        let other = passwords.hash("correct horse".to_owned()).await.unwrap();
        assert_ne!(hash, other);
        assert_eq!(passwords.verify("me", Some(hash.clone()), "correct horse").await, Ok(true));
        assert_eq!(passwords.verify("me", Some(hash.clone()), "wrong").await, Ok(false));
        // No check can run from here on: what is still answered is remembered.
        passwords.queue.close();
        assert_eq!(passwords.verify("me", Some(hash.clone()), "correct horse").await, Ok(true));
        assert_eq!(passwords.verify("me", Some(hash.clone()), "wrong").await, Ok(false));
        assert_eq!(passwords.verify("me", Some(hash), "another").await, Err(Denied::Busy));
        assert_eq!(passwords.verify("me", Some(other), "correct horse").await, Err(Denied::Busy));
    }

    #[tokio::test]
    async fn a_name_that_nobody_has_is_checked_too() {
        let passwords = Passwords::new();
        assert_eq!(passwords.verify("me", None, "x").await, Ok(false));
        assert!(argon2::password_hash::phc::PasswordHash::new(NOBODY).is_ok());
        passwords.queue.close();
        assert_eq!(passwords.verify("me", None, "y").await, Err(Denied::Busy), "as a known one");
    }

    #[test]
    fn wrong_ones_do_not_push_out_right_ones() {
        let passwords = Passwords::new();
        let name = |number: usize| {
            let mut name = [0; 32];
            name[..8].copy_from_slice(&number.to_be_bytes());
            name
        };
        passwords.remember(name(0), true);
        (1..3 * MOST_VERDICTS).for_each(|number| passwords.remember(name(number), false));
        assert_eq!(passwords.remembered(&name(0)), Some(true));
        assert!(passwords.verdicts.load().len() <= MOST_VERDICTS);
    }
}
