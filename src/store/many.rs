//! The parts of a store in Redis. What is written goes to the part that it belongs to: to its engine where this node holds
//! it, and as far as that can be done, to Redis alone where another one does.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::part::{HoldError, Part};
use super::{Batch, Change, CommitError, OpenError, StoreConfig};
use crate::engine::{Common, Engine, Guard, Look, Reader, Role, leave, shard_of};
use crate::model::ChannelId;
use crate::redis::registry::bump;
use crate::redis::{Redis, RedisConfig};

/// See the file's head.
pub(super) struct Many {
    pub(super) redis: Redis,
    config: StoreConfig,
    /// What other nodes are told who want something that is held here.
    node: String,
    /// Whether everything is taken when it is needed: no other node is to have anything.
    alone: bool,
    settings: Arc<Part>,
    channels: RwLock<Channels>,
    /// Held by whoever makes a channel, or clears up after one: before `numbering`.
    making: tokio::sync::Mutex<()>,
    /// Held by whoever gives a channel its part.
    numbering: tokio::sync::Mutex<()>,
    /// `None` once the store has been closed.
    common: RwLock<Option<Common>>,
    guard: Guard,
    /// Other nodes do not know yet that what there is has changed.
    untold: AtomicBool,
    /// The revision that the last change made here has.
    told: AtomicU64,
    hearing: OnceLock<AbortOnDropHandle<()>>,
}

#[derive(Default)]
struct Channels {
    by_id: HashMap<ChannelId, Arc<Part>>,
    by_number: HashMap<u16, ChannelId>,
}

/// How often it is looked at how full Redis is, and whether there are messages that other nodes have accepted.
const WATCHED: Duration = Duration::from_secs(1);
/// How often slots are looked for that are of no use any more.
const CLEARED: Duration = Duration::from_secs(600);
/// How long whoever wants everything waits for leases to end whose holder has gone, and from one attempt to the next.
const PATIENCE: Duration = Duration::from_secs(14);
const AGAIN: Duration = Duration::from_millis(250);
/// The name of the slot of what there is; no channel has it.
pub(super) const SETTINGS: &str = "";

impl Many {
    /// Connects, and takes nothing unless nobody else is to have anything.
    pub(super) async fn open(
        redis: &RedisConfig,
        config: &StoreConfig,
        node: Option<&str>,
        common: Common,
    ) -> Result<Arc<Self>, OpenError> {
        let away = |error: crate::redis::RedisError| OpenError::Engine(error.to_string());
        let redis = Redis::connect(redis).await.map_err(away)?;
        for warning in redis.inspect().await.map_err(away)? {
            tracing::warn!("{warning}");
        }
        if !config.unfinished {
            // Before anything is taken from whoever imports.
            Look::check_finished(redis.slot(SETTINGS)).await?;
        }
        let process =
            || format!("process {} on {}", std::process::id(), rustix::system::uname().nodename().to_string_lossy());
        let many = Arc::new(Self {
            settings: Part::new(&redis, SETTINGS, Role::Settings, 0),
            redis,
            config: config.clone(),
            node: node.map_or_else(process, str::to_owned),
            alone: node.is_none(),
            channels: RwLock::default(),
            making: tokio::sync::Mutex::default(),
            numbering: tokio::sync::Mutex::default(),
            guard: common.guard.clone(),
            common: RwLock::new(Some(common)),
            untold: AtomicBool::new(false),
            told: AtomicU64::new(0),
            hearing: OnceLock::new(),
        });
        if many.alone {
            many.take(&many.settings).await?;
        }
        many.look_again().await?;
        if many.alone {
            let parts: Vec<_> = many.channels().by_id.values().cloned().collect();
            try_join_all(parts.iter().map(|part| many.take(part))).await?;
        }
        tokio::spawn(clear(Arc::downgrade(&many)));
        tokio::spawn(watch(Arc::downgrade(&many)));
        if !many.alone {
            let _ =
                many.hearing.set(AbortOnDropHandle::new(tokio::spawn(hear(Arc::downgrade(&many), many.redis.clone()))));
        }
        Ok(many)
    }

    /// Finds out which channels have messages here.
    pub(super) async fn look_again(&self) -> Result<(), OpenError> {
        let _numbering = self.numbering.lock().await;
        let there: HashMap<ChannelId, u16> = self.settings.reader().shards().await?.into_iter().collect();
        let mut channels = self.channels_mut();
        let Channels { by_id, by_number } = &mut *channels;
        // What is held is not given up here, whatever it says.
        by_id.retain(|id, part| there.get(id) == Some(&part.number()) || part.engine().is_some());
        for (id, number) in there {
            by_id.entry(id).or_insert_with_key(|id| Part::new(&self.redis, id.as_str(), Role::Messages, number));
        }
        *by_number = by_id.iter().map(|(id, part)| (part.number(), id.clone())).collect();
        Ok(())
    }

