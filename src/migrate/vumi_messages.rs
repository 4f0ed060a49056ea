//! Messages and events as Junebug kept them: Vumi's JSON for MOs and events, the API's for MTs (Junebug reference §3.5,
//! §4.2 to §4.4).

use serde_json::Value;

use crate::model::{
    ChannelId, DeliveryStatus, Event, EventKind, Inbound, JsonObject, Outbound, Priority, SessionEvent, Timestamp,
};

/// An MO; `None` when it is none.
pub(super) fn inbound(owner: &str, record: &str) -> Option<Inbound> {
    let message = Record::read(record)?;
    Some(Inbound {
        id: message.text("message_id")?.parse().ok()?,
        channel: ChannelId::from(message.text("transport_name").unwrap_or(owner)),
        to: message.owned("to_addr").unwrap_or_default(),
        from: message.owned("from_addr")?,
        group: message.owned("group"),
        content: message.owned("content"),
        reply_to: message.text("in_reply_to").and_then(|id| id.parse().ok()),
        session_event: message.text("session_event").and_then(session_event),
        channel_data: message.object("helper_metadata"),
        transport_type: message.owned("transport_type"),
        transport_metadata: message.object("transport_metadata"),
        provider: message.owned("provider"),
        destinations: Vec::new(),
        received_at: message.timestamp()?,
    })
}

/// An MT; `None` when it is none.
pub(super) fn outbound(record: &str) -> Option<Outbound> {
    let message = Record::read(record)?;
    let mut channel_data = message.object("channel_data");
    let session_event = channel_data.remove("session_event");
    let priority = match message.0.get("priority") {
        Some(Value::String(text)) => text.parse().ok(),
        Some(number) => number.as_u64().and_then(|number| u8::try_from(number).ok()),
        None => None,
    };
    Some(Outbound {
        id: message.text("message_id")?.parse().ok()?,
        channel: message.text("channel_id")?.into(),
        to: message.owned("to").unwrap_or_default(),
        from: message.owned("from"),
        group: message.owned("group"),
        content: message.owned("content").unwrap_or_default(),
        reply_to: message.text("reply_to").and_then(|id| id.parse().ok()),
        session_event: session_event.as_ref().and_then(Value::as_str).and_then(self::session_event),
        priority: priority.and_then(Priority::new).unwrap_or_default(),
        channel_data,
        transport_type: None,
        transport_metadata: JsonObject::new(),
        provider: None,
        event_url: message.owned("event_url"),
        event_auth_token: message.owned("event_auth_token"),
        events_queued: false,
        app_message_id: None,
        destination: None,
        router: None,
        send_at: None,
        expires_at: None,
        accepted_at: message.timestamp()?,
    })
}

/// What became of an MT; `None` when it is nothing that we know.
pub(super) fn event(message: &Outbound, record: &str) -> Option<Event> {
    let event = Record::read(record)?;
    let kind = match event.text("event_type")? {
        "ack" => EventKind::Ack { sent_message_id: event.owned("sent_message_id").unwrap_or_default() },
        "nack" => EventKind::Nack { reason: event.owned("nack_reason").unwrap_or_default() },
        "delivery_report" => EventKind::DeliveryReport {
            status: match event.text("delivery_status")? {
                "pending" => DeliveryStatus::Pending,
                "delivered" => DeliveryStatus::Delivered,
                "failed" => DeliveryStatus::Failed,
                _ => return None,
            },
        },
        _ => return None,
    };
    Some(Event {
        id: event.text("event_id")?.parse().ok()?,
        message: message.id,
        channel: message.channel.clone(),
        at: event.timestamp()?,
        kind,
        details: event.object("transport_metadata"),
    })
}

fn session_event(text: &str) -> Option<SessionEvent> {
    match text {
        "new" => Some(SessionEvent::New),
        "resume" => Some(SessionEvent::Resume),
        "close" => Some(SessionEvent::Close),
        _ => None,
    }
}

struct Record(JsonObject);

impl Record {
    fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self)
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.as_str()
    }

    fn owned(&self, key: &str) -> Option<String> {
        self.text(key).map(str::to_owned)
    }

    fn object(&self, key: &str) -> JsonObject {
        self.0.get(key).and_then(Value::as_object).cloned().unwrap_or_default()
    }

    fn timestamp(&self) -> Option<Timestamp> {
        Timestamp::parse(self.text("timestamp")?)
    }
}
