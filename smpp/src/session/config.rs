//! What a session may be told: role, window, timers, pace. Zero and absurd values are refused here.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::pace::PaceConfig;
use crate::command::CommandStatus;

/// Which end of the bind a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Binds, submits, receives deliveries.
    Esme,
    /// Is bound to, takes submits, delivers.
    Smsc,
}

/// How a session behaves. `..Default::default()` is a sound ESME.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionConfig {
    /// Which end this is.
    pub role: Role,
    /// Most requests sent and not yet answered. enquire_link, unbind and responses do not count.
    pub window: NonZeroUsize,
    /// How long a request waits for its response before it is handed back as expired (§7.2 response_timer).
    pub response_timeout: Duration,
    /// ESME: from bind to its response. SMSC: from the connection to the bind (§7.2 session_init_timer).
    pub bind_timeout: Duration,
    /// An enquire_link is sent after this long without a PDU from the peer (§7.2 enquire_link_timer);
    /// `None` never asks. The peer is dead after this and `enquire_link_timeout` without a PDU.
    pub enquire_link_interval: Option<Duration>,
    /// How long the peer may say nothing once it has been asked; `None` is the response timeout. A response may come as late
    /// as it likes where the link is known to live.
    pub enquire_link_timeout: Option<Duration>,
    /// The session unbinds after this long without a message either way (§7.2 inactivity_timer).
    pub inactivity_timeout: Option<Duration>,
    /// How long an orderly end waits for outstanding responses, and after that for the unbind_resp.
    pub unbind_timeout: Duration,
    /// How long the rest of a PDU may take once its first octet has come.
    pub pdu_read_timeout: Duration,
    /// Pace of requests.
    pub pace: PaceConfig,
    /// Answers by which the peer asks to be sent less.
    pub slow_down: Vec<CommandStatus>,
    /// Most requests of the peer that may wait for our answer; more are answered ESME_RTHROTTLED.
    pub max_unanswered: NonZeroUsize,
    /// Whether the peer's enquire_link are answered; only a simulator of a bad peer says no.
    pub answers_enquire_link: bool,
}

/// A configuration that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionConfigError {
    /// The rate is zero, negative or not a number.
    #[error("the rate must be a positive number of requests per second")]
    Rate,
    /// A timer that would fire at once.
    #[error("{0} must be longer than zero")]
    ZeroTimer(&'static str),
}

impl SessionConfig {
    /// Checks the values against each other.
    ///
    /// # Errors
    /// The first value that makes no sense.
    pub fn check(&self) -> Result<(), SessionConfigError> {
        if self.pace.rate.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
            return Err(SessionConfigError::Rate);
        }
        let timers = [
            ("response_timeout", Some(self.response_timeout)),
            ("bind_timeout", Some(self.bind_timeout)),
            ("enquire_link_interval", self.enquire_link_interval),
            ("enquire_link_timeout", self.enquire_link_timeout),
            ("inactivity_timeout", self.inactivity_timeout),
            ("unbind_timeout", Some(self.unbind_timeout)),
            ("pdu_read_timeout", Some(self.pdu_read_timeout)),
            ("initial_backoff", Some(self.pace.initial_backoff)),
        ];
        match timers.iter().find(|(_, timer)| *timer == Some(Duration::ZERO)) {
            Some((name, _)) => Err(SessionConfigError::ZeroTimer(name)),
            None => Ok(()),
        }
    }
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            role: Role::Esme,
            window: NonZeroUsize::new(10).expect("ten is not zero"),
            response_timeout: Duration::from_secs(60),
            bind_timeout: Duration::from_secs(30),
            enquire_link_interval: Some(Duration::from_secs(55)),
            enquire_link_timeout: None,
            inactivity_timeout: None,
            unbind_timeout: Duration::from_secs(5),
            pdu_read_timeout: Duration::from_secs(10),
            pace: PaceConfig::default(),
            slow_down: vec![CommandStatus::ESME_RTHROTTLED, CommandStatus::ESME_RMSGQFUL],
            max_unanswered: NonZeroUsize::new(1_000).expect("a thousand is not zero"),
            answers_enquire_link: true,
        }
    }
}
