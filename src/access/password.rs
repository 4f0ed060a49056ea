//! Passwords: argon2id, few at a time, and answers remembered for a minute (`verdicts`).
//!
//! A check costs tens of milliseconds and 19 MiB, and basic authentication sends the password with every request.
//! Verdicts are kept under a key of this process, so that its memory has no password and no plain hash of one.
//!
//! Whoever has given wrong ones waits (`delays`) before anything else is looked at: an answer from memory would tell
//! them as much as a check. Whose turn it is to be checked is for `turns`; those who bring the same from the same place
//! meanwhile share one check.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::delays::Delays;
use super::proven::Proven;
use super::turns::{Full, Place, Turns};
use super::verdicts::Verdicts;
use super::{AccountError, Denied};
use crate::model::PasswordHash;
use crate::web::subscriber::subscriber;

/// Checks passwords.
pub(super) struct Passwords {
    /// Of this process; `None` when the operating system gave none, and nothing is checked then.
    key: Option<[u8; 32]>,
    memory: Arc<Memory>,
    pub(super) turns: Turns,
    /// Those that run or wait.
    checks: Mutex<HashMap<Key, WeakShared<Verifying>>>,
}

/// The source of a password, and what its verdict is kept under.
type Key = (IpAddr, [u8; 32]);

/// A check, until it has a verdict. It gives its place back when nobody waits for it any more.
type Verifying = BoxFuture<'static, Result<bool, Denied>>;

/// What has been found out.
#[derive(Default)]
struct Memory {
    verdicts: Verdicts,
    delays: Mutex<Delays>,
    proven: Mutex<Proven>,
}

/// A password that somebody has brought.
struct Brought {
    source: IpAddr,
    account: String,
    hash: String,
    password: String,
    /// What its verdict is kept under.
    name: [u8; 32],
}

/// The hash of a password that nobody has, for names that nobody has.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyBpdCE$\
                      AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

impl Passwords {
    pub(super) fn new() -> Self {
        let mut key = [0; 32];
        let key = getrandom::fill(&mut key).ok().map(|()| key);
        Self { key, memory: Arc::default(), turns: Turns::new(), checks: Mutex::default() }
    }

    /// Hashes a new password. There is one at a time: accounts change one after the other.
    pub(super) async fn hash(&self, password: String) -> Result<PasswordHash, AccountError> {
        let turn = self.turns.any().await;
        let hashed = tokio::task::spawn_blocking(move || {
            let hashed = Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string());
            drop(turn);
            hashed.map_err(|error| error.to_string())
        });
        let hashed = hashed.await.map_err(|error| error.to_string()).and_then(|hashed| hashed);
        hashed.map(PasswordHash).map_err(AccountError::Secret)
    }

    /// Whether a password is that of an account's hash; without a hash it is not, after as long.
    pub(super) async fn verify(
        &self,
        source: IpAddr,
        account: &str,
        hash: Option<PasswordHash>,
        password: &str,
    ) -> Result<bool, Denied> {
        let source = subscriber(source);
        let hash = hash.map_or_else(|| NOBODY.to_owned(), |hash| hash.0);
        let name = self.name(account, &hash, password).ok_or(Denied::Busy)?;
        if let Some(right) = self.memory.recall(source, account, &name)? {
            return Ok(right);
        }
        let (account, password) = (account.to_owned(), password.to_owned());
        self.check(Brought { source, account, hash, password, name })?.await
    }

    /// Another password counts for this name, or none: who had the one before is not known by it any more. Verdicts on that
    /// one need not be looked for: nobody asks for them again.
    pub(super) fn forget(&self, account: &str) {
        lock(&self.memory.proven).forget(account);
    }

    /// The check of a password: the one that runs or waits already, or else a new one.
    fn check(&self, brought: Brought) -> Result<Shared<Verifying>, Denied> {
        let key: Key = (brought.source, brought.name);
        let mut checks = lock(&self.checks);
        // There are not many: each has a place.
        checks.retain(|_, check| check.upgrade().is_some_and(|check| check.peek().is_none()));
        if let Some(check) = checks.get(&key).and_then(WeakShared::upgrade) {
            return Ok(check);
        }
        let proven = lock(&self.memory.proven).has(Instant::now(), brought.source, &brought.account);
        let place = self.turns.enter(brought.source, proven).map_err(|full| match full {
            Full::Source => Denied::Crowded,
            Full::All => Denied::Busy,
        })?;
        let check = brought.check(place, self.memory.clone()).boxed().shared();
        checks.extend(check.downgrade().map(|weak| (key, weak)));
        Ok(check)
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
}

