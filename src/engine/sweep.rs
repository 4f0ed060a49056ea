//! Retention of queue entries, events, ids, MOs and parked callbacks: what is past it is removed, a little at a time
//! and away from the message path, but as fast as it comes: a pass that found much says that the next is not to wait.
//!
//! A queue entry goes only when it is past its retention *and* below its lane's floor on disk, with its fates and its
//! id; an entry that still waits is kept however old it is. Positions are remembered, so that no pass looks through
//! what an earlier one removed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::draft::Op;
use super::keys::{self, table};
use super::lane::Lane;
use super::lanes::Lanes;
use super::order::{Id, Order, has_alias, leads_to};
use super::retention::oldest;
use super::rows::{Rows, Span, Table};
use crate::model::{MessageId, Timestamp};
use crate::store::{ReadError, Ticket};

/// Most queue entries removed in one pass.
const MAX_ENTRIES: usize = 2_048;
/// Entries read at once: mostly the first is young.
const BLOCK: usize = 64;
/// See [`Sweeper::next`].
const OTHERS: Duration = Duration::from_secs(5);
/// See [`Strays::rest`].
const REST: Duration = Duration::from_secs(600);
/// Most MOs, and most parked callbacks, looked at in one pass.
const MAX_OTHERS: usize = 512;
/// So many old ones of those in one pass are a reason for the next: less than a sixteenth of what is looked at is old where
/// looking takes its time.
const MANY: usize = MAX_OTHERS / 16;

/// See the file's head.
pub(super) struct Sweeper {
    rows: Rows,
    lanes: Arc<Lanes>,
    keep: Duration,
    /// Per lane: nothing is left below.
    swept: HashMap<u32, u64>,
    /// Per lane: when the first entry that is left was written.
    young: HashMap<u32, u32>,
    /// Where the last pass over the MOs ended.
    inbound: Vec<u8>,
    /// Where the last pass over the parked callbacks ended.
    parked: Vec<u8>,
    /// Tables whose old rows do not go by themselves.
    strays: [Strays; 2],
    /// Where reading costs a round trip, all but queue entries are looked at only then.
    next: Instant,
    /// See [`Sweeper::is_behind`].
    behind: bool,
}

/// Where a look through a table that has no order of time has got to.
struct Strays {
    table: Table,
    cursor: u64,
    /// Whether anything was removed since it began.
    removed: bool,
    /// From one look that removed nothing to the next.
    rest: Instant,
}

impl Strays {
    fn of(table: Table) -> Self {
        Self { table, cursor: 0, removed: false, rest: Instant::now() }
    }
}

/// The part of a message's record that is needed.
#[derive(Deserialize)]
pub(super) struct Identified {
    pub(super) id: MessageId,
    #[serde(alias = "received_at")]
    pub(super) accepted_at: Timestamp,
}

impl Identified {
    fn id(&self) -> Id {
        Id::new(self.id, self.accepted_at)
    }
}

impl Sweeper {
    pub(super) fn new(rows: Rows, lanes: Arc<Lanes>, keep: Duration) -> Self {
        Self {
            rows,
            lanes,
            keep,
            swept: HashMap::new(),
            young: HashMap::new(),
            inbound: Vec::new(),
            parked: Vec::new(),
            strays: [Table::Smsc, Table::Phone].map(Strays::of),
            next: Instant::now(),
            behind: false,
        }
    }

    /// Whether the last pass has left more behind that is old, as far as it can tell.
    pub(super) const fn is_behind(&self) -> bool {
        self.behind
    }

    /// What is to be removed now; a bounded number of changes.
    pub(super) async fn pass(&mut self, now: Timestamp) -> Result<Vec<Op>, ReadError> {
        let oldest = oldest(now, self.keep);
        let mut ops = Vec::new();
        let mut room = MAX_ENTRIES;
        for lane in self.lanes.all() {
            room -= self.lane(&lane, oldest, room, &mut ops).await?;
            if room == 0 {
                break;
            }
        }
        self.behind = room == 0;
        if self.rows.is_at_hand() || self.next <= Instant::now() {
            self.next = Instant::now() + OTHERS;
            let before = ops.len();
            self.mos(oldest, &mut ops).await?;
            let mos = ops.len() - before;
            self.parked(oldest, &mut ops).await?;
            let strays = self.strays(oldest, &mut ops).await?;
            if mos.max(strays) >= MANY {
                self.next = Instant::now();
                self.behind = true;
            }
        }
        Ok(ops)
    }

