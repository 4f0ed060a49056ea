//! Connecting to the broker so that giving up leaves nothing behind.
//!
//! The library waits for a broker that accepts and says nothing on a thread of its own, for as long as the socket is open:
//! whoever gives up shuts the socket.

use std::net::{Shutdown, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use lapin::tcp::OwnedTLSConfig;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{AsyncTcpStream, Connection, ConnectionProperties, Error};
use socket2::{SockRef, Socket};

/// Connects; when this is dropped before it has ended, its socket is closed.
///
/// # Errors
/// The broker's, or the network's.
pub(super) async fn dial(
    uri: AMQPUri,
    tls: OwnedTLSConfig,
    properties: ConnectionProperties,
) -> Result<Connection, Error> {
    let attempt = Attempt(Arc::default());
    let sockets = attempt.0.clone();
    let runtime = lapin::runtime::default_runtime()?;
    let reactor = runtime.clone();
    let connect = async move |uri: AMQPUri, _| {
        let host = uri.authority.host.as_str();
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, uri.authority.port)).await?.collect();
        let stream = AsyncTcpStream::connect(&reactor, addresses).await?;
        if let AsyncTcpStream::Plain(stream) = &stream {
            Progress::lock(&sockets).opened(SockRef::from(stream.get_ref()).try_clone()?)?;
        }
        Ok(match uri.scheme {
            AMQPScheme::AMQP => stream,
            AMQPScheme::AMQPS => stream.into_tls(host, tls.as_ref()).await?,
        })
    };
    let connected = Connection::connector(uri, runtime, connect, properties).await;
    if connected.is_ok() {
        Progress::lock(&attempt.0).socket = None;
    }
    connected
}

/// See [`dial`].
struct Attempt(Arc<Mutex<Progress>>);

/// How far it has come.
#[derive(Default)]
struct Progress {
    socket: Option<Socket>,
    is_over: bool,
}

impl Progress {
    fn lock(progress: &Mutex<Self>) -> std::sync::MutexGuard<'_, Self> {
        progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the socket, unless nobody waits for it any more.
    fn opened(&mut self, socket: Socket) -> std::io::Result<()> {
        if self.is_over {
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        self.socket = Some(socket);
        Ok(())
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let mut progress = Progress::lock(&self.0);
        progress.is_over = true;
        if let Some(socket) = progress.socket.take() {
            // It may have been closed by the broker.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}
