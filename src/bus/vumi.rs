//! Vumi's JSON, which applications put into queues and take out of them (Junebug reference §4.2, §4.3).
//!
//! Text is text: unlike Vumi, a content that looks like a timestamp passes as it is.

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::model::{DeliveryStatus, Event, EventKind, Inbound, JsonObject, Outbound, SessionEvent};
use crate::web::json::to_ascii;

/// The only version that there has ever been.
const VERSION: &str = "20110921";
/// Fields that a user message must have, if only with the value null.
const REQUIRED: [&str; 12] = [
    "message_type",
    "message_version",
    "timestamp",
    "message_id",
    "to_addr",
    "from_addr",
    "in_reply_to",
    "session_event",
    "content",
    "transport_name",
    "transport_type",
    "transport_metadata",
];

/// Why a message was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It is no JSON.
    #[error("it is no JSON: {0}")]
    NotJson(String),
    /// It is no JSON object.
    #[error("it is no JSON object")]
    NoObject,
    /// A field is missing.
    #[error("the field '{0}' is missing")]
    Missing(&'static str),
    /// A field has a value that it cannot have.
    #[error("the field '{field}' is not {expected}")]
    Wrong {
        /// The field.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}

/// A user message as an application sends it.
#[derive(Clone, Debug, PartialEq)]
pub struct UserMessage {
    /// The application's id of it.
    pub message_id: Arc<str>,
    /// To whom.
    pub to_addr: Option<String>,
    /// From whom.
    pub from_addr: Option<String>,
    /// The MO that it answers.
    pub in_reply_to: Option<String>,
    /// The text.
    pub content: Option<String>,
    /// Where it stands in a session.
    pub session_event: Option<SessionEvent>,
    /// What the application takes for the channel; often the name of its queue.
    pub transport_name: Option<String>,
    /// `sms`, `ussd`, …
    pub transport_type: Option<String>,
    /// What the channel needs to continue a session.
    pub transport_metadata: JsonObject,
    /// Free-form.
    pub helper_metadata: JsonObject,
    /// Group.
    pub group: Option<String>,
    /// Operator.
    pub provider: Option<String>,
}

impl UserMessage {
    /// Reads a user message and checks it as Vumi does.
    ///
    /// # Errors
    /// [`DecodeError`] names the field.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        // Errors say nothing of what is in a message: they are logged.
        let fields = match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => fields,
            Ok(_) => return Err(DecodeError::NoObject),
            Err(error) => return Err(DecodeError::NotJson(error.to_string())),
        };
        if let Some(missing) = REQUIRED.iter().find(|field| !fields.contains_key(**field)) {
            return Err(DecodeError::Missing(missing));
        }
        let mut fields = Fields(fields);
        fields.exactly("message_version", VERSION, "'20110921'")?;
        fields.exactly("message_type", "user_message", "'user_message'")?;
        let session_event = match fields.text("session_event")? {
            None => None,
            Some(word) => Some(
                serde_json::from_value(Value::String(word))
                    .map_err(|_| wrong("session_event", "null, 'new', 'resume' or 'close'"))?,
            ),
        };
        let message_id = fields.text("message_id")?.filter(|id| !id.is_empty());
        let message_id = message_id.ok_or_else(|| wrong("message_id", "a string"))?;
        Ok(Self {
            message_id: message_id.into(),
            to_addr: fields.text("to_addr")?,
            from_addr: fields.text("from_addr")?,
            in_reply_to: fields.text("in_reply_to")?,
            content: fields.text("content")?,
            session_event,
            transport_name: fields.text("transport_name")?,
            transport_type: fields.text("transport_type")?,
            transport_metadata: fields.object("transport_metadata")?,
            helper_metadata: fields.object("helper_metadata")?,
            group: fields.text("group")?,
            provider: fields.text("provider")?,
        })
    }
}

/// The fields of a message, taken out one by one.
struct Fields(JsonObject);

impl Fields {
    fn exactly(&self, field: &'static str, value: &str, expected: &'static str) -> Result<(), DecodeError> {
        match self.0.get(field) {
            Some(Value::String(text)) if text == value => Ok(()),
            _ => Err(wrong(field, expected)),
        }
    }

    fn text(&mut self, field: &'static str) -> Result<Option<String>, DecodeError> {
        match self.0.remove(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(field, "a string")),
        }
    }

    fn object(&mut self, field: &'static str) -> Result<JsonObject, DecodeError> {
        match self.0.remove(field) {
            None | Some(Value::Null) => Ok(JsonObject::new()),
            Some(Value::Object(object)) => Ok(object),
            Some(_) => Err(wrong(field, "an object")),
        }
    }
}

fn wrong(field: &'static str, expected: &'static str) -> DecodeError {
    DecodeError::Wrong { field, expected }
}

/// An MO for an application.
#[must_use]
pub fn inbound(message: &Inbound) -> Box<RawValue> {
    let mut helper_metadata = message.channel_data.clone();
    // Quirk(Junebug): its view of a message for HTTP shares this object (reference §4.2).
    if let Some(session_event) = message.session_event {
        helper_metadata.insert("session_event".to_owned(), json!(session_event));
    }
    raw(&UserMessageBody {
        message_type: "user_message",
        message_version: VERSION,
        message_id: message.id.to_string(),
        timestamp: message.received_at.to_string(),
        transport_name: message.channel.as_str(),
        transport_type: message.transport_type.as_deref(),
        to_addr: &message.to,
        to_addr_type: None,
        from_addr: &message.from,
        from_addr_type: None,
        group: message.group.as_deref(),
        provider: message.provider.as_deref(),
        in_reply_to: message.reply_to.map(|id| id.to_string()),
        content: message.content.as_deref(),
        session_event: message.session_event,
        helper_metadata,
        transport_metadata: &message.transport_metadata,
        routing_metadata: JsonObject::new(),
    })
}

