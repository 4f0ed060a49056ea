//! Pace: how many requests may leave now, and what the peer's refusals teach about that.
//!
//! A bucket that fills at the rate in force and holds a fiftieth of a second's worth, one at least. ESME_RTHROTTLED and
//! ESME_RMSGQFUL hold everything back, longer each time, and set a limit just under what the peer was taking when it
//! refused. The limit then creeps back to just under the rate that was refused and stays there; only after a wait that
//! doubles with each refusal is more tried, in steps that double with each success. So a steady peer refuses a
//! handful an hour and one that grants more is soon found out. Independent of the window.

use std::time::{Duration, Instant};

/// How fast requests may leave, and how a session reacts when the peer asks for less.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PaceConfig {
    /// Requests per second; `None` is as fast as the window and the peer allow.
    pub rate: Option<f64>,
    /// Pause after the first ESME_RTHROTTLED or ESME_RMSGQFUL; doubles with each further one.
    pub initial_backoff: Duration,
    /// Longest such pause.
    pub max_backoff: Duration,
}

impl Default for PaceConfig {
    fn default() -> Self {
        Self { rate: None, initial_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(30) }
    }
}

/// See the file's head.
#[derive(Debug)]
pub struct Pace {
    config: PaceConfig,
    /// Requests that may leave; negative while a burst is being paid back.
    tokens: f64,
    filled: Instant,
    backoff: Option<Backoff>,
    meter: Meter,
    learned: Option<Learned>,
}

#[derive(Clone, Copy, Debug)]
struct Backoff {
    until: Instant,
    pause: Duration,
}

/// What refusals have taught.
#[derive(Clone, Copy, Debug)]
struct Learned {
    /// Requests per second that we allow ourselves.
    limit: f64,
    /// The rate that was refused last.
    ceiling: f64,
    /// When more is tried next.
    probe: Instant,
    /// Wait between trials at the plateau.
    wait: Duration,
    /// By which share the next trial raises the limit.
    step: f64,
}

/// Share of the refused rate that is held.
const HOLD: f64 = 0.96;
/// Smallest limit that refusals leave, requests per second.
const FLOOR: f64 = 0.2;
/// Part of the way back to the plateau that one step takes, and the time between steps.
const APPROACH: (f64, Duration) = (0.25, Duration::from_secs(2));
/// Bounds of the wait between trials.
const WAIT: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(300));
/// First step of a trial, and the largest.
const STEP: (f64, f64) = (0.02, 0.5);
/// Step from which the peer is known to take more than it used to.
const SURE: f64 = 0.1;
/// Loads of `congestion_state` (SMPP v5.0 §4.8.4.18) from which nothing more is tried, and from which less is sent.
const CONGESTION: (u8, u8) = (80, 90);

impl Pace {
    /// A pace that has seen nothing yet.
    #[must_use]
    pub fn new(config: PaceConfig, now: Instant) -> Self {
        let mut pace = Self { config, tokens: 0.0, filled: now, backoff: None, meter: Meter::new(now), learned: None };
        pace.tokens = pace.rate().map_or(0.0, burst);
        pace
    }

