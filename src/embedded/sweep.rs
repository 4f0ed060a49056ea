//! Retention of queue entries, events, ids, MOs and parked callbacks: what is past it is removed, a little at a time
//! and away from the message path.
//!
//! A queue entry goes only when it is past its retention *and* below its lane's floor on disk, with its fates and its
//! id; an entry that still waits is kept however old it is. Positions are remembered, so that no pass looks through
//! what an earlier one removed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::draft::Op;
use super::keys::{self, table};
use super::lane::Lane;
use super::lanes::Lanes;
use super::order::{Id, Order, has_alias, leads_to};
use super::retention::oldest;
use super::tables::{Keyspaces, Table, unreadable};
use crate::model::{MessageId, Timestamp};
use crate::store::{ReadError, Ticket};

/// Most queue entries removed in one pass.
const MAX_ENTRIES: usize = 2_048;
/// Most MOs, and most parked callbacks, looked at in one pass.
const MAX_OTHERS: usize = 512;

/// See the file's head.
pub(super) struct Sweeper {
    keyspaces: Keyspaces,
    lanes: Arc<Lanes>,
    keep: Duration,
    /// Per lane: nothing is left below.
    swept: HashMap<u32, u64>,
    /// Where the last pass over the MOs ended.
    inbound: Vec<u8>,
    /// Where the last pass over the parked callbacks ended.
    parked: Vec<u8>,
}

/// The part of a message's record that is needed.
#[derive(Deserialize)]
struct Identified {
    id: MessageId,
    #[serde(alias = "received_at")]
    accepted_at: Timestamp,
}

impl Identified {
    fn id(&self) -> Id {
        Id::new(self.id, self.accepted_at)
    }
}

impl Sweeper {
    pub(super) fn new(keyspaces: Keyspaces, lanes: Arc<Lanes>, keep: Duration) -> Self {
        Self { keyspaces, lanes, keep, swept: HashMap::new(), inbound: Vec::new(), parked: Vec::new() }
    }

    /// What is to be removed now; a bounded number of changes.
    pub(super) fn pass(&mut self, now: Timestamp) -> Result<Vec<Op>, ReadError> {
        let oldest = oldest(now, self.keep);
        let mut ops = Vec::new();
        let mut room = MAX_ENTRIES;
        for lane in self.lanes.all() {
            room -= self.lane(&lane, oldest, room, &mut ops)?;
            if room == 0 {
                break;
            }
        }
        self.mos(oldest, &mut ops)?;
        self.parked(oldest, &mut ops)?;
        Ok(ops)
    }

    /// Returns how many entries it removes.
    fn lane(&mut self, lane: &Lane, oldest: u32, room: usize, ops: &mut Vec<Op>) -> Result<usize, ReadError> {
        let floor = lane.state().floor_saved;
        let from = self.swept.get(&lane.number).copied().unwrap_or_default();
        if from >= floor {
            return Ok(0);
        }
        let key = |seq| keys::entry(lane.ticket(seq)).to_vec();
        let (mut removed, mut to) = (0, floor);
        for guard in self.keyspaces.msg.range(key(from)..key(floor)) {
            let (key, value) = guard.into_inner().map_err(|error| unreadable(&error))?;
            let Some(Ticket { seq, .. }) = keys::ticket(&key) else { continue };
            if removed == room || keys::written(&value).is_some_and(|written| written >= oldest) {
                to = seq;
                break;
            }
            removed += 1;
            let message = if lane.outbound { keys::read::<Identified>(&value) } else { None };
            if let Some(id) = message.map(|message| message.id()) {
                ops.push(Op::Remove(Table::Id, id.order.to_vec()));
                if let Some(alias) = id.alias
                    && leads_to(&self.keyspaces.id, &alias, &id.order)?
                {
                    ops.push(Op::Remove(Table::Id, alias.to_vec()));
                }
            }
            ops.push(Op::Remove(Table::Msg, key.to_vec()));
        }
        let bounds = keys::fate(lane.ticket(from), 0).to_vec()..keys::fate(lane.ticket(to), 0).to_vec();
        for guard in self.keyspaces.fate.range(bounds) {
            let key = guard.key().map_err(|error| unreadable(&error))?;
            ops.push(Op::Remove(Table::Fate, key.to_vec()));
        }
        self.swept.insert(lane.number, to);
        Ok(removed)
    }

    /// A channel's MOs lie in the order of time, their aliases behind them: the first that is young, or no MO, ends the channel.
    fn mos(&mut self, oldest: u32, ops: &mut Vec<Op>) -> Result<(), ReadError> {
        for _ in 0..MAX_OTHERS {
            let Some(guard) = self.keyspaces.inbound.range(self.inbound.clone()..).next() else {
                self.inbound.clear();
                return Ok(());
            };
            let (key, value) = guard.into_inner().map_err(|error| unreadable(&error))?;
            self.inbound = key.to_vec();
            let Some(end) = self.inbound.iter().position(|octet| *octet == 0).filter(|end| *end > 0) else {
                // The heartbeat.
                self.inbound.push(0);
                continue;
            };
            let (channel, order) = key.split_at(end + 1);
            let order = Order::try_from(order).ok();
            let Some(order) = order.filter(|_| keys::written(&value).is_some_and(|written| written < oldest)) else {
                self.inbound.truncate(end);
                self.inbound.push(1);
                continue;
            };
            if has_alias(&order)
                && let Some(alias) = keys::read::<Identified>(&value).and_then(|message| message.id().alias)
            {
                let alias = [channel, &alias].concat();
                if leads_to(&self.keyspaces.inbound, &alias, &order)? {
                    ops.push(Op::Remove(Table::Inbound, alias));
                }
            }
            ops.push(Op::Remove(Table::Inbound, key.to_vec()));
            self.inbound.push(0);
        }
        Ok(())
    }

    fn parked(&mut self, oldest: u32, ops: &mut Vec<Op>) -> Result<(), ReadError> {
        let prefix = keys::meta(table::PARKED, &[]);
        let from = if self.parked.is_empty() { prefix.clone() } else { std::mem::take(&mut self.parked) };
        for (count, guard) in self.keyspaces.meta.range(from..).enumerate() {
            let (key, value) = guard.into_inner().map_err(|error| unreadable(&error))?;
            if !key.starts_with(&prefix) {
                break;
            }
            if count == MAX_OTHERS {
                self.parked = key.to_vec();
                break;
            }
            if keys::written(&value).is_some_and(|written| written < oldest) {
                ops.push(Op::Remove(Table::Meta, key.to_vec()));
            }
        }
        Ok(())
    }
}
