//! A conversation as one side's part: what it sends and when, what it is answered, what it has to answer and how.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use smpp::pdu::{Bind, BindMode, BindResp};
use smpp::receipt::canonical_id;
use smpp::session::Role;
use smpp::{CommandId, CommandStatus, Pdu, SequenceNumber};

use super::ids::Ids;
use super::key::Key;
use crate::capture::{CapturedPdu, Conversation, Sender, id_given, receipt_of};

/// An answer as it was recorded, or as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Its status.
    pub status: CommandStatus,
    /// Its body; [`Pdu::NoBody`] where it has none that can be read.
    pub pdu: Pdu,
}

/// One side's part of a conversation.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which side.
    pub role: Role,
    /// The conversation's number in the capture, from 1.
    pub conversation: usize,
    /// How the recording binds; by what it sends where it begins after the bind.
    pub mode: BindMode,
    /// The recorded bind, as far as it is known.
    pub bind: Bind,
    /// Its recorded answer.
    pub bind_answer: Option<(CommandStatus, BindResp)>,
    /// Most requests of this side that waited for an answer at once; `None` when no answer was recorded.
    pub peak: Option<usize>,
    /// Requests of this side that cannot be sent because they cannot be read.
    pub unreadable: usize,
    /// When the last PDU was seen, from the bind on.
    pub(super) end: Duration,
    pub(super) own: Vec<Own>,
    pub(super) theirs: Vec<Theirs>,
}

/// A request of this side.
#[derive(Clone, Debug)]
pub(super) struct Own {
    /// Its number in the conversation, from 1.
    pub(super) number: usize,
    /// When it left, from the bind on.
    pub(super) at: Duration,
    pub(super) pdu: Pdu,
    pub(super) answer: Option<Answer>,
    /// The recorded id of a message in the same conversation that it is about: it cannot leave before that has one.
    pub(super) about: Option<String>,
}

/// A request of the other side.
#[derive(Clone, Debug)]
pub(super) struct Theirs {
    pub(super) command: CommandId,
    pub(super) key: Key,
    pub(super) answer: Option<Answer>,
    /// From the request to its answer.
    pub(super) latency: Duration,
}

impl Plan {
    /// The part of `role` in a conversation, which is number `number` of its capture.
    #[must_use]
    pub fn new(conversation: &Conversation, number: usize, role: Role, ids: &Ids) -> Self {
        let ours = match role {
            Role::Esme => Sender::Esme,
            Role::Smsc => Sender::Smsc,
        };
        let answers = pair(&conversation.pdus);
        let (bind, bind_at) = bind(&conversation.pdus, &answers);
        let start = bind_at.or(conversation.pdus.first().map(|captured| captured.at)).unwrap_or_default();
        let given_here = given_here(&conversation.pdus);
        let mut plan = Self {
            role,
            conversation: number,
            mode: mode_of(&conversation.pdus),
            bind: Bind { interface_version: 0x34, ..Bind::default() },
            bind_answer: None,
            peak: peak(&conversation.pdus, ours),
            unreadable: 0,
            end: conversation.pdus.last().map_or(Duration::ZERO, |last| last.at.saturating_sub(start)),
            own: Vec::new(),
            theirs: Vec::new(),
        };
        if let Some((mode, bind, answer)) = bind {
            plan.mode = mode;
            plan.bind = bind;
            plan.bind_answer = answer;
        }
        for (index, captured) in conversation.pdus.iter().enumerate().filter(|(_, captured)| replayed(captured)) {
            let answer = answers.get(&index).map(|at| &conversation.pdus[*at]);
            let latency = answer.map_or(Duration::ZERO, |answer| answer.at.saturating_sub(captured.at));
            let answer = answer.map(read_answer);
            match (Pdu::decode(&captured.raw), captured.sender == ours) {
                (Ok(pdu), true) => {
                    let about = about(&pdu).and_then(|id| ids.recorded(&id)).filter(|id| given_here.contains(id));
                    let at = captured.at.saturating_sub(start);
                    plan.own.push(Own { number: index + 1, at, pdu, answer, about });
                }
                (Ok(pdu), false) => {
                    let key = Key::of(&pdu, |id| ids.recorded(id));
                    plan.theirs.push(Theirs { command: captured.raw.id, key, answer, latency });
                }
                (Err(_), true) => plan.unreadable += 1,
                // Whoever sends it live is answered by the session, as any engine would.
                (Err(_), false) => {}
            }
        }
        plan
    }

    /// How many requests it sends.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.own.len()
    }

    /// How many requests of the other side the recording has.
    #[must_use]
    pub fn expected(&self) -> usize {
        self.theirs.len()
    }

    /// Whether the recording's bind was refused, so that nothing else was said.
    #[must_use]
    pub fn refused(&self) -> Option<CommandStatus> {
        self.bind_answer.as_ref().map(|(status, _)| *status).filter(|status| !status.is_ok())
    }
}

