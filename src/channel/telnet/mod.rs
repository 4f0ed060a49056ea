//! The `telnet` channel type: whoever connects is a phone, and each line a message. For trying session applications.
//!
//! Connecting opens a session, leaving it closes it; what is sent to the address of a connection appears there. One
//! connection is in `client`, what it types in `lines`.

mod client;
mod lines;

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use self::client::{Clients, Visit};
use super::fields::{Fields, WORKER_KEYS, wrong};
use super::{ChannelType, ConfigError, Fate, Intake, Outcome, Setup, StatusReport};
use crate::endpoint::{parse_interface, parse_listen};
use crate::model::{JsonObject, Level, SessionEvent, SmscMessageId, Timestamp};
use crate::store::Delivery;

/// The channel type `telnet`.
#[derive(Clone, Copy, Debug)]
pub struct Telnet;

/// What a telnet channel may be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelnetConfig {
    address: SocketAddr,
    to_addr: Option<String>,
    transport_type: String,
}

const KEYS: [&str; 5] = ["twisted_endpoint", "telnet_host", "telnet_port", "to_addr", "transport_type"];

/// Most connections; the next one is closed at once.
const MAX_CONNECTIONS: usize = 1_000;
/// Most MTs taken at once.
const BATCH: usize = 64;
/// How long an MT waits whose connection has too much to write already.
const FULL: Duration = Duration::from_millis(200);
/// First and longest pause before the port is tried again.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

impl TelnetConfig {
    /// Reads a channel's `config`.
    ///
    /// # Errors
    /// [`ConfigError`] names the key.
    pub fn parse(config: &JsonObject) -> Result<Self, ConfigError> {
        ConfigError::check_keys(config, &[&KEYS[..], &WORKER_KEYS[..]].concat())?;
        let fields = Fields(config.clone());
        let address = match fields.text("twisted_endpoint")? {
            Some(text) => parse_listen(&text)
                .map_err(|why| wrong("twisted_endpoint", &format!("is not a valid server endpoint: {why}")))?,
            None => {
                let missing =
                    || ConfigError::new("twisted_endpoint", "Missing required config field 'twisted_endpoint'");
                let port = fields.integer("telnet_port", 0..=u16::MAX)?.ok_or_else(missing)?;
                let host = fields.text("telnet_host")?.unwrap_or_default();
                SocketAddr::new(
                    parse_interface(&host).map_err(|why| wrong("telnet_host", &format!("is no interface: {why}")))?,
                    port,
                )
            }
        };
        let transport_type = fields.text("transport_type")?.unwrap_or_else(|| "telnet".to_owned());
        Ok(Self { address, to_addr: fields.text("to_addr")?, transport_type })
    }
}

impl ChannelType for Telnet {
    fn check(&self, config: &JsonObject) -> Result<(), ConfigError> {
        TelnetConfig::parse(config).map(|_| ())
    }

    async fn run<I: Intake>(&self, setup: Setup<I>) -> Result<(), ConfigError> {
        let config = TelnetConfig::parse(&setup.config)?;
        run(&setup, &config).await;
        Ok(())
    }
}

async fn run<I: Intake>(setup: &Setup<I>, config: &TelnetConfig) {
    let clients = Clients::default();
    let mut door = Door::new(config.address);
    let mut queue = setup.queue();
    let mut visits = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = setup.stop.cancelled() => break,
            (stream, peer, local) = door.next(setup) => {
                if visits.len() >= MAX_CONNECTIONS {
                    setup.log.warn(format!("{peer} was turned away: there are {MAX_CONNECTIONS} connections"));
                    continue;
                }
                let to = config.to_addr.clone().unwrap_or_else(|| local.to_string());
                let visit = Visit { setup, clients: &clients, to, transport_type: &config.transport_type };
                visits.push(visit.hold(stream, clients.admit(peer)));
            }
            Some(()) = visits.next() => {}
            pulled = queue.pull(BATCH) => match pulled {
                Ok(deliveries) => {
                    let outcomes = deliveries.into_iter().filter_map(|delivery| pass_on(&clients, delivery)).collect();
                    decided(setup, outcomes).await;
                }
                Err(error) => {
                    setup.log.error(error.to_string());
                    setup.stop.cancelled().await;
                }
            },
        }
    }
    // Each visit ends by itself once the channel's stop is given.
    drop(door);
    while visits.next().await.is_some() {}
}