impl Brought {
    /// Whether it is right, once it is its turn or somebody else's check has shown it.
    async fn check(self, place: Place, memory: Arc<Memory>) -> Result<bool, Denied> {
        let recall = || memory.recall(self.source, &self.account, &self.name);
        let first = place.first().await.ok_or(Denied::Busy)?;
        // Those before it in the line may have been guesses too.
        if let Some(right) = recall()? {
            return Ok(right);
        }
        let turn = first.turn().await.ok_or(Denied::Busy)?;
        if let Some(right) = recall()? {
            return Ok(right);
        }
        let checked = tokio::task::spawn_blocking(move || {
            let right = Argon2::default().verify_password(self.password.as_bytes(), &*self.hash).is_ok();
            // Here, and only now: whoever asked may have gone, and the work goes on without them.
            memory.learn((self.source, &self.account), self.name, right);
            drop(turn);
            right
        });
        checked.await.map_err(|_| Denied::Busy)
    }
}

impl Memory {
    /// What is known of a password, unless whoever gives it has to wait. One that is known to be right does not end that,
    /// or a client that sends it all the time would give whoever guesses beside it free guesses all the time.
    fn recall(&self, source: IpAddr, account: &str, name: &[u8; 32]) -> Result<Option<bool>, Denied> {
        match lock(&self.delays).left(Instant::now(), source, account) {
            Some(left) => {
                Err(Denied::TooSoon { seconds: left.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX) })
            }
            None => Ok(self.verdicts.get(name)),
        }
    }

    fn learn(&self, (source, account): (IpAddr, &str), name: [u8; 32], right: bool) {
        self.verdicts.keep(name, right);
        let now = Instant::now();
        if right {
            lock(&self.delays).right(source, account);
            lock(&self.proven).add(now, source, account);
        } else {
            lock(&self.delays).wrong(now, (source, account), name);
        }
    }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn a_verdict_is_remembered_for_one_hash_and_one_password_only() {
        let passwords = Passwords::new();
        let hash = passwords.hash("correct horse".to_owned()).await.unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.0);
        let other = passwords.hash("correct horse".to_owned()).await.unwrap();
        assert_ne!(hash, other);
        let verify = async |hash: &PasswordHash, password: &str| {
            passwords.verify(HERE, "me", Some(hash.clone()), password).await
        };
        assert_eq!(verify(&hash, "correct horse").await, Ok(true));
        assert_eq!(verify(&hash, "wrong").await, Ok(false));
        // No check can run from here on: what is still answered is remembered.
        passwords.turns.close();
        assert_eq!(verify(&hash, "correct horse").await, Ok(true));
        assert_eq!(verify(&hash, "wrong").await, Ok(false));
        assert_eq!(verify(&hash, "another").await, Err(Denied::Busy));
        assert_eq!(verify(&other, "correct horse").await, Err(Denied::Busy));
    }

    #[tokio::test]
    async fn a_name_that_nobody_has_is_checked_too() {
        let passwords = Passwords::new();
        assert_eq!(passwords.verify(HERE, "me", None, "x").await, Ok(false));
        assert!(argon2::password_hash::phc::PasswordHash::new(NOBODY).is_ok());
        passwords.turns.close();
        assert_eq!(passwords.verify(HERE, "me", None, "y").await, Err(Denied::Busy), "as a known one");
    }

    #[tokio::test]
    async fn whoever_guesses_is_told_to_wait_before_anything_is_looked_at() {
        let passwords = Passwords::new();
        let hash = passwords.hash("correct horse".to_owned()).await.unwrap();
        let verify =
            async |source: IpAddr, password: &str| passwords.verify(source, "me", Some(hash.clone()), password).await;
        assert_eq!(verify(HERE, "correct horse").await, Ok(true));
        let guesses: Vec<String> = (0..30).map(|number| format!("guess {number}")).collect();
        // All at once, so that none has been found wrong when they come.
        let said = futures_util::future::join_all(guesses.iter().map(|guess| verify(HERE, guess))).await;
        let checked = said.iter().filter(|said| **said == Ok(false)).count();
        assert!((4..10).contains(&checked), "{said:?}");
        assert!(said.iter().all(|said| matches!(said, Ok(false) | Err(Denied::TooSoon { seconds: 1.. }))), "{said:?}");
        // The right one is remembered, and would tell a guesser that it is right.
        lock(&passwords.memory.delays).wrong(
            Instant::now() + std::time::Duration::from_secs(60),
            (HERE, "me"),
            [0; 32],
        );
        passwords.turns.close();
        assert!(matches!(verify(HERE, "correct horse").await, Err(Denied::TooSoon { .. })));
        assert!(matches!(verify(HERE, &guesses[0]).await, Err(Denied::TooSoon { .. })));
        assert_eq!(verify(IpAddr::V4(std::net::Ipv4Addr::BROADCAST), "correct horse").await, Ok(true));
    }

    #[tokio::test]
    async fn however_many_bring_the_same_password_at_once_there_is_one_check() {
        let passwords = Passwords::new();
        let hash = passwords.hash("correct horse".to_owned()).await.unwrap();
        let verify = |password: &'static str| Box::pin(passwords.verify(HERE, "me", Some(hash.clone()), password));
        let held = passwords.turns.hold();
        let mut all: Vec<_> = (0..200).map(|_| verify("correct horse")).collect();
        assert!(all.iter_mut().all(|one| one.now_or_never().is_none()));
        assert_eq!(passwords.turns.in_hand(), 1);
        let mut wrong = verify("battery staple");
        assert!((&mut wrong).now_or_never().is_none());
        assert_eq!(passwords.turns.in_hand(), 2);
        // Whoever was there first goes, and the others have its check.
        drop(all.remove(0));
        drop(held);
        assert_eq!(futures_util::future::join_all(all).await, vec![Ok(true); 199]);
        assert_eq!(wrong.await, Ok(false));
    }

    #[tokio::test]
    async fn a_check_that_nobody_waits_for_gives_its_place_back() {
        let passwords = Passwords::new();
        let _held = passwords.turns.hold();
        let mut both = [(); 2].map(|()| Box::pin(passwords.verify(HERE, "me", None, "x")));
        assert!(both.iter_mut().all(|one| one.now_or_never().is_none()));
        let [one, other] = both;
        drop(one);
        assert_eq!(passwords.turns.in_hand(), 1);
        drop(other);
        assert_eq!(passwords.turns.in_hand(), 0);
    }

    #[tokio::test]
    async fn what_is_settled_while_it_waits_in_its_line_waits_for_nothing_more() {
        let passwords = Passwords::new();
        let _held = passwords.turns.hold();
        let before = passwords.turns.enter(HERE, false).ok().unwrap().first().await;
        let mut verifies = ["x", "y"].map(|password| Box::pin(passwords.verify(HERE, "me", None, password)));
        assert!(verifies.iter_mut().all(|one| one.now_or_never().is_none()));
        let name = passwords.name("me", NOBODY, "x").unwrap();
        passwords.memory.learn((HERE, "me"), name, false);
        drop(before);
        let [mut settled, mut other] = verifies;
        assert_eq!((&mut settled).now_or_never(), Some(Ok(false)));
        assert_eq!((&mut other).now_or_never(), None, "it is the first now");
    }

    #[tokio::test]
    async fn a_flood_of_names_does_not_keep_those_waiting_who_were_right_from_there() {
        let passwords = Passwords::new();
        let hash = passwords.hash("correct horse".to_owned()).await.unwrap();
        let verify = || passwords.verify(HERE, "me", Some(hash.clone()), "correct horse");
        assert_eq!(verify().await, Ok(true));
        passwords.memory.verdicts.forget();
        let held = passwords.turns.hold();
        let names: Vec<String> = (0..100).map(|number| format!("name {number}")).collect();
        let mut flood: Vec<_> = names.iter().map(|name| Box::pin(passwords.verify(HERE, name, None, "x"))).collect();
        let said: Vec<_> = flood.iter_mut().filter_map(FutureExt::now_or_never).collect();
        assert_eq!(said, vec![Err(Denied::Crowded); 36], "the line is full");
        let mut known = Box::pin(verify());
        assert!((&mut known).now_or_never().is_none());
        drop(held);
        assert_eq!(known.await, Ok(true));
    }
}
