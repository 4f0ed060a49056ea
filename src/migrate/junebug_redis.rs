//! A Redis database of Junebug's (Junebug reference §3.5): channels, routers and destinations under their ids, and the
//! messages that have not expired there.
//!
//! Nothing is written, and no life prolonged: Junebug's own reads did that.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, FromRedisValue, RedisError, cmd};
use serde_json::Value;
use url::Url;

use super::junebug::as_junebug_meant;
use super::{Note, check};
use crate::gateway::Import;
use crate::model::{ChannelId, DestinationId, Inbound, JsonObject, MessageId, SessionEvent, Timestamp};

/// What a database has.
#[derive(Debug, Default)]
pub struct Database {
    /// What can be taken over, in the order in which it has to be.
    pub objects: Vec<Import>,
    /// What there is to know.
    pub notes: Vec<Note>,
    /// What could not be read.
    pub problems: Vec<Note>,
}

/// Why a database could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisImportError {
    /// No address of a database.
    #[error("'{url}' is no Redis URL: expected redis://[:PASSWORD@]HOST[:PORT][/DATABASE]{hint}")]
    BadUrl {
        /// What was given, without its password.
        url: String,
        /// What is special about it.
        hint: &'static str,
    },
    /// Redis does not answer, or not that.
    #[error("{url} cannot be read: {source}")]
    Failed {
        /// The database, without its password.
        url: String,
        /// Why.
        source: RedisError,
    },
    /// It is another one.
    #[error("{url} has no set 'channels' and no set 'routers': it is no database of Junebug's, or not that one")]
    NotJunebug {
        /// The database, without its password.
        url: String,
    },
}

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(30);
/// Most MOs that are taken over; in Junebug they live for ten minutes.
const MOST_MESSAGES: usize = 100_000;
/// Keys that Redis looks at in one step.
const STEP: usize = 1000;

/// Reads a database.
///
/// # Errors
/// [`RedisImportError`].
pub async fn read(url: &str) -> Result<Database, RedisImportError> {
    let shown = shown(url);
    let bad = |hint| RedisImportError::BadUrl { url: shown.clone(), hint };
    if url.starts_with("rediss:") {
        return Err(bad("; TLS is not supported here, use a tunnel"));
    }
    let client = Client::open(url).map_err(|_| bad(""))?;
    let failed = |source| RedisImportError::Failed { url: shown.clone(), source };
    let patience =
        AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(ANSWER));
    let connection = client.get_multiplexed_async_connection_with_config(&patience).await.map_err(failed)?;
    let mut reader = Reader { connection, database: Database::default() };
    match reader.run().await.map_err(failed)? {
        true => Ok(reader.database),
        false => Err(RedisImportError::NotJunebug { url: shown }),
    }
}

impl Database {
    /// Why the server will refuse channels as they are.
    #[must_use]
    pub fn refusals(&self) -> Vec<Note> {
        let refused = self.objects.iter().filter_map(|object| {
            let Import::Channel { id, properties } = object else { return None };
            let (channel_type, config) = (properties.get("type"), properties.get("config"));
            let checked = check(channel_type.and_then(Value::as_str), config.and_then(Value::as_object));
            checked.err().map(|text| Note { place: format!("channel {id}"), text })
        });
        refused.collect()
    }
}

/// The URL without its password.
fn shown(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return "…".to_owned() };
    if url.password().is_some() {
        // Fails only for URLs that cannot have one.
        let _ = url.set_password(Some("…"));
    }
    percent_encoding::percent_decode_str(url.as_str()).decode_utf8_lossy().into_owned()
}

/// Reads key by key.
struct Reader {
    connection: MultiplexedConnection,
    database: Database,
}

impl Reader {
    /// Whether it is a database of Junebug's.
    async fn run(&mut self) -> Result<bool, RedisError> {
        let (channels, routers) = (self.members("channels").await?, self.members("routers").await?);
        if channels.is_empty() && routers.is_empty() {
            return Ok(false);
        }
        for id in &channels {
            self.channel(id).await?;
        }
        for id in &routers {
            self.router(id).await?;
        }
        self.inbound().await?;
        self.outbound().await?;
        Ok(true)
    }

    async fn channel(&mut self, id: &str) -> Result<(), RedisError> {
        let place = format!("channel {id}");
        let Some(mut properties) = self.object(&format!("{id}:properties"), &place).await? else { return Ok(()) };
        as_junebug_meant(&mut properties, &place, &mut self.database.notes);
        let said: BTreeMap<String, String> = self.ask("HGETALL", &format!("{id}:status")).await?;
        for (component, status) in said {
            let status: Value = serde_json::from_str(&status).unwrap_or_default();
            let text = |key: &str| status[key].as_str().unwrap_or("?").to_owned();
            self.note(&place, format!("Junebug's last word of {component}: {}, {}", text("status"), text("type")));
        }
        self.database.objects.push(Import::Channel { id: id.into(), properties });
        Ok(())
    }

    async fn router(&mut self, id: &str) -> Result<(), RedisError> {
        let Some(properties) = self.definition(&format!("routers:{id}"), &format!("router {id}")).await? else {
            return Ok(());
        };
        self.database.objects.push(Import::Router { id: id.into(), properties });
        for destination in self.members(&format!("routers:{id}:destinations")).await? {
            let key = format!("routers:{id}:destinations:{destination}");
            let place = format!("destination {destination} of router {id}");
            if let Some(properties) = self.definition(&key, &place).await? {
                let destination =
                    Import::Destination { router: id.into(), id: destination.as_str().into(), properties };
                self.database.objects.push(destination);
            }
        }
        Ok(())
    }

