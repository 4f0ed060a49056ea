//! Takes an application's MTs out of its queue, as fast as they can be written, and acknowledges them when they are.
//!
//! While the channel's own queue is full, or the store takes nothing, the broker keeps them: nothing is consumed then,
//! rather than put back again and again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::super::Gateway;
use super::super::directory::{Directory, QueueOwner};
use super::accept::{NotAccepted, SAME_ID};
use crate::bus::vumi::UserMessage;
use crate::bus::{Bus, BusError, IncomingMessage, Publisher};
use crate::model::{ChannelId, MessageId, Outbound};
use crate::store::CommitError;

/// Most messages that a queue has in hand: as many as are written at a time, and as many behind them on their way.
const PREFETCH: u16 = 256;
/// Most messages written at a time.
const BATCH: usize = 128;
/// Longest body of a message in octets, as the HTTP API has it.
const MOST_OCTETS: usize = 1024 * 1024;
/// How often it is looked whether there is room again.
const LOOK: Duration = Duration::from_millis(250);
/// Wait before a store that is busy is asked again.
const BUSY: Duration = Duration::from_millis(100);
/// Wait after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Longest wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Why consuming has ended for now.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Broker(#[from] BusError),
    #[error("{0}")]
    Store(#[from] CommitError),
    #[error("the store could not be read: {0}")]
    Read(Arc<str>),
}

/// Consumes `{queue}.outbound` until it is stopped.
pub(super) async fn run(gateway: Gateway, bus: Bus, queue: Arc<str>, stop: CancellationToken) {
    let mut consumer = Consumer { gateway, publisher: bus.publisher(), queue, turn: 0 };
    let mut watch = bus.watch();
    let mut pause = FIRST_PAUSE;
    loop {
        // What is cut off here comes again, and what of it had been written is known then.
        let ended = tokio::select! {
            ended = async {
                consumer.room().await;
                watch.up().await;
                consumer.consume(&bus, &mut pause).await
            } => ended,
            () = stop.cancelled() => return,
        };
        let Err(trouble) = ended else { continue };
        tracing::warn!(queue = &*consumer.queue, %trouble, "an application's queue is not consumed for the moment");
        tokio::select! {
            () = tokio::time::sleep(pause.mul_f64(0.8 + 0.4 * fastrand::f64())) => pause = (pause * 2).min(LONGEST_PAUSE),
            () = stop.cancelled() => return,
        }
    }
}

struct Consumer {
    gateway: Gateway,
    /// For what cannot be sent.
    publisher: Publisher,
    queue: Arc<str>,
    /// Whose turn it is among several who have the queue.
    turn: usize,
}

impl Consumer {
    /// Consumes until there is no room any more.
    async fn consume(&mut self, bus: &Bus, pause: &mut Duration) -> Result<(), Trouble> {
        let mut incoming = bus.consume(&format!("{}.outbound", self.queue), PREFETCH).await?;
        let mut cancelled = false;
        loop {
            let messages = incoming.next(BATCH).await?;
            let Some(last) = messages.last() else {
                if cancelled {
                    incoming.close().await;
                    return Ok(());
                }
                return Err(BusError::Broker("the queue is not consumed any more".into()).into());
            };
            self.take(&messages).await?;
            incoming.acknowledge(last).await?;
            *pause = FIRST_PAUSE;
            if !cancelled && !self.has_room() {
                // What is in hand is still taken: the broker gives up on whoever holds it for long.
                tracing::debug!(queue = &*self.queue, "a channel's queue is full; its application's waits");
                incoming.cancel().await?;
                cancelled = true;
            }
        }
    }

    /// Makes messages MTs, or puts them aside; when this returns that is durable.
    async fn take(&mut self, messages: &[IncomingMessage]) -> Result<(), Trouble> {
        let directory = self.gateway.0.directory.load_full();
        let owners = directory.queues().get(&self.queue).cloned().unwrap_or_default();
        let (mut taken, mut seen) = (Vec::with_capacity(messages.len()), HashMap::<MessageId, Arc<Outbound>>::new());
        for message in messages {
            let made = if message.body.len() > MOST_OCTETS {
                Err(NotAccepted::Refused(format!("it is longer than {MOST_OCTETS} octets")))
            } else {
                UserMessage::decode(&message.body).map_err(|error| NotAccepted::Refused(error.to_string()))
            };
            let made = made.and_then(|message| {
                let owner = self.owner(&directory, &owners, &message);
                let owner = owner.ok_or_else(|| NotAccepted::Refused("the queue is nobody's".to_owned()))?;
                self.gateway.taken(&directory, owner, &self.queue, message)
            });
            match made {
                Ok(made) => match seen.get(&made.id) {
                    None => {
                        seen.insert(made.id, made.clone());
                        taken.push(made);
                    }
                    Some(earlier) if earlier.to == made.to && earlier.content == made.content => {}
                    Some(_) => self.refuse(&owners, message, SAME_ID).await?,
                },
                Err(NotAccepted::Known) => {}
                Err(NotAccepted::Refused(reason)) => self.refuse(&owners, message, &reason).await?,
                Err(NotAccepted::Unreadable(why)) => return Err(Trouble::Read(why)),
            }
        }
        while let Err(error) = self.gateway.accept_taken(&taken).await {
            if error != CommitError::Busy {
                return Err(error.into());
            }
            tokio::time::sleep(BUSY).await;
        }
        Ok(())
    }

    /// Whose message it is: among several, the one whose channel it names, or whoever's turn it is.
    fn owner<'a>(
        &mut self,
        directory: &Directory,
        owners: &'a [QueueOwner],
        message: &UserMessage,
    ) -> Option<&'a QueueOwner> {
        let [_, _, ..] = owners else { return owners.first() };
        let named = message.transport_name.as_deref();
        let is_named = |owner: &&QueueOwner| match owner {
            QueueOwner::Channel(channel) => named == Some(channel.as_str()),
            QueueOwner::Destination(router, _) => {
                let routing = directory.router(router).and_then(|router| router.routing.as_ref());
                routing.and_then(|routing| routing.channel()).is_some_and(|channel| named == Some(channel.as_str()))
            }
        };
        owners.iter().find(is_named).or_else(|| {
            self.turn = self.turn.wrapping_add(1);
            owners.get(self.turn % owners.len())
        })
    }

    /// Puts a message aside that can never be sent.
    async fn refuse(&mut self, owners: &[QueueOwner], message: &IncomingMessage, reason: &str) -> Result<(), Trouble> {
        self.publisher.refuse(&self.queue, &message.body, reason).await?;
        for owner in owners {
            let log = self.gateway.0.logs.of(owner.id());
            log.error(format!("A message from {0}.outbound was put into {0}.failures: {reason}", self.queue));
        }
        Ok(())
    }

    /// Waits until MTs can be accepted.
    async fn room(&self) {
        while !self.has_room() || self.gateway.health().is_err() {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether all who have the queue have room for more.
    fn has_room(&self) -> bool {
        let directory = self.gateway.0.directory.load();
        let owners = directory.queues().get(&self.queue).map_or(&[][..], Vec::as_slice);
        let limit = self.gateway.0.config.queue_limit;
        let has_room = |channel: &ChannelId| self.gateway.depth(channel).waiting < limit;
        owners.iter().all(|owner| match owner {
            QueueOwner::Channel(channel) => has_room(channel),
            QueueOwner::Destination(router, id) => {
                let router = directory.router(router);
                let channel = router.and_then(|router| self.gateway.choose(&directory, router, "", Some(id)).ok());
                channel.is_none_or(|channel| has_room(&channel))
            }
        })
    }
}
