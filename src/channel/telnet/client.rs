//! One connection of a telnet channel, from its coming to its going: what it types is told to the gateway line by line,
//! what is sent to it is written.
//!
//! A line is durable before the next one is read, so a store that refuses holds up whoever types. Somebody who reads
//! nothing is written nothing more after [`MAX_WAITING`] messages and goes after [`STALL`].

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::lines::{Line, Lines, MAX_LINE};
use super::{decided, outcome, said, unknown, written};
use crate::channel::{Arrival, Intake, Setup, Stop};
use crate::endpoint::tune;
use crate::model::{Inbound, JsonObject, MessageId, SessionEvent, Timestamp};
use crate::store::Delivery;

/// Most texts that wait to be written to a connection; MTs beyond stay in the queue.
pub(super) const MAX_WAITING: usize = 64;
/// How long a connection may take nothing of what is written to it.
const STALL: Duration = Duration::from_secs(30);
/// How long to wait before something that the store refused is told again.
const AGAIN: Duration = Duration::from_millis(500);

/// Everybody who is there, by address.
#[derive(Default)]
pub(super) struct Clients(Mutex<HashMap<String, mpsc::Sender<Output>>>);

/// Something to be written.
pub(super) enum Output {
    /// An MT.
    Message(Delivery, String),
    /// Something that is about another.
    Note(String),
}

/// Why an MT was not handed to a connection.
pub(super) enum NotPassed {
    /// Nobody has its address.
    Unknown(Delivery),
    /// Too much waits to be written there.
    Full(Delivery),
}

/// Somebody who has been let in.
pub(super) struct Guest {
    address: String,
    output: mpsc::Receiver<Output>,
}

impl Clients {
    /// Lets somebody in.
    pub(super) fn admit(&self, peer: SocketAddr) -> Guest {
        let (sender, output) = mpsc::channel(MAX_WAITING);
        self.all().insert(peer.to_string(), sender);
        Guest { address: peer.to_string(), output }
    }

    /// Hands an MT to the connection that has its address.
    pub(super) fn pass_on(&self, delivery: Delivery, text: String) -> Result<(), NotPassed> {
        let clients = self.all();
        let Some(client) = clients.get(&delivery.message.to) else { return Err(NotPassed::Unknown(delivery)) };
        match client.try_reserve() {
            Ok(place) => {
                place.send(Output::Message(delivery, text + "\n"));
                Ok(())
            }
            Err(mpsc::error::TrySendError::Full(())) => Err(NotPassed::Full(delivery)),
            Err(mpsc::error::TrySendError::Closed(())) => Err(NotPassed::Unknown(delivery)),
        }
    }

    /// Writes something to everybody; whoever has too much waiting misses it.
    pub(super) fn tell_all(&self, text: &str) {
        for client in self.all().values() {
            let _ = client.try_send(Output::Note(text.to_owned()));
        }
    }

