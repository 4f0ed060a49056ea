//! The durable pipeline's port: what may be written, what may be read, and the queues that come out of it.
//!
//! Writers say what happened as [`Change`]s; a [`Batch`] of them becomes durable as a whole or not at all. A
//! message and its queue entry, or an event, its correlation and its callback, are one batch, so no crash can
//! separate them. Which engine does it is decided in one place, at start.

mod change;
mod dump;
mod many;
mod nodes;
mod part;
mod queues;
mod search;
mod shards;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::sync::{Notify, mpsc};

use self::many::SETTINGS;
use self::shards::Shards;
use crate::engine::{Engine, Lane, QueuedScan, Reader, Spot};
use crate::model::{
    Account, Callback, ChannelId, ChannelProperties, DestinationProperties, Event, Inbound, MessageId, Outbound,
    Priority, RouterProperties, SmscMessageId, Status, Timestamp,
};

pub use crate::redis::term::Tenure;
pub use crate::redis::{ConfigError as RedisConfigError, RedisConfig};
pub use change::{Batch, Change, PartId};
pub use dump::{Contents, Record, Restored, Waits};
pub use nodes::{Duties, Duty, Member, Nodes, View};
pub use part::HoldError;
pub(crate) use queues::AMQP_LANE;
pub use queues::{CallbackLanes, CallbackQueue, Look, OutboundQueue, Waiting};
pub use search::{Direction, Found, Kept, Page, Search, Standing, UnknownWord};

/// Where and how the store keeps things.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The directory; made if absent. Of no account with `redis`.
    pub path: PathBuf,
    /// The Redis that keeps it, instead of a directory.
    pub redis: Option<RedisConfig>,
    /// Whether a change is on disk before it is acknowledged. Without it a power cut loses what was accepted.
    pub sync: bool,
    /// Most octets that the store may take, if limited: sends of the lowest priority are refused from 85 %, all sends
    /// from 92 %, MOs and receipts from 97 %; what became of accepted messages never is. The engine sets 64 MiB aside at
    /// once.
    pub quota: Option<u64>,
    /// Octets that must stay free on the disk: sends are refused below, MOs and receipts below a quarter of it.
    pub min_free: u64,
    /// How long messages, events, MOs and parked callbacks are kept after they were written; what waits is kept longer.
    pub retention: Duration,
    /// How long the provider's message ids are kept.
    pub correlation_retention: Duration,
    /// Open it even if an import into it was not finished, to go on with that.
    pub unfinished: bool,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            path: PathBuf::from("maybug-data"),
            redis: None,
            sync: true,
            quota: None,
            min_free: 512 * 1024 * 1024,
            retention: Duration::from_secs(7 * 24 * 3600),
            correlation_retention: Duration::from_secs(7 * 24 * 3600),
            unfinished: false,
        }
    }
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it.
    #[error("the store in {path} is in use by another process", path = .path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("the store in {path} cannot be opened", path = .path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Written by another version of this program.
    #[error("the store has format {found}, which this version does not read")]
    Version {
        /// The format found.
        found: u8,
    },
    /// Another process that is alive has it, or a part of it.
    #[error("the store is in use by {by}: stop that first")]
    Held {
        /// What it calls itself.
        by: String,
    },
    /// An import was broken off.
    #[error("an import into this store was not finished: run `maybug import` again, or remove what is there")]
    Unfinished,
    /// The engine could not read it.
    #[error("the store cannot be read: {0}")]
    Read(#[from] ReadError),
    /// The engine refused it.
    #[error("the store cannot be opened: {0}")]
    Engine(String),
}

/// Channels that are looked at together.
const LOOKS: usize = 64;

/// The store, shared by all who hold a clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    shards: Shards,
    /// Told when something is to expire earlier than was known.
    earlier: Arc<Notify>,
    /// Callback lanes with work; taken by the one who listens.
    news: Mutex<Option<mpsc::UnboundedReceiver<Arc<Lane>>>>,
}

