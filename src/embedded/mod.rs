//! The embedded engine behind the store: fjall in one directory, one writing thread, queues as numbered lanes.
//!
//! Keyspaces: `msg` (every queue entry, once), `fate` (what became of it), `id` and `smsc` (look-ups), `inbound`
//! (MOs), `due` (long delays), `meta` (everything small). Nothing on a message's path is ever deleted: queues have
//! floors, and old records go while the engine compacts.

mod committer;
mod guard;
mod keys;
mod lanes;
mod retention;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, mpsc as async_mpsc, oneshot};

use self::committer::{Committer, Job, Op, Table, reference_of};
use self::guard::{Guard, Limits, Pressure};
use self::keys::{Kind, table};
use self::lanes::{BLOCK, Entry, Item, Lane, Lanes, Taken, outbound_name};
use self::retention::Retention;
use crate::model::{
    Callback, CallbackKind, CallbackTarget, ChannelId, ChannelProperties, Event, Inbound, MessageId, Priority,
    SmscMessageId, Status, Timestamp,
};
use crate::store::{
    Batch, CallbackDelivery, Change, CommitError, Delivery, Depth, OpenError, PartId, ReadError, StoreConfig,
    StoredMessage, Ticket,
};

/// Most changes that may wait to be written.
const INBOX_OPS: usize = 65_536;
/// Most octets that may wait to be written, in KiB.
const INBOX_KIB: usize = 32 * 1024;
/// How long `commit` waits for room before it says that the store is busy.
const ROOM_WAIT: Duration = Duration::from_millis(100);
/// How often the disk guard looks.
const GUARD_PERIOD: Duration = Duration::from_secs(1);

/// The tables on disk.
#[derive(Clone)]
struct Keyspaces {
    msg: Keyspace,
    fate: Keyspace,
    id: Keyspace,
    smsc: Keyspace,
    inbound: Keyspace,
    due: Keyspace,
    meta: Keyspace,
}

/// The engine; see the module's head.
pub(crate) struct Embedded {
    keyspaces: Keyspaces,
    lanes: Arc<Lanes>,
    news: Mutex<Option<async_mpsc::UnboundedReceiver<Arc<Lane>>>>,
    inbox: mpsc::Sender<Job>,
    room_ops: Arc<Semaphore>,
    room_kib: Arc<Semaphore>,
    failed: Arc<OnceLock<Arc<str>>>,
    guard: Guard,
    stop: Arc<AtomicBool>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
    database: Database,
}

impl Embedded {
    /// Opens or makes the store in `config.path` and starts its threads.
    pub(crate) fn open(config: &StoreConfig) -> Result<Arc<Self>, OpenError> {
        let (lanes, news) = Lanes::new();
        let lanes = Arc::new(lanes);
        let database = open_database(config, &lanes)?;
        let keyspaces = Keyspaces::open(&database)?;
        keyspaces.check_version()?;
        if !config.sync {
            tracing::warn!("the store does not sync: a power cut loses accepted messages");
        }
        let clean = keyspaces.take_clean_mark()?;
        keyspaces.recover(&lanes, clean)?;
        let (inbox, jobs) = mpsc::channel();
        let engine = Arc::new(Self {
            keyspaces: keyspaces.clone(),
            lanes: lanes.clone(),
            news: Mutex::new(Some(news)),
            inbox,
            room_ops: Arc::new(Semaphore::new(INBOX_OPS)),
            room_kib: Arc::new(Semaphore::new(INBOX_KIB)),
            failed: Arc::default(),
            guard: Guard::new(),
            stop: Arc::default(),
            threads: Mutex::default(),
            database: database.clone(),
        });
        let committer = Committer {
            ordinal: u64::try_from(Timestamp::now().0).unwrap_or_default(),
            database: database.clone(),
            keyspaces,
            lanes: lanes.clone(),
            failed: engine.failed.clone(),
            stop: engine.stop.clone(),
            sync: config.sync,
            heartbeat: Instant::now(),
        };
        let limits = Limits { path: config.path.clone(), quota: config.quota, min_free: config.min_free };
        let (guard, stop) = (engine.guard.clone(), engine.stop.clone());
        guard.look(&database, &limits);
        let threads = [
            spawn("maybug-commit", move || committer.run(&jobs))?,
            spawn("maybug-guard", move || {
                while !stop.load(Ordering::Acquire) {
                    std::thread::park_timeout(GUARD_PERIOD);
                    guard.look(&database, &limits);
                }
            })?,
        ];
        engine.threads.lock().unwrap_or_else(PoisonError::into_inner).extend(threads);
        lanes.all().iter().for_each(|lane| lanes.wake(lane));
        Ok(engine)
    }

