//! What has been found out of passwords, for a minute: looking it up takes no lock.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

/// How long a verdict is believed.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Most verdicts that are kept.
const MOST: usize = 1_024;

/// Verdicts, by what they are kept under.
#[derive(Default)]
pub(super) struct Verdicts(ArcSwap<HashMap<[u8; 32], Verdict>>);

#[derive(Clone, Copy)]
struct Verdict {
    right: bool,
    until: Instant,
}

impl Verdicts {
    pub(super) fn get(&self, name: &[u8; 32]) -> Option<bool> {
        let verdicts = self.0.load();
        let verdict = verdicts.get(name)?;
        (Instant::now() < verdict.until).then_some(verdict.right)
    }

    /// At the bound wrong ones make room: there is no end of them.
    pub(super) fn keep(&self, name: [u8; 32], right: bool) {
        self.0.rcu(|verdicts| {
            let mut verdicts = HashMap::clone(verdicts);
            let now = Instant::now();
            verdicts.retain(|_, verdict| now < verdict.until);
            if verdicts.len() >= MOST {
                verdicts.retain(|_, verdict| verdict.right);
            }
            if verdicts.len() < MOST {
                verdicts.insert(name, Verdict { right, until: now + REMEMBERED });
            }
            verdicts
        });
    }

    #[cfg(test)]
    pub(super) fn forget(&self) {
        self.0.store(std::sync::Arc::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_ones_do_not_push_out_right_ones() {
        let verdicts = Verdicts::default();
        let name = |number: usize| {
            let mut name = [0; 32];
            name[..8].copy_from_slice(&number.to_be_bytes());
            name
        };
        verdicts.keep(name(0), true);
        (1..3 * MOST).for_each(|number| verdicts.keep(name(number), false));
        assert_eq!(verdicts.get(&name(0)), Some(true));
        assert!(verdicts.0.load().len() <= MOST);
    }
}
