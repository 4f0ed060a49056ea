//! The connection to RabbitMQ: kept up, made anew with a back-off, told of to whoever asks.
//!
//! Nothing is repaired inside a connection: after a cut everybody gets an error, and with the next connection every
//! exchange and queue is declared, bound and consumed afresh. What is published and what is consumed go over different
//! connections, since a broker that is short of memory stops reading from whoever publishes.

mod dial;
mod failures;
mod incoming;
mod pool;
mod publisher;
pub mod vumi;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::tcp::OwnedTLSConfig;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{Channel, ExchangeKind};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{AmqpConfig, QueueType};

pub use failures::{Failure, Failures};
pub use incoming::{Incoming, IncomingMessage};
use pool::Pool;
pub use publisher::{Published, Publisher};

/// Vumi's exchange: direct, durable, not deleted with its last queue (Junebug reference §4.1).
const EXCHANGE: &str = "vumi";
/// How long connecting may take, TLS and authentication included.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the broker may take to hear that a channel or a connection is closed.
const CLOSE: Duration = Duration::from_secs(2);
/// Wait after the first failure to connect; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Longest wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often a connection is looked at. Whoever uses it learns of its end at once.
const LOOK: Duration = Duration::from_millis(250);
/// How often a quorum queue hands out one message before it drops it. Without a limit, what comes back goes behind everything
/// else (RabbitMQ 3.10), or is dropped the twentieth time (RabbitMQ 4); with one, it goes back to its place.
const DELIVERIES: i32 = i32::MAX;
/// Longest name of a queue in octets: routing keys have 255, and `.outbound` is one of our suffixes.
pub const MAX_QUEUE_NAME: usize = 240;

/// Why the broker did not do something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BusError {
    /// There is no connection now.
    #[error("there is no connection to RabbitMQ: {0}")]
    Down(Arc<str>),
    /// The broker refused, or the connection broke meanwhile.
    #[error("RabbitMQ did not do it: {0}")]
    Broker(Arc<str>),
    /// It has been asked and says nothing: it is short of memory, mostly.
    #[error("RabbitMQ does not answer")]
    Silent,
    /// Every connection has as many channels as the broker allows.
    #[error(
        "RabbitMQ's limit of channels (channel_max) is reached on all of {connections} connections; raise it there"
    )]
    NoChannel {
        /// How many there are, which is the most.
        connections: usize,
    },
}

impl From<lapin::Error> for BusError {
    fn from(error: lapin::Error) -> Self {
        Self::Broker(error.to_string().into())
    }
}

/// How the connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// Not there, and why.
    Down(Arc<str>),
    /// There.
    Up,
}

/// The bus; clones are the same one.
#[derive(Clone)]
pub struct Bus(Arc<Inner>);

struct Inner {
    /// Of the queues that are declared here.
    queue_type: Option<QueueType>,
    session: watch::Receiver<Session>,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// What there is at the moment.
#[derive(Clone)]
enum Session {
    Down(Arc<str>),
    Up(Arc<Connections>),
}

struct Connections {
    publishing: Pool,
    consuming: Pool,
}

impl Bus {
    /// Begins to connect, and does so until [`Bus::stop`].
    #[must_use]
    pub fn start(config: &AmqpConfig) -> Self {
        let (sender, session) = watch::channel(Session::Down("connecting".into()));
        let stop = CancellationToken::new();
        let task = tokio::spawn(keep(config.clone(), sender, stop.clone()));
        Self(Arc::new(Inner { queue_type: config.queue_type, session, stop, task: Mutex::new(Some(task)) }))
    }

    /// Closes the connection, if there is one, and makes no other.
    pub async fn stop(&self) {
        self.0.stop.cancel();
        let task = self.0.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // It ends by itself once told; a panic in it has been reported.
            let _ = task.await;
        }
    }

    /// How the connection is.
    #[must_use]
    pub fn link(&self) -> Link {
        Link::of(&self.0.session.borrow())
    }

    /// Who is told whenever that changes.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch(self.0.session.clone())
    }

    /// What a queue is declared with, beside `more`.
    fn arguments<const N: usize>(&self, more: [(&str, AMQPValue); N]) -> FieldTable {
        let named = |(name, value): (&str, AMQPValue)| (ShortString::from(name), value);
        let mut arguments: BTreeMap<_, _> = more.into_iter().map(named).collect();
        let of_type = |name: &str| ("x-queue-type", AMQPValue::LongString(name.into()));
        match self.0.queue_type {
            None => {}
            Some(QueueType::Classic) => arguments.extend([named(of_type("classic"))]),
            Some(QueueType::Quorum) => {
                let limit = ("x-delivery-limit", AMQPValue::LongInt(DELIVERIES));
                arguments.extend([of_type("quorum"), limit].map(named));
            }
        }
        arguments.into()
    }

    fn connections(&self) -> Result<Arc<Connections>, BusError> {
        match &*self.0.session.borrow() {
            Session::Up(connections) => Ok(connections.clone()),
            Session::Down(why) => Err(BusError::Down(why.clone())),
        }
    }
}

