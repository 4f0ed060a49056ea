//! Connections of one purpose: as many as the channels on them need.
//!
//! A broker allows each connection so many channels (`channel_max`: 2,047 unless its operator says otherwise), and each
//! queue has channels of its own. When those connections that are there have no channel left, one more is opened.

use std::sync::{Arc, Mutex, PoisonError};

use lapin::tcp::OwnedTLSConfig;
use lapin::{Channel, Connection, ConnectionProperties, ErrorKind};

use super::dial::dial;
use super::{BusError, CONNECT, uri};
use crate::config::AmqpConfig;

/// Most connections of one purpose: enough for more than ten thousand queues with RabbitMQ's own limit.
const MOST: usize = 64;

/// What is said of a broker that does not answer.
const SILENT: &str = "there was no answer to one more connection";

/// See the file's head.
pub(super) struct Pool {
    config: AmqpConfig,
    tls: OwnedTLSConfig,
    /// What the broker's operator sees.
    name: String,
    /// Never held while the broker is waited for, which may take as long as it is short of memory.
    connections: Mutex<Vec<Arc<Connection>>>,
    /// Who opens one more.
    growing: tokio::sync::Mutex<()>,
}

impl Pool {
    /// Opens the first connection.
    ///
    /// # Errors
    /// The broker's.
    pub(super) async fn open(config: AmqpConfig, tls: OwnedTLSConfig, purpose: &str) -> Result<Self, lapin::Error> {
        let name = format!("maybug {} {purpose}", env!("CARGO_PKG_VERSION"));
        let pool = Self { config, tls, name, connections: Mutex::default(), growing: tokio::sync::Mutex::default() };
        let first = pool.connect().await?;
        pool.add(first);
        Ok(pool)
    }

    /// A new channel.
    ///
    /// # Errors
    /// [`BusError`].
    pub(super) async fn channel(&self) -> Result<Channel, BusError> {
        let known = self.all();
        if let Some(channel) = channel(&known).await? {
            return Ok(channel);
        }
        let _growing = self.growing.lock().await;
        // Somebody else may have opened some meanwhile.
        let all = self.all();
        if let Some(channel) = channel(all.get(known.len()..).unwrap_or_default()).await? {
            return Ok(channel);
        }
        if all.len() >= MOST {
            return Err(BusError::NoChannel { connections: MOST });
        }
        let another = tokio::time::timeout(CONNECT, self.connect()).await;
        let another = self.add(another.map_err(|_| BusError::Broker(SILENT.into()))??);
        Ok(another.create_channel().await?)
    }

    /// Whether all of them are there.
    pub(super) fn is_up(&self) -> bool {
        self.connections().iter().all(|connection| connection.status().connected())
    }

    /// Closes them.
    pub(super) async fn close(&self) {
        let connections = self.all();
        let closed = connections.iter().map(|connection| connection.close(200, "closed".into()));
        // They end in any case.
        let _ = futures_util::future::join_all(closed).await;
    }

    fn add(&self, connection: Connection) -> Arc<Connection> {
        let connection = Arc::new(connection);
        self.connections().push(connection.clone());
        connection
    }

    fn all(&self) -> Vec<Arc<Connection>> {
        self.connections().clone()
    }

    fn connections(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Connection>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self) -> Result<Connection, lapin::Error> {
        let properties = ConnectionProperties::default().with_connection_name(self.name.clone().into());
        dial(uri(&self.config), self.tls.clone(), properties).await
    }
}

/// A channel of whichever connection has room. The last one has, mostly.
async fn channel(connections: &[Arc<Connection>]) -> Result<Option<Channel>, BusError> {
    for connection in connections.iter().rev() {
        match connection.create_channel().await {
            Err(error) if matches!(error.kind(), ErrorKind::ChannelsLimitReached) => {}
            created => return Ok(Some(created?)),
        }
    }
    Ok(None)
}