    pub(super) fn is_shared(&self) -> bool {
        !self.alone
    }

    pub(super) fn settings(&self) -> &Arc<Part> {
        &self.settings
    }

    pub(super) fn part(&self, channel: &ChannelId) -> Option<Arc<Part>> {
        self.channels().by_id.get(channel).cloned()
    }

    /// The part with this lane.
    pub(super) fn part_of_lane(&self, lane: u32) -> Option<Arc<Part>> {
        let channels = self.channels();
        channels.by_id.get(channels.by_number.get(&shard_of(lane))?).cloned()
    }

    /// The channel with this lane.
    pub(super) fn channel_of_lane(&self, lane: u32) -> Option<ChannelId> {
        self.channels().by_number.get(&shard_of(lane)).cloned()
    }

    /// The channels that there are parts of, in no order.
    pub(super) fn all(&self) -> Vec<(ChannelId, Arc<Part>)> {
        self.channels().by_id.iter().map(|(id, part)| (id.clone(), part.clone())).collect()
    }

    /// All of them that may be asked, in the order of their lanes.
    pub(super) fn readers(&self) -> Vec<Reader> {
        let mut parts: Vec<_> = self.channels().by_id.values().cloned().collect();
        parts.sort_by_key(|part| part.number());
        parts.iter().map(|part| part.reader()).collect()
    }

    /// The engines of all messages that this node holds, in the order of their lanes.
    pub(super) fn engines(&self) -> Vec<Arc<Engine>> {
        let mut parts: Vec<_> = self.channels().by_id.values().cloned().collect();
        parts.sort_by_key(|part| part.number());
        parts.iter().filter_map(|part| part.engine()).collect()
    }

    /// Takes a part, unless another node has it.
    pub(super) async fn hold(&self, part: &Part) -> Result<Arc<Engine>, HoldError> {
        let common = self.common()?;
        let engine = part.hold(&self.node, &self.config, &common).await?;
        // It was closed meanwhile: nobody else lets go of this.
        if self.common().is_err() {
            part.let_go().await;
            return Err(closed().into());
        }
        Ok(engine)
    }

