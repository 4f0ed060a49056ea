//! One batch in the making: what each change writes, and what it will mean to the lanes once it is on disk.
//!
//! Numbers and counts that go to disk are taken here, on the writing thread alone; the lanes that consumers see move
//! only when the batch is durable (`Effect`).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::keys::{self, DueKey, Kind, Place, Tries, table};
use super::lane::{Entry, Item, Lane, Waits};
use super::lanes::{ChannelLanes, Lanes};
use super::order::{Id, leads_to};
use super::records::{ORDINAL, entry};
use super::rows::{Row, Rows, Table};
use crate::model::Timestamp;
use crate::store::{ReadError, Tally, Ticket};

/// One change as the committer writes it; records are encoded by whoever makes it.
pub(super) enum Op {
    /// Appends to a lane; `id` makes the entry findable.
    Append { lane: Arc<Lane>, value: Vec<u8>, item: Item, id: Option<Id> },
    /// Appends to a lane what is final already, with its events and the keys of the provider's ids.
    Archive { lane: Arc<Lane>, value: Vec<u8>, id: Id, events: Vec<Vec<u8>>, correlate: Vec<Vec<u8>> },
    /// Appends to a lane what has waited elsewhere, with what became of it and the tries that it has had; until `until` it
    /// waits on disk.
    Restore {
        lane: Arc<Lane>,
        value: Vec<u8>,
        item: Item,
        id: Option<Id>,
        events: Vec<Vec<u8>>,
        tries: Tries,
        until: Option<Timestamp>,
    },
    /// Keeps a callback aside that was given up elsewhere.
    Park { lane: Arc<Lane>, value: Vec<u8>, parked: Vec<u8> },
    /// Waits on disk until `at`, and only then gets its place in the lane.
    Schedule { lane: Arc<Lane>, value: Vec<u8>, id: Id, at: Timestamp },
    /// Takes an MT out of its queue with its last event, unless it is in hand or has left; nothing is written then.
    Withdraw(Box<Withdrawal>),
    /// An entry's time is over: forgotten if the entry has left, looked at again soon if it is in hand.
    Expired { key: DueKey, ticket: Ticket },
    /// Forgets a parked callback; the same, appended to its lane, is owed again, if it was still parked.
    Unpark { ticket: Ticket, again: Option<(Arc<Lane>, Vec<u8>, Item)> },
    /// The mark of what may have been handed out is wanted.
    Mark(Arc<Lane>),
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
    /// What other nodes have left is to be taken.
    Deposits,
}

/// An MT that is to leave its queue without its channel.
pub(super) struct Withdrawal {
    /// Where it waits.
    pub(super) place: Place,
    /// Where its events are kept, if it has had a place.
    pub(super) origin: Option<Ticket>,
    /// Its record, for one that has had none.
    pub(super) record: Vec<u8>,
    pub(super) id: Id,
    /// The event.
    pub(super) event: Vec<u8>,
    /// The lane, the record and the request, of each that its sender is owed.
    pub(super) callbacks: Vec<(Arc<Lane>, Vec<u8>, Item)>,
    /// The key under which its time was noted, when that is why it leaves.
    pub(super) expiry: Option<DueKey>,
    /// Whether its event says that it may have been sent.
    pub(super) doubtful: bool,
    pub(super) tally: Tally,
}

