//! One server: a connection that everybody shares, and some that one write at a time has for itself.
//!
//! A connection that broke, or did not answer in time, is thrown away and the next who asks makes a new one. While a
//! server cannot be reached it is tried again after a growing pause, and until then everybody is told so at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::aio::{MultiplexedConnection, PubSub, PubSubSink, PubSubStream};
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, Pipeline, RedisConnectionInfo, RedisResult, cmd};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::config::{Address, Login, RedisConfig};
use super::error::RedisError;
use super::pace::{Pace, apart};
use crate::endpoint::{Endpoint, Stream, TlsClient};

/// Most connections that writes have for themselves; further ones wait.
const DEDICATED: usize = 16;
/// Commands that may wait for a place on the shared connection.
const BUFFER: usize = 256;
/// Octets that are gathered for one write to a socket.
const GATHERED: usize = 64 * 1024;

/// See the file's head.
pub(super) struct Node {
    address: Address,
    endpoint: Endpoint,
    login: RedisConnectionInfo,
    patience: Duration,
    live: ArcSwapOption<MultiplexedConnection>,
    /// Held by whoever connects, always in a task of its own.
    pace: tokio::sync::Mutex<Pace>,
    idle: Mutex<Vec<MultiplexedConnection>>,
    dedicated: Semaphore,
}

/// A write's own connection; it is put back when it has answered.
pub(super) struct Dedicated<'a> {
    node: &'a Node,
    connection: MultiplexedConnection,
    _permit: tokio::sync::SemaphorePermit<'a>,
}

impl Node {
    /// A server that has not been connected to yet.
    ///
    /// # Errors
    /// [`RedisError::Tls`].
    pub(super) fn new(address: Address, config: &RedisConfig, login: &Login, db: u32) -> Result<Arc<Self>, RedisError> {
        let tls = config.tls.as_ref().map(|options| TlsClient::new(options, &address.host)).transpose()?;
        let endpoint =
            Endpoint { host: address.host.clone(), port: address.port, local: None, timeout: config.timeout, tls };
        let mut info = RedisConnectionInfo::default().set_db(db.into()).set_skip_set_lib_name();
        if let Some(user) = &login.user {
            info = info.set_username(user);
        }
        if let Some(password) = &login.password {
            info = info.set_password(&password.0);
        }
        Ok(Arc::new(Self {
            address,
            endpoint,
            login: info,
            patience: config.timeout,
            live: ArcSwapOption::empty(),
            pace: tokio::sync::Mutex::default(),
            idle: Mutex::default(),
            dedicated: Semaphore::new(DEDICATED),
        }))
    }

    pub(super) const fn address(&self) -> &Address {
        &self.address
    }

    /// Sends a command on the shared connection.
    ///
    /// # Errors
    /// [`RedisError`].
    pub(super) async fn ask<T: FromRedisValue>(self: &Arc<Self>, command: &Cmd) -> Result<T, RedisError> {
        self.on_shared(self.patience, async |mut connection| command.query_async(&mut connection).await).await
    }

    /// Sends commands on the shared connection in one piece, and waits no longer than this for all answers.
    ///
    /// # Errors
    /// [`RedisError`].
    pub(super) async fn ask_all(
        self: &Arc<Self>,
        commands: &Pipeline,
        patience: Duration,
    ) -> Result<Vec<RedisResult<redis::Value>>, RedisError> {
        let patience = patience.min(self.patience);
        self.on_shared(patience, async |mut connection| commands.query_async(&mut connection).await).await
    }

    async fn on_shared<T>(
        self: &Arc<Self>,
        patience: Duration,
        ask: impl AsyncFnOnce(MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, RedisError> {
        let live = self.shared().await?;
        let answer = self.within(patience, ask(MultiplexedConnection::clone(&live))).await;
        if answer.as_ref().is_err_and(RedisError::breaks_connection) {
            self.live.compare_and_swap(&live, None);
        }
        answer
    }

    /// The shared connection.
    async fn shared(self: &Arc<Self>) -> Result<Arc<MultiplexedConnection>, RedisError> {
        if let Some(live) = self.live.load_full() {
            return Ok(live);
        }
        let node = self.clone();
        apart(async move {
            let mut pace = node.pace.lock().await;
            if let Some(live) = node.live.load_full() {
                return Ok(live);
            }
            let live = Arc::new(pace.attempt(node.connect()).await?);
            node.live.store(Some(live.clone()));
            Ok(live)
        })
        .await
    }

    /// A connection for one write alone: whoever waits on it for replicas keeps nobody else waiting.
    ///
    /// # Errors
    /// [`RedisError`].
    pub(super) async fn dedicated(self: &Arc<Self>) -> Result<Dedicated<'_>, RedisError> {
        let permit = timeout(self.patience, self.dedicated.acquire()).await;
        let Ok(Ok(permit)) = permit else {
            return Err(RedisError::Silent { node: self.address.clone(), after: self.patience });
        };
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => {
                let node = self.clone();
                apart(async move { node.pace.lock().await.attempt(node.connect()).await }).await?
            }
        };
        Ok(Dedicated { node: self, connection, _permit: permit })
    }

    /// Closes the connections that no write has at the moment.
    pub(super) fn forget_idle(&self) {
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<MultiplexedConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection on which others are heard.
    ///
    /// # Errors
    /// [`RedisError`].
    pub(super) async fn listen(&self) -> Result<(PubSubSink, PubSubStream), RedisError> {
        let stream = self.stream().await?;
        Ok(self.in_time(PubSub::new(&self.login, stream)).await?.split())
    }

    async fn stream(&self) -> Result<Stream, RedisError> {
        let unreachable = |why| RedisError::Unreachable { node: self.address.clone(), why };
        self.endpoint.connect().await.map_err(|error| unreachable(error.to_string()))
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let stream = self.stream().await?;
        let options = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_pipeline_buffer_size(BUFFER)
            .set_write_backpressure_boundary(GATHERED);
        let opened = MultiplexedConnection::new_with_config(&self.login, stream, options);
        let (mut connection, driver) = self.in_time(opened).await?;
        // Ends with the last handle on the connection, or when the connection does.
        tokio::spawn(driver);
        // Whoever needs to log in and did not is told by this first command.
        let _: () = self.in_time(cmd("PING").query_async(&mut connection)).await?;
        Ok(connection)
    }

    pub(super) async fn in_time<T>(&self, answer: impl Future<Output = RedisResult<T>>) -> Result<T, RedisError> {
        self.within(self.patience, answer).await
    }

    async fn within<T>(&self, after: Duration, answer: impl Future<Output = RedisResult<T>>) -> Result<T, RedisError> {
        match timeout(after, answer).await {
            Ok(answer) => answer.map_err(|error| RedisError::of(&self.address, &error)),
            Err(_) => Err(RedisError::Silent { node: self.address.clone(), after }),
        }
    }
}

impl Dedicated<'_> {
    /// Sends commands in one piece, one of which may take this much longer by itself. The connection is used again only if they were answered; the others, which nobody has
    /// used since, are not believed in either then.
    ///
    /// # Errors
    /// [`RedisError`].
    pub(super) async fn ask(
        mut self,
        commands: &Pipeline,
        longer: Duration,
    ) -> Result<Vec<RedisResult<redis::Value>>, RedisError> {
        let patience = self.node.patience + longer;
        let answers = self.node.within(patience, commands.query_async(&mut self.connection)).await;
        match &answers {
            Ok(_) => self.node.idle().push(self.connection),
            Err(_) => self.node.forget_idle(),
        }
        answers
    }
}
