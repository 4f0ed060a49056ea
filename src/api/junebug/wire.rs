//! Junebug's JSON: the envelope of every answer, channels, message states (Junebug reference §1.1, §2, §3.4).

use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use serde_json::{Value, json};

use crate::api::Api;
use crate::api::peers::Figures;
use crate::gateway::bodies::{EventBody, event_type};
use crate::gateway::{Gateway, GatewayError, Router};
use crate::model::{ChannelProperties, DestinationProperties, Event, JsonObject};
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
pub(super) async fn channel(api: &Api, channel: &ChannelProperties) -> Result<JsonObject, GatewayError> {
    let mut shown = api.gateway.shown(channel);
    shown.insert("id".to_owned(), json!(channel.id));
    shown.insert("status".to_owned(), Value::Object(status(api, channel).await?));
    Ok(shown)
}

/// A router as the API shows it: its properties, its id, its rates.
pub(super) async fn router(api: &Api, router: &Router) -> JsonObject {
    with_rates(api, router.properties.properties.clone(), &router.properties.id.0).await
}

/// A destination as the API shows it.
pub(super) async fn destination(api: &Api, destination: &DestinationProperties) -> JsonObject {
    with_rates(api, destination.properties.clone(), &destination.id.0).await
}

async fn with_rates(api: &Api, mut shown: JsonObject, id: &Arc<str>) -> JsonObject {
    let mut status = JsonObject::new();
    rates(&api.figures(id).await, &mut status);
    shown.insert("id".to_owned(), json!(id));
    shown.insert("status".to_owned(), Value::Object(status));
    shown
}

async fn status(api: &Api, channel: &ChannelProperties) -> Result<JsonObject, GatewayError> {
    let statuses = api.gateway.statuses(&channel.id).await?;
    let mut shown = JsonObject::new();
    shown.insert("status".to_owned(), json!(Gateway::level(&statuses)));
    let components = statuses.iter().map(|status| (status.component.clone(), json!(status))).collect();
    shown.insert("components".to_owned(), Value::Object(components));
    let figures = api.figures(&channel.id.0).await;
    shown.insert("queue_length".to_owned(), json!(figures.waiting));
    rates(&figures, &mut shown);
    Ok(shown)
}

fn rates(figures: &Figures, shown: &mut JsonObject) {
    for ((_, name), rate) in Label::ALL.into_iter().zip(figures.rates) {
        // Junebug says 0 without a fraction when nothing happened.
        shown.insert(name.to_owned(), if rate == 0.0 { json!(0) } else { json!(rate) });
    }
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
    pub(super) fn new(id: &'a str, events: &'a [Event], sender: &'a str) -> Self {
        let last = events.last();
        Self {
            id,
            last_event_type: last.map(|event| event_type(&event.kind)),
            last_event_timestamp: last.map(|event| event.at.to_string()),
            events: events.iter().map(|event| EventBody::new(event, sender)).collect(),
        }
    }
}
