//! The engine behind the store: queues as numbered lanes over rows, which lie in a directory of our own.
//!
//! A change becomes records in its maker's task (`encode`), waits in a bounded inbox, and is written with whatever
//! else has arrived (`committer`, `draft`). Queues have floors, so nothing on a message's path is ever deleted
//! (`lane`); a start reads what was in flight (`recovery`); old records go later (`sweep`, `retention`). What keeps the rows
//! is behind a port of its own (`rows`).

mod committer;
mod draft;
mod dump;
mod encode;
mod expiry;
mod guard;
mod inbox;
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
mod search;
mod sweep;
mod withdraw;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::sync::oneshot;

pub(crate) use self::dump::Look;
pub(crate) use self::lane::{Entry, Item, Lane, Reach};
pub(crate) use self::lanes::{ChannelLanes, Common, shard_of};
pub(crate) use self::withdraw::{QueuedScan, Spot};

use self::committer::{Committer, Condition, Job};
use self::draft::Op;
use self::expiry::Expiries;
pub(crate) use self::guard::Guard;
use self::guard::Limits;
use self::inbox::Inbox;
use self::lane::{Chosen, Peeked, Taken};
use self::lanes::Lanes;
use self::rows::{Fjall, RedisRows, Rows, Span, Table};
use self::sweep::Sweeper;
use crate::model::{ChannelId, Timestamp};
use crate::redis::Slot;
use crate::store::{
    Batch, CallbackDelivery, CommitError, Delivery, Depth, OpenError, QueueLength, ReadError, StoreConfig, Ticket,
};

