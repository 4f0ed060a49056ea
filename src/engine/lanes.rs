//! All queue lanes by name and number, and the news of callback lanes that have work.
//!
//! A channel has one lane per priority; callbacks have one per receiver, as far as that is bounded. What a lane does is in `lane/`.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use sha2::{Digest, Sha256};
use tokio::sync::{Notify, mpsc};

use super::guard::Guard;
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

/// What all engines of a store have in common.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    /// Where callback lanes with work are announced: each at most once until it is served, so that the number of lanes
    /// bounds what waits there.
    pub(crate) announce: mpsc::UnboundedSender<Arc<Lane>>,
    /// Entries in the rings of all lanes.
    pub(crate) rings: Arc<AtomicUsize>,
    /// Told when something has been noted that expires earlier than all else that its engine has.
    pub(crate) earlier: Arc<Notify>,
    /// What is still accepted.
    pub(crate) guard: Guard,
}

impl Common {
    /// What an engine has in common with no other, where nobody waits for news.
    pub(super) fn alone() -> Self {
        let (announce, _) = mpsc::unbounded_channel();
        Self { announce, rings: Arc::default(), earlier: Arc::default(), guard: Guard::new("the store") }
    }
}

/// The bits of a lane's number that number the lanes of one shard.
const SHARD: u32 = 16;

/// The shard that a lane with this number is of.
pub(crate) fn shard_of(lane: u32) -> u16 {
    u16::try_from(lane >> SHARD).unwrap_or(u16::MAX)
}

/// What the names of outbound lanes begin with.
const OUTBOUND: &str = "out/";
/// And those of events' callbacks: `event/<authority>/<channel>`.
const EVENTS: &str = "event/";
/// Lanes that a channel's events may have; each message may name another authority. Those beyond share [`SHARED`] more,
/// where a slow receiver holds up others.
const EVENT_LANES: usize = 4_096;
/// See [`EVENT_LANES`].
const SHARED: u16 = 16;

impl Lanes {
    /// No lanes yet. Those to come are numbered from the shard's first on.
    pub(super) fn new(common: &Common, shard: u16) -> Self {
        let tables = Tables { next: u32::from(shard) << SHARD, ..Tables::default() };
        Self {
            tables: RwLock::new(tables),
            rings: common.rings.clone(),
            announce: Mutex::new(Some(common.announce.clone())),
        }
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

    /// The lane of a channel's events for this authority. It stays the same while any of them wait.
    pub(super) fn of_events(&self, authority: &str, channel: &ChannelId) -> Arc<Lane> {
        let own = format!("{EVENTS}{authority}/{channel}");
        if let Some(lane) = self.tables().by_name.get(&*own) {
            return lane.clone();
        }
        let mut tables = self.tables_mut();
        let digest = Sha256::digest(authority);
        let share = digest.first_chunk().copied().map_or(0, u16::from_be_bytes) % SHARED;
        // No authority has a space.
        let shared = format!("{EVENTS} {share}/{channel}");
        let is_awaited = tables.by_name.get(&*shared).is_some_and(|lane| lane.waiting() > 0);
        let many = tables.events.get(channel).is_some_and(|lanes| lanes.len() >= EVENT_LANES);
        let own_is_there = tables.by_name.contains_key(&*own);
        tables.named(if own_is_there || !(many || is_awaited) { &own } else { &shared }, &self.rings)
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

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::super::lane::{Entry, Item};
    use super::*;
    use crate::model::Outbound;

    fn append(lane: &Lane) {
        let item = Item::Message(Arc::new(Outbound::plain("", "")));
        lane.appended(Entry { seq: 0, origin: lane.ticket(0), item, attempts: 0, possible_duplicate: false });
    }

    #[test]
    fn however_many_receivers_messages_name_a_channels_events_have_a_bounded_number_of_lanes_each_always_the_same() {
        let (announce, _news) = mpsc::unbounded_channel();
        let common = Common { announce, rings: Arc::default(), earlier: Arc::default(), guard: Guard::new("the disk") };
        let lanes = Lanes::new(&common, 0);
        let channel = ChannelId::from("c");
        let name = |n: usize| lanes.of_events(&format!("host{n}.example"), &channel).name.clone();
        let first: HashMap<usize, Arc<str>> = (0..6_000).map(|n| (n, name(n))).collect();
        let distinct: HashSet<_> = first.values().collect();
        assert_eq!(distinct.len(), EVENT_LANES + usize::from(SHARED));
        assert!(first.iter().all(|(n, lane)| name(*n) == *lane));
        assert_eq!(&*lanes.of_events("host9999.example", &"other".into()).name, "event/host9999.example/other");
    }

    #[test]
    fn who_has_events_in_a_shared_lane_stays_there_until_they_have_been_taken() {
        let (announce, _news) = mpsc::unbounded_channel();
        let common = Common { announce, rings: Arc::default(), earlier: Arc::default(), guard: Guard::new("the disk") };
        let lanes = Lanes::new(&common, 0);
        let channel = ChannelId::from("c");
        let shared: Vec<_> = (0..SHARED).map(|n| lanes.named(&format!("event/ {n}/c"))).collect();
        shared.iter().for_each(|lane| append(lane));
        let of = || lanes.of_events("host.example:8080", &channel);
        assert!(of().name.starts_with("event/ "));
        of().finish(0);
        assert_eq!(&*of().name, "event/host.example:8080/c");
    }
}
