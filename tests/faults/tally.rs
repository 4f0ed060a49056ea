//! What was accepted, what came out of it at the other end, how often, and when.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::server::DEADLINE;

/// A way of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Flow {
    /// From an HTTP call answered 201 to the SMSC.
    Http,
    /// From an application's queue, where RabbitMQ has confirmed it, to the SMSC.
    Queue,
    /// From the SMSC, which was answered ESME_ROK, to the application.
    Phone,
    /// From the SMSC, which got a message, to the application, which is told what became of it.
    Event,
}

impl Flow {
    const ALL: [Self; 4] = [Self::Http, Self::Queue, Self::Phone, Self::Event];

    /// What a figure is of.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Http => "sends over HTTP",
            Self::Queue => "sends from the queue",
            Self::Phone => "messages from phones",
            Self::Event => "events",
        }
    }
}

#[derive(Default)]
struct Track {
    accepted: HashMap<String, Instant>,
    refused: HashSet<String>,
    /// Accepted, and not seen at the other end.
    open: HashMap<String, Instant>,
    /// When it was seen first, and how often.
    seen: HashMap<String, (Instant, usize)>,
}

/// See the file's head.
pub(crate) struct Tally {
    tracks: Mutex<[Track; 4]>,
    changed: watch::Sender<()>,
}

/// How it went on after a fault.
#[derive(Clone, Copy, Default)]
pub(crate) struct Recovery {
    /// Until the first that was accepted since the fault began got through.
    pub(crate) first: Duration,
    /// Until all had that were accepted before the fault was over.
    pub(crate) drained: Duration,
    /// How many were that.
    pub(crate) behind: usize,
}

impl Recovery {
    /// The worst of both.
    pub(crate) fn or_worse(self, other: Self) -> Self {
        Self {
            first: self.first.max(other.first),
            drained: self.drained.max(other.drained),
            behind: self.behind.max(other.behind),
        }
    }
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self { tracks: Mutex::default(), changed: watch::Sender::new(()) }
    }

    fn tracks(&self) -> MutexGuard<'_, [Track; 4]> {
        self.tracks.lock().unwrap()
    }

    /// It must come out at the other end from now on.
    pub(crate) fn accepted(&self, flow: Flow, key: String) {
        let (mut tracks, now) = (self.tracks(), Instant::now());
        let track = &mut tracks[flow as usize];
        if !track.seen.contains_key(&key) {
            track.open.insert(key.clone(), now);
        }
        track.accepted.insert(key, now);
        drop(tracks);
        self.changed.send_replace(());
    }

    /// It has come out there.
    pub(crate) fn seen(&self, flow: Flow, key: String) {
        let mut tracks = self.tracks();
        let track = &mut tracks[flow as usize];
        track.open.remove(&key);
        track.seen.entry(key).or_insert((Instant::now(), 0)).1 += 1;
        drop(tracks);
        self.changed.send_replace(());
    }

    /// It was refused: it must not come out.
    pub(crate) fn refused(&self, flow: Flow, key: String) {
        self.tracks()[flow as usize].refused.insert(key);
    }

    /// How much was refused.
    pub(crate) fn refusals(&self) -> usize {
        self.tracks().iter().map(|track| track.refused.len()).sum()
    }

    /// What has come out although it was refused.
    pub(crate) fn refused_and_seen(&self) -> Vec<String> {
        let tracks = self.tracks();
        let seen = |track: &Track| {
            track.refused.iter().filter(|key| track.seen.contains_key(*key)).cloned().collect::<Vec<_>>()
        };
        tracks.iter().flat_map(seen).collect()
    }

    async fn until(&self, what: &str, mut reached: impl FnMut(&[Track; 4]) -> bool) {
        let mut changed = self.changed.subscribe();
        let waited = async {
            while !reached(&self.tracks()) {
                changed.changed().await.unwrap();
            }
        };
        if tokio::time::timeout(DEADLINE, waited).await.is_err() {
            let open = self.tracks().each_ref().map(|track| track.open.keys().take(9).cloned().collect::<Vec<_>>());
            panic!("waited too long for {what}; some of what is missing: {open:?}");
        }
    }

    /// Waits until `count` more have come through.
    pub(crate) async fn more(&self, flow: Flow, count: usize) {
        let until = self.tracks()[flow as usize].seen.len() + count;
        self.until(flow.name(), |tracks| tracks[flow as usize].seen.len() >= until).await;
    }

    /// Waits until everything accepted before an instant has come through.
    pub(crate) async fn drained(&self, flow: Flow, before: Instant) {
        let is_open = |tracks: &[Track; 4]| tracks[flow as usize].open.values().any(|accepted| *accepted <= before);
        self.until(&format!("all {}", flow.name()), |tracks| !is_open(tracks)).await;
    }

    /// Waits for recovery from a fault that lasted from `begun` to `over`.
    pub(crate) async fn recovered(&self, flow: Flow, begun: Instant, over: Instant) -> Recovery {
        let first = |track: &Track| {
            let accepted = track.accepted.iter().filter(|(_, at)| **at >= begun);
            accepted.filter_map(|(key, _)| Some(track.seen.get(key)?.0)).filter(|at| *at >= over).min()
        };
        self.until(&format!("the first of {}", flow.name()), |tracks| first(&tracks[flow as usize]).is_some()).await;
        self.drained(flow, over).await;
        let tracks = self.tracks();
        let track = &tracks[flow as usize];
        let earlier = track.accepted.iter().filter(|(_, at)| **at <= over);
        let late: Vec<Instant> =
            earlier.filter_map(|(key, _)| Some(track.seen.get(key)?.0)).filter(|at| *at > over).collect();
        Recovery {
            first: first(track).map(|at| at - over).unwrap_or_default(),
            drained: late.iter().max().map(|at| *at - over).unwrap_or_default(),
            behind: late.len(),
        }
    }

    /// How many came out more than once, each of them counted as often as that.
    pub(crate) fn repeated(&self, flow: Flow) -> usize {
        self.tracks()[flow as usize].seen.values().map(|(_, times)| times - 1).sum()
    }

    /// Waits until nothing accepted is missing.
    pub(crate) async fn complete(&self) {
        for flow in Flow::ALL {
            self.drained(flow, Instant::now()).await;
        }
    }
}