impl Store {
    /// Opens the store for this process alone, and resumes its queues.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(config: &StoreConfig) -> Result<Self, OpenError> {
        // Boxed, as all that is deep and rare: whoever waits for it would have its size.
        Box::pin(Self::open_as(config, None)).await
    }

    /// Opens the store for one node of several, which takes nothing yet.
    async fn open_as(config: &StoreConfig, node: Option<&str>) -> Result<Self, OpenError> {
        let earlier = Arc::<Notify>::default();
        let (shards, news) = Shards::open(config, node, earlier.clone()).await?;
        Ok(Self(Arc::new(Inner { shards, earlier, news: Mutex::new(Some(news)) })))
    }

    /// Makes sure that a channel's queues are at hand: whatever else is asked about its queues is so at once.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open_channel(&self, channel: &ChannelId) -> Result<(), OpenError> {
        self.0.shards.of(channel).await.map(|_| ())
    }

    /// Writes a batch; resolves when it is durable. What belongs to one channel becomes durable together or not at all. An
    /// empty batch resolves when everything before it is.
    ///
    /// # Errors
    /// [`CommitError`]; nothing of the batch has been written then, unless the engine failed in the middle of it.
    pub async fn commit(&self, batch: Batch) -> Result<(), CommitError> {
        self.0.shards.write(batch, true).await
    }

    /// Resolves when everything that was handed over before, and is about this channel, is durable.
    ///
    /// # Errors
    /// [`CommitError`].
    pub async fn settled(&self, channel: &ChannelId) -> Result<(), CommitError> {
        self.0.shards.settled(channel).await
    }

    /// Hands a batch over, in the order of this caller's calls; resolves when it waits to be written. Waits as long as
    /// the store is behind.
    ///
    /// # Errors
    /// [`CommitError::NotReady`] when the engine has failed.
    pub async fn post(&self, batch: Batch) -> Result<(), CommitError> {
        self.0.shards.write(batch, false).await
    }

    /// The channel's MTs. There is one queue a channel at a time: an earlier one gets nothing from now on, and what it
    /// had handed out is handed out again, in order, unless it is final.
    #[must_use]
    pub fn outbound(&self, channel: &ChannelId) -> OutboundQueue {
        OutboundQueue::open(self.0.shards.held(channel), self.0.shards.shared(channel), channel)
    }

    /// These MTs, which somebody has in hand, may have reached their SMSC, or cannot have: should they be handed out again,
    /// after the end of this run too, that is said of them.
    pub fn suspect(&self, tickets: &[Ticket], suspect: bool) {
        for tickets in tickets.chunk_by(|one, other| one.lane == other.lane) {
            if let Some(engine) = tickets.first().and_then(|first| self.0.shards.of_lane(first.lane)) {
                engine.suspect(tickets, suspect);
            }
        }
    }

    /// How much waits to be published under this routing key.
    #[must_use]
    pub fn owed_to_queue(&self, routing_key: &str) -> u64 {
        let lane = format!("{AMQP_LANE}{routing_key}");
        self.0.shards.engines().iter().map(|engine| engine.waiting(&lane)).sum()
    }

    /// How much waits for the channel.
    #[must_use]
    pub fn depth(&self, channel: &ChannelId) -> Depth {
        self.0.shards.held(channel).map(|engine| engine.depth(channel)).unwrap_or_default()
    }

    /// How much waits in all queues of a channel.
    #[must_use]
    pub fn queue_length(&self, channel: &ChannelId) -> QueueLength {
        self.0.shards.held(channel).map(|engine| engine.queue_length(channel)).unwrap_or_default()
    }

    /// An MT that waits in its queue, by our id; `None` when its channel has it in hand, or it has left, or never was.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn queued(&self, channel: &ChannelId, id: MessageId) -> Result<Option<Queued>, ReadError> {
        match self.0.shards.held(channel) {
            Some(engine) => engine.queued(id).await,
            None => Ok(None),
        }
    }

    /// Everything that waits for a channel now, or what has this priority.
    #[must_use]
    pub fn all_queued(&self, channel: &ChannelId, priority: Option<Priority>) -> AllQueued {
        let engine = self.0.shards.held(channel);
        AllQueued(engine.map(|engine| (engine.scan_queued(channel, priority), engine)))
    }

    /// MTs that have expired by `now` while they wait, a bounded number: withdraw them and ask again. None means that there
    /// are none for now.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn expired(&self, now: Timestamp) -> Result<Vec<Queued>, ReadError> {
        for engine in self.0.shards.engines() {
            if engine.expiries.first() <= now {
                let expired = engine.expired(now).await?;
                if !expired.is_empty() {
                    return Ok(expired);
                }
            }
        }
        Ok(Vec::new())
    }

    /// Waits until an MT may have expired.
    pub async fn expiring(&self) {
        loop {
            let first = self.0.shards.engines().iter().map(|engine| engine.expiries.first()).min();
            let wait = first.map_or(Duration::MAX, |first| Timestamp::now().until(first));
            if wait.is_zero() {
                return;
            }
            // A wall clock that is set must not make anybody wait for hours.
            let wait = wait.min(Duration::from_secs(60));
            let _ = tokio::time::timeout(wait, self.0.earlier.notified()).await;
        }
    }

    /// An MT by our id, which is one of these channels'.
    ///
    /// # Errors
    /// [`ReadError`], as for every read below.
    pub async fn message(&self, channels: &[ChannelId], id: MessageId) -> Result<Option<StoredMessage>, ReadError> {
        let readers = match &self.0.shards {
            Shards::One(engine) => vec![engine.reader.clone()],
            shards => channels.iter().filter_map(|channel| shards.reader(channel)).collect(),
        };
        let mut looks =
            stream::iter(readers).map(|reader| async move { reader.message(id).await }).buffer_unordered(LOOKS);
        while let Some(found) = looks.next().await {
            if let Some(found) = found? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Messages of these channels, the newest first, at most `limit`. The work of one look is bounded, so that a page may be
    /// short and not the last.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn search(&self, search: &Search, channels: &[ChannelId], limit: usize) -> Result<Page, ReadError> {
        let parts = match &search.channel {
            Some(channel) => {
                let reader = self.0.shards.reader(channel);
                let own = channels.iter().filter(|there| *there == channel).cloned().collect();
                reader.map(|reader| (reader, own)).into_iter().collect()
            }
            None => self.0.shards.readers_of(channels),
        };
        Reader::search(&parts, search, limit).await
    }

    /// An MT's events in the order they were recorded.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn events(&self, message: &StoredMessage) -> Result<Vec<Event>, ReadError> {
        match self.0.shards.reader_of_lane(message.origin.lane) {
            Some(reader) => reader.events(message).await,
            None => Ok(Vec::new()),
        }
    }

    /// An MO by our id.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn inbound(&self, channel: &ChannelId, id: MessageId) -> Result<Option<Inbound>, ReadError> {
        match self.0.shards.reader(channel) {
            Some(engine) => engine.inbound(channel, id).await,
            None => Ok(None),
        }
    }

    /// The MT that the first of these ids of the provider's belongs to.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn correlate(
        &self,
        channel: &ChannelId,
        candidates: &[SmscMessageId],
    ) -> Result<Option<StoredMessage>, ReadError> {
        match self.0.shards.reader(channel) {
            Some(engine) => engine.correlate(channel, candidates).await,
            None => Ok(None),
        }
    }

    /// Every channel, sorted by id.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn channels(&self) -> Result<Vec<ChannelProperties>, ReadError> {
        self.0.shards.settings().channels().await
    }

    /// A channel.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn channel(&self, id: &ChannelId) -> Result<Option<ChannelProperties>, ReadError> {
        self.0.shards.settings().channel(id).await
    }

    /// Every router, sorted by id.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn routers(&self) -> Result<Vec<RouterProperties>, ReadError> {
        self.0.shards.settings().routers().await
    }

    /// Every router's destinations, sorted by router and id.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn destinations(&self) -> Result<Vec<DestinationProperties>, ReadError> {
        self.0.shards.settings().destinations().await
    }

    /// The latest status of each component of a channel, sorted by component.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn statuses(&self, channel: &ChannelId) -> Result<Vec<Status>, ReadError> {
        match self.0.shards.reader(channel) {
            Some(engine) => engine.statuses(channel).await,
            None => Ok(Vec::new()),
        }
    }

    /// Every account, sorted by name.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn accounts(&self) -> Result<Vec<Account>, ReadError> {
        self.0.shards.settings().accounts().await
    }

    /// Stored segments of long MOs.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn parts(&self, channel: &ChannelId) -> Result<Vec<(PartId, Vec<u8>)>, ReadError> {
        match self.0.shards.reader(channel) {
            Some(engine) => engine.parts(channel).await,
            None => Ok(Vec::new()),
        }
    }

    /// What a channel keeps under names that begin with `prefix`, sorted by name.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn notes(&self, channel: &ChannelId, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, ReadError> {
        match self.0.shards.reader(channel) {
            Some(engine) => engine.notes(channel, prefix).await,
            None => Ok(Vec::new()),
        }
    }

    /// The queues of owed requests. There is one listener; `None` for a second one.
    #[must_use]
    pub fn callback_lanes(&self) -> Option<CallbackLanes> {
        let news = self.0.news.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(CallbackLanes::new(self.clone(), news))
    }

    /// Callbacks that were given up, in the order of their tickets, with the reason, at most `limit`; those behind `after` if
    /// that is given. The octets of one look are bounded, so that a page may be short and not the last.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn parked_callbacks(
        &self,
        after: Option<Ticket>,
        limit: usize,
    ) -> Result<Page<ParkedCallback, Ticket>, ReadError> {
        let mut page = Page::<ParkedCallback, Ticket>::default();
        for engine in self.0.shards.readers() {
            let room = limit.saturating_sub(page.found.len());
            let Page { found, next } = engine.parked_callbacks(after, room.max(1)).await?;
            if room == 0 {
                // There is one more: this page is not the last.
                if !found.is_empty() {
                    page.next = page.found.last().map(|(ticket, ..)| *ticket);
                    break;
                }
                continue;
            }
            page.found.extend(found);
            if next.is_some() {
                page.next = next;
                break;
            }
        }
        Ok(page)
    }

    /// One of them.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn parked_callback(&self, ticket: Ticket) -> Result<Option<(Callback, String)>, ReadError> {
        match self.0.shards.reader_of_lane(ticket.lane) {
            Some(engine) => engine.parked_callback(ticket).await,
            None => Ok(None),
        }
    }

    /// The channel that an entry of a queue belongs to, if several nodes share the store; `None` also where there is none.
    #[must_use]
    pub fn channel_of(&self, ticket: Ticket) -> Option<ChannelId> {
        match &self.0.shards {
            Shards::One(_) => None,
            Shards::Many(many) => many.channel_of_lane(ticket.lane),
        }
    }

    /// Whether this node writes what becomes of an entry of a queue.
    #[must_use]
    pub fn holds(&self, ticket: Ticket) -> bool {
        self.0.shards.of_lane(ticket.lane).is_some()
    }

    /// The revision of what there is that other nodes know once they know what was last changed here; 0 where there are no
    /// others, or nothing was changed.
    #[must_use]
    pub fn revision(&self) -> u64 {
        match &self.0.shards {
            Shards::One(_) => 0,
            Shards::Many(many) => many.told(),
        }
    }

    /// Whether everything is accepted.
    ///
    /// # Errors
    /// Why not.
    pub fn health(&self) -> Result<(), Arc<str>> {
        self.0.shards.is_open()?;
        self.0.shards.leader().map_or(Ok(()), |engine| engine.health())?;
        self.0.shards.engines().iter().try_for_each(|engine| engine.health())
    }

    /// Begins to restore what another place had, or goes on with it: until [`restore_ended`](Self::restore_ended) it can only be
    /// opened as [`unfinished`](StoreConfig::unfinished). How far it had got, if it was begun before.
    ///
    /// # Errors
    /// [`CommitError`].
    pub async fn restore_begun(&self) -> Result<Option<Restored>, CommitError> {
        let unreadable = |ReadError(error)| CommitError::NotReady(error);
        let settings = self.0.shards.leader().ok_or(CommitError::Elsewhere)?;
        let goes_on = settings.is_unfinished().await.map_err(unreadable)?;
        let mut furthest = None;
        for engine in self.0.shards.engines().iter().chain([&settings]) {
            if goes_on {
                furthest = furthest.max(engine.restored().await.map_err(unreadable)?);
            } else {
                engine.forget_restored().await?;
            }
        }
        settings.set_unfinished(true).await?;
        Ok(furthest)
    }

    /// Restores records, which come in the order in which [`Contents`] has them; `mark` is what is done then. What is done
    /// already, of a batch that was broken off, is not done twice.
    ///
    /// # Errors
    /// [`CommitError`].
    pub async fn restore(&self, records: Vec<Record>, mark: &Restored) -> Result<(), CommitError> {
        self.0.shards.restore(records, mark).await
    }

    /// Everything has been restored.
    ///
    /// # Errors
    /// [`CommitError`].
    pub async fn restore_ended(&self) -> Result<(), CommitError> {
        self.0.shards.leader().ok_or(CommitError::Elsewhere)?.set_unfinished(false).await
    }

    /// How many hold the engine of what there is.
    #[cfg(test)]
    pub(crate) fn holders(&self) -> usize {
        self.0.shards.leader().map_or(0, |engine| Arc::strong_count(&engine) - 1)
    }

    /// Writes what waits and ends in order. Nothing is accepted afterwards. The directory is free once the last clone and
    /// the last queue have been dropped.
    pub async fn close(self) {
        self.0.shards.close().await;
    }
}