    /// Writes a batch; waits until it is durable if `durable`.
    pub(crate) async fn write(&self, batch: Batch, durable: bool) -> Result<(), CommitError> {
        self.admit(&batch)?;
        let mut ops = Vec::with_capacity(batch.len() + 2);
        for change in batch {
            self.encode(change, &mut ops)?;
        }
        let room = self.room(&ops, durable).await?;
        let (done, result) = if durable { Some(oneshot::channel()) } else { None }.unzip();
        let gone = |_| CommitError::NotReady("the store has been closed".into());
        self.inbox.send(Job { ops, done, room }).map_err(|_| gone(()))?;
        match result {
            Some(result) => result.await.map_err(|_| gone(()))?,
            None => self.failed.get().map_or(Ok(()), |reason| Err(CommitError::NotReady(reason.clone()))),
        }
    }

    fn admit(&self, batch: &Batch) -> Result<(), CommitError> {
        if let Some(reason) = self.failed.get() {
            return Err(CommitError::NotReady(reason.clone()));
        }
        let sends = || batch.iter().any(|change| matches!(change, Change::Accept(_)));
        let takes = || batch.iter().any(|change| matches!(change, Change::Receive { .. } | Change::SavePart { .. }));
        match self.guard.pressure() {
            Pressure::Sends if sends() => Err(CommitError::DiskFull),
            Pressure::All if sends() || takes() => Err(CommitError::DiskFull),
            _ => Ok(()),
        }
    }

    async fn room(&self, ops: &[Op], limited: bool) -> Result<[tokio::sync::OwnedSemaphorePermit; 2], CommitError> {
        let octets: usize = ops.iter().map(Op::size).sum();
        let count = u32::try_from(ops.len().clamp(1, INBOX_OPS)).unwrap_or(u32::MAX);
        let kib = u32::try_from((octets / 1024).clamp(1, INBOX_KIB)).unwrap_or(u32::MAX);
        let wait = async {
            let ops = self.room_ops.clone().acquire_many_owned(count).await;
            let kib = self.room_kib.clone().acquire_many_owned(kib).await;
            ops.and_then(|ops| Ok([ops, kib?])).map_err(|_| CommitError::Busy)
        };
        if limited { tokio::time::timeout(ROOM_WAIT, wait).await.unwrap_or(Err(CommitError::Busy)) } else { wait.await }
    }

