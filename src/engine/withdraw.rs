//! MTs that wait in their queues, wherever: found for whoever wants to take one, or all of a channel's, out of them.
//!
//! Looking decides nothing. Whether an MT still waits is asked again when its withdrawal is written, on the writing
//! thread, which is also where it is handed out from no more.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::Engine;
use super::keys::{self, DueKey, END, Kind, Place};
use super::lane::{Lane, Waits};
use super::rows::{Span, Table};
use crate::model::{ChannelId, MessageId, Priority};
use crate::store::{Queued, ReadError, Ticket};

/// Most records looked at in one go.
const LOOK: usize = 512;

/// Where an MT waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    pub(super) place: Place,
    /// Where its events are kept, once it has had a place in its lane.
    pub(super) origin: Option<Ticket>,
    /// The note of its expiry, if that is why it was found.
    pub(super) expiry: Option<DueKey>,
    /// It may have been sent.
    pub(crate) doubtful: bool,
}

impl Spot {
    pub(super) fn expired(self, key: DueKey) -> Self {
        Self { expiry: Some(key), ..self }
    }
}

impl Engine {
    /// The MT that waits here, in its lane.
    pub(super) async fn waiting_at(&self, ticket: Ticket) -> Result<Option<Queued>, ReadError> {
        let Some(lane) = self.lanes.numbered(ticket.lane) else { return Ok(None) };
        if lane.waits(ticket.seq) != Waits::Taken {
            return Ok(None);
        }
        let value = self.rows.get(Table::Msg, &keys::entry(ticket)).await?;
        Ok(value.and_then(|value| waiting(&lane, ticket, &value)))
    }

    /// An MT that waits in its queue, by our id.
    pub(crate) async fn queued(&self, id: MessageId) -> Result<Option<Queued>, ReadError> {
        let place = async || {
            let found = self.rows.by_id(Table::Id, &[], id).await?;
            Ok(found.and_then(|found| keys::open(&found).and_then(|(_, content)| keys::place(content))))
        };
        let mut at = place().await?;
        if let Some(Place::Deposit(_)) = at {
            self.settle_deposits().await.map_err(|error| ReadError(error.to_string().into()))?;
            at = place().await?;
        }
        let mut place = at;
        // From its first place to where it waits now, if it has left that for a long delay.
        while let Some(at) = place {
            let queued = match at {
                Place::Due(key) => self.delayed(&key).await?,
                Place::Entry(ticket) => self.waiting_at(ticket).await?,
                Place::Deposit(_) => None,
            };
            if queued.is_some() {
                return Ok(queued);
            }
            place = match at {
                Place::Entry(ticket) => self.moved_to(ticket).await?.filter(|next| *next != at),
                Place::Due(_) | Place::Deposit(_) => None,
            };
        }
        Ok(None)
    }

    /// Where an entry has gone that left its place for a long delay.
    async fn moved_to(&self, ticket: Ticket) -> Result<Option<Place>, ReadError> {
        let end = self.rows.get(Table::Fate, &keys::fate(ticket, END)).await?;
        Ok(end.and_then(|end| match keys::open(&end)? {
            (Kind::Moved, content) => keys::place(content),
            _ => None,
        }))
    }

    /// What waits in `due`.
    async fn delayed(&self, key: &DueKey) -> Result<Option<Queued>, ReadError> {
        if self.lanes.live(key).is_none() {
            return Ok(None);
        }
        let value = self.rows.get(Table::Due, key).await?;
        Ok(value.and_then(|value| delayed(key, &value)))
    }

    /// Looks for all that waits for a channel, or for what has this priority.
    pub(crate) fn scan_queued(&self, channel: &ChannelId, priority: Option<Priority>) -> QueuedScan {
        let lanes: Vec<Arc<Lane>> = match priority {
            Some(priority) => vec![self.lanes.outbound(channel, priority)],
            None => self.lanes.of_channel(channel).into(),
        };
        // What waits on disk first: while that is looked through, some of it may get its place, and be found there.
        let delayed = lanes.iter().any(|lane| lane.later() > 0);
        QueuedScan { due: delayed.then_some([0; 20]), lanes: lanes.into(), range: None }
    }

    /// The next of a scan, a bounded number; `None` at its end.
    pub(crate) async fn next_queued(&self, scan: &mut QueuedScan) -> Result<Option<Vec<Queued>>, ReadError> {
        if let Some(from) = scan.due {
            return self.next_delayed(scan, from).await.map(Some);
        }
        let Some(lane) = scan.lanes.front().cloned() else { return Ok(None) };
        // What is accepted from now on is not meant.
        let range = scan.range.get_or_insert_with(|| lane.live());
        let span = Span::new(keys::entry(lane.ticket(range.start)), keys::entry(lane.ticket(range.end)));
        let mut found = Vec::new();
        for (count, (key, value)) in self.rows.first(Table::Msg, &span, LOOK + 1).await?.into_iter().enumerate() {
            let Some(ticket) = keys::ticket(&key) else { continue };
            if count == LOOK {
                range.start = ticket.seq;
                return Ok(Some(found));
            }
            if lane.waits(ticket.seq) == Waits::Taken {
                found.extend(waiting(&lane, ticket, &value));
            }
        }
        scan.lanes.pop_front();
        scan.range = None;
        Ok(Some(found))
    }

    async fn next_delayed(&self, scan: &mut QueuedScan, from: DueKey) -> Result<Vec<Queued>, ReadError> {
        let mut found = Vec::new();
        let span = Span::new(from, keys::expiries());
        for (count, (key, value)) in self.rows.first(Table::Due, &span, LOOK + 1).await?.into_iter().enumerate() {
            let Ok(key) = DueKey::try_from(&key[..]) else { continue };
            if count == LOOK {
                scan.due = Some(key);
                return Ok(found);
            }
            let ticket = keys::ticket(&key[8..]);
            let mine = |ticket: &Ticket| {
                let lane = scan.lanes.iter().find(|lane| lane.number == ticket.lane);
                lane.is_some_and(|lane| !lane.state().is_void(*ticket))
            };
            if ticket.as_ref().is_some_and(mine) {
                found.extend(delayed(&key, &value));
            }
        }
        scan.due = None;
        Ok(found)
    }
}

/// Where a look for all that waits for a channel has got to.
#[derive(Debug)]
pub(crate) struct QueuedScan {
    /// From where in `due`, until that has been looked through.
    due: Option<DueKey>,
    lanes: VecDeque<Arc<Lane>>,
    /// What is left of the first of them, once that has been begun.
    range: Option<Range<u64>>,
}

/// An entry of an outbound lane.
fn waiting(lane: &Lane, ticket: Ticket, value: &[u8]) -> Option<Queued> {
    let (origin, tries, record) = keys::queued(ticket, value)?;
    let doubtful = lane.is_doubtful(ticket.seq, tries.possible_duplicate);
    let spot = Spot { place: Place::Entry(ticket), origin: Some(origin), expiry: None, doubtful };
    Some(Queued { message: Arc::new(serde_json::from_slice(record).ok()?), spot })
}

/// An outbound entry of `due`.
fn delayed(key: &DueKey, value: &[u8]) -> Option<Queued> {
    let ticket = keys::ticket(&key[8..])?;
    let (origin, tries, record) = keys::queued(ticket, value)?;
    let origin = keys::ordinal_of(ticket).is_none().then_some(origin);
    let spot = Spot { place: Place::Due(*key), origin, expiry: None, doubtful: tries.possible_duplicate };
    Some(Queued { message: Arc::new(serde_json::from_slice(record).ok()?), spot })
}
