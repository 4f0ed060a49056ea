//! One side of a recorded conversation, without I/O and without a clock: what to send when, what to answer.
//!
//! Works on an engine session that somebody else drives: [`Player::handle`] takes its events, [`Player::drive`] gives it
//! commands, [`Player::wake`] tells when to come again. The same plan and the same peer make the same conversation.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use smpp::pdu::{BindResp, DataSmResp, SubmitMultiResp, SubmitSmResp};
use smpp::receipt::canonical_id;
use smpp::session::{CloseReason, Event, Role, Session, answer_to};
use smpp::{BindMode, CommandId, CommandStatus, Pdu, SequenceNumber, Tlvs};

use super::compare::{Difference, What, compare};
use super::ids::Ids;
use super::key::Key;
use super::pace::Pace;
use super::plan::{Answer, Plan};
use super::recorded::Recorded;
use super::summary::Summary;
use crate::capture::id_given;

/// See the file's head.
pub struct Player {
    plan: Plan,
    pace: Pace,
    patience: Duration,
    ids: Arc<Mutex<Ids>>,
    /// When the bind was accepted.
    started: Option<Instant>,
    /// When the last PDU went or came.
    active: Instant,
    /// The next own request in the order of the recording.
    next: usize,
    /// Own requests that wait for the live id of a message, by its recorded id.
    waiting: HashMap<String, Vec<usize>>,
    /// Messages that will never have one, by their recorded ids.
    refused: HashSet<String>,
    /// Own requests whose message has one now.
    released: VecDeque<usize>,
    /// Own requests that are not answered yet.
    open: usize,
    recorded: Recorded,
    answers: BinaryHeap<Reverse<(Instant, u64, u32, Due)>>,
    order: u64,
    differences: VecDeque<Difference>,
    summary: Summary,
    /// The window had no room when it was last looked at.
    full: bool,
    unbinding: bool,
    closed: Option<CloseReason>,
}

/// Which answer is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// That of a recorded request.
    Recorded(usize),
    /// One that the recording does not have.
    Made(CommandId),
}

impl Player {
    /// A player that has not begun; `ids` are shared by all that play together. `patience` is how long it waits for
    /// what the recording has and the peer does not send.
    #[must_use]
    pub fn new(plan: Plan, pace: Pace, patience: Duration, ids: Arc<Mutex<Ids>>, now: Instant) -> Self {
        let summary = Summary { expected: plan.theirs.len(), unreadable: plan.unreadable, ..Summary::default() };
        Self {
            pace,
            patience,
            ids,
            started: None,
            active: now,
            next: 0,
            waiting: HashMap::new(),
            refused: HashSet::new(),
            released: VecDeque::new(),
            open: 0,
            recorded: Recorded::new(&plan.theirs),
            answers: BinaryHeap::new(),
            order: 0,
            differences: VecDeque::new(),
            summary,
            full: false,
            unbinding: false,
            closed: None,
            plan,
        }
    }

    /// The plan that it follows.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What has been done so far.
    #[must_use]
    pub const fn summary(&self) -> Summary {
        self.summary
    }

    /// Whether a bind was accepted.
    #[must_use]
    pub const fn started(&self) -> bool {
        self.started.is_some()
    }

    /// How the session ended, once it has.
    #[must_use]
    pub const fn closed(&self) -> Option<CloseReason> {
        self.closed
    }

    /// The next difference that was found.
    pub fn difference(&mut self) -> Option<Difference> {
        self.differences.pop_front()
    }

    /// An event of the session.
    pub fn handle(&mut self, now: Instant, session: &mut Session<usize>, event: Event<usize>) {
        match event {
            Event::BindRequest { sequence, mode, .. } => self.bind_request(now, session, sequence, mode),
            Event::Bound { tlvs, .. } => self.bound(now, tlvs),
            Event::Request { sequence, pdu } => self.request(now, sequence, &pdu),
            Event::Response { token, status, pdu, .. } => self.response(now, token, Answer { status, pdu }),
            Event::Expired { token } => self.lost(token),
            // The session has answered it with an error, and the recording has nothing to say to it.
            Event::Refused { .. } => self.summary.unrecorded += 1,
            Event::Closed { why, outstanding } => self.ended(why, outstanding),
            _ => {}
        }
    }