/// The fields of a user message, in the order of Vumi's documentation.
#[derive(Serialize)]
struct UserMessageBody<'a> {
    message_type: &'static str,
    message_version: &'static str,
    message_id: String,
    timestamp: String,
    transport_name: &'a str,
    transport_type: Option<&'a str>,
    to_addr: &'a str,
    to_addr_type: Option<&'a str>,
    from_addr: &'a str,
    from_addr_type: Option<&'a str>,
    group: Option<&'a str>,
    provider: Option<&'a str>,
    in_reply_to: Option<String>,
    content: Option<&'a str>,
    session_event: Option<SessionEvent>,
    helper_metadata: JsonObject,
    transport_metadata: &'a JsonObject,
    routing_metadata: JsonObject,
}

/// An event for an application. Vumi has no word for what expired: that is a refusal to it.
#[must_use]
pub fn event(event: &Event, message: &Outbound) -> Box<RawValue> {
    let (event_type, extra) = match &event.kind {
        EventKind::Ack { sent_message_id } => ("ack", ("sent_message_id", json!(sent_message_id))),
        EventKind::Nack { reason } | EventKind::Expired { reason } => ("nack", ("nack_reason", json!(reason))),
        EventKind::DeliveryReport { status } => {
            let status = match status {
                DeliveryStatus::Pending => "pending",
                DeliveryStatus::Delivered => "delivered",
                DeliveryStatus::Failed => "failed",
            };
            ("delivery_report", ("delivery_status", json!(status)))
        }
    };
    let user_message_id = match &message.app_message_id {
        Some(id) => id.to_string(),
        None => message.id.to_string(),
    };
    let mut body = json!({
        "message_type": "event",
        "message_version": VERSION,
        "event_id": event.id,
        "event_type": event_type,
        "user_message_id": user_message_id,
        "timestamp": event.at.to_string(),
        "transport_name": event.channel,
        "helper_metadata": {},
        "routing_metadata": {},
        "transport_metadata": event.details,
    });
    body[extra.0] = extra.1;
    raw(&body)
}

fn raw<T: Serialize>(body: &T) -> Box<RawValue> {
    RawValue::from_string(to_ascii(body)).expect("what was written as JSON is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{MessageId, Timestamp};

    fn sample() -> Value {
        json!({
            "message_type": "user_message", "message_version": "20110921", "message_id": "abc",
            "timestamp": "2024-03-01 09:30:00.123456", "transport_name": "q", "transport_type": "sms",
            "to_addr": "8110", "from_addr": "+27820000001", "in_reply_to": null, "content": "2024-01-01 00:00:00",
            "session_event": null, "transport_metadata": {},
        })
    }

    fn refused(change: impl FnOnce(&mut Value)) -> String {
        let mut message = sample();
        change(&mut message);
        UserMessage::decode(message.to_string().as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn what_vumi_accepts_is_read_and_content_is_not_taken_for_a_timestamp() {
        let message = UserMessage::decode(sample().to_string().as_bytes()).unwrap();
        assert_eq!(message.content.as_deref(), Some("2024-01-01 00:00:00"));
        assert_eq!((&*message.message_id, message.to_addr.as_deref()), ("abc", Some("8110")));
        let mut close = sample();
        close["session_event"] = json!("close");
        close["content"] = Value::Null;
        let message = UserMessage::decode(close.to_string().as_bytes()).unwrap();
        assert_eq!((message.session_event, message.content), (Some(SessionEvent::Close), None));
    }

    #[test]
    fn what_vumi_refuses_is_named() {
        assert!(UserMessage::decode(b"{").unwrap_err().to_string().starts_with("it is no JSON: "));
        assert_eq!(UserMessage::decode(b"[]"), Err(DecodeError::NoObject));
        for field in REQUIRED {
            let told = refused(|message| {
                message.as_object_mut().unwrap().remove(field);
            });
            assert_eq!(told, format!("the field '{field}' is missing"));
        }
        let told = refused(|message| message["message_version"] = json!("20200101"));
        assert_eq!(told, "the field 'message_version' is not '20110921'");
        let told = refused(|message| message["session_event"] = json!("open"));
        assert_eq!(told, "the field 'session_event' is not null, 'new', 'resume' or 'close'");
        assert_eq!(refused(|message| message["content"] = json!(5)), "the field 'content' is not a string");
    }

    #[test]
    fn an_event_names_the_message_as_its_application_does() {
        let message = Outbound { app_message_id: Some("mine".into()), ..Outbound::plain("1", "x") };
        let at = Timestamp(1_709_285_400_000_000);
        let of = |kind| {
            let details = JsonObject::new();
            let told = Event { id: MessageId::mint(), message: message.id, channel: "c".into(), at, kind, details };
            serde_json::from_str::<Value>(event(&told, &message).get()).unwrap()
        };
        let nack = of(EventKind::Expired { reason: "too late ü".to_owned() });
        assert_eq!((&nack["event_type"], &nack["nack_reason"]), (&json!("nack"), &json!("too late ü")));
        assert_eq!((&nack["user_message_id"], &nack["transport_name"]), (&json!("mine"), &json!("c")));
        assert_eq!(nack["timestamp"], "2024-03-01 09:30:00.000000");
        let report = of(EventKind::DeliveryReport { status: DeliveryStatus::Failed });
        assert_eq!(report["delivery_status"], "failed");
        assert_eq!(report.as_object().unwrap().len(), 11);
    }
}
