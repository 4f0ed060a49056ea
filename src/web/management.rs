//! RabbitMQ's management interface: how full queues are, and whether anybody empties them (Junebug reference §7).
//!
//! It is asked by one look at a time, however many want to know: health is asked by anybody.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use hyper::{HeaderMap, Method, StatusCode};
use ipnet::IpNet;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use url::Url;

use super::client::{Allowed, Client, ClientError};
use super::look::{Latest, Unseen};
use crate::config::AmqpConfig;

/// The interface; clones are the same one.
#[derive(Clone)]
pub struct Management {
    interface: Arc<Interface>,
    latest: Arc<Latest<Result<Vec<QueueState>, ManagementError>>>,
}

/// What is known of the queues.
pub type Seen = Arc<Result<Vec<QueueState>, ManagementError>>;

/// Where it is.
struct Interface {
    client: Client,
    /// The queues of our virtual host, with the credentials in it.
    queues: Url,
}

/// A queue as health shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QueueState {
    /// Its name.
    pub name: String,
    /// Messages in it.
    pub messages: u64,
    /// Acknowledgements per second; absent until anything has been published to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// There are messages, and nobody takes them.
    pub stuck: bool,
}

/// Why the queues could not be asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManagementError {
    /// No answer.
    #[error(
        "the management interface at {address} cannot be asked: {source}; is RabbitMQ's management plugin enabled?"
    )]
    Unreachable {
        /// `host:port`.
        address: String,
        /// Why.
        source: ClientError,
    },
    /// It does not answer us.
    #[error(
        "the management interface at {address} answers {status}; are `amqp.username`, `.password` and `.vhost` right?"
    )]
    Refused {
        /// `host:port`.
        address: String,
        /// The status.
        status: StatusCode,
    },
    /// It says something else than it should.
    #[error("the management interface at {address} does not say how the queue {queue} is: {message}")]
    Unclear {
        /// `host:port`.
        address: String,
        /// The queue.
        queue: String,
        /// What is missing or wrong.
        message: String,
    },
    /// It answers, but there is no end of it.
    #[error("the management interface at {address} has not told of all queues within {} s", LOOK.as_secs())]
    TooSlow {
        /// `host:port`.
        address: String,
    },
    /// We stop.
    #[error("the look at RabbitMQ's queues was broken off")]
    BrokenOff,
}

/// A queue as the interface has it; what it has not is `None`.
#[derive(Deserialize)]
struct Told {
    name: Option<String>,
    messages: Option<u64>,
    message_stats: Option<Stats>,
}

/// RabbitMQ leaves out what has never happened: a queue that nobody has ever taken anything from has no `ack_details`.
#[derive(Deserialize)]
struct Stats {
    #[serde(default)]
    ack_details: Rate,
}

#[derive(Default, Deserialize)]
struct Rate {
    rate: f64,
}

/// Most requests at once.
const AT_ONCE: usize = 20;
/// How long one may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long all of them may take.
const LOOK: Duration = Duration::from_secs(30);
/// How long after its end a look is good.
const GOOD_FOR: Duration = Duration::from_secs(5);

impl Management {
    /// The interface at `host:port` of the RabbitMQ that `amqp` describes; `None` when that is no address.
    #[must_use]
    pub fn new(address: &str, amqp: &AmqpConfig) -> Option<Self> {
        let vhost = utf8_percent_encode(&amqp.vhost, NON_ALPHANUMERIC);
        let mut queues = Url::parse(&format!("http://{address}/api/queues/{vhost}/")).ok()?;
        queues.set_username(&amqp.username).ok()?;
        queues.set_password(Some(&amqp.password.0)).ok()?;
        // The operator says where it is, in whatever network.
        let networks = ["0.0.0.0/0", "::/0"].iter().filter_map(|network| network.parse::<IpNet>().ok()).collect();
        let client = Client::new(Allowed { networks });
        Some(Self { interface: Arc::new(Interface { client, queues }), latest: Arc::new(Latest::new(GOOD_FOR)) })
    }

    /// The queues of these names, in their order, and how long ago they were seen: within the last five seconds, or the
    /// last minute while they are looked at anew. Those that do not exist are passed over. The first that there is of
    /// [`ManagementError`] instead. `None` when too many wait for it.
    pub async fn queues(&self, names: impl FnOnce() -> Vec<String>) -> Option<(Seen, Duration)> {
        let look = || {
            let (interface, names) = (self.interface.clone(), names());
            async move {
                let seen = interface.look(names).await;
                if let Err(error) = &seen {
                    tracing::warn!(%error, "health does not know how RabbitMQ's queues are");
                }
                seen
            }
        };
        match self.latest.see(look).await {
            Ok(seen) => Some((seen.what.clone(), seen.age())),
            Err(Unseen::BrokenOff) => Some((Arc::new(Err(ManagementError::BrokenOff)), Duration::ZERO)),
            Err(Unseen::Crowded) => None,
        }
    }
}

impl Interface {
    fn address(&self) -> String {
        self.queues.authority().rsplit('@').next().unwrap_or_default().to_owned()
    }

    async fn look(&self, names: Vec<String>) -> Result<Vec<QueueState>, ManagementError> {
        let asked = futures_util::stream::iter(names).map(|name| self.queue(name)).buffered(AT_ONCE);
        let all = timeout(LOOK, asked.try_filter_map(async |state| Ok(state)).try_collect()).await;
        all.unwrap_or_else(|_| Err(ManagementError::TooSlow { address: self.address() }))
    }

    async fn queue(&self, queue: String) -> Result<Option<QueueState>, ManagementError> {
        let address = || self.address();
        let unclear = |message: String| ManagementError::Unclear { address: address(), queue: queue.clone(), message };
        let name = utf8_percent_encode(&queue, NON_ALPHANUMERIC).to_string();
        // A queue of many readers has more to say than anybody wants here.
        let path = format!("{name}?columns=name,messages,message_stats");
        let url = self.queues.join(&path).map_err(|error| unclear(error.to_string()))?;
        let answer = self.client.request(Method::GET, &url, HeaderMap::new(), Bytes::new(), TIMEOUT).await;
        let answer = answer.map_err(|source| ManagementError::Unreachable { address: address(), source })?;
        match answer.status {
            StatusCode::NOT_FOUND => return Ok(None),
            status if !status.is_success() => return Err(ManagementError::Refused { address: address(), status }),
            _ => {}
        }
        let told: Told = serde_json::from_slice(&answer.body).map_err(|error| unclear(error.to_string()))?;
        let Some(messages) = told.messages else { return Ok(None) };
        let rate = told.message_stats.map(|stats| stats.ack_details.rate);
        let stuck = messages > 0 && rate == Some(0.0);
        Ok(Some(QueueState { name: told.name.unwrap_or(queue), messages, rate, stuck }))
    }
}
