//! Sessions of phones, kept durably: what a later turn needs to know of the first, until the session ends or nobody has said
//! anything for some time.
//!
//! Whoever uses them stores each change, which is a note, with the message that it belongs to.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Arrival;
use crate::model::Timestamp;

/// Most sessions of one channel that are kept; those that would end first are forgotten.
const MAX_SESSIONS: usize = 100_000;
/// Most of them whose end is stored with one turn.
const SWEEP: usize = 100;
/// Begins the names of the notes.
const PREFIX: &str = "session/";

/// See the file's head.
pub(super) struct Sessions<T = String> {
    length: Duration,
    live: HashMap<String, (T, Timestamp)>,
    /// By when they end.
    ends: BTreeSet<(Timestamp, String)>,
}

/// Sessions that have ended and are not forgotten yet.
pub(super) struct Ended(Vec<(Timestamp, String)>);

impl Ended {
    /// What is to be stored of that.
    pub(super) fn notes(&self) -> Vec<Arrival> {
        self.0.iter().map(|(_, key)| ended(key)).collect()
    }
}

impl<T: Serialize + DeserializeOwned> Sessions<T> {
    /// Begins the names of the notes that sessions are kept in.
    pub(super) const NOTES: &str = PREFIX;

    /// With those that are stored; each lasts for `length` after its last turn.
    pub(super) fn new(length: Duration, notes: &[(String, Vec<u8>)]) -> Self {
        let mut sessions = Self { length, live: HashMap::new(), ends: BTreeSet::new() };
        for (name, record) in notes {
            let read = serde_json::from_slice::<(T, Timestamp)>(record);
            if let (Some(key), Ok((what, ends))) = (name.strip_prefix(PREFIX), read) {
                sessions.insert(key.to_owned(), what, ends);
            }
        }
        sessions
    }

    /// What is known of a session that has not ended.
    pub(super) fn get(&self, key: &str, now: Timestamp) -> Option<&T> {
        self.live.get(key).filter(|(_, ends)| *ends > now).map(|(what, _)| what)
    }

    /// A turn: what is to be stored.
    pub(super) fn keep(&mut self, key: String, what: T, now: Timestamp) -> Arrival {
        let note = self.note(&key, &what, now);
        self.insert(key, what, now.plus(self.length));
        note
    }

    /// What is to be stored of a turn that is remembered only once it has been.
    pub(super) fn note(&self, key: &str, what: &T, now: Timestamp) -> Arrival {
        let record = serde_json::to_vec(&(what, now.plus(self.length))).ok();
        Arrival::Note { name: format!("{PREFIX}{key}"), record }
    }

    /// Its end, if it was known.
    pub(super) fn forget(&mut self, key: &str) -> Option<(T, Arrival)> {
        let (what, ends) = self.live.remove(key)?;
        self.ends.remove(&(ends, key.to_owned()));
        Some((what, ended(key)))
    }

    /// Some of the sessions that have ended, and of the first of too many.
    pub(super) fn ended(&self, now: Timestamp) -> Ended {
        let too_many = self.live.len().saturating_sub(MAX_SESSIONS);
        let first = self.ends.iter().take(SWEEP).enumerate();
        Ended(
            first
                .take_while(|(place, (ends, _))| *ends <= now || *place < too_many)
                .map(|(_, end)| end.clone())
                .collect(),
        )
    }

    /// Forgets them, once what is to be stored of their end has been; but none that has had another turn meanwhile.
    pub(super) fn forget_ended(&mut self, ended: Ended) {
        for end in ended.0 {
            if self.ends.remove(&end) {
                self.live.remove(&end.1);
            }
        }
    }

    fn insert(&mut self, key: String, what: T, ends: Timestamp) {
        if let Some((_, before)) = self.live.insert(key.clone(), (what, ends)) {
            self.ends.remove(&(before, key.clone()));
        }
        self.ends.insert((ends, key));
    }
}

/// What is to be stored at a session's end.
pub(super) fn ended(key: &str) -> Arrival {
    Arrival::Note { name: format!("{PREFIX}{key}"), record: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_end_a_bounded_number_at_a_time_and_are_forgotten_when_that_is_stored() {
        let mut sessions: Sessions<String> = Sessions::new(Duration::from_micros(10), &[]);
        for number in 0..250 {
            sessions.keep(format!("{number:03}"), String::new(), Timestamp(0));
        }
        assert!(sessions.ended(Timestamp(9)).0.is_empty());
        let ended = sessions.ended(Timestamp(10));
        assert_eq!(ended.notes().len(), SWEEP);
        // Not stored: the same again.
        assert_eq!(sessions.ended(Timestamp(10)).0, ended.0);
        // One has another turn meanwhile.
        sessions.keep("000".to_owned(), String::new(), Timestamp(10));
        sessions.forget_ended(ended);
        assert_eq!((sessions.live.len(), sessions.get("000", Timestamp(19)).is_some()), (151, true));
    }
}
