//! What an application's queue held that cannot be sent: looked at, sent again, deleted.
//!
//! It is in RabbitMQ, where a look takes it and puts it back: so one look at a queue runs at a time, and each is bounded.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::Serialize;
use tokio::sync::OwnedMutexGuard;

use super::super::{Gateway, GatewayError};
use super::{MOST_OCTETS, Queues};
use crate::bus::vumi::UserMessage;
use crate::bus::{Bus, BusError, Failure, Failures, Published};
use crate::model::{MessageId, QueueOwner};

/// A message that could not be sent, as it is shown.
#[derive(Debug, Serialize)]
pub struct FailedMessage {
    /// What it is called.
    pub id: MessageId,
    /// Why it was not sent; nothing if somebody else put it there.
    pub reason: Option<String>,
    /// When it was put there; nothing if that was somebody else.
    pub created_at: Option<String>,
    /// How long it is.
    pub octets: usize,
    /// `utf-8` or `base64`.
    pub encoding: &'static str,
    /// What came; nothing if that is longer than any message may be.
    pub body: Option<String>,
}

/// Some of them.
#[derive(Debug)]
pub struct FailedMessages {
    /// The oldest first.
    pub found: Vec<FailedMessage>,
    /// How many there are in all.
    pub total: u32,
    /// The last one of these, if there are more.
    pub next: Option<MessageId>,
}

/// Most that a look goes through: as many as the queue has that we declare.
const MOST_SEEN: usize = 10_000;
/// Octets after which a page ends.
const OCTETS: usize = 4 * 1024 * 1024;

/// A look at `{queue}.failures`, which nobody else of this server has meanwhile.
struct Look {
    bus: Bus,
    queue: Arc<str>,
    failures: Failures,
    _turn: OwnedMutexGuard<()>,
}

impl Queues {
    /// Whose turn it is to look at a queue's failures.
    async fn turn(&self, queue: &Arc<str>) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            turns.entry(queue.clone()).or_default().clone()
        };
        turn.lock_owned().await
    }
}

impl Gateway {
    /// How many messages from an owner's queue could not be sent; nothing where the owner has no queue, or RabbitMQ is not
    /// there to be asked.
    pub async fn count_failures(&self, owner: &QueueOwner) -> Option<u32> {
        let (bus, queue) = self.failing(owner).ok()?;
        match bus.failures(&queue).await {
            Ok(Some(failures)) => {
                let count = failures.count;
                failures.close().await;
                Some(count)
            }
            Ok(None) => Some(0),
            Err(_) => None,
        }
    }

    /// Messages from an owner's queue that could not be sent, at most `limit`; those behind `after`, if that is given.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub async fn failures(
        &self,
        owner: &QueueOwner,
        after: Option<MessageId>,
        limit: usize,
    ) -> Result<FailedMessages, GatewayError> {
        let Some(mut look) = self.look_at_failures(owner).await? else {
            return Ok(FailedMessages { found: Vec::new(), total: 0, next: None });
        };
        let page = look.page(after, limit).await;
        look.end().await;
        Ok(page?)
    }

    /// Puts one back into the queue that it came from; a corrected one in its place, if that is given.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub async fn retry_failure(
        &self,
        owner: &QueueOwner,
        id: &str,
        corrected: Option<&[u8]>,
    ) -> Result<FailedMessage, GatewayError> {
        if let Some(body) = corrected {
            UserMessage::decode(body).map_err(|error| GatewayError::Usage(format!("The message is wrong: {error}")))?;
        }
        let mut look = self.look_at_failures(owner).await?.ok_or_else(|| not_found(id))?;
        let retried = async {
            let failure = look.find(id).await?;
            look.put_back(&[corrected.unwrap_or(&failure.body)]).await?;
            look.failures.remove(&failure).await?;
            Ok(failure.into())
        };
        let retried = retried.await;
        look.end().await;
        retried
    }

    /// Puts all of them back that there are now. Returns how many.
    ///
    /// # Errors
    /// [`GatewayError`]; some may have been put back then.
    pub async fn retry_failures(&self, owner: &QueueOwner) -> Result<usize, GatewayError> {
        let Some(mut look) = self.look_at_failures(owner).await? else { return Ok(0) };
        let retried = look.put_all_back().await;
        look.end().await;
        Ok(retried?)
    }

    /// Deletes one.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub async fn delete_failure(&self, owner: &QueueOwner, id: &str) -> Result<(), GatewayError> {
        let mut look = self.look_at_failures(owner).await?.ok_or_else(|| not_found(id))?;
        let deleted = async {
            let failure = look.find(id).await?;
            Ok(look.failures.remove(&failure).await?)
        };
        let deleted = deleted.await;
        look.end().await;
        deleted
    }

    /// Deletes all of them. Returns how many.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub async fn delete_failures(&self, owner: &QueueOwner) -> Result<u32, GatewayError> {
        let Some(look) = self.look_at_failures(owner).await? else { return Ok(0) };
        let deleted = look.failures.purge().await;
        look.end().await;
        Ok(deleted?)
    }

    /// None where there is no such queue.
    async fn look_at_failures(&self, owner: &QueueOwner) -> Result<Option<Look>, GatewayError> {
        let (bus, queue) = self.failing(owner)?;
        let turn = self.0.queues.turn(&queue).await;
        let failures = bus.failures(&queue).await?;
        Ok(failures.map(|failures| Look { bus, queue, failures, _turn: turn }))
    }

    /// The broker, and the queue that somebody has there.
    fn failing(&self, owner: &QueueOwner) -> Result<(Bus, Arc<str>), GatewayError> {
        match owner {
            QueueOwner::Channel(channel) => drop(self.channel(channel)?),
            QueueOwner::Destination(router, destination) => drop(self.destination(router, destination)?),
        }
        let directory = self.0.directory.load();
        let queue = directory.queue_of(owner).map(Arc::from);
        let queue = queue.ok_or_else(|| GatewayError::Usage(format!("{} has no \"amqp_queue\"", owner.id())))?;
        let no_broker = || GatewayError::Usage("there is no RabbitMQ: the configuration has no key 'amqp'".to_owned());
        Ok((self.0.queues.bus.clone().ok_or_else(no_broker)?, queue))
    }
}

