//! A gateway beside another holder of its store: after any history, a look at the store makes it what a start would.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::super::routing::Keep;
use super::super::{Activity, Assigned, CallbackPolicy, GatewayConfig, GatewayIntake, Types};
use super::*;
use crate::channel::{ChannelType, ConfigError, Intake, Setup, StatusReport};
use crate::model::{ChannelId, DestinationId, JsonObject, Level, QueueOwner, Timestamp};
use crate::store::{Change, StoreConfig};
use crate::telemetry::channel_log::LogFiles;
use crate::telemetry::{ChannelLogs, Label, Rates};
use crate::web::client::{Allowed, Client};

mod given_up;

/// How long a channel may take to stop.
const DRAIN: Duration = Duration::from_secs(60);

/// A channel type that does nothing but run.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Ran>>);

#[derive(Clone, Debug, Default)]
struct Ran {
    /// By channel: what it runs on.
    running: BTreeMap<ChannelId, JsonObject>,
    /// How often each was started.
    starts: BTreeMap<ChannelId, usize>,
    /// Whether they go on although they have been told to stop.
    lingers: bool,
}

impl Recorder {
    fn ran(&self) -> std::sync::MutexGuard<'_, Ran> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ChannelType for Recorder {
    fn check(&self, config: &JsonObject) -> Result<(), ConfigError> {
        ConfigError::check_keys(config, &["n"])
    }

    async fn run<I: Intake>(&self, setup: Setup<I>) -> Result<(), ConfigError> {
        {
            let mut ran = self.ran();
            *ran.starts.entry(setup.id.clone()).or_default() += 1;
            ran.running.insert(setup.id.clone(), setup.config);
        }
        setup.stop.cancelled().await;
        while self.ran().lingers {
            tokio::task::yield_now().await;
        }
        self.ran().running.remove(&setup.id);
        Ok(())
    }
}

async fn store(directory: &Path) -> Store {
    let path = directory.join("data");
    Store::open(&StoreConfig { path, min_free: 0, sync: false, ..StoreConfig::default() }).await.unwrap()
}

async fn gateway(directory: &Path, store: &Store, recorder: &Recorder, start: (Activity, Assigned)) -> Gateway {
    let (activity, assigned) = start;
    let config = GatewayConfig {
        inbound_ttl: Duration::from_secs(60),
        outbound_ttl: Duration::from_secs(60),
        allow_expired_replies: false,
        require_destination: false,
        forward_session_close: false,
        queue_limit: 100,
        expose_secrets: false,
        callbacks: CallbackPolicy::default(),
        channel_drain: DRAIN,
        activity,
        assigned,
    };
    let files = LogFiles { path: directory.join("logs"), rotate_size: 1 << 20, max_files: 1, privacy: false };
    let mut types = Types::default();
    types.channels = types.channels.with("recorder", recorder.clone());
    let (logs, client) = (ChannelLogs::start(files).unwrap(), Client::new(Allowed { networks: Vec::new() }));
    Gateway::start(config, types, store.clone(), logs, Rates::new(10.0), client, None).await.unwrap()
}

fn object(value: Value) -> JsonObject {
    value.as_object().cloned().unwrap()
}

/// A change of a definition; whoever has a number has it as an id.
#[derive(Clone, Debug)]
enum Edit {
    Channel(u8, JsonObject),
    NoChannel(u8),
    Router(u8, JsonObject),
    NoRouter(u8),
    Destination(u8, u8, JsonObject),
    NoDestination(u8, u8),
}

#[derive(Clone, Debug)]
enum Step {
    /// Through the gateway, which may refuse it.
    Here(Edit),
    /// By another holder of the store, past the gateway.
    Elsewhere(Edit),
    Refresh,
    Assign(Assigned),
}

