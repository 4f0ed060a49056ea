//! Everything that a store has, as records that say nothing of where it lies: what one place gives and another takes.

use std::collections::VecDeque;

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use super::{OpenError, ReadError, SETTINGS, StoreConfig};
use crate::engine::{Fenced, Look, Role};
use crate::model::{
    Account, Callback, ChannelId, ChannelProperties, DestinationProperties, Event, Inbound, MessageId, Outbound,
    RouterProperties, SmscMessageId, Status, Timestamp,
};
use crate::redis::Redis;

/// One thing that a store has. `since` is when it was written, in whole seconds: it is kept from then on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// A channel.
    Channel(ChannelProperties),
    /// An account, with what proves its password and its tokens.
    Account(Account),
    /// A router.
    Router(RouterProperties),
    /// A router's destination.
    Destination(DestinationProperties),
    /// The latest word of a channel's component.
    Status(Status),
    /// An MT. Those of a channel's priority come in the order in which they wait.
    Message {
        /// See above.
        since: Timestamp,
        /// The message.
        message: Outbound,
        /// What became of it, in the order in which that was recorded.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        events: Vec<Event>,
        /// Set while it waits in its queue.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        waits: Option<Waits>,
    },
    /// The provider's id of an MT, or of a segment of it.
    Correlation {
        /// See above.
        since: Timestamp,
        /// The channel.
        channel: ChannelId,
        /// The id.
        smsc_message_id: SmscMessageId,
        /// The MT's id.
        message: MessageId,
        /// When that was accepted: ids of others may come again.
        accepted_at: Timestamp,
        /// How many such ids it has.
        segments: u8,
    },
    /// An MO.
    Inbound {
        /// See above.
        since: Timestamp,
        /// The message.
        message: Inbound,
    },
    /// A segment of a long MO.
    Part {
        /// See above.
        since: Timestamp,
        /// The channel.
        channel: ChannelId,
        /// The segment's own id.
        id: MessageId,
        /// What the channel needs to join it.
        #[serde(with = "octets")]
        record: Vec<u8>,
    },
    /// What a channel keeps under a name.
    Note {
        /// See above.
        since: Timestamp,
        /// The channel.
        channel: ChannelId,
        /// The name.
        name: String,
        /// It.
        #[serde(with = "octets")]
        record: Vec<u8>,
    },
    /// A request that we owe. Those of a queue come in their order.
    Owed {
        /// See above.
        since: Timestamp,
        /// The request.
        callback: Callback,
        /// Its place in its queue.
        waits: Waits,
    },
    /// A request that was given up.
    Parked {
        /// See above.
        since: Timestamp,
        /// The request.
        callback: Callback,
        /// Why.
        reason: String,
    },
}

/// How something waits in its queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waits {
    /// How often it has been tried.
    #[serde(default)]
    pub attempts: u32,
    /// An MT may have reached its SMSC.
    #[serde(default)]
    pub possible_duplicate: bool,
    /// Not before; an MT that has not been tried is scheduled, and has no place in its queue yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Record {
    /// A word for what it is.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Channel(_) => "channel",
            Self::Account(_) => "account",
            Self::Router(_) => "router",
            Self::Destination(_) => "destination",
            Self::Status(_) => "status",
            Self::Message { .. } => "message",
            Self::Correlation { .. } => "correlation",
            Self::Inbound { .. } => "inbound",
            Self::Part { .. } => "part",
            Self::Note { .. } => "note",
            Self::Owed { .. } => "owed",
            Self::Parked { .. } => "parked",
        }
    }

    /// The channel whose it is, unless it is part of what there is.
    #[must_use]
    pub fn channel(&self) -> Option<&ChannelId> {
        match self {
            Self::Channel(_) | Self::Account(_) | Self::Router(_) | Self::Destination(_) => None,
            Self::Status(status) => Some(&status.channel_id),
            Self::Message { message, .. } => Some(&message.channel),
            Self::Inbound { message, .. } => Some(&message.channel),
            Self::Correlation { channel, .. } | Self::Part { channel, .. } | Self::Note { channel, .. } => {
                Some(channel)
            }
            Self::Owed { callback, .. } | Self::Parked { callback, .. } => Some(&callback.channel),
        }
    }
}

/// How far a restoration has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Restored {
    /// How many records.
    pub line: u64,
    /// The SHA-256 of all of them.
    pub digest: [u8; 32],
}

/// Octets as text.
mod octets {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(octets: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(octets))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map_err(|_| D::Error::custom("expected base64"))
    }
}

/// All that a store has that nobody has opened. Reading it changes nothing there.
pub struct Contents {
    parts: VecDeque<Look>,
    /// Of parts that have been read.
    fenced: Vec<Fenced>,
}

impl Contents {
    /// Of the store in this place; `None` if there is none.
    ///
    /// # Errors
    /// [`OpenError`]; [`OpenError::Unfinished`] unless that is asked for.
    pub async fn open(config: &StoreConfig) -> Result<Option<Self>, OpenError> {
        let Some(redis) = &config.redis else {
            let look = Look::into_directory(config).await?;
            return Ok(look.map(|look| Self { parts: [look].into(), fenced: Vec::new() }));
        };
        let away = |error: crate::redis::RedisError| OpenError::Engine(error.to_string());
        let redis = Redis::connect(redis).await.map_err(away)?;
        let look = async |name: &str, role| Look::into_slot(redis.slot(name), role, config.unfinished).await;
        let Some(settings) = look(SETTINGS, Role::Settings).await? else { return Ok(None) };
        let mut channels = settings.shards().await?;
        channels.sort();
        let mut parts = VecDeque::from([settings]);
        for (channel, _) in channels {
            parts.extend(look(channel.as_str(), Role::Messages).await?);
        }
        Ok(Some(Self { parts, fenced: Vec::new() }))
    }

    /// Who has it, or had it and did not close it in order, where that is not known by a lock.
    #[must_use]
    pub fn holder(&self) -> Option<&str> {
        self.parts.iter().find(|part| !part.was_closed()).and_then(Look::holder)
    }

    /// Whether anything has ever waited in it: what is left of that may be no record, and still be in the way of others.
    #[must_use]
    pub fn was_used(&self) -> bool {
        self.parts.iter().any(Look::was_used)
    }

    /// The next records, perhaps none; `None` at the end.
    ///
    /// # Errors
    /// [`ReadError`]; at the end also if somebody has written any of it meanwhile.
    pub async fn next(&mut self) -> Result<Option<Vec<Record>>, ReadError> {
        while let Some(part) = self.parts.front_mut() {
            match part.next().await? {
                None => {
                    self.fenced.extend(part.fenced());
                    self.parts.pop_front();
                }
                some => return Ok(some),
            }
        }
        // Only now: what was read first could be written while the rest was read.
        try_join_all(self.fenced.iter().map(Fenced::check_unwritten)).await?;
        Ok(None)
    }
}