    /// Turns a change into what the committer writes.
    fn encode(&self, change: Change, ops: &mut Vec<Op>) -> Result<(), CommitError> {
        let now = Timestamp::now();
        match change {
            Change::Accept(message) => ops.push(Op::Append {
                lane: self.lanes.named(&outbound_name(&message.channel, message.priority)),
                value: record(now, &*message)?,
                id: Some(keys::id(message.id)),
                item: Item::Message(message),
            }),
            Change::Record { event, origin, leaves, correlate, callback } => {
                let kind = if leaves == Some(origin) { Kind::Final } else { Kind::Record };
                let value = keys::record(kind, now, &event).map_err(|error| unwritable(&error))?;
                ops.push(Op::Event { origin, value });
                if let Some(ticket) = leaves.filter(|ticket| *ticket != origin) {
                    ops.push(Op::Finish(ticket));
                }
                for smsc_message_id in correlate {
                    let key = keys::of_channel(&event.channel, smsc_message_id.0.as_bytes());
                    let value = keys::value(Kind::Reference, now, &keys::entry(origin));
                    ops.push(Op::Put(Table::Smsc, key, value));
                }
                self.encode_callback(now, callback, ops)?;
            }
            Change::Receive { message, callback, joined_from } => {
                let key = keys::of_channel(&message.channel, &keys::id(message.id));
                ops.push(Op::Put(Table::Inbound, key, record(now, &*message)?));
                ops.extend(joined_from.into_iter().map(|id| remove_part(&message.channel, id)));
                self.encode_callback(now, callback, ops)?;
            }
            Change::SavePart { channel, id, record } => {
                let key = keys::meta(table::PART, &keys::of_channel(&channel, &keys::id(id)));
                ops.push(Op::Put(Table::Meta, key, keys::value(Kind::Record, now, &record)));
            }
            Change::DropParts { channel, ids } => ops.extend(ids.into_iter().map(|id| remove_part(&channel, id))),
            Change::CallbackDone(ticket) => ops.push(Op::Finish(ticket)),
            Change::Retry { ticket, at } | Change::CallbackRetry { ticket, at } => ops.push(Op::Retry { ticket, at }),
            Change::CallbackParked { ticket, reason } => {
                let key = keys::meta(table::PARKED, &keys::entry(ticket));
                ops.push(Op::Put(Table::Meta, key, record(now, &reason)?));
                ops.push(Op::Finish(ticket));
            }
            Change::SaveChannel(channel) => {
                let key = keys::meta(table::CHANNEL, channel.id.as_str().as_bytes());
                ops.push(Op::Put(Table::Meta, key, record(now, &channel)?));
                ops.push(Op::Reopen(self.outbound_lanes(&channel.id)));
            }
            Change::DeleteChannel(channel) => self.encode_deletion(&channel, ops)?,
            Change::SaveStatus { status, callback } => {
                let rest = keys::of_channel(&status.channel_id, status.component.as_bytes());
                ops.push(Op::Put(Table::Meta, keys::meta(table::STATUS, &rest), record(now, &status)?));
                self.encode_callback(now, callback, ops)?;
            }
        }
        Ok(())
    }

    fn encode_callback(
        &self,
        now: Timestamp,
        callback: Option<Callback>,
        ops: &mut Vec<Op>,
    ) -> Result<(), CommitError> {
        if let Some(callback) = callback {
            ops.push(Op::Append {
                lane: self.lanes.named(&callback_lane(&callback)),
                value: record(now, &callback)?,
                item: Item::Callback(Arc::new(callback)),
                id: None,
            });
        }
        Ok(())
    }

    fn encode_deletion(&self, channel: &ChannelId, ops: &mut Vec<Op>) -> Result<(), CommitError> {
        ops.push(Op::Remove(Table::Meta, keys::meta(table::CHANNEL, channel.as_str().as_bytes())));
        for table in [table::STATUS, table::PART] {
            let prefix = keys::meta(table, &keys::of_channel(channel, &[]));
            for guard in self.keyspaces.meta.prefix(prefix) {
                let key = guard.key().map_err(|error| CommitError::NotReady(error.to_string().into()))?;
                ops.push(Op::Remove(Table::Meta, key.to_vec()));
            }
        }
        ops.push(Op::Close(self.outbound_lanes(channel)));
        Ok(())
    }

    /// The channel's lanes, the most urgent first.
    pub(crate) fn outbound_lanes(&self, channel: &ChannelId) -> Vec<Arc<Lane>> {
        let priorities = (Priority::BULK.value()..=Priority::REALTIME.value()).rev().filter_map(Priority::new);
        priorities.map(|priority| self.lanes.named(&outbound_name(channel, priority))).collect()
    }

    pub(crate) fn depth(&self, channel: &ChannelId) -> Depth {
        Depth { waiting: self.outbound_lanes(channel).iter().map(|lane| lane.waiting()).sum() }
    }

    pub(crate) fn message(&self, id: MessageId) -> Result<Option<StoredMessage>, ReadError> {
        let place = get(&self.keyspaces.id, &keys::id(id))?;
        self.stored(place.as_deref())
    }

    /// The message whose ticket a look-up table has.
    fn stored(&self, place: Option<&[u8]>) -> Result<Option<StoredMessage>, ReadError> {
        let origin = place.and_then(keys::open).and_then(|(_, content)| keys::ticket(content));
        let Some(origin) = origin else { return Ok(None) };
        let value = get(&self.keyspaces.msg, &keys::entry(origin))?;
        let message = value.and_then(|value| keys::read(&value)).map(Arc::new);
        Ok(message.map(|message| StoredMessage { origin, message }))
    }

