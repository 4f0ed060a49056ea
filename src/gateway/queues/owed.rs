//! What is owed to an application's queue: published in the order in which it was recorded, and done only once the broker
//! has confirmed it.
//!
//! Whatever keeps one message out of a queue keeps all of them out: no connection, or nobody has declared the queue. So
//! the whole queue waits, and is tried with one message first.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::super::Gateway;
use super::super::retry::RetryPolicy;
use super::{CONNECTED, UNROUTED, say};
use crate::bus::{BusError, Link, Published, Publisher};
use crate::model::{ChannelId, Level, Timestamp};
use crate::store::{CallbackDelivery, CallbackQueue, Change};

/// Most messages published before the broker's answers are waited for.
const BATCH: usize = 1024;
/// How long a queue waits for more before its task ends.
const IDLE: Duration = Duration::from_secs(30);
/// Longest wait before a queue is tried again: its application may have declared it meanwhile.
const LONGEST: Duration = Duration::from_secs(5);

/// Publishes until nothing has been owed for a while.
pub(in crate::gateway) async fn run(gateway: Gateway, queue: CallbackQueue, key: String, retry: RetryPolicy) {
    let publisher = gateway.0.queues.bus.as_ref().map(|bus| bus.publisher());
    let retry = RetryPolicy { longest: LONGEST, ..retry };
    let waiting = VecDeque::new();
    Owed { gateway, key: key.into(), publisher, retry, waiting, failures: 0, told: None }.run(queue).await;
}

struct Owed {
    gateway: Gateway,
    key: Arc<str>,
    /// None without a broker.
    publisher: Option<Publisher>,
    retry: RetryPolicy,
    /// Pulled and not taken by the broker, in order.
    waiting: VecDeque<CallbackDelivery>,
    /// In a row.
    failures: u32,
    /// The channel that was told that nobody has declared the queue.
    told: Option<ChannelId>,
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
}

impl Owed {
    async fn run(mut self, mut queue: CallbackQueue) {
        loop {
            if self.waiting.is_empty() {
                let pulled = tokio::select! {
                    pulled = queue.pull(BATCH) => pulled,
                    () = tokio::time::sleep(IDLE), if queue.is_drained() => return,
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
                Ok(()) => self.succeeded().await,
                Err(failure) => self.failed(&failure).await,
            }
        }
    }

    /// Publishes what waits, or one of it after a failure.
    async fn publish(&mut self) -> Result<(), Failure> {
        let publisher = self.publisher.as_mut().ok_or(Failure::NoBroker)?;
        let count = if self.failures == 0 { self.waiting.len() } else { 1 };
        let callbacks = self.waiting.iter().take(count);
        let bodies: Vec<&[u8]> = callbacks.map(|delivery| delivery.callback.body.get().as_bytes()).collect();
        let published = publisher.publish(&self.key, &bodies).await;
        let (mut done, mut result, mut left) = (Vec::with_capacity(count), Ok(()), VecDeque::new());
        for (published, delivery) in published.into_iter().zip(self.waiting.drain(..count)) {
            let failure = match published {
                Published::Taken => {
                    done.push(Change::CallbackDone(delivery.ticket));
                    continue;
                }
                Published::Unrouted => Failure::Unrouted(self.key.clone()),
                Published::Failed(error) => Failure::Broker(error),
            };
            result = result.and(Err(failure));
            left.push_back(delivery);
        }
        left.append(&mut self.waiting);
        self.waiting = left;
        self.post(done).await;
        result
    }

    async fn succeeded(&mut self) {
        self.failures = 0;
        if let Some(channel) = self.told.take() {
            say(&self.gateway, &channel, Level::Ok, "connected", CONNECTED.to_owned()).await;
        }
    }

    async fn failed(&mut self, failure: &Failure) {
        let Some(first) = self.waiting.front().map(|delivery| delivery.callback.clone()) else { return };
        self.failures = self.failures.saturating_add(1);
        if self.failures == 1 {
            let log = self.gateway.0.logs.channel(&first.channel);
            log.warn(format!("Nothing can be put into the queue {}: {failure}; it is tried again", self.key));
        }
        // Each time: a connection that comes back is told of too, and a repetition is not told again.
        if matches!(failure, Failure::Unrouted(_)) {
            self.told = Some(first.channel.clone());
            // The same for every key: two of them must not tell of each other in turn. The log has the key.
            say(&self.gateway, &first.channel, Level::Degraded, "unrouted", UNROUTED.to_owned()).await;
        }
        self.give_up_old(failure).await;
        let delay = self.retry.delay(self.failures, fastrand::f64());
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
            let log = self.gateway.0.logs.channel(&callback.channel);
            log.error(format!("Message {} for the queue {} was given up: {failure}", callback.message, self.key));
            parked.push(Change::CallbackParked { ticket: delivery.ticket, reason: failure.to_string() });
            self.waiting.pop_front();
        }
        self.post(parked).await;
    }

    async fn post(&self, changes: Vec<Change>) {
        if !changes.is_empty()
            && let Err(error) = self.gateway.0.store.post(changes).await
        {
            tracing::error!(%error, "what RabbitMQ took could not be noted; it will be published again");
        }
    }
}
