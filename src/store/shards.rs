//! The engines that make one store: a single one in a directory; in Redis one for what there is, and one for each channel's
//! messages, so that channels lie on different servers of a cluster and have different holders.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use tokio::sync::{Notify, mpsc};

use super::{Batch, Change, CommitError, OpenError, Record, Restored, StoreConfig};
use crate::engine::{Common, Engine, Guard, Lane, Look, Role, shard_of};
use crate::model::ChannelId;
use crate::redis::{Redis, RedisConfig};

/// See the file's head.
pub(super) enum Shards {
    /// All of it.
    One(Arc<Engine>),
    /// One for each channel, as it is needed.
    Many(Arc<Many>),
}

pub(super) struct Many {
    redis: Redis,
    config: StoreConfig,
    /// What those are told who lose a slot to us.
    owner: String,
    settings: Arc<Engine>,
    tables: RwLock<Tables>,
    /// Held by whoever opens a channel.
    opening: tokio::sync::Mutex<Opening>,
}

struct Opening {
    /// The shards that channels have.
    numbers: HashMap<ChannelId, u16>,
    /// `None` once the store has been closed.
    common: Option<Common>,
}

#[derive(Default)]
struct Tables {
    by_channel: HashMap<ChannelId, Arc<Engine>>,
    by_number: HashMap<u16, Arc<Engine>>,
}

/// How often it is looked at how full Redis is.
const WATCHED: Duration = Duration::from_secs(1);
/// How often slots are looked for that are of no use any more.
const CLEARED: Duration = Duration::from_secs(600);
/// The name of the slot of what there is; no channel has it.
pub(super) const SETTINGS: &str = "";

impl Shards {
    /// Opens the store, and where callback lanes with work will be announced.
    pub(super) async fn open(
        config: &StoreConfig,
        earlier: Arc<Notify>,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Arc<Lane>>), OpenError> {
        let (announce, news) = mpsc::unbounded_channel();
        let guard = Guard::new(if config.redis.is_some() { "Redis's memory" } else { "the disk" });
        let common = Common { announce, rings: Arc::new(AtomicUsize::new(0)), earlier, guard };
        let shards = match &config.redis {
            None => Self::One(Engine::in_directory(config, &common).await?),
            Some(redis) => Self::Many(Many::open(redis, config, common).await?),
        };
        Ok((shards, news))
    }

    /// The engine of what there is.
    pub(super) fn settings(&self) -> &Arc<Engine> {
        match self {
            Self::One(engine) => engine,
            Self::Many(many) => &many.settings,
        }
    }

    /// The engine of a channel's messages, if it has been opened.
    pub(super) fn opened(&self, channel: &ChannelId) -> Option<Arc<Engine>> {
        match self {
            Self::One(engine) => Some(engine.clone()),
            Self::Many(many) => many.tables(|tables| tables.by_channel.get(channel).cloned()),
        }
    }

    /// The same, opened if need be.
    pub(super) async fn of(&self, channel: &ChannelId) -> Result<Arc<Engine>, OpenError> {
        match self {
            Self::One(engine) => Ok(engine.clone()),
            Self::Many(many) => many.of(channel).await,
        }
    }

    /// The engine that has this lane.
    pub(super) fn of_lane(&self, lane: u32) -> Option<Arc<Engine>> {
        match self {
            Self::One(engine) => Some(engine.clone()),
            Self::Many(many) => many.tables(|tables| tables.by_number.get(&shard_of(lane)).cloned()),
        }
    }

    /// The engines of all messages, in the order of their lanes.
    pub(super) fn all(&self) -> Vec<Arc<Engine>> {
        match self {
            Self::One(engine) => vec![engine.clone()],
            Self::Many(many) => {
                let mut all: Vec<_> = many.tables(|tables| tables.by_number.clone().into_iter().collect());
                all.sort_by_key(|(number, _)| *number);
                all.into_iter().map(|(_, engine)| engine).collect()
            }
        }
    }

