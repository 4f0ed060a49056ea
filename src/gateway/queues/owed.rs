//! What is owed to an application's queue: published in the order in which it was recorded, and done only once the broker
//! has confirmed it.
//!
//! Whatever keeps one message out of a queue keeps all of them out: no connection, nobody has declared the queue, or it is
//! full. So the whole queue waits, and is tried with one message first, then with more and more. Where the broker takes a
//! message and not the one before it, both are published again: whoever goes by what came last has them in order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::super::Gateway;
use super::super::retry::RetryPolicy;
use crate::bus::{BusError, Link, Published, Publisher};
use crate::model::{Callback, Timestamp};
use crate::store::{CallbackDelivery, CallbackQueue, Change, ReadError};
use crate::telemetry::ChannelLog;

/// Most messages published before the broker's answers are waited for.
const BATCH: usize = 1024;
/// How long a queue waits for more before its task ends.
const IDLE: Duration = Duration::from_secs(30);
/// Longest wait before a queue is tried again: its application may have declared it meanwhile.
const LONGEST: Duration = Duration::from_secs(5);

/// Publishes until nothing has been owed for a while, or the gateway stops: what is on its way then is waited for.
pub(in crate::gateway) async fn run(gateway: Gateway, queue: CallbackQueue, key: String, retry: RetryPolicy) {
    let publisher = gateway.0.queues.bus.as_ref().map(|bus| bus.publisher());
    let retry = RetryPolicy { longest: LONGEST, ..retry };
    let waiting = VecDeque::new();
    Owed { gateway, key: key.into(), publisher, retry, waiting, batch: 1, failures: 0 }.run(queue).await;
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
}

/// Why the broker did not take something.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("there is no RabbitMQ: the configuration has no key 'amqp'")]
    NoBroker,
    #[error("no queue is bound to the key '{0}' of the exchange 'vumi'; its reader declares it")]
    Unrouted(Arc<str>),
    #[error("{0}")]
    Broker(BusError),
    #[error("{0}")]
    Read(#[from] ReadError),
}

impl Owed {
    async fn run(mut self, mut queue: CallbackQueue) {
        let stop = self.gateway.0.stop.clone();
        while !stop.is_cancelled() {
            if self.waiting.is_empty() {
                let pulled = tokio::select! {
                    pulled = queue.pull(BATCH) => pulled,
                    () = tokio::time::sleep(IDLE), if queue.is_drained() => return,
                    () = stop.cancelled() => return,
                };
                match pulled {
                    Ok(pulled) => self.waiting.extend(pulled),
                    Err(error) => {
                        tracing::error!(%error, queue = queue.lane(), "what is owed to a queue could not be read");
                        return;
                    }
                }
            }
            match self.publish().await {
                Ok(()) => self.succeeded(),
                Err(failure) => {
                    let wait = self.failed(&failure, &queue).await;
                    tokio::select! {
                        () = self.wait(wait) => {}
                        () = stop.cancelled() => return,
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
        match published.into_iter().nth(taken) {
            None | Some(Published::Taken) => Ok(()),
            Some(Published::Unrouted) => Err(Failure::Unrouted(self.key.clone())),
            Some(Published::Failed(error)) => Err(Failure::Broker(error)),
        }
    }

    /// Moves what its owner wants in another queue by now.
    async fn hand_over(&mut self) -> Result<(), Failure> {
        let directory = self.gateway.0.directory.load_full();
        let (mut moved, mut stay, mut result) = (Vec::new(), 0, Ok(()));
        while let Some(delivery) = self.waiting.get(stay).filter(|_| stay < self.batch) {
            match self.gateway.moved(&directory, delivery) {
                Ok(None) => stay += 1,
                Ok(Some(change)) => {
                    moved.push(change);
                    self.waiting.remove(stay);
                }
                Err(error) => {
                    result = Err(error.into());
                    break;
                }
            }
        }
        self.post(moved).await;
        result
    }

    fn succeeded(&mut self) {
        self.failures = 0;
        self.batch = (self.batch * 2).min(BATCH);
        self.gateway.0.queues.note(&self.key, false);
    }

    /// What is done after a failure; returns how long to wait.
    async fn failed(&mut self, failure: &Failure, queue: &CallbackQueue) -> Duration {
        let Some(first) = self.waiting.front().map(|delivery| delivery.callback.clone()) else { return Duration::ZERO };
        self.batch = 1;
        self.failures = self.failures.saturating_add(1);
        if self.failures == 1
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
        self.retry.delay(self.failures, fastrand::f64())
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

    /// Keeps aside what has become too old.
    async fn give_up_old(&mut self, failure: &Failure) {
        let now = Timestamp::now();
        let mut parked = Vec::new();
        while let Some(delivery) = self.waiting.front()
            && delivery.callback.created_at.until(now) >= self.retry.max_age
        {
            let callback = &delivery.callback;
            if let Some(log) = self.log(callback) {
                log.error(format!("Message {} for the queue {} was given up: {failure}", callback.message, self.key));
            }
            parked.push(Change::CallbackParked { ticket: delivery.ticket, reason: failure.to_string() });
            self.waiting.pop_front();
        }
        // When this returns they have left the queue.
        if !parked.is_empty()
            && let Err(error) = self.gateway.0.store.commit(parked).await
        {
            tracing::error!(%error, "what was given up could not be kept aside; it is owed again after a restart");
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

impl Drop for Owed {
    fn drop(&mut self) {
        self.gateway.0.queues.note(&self.key, false);
    }
}