impl Op {
    /// About how many octets it will write.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Append { value, .. } | Self::Event { value, .. } | Self::Schedule { value, .. } => value.len() + 64,
            Self::Archive { value, events, correlate, .. } => {
                let more = events.iter().chain(correlate).map(|octets| octets.len() + 64);
                value.len() + 128 + more.sum::<usize>()
            }
            Self::Restore { value, events, .. } => {
                2 * value.len() + 128 + events.iter().map(|event| event.len() + 64).sum::<usize>()
            }
            Self::Park { value, parked, .. } => value.len() + parked.len() + 128,
            Self::Withdraw(withdrawal) => {
                let callbacks: usize = withdrawal.callbacks.iter().map(|(_, record, _)| record.len()).sum();
                withdrawal.record.len() + withdrawal.event.len() + callbacks + 128
            }
            Self::Retry { record, .. } => record.as_ref().map_or(32, Vec::len) + 64,
            Self::Unpark { again, .. } => again.as_ref().map_or(0, |(_, value, _)| value.len()) + 64,
            Self::Put(_, key, value) => key.len() + value.len(),
            Self::Remove(_, key) => key.len(),
            Self::Finish(_)
            | Self::Expired { .. }
            | Self::Mark(_)
            | Self::Close(_)
            | Self::Reopen(_)
            | Self::Deposits => 32,
        }
    }
}

/// What is to be done in memory once a batch is on disk.
enum Effect {
    Appended(Arc<Lane>, Entry),
    Resumed(Arc<Lane>, Entry, Timestamp),
    Scheduled(Arc<Lane>),
    Placed(Arc<Lane>, Entry),
    Ended(Arc<Lane>, u64),
    Archived(Arc<Lane>, u64),
    Restored(Arc<Lane>, u64, Tries),
    Unscheduled(Arc<Lane>),
    Finished(Arc<Lane>, u64),
    Withdrawn(Arc<Lane>, u64),
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
    /// And what had been handed out by then.
    handed: Option<(u64, u64)>,
    later: u64,
}

/// See the file's head.
pub(super) struct Draft<'a> {
    pub(super) rows: &'a Rows,
    pub(super) lanes: &'a Lanes,
    batch: Vec<Row>,
    effects: Vec<Effect>,
    /// Lanes that somebody may have to be woken for.
    touched: HashMap<u32, Arc<Lane>>,
    marks: Vec<Marks>,
    /// Entries of `due` that this draft removes: reads still find them.
    undue: HashSet<DueKey>,
    /// Parked callbacks that it removes, likewise.
    unparked: HashSet<Ticket>,
    first: FirstDue,
    /// Whether what other nodes have left is to be taken, too.
    pub(super) deposits: bool,
    pub(super) now: Timestamp,
}

/// The first keys that a draft has put into `due`.
#[derive(Debug, Default)]
pub(super) struct FirstDue {
    pub(super) entry: Option<DueKey>,
    pub(super) expiry: Option<DueKey>,
}

/// How soon an MT that has expired in its channel's hands is looked at again, should it come back.
const EXPIRED_IN_HAND: Duration = Duration::from_secs(2);

impl<'a> Draft<'a> {
    pub(super) fn new(rows: &'a Rows, lanes: &'a Lanes) -> Self {
        Self {
            rows,
            lanes,
            batch: Vec::new(),
            effects: Vec::new(),
            touched: HashMap::new(),
            marks: Vec::new(),
            undue: HashSet::new(),
            unparked: HashSet::new(),
            first: FirstDue::default(),
            deposits: false,
            now: Timestamp::now(),
        }
    }

