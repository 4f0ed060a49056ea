//! Records read from rows: a lane's entries, all that there is of a kind, and what the store says of itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::draft::Op;
use super::keys::{self, Tries, table};
use super::lane::{Entry, Item, Lane};
use super::rows::{Row, Rows, Span, Table};
use crate::model::ChannelId;
use crate::store::{OpenError, ReadError, Restored, Ticket};

/// The key in `meta`'s store table that says that the last run ended in order.
const CLEAN: &[u8] = b"clean";
/// Octets of a ticket in that mark.
const TICKET: usize = 12;
/// The key of the format's version.
const VERSION: &[u8] = b"format";
/// The key that is there while an import has been begun and not been finished.
const UNFINISHED: &[u8] = b"unfinished";
/// The key that says how far the last import has got.
const RESTORED: &[u8] = b"restored";
/// The key of a number above that of every event recorded so far.
pub(super) const ORDINAL: &[u8] = b"ordinal";

impl Rows {
    /// Refuses rows of another version; says of new ones which they are.
    pub(super) async fn check_version(&self) -> Result<(), OpenError> {
        match self.is_there().await? {
            true => Ok(()),
            false => self.mark(keys::meta(table::STORE, VERSION), Some(vec![keys::FORMAT])).await,
        }
    }

    /// Whether there are rows. Refuses those of another version.
    pub(super) async fn is_there(&self) -> Result<bool, OpenError> {
        match self.get(Table::Meta, &keys::meta(table::STORE, VERSION)).await?.as_deref() {
            Some([version]) if *version == keys::FORMAT => Ok(true),
            Some(other) => Err(OpenError::Version { found: other.first().copied().unwrap_or_default() }),
            None => Ok(false),
        }
    }

    /// Refuses rows into which an import was not finished.
    pub(super) async fn check_finished(&self) -> Result<(), OpenError> {
        if self.is_unfinished().await? { Err(OpenError::Unfinished) } else { Ok(()) }
    }

    /// Whether an import into these rows was begun and not finished.
    pub(super) async fn is_unfinished(&self) -> Result<bool, ReadError> {
        Ok(self.get(Table::Meta, &keys::meta(table::STORE, UNFINISHED)).await?.is_some())
    }

    /// How far an import has got here.
    pub(super) async fn restored(&self) -> Result<Option<Restored>, ReadError> {
        let mark = self.get(Table::Meta, &keys::meta(table::STORE, RESTORED)).await?;
        Ok(mark.and_then(|mark| {
            let (line, digest) = mark.split_first_chunk()?;
            Some(Restored { line: u64::from_be_bytes(*line), digest: digest.try_into().ok()? })
        }))
    }

    /// If the last run ended in order: the entries that may have reached their receiver all the same. From now on it has
    /// not ended in order, whatever happens.
    pub(super) async fn take_clean_mark(&self) -> Result<Option<BTreeSet<Ticket>>, OpenError> {
        let known = self.clean_mark().await?;
        if known.is_some() {
            self.mark(keys::meta(table::STORE, CLEAN), None).await?;
        }
        Ok(known)
    }

    /// The same, left where it is.
    pub(super) async fn clean_mark(&self) -> Result<Option<BTreeSet<Ticket>>, ReadError> {
        let Some(mark) = self.get(Table::Meta, &keys::meta(table::STORE, CLEAN)).await? else { return Ok(None) };
        let tickets = mark.get(1..).unwrap_or_default();
        Ok(Some(tickets.chunks(TICKET).filter_map(keys::ticket).collect()))
    }

    /// The shards that channels' messages are in.
    pub(super) async fn shards(&self) -> Result<Vec<(ChannelId, u16)>, ReadError> {
        let prefix = keys::meta(table::SHARD, &[]);
        let rows = self.records::<u16>(Table::Meta, &prefix[..]).await?;
        let channel = |key: &[u8]| Some(std::str::from_utf8(key.get(prefix.len()..)?).ok()?.into());
        Ok(rows.into_iter().filter_map(|(key, shard)| Some((channel(&key)?, shard))).collect())
    }