    pub(crate) fn events(&self, message: &StoredMessage) -> Result<Vec<Event>, ReadError> {
        let prefix = keys::entry(message.origin);
        Ok(records(self.keyspaces.fate.prefix(prefix))?.into_iter().map(|(_, event)| event).collect())
    }

    pub(crate) fn inbound(&self, channel: &ChannelId, id: MessageId) -> Result<Option<Inbound>, ReadError> {
        let value = get(&self.keyspaces.inbound, &keys::of_channel(channel, &keys::id(id)))?;
        Ok(value.and_then(|value| keys::read(&value)))
    }

    pub(crate) fn correlate(
        &self,
        channel: &ChannelId,
        candidates: &[SmscMessageId],
    ) -> Result<Option<StoredMessage>, ReadError> {
        for candidate in candidates {
            let place = get(&self.keyspaces.smsc, &keys::of_channel(channel, candidate.0.as_bytes()))?;
            if let Some(found) = self.stored(place.as_deref())? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    pub(crate) fn channels(&self) -> Result<Vec<ChannelProperties>, ReadError> {
        let rows = records(self.keyspaces.meta.prefix(keys::meta(table::CHANNEL, &[])))?;
        Ok(rows.into_iter().map(|(_, channel)| channel).collect())
    }

    pub(crate) fn channel(&self, id: &ChannelId) -> Result<Option<ChannelProperties>, ReadError> {
        let value = get(&self.keyspaces.meta, &keys::meta(table::CHANNEL, id.as_str().as_bytes()))?;
        Ok(value.and_then(|value| keys::read(&value)))
    }

    pub(crate) fn statuses(&self, channel: &ChannelId) -> Result<Vec<Status>, ReadError> {
        let prefix = keys::meta(table::STATUS, &keys::of_channel(channel, &[]));
        Ok(records(self.keyspaces.meta.prefix(prefix))?.into_iter().map(|(_, status)| status).collect())
    }

    pub(crate) fn parts(&self, channel: &ChannelId) -> Result<Vec<(PartId, Vec<u8>)>, ReadError> {
        let prefix = keys::meta(table::PART, &keys::of_channel(channel, &[]));
        let mut parts = Vec::new();
        for guard in self.keyspaces.meta.prefix(&prefix) {
            let (key, value) = guard.into_inner().map_err(|error| unreadable(&error))?;
            let id = key.get(prefix.len()..).and_then(|id| id.try_into().ok()).map(uuid::Uuid::from_bytes);
            if let (Some(id), Some((_, record))) = (id, keys::open(&value)) {
                parts.push((MessageId(id), record.to_vec()));
            }
        }
        Ok(parts)
    }

    pub(crate) fn parked_callbacks(&self, limit: usize) -> Result<Vec<(Ticket, Callback, String)>, ReadError> {
        let prefix = keys::meta(table::PARKED, &[]);
        let rows: Vec<(Vec<u8>, String)> = records(self.keyspaces.meta.prefix(&prefix).take(limit))?;
        let found = rows.into_iter().filter_map(|(key, reason)| {
            let ticket = keys::ticket(key.get(prefix.len()..)?)?;
            let Item::Callback(callback) = self.keyspaces.item(self.keyspaces.origin(ticket)?)? else { return None };
            Some((ticket, Arc::unwrap_or_clone(callback), reason))
        });
        Ok(found.collect())
    }

    pub(crate) fn health(&self) -> Result<(), Arc<str>> {
        if let Some(reason) = self.failed.get() {
            return Err(reason.clone());
        }
        match self.guard.pressure() {
            Pressure::None => Ok(()),
            Pressure::Sends => Err("the disk is nearly full: sends are refused".into()),
            Pressure::All => Err("the disk is full: everything is refused".into()),
        }
    }

    /// Writes what waits, marks the end as an orderly one, stops the threads.
    pub(crate) async fn close(self: Arc<Self>) {
        let _ = self.write(Vec::new(), true).await;
        self.stop.store(true, Ordering::Release);
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                thread.thread().unpark();
                // A thread that panicked has reported it.
                let _ = thread.join();
            }
        });
        let _ = joined.await;
        if self.failed.get().is_none() {
            let marked = self.keyspaces.meta.insert(keys::meta(table::STORE, CLEAN), [1]);
            if let Err(error) = marked.and_then(|()| self.database.persist(PersistMode::SyncAll)) {
                tracing::warn!(%error, "the store could not be marked as closed in order");
            }
        }
    }

    /// Entries for whoever pulls from `lane`, loading from disk as needed.
    pub(crate) fn take(&self, lane: &Lane, max: usize) -> Result<Result<Vec<Entry>, Option<Timestamp>>, ReadError> {
        loop {
            match lane.take(max, Timestamp::now()) {
                Taken::Entries(entries) => return Ok(Ok(entries)),
                Taken::Nothing { due } => return Ok(Err(due)),
                Taken::Load { from, to } => {
                    let (entries, to) = self.keyspaces.load(lane, from, to)?;
                    lane.loaded(from, to, entries);
                }
            }
        }
    }

    /// The news of callback lanes with work; there is one listener.
    pub(crate) fn take_news(&self) -> Option<async_mpsc::UnboundedReceiver<Arc<Lane>>> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A consumer has let go of a callback lane.
    pub(crate) fn abandon(&self, lane: &Arc<Lane>) {
        if lane.abandon() {
            self.lanes.announce(lane);
        }
    }
}

