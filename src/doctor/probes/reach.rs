//! The way to an SMSC: its name, each family of addresses, TLS, and what it says before it is asked.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use bytes::BytesMut;
use smpp::RawPdu;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::certificate::{failed_handshake, refused_certificate};
use super::{Connection, Examination, Verdict, milliseconds};
use crate::doctor::connection::MOST;
use crate::endpoint::{ConnectError, Endpoint, Stream, TlsOptions};

/// How long an SMSC may take to say something unasked.
const GREETING: Duration = Duration::from_millis(500);

/// An address where an SMSC can be connected to.
pub(super) struct Site {
    endpoint: Endpoint,
    address: SocketAddr,
}

impl Site {
    pub(super) async fn connect(&self) -> Result<Connection, ConnectError> {
        self.endpoint.connect_at(self.address).await.map(Connection::new)
    }
}

impl Examination<'_> {
    pub(super) async fn reach(&mut self) -> Option<Site> {
        let found = self.look_up().await?;
        let endpoint = self.endpoint(self.question.endpoint.tls.clone())?;
        let addresses = one_of_each_family(&found, endpoint.local);
        if addresses.is_empty() {
            let advice = "Give bindAddress an address of the other family, or leave it out.";
            self.find("connection", Verdict::Bad, "no address is of bindAddress's family", Some(advice));
            return None;
        }
        let (address, stream) = self.connect_to_each(&endpoint, addresses).await?;
        self.encryption(&stream, true);
        self.greeting(stream).await.then_some(Site { endpoint, address })
    }

    /// The first that can be connected to.
    async fn connect_to_each(
        &mut self,
        endpoint: &Endpoint,
        addresses: Vec<SocketAddr>,
    ) -> Option<(SocketAddr, Stream)> {
        let mut reached = Vec::new();
        for address in addresses {
            let begun = Instant::now();
            reached.push((address, endpoint.connect_at(address).await, begun.elapsed()));
        }
        let any = reached.iter().any(|(_, connected, _)| connected.is_ok());
        let mut first = None;
        for (address, connected, took) in reached {
            match connected {
                Ok(stream) => {
                    let how = if endpoint.tls.is_some() { "connected with TLS" } else { "connected" };
                    let said = format!("{how} to {address} ({})", milliseconds(took));
                    self.find("connection", Verdict::Good, said, None);
                    first.get_or_insert((address, stream));
                }
                Err(error) => self.unreachable(endpoint, address, &error, any).await,
            }
        }
        first
    }

    /// On a thread of its own, which nobody waits for: a resolver may take as long as it likes.
    async fn look_up(&mut self) -> Option<Vec<SocketAddr>> {
        let (host, port) = (self.question.endpoint.host.clone(), self.question.endpoint.port);
        let begun = Instant::now();
        let (found, answer) = oneshot::channel();
        let name = (host.clone(), port);
        let resolve = move || {
            // Nobody listens any more once the time is over.
            let _ = found.send(name.to_socket_addrs().map(Iterator::collect::<Vec<_>>));
        };
        // Without a thread the sender is dropped, which is told as any failure.
        let _resolving = std::thread::Builder::new().name("resolver".to_owned()).spawn(resolve);
        let why = match tokio::time::timeout(self.question.patience, answer).await {
            Ok(Ok(Ok(addresses))) if !addresses.is_empty() => {
                let shown: Vec<String> = addresses.iter().map(|address| family_and_address(*address)).collect();
                let said = format!("{host} is {} ({})", shown.join(", "), milliseconds(begun.elapsed()));
                self.find("name", Verdict::Good, said, None);
                return Some(addresses);
            }
            Ok(Ok(Ok(_))) => "it has no address".to_owned(),
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(_)) => "the resolver failed".to_owned(),
            Err(_) => format!("no answer within {} s", self.question.patience.as_secs_f64()),
        };
        let advice = "Check the name, and whether this machine may ask for it.";
        self.find("name", Verdict::Bad, format!("{host} cannot be resolved: {why}"), Some(advice));
        None
    }

    /// The question's endpoint, with these options for TLS.
    fn endpoint(&mut self, tls: Option<TlsOptions>) -> Option<Endpoint> {
        let mut text = self.question.endpoint.clone();
        text.tls = tls;
        match text.open() {
            Ok(endpoint) => Some(Endpoint { timeout: self.question.patience.min(endpoint.timeout), ..endpoint }),
            Err(error) => {
                self.find("certificates", Verdict::Bad, error.to_string(), None);
                None
            }
        }
    }

    async fn unreachable(&mut self, endpoint: &Endpoint, address: SocketAddr, error: &ConnectError, elsewhere: bool) {
        let said = format!("{address}: {error}");
        if elsewhere {
            let advice =
                "A channel goes on to the next address; to save it the wait, name the one that works as the host.";
            return self.find("connection", Verdict::Note, said, Some(advice));
        }
        let advice = match error.tls() {
            Some(why) => failed_handshake(why),
            None if endpoint.tls.is_some() => "Check host and port, and whether they are those for TLS.",
            None => "Check host and port, and whether a firewall on either side lets us through.",
        };
        self.find("connection", Verdict::Bad, said, Some(advice));
        if error.tls().is_some_and(refused_certificate) {
            self.show_refused_certificate(address).await;
        }
    }

    /// What the certificate says that is not believed. Nothing of ours is shown to whoever has it.
    async fn show_refused_certificate(&mut self, address: SocketAddr) {
        let server_name = self.question.endpoint.tls.as_ref().and_then(|tls| tls.server_name.clone());
        let unchecked = TlsOptions { verify: false, server_name, ..TlsOptions::default() };
        let Some(endpoint) = self.endpoint(Some(unchecked)) else { return };
        if let Ok(stream) = endpoint.connect_at(address).await {
            self.encryption(&stream, false);
        }
    }

    /// Whether the port speaks TLS although it was not asked to.
    pub(super) async fn speaks_tls(&mut self, site: &Site) -> bool {
        let unchecked = TlsOptions { verify: false, ..TlsOptions::default() };
        if self.question.endpoint.tls.is_some() {
            return false;
        }
        let Some(endpoint) = self.endpoint(Some(unchecked)) else { return false };
        let Ok(stream) = endpoint.connect_at(site.address).await else { return false };
        let advice = "Use a tls: endpoint, and give its authority with caCertsDir= if it is a private one.";
        self.find("tls", Verdict::Bad, "the port speaks TLS", Some(advice));
        self.encryption(&stream, false);
        true
    }

    /// Whether it goes on to wait for the bind.
    async fn greeting(&mut self, stream: Stream) -> bool {
        let wait = GREETING.min(self.question.patience);
        match Connection::new(stream).greeting(wait).await {
            Ok(octets) if octets.is_empty() => true,
            Ok(octets) => {
                let shown = String::from_utf8_lossy(&octets[..octets.len().min(60)]).into_owned();
                // Whoever speaks something else is not told the password.
                let smpp = RawPdu::split(&mut BytesMut::from(&octets[..]), MOST).is_ok();
                let verdict = if smpp { Verdict::Note } else { Verdict::Bad };
                let advice = "An SMSC says nothing before the bind, but for outbind: is this its port?";
                let what = if smpp { "" } else { ", which is no SMPP" };
                self.find("greeting", verdict, format!("it said {shown:?} unasked{what}"), Some(advice));
                smpp
            }
            Err(silence) => {
                let advice = match self.question.endpoint.tls {
                    Some(_) => "Does it know our address, and does it want a client certificate (certKey=)?",
                    None => "Does it know our address, and are all connections of the account in use?",
                };
                self.find("connection", Verdict::Bad, format!("{silence} before the bind"), Some(advice));
                false
            }
        }
    }
}

