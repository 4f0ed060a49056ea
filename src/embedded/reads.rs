//! What the store can be asked: messages, their events, MOs, correlations, channels, accounts, statuses, parts.

use std::sync::Arc;

use super::Embedded;
use super::keys::{self, DueKey, Place, table};
use super::order::Order;
use super::search::OCTETS;
use super::tables::{get, records, unreadable};
use crate::model::{
    Account, Callback, ChannelId, ChannelProperties, DestinationProperties, Event, Inbound, MessageId,
    RouterProperties, SmscMessageId, Status,
};
use crate::store::{Page, ParkedCallback, PartId, ReadError, StoredMessage, Ticket};

impl Embedded {
    pub(crate) fn message(&self, id: MessageId) -> Result<Option<StoredMessage>, ReadError> {
        self.twice(|| self.keyspaces.by_id(&self.keyspaces.id, &[], id))
    }

    /// The MT that lies here in the order of time.
    pub(super) fn message_at(&self, order: &Order) -> Result<Option<StoredMessage>, ReadError> {
        self.twice(|| get(&self.keyspaces.id, order))
    }

    /// What waits for its time gets its place between two looks at most once.
    fn twice(
        &self,
        place: impl Fn() -> Result<Option<fjall::Slice>, ReadError>,
    ) -> Result<Option<StoredMessage>, ReadError> {
        let Some(first) = place()? else { return Ok(None) };
        match self.stored(Some(&first))? {
            None => self.stored(place()?.as_deref()),
            found => Ok(found),
        }
    }

    /// The message whose ticket a look-up table has.
    fn stored(&self, place: Option<&[u8]>) -> Result<Option<StoredMessage>, ReadError> {
        let content = place.and_then(keys::open).map(|(_, content)| content);
        let origin = match content.and_then(keys::place) {
            Some(Place::Due(key)) => return self.scheduled(&key),
            Some(Place::Entry(origin)) => origin,
            None => return Ok(None),
        };
        let segments = content.and_then(|content| content.get(12)).copied().unwrap_or(1);
        let value = get(&self.keyspaces.msg, &keys::entry(origin))?;
        let message = value.and_then(|value| keys::read(&value)).map(Arc::new);
        Ok(message.map(|message| StoredMessage { origin, message, segments }))
    }

    /// An MT that waits for its time.
    fn scheduled(&self, key: &DueKey) -> Result<Option<StoredMessage>, ReadError> {
        let message = get(&self.keyspaces.due, key)?.and_then(|value| keys::read(&value)).map(Arc::new);
        let origin = keys::ticket(&key[8..]);
        Ok(message.zip(origin).map(|(message, origin)| StoredMessage { origin, message, segments: 1 }))
    }

    pub(crate) fn events(&self, message: &StoredMessage) -> Result<Vec<Event>, ReadError> {
        let prefix = keys::entry(message.origin);
        Ok(records(self.keyspaces.fate.prefix(prefix))?.into_iter().map(|(_, event)| event).collect())
    }

    pub(crate) fn inbound(&self, channel: &ChannelId, id: MessageId) -> Result<Option<Inbound>, ReadError> {
        let value = self.keyspaces.by_id(&self.keyspaces.inbound, &keys::of_channel(channel, &[]), id)?;
        Ok(value.and_then(|value| keys::read(&value)))
    }

    /// The MO that lies here in the order of time.
    pub(super) fn inbound_at(&self, channel: &ChannelId, order: &Order) -> Result<Option<Inbound>, ReadError> {
        let value = get(&self.keyspaces.inbound, &keys::of_channel(channel, order))?;
        Ok(value.and_then(|value| keys::read(&value)))
    }

