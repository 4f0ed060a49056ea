//! One batch in the making: what each change writes, and what it will mean to the lanes once it is on disk.
//!
//! Numbers and counts that go to disk are taken here, on the writing thread alone; the lanes that consumers see move
//! only when the batch is durable (`Effect`).

use std::collections::HashMap;
use std::sync::Arc;

use fjall::{Database, PersistMode};

use super::keys::{self, Kind, Tries, table};
use super::lane::{Entry, Item, Lane};
use super::lanes::{ChannelLanes, Lanes};
use super::tables::{Keyspaces, ORDINAL, Table, entry};
use crate::model::Timestamp;
use crate::store::Ticket;

/// One change as the committer writes it; records are encoded by whoever makes it.
pub(super) enum Op {
    /// Appends to a lane; `id` makes the entry findable.
    Append { lane: Arc<Lane>, value: Vec<u8>, item: Item, id: Option<[u8; 16]> },
    /// Appends to a lane what is final already, with its events and the keys of the provider's ids.
    Archive { lane: Arc<Lane>, value: Vec<u8>, item: Item, id: [u8; 16], events: Vec<Vec<u8>>, correlate: Vec<Vec<u8>> },
    /// An event of an entry; final for it when its kind says so.
    Event { origin: Ticket, value: Vec<u8> },
    /// The end of an entry without an event of its own.
    Finish(Ticket),
    /// Back into the lane after a delay; `record` is set for those that wait on disk.
    Retry { ticket: Ticket, at: Timestamp, record: Option<Vec<u8>> },
    /// Puts a value.
    Put(Table, Vec<u8>, Vec<u8>),
    /// Removes a value.
    Remove(Table, Vec<u8>),
    /// Nothing of these lanes is to be done any more.
    Close(ChannelLanes),
    /// These lanes are in use again.
    Reopen(ChannelLanes),
}

impl Op {
    /// About how many octets it will write.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Append { value, .. } | Self::Event { value, .. } => value.len() + 64,
            Self::Archive { value, events, correlate, .. } => {
                let more = events.iter().chain(correlate).map(|octets| octets.len() + 64);
                value.len() + 128 + more.sum::<usize>()
            }
            Self::Retry { record, .. } => record.as_ref().map_or(32, Vec::len) + 64,
            Self::Put(_, key, value) => key.len() + value.len(),
            Self::Remove(_, key) => key.len(),
            Self::Finish(_) | Self::Close(_) | Self::Reopen(_) => 32,
        }
    }
}

/// What is to be done in memory once a batch is on disk.
enum Effect {
    Appended(Arc<Lane>, Entry),
    Resumed(Arc<Lane>, Entry, Timestamp),
    Finished(Arc<Lane>, u64),
    Delayed(Arc<Lane>, Entry, Timestamp),
    Moved(Arc<Lane>, u64),
    Closed(Arc<Lane>, u64),
    Reopened(Arc<Lane>),
}

/// Numbers the events of all messages. Never goes back, whatever the clock does: a block of numbers is reserved on disk
/// before one of them is used.
#[derive(Debug)]
pub(super) struct Ordinal {
    next: u64,
    reserved: u64,
}

/// Numbers reserved at a time.
const RESERVE: u64 = 1 << 20;

impl Ordinal {
    /// Begins at what the last run had reserved.
    pub(super) fn new(reserved: u64) -> Self {
        Self { next: reserved, reserved }
    }
}

/// The lane's marks as a draft writes them: floor, hand-outs, entries that wait on disk.
struct Marks {
    lane: Arc<Lane>,
    floor: u64,
    handed: Option<u64>,
    later: u64,
}

/// See the file's head.
pub(super) struct Draft<'a> {
    keyspaces: &'a Keyspaces,
    lanes: &'a Lanes,
    batch: fjall::OwnedWriteBatch,
    effects: Vec<Effect>,
    /// Lanes that somebody may have to be woken for.
    touched: HashMap<u32, Arc<Lane>>,
    marks: Vec<Marks>,
    pub(super) now: Timestamp,
}

impl<'a> Draft<'a> {
    pub(super) fn new(database: &Database, keyspaces: &'a Keyspaces, lanes: &'a Lanes, mode: PersistMode) -> Self {
        Self {
            keyspaces,
            lanes,
            batch: database.batch().durability(Some(mode)),
            effects: Vec::new(),
            touched: HashMap::new(),
            marks: Vec::new(),
            now: Timestamp::now(),
        }
    }

