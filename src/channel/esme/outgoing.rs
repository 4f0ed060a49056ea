//! MTs under way: pulled from the queue, cut into PDUs, each PDU on the wire, answered, or to be sent again.
//!
//! Outlives a link, so that after a lost connection only those segments are sent again that were not answered, in
//! their order. An MT leaves with exactly one outcome.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::json;
use slab::Slab;
use smpp::{CommandStatus, Pdu, StatusClass};

use super::config::{EsmeConfig, OnUnknown};
use super::ends_bind;
use super::submit::{message_id, to_pdus};
use crate::channel::{Fate, Outcome, Setup};
use crate::model::{JsonObject, Outbound, SmscMessageId};
use crate::store::{Delivery, OutboundQueue, ReadError, Ticket};

/// One PDU of an MT; the session's token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    key: usize,
    index: usize,
    /// Grows from PDU to PDU; what is sent again keeps it.
    pub(super) order: u64,
}

/// An MT under way.
struct Progress {
    ticket: Ticket,
    origin: Ticket,
    message: Arc<Outbound>,
    pdus: Vec<Pdu>,
    ids: Vec<Option<String>>,
    /// PDUs without a final answer.
    open: usize,
    /// Its outcome is known; the remaining PDUs do not matter any more.
    decided: bool,
    order: u64,
}

/// What an answer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// The SMSC took the PDU.
    Taken,
    /// The SMSC asks to be sent less.
    SlowDown,
    /// The SMSC says that this bind cannot send.
    BindUnusable,
    /// The SMSC refused it for good.
    Refused,
}

/// See the file's head.
pub(super) struct Outgoing {
    pub(super) queue: OutboundQueue,
    messages: Slab<Progress>,
    fresh: VecDeque<Part>,
    again: BTreeMap<u64, Part>,
    order: u64,
    reference: u16,
    /// Whether applications are told of acks.
    announce: bool,
    pub(super) outcomes: Vec<Outcome>,
}

impl Outgoing {
    pub(super) fn new<I>(setup: &Setup<I>, config: &EsmeConfig) -> Self {
        Self {
            queue: setup.store.outbound(&setup.id),
            messages: Slab::new(),
            fresh: VecDeque::new(),
            again: BTreeMap::new(),
            order: 0,
            // Random, so that a restart does not repeat the references of segments still on their way.
            reference: fastrand::u16(..),
            announce: !config.disable_ack,
            outcomes: Vec::new(),
        }
    }

    /// Whether a PDU waits to be sent.
    pub(super) fn has_next(&self) -> bool {
        !(self.again.is_empty() && self.fresh.is_empty())
    }

    /// Whether anything waits to be sent again.
    pub(super) fn has_again(&self) -> bool {
        !self.again.is_empty()
    }

    /// Pulls what the queue has, without waiting.
    pub(super) fn refill(&mut self, config: &EsmeConfig, max: usize) -> Result<(), ReadError> {
        let pulled = self.queue.try_pull(max)?;
        self.accept(config, pulled);
        Ok(())
    }

    /// Takes MTs in hand.
    pub(super) fn accept(&mut self, config: &EsmeConfig, deliveries: Vec<Delivery>) {
        for Delivery { ticket, origin, message, possible_duplicate } in deliveries {
            if possible_duplicate {
                tracing::warn!(channel = %message.channel, message = %message.id, "sent again after a crash: it may be a duplicate");
                if config.on_unknown == OnUnknown::Report {
                    self.reject(ticket, origin, message, "unknown: the server was interrupted".to_owned(), None);
                    continue;
                }
            }
            self.reference = self.reference.wrapping_add(1);
            match to_pdus(&config.submit, &message, self.reference) {
                Ok(pdus) => self.line_up(ticket, origin, message, pdus),
                Err(unsendable) => self.reject(ticket, origin, message, unsendable.0, None),
            }
        }
    }

    fn line_up(&mut self, ticket: Ticket, origin: Ticket, message: Arc<Outbound>, pdus: Vec<Pdu>) {
        let count = pdus.len();
        let progress = Progress {
            ticket,
            origin,
            message,
            pdus,
            ids: vec![None; count],
            open: count,
            decided: false,
            order: self.order,
        };
        let key = self.messages.insert(progress);
        for index in 0..count {
            self.fresh.push_back(Part { key, index, order: self.order });
            self.order += 1;
        }
    }

