//! Several nodes on one Redis, with messages on their way through all of them: one is killed, one is cut off from Redis, all
//! are replaced one after the other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::{HeaderMap, Method};
use maybug::smsc::{SimEvent, Simulator};
use maybug::web::client::Client;
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use url::Url;

use crate::proxy::{Held, Proxy};
use crate::redis::Redis;
use crate::scene::say;
use crate::server::soon;
use crate::support::{Process, client};

/// So many that each node has some.
const CHANNELS: usize = 16;
const WINDOW: usize = 5;
/// From one message to the next, of each sender.
const PACE: Duration = Duration::from_millis(20);

/// What the SMSC has seen.
#[derive(Default)]
struct Seen {
    /// Of each bind, how many there are at the moment, and since when there is one.
    binds: BTreeMap<String, (usize, Option<Instant>)>,
    /// Those who were bound twice at a time.
    doubled: BTreeSet<String>,
    copies: HashMap<String, usize>,
    /// The longest time from a message's acceptance to its arrival.
    longest: Duration,
}

/// The nodes' surroundings.
struct Service {
    redis: Redis,
    simulator: Arc<Simulator>,
    seen: Arc<Mutex<Seen>>,
    changed: watch::Sender<()>,
    /// Messages that were accepted, and when.
    accepted: Arc<Mutex<HashMap<String, Instant>>>,
    /// What was answered anything else.
    refused: Arc<AtomicU64>,
    /// Where messages are sent to.
    bases: Arc<Mutex<Vec<String>>>,
    channels: Vec<String>,
    client: Client,
    tasks: JoinSet<()>,
    directories: tempfile::TempDir,
}

impl Service {
    async fn new() -> Self {
        let simulator = Simulator::start(([127, 0, 0, 1], 0).into(), Default::default()).await.unwrap();
        let mut service = Self {
            redis: Redis::durable(&[]).await,
            simulator: Arc::new(simulator),
            seen: Arc::default(),
            changed: watch::Sender::new(()),
            accepted: Arc::default(),
            refused: Arc::default(),
            bases: Arc::default(),
            channels: Vec::new(),
            client: client(),
            tasks: JoinSet::new(),
            directories: tempfile::tempdir().unwrap(),
        };
        let (seen, changed, accepted) = (service.seen.clone(), service.changed.clone(), service.accepted.clone());
        service.tasks.spawn(watch(service.simulator.events(), seen, changed, accepted));
        service
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    /// A node that reaches Redis by this port.
    async fn node(&self, name: &str, redis: u16) -> Process {
        let directory = self.directories.path().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        Process::start(&directory, &["--redis", &format!("redis://127.0.0.1:{redis}?timeout_ms=1000")]).await
    }

    /// Makes the channels, of which this node has all.
    async fn channels(&mut self, node: &Process) {
        let address = self.simulator.address();
        for number in 0..CHANNELS {
            let config = json!({
                "twisted_endpoint": format!("tcp:{}:{}", address.ip(), address.port()), "system_id": format!("e{number}"),
                "password": "p", "window_size": WINDOW, "initial_reconnect_delay": 0.05, "max_reconnect_delay": 0.5,
            });
            let channel = json!({"type": "smpp", "config": config, "mo_url": null});
            let (status, answer) = post(&self.client, &format!("{}/channels/", node.base), channel).await.unwrap();
            assert_eq!(status, 201, "{answer}");
            self.channels.push(answer["result"]["id"].as_str().unwrap().to_owned());
        }
    }

    /// The numbers of the channels that this node has.
    async fn held(&self, node: &Process) -> Vec<usize> {
        let port = format!(":{}-", node.base.rsplit(':').next().unwrap());
        let mut held = Vec::new();
        for (number, channel) in self.channels.iter().enumerate() {
            let lease: Option<String> = self.redis.ask(&format!("GET maybug:{{{channel}}}:lease")).await;
            if lease.is_some_and(|lease| lease.contains(&port)) {
                held.push(number);
            }
        }
        held
    }

    /// Waits until all channels are bound, and each of these nodes has some of them.
    async fn settled(&self, nodes: &[&Process]) {
        soon("channels on every node", async {
            let mut changed = self.changed.subscribe();
            loop {
                let mut all = 0;
                let mut each = true;
                for node in nodes {
                    let held = self.held(node).await.len();
                    (all, each) = (all + held, each && held > 0);
                }
                if all == CHANNELS && each && self.bound(0..CHANNELS, None) {
                    return;
                }
                // Leases are not told of.
                let _ = tokio::time::timeout(Duration::from_millis(100), changed.changed()).await;
            }
        })
        .await;
    }

    /// Whether all of these are bound, since then.
    fn bound(&self, numbers: impl IntoIterator<Item = usize>, since: Option<Instant>) -> bool {
        let seen = self.seen();
        numbers.into_iter().all(|number| {
            let bound = seen.binds.get(&format!("e{number}")).and_then(|(_, since)| *since);
            bound.is_some_and(|bound| since.is_none_or(|since| bound > since))
        })
    }

    /// Waits until something is so that the SMSC sees.
    async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let mut changed = self.changed.subscribe();
        soon(what, async {
            while !is_so() {
                changed.changed().await.unwrap();
            }
        })
        .await;
    }

