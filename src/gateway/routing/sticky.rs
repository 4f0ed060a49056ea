//! Which destination a phone is kept with, per channel: in memory for routing, in the channel's notes for the next start.
//!
//! Bounded: at the bound nothing new is remembered until something has expired, and such messages are routed by what they
//! say. What has expired goes a little at a time, with the messages that come.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::Keep;
use crate::model::{ChannelId, DestinationId, Timestamp};
use crate::store::{Change, CommitError, ReadError, Store};

/// See the file's head.
#[derive(Default)]
pub(in crate::gateway) struct StickyRoutes(Mutex<HashMap<ChannelId, Phones>>);

#[derive(Default)]
struct Phones {
    kept: HashMap<Arc<str>, Kept>,
    /// When each expires.
    by_time: BTreeSet<(Timestamp, Arc<str>)>,
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
/// Most octets of a phone's address, which is part of a key; a longer one is nobody's, and is kept with nothing.
const MAX_PHONE: usize = 1_024;
/// Most expired phones that go with one message.
const SWEEP: usize = 16;
/// Notes that are forgotten in one write.
const CHUNK: usize = 1_024;

impl Phones {
    async fn read(store: &Store, channel: &ChannelId) -> Result<Self, ReadError> {
        let mut phones = Self::default();
        for (name, record) in store.notes(channel, NOTES).await? {
            if let (Some(phone), Ok(kept)) = (name.strip_prefix(NOTES), serde_json::from_slice(&record)) {
                phones.insert(phone, kept);
            }
        }
        Ok(phones)
    }

    fn insert(&mut self, phone: &str, kept: Kept) {
        let phone: Arc<str> = self.remove(phone).unwrap_or_else(|| phone.into());
        self.by_time.insert((kept.until, phone.clone()));
        self.kept.insert(phone, kept);
    }

    fn remove(&mut self, phone: &str) -> Option<Arc<str>> {
        let (phone, kept) = self.kept.remove_entry(phone)?;
        self.by_time.remove(&(kept.until, phone.clone()));
        Some(phone)
    }

    /// A phone that has expired, taken out.
    fn expired(&mut self, now: Timestamp) -> Option<Arc<str>> {
        self.by_time.first().filter(|(until, _)| *until <= now)?;
        let (_, phone) = self.by_time.pop_first()?;
        self.kept.remove(&phone);
        Some(phone)
    }
}

impl StickyRoutes {
    fn phones(&self) -> MutexGuard<'_, HashMap<ChannelId, Phones>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what an earlier run knew of a channel, unless that has been done.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(in crate::gateway) async fn load(&self, store: &Store, channel: &ChannelId) -> Result<(), ReadError> {
        if self.phones().contains_key(channel) {
            return Ok(());
        }
        let phones = Phones::read(store, channel).await?;
        self.phones().entry(channel.clone()).or_insert(phones);
        Ok(())
    }

    /// Makes what is known of a channel be what was written.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(in crate::gateway) async fn reload(&self, store: &Store, channel: &ChannelId) -> Result<(), ReadError> {
        let phones = Phones::read(store, channel).await?;
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
        let expired = std::iter::from_fn(|| phones.expired(now)).take(SWEEP);
        let mut changes: Vec<Change> = expired.map(|phone| note(channel, &phone, None)).collect();
        match keep {
            Keep::With(destination, time) => {
                let full = phones.kept.len() >= MOST && !phones.kept.contains_key(phone);
                if full || phone.len() > MAX_PHONE {
                    return changes;
                }
                let kept = Kept { destination, until: now.plus(time) };
                // A record of a string and a number can always be written.
                changes.extend(serde_json::to_vec(&kept).ok().map(|record| note(channel, phone, Some(record))));
                phones.insert(phone, kept);
            }
            Keep::Nothing => changes.extend(phones.remove(phone).map(|phone| note(channel, &phone, None))),
        }
        changes
    }

    /// Forgets a channel for now: what was written stays, and is loaded again.
    pub(in crate::gateway) fn drop(&self, channel: &ChannelId) {
        self.phones().remove(channel);
    }

    /// Forgets a channel, its notes too.
    ///
    /// # Errors
    /// [`CommitError`]; the rest is forgotten as it expires, once there is a router again.
    pub(in crate::gateway) async fn forget(&self, store: &Store, channel: &ChannelId) -> Result<(), CommitError> {
        let Some(phones) = self.phones().remove(channel) else { return Ok(()) };
        let phones: Vec<Arc<str>> = phones.kept.into_keys().collect();
        for chunk in phones.chunks(CHUNK) {
            store.commit(chunk.iter().map(|phone| note(channel, phone, None)).collect()).await?;
        }
        Ok(())
    }
}

fn note(channel: &ChannelId, phone: &str, record: Option<Vec<u8>>) -> Change {
    Change::SaveNote { channel: channel.clone(), name: format!("{NOTES}{phone}"), record }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_has_expired_goes_a_little_at_a_time() {
        let (sticky, channel) = (StickyRoutes::default(), ChannelId::from("c"));
        let with = |seconds| Keep::With("d".into(), Duration::from_secs(seconds));
        let at = |seconds: i64| Timestamp(seconds * 1_000_000);
        for phone in 0..40 {
            assert_eq!(sticky.keep(&channel, &phone.to_string(), with(10), at(0)).len(), 1);
        }
        assert_eq!(sticky.of(&channel, "7", at(9)), Some("d".into()));
        assert_eq!(sticky.of(&channel, "7", at(10)), None);
        // Kept anew, it stays.
        assert_eq!(sticky.keep(&channel, "7", with(100), at(5)).len(), 1);
        let changes = [17, 17, 8, 1].map(|_| sticky.keep(&channel, "new", with(100), at(20)).len());
        assert_eq!(changes, [17, 17, 8, 1]);
        assert_eq!(sticky.of(&channel, "7", at(20)), Some("d".into()));
        assert_eq!(sticky.keep(&channel, "7", Keep::Nothing, at(20)).len(), 1);
        assert_eq!(sticky.of(&channel, "7", at(20)), None);
    }
}
