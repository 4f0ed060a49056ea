//! One connection to an SMSC that is being examined: one request at a time, each with its answer, nothing hidden.
//!
//! Not a session: a session keeps the rules, and what is to be found out here is what the SMSC does with them. Every
//! wait ends at its time, however much an SMSC says meanwhile.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::BytesMut;
use smpp::session::answer_to;
use smpp::{CommandId, CommandStatus, Pdu, RawPdu, SequenceNumber};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use crate::endpoint::Stream;

/// See the file's head.
pub(super) struct Connection {
    stream: Stream,
    received: BytesMut,
    sequence: u32,
    /// Deliveries since it was asked to keep them.
    kept: Option<VecDeque<Pdu>>,
    /// Deliveries that were refused for now.
    pub(super) refused: u64,
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
    /// The connection broke, or TLS did.
    #[error("the connection was lost: {0}")]
    Lost(std::io::Error),
    /// What came is no SMPP.
    #[error("what the SMSC sent is no SMPP: {0}")]
    Foreign(smpp::FrameError),
}

/// An answer, and how long it took.
pub(super) type Answer = Result<(RawPdu, Duration), Silence>;

/// The end of a wait, and how long the wait is.
#[derive(Clone, Copy)]
struct Limit {
    at: Instant,
    wait: Duration,
}

impl Limit {
    fn after(wait: Duration) -> Self {
        Self { at: Instant::now() + wait, wait }
    }

    async fn bound<T>(self, work: impl Future<Output = std::io::Result<T>>) -> Result<T, Silence> {
        match timeout_at(self.at, work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(Silence::Lost(error)),
            Err(_) => Err(Silence::Timeout(self.wait)),
        }
    }
}

/// Longest PDU that is read, in octets.
pub(super) const MOST: usize = smpp::raw::DEFAULT_MAX_PDU_LEN;
/// Deliveries that are kept; of more, the first are forgotten.
const MOST_KEPT: usize = 200;

impl Connection {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, received: BytesMut::new(), sequence: 0, kept: None, refused: 0 }
    }

    /// What the SMSC says unasked within a short time, in octets; mostly nothing.
    pub(super) async fn greeting(&mut self, wait: Duration) -> Result<Vec<u8>, Silence> {
        match Limit::after(wait).bound(self.stream.read_buf(&mut self.received)).await {
            Ok(0) => Err(Silence::Closed),
            Ok(_) | Err(Silence::Timeout(_)) => Ok(self.received.to_vec()),
            Err(silence) => Err(silence),
        }
    }

    /// Sends a request, and waits for its answer or a generic_nack of it.
    pub(super) async fn ask(&mut self, pdu: &Pdu, wait: Duration) -> Answer {
        let limit = Limit::after(wait);
        let begun = Instant::now();
        let sequence = self.send(pdu, limit).await?;
        loop {
            let raw = self.response(limit).await?;
            // An SMSC that could not read the request may not know its number.
            let nameless = raw.id == CommandId::GENERIC_NACK && raw.sequence == SequenceNumber(0);
            if raw.sequence == sequence || nameless {
                return Ok((raw, begun.elapsed()));
            }
        }
    }

    /// Sends a request several times without waiting, then collects what is answered: positions in the order of the
    /// answers, and why no more came.
    pub(super) async fn ask_at_once(
        &mut self,
        pdu: &Pdu,
        times: usize,
        wait: Duration,
    ) -> (Vec<usize>, Option<Silence>) {
        let limit = Limit::after(wait);
        let (mut numbers, mut answered) = (Vec::new(), Vec::new());
        while numbers.len() < times {
            match self.send(pdu, limit).await {
                Ok(number) => numbers.push(number),
                Err(silence) => return (answered, Some(silence)),
            }
        }
        while answered.len() < times {
            let raw = match self.response(limit).await {
                Ok(raw) => raw,
                Err(silence) => return (answered, Some(silence)),
            };
            if let Some(position) = numbers.iter().position(|number| *number == raw.sequence)
                && !answered.contains(&position)
            {
                answered.push(position);
            }
        }
        (answered, None)
    }

    async fn send(&mut self, pdu: &Pdu, limit: Limit) -> Result<SequenceNumber, Silence> {
        self.sequence += 1;
        let sequence = SequenceNumber(self.sequence);
        self.write(pdu, CommandStatus::ESME_ROK, sequence, limit).await?;
        Ok(sequence)
    }

    async fn write(
        &mut self,
        pdu: &Pdu,
        status: CommandStatus,
        sequence: SequenceNumber,
        limit: Limit,
    ) -> Result<(), Silence> {
        let mut octets = BytesMut::new();
        pdu.encode(status, sequence, &mut octets);
        let written = async {
            self.stream.write_all(&octets).await?;
            self.stream.flush().await
        };
        limit.bound(written).await
    }

    /// Keeps what is delivered from now on, for [`Self::delivery`].
    pub(super) fn keep_deliveries(&mut self) {
        self.kept = Some(VecDeque::new());
    }

    /// The next message or receipt of those that are kept; `None` when none comes until then, or none can come any more.
    pub(super) async fn delivery(&mut self, until: Instant) -> Option<Pdu> {
        let limit = Limit { at: until, wait: until.saturating_duration_since(Instant::now()) };
        loop {
            if let Some(delivered) = self.kept.as_mut()?.pop_front() {
                return Some(delivered);
            }
            let raw = self.read(limit).await.ok()?;
            if !raw.id.is_response() {
                self.take(&raw, limit).await.ok()?;
            }
        }
    }

    /// The next response; what the SMSC asks meanwhile is answered.
    async fn response(&mut self, limit: Limit) -> Result<RawPdu, Silence> {
        loop {
            let raw = self.read(limit).await?;
            if raw.id.is_response() {
                return Ok(raw);
            }
            self.take(&raw, limit).await?;
        }
    }

    /// Answers a request of the SMSC's, and keeps what it delivers. That may be anybody's message, and nothing here
    /// stores it: a temporary error asks the SMSC to deliver it again.
    async fn take(&mut self, raw: &RawPdu, limit: Limit) -> Result<(), Silence> {
        let delivery = matches!(raw.id, CommandId::DELIVER_SM | CommandId::DATA_SM);
        let status = match raw.id {
            CommandId::ENQUIRE_LINK | CommandId::UNBIND => CommandStatus::ESME_ROK,
            _ if delivery => CommandStatus::ESME_RX_T_APPN,
            _ => CommandStatus::ESME_RINVCMDID,
        };
        if let Some(answer) = answer_to(raw.id) {
            self.write(&answer, status, raw.sequence, limit).await?;
        }
        if !delivery {
            return Ok(());
        }
        self.refused += 1;
        let Some(kept) = &mut self.kept else { return Ok(()) };
        if kept.len() >= MOST_KEPT {
            kept.pop_front();
        }
        kept.extend(Pdu::decode(raw));
        Ok(())
    }

    async fn read(&mut self, limit: Limit) -> Result<RawPdu, Silence> {
        loop {
            // A reader that always has something to read never looks at the time by itself.
            if Instant::now() >= limit.at {
                return Err(Silence::Timeout(limit.wait));
            }
            match RawPdu::split(&mut self.received, MOST) {
                Ok(Some(raw)) => return Ok(raw),
                Ok(None) => {}
                Err(error) => return Err(Silence::Foreign(error)),
            }
            if limit.bound(self.stream.read_buf(&mut self.received)).await? == 0 {
                return Err(Silence::Closed);
            }
        }
    }
}
