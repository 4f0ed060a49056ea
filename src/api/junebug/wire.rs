//! Junebug's JSON: the envelope of every answer, channels, message states (Junebug reference §1.1, §2, §3.4).

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use serde_json::{Value, json};

use crate::gateway::bodies::{EventBody, event_type};
use crate::gateway::{Gateway, GatewayError};
use crate::model::{ChannelProperties, Event, JsonObject};
use crate::telemetry::Label;
use crate::web::Response;
use crate::web::json::to_ascii;

/// The four keys of every answer.
#[derive(Serialize)]
struct Envelope<'a, T: Serialize + ?Sized> {
    status: u16,
    code: &'a str,
    description: &'a str,
    result: &'a T,
}

/// An answer.
pub(crate) fn envelope<T: Serialize + ?Sized>(status: StatusCode, description: &str, result: &T) -> Response {
    let code = status.canonical_reason().unwrap_or_default();
    let body = to_ascii(&Envelope { status: status.as_u16(), code, description, result });
    let mut response = Response::new(Bytes::from(body).into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A channel: its properties, its id, its state.
pub(super) fn channel(gateway: &Gateway, channel: &ChannelProperties) -> Result<JsonObject, GatewayError> {
    let mut shown = gateway.shown(channel);
    shown.insert("id".to_owned(), json!(channel.id));
    shown.insert("status".to_owned(), Value::Object(status(gateway, channel)?));
    Ok(shown)
}

fn status(gateway: &Gateway, channel: &ChannelProperties) -> Result<JsonObject, GatewayError> {
    let statuses = gateway.statuses(&channel.id)?;
    let mut shown = JsonObject::new();
    shown.insert("status".to_owned(), json!(Gateway::level(&statuses)));
    let components = statuses.iter().map(|status| (status.component.clone(), json!(status))).collect();
    shown.insert("components".to_owned(), Value::Object(components));
    let depth = gateway.depth(&channel.id);
    shown.insert("queue_length".to_owned(), json!(depth.waiting.saturating_sub(depth.in_hand)));
    for (label, name) in Label::ALL {
        let rate = gateway.rate(&channel.id, label);
        // Junebug says 0 without a fraction when nothing happened.
        shown.insert(name.to_owned(), if rate == 0.0 { json!(0) } else { json!(rate) });
    }
    Ok(shown)
}

/// A message's state: its events and the last one of them.
#[derive(Serialize)]
pub(super) struct MessageState<'a> {
    id: &'a str,
    last_event_type: Option<&'static str>,
    last_event_timestamp: Option<String>,
    events: Vec<EventBody<'a>>,
}

impl<'a> MessageState<'a> {
    pub(super) fn new(id: &'a str, events: &'a [Event]) -> Self {
        let last = events.last();
        Self {
            id,
            last_event_type: last.map(|event| event_type(&event.kind)),
            last_event_timestamp: last.map(|event| event.at.to_string()),
            events: events.iter().map(EventBody::from).collect(),
        }
    }
}
