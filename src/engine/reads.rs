//! What the store can be asked: messages, their events, MOs, correlations, channels, accounts, statuses, parts.

use std::sync::Arc;

use super::Engine;
use super::keys::{self, DueKey, Place, table};
use super::order::Order;
use super::rows::{Span, Table};
use super::search::OCTETS;
use crate::model::{
    Account, Callback, ChannelId, ChannelProperties, DestinationProperties, Event, Inbound, MessageId,
    RouterProperties, SmscMessageId, Status,
};
use crate::store::{Page, ParkedCallback, PartId, ReadError, StoredMessage, Ticket};

/// What a message is found by.
#[derive(Clone, Copy)]
enum Name<'a> {
    Id(MessageId),
    Order(&'a Order),
}

/// Most parked callbacks read in one go.
const PARKED: usize = 128;

impl Engine {
    pub(crate) async fn message(&self, id: MessageId) -> Result<Option<StoredMessage>, ReadError> {
        self.found(Name::Id(id)).await
    }

    /// The MT that lies here in the order of time.
    pub(super) async fn message_at(&self, order: &Order) -> Result<Option<StoredMessage>, ReadError> {
        self.found(Name::Order(order)).await
    }

    /// What waits for its time gets its place between two looks at most once.
    async fn found(&self, name: Name<'_>) -> Result<Option<StoredMessage>, ReadError> {
        let Some(first) = self.place(name).await? else { return Ok(None) };
        match self.stored(Some(&first)).await? {
            None => self.stored(self.place(name).await?.as_deref()).await,
            found => Ok(found),
        }
    }

    async fn place(&self, name: Name<'_>) -> Result<Option<Vec<u8>>, ReadError> {
        match name {
            Name::Id(id) => self.rows.by_id(Table::Id, &[], id).await,
            Name::Order(order) => self.rows.get(Table::Id, order).await,
        }
    }

    /// The message whose ticket a look-up table has.
    async fn stored(&self, place: Option<&[u8]>) -> Result<Option<StoredMessage>, ReadError> {
        let content = place.and_then(keys::open).map(|(_, content)| content);
        let origin = match content.and_then(keys::place) {
            Some(Place::Due(key)) => return self.scheduled(&key).await,
            Some(Place::Entry(origin)) => origin,
            None => return Ok(None),
        };
        let segments = content.and_then(|content| content.get(12)).copied().unwrap_or(1);
        let value = self.rows.get(Table::Msg, &keys::entry(origin)).await?;
        let message = value.and_then(|value| keys::read(&value)).map(Arc::new);
        Ok(message.map(|message| StoredMessage { origin, message, segments }))
    }

    /// An MT that waits for its time.
    async fn scheduled(&self, key: &DueKey) -> Result<Option<StoredMessage>, ReadError> {
        let message = self.rows.get(Table::Due, key).await?.and_then(|value| keys::read(&value)).map(Arc::new);
        let origin = keys::ticket(&key[8..]);
        Ok(message.zip(origin).map(|(message, origin)| StoredMessage { origin, message, segments: 1 }))
    }

    pub(crate) async fn events(&self, message: &StoredMessage) -> Result<Vec<Event>, ReadError> {
        let prefix = keys::entry(message.origin);
        Ok(self.rows.records(Table::Fate, prefix).await?.into_iter().map(|(_, event)| event).collect())
    }

    pub(crate) async fn inbound(&self, channel: &ChannelId, id: MessageId) -> Result<Option<Inbound>, ReadError> {
        let value = self.rows.by_id(Table::Inbound, &keys::of_channel(channel, &[]), id).await?;
        Ok(value.and_then(|value| keys::read(&value)))
    }

    /// The MO that lies here in the order of time.
    pub(super) async fn inbound_at(&self, channel: &ChannelId, order: &Order) -> Result<Option<Inbound>, ReadError> {
        let value = self.rows.get(Table::Inbound, &keys::of_channel(channel, order)).await?;
        Ok(value.and_then(|value| keys::read(&value)))
    }