    /// Returns how many entries it removes.
    async fn lane(&mut self, lane: &Lane, oldest: u32, room: usize, ops: &mut Vec<Op>) -> Result<usize, ReadError> {
        let floor = lane.state().floor_saved;
        let from = self.swept.get(&lane.number).copied().unwrap_or_default();
        if from >= floor || self.young.get(&lane.number).is_some_and(|written| *written >= oldest) {
            return Ok(0);
        }
        let mut span = Span::new(keys::entry(lane.ticket(from)), keys::entry(lane.ticket(floor)));
        let (mut removed, mut to) = (0, floor);
        'all: loop {
            let block = self.rows.first(Table::Msg, &span, BLOCK).await?;
            let is_last = block.len() < BLOCK;
            for (key, value) in block {
                span = span.behind(&key);
                let Some(Ticket { seq, .. }) = keys::ticket(&key) else { continue };
                let young = keys::written(&value).filter(|written| *written >= oldest);
                if let Some(written) = young {
                    self.young.insert(lane.number, written);
                }
                if removed == room || young.is_some() {
                    to = seq;
                    break 'all;
                }
                removed += 1;
                let message = if lane.outbound { keys::read::<Identified>(&value) } else { None };
                if let Some(id) = message.map(|message| message.id()) {
                    ops.push(Op::Remove(Table::Id, id.order.to_vec()));
                    if let Some(alias) = id.alias
                        && leads_to(&self.rows, Table::Id, &alias, &id.order).await?
                    {
                        ops.push(Op::Remove(Table::Id, alias.to_vec()));
                    }
                }
                ops.push(Op::Remove(Table::Msg, key));
            }
            if is_last {
                break;
            }
        }
        let fates = Span::new(keys::fate(lane.ticket(from), 0), keys::fate(lane.ticket(to), 0));
        let fates = self.rows.all(Table::Fate, fates).await?;
        ops.extend(fates.into_iter().map(|(key, _)| Op::Remove(Table::Fate, key)));
        self.swept.insert(lane.number, to);
        Ok(removed)
    }

    /// A channel's MOs lie in the order of time, their aliases behind them: the first that is young, or no MO, ends the channel.
    async fn mos(&mut self, oldest: u32, ops: &mut Vec<Op>) -> Result<(), ReadError> {
        for _ in 0..MAX_OTHERS {
            let next = self.rows.first(Table::Inbound, &Span::since(&self.inbound[..]), 1).await?;
            let Some((key, value)) = next.into_iter().next() else {
                self.inbound.clear();
                return Ok(());
            };
            self.inbound.clone_from(&key);
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
                if leads_to(&self.rows, Table::Inbound, &alias, &order).await? {
                    ops.push(Op::Remove(Table::Inbound, alias));
                }
            }
            ops.push(Op::Remove(Table::Inbound, key));
            self.inbound.push(0);
        }
        Ok(())
    }

    /// What lies in no order of time is looked through, again and again where that finds something; how much, in the table
    /// where it is most.
    async fn strays(&mut self, oldest: u32, ops: &mut Vec<Op>) -> Result<usize, ReadError> {
        let mut most = 0;
        for strays in &mut self.strays {
            if strays.rest > Instant::now() {
                continue;
            }
            let Some((cursor, rows)) = self.rows.scan(strays.table, strays.cursor, MAX_OTHERS).await? else { continue };
            let old =
                rows.into_iter().filter(|(_, value)| keys::written(value).is_some_and(|written| written < oldest));
            let before = ops.len();
            ops.extend(old.map(|(key, _)| Op::Remove(strays.table, key)));
            strays.removed |= ops.len() > before;
            most = most.max(ops.len() - before);
            strays.cursor = cursor;
            if cursor == 0 && !std::mem::take(&mut strays.removed) {
                strays.rest = Instant::now() + REST.min(self.keep);
            }
        }
        Ok(most)
    }

    async fn parked(&mut self, oldest: u32, ops: &mut Vec<Op>) -> Result<(), ReadError> {
        let prefix = keys::meta(table::PARKED, &[]);
        let from = if self.parked.is_empty() { prefix.clone() } else { std::mem::take(&mut self.parked) };
        let span = Span { from, ..Span::of(prefix) };
        for (count, (key, value)) in self.rows.first(Table::Meta, &span, MAX_OTHERS + 1).await?.into_iter().enumerate()
        {
            if count == MAX_OTHERS {
                self.parked = key;
                break;
            }
            if keys::written(&value).is_some_and(|written| written < oldest) {
                ops.push(Op::Remove(Table::Meta, key));
            }
        }
        Ok(())
    }
}