    /// Gives the session everything that is due.
    pub fn drive(&mut self, now: Instant, session: &mut Session<usize>) {
        let Some(started) = self.started.filter(|_| self.closed.is_none()) else { return };
        while let Some(Reverse((_, _, sequence, due))) =
            self.answers.peek().filter(|Reverse((at, ..))| *at <= now).copied()
        {
            self.answers.pop();
            self.answer(now, session, SequenceNumber(sequence), due);
        }
        loop {
            self.full = session.window_space() == 0;
            if self.full {
                break;
            }
            let Some(index) = self.next_request(now, started) else { break };
            self.send(now, session, index);
        }
        if !self.unbinding && self.finished(now) {
            self.unbinding = true;
            self.give_up_waiting();
            session.unbind(now);
        }
    }

    /// When [`Player::drive`] is due although nothing happened.
    #[must_use]
    pub fn wake(&self) -> Option<Instant> {
        let started = self.started.filter(|_| self.closed.is_none() && !self.unbinding)?;
        let answer = self.answers.peek().map(|Reverse((at, ..))| *at);
        // With a full window only an answer helps, and that is an event.
        let next = self.plan.own.get(self.next).filter(|_| !self.full);
        let request = next.map(|own| started + self.scaled(own.at));
        let patience = self.still().then(|| self.patience_ends(started));
        answer.into_iter().chain(request).chain(patience).min()
    }

    fn scaled(&self, duration: Duration) -> Duration {
        self.pace.scaled(duration)
    }

    fn ids(&self) -> std::sync::MutexGuard<'_, Ids> {
        // Ids are whole after each change.
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // Binding

    fn bind_request(&mut self, now: Instant, session: &mut Session<usize>, sequence: SequenceNumber, mode: BindMode) {
        let (status, body) = self.plan.bind_answer.clone().unwrap_or((CommandStatus::ESME_ROK, BindResp::default()));
        // It fails only once the session is over.
        let _ = session.respond(now, sequence, status, &Pdu::BindResp(mode, body));
    }

    fn bound(&mut self, now: Instant, tlvs: Tlvs) {
        self.started = Some(now);
        self.active = now;
        if self.plan.role == Role::Smsc {
            return;
        }
        if let Some((status, body)) = self.plan.bind_answer.clone() {
            let pdu = |tlvs| Pdu::BindResp(self.plan.mode, BindResp { tlvs, ..BindResp::default() });
            let recorded = Answer { status, pdu: pdu(body.tlvs) };
            self.compare_bind(recorded, Answer { status: CommandStatus::ESME_ROK, pdu: pdu(tlvs) });
        }
    }

    fn compare_bind(&mut self, recorded: Answer, live: Answer) {
        let fields = compare(&recorded, &live);
        if !fields.is_empty() {
            self.differs(0, self.plan.mode.command_id(), Some(recorded), Some(live), What::Fields(fields));
        }
    }

    // What the other side asks

    fn request(&mut self, now: Instant, sequence: SequenceNumber, pdu: &Pdu) {
        self.active = now;
        let command = pdu.command_id();
        let key = match self.plan.role {
            Role::Esme => {
                let ids = self.ids();
                Key::of(pdu, |id| ids.recorded_for(id))
            }
            // Its ids are those that we gave.
            Role::Smsc => {
                let ids = self.ids();
                Key::of(pdu, |id| ids.recorded(id))
            }
        };
        let due = match self.recorded.take(&key, command) {
            Some((index, true)) => {
                self.summary.recognised += 1;
                Due::Recorded(index)
            }
            Some((index, false)) => {
                self.summary.in_turn += 1;
                Due::Recorded(index)
            }
            None => {
                self.summary.unrecorded += 1;
                Due::Made(command)
            }
        };
        let latency = match due {
            Due::Recorded(index) => self.scaled(self.plan.theirs[index].latency),
            Due::Made(_) => Duration::ZERO,
        };
        self.order += 1;
        self.answers.push(Reverse((now + latency, self.order, sequence.0, due)));
    }

