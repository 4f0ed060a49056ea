//! What can go wrong at the gateway, by whose fault.

use std::sync::Arc;

use super::routing::RoutingError;
use crate::bus::BusError;
use crate::channel::ConfigError;
use crate::model::{ChannelId, DestinationId, JsonObject, RateLimit, RouterId};
use crate::store::{CommitError, ReadError};

/// Why the gateway did not do what it was asked.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GatewayError {
    /// No channel has this id.
    #[error("channel not found")]
    ChannelNotFound,
    /// The channel runs in another process, or is on its way from one to another.
    #[error("channel {0} does not run here at present; ask again in a moment, or where it runs")]
    Elsewhere(ChannelId),
    /// No channel type has this name.
    #[error("Invalid channel type '{name}', must be one of: {known}")]
    InvalidChannelType {
        /// The name.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// No router has this id.
    #[error("Router with ID {0} cannot be found")]
    RouterNotFound(RouterId),
    /// The router has no such destination.
    #[error("Cannot find destination with ID {destination} for router {router}")]
    DestinationNotFound {
        /// The router.
        router: RouterId,
        /// The destination.
        destination: DestinationId,
    },
    /// No router type has this name.
    #[error("Invalid router type {name}, must be one of: {known}")]
    InvalidRouterType {
        /// The name.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// The configuration of a router or destination is wrong.
    #[error("{0}")]
    Routing(#[from] RoutingError),
    /// A router has no channel for a number.
    #[error("Router {router} has no channel for messages to '{to}'")]
    NoRoute {
        /// The router.
        router: RouterId,
        /// The number.
        to: String,
    },
    /// The channel's configuration is wrong.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The request makes no sense as it is.
    #[error("{0}")]
    Usage(String),
    /// The MO that is to be replied to is not known, or has expired.
    #[error("Inbound message with id {0} not found")]
    MessageNotFound(String),
    /// The MT does not wait in its channel's queue: it was never accepted, or has left.
    #[error("message {0} is not queued on this channel")]
    NotQueued(String),
    /// No receipt that is kept aside has this id.
    #[error("receipt not found")]
    ReceiptNotFound,
    /// No callback that was given up has this id.
    #[error("Callback with id {0} not found")]
    CallbackNotFound(String),
    /// Nothing that a queue held and that could not be sent has this id.
    #[error("Failure with id {0} not found")]
    FailureNotFound(String),
    /// RabbitMQ did not do it.
    #[error("{0}")]
    Bus(#[from] BusError),
    /// The content is longer than the channel allows.
    #[error("Message content '{content}' is of length {length}, which is greater than the character limit of {limit}")]
    MessageTooLong {
        /// The content.
        content: String,
        /// Its length in code points.
        length: usize,
        /// The channel's limit.
        limit: u64,
    },
    /// Too much waits for the channel.
    #[error("{waiting} messages are waiting for this channel, which is its limit; try again later")]
    QueueFull {
        /// How many wait.
        waiting: u64,
    },
    /// The channel's rate limit refuses more for now.
    #[error(
        "this channel takes {} messages in {} seconds; try again in {} seconds",
        limit.count, limit.window.as_secs(), seconds
    )]
    RateLimitExceeded {
        /// The limit.
        limit: RateLimit,
        /// In how many seconds there is room.
        seconds: u64,
    },
    /// The store did not take it.
    #[error("{0}")]
    Store(#[from] CommitError),
    /// The store could not be read.
    #[error("the store could not be read: {0}")]
    Read(Arc<str>),
    /// A log could not be read.
    #[error("the log could not be read: {0}")]
    Log(String),
}

impl From<ReadError> for GatewayError {
    fn from(error: ReadError) -> Self {
        Self::Read(error.0)
    }
}

/// Why the gateway did not start.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// What is stored could not be read.
    #[error(transparent)]
    Stored(#[from] GatewayError),
    /// Another gateway uses the same store in this process.
    #[error("another gateway uses this store")]
    AlreadyRunning,
}

/// What a masked secret looks like; sent back in an update it means that nothing changed.
pub(crate) const MASK: &str = "********";

/// A configuration with its secrets masked.
pub(crate) fn masked(config: &JsonObject, secrets: &[&str]) -> JsonObject {
    let mut shown = config.clone();
    for secret in secrets {
        if let Some(value) = shown.get_mut(*secret) {
            *value = serde_json::Value::from(MASK);
        }
    }
    shown
}
