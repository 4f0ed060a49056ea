//! What the holder of a lease may believe of it, by its own monotonic clock.
//!
//! ```text
//! sent                      + 8 s           + 12 s
//!  │ Good ─────────────────── │ Doubtful ───── │ Lost, to nobody
//!  │<── a renewal, at any time ────────────────────│ Lost, to somebody: for ever
//! ```
//!
//! It counts from before the request was sent, so its end is never later than Redis's.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// How a lease stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tenure {
    /// Nobody else works for the slot.
    Good,
    /// It was not renewed for long, or not looked at since this process was paused: nothing more may be begun, and what
    /// lasts is to be ended, since somebody else may have the slot soon. Where Redis answers, it is good again at once.
    Doubtful,
    /// Somebody else may have the slot, or has.
    Lost {
        /// The node that has it: then this is for ever. `None` if nobody is known to, and it is good again if it can be
        /// renewed before somebody takes the slot.
        by: Option<Arc<str>>,
    },
}

/// The times of leases and of the registry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// From one renewal to the next.
    pub(crate) renew: Duration,
    /// How long a lease is good after it was asked for.
    pub(crate) doubtful: Duration,
    /// How long Redis keeps a lease, and what the registry knows of a node.
    pub(crate) lost: Duration,
    /// How long the process may have been paused before each lease is looked at again.
    pub(crate) pause: Duration,
    /// From one announcement of a node to the next.
    pub(crate) announce: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            renew: Duration::from_secs(3),
            doubtful: Duration::from_secs(8),
            lost: Duration::from_secs(12),
            pause: Duration::from_secs(1),
            announce: Duration::from_secs(1),
        }
    }
}

impl Times {
    /// How often it is looked what is to be done: no pause goes unseen, and what failed is tried again soon.
    pub(super) fn tick(&self) -> Duration {
        (self.renew / 6).min(self.pause / 2)
    }

    /// How long an answer may take: two attempts fit in between a renewal that fails and the first doubt.
    pub(super) fn patience(&self) -> Duration {
        self.doubtful.saturating_sub(self.renew) / 2
    }

    /// How long Redis keeps what it is told, in milliseconds.
    pub(super) fn kept(&self) -> u64 {
        u64::try_from(self.lost.as_millis()).unwrap_or(u64::MAX)
    }
}

/// One lease's.
#[derive(Debug)]
pub(super) struct Term {
    times: Times,
    /// When the last request was sent that Redis granted.
    sent: Instant,
    /// Earlier requests prove nothing any more.
    since: Option<Instant>,
    /// Nothing changes that.
    end: Option<Tenure>,
}

impl Term {
    /// One that was granted; the request was sent then.
    pub(super) const fn new(times: Times, sent: Instant) -> Self {
        Self { times, sent, since: None, end: None }
    }

    pub(super) fn tenure(&self, now: Instant) -> Tenure {
        if let Some(end) = &self.end {
            return end.clone();
        }
        match now.saturating_duration_since(self.sent) {
            age if age >= self.times.lost => Tenure::Lost { by: None },
            age if age >= self.times.doubtful || self.since.is_some() => Tenure::Doubtful,
            _ => Tenure::Good,
        }
    }

    /// When it will stand otherwise, if nothing happens.
    pub(super) fn change(&self, now: Instant) -> Option<Instant> {
        let changes = [self.times.doubtful, self.times.lost].map(|age| self.sent + age);
        changes.into_iter().find(|change| self.end.is_none() && *change > now)
    }

    /// Redis has granted a request that was sent then.
    pub(super) fn renewed(&mut self, sent: Instant) {
        self.sent = self.sent.max(sent);
        self.since = self.since.filter(|since| sent < *since);
    }

    /// This process was paused until now.
    pub(super) const fn paused(&mut self, now: Instant) {
        self.since = Some(now);
    }

    /// Somebody else has the slot, or nobody, because it was given up.
    pub(super) fn end(&mut self, by: Option<Arc<str>>) {
        self.end.get_or_insert(Tenure::Lost { by });
    }

    pub(super) const fn is_over(&self) -> bool {
        self.end.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOST: Tenure = Tenure::Lost { by: None };

    /// A term that was granted a while ago, and the clock that says so.
    fn granted() -> (Term, impl Fn(u64) -> Instant) {
        let sent = Instant::now();
        (Term::new(Times::default(), sent), move |milliseconds| sent + Duration::from_millis(milliseconds))
    }

    #[test]
    fn it_counts_from_before_the_request() {
        let (mut term, at) = granted();
        let stands = [(0, Tenure::Good), (7_999, Tenure::Good), (8_000, Tenure::Doubtful)];
        for (now, tenure) in stands.into_iter().chain([(11_999, Tenure::Doubtful), (12_000, LOST)]) {
            assert_eq!(term.tenure(at(now)), tenure, "{now}");
        }
        assert_eq!(
            [0, 7_999, 8_000, 12_000].map(|now| term.change(at(now))),
            [Some(at(8_000)), Some(at(8_000)), Some(at(12_000)), None]
        );
        // An answer counts from its request, however late it comes; an older one changes nothing.
        term.renewed(at(5_000));
        term.renewed(at(3_000));
        assert_eq!([12_999, 13_000, 17_000].map(|now| term.tenure(at(now))), [Tenure::Good, Tenure::Doubtful, LOST]);
        // What lapsed is ours again if Redis says so.
        term.renewed(at(60_000));
        assert_eq!(term.tenure(at(60_001)), Tenure::Good);
    }

    #[test]
    fn after_a_pause_only_a_new_answer_is_believed() {
        let (mut term, at) = granted();
        term.paused(at(5_000));
        assert_eq!(term.tenure(at(5_000)), Tenure::Doubtful);
        term.renewed(at(4_999));
        assert_eq!(term.tenure(at(5_001)), Tenure::Doubtful);
        term.renewed(at(5_000));
        assert_eq!(term.tenure(at(5_001)), Tenure::Good);
        term.paused(at(30_000));
        assert_eq!(term.tenure(at(30_000)), LOST);
    }

    #[test]
    fn what_somebody_took_does_not_come_back() {
        let (mut term, at) = granted();
        term.end(Some("other".into()));
        term.renewed(at(1_000));
        term.end(None);
        assert_eq!(term.tenure(at(1_001)), Tenure::Lost { by: Some("other".into()) });
        assert_eq!(term.change(at(1_001)), None);
    }
}
