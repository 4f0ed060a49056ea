//! A plain ESME on the engine, for tests of the simulator.

use std::net::SocketAddr;

use smpp::net::{Direction, Driver};
use smpp::pdu::{Bind, BindMode, SubmitSm};
use smpp::session::{CloseReason, Event, Session, SessionConfig, answer_to};
use smpp::{Address, CommandStatus, Password, Pdu, RegisteredDelivery, SequenceNumber, ShortMessage};
use tokio::net::TcpStream;

use crate::support::soon;

type Tap = fn(Direction, &[u8]);

pub(crate) struct Esme {
    pub(crate) driver: Driver<TcpStream, u32, Tap>,
}

impl Esme {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let window = std::num::NonZeroUsize::new(1000).unwrap();
        let config = SessionConfig { window, ..SessionConfig::default() };
        let session = Session::new(config, tokio::time::Instant::now().into_std());
        Self { driver: Driver::new(stream, session, 70_000, |_, _| {}) }
    }

    /// Binds; `Err` with the refusal.
    pub(crate) async fn bind(
        address: SocketAddr,
        mode: BindMode,
        system_id: &str,
        password: &str,
    ) -> Result<Self, CommandStatus> {
        let mut esme = Self::connect(address).await;
        let bind = Bind {
            system_id: system_id.try_into().unwrap(),
            password: Password(password.try_into().unwrap()),
            interface_version: 0x34,
            ..Bind::default()
        };
        let now = esme.driver.now();
        esme.driver.session.bind(now, mode, bind).unwrap();
        match esme.event().await {
            Event::Bound { .. } => Ok(esme),
            Event::Closed { why: CloseReason::BindRefused(status), .. } => Err(status),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn trx(address: SocketAddr) -> Self {
        Self::bind(address, BindMode::Transceiver, "test", "").await.unwrap()
    }

    pub(crate) async fn event(&mut self) -> Event<u32> {
        soon("an event", self.driver.event()).await
    }

    pub(crate) fn request(&mut self, pdu: impl Into<Pdu>, token: u32) {
        let now = self.driver.now();
        self.driver.session.request(now, &pdu.into(), token).unwrap();
    }

    /// The answer to a request.
    pub(crate) async fn ask(&mut self, pdu: impl Into<Pdu>) -> (CommandStatus, Pdu) {
        self.request(pdu, 0);
        loop {
            match self.event().await {
                Event::Response { status, pdu, .. } => return (status, pdu),
                Event::Request { sequence, pdu } => self.respond(sequence, &pdu, CommandStatus::ESME_ROK),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Submits and gives status and id.
    pub(crate) async fn submit(&mut self, submit: SubmitSm) -> (CommandStatus, String) {
        match self.ask(submit).await {
            (status, Pdu::SubmitSmResp(response)) => (status, response.message_id.to_text()),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn respond(&mut self, sequence: SequenceNumber, request: &Pdu, status: CommandStatus) {
        let now = self.driver.now();
        let answer = answer_to(request.command_id()).unwrap();
        self.driver.session.respond(now, sequence, status, &answer).unwrap();
    }

    /// The next deliver_sm, answered with `status`.
    pub(crate) async fn delivery(&mut self, status: CommandStatus) -> smpp::pdu::DeliverSm {
        loop {
            if let Event::Request { sequence, pdu } = self.event().await {
                self.respond(sequence, &pdu, status);
                let Pdu::DeliverSm(deliver) = pdu else { panic!("{pdu:?}") };
                return deliver;
            }
        }
    }

    /// Lets what was commanded leave, until the session has ended.
    pub(crate) async fn unbind(mut self) {
        let now = self.driver.now();
        self.driver.session.unbind(now);
        while !matches!(self.event().await, Event::Closed { .. }) {}
        self.driver.finish().await;
    }
}

pub(crate) fn message(text: &str) -> SubmitSm {
    SubmitSm {
        source: Address::detected("40404").unwrap(),
        destination: Address::detected("27820001001").unwrap(),
        registered_delivery: RegisteredDelivery::RECEIPT,
        short_message: ShortMessage::new(text.as_bytes().to_vec()).unwrap(),
        ..SubmitSm::default()
    }
}