    /// Adds one change. Returns the key of a new entry of `due`, if it made one.
    pub(super) fn add(&mut self, op: Op, ordinal: &mut Ordinal) -> Option<[u8; 20]> {
        match op {
            Op::Append { lane, value, item, id } => {
                let ticket = self.append(&lane, value);
                self.appended(lane, ticket, item, id);
            }
            Op::Archive { lane, value, item, id, events, correlate } => {
                let ticket = self.append(&lane, value);
                // It ends in memory before it is there, so that nobody is ever handed it.
                self.finish(ticket);
                self.appended(lane, ticket, item, Some(id));
                for value in events {
                    let place = self.ordinal(ordinal);
                    self.batch.insert(&self.keyspaces.fate, keys::fate(ticket, place), value);
                }
                let segments = u8::try_from(correlate.len()).unwrap_or(u8::MAX);
                for key in correlate {
                    let value = keys::value(Kind::Reference, self.now, &keys::correlation(ticket, segments));
                    self.batch.insert(self.keyspaces.of(Table::Smsc), key, value);
                }
            }
            Op::Event { origin, value } => {
                if let Some((Kind::Final, _)) = keys::open(&value) {
                    self.finished(origin);
                }
                let place = self.ordinal(ordinal);
                self.batch.insert(&self.keyspaces.fate, keys::fate(origin, place), value);
            }
            Op::Finish(ticket) => self.finish(ticket),
            Op::Retry { ticket, at, record } => return self.retry(ticket, at, record.as_deref()),
            Op::Put(table, key, value) => self.batch.insert(self.keyspaces.of(table), key, value),
            Op::Remove(table, key) => self.batch.remove(self.keyspaces.of(table), key),
            Op::Close(lanes) => lanes.into_iter().for_each(|lane| self.close(lane)),
            Op::Reopen(lanes) => lanes.into_iter().for_each(|lane| self.reopen(lane)),
        }
        None
    }

    fn ordinal(&mut self, ordinal: &mut Ordinal) -> u64 {
        if ordinal.next >= ordinal.reserved {
            ordinal.reserved = ordinal.next + RESERVE;
            let key = keys::meta(table::STORE, ORDINAL);
            self.batch.insert(&self.keyspaces.meta, key, ordinal.reserved.to_be_bytes());
        }
        let place = ordinal.next;
        ordinal.next += 1;
        place
    }

    /// Gives the next number of the lane to a value.
    fn append(&mut self, lane: &Arc<Lane>, value: Vec<u8>) -> Ticket {
        let seq = {
            let mut state = lane.state();
            let seq = state.next;
            state.next += 1;
            seq
        };
        let ticket = lane.ticket(seq);
        self.batch.insert(&self.keyspaces.msg, keys::entry(ticket), value);
        self.touch(lane);
        ticket
    }

    fn appended(&mut self, lane: Arc<Lane>, ticket: Ticket, item: Item, id: Option<[u8; 16]>) {
        if let Some(id) = id {
            let value = keys::value(Kind::Record, self.now, &keys::entry(ticket));
            self.batch.insert(&self.keyspaces.id, id, value);
        }
        let entry = Entry { seq: ticket.seq, origin: ticket, item, attempts: 0, possible_duplicate: false };
        self.effects.push(Effect::Appended(lane, entry));
    }

    fn finish(&mut self, ticket: Ticket) {
        let value = keys::value(Kind::Final, self.now, &[]);
        self.batch.insert(&self.keyspaces.fate, keys::fate(ticket, keys::END), value);
        self.finished(ticket);
    }

    fn finished(&mut self, ticket: Ticket) {
        if let Some(lane) = self.lanes.numbered(ticket.lane) {
            lane.settle(ticket.seq);
            self.touch(&lane);
            self.effects.push(Effect::Finished(lane, ticket.seq));
        }
    }

    fn retry(&mut self, ticket: Ticket, at: Timestamp, record: Option<&[u8]>) -> Option<[u8; 20]> {
        let lane = self.lanes.numbered(ticket.lane)?;
        // What nobody has in hand any more is live already, or has ended.
        let mut entry = lane.settle(ticket.seq)?;
        self.touch(&lane);
        entry.attempts = entry.attempts.saturating_add(1);
        let Some(record) = record else {
            let tried = keys::value(Kind::Attempts, self.now, &entry.attempts.to_be_bytes());
            self.batch.insert(&self.keyspaces.fate, keys::fate(ticket, keys::ATTEMPTS), tried);
            self.effects.push(Effect::Delayed(lane, entry, at));
            return None;
        };
        let tries = Tries { attempts: entry.attempts, possible_duplicate: entry.possible_duplicate };
        let content = keys::reference(entry.origin, tries, record);
        let key = keys::due(at, ticket);
        self.batch.insert(&self.keyspaces.due, key, keys::value(Kind::Reference, self.now, &content));
        let moved = keys::value(Kind::Moved, self.now, &[]);
        self.batch.insert(&self.keyspaces.fate, keys::fate(ticket, keys::END), moved);
        lane.state().later_drafted += 1;
        self.effects.push(Effect::Moved(lane, ticket.seq));
        Some(key)
    }

