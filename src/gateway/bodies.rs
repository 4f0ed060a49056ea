//! The bodies of callbacks: Junebug's JSON (Junebug reference §3.6, §4.4, §4.7).

use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::model::{ChannelId, DeliveryStatus, Event, EventKind, Inbound, JsonObject, MessageId, Outbound, Status};
use crate::web::json::to_ascii;

/// A message as applications see it: these nine keys, always.
#[derive(Debug, Serialize)]
pub struct MessageBody<'a> {
    message_id: MessageId,
    channel_id: &'a ChannelId,
    to: Option<&'a str>,
    from: Option<&'a str>,
    group: Option<&'a str>,
    reply_to: Option<MessageId>,
    content: Option<&'a str>,
    channel_data: JsonObject,
    timestamp: String,
}

impl<'a> From<&'a Outbound> for MessageBody<'a> {
    fn from(message: &'a Outbound) -> Self {
        let mut channel_data = message.channel_data.clone();
        if let Some(session_event) = message.session_event {
            channel_data.insert("session_event".to_owned(), json!(session_event));
        }
        Self {
            message_id: message.id,
            channel_id: &message.channel,
            to: Some(&message.to),
            from: message.from.as_deref(),
            group: message.group.as_deref(),
            reply_to: message.reply_to,
            content: Some(&message.content),
            channel_data,
            timestamp: message.accepted_at.to_string(),
        }
    }
}

impl<'a> From<&'a Inbound> for MessageBody<'a> {
    fn from(message: &'a Inbound) -> Self {
        let mut channel_data = message.channel_data.clone();
        if let Some(session_event) = message.session_event {
            channel_data.insert("session_event".to_owned(), json!(session_event));
        }
        Self {
            message_id: message.id,
            channel_id: &message.channel,
            to: Some(&message.to),
            from: Some(&message.from),
            group: message.group.as_deref(),
            reply_to: message.reply_to,
            content: message.content.as_deref(),
            channel_data,
            timestamp: message.received_at.to_string(),
        }
    }
}

/// An event as applications see it.
#[derive(Debug, Serialize)]
pub struct EventBody<'a> {
    event_type: &'static str,
    message_id: MessageId,
    channel_id: &'a str,
    timestamp: String,
    event_details: JsonObject,
}

impl<'a> EventBody<'a> {
    /// An event as whoever sent the message under this id sees it: a channel's or a destination's.
    #[must_use]
    pub fn new(event: &'a Event, sender: &'a str) -> Self {
        let mut event_details = event.details.clone();
        if let EventKind::Nack { reason } | EventKind::Expired { reason } = &event.kind {
            event_details.insert("reason".to_owned(), json!(reason));
        }
        Self {
            event_type: event_type(&event.kind),
            message_id: event.message,
            channel_id: sender,
            timestamp: event.at.to_string(),
            event_details,
        }
    }
}

/// The API's word for an event.
#[must_use]
pub fn event_type(kind: &EventKind) -> &'static str {
    match kind {
        EventKind::Ack { .. } => "submitted",
        EventKind::Nack { .. } => "rejected",
        EventKind::Expired { .. } => "expired",
        EventKind::DeliveryReport { status } => match status {
            DeliveryStatus::Pending => "delivery_pending",
            DeliveryStatus::Delivered => "delivery_succeeded",
            DeliveryStatus::Failed => "delivery_failed",
        },
    }
}

/// The body of an MO's callback.
#[must_use]
pub fn inbound(message: &Inbound) -> Box<RawValue> {
    raw(&MessageBody::from(message))
}

/// The body of an event's callback.
#[must_use]
pub fn event(event: &Event, sender: &str) -> Box<RawValue> {
    raw(&EventBody::new(event, sender))
}

/// The body of a status event's callback.
#[must_use]
pub fn status(status: &Status) -> Box<RawValue> {
    raw(status)
}

fn raw<T: Serialize>(body: &T) -> Box<RawValue> {
    RawValue::from_string(to_ascii(body)).expect("what was written as JSON is JSON")
}
