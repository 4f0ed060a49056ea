//! MTs that nodes accept which do not hold their channel: each leaves them as rows that nobody else has, and the holder
//! takes them into its queues, with the same write that removes them.
//!
//! They are durable where they lie, which is what their senders are told.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Engine;
use super::draft::{Draft, Op, Ordinal};
use super::encode::{accepted, record};
use super::keys::{self, Kind, table};
use super::order::Id;
use super::rows::{Rows, Span, Table};
use crate::model::{Outbound, Timestamp};
use crate::redis::{Deposit, Slot};
use crate::store::{CommitError, ReadError};

/// Most MTs that may lie in a slot: its holder is away for long then.
const MOST: usize = 100_000;
/// Most that are taken by one write.
const TAKEN: usize = 512;

/// Leaves MTs of one channel for its holder; they are durable then.
///
/// # Errors
/// [`CommitError::Busy`] where too many lie there, [`CommitError::NotReady`] where Redis is away: some may have been left.
pub(crate) async fn leave(slot: &Slot, messages: &[Arc<Outbound>]) -> Result<(), CommitError> {
    let now = Timestamp::now();
    let deposits = messages.iter().enumerate().map(|(place, message)| {
        let id = Id::of_mt(message);
        let key = keys::deposit(now, u16::try_from(place).unwrap_or(u16::MAX), &id.order);
        Ok(Deposit {
            value: record(now, &**message)?,
            place: keys::value(Kind::Record, now, &key),
            key: key.to_vec(),
            id: id.order.to_vec(),
            alias: id.alias.map(Vec::from),
        })
    });
    let deposits: Vec<_> = deposits.collect::<Result<_, CommitError>>()?;
    let left = slot.deposit(&deposits, MOST).await;
    left.map_err(|error| CommitError::NotReady(error.to_string().into()))?.map_err(|_| CommitError::Busy)
}

impl Engine {
    /// Some may have been left: they are looked for.
    pub(crate) fn look_for_deposits(&self) {
        // Once, however long it takes until they are.
        if !self.deposits.swap(true, Ordering::Relaxed) {
            self.ask(vec![Op::Deposits]);
        }
    }

    /// Takes all that have been left by now.
    pub(super) async fn settle_deposits(&self) -> Result<(), CommitError> {
        while self.rows.has_deposits().await.map_err(|error| CommitError::NotReady(error.0))? {
            self.inbox.commit(vec![Op::Deposits]).await?;
        }
        Ok(())
    }
}

impl Rows {
    async fn has_deposits(&self) -> Result<bool, ReadError> {
        Ok(!self.is_at_hand() && !self.first(Table::Deposit, &Span::since([]), 1).await?.is_empty())
    }
}

impl Draft<'_> {
    /// Takes what has been left, up to a bound: whether there may be more.
    pub(super) async fn take_deposits(&mut self, ordinal: &mut Ordinal) -> Result<bool, ReadError> {
        let found = self.rows.first_surely(Table::Deposit, &Span::since([]), TAKEN).await?;
        // Those that come meanwhile are not told of: there were some.
        let more = !found.is_empty();
        for (key, value) in found {
            match keys::read::<Outbound>(&value).map(Arc::new) {
                Some(message) => {
                    for op in accepted(self.lanes, self.now, message, value) {
                        self.add(op, ordinal).await?;
                    }
                }
                // A newer version may read it: it is kept.
                None => {
                    tracing::error!(?key, "an MT that another node has accepted cannot be read and is put aside");
                    self.put(Table::Meta, keys::meta(table::UNREAD, &key), value);
                }
            }
            // Last: a reader who no longer finds it here finds it where it is now.
            self.remove(Table::Deposit, key);
        }
        Ok(more)
    }
}