    /// Adds one change.
    ///
    /// # Errors
    /// When what it depends on cannot be read.
    pub(super) async fn add(&mut self, op: Op, ordinal: &mut Ordinal) -> Result<(), ReadError> {
        match op {
            Op::Append { lane, value, item, id } => self.append_item(lane, value, item, id),
            Op::Archive { lane, value, id, events, correlate } => {
                let ticket = self.append(&lane, value);
                let end = keys::value(Kind::Final, self.now, &[]);
                self.put(Table::Fate, keys::fate(ticket, keys::END), end);
                self.effects.push(Effect::Archived(lane, ticket.seq));
                events.into_iter().for_each(|event| self.told(ticket, event, ordinal));
                // Whoever finds it finds what became of it.
                self.put_id(id, &keys::entry(ticket));
                let segments = u8::try_from(correlate.len()).unwrap_or(u8::MAX);
                for key in correlate {
                    let value = keys::value(Kind::Reference, self.now, &keys::correlation(ticket, segments));
                    self.put(Table::Smsc, key, value);
                }
            }
            Op::Restore { lane, value, item, id, events, tries, until } => {
                let ticket = self.append(&lane, value.clone());
                events.into_iter().for_each(|event| self.told(ticket, event, ordinal));
                id.into_iter().for_each(|id| self.put_id(id, &keys::entry(ticket)));
                match until {
                    Some(until) => self.restore_due(lane, ticket, tries, until, &value),
                    None => self.restore(lane, ticket, tries, &item),
                }
            }
            Op::Park { lane, value, parked } => {
                let ticket = self.append(&lane, value);
                self.put(Table::Fate, keys::fate(ticket, keys::END), keys::value(Kind::Final, self.now, &[]));
                self.put(Table::Meta, keys::meta(table::PARKED, &keys::entry(ticket)), parked);
                self.effects.push(Effect::Archived(lane, ticket.seq));
            }
            Op::Schedule { lane, value, id, at } => {
                let ticket = keys::unplaced(lane.number, self.ordinal(ordinal));
                let key = keys::due(at, ticket);
                self.put_due(key, value);
                self.put_id(id, &key);
                self.name(&lane);
                lane.state().later_drafted += 1;
                self.touch(&lane);
                self.effects.push(Effect::Scheduled(lane));
            }
            Op::Withdraw(withdrawal) => self.withdraw(*withdrawal, ordinal).await?,
            Op::Expired { key, ticket } => match self.lanes.numbered(ticket.lane).map(|lane| lane.waits(ticket.seq)) {
                Some(Waits::Taken | Waits::InHand) => self.expires_later(key, ticket),
                Some(Waits::Gone) | None => self.remove_due(key),
            },
            Op::Unpark { ticket, again } => self.unpark(ticket, again).await?,
            Op::Mark(lane) => self.touch(&lane),
            Op::Event { origin, value } => {
                if let Some((Kind::Final, _)) = keys::open(&value) {
                    self.finished(origin);
                }
                self.told(origin, value, ordinal);
            }
            Op::Finish(ticket) => {
                let value = keys::value(Kind::Final, self.now, &[]);
                self.put(Table::Fate, keys::fate(ticket, keys::END), value);
                self.finished(ticket);
            }
            Op::Retry { ticket, at, record } => self.retry(ticket, at, record.as_deref()),
            Op::Put(table, key, value) => self.put(table, key, value),
            Op::Remove(table, key) => self.remove(table, key),
            Op::Close(lanes) => lanes.into_iter().for_each(|lane| self.close(lane, ordinal.next)),
            Op::Reopen(lanes) => lanes.into_iter().for_each(|lane| self.reopen(lane)),
            Op::Deposits => self.deposits = true,
        }
        Ok(())
    }

    pub(super) fn put(&mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.batch.push(Row { table, key: key.into(), value: Some(value.into()) });
    }

    pub(super) fn remove(&mut self, table: Table, key: impl Into<Vec<u8>>) {
        self.batch.push(Row { table, key: key.into(), value: None });
    }

    fn append_item(&mut self, lane: Arc<Lane>, value: Vec<u8>, item: Item, id: Option<Id>) {
        let ticket = self.append(&lane, value);
        if let Some(id) = id {
            self.put_id(id, &keys::entry(ticket));
        }
        self.expires(&item, ticket);
        let entry = Entry { seq: ticket.seq, origin: ticket, item, attempts: 0, possible_duplicate: false };
        self.effects.push(Effect::Appended(lane, entry));
    }

    /// An entry that waited elsewhere waits for its turn.
    fn restore(&mut self, lane: Arc<Lane>, ticket: Ticket, tries: Tries, item: &Item) {
        self.expires(item, ticket);
        if tries != Tries::default() {
            // As an entry that no mark covers: after a crash it is suspected.
            let content = keys::noted_attempts(tries.attempts, tries.possible_duplicate);
            let noted = keys::value(Kind::Attempts, self.now, &content);
            self.put(Table::Fate, keys::fate(ticket, keys::ATTEMPTS), noted);
        }
        self.effects.push(Effect::Restored(lane, ticket.seq, tries));
    }

