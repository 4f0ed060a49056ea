//! Sessions of phones that a channel remembers: what was dialled, kept durably until the session ends or nobody has said
//! anything for so long.
//!
//! Each change is a note that the caller stores along with what caused it.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::Arrival;
use crate::model::Timestamp;

/// Most sessions of one channel that are kept; the oldest are forgotten.
const MAX_SESSIONS: usize = 100_000;
/// Names of notes that are sessions.
const PREFIX: &str = "session/";

/// See the file's head.
pub(super) struct Sessions {
    longest: Duration,
    live: HashMap<String, Session>,
    /// By when they end.
    ends: BTreeSet<(Timestamp, String)>,
}

struct Session {
    code: String,
    ends: Timestamp,
}

impl Sessions {
    /// Begins the names of the notes that sessions are kept in.
    pub(super) const NOTES: &str = PREFIX;

    /// With those that are stored; each ends after `longest` without a word.
    pub(super) fn new(longest: Duration, notes: &[(String, Vec<u8>)]) -> Self {
        let mut sessions = Self { longest, live: HashMap::new(), ends: BTreeSet::new() };
        for (name, record) in notes {
            let read = serde_json::from_slice::<(String, Timestamp)>(record);
            if let (Some(key), Ok((code, ends))) = (name.strip_prefix(PREFIX), read) {
                sessions.insert(key.to_owned(), Session { code, ends });
            }
        }
        sessions
    }

    /// The code that a session was opened with.
    pub(super) fn code(&self, key: &str) -> Option<&str> {
        self.live.get(key).map(|session| session.code.as_str())
    }

    /// Opens a session, or hears of it.
    pub(super) fn keep(&mut self, key: String, code: String, now: Timestamp) -> Arrival {
        let ends = now.plus(self.longest);
        let record = serde_json::to_vec(&(&code, ends)).ok();
        let name = format!("{PREFIX}{key}");
        self.insert(key, Session { code, ends });
        Arrival::Note { name, record }
    }

    /// Ends a session; its code.
    pub(super) fn forget(&mut self, key: &str) -> Option<(String, Arrival)> {
        let session = self.live.remove(key)?;
        self.ends.remove(&(session.ends, key.to_owned()));
        Some((session.code, Arrival::Note { name: format!("{PREFIX}{key}"), record: None }))
    }

    /// Forgets the sessions that have ended, and the oldest of too many.
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

    fn insert(&mut self, key: String, session: Session) {
        self.ends.insert((session.ends, key.clone()));
        if let Some(before) = self.live.insert(key.clone(), session) {
            let same = self.live.get(&key).is_some_and(|session| session.ends == before.ends);
            if !same {
                self.ends.remove(&(before.ends, key));
            }
        }
    }
}
