//! Taking over what another server kept, under the ids that it had there.
//!
//! Each object by itself: what is there already, and equal, is left alone; what differs is refused, never overwritten.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Gateway, GatewayError};
use crate::model::{
    ChannelId, DestinationId, Event, EventKind, Inbound, JsonObject, Outbound, Priority, RouterId, SmscMessageId,
    Timestamp,
};
use crate::store::Change;

/// An object of another server's.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Import {
    /// A channel.
    Channel {
        /// Its id.
        id: ChannelId,
        /// Everything else, as `POST /channels/` takes it.
        properties: JsonObject,
    },
    /// A router.
    Router {
        /// Its id.
        id: RouterId,
        /// Everything else, as `POST /routers/` takes it.
        properties: JsonObject,
    },
    /// A destination of a router.
    Destination {
        /// The router's id.
        router: RouterId,
        /// Its own.
        id: DestinationId,
        /// Everything else, as `POST /routers/ROUTER/destinations/` takes it.
        properties: JsonObject,
    },
    /// An MO that may still be replied to.
    Inbound(Arc<Inbound>),
    /// An MT that was sent, so that it can be asked for and receipts find it. It is not sent again.
    Outbound {
        /// The message.
        message: Arc<Outbound>,
        /// What became of it.
        events: Vec<Event>,
    },
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Imported {
    /// It is there now.
    Created,
    /// It was there.
    Unchanged,
}

/// By how much the clocks of two servers may differ.
const CLOCKS: Duration = Duration::from_secs(600);
/// Most octets of an id.
const MAX_ID: usize = 128;

impl Import {
    /// Ids are parts of paths and names of files.
    fn check_id(&self) -> Result<(), GatewayError> {
        let id = match self {
            Self::Channel { id, .. } => id.as_str(),
            Self::Router { id, .. } => id.as_str(),
            Self::Destination { id, .. } => id.as_str(),
            Self::Inbound(_) | Self::Outbound { .. } => return Ok(()),
        };
        let fits = (1..=MAX_ID).contains(&id.len()) && !id.starts_with('.');
        if fits && id.chars().all(|character| character != '/' && !character.is_control()) {
            return Ok(());
        }
        Err(GatewayError::Usage(format!("an id has 1 to {MAX_ID} octets, no slash, and begins with no dot")))
    }
}

impl Gateway {
    /// Takes an object over.
    ///
    /// # Errors
    /// [`GatewayError`]; nothing has changed then.
    pub async fn import(&self, object: Import) -> Result<Imported, GatewayError> {
        object.check_id()?;
        match object {
            Import::Channel { id, properties } => match self.channel(&id) {
                Ok(there) => unchanged(&there.properties, &properties),
                Err(_) => {
                    self.check_room()?;
                    self.put_channel(&id, properties).await.map(|_| Imported::Created)
                }
            },
            Import::Router { id, properties } => match self.router(&id) {
                Ok(there) => unchanged(&there.properties.properties, &properties),
                Err(_) => self.put_router(&id, properties).await.map(|_| Imported::Created),
            },
            Import::Destination { router, id, properties } => match self.destination(&router, &id) {
                Ok(there) => unchanged(&there.properties, &properties),
                Err(_) => self.put_destination(&router, &id, properties).await.map(|_| Imported::Created),
            },
            Import::Inbound(message) => {
                self.0.directory.load().running(&message.channel)?;
                not_to_come("received_at", message.received_at)?;
                if self.0.store.inbound(&message.channel, message.id).await?.is_some() {
                    return Ok(Imported::Unchanged);
                }
                let change = Change::Receive { message, callbacks: Vec::new(), joined_from: Vec::new() };
                self.0.store.commit(vec![change]).await?;
                Ok(Imported::Created)
            }
            Import::Outbound { message, events } => {
                self.0.directory.load().running(&message.channel)?;
                not_to_come("accepted_at", message.accepted_at)?;
                if Priority::new(message.priority.value()).is_none() {
                    return Err(GatewayError::Usage("a priority is 1 to 5".to_owned()));
                }
                if events.iter().any(|event| (event.message, &event.channel) != (message.id, &message.channel)) {
                    return Err(GatewayError::Usage("an event is about another message".to_owned()));
                }
                if self.0.store.message(std::slice::from_ref(&message.channel), message.id).await?.is_some() {
                    return Ok(Imported::Unchanged);
                }
                let correlate = events.iter().flat_map(smsc_message_ids).collect();
                self.0.store.commit(vec![Change::Archive { message, events, correlate }]).await?;
                Ok(Imported::Created)
            }
        }
    }
}

/// A message of a time to come would lead every listing until then. Clocks may differ a little.
fn not_to_come(key: &str, at: Timestamp) -> Result<(), GatewayError> {
    if Timestamp::now().until(at) <= CLOCKS {
        return Ok(());
    }
    Err(GatewayError::Usage(format!(
        "\"{key}\" is in the future: set the clock of this server or of the one it comes from"
    )))
}

/// The ids by which receipts will name a message, as the provider's acceptance tells them.
fn smsc_message_ids(event: &Event) -> Vec<SmscMessageId> {
    match &event.kind {
        EventKind::Ack { sent_message_id } => {
            let ids = sent_message_id.split(',').filter(|id| !id.is_empty());
            ids.map(|id| SmscMessageId(id.to_owned())).collect()
        }
        _ => Vec::new(),
    }
}

/// That an object is there as it should be.
fn unchanged(there: &JsonObject, given: &JsonObject) -> Result<Imported, GatewayError> {
    let mut differ: Vec<&str> = there.keys().chain(given.keys()).map(String::as_str).collect();
    differ.retain(|key| there.get(*key) != given.get(*key));
    differ.sort_unstable();
    differ.dedup();
    if differ.is_empty() {
        return Ok(Imported::Unchanged);
    }
    Err(GatewayError::Usage(format!(
        "it is there already and differs in '{}': delete it there, or leave it out",
        differ.join("', '")
    )))
}