    pub(crate) async fn correlate(
        &self,
        channel: &ChannelId,
        candidates: &[SmscMessageId],
    ) -> Result<Option<StoredMessage>, ReadError> {
        for key in candidates.iter().filter_map(|candidate| keys::smsc(channel, candidate)) {
            let place = self.rows.get(Table::Smsc, &key).await?;
            if let Some(found) = self.stored(place.as_deref()).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    pub(crate) async fn channels(&self) -> Result<Vec<ChannelProperties>, ReadError> {
        let rows = self.rows.records(Table::Meta, keys::meta(table::CHANNEL, &[])).await?;
        Ok(rows.into_iter().map(|(_, channel)| channel).collect())
    }

    /// The shards that channels' messages are in.
    pub(crate) async fn shards(&self) -> Result<Vec<(ChannelId, u16)>, ReadError> {
        self.rows.shards().await
    }

    pub(crate) async fn channel(&self, id: &ChannelId) -> Result<Option<ChannelProperties>, ReadError> {
        let value = self.rows.get(Table::Meta, &keys::meta(table::CHANNEL, id.as_str().as_bytes())).await?;
        Ok(value.and_then(|value| keys::read(&value)))
    }

    pub(crate) async fn accounts(&self) -> Result<Vec<Account>, ReadError> {
        let rows = self.rows.records(Table::Meta, keys::meta(table::ACCOUNT, &[])).await?;
        Ok(rows.into_iter().map(|(_, account)| account).collect())
    }

    pub(crate) async fn routers(&self) -> Result<Vec<RouterProperties>, ReadError> {
        let rows = self.rows.records(Table::Meta, keys::meta(table::ROUTER, &[])).await?;
        Ok(rows.into_iter().map(|(_, router)| router).collect())
    }

    pub(crate) async fn destinations(&self) -> Result<Vec<DestinationProperties>, ReadError> {
        let rows = self.rows.records(Table::Meta, keys::meta(table::DESTINATION, &[])).await?;
        Ok(rows.into_iter().map(|(_, destination)| destination).collect())
    }

    pub(crate) async fn statuses(&self, channel: &ChannelId) -> Result<Vec<Status>, ReadError> {
        let prefix = keys::meta(table::STATUS, &keys::of_channel(channel, &[]));
        Ok(self.rows.records(Table::Meta, prefix).await?.into_iter().map(|(_, status)| status).collect())
    }

    pub(crate) async fn parts(&self, channel: &ChannelId) -> Result<Vec<(PartId, Vec<u8>)>, ReadError> {
        let prefix = keys::meta(table::PART, &keys::of_channel(channel, &[]));
        let mut parts = Vec::new();
        for (key, value) in self.rows.all(Table::Meta, Span::of(&prefix[..])).await? {
            let id = key.get(prefix.len()..).and_then(|id| id.try_into().ok()).map(uuid::Uuid::from_bytes);
            if let (Some(id), Some((_, record))) = (id, keys::open(&value)) {
                parts.push((MessageId(id), record.to_vec()));
            }
        }
        Ok(parts)
    }

    pub(crate) async fn notes(&self, channel: &ChannelId, names: &str) -> Result<Vec<(String, Vec<u8>)>, ReadError> {
        let prefix = keys::meta(table::NOTE, &keys::of_channel(channel, &[]));
        let mut notes = Vec::new();
        for (key, value) in self.rows.all(Table::Meta, Span::of([&prefix, names.as_bytes()].concat())).await? {
            let name = key.get(prefix.len()..).map(|name| String::from_utf8_lossy(name).into_owned());
            if let (Some(name), Some((_, record))) = (name, keys::open(&value)) {
                notes.push((name, record.to_vec()));
            }
        }
        Ok(notes)
    }

    pub(crate) async fn parked_callbacks(
        &self,
        after: Option<Ticket>,
        limit: usize,
    ) -> Result<Page<ParkedCallback, Ticket>, ReadError> {
        let prefix = keys::meta(table::PARKED, &[]);
        let from = match after {
            Some(ticket) => [&keys::meta(table::PARKED, &keys::entry(ticket))[..], &[0]].concat(),
            None => prefix.clone(),
        };
        let span = Span { from, ..Span::of(&prefix[..]) };
        let mut page = Page::default();
        let (mut octets, mut last) = (0, None);
        let most = limit.min(PARKED);
        for (count, (key, value)) in self.rows.first(Table::Meta, &span, most + 1).await?.into_iter().enumerate() {
            if count == most || octets >= OCTETS {
                page.next = last;
                break;
            }
            let Some(ticket) = key.get(prefix.len()..).and_then(keys::ticket) else { continue };
            octets += value.len();
            last = Some(ticket);
            if let Some((callback, reason)) = keys::read(&value) {
                page.found.push((ticket, callback, reason));
            }
        }
        Ok(page)
    }

    pub(crate) async fn parked_callback(&self, ticket: Ticket) -> Result<Option<(Callback, String)>, ReadError> {
        let value = self.rows.get(Table::Meta, &keys::meta(table::PARKED, &keys::entry(ticket))).await?;
        Ok(value.and_then(|value| keys::read(&value)))
    }
}