    pub(crate) fn correlate(
        &self,
        channel: &ChannelId,
        candidates: &[SmscMessageId],
    ) -> Result<Option<StoredMessage>, ReadError> {
        for key in candidates.iter().filter_map(|candidate| keys::smsc(channel, candidate)) {
            let place = get(&self.keyspaces.smsc, &key)?;
            if let Some(found) = self.stored(place.as_deref())? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    pub(crate) fn channels(&self) -> Result<Vec<ChannelProperties>, ReadError> {
        let rows = records(self.keyspaces.meta.prefix(keys::meta(table::CHANNEL, &[])))?;
        Ok(rows.into_iter().map(|(_, channel)| channel).collect())
    }

    pub(crate) fn channel(&self, id: &ChannelId) -> Result<Option<ChannelProperties>, ReadError> {
        let value = get(&self.keyspaces.meta, &keys::meta(table::CHANNEL, id.as_str().as_bytes()))?;
        Ok(value.and_then(|value| keys::read(&value)))
    }

    pub(crate) fn accounts(&self) -> Result<Vec<Account>, ReadError> {
        let rows = records(self.keyspaces.meta.prefix(keys::meta(table::ACCOUNT, &[])))?;
        Ok(rows.into_iter().map(|(_, account)| account).collect())
    }

    pub(crate) fn routers(&self) -> Result<Vec<RouterProperties>, ReadError> {
        let rows = records(self.keyspaces.meta.prefix(keys::meta(table::ROUTER, &[])))?;
        Ok(rows.into_iter().map(|(_, router)| router).collect())
    }

    pub(crate) fn destinations(&self) -> Result<Vec<DestinationProperties>, ReadError> {
        let rows = records(self.keyspaces.meta.prefix(keys::meta(table::DESTINATION, &[])))?;
        Ok(rows.into_iter().map(|(_, destination)| destination).collect())
    }

    pub(crate) fn statuses(&self, channel: &ChannelId) -> Result<Vec<Status>, ReadError> {
        let prefix = keys::meta(table::STATUS, &keys::of_channel(channel, &[]));
        Ok(records(self.keyspaces.meta.prefix(prefix))?.into_iter().map(|(_, status)| status).collect())
    }

    pub(crate) fn parts(&self, channel: &ChannelId) -> Result<Vec<(PartId, Vec<u8>)>, ReadError> {
        let prefix = keys::meta(table::PART, &keys::of_channel(channel, &[]));
        let mut parts = Vec::new();
        for guard in self.keyspaces.meta.prefix(&prefix) {
            let (key, value) = guard.into_inner().map_err(|error| unreadable(&error))?;
            let id = key.get(prefix.len()..).and_then(|id| id.try_into().ok()).map(uuid::Uuid::from_bytes);
            if let (Some(id), Some((_, record))) = (id, keys::open(&value)) {
                parts.push((MessageId(id), record.to_vec()));
            }
        }
        Ok(parts)
    }

    pub(crate) fn notes(&self, channel: &ChannelId, names: &str) -> Result<Vec<(String, Vec<u8>)>, ReadError> {
        let prefix = keys::meta(table::NOTE, &keys::of_channel(channel, &[]));
        let mut notes = Vec::new();
        for guard in self.keyspaces.meta.prefix([&prefix, names.as_bytes()].concat()) {
            let (key, value) = guard.into_inner().map_err(|error| unreadable(&error))?;
            let name = key.get(prefix.len()..).map(|name| String::from_utf8_lossy(name).into_owned());
            if let (Some(name), Some((_, record))) = (name, keys::open(&value)) {
                notes.push((name, record.to_vec()));
            }
        }
        Ok(notes)
    }

    pub(crate) fn parked_callbacks(
        &self,
        after: Option<Ticket>,
        limit: usize,
    ) -> Result<Page<ParkedCallback, Ticket>, ReadError> {
        let prefix = keys::meta(table::PARKED, &[]);
        let from = match after {
            Some(ticket) => [&keys::meta(table::PARKED, &keys::entry(ticket))[..], &[0]].concat(),
            None => prefix.clone(),
        };
        let to = keys::meta(table::PARKED, &[u8::MAX; 13]);
        let mut page = Page::default();
        let (mut octets, mut last) = (0, None);
        for guard in self.keyspaces.meta.range(from..to) {
            if page.found.len() == limit || octets >= OCTETS {
                page.next = last;
                break;
            }
            let (key, value) = guard.into_inner().map_err(|error| unreadable(&error))?;
            let Some(ticket) = key.get(prefix.len()..).and_then(keys::ticket) else { continue };
            octets += value.len();
            last = Some(ticket);
            if let Some((callback, reason)) = keys::read(&value) {
                page.found.push((ticket, callback, reason));
            }
        }
        Ok(page)
    }

    pub(crate) fn parked_callback(&self, ticket: Ticket) -> Result<Option<(Callback, String)>, ReadError> {
        let value = get(&self.keyspaces.meta, &keys::meta(table::PARKED, &keys::entry(ticket)))?;
        Ok(value.and_then(|value| keys::read(&value)))
    }
}
