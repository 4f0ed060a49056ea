//! MTs under way: pulled from the queue, cut into PDUs, each PDU on the wire, answered, or to be sent again.
//!
//! Outlives links and is shared by all binds, so that after a lost connection only those segments are sent again that
//! were not answered, in their order, by whichever bind can. An MT leaves with exactly one outcome.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use slab::Slab;
use smpp::explain::Refused;
use smpp::receipt::{IdLearner, canonical_id};
use smpp::{CommandStatus, Pdu};

use super::config::{Action, EsmeConfig, OnUnknown, RetryRule};
use super::submit::{expires_at, message_id, to_pdus};
use crate::channel::{Fate, Outcome};
use crate::model::{JsonObject, Outbound, SmscMessageId, Timestamp};
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

/// What an answer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// The SMSC took the PDU.
    Taken,
    /// The SMSC asks to be sent less.
    SlowDown,
    /// The SMSC says that this bind cannot send.
    BindUnusable,
    /// It will be sent again later, or over another bind.
    Postponed,
    /// The SMSC refused it for good.
    Refused,
}

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
    pub(super) learner: IdLearner,
    pub(super) recent: VecDeque<Recent>,
    pub(super) outcomes: Vec<Outcome>,
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
            learner,
            recent: VecDeque::new(),
            outcomes: Vec::new(),
        }
    }

    /// Whether anything waits to be sent again at once.
    pub(super) fn has_again(&self) -> bool {
        !self.again.is_empty()
    }

    /// Takes MTs in hand.
    pub(super) fn accept(&mut self, config: &EsmeConfig, deliveries: Vec<Delivery>) {
        let now = Timestamp::now();
        for delivery in deliveries {
            let Delivery { ticket, origin, message, attempts, possible_duplicate } = delivery;
            if possible_duplicate {
                tracing::warn!(channel = %message.channel, message = %message.id, "sent again after a crash: it may be a duplicate");
                if config.results.on_unknown == OnUnknown::Report {
                    let reason = "unknown: the server was interrupted".to_owned();
                    self.end(ticket, origin, message, Fate::Rejected { reason, details: JsonObject::new() });
                    continue;
                }
            }
            let expires = expires_at(&config.submit, &message);
            if let Some(late) = expires.filter(|expires| *expires <= now) {
                self.end(ticket, origin, message, expired(config, late, None));
                continue;
            }
            self.reference = self.reference.wrapping_add(1);
            match to_pdus(config, &message, self.reference, now) {
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
            self.fresh.push_back(Part { key, index, order: self.order, avoid: None, refusals: 0 });
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
        loop {
            let part = self.take_again(bind, others).or_else(|| self.fresh.pop_front())?;
            if self.messages.get(part.key).is_some_and(|progress| progress.decided) {
                self.settle(part);
                continue;
            }
            return self.messages.get(part.key)?.pdus.get(part.index).map(|pdu| (part, pdu));
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

    /// A PDU was answered on a bind.
    pub(super) fn answered(
        &mut self,
        config: &EsmeConfig,
        bind: usize,
        part: Part,
        status: CommandStatus,
        response: &Pdu,
    ) -> Effect {
        if status.is_ok() {
            if let Some(id) = message_id(response)
                && let Some(progress) = self.messages.get_mut(part.key)
                && let Some(place) = progress.ids.get_mut(part.index)
            {
                self.learner.response(&id);
                *place = Some(id);
            }
            self.settle(part);
            return Effect::Taken;
        }
        match config.results.action(status) {
            Action::SlowDown => {
                self.put_back_or_expire(config, part, status);
                Effect::SlowDown
            }
            Action::StopBind => {
                self.put_back_or_expire(config, part, status);
                Effect::BindUnusable
            }
            Action::Retry(rule) => self.retry(config, part, status, rule, None),
            Action::RetryElsewhere(rule) => self.retry(config, part, status, rule, Some(bind)),
            Action::Permanent => {
                self.refuse(config, part, status);
                Effect::Refused
            }
        }
    }

    fn refuse(&mut self, config: &EsmeConfig, part: Part, status: CommandStatus) {
        let mut details = config.results.explain(status, Refused::Message);
        if let Some(progress) = self.messages.get(part.key) {
            let tries = progress.attempts + part.refusals;
            if tries > 0 {
                details.insert("tries".to_owned(), json!(tries + 1));
            }
        }
        self.decide(part, Fate::Rejected { reason: status.to_string(), details });
        self.settle(part);
    }

    fn put_back_or_expire(&mut self, config: &EsmeConfig, part: Part, status: CommandStatus) {
        let expires = self.messages.get(part.key).and_then(|progress| progress.expires);
        match expires.filter(|expires| *expires <= Timestamp::now()) {
            Some(late) => {
                self.decide(part, expired(config, late, Some(status)));
                self.settle(part);
            }
            None => self.put_back(part),
        }
    }

    /// Tries a refused PDU again. A message of one PDU waits in the store; of a longer one only the PDU waits, here.
    fn retry(
        &mut self,
        config: &EsmeConfig,
        part: Part,
        status: CommandStatus,
        rule: RetryRule,
        bind: Option<usize>,
    ) -> Effect {
        let Some(progress) = self.messages.get_mut(part.key) else { return Effect::Refused };
        let tries = progress.attempts.saturating_add(part.refusals);
        if !rule.allows(tries) {
            self.refuse(config, part, status);
            return Effect::Refused;
        }
        let elsewhere = bind.filter(|_| part.avoid.is_none());
        let wait = if elsewhere.is_some() { Duration::ZERO } else { rule.delay_after(tries) };
        let at = Timestamp::now().plus(wait);
        if let Some(late) = progress.expires.filter(|expires| *expires <= at) {
            self.decide(part, expired(config, late, Some(status)));
            self.settle(part);
            return Effect::Refused;
        }
        let part = Part { avoid: elsewhere, refusals: part.refusals.saturating_add(1), ..part };
        if elsewhere.is_some() {
            self.put_back(part);
        } else if progress.pdus.len() == 1 {
            let progress = self.messages.remove(part.key);
            self.end(progress.ticket, progress.origin, progress.message, Fate::Retry { at });
        } else {
            let due = tokio::time::Instant::now().into_std() + wait;
            self.later.insert((due, part.order), part);
        }
        Effect::Postponed
    }

    /// Nobody knows what became of a PDU.
    pub(super) fn unknown(&mut self, part: Part, policy: OnUnknown, why: &str) {
        match policy {
            OnUnknown::Resend => {
                if let Some(progress) = self.messages.get_mut(part.key) {
                    progress.possible_duplicate = true;
                }
                self.put_back(part);
            }
            OnUnknown::Report => {
                let fate = Fate::Rejected { reason: format!("unknown: {why}"), details: JsonObject::new() };
                self.decide(part, fate);
                self.settle(part);
            }
        }
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

/// `status` is the SMSC's last answer, if it gave any.
fn expired(config: &EsmeConfig, at: Timestamp, status: Option<CommandStatus>) -> Fate {
    let last = status.map(|status| format!("; the SMSC's last answer was {status:#}")).unwrap_or_default();
    let details = status.map(|status| config.results.explain(status, Refused::Message)).unwrap_or_default();
    Fate::Expired { reason: format!("not taken by the SMSC before {at}{last}"), details }
}
