//! The timers of §7.2: session_init, enquire_link, inactivity. The response timer is the window's age.
//!
//! Only instants and rules; what a timer's end means is the session's business.

use std::time::Instant;

use super::config::SessionConfig;

/// What the timers look at.
#[derive(Debug)]
pub(crate) struct Timers {
    /// The bind, or the orderly end, must be complete by then.
    pub(crate) deadline: Option<Instant>,
    /// When the peer last sent a PDU.
    pub(crate) heard: Instant,
    /// When a message last went either way.
    pub(crate) active: Instant,
    /// When an enquire_link that is still unanswered was sent.
    pub(crate) enquired: Option<Instant>,
}

/// A timer that has run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The bind or the orderly end took too long.
    Deadline,
    /// It is time to ask whether the peer is alive.
    EnquireLink,
    /// The peer has been asked and said nothing.
    Silence,
    /// No messages for too long.
    Inactivity,
}

impl Timers {
    pub(crate) fn new(now: Instant) -> Self {
        Self { deadline: None, heard: now, active: now, enquired: None }
    }

    /// Every timer that runs, with its end.
    fn running(&self, config: &SessionConfig, bound: bool) -> [Option<(Instant, Timer)>; 3] {
        let patience = config.enquire_link_timeout.unwrap_or(config.response_timeout);
        let link = config.enquire_link_interval.filter(|_| bound).map(|interval| match self.enquired {
            Some(asked) => (asked + patience, Timer::Silence),
            None => (self.heard + interval, Timer::EnquireLink),
        });
        let inactivity = config.inactivity_timeout.filter(|_| bound);
        [
            self.deadline.map(|end| (end, Timer::Deadline)),
            link,
            inactivity.map(|limit| (self.active + limit, Timer::Inactivity)),
        ]
    }

    /// The next end.
    pub(crate) fn next(&self, config: &SessionConfig, bound: bool) -> Option<Instant> {
        self.running(config, bound).into_iter().flatten().map(|(end, _)| end).min()
    }

    /// A timer that has ended by `now`, the earliest first.
    pub(crate) fn ended(&self, config: &SessionConfig, bound: bool, now: Instant) -> Option<Timer> {
        let timers = self.running(config, bound).into_iter().flatten();
        timers.filter(|(end, _)| *end <= now).min_by_key(|(end, _)| *end).map(|(_, timer)| timer)
    }

    /// The peer sent a PDU: it is alive, whatever it said.
    pub(crate) fn hear(&mut self, now: Instant) {
        self.heard = now;
        self.enquired = None;
    }
}
