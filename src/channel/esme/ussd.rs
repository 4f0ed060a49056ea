//! USSD over SMPP in the dialects of operators: sessions of phones, and the parameters that carry them (field guide §6).
//!
//! What a later turn needs to know of a session, the dialled code, is kept durably until the session ends or nobody has
//! said anything for `max_session_length`.

use serde_json::{Value, json};
use smpp::ussd::{Phase, ServiceOp, SessionInfo, Ussd};
use smpp::{Tag, Tlvs};

use super::config::{Dialect, UssdConfig};
use super::submit::Unsendable;
use crate::channel::Arrival;
use crate::channel::sessions::Sessions as Kept;
use crate::model::{Inbound, Outbound, SessionEvent, Timestamp};

/// See the file's head.
pub(super) struct Sessions {
    config: UssdConfig,
    /// The dialled code of each.
    kept: Kept<String>,
}

impl Sessions {
    /// Begins the names of the notes that sessions are kept in.
    pub(super) const NOTES: &str = Kept::<String>::NOTES;

    /// With those that are stored.
    pub(super) fn new(config: UssdConfig, notes: &[(String, Vec<u8>)]) -> Self {
        Self { config, kept: Kept::new(config.max_session_length, notes) }
    }

    /// Completes an MO that is a USSD turn: its session's event, code and parameters. Returns what is to be stored with
    /// it, and a warning for the log if the turn was odd.
    pub(super) fn received(
        &mut self,
        message: &mut Inbound,
        tlvs: &Tlvs,
        now: Timestamp,
    ) -> (Vec<Arrival>, Option<String>) {
        let Some(ussd) = Ussd::of(tlvs) else { return (Vec::new(), None) };
        message.transport_type = Some("ussd".to_owned());
        let ended = self.kept.ended(now);
        let mut notes = ended.notes();
        // Should they not be stored, they have ended all the same when they are read again.
        self.kept.forget_ended(ended);
        let Some(id) = Identifier::of(self.config.dialect, ussd, tlvs) else {
            message.session_event = Some(event(ussd.phase()));
            message.transport_metadata.insert("session_info".to_owned(), json!(ussd.session.id()));
            return (notes, None);
        };
        let (phase, mut warning) = phase(self.config.dialect, ussd);
        let key = id.key(&message.from);
        match phase {
            Phase::New => {
                if !self.config.code_in_destination {
                    message.to = message.content.clone().unwrap_or_default();
                }
                message.content = None;
                notes.push(self.kept.keep(key, message.to.clone(), now));
            }
            Phase::Resume => match self.kept.get(&key, now).cloned() {
                Some(code) => {
                    message.to.clone_from(&code);
                    notes.push(self.kept.keep(key, code, now));
                }
                None => {
                    warning = Some(format!("a USSD turn belongs to no known session {}; it is passed on", id.session()))
                }
            },
            Phase::Close => {
                message.content = None;
                if let Some((code, note)) = self.kept.forget(&key) {
                    message.to = code;
                    notes.push(note);
                }
            }
        }
        message.session_event = Some(event(phase));
        message.transport_metadata.insert("session_info".to_owned(), id.info(ussd.op));
        (notes, warning)
    }

    /// An MT that is a USSD turn is about to be sent: its session ends or goes on.
    pub(super) fn sent(&mut self, message: &Outbound) -> Option<Arrival> {
        if message.transport_type.as_deref() != Some("ussd") || self.config.dialect == Dialect::Default {
            return None;
        }
        let key = Identifier::sent(self.config.dialect, message)?.key(&message.to);
        if message.session_event == Some(SessionEvent::Close) {
            return self.kept.forget(&key).map(|(_, note)| note);
        }
        let now = Timestamp::now();
        let code = self.kept.get(&key, now)?.clone();
        Some(self.kept.keep(key, code, now))
    }
}

fn event(phase: Phase) -> SessionEvent {
    match phase {
        Phase::New => SessionEvent::New,
        Phase::Resume => SessionEvent::Resume,
        Phase::Close => SessionEvent::Close,
    }
}

