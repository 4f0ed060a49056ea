//! The engine behind the store: queues as numbered lanes over rows, which lie in a directory of our own.
//!
//! A change becomes records in its maker's task (`encode`), waits in a bounded inbox, and is written with whatever
//! else has arrived (`committer`, `draft`). Queues have floors, so nothing on a message's path is ever deleted
//! (`lane`); a start reads what was in flight (`recovery`); old records go later (`sweep`, `retention`). What keeps the rows
//! is behind a port of its own (`rows`).

mod committer;
mod deposit;
mod draft;
mod dump;
mod encode;
mod expiry;
mod guard;
mod inbox;
mod keeper;
mod keys;
mod lane;
mod lanes;
mod order;
mod reads;
mod records;
mod recovery;
mod restore;
mod retention;
mod rows;
mod running;
mod search;
mod sweep;
mod withdraw;

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::sync::oneshot;

pub(crate) use self::deposit::leave;
pub(crate) use self::dump::{Fenced, Look};
pub(crate) use self::lane::{Entry, Item, Lane, Reach};
pub(crate) use self::lanes::{ChannelLanes, Common, shard_of};
pub(crate) use self::reads::Reader;
pub(crate) use self::withdraw::{QueuedScan, Spot};

use self::committer::{Committer, Condition, Job};
use self::draft::Op;
use self::expiry::Expiries;
pub(crate) use self::guard::Guard;
use self::guard::Limits;
use self::inbox::Inbox;
use self::keeper::{Disk, Keeper};
use self::lane::{Chosen, Peeked, Taken};
use self::lanes::Lanes;
use self::rows::{Fjall, RedisRows, Rows, Span, Table};
use self::running::Running;
use self::sweep::Sweeper;
use crate::model::{ChannelId, Timestamp};
use crate::redis::{Epoch, Slot};
use crate::store::{
    Batch, CallbackDelivery, CommitError, Delivery, Depth, OpenError, QueueLength, ReadError, StoreConfig, Ticket,
};

/// How long what waits may take to be written when the store is closed.
const CLOSING: Duration = Duration::from_secs(10);

/// What an engine keeps, where several make one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Everything.
    All,
    /// What there is: channels, routers, accounts.
    Settings,
    /// A channel's messages.
    Messages,
}

/// The engine; see the module's head.
pub(crate) struct Engine {
    rows: Rows,
    /// For all who ask.
    pub(crate) reader: Reader,
    role: Role,
    lanes: Arc<Lanes>,
    inbox: Arc<Inbox>,
    condition: Arc<Condition>,
    guard: Guard,
    pub(crate) expiries: Arc<Expiries>,
    /// Whether it has been asked to look for deposits and has not begun.
    deposits: Arc<AtomicBool>,
    /// The committer and the keeper.
    running: Mutex<Vec<Running>>,
    /// The keeper ends when this goes.
    alive: Mutex<Option<oneshot::Sender<()>>>,
}

impl Engine {
    /// Opens or makes the store in `config.path`.
    pub(crate) async fn in_directory(config: &StoreConfig, common: &Common) -> Result<Arc<Self>, OpenError> {
        let tables = Fjall::open(config)?;
        if !config.sync {
            tracing::warn!("the store does not sync: a power cut loses messages that were accepted");
        }
        let limits = Limits { path: config.path.clone(), quota: config.quota, min_free: config.min_free };
        let disk = Disk { limits, tables: tables.clone() };
        Self::start(Rows::Fjall(tables), Some(disk), (Role::All, 0), config, common).await
    }

    /// Opens a slot of Redis with the right to write it.
    pub(crate) async fn in_slot(
        (slot, epoch): (Slot, Epoch),
        part: (Role, u16),
        config: &StoreConfig,
        common: &Common,
    ) -> Result<Arc<Self>, OpenError> {
        let rows = Rows::Redis(RedisRows::new(slot, Some(epoch)));
        let engine = Self::start(rows, None, part, config, common).await?;
        engine.look_for_deposits();
        Ok(engine)
    }

