//! Which destination a phone is kept with, per channel: in memory for routing, in the channel's notes for the next start.
//!
//! Bounded: at the bound nothing new is remembered until something has expired, and such messages are routed by what they
//! say.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::Keep;
use crate::model::{ChannelId, DestinationId, Timestamp};
use crate::store::{Change, ReadError, Store};

/// See the file's head.
#[derive(Default)]
pub(in crate::gateway) struct StickyRoutes(Mutex<HashMap<ChannelId, Phones>>);

#[derive(Default)]
struct Phones {
    kept: HashMap<String, Kept>,
    /// Changes until what has expired is looked for.
    until_sweep: usize,
}

#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    destination: DestinationId,
    until: Timestamp,
}

/// What the names of the notes begin with.
const NOTES: &str = "route/";
/// Most phones that are kept per channel.
const MOST: usize = 1_000_000;
/// Changes between two looks at what has expired, which cost as much as there are phones.
const SWEEP: usize = 10_000;

impl StickyRoutes {
    fn phones(&self) -> MutexGuard<'_, HashMap<ChannelId, Phones>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what the last run knew of a channel.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(in crate::gateway) fn load(&self, store: &Store, channel: &ChannelId) -> Result<(), ReadError> {
        let notes = store.notes(channel, NOTES)?;
        let kept = notes.into_iter().filter_map(|(name, record)| {
            Some((name.strip_prefix(NOTES)?.to_owned(), serde_json::from_slice(&record).ok()?))
        });
        let phones = Phones { kept: kept.collect(), until_sweep: 0 };
        self.phones().insert(channel.clone(), phones);
        Ok(())
    }

    /// The destination that a phone is kept with.
    pub(in crate::gateway) fn of(&self, channel: &ChannelId, phone: &str, now: Timestamp) -> Option<DestinationId> {
        let phones = self.phones();
        let kept = phones.get(channel)?.kept.get(phone).filter(|kept| kept.until > now)?;
        Some(kept.destination.clone())
    }

    /// Remembers, or forgets; what is to be written with the message.
    pub(in crate::gateway) fn keep(&self, channel: &ChannelId, phone: &str, keep: Keep, now: Timestamp) -> Vec<Change> {
        let mut all = self.phones();
        let phones = all.entry(channel.clone()).or_default();
        let note = |phone: &str, record| Change::SaveNote {
            channel: channel.clone(),
            name: format!("{NOTES}{phone}"),
            record,
        };
        let mut changes = Vec::new();
        phones.until_sweep = phones.until_sweep.saturating_sub(1);
        if phones.until_sweep == 0 {
            phones.until_sweep = SWEEP;
            let expired = phones.kept.extract_if(|_, kept| kept.until <= now);
            changes.extend(expired.map(|(phone, _)| note(&phone, None)));
        }
        match keep {
            Keep::With(destination, time) => {
                if phones.kept.len() >= MOST && !phones.kept.contains_key(phone) {
                    return changes;
                }
                let kept = Kept { destination, until: now.plus(time) };
                // A record of two strings can always be written.
                changes.extend(serde_json::to_vec(&kept).ok().map(|record| note(phone, Some(record))));
                phones.kept.insert(phone.to_owned(), kept);
            }
            Keep::Nothing => {
                changes.extend(phones.kept.remove(phone).map(|_| note(phone, None)));
            }
        }
        changes
    }

    /// Forgets a channel.
    pub(in crate::gateway) fn forget(&self, channel: &ChannelId) {
        self.phones().remove(channel);
    }
}
