//! A Redis database of Junebug's (Junebug reference §3.5): channels, routers and destinations under their ids, and the
//! messages that have not expired there.
//!
//! Nothing is written, and no life prolonged: Junebug's own reads did that.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, FromRedisValue, RedisError, cmd};
use serde_json::Value;
use url::Url;

use super::junebug::as_junebug_meant;
use super::{Note, check, vumi_messages};
use crate::gateway::Import;
use crate::model::{DestinationId, Event, EventId, Inbound, JsonObject, MessageId, Outbound, RouterId};

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
/// Most MOs, and most MTs, that are taken over; in Junebug they live for ten minutes and for two days.
const MOST_MESSAGES: usize = 500_000;
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
        let destinations = self.destinations();
        let mut messages: BTreeMap<MessageId, Inbound> = BTreeMap::new();
        let (mut scan, mut odd) = (Scan::of(":inbound_messages:"), 0);
        while let Some(records) = scan.next(&mut self.connection).await? {
            for (owner, record) in records {
                let message = record.get("message").and_then(|message| vumi_messages::inbound(&owner, message));
                let Some(message) = message.filter(|_| messages.len() < MOST_MESSAGES) else {
                    odd += 1;
                    continue;
                };
                let message = messages.entry(message.id).or_insert(message);
                let owner = DestinationId::from(owner.as_str());
                if destinations.contains_key(&owner) && !message.destinations.contains(&owner) {
                    message.destinations.push(owner);
                }
            }
        }
        self.count("inbound messages, which can still be replied to", messages.len(), odd);
        self.database.objects.extend(messages.into_values().map(Arc::new).map(Import::Inbound));
        Ok(())
    }

    /// MTs and their events. Those sent from a destination are under it as well, without their `event_url`.
    async fn outbound(&mut self) -> Result<(), RedisError> {
        let destinations = self.destinations();
        let mut messages: BTreeMap<MessageId, (Outbound, BTreeMap<EventId, Event>)> = BTreeMap::new();
        let (mut scan, mut odd) = (Scan::of(":outbound_messages:"), 0);
        while let Some(records) = scan.next(&mut self.connection).await? {
            for (owner, mut record) in records {
                // Events of a message that had expired already make a record by themselves.
                let Some(message) = record.remove("message") else { continue };
                let Some(message) = vumi_messages::outbound(&message).filter(|_| messages.len() < MOST_MESSAGES) else {
                    odd += 1;
                    continue;
                };
                let url = (message.event_url.clone(), message.event_auth_token.clone());
                let (message, events) = messages.entry(message.id).or_insert((message, BTreeMap::new()));
                if message.event_url.is_none() {
                    (message.event_url, message.event_auth_token) = url;
                }
                if let Some((destination, router)) = destinations.get_key_value(&DestinationId::from(owner.as_str())) {
                    message.destination = Some(destination.clone());
                    message.router = Some(router.clone());
                }
                let read = record.values().filter_map(|event| vumi_messages::event(message, event));
                events.extend(read.map(|event| (event.id, event)));
            }
        }
        self.count("outbound messages, which are not sent again", messages.len(), odd);
        self.database.objects.extend(messages.into_values().map(|(message, events)| {
            let mut events: Vec<Event> = events.into_values().collect();
            events.sort_by_key(|event| event.at);
            Import::Outbound { message: Arc::new(message), events }
        }));
        Ok(())
    }

    /// Each destination's router.
    fn destinations(&self) -> HashMap<DestinationId, RouterId> {
        let destinations = self.database.objects.iter().filter_map(|object| match object {
            Import::Destination { router, id, .. } => Some((id.clone(), router.clone())),
            _ => None,
        });
        destinations.collect()
    }

    fn count(&mut self, what: &str, found: usize, odd: usize) {
        self.note("messages", format!("{found} {what}"));
        if odd > 0 {
            let text = format!("{odd} more are left out: they cannot be read, or there are over {MOST_MESSAGES}");
            self.problem("messages", text);
        }
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

/// All hashes whose keys have this between owner and message, step by step; one may come twice.
struct Scan {
    between: &'static str,
    cursor: Option<u64>,
}

/// A hash and the id that its key begins with.
type Owned = (String, BTreeMap<String, String>);

impl Scan {
    fn of(between: &'static str) -> Self {
        Self { between, cursor: Some(0) }
    }

    async fn next(&mut self, connection: &mut MultiplexedConnection) -> Result<Option<Vec<Owned>>, RedisError> {
        let Some(cursor) = self.cursor else { return Ok(None) };
        let mut scan = cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(format!("*{}*", self.between)).arg("COUNT").arg(STEP);
        let (cursor, keys): (u64, Vec<String>) = scan.query_async(connection).await?;
        self.cursor = Some(cursor).filter(|cursor| *cursor != 0);
        let mut hashes = redis::pipe();
        for key in &keys {
            hashes.cmd("HGETALL").arg(key);
        }
        let hashes: Vec<BTreeMap<String, String>> = hashes.query_async(connection).await?;
        let owners = keys.iter().map(|key| key.split(self.between).next().unwrap_or_default().to_owned());
        // What is empty has expired meanwhile.
        Ok(Some(owners.zip(hashes).filter(|(_, hash)| !hash.is_empty()).collect()))
    }
}
