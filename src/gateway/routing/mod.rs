//! Routers: which applications get a channel's MOs, and which channel takes an MT.
//!
//! Each type is a file. A routing is made anew whenever its router or one of its destinations changes; on the message
//! path it is only asked, and neither waits nor reads the store. What it needs to know of the world it asks of its
//! [`Sight`].

mod content;
mod failover;
mod from_address;
mod outbound;
mod percentage;
mod session;
mod sticky;
mod types;

use std::sync::Arc;
use std::time::Duration;

pub(super) use self::sticky::StickyRoutes;
pub use self::types::{RouterTypes, UnknownRouterClass};
use crate::channel::ConfigError;
use crate::channel::fields::Fields;
use crate::model::{ChannelId, DestinationId, DestinationProperties, Inbound, JsonObject, Outbound};

/// A type of routers.
pub trait RouterType: Send + Sync {
    /// Reads a router's `config` and those of its destinations, which are sorted by id.
    ///
    /// # Errors
    /// [`RoutingError`] names the field; it is told to whoever made the change.
    fn build(&self, config: &JsonObject, destinations: &Destinations) -> Result<Box<dyn Routing>, RoutingError>;
}

/// A router's destinations.
pub type Destinations = [Arc<DestinationProperties>];

/// Why a router cannot be what it was asked to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoutingError {
    /// The router's own `config` is wrong.
    #[error("{0}")]
    Router(String),
    /// The `config` of one of its destinations is.
    #[error("{0}")]
    Destination(String),
}

impl RoutingError {
    fn router(error: ConfigError) -> Self {
        Self::Router(error.message)
    }

    fn destination(error: ConfigError) -> Self {
        Self::Destination(error.message)
    }
}

/// A router as its configuration makes it.
pub trait Routing: Send + Sync {
    /// The channel whose MOs it routes, and on which its destinations send; `None` for one that only chooses channels.
    fn channel(&self) -> Option<&ChannelId>;

    /// Every channel that it names.
    fn channels(&self) -> Vec<&ChannelId> {
        self.channel().into_iter().collect()
    }

    /// Where an MO goes.
    fn inbound(&self, message: &Inbound, sight: &dyn Sight) -> Route;

    /// The destinations that are told of an MT which names none of them.
    fn hears(&self, _message: &Outbound) -> Vec<DestinationId> {
        Vec::new()
    }

    /// The channel that takes an MT to this number, sent by this destination or by none; `None` when there is none.
    fn outbound(&self, _to: &str, _from: Option<&DestinationId>, _sight: &dyn Sight) -> Option<ChannelId> {
        self.channel().cloned()
    }

    /// The destination that takes over what another one has failed to take so many times.
    fn heir(&self, _failed: &DestinationId, _failures: u32, _sight: &dyn Sight) -> Option<DestinationId> {
        None
    }
}

/// What a routing may see of the world.
pub trait Sight {
    /// Whether a channel is there, not down, and has room in its queue.
    fn is_usable(&self, channel: &ChannelId) -> bool;
    /// Whether a destination's receiver takes requests, as far as is known.
    fn is_reachable(&self, destination: &DestinationId) -> bool;
    /// The destination that a phone is kept with at present.
    fn kept_with(&self, phone: &str) -> Option<DestinationId>;
}

/// Where an MO goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// To each of these.
    pub destinations: Vec<DestinationId>,
    /// What is to be remembered of it.
    pub keep: Option<Keep>,
    /// Why nowhere, if it is not that nothing matches.
    pub nowhere: Option<&'static str>,
}

/// What is to be remembered of a phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keep {
    /// That it is with this destination, for so long.
    With(DestinationId, Duration),
    /// That it is with none any more.
    Nothing,
}

impl Route {
    /// To one destination, or to none.
    fn to(destination: Option<DestinationId>) -> Self {
        Self { destinations: destination.into_iter().collect(), ..Self::default() }
    }
}

/// The `channel` of a router's `config`.
fn channel(fields: &Fields) -> Result<ChannelId, RoutingError> {
    match fields.get("channel").map(|value| value.as_str()) {
        None => Err(RoutingError::Router("Missing required config field 'channel'".to_owned())),
        // Junebug knows no other ids, and says so of everything else.
        Some(None) => Err(RoutingError::Router("Field 'channel' is not a valid UUID".to_owned())),
        Some(Some(text)) => Ok(match uuid::Uuid::parse_str(text) {
            Ok(id) => ChannelId::from(id.to_string().as_str()),
            Err(_) => ChannelId::from(text),
        }),
    }
}

