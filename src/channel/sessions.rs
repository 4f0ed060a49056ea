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
/// Begins the names of the notes.
const PREFIX: &str = "session/";

/// See the file's head.
pub(super) struct Sessions<T = String> {
    length: Duration,
    live: HashMap<String, (T, Timestamp)>,
    /// By when they end.
    ends: BTreeSet<(Timestamp, String)>,
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

    /// Forgets the sessions that have ended, and the first of too many.
    pub(super) fn expire(&mut self, now: Timestamp) -> Vec<Arrival> {
        let mut notes = Vec::new();
        while let Some((ends, key)) = self.ends.first()
            && (*ends <= now || self.live.len() > MAX_SESSIONS)
        {
            let key = key.clone();
            let Some((_, note)) = self.forget(&key) else { break };
            notes.push(note);
        }
        notes
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
