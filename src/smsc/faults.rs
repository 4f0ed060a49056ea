//! What a simulated SMSC does wrong: which requests it refuses, ignores, or cuts the connection upon.

use std::time::Instant;

use fastrand::Rng;
use smpp::CommandStatus;

use super::config::SimulatorConfig;
use super::values::happens;

/// The chance and the counts of one connection.
#[derive(Debug)]
pub(super) struct Faults {
    pub(super) rng: Rng,
    requests: u64,
    /// What `throttle` still allows: so many submits at this instant.
    tokens: f64,
    filled: Instant,
}

/// What a connection does upon a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upon {
    /// It goes on.
    Nothing,
    /// It is cut.
    Cut,
    /// It answers, and unbinds.
    Unbind,
}

/// What becomes of a submit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is taken and answered.
    Take,
    /// It is taken and never answered.
    TakeSilently,
    /// It is answered with this.
    Refuse(CommandStatus),
    /// It is answered with generic_nack and this.
    Nack(CommandStatus),
}

impl Faults {
    pub(super) fn new(rng: Rng, now: Instant) -> Self {
        Self { rng, requests: 0, tokens: f64::INFINITY, filled: now }
    }

    /// What the connection does upon this request.
    pub(super) fn upon(&mut self, config: &SimulatorConfig) -> Upon {
        let session = &config.session;
        self.requests += 1;
        if session.cut_after.is_some_and(|limit| self.requests > limit) || happens(session.cut_rate, &mut self.rng) {
            Upon::Cut
        } else if session.unbind_after.is_some_and(|limit| self.requests >= limit) {
            Upon::Unbind
        } else {
            Upon::Nothing
        }
    }

    /// What becomes of a submit while `waiting` others await their response.
    pub(super) fn judge(&mut self, config: &SimulatorConfig, now: Instant, waiting: usize) -> Verdict {
        if waiting >= config.window_limit || self.too_fast(config, now) {
            return Verdict::Refuse(CommandStatus::ESME_RTHROTTLED);
        }
        // One draw for all statuses, so that their shares add up.
        let (errors, nacks) = (&config.errors, &config.answers.nacks);
        if !errors.is_empty() || !nacks.is_empty() {
            let mut drawn = self.rng.f64();
            let refusals = errors.iter().map(|(share, status)| (share, Verdict::Refuse(*status)));
            for (share, verdict) in refusals.chain(nacks.iter().map(|(share, status)| (share, Verdict::Nack(*status))))
            {
                drawn -= share;
                if drawn < 0.0 {
                    return verdict;
                }
            }
        }
        if happens(config.no_response, &mut self.rng) { Verdict::TakeSilently } else { Verdict::Take }
    }

    /// How near the throttle is, from 0 to 100; as `congestion_state` has it (v5.0 §4.8.4.18).
    pub(super) fn load(&mut self, config: &SimulatorConfig, now: Instant) -> u8 {
        let Some((_, burst)) = self.fill(config, now) else { return 0 };
        // Between 0 and 100 whatever the tokens are.
        (100.0 * (1.0 - self.tokens / burst)).clamp(0.0, 100.0).round() as u8
    }

    fn too_fast(&mut self, config: &SimulatorConfig, now: Instant) -> bool {
        if self.fill(config, now).is_none() {
            return false;
        }
        let too_fast = self.tokens < 1.0;
        self.tokens -= if too_fast { 0.0 } else { 1.0 };
        too_fast
    }

    /// Adds the tokens of the time gone by; rate and burst.
    fn fill(&mut self, config: &SimulatorConfig, now: Instant) -> Option<(f64, f64)> {
        let limit = config.throttle?;
        let rate = f64::from(limit);
        let burst = config.answers.throttle_burst.map_or(rate, f64::from);
        let gone = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + gone * rate).min(burst);
        self.filled = now;
        Some((rate, burst))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::smsc::config::{AnswerHabits, SessionHabits};

    fn verdicts(config: &SimulatorConfig, seed: u64) -> Vec<Verdict> {
        let now = Instant::now();
        let mut faults = Faults::new(Rng::with_seed(seed), now);
        (0..1000).map(|_| faults.judge(config, now, 0)).collect()
    }

    #[test]
    fn errors_come_in_their_shares_and_the_same_for_one_seed() {
        let errors = vec![(0.1, CommandStatus::ESME_RSYSERR), (0.2, CommandStatus::ESME_RMSGQFUL)];
        let config = SimulatorConfig { errors, no_response: 0.5, ..SimulatorConfig::default() };
        let all = verdicts(&config, 1);
        let count = |verdict| all.iter().filter(|one| **one == verdict).count();
        assert!((70..130).contains(&count(Verdict::Refuse(CommandStatus::ESME_RSYSERR))));
        assert!((160..240).contains(&count(Verdict::Refuse(CommandStatus::ESME_RMSGQFUL))));
        assert!((300..400).contains(&count(Verdict::TakeSilently)));
        assert_eq!(all, verdicts(&config, 1));
        assert_ne!(all, verdicts(&config, 2));
    }

    #[test]
    fn the_throttle_is_a_bucket_and_tells_how_full_it_is() {
        let answers = AnswerHabits { throttle_burst: Some(5), ..AnswerHabits::default() };
        let config = SimulatorConfig { throttle: Some(2), answers, ..SimulatorConfig::default() };
        let begin = Instant::now();
        let mut faults = Faults::new(Rng::with_seed(1), begin);
        let mut taken = |after: u64| {
            let now = begin + Duration::from_millis(after);
            let taken = (0..6).filter(|_| faults.judge(&config, now, 0) == Verdict::Take).count();
            (taken, faults.load(&config, now))
        };
        assert_eq!([taken(0), taken(400), taken(500), taken(1750)], [(5, 100), (0, 84), (1, 100), (2, 90)]);
        assert_eq!(Faults::new(Rng::with_seed(1), begin).load(&config, begin), 0);
    }

    #[test]
    fn a_share_is_nacked_beside_the_share_that_is_refused() {
        let answers = AnswerHabits { nacks: vec![(0.5, CommandStatus::ESME_RSYSERR)], ..AnswerHabits::default() };
        let errors = vec![(0.5, CommandStatus::ESME_RSUBMITFAIL)];
        let all = verdicts(&SimulatorConfig { answers, errors, ..SimulatorConfig::default() }, 1);
        let nacked = all.iter().filter(|one| **one == Verdict::Nack(CommandStatus::ESME_RSYSERR)).count();
        assert!((400..600).contains(&nacked) && !all.contains(&Verdict::Take), "{nacked}");
    }

    #[test]
    fn the_connection_ends_after_its_requests() {
        for (session, last) in [
            (SessionHabits { cut_after: Some(2), ..SessionHabits::default() }, Upon::Cut),
            (SessionHabits { unbind_after: Some(3), ..SessionHabits::default() }, Upon::Unbind),
        ] {
            let config = SimulatorConfig { session, ..SimulatorConfig::default() };
            let mut faults = Faults::new(Rng::with_seed(1), Instant::now());
            let upon = [faults.upon(&config), faults.upon(&config), faults.upon(&config)];
            assert_eq!(upon, [Upon::Nothing, Upon::Nothing, last]);
        }
    }
}
