//! MTs whose time is over while they wait: noted in `due` behind everything that waits to be sent, found in the order of
//! their time.
//!
//! Nothing here decides what is said of them; whoever asks withdraws them (`withdraw`). What is not noted any more needs no
//! look: an entry is noted whenever it gets a place in its lane, and until it has left.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Engine;
use super::draft::Op;
use super::keys::{self, DueKey};
use super::rows::{Span, Table};
use crate::model::Timestamp;
use crate::store::{Queued, ReadError};

/// Most notes looked at in one go.
const LOOK: usize = 4_096;
/// Most MTs returned by one.
const FOUND: usize = 512;

/// When somebody has to look.
#[derive(Debug)]
pub(crate) struct Expiries {
    /// No note that has not been looked at lies before this key, so that nobody looks twice at those of one instant.
    first: Mutex<DueKey>,
    earlier: Arc<Notify>,
}

/// Behind every note.
const NEVER: DueKey = [u8::MAX; 20];

impl Expiries {
    pub(super) fn new(earlier: Arc<Notify>) -> Self {
        Self { first: Mutex::new(keys::expiries()), earlier }
    }

    fn key(&self) -> MutexGuard<'_, DueKey> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is a note under this key.
    pub(super) fn note(&self, key: DueKey) {
        let mut first = self.key();
        if key < *first {
            *first = key;
            self.earlier.notify_one();
        }
    }

    /// Nothing expires before.
    pub(crate) fn first(&self) -> Timestamp {
        keys::due_at(&self.key())
    }
}

impl Engine {
    /// MTs that wait and have expired by `now`, a bounded number; none means that there are none for now. What has been
    /// returned is not looked at again, unless it has got another place.
    pub(crate) async fn expired(&self, now: Timestamp) -> Result<Vec<Queued>, ReadError> {
        // What is noted from now on counts.
        let from = std::mem::replace(&mut *self.expiries.key(), NEVER);
        let found = self.look_for_expired(from, now).await;
        if found.is_err() {
            self.expiries.note(from);
        }
        found
    }

    async fn look_for_expired(&self, from: DueKey, now: Timestamp) -> Result<Vec<Queued>, ReadError> {
        let (mut found, mut ops) = (Vec::new(), Vec::new());
        let notes = self.rows.first(Table::Due, &Span::since(from), LOOK + 1).await?;
        for (count, (key, _)) in notes.into_iter().enumerate() {
            let Ok(key) = DueKey::try_from(&key[..]) else { continue };
            if keys::due_at(&key) > now || count == LOOK || found.len() == FOUND {
                self.expiries.note(key);
                break;
            }
            let Some(ticket) = keys::ticket(&key[8..]) else { continue };
            match self.waiting_at(ticket).await? {
                Some(Queued { message, spot }) => found.push(Queued { message, spot: spot.expired(key) }),
                None => ops.push(Op::Expired { key, ticket }),
            }
        }
        if !ops.is_empty() {
            self.ask(ops);
        }
        Ok(found)
    }
}
