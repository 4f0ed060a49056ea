//! All queue lanes by name and number, and the news of callback lanes that have work.
//!
//! A channel has one lane per priority; callbacks have one per receiver. What a lane does is in `lane/`.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::{Notify, mpsc};

use super::keys::{self, DueKey};
use super::lane::Lane;
use crate::model::{ChannelId, Priority};
use crate::store::{Depth, QueueLength};

/// A channel's lanes, the most urgent first.
pub(crate) type ChannelLanes = [Arc<Lane>; 5];

/// The table of lanes; see the file's head.
#[derive(Debug)]
pub(crate) struct Lanes {
    tables: RwLock<Tables>,
    rings: Arc<AtomicUsize>,
    /// `None` once the store has been closed.
    announce: Mutex<Option<mpsc::UnboundedSender<Arc<Lane>>>>,
}

#[derive(Debug, Default)]
struct Tables {
    by_name: HashMap<Arc<str>, Arc<Lane>>,
    by_number: HashMap<u32, Arc<Lane>>,
    by_channel: HashMap<ChannelId, ChannelLanes>,
    notifies: HashMap<ChannelId, Arc<Notify>>,
    /// Where a channel's events wait for their receivers.
    events: HashMap<ChannelId, Vec<Arc<Lane>>>,
    /// One above the highest number.
    next: u32,
}

/// What the names of outbound lanes begin with.
const OUTBOUND: &str = "out/";
/// And those of events' callbacks: `event/<authority>/<channel>`.
const EVENTS: &str = "event/";
/// Authorities that have a lane of their own for a channel's events. Each message may name another: those beyond share
/// `SHARED` lanes.
const AUTHORITIES: usize = 256;
/// See [`AUTHORITIES`].
const SHARED: u64 = 16;

