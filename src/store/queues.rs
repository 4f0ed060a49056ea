//! The queues that come out of the store: MTs per channel, owed requests per receiver.
//!
//! Pulling is cancel-safe: an entry is in hand only once a pull has returned it, and goes back when its queue is
//! dropped.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::{CallbackDelivery, Delivery, ReadError, Store, Ticket};
use crate::engine::{Engine, Entry, Item, Lane, Pulled, Reach, callback_delivery, delivery};
use crate::model::{ChannelId, Outbound, Timestamp};

/// A channel's MTs: the highest priority first, FIFO within one.
pub struct OutboundQueue {
    engine: Arc<Engine>,
    /// The most urgent first, and which consumer of theirs this is.
    lanes: [(Arc<Lane>, u64); 5],
}

/// How far somebody has looked into a queue without taking anything.
#[derive(Debug, Default)]
pub struct Look {
    /// The lane that is looked at.
    lane: usize,
    reach: Reach,
}

/// An MT that waits in a queue, as it was when somebody looked.
#[derive(Debug)]
pub struct Waiting {
    lane: usize,
    ticket: Ticket,
    message: Arc<Outbound>,
    entry: Entry,
}

impl Waiting {
    /// It.
    #[must_use]
    pub fn message(&self) -> &Outbound {
        &self.message
    }

    /// Its place in its queue, by which its delivery will have it.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        self.ticket
    }
}

impl OutboundQueue {
    pub(super) fn open(engine: Arc<Engine>, channel: &ChannelId) -> Self {
        let lanes = engine.outbound_lanes(channel).map(|lane| {
            let generation = engine.acquire(&lane);
            (lane, generation)
        });
        Self { engine, lanes }
    }

    /// Says of as few as can be that they may have been sent, after a crash: of those that a pull asked for. Each pull waits
    /// for a write then.
    #[must_use]
    pub fn exactly(self) -> Self {
        self.lanes.iter().for_each(|(lane, _)| lane.mark_exactly());
        self
    }

    /// Up to `max` MTs; waits until there is one.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub async fn pull(&mut self, max: usize) -> Result<Vec<Delivery>, ReadError> {
        self.pull_weighed(max, |_| 1).await
    }

    /// The same, as many as weigh `room` together; the last may weigh more than is left, so that there is always one.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub async fn pull_weighed(
        &mut self,
        room: usize,
        weigh: fn(&Outbound) -> usize,
    ) -> Result<Vec<Delivery>, ReadError> {
        let [(lane, _), ..] = &self.lanes;
        let work = lane.work.clone();
        loop {
            let notified = work.notified();
            let (found, due) = self.look(room, weigh)?;
            if !found.is_empty() {
                return Ok(found);
            }
            let [(lane, generation), ..] = &self.lanes;
            wait(lane, *generation, notified, due).await;
        }
    }

    /// Up to `max` MTs, none if there are none.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub fn try_pull(&mut self, max: usize) -> Result<Vec<Delivery>, ReadError> {
        self.try_pull_weighed(max, |_| 1)
    }

    /// The same, as many as weigh `room` together; the last may weigh more than is left.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub fn try_pull_weighed(&mut self, room: usize, weigh: fn(&Outbound) -> usize) -> Result<Vec<Delivery>, ReadError> {
        Ok(self.look(room, weigh)?.0)
    }

    /// Puts MTs back that were pulled last and of which nothing has become, given in the order in which they were pulled:
    /// they are the next ones again.
    pub fn put_back(&mut self, tickets: &[Ticket]) {
        self.lanes.iter().for_each(|(lane, generation)| self.engine.give_back(lane, *generation, tickets));
    }

    /// The next MTs that wait, about `most`, in their order; none at the end. All of them stay where they are: they may be
    /// withdrawn, and expire.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub async fn peek(&mut self, look: &mut Look, most: usize) -> Result<Vec<Waiting>, ReadError> {
        while let Some((lane, generation)) = self.lanes.get(look.lane) {
            let found = self.engine.peek(lane, *generation, &mut look.reach, most).await?;
            if found.is_empty() {
                *look = Look { lane: look.lane + 1, reach: Reach::default() };
                continue;
            }
            let waiting = found.into_iter().filter_map(|entry| {
                let Item::Message(message) = &entry.item else { return None };
                Some(Waiting { lane: look.lane, ticket: lane.ticket(entry.seq), message: message.clone(), entry })
            });
            return Ok(waiting.collect());
        }
        Ok(Vec::new())
    }

    /// Takes MTs that [`peek`](Self::peek) has shown, in that order; those that have left meanwhile are left out. What stays
    /// in `chosen` can be taken once what is committed next is on disk.
    pub fn take(&mut self, chosen: &mut VecDeque<Waiting>) -> Vec<Delivery> {
        let mut deliveries = Vec::with_capacity(chosen.len());
        for (number, (lane, generation)) in self.lanes.iter().enumerate() {
            let here = chosen.iter().take_while(|waiting| waiting.lane == number).count();
            let mut entries: VecDeque<Entry> = chosen.iter().take(here).map(|waiting| waiting.entry.clone()).collect();
            let taken = self.engine.take_chosen(lane, *generation, &mut entries);
            deliveries.extend(taken.into_iter().filter_map(|entry| delivery(lane, entry)));
            chosen.drain(..here - entries.len());
            // Those of the lanes below must not overtake it.
            if !entries.is_empty() {
                break;
            }
        }
        deliveries
    }

    fn look(
        &mut self,
        mut room: usize,
        weigh: fn(&Outbound) -> usize,
    ) -> Result<(Vec<Delivery>, Option<Timestamp>), ReadError> {
        let (mut found, mut first_due) = (Vec::new(), None);
        let weight = |item: &Item| match item {
            Item::Message(message) => weigh(message).max(1),
            Item::Callback(_) => 1,
        };
        for (lane, generation) in &self.lanes {
            while room > 0 {
                match self.engine.take(lane, *generation, room, weight) {
                    // What has been taken is handed on; the next look meets the error again.
                    Err(_) if !found.is_empty() => return Ok((found, None)),
                    Err(error) => return Err(error),
                    Ok(Pulled::Entries(entries)) => {
                        room = entries.iter().fold(room, |room, entry| room.saturating_sub(weight(&entry.item)));
                        found.extend(entries.into_iter().filter_map(|entry| delivery(lane, entry)));
                    }
                    // Those of the lanes below must not overtake it.
                    Ok(Pulled::Soon) => return Ok((found, None)),
                    Ok(Pulled::Nothing { due }) => {
                        first_due = [first_due, due].into_iter().flatten().min();
                        break;
                    }
                }
            }
        }
        Ok((found, first_due))
    }
}