    /// The engines of all messages, each with those of these channels whose messages it has.
    pub(super) fn of_all(&self, channels: &[ChannelId]) -> Vec<(Arc<Engine>, Vec<ChannelId>)> {
        match self {
            Self::One(engine) => vec![(engine.clone(), channels.to_vec())],
            Self::Many(many) => {
                let there: HashSet<&ChannelId> = channels.iter().collect();
                let part = |(channel, engine): (&ChannelId, &Arc<Engine>)| {
                    let own = there.contains(channel).then(|| channel.clone());
                    (engine.clone(), own.into_iter().collect())
                };
                many.tables(|tables| tables.by_channel.iter().map(part).collect())
            }
        }
    }

    /// Writes a batch, of which all that belongs to one channel is durable together or not at all.
    pub(super) async fn write(&self, batch: Batch, durable: bool) -> Result<(), CommitError> {
        match self {
            Self::One(engine) => engine.write(batch, durable).await,
            Self::Many(many) => many.write(batch, durable).await,
        }
    }

    /// Restores records, those of each engine together.
    pub(super) async fn restore(&self, records: Vec<Record>, mark: &Restored) -> Result<(), CommitError> {
        let mut parts = Vec::<(Arc<Engine>, Vec<Record>)>::new();
        for record in records {
            let engine = match record.channel() {
                Some(channel) => self.of(channel).await.map_err(|error| not_ready(&error))?,
                None => self.settings().clone(),
            };
            match parts.iter_mut().find(|(other, _)| Arc::ptr_eq(other, &engine)) {
                Some((_, part)) => part.push(record),
                None => parts.push((engine, vec![record])),
            }
        }
        try_join_all(parts.iter_mut().map(|(engine, part)| engine.restore(std::mem::take(part), mark)))
            .await
            .map(|_| ())
    }

    /// Resolves when everything before is durable that is about this channel.
    pub(super) async fn settled(&self, channel: &ChannelId) -> Result<(), CommitError> {
        match self.opened(channel) {
            Some(engine) => engine.write(Batch::new(), true).await,
            None => Ok(()),
        }
    }

    pub(super) async fn close(&self) {
        let settings = match self {
            Self::One(_) => None,
            Self::Many(many) => {
                // From now on nothing is opened, and whoever waits for callback lanes is told when the open ones end.
                many.opening.lock().await.common = None;
                Some(many.settings.clone())
            }
        };
        // Together: each waits for a server that is away.
        join_all(self.all().into_iter().chain(settings).map(Engine::close)).await;
    }
}

impl Many {
    async fn open(redis: &RedisConfig, config: &StoreConfig, common: Common) -> Result<Arc<Self>, OpenError> {
        let away = |error: crate::redis::RedisError| OpenError::Engine(error.to_string());
        let redis = Redis::connect(redis).await.map_err(away)?;
        for warning in redis.inspect().await.map_err(away)? {
            tracing::warn!("{warning}");
        }
        if !config.unfinished {
            // Before anything is taken from whoever imports.
            Look::check_finished(redis.slot(SETTINGS)).await?;
        }
        let owner =
            format!("process {} on {}", std::process::id(), rustix::system::uname().nodename().to_string_lossy());
        let settings = Engine::in_slot(redis.slot(SETTINGS), (&owner, Role::Settings, 0), config, &common).await?;
        let numbers: HashMap<_, _> = settings.shards().await?.into_iter().collect();
        let channels: Vec<ChannelId> = numbers.keys().cloned().collect();
        let guard = common.guard.clone();
        let opening = tokio::sync::Mutex::new(Opening { numbers, common: Some(common) });
        let many =
            Arc::new(Self { redis, config: config.clone(), owner, settings, tables: RwLock::default(), opening });
        try_join_all(channels.iter().map(|channel| many.of(channel))).await?;
        tokio::spawn(clear(Arc::downgrade(&many)));
        tokio::spawn(watch(Arc::downgrade(&many), guard));
        Ok(many)
    }

