//! Changes as the committer writes them. Records become JSON here, in the task of whoever makes the change.

use std::sync::Arc;
use std::time::Duration;

use super::draft::{Op, Withdrawal};
use super::keys::{self, Kind, table};
use super::lane::{Item, Lane};
use super::order::Id;
use super::rows::{Span, Table};
use super::withdraw::Spot;
use super::{Engine, Role};
use crate::model::{Callback, CallbackKind, CallbackTarget, ChannelId, DestinationId, RouterId, Timestamp};
use crate::store::{AMQP_LANE, Change, CommitError, PartId, Queued, Ticket};

/// Retries sooner than this wait in memory, later ones on disk.
const NEAR: Duration = Duration::from_secs(60);

impl Engine {
    /// Turns a change into what the committer writes.
    pub(super) async fn encode(&self, now: Timestamp, change: Change, ops: &mut Vec<Op>) -> Result<(), CommitError> {
        match change {
            Change::Accept(message) => {
                let lane = self.lanes.outbound(&message.channel, message.priority);
                let (value, id) = (record(now, &*message)?, Id::of_mt(&message));
                // Kept from the time on at which it is sent.
                let kept = message.send_at.map_or(now, |at| at.max(now));
                let phone = of_phone(kept, &message.to, id, None);
                ops.push(match message.send_at.filter(|at| *at > now) {
                    Some(at) => Op::Schedule { lane, value, id, at },
                    None => Op::Append { lane, value, id: Some(id), item: Item::Message(message) },
                });
                // Last: whoever finds it there finds the message.
                ops.push(phone);
            }
            Change::Withdraw { queued, event, callbacks, tally } => {
                let Queued { message, spot } = queued;
                let Spot { place, origin, expiry, doubtful } = spot;
                ops.push(Op::Withdraw(Box::new(Withdrawal {
                    place,
                    origin,
                    record: if origin.is_none() { record(now, &*message)? } else { Vec::new() },
                    id: Id::of_mt(&message),
                    event: keys::record(Kind::Final, now, &event).map_err(|error| unwritable(&error))?,
                    callbacks: callbacks.into_iter().map(|owed| self.owed(now, owed)).collect::<Result<_, _>>()?,
                    expiry,
                    doubtful,
                    tally,
                })));
            }
            Change::Archive { message, events, correlate } => {
                let events = events.iter().map(|event| record(now, event)).collect::<Result<_, _>>()?;
                let id = Id::of_mt(&message);
                let keys = correlate.iter().filter_map(|id| keys::smsc(&message.channel, id));
                ops.push(Op::Archive {
                    lane: self.lanes.outbound(&message.channel, message.priority),
                    value: record(now, &*message)?,
                    id,
                    correlate: keys.collect(),
                    events,
                });
                ops.push(of_phone(now, &message.to, id, None));
            }
            Change::Record { event, origin, leaves, correlate, callbacks } => {
                let kind = if leaves == Some(origin) { Kind::Final } else { Kind::Record };
                let value = keys::record(kind, now, &event).map_err(|error| unwritable(&error))?;
                ops.push(Op::Event { origin, value });
                if let Some(ticket) = leaves.filter(|ticket| *ticket != origin) {
                    ops.push(Op::Finish(ticket));
                }
                let segments = u8::try_from(correlate.len()).unwrap_or(u8::MAX);
                for key in correlate.iter().filter_map(|id| keys::smsc(&event.channel, id)) {
                    let value = keys::value(Kind::Reference, now, &keys::correlation(origin, segments));
                    ops.push(Op::Put(Table::Smsc, key, value));
                }
                self.encode_callbacks(now, callbacks, ops)?;
            }
            Change::Receive { message, callbacks, joined_from } => {
                let id = Id::of_mo(&message);
                let key = |rest: &[u8]| keys::of_channel(&message.channel, rest);
                // Kept from when it came: the order of their ends is that of their places.
                let came = message.received_at.min(now);
                ops.push(Op::Put(Table::Inbound, key(&id.order), record(came, &*message)?));
                ops.extend(id.alias.map(|alias| Op::Put(Table::Inbound, key(&alias), id.order.to_vec())));
                ops.push(of_phone(came, &message.from, id, Some(&message.channel)));
                ops.extend(joined_from.into_iter().map(|id| remove_part(&message.channel, id)));
                self.encode_callbacks(now, callbacks, ops)?;
            }
            Change::SavePart { channel, id, record } => {
                let key = keys::meta(table::PART, &keys::of_channel(&channel, &keys::id(id)));
                ops.push(Op::Put(Table::Meta, key, keys::value(Kind::Record, now, &record)));
            }
            Change::SaveNote { channel, name, record } => {
                let key = keys::meta(table::NOTE, &keys::of_channel(&channel, name.as_bytes()));
                ops.push(match record {
                    Some(record) => Op::Put(Table::Meta, key, keys::value(Kind::Record, now, &record)),
                    None => Op::Remove(Table::Meta, key),
                });
            }
            Change::DropParts { channel, ids } => ops.extend(ids.into_iter().map(|id| remove_part(&channel, id))),
            Change::CallbackDone(ticket) => ops.push(Op::Finish(ticket)),
            Change::Retry { ticket, at } | Change::CallbackRetry { ticket, at } => {
                ops.push(self.encode_retry(now, ticket, at)?);
            }
            Change::CallbackParked { ticket, reason } => {
                if let Some(callback) = self.callback(ticket).await? {
                    let key = keys::meta(table::PARKED, &keys::entry(ticket));
                    ops.push(Op::Put(Table::Meta, key, record(now, &(&*callback, reason))?));
                }
                ops.push(Op::Finish(ticket));
            }
            Change::CallbackMoved(ticket, callback) => {
                ops.push(Op::Finish(ticket));
                self.encode_callbacks(now, [callback], ops)?;
            }
            Change::CallbackRevived(ticket, callback) => {
                ops.push(Op::Unpark { ticket, again: Some(self.owed(now, callback)?) });
            }
            Change::CallbackForgotten(ticket) => {
                ops.push(Op::Unpark { ticket, again: None });
            }
            Change::SaveChannel(channel) => {
                if self.role != Role::Messages {
                    let key = keys::meta(table::CHANNEL, channel.id.as_str().as_bytes());
                    ops.push(Op::Put(Table::Meta, key, record(now, &channel)?));
                }
                if self.role != Role::Settings {
                    ops.push(Op::Reopen(self.lanes.of_channel(&channel.id)));
                }
            }
            Change::DeleteChannel(channel) => self.encode_deletion(&channel, ops).await?,
            Change::SaveAccount(account) => {
                let key = keys::meta(table::ACCOUNT, account.name.as_bytes());
                ops.push(Op::Put(Table::Meta, key, record(now, &*account)?));
            }
            Change::DeleteAccount(name) => {
                ops.push(Op::Remove(Table::Meta, keys::meta(table::ACCOUNT, name.as_bytes())));
            }
            Change::SaveRouter(router) => {
                let key = keys::meta(table::ROUTER, router.id.as_str().as_bytes());
                ops.push(Op::Put(Table::Meta, key, record(now, &router)?));
            }
            Change::DeleteRouter(router) => {
                ops.push(Op::Remove(Table::Meta, keys::meta(table::ROUTER, router.as_str().as_bytes())));
                self.remove_all(keys::meta(table::DESTINATION, &keys::of_name(router.as_str(), &[])), ops).await?;
            }
            Change::SaveDestination(destination) => {
                let key = destination_key(&destination.router, &destination.id);
                ops.push(Op::Put(Table::Meta, key, record(now, &destination)?));
            }
            Change::DeleteDestination(router, destination) => {
                ops.push(Op::Remove(Table::Meta, destination_key(&router, &destination)));
            }
            Change::SaveStatus { status, callback } => {
                let rest = keys::of_channel(&status.channel_id, status.component.as_bytes());
                ops.push(Op::Put(Table::Meta, keys::meta(table::STATUS, &rest), record(now, &status)?));
                self.encode_callbacks(now, callback, ops)?;
            }
        }
        Ok(())
    }

