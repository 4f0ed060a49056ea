//! What is owed to an application's queue: published in the order in which it was recorded, and done only once the broker
//! has confirmed it.
//!
//! Whatever keeps one message out of a queue keeps all of them out: no connection, nobody has declared the queue, or it is
//! full. So the whole queue waits, and is tried with one message first, then with more and more. Where the broker takes a
//! message and not the one before it, both are published again: whoever goes by what came last has them in order.

use std::collections::VecDeque;
use std::mem::Discriminant;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use super::super::Gateway;
use super::super::callbacks::{CONFIRMED, Serving, next_owed};
use super::super::directory::Directory;
use super::super::retry::RetryPolicy;
use crate::bus::{BusError, Link, Published, Publisher};
use crate::model::{Callback, CallbackTarget, Timestamp};
use crate::store::{CallbackDelivery, CallbackQueue, Change, CommitError};
use crate::telemetry::ChannelLog;

/// Most messages published before the broker's answers are waited for; and most that are looked through for what goes to
/// another queue by now.
const BATCH: usize = 1024;
/// Longest wait before a queue is tried again: its application may have declared it meanwhile.
const LONGEST: Duration = Duration::from_secs(5);

/// Publishes until nothing has been owed for a while, it is to be served elsewhere, or the gateway stops: what is on its way
/// then is waited for.
pub(in crate::gateway) async fn run(
    gateway: Gateway,
    queue: CallbackQueue,
    key: String,
    retry: RetryPolicy,
    serving: Serving,
) {
    let publisher = gateway.0.queues.bus.as_ref().map(|bus| bus.publisher());
    let retry = RetryPolicy { longest: LONGEST, ..retry };
    let waiting = VecDeque::new();
    let key = key.into();
    Owed { gateway, key, publisher, retry, waiting, batch: 1, failures: 0, told: None }.run(queue, &serving).await;
}

struct Owed {
    gateway: Gateway,
    key: Arc<str>,
    /// None without a broker.
    publisher: Option<Publisher>,
    retry: RetryPolicy,
    /// Pulled and not taken by the broker, in order.
    waiting: VecDeque<CallbackDelivery>,
    /// How many are published next: one after a failure, and twice as many each time that all are taken.
    batch: usize,
    /// In a row.
    failures: u32,
    /// The failure that the log has been told of; another one is another line.
    told: Option<Discriminant<Failure>>,
}

/// Why something is still owed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("there is no RabbitMQ: the configuration has no key 'amqp'")]
    NoBroker,
    #[error("no queue is bound to the key '{0}' of the exchange 'vumi'; its reader declares it")]
    Unrouted(Arc<str>),
    #[error("RabbitMQ refuses it: the queue is full, mostly")]
    Refused,
    #[error("{0}")]
    Broker(BusError),
    #[error("the store takes nothing: {0}")]
    Store(#[from] CommitError),
}

impl Owed {
    async fn run(mut self, mut queue: CallbackQueue, serving: &Serving) {
        let gateway = self.gateway.clone();
        while !gateway.0.stop.is_cancelled() && !serving.stop.is_cancelled() {
            if self.waiting.is_empty() {
                let pulled = tokio::select! {
                    pulled = next_owed(&mut queue, self.batch) => pulled,
                    () = stopped(&gateway, serving) => return,
                };
                let Some(pulled) = pulled else { return };
                self.waiting.extend(pulled);
            }
            let published = tokio::select! {
                published = self.publish() => published,
                // A broker that blocks does not answer at all. What it has taken comes again then.
                () = async { stopped(&gateway, serving).await; tokio::time::sleep(CONFIRMED).await } => return,
            };
            match published {
                Ok(()) => self.succeeded(),
                Err(failure) => {
                    let wait = self.failed(&failure, &mut queue).await;
                    tokio::select! {
                        () = self.wait(wait) => {}
                        () = stopped(&gateway, serving) => return,
                    }
                }
            }
        }
    }

    /// Publishes what waits first.
    async fn publish(&mut self) -> Result<(), Failure> {
        self.hand_over().await?;
        let publisher = self.publisher.as_mut().ok_or(Failure::NoBroker)?;
        let callbacks = self.waiting.iter().take(self.batch);
        let bodies: Vec<&[u8]> = callbacks.map(|delivery| delivery.callback.body.get().as_bytes()).collect();
        let published = publisher.publish(&self.key, &bodies).await;
        let taken = published.iter().take_while(|published| matches!(published, Published::Taken)).count();
        let done = self.waiting.drain(..taken).map(|delivery| Change::CallbackDone(delivery.ticket)).collect();
        self.post(done).await;
        let next = published.into_iter().nth(taken);
        if taken > 0 || !matches!(next, Some(Published::Unrouted | Published::Failed(_))) {
            self.gateway.0.queues.note(&self.key, false);
        }
        match next {
            None | Some(Published::Taken) => Ok(()),
            Some(Published::Unrouted) => Err(Failure::Unrouted(self.key.clone())),
            Some(Published::Refused) => Err(Failure::Refused),
            Some(Published::Failed(error)) => Err(Failure::Broker(error)),
        }
    }

