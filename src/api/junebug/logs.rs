//! The logs of channels, routers and destinations (Junebug reference §6), a channel's PDUs on demand.
//!
//! `n` is how many entries, `level` the least severity, `message_id` the message that they are about, `type=pdu` shows PDUs
//! instead of entries. Each node has a log of its own; what is shown is of all of them.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use hyper::{Method, StatusCode};
use serde_json::{Value as Json, json};
use smpp::{Description, RawPdu};

use super::wire::envelope;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::peers::missing;
use crate::model::{ChannelId, DestinationId, JsonObject, MessageId, RouterId};
use crate::telemetry::channel_log::PduChunk;
use crate::telemetry::pdu_json::{self, Secrets};
use crate::web::Response;
use crate::web::route::{Answer, Request};

pub(super) fn channel(api: Api, request: Request) -> Answer {
    Box::pin(async move { of_channel(&api, &request).await.unwrap_or_else(Response::from) })
}

pub(super) fn message(api: Api, request: Request) -> Answer {
    Box::pin(async move { of_message(&api, &request).await.unwrap_or_else(Response::from) })
}

pub(super) fn router(api: Api, request: Request) -> Answer {
    Box::pin(async move { of_router(&api, &request).await.unwrap_or_else(Response::from) })
}

pub(super) fn destination(api: Api, request: Request) -> Answer {
    Box::pin(async move { of_destination(&api, &request).await.unwrap_or_else(Response::from) })
}

async fn of_channel(api: &Api, request: &Request) -> Result<Response, ApiError> {
    let wanted = Wanted::of(api, request)?;
    let channel = ChannelId::from(request.param(0));
    api.gateway.channel(&channel)?;
    let entries = match request.query("type").as_deref() {
        None | Some("log") => wanted.entries(api, &channel.0).await?,
        Some("pdu") => wanted.pdus(api, &channel),
        Some(other) => return Err(ApiError::BadQuery(format!("\"type\" is neither 'log' nor 'pdu': '{other}'"))),
    };
    Ok(wanted.answer(api, request, entries).await)
}

/// Everything that was said of one message on its channel, and its PDUs, together.
async fn of_message(api: &Api, request: &Request) -> Result<Response, ApiError> {
    let wanted = Wanted { about: About::message(request.param(1)), ..Wanted::of(api, request)? };
    let channel = ChannelId::from(request.param(0));
    api.gateway.channel(&channel)?;
    let mut entries = wanted.entries(api, &channel.0).await?;
    let level = wanted.level.unwrap_or_default();
    if level <= PDU_LEVEL {
        entries.extend(wanted.pdus(api, &channel));
    }
    wanted.keep_newest(&mut entries);
    Ok(wanted.answer(api, request, entries).await)
}

async fn of_router(api: &Api, request: &Request) -> Result<Response, ApiError> {
    let wanted = Wanted::of(api, request)?;
    let router = RouterId::from(request.param(0));
    api.gateway.router(&router)?;
    let entries = wanted.entries(api, &router.0).await?;
    Ok(wanted.answer(api, request, entries).await)
}

async fn of_destination(api: &Api, request: &Request) -> Result<Response, ApiError> {
    let wanted = Wanted::of(api, request)?;
    let destination = DestinationId::from(request.param(1));
    api.gateway.destination(&RouterId::from(request.param(0)), &destination)?;
    let entries = wanted.entries(api, &destination.0).await?;
    Ok(wanted.answer(api, request, entries).await)
}

/// How long another node may take to tell what is in its log.
const PATIENCE: Duration = Duration::from_secs(2);
/// The level of PDUs, which is Python's for debugging.
const PDU_LEVEL: u64 = 10;

/// What of a log is wanted.
struct Wanted {
    count: usize,
    level: Option<u64>,
    about: About,
}

/// Which messages entries are about.
enum About {
    Any,
    /// One that cannot be.
    None,
    Message(MessageId),
}

impl About {
    fn message(text: &str) -> Self {
        text.parse().map_or(Self::None, Self::Message)
    }
}

impl Wanted {
    fn of(api: &Api, request: &Request) -> Result<Self, ApiError> {
        let count = count(request.query("n").as_deref(), api.limits.max_logs)?;
        let about = request.query("message_id").map_or(About::Any, |text| About::message(&text));
        Ok(Self { count, level: level(request.query("level").as_deref())?, about })
    }