    /// Begins to send, through every node in `bases` in turn.
    fn load(&mut self) -> JoinSet<()> {
        let mut senders = JoinSet::new();
        for sender in 0..4_usize {
            let (client, bases, channels) = (self.client.clone(), self.bases.clone(), self.channels.clone());
            let (accepted, refused) = (self.accepted.clone(), self.refused.clone());
            senders.spawn(async move {
                let mut pace = tokio::time::interval(PACE);
                for number in 0_usize.. {
                    pace.tick().await;
                    let text = format!("{sender}-{number}");
                    let base = {
                        let bases = bases.lock().unwrap();
                        bases[(sender + number) % bases.len()].clone()
                    };
                    let url = format!("{base}/channels/{}/messages/", channels[number % channels.len()]);
                    let message = json!({"to": "+27820001001", "content": text});
                    match post(&client, &url, message).await {
                        Some((201, _)) => drop(accepted.lock().unwrap().insert(text, Instant::now())),
                        _ => drop(refused.fetch_add(1, Ordering::Relaxed)),
                    }
                }
            });
        }
        senders
    }

    /// Waits until so many more messages have been accepted.
    async fn sent(&self, more: usize) {
        let until = self.accepted.lock().unwrap().len() + more;
        self.until("messages that are accepted", || self.accepted.lock().unwrap().len() >= until).await;
    }

    /// Waits until everything accepted has arrived: how much of it arrived more than once.
    async fn complete(&self) -> usize {
        self.until("everything accepted", || {
            let (seen, accepted) = (self.seen(), self.accepted.lock().unwrap());
            accepted.keys().all(|text| seen.copies.contains_key(text))
        })
        .await;
        let seen = self.seen();
        assert_eq!(seen.doubled, BTreeSet::new(), "bound twice at a time");
        seen.copies.values().map(|copies| copies - 1).sum()
    }
}

async fn post(client: &Client, url: &str, body: Value) -> Option<(u16, Value)> {
    let url = Url::parse(url).unwrap();
    let body = Bytes::from(body.to_string());
    let answer = client.request(Method::POST, &url, HeaderMap::new(), body, Duration::from_secs(10)).await.ok()?;
    Some((answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap_or_default()))
}

async fn watch(
    mut events: broadcast::Receiver<Arc<SimEvent>>,
    seen: Arc<Mutex<Seen>>,
    changed: watch::Sender<()>,
    accepted: Arc<Mutex<HashMap<String, Instant>>>,
) {
    loop {
        let event = match events.recv().await {
            Ok(event) => event,
            Err(broadcast::error::RecvError::Closed) => return,
            Err(lagged) => panic!("{lagged}"),
        };
        let mut seen = seen.lock().unwrap();
        match &*event {
            SimEvent::Bound { system_id, .. } => {
                let (count, since) = seen.binds.entry(system_id.clone()).or_default();
                (*count, *since) = (*count + 1, Some(Instant::now()));
                if *count > 1 {
                    seen.doubled.insert(system_id.clone());
                }
            }
            SimEvent::Unbound { system_id, .. } => {
                let (count, since) = seen.binds.entry(system_id.clone()).or_default();
                *count -= 1;
                if *count == 0 {
                    *since = None;
                }
            }
            SimEvent::Message { id: Some(_), text, .. } => {
                let since = accepted.lock().unwrap().get(text).copied();
                seen.longest = seen.longest.max(since.map_or(Duration::ZERO, |since| since.elapsed()));
                *seen.copies.entry(text.clone()).or_default() += 1;
            }
            _ => continue,
        }
        drop(seen);
        changed.send_replace(());
    }
}