    /// Removes the slots of channels that are no more, once there is nothing left in them.
    async fn clear(&self) -> anyhow::Result<()> {
        let there: HashSet<ChannelId> = self.settings.channels().await?.into_iter().map(|channel| channel.id).collect();
        let gone = |(channel, engine): (&ChannelId, &Arc<Engine>)| {
            (!there.contains(channel)).then(|| (channel.clone(), engine.clone()))
        };
        let gone: Vec<_> = self.tables(|tables| tables.by_channel.iter().filter_map(gone).collect());
        for (channel, engine) in gone {
            if !engine.is_empty().await? {
                continue;
            }
            // Nobody opens it meanwhile.
            let mut opening = self.opening.lock().await;
            let number = opening.numbers.get(&channel).copied();
            if self.settings.channel(&channel).await?.is_some() {
                continue;
            }
            {
                let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
                tables.by_channel.remove(&channel);
                number.map(|number| tables.by_number.remove(&number));
            }
            engine.clone().close().await;
            // Somebody may have had it in hand still: then it is opened again as it is.
            if engine.is_empty().await? {
                engine.erase().await?;
                self.settings.forget_shard(&channel).await?;
                opening.numbers.remove(&channel);
            } else {
                drop(opening);
                self.of(&channel).await?;
            }
        }
        Ok(())
    }

