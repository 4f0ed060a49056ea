//! The services that a Junebug file names: Redis and RabbitMQ, with Junebug's defaults (Junebug reference §3.1).

use std::fmt;
use std::path::PathBuf;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Text that no log and no error shows.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("…")
    }
}

/// The key `amqp`: a RabbitMQ. Absent keys take Junebug's defaults; the whole key absent means that there is none.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AmqpConfig {
    /// Address or name.
    pub hostname: String,
    /// Port.
    pub port: u16,
    /// Virtual host.
    pub vhost: String,
    /// Who connects; the management interface is asked by the same name.
    pub username: String,
    /// Proof of it.
    pub password: Secret,
    /// Seconds between heartbeats that are asked for; 0 leaves them to the broker.
    pub heartbeat: u16,
    /// Whether the connection is encrypted; the broker's certificate is checked then.
    pub tls: bool,
    /// The authority that vouches for the broker, a PEM file; the system's otherwise.
    pub ca_file: Option<PathBuf>,
    /// The type of the queues that we declare; what the virtual host has as its default otherwise.
    pub queue_type: Option<QueueType>,
}

/// Types of RabbitMQ's queues that messages can wait in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QueueType {
    /// On one node.
    Classic,
    /// On several nodes, of which most must be there.
    Quorum,
}

impl Default for AmqpConfig {
    fn default() -> Self {
        Self {
            hostname: "127.0.0.1".to_owned(),
            port: 5672,
            vhost: "/".to_owned(),
            username: "guest".to_owned(),
            password: Secret("guest".to_owned()),
            heartbeat: 0,
            tls: false,
            ca_file: None,
            queue_type: None,
        }
    }
}

/// The key `redis`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisKey {
    /// Where everything is kept, as a URL.
    Store(Secret),
    /// Where Junebug kept its state.
    Junebug(JunebugRedis),
}

impl<'de> Deserialize<'de> for RedisKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = RedisKey;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("the URL of a Redis, or Junebug's `host`, `port`, `db` and `password`")
            }

            fn visit_str<E: de::Error>(self, url: &str) -> Result<RedisKey, E> {
                Ok(RedisKey::Store(Secret(url.to_owned())))
            }

            fn visit_map<A: MapAccess<'de>>(self, keys: A) -> Result<RedisKey, A::Error> {
                JunebugRedis::deserialize(MapAccessDeserializer::new(keys)).map(RedisKey::Junebug)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// Where Junebug kept its state.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JunebugRedis {
    /// Address or name.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Number of the database.
    pub db: u32,
    /// Proof of who we are, where the server wants one.
    pub password: Option<Secret>,
}

impl Default for JunebugRedis {
    fn default() -> Self {
        Self { host: "localhost".to_owned(), port: 6379, db: 0, password: None }
    }
}

impl fmt::Display for JunebugRedis {
    /// As a URL, without the password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let credentials = if self.password.is_some() { ":…@" } else { "" };
        write!(formatter, "redis://{credentials}{}:{}/{}", self.host, self.port, self.db)
    }
}