    /// A definition, without the id that it repeats.
    async fn definition(&mut self, key: &str, place: &str) -> Result<Option<JsonObject>, RedisError> {
        let mut properties = self.object(key, place).await?;
        properties.as_mut().map(|properties| properties.remove("id"));
        Ok(properties)
    }

    /// MOs that can still be replied to. Those of a router are under each destination that they went to.
    async fn inbound(&mut self) -> Result<(), RedisError> {
        let destinations: HashSet<DestinationId> = self.database.objects.iter().filter_map(destination).collect();
        let mut messages: BTreeMap<MessageId, Inbound> = BTreeMap::new();
        let (mut found, mut odd) = (0_usize, 0_usize);
        let mut scan = Scan::of("*:inbound_messages:*");
        while let Some(keys) = scan.next(&mut self.connection).await? {
            for key in keys {
                found += 1;
                let record: Option<String> =
                    cmd("HGET").arg(&key).arg("message").query_async(&mut self.connection).await?;
                // It may have expired meanwhile.
                let Some(record) = record else { continue };
                let owner = key.split(":inbound_messages:").next().unwrap_or_default();
                let Some(message) = inbound(owner, &record).filter(|_| messages.len() < MOST_MESSAGES) else {
                    odd += 1;
                    continue;
                };
                let message = messages.entry(message.id).or_insert(message);
                let owner = DestinationId::from(owner);
                if destinations.contains(&owner) && !message.destinations.contains(&owner) {
                    message.destinations.push(owner);
                }
            }
        }
        if odd > 0 {
            self.problem(
                "messages",
                format!("{odd} of {found} inbound messages are left out: they cannot be read, or are too many"),
            );
        }
        self.note("messages", format!("{} inbound messages can still be replied to", messages.len()));
        self.database.objects.extend(messages.into_values().map(Arc::new).map(Import::Inbound));
        Ok(())
    }

    /// What was sent stays where it is; how much of it there is, is told.
    async fn outbound(&mut self) -> Result<(), RedisError> {
        let mut found = 0_usize;
        let mut scan = Scan::of("*:outbound_messages:*");
        while let Some(keys) = scan.next(&mut self.connection).await? {
            found += keys.len();
        }
        if found > 0 {
            let text = format!(
                "{found} outbound messages are not taken over: what becomes of them after the change is not told to their \
                 event_url; let Junebug run until their receipts are in"
            );
            self.note("messages", text);
        }
        Ok(())
    }

    /// A set, sorted.
    async fn members(&mut self, key: &str) -> Result<Vec<String>, RedisError> {
        let mut members: Vec<String> = self.ask("SMEMBERS", key).await?;
        members.sort_unstable();
        Ok(members)
    }

    /// A string that is a JSON object.
    async fn object(&mut self, key: &str, place: &str) -> Result<Option<JsonObject>, RedisError> {
        let text: Option<String> = self.ask("GET", key).await?;
        let read = match text.as_deref().map(serde_json::from_str) {
            Some(Ok(object)) => return Ok(Some(object)),
            Some(Err(error)) => format!("'{key}' is no JSON object: {error}"),
            None => format!("it is listed, but there is no '{key}'"),
        };
        self.problem(place, read);
        Ok(None)
    }

    async fn ask<T: FromRedisValue>(&mut self, command: &str, key: &str) -> Result<T, RedisError> {
        cmd(command).arg(key).query_async(&mut self.connection).await
    }

    fn note(&mut self, place: &str, text: String) {
        self.database.notes.push(Note { place: place.to_owned(), text });
    }

    fn problem(&mut self, place: &str, text: String) {
        self.database.problems.push(Note { place: place.to_owned(), text });
    }
}

/// All keys of a pattern, step by step; a key may come twice.
struct Scan {
    pattern: &'static str,
    cursor: Option<u64>,
}

impl Scan {
    fn of(pattern: &'static str) -> Self {
        Self { pattern, cursor: Some(0) }
    }

    async fn next(&mut self, connection: &mut MultiplexedConnection) -> Result<Option<Vec<String>>, RedisError> {
        let Some(cursor) = self.cursor else { return Ok(None) };
        let mut scan = cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(self.pattern).arg("COUNT").arg(STEP);
        let (cursor, keys): (u64, Vec<String>) = scan.query_async(connection).await?;
        self.cursor = Some(cursor).filter(|cursor| *cursor != 0);
        Ok(Some(keys))
    }
}

fn destination(object: &Import) -> Option<DestinationId> {
    match object {
        Import::Destination { id, .. } => Some(id.clone()),
        _ => None,
    }
}

/// Vumi's message as we keep it; `None` when it is none.
fn inbound(owner: &str, record: &str) -> Option<Inbound> {
    let message: JsonObject = serde_json::from_str(record).ok()?;
    let text = |key: &str| message.get(key).and_then(Value::as_str).map(str::to_owned);
    let object = |key: &str| message.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
    let session_event = match text("session_event").as_deref() {
        Some("new") => Some(SessionEvent::New),
        Some("resume") => Some(SessionEvent::Resume),
        Some("close") => Some(SessionEvent::Close),
        _ => None,
    };
    Some(Inbound {
        id: text("message_id")?.parse().ok()?,
        channel: ChannelId::from(text("transport_name").as_deref().unwrap_or(owner)),
        to: text("to_addr").unwrap_or_default(),
        from: text("from_addr")?,
        group: text("group"),
        content: text("content"),
        reply_to: text("in_reply_to").and_then(|id| id.parse().ok()),
        session_event,
        channel_data: object("helper_metadata"),
        transport_type: text("transport_type"),
        transport_metadata: object("transport_metadata"),
        provider: text("provider"),
        destinations: Vec::new(),
        received_at: Timestamp::parse(&text("timestamp")?)?,
    })
}
