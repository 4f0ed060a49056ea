//! Whether a connection's PDUs are SMPP, and which side is the ESME.
//!
//! Other protocols begin their messages with a length and a small number as well (CMPP, SGIP, Kafka). SMPP shows itself by
//! a bind, by a response that answers a request, or by several whole PDUs in a row; PDUs are held until it has.

use std::collections::HashSet;

use smpp::{BindMode, CommandId, CommandStatus, Description, RawPdu, Value};

use super::framing::lengths;
use super::stream::Moment;

/// Whole PDUs in a row from one side that are sure to be SMPP.
const ENOUGH: usize = 3;
/// PDUs after which half of them must be whole.
const MOST_DOUBTED: usize = 8;
/// Longest system_id of a bind that is believed in though its body cannot be read; §4.1 allows 16 octets.
const MOST_NAME: usize = 64;

/// A PDU, the side that sent it, and when.
pub(super) type Heard = (usize, Moment, RawPdu);

/// Whether it is SMPP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Verdict {
    #[default]
    Open,
    Smpp,
    Foreign,
}

/// See the file's head.
#[derive(Debug, Default)]
pub(super) struct Judge {
    pub(super) verdict: Verdict,
    /// What was heard while the verdict was open, and since then what nobody has taken.
    pub(super) heard: Vec<Heard>,
    /// Its octets.
    pub(super) octets: usize,
    /// Requests that may be answered, by who sent them.
    requests: HashSet<(usize, u32, CommandId)>,
    /// Whole PDUs in a row, by side.
    row: [usize; 2],
    whole: usize,
    /// Which side is the ESME, by what was said.
    pub(super) esme: Option<usize>,
}

impl Judge {
    /// A PDU came from a side.
    pub(super) fn hear(&mut self, (side, at, raw): Heard) {
        if self.verdict == Verdict::Foreign {
            return;
        }
        self.esme = self.esme.or_else(|| esme(side, &raw));
        if self.verdict == Verdict::Open {
            self.weigh(side, &raw);
        }
        self.octets += raw.body.len();
        self.heard.push((side, at, raw));
        if self.verdict == Verdict::Open && self.heard.len() >= MOST_DOUBTED {
            let half = self.whole * 2 >= self.heard.len();
            self.decide(if half { Verdict::Smpp } else { Verdict::Foreign });
        }
    }

    /// Nothing more will tell: what was heard must be whole.
    pub(super) fn close(&mut self) {
        if self.verdict == Verdict::Open {
            let all = !self.heard.is_empty() && self.whole == self.heard.len();
            self.decide(if all { Verdict::Smpp } else { Verdict::Foreign });
        }
    }

    /// What was heard, to be shown.
    pub(super) fn take(&mut self) -> Vec<Heard> {
        self.octets = 0;
        std::mem::take(&mut self.heard)
    }

    fn weigh(&mut self, side: usize, raw: &RawPdu) {
        let whole = is_whole(raw);
        self.whole += usize::from(whole);
        let row = self.row.get_mut(side).map(|row| {
            *row = if whole { *row + 1 } else { 0 };
            *row
        });
        let answers = raw.id.is_response() && self.answers(side, raw);
        if !raw.id.is_response() && (raw.status == CommandStatus::ESME_ROK || BindMode::of(raw.id).is_some()) {
            self.requests.insert((side, raw.sequence.0, raw.id));
        }
        if answers || row >= Some(ENOUGH) || is_bind(raw, whole) {
            self.decide(Verdict::Smpp);
        }
    }

    /// Whether the other side has asked for this response.
    fn answers(&self, side: usize, raw: &RawPdu) -> bool {
        let other = 1 - side;
        if raw.id == CommandId::GENERIC_NACK {
            return self.requests.iter().any(|(asker, sequence, _)| (*asker, *sequence) == (other, raw.sequence.0));
        }
        let request = CommandId(raw.id.0 & 0x7fff_ffff);
        lengths(request).is_some() && self.requests.contains(&(other, raw.sequence.0, request))
    }

    fn decide(&mut self, verdict: Verdict) {
        self.verdict = verdict;
        self.requests = HashSet::new();
        if verdict == Verdict::Foreign {
            self.take();
        }
    }
}

/// Whether a PDU is one to its last octet: can be read, has nothing behind its parameters and text in its strings; no
/// status in a request, and next to nothing behind a refusal.
fn is_whole(raw: &RawPdu) -> bool {
    let refusal = raw.status != CommandStatus::ESME_ROK;
    if refusal && (!raw.id.is_response() || raw.body.len() > 1) {
        return false;
    }
    let description = Description::of(raw);
    let text = |value: &Value| !matches!(value, Value::Text(text) if text.contains(char::is_control));
    description.error.is_none()
        && description.trailing.is_empty()
        && description.fields.iter().all(|(_, value)| text(value))
}

/// Whether it can only be a bind: one that can be read, or that has a name in front.
fn is_bind(raw: &RawPdu, whole: bool) -> bool {
    let name = raw.body.split(|octet| *octet == 0).next().unwrap_or_default();
    let named = (1..=MOST_NAME).contains(&name.len()) && name.len() < raw.body.len();
    let bind = BindMode::of(raw.id).is_some() && !raw.id.is_response() || raw.id == CommandId::OUTBIND;
    let printable = named && name.iter().all(|octet| octet.is_ascii_graphic() || *octet == b' ');
    bind && raw.status == CommandStatus::ESME_ROK && (whole || printable)
}

/// Which side is the ESME when this one says so.
fn esme(side: usize, raw: &RawPdu) -> Option<usize> {
    let request = CommandId(raw.id.0 & 0x7fff_ffff);
    let by_esme = match request {
        CommandId::SUBMIT_SM
        | CommandId::SUBMIT_MULTI
        | CommandId::QUERY_SM
        | CommandId::CANCEL_SM
        | CommandId::REPLACE_SM
        | CommandId::BROADCAST_SM => true,
        CommandId::DELIVER_SM | CommandId::ALERT_NOTIFICATION | CommandId::OUTBIND => false,
        id if BindMode::of(id).is_some() => true,
        _ => return None,
    };
    Some(if by_esme == raw.id.is_response() { 1 - side } else { side })
}