    /// An entry of `due` goes back into its lane, unless its channel was deleted meanwhile.
    pub(super) fn resume(&mut self, key: &[u8], value: &[u8]) {
        self.batch.remove(&self.keyspaces.due, key.to_vec());
        let place = key.get(8..).and_then(keys::ticket);
        let lane = place.and_then(|ticket| Some((self.lanes.numbered(ticket.lane)?, ticket)));
        let Some((lane, was)) = lane.filter(|(lane, was)| was.seq >= lane.state().void) else { return };
        let mut state = lane.state();
        state.later_drafted = state.later_drafted.saturating_sub(1);
        let ticket = lane.ticket(state.next);
        drop(state);
        let at = key.first_chunk().copied().map_or(self.now.0, i64::from_be_bytes);
        match entry(lane.outbound, ticket, value) {
            Some(entry) => {
                // As if written now, for its retention.
                let content = keys::open(value).map_or(&[][..], |(_, content)| content);
                self.append(&lane, keys::value(Kind::Reference, self.now, content));
                self.effects.push(Effect::Resumed(lane, entry, Timestamp(at)));
            }
            None => tracing::error!(lane = &*lane.name, ?was, "a delayed entry cannot be read and is passed over"),
        }
    }

    fn close(&mut self, lane: Arc<Lane>) {
        let void = {
            let mut state = lane.state();
            state.void = state.next;
            state.later_drafted = 0;
            state.void
        };
        // The number of a lane that has never had an entry is not on disk either, and may come to mean another lane.
        if void > 0 {
            self.put_void(&lane, void, true);
        }
        self.touch(&lane);
        self.effects.push(Effect::Closed(lane, void));
    }

    fn reopen(&mut self, lane: Arc<Lane>) {
        let void = lane.state().void;
        if void > 0 {
            self.put_void(&lane, void, false);
        }
        self.touch(&lane);
        self.effects.push(Effect::Reopened(lane));
    }

    fn put_void(&mut self, lane: &Lane, void: u64, closed: bool) {
        let key = keys::meta(table::VOID, &lane.number.to_be_bytes());
        let value = [&void.to_be_bytes()[..], &[u8::from(closed)]].concat();
        self.batch.insert(&self.keyspaces.meta, key, value);
    }

    /// Writes to every table, so that none pins old journals.
    pub(super) fn heartbeat(&mut self) {
        for keyspace in self.keyspaces.all() {
            self.batch.insert(keyspace, keys::HEARTBEAT, keys::value(Kind::Attempts, self.now, &[]));
        }
    }

    fn touch(&mut self, lane: &Arc<Lane>) {
        self.touched.entry(lane.number).or_insert_with(|| lane.clone());
    }

    /// Marks of the lanes that this batch is about, or of all, ride along.
    pub(super) fn mark(&mut self, all: bool) {
        let lanes = if all { self.lanes.all() } else { self.touched.values().cloned().collect() };
        for lane in lanes {
            self.mark_lane(lane);
        }
    }

    fn mark_lane(&mut self, lane: Arc<Lane>) {
        let state = lane.state();
        // A lane that has never had an entry is not worth a record.
        if !state.saved && state.next == 0 {
            return;
        }
        let number = lane.number.to_be_bytes();
        let meta = &self.keyspaces.meta;
        let (saved, floor, later) = (state.saved, state.floor, state.later_drafted);
        let handed = state.handed_mark().filter(|_| lane.outbound);
        let (floor_saved, later_saved) = (state.floor_saved, state.later_saved);
        drop(state);
        if !saved {
            self.batch.insert(meta, keys::meta(table::LANE, &number), lane.name.as_bytes());
        }
        let marks = [
            (table::FLOOR, (floor > floor_saved).then_some(floor)),
            (table::HANDED, handed),
            (table::LATER, (later != later_saved).then_some(later)),
        ];
        for (table, mark) in marks {
            if let Some(mark) = mark {
                self.batch.insert(meta, keys::meta(table, &number), mark.to_be_bytes());
            }
        }
        self.marks.push(Marks { lane, floor, handed, later });
    }

    /// Makes it durable; only then the lanes move and those who wait for them are woken.
    pub(super) fn commit(self) -> fjall::Result<()> {
        if !self.batch.is_empty() {
            self.batch.commit()?;
        }
        for Marks { lane, floor, handed, later } in self.marks {
            let mut state = lane.state();
            state.saved = true;
            state.floor_saved = state.floor_saved.max(floor);
            state.handed_saved = handed.unwrap_or(state.handed_saved);
            state.later_saved = later;
        }
        for effect in self.effects {
            match effect {
                Effect::Appended(lane, entry) => lane.appended(entry),
                Effect::Resumed(lane, entry, at) => lane.resumed(entry, at),
                Effect::Finished(lane, seq) => lane.finish(seq),
                Effect::Delayed(lane, entry, at) => lane.delay(entry, at),
                Effect::Moved(lane, seq) => lane.moved(seq),
                Effect::Closed(lane, void) => lane.close(void),
                Effect::Reopened(lane) => lane.reopen(),
            }
        }
        self.touched.values().for_each(|lane| self.lanes.wake(lane));
        Ok(())
    }
}