/// Where a turn stands for operators of the MICA and 6D kind (field guide §6.1), and what was odd about it.
fn phase(dialect: Dialect, ussd: Ussd) -> (Phase, Option<String>) {
    match ussd.op {
        _ if dialect == Dialect::SixDee && ussd.session.end => (Phase::Close, None),
        ServiceOp::PSSR_INDICATION => (Phase::New, None),
        ServiceOp::USSR_CONFIRM => (Phase::Resume, None),
        ServiceOp::VENDOR_ABORT => (Phase::Close, None),
        ServiceOp(other) => {
            let warning = format!("ussd_service_op {other:#04x} is not one that the operator should send");
            (Phase::Resume, Some(warning))
        }
    }
}

/// What names a session, beside the phone.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Identifier {
    /// `user_message_reference`.
    Reference(u16),
    /// `its_session_info` without its end bit.
    Info(SessionInfo),
}

impl Identifier {
    fn of(dialect: Dialect, ussd: Ussd, tlvs: &Tlvs) -> Option<Self> {
        let reference = || tlvs.integer(Tag::USER_MESSAGE_REFERENCE).and_then(|value| u16::try_from(value).ok());
        match dialect {
            Dialect::Default => None,
            Dialect::Mica => Some(Self::Reference(reference().unwrap_or_default())),
            Dialect::SixDee => Some(Self::Info(SessionInfo { end: false, ..ussd.session })),
        }
    }

    /// The one that a reply carries in its metadata.
    fn sent(dialect: Dialect, message: &Outbound) -> Option<Self> {
        let info = message.transport_metadata.get("session_info")?;
        let id = info.get("session_identifier");
        match dialect {
            Dialect::Default => {
                let id = u16::from_str_radix(info.as_str()?, 16).ok()?;
                Some(Self::Info(SessionInfo::from_value(id & 0xfffe)))
            }
            Dialect::Mica => Some(Self::Reference(id?.as_u64().and_then(|id| u16::try_from(id).ok())?)),
            Dialect::SixDee => {
                let id = u16::from_str_radix(id?.as_str()?, 16).ok()?;
                Some(Self::Info(SessionInfo::from_value(id & 0xfffe)))
            }
        }
    }

    fn key(&self, phone: &str) -> String {
        format!("{phone}+{}", self.session())
    }

    fn session(&self) -> String {
        match self {
            Self::Reference(reference) => reference.to_string(),
            Self::Info(info) => info.id(),
        }
    }

    fn info(&self, op: ServiceOp) -> Value {
        let op = format!("{:02x}", op.0);
        match self {
            Self::Reference(reference) => json!({"ussd_service_op": op, "session_identifier": reference}),
            Self::Info(info) => json!({"ussd_service_op": op, "session_identifier": info.id()}),
        }
    }
}

/// Appends a reply's parameters: which session, and whether it ends (field guide §6.3 to §6.5).
pub(super) fn put(dialect: Dialect, message: &Outbound, tlvs: &mut Tlvs) -> Result<(), Unsendable> {
    let end = message.session_event == Some(SessionEvent::Close);
    let id = Identifier::sent(dialect, message);
    let op = match dialect {
        Dialect::Default => ServiceOp::USSR_REQUEST,
        _ if end => ServiceOp::VENDOR_END,
        _ => ServiceOp::USSR_REQUEST,
    };
    match (dialect, id) {
        (Dialect::Mica, id) => {
            let reference = if let Some(Identifier::Reference(reference)) = id { reference } else { 0 };
            tlvs.push_integer(Tag::USSD_SERVICE_OP, u32::from(op.0));
            tlvs.push_integer(Tag::USER_MESSAGE_REFERENCE, u32::from(reference));
        }
        (Dialect::SixDee, None) => {
            return Err(Unsendable("Missing session_identifier: answer the message of a session with reply_to".into()));
        }
        (_, id) => {
            let session = if let Some(Identifier::Info(session)) = id { session } else { SessionInfo::default() };
            Ussd { op, session: SessionInfo { end, ..session } }.put(tlvs);
        }
    }
    Ok(())
}
