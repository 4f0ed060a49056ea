//! `maybug send`: one message to an SMSC, with everything that is said on the way.

use anyhow::{Context, anyhow, bail};
use bytes::BytesMut;
use smpp::net::{Direction, Driver};
use smpp::pdu::{Bind, BindMode, SubmitSm};
use smpp::receipt::{Delivery, IdRule, Receipt, StatusMapping, canonical_id, receipt_text};
use smpp::session::{CloseReason, Event, Session, SessionConfig, answer_to};
use smpp::text::content::Content;
use smpp::text::parts::{Long, Part, parts};
use smpp::text::segment::Split;
use smpp::text::{self, Charset, Encoded};
use smpp::{
    Address, CString, CommandStatus, DataCoding, Description, Password, Pdu, RawPdu, RegisteredDelivery, SequenceNumber,
};
use tokio::net::TcpStream;

use smpp::explain::Refused;

use super::advice::explain;
use super::args::{LongArg, SendArgs};
use super::pdu_content;

type Tap = fn(Direction, &[u8]);

pub(super) async fn run(args: SendArgs) -> anyhow::Result<()> {
    let [smsc, text] = &args.words[..] else { bail!("give the SMSC as HOST:PORT, and the text") };
    let pdus = submits(&args, text)?;
    let done = tokio::time::timeout(args.timeout, converse(&args, smsc, pdus)).await;
    done.map_err(|_| anyhow!("gave up after {} s; --timeout gives more", args.timeout.as_secs_f64()))?
}

/// The text as submit_sm.
fn submits(args: &SendArgs, text: &str) -> anyhow::Result<Vec<Pdu>> {
    let mut encoded = match args.encoding {
        None => text::encode(text),
        Some(charset) => Encoded::new(charset, data_coding(charset), charset.encode(text)?),
    };
    encoded.data_coding = args.data_coding.map_or(encoded.data_coding, DataCoding);
    let long = match args.long {
        LongArg::Udh8 => Long::Segments(Split::Udh8),
        LongArg::Udh16 => Long::Segments(Split::Udh16),
        LongArg::Sar => Long::Segments(Split::Sar),
        LongArg::Payload => Long::Payload,
    };
    let receipt = if args.receipt { RegisteredDelivery::RECEIPT } else { RegisteredDelivery::NONE };
    let template = SubmitSm {
        source: args.from.as_deref().map_or(Ok(Address::default()), Address::detected).context("--from")?,
        destination: Address::detected(&args.to).context("--to")?,
        registered_delivery: receipt,
        ..SubmitSm::default()
    };
    let parts = parts(&encoded, &long.into(), fastrand::u16(..))?;
    let submit = |part: Part| SubmitSm {
        esm_class: part.esm_class,
        data_coding: part.data_coding,
        short_message: part.short_message,
        tlvs: part.tlvs,
        ..template.clone()
    };
    Ok(parts.into_iter().map(|part| submit(part).into()).collect())
}

/// What announces a character set; zero, the SMSC's default, for those without a number of their own.
const fn data_coding(charset: Charset) -> DataCoding {
    match charset {
        Charset::Ascii => DataCoding::IA5,
        Charset::Latin1 => DataCoding::LATIN1,
        Charset::Ucs2 => DataCoding::UCS2,
        _ => DataCoding::DEFAULT,
    }
}

async fn converse(args: &SendArgs, smsc: &str, pdus: Vec<Pdu>) -> anyhow::Result<()> {
    let mode = if args.transmitter { BindMode::Transmitter } else { BindMode::Transceiver };
    let bind = Bind {
        system_id: args.system_id.as_str().try_into().context("--system-id")?,
        // Longer than the standard allows, which some SMSCs do.
        password: Password(CString::oversize(args.password.clone()).context("--password")?),
        system_type: args.system_type.as_str().try_into().context("--system-type")?,
        interface_version: 0x34,
        ..Bind::default()
    };
    let stream = TcpStream::connect(smsc).await.with_context(|| format!("{smsc} cannot be connected to"))?;
    stream.set_nodelay(true)?;
    let tap: Tap = if args.quiet { |_, _| {} } else { print };
    // As wide as a message can be long: its segments leave together.
    let window = std::num::NonZeroUsize::new(pdus.len()).context("there is nothing to send")?;
    let config = SessionConfig { window, ..SessionConfig::default() };
    let session = Session::new(config, tokio::time::Instant::now().into_std());
    let mut conversation = Conversation {
        driver: Driver::new(stream, session, smpp::raw::DEFAULT_MAX_PDU_LEN, tap),
        ids: vec![None; pdus.len()],
        early: Vec::new(),
        pdus,
        delivered: 0,
        receipt: args.receipt,
        outcome: Ok(()),
    };
    let now = conversation.driver.now();
    conversation.driver.session.bind(now, mode, bind)?;
    let outcome = conversation.run().await;
    conversation.driver.finish().await;
    outcome
}

