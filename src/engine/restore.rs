//! Records of another place, as the committer writes them: with the times at which they were first written, and the tries that
//! they have had.

use super::Engine;
use super::draft::Op;
use super::keys::{self, Kind, Place, Tries};
use super::lane::Item;
use super::order::Id;
use super::records::{restored_mark, unfinished_mark};
use super::rows::Table;
use crate::model::Timestamp;
use crate::store::{Change, CommitError, ReadError, Record, Restored, Waits};

impl Engine {
    /// Writes records, and how far that is, unless it has got there before.
    pub(crate) async fn restore(&self, records: Vec<Record>, mark: &Restored) -> Result<(), CommitError> {
        self.guard.admit_more()?;
        if self.restored().await.map_err(unreadable)?.is_some_and(|restored| restored.line >= mark.line) {
            return Ok(());
        }
        let mut ops = Vec::with_capacity(records.len() * 4 + 1);
        for record in records {
            self.encode_record(record, &mut ops).await?;
        }
        ops.push(restored_mark(Some(mark)));
        self.inbox.commit(ops).await
    }

    /// How far the last restoration has got.
    pub(crate) async fn restored(&self) -> Result<Option<Restored>, ReadError> {
        self.rows.restored().await
    }

    /// Forgets how far an earlier one had got.
    pub(crate) async fn forget_restored(&self) -> Result<(), CommitError> {
        self.inbox.commit(vec![restored_mark(None)]).await
    }

    /// Whether a restoration has begun and not ended.
    pub(crate) async fn is_unfinished(&self) -> Result<bool, ReadError> {
        self.rows.is_unfinished().await
    }

    /// Says that a restoration has begun, or has ended.
    pub(crate) async fn set_unfinished(&self, unfinished: bool) -> Result<(), CommitError> {
        self.inbox.commit(vec![unfinished_mark(unfinished)]).await
    }

    async fn encode_record(&self, record: Record, ops: &mut Vec<Op>) -> Result<(), CommitError> {
        let (since, change) = match record {
            Record::Channel(channel) => (Timestamp::now(), Change::SaveChannel(channel)),
            Record::Account(account) => (Timestamp::now(), Change::SaveAccount(account.into())),
            Record::Router(router) => (Timestamp::now(), Change::SaveRouter(router)),
            Record::Destination(destination) => (Timestamp::now(), Change::SaveDestination(destination)),
            Record::Status(status) => (Timestamp::now(), Change::SaveStatus { status, callback: None }),
            Record::Inbound { since, message } => {
                (since, Change::Receive { message: message.into(), callbacks: Vec::new(), joined_from: Vec::new() })
            }
            Record::Part { since, channel, id, record } => (since, Change::SavePart { channel, id, record }),
            Record::Note { since, channel, name, record } => {
                (since, Change::SaveNote { channel, name, record: Some(record) })
            }
            Record::Message { since, message, events, waits: None } => {
                (since, Change::Archive { message: message.into(), events, correlate: Vec::new() })
            }
            // It has no place in its lane yet.
            Record::Message { since, message, waits: Some(Waits { attempts: 0, until: Some(_), .. }), .. } => {
                (since, Change::Accept(message.into()))
            }
            Record::Message { since, message, events, waits: Some(waits) } => {
                let id = Id::of_mt(&message);
                ops.push(Op::Restore {
                    lane: self.lanes.outbound(&message.channel, message.priority),
                    value: super::encode::record(since, &message)?,
                    id: Some(id),
                    events: events.iter().map(|event| super::encode::record(since, event)).collect::<Result<_, _>>()?,
                    tries: tries(waits),
                    until: waits.until,
                    item: Item::Message(message.clone().into()),
                });
                ops.push(super::encode::of_phone(since, &message.to, id, None));
                return Ok(());
            }
            Record::Owed { since, callback, waits } => {
                let (lane, value, item) = self.owed(since, callback)?;
                let (tries, until) = (tries(waits), waits.until);
                ops.push(Op::Restore { lane, value, id: None, events: Vec::new(), tries, until, item });
                return Ok(());
            }
            Record::Parked { since, callback, reason } => {
                let parked = super::encode::record(since, &(&callback, reason))?;
                let (lane, value, _) = self.owed(since, callback)?;
                ops.push(Op::Park { lane, value, parked });
                return Ok(());
            }
            Record::Correlation { since, channel, smsc_message_id, message, accepted_at, segments } => {
                let found = self.rows.get(Table::Id, &Id::new(message, accepted_at).order).await.map_err(unreadable)?;
                let place = found.as_deref().and_then(keys::open).and_then(|(_, content)| keys::place(content));
                if let (Some(Place::Entry(ticket)), Some(key)) = (place, keys::smsc(&channel, &smsc_message_id)) {
                    let value = keys::value(Kind::Reference, since, &keys::correlation(ticket, segments));
                    ops.push(Op::Put(Table::Smsc, key, value));
                }
                return Ok(());
            }
        };
        self.encode(since, change, ops).await
    }
}

fn tries(waits: Waits) -> Tries {
    Tries { attempts: waits.attempts, possible_duplicate: waits.possible_duplicate }
}

fn unreadable(ReadError(error): ReadError) -> CommitError {
    CommitError::NotReady(error)
}
