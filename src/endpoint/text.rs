//! Endpoint strings: read, and written so that they are read again as the same.

use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

use super::{Endpoint, TlsClient, TlsError, TlsOptions};

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

/// Twisted's own.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

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

/// As [`EndpointText::parse`] reads it. TLS options that no endpoint string has (`verify`) are not in it.
impl std::fmt::Display for EndpointText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.tls.is_some() { "tls" } else { "tcp" };
        write!(f, "{kind}:host={}:port={}", Kept(&self.host), self.port)?;
        if self.timeout != DEFAULT_TIMEOUT {
            write!(f, ":timeout={}", self.timeout.as_secs())?;
        }
        if let Some(local) = self.local {
            write!(f, ":bindAddress={}", Kept(&local.to_string()))?;
        }
        let Some(tls) = &self.tls else { return Ok(()) };
        for (name, file) in
            [("certKey", &tls.certificate_file), ("privateKey", &tls.key_file), ("caCertsDir", &tls.ca_file)]
        {
            if let Some(file) = file {
                write!(f, ":{name}={}", Kept(&file.to_string_lossy()))?;
            }
        }
        match &tls.server_name {
            Some(name) => write!(f, ":hostname={}", Kept(name)),
            None => Ok(()),
        }
    }
}

/// A value with a backslash before what would end it.
struct Kept<'a>(&'a str);

impl std::fmt::Display for Kept<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for character in self.0.chars() {
            if matches!(character, ':' | '\\') {
                f.write_char('\\')?;
            }
            f.write_char(character)?;
        }
        Ok(())
    }
}

/// At colons that no backslash keeps.
pub(super) fn split(text: &str) -> Vec<String> {
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

    #[test]
    fn what_is_written_is_read_again() {
        for text in [
            "tcp:host=smsc:port=2775",
            r"tcp:host=\:\:1:port=1:timeout=5:bindAddress=\:\:1",
            r"tls:host=smsc:port=3550:certKey=C\:\\me.pem:privateKey=me.key:caCertsDir=/a=b/ca.pem:hostname=smsc.example",
        ] {
            assert_eq!(EndpointText::parse(text).unwrap().to_string(), text);
        }
    }
}
