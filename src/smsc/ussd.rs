//! USSD at the simulated SMSC: a phone that dials a code and walks the menus that come, by its script; and one that
//! answers a menu which the ESME opens by itself (field guide §6).
//!
//! What a phone says leaves as deliver_sm, what it is shown comes as submit_sm; which parameters name the session is the
//! operator's dialect. A phone that runs out of answers while it is asked for one gives up, and the network ends a
//! session in which nothing was said for too long.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use smpp::pdu::DeliverSm;
use smpp::ussd::{ServiceOp, SessionInfo, Ussd};
use smpp::{Address, Pdu, ShortMessage, Tag, Tlvs};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::config::{SimulatorConfig, UssdDialect};
use super::walk::{Says, Turn, Walk};

/// Most sessions at once; a phone that dials when there are more is not heard.
const MOST: usize = 10_000;
/// Sessions remembered when they are over.
const REMEMBERED: usize = 1_000;
/// The user gave up; what vendors send.
const ABORT: ServiceOp = ServiceOp::VENDOR_ABORT;

/// The phones in sessions.
#[derive(Debug, Default)]
pub(super) struct UssdPhones {
    sessions: Mutex<Sessions>,
    /// Told when a session has begun.
    begun: Notify,
}

#[derive(Debug, Default)]
struct Sessions {
    /// By phone and session.
    live: HashMap<(String, u16), Session>,
    /// Those that phones began and that are over, the newest last: nobody hears what the ESME still says in them.
    over: VecDeque<(String, u16)>,
    last: u16,
}

impl Sessions {
    /// A session of this key is over.
    fn end(&mut self, key: (String, u16), session: &Session) {
        if session.dialled {
            if self.over.len() >= REMEMBERED {
                self.over.pop_front();
            }
            self.over.push_back(key);
        }
    }
}

#[derive(Debug)]
struct Session {
    /// The phone began it, and so its number is ours.
    dialled: bool,
    /// Whose it is; the first that receives when nobody is named.
    system_id: Option<String>,
    /// The network ends it then.
    ends: Instant,
    dialect: UssdDialect,
    /// What was dialled, and so where answers go.
    code: String,
    walk: Walk,
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
    /// How the phone's script has come out.
    pub(super) outcome: Option<Result<usize, String>>,
}

/// A session that the network has ended.
#[derive(Debug)]
pub(super) struct TimedOut {
    pub(super) phone: String,
    pub(super) system_id: Option<String>,
    pub(super) abort: DeliverSm,
    pub(super) outcome: Option<Result<usize, String>>,
}

impl UssdPhones {
    /// A phone dials; what goes to the ESME, or nothing if there are too many sessions.
    pub(super) fn dial(
        &self,
        config: &SimulatorConfig,
        system_id: Option<&str>,
        phone: &str,
        code: &str,
        steps: &[Turn],
        answers: &[String],
    ) -> Option<DeliverSm> {
        let mut sessions = self.lock();
        if sessions.live.len() >= MOST {
            return None;
        }
        // Bit 0 says that a session ends.
        sessions.last = sessions.last.wrapping_add(2);
        let number = sessions.last;
        let mut session = Session::new(config, system_id, code, Walk::new(steps, answers));
        session.dialled = true;
        let says = session.says(phone, number, ServiceOp::PSSR_INDICATION, code, false);
        sessions.live.insert((phone.to_owned(), number), session);
        drop(sessions);
        self.begun.notify_one();
        Some(says)
    }

    /// A submit of an account's that may be a turn of a session.
    pub(super) fn shown(&self, config: &SimulatorConfig, system_id: &str, pdu: &Pdu, text: String) -> Option<Shown> {
        let Pdu::SubmitSm(submit) = pdu else { return None };
        let ussd = Ussd::of(&submit.tlvs)?;
        let phone = submit.destination.digits.to_text();
        let (number, end) = match config.ussd.dialect {
            UssdDialect::Mica => {
                let reference = submit.tlvs.integer(Tag::USER_MESSAGE_REFERENCE)?;
                (u16::try_from(reference).ok()?, ussd.op == ServiceOp::VENDOR_END)
            }
            UssdDialect::Tata => (ussd.session.session, ussd.session.end),
            UssdDialect::Sixdee => (ussd.session.session, ussd.session.end || ussd.op == ServiceOp::VENDOR_END),
        };
        let key = (phone.clone(), number);
        let mut sessions = self.lock();
        if !sessions.live.contains_key(&key) && !sessions.over.contains(&key) && sessions.live.len() < MOST {
            // The ESME began it.
            let walk = Walk::new(&config.ussd.script.asked, &config.ussd.answers);
            let code = submit.source.digits.to_text();
            sessions.live.insert(key.clone(), Session::new(config, Some(system_id), &code, walk));
            self.begun.notify_one();
        }
        let session = sessions.live.get_mut(&key)?;
        session.system_id = Some(system_id.to_owned());
        session.ends = Instant::now() + config.ussd.timeout;
        let says = session.walk.shown(&text, end);
        let (reply, ended) = match &says {
            Ok(Says::Answer(answer)) => {
                (Some(session.says(&phone, number, ServiceOp::USSR_CONFIRM, answer, false)), false)
            }
            Ok(Says::Over) => (None, true),
            Ok(Says::GivesUp) | Err(_) => ((!end).then(|| session.gives_up(&phone, number)), true),
        };
        let outcome = match says {
            Err(why) => Some(Err(why)),
            Ok(_) => session.walk.result().filter(|_| ended).map(Ok),
        };
        if ended && let Some(session) = sessions.live.remove(&key) {
            sessions.end(key, &session);
        }
        Some(Shown { phone, text, ended, reply, outcome })
    }

