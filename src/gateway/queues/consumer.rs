//! Takes an application's MTs out of its queue, as fast as they can be written, and acknowledges them when they are.
//!
//! While the channel's own queue is full, the store takes nothing or the channel is not there, the broker keeps them:
//! nothing is consumed then, rather than put back again and again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::super::Gateway;
use super::super::directory::Directory;
use super::accept::{NotAccepted, SAME_ID};
use super::{ASIDE, MOST_OCTETS};
use crate::bus::vumi::UserMessage;
use crate::bus::{Bus, BusError, Incoming, IncomingMessage, Publisher};
use crate::model::{MessageId, Outbound, QueueOwner};
use crate::store::{Batch, CommitError};

/// Most messages that a queue has in hand: as many as are written at a time, and as many behind them on their way.
const PREFETCH: u16 = 256;
/// Fewest.
const LEAST: u16 = 4;
/// About how many octets a queue has in hand: AMQP knows no limit of them, so fewer messages are asked for where they are
/// long.
const IN_HAND: usize = 16 * 1024 * 1024;
/// How long messages stay in hand that cannot be taken now. Each time that they go back, a quorum queue counts, and drops them
/// at its limit; RabbitMQ takes them back itself after half an hour.
const HOLD: Duration = Duration::from_secs(600);
/// How often a consumer binds its queue again, if there are few.
const RENEW: Duration = Duration::from_secs(5);
/// Of many, each takes its turn.
const RENEW_EACH: Duration = Duration::from_millis(3);
/// Most messages written at a time.
const BATCH: usize = 128;
/// How often it is looked whether there is room again.
const LOOK: Duration = Duration::from_millis(250);
/// Wait before a store that is busy is asked again.
const BUSY: Duration = Duration::from_millis(100);
/// Wait after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Longest wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long what is in hand may take once it has been told to stop, the broker's answers included.
const LAST: Duration = Duration::from_secs(3);

/// Why consuming has ended for now.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Broker(#[from] BusError),
    #[error("{0}")]
    Store(#[from] CommitError),
    #[error("the store could not be read: {0}")]
    Read(Arc<str>),
    #[error("a message has to wait: {0}")]
    NotNow(String),
}

/// Consumes `{queue}.outbound` until it is stopped.
pub(super) async fn run(gateway: Gateway, bus: Bus, queue: Arc<str>, stop: CancellationToken) {
    let publisher = bus.publisher();
    let mut consumer = Consumer { gateway, publisher, queue, turn: 0, pause: FIRST_PAUSE, longest: MOST_OCTETS };
    let mut watch = bus.watch();
    loop {
        tokio::select! {
            () = async { tokio::join!(consumer.room(), watch.up()); } => {}
            () = stop.cancelled() => return,
        }
        let begun = Instant::now();
        let consumed = tokio::select! {
            consumed = consumer.consume(&bus, &stop) => consumed,
            // What is cut off here comes again.
            () = async { stop.cancelled().await; tokio::time::sleep(LAST).await } => return,
        };
        let Err(trouble) = consumed else { continue };
        if stop.is_cancelled() {
            return;
        }
        consumer.tell(&trouble);
        if begun.elapsed() > LONGEST_PAUSE {
            consumer.pause = FIRST_PAUSE;
        }
        tokio::select! {
            () = tokio::time::sleep(consumer.pause.mul_f64(0.8 + 0.4 * fastrand::f64())) => {}
            () = stop.cancelled() => return,
        }
        consumer.pause = (consumer.pause * 2).min(LONGEST_PAUSE);
    }
}

struct Consumer {
    gateway: Gateway,
    /// For what cannot be sent.
    publisher: Publisher,
    queue: Arc<str>,
    /// Whose turn it is among several who have the queue.
    turn: usize,
    /// Wait after the next failure.
    pause: Duration,
    /// How long messages are, at most, as far as is known: less and less while none is.
    longest: usize,
}

/// What was made of messages.
#[derive(Default)]
struct Made {
    taken: Vec<Arc<Outbound>>,
    /// Those that can never be sent, and why.
    refused: Vec<(usize, String)>,
    /// How many were looked at: all, unless one has to wait.
    looked: usize,
    /// Why it has to.
    not_now: Option<String>,
}