fn edit() -> impl Strategy<Value = Edit> {
    let channel = prop::sample::select(vec![
        json!({"type": "recorder", "config": {"n": 1}}),
        json!({"type": "recorder", "config": {"n": 1}, "label": "the same"}),
        json!({"type": "recorder", "config": {"n": 2}}),
        json!({"type": "recorder", "config": {"n": 2}, "mo_url": "http://localhost/"}),
        json!({"type": "recorder", "config": {"n": 2}, "amqp_queue": "shared"}),
        json!({"type": "recorder", "config": {"m": 1}}),
        json!({"type": "no such", "config": {}}),
    ]);
    let router = (0..3_u8, prop::sample::select(vec!["from_address", "session", "no such"]));
    let router = router.prop_map(|(channel, name)| json!({"type": name, "config": {"channel": id(channel)}}));
    let destination = prop::sample::select(vec![
        json!({"config": {"regular_expression": "^1"}}),
        json!({"config": {"regular_expression": "^2"}, "amqp_queue": "shared"}),
        json!({"config": {"regular_expression": "("}}),
    ]);
    prop_oneof![
        4 => (0..3_u8, channel).prop_map(|(id, channel)| Edit::Channel(id, object(channel))),
        1 => (0..3_u8).prop_map(Edit::NoChannel),
        3 => (0..3_u8, router).prop_map(|(id, router)| Edit::Router(id, object(router))),
        1 => (0..3_u8).prop_map(Edit::NoRouter),
        3 => (0..3_u8, 0..3_u8, destination).prop_map(|(router, id, own)| Edit::Destination(router, id, object(own))),
        1 => (0..3_u8, 0..3_u8).prop_map(|(router, id)| Edit::NoDestination(router, id)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let only = prop::collection::hash_set((0..3_u8).prop_map(named::<ChannelId>), 0..3);
    prop_oneof![
        4 => edit().prop_map(Step::Here),
        4 => edit().prop_map(Step::Elsewhere),
        2 => Just(Step::Refresh),
        1 => only.prop_map(|channels| Step::Assign(Assigned::Only(channels))),
        1 => Just(Step::Assign(Assigned::All)),
    ]
}

fn id(number: u8) -> String {
    format!("0192f0e6-6f43-7000-8000-{number:012}")
}

/// Every id is one of a channel, a router and a destination.
fn named<T: for<'a> From<&'a str>>(number: u8) -> T {
    T::from(&id(number))
}

async fn here(gateway: &Gateway, edit: Edit) {
    // What is refused changes nothing.
    let _ = match edit {
        Edit::Channel(id, properties) => gateway.put_channel(&named(id), properties).await.map(drop),
        Edit::NoChannel(id) => gateway.delete_channel(&named(id)).await,
        Edit::Router(id, properties) => gateway.put_router(&named(id), properties).await.map(drop),
        Edit::NoRouter(id) => gateway.delete_router(&named(id)).await,
        Edit::Destination(router, id, properties) => {
            gateway.put_destination(&named(router), &named(id), properties).await.map(drop)
        }
        Edit::NoDestination(router, id) => gateway.delete_destination(&named(router), &named(id)).await,
    };
}

async fn elsewhere(store: &Store, edit: Edit) {
    let change = match edit {
        Edit::Channel(id, properties) => Change::SaveChannel(ChannelProperties { id: named(id), properties }),
        Edit::NoChannel(id) => Change::DeleteChannel(named(id)),
        Edit::Router(id, properties) => Change::SaveRouter(RouterProperties { id: named(id), properties }),
        Edit::NoRouter(id) => Change::DeleteRouter(named(id)),
        Edit::Destination(router, id, properties) => {
            Change::SaveDestination(DestinationProperties { id: named(id), router: named(router), properties })
        }
        Edit::NoDestination(router, id) => Change::DeleteDestination(named(router), named(id)),
    };
    store.commit(vec![change]).await.unwrap();
}

/// What a gateway knows: channels and whether they run here, routers and whether they route, destinations, whose MOs are
/// whose, who has which queue, and where it is read.
#[derive(Debug, PartialEq)]
struct Known {
    channels: BTreeMap<ChannelId, (ChannelProperties, bool, Option<String>)>,
    routers: Vec<(RouterProperties, BTreeMap<DestinationId, Arc<DestinationProperties>>, bool)>,
    queues: Vec<(Arc<str>, Vec<QueueOwner>, bool)>,
}

fn known(gateway: &Gateway) -> Known {
    let directory = gateway.0.directory.load();
    let channels = directory.channels.iter().map(|(id, channel)| {
        let router = directory.router_of(id).map(|router| router.properties.id.to_string());
        (id.clone(), (ChannelProperties::clone(channel), directory.runs(id), router))
    });
    let routers = directory
        .routers
        .values()
        .map(|router| (router.properties.clone(), router.destinations.clone(), router.routing.is_some()));
    let queues = directory.queues().iter();
    Known {
        channels: channels.collect(),
        routers: routers.collect(),
        queues: queues
            .map(|(queue, owners)| (queue.clone(), owners.clone(), gateway.reads(&directory, queue)))
            .collect(),
    }
}

/// Waits until what runs is what should run; returns it.
async fn running(gateway: &Gateway, recorder: &Recorder) -> Ran {
    let directory = gateway.0.directory.load_full();
    let wanted = directory.channels.values().filter(|channel| {
        let is_good = channel.channel_type() == "recorder" && !channel.config().contains_key("m");
        is_good && directory.runs(&channel.id)
    });
    let wanted: BTreeMap<_, _> = wanted.map(|channel| (channel.id.clone(), channel.config())).collect();
    let settled = async {
        while recorder.ran().running != wanted {
            tokio::task::yield_now().await;
        }
        recorder.ran().clone()
    };
    let settled = tokio::time::timeout(Duration::from_secs(10), settled).await;
    settled.unwrap_or_else(|_| panic!("{:?} run instead of {wanted:?}", recorder.ran().running))
}

async fn history(steps: Vec<Step>) {
    let directory = tempfile::tempdir().unwrap();
    let (store, recorder) = (store(directory.path()).await, Recorder::default());
    let mut assigned = Assigned::All;
    let ours = gateway(directory.path(), &store, &recorder, (Activity::Full, assigned.clone())).await;
    for step in steps.into_iter().chain([Step::Refresh]) {
        match step {
            Step::Here(edit) => here(&ours, edit).await,
            Step::Elsewhere(edit) => elsewhere(&store, edit).await,
            Step::Assign(now) => {
                ours.assign(now.clone()).await.unwrap();
                assigned = now;
            }
            Step::Refresh => {
                let before = running(&ours, &recorder).await;
                ours.refresh().await.unwrap();
                let after = running(&ours, &recorder).await;
                for (id, config) in before.running.iter().filter(|(id, config)| after.running.get(*id) == Some(config))
                {
                    assert_eq!(after.starts[id], before.starts[id], "{id} was touched: {config:?}");
                }
                let another = Recorder::default();
                let fresh = gateway(directory.path(), &store, &another, (Activity::Idle, assigned.clone())).await;
                assert_eq!(known(&ours), known(&fresh));
            }
        }
        // Whatever has happened, what runs is what is known.
        running(&ours, &recorder).await;
    }
    ours.shutdown().await;
    assert!(recorder.ran().running.is_empty());
}

#[test]
fn after_any_history_a_refresh_makes_what_a_start_would_and_touches_nothing_else() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = ProptestConfig { cases: 48, ..ProptestConfig::default() };
    let histories = prop::collection::vec(step(), 1..40);
    let run = |steps| {
        runtime.block_on(history(steps));
        Ok(())
    };
    TestRunner::new(config).run(&histories, run).unwrap();
}

fn report(message: &str) -> StatusReport {
    let message = message.to_owned();
    StatusReport { component: "test", level: Level::Ok, kind: "said", message, details: JsonObject::new() }
}

#[tokio::test]
async fn nothing_is_left_of_what_somebody_else_has_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let (store, recorder) = (store(directory.path()).await, Recorder::default());
    let gateway = gateway(directory.path(), &store, &recorder, (Activity::Full, Assigned::All)).await;
    let channel: ChannelId = named(0);
    let recorded = || Edit::Channel(0, object(json!({"type": "recorder", "config": {}})));
    here(&gateway, recorded()).await;
    here(&gateway, Edit::Router(1, object(json!({"type": "session", "config": {"channel": id(0)}})))).await;
    here(&gateway, Edit::Destination(1, 2, object(json!({"config": {"default": true}})))).await;
    let now = Timestamp::now();
    let known = |gateway: &Gateway| {
        let told = gateway.0.told.lock().unwrap().contains_key(&channel);
        let kept = gateway.0.sticky.of(&channel, "phone", now).is_some();
        let ids = [id(0), id(1), id(2)].map(|id| id.as_str().into());
        let later = now.plus(Duration::from_secs(10));
        [told, kept, ids.iter().any(|id| gateway.0.rates.rate(id, Label::Inbound, later) > 0.0)]
    };
    let tell = async || {
        GatewayIntake(gateway.clone()).status(&channel, report("a word")).await;
        store.settled(&channel).await.unwrap();
        let statuses = gateway.statuses(&channel).await.unwrap();
        statuses.iter().any(|status| status.component == "test")
    };
    assert!(tell().await);
    for id in [id(0), id(1), id(2)] {
        gateway.0.rates.count(&id.as_str().into(), Label::Inbound, now, 1);
    }
    let kept = Keep::With(named(2), Duration::from_secs(600));
    store.commit(gateway.0.sticky.keep(&channel, "phone", kept, now)).await.unwrap();
    assert_eq!(known(&gateway), [true; 3]);

    elsewhere(&store, Edit::NoRouter(1)).await;
    elsewhere(&store, Edit::NoChannel(0)).await;
    gateway.refresh().await.unwrap();
    assert_eq!(known(&gateway), [false; 3]);
    // What it still had to say is not written: nobody would delete it.
    assert!(!tell().await);
    assert_eq!(known(&gateway), [false; 3]);
    // Another one of its name says its first word.
    elsewhere(&store, recorded()).await;
    gateway.refresh().await.unwrap();
    assert!(tell().await);
    gateway.shutdown().await;
}