    /// Says in which shard a channel's messages are.
    pub(crate) async fn save_shard(&self, channel: &ChannelId, shard: u16) -> Result<(), CommitError> {
        let key = keys::meta(table::SHARD, channel.as_str().as_bytes());
        let saved = record(Timestamp::now(), &shard)?;
        self.inbox.commit(vec![Op::Put(Table::Meta, key, saved)]).await
    }

    /// Says that a channel has none any more.
    pub(crate) async fn forget_shard(&self, channel: &ChannelId) -> Result<(), CommitError> {
        let key = keys::meta(table::SHARD, channel.as_str().as_bytes());
        self.inbox.commit(vec![Op::Remove(Table::Meta, key)]).await
    }

    /// Near retries stay in memory: after a crash the entry is simply live again. Far ones leave their place, so that
    /// the floor never waits for them.
    fn encode_retry(&self, now: Timestamp, ticket: Ticket, at: Timestamp) -> Result<Op, CommitError> {
        let entry = self.lanes.numbered(ticket.lane).and_then(|lane| lane.in_hand(ticket.seq));
        // What expires before comes back then, to be told so.
        let expires = entry.as_ref().and_then(|entry| match &entry.item {
            Item::Message(message) => message.expires_at,
            Item::Callback(_) => None,
        });
        let at = expires.map_or(at, |expires| at.min(expires));
        let far = entry.filter(|_| now.until(at) > NEAR);
        let record = far.map(|entry| match entry.item {
            Item::Message(message) => serde_json::to_vec(&*message),
            Item::Callback(callback) => serde_json::to_vec(&*callback),
        });
        Ok(Op::Retry { ticket, at, record: record.transpose().map_err(|error| unwritable(&error))? })
    }