struct Conversation {
    driver: Driver<TcpStream, usize, Tap>,
    pdus: Vec<Pdu>,
    /// What the SMSC calls each of them, once it has said.
    ids: Vec<Option<String>>,
    /// Receipts that came before the answer that tells whose they are.
    early: Vec<Receipt>,
    delivered: usize,
    receipt: bool,
    /// How it will end, once it is decided.
    outcome: anyhow::Result<()>,
}

impl Conversation {
    async fn run(&mut self) -> anyhow::Result<()> {
        loop {
            let event = self.driver.event().await;
            let now = self.driver.now();
            match event {
                Event::Bound { .. } => {
                    for (index, pdu) in self.pdus.iter().enumerate() {
                        self.driver.session.request(now, pdu, index)?;
                    }
                }
                Event::Response { token, status, pdu, .. } => self.answered(token, status, &pdu),
                Event::Expired { .. } => self.fail(anyhow!("the SMSC did not answer the message")),
                Event::Request { sequence, pdu } => self.request(sequence, &pdu)?,
                Event::Closed { why: CloseReason::Unbound, .. } => return std::mem::replace(&mut self.outcome, Ok(())),
                Event::Closed { why: CloseReason::BindRefused(status), .. } => {
                    bail!("the SMSC refused the bind with {}", explain(status, Refused::Bind));
                }
                Event::Closed { why, .. } => {
                    std::mem::replace(&mut self.outcome, Ok(()))?;
                    bail!("the session ended before the message's fate was known: {why}");
                }
                _ => {}
            }
            let taken = self.ids.iter().all(Option::is_some);
            if taken && (!self.receipt || self.delivered >= self.pdus.len()) {
                self.driver.session.unbind(now);
            }
        }
    }

    /// Ends the session, and this with it.
    fn fail(&mut self, why: anyhow::Error) {
        if self.outcome.is_ok() {
            self.outcome = Err(why);
        }
        let now = self.driver.now();
        self.driver.session.unbind(now);
    }

    fn answered(&mut self, index: usize, status: CommandStatus, pdu: &Pdu) {
        if !status.is_ok() {
            return self.fail(anyhow!("the SMSC refused the message with {}", explain(status, Refused::Message)));
        }
        let id = match pdu {
            Pdu::SubmitSmResp(response) => response.message_id.to_text(),
            _ => String::new(),
        };
        println!("taken, with id {id:?}");
        if let Some(slot) = self.ids.get_mut(index) {
            *slot = Some(id);
        }
        let early = std::mem::take(&mut self.early);
        early.into_iter().for_each(|receipt| self.receipt(receipt));
    }

    fn request(&mut self, sequence: SequenceNumber, pdu: &Pdu) -> anyhow::Result<()> {
        if let Some(Ok(content)) = Content::of(pdu)
            && let Some(receipt) =
                pdu.tlvs().and_then(|tlvs| Receipt::parse(tlvs, &receipt_text(content.data_coding, &content.octets)))
        {
            self.receipt(receipt);
        }
        if let Some(answer) = answer_to(pdu.command_id()) {
            let now = self.driver.now();
            self.driver.session.respond(now, sequence, CommandStatus::ESME_ROK, &answer)?;
        }
        Ok(())
    }

    fn receipt(&mut self, receipt: Receipt) {
        let forms = IdRule::Any.forms(&receipt.smsc_message_id);
        if !self.ids.iter().flatten().any(|id| forms.contains(&canonical_id(id))) {
            if self.ids.iter().any(Option::is_none) && self.early.len() < self.ids.len() {
                self.early.push(receipt);
            }
            return;
        }
        println!("receipt for {:?}: {}", receipt.smsc_message_id, receipt.state);
        match StatusMapping::default().delivery(&receipt.state) {
            Delivery::Pending => {}
            Delivery::Delivered => self.delivered += 1,
            Delivery::Failed => self.fail(anyhow!("the message was not delivered: {}", receipt.state)),
        }
    }
}

/// Shows what crosses the wire.
fn print(direction: Direction, octets: &[u8]) {
    let mut buffer = BytesMut::from(octets);
    while let Ok(Some(raw)) = RawPdu::split(&mut buffer, usize::MAX) {
        let arrow = if direction == Direction::Sent { ">" } else { "<" };
        let content = Pdu::decode(&raw).map(|pdu| pdu_content::lines(&pdu)).unwrap_or_default();
        for line in Description::of(&raw).to_string().lines() {
            println!("{arrow} {line}");
        }
        for line in content {
            println!("{arrow}   = {line}");
        }
    }
}
