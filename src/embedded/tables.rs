//! The tables on disk, how the engine is opened, and single records read from them.

use std::collections::BTreeSet;
use std::sync::Arc;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use serde::de::DeserializeOwned;

use super::keys::{self, Tries, table};
use super::lane::{Entry, Item, Lane};
use super::retention::Retention;
use crate::store::{OpenError, ReadError, StoreConfig, Ticket};

/// The tables on disk. Few, because each costs memory and pins the journal until it has been flushed.
#[derive(Clone)]
pub(super) struct Keyspaces {
    /// Queue entries, each once.
    pub(super) msg: Keyspace,
    /// What became of them.
    pub(super) fate: Keyspace,
    /// Our message ids.
    pub(super) id: Keyspace,
    /// The providers' message ids.
    pub(super) smsc: Keyspace,
    /// MOs.
    pub(super) inbound: Keyspace,
    /// The messages of each phone.
    pub(super) phone: Keyspace,
    /// Queue entries that wait for their time, by time.
    pub(super) due: Keyspace,
    /// Everything small.
    pub(super) meta: Keyspace,
}

/// Keyspaces that changes name directly.
#[derive(Clone, Copy, Debug)]
pub(super) enum Table {
    Msg,
    Fate,
    Id,
    Meta,
    Smsc,
    Inbound,
    Phone,
}

/// The key in `meta`'s store table that says that the last run ended in order.
const CLEAN: &[u8] = b"clean";
/// Octets of a ticket in that mark.
const TICKET: usize = 12;
/// The key of the format's version.
const VERSION: &[u8] = b"format";
/// The key of a number above that of every event recorded so far.
pub(super) const ORDINAL: &[u8] = b"ordinal";

/// Octets of a table's records in memory before they are flushed. Small, since a restart replays them.
const MEMTABLE: u64 = 8 * 1024 * 1024;
/// Octets of journals before the tables that pin them are flushed.
const JOURNALS: u64 = 64 * 1024 * 1024;
/// Octets of blocks and indexes kept in memory.
const CACHE: u64 = 32 * 1024 * 1024;

/// Opens or makes the engine's database.
pub(super) fn open_database(config: &StoreConfig) -> Result<Database, OpenError> {
    std::fs::create_dir_all(&config.path).map_err(|source| OpenError::Io { path: config.path.clone(), source })?;
    let (correlations, messages) = (config.correlation_retention, config.retention);
    let filters = Arc::new(move |keyspace: &str| -> Option<Arc<dyn fjall::compaction::filter::Factory>> {
        let keep = match keyspace {
            "smsc" => correlations,
            "phone" => messages,
            _ => return None,
        };
        Some(Arc::new(Retention { keep }))
    });
    let database = Database::builder(&config.path)
        .cache_size(CACHE)
        .max_journaling_size(JOURNALS)
        .with_compaction_filter_factories(filters)
        .open();
    database.map_err(|error| match error {
        fjall::Error::Locked => OpenError::Locked { path: config.path.clone() },
        fjall::Error::Io(source) => OpenError::Io { path: config.path.clone(), source },
        other => OpenError::Engine(other.to_string()),
    })
}

