//! MTs under way: pulled from the queue, cut into PDUs, each PDU on the wire, answered, or to be sent again.
//!
//! Outlives links and is shared by all binds, so that after a lost connection only those segments are sent again that
//! were not answered, in their order, by whichever bind can. An MT leaves with exactly one outcome.

mod answers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use slab::Slab;
use smpp::Pdu;
use smpp::receipt::{IdLearner, canonical_id};

pub(super) use self::answers::{Effect, Missing};
use self::answers::{Last, expired};
use super::config::{EsmeConfig, Long, OnUnknown};
use super::submit::{expires_at, set_validity, to_pdus};
use crate::channel::{Fate, Outcome};
use crate::model::{JsonObject, MessageId, Outbound, SmscMessageId, Timestamp};
use crate::store::{Delivery, Ticket};

/// One PDU of an MT; the session's token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    key: usize,
    index: usize,
    /// Grows from PDU to PDU; what is sent again keeps it.
    pub(super) order: u64,
    /// The bind that must not send it, while there is another.
    avoid: Option<usize>,
    /// How often it has been refused for now.
    refusals: u32,
    /// How often it has been sent without an answer in time.
    unanswered: u32,
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
    attempts: u32,
    possible_duplicate: bool,
    expires: Option<Timestamp>,
}

/// Most PDUs that wait here for their time; while so many do, nothing new is taken from the queue.
const LATER: usize = 2_048;

/// An MT that the SMSC took not long ago; receipts that match nothing are compared with these.
pub(super) struct Recent {
    pub(super) message: Arc<Outbound>,
    pub(super) smsc_message_ids: Vec<String>,
}

/// How many of those are remembered.
const RECENT: usize = 1_000;

/// See the file's head.
pub(super) struct Outgoing {
    messages: Slab<Progress>,
    fresh: VecDeque<Part>,
    again: BTreeMap<u64, Part>,
    later: BTreeMap<(Instant, u64), Part>,
    order: u64,
    reference: u16,
    /// Whether applications are told of acks.
    announce: bool,
    /// How long text goes out; depends on what the SMSC knows.
    long: Long,
    pub(super) learner: IdLearner,
    pub(super) recent: VecDeque<Recent>,
    pub(super) outcomes: Vec<Outcome>,
    /// What goes back to the queue although it may have reached the SMSC.
    pub(super) suspects: Vec<Ticket>,
}

impl Outgoing {
    pub(super) fn new(config: &EsmeConfig, learner: IdLearner) -> Self {
        Self {
            messages: Slab::new(),
            fresh: VecDeque::new(),
            again: BTreeMap::new(),
            later: BTreeMap::new(),
            order: 0,
            // Random, so that a restart does not repeat the references of segments still on their way.
            reference: fastrand::u16(..),
            announce: !config.disable_ack,
            long: config.submit.long,
            learner,
            recent: VecDeque::new(),
            outcomes: Vec::new(),
            suspects: Vec::new(),
        }
    }

    /// Whether there is no room for more from the queue.
    pub(super) fn is_full(&self) -> bool {
        self.later.len() >= LATER
    }

    /// The MT that this is a PDU of.
    pub(super) fn message(&self, part: Part) -> Option<MessageId> {
        self.messages.get(part.key).map(|progress| progress.message.id)
    }

