//! A plain ESME on the engine, for tests of the simulator.

use std::net::SocketAddr;
use std::time::Duration;

use maybug::smsc::Simulator;
use smpp::net::{Direction, Driver};
use smpp::pdu::{Bind, BindMode, SubmitSm};
use smpp::session::{CloseReason, Event, Session, SessionConfig, answer_to};
use smpp::{Address, CommandStatus, Password, Pdu, RegisteredDelivery, SequenceNumber, ShortMessage, Tlvs};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// How long anything may take where time is real.
const PATIENCE: Duration = Duration::from_secs(20);

type Tap = fn(Direction, &[u8]);

/// What it speaks over.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

pub(crate) struct Esme {
    pub(crate) driver: Driver<Box<dyn Wire>, u32, Tap>,
    /// What the SMSC calls itself.
    pub(crate) smsc: String,
    /// How long an event may take.
    patience: Duration,
}

impl Esme {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }

    pub(crate) fn over(stream: impl Wire + 'static) -> Self {
        let window = std::num::NonZeroUsize::new(1000).unwrap();
        let config = SessionConfig { window, ..SessionConfig::default() };
        let session = Session::new(config, tokio::time::Instant::now().into_std());
        Self {
            driver: Driver::new(Box::new(stream), session, 70_000, |_, _| {}),
            smsc: String::new(),
            patience: PATIENCE,
        }
    }

    /// In the simulator's process, as transceiver, and as patient as virtual time allows.
    pub(crate) async fn attached(simulator: &Simulator) -> Self {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        simulator.attach(theirs);
        let mut esme = Self { patience: Duration::from_secs(1_000_000), ..Self::over(ours) };
        esme.bind_as(BindMode::Transceiver, "test", "").await.unwrap();
        esme
    }

    /// Binds; `Err` with the refusal.
    pub(crate) async fn bind(
        address: SocketAddr,
        mode: BindMode,
        system_id: &str,
        password: &str,
    ) -> Result<Self, CommandStatus> {
        let mut esme = Self::connect(address).await;
        esme.bind_as(mode, system_id, password).await.map(|_| esme)
    }

    /// Binds; what the SMSC sent along, or its refusal.
    pub(crate) async fn bind_as(
        &mut self,
        mode: BindMode,
        system_id: &str,
        password: &str,
    ) -> Result<Tlvs, CommandStatus> {
        let bind = Bind {
            system_id: system_id.try_into().unwrap(),
            password: Password(password.try_into().unwrap()),
            interface_version: 0x34,
            ..Bind::default()
        };
        let now = self.driver.now();
        self.driver.session.bind(now, mode, bind).unwrap();
        match self.event().await {
            Event::Bound { tlvs, system_id, .. } => {
                self.smsc = system_id;
                Ok(tlvs)
            }
            Event::Closed { why: CloseReason::BindRefused(status), .. } => Err(status),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn trx(address: SocketAddr) -> Self {
        Self::bind(address, BindMode::Transceiver, "test", "").await.unwrap()
    }

    pub(crate) async fn event(&mut self) -> Event<u32> {
        let event = tokio::time::timeout(self.patience, self.driver.event()).await;
        event.unwrap_or_else(|_| panic!("nothing happened for {:?}", self.patience))
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
