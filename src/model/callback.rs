//! Callbacks: HTTP requests, and messages for queues, that we owe somebody.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{ChannelId, DestinationId, EventId, MessageId, RouterId, Timestamp};

/// One request owed. Durable from the moment that its cause is; done when the receiver took it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Callback {
    /// Stable over retries: the event's id, or the MO's.
    pub id: EventId,
    /// What it tells.
    pub kind: CallbackKind,
    /// The channel that it is about.
    pub channel: ChannelId,
    /// Callbacks with the same key leave in the order they were recorded; the message's id.
    pub message: MessageId,
    /// Where it goes.
    pub target: CallbackTarget,
    /// The JSON body, exactly as it will be sent.
    pub body: Box<RawValue>,
    /// When its cause was recorded; its age decides when we give up.
    pub created_at: Timestamp,
}

/// What a callback tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallbackKind {
    /// An MO, to the channel's `mo_url`.
    Mo,
    /// An event, to the message's `event_url`.
    Event,
    /// A status event, to the channel's `status_url`.
    Status,
}

impl CallbackKind {
    /// The key under which it is published for an application's queue.
    #[must_use]
    pub fn routing_key(self, queue: &str) -> String {
        let suffix = if self == Self::Mo { "inbound" } else { "event" };
        format!("{queue}.{suffix}")
    }
}

/// Where a callback goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallbackTarget {
    /// To a URL fixed when the message was accepted.
    Url {
        /// The URL as given, user-info and query included.
        url: String,
        /// Sent as `Authorization: Token …` unless the URL has user-info.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<String>,
    },
    /// To whatever the channel's `mo_url` or `status_url` is when the request leaves, so that a corrected
    /// URL also serves what already waits.
    Channel,
    /// To whatever the destination's `mo_url` is then.
    Destination {
        /// The router.
        router: RouterId,
        /// Its destination.
        destination: DestinationId,
    },
    /// To an application's queue of RabbitMQ.
    Queue {
        /// The `amqp_queue`, without the suffix that says what is in it.
        queue: String,
        /// Who had it when this was recorded: where they have another one by now, it goes there. Where nobody is named, it
        /// stays.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<QueueOwner>,
    },
}

/// Who has an AMQP queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QueueOwner {
    /// A channel.
    Channel(ChannelId),
    /// A destination of a router.
    Destination(RouterId, DestinationId),
}

impl QueueOwner {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        match self {
            Self::Channel(channel) => &channel.0,
            Self::Destination(_, destination) => &destination.0,
        }
    }
}