impl Look {
    /// The first behind `after` in the order of their ids, which is that of time: a queue has no order that lasts, since a
    /// quorum queue puts what comes back behind what came back before.
    async fn page(&mut self, after: Option<MessageId>, limit: usize) -> Result<FailedMessages, BusError> {
        let (mut first, mut octets, mut next) = (BTreeMap::new(), 0, None);
        let (mut seen, mut batch) = (0, self.failures.next().await?);
        while !batch.is_empty() {
            seen += batch.len();
            for failed in batch.into_iter().map(FailedMessage::from) {
                if after.is_some_and(|after| failed.id <= after) {
                    continue;
                }
                octets += failed.shown();
                if let Some(same) = first.insert(failed.id, failed) {
                    octets -= same.shown();
                }
                while first.len() > limit || (octets > OCTETS && first.len() > 1) {
                    octets -= first.pop_last().map_or(0, |(_, last)| last.shown());
                    next = first.last_key_value().map(|(id, _)| *id);
                }
            }
            batch = if seen < MOST_SEEN { self.failures.next().await? } else { Vec::new() };
        }
        Ok(FailedMessages { found: first.into_values().collect(), total: self.failures.count, next })
    }

    async fn find(&mut self, id: &str) -> Result<Failure, GatewayError> {
        let wanted: MessageId = id.parse().map_err(|_| not_found(id))?;
        let mut seen = 0;
        while seen < MOST_SEEN {
            let batch = self.failures.next().await?;
            if batch.is_empty() {
                break;
            }
            seen += batch.len();
            if let Some(failure) = batch.into_iter().find(|failure| failure.id == wanted) {
                return Ok(failure);
            }
        }
        Err(not_found(id))
    }

    async fn put_all_back(&mut self) -> Result<usize, BusError> {
        // What is refused again comes in behind those that a look sees.
        let mut retried = 0;
        loop {
            let batch = self.failures.next().await?;
            let Some(last) = batch.last() else { return Ok(retried) };
            let bodies: Vec<&[u8]> = batch.iter().map(|failure| &*failure.body).collect();
            self.put_back(&bodies).await?;
            self.failures.remove_up_to(last).await?;
            retried += batch.len();
        }
    }

    /// Puts messages into the queue that they came from; when this returns, they are there.
    async fn put_back(&self, bodies: &[&[u8]]) -> Result<(), BusError> {
        let queue = format!("{}.outbound", self.queue);
        let mut publisher = self.bus.publisher();
        let published = tokio::time::timeout(super::ASIDE, publisher.publish_into(&queue, bodies)).await;
        for published in published.map_err(|_| BusError::Silent)? {
            match published {
                Published::Taken => {}
                Published::Unrouted => return Err(BusError::Broker(format!("there is no queue {queue}").into())),
                Published::Refused => return Err(BusError::Broker(format!("{queue} takes no more").into())),
                Published::Failed(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn end(self) {
        self.failures.close().await;
    }
}

fn not_found(id: &str) -> GatewayError {
    GatewayError::FailureNotFound(id.to_owned())
}

impl FailedMessage {
    /// Octets of its body.
    fn shown(&self) -> usize {
        self.body.as_ref().map_or(0, String::len)
    }
}

impl From<Failure> for FailedMessage {
    fn from(failure: Failure) -> Self {
        let octets = failure.body.len();
        let (encoding, body) = match String::from_utf8(failure.body) {
            Ok(text) => ("utf-8", text),
            Err(error) => ("base64", BASE64_STANDARD.encode(error.as_bytes())),
        };
        Self {
            id: failure.id,
            reason: failure.reason,
            created_at: failure.id.minted_at().map(|at| at.to_string()),
            octets,
            encoding,
            body: Some(body).filter(|_| octets <= MOST_OCTETS),
        }
    }
}
