//! Connections of one purpose: as many as the channels on them need.
//!
//! A broker allows each connection so many channels (`channel_max`: 2,047 unless its operator says otherwise), and each
//! queue has channels of its own. When those connections that are there have no channel left, one more is opened.

use lapin::tcp::OwnedTLSConfig;
use lapin::{Channel, Connection, ConnectionBuilder, ConnectionProperties, ErrorKind};
use tokio::sync::Mutex;

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
    connections: Mutex<Vec<Connection>>,
}

impl Pool {
    /// Opens the first connection.
    ///
    /// # Errors
    /// The broker's.
    pub(super) async fn open(config: AmqpConfig, tls: OwnedTLSConfig, purpose: &str) -> Result<Self, lapin::Error> {
        let name = format!("maybug {} {purpose}", env!("CARGO_PKG_VERSION"));
        let pool = Self { config, tls, name, connections: Mutex::default() };
        let first = pool.connect().await?;
        pool.connections.lock().await.push(first);
        Ok(pool)
    }

    /// A new channel.
    ///
    /// # Errors
    /// [`BusError`].
    pub(super) async fn channel(&self) -> Result<Channel, BusError> {
        let mut connections = self.connections.lock().await;
        // The last one has room, mostly.
        for connection in connections.iter().rev() {
            match connection.create_channel().await {
                Err(error) if matches!(error.kind(), ErrorKind::ChannelsLimitReached) => {}
                created => return Ok(created?),
            }
        }
        if connections.len() >= MOST {
            return Err(BusError::NoChannel { connections: MOST });
        }
        let another = tokio::time::timeout(CONNECT, self.connect()).await;
        let another = another.map_err(|_| BusError::Broker(SILENT.into()))??;
        let channel = another.create_channel().await;
        connections.push(another);
        Ok(channel?)
    }

    /// Whether all of them are there.
    pub(super) async fn is_up(&self) -> bool {
        self.connections.lock().await.iter().all(|connection| connection.status().connected())
    }

    /// Closes them.
    pub(super) async fn close(&self) {
        let connections = self.connections.lock().await;
        let closed = connections.iter().map(|connection| connection.close(200, "closed".into()));
        // They end in any case.
        let _ = futures_util::future::join_all(closed).await;
    }

    async fn connect(&self) -> Result<Connection, lapin::Error> {
        let properties = ConnectionProperties::default().with_connection_name(self.name.clone().into());
        let builder = ConnectionBuilder::new()?.with_uri(uri(&self.config)).with_tls_config(self.tls.clone());
        builder.with_properties(properties).connect().await
    }
}
