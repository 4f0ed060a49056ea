//! The port to whatever keeps the engine's rows: ordered tables of octets, of which several are written at once or not at all.

mod fjall;
mod redis;

use std::sync::Arc;
use std::time::Duration;

pub(super) use self::fjall::Fjall;
pub(super) use self::redis::RedisRows;
use crate::model::Timestamp;
pub(crate) use crate::redis::{Row, Table};
use crate::store::ReadError;

/// A key and its value.
pub(super) type Found = (Vec<u8>, Vec<u8>);

/// From one key to before another, or without an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: Vec<u8>,
    pub(super) to: Option<Vec<u8>>,
}

impl Span {
    pub(super) fn new(from: impl Into<Vec<u8>>, to: impl Into<Vec<u8>>) -> Self {
        Self { from: from.into(), to: Some(to.into()) }
    }

    /// From this key on.
    pub(super) fn since(from: impl Into<Vec<u8>>) -> Self {
        Self { from: from.into(), to: None }
    }

    /// All keys that begin so.
    pub(super) fn of(prefix: impl Into<Vec<u8>>) -> Self {
        let from = prefix.into();
        let kept = from.iter().rposition(|octet| *octet != u8::MAX);
        let to = kept.map(|last| {
            let mut to = from[..=last].to_vec();
            to[last] += 1;
            to
        });
        Self { from, to }
    }

    /// What lies behind this key of it.
    pub(super) fn behind(self, key: &[u8]) -> Self {
        Self { from: [key, &[0]].concat(), ..self }
    }

    /// What lies before this key of it.
    pub(super) fn before(self, key: Vec<u8>) -> Self {
        Self { to: Some(key), ..self }
    }

    /// No key is in it.
    fn is_empty(&self) -> bool {
        self.to.as_ref().is_some_and(|to| *to <= self.from)
    }
}

/// Rows that are read at once where all of a span are wanted.
const PAGE: usize = 1_024;

/// From one attempt to read what is needed to the next.
const BETWEEN_READS: Duration = Duration::from_millis(200);

/// Where the rows are.
#[derive(Clone)]
pub(super) enum Rows {
    Fjall(Fjall),
    Redis(RedisRows),
}

impl Rows {
    /// A row's value.
    pub(super) async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        match self {
            Self::Fjall(tables) => tables.get(table, key),
            Self::Redis(slot) => slot.get(table, key).await,
        }
    }

    /// The first rows of a span, `most` at most.
    pub(super) async fn first(&self, table: Table, span: &Span, most: usize) -> Result<Vec<Found>, ReadError> {
        if span.is_empty() {
            return Ok(Vec::new());
        }
        match self {
            Self::Fjall(tables) => tables.range(table, span).take(most).collect(),
            Self::Redis(slot) => slot.range(table, span, false, most).await,
        }
    }

    /// The last rows of a span, the last one first, `most` at most.
    pub(super) async fn last(&self, table: Table, span: &Span, most: usize) -> Result<Vec<Found>, ReadError> {
        if span.is_empty() {
            return Ok(Vec::new());
        }
        match self {
            Self::Fjall(tables) => tables.range(table, span).rev().take(most).collect(),
            Self::Redis(slot) => slot.range(table, span, true, most).await,
        }
    }

    /// All rows of a span, of which there are few.
    pub(super) async fn all(&self, table: Table, mut span: Span) -> Result<Vec<Found>, ReadError> {
        let mut all = Vec::new();
        loop {
            let page = self.first(table, &span, PAGE).await?;
            let ended = page.len() < PAGE;
            all.extend(page);
            match all.last() {
                Some((last, _)) if !ended => span = span.behind(last),
                _ => return Ok(all),
            }
        }
    }

    /// About so many rows of a table in no order, and where to go on, which is at 0 at the beginning and at the end. `None`
    /// where old rows go by themselves.
    pub(super) async fn scan(
        &self,
        table: Table,
        cursor: u64,
        about: usize,
    ) -> Result<Option<(u64, Vec<Found>)>, ReadError> {
        match self {
            Self::Fjall(_) => Ok(None),
            Self::Redis(slot) => slot.scan(table, cursor, about).await.map(Some),
        }
    }

    /// Writes rows, all or none, in their order; they are durable then.
    ///
    /// # Errors
    /// Why nothing is to be written any more.
    pub(super) async fn write(&self, rows: Vec<Row>) -> Result<(), String> {
        match self {
            Self::Fjall(tables) => tables.write(rows),
            Self::Redis(slot) => slot.write(&rows).await,
        }
    }

    /// Removes every row.
    ///
    /// # Errors
    /// Why not; a directory is not removed.
    pub(super) async fn erase(&self) -> Result<(), String> {
        match self {
            Self::Fjall(_) => Err("what is in a directory goes with the directory".to_owned()),
            Self::Redis(slot) => slot.erase().await,
        }
    }

    /// Rows that are to be written now and then although nothing has happened.
    pub(super) fn heartbeat(&self, now: Timestamp) -> Vec<Row> {
        match self {
            Self::Fjall(_) => Fjall::heartbeat(now),
            Self::Redis(_) => Vec::new(),
        }
    }

    /// A row's value, for whoever can do nothing without it: as long as it may be read later, it is waited for.
    pub(super) async fn get_surely(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        loop {
            match self.get(table, key).await {
                Err(error) => self.outlast(error).await?,
                value => return value,
            }
        }
    }

    /// The same of [`Rows::first`].
    pub(super) async fn first_surely(&self, table: Table, span: &Span, most: usize) -> Result<Vec<Found>, ReadError> {
        loop {
            match self.first(table, span, most).await {
                Err(error) => self.outlast(error).await?,
                rows => return rows,
            }
        }
    }

    /// Waits until it is time to read again, if that can help.
    pub(super) async fn outlast(&self, error: ReadError) -> Result<(), ReadError> {
        match self {
            Self::Redis(slot) if !slot.is_given_up() => {
                tracing::debug!(%error, "what is needed cannot be read for now");
                tokio::time::sleep(BETWEEN_READS).await;
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// Whether a read is done when its future is first asked.
    pub(super) fn is_at_hand(&self) -> bool {
        matches!(self, Self::Fjall(_))
    }

    /// Why nothing can be written for now.
    pub(super) fn trouble(&self) -> Option<Arc<str>> {
        match self {
            Self::Fjall(_) => None,
            Self::Redis(slot) => slot.trouble(),
        }
    }

    /// Nobody waits any more for what cannot be written now.
    pub(super) fn give_up(&self) {
        if let Self::Redis(slot) = self {
            slot.give_up();
        }
    }
}
