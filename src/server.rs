//! The whole server in one piece: store, gateway, API, on addresses of its own. Nothing is global, so a test may run
//! ten of them.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use ipnet::IpNet;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::access::Accounts;
use crate::api::guard::Guard;
use crate::api::{Api, ApiLimits};
use crate::bus::Bus;
use crate::config::{Auth, Config, RedisKey};
use crate::gateway::retry::RetryPolicy;
use crate::gateway::{Activity, Assigned, CallbackPolicy, Gateway, GatewayConfig, Types};
use crate::model::ChannelId;
use crate::nodes::{self, Node};
use crate::store::{RedisConfig, RedisConfigError, Store, StoreConfig};
use crate::telemetry::channel_log::LogFiles;
use crate::telemetry::{ChannelLogs, Rates};
use crate::web::client::{Allowed, Client};
use crate::web::management::Management;
use crate::web::server::{Limits, serve};

/// A running server.
pub struct Server {
    store: Store,
    accounts: Arc<Accounts>,
    gateway: Gateway,
    addresses: Vec<SocketAddr>,
    listeners: JoinSet<()>,
    stop: CancellationToken,
    /// Where several share a store.
    node: Option<Node>,
}

/// Longest request body in octets.
const MAX_BODY: usize = 1024 * 1024;
/// How long a request body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);
/// How long a request may take to be answered; longer than a channel takes to be stopped and started.
const REQUEST_TIME: Duration = Duration::from_secs(60);
/// Most requests that are answered at a time; each may have a body in memory.
const REQUESTS: usize = 1_024;
/// How often it is said that the API is open.
const REMINDER: Duration = Duration::from_secs(60);
/// How long channels may take to finish what is in flight.
const CHANNEL_DRAIN: Duration = Duration::from_secs(15);

impl Server {
    /// Opens the store, starts the channels, listens.
    ///
    /// # Errors
    /// What could not be opened, read or listened on.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        Self::start_with(config, Types::default()).await
    }

    /// The same with types of one's own beside the built-in ones.
    ///
    /// # Errors
    /// What could not be opened, read or listened on.
    pub async fn start_with(config: &Config, types: Types) -> anyhow::Result<Self> {
        // Boxed: it is large, and whoever starts a server would have its size.
        Box::pin(Self::begin(config, types)).await
    }

    async fn begin(config: &Config, mut types: Types) -> anyhow::Result<Self> {
        types.channels = types.channels.configured(&config.channels, config.replace_channels)?;
        types.routers = types.routers.configured(&config.routers, config.replace_routers)?;
        let addresses = config.addresses().await?;
        let bound = listen(&addresses, config.port).await?;
        let addresses = bound.iter().map(TcpListener::local_addr).collect::<Result<Vec<_>, _>>()?;
        let logs = ChannelLogs::start(log_files(config));
        let logs = logs.with_context(|| format!("logs cannot be kept in {}", config.logging_path.display()))?;
        let stored = store_config(config)?;
        let (store, nodes) = match &stored.redis {
            Some(_) => {
                let own = nodes::member(config.node_url.as_deref(), &addresses);
                let (store, nodes) = Store::join(&stored, own).await?;
                (store, Some(nodes))
            }
            None => (Store::open(&stored).await?, None),
        };
        let accounts = Arc::new(Accounts::open(store.clone()).await?);
        let rates = Rates::new(config.metric_window);
        let client = client(config, &addresses);
        let bus = config.amqp.as_ref().map(Bus::start);
        let assigned = if nodes.is_some() { Assigned::Only(HashSet::new()) } else { Assigned::All };
        let rules = GatewayConfig { assigned, ..gateway_config(config) };
        let gateway = Gateway::start(rules, types, store.clone(), logs, rates, client, bus).await?;
        let node = match nodes {
            Some(nodes) => Some(Node::start(nodes, gateway.clone(), accounts.clone()).await?),
            None => None,
        };
        let limits = ApiLimits {
            body: MAX_BODY,
            body_time: BODY_TIME,
            time: REQUEST_TIME,
            requests: REQUESTS,
            max_logs: config.max_logs,
        };
        let stop = CancellationToken::new();
        let mut listeners = JoinSet::new();
        let guard = guard(config, accounts.clone(), &addresses);
        if let Some(warning) = warning(config, &guard, &addresses) {
            tracing::warn!("{warning}");
            listeners.spawn(remind(warning, stop.clone()));
        }
        let whereabouts = node.as_ref().map(|node| node.whereabouts().clone());
        let api = Arc::new(Api::new(gateway.clone(), guard, limits, management(config)?, whereabouts));
        for listener in bound {
            let limits = Limits { per_address: config.connections_per_address, ..Limits::default() };
            listeners.spawn(serve(listener, api.clone(), limits, stop.clone()));
        }
        Ok(Self { store, accounts, gateway, addresses, listeners, stop, node })
    }

    /// Where the API listens.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The gateway.
    #[must_use]
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Where everything is kept.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Lets count what another holder of the store has changed: accounts, channels, routers, destinations.
    ///
    /// # Errors
    /// What could not be read; the next call tries again.
    pub async fn refresh(&self) -> anyhow::Result<()> {
        self.accounts.refresh().await?;
        self.gateway.refresh().await?;
        Ok(())
    }

    /// A channel called `demo`, bound to a simulated SMSC.
    ///
    /// # Errors
    /// When it could not be stored.
    pub async fn demo_channel(&self, smsc: SocketAddr) -> anyhow::Result<ChannelId> {
        let properties = json!({
            "type": "smpp",
            "label": "bound to the simulated SMSC",
            // The key alone lets messages be sent.
            "mo_url": null,
            "config": {
                "twisted_endpoint": format!("tcp:host={}:port={}", smsc.ip(), smsc.port()),
                "system_id": "demo",
                "password": "demo",
                "registered_delivery": true,
            },
        });
        let Value::Object(properties) = properties else { unreachable!("it is written as an object") };
        let id = ChannelId::from("demo");
        self.gateway.put_channel(&id, properties).await?;
        Ok(id)
    }

    /// Ends in order: other nodes take over, running requests finish, channels unbind, everything is on disk.
    pub async fn stop(mut self) {
        if let Some(node) = &mut self.node {
            // Whoever asks meanwhile is still answered.
            node.hand_over().await;
        }
        self.stop.cancel();
        while self.listeners.join_next().await.is_some() {}
        let nodes = match self.node {
            Some(node) => node.stop().await,
            None => None,
        };
        self.gateway.shutdown().await;
        if let Some(nodes) = nodes {
            nodes.leave().await;
        }
    }
}

