//! Where a peer is and how to reach it: Twisted's endpoint strings, TCP options, TLS.
//!
//! Twisted's strings because Vumi's configurations have them (field guide §1.2): `tcp:HOST:PORT`, `ssl:HOST:PORT`,
//! `tls:HOST:PORT`, with `timeout=`, `bindAddress=` and, for TLS, `certKey=`, `privateKey=`, `caCertsDir=`.

mod listen;
mod stream;
mod text;
mod tls;
mod tls_server;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream, lookup_host};

pub use listen::{parse_interface, parse_listen};
pub use stream::Stream;
pub use text::{DEFAULT_TIMEOUT, EndpointText};
pub use tls::{TlsClient, TlsError, TlsOptions};
pub use tls_server::TlsServer;

/// A peer's address, and how to connect to it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Where to connect from.
    pub local: Option<IpAddr>,
    /// How long connecting may take, the TLS handshake included.
    pub timeout: Duration,
    /// Set for TLS.
    pub tls: Option<TlsClient>,
}

/// Why a connection could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The name could not be resolved.
    #[error("the name {host} cannot be resolved: {source}")]
    Name {
        /// The name.
        host: String,
        /// Why.
        source: std::io::Error,
    },
    /// The name has no address.
    #[error("the name {0} has no address")]
    NoAddress(String),
    /// Nobody accepted the connection.
    #[error("{0}")]
    Tcp(#[source] std::io::Error),
    /// It took too long.
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// TLS could not be agreed on.
    #[error("the TLS handshake failed: {0}")]
    Tls(#[source] std::io::Error),
}

impl ConnectError {
    /// What TLS could not agree on, where it was that and not the connection.
    #[must_use]
    pub fn tls(&self) -> Option<&rustls::Error> {
        match self {
            Self::Tls(error) => error.get_ref()?.downcast_ref(),
            _ => None,
        }
    }
}

/// Idle time before a keep-alive probe, and between probes: a firewall that forgets a flow is noticed although SMPP is
/// silent.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(15));

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let colon = self.host.contains(':');
        let (open, close) = if colon { ("[", "]") } else { ("", "") };
        let tls = if self.tls.is_some() { " (TLS)" } else { "" };
        write!(f, "{open}{}{close}:{}{tls}", self.host, self.port)
    }
}

impl Endpoint {
    /// Connects, trying each of the name's addresses.
    ///
    /// # Errors
    /// [`ConnectError`], of the last address.
    pub async fn connect(&self) -> Result<Stream, ConnectError> {
        self.in_time(async {
            let addresses = lookup_host((self.host.as_str(), self.port))
                .await
                .map_err(|source| ConnectError::Name { host: self.host.clone(), source })?;
            let tcp = self.connect_any(&addresses.collect::<Vec<_>>()).await?;
            self.secure(tcp).await
        })
        .await
    }

    /// Connects to one of the name's addresses.
    ///
    /// # Errors
    /// [`ConnectError`], of that address.
    pub async fn connect_at(&self, address: SocketAddr) -> Result<Stream, ConnectError> {
        self.in_time(async { self.secure(self.connect_to(address).await.map_err(ConnectError::Tcp)?).await }).await
    }

    async fn in_time<T>(&self, attempt: impl Future<Output = Result<T, ConnectError>>) -> Result<T, ConnectError> {
        tokio::time::timeout(self.timeout, attempt).await.unwrap_or(Err(ConnectError::Timeout(self.timeout)))
    }

    async fn secure(&self, tcp: TcpStream) -> Result<Stream, ConnectError> {
        match &self.tls {
            None => Ok(Stream::Tcp(tcp)),
            Some(tls) => tls.handshake(tcp).await.map_err(ConnectError::Tls),
        }
    }

    /// Each address has its share of the time, so that one that swallows packets does not hide the next.
    async fn connect_any(&self, addresses: &[SocketAddr]) -> Result<TcpStream, ConnectError> {
        let mut last = ConnectError::NoAddress(self.host.clone());
        for address in addresses {
            let share = self.timeout / u32::try_from(addresses.len()).unwrap_or(u32::MAX);
            match tokio::time::timeout(share, self.connect_to(*address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = ConnectError::Tcp(error),
                Err(_) => last = ConnectError::Timeout(share),
            }
        }
        Err(last)
    }

    async fn connect_to(&self, address: SocketAddr) -> std::io::Result<TcpStream> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(local) = self.local {
            socket.bind(SocketAddr::new(local, 0))?;
        }
        let stream = socket.connect(address).await?;
        tune(&stream)?;
        Ok(stream)
    }
}

/// Sets what every SMPP connection needs.
///
/// # Errors
/// The operating system's.
pub fn tune(stream: &TcpStream) -> std::io::Result<()> {
    // Nagle's algorithm and delayed acknowledgements make a window of ten crawl.
    stream.set_nodelay(true)?;
    let (idle, interval) = KEEPALIVE;
    SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(idle).with_interval(interval))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an address that swallows packets looks like: a listener whose queue is full.
    #[tokio::test]
    async fn an_address_that_does_not_answer_does_not_hide_the_next() {
        let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        full.listen(0).unwrap();
        let silent = full.local_addr().unwrap().as_socket().unwrap();
        let mut queued = Vec::new();
        while let Ok(stream) = std::net::TcpStream::connect_timeout(&silent, Duration::from_millis(200)) {
            queued.push(stream);
        }
        let well = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let text = EndpointText { timeout: Duration::from_secs(4), ..EndpointText::tcp("smsc", 1) };
        let endpoint = text.open().unwrap();
        let addresses = [silent, well.local_addr().unwrap()];
        let stream = tokio::time::timeout(endpoint.timeout, endpoint.connect_any(&addresses)).await.unwrap().unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addresses[1]);
    }
}
