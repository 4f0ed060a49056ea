//! What a simulated SMSC does wrong: which requests it refuses, ignores, or cuts the connection upon.

use std::time::{Duration, Instant};

use fastrand::Rng;
use smpp::CommandStatus;

use super::config::SimulatorConfig;
use super::values::happens;

/// The chance and the counts of one connection.
#[derive(Debug)]
pub(super) struct Faults {
    pub(super) rng: Rng,
    requests: u64,
    /// The second that submits are counted in, and how many it had.
    second: Instant,
    submits: u32,
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
}

impl Faults {
    pub(super) fn new(rng: Rng, now: Instant) -> Self {
        Self { rng, requests: 0, second: now, submits: 0 }
    }

    /// Whether the connection is cut upon this request.
    pub(super) fn cuts(&mut self, config: &SimulatorConfig) -> bool {
        self.requests += 1;
        config.cut_after.is_some_and(|limit| self.requests > limit) || happens(config.cut_rate, &mut self.rng)
    }

    /// What becomes of a submit while `waiting` others await their response.
    pub(super) fn judge(&mut self, config: &SimulatorConfig, now: Instant, waiting: usize) -> Verdict {
        if waiting >= config.window_limit || self.too_fast(config, now) {
            return Verdict::Refuse(CommandStatus::ESME_RTHROTTLED);
        }
        // One draw for all statuses, so that their shares add up.
        if !config.errors.is_empty() {
            let mut drawn = self.rng.f64();
            for (share, status) in &config.errors {
                drawn -= share;
                if drawn < 0.0 {
                    return Verdict::Refuse(*status);
                }
            }
        }
        if happens(config.no_response, &mut self.rng) { Verdict::TakeSilently } else { Verdict::Take }
    }

    fn too_fast(&mut self, config: &SimulatorConfig, now: Instant) -> bool {
        let Some(limit) = config.throttle else { return false };
        if now.saturating_duration_since(self.second) >= Duration::from_secs(1) {
            self.second = now;
            self.submits = 0;
        }
        let too_fast = self.submits >= limit;
        self.submits = self.submits.saturating_add(u32::from(!too_fast));
        too_fast
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn each_second_takes_as_many_as_the_throttle_says() {
        let config = SimulatorConfig { throttle: Some(3), ..SimulatorConfig::default() };
        let begin = Instant::now();
        let mut faults = Faults::new(Rng::with_seed(1), begin);
        let mut taken = |after: u64| {
            let now = begin + Duration::from_millis(after);
            (0..5).filter(|_| faults.judge(&config, now, 0) == Verdict::Take).count()
        };
        assert_eq!((taken(0), taken(500), taken(1000)), (3, 0, 3));
    }

    #[test]
    fn the_connection_is_cut_after_its_requests() {
        let config = SimulatorConfig { cut_after: Some(2), ..SimulatorConfig::default() };
        let mut faults = Faults::new(Rng::with_seed(1), Instant::now());
        assert_eq!([faults.cuts(&config), faults.cuts(&config), faults.cuts(&config)], [false, false, true]);
    }
}