    fn answer(&mut self, now: Instant, session: &mut Session<usize>, sequence: SequenceNumber, due: Due) {
        let answer = match due {
            // What the recording does not answer is not answered.
            Due::Recorded(index) => self.plan.theirs[index].answer.clone(),
            Due::Made(command) => self.make(command),
        };
        let Some(answer) = answer else { return };
        self.active = now;
        // It fails only once the session is over, and then nobody is there to be told.
        if session.respond(now, sequence, answer.status, &answer.pdu).is_err() {
            return;
        }
        if answer.status.is_ok()
            && let Some(id) = id_given(&answer.pdu)
        {
            self.learn(&id, &id);
        }
    }

    /// An answer to what the recording does not have: taken, with an id that no recording gives.
    fn make(&self, command: CommandId) -> Option<Answer> {
        let id = || format!("unrecorded-{}", self.summary.unrecorded).as_str().try_into().unwrap_or_default();
        let pdu = match (self.plan.role, command) {
            (Role::Smsc, CommandId::SUBMIT_SM) => SubmitSmResp { message_id: id(), ..Default::default() }.into(),
            (Role::Smsc, CommandId::SUBMIT_MULTI) => SubmitMultiResp { message_id: id(), ..Default::default() }.into(),
            (Role::Smsc, CommandId::DATA_SM) => DataSmResp { message_id: id(), ..Default::default() }.into(),
            (Role::Esme, CommandId::DELIVER_SM | CommandId::DATA_SM) => answer_to(command)?,
            // Whether it holds for a message is what only the recording could tell.
            _ => return answer_to(command).map(|pdu| Answer { status: CommandStatus::ESME_RSYSERR, pdu }),
        };
        Some(Answer { status: CommandStatus::ESME_ROK, pdu })
    }

    // What this side asks

    /// The next own request that may leave now.
    fn next_request(&mut self, now: Instant, started: Instant) -> Option<usize> {
        if self.unbinding {
            return None;
        }
        if let Some(index) = self.released.pop_front() {
            return Some(index);
        }
        loop {
            let index = self.next;
            let own = self.plan.own.get(index)?;
            if started + self.scaled(own.at) > now {
                return None;
            }
            self.next += 1;
            match &own.about {
                Some(id) if self.refused.contains(id) => self.not_sent(index, NOT_TAKEN.to_owned()),
                Some(id) if self.ids().live_for(id).is_none() => {
                    let id = id.clone();
                    self.waiting.entry(id).or_default().push(index);
                }
                _ => return Some(index),
            }
        }
    }

    fn send(&mut self, now: Instant, session: &mut Session<usize>, index: usize) {
        let own = &self.plan.own[index];
        let rewritten = own.about.as_ref().and_then(|id| with_id(&own.pdu, self.ids().live_for(id)?));
        let command = own.pdu.command_id();
        match session.request(now, rewritten.as_ref().unwrap_or(&own.pdu), index) {
            Ok(_) => {
                self.active = now;
                self.summary.sent += 1;
                self.open += usize::from(command.has_response());
            }
            Err(error) => self.not_sent(index, error.to_string()),
        }
    }

    fn response(&mut self, now: Instant, index: usize, live: Answer) {
        self.active = now;
        self.open = self.open.saturating_sub(1);
        self.summary.answered += 1;
        let own = &self.plan.own[index];
        let (number, command, recorded) = (own.number, own.pdu.command_id(), own.answer.clone());
        if let Some(recorded_id) = recorded.as_ref().and_then(|answer| id_given(&answer.pdu)) {
            match id_given(&live.pdu).filter(|_| live.status.is_ok()) {
                Some(id) => self.learn(&recorded_id, &id),
                None => self.forget(&recorded_id),
            }
        }
        let Some(recorded) = recorded else {
            self.summary.incomparable += 1;
            return;
        };
        let fields = compare(&recorded, &live);
        if !fields.is_empty() {
            self.differs(number, command, Some(recorded), Some(live), What::Fields(fields));
        }
    }