    /// The tickets of the MTs that these are PDUs of.
    pub(super) fn tickets<'a>(&self, parts: impl Iterator<Item = &'a Part>) -> Vec<Ticket> {
        parts.filter_map(|part| self.messages.get(part.key)).map(|progress| progress.ticket).collect()
    }

    /// MTs without an outcome that may have reached the SMSC although nobody knows (`uncertain`), or that have not.
    pub(super) fn in_hand(&self, uncertain: bool) -> Vec<Ticket> {
        let open = self.messages.iter().map(|(_, progress)| progress).filter(|progress| !progress.decided);
        open.filter(|progress| progress.possible_duplicate == uncertain).map(|progress| progress.ticket).collect()
    }

    /// Whether anything waits to be sent again at once.
    pub(super) fn has_again(&self) -> bool {
        !self.again.is_empty()
    }

    /// An SMSC said at the bind of which version it is, or did not. One that is older than optional parameters is sent none
    /// but those that are asked for by name.
    pub(super) fn bound(&mut self, config: &EsmeConfig, version: Option<u8>) {
        let old = version.is_some_and(|version| version < 0x34);
        self.long = if old { config.submit.long.without_tlvs() } else { config.submit.long };
    }

    /// Takes MTs in hand.
    pub(super) fn accept(&mut self, config: &EsmeConfig, deliveries: Vec<Delivery>) {
        let now = Timestamp::now();
        for delivery in deliveries {
            let Delivery { ticket, origin, message, attempts, possible_duplicate } = delivery;
            if possible_duplicate {
                tracing::warn!(channel = %message.channel, message = %message.id, "its answer was cut off; sent again, it may be a duplicate");
                if config.results.on_unknown == OnUnknown::Report {
                    let reason = "unknown: the server was interrupted".to_owned();
                    self.end(ticket, origin, message, Fate::Rejected { reason, details: JsonObject::new() });
                    continue;
                }
            }
            let expires = expires_at(&config.submit, &message);
            if let Some(late) = expires.filter(|expires| *expires <= now) {
                let last = if possible_duplicate { Last::Silence } else { Last::Nothing };
                self.end(ticket, origin, message, expired(late, last));
                continue;
            }
            self.reference = self.reference.wrapping_add(1);
            match to_pdus(config, &message, self.long, self.reference, now) {
                Ok(pdus) => {
                    let count = pdus.len();
                    self.line_up(Progress {
                        ticket,
                        origin,
                        message,
                        pdus,
                        ids: vec![None; count],
                        open: count,
                        decided: false,
                        order: self.order,
                        attempts,
                        possible_duplicate,
                        expires,
                    });
                }
                Err(unsendable) => {
                    let fate = Fate::Rejected { reason: unsendable.0, details: JsonObject::new() };
                    self.end(ticket, origin, message, fate);
                }
            }
        }
    }

    fn line_up(&mut self, progress: Progress) {
        let count = progress.pdus.len();
        let key = self.messages.insert(progress);
        for index in 0..count {
            self.fresh.push_back(Part { key, index, order: self.order, avoid: None, refusals: 0, unanswered: 0 });
            self.order += 1;
        }
    }

    fn end(&mut self, ticket: Ticket, origin: Ticket, message: Arc<Outbound>, fate: Fate) {
        self.outcomes.push(Outcome { ticket, origin, message, fate });
    }

    /// The next PDU for a bind to send: what is to be sent again first. `others` is whether another bind could.
    pub(super) fn next(&mut self, now: Instant, bind: usize, others: bool) -> Option<(Part, &Pdu)> {
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= now) {
            let part = entry.remove();
            self.again.insert(part.order, part);
        }
        let part = loop {
            let again = self.take_again(bind, others);
            let resent = again.is_some();
            let part = again.or_else(|| self.fresh.pop_front())?;
            let progress = self.messages.get_mut(part.key)?;
            if !progress.decided {
                let Some(expires) = progress.expires else { break part };
                let left = Timestamp::now().until(expires);
                if !left.is_zero() {
                    if resent && let Some(pdu) = progress.pdus.get_mut(part.index) {
                        set_validity(pdu, left);
                    }
                    break part;
                }
                let last = if progress.possible_duplicate { Last::Silence } else { Last::Nothing };
                self.decide(part, expired(expires, last));
            }
            self.settle(part);
        };
        self.messages.get(part.key)?.pdus.get(part.index).map(|pdu| (part, pdu))
    }

    /// Gives up what has expired before it could be sent: while there is no link nobody asks for it.
    pub(super) fn expire(&mut self) {
        let now = Timestamp::now();
        let (messages, mut late) = (&self.messages, Vec::new());
        let mut keep = |part: &Part| {
            let expires = messages.get(part.key).and_then(|progress| progress.expires);
            let keep = expires.is_none_or(|expires| expires > now);
            late.extend((!keep).then_some(*part));
            keep
        };
        self.fresh.retain(&mut keep);
        self.again.retain(|_, part| keep(part));
        self.later.retain(|_, part| keep(part));
        for part in late {
            let progress = self.messages.get(part.key);
            if let Some((expires, sent)) = progress.and_then(|p| Some((p.expires?, p.possible_duplicate))) {
                self.decide(part, expired(expires, if sent { Last::Silence } else { Last::Nothing }));
                self.settle(part);
            }
        }
    }

    fn take_again(&mut self, bind: usize, others: bool) -> Option<Part> {
        let mine = |part: &Part| !others || part.avoid != Some(bind);
        let order = self.again.values().find(|part| mine(part))?.order;
        self.again.remove(&order)
    }

    /// When something is to be sent again at the latest.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.later.first_key_value().map(|((at, _), _)| *at)
    }

    /// A PDU could not be handed to the session after all.
    pub(super) fn put_back(&mut self, part: Part) {
        self.again.insert(part.order, part);
    }

    /// Decides on the MT of a PDU, once.
    fn decide(&mut self, part: Part, fate: Fate) {
        let Some(progress) = self.messages.get_mut(part.key).filter(|progress| !progress.decided) else { return };
        progress.decided = true;
        let (ticket, origin, message) = (progress.ticket, progress.origin, progress.message.clone());
        self.end(ticket, origin, message, fate);
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
        let correlate: BTreeSet<String> = ids.iter().map(|id| canonical_id(id)).collect();
        let mut details = JsonObject::new();
        if progress.possible_duplicate {
            details.insert("possible_duplicate".to_owned(), json!(true));
        }
        if self.recent.len() >= RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(Recent { message: progress.message.clone(), smsc_message_ids: ids.clone() });
        let fate = Fate::Submitted {
            smsc_message_ids: ids.into_iter().map(SmscMessageId).collect(),
            correlate: correlate.into_iter().map(SmscMessageId).collect(),
            announce: self.announce,
            details,
        };
        self.end(progress.ticket, progress.origin, progress.message, fate);
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