    /// Requests per second in force: the configured rate or what refusals have taught, if either.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        match (self.config.rate, self.learned) {
            (Some(rate), Some(learned)) => Some(rate.min(learned.limit)),
            (rate, learned) => rate.or(learned.map(|learned| learned.limit)),
        }
    }

    /// The rate that refusals have taught, if there were any, in requests per second.
    #[must_use]
    pub fn learned(&self) -> Option<f64> {
        self.learned.map(|learned| learned.limit)
    }

    /// How many requests may leave now.
    ///
    /// # Errors
    /// When the next one may, if none may now.
    pub fn budget(&mut self, now: Instant) -> Result<usize, Instant> {
        if let Some(backoff) = self.backoff.filter(|backoff| backoff.until > now) {
            return Err(backoff.until);
        }
        let Some(rate) = self.rate() else { return Ok(usize::MAX) };
        self.fill(rate, now);
        if self.tokens >= 1.0 {
            // Rounds down; a positive float below the burst always fits.
            return Ok(self.tokens as usize);
        }
        let wait = Duration::from_secs_f64((1.0 - self.tokens) / rate);
        // One nanosecond more, so that rounding never wakes the caller a moment too early.
        Err(now + wait + Duration::from_nanos(1))
    }

    /// A request left.
    pub fn spend(&mut self, now: Instant) {
        if let Some(rate) = self.rate() {
            self.fill(rate, now);
            self.tokens -= 1.0;
        }
    }

    fn fill(&mut self, rate: f64, now: Instant) {
        let gained = now.saturating_duration_since(self.filled).as_secs_f64() * rate;
        self.tokens = (self.tokens + gained).min(burst(rate));
        self.filled = now;
    }

    /// The peer asked for less. Refusals of one burst count once: those that arrive during a pause do not extend it.
    pub fn refused(&mut self, now: Instant) {
        if self.backoff.is_some_and(|backoff| backoff.until > now) {
            return;
        }
        let again = self.backoff;
        let pause = match again {
            Some(backoff) => (backoff.pause * 2).min(self.config.max_backoff),
            None => self.config.initial_backoff,
        };
        self.backoff = Some(Backoff { until: now + pause, pause });
        let taken = self.meter.rate(now);
        self.tokens = self.tokens.min(0.0);
        if taken == 0.0 {
            // Nothing was taken of late: that says no rate, only that now is not the time.
            return;
        }
        if again.is_none() && self.learned.is_none() && self.meter.few() {
            // So little was sent: what was refused is one phone's queue, or a burst; no rate that anybody had tried.
            return;
        }
        let refused_at = self.rate().unwrap_or(taken).max(FLOOR);
        // A queue that is still full after a pause says nothing new about the rate until something was taken.
        let (least, most) = if again.is_some() { (refused_at / 2.0, refused_at) } else { (FLOOR, refused_at * HOLD) };
        let limit = (taken * HOLD).clamp(least.min(most), most).max(FLOOR);
        let wait = self.learned.map_or(WAIT.0, |learned| (learned.wait * 2).min(WAIT.1));
        self.learned = Some(Learned {
            limit,
            // Refused at a rate that was nearly all taken, the peer's limit is about that rate; otherwise it has moved,
            // and what was taken is the best guess.
            ceiling: if taken < refused_at * 0.7 { taken.max(limit) } else { refused_at },
            probe: now + pause + APPROACH.1,
            wait,
            step: STEP.0,
        });
    }

    /// The peer said in a refusal how long nothing more should come; that counts if it is longer than the pause in force.
    pub fn hold(&mut self, now: Instant, time: Duration) {
        if let Some(backoff) = &mut self.backoff {
            backoff.until = backoff.until.max(now + time);
        }
    }

    /// Whether the peer has taken nothing since the last pause: what leaves before it does is a trial.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.backoff.is_some()
    }

    /// The peer took a request.
    pub fn accepted(&mut self, now: Instant) {
        self.meter.count(now);
        if self.backoff.is_some_and(|backoff| backoff.until <= now) {
            self.backoff = None;
        }
        if self.learned.is_some_and(|learned| now >= learned.probe) {
            self.probe(now);
        }
    }

    /// The peer said how loaded it is, in percent.
    pub fn congestion(&mut self, now: Instant, load: u8) {
        let (hold, less) = CONGESTION;
        if load < hold {
            return;
        }
        let taken = self.meter.rate(now).max(FLOOR);
        let limit = self.rate().map_or(taken, |rate| rate.min(taken)).max(FLOOR);
        let wait = self.learned.map_or(WAIT.0, |learned| learned.wait);
        let recent = self.learned.is_some_and(|learned| learned.probe > now + wait / 2);
        if load >= less && !recent {
            let limit = (limit * HOLD).max(FLOOR);
            self.learned = Some(Learned { limit, ceiling: limit, probe: now + wait, wait, step: STEP.0 });
        } else if let Some(learned) = &mut self.learned {
            learned.probe = learned.probe.max(now + wait);
        }
    }

    /// It is time to allow a little more, if what is allowed was used at all.
    fn probe(&mut self, now: Instant) {
        let taken = self.meter.rate(now);
        let Some(learned) = &mut self.learned else { return };
        if taken < learned.limit * 0.7 {
            learned.probe = now + APPROACH.1;
            return;
        }
        let plateau = learned.ceiling * HOLD;
        if learned.limit < plateau * 0.999 {
            learned.limit += (plateau - learned.limit) * APPROACH.0;
            if plateau - learned.limit < plateau * 0.01 {
                learned.limit = plateau;
                learned.probe = now + learned.wait;
            } else {
                learned.probe = now + APPROACH.1;
            }
            return;
        }
        // The plateau held for as long as it was to: the peer may take more by now.
        learned.limit *= 1.0 + learned.step;
        learned.ceiling = learned.limit / HOLD;
        learned.step = (learned.step * 2.0).min(STEP.1);
        if learned.step > SURE {
            // That many successes in a row are no noise: the peer's limit is another one.
            learned.wait = WAIT.0;
        }
        learned.probe = now + learned.wait;
        let limit = learned.limit;
        if self.config.rate.is_some_and(|rate| limit >= rate) {
            self.learned = None;
        }
    }
}

/// What the bucket holds.
fn burst(rate: f64) -> f64 {
    (rate / 50.0).max(1.0)
}