    /// An entry that waited elsewhere, on disk for its time, does so.
    fn restore_due(&mut self, lane: Arc<Lane>, ticket: Ticket, tries: Tries, until: Timestamp, value: &[u8]) {
        let record = keys::open(value).map(|(_, record)| record).unwrap_or_default();
        let reference = keys::value(Kind::Reference, keys::since(value), &keys::reference(ticket, tries, record));
        self.delay(&lane, ticket, until, reference);
        self.effects.push(Effect::Archived(lane.clone(), ticket.seq));
        self.effects.push(Effect::Scheduled(lane));
    }

    /// Whoever else wants the same callback again, or forgets it, comes too late.
    async fn unpark(&mut self, ticket: Ticket, again: Option<(Arc<Lane>, Vec<u8>, Item)>) -> Result<(), ReadError> {
        let key = keys::meta(table::PARKED, &keys::entry(ticket));
        if !self.unparked.contains(&ticket) && self.rows.get_surely(Table::Meta, &key).await?.is_some() {
            self.unparked.insert(ticket);
            self.remove(Table::Meta, key);
            if let Some((lane, value, item)) = again {
                self.append_item(lane, value, item, None);
            }
        }
        Ok(())
    }

    /// Says where a message is.
    fn put_id(&mut self, id: Id, place: &[u8]) {
        self.put(Table::Id, id.order, keys::value(Kind::Record, self.now, place));
        if let Some(alias) = id.alias {
            self.put(Table::Id, alias, id.order);
        }
    }

    fn put_due(&mut self, key: DueKey, value: Vec<u8>) {
        self.put(Table::Due, key, value);
        let first = if keys::is_expiry(&key) { &mut self.first.expiry } else { &mut self.first.entry };
        *first = Some(first.map_or(key, |first| first.min(key)));
    }

    fn remove_due(&mut self, key: DueKey) {
        self.remove(Table::Due, key.to_vec());
        self.undue.insert(key);
    }

    /// Notes when an entry that has got a place expires.
    fn expires(&mut self, item: &Item, ticket: Ticket) {
        if let Item::Message(message) = item
            && let Some(at) = message.expires_at
        {
            self.put_due(keys::expiry(at, ticket), keys::value(Kind::Expiry, self.now, &[]));
        }
    }

    fn expires_later(&mut self, key: DueKey, ticket: Ticket) {
        self.remove_due(key);
        let key = keys::expiry(self.now.plus(EXPIRED_IN_HAND), ticket);
        self.put_due(key, keys::value(Kind::Expiry, self.now, &[]));
    }