impl Drop for OutboundQueue {
    fn drop(&mut self) {
        self.lanes.iter().for_each(|(lane, generation)| self.engine.release(lane, *generation));
    }
}

/// How the names of those queues begin whose content goes to RabbitMQ; the routing key follows.
pub(crate) const AMQP_LANE: &str = "amqp/";

/// The requests owed to one receiver, in the order they were recorded.
pub struct CallbackQueue {
    engine: Arc<Engine>,
    lane: Arc<Lane>,
    generation: u64,
    channel: Option<ChannelId>,
}

impl CallbackQueue {
    /// What it is called: `mo/<channel>`, `status/<channel>`, `destination/<id>`, `event/<authority>/<channel>`
    /// (`event/ <number>/<channel>` where several authorities share one) or `amqp/<routing key>`.
    #[must_use]
    pub fn lane(&self) -> &str {
        &self.lane.name
    }

    /// The channel that all of it is about; `None` where several share the queue, as they do with a destination's or an AMQP
    /// queue's in a directory.
    #[must_use]
    pub fn channel(&self) -> Option<&ChannelId> {
        self.channel.as_ref()
    }

    /// The routing key under which its content is published, if it goes to RabbitMQ.
    #[must_use]
    pub fn routing_key(&self) -> Option<&str> {
        self.lane.name.strip_prefix(AMQP_LANE)
    }

    /// Up to `max` callbacks; waits until there is one.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub async fn pull(&mut self, max: usize) -> Result<Vec<CallbackDelivery>, ReadError> {
        let work = self.lane.work.clone();
        loop {
            let notified = work.notified();
            match self.engine.take(&self.lane, self.generation, max, |_| 1)? {
                Pulled::Entries(entries) => {
                    return Ok(entries.into_iter().filter_map(|e| callback_delivery(&self.lane, e)).collect());
                }
                Pulled::Soon => wait(&self.lane, self.generation, notified, None).await,
                Pulled::Nothing { due } => wait(&self.lane, self.generation, notified, due).await,
            }
        }
    }

    /// Whether nothing waits and nothing is in hand.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.lane.waiting() == 0
    }
}

impl Drop for CallbackQueue {
    fn drop(&mut self) {
        self.engine.release(&self.lane, self.generation);
    }
}

/// The callback queues that have work, as they get it.
pub struct CallbackLanes {
    store: Store,
    news: mpsc::UnboundedReceiver<Arc<Lane>>,
}

impl CallbackLanes {
    pub(super) fn new(store: Store, news: mpsc::UnboundedReceiver<Arc<Lane>>) -> Self {
        Self { store, news }
    }

    /// The next queue that has work and that nobody holds; `None` when the store has been closed.
    pub async fn next(&mut self) -> Option<CallbackQueue> {
        loop {
            let lane = self.news.recv().await?;
            if let Some(engine) = self.store.of_lane(&lane) {
                let generation = engine.acquire(&lane);
                let channel = self.store.0.shards.channel_of(&lane);
                return Some(CallbackQueue { engine, lane, generation, channel });
            }
        }
    }
}

/// Waits for news, or until the first delayed entry is due; for ever if another consumer has come, whose news these are.
async fn wait(lane: &Lane, generation: u64, notified: impl Future<Output = ()>, due: Option<Timestamp>) {
    if !lane.is_held_by(generation) {
        return std::future::pending().await;
    }
    match due {
        // A wall clock that is set back must not make anybody wait for hours.
        Some(due) => {
            let _ = tokio::time::timeout(Timestamp::now().until(due).min(Duration::from_secs(60)), notified).await;
        }
        None => notified.await,
    }
}
