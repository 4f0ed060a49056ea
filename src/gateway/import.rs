//! Taking over what another server kept, under the ids that it had there.
//!
//! Each object by itself: what is there already, and equal, is left alone; what differs is refused, never overwritten.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Gateway, GatewayError};
use crate::model::{ChannelId, DestinationId, Inbound, JsonObject, RouterId};
use crate::store::Change;

/// An object of another server's.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

impl Gateway {
    /// Takes an object over.
    ///
    /// # Errors
    /// [`GatewayError`]; nothing has changed then.
    pub async fn import(&self, object: Import) -> Result<Imported, GatewayError> {
        match object {
            Import::Channel { id, properties } => match self.channel(&id) {
                Ok(there) => unchanged(&there.properties, &properties),
                Err(_) => self.put_channel(&id, properties).await.map(|_| Imported::Created),
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
                self.channel(&message.channel)?;
                if self.0.store.inbound(&message.channel, message.id)?.is_some() {
                    return Ok(Imported::Unchanged);
                }
                let change = Change::Receive { message, callbacks: Vec::new(), joined_from: Vec::new() };
                self.0.store.commit(vec![change]).await?;
                Ok(Imported::Created)
            }
        }
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