    /// Writes something to one.
    fn tell(&self, address: &str, text: String) {
        if let Some(client) = self.all().get(address) {
            let _ = client.try_send(Output::Note(text));
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, mpsc::Sender<Output>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's surroundings.
pub(super) struct Visit<'a, I> {
    pub(super) setup: &'a Setup<I>,
    pub(super) clients: &'a Clients,
    /// The address that it has called.
    pub(super) to: String,
    pub(super) transport_type: &'a str,
}

impl<I: Intake> Visit<'_, I> {
    /// From coming to going.
    pub(super) async fn hold(self, stream: TcpStream, guest: Guest) {
        let Guest { address, mut output } = guest;
        if let Err(error) = tune(&stream) {
            self.setup.log.warn(format!("a connection's options could not be set: {error}"));
        }
        let (input, mut writer) = stream.into_split();
        self.setup.log.info(format!("{address} has come"));
        let leaving = self.setup.stop.child_token();
        let _ = tokio::join!(
            async {
                self.listen(&address, input, &leaving).await;
                leaving.cancel();
            },
            async {
                self.write(&mut writer, &mut output, &leaving).await;
                leaving.cancel();
            },
        );
        self.clients.all().remove(&address);
        self.setup.log.info(format!("{address} has gone"));
        let mut outcomes = Vec::new();
        while let Ok(left) = output.try_recv() {
            if let Output::Message(delivery, _) = left {
                outcomes.push(outcome(delivery, unknown()));
            }
        }
        decided(self.setup, outcomes).await;
        // The connection is closed before anybody is told.
        drop(writer);
        self.tell(&address, None, SessionEvent::Close, &self.setup.stop).await;
    }

    /// Tells the gateway what is typed, until the session is ended from there.
    async fn listen(&self, address: &str, mut input: OwnedReadHalf, leaving: &Stop) {
        self.tell(address, None, SessionEvent::New, leaving).await;
        let (mut lines, mut buffer) = (Lines::default(), [0; 1024]);
        loop {
            let read = tokio::select! {
                read = input.read(&mut buffer) => read,
                () = leaving.cancelled() => return,
            };
            let count = match read {
                Ok(0) | Err(_) => return,
                Ok(count) => count,
            };
            for octet in buffer.iter().take(count) {
                match lines.push(*octet) {
                    None => {}
                    Some(Line::TooLong) => {
                        self.setup.log.warn(format!("a line of {address} has more than {MAX_LINE} octets"));
                        self.clients.tell(address, format!("LINE TOO LONG: at most {MAX_LINE} octets\n"));
                    }
                    Some(Line::Text(line)) => match said(line) {
                        (_, SessionEvent::Close) => return,
                        (content, event) => self.tell(address, content, event, leaving).await,
                    },
                }
            }
        }
    }

    /// Writes what there is to be written, until the session is ended from there or nobody reads any more.
    async fn write(&self, writer: &mut OwnedWriteHalf, output: &mut mpsc::Receiver<Output>, leaving: &Stop) {
        loop {
            let next = tokio::select! {
                next = output.recv() => next,
                () = leaving.cancelled() => return,
            };
            let (text, delivery) = match next {
                None => return,
                Some(Output::Message(delivery, text)) => (text, Some(delivery)),
                Some(Output::Note(text)) => (text, None),
            };
            let went = tokio::select! {
                went = tokio::time::timeout(STALL, writer.write_all(text.as_bytes())) => matches!(went, Ok(Ok(()))),
                () = leaving.cancelled() => false,
            };
            let ends = delivery.as_ref().is_some_and(|d| d.message.session_event == Some(SessionEvent::Close));
            let became = |delivery| if went { written(delivery) } else { outcome(delivery, unknown()) };
            // Nothing may come between what was written and that it is said.
            decided(self.setup, delivery.map(became).into_iter().collect()).await;
            if ends || !went {
                return;
            }
        }
    }

    /// Tells the gateway; returns once it is durable, or has been refused and there is no more time.
    async fn tell(&self, address: &str, content: Option<String>, event: SessionEvent, until: &Stop) {
        let message = Inbound {
            id: MessageId::mint(),
            channel: self.setup.id.clone(),
            to: self.to.clone(),
            from: address.to_owned(),
            group: None,
            content,
            reply_to: None,
            session_event: Some(event),
            channel_data: JsonObject::new(),
            transport_type: Some(self.transport_type.to_owned()),
            transport_metadata: JsonObject::new(),
            provider: None,
            destinations: Vec::new(),
            received_at: Timestamp::now(),
        };
        let message = Arc::new(message);
        loop {
            let arrival = Arrival::Message { message: message.clone(), joined_from: Vec::new() };
            match self.setup.intake.arrived(&self.setup.id, vec![arrival]).await {
                Ok(()) => return,
                Err(error) => self.setup.log.warn(format!("{address} has to wait: {error}")),
            }
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                () = until.cancelled() => return,
            }
        }
    }
}
