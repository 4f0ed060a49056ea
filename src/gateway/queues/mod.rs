//! AMQP queues of applications: which are consumed, and what channels are told of the broker.
//!
//! What goes into them is owed like any callback (`owed`); what comes out of them is accepted like any MT
//! (`consumer`, `accept`).

mod accept;
mod consumer;
pub(super) mod owed;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::directory::{Directory, QueueOwner};
use super::{Gateway, GatewayError, GatewayIntake};
use crate::bus::{Bus, Link, MAX_QUEUE_NAME, Watch};
use crate::channel::{Intake, StatusReport};
use crate::model::{ChannelId, JsonObject, Level};

/// The component of a channel that speaks of the broker.
pub(super) const COMPONENT: &str = "amqp";

/// What a channel is told when all is well.
const CONNECTED: &str = "Connected to RabbitMQ";
/// What is said of a queue that nobody has bound.
const UNROUTED: &str = "Nobody has bound a queue to a key of this channel; what is for it waits";

/// The gateway's part of the bus.
pub(super) struct Queues {
    bus: Option<Bus>,
    /// Somebody may have got or lost a queue.
    changed: Notify,
    stop: CancellationToken,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

/// Checks an `amqp_queue`: keys are all lower case (Junebug reference §4.1), and have a longest length.
pub(super) fn check_name(queue: Option<&str>) -> Result<(), GatewayError> {
    let Some(queue) = queue else { return Ok(()) };
    if queue.chars().any(char::is_uppercase) {
        return Err(GatewayError::Usage(format!("\"amqp_queue\" must be lower case: '{queue}'")));
    }
    if queue.len() > MAX_QUEUE_NAME {
        return Err(GatewayError::Usage(format!("\"amqp_queue\" is longer than {MAX_QUEUE_NAME} octets")));
    }
    Ok(())
}

impl Queues {
    pub(super) fn new(bus: Option<Bus>) -> Self {
        Self { bus, changed: Notify::new(), stop: CancellationToken::new(), keeper: Mutex::default() }
    }

    /// Begins to consume.
    pub(super) fn start(&self, gateway: &Gateway) {
        let keeper = tokio::spawn(keep(gateway.clone()));
        *self.keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(keeper);
    }

    /// Definitions have changed.
    pub(super) fn look(&self) {
        self.changed.notify_one();
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

/// What a channel is told of the broker.
#[derive(Clone, PartialEq)]
enum Word {
    NoBroker,
    NotUsed,
    Link(Link),
}

/// Keeps a consumer for every queue that somebody has, and tells channels how the broker is.
async fn keep(gateway: Gateway) {
    let queues = &gateway.0.queues;
    let mut watch = queues.bus.as_ref().map(Bus::watch);
    let mut running: HashMap<Arc<str>, CancellationToken> = HashMap::new();
    let mut consumers = JoinSet::new();
    let mut told: HashMap<ChannelId, Word> = HashMap::new();
    loop {
        let changed = queues.changed.notified();
        let directory = gateway.0.directory.load_full();
        running.retain(|queue, stop| {
            let wanted = directory.queues().contains_key(queue);
            if !wanted {
                stop.cancel();
            }
            wanted
        });
        if let Some(bus) = &queues.bus {
            for queue in directory.queues().keys() {
                running.entry(queue.clone()).or_insert_with(|| {
                    let stop = queues.stop.child_token();
                    consumers.spawn(consumer::run(gateway.clone(), bus.clone(), queue.clone(), stop.clone()));
                    stop
                });
            }
        }
        tell(&gateway, &directory, &mut told).await;
        tokio::select! {
            () = changed => {}
            () = link_changed(watch.as_mut()) => {}
            Some(_) = consumers.join_next() => {}
            () = queues.stop.cancelled() => break,
        }
    }
    while consumers.join_next().await.is_some() {}
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
    let word = gateway.0.queues.bus.as_ref().map_or(Word::NoBroker, |bus| Word::Link(bus.link()));
    let users = users(directory);
    for channel in &users {
        if told.get(channel) != Some(&word) {
            told.insert(channel.clone(), word.clone());
            report(gateway, channel, &word).await;
        }
    }
    let gone: Vec<ChannelId> = told.keys().filter(|channel| !users.contains(*channel)).cloned().collect();
    for channel in gone {
        told.remove(&channel);
        if directory.channels.contains_key(&channel) {
            report(gateway, &channel, &Word::NotUsed).await;
        }
    }
}

/// Channels that have a queue, or a destination that has one.
fn users(directory: &Directory) -> BTreeSet<ChannelId> {
    let owners = directory.queues().values().flatten();
    let channels = owners.filter_map(|owner| match owner {
        QueueOwner::Channel(channel) => Some(channel),
        QueueOwner::Destination(router, _) => directory.router(router)?.routing.as_ref()?.channel(),
    });
    channels.cloned().collect()
}

async fn report(gateway: &Gateway, channel: &ChannelId, word: &Word) {
    let (level, kind, message) = match word {
        Word::NotUsed => (Level::Ok, "not_used", "The channel has no amqp_queue any more".to_owned()),
        Word::Link(Link::Up) => (Level::Ok, "connected", CONNECTED.to_owned()),
        Word::Link(Link::Down(why)) => {
            (Level::Down, "disconnected", format!("There is no connection to RabbitMQ: {why}"))
        }
        Word::NoBroker => {
            let message = "There is no RabbitMQ: the configuration has no key 'amqp'; what is for the queue waits";
            (Level::Down, "no_broker", message.to_owned())
        }
    };
    say(gateway, channel, level, kind, message).await;
}

/// Says something of the broker for a channel.
async fn say(gateway: &Gateway, channel: &ChannelId, level: Level, kind: &'static str, message: String) {
    let report = StatusReport { component: COMPONENT, level, kind, message, details: JsonObject::new() };
    GatewayIntake(gateway.clone()).status(channel, report).await;
}