/// The key in `meta`'s store table that says that the last run ended in order.
const CLEAN: &[u8] = b"clean";
/// The key of the format's version.
const VERSION: &[u8] = b"format";

impl Keyspaces {
    fn open(database: &Database) -> Result<Self, OpenError> {
        let keyspace = |name: &str| {
            let options = || KeyspaceCreateOptions::default().max_memtable_size(8 * 1024 * 1024);
            database.keyspace(name, options).map_err(|error| OpenError::Engine(error.to_string()))
        };
        Ok(Self {
            msg: keyspace("msg")?,
            fate: keyspace("fate")?,
            id: keyspace("id")?,
            smsc: keyspace("smsc")?,
            inbound: keyspace("inbound")?,
            due: keyspace("due")?,
            meta: keyspace("meta")?,
        })
    }

    fn of(&self, table: Table) -> &Keyspace {
        match table {
            Table::Meta => &self.meta,
            Table::Smsc => &self.smsc,
            Table::Inbound => &self.inbound,
        }
    }

    /// Those that traffic alone may leave untouched for long.
    fn idle(&self) -> [&Keyspace; 7] {
        [&self.msg, &self.fate, &self.id, &self.smsc, &self.inbound, &self.due, &self.meta]
    }

    fn check_version(&self) -> Result<(), OpenError> {
        let key = keys::meta(table::STORE, VERSION);
        match get(&self.meta, &key)?.as_deref() {
            Some([version]) if *version == keys::FORMAT => Ok(()),
            Some(other) => Err(OpenError::Version { found: other.first().copied().unwrap_or_default() }),
            None => self.meta.insert(key, [keys::FORMAT]).map_err(|error| OpenError::Engine(error.to_string())),
        }
    }

    /// Whether the last run ended in order; from now on it has not.
    fn take_clean_mark(&self) -> Result<bool, OpenError> {
        let key = keys::meta(table::STORE, CLEAN);
        let clean = get(&self.meta, &key)?.is_some();
        self.meta.remove(key).map_err(|error| OpenError::Engine(error.to_string()))?;
        Ok(clean)
    }

