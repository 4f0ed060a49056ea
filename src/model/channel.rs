//! A channel as its owner defined it, and the queue priorities of its messages.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ChannelId, JsonObject};

/// A stored channel: its id and every property as given (Junebug reference §2.2: absent keys stay absent,
/// unknown keys are kept and echoed).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChannelProperties {
    /// The channel's id.
    pub id: ChannelId,
    /// Everything else, as the API received it: `type`, `config`, `label`, `mo_url`, …
    pub properties: JsonObject,
}

impl ChannelProperties {
    /// The channel type, `smpp` for instance.
    #[must_use]
    pub fn channel_type(&self) -> &str {
        self.text("type").unwrap_or_default()
    }

    /// A property that is a string; `None` when it is absent, null or something else.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.properties.get(key)?.as_str()
    }

    /// The type-specific `config` object; empty when absent.
    #[must_use]
    pub fn config(&self) -> JsonObject {
        self.properties.get("config").and_then(|value| value.as_object()).cloned().unwrap_or_default()
    }

    /// Whether somebody was named who gets its MOs; the key alone counts (Junebug reference §2.7).
    #[must_use]
    pub fn has_destination(&self) -> bool {
        ["mo_url", "amqp_queue"].iter().any(|key| self.properties.contains_key(*key))
    }

    /// The queue of RabbitMQ by which an application sends and receives over it.
    #[must_use]
    pub fn amqp_queue(&self) -> Option<&str> {
        self.text("amqp_queue").filter(|queue| !queue.is_empty())
    }

    /// How many MTs may leave in a window (`rate_limit_count` in `rate_limit_window` seconds); `None` unless both are
    /// above zero.
    #[must_use]
    pub fn rate_limit(&self) -> Option<RateLimit> {
        let number = |key| self.properties.get(key).and_then(Value::as_u64).filter(|number| *number > 0);
        let (count, seconds) = (number("rate_limit_count")?, number("rate_limit_window")?);
        // Nobody waits for a century.
        Some(RateLimit { count, window: Duration::from_secs(seconds.min(3_155_760_000)) })
    }

    /// Whether what is beyond the rate limit is refused (`rate_limit_action: reject`) and not made to wait.
    #[must_use]
    pub fn rejects_beyond_limit(&self) -> bool {
        self.text("rate_limit_action") == Some("reject")
    }

    /// Most code points that one message may have; `None` is no limit and zero is a real one.
    #[must_use]
    pub fn character_limit(&self) -> Option<u64> {
        self.properties.get("character_limit")?.as_u64()
    }
}

/// So many messages in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// How many, one at least.
    pub count: u64,
    /// In how much time, a second at least.
    pub window: Duration,
}

impl RateLimit {
    /// Messages per second.
    #[must_use]
    pub fn per_second(self) -> f64 {
        self.count as f64 / self.window.as_secs_f64()
    }
}

/// A message's place in its channel's queue: 1 (bulk, the default) to 5 (realtime), higher first and FIFO
/// within one (seed 000, `priority`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Priority(u8);

impl Priority {
    /// The lowest and the default.
    pub const BULK: Self = Self(1);
    /// The highest.
    pub const REALTIME: Self = Self(5);

    /// `None` outside 1 to 5.
    #[must_use]
    pub fn new(value: u8) -> Option<Self> {
        (Self::BULK.0..=Self::REALTIME.0).contains(&value).then_some(Self(value))
    }

    /// A value as the number that it means, whatever its size; the lowest and the highest have names.
    #[must_use]
    pub fn number(value: &Value) -> Option<i64> {
        value.as_i64().or_else(|| match value.as_str()? {
            "bulk" => Some(1),
            "realtime" => Some(5),
            number => number.parse().ok(),
        })
    }

    /// 1 to 5.
    #[must_use]
    pub fn value(self) -> u8 {
        self.0
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self::BULK
    }
}