/// Where a queue entry stands. Opaque to everybody but the engine; cheap to keep. As text it names the entry to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket {
    pub(crate) lane: u32,
    pub(crate) seq: u64,
}

impl std::fmt::Display for Ticket {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}-{}", self.lane, self.seq)
    }
}

/// A callback that was given up, where it is kept, and why.
pub type ParkedCallback = (Ticket, Callback, String);

/// A text that names no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no entry has this name")]
pub struct NoTicket;

impl std::str::FromStr for Ticket {
    type Err = NoTicket;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (lane, seq) = text.split_once('-').ok_or(NoTicket)?;
        Ok(Self { lane: lane.parse().map_err(|_| NoTicket)?, seq: seq.parse().map_err(|_| NoTicket)? })
    }
}

/// Why changes were not made durable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// More is waiting to be written than the bound allows; nothing of the batch was written.
    #[error("the store is busy: too much is waiting to be written")]
    Busy,
    /// There is too little room left for this kind of change where the store is kept; nothing of the batch was written.
    #[error("{0} is too full to accept this")]
    Full(&'static str),
    /// Another node has what would be written; nothing of the batch was written.
    #[error("another node has the channel, or leads")]
    Elsewhere,
    /// The engine refuses writes after a failure until it has been reopened.
    #[error("the store does not accept writes: {0}")]
    NotReady(Arc<str>),
}

