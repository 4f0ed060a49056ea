//! One connection to an SMSC that is being examined: one request at a time, each with its answer, nothing hidden.
//!
//! Not a session: a session keeps the rules, and what is to be found out here is what the SMSC does with them.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::BytesMut;
use smpp::pdu::{DataSmResp, DeliverSmResp, EnquireLinkResp};
use smpp::session::answer_to;
use smpp::{CommandId, CommandStatus, Pdu, RawPdu, SequenceNumber};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::endpoint::Stream;

/// See the file's head.
pub(super) struct Connection {
    stream: Stream,
    received: BytesMut,
    sequence: u32,
    /// Messages and receipts that came meanwhile; they have been acknowledged.
    pub(super) delivered: VecDeque<Pdu>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Silence {
    /// Nothing came in time.
    #[error("no answer within {} s", .0.as_secs_f64())]
    Timeout(Duration),
    /// The SMSC closed.
    #[error("the SMSC closed the connection")]
    Closed,
    /// What came is no SMPP.
    #[error("what the SMSC sent is no SMPP: {0}")]
    Foreign(smpp::FrameError),
}

/// Longest PDU that is read, in octets.
const MOST: usize = smpp::raw::DEFAULT_MAX_PDU_LEN;
/// Deliveries that are looked at; of more, the first are forgotten.
const MOST_DELIVERED: usize = 1_000;

impl Connection {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, received: BytesMut::new(), sequence: 0, delivered: VecDeque::new() }
    }

    /// What the SMSC says unasked within a short time, in octets.
    pub(super) async fn greeting(&mut self, wait: Duration) -> Vec<u8> {
        // Silence is what is hoped for; an end of the stream shows with the next request.
        let _ = tokio::time::timeout(wait, self.stream.read_buf(&mut self.received)).await;
        self.received.to_vec()
    }

    /// Sends a request, and waits for its answer or a generic_nack of it.
    pub(super) async fn ask(&mut self, pdu: &Pdu, wait: Duration) -> Result<(RawPdu, Duration), Silence> {
        let sequence = self.send(pdu).await?;
        self.answer(sequence, wait).await
    }

    /// Sends a request without waiting; its number.
    pub(super) async fn send(&mut self, pdu: &Pdu) -> Result<SequenceNumber, Silence> {
        self.sequence += 1;
        let sequence = SequenceNumber(self.sequence);
        let mut octets = BytesMut::new();
        pdu.encode(CommandStatus::ESME_ROK, sequence, &mut octets);
        self.write(&octets).await?;
        Ok(sequence)
    }

    /// Sends octets as they are.
    pub(super) async fn write(&mut self, octets: &[u8]) -> Result<(), Silence> {
        let written = async {
            self.stream.write_all(octets).await?;
            self.stream.flush().await
        };
        written.await.map_err(|_| Silence::Closed)
    }

    /// Waits for the answer to a request.
    pub(super) async fn answer(
        &mut self,
        sequence: SequenceNumber,
        wait: Duration,
    ) -> Result<(RawPdu, Duration), Silence> {
        let begun = Instant::now();
        loop {
            let raw = self.read(wait.saturating_sub(begun.elapsed())).await.map_err(|silence| match silence {
                Silence::Timeout(_) => Silence::Timeout(wait),
                other => other,
            })?;
            if raw.id.is_response() {
                if raw.sequence == sequence {
                    return Ok((raw, begun.elapsed()));
                }
                continue;
            }
            self.take(raw).await?;
        }
    }

    /// Waits for a message or a receipt.
    pub(super) async fn delivery(&mut self, wait: Duration) -> Option<Pdu> {
        let begun = Instant::now();
        while self.delivered.is_empty() {
            let raw = self.read(wait.saturating_sub(begun.elapsed())).await.ok()?;
            if !raw.id.is_response() {
                self.take(raw).await.ok()?;
            }
        }
        self.delivered.pop_front()
    }

    /// Answers a request of the SMSC's, and looks at what it delivers. That may be anybody's message, and nothing here
    /// keeps it: a temporary error asks the SMSC to deliver it again.
    async fn take(&mut self, raw: RawPdu) -> Result<(), Silence> {
        let status = match raw.id {
            CommandId::DELIVER_SM | CommandId::DATA_SM => CommandStatus::ESME_RX_T_APPN,
            _ => CommandStatus::ESME_ROK,
        };
        let answer = match raw.id {
            CommandId::ENQUIRE_LINK => Some(EnquireLinkResp::default().into()),
            CommandId::DELIVER_SM => Some(DeliverSmResp::default().into()),
            CommandId::DATA_SM => Some(DataSmResp::default().into()),
            other => answer_to(other),
        };
        if let Some(answer) = answer {
            let mut octets = BytesMut::new();
            answer.encode(status, raw.sequence, &mut octets);
            self.write(&octets).await?;
        }
        if self.delivered.len() >= MOST_DELIVERED {
            self.delivered.pop_front();
        }
        if let Ok(pdu @ (Pdu::DeliverSm(_) | Pdu::DataSm(_))) = Pdu::decode(&raw) {
            self.delivered.push_back(pdu);
        }
        Ok(())
    }

    async fn read(&mut self, wait: Duration) -> Result<RawPdu, Silence> {
        let read = async {
            loop {
                match RawPdu::split(&mut self.received, MOST) {
                    Ok(Some(raw)) => return Ok(raw),
                    Ok(None) => {}
                    Err(error) => return Err(Silence::Foreign(error)),
                }
                match self.stream.read_buf(&mut self.received).await {
                    Ok(0) | Err(_) => return Err(Silence::Closed),
                    Ok(_) => {}
                }
            }
        };
        tokio::time::timeout(wait, read).await.unwrap_or(Err(Silence::Timeout(wait)))
    }
}