    /// An MT leaves its queue without its channel, if it waits there still.
    async fn withdraw(&mut self, withdrawal: Withdrawal, ordinal: &mut Ordinal) -> Result<(), ReadError> {
        let Withdrawal { place, origin, record, id, event, callbacks, expiry, doubtful, tally } = withdrawal;
        match place {
            // Nobody has found it there: it is taken first.
            Place::Deposit(_) => return Ok(()),
            Place::Entry(ticket) => {
                let Some(lane) = self.lanes.numbered(ticket.lane) else { return Ok(()) };
                match (lane.withdraw(ticket.seq, doubtful), expiry) {
                    (Waits::Taken, key) => {
                        key.into_iter().for_each(|key| self.remove_due(key));
                        self.finish(ticket, origin);
                        self.told(origin.unwrap_or(ticket), event, ordinal);
                    }
                    (waits, key) => {
                        match key {
                            Some(key) if waits == Waits::InHand => self.expires_later(key, ticket),
                            Some(key) => self.remove_due(key),
                            None => {}
                        }
                        return Ok(());
                    }
                }
            }
            Place::Due(key) => {
                let lane = self.lanes.live(&key).filter(|_| !self.undue.contains(&key));
                let Some(lane) = lane else { return Ok(()) };
                if self.rows.get_surely(Table::Due, &key).await?.is_none() {
                    return Ok(());
                }
                self.undrafted(&lane);
                match origin {
                    Some(origin) => {
                        self.effects.push(Effect::Unscheduled(lane));
                        self.told(origin, event, ordinal);
                    }
                    None => {
                        let ticket = self.append(&lane, record);
                        self.told(ticket, event, ordinal);
                        // Whoever finds it finds what became of it.
                        self.put_id(id, &keys::entry(ticket));
                        self.effects.push(Effect::Ended(lane, ticket.seq));
                    }
                }
                // Last: a reader who no longer finds it here finds it where it is now.
                self.remove_due(key);
            }
        }
        for (lane, value, item) in callbacks {
            self.append_item(lane, value, item, None);
        }
        tally.count();
        Ok(())
    }

    /// Writes an event of an entry.
    fn told(&mut self, origin: Ticket, event: Vec<u8>, ordinal: &mut Ordinal) {
        let place = self.ordinal(ordinal);
        self.put(Table::Fate, keys::fate(origin, place), event);
    }

    /// The end of an entry whose event is kept at its origin.
    fn finish(&mut self, ticket: Ticket, origin: Option<Ticket>) {
        if origin.is_some_and(|origin| origin != ticket) {
            let value = keys::value(Kind::Final, self.now, &[]);
            self.put(Table::Fate, keys::fate(ticket, keys::END), value);
        }
        if let Some(lane) = self.lanes.numbered(ticket.lane) {
            self.touch(&lane);
            self.effects.push(Effect::Withdrawn(lane, ticket.seq));
        }
    }

    fn undrafted(&mut self, lane: &Arc<Lane>) {
        let mut state = lane.state();
        state.later_drafted = state.later_drafted.saturating_sub(1);
        drop(state);
        self.touch(lane);
    }

