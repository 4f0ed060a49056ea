//! The engines that make one store: a single one in a directory; in Redis one for what there is, and one for each channel's
//! messages, so that channels lie on different servers of a cluster and have different holders.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use futures_util::future::try_join_all;
use tokio::sync::{Notify, mpsc};

use super::many::Many;
use super::{Batch, CommitError, OpenError, Record, Restored, StoreConfig};
use crate::engine::{Common, Engine, Guard, Lane, Reader};
use crate::model::ChannelId;

/// See the file's head.
pub(super) enum Shards {
    /// All of it.
    One(Arc<Engine>),
    /// Each where it is needed.
    Many(Arc<Many>),
}

impl Shards {
    /// Opens the store, and where callback lanes with work will be announced. A `node` of several takes nothing yet.
    pub(super) async fn open(
        config: &StoreConfig,
        node: Option<&str>,
        earlier: Arc<Notify>,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Arc<Lane>>), OpenError> {
        let (announce, news) = mpsc::unbounded_channel();
        let guard = Guard::new(if config.redis.is_some() { "Redis's memory" } else { "the disk" });
        let common = Common { announce, rings: Arc::new(AtomicUsize::new(0)), earlier, guard };
        let shards = match &config.redis {
            None => Self::One(Engine::in_directory(config, &common).await?),
            Some(redis) => Self::Many(Many::open(redis, config, node, common).await?),
        };
        Ok((shards, news))
    }

    /// Whoever reads what there is.
    pub(super) fn settings(&self) -> Reader {
        match self {
            Self::One(engine) => engine.reader.clone(),
            Self::Many(many) => many.settings().reader(),
        }
    }

    /// The engine of what there is, if this node holds it.
    pub(super) fn leader(&self) -> Option<Arc<Engine>> {
        match self {
            Self::One(engine) => Some(engine.clone()),
            Self::Many(many) => many.settings().engine(),
        }
    }

    /// The engine of a channel's messages, if this node holds it.
    pub(super) fn held(&self, channel: &ChannelId) -> Option<Arc<Engine>> {
        match self {
            Self::One(engine) => Some(engine.clone()),
            Self::Many(many) => many.part(channel)?.engine(),
        }
    }

    /// The part of a channel's messages, where several nodes may have it.
    pub(super) fn shared(&self, channel: &ChannelId) -> Option<Arc<super::part::Part>> {
        match self {
            Self::One(_) => None,
            Self::Many(many) => many.part(channel).filter(|_| many.is_shared()),
        }
    }

    /// The engine of a channel's messages, taken if no other node is to have it.
    pub(super) async fn of(&self, channel: &ChannelId) -> Result<Arc<Engine>, OpenError> {
        match self {
            Self::One(engine) => Ok(engine.clone()),
            Self::Many(many) => many.of(channel).await,
        }
    }

    /// The engine that has this lane, if this node holds it.
    pub(super) fn of_lane(&self, lane: u32) -> Option<Arc<Engine>> {
        match self {
            Self::One(engine) => Some(engine.clone()),
            Self::Many(many) => many.part_of_lane(lane)?.engine(),
        }
    }

    /// The engine that has a callback lane, and the channel that everything in the lane is about, if it is one.
    pub(super) fn of_callback_lane(&self, lane: &Arc<Lane>) -> Option<(Arc<Engine>, Option<ChannelId>)> {
        let (engine, channel) = match self {
            Self::One(engine) => {
                let channel = match lane.name.split_once('/') {
                    Some(("mo" | "status", channel)) => Some(channel.into()),
                    Some(("event", rest)) => rest.rsplit_once('/').map(|(_, channel)| channel.into()),
                    _ => None,
                };
                (engine.clone(), channel)
            }
            Self::Many(many) => (many.part_of_lane(lane.number)?.engine()?, many.channel_of_lane(lane.number)),
        };
        // What an engine left that has been closed is announced by the next one that has its rows, as a lane of its own.
        engine.has(lane).then_some((engine, channel))
    }

    /// Whoever reads what has this lane.
    pub(super) fn reader_of_lane(&self, lane: u32) -> Option<Reader> {
        match self {
            Self::One(engine) => Some(engine.reader.clone()),
            Self::Many(many) => Some(many.part_of_lane(lane)?.reader()),
        }
    }

    /// Whoever reads a channel's messages, if there are any.
    pub(super) fn reader(&self, channel: &ChannelId) -> Option<Reader> {
        match self {
            Self::One(engine) => Some(engine.reader.clone()),
            Self::Many(many) => Some(many.part(channel)?.reader()),
        }
    }

    /// Whoever reads all messages, in the order of their lanes.
    pub(super) fn readers(&self) -> Vec<Reader> {
        match self {
            Self::One(engine) => vec![engine.reader.clone()],
            Self::Many(many) => many.readers(),
        }
    }

    /// The same, each with those of these channels whose messages it has.
    pub(super) fn readers_of(&self, channels: &[ChannelId]) -> Vec<(Reader, Vec<ChannelId>)> {
        match self {
            Self::One(engine) => vec![(engine.reader.clone(), channels.to_vec())],
            Self::Many(many) => {
                let there: HashSet<&ChannelId> = channels.iter().collect();
                let part = |(channel, part): (ChannelId, Arc<super::part::Part>)| {
                    (part.reader(), there.contains(&channel).then_some(channel).into_iter().collect())
                };
                many.all().into_iter().map(part).collect()
            }
        }
    }

    /// The engines of all messages that this node holds, in the order of their lanes.
    pub(super) fn engines(&self) -> Vec<Arc<Engine>> {
        match self {
            Self::One(engine) => vec![engine.clone()],
            Self::Many(many) => many.engines(),
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
                Some(channel) => {
                    self.of(channel).await.map_err(|error| CommitError::NotReady(error.to_string().into()))?
                }
                None => self.leader().ok_or(CommitError::Elsewhere)?,
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
        match self.held(channel) {
            Some(engine) => engine.write(Batch::new(), true).await,
            None => Ok(()),
        }
    }

    /// Why nothing can be opened any more, if that is so.
    pub(super) fn is_open(&self) -> Result<(), Arc<str>> {
        match self {
            Self::One(_) => Ok(()),
            Self::Many(many) => many.common().map(|_| ()).map_err(|error| error.to_string().into()),
        }
    }

    pub(super) async fn close(&self) {
        match self {
            Self::One(engine) => engine.clone().close().await,
            Self::Many(many) => many.close().await,
        }
    }
}
