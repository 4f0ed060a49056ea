//! An SMSC that does exactly what a test says, PDU by PDU: for what no simulator would do by itself.

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::BytesMut;
use smpp::pdu::{BindMode, BindResp, DeliverSm, EnquireLink, EnquireLinkResp, SubmitSm, SubmitSmResp, UnbindResp};
use smpp::{CommandId, CommandStatus, EsmClass, Pdu, RawPdu, SequenceNumber, ShortMessage, Tlvs};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::soon;

/// A port where ESMEs connect.
pub(crate) struct ScriptedSmsc {
    listener: TcpListener,
}

impl ScriptedSmsc {
    pub(crate) async fn listen() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> Peer<TcpStream> {
        let (stream, _) = soon("a connection", self.listener.accept()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Peer::new(stream)
    }

    /// The next connection, bound.
    pub(crate) async fn bound(&self) -> Peer<TcpStream> {
        let mut peer = self.accept().await;
        peer.accept_bind(Tlvs::default()).await;
        peer
    }
}

/// An ESME's connection.
pub(crate) struct Peer<S> {
    pub(crate) stream: S,
    received: BytesMut,
    sequence: u32,
    /// Read while something else was looked for.
    aside: VecDeque<RawPdu>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, received: BytesMut::new(), sequence: 1000, aside: VecDeque::new() }
    }

    /// The next PDU but for enquire_link, which is answered; `None` at the connection's end.
    pub(crate) async fn read(&mut self) -> Option<RawPdu> {
        if let Some(raw) = self.aside.pop_front() {
            return Some(raw);
        }
        soon("a PDU", async {
            loop {
                if let Some(raw) = RawPdu::split(&mut self.received, 70_000).unwrap() {
                    if raw.id == CommandId::ENQUIRE_LINK {
                        self.answer(&raw, CommandStatus::ESME_ROK, EnquireLinkResp::default().into()).await;
                        continue;
                    }
                    return Some(raw);
                }
                if self.stream.read_buf(&mut self.received).await.ok()? == 0 {
                    return None;
                }
            }
        })
        .await
    }

    /// The next PDU of this kind; others are kept for later.
    pub(crate) async fn expect(&mut self, id: CommandId) -> RawPdu {
        let mut others = VecDeque::new();
        let found = loop {
            let raw = self.read().await.unwrap_or_else(|| panic!("the connection ended before {id}"));
            if raw.id == id {
                break raw;
            }
            others.push_back(raw);
        };
        others.append(&mut self.aside);
        self.aside = others;
        found
    }

    pub(crate) async fn write(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    pub(crate) async fn answer(&mut self, raw: &RawPdu, status: CommandStatus, pdu: Pdu) {
        let mut out = BytesMut::new();
        pdu.encode(status, raw.sequence, &mut out);
        // A peer that has gone does not hear us.
        let _ = self.stream.write_all(&out).await;
    }

    /// Sends a request; returns its sequence number.
    pub(crate) async fn request(&mut self, pdu: impl Into<Pdu>) -> SequenceNumber {
        self.sequence += 1;
        let sequence = SequenceNumber(self.sequence);
        let mut out = BytesMut::new();
        pdu.into().encode(CommandStatus::ESME_ROK, sequence, &mut out);
        self.write(&out).await;
        sequence
    }

    /// Sends a deliver_sm and waits for its answer.
    pub(crate) async fn deliver(&mut self, pdu: DeliverSm) -> CommandStatus {
        let sequence = self.request(pdu).await;
        let answer = self.expect(CommandId::DELIVER_SM_RESP).await;
        assert_eq!(answer.sequence, sequence);
        answer.status
    }

    /// Answers the bind that comes next, and says what it was.
    pub(crate) async fn accept_bind(&mut self, tlvs: Tlvs) -> (BindMode, smpp::pdu::Bind) {
        let raw = self.read().await.expect("a bind");
        let Ok(Pdu::Bind(mode, bind)) = Pdu::decode(&raw) else { panic!("{} is no bind", raw.id) };
        let answer = BindResp { system_id: "scripted".try_into().unwrap(), tlvs };
        self.answer(&raw, CommandStatus::ESME_ROK, Pdu::BindResp(mode, answer)).await;
        (mode, bind)
    }

    pub(crate) async fn refuse_bind(&mut self, status: CommandStatus) {
        let raw = self.read().await.expect("a bind");
        self.answer(&raw, status, Pdu::NoBody(raw.id.response())).await;
    }

    /// The next submit_sm.
    pub(crate) async fn submit(&mut self) -> (RawPdu, SubmitSm) {
        let raw = self.expect(CommandId::SUBMIT_SM).await;
        let Ok(Pdu::SubmitSm(submit)) = Pdu::decode(&raw) else { panic!("unreadable") };
        (raw, submit)
    }

    /// The submit_sm that have come by the time that the ESME has nothing to send at present: it answers twice whether it
    /// is there, and whatever an earlier PDU made it send comes before the second answer.
    pub(crate) async fn meanwhile(&mut self) -> Vec<RawPdu> {
        for _ in 0..2 {
            self.request(EnquireLink::default()).await;
            self.expect(CommandId::ENQUIRE_LINK_RESP).await;
        }
        let (submits, others): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.aside).into_iter().partition(|raw: &RawPdu| raw.id == CommandId::SUBMIT_SM);
        self.aside = others;
        Vec::from(submits)
    }

    /// Takes a submit_sm.
    pub(crate) async fn take(&mut self, raw: &RawPdu, id: &str) {
        let answer = SubmitSmResp { message_id: id.try_into().unwrap(), tlvs: Tlvs::default() };
        self.answer(raw, CommandStatus::ESME_ROK, answer.into()).await;
    }

    pub(crate) async fn refuse(&mut self, raw: &RawPdu, status: CommandStatus) {
        self.answer(raw, status, Pdu::NoBody(raw.id.response())).await;
    }

    /// Waits for the unbind, answers it and for the end.
    pub(crate) async fn unbound(&mut self) {
        let raw = self.expect(CommandId::UNBIND).await;
        self.answer(&raw, CommandStatus::ESME_ROK, UnbindResp::default().into()).await;
    }
}

/// A receipt in the usual text.
pub(crate) fn receipt(phone: &str, id: &str, state: &str) -> DeliverSm {
    let text = format!(
        "id:{id} sub:001 dlvrd:001 submit date:2611211130 done date:2611211131 stat:{state} err:000 text:Hello"
    );
    DeliverSm { esm_class: EsmClass(0x04), ..mo(phone, &text) }
}

/// A text from a phone.
pub(crate) fn mo(phone: &str, text: &str) -> DeliverSm {
    DeliverSm {
        source: smpp::Address { digits: phone.try_into().unwrap(), ..Default::default() },
        destination: smpp::Address { digits: "40404".try_into().unwrap(), ..Default::default() },
        short_message: ShortMessage::new(text.as_bytes().to_vec()).unwrap(),
        ..DeliverSm::default()
    }
}
