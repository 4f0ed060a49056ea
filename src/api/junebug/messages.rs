//! Messages: send one, ask what became of it (Junebug reference §2.7, §2.8).
//!
//! A body of the usual form is read straight into a draft; only one that is not goes through the schema, which says
//! what is wrong with it.

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::schema::{MESSAGE, priority};
use super::wire::{MessageState, envelope};
use crate::api::Api;
use crate::api::error::ApiError;
use crate::gateway::bodies::MessageBody;
use crate::gateway::{Draft, ReplyTo, Via};
use crate::model::{ChannelId, DestinationId, JsonObject, Priority, RouterId};
use crate::web::Response;
use crate::web::route::{Answer, Request};

/// The usual form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Send {
    content: String,
    to: Option<String>,
    from: Option<String>,
    group: Option<String>,
    reply_to: Option<String>,
    event_url: Option<String>,
    event_auth_token: Option<String>,
    priority: Option<u8>,
    #[serde(default)]
    channel_data: JsonObject,
}

/// Who sends, as the path names it.
enum Sender {
    Channel(ChannelId),
    Destination(RouterId, DestinationId),
}

impl Sender {
    fn channel(request: &Request) -> Self {
        Self::Channel(ChannelId::from(request.param(0)))
    }

    fn destination(request: &Request) -> Self {
        Self::Destination(RouterId::from(request.param(0)), DestinationId::from(request.param(1)))
    }

    fn via(&self) -> Via<'_> {
        match self {
            Self::Channel(channel) => Via::Channel(channel),
            Self::Destination(router, destination) => Via::Destination(router, destination),
        }
    }

    /// What events name as the sender.
    fn id(&self) -> &str {
        match self {
            Self::Channel(channel) => channel.as_str(),
            Self::Destination(_, destination) => destination.as_str(),
        }
    }
}

pub(super) fn create(api: Api, request: Request) -> Answer {
    let sender = Sender::channel(&request);
    Box::pin(async move { do_create(api, request, sender).await.unwrap_or_else(Response::from) })
}

pub(super) fn create_from_destination(api: Api, request: Request) -> Answer {
    let sender = Sender::destination(&request);
    Box::pin(async move { do_create(api, request, sender).await.unwrap_or_else(Response::from) })
}

async fn do_create(api: Api, request: Request, sender: Sender) -> Result<Response, ApiError> {
    let dry_run = match request.query("dry_run").as_deref() {
        None | Some("false" | "0") => false,
        Some("true" | "1" | "") => true,
        Some(other) => return Err(ApiError::BadQuery(format!("\"dry_run\" is neither true nor false: '{other}'"))),
    };
    let draft = read(&api.body(request).await?)?;
    if dry_run {
        let told = api.gateway.preview(sender.via(), draft)?;
        return Ok(envelope(StatusCode::OK, "message not sent", &told));
    }
    let message = api.gateway.send(sender.via(), draft).await?;
    Ok(envelope(StatusCode::CREATED, "message submitted", &MessageBody::from(&*message)))
}

fn read(body: &[u8]) -> Result<Draft, ApiError> {
    if let Ok(send) = serde_json::from_slice::<Send>(body)
        && let Some(draft) = usual(send, body)
    {
        return Ok(draft);
    }
    let mut object = MESSAGE.read(body)?;
    let mut text = |key: &str| match object.remove(key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let (content, to, from, group) = (text("content"), text("to"), text("from"), text("group"));
    let (reply_to, event_url, event_auth_token) = (text("reply_to"), text("event_url"), text("event_auth_token"));
    let priority = object.get("priority").and_then(priority).and_then(|number| u8::try_from(number).ok());
    let channel_data = match object.remove("channel_data") {
        Some(Value::Object(channel_data)) => channel_data,
        _ => JsonObject::new(),
    };
    Ok(Draft {
        to,
        from,
        group,
        reply_to: reply_to.map(ReplyTo),
        content: content.unwrap_or_default(),
        event_url: checked_url(event_url)?,
        event_auth_token,
        priority: priority.and_then(Priority::new).unwrap_or_default(),
        channel_data,
    })
}

/// `None` when the schema has something to say after all: a null where null is no value, a priority out of range.
fn usual(send: Send, body: &[u8]) -> Option<Draft> {
    let priority = send.priority.map_or(Some(Priority::default()), Priority::new)?;
    // Null and absence look alike here, but not to the schema; a body without the word has no null.
    if memchr::memmem::find(body, b"null").is_some() {
        return None;
    }
    Some(Draft {
        to: send.to,
        from: send.from,
        group: send.group,
        reply_to: send.reply_to.map(ReplyTo),
        content: send.content,
        event_url: checked_url(send.event_url).ok()?,
        event_auth_token: send.event_auth_token,
        priority,
        channel_data: send.channel_data,
    })
}

/// A URL that no request could ever be made to is an error now rather than a silence later; an empty one is none.
fn checked_url(url: Option<String>) -> Result<Option<String>, ApiError> {
    let url = url.filter(|url| !url.is_empty());
    if let Some(url) = &url
        && !url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    {
        return Err(ApiError::BadQuery(format!("\"event_url\" is no http or https URL: '{url}'")));
    }
    Ok(url)
}

pub(super) fn show(api: Api, request: Request) -> Answer {
    let sender = Sender::channel(&request);
    Box::pin(async move { do_show(&api, &sender, request.param(1)).unwrap_or_else(Response::from) })
}

pub(super) fn show_of_destination(api: Api, request: Request) -> Answer {
    let sender = Sender::destination(&request);
    Box::pin(async move { do_show(&api, &sender, request.param(2)).unwrap_or_else(Response::from) })
}

fn do_show(api: &Api, sender: &Sender, id: &str) -> Result<Response, ApiError> {
    api.gateway.require_sender(sender.via())?;
    let events = match id.parse() {
        Ok(message) => api.gateway.events(sender.via(), message)?,
        Err(_) => Vec::new(),
    };
    Ok(envelope(StatusCode::OK, "message status", &MessageState::new(id, &events, sender.id())))
}