    fn lost(&mut self, index: usize) {
        self.open = self.open.saturating_sub(1);
        let own = &self.plan.own[index];
        let (number, command, recorded) = (own.number, own.pdu.command_id(), own.answer.clone());
        if let Some(id) = recorded.as_ref().and_then(|answer| id_given(&answer.pdu)) {
            self.forget(&id);
        }
        // Where the recording has no answer either, silence is the same.
        match recorded {
            Some(recorded) => self.differs(number, command, Some(recorded), None, What::Missing),
            None => self.summary.incomparable += 1,
        }
    }

    fn not_sent(&mut self, index: usize, why: String) {
        let own = &self.plan.own[index];
        let (number, command, recorded) = (own.number, own.pdu.command_id(), own.answer.clone());
        self.differs(number, command, recorded, None, What::NotSent(why));
    }

    /// What waited for this message's id may leave.
    fn learn(&mut self, recorded: &str, live: &str) {
        self.ids().learn(recorded, live);
        if !self.waiting.is_empty()
            && let Some(waiting) = self.waiting.remove(&canonical_id(recorded))
        {
            self.released.extend(waiting);
        }
    }

    /// The message will never have an id, so what is about it cannot leave.
    fn forget(&mut self, recorded: &str) {
        let recorded = canonical_id(recorded);
        for index in self.waiting.remove(&recorded).unwrap_or_default() {
            self.not_sent(index, NOT_TAKEN.to_owned());
        }
        self.refused.insert(recorded);
    }

    fn differs(
        &mut self,
        number: usize,
        request: CommandId,
        recorded: Option<Answer>,
        live: Option<Answer>,
        what: What,
    ) {
        self.summary.differences += 1;
        let conversation = self.plan.conversation;
        self.differences.push_back(Difference { conversation, number, request, recorded, live, what });
    }

    // Ending

    /// Nothing is left that this side could do by itself.
    fn still(&self) -> bool {
        self.open == 0 && self.next == self.plan.own.len() && self.released.is_empty() && self.answers.is_empty()
    }

    fn finished(&self, now: Instant) -> bool {
        let Some(started) = self.started else { return false };
        let came = self.summary.recognised + self.summary.in_turn == self.plan.theirs.len();
        // An ESME may have more to say than the recording; it is the ESME that ends, unless it falls silent.
        let done = came && self.waiting.is_empty() && self.plan.role == Role::Esme;
        self.still() && (done || now >= self.patience_ends(started))
    }

    /// Nobody waits longer than this for what the recording has; a peer in the recording may have taken its time.
    fn patience_ends(&self, started: Instant) -> Instant {
        self.active.max(started + self.scaled(self.plan.end)) + self.patience
    }

    fn give_up_waiting(&mut self) {
        let mut left: Vec<usize> = std::mem::take(&mut self.waiting).into_values().flatten().collect();
        left.sort_unstable();
        for index in left {
            self.not_sent(index, "the message that it is about was never submitted".to_owned());
        }
    }

    fn ended(&mut self, why: CloseReason, outstanding: Vec<usize>) {
        outstanding.into_iter().for_each(|index| self.lost(index));
        self.give_up_waiting();
        let unsent: Vec<usize> = self.released.drain(..).chain(self.next..self.plan.own.len()).collect();
        self.next = self.plan.own.len();
        if let CloseReason::BindRefused(live) = why {
            // A refused bind that the recording refuses too is a replay that went well.
            if let Some((recorded, _)) = self.plan.bind_answer.clone()
                && recorded != live
            {
                let answer = |status| Answer { status, pdu: Pdu::BindResp(self.plan.mode, BindResp::default()) };
                self.compare_bind(answer(recorded), answer(live));
            }
        }
        unsent.into_iter().for_each(|index| self.not_sent(index, format!("the session ended before: {why}")));
        self.closed = Some(why);
    }
}

const NOT_TAKEN: &str = "the message that it is about was not taken";

/// The request with another message id.
fn with_id(pdu: &Pdu, id: &str) -> Option<Pdu> {
    let mut pdu = pdu.clone();
    match &mut pdu {
        Pdu::QuerySm(body) => body.message_id = id.try_into().ok()?,
        Pdu::CancelSm(body) => body.message_id = id.try_into().ok()?,
        Pdu::ReplaceSm(body) => body.message_id = id.try_into().ok()?,
        // A receipt of ours names the id that we gave.
        _ => return None,
    }
    Some(pdu)
}