#[tokio::test]
async fn what_a_killed_node_had_another_one_takes_over() {
    let mut service = Service::new().await;
    let port = service.redis.port;
    let first = service.node("first", port).await;
    service.channels(&first).await;
    let second = service.node("second", port).await;
    service.settled(&[&first, &second]).await;
    *service.bases.lock().unwrap() = vec![first.base.clone(), second.base.clone()];
    let mut load = service.load();
    service.sent(200).await;

    let its = service.held(&first).await;
    let killed = Instant::now();
    *service.bases.lock().unwrap() = vec![second.base.clone()];
    first.kill().await;
    service.until("its channels on another node", || service.bound(its.iter().copied(), Some(killed))).await;
    let over = killed.elapsed();
    service.sent(200).await;
    load.abort_all();
    while load.join_next().await.is_some() {}
    let repeated = service.complete().await;
    say(&format!(
        "recovered: a node killed: {} channels bound again on another one after {:.1} s, {repeated} messages repeated",
        its.len(),
        over.as_secs_f64()
    ));
    assert!(repeated <= its.len() * WINDOW, "{repeated} duplicates of {} channels", its.len());
}

#[tokio::test]
async fn a_node_that_is_cut_off_from_redis_unbinds_before_another_one_binds() {
    let mut service = Service::new().await;
    let port = service.redis.port;
    let way = Proxy::to(port).await;
    let first = service.node("first", way.port).await;
    service.channels(&first).await;
    let second = service.node("second", port).await;
    service.settled(&[&first, &second]).await;
    *service.bases.lock().unwrap() = vec![first.base.clone(), second.base.clone()];
    let mut load = service.load();
    service.sent(200).await;

    let its = service.held(&first).await;
    let cut = Instant::now();
    way.hold(Held::Both);
    service.until("its channels on another node", || service.bound(its.iter().copied(), Some(cut))).await;
    let over = cut.elapsed();
    service.sent(100).await;
    way.restore().await;
    let back = Instant::now();
    // It has channels again.
    service.settled(&[&first, &second]).await;
    let settled = back.elapsed();
    service.sent(200).await;
    load.abort_all();
    while load.join_next().await.is_some() {}
    let repeated = service.complete().await;
    say(&format!(
        "recovered: a node cut off from Redis: {} channels bound again on another one after {:.1} s, each bound once at a \
         time; shared again {:.1} s after the cut ended; {repeated} messages repeated",
        its.len(),
        over.as_secs_f64(),
        settled.as_secs_f64()
    ));
    assert!(repeated <= its.len() * WINDOW, "{repeated} duplicates of {} channels", its.len());
}

#[tokio::test]
async fn nodes_are_replaced_one_after_the_other_and_nothing_is_refused_repeated_or_lost() {
    let mut service = Service::new().await;
    let port = service.redis.port;
    let first = service.node("first", port).await;
    service.channels(&first).await;
    let second = service.node("second", port).await;
    service.settled(&[&first, &second]).await;
    *service.bases.lock().unwrap() = vec![first.base.clone(), second.base.clone()];
    let mut load = service.load();
    service.sent(100).await;
    let mut nodes = vec![first, second];
    for name in ["third", "fourth"] {
        let new = service.node(name, port).await;
        let old = nodes.remove(0);
        // As a load balancer that is told that it goes.
        *service.bases.lock().unwrap() = nodes.iter().chain([&new]).map(|node| node.base.clone()).collect();
        old.end().await;
        nodes.push(new);
        let [one, other] = &nodes[..] else { unreachable!() };
        service.settled(&[one, other]).await;
        service.sent(100).await;
    }
    load.abort_all();
    while load.join_next().await.is_some() {}
    let repeated = service.complete().await;
    let (refused, longest) = (service.refused.load(Ordering::Relaxed), service.seen().longest);
    say(&format!(
        "recovered: both nodes replaced under load: {refused} sends refused, {repeated} messages repeated, the slowest took \
         {:.1} s from its acceptance to the SMSC",
        longest.as_secs_f64()
    ));
    assert_eq!((refused, repeated), (0, 0));
}