/// A pattern of a destination, which is searched for anywhere in a text.
fn pattern(fields: &Fields) -> Result<Option<regex::Regex>, RoutingError> {
    let key = "regular_expression";
    let Some(pattern) = fields.text(key).map_err(RoutingError::destination)? else { return Ok(None) };
    crate::pattern::linear(&pattern)
        .map(Some)
        .map_err(|why| RoutingError::Destination(format!("Field '{key}' is not a valid regular expression: {why}")))
}

/// Whether a destination takes what no other one does. Anything that Python would take for true is.
fn is_default(fields: &Fields) -> bool {
    use serde_json::Value;
    match fields.get("default") {
        None => false,
        Some(Value::Bool(value)) => *value,
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(object)) => !object.is_empty(),
        Some(Value::Null) => false,
    }
}

/// A text, or a list of texts; none when the key is absent.
fn texts(fields: &Fields, key: &str) -> Result<Vec<String>, RoutingError> {
    let not = || RoutingError::Destination(format!("Field '{key}' is neither a string nor a list of strings"));
    match fields.get(key) {
        None => Ok(Vec::new()),
        Some(serde_json::Value::Array(items)) => {
            items.iter().map(|item| item.as_str().map(ToOwned::to_owned).ok_or_else(not)).collect()
        }
        Some(value) => Ok(vec![value.as_str().ok_or_else(not)?.to_owned()]),
    }
}

/// A number from a range; `default` when the key is absent.
fn number(fields: &Fields, key: &str, range: std::ops::RangeInclusive<f64>, default: f64) -> Result<f64, String> {
    let Some(value) = fields.get(key) else { return Ok(default) };
    let number = value.as_f64().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("Field '{key}' is not a number from {} to {}", range.start(), range.end()))
}

#[cfg(test)]
mod testing {
    //! Routings and messages for the tests of the types.

    use std::collections::HashMap;

    use serde_json::Value;

    use super::*;
    use crate::model::{MessageId, RouterId, SessionEvent, Timestamp};

    /// A world made to order.
    #[derive(Default)]
    pub(super) struct World {
        pub(super) down: Vec<&'static str>,
        pub(super) kept: HashMap<&'static str, &'static str>,
    }

    impl Sight for World {
        fn is_usable(&self, channel: &ChannelId) -> bool {
            !self.down.contains(&channel.as_str())
        }

        fn is_reachable(&self, destination: &DestinationId) -> bool {
            !self.down.contains(&destination.as_str())
        }

        fn kept_with(&self, phone: &str) -> Option<DestinationId> {
            self.kept.get(phone).map(|destination| DestinationId::from(*destination))
        }
    }

    /// A routing of a type; destinations as rows of id and `config`.
    pub(super) fn build(name: &str, config: Value, rows: &[(&str, Value)]) -> Result<Box<dyn Routing>, RoutingError> {
        let types = RouterTypes::built_in();
        let router_type = types.get(name).unwrap();
        let destinations: Vec<_> = rows
            .iter()
            .map(|(id, config)| {
                let properties = JsonObject::from_iter([("config".to_owned(), config.clone())]);
                Arc::new(DestinationProperties { id: (*id).into(), router: RouterId::from("r"), properties })
            })
            .collect();
        router_type.build(config.as_object().unwrap(), &destinations)
    }

    pub(super) fn mo(to: &str, content: &str, session_event: Option<SessionEvent>) -> Inbound {
        Inbound {
            id: MessageId::mint(),
            channel: "c".into(),
            to: to.into(),
            from: "+27820001001".into(),
            group: None,
            content: Some(content.into()),
            reply_to: None,
            session_event,
            channel_data: JsonObject::new(),
            transport_type: None,
            transport_metadata: JsonObject::new(),
            provider: None,
            destinations: Vec::new(),
            received_at: Timestamp::now(),
        }
    }

    /// Where a routing sends a message, as names.
    pub(super) fn names(route: &Route) -> Vec<&str> {
        route.destinations.iter().map(DestinationId::as_str).collect()
    }
}
