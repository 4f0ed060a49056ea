//! The queues that come out of the store: MTs per channel, owed requests per receiver.
//!
//! Pulling is cancel-safe: an entry is in hand only once a pull has returned it, and goes back when its queue is
//! dropped.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::mpsc;

use super::part::Part;
use super::{CallbackDelivery, Delivery, ReadError, Store, Tenure, Ticket};
use crate::engine::{Engine, Entry, Item, Lane, Pulled, Reach, callback_delivery, delivery};
use crate::model::{ChannelId, Outbound, Timestamp};

/// How long nothing is looked for that may be another node's.
const DOUBT: Duration = Duration::from_millis(200);

/// A channel's MTs: the highest priority first, FIFO within one.
pub struct OutboundQueue {
    /// `None` where another node has the channel: reading says so.
    engine: Option<Arc<Engine>>,
    /// The most urgent first, and which consumer of theirs this is.
    lanes: Vec<(Arc<Lane>, u64)>,
    /// Whose right to the channel is looked at, where there are several nodes.
    part: Option<Arc<Part>>,
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
    pub(super) fn open(engine: Option<Arc<Engine>>, part: Option<Arc<Part>>, channel: &ChannelId) -> Self {
        let lanes = engine.iter().flat_map(|engine| {
            engine.outbound_lanes(channel).map(|lane| {
                let generation = engine.acquire(&lane);
                (lane, generation)
            })
        });
        Self { lanes: lanes.collect(), engine, part }
    }

    /// Whether nothing may be handed out: another node may have begun to, while this one was paused or cut off.
    fn is_doubtful(&self) -> bool {
        self.part.as_ref().is_some_and(|part| part.tenure() != Some(Tenure::Good))
    }