/// What a stopped server keeps, with all its rules and none of its activity: no channel runs, no callback is made.
pub struct Offline {
    gateway: Gateway,
    logs: PathBuf,
}

impl Offline {
    /// Opens the directory of a server that is stopped; it is made if absent.
    ///
    /// # Errors
    /// What could not be opened or read; it is in use while a server runs on it.
    pub async fn open(data: &Path) -> anyhow::Result<Self> {
        let store = Store::open(&StoreConfig {
            // How long things are kept is the server's business.
            retention: Duration::from_secs(u64::from(u32::MAX)),
            correlation_retention: Duration::from_secs(u64::from(u32::MAX)),
            path: data.to_owned(),
            min_free: 0,
            ..StoreConfig::default()
        })
        .await?;
        // Nobody logs anything while nothing happens; what is deleted would be deleted here.
        let config = Config {
            logging_path: std::env::temp_dir().join(format!("maybug-{}", uuid::Uuid::new_v4())),
            ..Config::default()
        };
        let logs = ChannelLogs::start(log_files(&config))?;
        let rates = Rates::new(config.metric_window);
        let rules = GatewayConfig { activity: Activity::Idle, ..gateway_config(&config) };
        let gateway = Gateway::start(rules, Types::default(), store, logs, rates, client(&config, &[]), None).await?;
        Ok(Self { gateway, logs: config.logging_path })
    }

    /// The gateway.
    #[must_use]
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Everything is on disk.
    pub async fn close(self) {
        self.gateway.shutdown().await;
        // It is empty, and whoever cleans up temporary files does it as well.
        let _ = std::fs::remove_dir_all(&self.logs);
    }
}

/// Listens on every address that this machine has, one of them at least; on one port for all.
async fn listen(addresses: &[SocketAddr], mut port: u16) -> anyhow::Result<Vec<TcpListener>> {
    let mut bound = Vec::new();
    for address in addresses {
        let address = SocketAddr::new(address.ip(), port);
        match TcpListener::bind(address).await {
            Ok(listener) => {
                port = listener.local_addr()?.port();
                bound.push(listener);
            }
            // A name like localhost has an IPv6 address even where there is no IPv6.
            Err(error) if error.kind() == ErrorKind::AddrNotAvailable && addresses.len() > 1 => {
                tracing::debug!(%address, %error, "this machine does not have the address");
            }
            Err(error) => return Err(error).with_context(|| format!("the API cannot listen on {address}")),
        }
    }
    anyhow::ensure!(!bound.is_empty(), "the API can listen on none of {addresses:?}");
    Ok(bound)
}