    fn reject(
        &mut self,
        ticket: Ticket,
        origin: Ticket,
        message: Arc<Outbound>,
        reason: String,
        status: Option<CommandStatus>,
    ) {
        let mut details = JsonObject::new();
        if let Some(status) = status {
            details.insert("command_status".to_owned(), json!(format!("{:#010x}", status.0)));
        }
        self.outcomes.push(Outcome { ticket, origin, message, fate: Fate::Rejected { reason, details } });
    }

    /// The next PDU to send: what is to be sent again first.
    pub(super) fn next(&mut self) -> Option<(Part, &Pdu)> {
        loop {
            let part = self.again.pop_first().map(|(_, part)| part).or_else(|| self.fresh.pop_front())?;
            if self.messages.get(part.key).is_some_and(|progress| progress.decided) {
                self.settle(part);
                continue;
            }
            return self.messages.get(part.key)?.pdus.get(part.index).map(|pdu| (part, pdu));
        }
    }

    /// A PDU could not be handed to the session after all.
    pub(super) fn put_back(&mut self, part: Part) {
        self.again.insert(part.order, part);
    }

    /// A PDU was answered.
    pub(super) fn answered(&mut self, part: Part, status: CommandStatus, response: &Pdu) -> Effect {
        if status.class() == StatusClass::SlowDown {
            self.put_back(part);
            return Effect::SlowDown;
        }
        if ends_bind(status) {
            self.put_back(part);
            return Effect::BindUnusable;
        }
        if status.is_ok() {
            if let Some(progress) = self.messages.get_mut(part.key)
                && let Some(id) = progress.ids.get_mut(part.index)
            {
                *id = message_id(response);
            }
            self.settle(part);
            return Effect::Taken;
        }
        self.decide(part, status.to_string(), Some(status));
        self.settle(part);
        Effect::Refused
    }

    /// Nobody knows what became of a PDU.
    pub(super) fn unknown(&mut self, part: Part, policy: OnUnknown, why: &str) {
        match policy {
            OnUnknown::Resend => self.put_back(part),
            OnUnknown::Report => {
                self.decide(part, format!("unknown: {why}"), None);
                self.settle(part);
            }
        }
    }

    /// Rejects the MT of a PDU, once.
    fn decide(&mut self, part: Part, reason: String, status: Option<CommandStatus>) {
        let Some(progress) = self.messages.get_mut(part.key).filter(|progress| !progress.decided) else { return };
        progress.decided = true;
        let (ticket, origin, message) = (progress.ticket, progress.origin, progress.message.clone());
        self.reject(ticket, origin, message, reason, status);
    }

    /// A PDU is done with; with the last one the MT is.
    fn settle(&mut self, part: Part) {
        let Some(progress) = self.messages.get_mut(part.key) else { return };
        progress.open = progress.open.saturating_sub(1);
        if progress.open > 0 {
            return;
        }
        let progress = self.messages.remove(part.key);
        if progress.decided {
            return;
        }
        let ids: Vec<String> = progress.ids.into_iter().flatten().collect();
        let correlate = ids.iter().map(|id| SmscMessageId(smpp::receipt::canonical_id(id))).collect();
        self.outcomes.push(Outcome {
            ticket: progress.ticket,
            origin: progress.origin,
            message: progress.message,
            fate: Fate::Submitted {
                smsc_message_ids: ids.into_iter().map(SmscMessageId).collect(),
                correlate,
                announce: self.announce,
                details: JsonObject::new(),
            },
        });
    }

    /// The order of the oldest PDU that may still be answered; a receipt that came before all younger ones were sent
    /// can belong to nothing else.
    pub(super) fn oldest_open(&self) -> u64 {
        self.messages.iter().map(|(_, progress)| progress.order).min().unwrap_or(self.order)
    }

    /// The order that the next PDU will get.
    pub(super) fn next_order(&self) -> u64 {
        self.order
    }
}