fn family_and_address(address: SocketAddr) -> String {
    format!("{} ({})", address.ip(), if address.is_ipv4() { "IPv4" } else { "IPv6" })
}

/// The first IPv4 address and the first IPv6 address that `local` can connect to, in the order in which a channel tries
/// them.
fn one_of_each_family(addresses: &[SocketAddr], local: Option<IpAddr>) -> Vec<SocketAddr> {
    let mut firsts: Vec<SocketAddr> = Vec::new();
    for address in addresses {
        let same = |other: bool| other == address.is_ipv4();
        if local.is_none_or(|local| same(local.is_ipv4())) && !firsts.iter().any(|first| same(first.is_ipv4())) {
            firsts.push(*address);
        }
    }
    firsts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Finding, Question};
    use crate::endpoint::EndpointText;
    use crate::model::JsonObject;

    #[test]
    fn the_first_of_each_family_that_can_be_reached_from_here_is_tried() {
        let addresses: Vec<SocketAddr> = ["[2001:db8::1]:1", "[2001:db8::2]:1", "192.0.2.1:1", "192.0.2.2:1"]
            .map(|text| text.parse().unwrap())
            .into();
        assert_eq!(one_of_each_family(&addresses, None), [addresses[0], addresses[2]]);
        assert_eq!(one_of_each_family(&addresses, "192.0.2.9".parse().ok()), [addresses[2]]);
        assert_eq!(one_of_each_family(&addresses[..2], "192.0.2.9".parse().ok()), []);
    }

    #[tokio::test]
    async fn a_family_that_cannot_be_reached_beside_one_that_can_is_worth_a_note() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let well = listener.local_addr().unwrap();
        let ill = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, well.port()));
        let question = Question {
            endpoint: EndpointText::tcp("smsc.example", well.port()),
            system_id: String::new(),
            password: String::new(),
            system_type: String::new(),
            to: None,
            from: None,
            patience: Duration::from_secs(5),
        };
        let mut tell = |_: &Finding| {};
        let mut examination = Examination::new(&question, JsonObject::new(), &mut tell);
        let endpoint = examination.endpoint(None).unwrap();
        let (address, _) = examination.connect_to_each(&endpoint, vec![ill, well]).await.unwrap();
        assert_eq!(address, well);
        let (findings, _) = examination.end();
        assert_eq!(findings.iter().map(|finding| finding.verdict).collect::<Vec<_>>(), [Verdict::Note, Verdict::Good]);
        assert!(findings[0].said.starts_with(&format!("{ill}: ")), "{findings:?}");
    }
}
