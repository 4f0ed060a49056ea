//! The rate that all binds of a channel share, and whose turn it is.
//!
//! Without a limit a bind sends what its own window and pace allow. With one, tokens go to whichever bind wants to send
//! and has had the fewest.

use std::time::{Duration, Instant};

use smpp::session::{Pace, PaceConfig};

/// See the file's head.
pub(super) struct SharedPace {
    limit: Option<(Pace, Duration)>,
    binds: Vec<Share>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Share {
    /// PDUs sent while others wanted to send as well.
    had: u64,
    wants: bool,
}

impl SharedPace {
    pub(super) fn new(rate: Option<f64>, binds: usize, now: Instant) -> Self {
        let limit = rate.map(|rate| {
            let config = PaceConfig { rate: Some(rate), ..PaceConfig::default() };
            (Pace::new(config, now), Duration::from_secs_f64(1.0 / rate))
        });
        Self { limit, binds: vec![Share::default(); binds] }
    }

    /// How many PDUs a bind that wants to send may send now, or when to ask again.
    pub(super) fn budget(&mut self, bind: usize, now: Instant) -> Result<usize, Instant> {
        let Some((pace, interval)) = &mut self.limit else { return Ok(usize::MAX) };
        let others = self.binds.iter().enumerate().filter(|(other, share)| *other != bind && share.wants);
        let least = others.map(|(_, share)| share.had).min();
        let Some(share) = self.binds.get_mut(bind) else { return pace.budget(now) };
        if !share.wants {
            share.wants = true;
            // Whoever comes back has no claim on what the others had meanwhile.
            share.had = share.had.max(least.unwrap_or_default());
        }
        let budget = pace.budget(now)?;
        match least {
            None => Ok(budget),
            Some(least) if share.had <= least => Ok(1),
            Some(_) => Err(now + *interval),
        }
    }

    /// A bind has sent a PDU.
    pub(super) fn spend(&mut self, bind: usize, now: Instant) {
        if let Some((pace, _)) = &mut self.limit {
            pace.spend(now);
            if let Some(share) = self.binds.get_mut(bind) {
                share.had += 1;
            }
        }
    }

    /// A bind has nothing to send, or cannot.
    pub(super) fn sated(&mut self, bind: usize) {
        if let Some(share) = self.binds.get_mut(bind) {
            share.wants = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binds_that_want_to_send_take_turns_and_one_alone_has_it_all() {
        let start = Instant::now();
        let mut pace = SharedPace::new(Some(10.0), 2, start);
        let (mut now, mut sent) = (start, [0_u32; 2]);
        while now < start + Duration::from_secs(10) {
            let mut next = now + Duration::from_secs(1);
            for (bind, sent) in sent.iter_mut().enumerate() {
                match pace.budget(bind, now) {
                    Ok(budget) => {
                        (0..budget).for_each(|_| pace.spend(bind, now));
                        *sent += u32::try_from(budget).unwrap();
                        next = now;
                    }
                    Err(at) => next = next.min(at),
                }
            }
            now = next;
        }
        assert!(sent[0].abs_diff(sent[1]) <= 2 && (98..=104).contains(&(sent[0] + sent[1])), "{sent:?}");
        pace.sated(0);
        now += Duration::from_secs(1);
        assert!(pace.budget(1, now).is_ok_and(|budget| budget >= 1));
    }
}