fn guard(config: &Config, accounts: Arc<Accounts>, addresses: &[SocketAddr]) -> Guard {
    // Pages in a browser on this machine reach loopback whatever their host resolves to; elsewhere hosts prove nothing.
    let hosts =
        is_private(addresses).then(|| [&config.api_hosts[..], std::slice::from_ref(&config.interface)].concat());
    Guard::new(accounts, config.auth(), hosts)
}

/// What must not be forgotten about who may use the API.
fn warning(config: &Config, guard: &Guard, addresses: &[SocketAddr]) -> Option<&'static str> {
    match config.auth() {
        Auth::Always if !guard.knows_anybody() => Some(
            "the API asks for credentials and there is no account: stop the server, and make one with `maybug account \
             create NAME --scope admin`",
        ),
        Auth::Never if !is_private(addresses) => {
            Some("the API is open: anybody who reaches it may do anything, as `open: true` says")
        }
        _ => None,
    }
}

/// Warns again every minute.
async fn remind(warning: &'static str, stop: CancellationToken) {
    while tokio::time::timeout(REMINDER, stop.cancelled()).await.is_err() {
        tracing::warn!("{warning}");
    }
}

fn is_private(addresses: &[SocketAddr]) -> bool {
    addresses.iter().all(|address| address.ip().is_loopback())
}

/// The Redis that keeps everything, if one is configured.
///
/// # Errors
/// What is wrong with its URL.
pub(crate) fn redis(config: &Config) -> Result<Option<RedisConfig>, RedisConfigError> {
    match &config.redis {
        Some(RedisKey::Store(url)) => url.0.parse().map(Some),
        _ => Ok(None),
    }
}

fn store_config(config: &Config) -> anyhow::Result<StoreConfig> {
    Ok(StoreConfig {
        path: config.data.clone(),
        redis: redis(config).context("the key 'redis' is wrong")?,
        sync: config.sync,
        quota: config.quota,
        min_free: config.min_free,
        retention: config.retention(),
        correlation_retention: config.retention(),
        unfinished: false,
    })
}

fn log_files(config: &Config) -> LogFiles {
    LogFiles {
        path: config.logging_path.clone(),
        rotate_size: config.log_rotate_size,
        max_files: config.max_log_files,
        privacy: config.log_privacy,
    }
}

fn gateway_config(config: &Config) -> GatewayConfig {
    let max_age = Duration::from_secs(config.callback_max_age);
    GatewayConfig {
        inbound_ttl: Duration::from_secs(config.inbound_message_ttl),
        outbound_ttl: Duration::from_secs(config.outbound_message_ttl),
        allow_expired_replies: config.allow_expired_replies,
        require_destination: config.require_destination,
        forward_session_close: config.forward_session_close,
        queue_limit: config.queue_limit,
        expose_secrets: config.expose_secrets,
        callbacks: CallbackPolicy {
            retry: RetryPolicy { max_age, ..RetryPolicy::default() },
            ..CallbackPolicy::default()
        },
        channel_drain: CHANNEL_DRAIN,
        activity: Activity::Full,
        assigned: Assigned::All,
    }
}

/// What health asks for queues, if anything.
fn management(config: &Config) -> anyhow::Result<Option<Management>> {
    let Some(address) = &config.rabbitmq_management_interface else { return Ok(None) };
    let management = Management::new(address, &config.amqp.clone().unwrap_or_default());
    Ok(Some(management.with_context(|| format!("the rabbitmq_management_interface '{address}' is no HOST:PORT"))?))
}

/// Callbacks may go to loopback while only those on this machine can ask for them.
fn client(config: &Config, addresses: &[SocketAddr]) -> Client {
    let mut networks = config.callback_allow.clone();
    if is_private(addresses) {
        networks.extend(["127.0.0.0/8", "::1/128"].iter().filter_map(|network| network.parse::<IpNet>().ok()));
    }
    Client::new(Allowed { networks })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_warning_comes_back_every_minute() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let subscriber = tracing_subscriber::fmt().with_writer(Mutex::new(log.reopen().unwrap())).finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let stop = CancellationToken::new();
        let reminding = tokio::spawn(remind("it is open", stop.clone()));
        tokio::time::sleep(REMINDER * 3 + REMINDER / 2).await;
        stop.cancel();
        reminding.await.unwrap();
        let log = std::fs::read_to_string(log.path()).unwrap();
        assert_eq!(log.matches("WARN").count(), 3, "{log}");
        assert_eq!(log.matches("it is open").count(), 3, "{log}");
    }
}