    async fn start(
        rows: Rows,
        disk: Option<Disk>,
        (role, shard): (Role, u16),
        config: &StoreConfig,
        common: &Common,
    ) -> Result<Arc<Self>, OpenError> {
        // Whoever began one before it was ours has said so; nobody begins one from now on.
        if !config.unfinished && role != Role::Messages {
            rows.check_finished().await?;
        }
        rows.check_version().await?;
        let lanes = Arc::new(Lanes::new(common, shard));
        let suspects = rows.take_clean_mark().await?;
        rows.recover(&lanes, suspects.as_ref(), config.unfinished).await?;
        let condition = Arc::new(Condition::new());
        let expiries = Arc::new(Expiries::new(common.earlier.clone()));
        let ordinal = rows.ordinal().await?;
        let deposits = Arc::<AtomicBool>::default();
        let committer = Committer::new(
            rows.clone(),
            lanes.clone(),
            condition.clone(),
            ordinal,
            (expiries.clone(), deposits.clone()),
        );
        let (inbox, jobs) = Inbox::new(condition.clone());
        let inbox = Arc::new(inbox);
        let guard = common.guard.clone();
        let keeper = Keeper {
            guard: guard.clone(),
            disk,
            inbox: inbox.clone(),
            condition: condition.clone(),
            sweeper: Sweeper::new(rows.clone(), lanes.clone(), config.retention),
        };
        keeper.look();
        let (alive, ended) = oneshot::channel();
        let blocks = rows.is_at_hand();
        let running = [
            Running::begin("maybug-commit", blocks, committer.run(jobs))?,
            Running::begin("maybug-keeper", blocks, keeper.run(ended))?,
        ];
        lanes.all().iter().for_each(|lane| lanes.wake(lane));
        let several = (role == Role::All).then(|| lanes.clone());
        Ok(Arc::new(Self {
            reader: Reader { rows: rows.clone(), lanes: several },
            rows,
            role,
            lanes,
            inbox,
            condition,
            guard,
            expiries,
            deposits,
            running: Mutex::new(running.into()),
            alive: Mutex::new(Some(alive)),
        }))
    }

    /// Writes a batch; waits until it is durable if `durable`.
    pub(crate) async fn write(&self, batch: Batch, durable: bool) -> Result<(), CommitError> {
        self.condition.check()?;
        // Who waits for an answer is told at once, and may come again; what became of messages is written when it can be.
        if durable
            && let Some(trouble) = self.rows.trouble()
            && batch.iter().any(guard::is_new)
        {
            return Err(CommitError::NotReady(trouble));
        }
        self.guard.admit(&batch, durable)?;
        let now = Timestamp::now();
        let mut ops = Vec::with_capacity(batch.len() + 2);
        for change in batch {
            self.encode(now, change, &mut ops).await?;
        }
        if durable { self.inbox.commit(ops).await } else { self.inbox.post(ops).await }
    }

    /// How much waits for the channel.
    pub(crate) fn depth(&self, channel: &ChannelId) -> Depth {
        self.lanes.depth(channel)
    }

    /// How much waits in the callback lane with this name.
    pub(crate) fn waiting(&self, lane: &str) -> u64 {
        self.lanes.waiting(lane)
    }

    /// How much waits in all queues of a channel.
    pub(crate) fn queue_length(&self, channel: &ChannelId) -> QueueLength {
        self.lanes.queue_length(channel)
    }

    /// Why nothing is written any more, if that is so.
    pub(crate) fn failure(&self) -> Option<Arc<str>> {
        match self.condition.check() {
            Err(CommitError::NotReady(reason)) => Some(reason),
            _ => None,
        }
    }

    pub(crate) fn health(&self) -> Result<(), Arc<str>> {
        if let Some(reason) = self.failure() {
            return Err(reason);
        }
        if let Some(trouble) = self.rows.trouble() {
            return Err(trouble);
        }
        if self.condition.is_stalled() {
            return Err("the disk has not taken a write for seconds".into());
        }
        self.guard.complaint().map_or(Ok(()), |complaint| Err(complaint.into()))
    }

