//! Messages: send one, ask what became of it, cancel those that wait (Junebug reference §2.7, §2.8, §9).
//!
//! A body of the usual form is read straight into a draft; only one that is not goes through the schema, which says
//! what is wrong with it.

use std::time::Duration;

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::schema::MESSAGE;
use super::wire::{MessageState, envelope};
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::peers::Turn;
use crate::api::query::only;
use crate::gateway::bodies::MessageBody;
use crate::gateway::{Draft, FARTHEST, GatewayError, ReplyTo, Via};
use crate::model::{ChannelId, DestinationId, JsonObject, Priority, RouterId, Timestamp};
use crate::store::Duty;
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
    send_at: Option<String>,
    expires_at: Option<String>,
    validity: Option<u32>,
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
    // Whoever misspells it would really send.
    let misspelt = |name: &str| name != "dry_run" && name.to_lowercase().replace(['-', '_'], "") == "dryrun";
    if let Some(name) = request.query_names().find(|name| misspelt(name)) {
        return Err(ApiError::BadQuery(format!("\"{name}\" is called \"dry_run\"")));
    }
    let dry_run = match request.query("dry_run").as_deref() {
        None | Some("false" | "0") => false,
        Some("true" | "1" | "") => true,
        Some(other) => return Err(ApiError::BadQuery(format!("\"dry_run\" is neither true nor false: '{other}'"))),
    };
    let (body, request) = api.read(request).await?;
    let draft = read(&body)?;
    if dry_run {
        let told = api.gateway.preview(sender.via(), draft).await?;
        return Ok(envelope(StatusCode::OK, "message not sent", &told));
    }
    let sent = match (api.gateway.send(sender.via(), draft).await, &api.peers) {
        // Its channel counts what it takes, where it runs.
        (Err(GatewayError::Elsewhere(channel)), Some(peers)) => {
            match api.turn(peers, &Duty::Channel(channel), request).await? {
                Turn::Theirs(answer) => return Ok(answer),
                Turn::Ours(_) => api.gateway.send(sender.via(), read(&body)?).await,
            }
        }
        (sent, _) => sent,
    };
    let message = sent?;
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
    let (send_at, expires_at) = (text("send_at"), text("expires_at"));
    let validity = object.get("validity").and_then(Value::as_u64).map(Duration::from_secs);
    let priority = object.get("priority").and_then(Priority::number).and_then(|number| u8::try_from(number).ok());
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
        // The schema has seen that they are times.
        send_at: send_at.and_then(|text| Timestamp::parse_any(&text)),
        expires_at: expires_at.and_then(|text| Timestamp::parse_any(&text)),
        validity,
    })
}

/// `None` when the schema has something to say after all: a null where null is no value, a priority out of range, a time
/// that is none.
fn usual(send: Send, body: &[u8]) -> Option<Draft> {
    let priority = send.priority.map_or(Some(Priority::default()), Priority::new)?;
    // Null and absence look alike here, but not to the schema; a body without the word has no null.
    if memchr::memmem::find(body, b"null").is_some() {
        return None;
    }
    let time = |text: Option<String>| match text {
        Some(text) => Timestamp::parse_any(&text).map(Some),
        None => Some(None),
    };
    let validity = send.validity.map(|seconds| Duration::from_secs(seconds.into()));
    if validity.is_some_and(|validity| validity.is_zero() || validity > FARTHEST) {
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
        send_at: time(send.send_at)?,
        expires_at: time(send.expires_at)?,
        validity,
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

pub(super) fn cancel_all(api: Api, request: Request) -> Answer {
    Box::pin(async move { do_cancel_all(&api, &request).await.unwrap_or_else(Response::from) })
}

async fn do_cancel_all(api: &Api, request: &Request) -> Result<Response, ApiError> {
    only(request, &["priority"])?;
    let priority = request.query("priority").map(|text| {
        let priority = text.parse().ok().and_then(Priority::new);
        priority.ok_or_else(|| ApiError::BadQuery(format!("\"priority\" is no number from 1 to 5: '{text}'")))
    });
    let cancelled = api.gateway.cancel_all(&ChannelId::from(request.param(0)), priority.transpose()?).await?;
    Ok(cancelled_envelope(cancelled))
}

pub(super) fn cancel(api: Api, request: Request) -> Answer {
    Box::pin(async move { do_cancel(&api, &request).await.unwrap_or_else(Response::from) })
}

async fn do_cancel(api: &Api, request: &Request) -> Result<Response, ApiError> {
    let channel = ChannelId::from(request.param(0));
    api.gateway.channel(&channel)?;
    let id = request.param(1);
    let message = id.parse().map_err(|_| GatewayError::NotQueued(id.to_owned()))?;
    api.gateway.cancel(&channel, message).await?;
    Ok(cancelled_envelope(1))
}

fn cancelled_envelope(cancelled: u64) -> Response {
    envelope(StatusCode::OK, "messages cancelled", &json!({"cancelled": cancelled}))
}

pub(super) fn show(api: Api, request: Request) -> Answer {
    let sender = Sender::channel(&request);
    Box::pin(async move { do_show(&api, &sender, request.param(1)).await.unwrap_or_else(Response::from) })
}

pub(super) fn show_of_destination(api: Api, request: Request) -> Answer {
    let sender = Sender::destination(&request);
    Box::pin(async move { do_show(&api, &sender, request.param(2)).await.unwrap_or_else(Response::from) })
}

async fn do_show(api: &Api, sender: &Sender, id: &str) -> Result<Response, ApiError> {
    api.gateway.require_sender(sender.via())?;
    let events = match id.parse() {
        Ok(message) => api.gateway.events(sender.via(), message).await?,
        Err(_) => Vec::new(),
    };
    Ok(envelope(StatusCode::OK, "message status", &MessageState::new(id, &events, sender.id())))
}
