//! Status events: the health of a channel's components.

use serde::{Deserialize, Serialize};

use super::{ChannelId, JsonObject};

/// How well a component does; ordered from worst to best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing flows.
    Down,
    /// Something flows.
    Degraded,
    /// All is well.
    Ok,
}

/// The latest word of one component of a channel. Serialises to the six keys that `status_url` receives
/// (Junebug reference §3.6).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The channel.
    pub channel_id: ChannelId,
    /// Which part of it: `smpp`, `request`, …
    pub component: String,
    /// How well it does.
    #[serde(rename = "status")]
    pub level: Level,
    /// A word for programs: `bound`, `throttled`, `connection_lost`, … (field guide §2.9).
    #[serde(rename = "type")]
    pub kind: String,
    /// A sentence for people.
    pub message: String,
    /// Counters and names that explain it.
    pub details: JsonObject,
}