    /// Rebuilds the lanes: floors, then what was final above them. The cost is what was in flight, not what is stored.
    fn recover(&self, lanes: &Lanes, clean: bool) -> Result<(), OpenError> {
        let prefix = keys::meta(table::LANE, &[]);
        for guard in self.meta.prefix(&prefix) {
            let (key, name) = guard.into_inner().map_err(|error| unreadable(&error))?;
            let number = key.get(prefix.len()..).and_then(|key| key.try_into().ok()).map(u32::from_be_bytes);
            let (Some(number), Ok(name)) = (number, std::str::from_utf8(&name)) else { continue };
            let lane = lanes.restore(number, name);
            let floor = self.mark(table::FLOOR, number)?;
            let last = self.msg.prefix(number.to_be_bytes()).next_back().map(fjall::Guard::key).transpose();
            let last = last.map_err(|error| unreadable(&error))?.and_then(|key| keys::ticket(&key));
            let next = last.map_or(floor, |ticket| floor.max(ticket.seq + 1));
            let suspect = if clean { 0 } else { self.mark(table::HANDED, number)? };
            lane.state().recover(floor, next, self.finals(number, floor)?, suspect);
        }
        for guard in self.due.iter() {
            let key = guard.key().map_err(|error| unreadable(&error))?;
            if let Some(lane) = key.get(8..).and_then(keys::ticket).and_then(|ticket| lanes.numbered(ticket.lane)) {
                lane.state().parked += 1;
            }
        }
        Ok(())
    }

    fn mark(&self, table: &str, lane: u32) -> Result<u64, OpenError> {
        let value = get(&self.meta, &keys::meta(table, &lane.to_be_bytes()))?;
        Ok(value.and_then(|value| value.first_chunk().copied()).map_or(0, u64::from_be_bytes))
    }

    /// Entries at or above the floor that have ended.
    fn finals(&self, lane: u32, floor: u64) -> Result<BTreeSet<u64>, OpenError> {
        let from = keys::fate(Ticket { lane, seq: floor }, 0).to_vec();
        let to = keys::fate(Ticket { lane, seq: u64::MAX }, u64::MAX).to_vec();
        let mut finals = BTreeSet::new();
        for guard in self.fate.range(from..=to) {
            let (key, value) = guard.into_inner().map_err(|error| unreadable(&error))?;
            if let (Some(ticket), Some((Kind::Final | Kind::Moved, _))) = (keys::ticket(&key), keys::open(&value)) {
                finals.insert(ticket.seq);
            }
        }
        Ok(finals)
    }

    /// The next block of a lane, and up to where it goes.
    fn load(&self, lane: &Lane, from: u64, to: u64) -> Result<(Vec<Entry>, u64), ReadError> {
        let bounds = keys::entry(lane.ticket(from)).to_vec()..keys::entry(lane.ticket(to)).to_vec();
        let mut entries = Vec::new();
        let mut last = to;
        for (count, guard) in self.msg.range(bounds).enumerate() {
            let (key, value) = guard.into_inner().map_err(|error| unreadable(&error))?;
            let Some(ticket) = keys::ticket(&key) else { continue };
            if count == BLOCK {
                last = ticket.seq;
                break;
            }
            let (origin, attempts) = match keys::open(&value) {
                Some((Kind::Reference, content)) => reference_of(content).unwrap_or((ticket, 0)),
                _ => (ticket, 0),
            };
            let item = if origin == ticket { item(&lane.name, &value) } else { self.item(origin) };
            if let Some(item) = item {
                entries.push(Entry { seq: ticket.seq, origin, item, attempts, possible_duplicate: false });
            }
        }
        Ok((entries, last))
    }

    /// Where the record of an entry is: there, or where its reference points.
    fn origin(&self, ticket: Ticket) -> Option<Ticket> {
        let value = get(&self.msg, &keys::entry(ticket)).ok()??;
        match keys::open(&value)? {
            (Kind::Reference, content) => reference_of(content).map(|(origin, _)| origin),
            _ => Some(ticket),
        }
    }

    /// The record itself.
    fn item(&self, origin: Ticket) -> Option<Item> {
        let value = get(&self.msg, &keys::entry(origin)).ok()??;
        let callback = keys::read::<Callback>(&value).map(|callback| Item::Callback(Arc::new(callback)));
        callback.or_else(|| keys::read(&value).map(|message| Item::Message(Arc::new(message))))
    }
}

impl Op {
    /// About how many octets it will write.
    fn size(&self) -> usize {
        match self {
            Self::Append { value, .. } | Self::Event { value, .. } => value.len() + 64,
            Self::Put(_, key, value) => key.len() + value.len(),
            _ => 32,
        }
    }
}

/// A handed-out MT as channels see it.
pub(crate) fn delivery(lane: &Lane, entry: Entry) -> Option<Delivery> {
    let Item::Message(message) = entry.item else { return None };
    let ticket = lane.ticket(entry.seq);
    Some(Delivery { ticket, origin: entry.origin, message, possible_duplicate: entry.possible_duplicate })
}