/// How often the disk is looked at and swept.
const KEEPER_PERIOD: Duration = Duration::from_secs(1);
/// How long what waits may take to be written when the store is closed.
const CLOSING: Duration = Duration::from_secs(10);
/// Room in the inbox without which nothing is swept: those who wait for the store go first.
const SWEEP_ROOM: usize = inbox::MOST_OPS / 4;

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
    role: Role,
    lanes: Arc<Lanes>,
    inbox: Arc<Inbox>,
    condition: Arc<Condition>,
    guard: Guard,
    pub(crate) expiries: Arc<Expiries>,
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
        let rows = Rows::Fjall(tables);
        if !config.unfinished {
            rows.check_finished().await?;
        }
        Self::start(rows, Some(disk), (Role::All, 0), config, common).await
    }

    /// Takes a slot of Redis; whoever had it cannot write any more.
    pub(crate) async fn in_slot(
        slot: Slot,
        (owner, role, shard): (&str, Role, u16),
        config: &StoreConfig,
        common: &Common,
    ) -> Result<Arc<Self>, OpenError> {
        let rows = RedisRows::claim(slot, owner).await.map_err(|error| OpenError::Engine(error.to_string()))?;
        Self::start(Rows::Redis(rows), None, (role, shard), config, common).await
    }

    async fn start(
        rows: Rows,
        disk: Option<Disk>,
        (role, shard): (Role, u16),
        config: &StoreConfig,
        common: &Common,
    ) -> Result<Arc<Self>, OpenError> {
        rows.check_version().await?;
        let lanes = Arc::new(Lanes::new(common, shard));
        let suspects = rows.take_clean_mark().await?;
        rows.recover(&lanes, suspects.as_ref(), config.unfinished).await?;
        let condition = Arc::new(Condition::new());
        let expiries = Arc::new(Expiries::new(common.earlier.clone()));
        let ordinal = rows.ordinal().await?;
        let committer = Committer::new(rows.clone(), lanes.clone(), condition.clone(), ordinal, expiries.clone());
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
        Ok(Arc::new(Self {
            rows,
            role,
            lanes,
            inbox,
            condition,
            guard,
            expiries,
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

    pub(crate) fn health(&self) -> Result<(), Arc<str>> {
        if let Err(CommitError::NotReady(reason)) = self.condition.check() {
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
        for table in [Table::Msg, Table::Inbound, Table::Due] {
            if !self.rows.first(table, &Span::since([]), 1).await?.is_empty() {
                return Ok(false);
            }
        }
        Ok(self.parked_callbacks(None, 1).await?.found.is_empty())
    }

    /// Removes every row of an engine that has been closed.
    pub(crate) async fn erase(&self) -> Result<(), CommitError> {
        self.rows.erase().await.map_err(|reason| CommitError::NotReady(reason.into()))
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

/// A part of the engine that goes on by itself.
enum Running {
    /// On a thread of its own, because it blocks; `None` once it has been waited for.
    Thread(Option<JoinHandle<()>>),
    Task(tokio::task::JoinHandle<()>),
}

impl Running {
    fn begin(name: &str, blocks: bool, work: impl Future<Output = ()> + Send + 'static) -> Result<Self, OpenError> {
        if !blocks {
            return Ok(Self::Task(tokio::spawn(work)));
        }
        let failed = |source| OpenError::Io { path: Path::new("thread").to_owned(), source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(failed)?;
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || runtime.block_on(work));
        Ok(Self::Thread(Some(thread.map_err(failed)?)))
    }

    /// Waits for its end; one that panicked has said so in `condition`.
    async fn ended(&mut self) {
        match self {
            Self::Thread(thread) => {
                if let Some(thread) = thread.take() {
                    let _ = tokio::task::spawn_blocking(move || thread.join()).await;
                }
            }
            Self::Task(task) => {
                if !task.is_finished() {
                    let _ = task.await;
                }
            }
        }
    }

    /// The same where nobody can wait but a thread; a task ends by itself.
    fn join(self) {
        if let Self::Thread(Some(thread)) = self {
            let _ = thread.join();
        }
    }
}

/// The disk that the rows are on.
struct Disk {
    limits: Limits,
    tables: Fjall,
}

/// Looks at the disk and removes what is past its retention.
struct Keeper {
    guard: Guard,
    disk: Option<Disk>,
    inbox: Arc<Inbox>,
    condition: Arc<Condition>,
    sweeper: Sweeper,
}

impl Keeper {
    /// Runs until the engine goes.
    async fn run(mut self, mut ended: oneshot::Receiver<()>) {
        // What goes on is said once.
        let mut sound = true;
        while tokio::time::timeout(KEEPER_PERIOD, &mut ended).await.is_err() {
            self.look();
            if self.condition.check().is_err() {
                continue;
            }
            let swept = self.inbox.offer(SWEEP_ROOM, self.sweeper.pass(Timestamp::now())).await;
            if let Err(error) = &swept
                && sound
            {
                tracing::warn!(%error, "old records could not be looked for");
            }
            sound = swept.is_ok();
        }
    }

    fn look(&self) {
        if let Some(disk) = &self.disk {
            self.guard.look(&disk.tables, &disk.limits);
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
mod tests {
    use tokio::sync::mpsc;

    use super::committer::Job;
    use super::draft::Op;
    use super::rows::Row;
    use super::*;
    use crate::model::{Callback, CallbackKind, CallbackTarget, Inbound, JsonObject, MessageId, Outbound};
    use crate::store::Change;

    async fn open(config: &StoreConfig) -> Arc<Engine> {
        let (announce, _) = mpsc::unbounded_channel();
        let common = Common { announce, rings: Arc::default(), earlier: Arc::default(), guard: Guard::new("the disk") };
        Engine::in_directory(config, &common).await.unwrap()
    }

    fn inbound(id: MessageId) -> Inbound {
        Inbound {
            id,
            channel: ChannelId::from("c"),
            to: String::new(),
            from: String::new(),
            group: None,
            content: None,
            reply_to: None,
            session_event: None,
            channel_data: JsonObject::new(),
            transport_type: None,
            transport_metadata: JsonObject::new(),
            provider: None,
            destinations: Vec::new(),
            received_at: Timestamp::now(),
        }
    }

    fn owed(body: &str) -> Change {
        let message = inbound(MessageId::mint());
        let id = message.id;
        let callback = Callback {
            id,
            kind: CallbackKind::Mo,
            channel: message.channel.clone(),
            message: id,
            target: CallbackTarget::Channel,
            body: serde_json::value::to_raw_value(body).unwrap(),
            created_at: Timestamp::now(),
        };
        Change::Receive { message: Arc::new(message), callbacks: vec![callback], joined_from: Vec::new() }
    }

    async fn next(engine: &Engine, lane: &Arc<Lane>, generation: u64) -> Entry {
        loop {
            let notified = lane.work.notified();
            match engine.take(lane, generation, 1, |_| 1).unwrap() {
                Pulled::Entries(mut entries) => return entries.remove(0),
                Pulled::Nothing { due: Some(due) } => {
                    let _ = tokio::time::timeout(Timestamp::now().until(due), notified).await;
                }
                Pulled::Soon | Pulled::Nothing { due: None } => notified.await,
            }
        }
    }

    #[tokio::test]
    async fn what_waited_on_disk_comes_back_in_its_time_with_its_record_its_origin_and_its_tries() {
        let directory = tempfile::tempdir().unwrap();
        let config = StoreConfig { path: directory.path().to_owned(), min_free: 0, ..StoreConfig::default() };
        let engine = open(&config).await;
        engine.write(vec![owed("first"), owed("second")], true).await.unwrap();
        let lane = engine.lanes.named("mo/c");
        let generation = engine.acquire(&lane);
        let first = next(&engine, &lane, generation).await;
        let Item::Callback(callback) = &first.item else { panic!("no callback") };
        // As a delay of more than a minute is written, only shorter.
        let at = Timestamp::now().plus(Duration::from_millis(1_500));
        let ticket = lane.ticket(first.seq);
        let op = || Op::Retry { ticket, at, record: Some(serde_json::to_vec(&**callback).unwrap()) };
        let room = engine.inbox.room(1, 1).await.unwrap();
        // Said twice, it counts once.
        engine.inbox.send(Job { ops: vec![op(), op()], octets: 1, done: None, room: Some(room) }).unwrap();
        engine.write(Vec::new(), true).await.unwrap();
        assert_eq!(lane.waiting(), 2);
        let second = next(&engine, &lane, generation).await;
        engine.write(vec![Change::CallbackDone(lane.ticket(second.seq))], true).await.unwrap();
        assert_eq!(lane.waiting(), 1);
        let back = next(&engine, &lane, generation).await;
        assert!(Timestamp::now() >= at);
        assert_eq!((back.origin, back.attempts, lane.waiting()), (ticket, 1, 1));
        let Item::Callback(again) = &back.item else { panic!("no callback") };
        assert_eq!(again.body.get(), "\"first\"");
        assert_ne!(back.seq, first.seq);
        engine.write(vec![Change::CallbackDone(lane.ticket(back.seq))], true).await.unwrap();
        assert_eq!(lane.waiting(), 0);
        drop(engine);
        assert_eq!(open(&config).await.lanes.named("mo/c").waiting(), 0);
    }

    #[tokio::test]
    async fn a_scheduled_message_is_found_by_its_phone_until_it_is_sent_and_by_nothing_once_its_channel_is_deleted() {
        let directory = tempfile::tempdir().unwrap();
        let config = StoreConfig { path: directory.path().to_owned(), min_free: 0, ..StoreConfig::default() };
        let engine = open(&config).await;
        let later = |later| {
            let send_at = Some(Timestamp::now().plus(later));
            Arc::new(Outbound { send_at, ..Outbound::plain("27820001001", "later") })
        };
        let (far, near) = (later(Duration::from_secs(1_000_000)), later(Duration::from_millis(300)));
        engine.write(vec![Change::Accept(far.clone()), Change::Accept(near.clone())], true).await.unwrap();
        let phone = engine.rows.get(Table::Phone, &keys::phone(&far.to, far.id.0.as_bytes())).await.unwrap().unwrap();
        assert_eq!(keys::written(&phone).map(i64::from), far.send_at.map(|at| at.0 / 1_000_000));
        engine.write(vec![Change::DeleteChannel(near.channel.clone())], true).await.unwrap();
        while engine.rows.all(Table::Due, Span::since([])).await.unwrap().len() > 1 {
            engine.write(Vec::new(), true).await.unwrap();
        }
        assert!(engine.rows.get(Table::Id, near.id.0.as_bytes()).await.unwrap().is_none());
        assert!(engine.rows.get(Table::Id, far.id.0.as_bytes()).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn messages_with_ids_of_others_leave_no_alias_behind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        let config = StoreConfig { path, min_free: 0, retention: Duration::ZERO, ..StoreConfig::default() };
        let engine = open(&config).await;
        let mt =
            |send_at| Arc::new(Outbound { id: MessageId(uuid::Uuid::new_v4()), send_at, ..Outbound::plain("1", "x") });
        let mo = inbound(MessageId(uuid::Uuid::new_v4()));
        let soon = mt(Some(Timestamp::now().plus(Duration::from_millis(100))));
        let receive = Change::Receive { message: Arc::new(mo), callbacks: Vec::new(), joined_from: Vec::new() };
        let channel = soon.channel.clone();
        let archive = Change::Archive { message: mt(None), events: Vec::new(), correlate: Vec::new() };
        let changes = vec![archive, Change::Accept(soon), receive, Change::DeleteChannel(channel)];
        engine.write(changes, true).await.unwrap();
        let count = async |table| engine.rows.all(table, Span::since([1])).await.unwrap().len();
        let swept = async {
            while count(Table::Id).await + count(Table::Inbound).await > 0 {
                engine.write(Vec::new(), true).await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(20), swept).await.unwrap();
    }

    #[tokio::test]
    async fn a_full_inbox_makes_commits_busy() {
        let directory = tempfile::tempdir().unwrap();
        let config = StoreConfig { path: directory.path().to_owned(), min_free: 0, ..StoreConfig::default() };
        let engine = open(&config).await;
        let all = engine.inbox.room(inbox::MOST_OPS, 0).await.unwrap();
        assert_eq!(engine.write(vec![owed("a")], true).await, Err(CommitError::Busy));
        assert_eq!(engine.lanes.named("mo/c").waiting(), 0, "nothing of it was written");
        drop(all);
        assert_eq!(engine.write(vec![owed("a")], true).await, Ok(()));
        let octets = engine.inbox.room(1, inbox::MOST_KIB * 1024).await.unwrap();
        assert_eq!(engine.write(vec![owed("a")], true).await, Err(CommitError::Busy));
        drop(octets);
    }

    #[tokio::test]
    async fn a_record_that_cannot_be_read_costs_nobody_else() {
        let directory = tempfile::tempdir().unwrap();
        let config = StoreConfig { path: directory.path().to_owned(), min_free: 0, ..StoreConfig::default() };
        let engine = open(&config).await;
        let all = (0..600).map(|n| owed(&n.to_string())).collect();
        engine.write(all, true).await.unwrap();
        let lane = engine.lanes.named("mo/c");
        let key = keys::entry(lane.ticket(10)).to_vec();
        engine.rows.write(vec![Row { table: Table::Msg, key, value: Some(b"rubbish".to_vec()) }]).await.unwrap();
        drop((engine, lane));
        let engine = open(&config).await;
        let lane = engine.lanes.named("mo/c");
        let generation = engine.acquire(&lane);
        let mut seqs = Vec::new();
        while let Pulled::Entries(entries) = engine.take(&lane, generation, 100, |_| 1).unwrap() {
            seqs.extend(entries.into_iter().map(|entry| entry.seq));
        }
        assert_eq!(seqs, (0..600).filter(|seq| *seq != 10).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn whoever_waits_for_what_came_before_is_never_told_that_there_is_no_room() {
        let directory = tempfile::tempdir().unwrap();
        let config = StoreConfig { path: directory.path().to_owned(), min_free: 0, ..StoreConfig::default() };
        let engine = open(&config).await;
        let mut taken = Vec::new();
        for size in [1_000, 1] {
            while let Ok(room) = tokio::time::timeout(Duration::from_millis(1), engine.inbox.room(size, 0)).await {
                taken.push(room.unwrap());
            }
        }
        assert_eq!(engine.write(vec![owed("a")], true).await, Err(CommitError::Busy));
        assert_eq!(engine.write(Vec::new(), true).await, Ok(()));
    }
}
