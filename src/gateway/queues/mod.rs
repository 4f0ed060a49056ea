//! AMQP queues of applications: which are consumed here, and what channels are told of the broker.
//!
//! What goes into them is owed like any callback (`owed`); what comes out of them is accepted like any MT
//! (`consumer`, `taking`, `accept`).

mod accept;
mod consumer;
pub(super) mod failures;
pub(super) mod owed;
mod places;
mod taking;
mod wishes;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::{Id, JoinError, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::directory::Directory;
use super::{Gateway, GatewayError, GatewayIntake};
use crate::bus::{Bus, Link, MAX_QUEUE_NAME, Watch};
use crate::channel::{Intake, StatusReport};
use crate::model::{CallbackKind, ChannelId, JsonObject, Level};

/// The component of a channel that speaks of the broker.
pub(super) const COMPONENT: &str = "amqp";

/// What is said of a queue that nobody has bound. The same for every key: the log names it.
const UNROUTED: &str = "Nobody has bound a queue to a key of this channel; what is for it waits";

/// The gateway's part of the bus.
pub(super) struct Queues {
    bus: Option<Bus>,
    /// Routing keys that something waits for and nobody has bound a queue to.
    unbound: Mutex<HashSet<Arc<str>>>,
    /// Somebody may have got or lost a queue, or a key been bound.
    changed: Notify,
    /// Whose turn it is to look at what of a queue could not be sent.
    turns: Mutex<HashMap<Arc<str>, Arc<tokio::sync::Mutex<()>>>>,
    /// How often definitions have changed.
    changes: AtomicU64,
    /// What the keeper has done so far; `None` while there is none.
    kept: watch::Sender<Option<Kept>>,
    stop: CancellationToken,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

/// Longest body of a message in octets, as the HTTP API has it.
const MOST_OCTETS: usize = 1024 * 1024;
/// How long the broker may take to put messages into another queue. One that is short of memory does not even read them.
const ASIDE: Duration = Duration::from_secs(10);

/// How long consumers are waited for that have been told to end; longer than they take.
const PUT_DOWN: Duration = Duration::from_secs(5);
/// Wait before a consumer begins anew that a defect has ended.
const AGAIN: Duration = Duration::from_secs(1);

/// Most queues of one server: each has a task and up to three AMQP channels.
const MOST_QUEUES: usize = 10_000;

/// Checks an `amqp_queue`: keys are all lower case (Junebug reference §4.1), and have a longest length; a new one must be
/// one of not too many.
pub(super) fn check(directory: &Directory, queue: Option<&str>) -> Result<(), GatewayError> {
    let Some(queue) = queue else { return Ok(()) };
    if directory.queues().len() >= MOST_QUEUES && !directory.queues().contains_key(queue) {
        let message = format!("there are {MOST_QUEUES} AMQP queues already, which is the most");
        return Err(GatewayError::Usage(message));
    }
    if queue.chars().any(char::is_uppercase) {
        return Err(GatewayError::Usage(format!("\"amqp_queue\" must be lower case: '{queue}'")));
    }
    if queue.starts_with("amq.") {
        return Err(GatewayError::Usage(format!(
            "\"amqp_queue\" begins with 'amq.', which RabbitMQ refuses: '{queue}'"
        )));
    }
    if queue.len() > MAX_QUEUE_NAME {
        return Err(GatewayError::Usage(format!("\"amqp_queue\" is longer than {MAX_QUEUE_NAME} octets")));
    }
    Ok(())
}

impl Queues {
    pub(super) fn new(bus: Option<Bus>) -> Self {
        Self {
            bus,
            unbound: Mutex::default(),
            changed: Notify::new(),
            turns: Mutex::default(),
            changes: AtomicU64::new(0),
            kept: watch::Sender::default(),
            stop: CancellationToken::new(),
            keeper: Mutex::default(),
        }
    }

    /// Begins to consume.
    pub(super) fn start(&self, gateway: &Gateway) {
        self.kept.send_replace(Some(Kept::default()));
        let keeper = tokio::spawn(keep(gateway.clone()));
        *self.keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(keeper);
    }