    fn tables<T>(&self, look: impl FnOnce(&Tables) -> T) -> T {
        look(&self.tables.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn of(&self, channel: &ChannelId) -> Result<Arc<Engine>, OpenError> {
        let opened = || self.tables(|tables| tables.by_channel.get(channel).cloned());
        if let Some(engine) = opened() {
            return Ok(engine);
        }
        let mut opening = self.opening.lock().await;
        if let Some(engine) = opened() {
            return Ok(engine);
        }
        let Opening { numbers, common } = &mut *opening;
        let common = common.as_ref().ok_or_else(|| OpenError::Engine("the store has been closed".to_owned()))?;
        let number = match numbers.get(channel) {
            Some(number) => *number,
            None => {
                let number = (1..u16::MAX).find(|number| !numbers.values().any(|taken| taken == number));
                let number =
                    number.ok_or_else(|| OpenError::Engine("a store has at most 65,534 channels".to_owned()))?;
                let saved = self.settings.save_shard(channel, number).await;
                saved.map_err(|error| OpenError::Engine(error.to_string()))?;
                numbers.insert(channel.clone(), number);
                number
            }
        };
        let (slot, part) = (self.redis.slot(channel.as_str()), (&*self.owner, Role::Messages, number));
        let engine = Engine::in_slot(slot, part, &self.config, common).await?;
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        tables.by_channel.insert(channel.clone(), engine.clone());
        tables.by_number.insert(number, engine.clone());
        drop(tables);
        // Whoever waits for what expires does not know of it yet.
        common.earlier.notify_one();
        Ok(engine)
    }

    /// What makes a channel that is new begin with nothing: the end of an earlier one of its name may not have been written.
    async fn leftover(&self, channel: &ChannelId) -> Result<Option<Change>, CommitError> {
        let there = self.settings.channel(channel).await.map_err(|error| CommitError::NotReady(error.0))?;
        Ok(there.is_none().then(|| Change::DeleteChannel(channel.clone())))
    }

    async fn write(&self, batch: Batch, durable: bool) -> Result<(), CommitError> {
        if batch.is_empty() {
            let engines = self.tables(|tables| tables.by_number.values().cloned().collect::<Vec<_>>());
            let all = engines.iter().chain([&self.settings]).map(|engine| engine.write(Batch::new(), durable));
            return try_join_all(all).await.map(|_| ());
        }
        // What there is comes first: messages are of channels that are there.
        let (mut settings, mut parts) = (Batch::new(), Vec::<(Arc<Engine>, Batch)>::new());
        for change in batch {
            if let Some(also) = change.settings() {
                settings.push(also);
            }
            let engine = match change.owner() {
                Owner::Settings => {
                    settings.push(change);
                    continue;
                }
                Owner::Channel(channel) => self.of(channel).await.map_err(|error| not_ready(&error))?,
                Owner::Lane(lane) => match self.tables(|tables| tables.by_number.get(&shard_of(lane)).cloned()) {
                    Some(engine) => engine,
                    None => continue,
                },
            };
            let earlier = match &change {
                Change::SaveChannel(channel) => self.leftover(&channel.id).await?,
                _ => None,
            };
            let changes = earlier.into_iter().chain([change]);
            match parts.iter_mut().find(|(other, _)| Arc::ptr_eq(other, &engine)) {
                Some((_, part)) => part.extend(changes),
                None => parts.push((engine, changes.collect())),
            }
        }
        if !settings.is_empty() {
            self.settings.write(settings, durable).await?;
        }
        match parts.len() {
            1 => match parts.pop() {
                Some((engine, part)) => engine.write(part, durable).await,
                None => Ok(()),
            },
            _ => try_join_all(parts.iter_mut().map(|(engine, part)| engine.write(std::mem::take(part), durable)))
                .await
                .map(|_| ()),
        }
    }
}

/// Looks how full Redis is, as long as there is a store.
async fn watch(many: Weak<Many>, guard: Guard) {
    loop {
        let Some(redis) = many.upgrade().map(|many| many.redis.clone()) else { return };
        // One that does not answer says so to those who write.
        if let Ok(percent) = redis.fullness().await {
            guard.note(percent);
        }
        tokio::time::sleep(WATCHED).await;
    }
}

/// Looks now and then for slots that are of no use any more, as long as there is a store.
async fn clear(many: Weak<Many>) {
    loop {
        tokio::time::sleep(CLEARED).await;
        let Some(many) = many.upgrade() else { return };
        if let Err(error) = many.clear().await {
            tracing::warn!("what deleted channels left in Redis could not be cleared for now: {error}");
        }
    }
}

fn not_ready(error: &OpenError) -> CommitError {
    CommitError::NotReady(error.to_string().into())
}

/// Whose engine keeps a change.
enum Owner<'a> {
    Settings,
    Channel(&'a ChannelId),
    /// Whoever has a lane with this number.
    Lane(u32),
}

impl Change {
    fn owner(&self) -> Owner<'_> {
        match self {
            Self::Accept(message) | Self::Archive { message, .. } => Owner::Channel(&message.channel),
            Self::Record { event, .. } | Self::Withdraw { event, .. } => Owner::Channel(&event.channel),
            Self::Receive { message, .. } => Owner::Channel(&message.channel),
            Self::SavePart { channel, .. }
            | Self::SaveNote { channel, .. }
            | Self::DropParts { channel, .. }
            | Self::DeleteChannel(channel) => Owner::Channel(channel),
            Self::SaveChannel(channel) => Owner::Channel(&channel.id),
            Self::SaveStatus { status, .. } => Owner::Channel(&status.channel_id),
            Self::Retry { ticket, .. }
            | Self::CallbackRetry { ticket, .. }
            | Self::CallbackDone(ticket)
            | Self::CallbackParked { ticket, .. }
            | Self::CallbackMoved(ticket, _)
            | Self::CallbackRevived(ticket, _)
            | Self::CallbackForgotten(ticket) => Owner::Lane(ticket.lane),
            Self::SaveAccount(_)
            | Self::DeleteAccount(_)
            | Self::SaveRouter(_)
            | Self::DeleteRouter(_)
            | Self::SaveDestination(_)
            | Self::DeleteDestination(..) => Owner::Settings,
        }
    }

    /// The part of it that is about what there is, beside that about messages.
    fn settings(&self) -> Option<Self> {
        match self {
            Self::SaveChannel(channel) => Some(Self::SaveChannel(channel.clone())),
            Self::DeleteChannel(channel) => Some(Self::DeleteChannel(channel.clone())),
            _ => None,
        }
    }
}