    async fn entries(&self, api: &Api, id: &Arc<str>) -> Result<Vec<JsonObject>, ApiError> {
        // Filtered before counted: whoever asks for errors wants the last errors.
        let all = if self.level.is_some() { usize::MAX } else { self.count };
        let about = match self.about {
            About::Any => None,
            About::None => return Ok(Vec::new()),
            About::Message(message) => Some(message),
        };
        let mut entries = api.gateway.log_entries(id, all, about).await?;
        entries.retain(|entry| entry.get("level").and_then(Json::as_u64) >= self.level);
        entries.truncate(self.count);
        Ok(entries)
    }

    /// The newest of what all nodes have.
    async fn answer(&self, api: &Api, request: &Request, mut entries: Vec<JsonObject>) -> Response {
        let mut silent = Vec::new();
        if !api.asked_by_node {
            let path = request.inner.uri().path_and_query().map_or("", |path| path.as_str());
            let (told, left_out) = api.ask_others::<Vec<JsonObject>>(&Method::GET, path, PATIENCE).await;
            silent = left_out;
            if told.iter().any(|(_, told)| !told.is_empty()) {
                entries.extend(told.into_iter().flat_map(|(_, told)| told));
                self.keep_newest(&mut entries);
            }
        }
        let mut answer = envelope(StatusCode::OK, "logs retrieved", &entries);
        missing(&mut answer, &silent);
        answer
    }

    /// The newest first, and no more than are wanted.
    fn keep_newest(&self, entries: &mut Vec<JsonObject>) {
        let at = |entry: &JsonObject| entry.get("timestamp").and_then(Json::as_f64).unwrap_or_default();
        // What is of one instant stays in its order.
        entries.sort_by(|one, other| at(other).total_cmp(&at(one)));
        entries.truncate(self.count);
    }

    /// The last PDUs, newest first.
    fn pdus(&self, api: &Api, channel: &ChannelId) -> Vec<JsonObject> {
        let (chunks, owners) = (api.gateway.pdu_chunks(channel), api.gateway.pdu_owners(channel));
        let mut entries = Vec::new();
        for chunk in chunks.iter().rev() {
            let mut buffer = BytesMut::from(&chunk.octets[..]);
            let mut of_chunk = Vec::new();
            while let Ok(Some(raw)) = RawPdu::split(&mut buffer, usize::MAX) {
                let owner = owners.of(chunk, raw.id.is_response(), raw.sequence.0);
                let meant = match self.about {
                    About::Any => true,
                    About::None => false,
                    About::Message(message) => owner == Some(message),
                };
                if meant {
                    of_chunk.push(entry(channel, chunk, &raw, owner));
                }
            }
            entries.extend(of_chunk.into_iter().rev());
            if entries.len() >= self.count {
                break;
            }
        }
        entries.truncate(self.count);
        entries
    }
}

fn count(text: Option<&str>, most: usize) -> Result<usize, ApiError> {
    let Some(text) = text else { return Ok(most) };
    match text.parse::<i64>() {
        Ok(count) if count >= 0 => Ok(usize::try_from(count).unwrap_or(most).min(most)),
        Ok(_) => Err(ApiError::BadQuery(format!("\"n\" must not be negative: '{text}'"))),
        Err(_) => Err(ApiError::BadQuery(format!("\"n\" is not a whole number: '{text}'"))),
    }
}

fn level(text: Option<&str>) -> Result<Option<u64>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let level = match text.to_ascii_lowercase().as_str() {
        "debug" => 10,
        "info" => 20,
        "warning" => 30,
        "error" => 40,
        "critical" => 50,
        other => other.parse().map_err(|_| ApiError::BadQuery(format!("\"level\" is no level: '{text}'")))?,
    };
    Ok(Some(level))
}

fn entry(channel: &ChannelId, chunk: &PduChunk, raw: &RawPdu, owner: Option<MessageId>) -> JsonObject {
    let description = Description::of(raw);
    let direction = if chunk.received { "received" } else { "sent" };
    let mut entry = JsonObject::new();
    entry.insert("logger".to_owned(), json!(channel.as_str().to_lowercase()));
    entry.insert("level".to_owned(), json!(PDU_LEVEL));
    entry.insert("timestamp".to_owned(), json!(chunk.at.as_secs_f64()));
    let message = format!("{direction} {} {} sequence {}", raw.id, raw.status, raw.sequence);
    entry.insert("message".to_owned(), json!(message));
    entry.insert("direction".to_owned(), json!(direction));
    entry.extend(owner.map(|message| ("message_id".to_owned(), json!(message))));
    entry.insert("pdu".to_owned(), Json::Object(pdu_json::object(&description, Secrets::Masked)));
    entry
}