    /// A callback of a queue.
    async fn callback(&self, ticket: Ticket) -> Result<Option<Arc<Callback>>, CommitError> {
        let in_hand = self.lanes.numbered(ticket.lane).and_then(|lane| lane.in_hand(ticket.seq));
        let item = match in_hand {
            Some(entry) => Some(entry.item),
            None => self.rows.item(false, ticket).await.map_err(|error| CommitError::NotReady(error.0))?,
        };
        Ok(item.and_then(|item| match item {
            Item::Callback(callback) => Some(callback),
            Item::Message(_) => None,
        }))
    }

    fn encode_callbacks(
        &self,
        now: Timestamp,
        callbacks: impl IntoIterator<Item = Callback>,
        ops: &mut Vec<Op>,
    ) -> Result<(), CommitError> {
        for callback in callbacks {
            let (lane, value, item) = self.owed(now, callback)?;
            ops.push(Op::Append { lane, value, item, id: None });
        }
        Ok(())
    }

    /// A callback's lane, its record, and itself.
    pub(super) fn owed(&self, now: Timestamp, callback: Callback) -> Result<(Arc<Lane>, Vec<u8>, Item), CommitError> {
        let lane = self.callback_lane(&callback);
        Ok((lane, record(now, &callback)?, Item::Callback(Arc::new(callback))))
    }

    fn callback_lane(&self, callback: &Callback) -> Arc<Lane> {
        let name = match (&callback.target, callback.kind) {
            (CallbackTarget::Channel, CallbackKind::Status) => format!("status/{}", callback.channel),
            (CallbackTarget::Channel, _) => format!("mo/{}", callback.channel),
            (CallbackTarget::Destination { destination, .. }, _) => format!("destination/{destination}"),
            (CallbackTarget::Queue { queue, .. }, kind) => format!("{AMQP_LANE}{}", kind.routing_key(queue)),
            (CallbackTarget::Url { url, .. }, _) => {
                let url = url::Url::parse(url).ok();
                let authority = url.as_ref().map(|url| &url[url::Position::BeforeHost..url::Position::AfterPort]);
                return self.lanes.of_events(authority.unwrap_or_default(), &callback.channel);
            }
        };
        self.lanes.named(&name)
    }

    async fn encode_deletion(&self, channel: &ChannelId, ops: &mut Vec<Op>) -> Result<(), CommitError> {
        if self.role != Role::Messages {
            ops.push(Op::Remove(Table::Meta, keys::meta(table::CHANNEL, channel.as_str().as_bytes())));
        }
        if self.role == Role::Settings {
            return Ok(());
        }
        for table in [table::STATUS, table::PART, table::NOTE] {
            self.remove_all(keys::meta(table, &keys::of_channel(channel, &[])), ops).await?;
        }
        ops.push(Op::Close(self.lanes.of_channel(channel)));
        Ok(())
    }

    /// Removes every record of `meta` whose key begins so.
    async fn remove_all(&self, prefix: Vec<u8>, ops: &mut Vec<Op>) -> Result<(), CommitError> {
        let rows =
            self.rows.all(Table::Meta, Span::of(prefix)).await.map_err(|error| CommitError::NotReady(error.0))?;
        ops.extend(rows.into_iter().map(|(key, _)| Op::Remove(Table::Meta, key)));
        Ok(())
    }
}

/// A message among those of its phone; an MO's channel is where it is kept.
pub(super) fn of_phone(now: Timestamp, address: &str, message: Id, channel: Option<&ChannelId>) -> Op {
    let channel = channel.map_or("", ChannelId::as_str);
    Op::Put(Table::Phone, keys::phone(address, &message.order), keys::value(Kind::Record, now, channel.as_bytes()))
}

fn destination_key(router: &RouterId, destination: &DestinationId) -> Vec<u8> {
    keys::meta(table::DESTINATION, &keys::of_name(router.as_str(), destination.as_str().as_bytes()))
}

fn remove_part(channel: &ChannelId, id: PartId) -> Op {
    Op::Remove(Table::Meta, keys::meta(table::PART, &keys::of_channel(channel, &keys::id(id))))
}

pub(super) fn record<T: serde::Serialize>(now: Timestamp, record: &T) -> Result<Vec<u8>, CommitError> {
    keys::record(Kind::Record, now, record).map_err(|error| unwritable(&error))
}

fn unwritable(error: &serde_json::Error) -> CommitError {
    CommitError::NotReady(format!("a record could not be written as JSON: {error}").into())
}