impl Consumer {
    /// Consumes until there is no room any more, or it is stopped.
    async fn consume(&mut self, bus: &Bus, stop: &CancellationToken) -> Result<(), Trouble> {
        let name = format!("{}.outbound", self.queue);
        // What an earlier consumer was writing when it was cut off is known from now on.
        self.gateway.0.store.commit(Batch::new()).await?;
        let prefetch = self.prefetch();
        let mut incoming = tokio::select! {
            incoming = bus.consume(&name, prefetch) => incoming?,
            () = stop.cancelled() => return Ok(()),
        };
        let mut renew = self.renewals();
        let mut cancelled = false;
        loop {
            let messages = tokio::select! {
                messages = incoming.next(BATCH) => messages?,
                _ = renew.tick(), if !cancelled => {
                    incoming.bind(&name).await?;
                    continue;
                }
                () = stop.cancelled() => break,
            };
            if messages.is_empty() {
                if cancelled {
                    break;
                }
                return Err(BusError::Broker("the queue is not consumed any more".into()).into());
            }
            let taken = self.take(&incoming, &messages, stop).await;
            if taken.is_err() {
                // What has not been acknowledged goes back, in its order.
                incoming.close().await;
                return taken;
            }
            self.pause = FIRST_PAUSE;
            if cancelled {
                continue;
            }
            let is_full = !matches!(self.has_room(), Ok(true));
            if is_full {
                tracing::debug!(queue = &*self.queue, "a channel's queue is full; its application's waits");
            }
            let wanted = self.prefetch();
            if is_full || wanted < prefetch || wanted / 2 >= prefetch {
                // What is in hand is still taken: the broker gives up on whoever holds it for long.
                incoming.cancel().await?;
                cancelled = true;
            }
        }
        incoming.close().await;
        Ok(())
    }

    /// How many messages are asked for.
    fn prefetch(&self) -> u16 {
        u16::try_from(IN_HAND / self.longest.max(1)).unwrap_or(PREFETCH).clamp(LEAST, PREFETCH)
    }

    /// When the queue is bound again, if somebody has deleted its binding or the exchange.
    fn renewals(&self) -> tokio::time::Interval {
        let queues = self.gateway.0.directory.load().queues().len();
        let every = RENEW.max(RENEW_EACH * u32::try_from(queues).unwrap_or(u32::MAX));
        let mut renewals = tokio::time::interval_at(Instant::now() + every.mul_f64(fastrand::f64()), every);
        renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        renewals
    }