async fn decided<I: Intake>(setup: &Setup<I>, outcomes: Vec<Outcome>) {
    if !outcomes.is_empty() {
        setup.intake.decided(&setup.id, outcomes).await;
    }
}

/// Hands an MT to its connection; what became of it if that is known already.
fn pass_on(clients: &Clients, delivery: Delivery) -> Option<Outcome> {
    let text = delivery.message.content.lines().collect::<Vec<_>>().join("\n");
    match clients.pass_on(delivery, text) {
        Ok(()) => None,
        Err(client::NotPassed::Full(delivery)) => {
            Some(outcome(delivery, Fate::Retry { at: Timestamp::now().plus(FULL) }))
        }
        Err(client::NotPassed::Unknown(delivery)) => {
            let (to, content) = (&delivery.message.to, &delivery.message.content);
            clients.tell_all(&format!("UNKNOWN ADDR [{to}]: {content}\n"));
            Some(outcome(delivery, unknown()))
        }
    }
}

fn outcome(delivery: Delivery, fate: Fate) -> Outcome {
    let Delivery { ticket, origin, message, .. } = delivery;
    Outcome { ticket, origin, message, fate }
}

fn unknown() -> Fate {
    Fate::Rejected { reason: "Unknown address.".to_owned(), details: JsonObject::new() }
}

/// The MT was written to its connection.
fn written(delivery: Delivery) -> Outcome {
    let fate = Fate::Submitted {
        smsc_message_ids: vec![SmscMessageId(delivery.message.id.to_string())],
        correlate: Vec::new(),
        announce: true,
        details: JsonObject::new(),
    };
    outcome(delivery, fate)
}

/// Where people come in. A port that cannot be had is tried again and again.
struct Door {
    address: SocketAddr,
    listener: Option<(TcpListener, SocketAddr)>,
    retry_at: Instant,
    pause: Duration,
    /// What is still to be said of it.
    news: Option<StatusReport>,
}

impl Door {
    fn new(address: SocketAddr) -> Self {
        Self { address, listener: None, retry_at: Instant::now(), pause: PAUSE.0, news: None }
    }

    /// The next connection, where it is from and where it was accepted. Dropped before it returns, it has lost nothing.
    async fn next<I: Intake>(&mut self, setup: &Setup<I>) -> (TcpStream, SocketAddr, SocketAddr) {
        loop {
            if let Some(news) = &self.news {
                setup.intake.status(&setup.id, news.clone()).await;
                self.news = None;
            }
            let Some((listener, local)) = &self.listener else {
                tokio::time::sleep_until(self.retry_at).await;
                self.open().await;
                continue;
            };
            match listener.accept().await {
                Ok((stream, peer)) => return (stream, peer, *local),
                Err(error) => {
                    // Out of descriptors, usually: others may close some meanwhile.
                    setup.log.warn(format!("a connection could not be accepted: {error}"));
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    async fn open(&mut self) {
        let listener = TcpListener::bind(self.address).await;
        let opened = listener.and_then(|listener| listener.local_addr().map(|local| (listener, local)));
        let news = |level, kind, message, details| StatusReport { component: "telnet", level, kind, message, details };
        self.news = Some(match opened {
            Ok((listener, local)) => {
                self.listener = Some((listener, local));
                let details = JsonObject::from_iter([("address".to_owned(), local.to_string().into())]);
                news(Level::Ok, "listening", format!("Listening on {local}"), details)
            }
            Err(error) => {
                self.retry_at = Instant::now() + self.pause;
                self.pause = (self.pause * 2).min(PAUSE.1);
                let message = format!("{} cannot be listened on: {error}", self.address);
                news(Level::Down, "cannot_listen", message, JsonObject::new())
            }
        });
    }
}

/// The word that ends a session, in any case.
const QUIT: &str = "/quit";

/// What a line of somebody's says.
fn said(line: String) -> (Option<String>, SessionEvent) {
    match line.trim().eq_ignore_ascii_case(QUIT) {
        true => (None, SessionEvent::Close),
        false => (Some(line), SessionEvent::Resume),
    }
}
