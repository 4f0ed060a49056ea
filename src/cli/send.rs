//! `maybug send`: one message to an SMSC, with everything that is said on the way.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::BytesMut;
use smpp::net::{Direction, Driver};
use smpp::pdu::{Bind, BindMode, DeliverSmResp};
use smpp::receipt::{Receipt, id_forms, receipt_text};
use smpp::session::{CloseReason, Event, Session, SessionConfig};
use smpp::{CommandStatus, Description, Pdu, RawPdu, SequenceNumber};
use tokio::net::TcpStream;

use super::args::SendArgs;
use crate::channel::esme::{Unsendable, to_submit_sm};

type Tap = fn(Direction, &[u8]);

pub(super) async fn run(args: SendArgs) -> anyhow::Result<()> {
    let patience = Duration::try_from_secs_f64(args.timeout).context("--timeout is no number of seconds")?;
    let done = tokio::time::timeout(patience, converse(&args)).await;
    done.map_err(|_| anyhow!("gave up after {} s", args.timeout))?
}

async fn converse(args: &SendArgs) -> anyhow::Result<()> {
    let pdus = to_submit_sm(&args.to, args.from.as_deref(), &args.text, args.receipt)
        .map_err(|Unsendable(why)| anyhow!("the message cannot be sent: {why}"))?;
    let stream =
        TcpStream::connect(&args.smsc).await.with_context(|| format!("{} cannot be connected to", args.smsc))?;
    stream.set_nodelay(true)?;
    let tap: Tap = if args.quiet { |_, _| {} } else { print };
    let session = Session::new(SessionConfig::default(), tokio::time::Instant::now().into_std());
    let mut conversation = Conversation {
        driver: Driver::new(stream, session, smpp::raw::DEFAULT_MAX_PDU_LEN, tap),
        ids: vec![None; pdus.len()],
        pdus,
        receipts: 0,
    };
    let bind = Bind {
        system_id: args.system_id.as_str().try_into().context("--system-id")?,
        password: smpp::Password(args.password.as_str().try_into().context("--password")?),
        interface_version: 0x34,
        ..Bind::default()
    };
    let now = conversation.driver.now();
    conversation.driver.session.bind(now, BindMode::Transceiver, bind)?;
    let outcome = conversation.run(args.receipt).await;
    conversation.driver.finish().await;
    outcome
}

struct Conversation {
    driver: Driver<TcpStream, usize, Tap>,
    pdus: Vec<Pdu>,
    ids: Vec<Option<String>>,
    receipts: usize,
}

impl Conversation {
    async fn run(&mut self, receipt: bool) -> anyhow::Result<()> {
        loop {
            let event = self.driver.event().await;
            let now = self.driver.now();
            match event {
                Event::Bound { .. } => {
                    for (index, pdu) in self.pdus.iter().enumerate() {
                        self.driver.session.request(now, pdu, index)?;
                    }
                }
                Event::Response { token, status, pdu, .. } => {
                    if !status.is_ok() {
                        bail!("the SMSC refused the message with {status} ({:#010x}): {}", status.0, status.meaning());
                    }
                    let id = match pdu {
                        Pdu::SubmitSmResp(response) => response.message_id.to_text(),
                        _ => String::new(),
                    };
                    println!("taken, with id {id:?}");
                    self.ids[token] = Some(id);
                }
                Event::Expired { .. } => bail!("the SMSC did not answer the message"),
                Event::Request { sequence, pdu } => self.request(sequence, pdu)?,
                Event::Closed { why: CloseReason::Unbound, .. } => return Ok(()),
                Event::Closed { why: CloseReason::BindRefused(status), .. } => {
                    bail!("the SMSC refused the bind with {status} ({:#010x}): {}", status.0, status.meaning());
                }
                Event::Closed { why, .. } => bail!("the session ended: {why}"),
                _ => {}
            }
            let taken = self.ids.iter().all(Option::is_some);
            if taken && (!receipt || self.receipts >= self.pdus.len()) {
                self.driver.session.unbind(now);
            }
        }
    }

    fn request(&mut self, sequence: SequenceNumber, pdu: Pdu) -> anyhow::Result<()> {
        let now = self.driver.now();
        if let Pdu::DeliverSm(deliver) = &pdu {
            let text = receipt_text(deliver.data_coding, deliver.short_message.octets());
            if let Some(receipt) = Receipt::parse(&deliver.tlvs, &text) {
                let ours = id_forms(&receipt.smsc_message_id);
                if self.ids.iter().flatten().any(|id| ours.contains(&smpp::receipt::canonical_id(id))) {
                    println!("receipt for {:?}: {}", receipt.smsc_message_id, receipt.state);
                    self.receipts += 1;
                }
            }
        }
        if pdu.command_id().has_response() {
            let answer = DeliverSmResp::default().into();
            self.driver.session.respond(now, sequence, CommandStatus::ESME_ROK, &answer)?;
        }
        Ok(())
    }
}

/// Shows what crosses the wire.
fn print(direction: Direction, octets: &[u8]) {
    let mut buffer = BytesMut::from(octets);
    while let Ok(Some(raw)) = RawPdu::split(&mut buffer, usize::MAX) {
        let arrow = if direction == Direction::Sent { ">" } else { "<" };
        for line in Description::of(&raw).to_string().lines() {
            println!("{arrow} {line}");
        }
    }
}