    fn ordinal(&mut self, ordinal: &mut Ordinal) -> u64 {
        if ordinal.next >= ordinal.reserved {
            ordinal.reserved = ordinal.next + RESERVE;
            let key = keys::meta(table::STORE, ORDINAL);
            self.put(Table::Meta, key, ordinal.reserved.to_be_bytes());
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
        self.put(Table::Msg, keys::entry(ticket), value);
        self.touch(lane);
        ticket
    }

    fn finished(&mut self, ticket: Ticket) {
        if let Some(lane) = self.lanes.numbered(ticket.lane) {
            lane.leave(ticket.seq);
            self.touch(&lane);
            self.effects.push(Effect::Finished(lane, ticket.seq));
        }
    }

    fn retry(&mut self, ticket: Ticket, at: Timestamp, record: Option<&[u8]>) {
        // What nobody has in hand any more is live already, or has ended.
        let lane = self.lanes.numbered(ticket.lane);
        let Some((lane, mut entry)) = lane.and_then(|lane| lane.settle(ticket.seq).map(|entry| (lane, entry))) else {
            return;
        };
        self.touch(&lane);
        entry.attempts = entry.attempts.saturating_add(1);
        let Some(record) = record else {
            self.note_attempts(ticket, &entry);
            self.effects.push(Effect::Delayed(lane, entry, at));
            return;
        };
        let tries = Tries { attempts: entry.attempts, possible_duplicate: entry.possible_duplicate };
        let content = keys::reference(entry.origin, tries, record);
        let key = self.delay(&lane, ticket, at, keys::value(Kind::Reference, self.now, &content));
        if entry.origin != ticket {
            self.moved(entry.origin, &key);
        }
        lane.leave(ticket.seq);
        self.effects.push(Effect::Moved(lane, ticket.seq));
    }

    /// An entry leaves its place to wait on disk.
    fn delay(&mut self, lane: &Arc<Lane>, ticket: Ticket, at: Timestamp, reference: Vec<u8>) -> DueKey {
        let key = keys::due(at, ticket);
        self.put_due(key, reference);
        self.moved(ticket, &key);
        lane.state().later_drafted += 1;
        key
    }

    /// Says where an entry is now that has left its place for a long delay.
    fn moved(&mut self, ticket: Ticket, place: &[u8]) {
        let moved = keys::value(Kind::Moved, self.now, place);
        self.put(Table::Fate, keys::fate(ticket, keys::END), moved);
    }

    fn note_attempts(&mut self, ticket: Ticket, entry: &Entry) {
        let content = keys::noted_attempts(entry.attempts, entry.origin != ticket);
        let noted = keys::value(Kind::Attempts, self.now, &content);
        self.put(Table::Fate, keys::fate(ticket, keys::ATTEMPTS), noted);
    }

    /// An entry of `due` goes back into its lane, unless its channel was deleted meanwhile.
    pub(super) async fn resume(&mut self, key: DueKey, value: &[u8]) -> Result<(), ReadError> {
        if !self.undue.contains(&key) {
            self.resume_from(key, value).await?;
            // Last: a reader who no longer finds it here finds it where it is now.
            self.remove_due(key);
        }
        Ok(())
    }

    async fn resume_from(&mut self, key: DueKey, value: &[u8]) -> Result<(), ReadError> {
        let place = keys::ticket(&key[8..]);
        let lane = place.and_then(|ticket| Some((self.lanes.numbered(ticket.lane)?, ticket)));
        let Some((lane, was)) = lane.filter(|(lane, was)| !lane.state().is_void(*was)) else {
            // One that never had a place leaves nothing by which it would be swept.
            if let Some(was) = place.filter(|was| keys::ordinal_of(*was).is_some())
                && let Some(Entry { item: Item::Message(message), .. }) = entry(true, was, value)
            {
                let id = Id::of_mt(&message);
                self.remove(Table::Id, id.order);
                if let Some(alias) = id.alias
                    && leads_to(self.rows, Table::Id, &alias, &id.order).await?
                {
                    self.remove(Table::Id, alias);
                }
            }
            return Ok(());
        };
        self.undrafted(&lane);
        let ticket = lane.ticket(lane.state().next);
        match (entry(lane.outbound, ticket, value), keys::open(value)) {
            (Some(entry), Some((kind, content))) => {
                // As if written now, for its retention.
                self.append(&lane, keys::value(kind, self.now, content));
                self.expires(&entry.item, ticket);
                if keys::ordinal_of(was).is_none() {
                    self.moved(entry.origin, &keys::entry(ticket));
                    self.note_attempts(ticket, &entry);
                    self.effects.push(Effect::Resumed(lane, entry, keys::due_at(&key)));
                    return Ok(());
                }
                if let Item::Message(message) = &entry.item {
                    let id = Id::of_mt(message);
                    self.put_id(id, &keys::entry(ticket));
                    // Kept as long as it is, from now on.
                    let phone = keys::value(Kind::Record, self.now, &[]);
                    self.put(Table::Phone, keys::phone(&message.to, &id.order), phone);
                }
                self.effects.push(Effect::Placed(lane, entry));
            }
            _ => {
                tracing::error!(lane = &*lane.name, ?was, "a delayed entry cannot be read and is passed over");
                self.effects.push(Effect::Unscheduled(lane));
            }
        }
        Ok(())
    }

    fn close(&mut self, lane: Arc<Lane>, ordinal: u64) {
        let (void, used) = {
            let mut state = lane.state();
            let used = state.saved || state.next > 0 || state.later_drafted > 0;
            state.void = state.next;
            state.void_unplaced = ordinal;
            state.later_drafted = 0;
            (state.void, used)
        };
        // The number of a lane that has never had an entry is not on disk either, and may come to mean another lane.
        if used {
            self.put_void(&lane, true);
        }
        self.touch(&lane);
        self.effects.push(Effect::Closed(lane, void));
    }

    fn reopen(&mut self, lane: Arc<Lane>) {
        // What was never used was never closed on disk.
        let closed = {
            let state = lane.state();
            state.saved && (state.void > 0 || state.void_unplaced > 0)
        };
        if closed {
            self.put_void(&lane, false);
        }
        self.touch(&lane);
        self.effects.push(Effect::Reopened(lane));
    }

    fn put_void(&mut self, lane: &Lane, closed: bool) {
        let (void, unplaced) = {
            let state = lane.state();
            (state.void, state.void_unplaced)
        };
        let key = keys::meta(table::VOID, &lane.number.to_be_bytes());
        let value = [&void.to_be_bytes()[..], &[u8::from(closed)], &unplaced.to_be_bytes()].concat();
        self.put(Table::Meta, key, value);
    }

    /// Puts the lane's number on disk.
    fn name(&mut self, lane: &Lane) {
        if !lane.state().saved {
            let key = keys::meta(table::LANE, &lane.number.to_be_bytes());
            self.put(Table::Meta, key, lane.name.as_bytes());
        }
    }

    /// Writes to every table, so that none pins old journals.
    pub(super) fn heartbeat(&mut self) {
        self.batch.extend(self.rows.heartbeat(self.now));
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
        if !state.saved && state.next == 0 && state.later_drafted == 0 {
            return;
        }
        let number = lane.number.to_be_bytes();
        let (floor, later) = (state.floor, state.later_drafted);
        let handed = state.handed_mark().filter(|_| lane.outbound).map(|mark| (mark, state.handed()));
        let (floor_saved, later_saved) = (state.floor_saved, state.later_saved);
        drop(state);
        self.name(&lane);
        let marks = [
            (table::FLOOR, (floor > floor_saved).then_some(floor)),
            (table::HANDED, handed.map(|(mark, _)| mark)),
            (table::LATER, (later != later_saved).then_some(later)),
        ];
        for (table, mark) in marks {
            if let Some(mark) = mark {
                let key = keys::meta(table, &number);
                self.put(Table::Meta, key, mark.to_be_bytes());
            }
        }
        self.marks.push(Marks { lane, floor, handed, later });
    }

    /// Makes it durable; only then the lanes move and those who wait for them are woken.
    ///
    /// # Errors
    /// Why nothing is to be written any more.
    pub(super) async fn commit(self) -> Result<FirstDue, String> {
        self.rows.write(self.batch).await?;
        for Marks { lane, floor, handed, later } in self.marks {
            lane.state().marked(floor, handed, later);
        }
        for effect in self.effects {
            match effect {
                Effect::Appended(lane, entry) => lane.appended(entry),
                Effect::Resumed(lane, entry, at) => lane.resumed(entry, at),
                Effect::Scheduled(lane) => lane.scheduled(),
                Effect::Placed(lane, entry) => lane.placed(entry),
                Effect::Ended(lane, seq) => lane.ended(seq),
                Effect::Archived(lane, seq) => lane.archived(seq),
                Effect::Restored(lane, seq, tries) => lane.restored(seq, tries.attempts, tries.possible_duplicate),
                Effect::Unscheduled(lane) => lane.unscheduled(),
                Effect::Finished(lane, seq) => lane.finish(seq),
                Effect::Withdrawn(lane, seq) => lane.withdrawn(seq),
                Effect::Delayed(lane, entry, at) => lane.delay(entry, at),
                Effect::Moved(lane, seq) => lane.moved(seq),
                Effect::Closed(lane, void) => lane.close(void),
                Effect::Reopened(lane) => lane.reopen(),
            }
        }
        self.touched.values().for_each(|lane| self.lanes.wake(lane));
        Ok(self.first)
    }
}
