//! The rows in a slot of Redis, which its holder alone writes.
//!
//! A write that Redis did not acknowledge is repeated until it does: repeating does no harm, and the callers wait. It ends
//! when somebody else has taken the slot, or when the store is closed meanwhile.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Found, Row, Span, Table};
use crate::redis::{Epoch, RedisError, Slot, WriteError};
use crate::store::ReadError;

/// From one attempt to write to the next, at first, and at most.
const AGAIN: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];

/// Why somebody who only reads writes nothing.
const ONLY_READ: &str = "the slot was opened to be read only";

/// See the file's head.
#[derive(Clone)]
pub(in crate::engine) struct RedisRows(Arc<Inner>);

struct Inner {
    slot: Slot,
    /// `None` for whoever only reads.
    epoch: tokio::sync::Mutex<Option<Epoch>>,
    trouble: Mutex<Option<Arc<str>>>,
    /// Cancelled when nobody waits any longer for what could not be written.
    given_up: CancellationToken,
}

impl RedisRows {
    /// The slot's rows, for whoever holds it from now on.
    pub(in crate::engine) async fn claim(slot: Slot, owner: &str) -> Result<Self, RedisError> {
        let epoch = slot.claim(owner).await?;
        tracing::debug!(?slot, epoch = epoch.number(), "taken");
        Ok(Self::new(slot, Some(epoch)))
    }

    /// The slot's rows, for whoever only reads them, and takes them from nobody.
    pub(in crate::engine) fn look(slot: Slot) -> Self {
        Self::new(slot, None)
    }

    fn new(slot: Slot, epoch: Option<Epoch>) -> Self {
        let epoch = tokio::sync::Mutex::new(epoch);
        Self(Arc::new(Inner { slot, epoch, trouble: Mutex::default(), given_up: CancellationToken::new() }))
    }

    pub(super) async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        self.0.slot.get(table, key).await.map_err(|error| unreadable(&error))
    }

    pub(super) async fn range(
        &self,
        table: Table,
        span: &Span,
        backwards: bool,
        most: usize,
    ) -> Result<Vec<Found>, ReadError> {
        let rows = self.0.slot.range(table, &span.from, span.to.as_deref(), backwards, most).await;
        rows.map_err(|error| unreadable(&error))
    }

    pub(super) async fn scan(&self, table: Table, cursor: u64, about: usize) -> Result<(u64, Vec<Found>), ReadError> {
        self.0.slot.scan(table, cursor, about).await.map_err(|error| unreadable(&error))
    }

    pub(super) async fn write(&self, rows: &[Row]) -> Result<(), String> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut epoch = self.0.epoch.lock().await;
        let epoch = epoch.as_mut().ok_or(ONLY_READ)?;
        let [mut again, longest] = AGAIN;
        loop {
            match self.0.slot.write(epoch, rows).await {
                Ok(()) => {
                    if self.trouble_mut().take().is_some() {
                        tracing::info!(slot = ?self.0.slot, "Redis takes writes again");
                    }
                    return Ok(());
                }
                Err(error @ WriteError::Fenced { .. }) => return Err(error.to_string()),
                Err(WriteError::Redis(error)) => {
                    let said = error.to_string();
                    let before = self.trouble_mut().replace(said.as_str().into());
                    if before.as_deref() != Some(said.as_str()) {
                        tracing::warn!(slot = ?self.0.slot, %error, "Redis does not take a write, which is repeated");
                    }
                    tokio::select! {
                        () = sleep(again) => again = (again * 2).min(longest),
                        () = self.0.given_up.cancelled() => {
                            return Err(format!("it was closed while Redis did not take its writes: {said}"));
                        }
                    }
                }
            }
        }
    }

    pub(super) async fn erase(&self) -> Result<(), String> {
        let mut epoch = self.0.epoch.lock().await;
        let epoch = epoch.as_mut().ok_or(ONLY_READ)?;
        self.0.slot.delete(epoch).await.map_err(|error| error.to_string())
    }

    /// Why Redis does not take what is to be written, while that is so.
    pub(super) fn trouble(&self) -> Option<Arc<str>> {
        self.trouble_mut().clone()
    }

    /// What Redis does not take now is not repeated any more.
    pub(super) fn give_up(&self) {
        self.0.given_up.cancel();
    }

    /// Whether nobody waits for what cannot be read.
    pub(super) fn is_given_up(&self) -> bool {
        self.0.given_up.is_cancelled()
    }

    fn trouble_mut(&self) -> MutexGuard<'_, Option<Arc<str>>> {
        self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unreadable(error: &RedisError) -> ReadError {
    ReadError(error.to_string().into())
}