    /// Writes what waits, marks the end as an orderly one, and ends.
    pub(crate) async fn close(self: Arc<Self>) {
        self.end();
        let mut running = std::mem::take(&mut *self.running());
        let ended = join_all(running.iter_mut().map(Running::ended));
        tokio::select! {
            _ = ended => {}
            () = async {
                tokio::time::sleep(CLOSING).await;
                self.rows.give_up();
                std::future::pending().await
            } => {}
        }
        self.condition.fail("the store has been closed".into());
    }

    /// Nothing is accepted from now on; what waits is still written.
    fn end(&self) {
        self.inbox.close();
        self.alive.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.lanes.close();
    }

    fn running(&self) -> MutexGuard<'_, Vec<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The channel's queues, the most urgent first.
    pub(crate) fn outbound_lanes(&self, channel: &ChannelId) -> ChannelLanes {
        self.lanes.of_channel(channel)
    }

    /// Entries for whoever pulls from `lane`, loading from disk as needed.
    pub(crate) fn take(
        &self,
        lane: &Arc<Lane>,
        generation: u64,
        room: usize,
        weigh: impl Fn(&Item) -> usize,
    ) -> Result<Pulled, ReadError> {
        loop {
            match lane.take(generation, room, &weigh, Timestamp::now()) {
                Taken::Entries(entries) => return Ok(Pulled::Entries(entries)),
                Taken::Nothing { due } => return Ok(Pulled::Nothing { due }),
                Taken::Unmarked { ask } => {
                    if ask {
                        self.ask(vec![Op::Mark(lane.clone())]);
                    }
                    return Ok(Pulled::Soon);
                }
                Taken::Load { from, to, most } if self.rows.is_at_hand() => {
                    let Some(loaded) = self.rows.load(lane, from, to, most).now_or_never() else {
                        return Ok(Pulled::Soon);
                    };
                    let (entries, to) = loaded?;
                    lane.loaded(from, to, entries);
                }
                Taken::Load { from, to, most } => {
                    self.load_aside(lane, from, to, most);
                    return Ok(Pulled::Soon);
                }
            }
        }
    }

    /// Loads a block of a lane while whoever pulls from it does something else; then they are woken.
    fn load_aside(&self, lane: &Arc<Lane>, from: u64, to: u64, most: usize) {
        let Some(loading) = lane.begin_loading() else { return };
        let (rows, lanes, lane) = (self.rows.clone(), self.lanes.clone(), lane.clone());
        tokio::spawn(async move {
            loop {
                match rows.load(&lane, from, to, most).await {
                    Ok((entries, to)) => {
                        lane.loaded(from, to, entries);
                        break;
                    }
                    Err(error) => {
                        tracing::warn!(lane = &*lane.name, %error, "a queue cannot be read for now");
                        if rows.outlast(error).await.is_err() {
                            break;
                        }
                    }
                }
            }
            drop(loading);
            lanes.wake(&lane);
        });
    }

    /// The next entries that whoever pulls from `lane` might take, about `most`; none at the end. They stay where they are.
    pub(crate) async fn peek(
        &self,
        lane: &Arc<Lane>,
        generation: u64,
        reach: &mut Reach,
        most: usize,
    ) -> Result<Vec<Entry>, ReadError> {
        loop {
            let now = Timestamp::now();
            let found = match lane.peek(generation, reach, most, now) {
                Peeked::Entries(entries) => entries,
                Peeked::End => return Ok(Vec::new()),
                Peeked::Load { from, to, most } => {
                    let (entries, to) = self.rows.load(lane, from, to, most).await?;
                    lane.loaded(from, to, entries);
                    continue;
                }
                Peeked::Read { from, to, most } => {
                    let (entries, to) = self.rows.load(lane, from, to, most).await?;
                    lane.deeper(reach, to, entries, now)
                }
            };
            if !found.is_empty() {
                return Ok(found);
            }
        }
    }

