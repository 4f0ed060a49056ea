//! MTs that wait in their queues, wherever: found for whoever wants to take one, or all of a channel's, out of them.
//!
//! Looking decides nothing. Whether an MT still waits is asked again when its withdrawal is written, on the writing
//! thread, which is also where it is handed out from no more.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::Embedded;
use super::keys::{self, DueKey, END, Kind, Place};
use super::lane::{Lane, Waits};
use super::tables::{get, unreadable};
use crate::model::{ChannelId, MessageId, Outbound, Priority};
use crate::store::{Queued, ReadError, Ticket};

/// Most records looked at in one go.
const LOOK: usize = 2_048;
/// Most MTs returned by one.
const FOUND: usize = 512;

/// Where an MT waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    pub(super) place: Place,
    /// Where its events are kept, once it has had a place in its lane.
    pub(super) origin: Option<Ticket>,
    /// The note of its expiry, if that is why it was found.
    pub(super) expiry: Option<DueKey>,
}

impl Spot {
    pub(super) fn entry(ticket: Ticket, origin: Ticket) -> Self {
        Self { place: Place::Entry(ticket), origin: Some(origin), expiry: None }
    }

    fn due(key: DueKey, origin: Option<Ticket>) -> Self {
        Self { place: Place::Due(key), origin, expiry: None }
    }

    pub(super) fn expired(self, key: DueKey) -> Self {
        Self { expiry: Some(key), ..self }
    }
}

impl Embedded {
    /// An entry of an outbound lane: where it first was, and its message.
    pub(super) fn entry(&self, ticket: Ticket) -> Result<Option<(Ticket, Arc<Outbound>)>, ReadError> {
        let value = get(&self.keyspaces.msg, &keys::entry(ticket))?;
        Ok(value.and_then(|value| waiting(ticket, &value)))
    }

    /// An MT that waits in its queue, by our id.
    pub(crate) fn queued(&self, id: MessageId) -> Result<Option<Queued>, ReadError> {
        let Some(found) = get(&self.keyspaces.id, &keys::id(id))? else { return Ok(None) };
        let mut place = keys::open(&found).and_then(|(_, content)| keys::place(content));
        // From its first place to where it waits now, if it has left that for a long delay.
        while let Some(at) = place {
            let queued = match at {
                Place::Due(key) => self.delayed(&key)?,
                Place::Entry(ticket) if self.waits(ticket) => {
                    self.entry(ticket)?.map(|(origin, message)| Queued { message, spot: Spot::entry(ticket, origin) })
                }
                Place::Entry(_) => None,
            };
            if queued.is_some() {
                return Ok(queued);
            }
            place = match at {
                Place::Entry(ticket) => self.moved_to(ticket)?.filter(|next| *next != at),
                Place::Due(_) => None,
            };
        }
        Ok(None)
    }

    fn waits(&self, ticket: Ticket) -> bool {
        self.lanes.numbered(ticket.lane).is_some_and(|lane| lane.waits(ticket.seq) == Waits::Taken)
    }

    /// Where an entry has gone that left its place for a long delay.
    fn moved_to(&self, ticket: Ticket) -> Result<Option<Place>, ReadError> {
        let end = get(&self.keyspaces.fate, &keys::fate(ticket, END))?;
        Ok(end.and_then(|end| match keys::open(&end)? {
            (Kind::Moved, content) => keys::place(content),
            _ => None,
        }))
    }

    /// What waits in `due`.
    fn delayed(&self, key: &DueKey) -> Result<Option<Queued>, ReadError> {
        let value = get(&self.keyspaces.due, key)?;
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
    pub(crate) fn next_queued(&self, scan: &mut QueuedScan) -> Result<Option<Vec<Queued>>, ReadError> {
        if let Some(from) = scan.due {
            return self.next_delayed(scan, from).map(Some);
        }
        let Some(lane) = scan.lanes.front().cloned() else { return Ok(None) };
        // What is accepted from now on is not meant.
        let range = scan.range.get_or_insert_with(|| lane.live());
        let bounds = keys::entry(lane.ticket(range.start)).to_vec()..keys::entry(lane.ticket(range.end)).to_vec();
        let mut found = Vec::new();
        for (count, guard) in self.keyspaces.msg.range(bounds).enumerate() {
            let (key, value) = guard.into_inner().map_err(|error| unreadable(&error))?;
            let Some(ticket) = keys::ticket(&key) else { continue };
            if count == LOOK || found.len() == FOUND {
                range.start = ticket.seq;
                return Ok(Some(found));
            }
            if lane.waits(ticket.seq) == Waits::Taken
                && let Some((origin, message)) = waiting(ticket, &value)
            {
                found.push(Queued { message, spot: Spot::entry(ticket, origin) });
            }
        }
        scan.lanes.pop_front();
        scan.range = None;
        Ok(Some(found))
    }

    fn next_delayed(&self, scan: &mut QueuedScan, from: DueKey) -> Result<Vec<Queued>, ReadError> {
        let mut found = Vec::new();
        for (count, guard) in self.keyspaces.due.range(from.to_vec()..keys::expiries().to_vec()).enumerate() {
            let (key, value) = guard.into_inner().map_err(|error| unreadable(&error))?;
            let Ok(key) = DueKey::try_from(&key[..]) else { continue };
            if count == LOOK || found.len() == FOUND {
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

/// An outbound entry's origin and message.
fn waiting(ticket: Ticket, value: &[u8]) -> Option<(Ticket, Arc<Outbound>)> {
    let (origin, _, record) = keys::queued(ticket, value)?;
    Some((origin, Arc::new(serde_json::from_slice(record).ok()?)))
}

/// An outbound entry of `due`.
fn delayed(key: &DueKey, value: &[u8]) -> Option<Queued> {
    let ticket = keys::ticket(&key[8..])?;
    let (origin, message) = waiting(ticket, value)?;
    let origin = keys::ordinal_of(ticket).is_none().then_some(origin);
    Some(Queued { message, spot: Spot::due(*key, origin) })
}