/// A handed-out callback as the dispatcher sees it.
pub(crate) fn callback_delivery(lane: &Lane, entry: Entry) -> Option<CallbackDelivery> {
    let Item::Callback(callback) = entry.item else { return None };
    Some(CallbackDelivery { ticket: lane.ticket(entry.seq), attempts: entry.attempts, callback })
}

pub(crate) use self::lanes::Lane as QueueLane;

fn open_database(config: &StoreConfig, lanes: &Arc<Lanes>) -> Result<Database, OpenError> {
    std::fs::create_dir_all(&config.path).map_err(|source| OpenError::Io { path: config.path.clone(), source })?;
    let (messages, correlations) = (config.retention, config.correlation_retention);
    let lanes = lanes.clone();
    let filters = Arc::new(move |keyspace: &str| -> Option<Arc<dyn fjall::compaction::filter::Factory>> {
        let retention = match keyspace {
            "msg" | "fate" => Retention { keep: messages, lanes: Some(lanes.clone()) },
            "id" | "inbound" => Retention { keep: messages, lanes: None },
            "smsc" => Retention { keep: correlations, lanes: None },
            _ => return None,
        };
        Some(Arc::new(retention))
    });
    let database = Database::builder(&config.path)
        .cache_size(32 * 1024 * 1024)
        .max_journaling_size(64 * 1024 * 1024)
        .with_compaction_filter_factories(filters)
        .open();
    database.map_err(|error| match error {
        fjall::Error::Locked => OpenError::Locked { path: config.path.clone() },
        fjall::Error::Io(source) => OpenError::Io { path: config.path.clone(), source },
        other => OpenError::Engine(other.to_string()),
    })
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<std::thread::JoinHandle<()>, OpenError> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(body);
    thread.map_err(|source| OpenError::Io { path: Path::new("thread").to_owned(), source })
}

fn callback_lane(callback: &Callback) -> String {
    match (&callback.target, callback.kind) {
        (CallbackTarget::Channel, CallbackKind::Status) => format!("status/{}", callback.channel),
        (CallbackTarget::Channel, _) => format!("mo/{}", callback.channel),
        (CallbackTarget::Url { url, .. }, _) => {
            let authority = url::Url::parse(url)
                .ok()
                .map(|url| url[url::Position::BeforeHost..url::Position::AfterPort].to_owned());
            format!("event/{}", authority.unwrap_or_default())
        }
    }
}

/// The record of an entry in a lane with this name.
fn item(lane: &str, value: &[u8]) -> Option<Item> {
    if lane.starts_with("out/") {
        keys::read(value).map(|message| Item::Message(Arc::new(message)))
    } else {
        keys::read(value).map(|callback| Item::Callback(Arc::new(callback)))
    }
}

fn remove_part(channel: &ChannelId, id: PartId) -> Op {
    Op::Remove(Table::Meta, keys::meta(table::PART, &keys::of_channel(channel, &keys::id(id))))
}

fn record<T: serde::Serialize>(now: Timestamp, record: &T) -> Result<Vec<u8>, CommitError> {
    keys::record(Kind::Record, now, record).map_err(|error| unwritable(&error))
}

fn unwritable(error: &serde_json::Error) -> CommitError {
    CommitError::NotReady(format!("a record could not be written as JSON: {error}").into())
}

fn unreadable(error: &fjall::Error) -> ReadError {
    ReadError(error.to_string().into())
}

fn get(keyspace: &Keyspace, key: &[u8]) -> Result<Option<fjall::Slice>, ReadError> {
    keyspace.get(key).map_err(|error| unreadable(&error))
}

/// Keys and records of a range; values that are no such record are passed over.
fn records<T: DeserializeOwned>(range: impl Iterator<Item = fjall::Guard>) -> Result<Vec<(Vec<u8>, T)>, ReadError> {
    let mut found = Vec::new();
    for guard in range {
        let (key, value) = guard.into_inner().map_err(|error| unreadable(&error))?;
        if let Some(record) = keys::read(&value) {
            found.push((key.to_vec(), record));
        }
    }
    Ok(found)
}
