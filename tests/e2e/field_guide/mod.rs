//! The corner cases of the field guide (§8), each named by its number, against a bound channel of a running server.
//!
//! `docs/conformance.md` is made from these names and those in other tests.

mod bodies;
mod content;
mod framing;
mod header;
mod pains;
mod receipts;
mod session;
mod tlvs;

use serde_json::{Value, json};
use smpp::CommandStatus;
use smpp::pdu::DeliverSm;
use tokio::net::TcpStream;

use crate::peer::{Peer, ScriptedSmsc};
use crate::support::{Maybug, Receiver};

/// A phone's number.
const PHONE: &str = "27820001001";

/// A server with one channel that is bound to us, and a receiver of its MOs and statuses.
struct Bound {
    maybug: Maybug,
    receiver: Receiver,
    smsc: ScriptedSmsc,
    peer: Peer<TcpStream>,
    channel: String,
}

impl Bound {
    async fn new(config: Value) -> Self {
        let smsc = ScriptedSmsc::listen().await;
        let receiver = Receiver::start().await;
        let maybug = Maybug::start().await;
        let properties = json!({"mo_url": receiver.url("/mo"), "status_url": receiver.url("/status")});
        let channel = maybug.smpp_channel(smsc.address(), config, properties).await;
        let peer = smsc.bound().await;
        Self { maybug, receiver, smsc, peer, channel }
    }

    /// The next MO that the application gets.
    async fn mo(&mut self) -> Value {
        self.receiver.mo().await
    }

    /// The next status of this type.
    async fn told(&mut self, kind: &str) -> Value {
        self.receiver.told(kind).await
    }

    /// A text from a phone arrives, and so the link is up and the application hears of it.
    async fn takes(&mut self, pdu: DeliverSm) -> Value {
        assert_eq!(self.peer.deliver(pdu).await, CommandStatus::ESME_ROK);
        self.mo().await
    }

    /// A message that the SMSC took under an id.
    async fn submitted(&mut self, id: &str) -> String {
        let message = self.maybug.send(&self.channel, json!({"to": PHONE, "content": "x"})).await;
        let (raw, _) = self.peer.submit().await;
        self.peer.take(&raw, id).await;
        self.maybug.events(&self.channel, &message, 1).await;
        message
    }

    /// The type of a message's second event.
    async fn report(&self, message: &str) -> String {
        let events = self.maybug.events(&self.channel, message, 2).await;
        events[1]["event_type"].as_str().unwrap().to_owned()
    }
}
