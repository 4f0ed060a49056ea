//! USSD at the simulated SMSC: a phone that dials a code and walks the menus that come, by answers given beforehand; and
//! one that answers a menu which the ESME opens by itself (field guide §6).
//!
//! What a phone says leaves as deliver_sm, what it is shown comes as submit_sm; which parameters name the session is the
//! operator's dialect. A phone that runs out of answers while it is asked for one gives up.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use smpp::pdu::DeliverSm;
use smpp::ussd::{ServiceOp, SessionInfo, Ussd};
use smpp::{Address, Pdu, ShortMessage, Tag, Tlvs};
use tokio::time::Instant;

use super::config::{SimulatorConfig, UssdDialect};

/// Most sessions at once; a phone that dials when there are more is not heard.
const MOST: usize = 10_000;
/// A session in which nothing was shown for this long gives way when there are too many; networks end them sooner.
const PATIENCE: Duration = Duration::from_secs(180);
/// The user gave up; what vendors send.
const ABORT: ServiceOp = ServiceOp::VENDOR_ABORT;

/// The phones in sessions.
#[derive(Debug, Default)]
pub(super) struct UssdPhones(Mutex<Sessions>);

#[derive(Debug, Default)]
struct Sessions {
    /// By phone and session.
    live: HashMap<(String, u16), Session>,
    last: u16,
}

impl Sessions {
    /// Whether there is room for another, once those that nobody answers any more have gone.
    fn have_room(&mut self) -> bool {
        if self.live.len() >= MOST {
            self.live.retain(|_, session| session.last_turn.elapsed() < PATIENCE);
        }
        self.live.len() < MOST
    }
}

#[derive(Debug)]
struct Session {
    last_turn: Instant,
    dialect: UssdDialect,
    /// What was dialled, and so where answers go.
    code: String,
    answers: VecDeque<String>,
}

/// A turn that a phone was shown.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) phone: String,
    pub(super) text: String,
    /// The session is over.
    pub(super) ended: bool,
    /// What the phone says to it.
    pub(super) reply: Option<DeliverSm>,
}

impl UssdPhones {
    /// A phone dials; what goes to the ESME, or nothing if there are too many sessions.
    pub(super) fn dial(
        &self,
        config: &SimulatorConfig,
        phone: &str,
        code: &str,
        answers: &[String],
    ) -> Option<DeliverSm> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !sessions.have_room() {
            return None;
        }
        // Bit 0 says that a session ends.
        sessions.last = sessions.last.wrapping_add(2);
        let (number, dialect) = (sessions.last, config.ussd.dialect);
        let answers = answers.iter().cloned().collect();
        let session = Session { last_turn: Instant::now(), dialect, code: code.to_owned(), answers };
        let says = session.says(phone, number, ServiceOp::PSSR_INDICATION, code, false);
        sessions.live.insert((phone.to_owned(), number), session);
        Some(says)
    }

    /// A submit that may be a turn of a session.
    pub(super) fn shown(&self, config: &SimulatorConfig, pdu: &Pdu, text: String) -> Option<Shown> {
        let Pdu::SubmitSm(submit) = pdu else { return None };
        let ussd = Ussd::of(&submit.tlvs)?;
        let phone = submit.destination.digits.to_text();
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let dialect = config.ussd.dialect;
        let (number, end) = match dialect {
            UssdDialect::Mica => {
                let reference = submit.tlvs.integer(Tag::USER_MESSAGE_REFERENCE)?;
                (u16::try_from(reference).ok()?, ussd.op == ServiceOp::VENDOR_END)
            }
            UssdDialect::Tata => (ussd.session.session, ussd.session.end),
            UssdDialect::Sixdee => (ussd.session.session, ussd.session.end || ussd.op == ServiceOp::VENDOR_END),
        };
        let key = (phone.clone(), number);
        if !sessions.live.contains_key(&key) && sessions.have_room() {
            // The network's side began it.
            let answers = config.ussd.answers.iter().cloned().collect();
            let code = submit.source.digits.to_text();
            sessions.live.insert(key.clone(), Session { last_turn: Instant::now(), dialect, code, answers });
        }
        let session = sessions.live.get_mut(&key)?;
        session.last_turn = Instant::now();
        let reply = match (end, session.answers.pop_front()) {
            (true, _) => None,
            (false, Some(answer)) => Some(session.says(&phone, number, ServiceOp::USSR_CONFIRM, &answer, false)),
            (false, None) => Some(session.gives_up(&phone, number)),
        };
        let ended = end || reply.is_none() || session.has_given_up(reply.as_ref());
        if ended {
            sessions.live.remove(&key);
        }
        Some(Shown { phone, text, ended, reply })
    }
}

impl Session {
    fn gives_up(&self, phone: &str, number: u16) -> DeliverSm {
        match self.dialect {
            // The end bit says it all.
            UssdDialect::Tata => self.says(phone, number, ServiceOp::USSR_CONFIRM, "", true),
            UssdDialect::Mica | UssdDialect::Sixdee => self.says(phone, number, ABORT, "", false),
        }
    }

    fn has_given_up(&self, reply: Option<&DeliverSm>) -> bool {
        let said = reply.and_then(|reply| Ussd::of(&reply.tlvs));
        said.is_some_and(|said| said.op == ABORT || said.session.end && self.dialect == UssdDialect::Tata)
    }

    /// A turn of the phone's.
    fn says(&self, phone: &str, number: u16, op: ServiceOp, text: &str, end: bool) -> DeliverSm {
        let mut tlvs = Tlvs::default();
        match self.dialect {
            UssdDialect::Mica => {
                tlvs.push_integer(Tag::USSD_SERVICE_OP, u32::from(op.0));
                tlvs.push_integer(Tag::USER_MESSAGE_REFERENCE, u32::from(number));
            }
            UssdDialect::Tata | UssdDialect::Sixdee => {
                Ussd { op, session: SessionInfo { session: number, end } }.put(&mut tlvs);
            }
        }
        DeliverSm {
            service_type: "USSD".try_into().unwrap_or_default(),
            source: Address::detected(phone).unwrap_or_default(),
            destination: Address { digits: self.code.as_str().try_into().unwrap_or_default(), ..Address::default() },
            short_message: ShortMessage::new(text.as_bytes().to_vec()).unwrap_or_default(),
            tlvs,
            ..DeliverSm::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn sessions_that_nobody_answers_give_way_when_there_are_too_many() {
        let (phones, config) = (UssdPhones::default(), SimulatorConfig::default());
        for _ in 0..MOST {
            assert!(phones.dial(&config, "27821234567", "*120#", &[]).is_some());
        }
        assert!(phones.dial(&config, "27821234567", "*120#", &[]).is_none(), "all are live");
        tokio::time::advance(PATIENCE).await;
        assert!(phones.dial(&config, "27821234567", "*120#", &[]).is_some(), "the abandoned have gone");
    }
}