/// Requests that are part of a replay: sessions see to binding, ending and staying alive themselves.
fn replayed(captured: &CapturedPdu) -> bool {
    let id = captured.raw.id;
    let own_business = matches!(id, CommandId::ENQUIRE_LINK | CommandId::UNBIND | CommandId::OUTBIND);
    !id.is_response() && !own_business && BindMode::of(id).is_none()
}

/// Which request is answered where. Sequence numbers are the sender's, and may come again.
fn pair(pdus: &[CapturedPdu]) -> HashMap<usize, usize> {
    let mut open: HashMap<(Sender, SequenceNumber), usize> = HashMap::new();
    let mut answers = HashMap::new();
    for (index, captured) in pdus.iter().enumerate() {
        let raw = &captured.raw;
        if !raw.id.is_response() {
            open.insert((captured.sender, raw.sequence), index);
            continue;
        }
        let asker = match captured.sender {
            Sender::Esme => Sender::Smsc,
            Sender::Smsc => Sender::Esme,
        };
        let fits = |request: &usize| raw.id == CommandId::GENERIC_NACK || pdus[*request].raw.id.response() == raw.id;
        if open.get(&(asker, raw.sequence)).is_some_and(fits)
            && let Some(request) = open.remove(&(asker, raw.sequence))
        {
            answers.insert(request, index);
        }
    }
    answers
}

fn read_answer(captured: &CapturedPdu) -> Answer {
    let pdu = Pdu::decode(&captured.raw).unwrap_or(Pdu::NoBody(captured.raw.id));
    Answer { status: captured.raw.status, pdu }
}

type RecordedBind = (BindMode, Bind, Option<(CommandStatus, BindResp)>);

/// The bind that was accepted, else the last one; and when it was answered.
fn bind(pdus: &[CapturedPdu], answers: &HashMap<usize, usize>) -> (Option<RecordedBind>, Option<Duration>) {
    let mut found = (None, None);
    for (index, captured) in pdus.iter().enumerate() {
        let Ok(Pdu::Bind(mode, bind)) = Pdu::decode(&captured.raw) else { continue };
        let answer = answers.get(&index).map(|at| &pdus[*at]);
        let at = answer.map_or(captured.at, |answer| answer.at);
        let answer = answer.map(|answer| match Pdu::decode(&answer.raw) {
            Ok(Pdu::BindResp(_, body)) => (answer.raw.status, body),
            _ => (answer.raw.status, BindResp::default()),
        });
        let accepted = answer.as_ref().is_some_and(|(status, _)| status.is_ok());
        found = (Some((mode, bind, answer)), Some(at));
        if accepted {
            break;
        }
    }
    found
}

/// The mode that lets everything through that was recorded.
fn mode_of(pdus: &[CapturedPdu]) -> BindMode {
    let sends = |sender| pdus.iter().any(|captured| captured.sender == sender && replayed(captured));
    match (sends(Sender::Esme), sends(Sender::Smsc)) {
        (true, false) => BindMode::Transmitter,
        (false, true) => BindMode::Receiver,
        _ => BindMode::Transceiver,
    }
}

/// Most requests of `ours` that waited for an answer at once.
fn peak(pdus: &[CapturedPdu], ours: Sender) -> Option<usize> {
    let mut open = HashSet::new();
    let (mut peak, mut answered) = (0, false);
    for captured in pdus {
        let (id, sequence) = (captured.raw.id, captured.raw.sequence);
        if captured.sender == ours && replayed(captured) && id.has_response() {
            open.insert(sequence);
            peak = peak.max(open.len());
        } else if captured.sender != ours && id.is_response() {
            answered |= open.remove(&sequence);
        }
    }
    answered.then_some(peak)
}

/// Ids that the conversation's own answers give, canonical.
fn given_here(pdus: &[CapturedPdu]) -> HashSet<String> {
    let answers = pdus.iter().filter(|captured| captured.raw.id.is_response() && captured.raw.status.is_ok());
    let ids = answers.filter_map(|captured| id_given(&Pdu::decode(&captured.raw).ok()?));
    ids.map(|id| canonical_id(&id)).collect()
}

/// The id of the message that a request is about.
fn about(pdu: &Pdu) -> Option<String> {
    match pdu {
        Pdu::QuerySm(body) => Some(body.message_id.to_text()),
        Pdu::CancelSm(body) => Some(body.message_id.to_text()),
        Pdu::ReplaceSm(body) => Some(body.message_id.to_text()),
        _ => receipt_of(pdu).map(|receipt| receipt.smsc_message_id),
    }
    .filter(|id| !id.is_empty())
}