    /// Moves what its owner wants in another queue by now, wherever it stands.
    async fn hand_over(&mut self) -> Result<(), Failure> {
        let directory = self.gateway.0.directory.load_full();
        let moved: Vec<_> = self.waiting.iter().filter_map(|delivery| moved(&directory, delivery)).collect();
        if !moved.is_empty() {
            self.gateway.0.store.commit(moved).await?;
            self.waiting.retain(|delivery| renamed(&directory, delivery).is_none());
        }
        Ok(())
    }

    fn succeeded(&mut self) {
        self.failures = 0;
        self.told = None;
        self.batch = (self.batch * 2).min(BATCH);
    }

    /// What is done after a failure; returns how long to wait.
    async fn failed(&mut self, failure: &Failure, queue: &mut CallbackQueue) -> Duration {
        let Some(first) = self.waiting.front().map(|delivery| delivery.callback.clone()) else { return Duration::ZERO };
        self.batch = 1;
        self.failures = self.failures.saturating_add(1);
        let kind = std::mem::discriminant(failure);
        if self.told.replace(kind) != Some(kind)
            && let Some(log) = self.log(&first)
        {
            log.warn(format!("Nothing can be put into the queue {}: {failure}; it is tried again", self.key));
        }
        if matches!(failure, Failure::Unrouted(_)) {
            self.gateway.0.queues.note(&self.key, true);
        }
        self.give_up_old(failure).await;
        if self.waiting.is_empty() && queue.is_drained() {
            self.gateway.0.queues.note(&self.key, false);
            return Duration::ZERO;
        }
        if matches!(failure, Failure::Unrouted(_) | Failure::Refused) {
            self.read_on(queue);
        }
        self.retry.delay(self.failures, fastrand::f64())
    }

    /// Takes what stands behind in hand: some of it may be for a queue that takes it. While the broker takes nothing for
    /// anybody, one message is all that a queue has in memory here.
    fn read_on(&mut self, queue: &mut CallbackQueue) {
        let room = BATCH.saturating_sub(self.waiting.len());
        if room > 0
            && let Some(Ok(pulled)) = queue.pull(room).now_or_never()
        {
            self.waiting.extend(pulled);
        }
    }

    async fn wait(&self, delay: Duration) {
        match &self.gateway.0.queues.bus {
            // Tried as soon as there is a connection; age is looked at meanwhile.
            Some(bus) if bus.link() != Link::Up => {
                let _ = tokio::time::timeout(LONGEST, bus.watch().up()).await;
            }
            _ => tokio::time::sleep(delay).await,
        }
    }

    /// Keeps aside what has become too old; what the store does not take now is looked at with the next failure.
    async fn give_up_old(&mut self, failure: &Failure) {
        let now = Timestamp::now();
        let is_old = |delivery: &&CallbackDelivery| self.retry.is_too_old(delivery.callback.created_at, now);
        let old: Vec<_> = self.waiting.iter().take_while(is_old).map(|delivery| delivery.ticket).collect();
        if old.is_empty() {
            return;
        }
        let count = old.len();
        let parked = old.into_iter().map(|ticket| Change::CallbackParked { ticket, reason: failure.to_string() });
        // When this returns they have left the queue.
        if let Err(error) = self.gateway.0.store.commit(parked.collect()).await {
            tracing::warn!(%error, queue = &*self.key, "what is too old could not be kept aside; it is tried again");
            return;
        }
        for delivery in self.waiting.drain(..count).collect::<Vec<_>>() {
            let callback = &delivery.callback;
            if let Some(log) = self.log(callback) {
                log.error(format!("Message {} for the queue {} was given up: {failure}", callback.message, self.key));
            }
        }
    }

    /// The log of its channel; a deleted channel's has been deleted too.
    fn log(&self, callback: &Callback) -> Option<ChannelLog> {
        self.gateway.channel(&callback.channel).ok().map(|channel| self.gateway.0.logs.channel(&channel.id))
    }

    async fn post(&self, changes: Vec<Change>) {
        if !changes.is_empty()
            && let Err(error) = self.gateway.0.store.post(changes).await
        {
            tracing::error!(%error, "what RabbitMQ took could not be noted; it will be published again");
        }
    }
}

/// Until it is to be served no more, by nobody or elsewhere.
async fn stopped(gateway: &Gateway, serving: &Serving) {
    tokio::select! {
        () = gateway.0.stop.cancelled() => {}
        () = serving.stop.cancelled() => {}
    }
}

/// The queue that its owner has instead of this one. What is owed to whoever has none any more stays: an application may
/// still read a queue that its channel has given up.
fn renamed<'a>(directory: &'a Directory, delivery: &CallbackDelivery) -> Option<&'a str> {
    let CallbackTarget::Queue { queue, owner: Some(owner) } = &delivery.callback.target else { return None };
    directory.queue_of(owner).filter(|wanted| wanted != queue)
}

/// What moves it there.
fn moved(directory: &Directory, delivery: &CallbackDelivery) -> Option<Change> {
    let wanted = renamed(directory, delivery)?.to_owned();
    let mut callback = Callback::clone(&delivery.callback);
    if let CallbackTarget::Queue { queue, .. } = &mut callback.target {
        *queue = wanted;
    }
    Some(Change::CallbackMoved(delivery.ticket, callback))
}

impl Drop for Owed {
    fn drop(&mut self) {
        self.gateway.0.queues.note(&self.key, false);
    }
}