/// A read failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the store could not be read: {0}")]
pub struct ReadError(pub Arc<str>);

/// An MT and where it is kept.
#[derive(Clone, Debug)]
pub struct StoredMessage {
    /// For [`Change::Record`].
    pub origin: Ticket,
    /// The message.
    pub message: Arc<Outbound>,
    /// How many ids of the provider's it has, one a segment; 1 where that was not asked for.
    pub segments: u8,
}

/// An MT handed to its channel. It stays in the queue until a [`Change::Record`] says that it leaves.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its queue entry.
    pub ticket: Ticket,
    /// Where the message is kept; differs from `ticket` after a long delay.
    pub origin: Ticket,
    /// The message.
    pub message: Arc<Outbound>,
    /// How often it has been put back before.
    pub attempts: u32,
    /// It may have been sent before: it was in the queue's head when the process died.
    pub possible_duplicate: bool,
}

/// An MT that waits in its queue.
#[derive(Clone, Debug)]
pub struct Queued {
    /// The message.
    pub message: Arc<Outbound>,
    pub(crate) spot: Spot,
}

impl Queued {
    /// It may have been sent before: its end must say so.
    #[must_use]
    pub fn possible_duplicate(&self) -> bool {
        self.spot.doubtful
    }
}

/// Counts withdrawals that came to pass; right once they are durable.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<AtomicU64>);

