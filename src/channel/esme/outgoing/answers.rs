//! What becomes of a PDU by the answer that it gets, or does not get in time.
//!
//! Sent again at once, later, or over another bind; or the end of its MT: taken, refused, too late, unknown.

use std::time::Duration;

use serde_json::json;
use smpp::explain::Refused;
use smpp::{CommandStatus, Pdu};

use super::super::config::{Action, EsmeConfig, OnUnknown, RetryRule};
use super::super::submit::message_id;
use super::{Outgoing, Part};
use crate::channel::Fate;
use crate::model::{JsonObject, Timestamp};

/// What an answer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::channel::esme) enum Effect {
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

/// What a missing answer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::channel::esme) enum Missing {
    /// The message is done with, or its PDU is sent again.
    Settled,
    /// That often the bind itself is suspect: bind anew.
    Suspect,
}

/// So many missing answers to one PDU make its bind suspect; from then on each copy waits twice as long as the last.
const SUSPECT: u32 = 3;
/// Longest wait between copies of a PDU that is not answered.
const LONGEST: Duration = Duration::from_secs(3600);

impl Outgoing {
    /// A PDU was answered on a bind. `elsewhere` is that bind, if another could send as well.
    pub(in crate::channel::esme) fn answered(
        &mut self,
        config: &EsmeConfig,
        elsewhere: Option<usize>,
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
            Action::RetryElsewhere(rule) => self.retry(config, part, status, rule, elsewhere),
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
                self.decide(part, expired(late, Last::Answer(config, status)));
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
            self.decide(part, expired(late, Last::Answer(config, status)));
            self.settle(part);
            return Effect::Refused;
        }
        let part = Part { avoid: elsewhere, refusals: part.refusals.saturating_add(1), ..part };
        if elsewhere.is_some() {
            self.put_back(part);
        } else if progress.pdus.len() == 1 {
            let progress = self.messages.remove(part.key);
            if progress.possible_duplicate {
                self.suspects.push(progress.ticket);
            }
            self.end(progress.ticket, progress.origin, progress.message, Fate::Retry { at });
        } else {
            self.postpone(part, wait);
        }
        Effect::Postponed
    }

    fn postpone(&mut self, part: Part, wait: Duration) {
        let due = tokio::time::Instant::now().into_std() + wait;
        self.later.insert((due, part.order), part);
    }

    /// A PDU was not answered in time, and is sent again: at once, or, once its bind is suspect, ever later.
    pub(in crate::channel::esme) fn missed(&mut self, config: &EsmeConfig, part: Part, policy: OnUnknown) -> Missing {
        let part = Part { unanswered: part.unanswered.saturating_add(1), ..part };
        if policy == OnUnknown::Report || part.unanswered < SUSPECT {
            self.unknown(part, policy, "the SMSC did not answer");
            return Missing::Settled;
        }
        if let Some(progress) = self.messages.get_mut(part.key) {
            progress.possible_duplicate = true;
            let doubled = 2_u32.saturating_pow(part.unanswered - SUSPECT);
            let wait = config.session.config.response_timeout.saturating_mul(doubled).min(LONGEST);
            match progress.expires.filter(|expires| *expires <= Timestamp::now().plus(wait)) {
                Some(late) => {
                    self.decide(part, expired(late, Last::Silence));
                    self.settle(part);
                }
                None => self.postpone(part, wait),
            }
        }
        if part.unanswered.is_multiple_of(SUSPECT) { Missing::Suspect } else { Missing::Settled }
    }

    /// Nobody knows what became of a PDU.
    pub(in crate::channel::esme) fn unknown(&mut self, part: Part, policy: OnUnknown, why: &str) {
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
}

/// What the SMSC said last of a message that came too late.
pub(super) enum Last<'a> {
    /// It was never sent.
    Nothing,
    /// It was, without an answer.
    Silence,
    Answer(&'a EsmeConfig, CommandStatus),
}

pub(super) fn expired(at: Timestamp, last: Last<'_>) -> Fate {
    let (last, details) = match last {
        Last::Nothing => (String::new(), JsonObject::new()),
        Last::Silence => ("; it was sent, and the SMSC did not answer".to_owned(), JsonObject::new()),
        Last::Answer(config, status) => {
            let details = config.results.explain(status, Refused::Message);
            (format!("; the SMSC's last answer was {status:#}"), details)
        }
    };
    Fate::Expired { reason: format!("not taken by the SMSC before {at}{last}"), details }
}
