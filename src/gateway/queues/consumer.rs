//! Consumes an application's queue of MTs: how much is asked for, and when nothing is. What becomes of it is in `taking`.
//!
//! While the channel's own queue is full, the store takes nothing or the channel is not there, the broker keeps them:
//! nothing is consumed then, rather than put back again and again.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::super::Gateway;
use super::MOST_OCTETS;
use crate::bus::{Bus, BusError, Publisher};
use crate::store::{Batch, CommitError};

/// Most messages that a queue has in hand: as many as are written at a time, and as many behind them on their way.
const PREFETCH: u16 = 256;
/// Fewest.
const LEAST: u16 = 4;
/// About how many octets a queue has in hand: AMQP knows no limit of them, so fewer messages are asked for where they are
/// long.
const IN_HAND: usize = 16 * 1024 * 1024;
/// How often a consumer binds its queue again, if there are few.
const RENEW: Duration = Duration::from_secs(5);
/// Of many, each takes its turn.
const RENEW_EACH: Duration = Duration::from_millis(3);
/// Most messages written at a time.
const BATCH: usize = 128;
/// How often it is looked whether there is room again.
const LOOK: Duration = Duration::from_millis(250);
/// Wait after the first failure; it doubles with each further one.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Longest wait.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long what is in hand may take once it has been told to stop, the broker's answers included.
const LAST: Duration = Duration::from_secs(3);

/// Why consuming has ended for now.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
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

pub(super) struct Consumer {
    pub(super) gateway: Gateway,
    /// For what cannot be sent.
    pub(super) publisher: Publisher,
    pub(super) queue: Arc<str>,
    /// Whose turn it is among several who have the queue.
    pub(super) turn: usize,
    /// Wait after the next failure.
    pause: Duration,
    /// How long messages are, at most, as far as is known: less and less while none is.
    pub(super) longest: usize,
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
            if is_full || wanted < prefetch || wanted / 4 >= prefetch {
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

    /// Says why nothing is consumed for now: to the log of the process, and to those whose messages have to wait.
    pub(super) fn tell(&self, trouble: &Trouble) {
        tracing::warn!(queue = &*self.queue, %trouble, "an application's queue is not consumed for the moment");
        if let Trouble::NotNow(_) = trouble {
            let directory = self.gateway.0.directory.load();
            for owner in directory.queues().get(&self.queue).into_iter().flatten() {
                let log = self.gateway.0.logs.of(owner.id());
                log.warn(format!("{}.outbound is not consumed for the moment: {trouble}", self.queue));
            }
        }
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
            let channel = self.gateway.channel_of(&directory, owner).filter(|id| directory.runs(id));
            let channel = channel.ok_or_else(|| Trouble::NotNow(format!("{} has no channel here", owner.id())))?;
            has_room &= self.gateway.depth(&channel).waiting < limit;
        }
        Ok(has_room)
    }
}
