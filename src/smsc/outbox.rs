//! What waits for ESMEs: receipts and messages from phones, per account, each due at its time.
//!
//! Kept while nobody is bound; at the bound the oldest is dropped and counted.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use smpp::pdu::DeliverSm;
use tokio::sync::Notify;

/// Most that waits for one account.
const MOST: usize = 1_000_000;
/// The account whose messages any bind may take.
pub(super) const ANYBODY: &str = "";

/// See the file's head.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    accounts: Mutex<HashMap<String, Queue>>,
    order: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) changed: Notify,
}

type Queue = BTreeMap<(Instant, u64), DeliverSm>;

impl Outbox {
    fn accounts(&self) -> MutexGuard<'_, HashMap<String, Queue>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues messages for an account.
    pub(super) fn push(&self, account: &str, due: Instant, messages: impl IntoIterator<Item = DeliverSm>) {
        let mut accounts = self.accounts();
        if !accounts.contains_key(account) {
            accounts.insert(account.to_owned(), Queue::new());
        }
        if let Some(queue) = accounts.get_mut(account) {
            for message in messages {
                queue.insert((due, self.order.fetch_add(1, Ordering::Relaxed)), message);
                if queue.len() > MOST {
                    queue.pop_first();
                    self.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        drop(accounts);
        self.changed.notify_waiters();
    }

    /// The next message for an account that is due, or when the next one will be.
    pub(super) fn take(&self, account: &str, now: Instant) -> Result<DeliverSm, Option<Instant>> {
        let mut accounts = self.accounts();
        let mut next = None;
        for name in [account, ANYBODY] {
            let Some(queue) = accounts.get_mut(name) else { continue };
            match queue.first_key_value().map(|(key, _)| *key) {
                Some((due, _)) if due <= now => {
                    if let Some((_, message)) = queue.pop_first() {
                        return Ok(message);
                    }
                }
                Some((due, _)) => next = [next, Some(due)].into_iter().flatten().min(),
                None => {}
            }
        }
        Err(next)
    }
}