    fn engine(&self) -> Result<&Engine, ReadError> {
        self.engine.as_deref().ok_or_else(|| ReadError("another node has the channel".into()))
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
        loop {
            let work = self.lanes.first().map(|(lane, _)| lane.work.clone());
            let notified = work.iter().map(|work| work.notified()).next();
            let (found, due) = self.look(room, weigh)?;
            if let (true, Some((lane, generation)), Some(notified)) = (found.is_empty(), self.lanes.first(), notified) {
                wait(lane, *generation, notified, due).await;
                continue;
            }
            return Ok(found);
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
        let engine = self.engine.iter();
        engine.for_each(|engine| {
            self.lanes.iter().for_each(|(lane, generation)| engine.give_back(lane, *generation, tickets))
        });
    }

    /// The next MTs that wait, about `most`, in their order; none at the end. All of them stay where they are: they may be
    /// withdrawn, and expire.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub async fn peek(&mut self, look: &mut Look, most: usize) -> Result<Vec<Waiting>, ReadError> {
        while let Some((lane, generation)) = self.lanes.get(look.lane) {
            let found = self.engine()?.peek(lane, *generation, &mut look.reach, most).await?;
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
        let Some(engine) = self.engine.as_ref().filter(|_| !self.is_doubtful()) else { return deliveries };
        for (number, (lane, generation)) in self.lanes.iter().enumerate() {
            let here = chosen.iter().take_while(|waiting| waiting.lane == number).count();
            let mut entries: VecDeque<Entry> = chosen.iter().take(here).map(|waiting| waiting.entry.clone()).collect();
            let taken = engine.take_chosen(lane, *generation, &mut entries);
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
        let engine = self.engine()?;
        if self.is_doubtful() {
            return Ok((Vec::new(), Some(Timestamp::now().plus(DOUBT))));
        }
        let (mut found, mut first_due) = (Vec::new(), None);
        let weight = |item: &Item| match item {
            Item::Message(message) => weigh(message).max(1),
            Item::Callback(_) => 1,
        };
        for (lane, generation) in &self.lanes {
            while room > 0 {
                match engine.take(lane, *generation, room, weight) {
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
        let engine = self.engine.iter();
        engine.for_each(|engine| self.lanes.iter().for_each(|(lane, generation)| engine.release(lane, *generation)));
    }
}

/// How the names of those queues begin whose content goes to RabbitMQ; the routing key follows.
pub(crate) const AMQP_LANE: &str = "amqp/";

/// The requests owed to one receiver, in the order they were recorded.
pub struct CallbackQueue {
    engine: Arc<Engine>,
    lane: Arc<Lane>,
    generation: u64,
}

impl CallbackQueue {
    /// What it is called: `mo/<channel>`, `status/<channel>`, `destination/<id>`, `event/<authority>/<channel>`
    /// (`event/ <number>/<channel>` where several authorities share one) or `amqp/<routing key>`.
    #[must_use]
    pub fn lane(&self) -> &str {
        &self.lane.name
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
    /// Those that nobody may serve now. They keep neither their engine nor what is in them.
    resting: Vec<Weak<Lane>>,
    /// Those of them that are asked for once more.
    again: Vec<Weak<Lane>>,
}

impl CallbackLanes {
    pub(super) fn new(store: Store, news: mpsc::UnboundedReceiver<Arc<Lane>>) -> Self {
        Self { store, news, resting: Vec::new(), again: Vec::new() }
    }

    /// The next queue that has work and that nobody holds; `None` when the store has been closed.
    pub async fn next(&mut self) -> Option<CallbackQueue> {
        self.next_admitted(|_| Some(())).await.map(|(queue, ())| queue)
    }

    /// The next one that may be served, with what `admit` says to that. It is asked of the channel that all of the queue is
    /// about; of none where several share it, as they do with a destination's or an AMQP queue's in a directory. What it does
    /// not admit rests.
    pub async fn next_admitted<T>(
        &mut self,
        mut admit: impl FnMut(Option<&ChannelId>) -> Option<T>,
    ) -> Option<(CallbackQueue, T)> {
        loop {
            let lane = match self.again.pop() {
                Some(lane) => lane.upgrade(),
                None => Some(self.news.recv().await?),
            };
            let Some(lane) = lane else { continue };
            let Some((engine, channel)) = self.store.0.shards.of_callback_lane(&lane) else { continue };
            match admit(channel.as_ref()) {
                Some(admitted) => {
                    let generation = engine.acquire(&lane);
                    return Some((CallbackQueue { engine, lane, generation }, admitted));
                }
                None => self.resting.push(Arc::downgrade(&lane)),
            }
        }
    }

    /// Those that rest are asked for once more: others may be served than before.
    pub fn wake(&mut self) {
        self.again.append(&mut self.resting);
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

#[cfg(test)]
mod tests {
    use super::super::{Change, StoreConfig};
    use super::*;
    use crate::model::{Callback, CallbackKind, CallbackTarget, JsonObject, Level, MessageId, Status};

    fn owed() -> Change {
        let channel = ChannelId::from("c");
        let status = Status {
            channel_id: channel.clone(),
            component: String::new(),
            level: Level::Ok,
            kind: String::new(),
            message: String::new(),
            details: JsonObject::new(),
        };
        let callback = Callback {
            id: MessageId::mint(),
            kind: CallbackKind::Status,
            channel,
            message: MessageId::mint(),
            target: CallbackTarget::Channel,
            body: serde_json::value::to_raw_value("").unwrap(),
            created_at: Timestamp::now(),
        };
        Change::SaveStatus { status, callback: Some(callback) }
    }

    #[tokio::test]
    async fn a_queue_of_an_engine_that_another_one_has_followed_is_nobodys() {
        let directory = tempfile::tempdir().unwrap();
        let open = async |name: &str| {
            let path = directory.path().join(name);
            Store::open(&StoreConfig { path, min_free: 0, sync: false, ..StoreConfig::default() }).await.unwrap()
        };
        let (before, after) = (open("before").await, open("after").await);
        before.commit(vec![owed()]).await.unwrap();
        after.commit(vec![owed()]).await.unwrap();
        let news = before.0.news.lock().unwrap().take().unwrap();
        before.close().await;
        let mut late = CallbackLanes::new(after.clone(), news);
        assert!(late.next().await.is_none());
        // Its successor has announced its own.
        let mut lanes = after.callback_lanes().unwrap();
        let mut asked = Vec::new();
        let mut admit = |channel: Option<&ChannelId>| {
            asked.push(channel.cloned());
            (asked.len() > 1).then_some(())
        };
        lanes.wake();
        let rests = futures_util::poll!(std::pin::pin!(lanes.next_admitted(&mut admit)));
        assert!(rests.is_pending());
        lanes.wake();
        let (mut queue, ()) = lanes.next_admitted(&mut admit).await.unwrap();
        assert_eq!(queue.pull(1).await.unwrap().len(), 1);
        assert_eq!(asked, [Some(ChannelId::from("c")), Some(ChannelId::from("c"))]);
    }
}
