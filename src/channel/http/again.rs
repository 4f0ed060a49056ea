//! MTs that the provider would not take for the moment: while one of them waits to be tried again, sending does not go well,
//! whatever becomes of others meanwhile. So a provider that takes every other message has one status, not two in turn.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::model::{MessageId, Timestamp};

/// Most MTs that are remembered; that others wait, too, makes no difference.
const MOST: usize = 1_000;
/// An MT that has not been tried so long after its time has been cancelled, or has expired.
const GRACE: Duration = Duration::from_secs(60);

/// See the file's head.
#[derive(Default)]
pub(super) struct Again(Mutex<HashMap<MessageId, Timestamp>>);

impl Again {
    /// An MT waits until `at`.
    pub(super) fn wait(&self, id: MessageId, at: Timestamp) {
        let mut waiting = self.waiting();
        if waiting.len() < MOST || waiting.contains_key(&id) {
            waiting.insert(id, at);
        }
    }

    /// An MT waits no more; whether it had been waiting.
    pub(super) fn over(&self, id: MessageId) -> bool {
        self.waiting().remove(&id).is_some()
    }

    /// Whether none waits.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        let mut waiting = self.waiting();
        waiting.retain(|_, at| at.plus(GRACE) > now);
        waiting.is_empty()
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<MessageId, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_over_when_each_has_had_its_turn_or_never_will() {
        let (again, one, two) = (Again::default(), MessageId::mint(), MessageId::mint());
        let now = Timestamp::now();
        again.wait(one, now);
        again.wait(two, now.plus(GRACE));
        assert!(again.over(one) && !again.over(one));
        assert!(!again.is_over(now.plus(GRACE)));
        assert!(again.is_over(now.plus(2 * GRACE)));
    }
}