    async fn mark(&self, key: Vec<u8>, value: Option<Vec<u8>>) -> Result<(), OpenError> {
        self.write(vec![Row { table: Table::Meta, key, value }]).await.map_err(OpenError::Engine)
    }

    /// The next block of a lane, `most` entries at most, and up to where it goes.
    pub(super) async fn load(
        &self,
        lane: &Lane,
        from: u64,
        to: u64,
        most: usize,
    ) -> Result<(Vec<Entry>, u64), ReadError> {
        let span = Span::new(keys::entry(lane.ticket(from)), keys::entry(lane.ticket(to)));
        let rows = self.first(Table::Msg, &span, most + 1).await?;
        let (mut entries, mut last) = (Vec::with_capacity(rows.len()), to);
        for (count, (key, value)) in rows.into_iter().enumerate() {
            let ticket = keys::ticket(&key);
            if let Some(ticket) = ticket.filter(|_| count == most) {
                last = ticket.seq;
                break;
            }
            match ticket.and_then(|ticket| entry(lane.outbound, ticket, &value)) {
                Some(entry) => entries.push(entry),
                None => tracing::error!(lane = &*lane.name, ?ticket, "a queue entry cannot be read and is passed over"),
            }
        }
        Ok((entries, last))
    }

    /// An entry's record.
    pub(super) async fn item(&self, outbound: bool, ticket: Ticket) -> Result<Option<Item>, ReadError> {
        let value = self.get(Table::Msg, &keys::entry(ticket)).await?;
        Ok(value.and_then(|value| entry(outbound, ticket, &value)).map(|entry| entry.item))
    }

    /// Keys and records of `meta` whose keys begin so; values that are no such record are passed over.
    pub(super) async fn records<T: DeserializeOwned>(
        &self,
        table: Table,
        prefix: impl Into<Vec<u8>>,
    ) -> Result<Vec<(Vec<u8>, T)>, ReadError> {
        let rows = self.all(table, Span::of(prefix)).await?;
        Ok(rows.into_iter().filter_map(|(key, value)| Some((key, keys::read(&value)?))).collect())
    }
}

/// What says that an import has been begun, or has been finished.
pub(super) fn unfinished_mark(unfinished: bool) -> Op {
    let key = keys::meta(table::STORE, UNFINISHED);
    if unfinished { Op::Put(Table::Meta, key, vec![1]) } else { Op::Remove(Table::Meta, key) }
}

/// What says how far an import has got, or that none has been begun.
pub(super) fn restored_mark(mark: Option<&Restored>) -> Op {
    let key = keys::meta(table::STORE, RESTORED);
    match mark {
        Some(mark) => Op::Put(Table::Meta, key, [&mark.line.to_be_bytes()[..], &mark.digest].concat()),
        None => Op::Remove(Table::Meta, key),
    }
}

/// What says that a run has ended in order, and what may have reached its receiver all the same.
pub(super) fn clean_mark(suspects: &[Ticket]) -> Row {
    let mut mark = vec![1];
    suspects.iter().for_each(|ticket| mark.extend(keys::entry(*ticket)));
    Row { table: Table::Meta, key: keys::meta(table::STORE, CLEAN), value: Some(mark) }
}

/// A queue entry as memory keeps it; `ticket` is where it is.
pub(super) fn entry(outbound: bool, ticket: Ticket, value: &[u8]) -> Option<Entry> {
    let (origin, tries, record) = keys::queued(ticket, value)?;
    let item = if outbound {
        Item::Message(Arc::new(serde_json::from_slice(record).ok()?))
    } else {
        Item::Callback(Arc::new(serde_json::from_slice(record).ok()?))
    };
    let Tries { attempts, possible_duplicate } = tries;
    Some(Entry { seq: ticket.seq, origin, item, attempts, possible_duplicate })
}