    /// Takes what whoever pulls from `lane` has chosen of that; what stays in `chosen` is to be had with the next commit,
    /// which has been asked for.
    pub(crate) fn take_chosen(&self, lane: &Arc<Lane>, generation: u64, chosen: &mut VecDeque<Entry>) -> Vec<Entry> {
        let Chosen { taken, ask } = lane.take_chosen(generation, chosen, Timestamp::now());
        if ask {
            self.ask(vec![Op::Mark(lane.clone())]);
        }
        taken
    }

    /// Hands something over that nobody waits for and that takes no room; a store that has failed says so to others.
    fn ask(&self, ops: Vec<Op>) {
        let _ = self.inbox.send(Job { ops, octets: 0, done: None, room: None });
    }

    /// Notes whether entries in hand may have reached their receiver.
    pub(crate) fn suspect(&self, tickets: &[Ticket], suspect: bool) {
        for ticket in tickets {
            if let Some(lane) = self.lanes.numbered(ticket.lane) {
                lane.suspect(ticket.seq, suspect);
            }
        }
    }

    /// Whether there is neither a message nor anything that waits, is owed or was given up.
    pub(crate) async fn is_empty(&self) -> Result<bool, ReadError> {
        if self.lanes.all().iter().any(|lane| lane.waiting() > 0) {
            return Ok(false);
        }
        for table in [Table::Msg, Table::Inbound, Table::Due, Table::Deposit] {
            if !self.rows.first(table, &Span::since([]), 1).await?.is_empty() {
                return Ok(false);
            }
        }
        Ok(self.reader.parked_callbacks(None, 1).await?.found.is_empty())
    }

    /// Removes every row of an engine that has been closed.
    pub(crate) async fn erase(&self) -> Result<(), CommitError> {
        self.rows.erase().await.map_err(|reason| CommitError::NotReady(reason.into()))
    }

    /// Whether a lane is one of this engine's, and not one of an earlier engine's on the same rows.
    pub(crate) fn has(&self, lane: &Arc<Lane>) -> bool {
        self.lanes.numbered(lane.number).is_some_and(|own| Arc::ptr_eq(&own, lane))
    }

    /// Lets a consumer in. Returns its generation.
    pub(crate) fn acquire(&self, lane: &Lane) -> u64 {
        lane.acquire()
    }

    /// The consumer of this generation puts entries back that it has taken and nothing has become of.
    pub(crate) fn give_back(&self, lane: &Lane, generation: u64, tickets: &[Ticket]) {
        let mine = tickets.iter().filter(|ticket| ticket.lane == lane.number);
        lane.give_back(generation, &mine.map(|ticket| ticket.seq).collect::<Vec<_>>());
    }

    /// The consumer of this generation has let go of a lane.
    pub(crate) fn release(&self, lane: &Arc<Lane>, generation: u64) {
        if lane.release(generation) && !lane.outbound {
            self.lanes.announce(lane);
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.end();
        for running in std::mem::take(&mut *self.running()) {
            running.join();
        }
    }
}

/// What a pull found.
pub(crate) enum Pulled {
    /// Entries, now in hand.
    Entries(Vec<Entry>),
    /// There are some, to be had with the next commit, which has been asked for.
    Soon,
    /// Nothing; the first delayed entry is due then.
    Nothing {
        /// When.
        due: Option<Timestamp>,
    },
}

/// A handed-out MT as channels see it.
pub(crate) fn delivery(lane: &Lane, entry: Entry) -> Option<Delivery> {
    let Item::Message(message) = entry.item else { return None };
    let ticket = Ticket { lane: lane.number, seq: entry.seq };
    let Entry { origin, attempts, possible_duplicate, .. } = entry;
    Some(Delivery { ticket, origin, message, attempts, possible_duplicate })
}

/// A handed-out callback as the dispatcher sees it.
pub(crate) fn callback_delivery(lane: &Lane, entry: Entry) -> Option<CallbackDelivery> {
    let Item::Callback(callback) = entry.item else { return None };
    let ticket = Ticket { lane: lane.number, seq: entry.seq };
    Some(CallbackDelivery { ticket, attempts: entry.attempts, callback })
}

#[cfg(test)]
mod tests;
