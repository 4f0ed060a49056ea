//! MTs whose time is over while they wait: noted in `due` behind everything that waits to be sent, found in the order of
//! their time.
//!
//! Nothing here decides what is said of them; whoever asks withdraws them (`withdraw`). What is not noted any more needs no
//! look: an entry is noted whenever it gets a place in its lane, and until it has left.

use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::Notify;

use super::Embedded;
use super::draft::Op;
use super::keys::{self, DueKey};
use super::tables::unreadable;
use crate::model::Timestamp;
use crate::store::{Queued, ReadError, Ticket};

/// Most notes looked at in one go.
const LOOK: usize = 4_096;
/// Most MTs returned by one.
const FOUND: usize = 512;

/// When somebody has to look.
#[derive(Debug, Default)]
pub(crate) struct Expiries {
    /// Nothing expires before; in microseconds.
    first: AtomicI64,
    earlier: Notify,
}

impl Expiries {
    /// Something expires then.
    pub(super) fn note(&self, at: Timestamp) {
        if at.0 < self.first.fetch_min(at.0, Ordering::Relaxed) {
            self.earlier.notify_one();
        }
    }

    /// Nothing expires before.
    pub(crate) fn first(&self) -> Timestamp {
        Timestamp(self.first.load(Ordering::Relaxed))
    }

    /// Resolves when something has been noted that expires earlier than everything else.
    pub(crate) async fn earlier(&self) {
        self.earlier.notified().await;
    }
}

impl Embedded {
    /// MTs that wait and have expired by `now`, a bounded number; none means that there are none for now. What has been
    /// returned is not looked at again, unless it has got another place.
    pub(crate) fn expired(&self, now: Timestamp) -> Result<Vec<Queued>, ReadError> {
        // What is noted from now on counts.
        let from = self.expiries.first.swap(i64::MAX, Ordering::Relaxed);
        let found = self.look_for_expired(Timestamp(from), now);
        if found.is_err() {
            self.expiries.note(Timestamp(from));
        }
        found
    }

    fn look_for_expired(&self, from: Timestamp, now: Timestamp) -> Result<Vec<Queued>, ReadError> {
        let first = keys::expiry(from, Ticket { lane: 0, seq: 0 });
        let (mut found, mut ops) = (Vec::new(), Vec::new());
        for (count, guard) in self.keyspaces.due.range(first.to_vec()..).enumerate() {
            let key = guard.key().map_err(|error| unreadable(&error))?;
            let Ok(key) = DueKey::try_from(&key[..]) else { continue };
            let at = keys::due_at(&key);
            if at > now || count == LOOK || found.len() == FOUND {
                self.expiries.note(at);
                break;
            }
            let Some(ticket) = keys::ticket(&key[8..]) else { continue };
            match self.waiting_at(ticket)? {
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