impl Tally {
    pub(crate) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many so far.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Everything that waits for a channel, a bounded number at a time.
pub struct AllQueued(Option<(QueuedScan, Arc<Engine>)>);

impl AllQueued {
    /// The next ones, perhaps none; `None` at the end. Blocks on the disk.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn look(&mut self) -> Result<Option<Vec<Queued>>, ReadError> {
        match &mut self.0 {
            Some((scan, engine)) => engine.next_queued(scan).await,
            None => Ok(None),
        }
    }
}

/// A callback handed to the dispatcher. It stays in its queue until done or parked.
#[derive(Clone, Debug)]
pub struct CallbackDelivery {
    /// Its queue entry.
    pub ticket: Ticket,
    /// How often it has been tried before.
    pub attempts: u32,
    /// The request.
    pub callback: Arc<Callback>,
}

/// How much waits in a channel's queue of MTs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// MTs without an end: those that the channel has in hand, and those that wait for their time, included.
    pub waiting: u64,
    /// Those that the channel has in hand.
    pub in_hand: u64,
}

/// How much waits in all queues of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueLength {
    /// MTs that wait for their turn, from priority 1 to 5.
    pub by_priority: [u64; 5],
    /// MTs that wait for their time: scheduled ones, and those that are tried again later.
    pub scheduled: u64,
    /// MTs that the channel has in hand.
    pub in_hand: u64,
    /// MOs that their application has not taken yet.
    pub inbound: u64,
    /// Events that their application has not taken yet.
    pub events: u64,
}