impl Lanes {
    /// No lanes yet, and where callback lanes with work will be announced (each at most once until it is served, so
    /// the queue of news is bounded by the number of lanes).
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Arc<Lane>>) {
        let (announce, news) = mpsc::unbounded_channel();
        (Self { tables: RwLock::default(), rings: Arc::default(), announce: Mutex::new(Some(announce)) }, news)
    }

    fn tables(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn tables_mut(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The channel's lanes; made now if there were none.
    pub(super) fn of_channel(&self, channel: &ChannelId) -> ChannelLanes {
        if let Some(lanes) = self.tables().by_channel.get(channel) {
            return lanes.clone();
        }
        let mut tables = self.tables_mut();
        let lanes = [5, 4, 3, 2, 1].map(|priority| {
            let name = format!("{OUTBOUND}{priority}/{channel}");
            tables.named(&name, &self.rings)
        });
        tables.by_channel.insert(channel.clone(), lanes.clone());
        lanes
    }

    /// The channel's lane for this priority; made now if there was none.
    pub(super) fn outbound(&self, channel: &ChannelId, priority: Priority) -> Arc<Lane> {
        let place = usize::from(Priority::REALTIME.value() - priority.value());
        if let Some(lane) = self.tables().by_channel.get(channel).and_then(|lanes| lanes.get(place)) {
            return lane.clone();
        }
        let lanes = self.of_channel(channel);
        lanes[place.min(lanes.len() - 1)].clone()
    }

    /// How much waits in the channel's lanes.
    pub(super) fn depth(&self, channel: &ChannelId) -> Depth {
        let lanes = self.tables().by_channel.get(channel).cloned();
        lanes.iter().flatten().map(|lane| lane.length()).fold(Depth::default(), |sum, length| Depth {
            waiting: sum.waiting + length.waiting + length.later,
            in_hand: sum.in_hand + length.in_hand,
        })
    }

    /// How much waits in the callback lane with this name, if there is one.
    pub(super) fn waiting(&self, name: &str) -> u64 {
        self.tables().by_name.get(name).map_or(0, |lane| lane.waiting())
    }

    /// How much waits in the channel's lanes and in those of its callbacks.
    pub(super) fn queue_length(&self, channel: &ChannelId) -> QueueLength {
        let (lanes, inbound, events) = {
            let tables = self.tables();
            let inbound = tables.by_name.get(&*format!("mo/{channel}")).cloned();
            (tables.by_channel.get(channel).cloned(), inbound, tables.events.get(channel).cloned())
        };
        let mut length = QueueLength {
            inbound: inbound.map_or(0, |lane| lane.waiting()),
            events: events.iter().flatten().map(|lane| lane.waiting()).sum(),
            ..QueueLength::default()
        };
        for (lane, waiting) in lanes.iter().flatten().rev().zip(&mut length.by_priority) {
            let lane = lane.length();
            *waiting = lane.waiting.saturating_sub(lane.in_hand + lane.delayed);
            length.scheduled += lane.later + lane.delayed;
            length.in_hand += lane.in_hand;
        }
        length
    }

    /// The callback lane with this name; made now if there was none.
    pub(super) fn named(&self, name: &str) -> Arc<Lane> {
        if let Some(lane) = self.tables().by_name.get(name) {
            return lane.clone();
        }
        self.tables_mut().named(name, &self.rings)
    }

    /// The lane of a channel's events for this authority.
    pub(super) fn of_events(&self, authority: &str, channel: &ChannelId) -> Arc<Lane> {
        let name = format!("{EVENTS}{authority}/{channel}");
        let many = {
            let tables = self.tables();
            if let Some(lane) = tables.by_name.get(&*name) {
                return lane.clone();
            }
            tables.events.get(channel).is_some_and(|lanes| lanes.len() >= AUTHORITIES)
        };
        if !many {
            return self.named(&name);
        }
        let mut hasher = DefaultHasher::new();
        authority.hash(&mut hasher);
        self.named(&format!("{EVENTS}*{}/{channel}", hasher.finish() % SHARED))
    }

    /// Puts a lane that was on disk back.
    pub(super) fn restore(&self, number: u32, name: &str) -> Arc<Lane> {
        self.tables_mut().insert(number, name.into(), &self.rings)
    }

    /// Call once all lanes have been restored.
    pub(super) fn restored(&self) {
        let channels: Vec<_> = self.tables().notifies.keys().cloned().collect();
        for channel in channels {
            self.of_channel(&channel);
        }
    }

    pub(super) fn numbered(&self, number: u32) -> Option<Arc<Lane>> {
        self.tables().by_number.get(&number).cloned()
    }

    /// The lane of an entry of `due`, unless its channel was deleted since.
    pub(super) fn live(&self, key: &DueKey) -> Option<Arc<Lane>> {
        let ticket = keys::ticket(&key[8..])?;
        self.numbered(ticket.lane).filter(|lane| !lane.state().is_void(ticket))
    }

    pub(super) fn all(&self) -> Vec<Arc<Lane>> {
        self.tables().by_number.values().cloned().collect()
    }

    /// Wakes whoever pulls from the lane, or looks for somebody who will.
    pub(super) fn wake(&self, lane: &Arc<Lane>) {
        lane.work.notify_one();
        if !lane.outbound && lane.announce() {
            self.announce(lane);
        }
    }

    /// Tells that a callback lane has work and nobody who does it.
    pub(super) fn announce(&self, lane: &Arc<Lane>) {
        if let Some(announce) = &*self.announce.lock().unwrap_or_else(PoisonError::into_inner) {
            // When nobody listens any more the server is on its way down.
            let _ = announce.send(lane.clone());
        }
    }

    /// No more news.
    pub(super) fn close(&self) {
        self.announce.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Tables {
    fn named(&mut self, name: &str, rings: &Arc<AtomicUsize>) -> Arc<Lane> {
        match self.by_name.get(name) {
            Some(lane) => lane.clone(),
            None => self.insert(self.next, name.into(), rings),
        }
    }

    fn insert(&mut self, number: u32, name: Arc<str>, rings: &Arc<AtomicUsize>) -> Arc<Lane> {
        // The five lanes of a channel share one bell.
        let channel = name.strip_prefix(OUTBOUND).and_then(|rest| rest.split_once('/')).map(|(_, channel)| channel);
        let work = match channel {
            Some(channel) => self.notifies.entry(channel.into()).or_default().clone(),
            None => Arc::default(),
        };
        let lane = Arc::new(Lane::new(number, name.clone(), channel.is_some(), work, rings.clone()));
        if let Some((_, channel)) = name.strip_prefix(EVENTS).and_then(|rest| rest.rsplit_once('/')) {
            self.events.entry(channel.into()).or_default().push(lane.clone());
        }
        self.by_name.insert(name, lane.clone());
        self.by_number.insert(number, lane.clone());
        self.next = self.next.max(number + 1);
        lane
    }
}