    /// Takes messages. Those that cannot be taken now stay in hand, and with them what is behind; nothing else is asked for.
    async fn take(
        &mut self,
        incoming: &Incoming,
        messages: &[IncomingMessage],
        stop: &CancellationToken,
    ) -> Result<(), Trouble> {
        let longest = messages.iter().map(|message| message.body.len()).max().unwrap_or_default();
        self.longest = longest.max(self.longest / 2);
        let (begun, mut done, mut pause, mut told) = (Instant::now(), 0, FIRST_PAUSE, None);
        loop {
            let Err(trouble) = self.try_to_take(incoming, messages, &mut done).await else { return Ok(()) };
            if !incoming.is_open() || begun.elapsed() > HOLD || stop.is_cancelled() {
                return Err(trouble);
            }
            let kind = std::mem::discriminant(&trouble);
            if told.replace(kind) != Some(kind) {
                self.tell(&trouble);
            }
            tokio::select! {
                () = tokio::time::sleep(pause.mul_f64(0.8 + 0.4 * fastrand::f64())) => {}
                () = stop.cancelled() => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Makes messages from `done` on MTs, or puts them aside, and acknowledges them once that is durable.
    async fn try_to_take(
        &mut self,
        incoming: &Incoming,
        messages: &[IncomingMessage],
        done: &mut usize,
    ) -> Result<(), Trouble> {
        let messages = messages.get(*done..).unwrap_or_default();
        let directory = self.gateway.0.directory.load_full();
        let owners = directory.queues().get(&self.queue).cloned().unwrap_or_default();
        let made = self.make(&directory, &owners, messages)?;
        while let Err(error) = self.gateway.accept_taken(&made.taken).await {
            if error != CommitError::Busy {
                return Err(error.into());
            }
            tokio::time::sleep(BUSY).await;
        }
        for (index, reason) in &made.refused {
            self.refuse(&owners, &messages[*index], reason).await?;
        }
        if let Some(last) = made.looked.checked_sub(1).and_then(|index| messages.get(index)) {
            incoming.acknowledge(last).await?;
        }
        *done += made.looked;
        made.not_now.map_or(Ok(()), |reason| Err(Trouble::NotNow(reason)))
    }

    /// What messages are, up to the first that has to wait.
    fn make(
        &mut self,
        directory: &Directory,
        owners: &[QueueOwner],
        messages: &[IncomingMessage],
    ) -> Result<Made, Trouble> {
        let (mut made, mut seen) = (Made::default(), HashMap::<MessageId, Arc<Outbound>>::new());
        for (index, message) in messages.iter().enumerate() {
            match self.one(directory, owners, message) {
                Ok(message) => match seen.get(&message.id) {
                    None => {
                        seen.insert(message.id, message.clone());
                        made.taken.push(message);
                    }
                    Some(earlier) if earlier.to == message.to && earlier.content == message.content => {}
                    Some(_) => made.refused.push((index, SAME_ID.to_owned())),
                },
                Err(NotAccepted::Known) => {}
                Err(NotAccepted::Refused(reason)) => made.refused.push((index, reason)),
                Err(NotAccepted::NotNow(reason)) => {
                    made.not_now = Some(reason);
                    break;
                }
                Err(NotAccepted::Unreadable(why)) => return Err(Trouble::Read(why)),
            }
            made.looked = index + 1;
        }
        Ok(made)
    }

    fn one(
        &mut self,
        directory: &Directory,
        owners: &[QueueOwner],
        message: &IncomingMessage,
    ) -> Result<Arc<Outbound>, NotAccepted> {
        if message.body.len() > MOST_OCTETS {
            return Err(NotAccepted::Refused(format!("it is longer than {MOST_OCTETS} octets")));
        }
        let message = UserMessage::decode(&message.body).map_err(|error| NotAccepted::Refused(error.to_string()))?;
        let owner = self.owner(directory, owners, &message);
        let owner = owner.ok_or_else(|| NotAccepted::NotNow("the queue is nobody's at the moment".to_owned()))?;
        self.gateway.taken(directory, owner, &self.queue, message)
    }

    /// Says why nothing is consumed for now: to the log of the process, and to those whose messages have to wait.
    fn tell(&self, trouble: &Trouble) {
        tracing::warn!(queue = &*self.queue, %trouble, "an application's queue is not consumed for the moment");
        if let Trouble::NotNow(_) = trouble {
            let directory = self.gateway.0.directory.load();
            for owner in directory.queues().get(&self.queue).into_iter().flatten() {
                let log = self.gateway.0.logs.of(owner.id());
                log.warn(format!("{}.outbound is not consumed for the moment: {trouble}", self.queue));
            }
        }
    }

    /// Whose message it is: among several, whoever's turn it is of those whose channel it names, or of all.
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
        self.turn = self.turn.wrapping_add(1);
        match owners.iter().filter(is_named).count() {
            0 => owners.get(self.turn % owners.len()),
            named => owners.iter().filter(is_named).nth(self.turn % named),
        }
    }

    /// Puts a message aside that can never be sent.
    async fn refuse(&mut self, owners: &[QueueOwner], message: &IncomingMessage, reason: &str) -> Result<(), Trouble> {
        let refused = self.publisher.refuse(&self.queue, &message.body, reason);
        let refused = tokio::time::timeout(ASIDE, refused).await;
        refused.unwrap_or(Err(BusError::Silent))?;
        for owner in owners {
            let log = self.gateway.0.logs.of(owner.id());
            log.error(format!("A message from {0}.outbound was put into {0}.failures: {reason}", self.queue));
        }
        Ok(())
    }

    /// Waits until MTs can be accepted. Nothing is consumed before: a broker may count how often it gets a message back.
    async fn room(&self) {
        let mut told = false;
        loop {
            match self.has_room() {
                Ok(true) if self.gateway.health().is_ok() => return,
                Err(trouble) if !told => {
                    self.tell(&trouble);
                    told = true;
                }
                _ => {}
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether all who have the queue have room for more.
    fn has_room(&self) -> Result<bool, Trouble> {
        let directory = self.gateway.0.directory.load();
        let owners = directory.queues().get(&self.queue).map_or(&[][..], Vec::as_slice);
        let limit = self.gateway.0.config.queue_limit;
        let mut has_room = !owners.is_empty();
        for owner in owners {
            let channel = self.gateway.channel_of(&directory, owner).filter(|id| directory.channels.contains_key(id));
            let channel = channel.ok_or_else(|| Trouble::NotNow(format!("{} has no channel", owner.id())))?;
            has_room &= self.gateway.depth(&channel).waiting < limit;
        }
        Ok(has_room)
    }
}
