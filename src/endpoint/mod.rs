//! Where a peer is and how to reach it: Twisted's endpoint strings, TCP options, TLS.
//!
//! Twisted's strings because Vumi's configurations have them (field guide §1.2): `tcp:HOST:PORT`, `ssl:HOST:PORT`,
//! `tls:HOST:PORT`, with `timeout=`, `bindAddress=` and, for TLS, `certKey=`, `privateKey=`, `caCertsDir=`.

mod stream;
mod tls;
mod tls_server;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream, lookup_host};

pub use stream::Stream;
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

/// An endpoint string as it was written, before certificates are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointText {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Where to connect from.
    pub local: Option<IpAddr>,
    /// How long connecting may take.
    pub timeout: Duration,
    /// Set for TLS.
    pub tls: Option<TlsOptions>,
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

/// Twisted's own.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// Idle time before a keep-alive probe, and between probes: a firewall that forgets a flow is noticed although SMPP is
/// silent.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(15));

impl EndpointText {
    /// A plain address.
    #[must_use]
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, local: None, timeout: DEFAULT_TIMEOUT, tls: None }
    }

    /// Reads an endpoint string; a backslash keeps a colon.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = split(text).into_iter();
        let secure = match parts.next().as_deref() {
            Some("tcp") => false,
            Some("ssl" | "tls") => true,
            _ => return Err("it must begin with tcp:, ssl: or tls:".to_owned()),
        };
        let (mut host, mut port, mut local, mut timeout) = (None, None, None, DEFAULT_TIMEOUT);
        let mut tls = TlsOptions::default();
        let mut positional = 0;
        for part in parts {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name.to_owned(), value.to_owned()),
                None => {
                    positional += 1;
                    let name = match positional {
                        1 => "host",
                        2 => "port",
                        _ => return Err(format!("{part:?} is one word too many")),
                    };
                    (name.to_owned(), part)
                }
            };
            match name.as_str() {
                "host" => host = Some(value),
                "port" => port = Some(value.parse().map_err(|_| format!("{value:?} is not a port number"))?),
                "timeout" => {
                    let seconds = value.parse().map_err(|_| format!("{value:?} is not a number of seconds"))?;
                    timeout = Duration::from_secs(seconds);
                }
                "bindAddress" => {
                    local = Some(value.parse().map_err(|_| format!("{value:?} is not an IP address"))?);
                }
                "certKey" | "certificate" if secure => tls.certificate_file = Some(value.into()),
                "privateKey" if secure => tls.key_file = Some(value.into()),
                "caCertsDir" | "trustRoots" if secure => tls.ca_file = Some(value.into()),
                "hostname" if secure => tls.server_name = Some(value),
                other => return Err(format!("it has no option {other:?}")),
            }
        }
        let host = host.filter(|host| !host.is_empty()).ok_or("it names no host")?;
        let port = port.filter(|port| *port > 0).ok_or("it names no port")?;
        Ok(Self { host, port, local, timeout, tls: secure.then_some(tls) })
    }

    /// Reads the certificates that it names.
    ///
    /// # Errors
    /// [`TlsError`] names the file or value that is of no use.
    pub fn open(self) -> Result<Endpoint, TlsError> {
        let tls = self.tls.map(|options| TlsClient::new(&options, &self.host)).transpose()?;
        Ok(Endpoint { host: self.host, port: self.port, local: self.local, timeout: self.timeout, tls })
    }
}

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
        let attempt = async {
            let tcp = self.connect_tcp().await?;
            match &self.tls {
                None => Ok(Stream::Tcp(tcp)),
                Some(tls) => tls.handshake(tcp).await.map_err(ConnectError::Tls),
            }
        };
        tokio::time::timeout(self.timeout, attempt).await.unwrap_or(Err(ConnectError::Timeout(self.timeout)))
    }

    async fn connect_tcp(&self) -> Result<TcpStream, ConnectError> {
        let addresses = lookup_host((self.host.as_str(), self.port))
            .await
            .map_err(|source| ConnectError::Name { host: self.host.clone(), source })?;
        let mut last = ConnectError::NoAddress(self.host.clone());
        for address in addresses {
            match self.connect_to(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = ConnectError::Tcp(error),
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

/// At colons that no backslash keeps.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            ':' => parts.push(String::new()),
            _ => {
                let kept = if character == '\\' { characters.next().unwrap_or('\\') } else { character };
                if let Some(part) = parts.last_mut() {
                    part.push(kept);
                }
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        for text in ["tcp:host=smsc:port=2775", "tcp:smsc:2775", "tcp:smsc:port=2775:timeout=5"] {
            let endpoint = EndpointText::parse(text).unwrap();
            assert_eq!((endpoint.host.as_str(), endpoint.port, endpoint.tls), ("smsc", 2775, None), "{text}");
        }
        let endpoint = EndpointText::parse(r"tcp:host=\:\:1:port=1:bindAddress=127.0.0.2").unwrap();
        assert_eq!((endpoint.host.as_str(), endpoint.local), ("::1", "127.0.0.2".parse().ok()));
        let endpoint = EndpointText::parse("ssl:smsc:3550:certKey=me.pem:privateKey=me.key:caCertsDir=ca.pem").unwrap();
        let tls = endpoint.tls.unwrap();
        assert_eq!(tls.certificate_file, Some("me.pem".into()));
        assert_eq!((tls.key_file, tls.ca_file), (Some("me.key".into()), Some("ca.pem".into())));
        for (text, why) in [
            ("tcp:smsc", "it names no port"),
            ("smsc:2775", "it must begin with tcp:, ssl: or tls:"),
            ("tcp:smsc:x", "\"x\" is not a port number"),
            ("tcp:smsc:0", "it names no port"),
            ("tcp:smsc:1:2", "\"2\" is one word too many"),
            ("tcp:smsc:1:certKey=x", "it has no option \"certKey\""),
        ] {
            assert_eq!(EndpointText::parse(text).unwrap_err(), why);
        }
    }
}