impl Keyspaces {
    pub(super) fn open(database: &Database) -> Result<Self, OpenError> {
        let keyspace = |name: &str| {
            let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE);
            database.keyspace(name, options).map_err(|error| engine(&error))
        };
        Ok(Self {
            msg: keyspace("msg")?,
            fate: keyspace("fate")?,
            id: keyspace("id")?,
            smsc: keyspace("smsc")?,
            inbound: keyspace("inbound")?,
            phone: keyspace("phone")?,
            due: keyspace("due")?,
            meta: keyspace("meta")?,
        })
    }

    pub(super) fn of(&self, table: Table) -> &Keyspace {
        match table {
            Table::Msg => &self.msg,
            Table::Fate => &self.fate,
            Table::Id => &self.id,
            Table::Meta => &self.meta,
            Table::Smsc => &self.smsc,
            Table::Inbound => &self.inbound,
            Table::Phone => &self.phone,
        }
    }

    /// All of them; traffic alone may leave some untouched for long.
    pub(super) fn all(&self) -> [&Keyspace; 8] {
        [&self.msg, &self.fate, &self.id, &self.smsc, &self.inbound, &self.phone, &self.due, &self.meta]
    }

    pub(super) fn check_version(&self) -> Result<(), OpenError> {
        let key = keys::meta(table::STORE, VERSION);
        match get(&self.meta, &key)?.as_deref() {
            Some([version]) if *version == keys::FORMAT => Ok(()),
            Some(other) => Err(OpenError::Version { found: other.first().copied().unwrap_or_default() }),
            None => self.meta.insert(key, [keys::FORMAT]).map_err(|error| engine(&error)),
        }
    }

    /// If the last run ended in order: the entries that may have reached their receiver all the same. From now on it has
    /// not ended in order, whatever happens.
    pub(super) fn take_clean_mark(&self, database: &Database) -> Result<Option<BTreeSet<Ticket>>, OpenError> {
        let key = keys::meta(table::STORE, CLEAN);
        let Some(mark) = get(&self.meta, &key)? else { return Ok(None) };
        let removed = self.meta.remove(key).and_then(|()| database.persist(PersistMode::SyncData));
        removed.map_err(|error| engine(&error))?;
        let tickets = mark.get(1..).unwrap_or_default();
        Ok(Some(tickets.chunks(TICKET).filter_map(keys::ticket).collect()))
    }

    /// Says that this run has ended in order, and what may have reached its receiver all the same.
    pub(super) fn put_clean_mark(&self, database: &Database, suspects: &[Ticket]) -> fjall::Result<()> {
        let mut mark = vec![1];
        suspects.iter().for_each(|ticket| mark.extend(keys::entry(*ticket)));
        self.meta.insert(keys::meta(table::STORE, CLEAN), mark)?;
        database.persist(PersistMode::SyncAll)
    }

    /// The next block of a lane, `most` entries at most, and up to where it goes.
    pub(super) fn load(&self, lane: &Lane, from: u64, to: u64, most: usize) -> Result<(Vec<Entry>, u64), ReadError> {
        let bounds = keys::entry(lane.ticket(from)).to_vec()..keys::entry(lane.ticket(to)).to_vec();
        let (mut entries, mut last) = (Vec::with_capacity(most), to);
        for (count, guard) in self.msg.range(bounds).enumerate() {
            let (key, value) = guard.into_inner().map_err(|error| unreadable(&error))?;
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
    pub(super) fn item(&self, outbound: bool, ticket: Ticket) -> Result<Option<Item>, ReadError> {
        let value = get(&self.msg, &keys::entry(ticket))?;
        Ok(value.and_then(|value| entry(outbound, ticket, &value)).map(|entry| entry.item))
    }
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

pub(super) fn unreadable(error: &fjall::Error) -> ReadError {
    ReadError(error.to_string().into())
}

pub(super) fn engine(error: &fjall::Error) -> OpenError {
    OpenError::Engine(error.to_string())
}

pub(super) fn get(keyspace: &Keyspace, key: &[u8]) -> Result<Option<fjall::Slice>, ReadError> {
    keyspace.get(key).map_err(|error| unreadable(&error))
}

/// Keys and records of a range; values that are no such record are passed over.
pub(super) fn records<T: DeserializeOwned>(
    range: impl Iterator<Item = fjall::Guard>,
) -> Result<Vec<(Vec<u8>, T)>, ReadError> {
    let mut found = Vec::new();
    for guard in range {
        let (key, value) = guard.into_inner().map_err(|error| unreadable(&error))?;
        if let Some(record) = keys::read(&value) {
            found.push((key.to_vec(), record));
        }
    }
    Ok(found)
}