/// How many requests per second the peer took of late: of the last whole second and the present one, whichever says
/// more.
#[derive(Debug)]
struct Meter {
    since: Instant,
    present: u32,
    last: f64,
}

/// Fewer than these in a second say nothing of what a peer would take.
const FEW: f64 = 5.0;
/// Shortest time that a rate is judged by.
const LEAST: Duration = Duration::from_millis(250);

impl Meter {
    fn new(now: Instant) -> Self {
        Self { since: now, present: 0, last: 0.0 }
    }

    fn turn(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= Duration::from_secs(1) {
            self.last = f64::from(self.present) / elapsed.as_secs_f64();
            self.present = 0;
            self.since = now;
        }
    }

    fn count(&mut self, now: Instant) {
        self.turn(now);
        self.present = self.present.saturating_add(1);
    }

    /// Too few in a second to tell a rate from.
    fn few(&self) -> bool {
        f64::from(self.present).max(self.last) < FEW
    }

    fn rate(&mut self, now: Instant) -> f64 {
        self.turn(now);
        let elapsed = now.saturating_duration_since(self.since).max(LEAST);
        let present = f64::from(self.present) / elapsed.as_secs_f64();
        // Half a second tells enough of its own; before that the last whole one counts as well.
        if elapsed >= Duration::from_millis(500) { present } else { present.max(self.last) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(rate: f64, now: Instant) -> Pace {
        Pace::new(PaceConfig { rate: Some(rate), ..PaceConfig::default() }, now)
    }

    #[test]
    fn the_third_of_two_a_second_waits_although_answers_arrive_at_once() {
        let start = Instant::now();
        let mut pace = limited(2.0, start);
        let mut now = start;
        let mut sent = Vec::new();
        while sent.len() < 4 {
            match pace.budget(now) {
                Ok(_) => {
                    pace.spend(now);
                    pace.accepted(now);
                    sent.push(now - start);
                }
                Err(at) => now = at,
            }
        }
        assert!(sent[2] >= Duration::from_millis(999), "{sent:?}");
        assert!(sent[3] <= Duration::from_millis(1501), "{sent:?}");
    }

    #[test]
    fn refusals_pause_longer_each_time_and_a_success_after_the_pause_ends_that() {
        let start = Instant::now();
        let mut pace = Pace::new(PaceConfig::default(), start);
        pace.refused(start);
        pace.refused(start);
        assert_eq!(pace.budget(start), Err(start + Duration::from_millis(100)));
        let later = start + Duration::from_millis(100);
        pace.refused(later);
        assert_eq!(pace.budget(later), Err(later + Duration::from_millis(200)));
        pace.accepted(later + Duration::from_millis(10));
        assert_eq!(pace.budget(later + Duration::from_millis(10)), Err(later + Duration::from_millis(200)));
        let end = later + Duration::from_millis(200);
        pace.accepted(end);
        pace.refused(end);
        assert_eq!(pace.budget(end), Err(end + Duration::from_millis(100)));
    }

    #[test]
    fn a_peer_that_says_how_long_is_left_alone_that_long_until_it_has_taken_one() {
        let start = Instant::now();
        let mut pace = Pace::new(PaceConfig::default(), start);
        pace.hold(start, Duration::from_secs(9));
        assert!(!pace.is_refused() && pace.budget(start).is_ok(), "nothing was refused");
        pace.refused(start);
        pace.hold(start, Duration::from_millis(1));
        assert_eq!(pace.budget(start), Err(start + Duration::from_millis(100)));
        let end = start + Duration::from_secs(2);
        pace.hold(start, Duration::from_secs(2));
        pace.accepted(end - Duration::from_millis(1));
        assert_eq!(pace.budget(start), Err(end), "one that was on its way ends no pause");
        assert!(pace.budget(end).is_ok() && pace.is_refused());
        pace.accepted(end);
        assert!(!pace.is_refused());
    }

    /// An SMSC that takes so many in each second of its own clock, or so many as its bucket has.
    struct Smsc {
        limit: f64,
        bucket: Option<f64>,
        second: u64,
        taken: f64,
        at: Duration,
    }

    impl Smsc {
        fn takes(&mut self, at: Duration) -> bool {
            match &mut self.bucket {
                Some(tokens) => {
                    *tokens = (*tokens + (at - self.at).as_secs_f64() * self.limit).min((self.limit / 10.0).max(1.0));
                    self.at = at;
                    let takes = *tokens >= 1.0;
                    *tokens -= if takes { 1.0 } else { 0.0 };
                    takes
                }
                None => {
                    if at.as_secs() != self.second {
                        (self.second, self.taken) = (at.as_secs(), 0.0);
                    }
                    self.taken += 1.0;
                    self.taken <= self.limit
                }
            }
        }
    }

    /// Sends as fast as the pace allows for a while, answers after 20 ms; how many were taken and refused a second.
    fn run(pace: &mut Pace, smsc: &mut Smsc, start: Instant, from: u64, to: u64) -> (f64, f64) {
        let latency = Duration::from_millis(20);
        let mut answers = std::collections::VecDeque::new();
        let (mut now, end) = (start + Duration::from_secs(from), start + Duration::from_secs(to));
        let (mut taken, mut refused) = (0.0, 0.0);
        while now < end {
            while let Some(&(_, ok)) = answers.front().filter(|(at, _)| *at <= now) {
                answers.pop_front();
                if ok {
                    taken += 1.0;
                    pace.accepted(now);
                } else {
                    refused += 1.0;
                    pace.refused(now);
                }
            }
            let ready = match pace.budget(now) {
                // A window of 100 bounds what an unlimited pace sends.
                Ok(budget) => {
                    let room = budget.min(100 - answers.len());
                    for _ in 0..room {
                        pace.spend(now);
                        answers.push_back((now + latency, smsc.takes(now - start)));
                    }
                    (room > 0).then_some(now)
                }
                Err(at) => Some(at),
            };
            now = ready.into_iter().chain(answers.front().map(|(at, _)| *at)).min().unwrap_or(end);
        }
        let seconds = (to - from) as f64;
        (taken / seconds, refused / seconds)
    }

    #[test]
    fn the_limit_of_a_peer_is_found_and_held_without_oscillating() {
        for bucket in [None, Some(0.0)] {
            for limit in [5.0, 50.0, 400.0] {
                let start = Instant::now();
                let mut pace = Pace::new(PaceConfig::default(), start);
                let mut smsc = Smsc { limit, bucket, second: 0, taken: 0.0, at: Duration::ZERO };
                run(&mut pace, &mut smsc, start, 0, 60);
                let (taken, refused) = run(&mut pace, &mut smsc, start, 60, 960);
                assert!(taken > 0.85 * limit, "{taken} of {limit} a second, bucket {bucket:?}");
                assert!(refused < 0.01 * taken, "{refused} refusals at {taken} a second, bucket {bucket:?}");
            }
        }
    }

    #[test]
    fn a_peer_that_grants_more_or_less_than_before_is_found_out() {
        let start = Instant::now();
        let mut pace = Pace::new(PaceConfig::default(), start);
        let mut smsc = Smsc { limit: 50.0, bucket: None, second: 0, taken: 0.0, at: Duration::ZERO };
        run(&mut pace, &mut smsc, start, 0, 120);
        smsc.limit = 100.0;
        run(&mut pace, &mut smsc, start, 120, 900);
        let (taken, _) = run(&mut pace, &mut smsc, start, 900, 1000);
        assert!(taken > 80.0, "{taken} of 100 a second");
        smsc.limit = 20.0;
        run(&mut pace, &mut smsc, start, 1000, 1060);
        let (taken, refused) = run(&mut pace, &mut smsc, start, 1060, 1360);
        assert!(taken > 16.0 && refused < 0.3, "{taken} of 20 a second, {refused} refusals");
    }

    #[test]
    fn a_loaded_peer_is_sent_less_and_a_configured_rate_is_regained() {
        let start = Instant::now();
        let mut pace = limited(100.0, start);
        let mut smsc = Smsc { limit: 1000.0, bucket: None, second: 0, taken: 0.0, at: Duration::ZERO };
        run(&mut pace, &mut smsc, start, 0, 5);
        pace.congestion(start + Duration::from_secs(5), 95);
        let held = pace.rate().unwrap();
        assert!(held < 97.0, "{held}");
        pace.congestion(start + Duration::from_secs(5), 95);
        assert_eq!(pace.rate(), Some(held), "one answer of a burst is enough");
        run(&mut pace, &mut smsc, start, 5, 300);
        assert_eq!((pace.rate(), pace.learned()), (Some(100.0), None));
    }

    #[test]
    fn one_refusal_on_a_quiet_channel_is_no_limit() {
        for config in [PaceConfig::default(), PaceConfig { rate: Some(150.0), ..PaceConfig::default() }] {
            let start = Instant::now();
            let mut pace = Pace::new(config, start);
            let mut now = start;
            for n in 0..22 {
                now += Duration::from_secs(2);
                pace.spend(now);
                // One mailbox was full.
                if n == 20 { pace.refused(now) } else { pace.accepted(now) }
            }
            assert_eq!((pace.rate(), pace.learned()), (config.rate, None), "demand was taken for capacity");
            let mut smsc = Smsc { limit: 200.0, bucket: None, second: 0, taken: 0.0, at: Duration::ZERO };
            let (taken, _) = run(&mut pace, &mut smsc, start, 60, 80);
            assert!(taken > 120.0, "{taken} of 200 a second");
        }
    }
}