impl Link {
    fn of(session: &Session) -> Self {
        match session {
            Session::Up(_) => Self::Up,
            Session::Down(why) => Self::Down(why.clone()),
        }
    }
}

/// Sees the connection come and go.
pub struct Watch(watch::Receiver<Session>);

impl Watch {
    /// How the connection is, as soon as that is not what was last seen here.
    pub async fn changed(&mut self) -> Link {
        if self.0.changed().await.is_err() {
            // The bus has been stopped; nothing will change any more.
            return std::future::pending().await;
        }
        Link::of(&self.0.borrow_and_update())
    }

    /// Waits for a connection.
    pub async fn up(&mut self) {
        if self.0.wait_for(|session| matches!(session, Session::Up(_))).await.is_err() {
            std::future::pending().await
        }
    }
}

/// Keeps the connection.
async fn keep(config: AmqpConfig, sender: watch::Sender<Session>, stop: CancellationToken) {
    let place = format!("{}:{}", config.hostname, config.port);
    let mut pause = FIRST_PAUSE;
    let mut told: Option<Arc<str>> = None;
    loop {
        let connected = tokio::select! {
            connected = tokio::time::timeout(CONNECT, Connections::open(&config)) => connected,
            () = stop.cancelled() => return,
        };
        let why: Arc<str> = match connected {
            Ok(Ok(connections)) => {
                tracing::info!(%place, "connected to RabbitMQ");
                (pause, told) = (FIRST_PAUSE, None);
                let connections = Arc::new(connections);
                sender.send_replace(Session::Up(connections.clone()));
                tokio::select! {
                    () = connections.ended() => {
                        // Whoever still uses one that is left begins anew with all the others.
                        tokio::spawn(async move { connections.close().await });
                        "the connection was lost".into()
                    }
                    () = stop.cancelled() => {
                        sender.send_replace(Session::Down("it has been closed".into()));
                        return connections.close().await;
                    }
                }
            }
            Ok(Err(error)) => error.to_string().into(),
            Err(_) => format!("no answer in {} s", CONNECT.as_secs()).into(),
        };
        if told.as_ref() != Some(&why) {
            tracing::warn!(%place, %why, "there is no connection to RabbitMQ; it is tried again");
            told = Some(why.clone());
        }
        sender.send_replace(Session::Down(why));
        tokio::select! {
            () = tokio::time::sleep(pause.mul_f64(0.8 + 0.4 * fastrand::f64())) => pause = (pause * 2).min(LONGEST_PAUSE),
            () = stop.cancelled() => return,
        }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
enum ConnectError {
    #[error("the ca_file {path} cannot be read: {source}", path = .path.display())]
    Authority { path: std::path::PathBuf, source: std::io::Error },
    #[error("{0}")]
    Broker(#[from] lapin::Error),
    #[error("{0}")]
    Channel(#[from] BusError),
}

impl Connections {
    async fn open(config: &AmqpConfig) -> Result<Self, ConnectError> {
        let authority = match &config.ca_file {
            None => None,
            Some(path) => {
                let read = std::fs::read_to_string(path);
                Some(read.map_err(|source| ConnectError::Authority { path: path.clone(), source })?)
            }
        };
        let tls = OwnedTLSConfig { identity: None, cert_chain: authority };
        let open = async |purpose| Pool::open(config.clone(), tls.clone(), purpose).await;
        let (publishing, consuming) = (open("publishes").await?, open("consumes").await?);
        declare_exchange(&publishing.channel().await?).await?;
        Ok(Self { publishing, consuming })
    }

    /// Resolves when one of them is not there any more.
    async fn ended(&self) {
        let mut look = tokio::time::interval(LOOK);
        while self.publishing.is_up() && self.consuming.is_up() {
            look.tick().await;
        }
    }

    async fn close(&self) {
        // They end in any case, also while the broker does not answer.
        let closed = async { tokio::join!(self.consuming.close(), self.publishing.close()) };
        let _ = tokio::time::timeout(CLOSE, closed).await;
    }
}

fn uri(config: &AmqpConfig) -> AMQPUri {
    AMQPUri {
        scheme: if config.tls { AMQPScheme::AMQPS } else { AMQPScheme::AMQP },
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo { username: config.username.clone(), password: config.password.0.clone() },
            host: config.hostname.clone(),
            port: config.port,
        },
        vhost: config.vhost.clone(),
        query: AMQPQueryString {
            heartbeat: Some(config.heartbeat).filter(|seconds| *seconds > 0),
            ..AMQPQueryString::default()
        },
    }
}

/// Declares the exchange, unless it is there: whoever opens a channel does, since an operator may have deleted it.
async fn declare_exchange(channel: &Channel) -> Result<(), lapin::Error> {
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Direct, options, FieldTable::default()).await
}

/// As Vumi declares its queues.
fn durable() -> QueueDeclareOptions {
    QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() }
}
