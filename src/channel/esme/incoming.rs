//! MOs and receipts on their way in: what each PDU is, segments until they are complete.
//!
//! Outlives links and is shared by all binds. Segments are stored before they are acknowledged and read back at start.

use std::time::Instant;

use smpp::CommandStatus;
use smpp::receipt::Receipt;
use smpp::text::reassemble::{Outcome, Reassembler, Segment};

use super::config::{DeliverConfig, EsmeConfig};
use super::deliver::{Delivered, Kind, Piece, StoredSegment, join};
use super::ussd::Sessions;
use crate::channel::{Arrival, Setup};
use crate::model::{ChannelId, MessageId, Timestamp};
use crate::telemetry::ChannelLog;

/// Most long MOs that may be incomplete; the oldest is then passed on as it is.
const MAX_INCOMPLETE: usize = 10_000;

/// See the file's head.
pub(super) struct Incoming {
    channel: ChannelId,
    log: ChannelLog,
    config: DeliverConfig,
    reassembler: Reassembler<Piece>,
    /// Long MOs that turned out to be complete when they were read back.
    complete: Vec<Vec<Segment<Piece>>>,
    /// When that was.
    read_at: Instant,
}

/// What is to be done with a PDU from the SMSC.
#[derive(Debug)]
pub(super) enum Step {
    /// Store these, then acknowledge.
    Store(Vec<Arrival>),
    /// Find its message, store the event, then acknowledge.
    Report(Box<Receipt>, String),
    /// It has been taken already: acknowledge it once that is stored.
    Again,
    /// Answer at once.
    Answer(CommandStatus),
}

impl Incoming {
    /// With the segments that are stored.
    pub(super) fn new<I>(setup: &Setup<I>, config: &EsmeConfig, parts: &[(MessageId, Vec<u8>)]) -> Self {
        let now = tokio::time::Instant::now().into_std();
        let mut incoming = Self {
            channel: setup.id.clone(),
            log: setup.log.clone(),
            config: config.deliver.clone(),
            reassembler: Reassembler::new(config.deliver.multipart_timeout, MAX_INCOMPLETE),
            complete: Vec::new(),
            read_at: now,
        };
        parts.iter().for_each(|(id, record)| incoming.restore(now, *id, record));
        incoming
    }

    /// Takes a segment back, as old as it is: being read often must not make it wait longer.
    fn restore(&mut self, now: Instant, id: MessageId, record: &[u8]) {
        let age = id.minted_at().map(|at| at.until(Timestamp::now())).unwrap_or_default();
        let came = now.checked_sub(age).unwrap_or(now);
        if let Some(segment) = StoredSegment::restore(id, record)
            && let Outcome::Complete(segments) = self.reassembler.push(came, segment)
        {
            self.complete.push(segments);
        }
    }

    /// Decides what a PDU is.
    pub(super) fn take(&mut self, now: Instant, delivered: Delivered, sessions: &mut Sessions) -> Step {
        match delivered.classify(&self.config, &self.channel) {
            Kind::Receipt(receipt, text) => Step::Report(receipt, text),
            Kind::Unreadable => {
                self.log.warn("a receipt could not be read; it was acknowledged and dropped");
                Step::Answer(CommandStatus::ESME_ROK)
            }
            Kind::Refused(status, why) => {
                self.log.warn(format!("a message from the SMSC was refused with {status:#}: {why}"));
                Step::Answer(status)
            }
            Kind::Message(mut message, tlvs) => {
                let now = message.received_at;
                let (mut arrivals, warning) = sessions.received(&mut message, &tlvs, now);
                if let Some(warning) = warning {
                    self.log.warn(warning);
                }
                arrivals.push(Arrival::Message { message: message.into(), joined_from: Vec::new() });
                Step::Store(arrivals)
            }
            Kind::Segment(segment) => self.segment(now, *segment),
        }
    }

    fn segment(&mut self, now: Instant, segment: Segment<Piece>) -> Step {
        let (id, record) = (segment.token.id, StoredSegment::record(&segment));
        let (part, total) = (segment.concat.part, segment.concat.total);
        match self.reassembler.push(now, segment) {
            Outcome::Waiting => Step::Store(vec![Arrival::Part { id, record }]),
            Outcome::Duplicate(_) => {
                self.log.info(format!("segment {part} of {total} came again; it was dropped"));
                Step::Again
            }
            Outcome::Complete(segments) => Step::Store(self.joined(&segments)),
        }
    }

    fn joined(&self, segments: &[Segment<Piece>]) -> Vec<Arrival> {
        let joined_from = segments.iter().map(|segment| segment.token.id).collect();
        let message = join(&self.config, &self.channel, segments);
        message.map(|message| Arrival::Message { message: message.into(), joined_from }).into_iter().collect()
    }

    /// Long MOs that are to be passed on now: complete ones that were read back, incomplete ones that are too old.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<Arrival> {
        let mut sets = std::mem::take(&mut self.complete);
        while let Some(segments) = self.reassembler.take_expired(now) {
            let (have, total) = (segments.len(), segments.first().map_or(0, |segment| segment.concat.total));
            self.log.warn(format!("a message of {total} segments is passed on with the {have} that came in time"));
            sets.push(segments);
        }
        sets.iter().flat_map(|segments| self.joined(segments)).collect()
    }

    /// When the next one will be overdue.
    pub(super) fn next_overdue(&self) -> Option<Instant> {
        let complete = (!self.complete.is_empty()).then_some(self.read_at);
        complete.into_iter().chain(self.reassembler.poll_timeout()).min()
    }
}
