//! Where the SMSC is: Twisted's endpoint strings, or `host` and `port` (field guide §1.2).

use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream, lookup_host};

use super::super::ConfigError;
use crate::model::JsonObject;

/// An SMSC's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) host: String,
    pub(super) port: u16,
    /// Where to connect from.
    pub(super) local: Option<std::net::IpAddr>,
    /// How long connecting may take.
    pub(super) timeout: Duration,
}

/// Twisted's own.
const TIMEOUT: Duration = Duration::from_secs(30);

impl Endpoint {
    pub(super) fn parse(config: &JsonObject) -> Result<Self, ConfigError> {
        let key = "twisted_endpoint";
        match config.get(key).filter(|value| !value.is_null()) {
            Some(value) => {
                let text = value.as_str().unwrap_or_default();
                Self::from_text(text).map_err(|why| {
                    ConfigError::new(key, format!("Field '{key}' is not a valid server endpoint: {why}"))
                })
            }
            None => Self::from_host_and_port(config),
        }
    }

    fn from_host_and_port(config: &JsonObject) -> Result<Self, ConfigError> {
        let missing = || ConfigError::new("twisted_endpoint", "Missing required config field 'twisted_endpoint'");
        let host = config.get("host").and_then(|host| host.as_str()).ok_or_else(missing)?;
        let port = config.get("port").filter(|port| !port.is_null()).ok_or_else(missing)?;
        let number = port.as_u64().or_else(|| port.as_str()?.parse().ok());
        let number = number.and_then(|number| u16::try_from(number).ok()).filter(|number| *number > 0);
        let port =
            number.ok_or_else(|| ConfigError::new("port", format!("Field 'port' is not a port number: {port}")))?;
        Ok(Self { host: host.to_owned(), port, local: None, timeout: TIMEOUT })
    }

    /// `tcp:HOST:PORT` or `tcp:host=HOST:port=PORT`, with `timeout=` and `bindAddress=`; a backslash keeps a colon.
    fn from_text(text: &str) -> Result<Self, String> {
        let mut parts = split(text).into_iter();
        match parts.next().as_deref() {
            Some("tcp") => {}
            Some("ssl" | "tls") => return Err("TLS endpoints are not supported".to_owned()),
            _ => return Err("it must begin with tcp:".to_owned()),
        }
        let (mut host, mut port, mut local, mut timeout) = (None, None, None, TIMEOUT);
        let mut positional = 0;
        for part in parts {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name.to_owned(), value.to_owned()),
                None => {
                    positional += 1;
                    (if positional == 1 { "host" } else { "port" }.to_owned(), part)
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
                other => return Err(format!("it has no option {other:?}")),
            }
        }
        let host = host.filter(|host| !host.is_empty()).ok_or("it names no host")?;
        Ok(Self { host, port: port.ok_or("it names no port")?, local, timeout })
    }

    /// Connects, trying each of the name's addresses.
    pub(super) async fn connect(&self) -> std::io::Result<TcpStream> {
        let attempt = async {
            let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address");
            for address in lookup_host((self.host.as_str(), self.port)).await? {
                match self.connect_to(address).await {
                    Ok(stream) => return Ok(stream),
                    Err(error) => last = error,
                }
            }
            Err(last)
        };
        let late = || std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer");
        tokio::time::timeout(self.timeout, attempt).await.unwrap_or_else(|_| Err(late()))
    }

    async fn connect_to(&self, address: SocketAddr) -> std::io::Result<TcpStream> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(local) = self.local {
            socket.bind(SocketAddr::new(local, 0))?;
        }
        let stream = socket.connect(address).await?;
        // Nagle's algorithm and delayed acknowledgements make a window of ten crawl.
        stream.set_nodelay(true)?;
        let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15));
        SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
        Ok(stream)
    }
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
            let endpoint = Endpoint::from_text(text).unwrap();
            assert_eq!((endpoint.host.as_str(), endpoint.port), ("smsc", 2775), "{text}");
        }
        let endpoint = Endpoint::from_text(r"tcp:host=\:\:1:port=1:bindAddress=127.0.0.2").unwrap();
        assert_eq!((endpoint.host.as_str(), endpoint.local), ("::1", "127.0.0.2".parse().ok()));
        for (text, why) in [
            ("tcp:smsc", "it names no port"),
            ("smsc:2775", "it must begin with tcp:"),
            ("ssl:smsc:2775", "TLS endpoints are not supported"),
            ("tcp:smsc:x", "\"x\" is not a port number"),
        ] {
            assert_eq!(Endpoint::from_text(text).unwrap_err(), why);
        }
    }
}