    /// Definitions have changed.
    pub(super) fn look(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_one();
    }

    /// Waits until none is read here any more that is another one's to read, and no channel is told of one by what was.
    pub(super) async fn put_down(&self, gateway: &Gateway) {
        let changes = self.changes.load(Ordering::Acquire);
        let is_ours = |queue: &Arc<str>| gateway.reads(&gateway.0.directory.load(), queue);
        let is_done = |kept: &Option<Kept>| {
            kept.as_ref().is_none_or(|kept| kept.changes >= changes && kept.read.iter().all(is_ours))
        };
        let mut kept = self.kept.subscribe();
        if tokio::time::timeout(PUT_DOWN, kept.wait_for(is_done)).await.is_err() {
            tracing::error!("an application's queue that is read elsewhere from now on may still be read here");
        }
    }

    /// Something waits for a key that nobody has bound a queue to, or does so no longer; channels are told.
    fn note(&self, key: &Arc<str>, is_unbound: bool) {
        let mut unbound = self.unbound.lock().unwrap_or_else(PoisonError::into_inner);
        if if is_unbound { unbound.insert(key.clone()) } else { unbound.remove(key) } {
            self.look();
        }
    }

    /// How the broker is for those who have this queue.
    fn word(&self, queue: &str) -> Word {
        match self.bus.as_ref().map(Bus::link) {
            None => Word::NoBroker,
            Some(Link::Up) => {
                let unbound = self.unbound.lock().unwrap_or_else(PoisonError::into_inner);
                let is_unbound = |kind: CallbackKind| unbound.contains(kind.routing_key(queue).as_str());
                let waits = !unbound.is_empty() && [CallbackKind::Mo, CallbackKind::Event].into_iter().any(is_unbound);
                if waits { Word::Unrouted } else { Word::Link(Link::Up) }
            }
            Some(down) => Word::Link(down),
        }
    }

    /// Consumes nothing more.
    pub(super) async fn stop(&self) {
        self.stop.cancel();
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper {
            // It ends by itself once told; a panic in it has been reported.
            let _ = keeper.await;
        }
    }

