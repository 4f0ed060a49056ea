//! Events: what became of an MT.

use serde::{Deserialize, Serialize};

use super::{ChannelId, EventId, JsonObject, MessageId, Timestamp};

/// One change of an MT's fate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its own id; stable over retries of its callback.
    pub id: EventId,
    /// The MT that it is about.
    pub message: MessageId,
    /// The channel that sent the MT.
    pub channel: ChannelId,
    /// When we learnt of it.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
    /// What the channel knows beyond that (`smpp_delivery_status`, `network_error_code`, …).
    #[serde(default, skip_serializing_if = "JsonObject::is_empty")]
    pub details: JsonObject,
}

/// What happened to the MT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventKind {
    /// The provider accepted it (Junebug: `submitted`).
    Ack {
        /// The provider's id; the ids of several segments sorted and joined with commas; may be empty.
        sent_message_id: String,
    },
    /// The provider, or we, refused it for good (Junebug: `rejected`).
    Nack {
        /// The status name (`ESME_RINVDSTADR`) or a sentence.
        reason: String,
    },
    /// It was not worth sending any more before the provider took it (`expired`).
    Expired {
        /// A sentence.
        reason: String,
    },
    /// A delivery receipt (Junebug: `delivery_pending|succeeded|failed`).
    DeliveryReport {
        /// Which of the three.
        status: DeliveryStatus,
    },
}

/// How far delivery to the phone has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// Still on its way.
    Pending,
    /// On the phone.
    Delivered,
    /// It will not arrive.
    Failed,
}
