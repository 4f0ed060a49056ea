//! Channels: one connection to one provider each, of some channel type.
//!
//! A channel pulls its MTs from the store's queue and tells everything that happens through [`Intake`], which
//! it declares and the gateway implements; it never looks upwards. Its task is its own: whatever a provider
//! does costs that channel alone. Which types there are is in [`ChannelTypes`].

pub mod dmark;
pub mod esme;
pub(crate) mod fields;
mod held;
pub mod http;
pub mod loopback;
mod queue;
mod sessions;
pub mod telnet;
mod told;
mod types;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

pub use self::queue::MtQueue;
pub use self::types::{AnyChannelType, ChannelType, ChannelTypes, Run, UnknownClass};
use crate::config::nearest;
use crate::model::{ChannelId, DeliveryStatus, Inbound, JsonObject, Level, Outbound, SmscMessageId, Timestamp};
use crate::store::{PartId, Store, Ticket};
use crate::telemetry::ChannelLog;
use crate::web::client::Client;

/// What became of an MT that the channel had pulled.
#[derive(Debug)]
pub struct Outcome {
    /// Its queue entry.
    pub ticket: Ticket,
    /// Where it is kept.
    pub origin: Ticket,
    /// The message.
    pub message: Arc<Outbound>,
    /// What became of it.
    pub fate: Fate,
}

/// What became of an MT.
#[derive(Debug, PartialEq)]
pub enum Fate {
    /// The provider accepted it.
    Submitted {
        /// The provider's ids, one a segment, in segment order; empty ones left out.
        smsc_message_ids: Vec<SmscMessageId>,
        /// The forms of them under which later receipts will be looked up.
        correlate: Vec<SmscMessageId>,
        /// Whether the application is told.
        announce: bool,
        /// Beyond that, for the event.
        details: JsonObject,
    },
    /// It was refused for good.
    Rejected {
        /// The status name or a sentence.
        reason: String,
        /// Beyond that, for the event.
        details: JsonObject,
    },
    /// It was not worth sending any more before the provider took it.
    Expired {
        /// A sentence.
        reason: String,
        /// Beyond that, for the event.
        details: JsonObject,
    },
    /// Neither: it goes back into the queue.
    Retry {
        /// Not before.
        at: Timestamp,
    },
}

/// Something that a provider sent us and waits to hear is safe.
#[derive(Debug)]
pub enum Arrival {
    /// An MO, joined from these stored segments if it came in several.
    Message {
        /// The message.
        message: Arc<Inbound>,
        /// Its segments.
        joined_from: Vec<PartId>,
    },
    /// A segment of a long MO.
    Part {
        /// Its id.
        id: PartId,
        /// What the channel needs to join it later.
        record: Vec<u8>,
    },
    /// Stored segments of a long MO that will never be complete, or that are of no use.
    DropParts {
        /// Their ids.
        ids: Vec<PartId>,
    },
    /// Something of the channel's own, to be kept under a name, or forgotten.
    Note {
        /// Unique within the channel.
        name: String,
        /// `None` forgets it.
        record: Option<Vec<u8>>,
    },
    /// A delivery receipt whose message is known.
    Report {
        /// Where the message is kept.
        origin: Ticket,
        /// The message.
        message: Arc<Outbound>,
        /// What the receipt says.
        status: DeliveryStatus,
        /// Whether the application is told.
        announce: bool,
        /// Beyond that, for the event (`smpp_delivery_status`, `network_error_code`, …).
        details: JsonObject,
    },
}

/// What a channel says of one of its components; the gateway adds the channel's id.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusReport {
    /// `smpp`, `request`, …
    pub component: &'static str,
    /// How well it does.
    pub level: Level,
    /// A word for programs.
    pub kind: &'static str,
    /// A sentence for people.
    pub message: String,
    /// What explains it.
    pub details: JsonObject,
}

/// The store cannot take it now; the provider must keep it and send it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// Too much is waiting: ask the provider to slow down.
    #[error("too much is waiting to be stored")]
    Busy,
    /// The store refuses writes.
    #[error("the store does not accept writes")]
    Unavailable,
}

/// The gateway as a channel sees it.
pub trait Intake: Clone + Send + Sync + 'static {
    /// Takes what a provider sent; resolves once all of it is durable. Only then may the channel answer OK.
    fn arrived(
        &self,
        channel: &ChannelId,
        arrivals: Vec<Arrival>,
    ) -> impl Future<Output = Result<(), IntakeError>> + Send;

    /// Takes what became of MTs. Resolves when it is queued for writing, in order, not when it is durable: a crash
    /// in between sends the MT again, which the window bounds. Waits while the store is behind, which stops the
    /// channel from pulling more.
    fn decided(&self, channel: &ChannelId, outcomes: Vec<Outcome>) -> impl Future<Output = ()> + Send;

    /// Takes a component's latest word.
    fn status(&self, channel: &ChannelId, report: StatusReport) -> impl Future<Output = ()> + Send;
}

/// Why a channel's `config` was refused; told to whoever sent it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    /// The key that is wrong, dotted when nested; empty when several are to blame.
    pub key: String,
    /// A sentence that names the key: `Missing required config field 'system_id'`.
    pub message: String,
}

impl ConfigError {
    /// A key that is wrong, and how.
    #[must_use]
    pub fn new(key: &str, message: impl Into<String>) -> Self {
        Self { key: key.to_owned(), message: message.into() }
    }

    /// That every key is one of the known ones.
    ///
    /// # Errors
    /// Names the first unknown key and the known one that is most like it.
    pub fn check_keys(config: &JsonObject, known: &[&str]) -> Result<(), Self> {
        let Some(key) = config.keys().find(|key| !known.contains(&key.as_str())) else { return Ok(()) };
        let hint = nearest(key, known).map(|known| format!(", did you mean '{known}'?")).unwrap_or_default();
        Err(Self::new(key, format!("Unknown config field '{key}'{hint}")))
    }
}

/// Told to a running channel when it must stop: it finishes what is in flight up to its deadline, unbinds, ends.
pub type Stop = CancellationToken;

/// What a channel runs on.
pub struct Setup<I> {
    /// Its id.
    pub id: ChannelId,
    /// Its type-specific configuration.
    pub config: JsonObject,
    /// Most MTs per second, for every channel type (`rate_limit_count` in `rate_limit_window`).
    pub rate_limit: Option<f64>,
    /// Where it looks up what it keeps, and the messages that receipts belong to.
    pub store: Store,
    /// Where everything that happens goes.
    pub intake: I,
    /// Requests to others.
    pub client: Client,
    /// Its log.
    pub log: ChannelLog,
    /// When to end.
    pub stop: Stop,
}

impl<I> Setup<I> {
    /// The channel's MTs, within its rate limit. There is one queue at a time: a second one takes the first one's place.
    #[must_use]
    pub fn queue(&self) -> MtQueue {
        MtQueue::open(&self.store, &self.id, self.rate_limit)
    }
}
