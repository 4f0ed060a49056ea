//! Messages: `Outbound` (MT) on its way to a phone, `Inbound` (MO) from one.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{ChannelId, DestinationId, MessageId, Priority, RouterId, Timestamp};

/// A JSON object whose content is the application's or the channel's business.
pub type JsonObject = serde_json::Map<String, serde_json::Value>;

/// Where a message stands in a session (USSD and the like); absent for plain SMS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionEvent {
    /// Opens the session.
    New,
    /// Continues it.
    Resume,
    /// Ends it.
    Close,
}

impl SessionEvent {
    /// The word that the APIs use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Resume => "resume",
            Self::Close => "close",
        }
    }
}

/// An MT as it was accepted. Never changed afterwards; what becomes of it are events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outbound {
    /// Our id.
    pub id: MessageId,
    /// The channel that sends it.
    pub channel: ChannelId,
    /// Destination address as the application wrote it.
    pub to: String,
    /// Source address; the channel's own default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Group the message belongs to, carried through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The text.
    pub content: String,
    /// The MO that this answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<MessageId>,
    /// Session step, for session channels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_event: Option<SessionEvent>,
    /// Its place in the queue.
    #[serde(default)]
    pub priority: Priority,
    /// The application's `channel_data` (Vumi's `helper_metadata`).
    #[serde(default, skip_serializing_if = "JsonObject::is_empty")]
    pub channel_data: JsonObject,
    /// Copied from the MO that is answered: `ussd`, `sms`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport_type: Option<String>,
    /// Copied from the MO that is answered: what the channel needs to continue a session.
    #[serde(default, skip_serializing_if = "JsonObject::is_empty")]
    pub transport_metadata: JsonObject,
    /// Copied from the MO that is answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Where its events are posted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_url: Option<String>,
    /// Sent as `Authorization: Token …` with those events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_auth_token: Option<String>,
    /// Whether its events are put into an application's queue.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub events_queued: bool,
    /// The id that the application gave it, where that is not the text of `id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_message_id: Option<Arc<str>>,
    /// The router's destination that it was sent from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<DestinationId>,
    /// The router that chose its channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router: Option<RouterId>,
    /// It leaves its queue not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_at: Option<Timestamp>,
    /// Not worth sending from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When we accepted it.
    pub accepted_at: Timestamp,
}

#[cfg(test)]
impl Outbound {
    /// A plain message on the channel `c`, for tests.
    pub(crate) fn plain(to: &str, content: &str) -> Self {
        Self {
            id: MessageId::mint(),
            channel: "c".into(),
            to: to.into(),
            from: None,
            group: None,
            content: content.into(),
            reply_to: None,
            session_event: None,
            priority: Priority::BULK,
            channel_data: JsonObject::new(),
            transport_type: None,
            transport_metadata: JsonObject::new(),
            provider: None,
            event_url: None,
            event_auth_token: None,
            events_queued: false,
            app_message_id: None,
            destination: None,
            router: None,
            send_at: None,
            expires_at: None,
            accepted_at: Timestamp::now(),
        }
    }
}

/// An MO as a channel handed it to us.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inbound {
    /// Our id, minted on arrival.
    pub id: MessageId,
    /// The channel that received it.
    pub channel: ChannelId,
    /// Our side's address (short code, dialled USSD string); empty when the SMSC gave none.
    pub to: String,
    /// The phone's address.
    pub from: String,
    /// Group, for channels that have them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The text; absent when a session opens or closes without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// The MT that this answers, for channels that know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<MessageId>,
    /// Session step, for session channels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_event: Option<SessionEvent>,
    /// What applications see as `channel_data`.
    #[serde(default, skip_serializing_if = "JsonObject::is_empty")]
    pub channel_data: JsonObject,
    /// `sms`, `ussd`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport_type: Option<String>,
    /// What the channel needs back in a reply; not shown over HTTP.
    #[serde(default, skip_serializing_if = "JsonObject::is_empty")]
    pub transport_metadata: JsonObject,
    /// Operator, where the channel knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The router's destinations that it went to; none for a channel without a router.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destinations: Vec<DestinationId>,
    /// When it arrived.
    pub received_at: Timestamp,
}