    /// Waits until the network has ended sessions.
    pub(super) async fn timed_out(&self) -> Vec<TimedOut> {
        loop {
            let next = self.lock().live.values().map(|session| session.ends).min();
            let due = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {
                    let ended = self.end();
                    if !ended.is_empty() {
                        return ended;
                    }
                }
                () = self.begun.notified() => {}
            }
        }
    }

    fn end(&self) -> Vec<TimedOut> {
        let now = Instant::now();
        let mut sessions = self.lock();
        let ended: Vec<_> = sessions.live.extract_if(|_, session| session.ends <= now).collect();
        let timed_out = ended.into_iter().map(|(key, session)| {
            sessions.end(key.clone(), &session);
            let (phone, number) = key;
            let late = |taken: usize| Err(format!("step {}: the session timed out", taken + 1));
            TimedOut {
                abort: session.gives_up(&phone, number),
                outcome: session.walk.result().map(late),
                system_id: session.system_id,
                phone,
            }
        });
        timed_out.collect()
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn new(config: &SimulatorConfig, system_id: Option<&str>, code: &str, walk: Walk) -> Self {
        Self {
            dialled: false,
            system_id: system_id.map(ToOwned::to_owned),
            ends: Instant::now() + config.ussd.timeout,
            dialect: config.ussd.dialect,
            code: code.to_owned(),
            walk,
        }
    }

    fn gives_up(&self, phone: &str, number: u16) -> DeliverSm {
        match self.dialect {
            // The end bit says it all.
            UssdDialect::Tata => self.says(phone, number, ServiceOp::USSR_CONFIRM, "", true),
            UssdDialect::Mica | UssdDialect::Sixdee => self.says(phone, number, ABORT, "", false),
        }
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
    use std::time::Duration;

    use smpp::pdu::SubmitSm;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_network_ends_sessions_in_which_nothing_is_said() {
        let (phones, config) = (UssdPhones::default(), SimulatorConfig::default());
        let dial = |phone| phones.dial(&config, Some("shop"), phone, "*120#", &[], &[]);
        let begun = Instant::now();
        for _ in 0..MOST {
            assert!(dial("27821234567").is_some());
        }
        assert!(dial("27820001001").is_none(), "too many");
        let ended = phones.timed_out().await;
        assert_eq!((ended.len(), begun.elapsed()), (MOST, Duration::from_secs(180)));
        let abort = Ussd::of(&ended[0].abort.tlvs).unwrap();
        assert!(abort.session.end && ended[0].system_id.as_deref() == Some("shop"));
        assert!(dial("27820001001").is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_hears_what_is_said_in_a_session_that_is_over() {
        let (phones, config) = (UssdPhones::default(), SimulatorConfig::default());
        let dialled = phones.dial(&config, None, "27820001001", "*120#", &[], &["1".to_owned()]).unwrap();
        let mut tlvs = Tlvs::default();
        Ussd { op: ServiceOp::USSR_REQUEST, ..Ussd::of(&dialled.tlvs).unwrap() }.put(&mut tlvs);
        let turn: Pdu = SubmitSm { destination: dialled.source, tlvs, ..SubmitSm::default() }.into();
        let shown = |text: &str| phones.shown(&config, "shop", &turn, text.to_owned());
        assert!(shown("menu").is_some_and(|shown| !shown.ended && shown.reply.is_some()));
        assert_eq!(phones.timed_out().await.len(), 1);
        assert!(shown("too late").is_none());
    }
}