    /// Takes a part; waits for a holder that has gone.
    async fn take(&self, part: &Part) -> Result<Arc<Engine>, OpenError> {
        let since = Instant::now();
        let mut waited = false;
        loop {
            let (by, left) = match self.hold(part).await {
                Ok(engine) => return Ok(engine),
                Err(HoldError::Open(error)) => return Err(error),
                Err(HoldError::Taken { by, left }) => (by, left),
            };
            if since.elapsed() > PATIENCE {
                return Err(OpenError::Held { by });
            }
            if !std::mem::replace(&mut waited, true) {
                tracing::warn!(%by, "another process has this store; its right to it ends in {} s if it has gone", left.as_secs());
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// The channel's part; made if there is none, which the holder of what there is can do.
    pub(super) async fn numbered(&self, channel: &ChannelId) -> Result<Arc<Part>, OpenError> {
        if let Some(part) = self.part(channel) {
            return Ok(part);
        }
        let _numbering = self.numbering.lock().await;
        if let Some(part) = self.part(channel) {
            return Ok(part);
        }
        let settings = self.settings.engine().ok_or_else(|| OpenError::Engine(NOT_LEADER.to_owned()))?;
        let taken = |number: &u16| self.channels().by_number.contains_key(number);
        let number = (1..u16::MAX).find(|number| !taken(number));
        let number = number.ok_or_else(|| OpenError::Engine("a store has at most 65,534 channels".to_owned()))?;
        let saved = settings.save_shard(channel, number).await;
        saved.map_err(|error| OpenError::Engine(error.to_string()))?;
        let part = Part::new(&self.redis, channel.as_str(), Role::Messages, number);
        let mut channels = self.channels_mut();
        channels.by_id.insert(channel.clone(), part.clone());
        channels.by_number.insert(number, channel.clone());
        Ok(part)
    }

    /// The engine of a channel's messages, taken if nobody else is to have it.
    pub(super) async fn of(&self, channel: &ChannelId) -> Result<Arc<Engine>, OpenError> {
        match self.part(channel).and_then(|part| part.engine()) {
            Some(engine) => Ok(engine),
            None if self.alone => Box::pin(async { self.take(&*self.numbered(channel).await?).await }).await,
            None => Err(OpenError::Engine(format!("another node has the channel {channel}"))),
        }
    }

    /// Writes a batch, of which all that belongs to one channel is durable together or not at all.
    pub(super) async fn write(&self, batch: Batch, durable: bool) -> Result<(), CommitError> {
        if batch.is_empty() {
            let engines = self.engines().into_iter().chain(self.settings.engine()).collect::<Vec<_>>();
            return try_join_all(engines.iter().map(|engine| engine.write(Batch::new(), durable))).await.map(|_| ());
        }
        let makes = batch.iter().any(|change| matches!(change, Change::SaveChannel(_)));
        let _making = if makes { Some(self.making.lock().await) } else { None };
        // What there is comes first: messages are of channels that are there.
        let (mut settings, mut parts) = (Batch::new(), Vec::<(Arc<Part>, Batch)>::new());
        let mut is_new = false;
        for change in batch {
            if let Some(also) = change.settings() {
                settings.push(also);
            }
            let part = match change.owner() {
                Owner::Settings => {
                    settings.push(change);
                    continue;
                }
                Owner::Channel(channel) => match self.part_for(channel, &change).await? {
                    Some(part) => part,
                    None => continue,
                },
                Owner::Lane(lane) => match self.part_of_lane(lane) {
                    Some(part) => part,
                    None => continue,
                },
            };
            let earlier = match &change {
                Change::SaveChannel(channel) => Box::pin(self.leftover(&channel.id)).await?,
                _ => None,
            };
            is_new |= earlier.is_some();
            let changes = earlier.into_iter().chain([change]);
            match parts.iter_mut().find(|(other, _)| Arc::ptr_eq(other, &part)) {
                Some((_, part)) => part.extend(changes),
                None => parts.push((part, changes.collect())),
            }
        }
        // But a channel that is new must have begun with nothing before anybody knows of it.
        if is_new {
            self.write_all(parts, durable).await?;
            return self.write_settings(settings, durable).await;
        }
        self.write_settings(settings, durable).await?;
        self.write_all(parts, durable).await
    }

    async fn write_settings(&self, settings: Batch, durable: bool) -> Result<(), CommitError> {
        if !settings.is_empty() {
            let engine = self.settings.engine().ok_or_else(|| CommitError::NotReady(NOT_LEADER.into()))?;
            Box::pin(async {
                engine.write(settings, durable).await?;
                self.tell().await;
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    async fn write_all(&self, mut parts: Vec<(Arc<Part>, Batch)>, durable: bool) -> Result<(), CommitError> {
        match parts.len() {
            1 => match parts.pop() {
                Some((part, batch)) => self.write_to(&part, batch, durable).await,
                None => Ok(()),
            },
            _ => try_join_all(parts.into_iter().map(async |(part, batch)| self.write_to(&part, batch, durable).await))
                .await
                .map(|_| ()),
        }
    }

    /// The part in which a change of a channel is written, if it is to be written in one.
    async fn part_for(&self, channel: &ChannelId, change: &Change) -> Result<Option<Arc<Part>>, CommitError> {
        if self.alone {
            self.of(channel).await.map_err(|error| not_ready(&error))?;
            return Ok(self.part(channel));
        }
        let part = self.part(channel);
        if part.as_ref().is_some_and(|part| part.is_held()) {
            return Ok(part);
        }
        Ok(match change {
            // Whoever has it sees that it was changed, or is no more.
            Change::DeleteChannel(_) => None,
            Change::SaveChannel(_) if Box::pin(self.is_there(channel)).await? => None,
            Change::SaveChannel(_) => {
                let taken = Box::pin(async {
                    let part = self.numbered(channel).await?;
                    self.take(&part).await.map(|_| part)
                });
                Some(taken.await.map_err(|error| not_ready(&error))?)
            }
            _ => Some(part.ok_or(CommitError::Elsewhere)?),
        })
    }

    async fn write_to(&self, part: &Part, batch: Batch, durable: bool) -> Result<(), CommitError> {
        if let Some(engine) = part.engine().filter(|_| self.alone || part.is_held()) {
            return engine.write(batch, durable).await;
        }
        self.guard.admit(&batch, true)?;
        let messages = batch.into_iter().map(|change| match change {
            Change::Accept(message) => Ok(message),
            _ => Err(CommitError::Elsewhere),
        });
        Box::pin(leave(&part.slot, &messages.collect::<Result<Vec<_>, _>>()?)).await
    }

    async fn is_there(&self, channel: &ChannelId) -> Result<bool, CommitError> {
        let there = self.settings.reader().channel(channel).await;
        there.map(|there| there.is_some()).map_err(|error| CommitError::NotReady(error.0))
    }

    /// What makes a channel that is new begin with nothing: the end of an earlier one of its name may not have been written.
    async fn leftover(&self, channel: &ChannelId) -> Result<Option<Change>, CommitError> {
        Ok((!self.is_there(channel).await?).then(|| Change::DeleteChannel(channel.clone())))
    }

    /// Ends what is left of a channel that was deleted while another node had its messages.
    pub(super) async fn end_deleted(&self, channel: &ChannelId, engine: &Engine) -> Result<(), CommitError> {
        let _making = self.making.lock().await;
        if self.is_there(channel).await? {
            return Ok(());
        }
        engine.write(vec![Change::DeleteChannel(channel.clone())], true).await
    }

    /// Tells other nodes that what there is has changed.
    pub(super) async fn tell(&self) {
        if self.alone {
            return;
        }
        let told = bump(&self.settings.slot).await;
        match &told {
            Ok(revision) => drop(self.told.fetch_max(*revision, Ordering::Relaxed)),
            Err(error) => {
                tracing::warn!(%error, "other nodes could not be told that settings have changed, which is repeated");
            }
        }
        self.untold.store(told.is_err(), Ordering::Relaxed);
    }

    /// The revision of what there is that other nodes know once they know what was last changed here; 0 before any change.
    pub(super) fn told(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }

    /// Removes the slots of channels that are no more, once there is nothing left in them.
    async fn clear(&self) -> anyhow::Result<()> {
        let Some(settings) = self.settings.engine() else { return Ok(()) };
        let there: HashSet<ChannelId> =
            settings.reader.channels().await?.into_iter().map(|channel| channel.id).collect();
        for (channel, part) in self.all() {
            let Some(engine) = part.engine().filter(|_| !there.contains(&channel)) else { continue };
            if !engine.is_empty().await? {
                continue;
            }
            // Nobody makes it meanwhile.
            let making = self.making.lock().await;
            if self.is_there(&channel).await? {
                continue;
            }
            {
                let mut channels = self.channels_mut();
                channels.by_id.remove(&channel);
                channels.by_number.remove(&part.number());
            }
            engine.clone().close().await;
            // Somebody may have had it in hand still: then it is found again as it is.
            if engine.is_empty().await? {
                engine.erase().await?;
                settings.forget_shard(&channel).await?;
            }
            drop(making);
            part.let_go().await;
            self.look_again().await?;
            if self.alone && self.part(&channel).is_some() {
                self.of(&channel).await?;
            }
        }
        Ok(())
    }

    /// Nothing is opened any more, and what is open ends in order.
    pub(super) async fn close(&self) {
        // Whoever waits for callback lanes is told when the open ones end.
        self.common.write().unwrap_or_else(PoisonError::into_inner).take();
        let parts: Vec<_> = self.channels().by_id.values().cloned().chain([self.settings.clone()]).collect();
        // Together: each waits for a server that is away.
        join_all(parts.iter().map(|part| part.let_go())).await;
    }

    pub(super) fn common(&self) -> Result<Common, OpenError> {
        self.common.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(closed)
    }

    fn channels(&self) -> RwLockReadGuard<'_, Channels> {
        self.channels.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn channels_mut(&self) -> RwLockWriteGuard<'_, Channels> {
        self.channels.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why settings are not changed here.
const NOT_LEADER: &str = "another node leads: it alone changes channels, routers and accounts";

/// Looks how full Redis is, and for what is to be done, as long as there is a store.
async fn watch(many: Weak<Many>) {
    loop {
        let Some(many) = many.upgrade() else { return };
        // One that does not answer says so to those who write.
        if let Ok(percent) = many.redis.fullness().await {
            many.guard.note(percent);
        }
        if many.untold.load(Ordering::Relaxed) {
            many.tell().await;
        }
        many.engines().iter().for_each(|engine| engine.look_for_deposits());
        drop(many);
        tokio::time::sleep(WATCHED).await;
    }
}

/// Takes what other nodes have accepted as soon as they say so.
async fn hear(many: Weak<Many>, redis: Redis) {
    let tell = |slot: &str| {
        let part = many.upgrade().and_then(|many| many.part(&slot.into()));
        if let Some(engine) = part.and_then(|part| part.engine()) {
            engine.look_for_deposits();
        }
    };
    redis.hear(tell).await;
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

fn closed() -> OpenError {
    OpenError::Engine("the store has been closed".to_owned())
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
