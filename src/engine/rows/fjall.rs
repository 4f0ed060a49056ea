//! The rows in a directory of their own: fjall's keyspaces, one a table, written by one thread.

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use fjall::{Database, Guard, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{Found, Row, Span, Table};
use crate::engine::keys::{self, Kind};
use crate::engine::retention::Retention;
use crate::model::Timestamp;
use crate::store::{OpenError, ReadError, StoreConfig};

/// Octets of a table's records in memory before they are flushed. Small, since a restart replays them.
const MEMTABLE: u64 = 8 * 1024 * 1024;
/// Octets of journals before the tables that pin them are flushed.
const JOURNALS: u64 = 64 * 1024 * 1024;
/// Octets of blocks and indexes kept in memory.
const CACHE: u64 = 32 * 1024 * 1024;

/// See the file's head.
#[derive(Clone)]
pub(in crate::engine) struct Fjall {
    /// In the order of [`Table::ALL`].
    tables: [Keyspace; 8],
    database: Database,
    mode: PersistMode,
}

impl Fjall {
    /// Opens or makes the database.
    pub(in crate::engine) fn open(config: &StoreConfig) -> Result<Self, OpenError> {
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
        let database = database.map_err(|error| match error {
            fjall::Error::Locked => OpenError::Locked { path: config.path.clone() },
            fjall::Error::Io(source) => OpenError::Io { path: config.path.clone(), source },
            other => OpenError::Engine(other.to_string()),
        })?;
        let keyspace = |table: Table| {
            let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE);
            database.keyspace(table.name(), options).map_err(|error| OpenError::Engine(error.to_string()))
        };
        let [msg, fate, id, smsc, inbound, phone, due, meta] = Table::ALL.map(keyspace);
        Ok(Self {
            tables: [msg?, fate?, id?, smsc?, inbound?, phone?, due?, meta?],
            // Without sync the operating system has it: the end of the process alone loses nothing.
            mode: if config.sync { PersistMode::SyncData } else { PersistMode::Buffer },
            database,
        })
    }

    /// Whether there is a database in this directory, which opening would make.
    pub(in crate::engine) fn is_there(path: &Path) -> bool {
        // The last file that is written when one is made, and by which fjall itself decides.
        path.join("version").exists()
    }

    fn of(&self, table: Table) -> &Keyspace {
        &self.tables[table as usize]
    }

    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        let value = self.of(table).get(key).map_err(|error| unreadable(&error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    pub(super) fn range(
        &self,
        table: Table,
        span: &Span,
    ) -> impl DoubleEndedIterator<Item = Result<Found, ReadError>> + use<> {
        let to = span.to.clone().map_or(Bound::Unbounded, Bound::Excluded);
        self.of(table).range((Bound::Included(span.from.clone()), to)).map(found)
    }

    pub(super) fn write(&self, rows: Vec<Row>) -> Result<(), String> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut batch = self.database.batch().durability(Some(self.mode));
        for Row { table, key, value } in rows {
            match value {
                Some(value) => batch.insert(self.of(table), key, value),
                None => batch.remove(self.of(table), key),
            }
        }
        batch.commit().map_err(|error| format!("{error}; restart the server once the disk is sound"))
    }

    /// Every table gets a row, so that none pins old journals: traffic alone may leave some untouched for long.
    pub(super) fn heartbeat(now: Timestamp) -> Vec<Row> {
        let row =
            |table| Row { table, key: keys::HEARTBEAT.to_vec(), value: Some(keys::value(Kind::Attempts, now, &[])) };
        Table::ALL.map(row).to_vec()
    }

    /// Octets on disk, if they can be counted.
    pub(in crate::engine) fn disk_space(&self) -> Option<u64> {
        self.database.disk_space().ok()
    }
}

fn found(guard: Guard) -> Result<Found, ReadError> {
    let (key, value) = guard.into_inner().map_err(|error| unreadable(&error))?;
    Ok((key.to_vec(), value.to_vec()))
}

fn unreadable(error: &fjall::Error) -> ReadError {
    ReadError(error.to_string().into())
}