    /// Closes the connection.
    pub(super) async fn close(&self) {
        if let Some(bus) = &self.bus {
            bus.stop().await;
        }
    }
}

/// What the keeper has done.
#[derive(Default)]
struct Kept {
    /// So many changes of definitions are heeded.
    changes: u64,
    /// Queues that are read.
    read: HashSet<Arc<str>>,
}

/// What a channel is told of the broker.
#[derive(Clone, PartialEq)]
enum Word {
    NoBroker,
    NotUsed,
    /// Something waits for a key that nobody has bound a queue to.
    Unrouted,
    Link(Link),
}

/// Keeps a consumer for every queue that somebody has, and tells channels how the broker is.
async fn keep(gateway: Gateway) {
    let queues = &gateway.0.queues;
    let mut watch = queues.bus.as_ref().map(Bus::watch);
    let mut running: HashMap<Arc<str>, (Id, CancellationToken)> = HashMap::new();
    let mut consumers = JoinSet::new();
    let mut told: HashMap<ChannelId, Word> = HashMap::new();
    loop {
        let changed = queues.changed.notified();
        let changes = queues.changes.load(Ordering::Acquire);
        let directory = gateway.0.directory.load_full();
        for (queue, (_, stop)) in &running {
            if !gateway.reads(&directory, queue) {
                stop.cancel();
            }
        }
        if let Some(bus) = &queues.bus {
            for queue in directory.queues().keys().filter(|queue| gateway.reads(&directory, queue)) {
                // One that is being stopped is waited for: two consumers at a time would mix up the order.
                running.entry(queue.clone()).or_insert_with(|| {
                    let stop = queues.stop.child_token();
                    let consumer = consumer::run(gateway.clone(), bus.clone(), queue.clone(), stop.clone());
                    (consumers.spawn(consumer).id(), stop)
                });
            }
        }
        tokio::select! {
            () = tell(&gateway, &directory, &mut told) => {}
            // A store that takes nothing must not hold up the end.
            () = queues.stop.cancelled() => break,
        }
        queues.kept.send_replace(Some(Kept { changes, read: running.keys().cloned().collect() }));
        tokio::select! {
            () = changed => {}
            () = link_changed(watch.as_mut()) => {}
            Some(ended) = consumers.join_next_with_id() => {
                let id = ended.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
                running.retain(|_, (consumer, _)| *consumer != id);
                if let Err(error) = ended {
                    tracing::error!(%error, "the consumer of an application's queue has failed; another one begins");
                    tokio::time::sleep(AGAIN).await;
                }
            }
            () = queues.stop.cancelled() => break,
        }
    }
    while consumers.join_next().await.is_some() {}
    queues.kept.send_replace(None);
}

async fn link_changed(watch: Option<&mut Watch>) {
    match watch {
        Some(watch) => {
            watch.changed().await;
        }
        None => std::future::pending().await,
    }
}

async fn tell(gateway: &Gateway, directory: &Directory, told: &mut HashMap<ChannelId, Word>) {
    let words = words(gateway, directory);
    for (channel, word) in &words {
        if told.get(channel) != Some(word) {
            told.insert(channel.clone(), word.clone());
            report(gateway, channel, word).await;
        }
    }
    let gone: Vec<ChannelId> = told.keys().filter(|channel| !words.contains_key(*channel)).cloned().collect();
    for channel in gone {
        told.remove(&channel);
        if directory.runs(&channel) {
            report(gateway, &channel, &Word::NotUsed).await;
        }
    }
}

/// What channels are told that have a queue, or a destination that has one; of several queues, the worst.
fn words(gateway: &Gateway, directory: &Directory) -> BTreeMap<ChannelId, Word> {
    let mut words = BTreeMap::new();
    for (queue, owners) in directory.queues().iter() {
        let word = gateway.0.queues.word(queue);
        let channels = owners.iter().filter_map(|owner| gateway.channel_of(directory, owner));
        for channel in channels.filter(|channel| directory.runs(channel)) {
            let told = words.entry(channel).or_insert_with(|| word.clone());
            if word == Word::Unrouted {
                *told = Word::Unrouted;
            }
        }
    }
    words
}

async fn report(gateway: &Gateway, channel: &ChannelId, word: &Word) {
    let (level, kind, message) = match word {
        Word::NotUsed => (Level::Ok, "not_used", "The channel has no amqp_queue any more".to_owned()),
        Word::Unrouted => (Level::Degraded, "unrouted", UNROUTED.to_owned()),
        Word::Link(Link::Up) => (Level::Ok, "connected", "Connected to RabbitMQ".to_owned()),
        Word::Link(Link::Down(why)) => {
            (Level::Down, "disconnected", format!("There is no connection to RabbitMQ: {why}"))
        }
        Word::NoBroker => {
            let message = "There is no RabbitMQ: the configuration has no key 'amqp'; what is for the queue waits";
            (Level::Down, "no_broker", message.to_owned())
        }
    };
    let report = StatusReport { component: COMPONENT, level, kind, message, details: JsonObject::new() };
    GatewayIntake(gateway.clone()).status(channel, report).await;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::ChannelProperties;

    #[test]
    fn one_queue_too_many_is_refused_and_those_that_are_there_are_not() {
        let channel = |number: usize| {
            let properties = json!({"amqp_queue": format!("queue-{number}")}).as_object().cloned().unwrap_or_default();
            let id = ChannelId::from(number.to_string().as_str());
            (id.clone(), Arc::new(ChannelProperties { id, properties }))
        };
        let directory = |numbers: std::ops::Range<usize>| {
            let mut directory = Directory::default();
            directory.channels.extend(numbers.map(channel));
            directory.index();
            directory
        };
        let almost = directory(1..MOST_QUEUES);
        assert!(check(&almost, Some("another")).is_ok());
        let full = directory(0..MOST_QUEUES);
        let error = check(&full, Some("another")).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some("there are 10000 AMQP queues already, which is the most"));
        assert!(check(&full, Some("queue-7")).is_ok());
        assert!(check(&full, None).is_ok());
    }
}
