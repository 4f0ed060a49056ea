//! Routers and their destinations as their owner defined them (Junebug reference §5.1).

use serde::{Deserialize, Serialize};

use super::{DestinationId, JsonObject, RouterId};

/// A stored router: its id and every property as given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouterProperties {
    /// The router's id.
    pub id: RouterId,
    /// Everything else: `type`, `config`, `label`, `metadata`.
    pub properties: JsonObject,
}

impl RouterProperties {
    /// The router type, `from_address` for instance.
    #[must_use]
    pub fn router_type(&self) -> &str {
        self.properties.get("type").and_then(|value| value.as_str()).unwrap_or_default()
    }

    /// The type-specific `config` object; empty when absent.
    #[must_use]
    pub fn config(&self) -> JsonObject {
        object(&self.properties, "config")
    }
}

/// A stored destination of a router: one application that gets some of the router's messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DestinationProperties {
    /// The destination's id.
    pub id: DestinationId,
    /// The router that it belongs to.
    pub router: RouterId,
    /// Everything else: `config`, `label`, `metadata`, `mo_url`, `mo_url_token`, `amqp_queue`, `character_limit`.
    pub properties: JsonObject,
}

impl DestinationProperties {
    /// What the router's type needs to know of it; empty when absent.
    #[must_use]
    pub fn config(&self) -> JsonObject {
        object(&self.properties, "config")
    }

    /// A property that is a string; `None` when it is absent or empty.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.properties.get(key)?.as_str().filter(|text| !text.is_empty())
    }

    /// The queue of RabbitMQ by which its application sends and receives.
    #[must_use]
    pub fn amqp_queue(&self) -> Option<&str> {
        self.text("amqp_queue")
    }

    /// Most code points that one message sent from it may have; `None` is no limit and zero is a real one.
    #[must_use]
    pub fn character_limit(&self) -> Option<u64> {
        self.properties.get("character_limit")?.as_u64()
    }
}

fn object(properties: &JsonObject, key: &str) -> JsonObject {
    properties.get(key).and_then(|value| value.as_object()).cloned().unwrap_or_default()
}