#[tokio::test]
async fn phones_are_kept_for_the_router_that_kept_them_wherever_its_channel_runs() {
    let directory = tempfile::tempdir().unwrap();
    let (store, recorder) = (store(directory.path()).await, Recorder::default());
    let gateway = gateway(directory.path(), &store, &recorder, (Activity::Full, Assigned::All)).await;
    let (channel, now): (ChannelId, _) = (named(0), Timestamp::now());
    let of = |phone: &str| gateway.0.sticky.of(&channel, phone, now).is_some();
    let router = |name: &str| Edit::Router(1, object(json!({"type": name, "config": {"channel": id(0)}})));
    let keep =
        |phone: &str| gateway.0.sticky.keep(&channel, phone, Keep::With(named(2), Duration::from_secs(600)), now);
    here(&gateway, Edit::Channel(0, object(json!({"type": "recorder", "config": {}})))).await;
    here(&gateway, router("session")).await;
    store.commit(keep("written")).await.unwrap();
    drop(keep("not written"));
    // The same kind of router: what is known stays.
    elsewhere(&store, Edit::Destination(1, 2, object(json!({"config": {"default": true}})))).await;
    gateway.refresh().await.unwrap();
    assert!(of("written") && of("not written"));
    // Whoever has changed its type does not run the channel, and cannot forget them.
    elsewhere(&store, router("failover")).await;
    gateway.refresh().await.unwrap();
    assert!(!of("written") && !of("not written"));
    assert_eq!(store.notes(&channel, "").await.unwrap(), []);
    // Elsewhere it is kept with others; when it is back, what was written there counts.
    store.commit(keep("written")).await.unwrap();
    gateway.assign(Assigned::Only(HashSet::new())).await.unwrap();
    assert!(!of("written"));
    gateway.assign(Assigned::All).await.unwrap();
    assert!(of("written"));
    elsewhere(&store, Edit::NoRouter(1)).await;
    gateway.refresh().await.unwrap();
    assert!(!of("written"));
    assert_eq!(store.notes(&channel, "").await.unwrap(), []);
    gateway.shutdown().await;
}

#[tokio::test]
async fn what_cannot_run_says_so_once_and_keeps_no_other_from_running() {
    let directory = tempfile::tempdir().unwrap();
    let (store, recorder) = (store(directory.path()).await, Recorder::default());
    let gateway = gateway(directory.path(), &store, &recorder, (Activity::Full, Assigned::All)).await;
    let channel = |number, key: &str| Edit::Channel(number, object(json!({"type": "recorder", "config": {key: 1}})));
    here(&gateway, channel(0, "n")).await;
    elsewhere(&store, channel(0, "m")).await;
    elsewhere(&store, channel(1, "n")).await;
    elsewhere(&store, Edit::Router(1, object(json!({"type": "no such"})))).await;
    for _ in 0..3 {
        gateway.refresh().await.unwrap();
        assert_eq!(running(&gateway, &recorder).await.running.len(), 1);
    }
    for (number, said) in [(0, "the channel was not started"), (1, "the router does not route")] {
        let entries = gateway.log_entries(&id(number).as_str().into(), 10, None).await.unwrap();
        let says = |entry: &&JsonObject| entry["message"].as_str().unwrap().starts_with(said);
        assert_eq!(entries.iter().filter(says).count(), 1, "{entries:?}");
    }
    gateway.shutdown().await;
}
