//! A server between an SMSC and an application, with messages on all ways: what is done to what it depends on, what it
//! says of that, and how it goes on.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use hyper::{HeaderMap, Method};
use maybug::smsc::{PhoneMessage, SimEvent, Simulator, SimulatorConfig, Span};
use maybug::web::client::Client;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, broadcast};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::application::application;
use crate::process;
use crate::rabbitmq::RabbitMq;
use crate::server::{DEADLINE, soon};
use crate::support::{Process, Receiver, call, client};
use crate::tally::{Flow, Recovery, Tally};

/// Most `submit_sm` without an answer.
pub(crate) const WINDOW: usize = 20;
/// What the SMSC takes to answer: several are always under way, and a backlog fills the window.
const ANSWER: Duration = Duration::from_millis(50);
/// From one message to the next, on each way.
const PACE: Duration = Duration::from_millis(20);
/// Calls that may wait for their answer at a time.
const CALLS: usize = 64;
/// The application's queue.
const QUEUE: &str = "app";

/// The application that sends and receives.
pub(crate) enum Application<'a> {
    /// One with a webhook.
    Hooked,
    /// One that knows only Vumi's queues.
    Queues(&'a RabbitMq),
}

/// See the file's head.
pub(crate) struct Scene {
    pub(crate) process: Process,
    pub(crate) tally: Arc<Tally>,
    client: Client,
    channel: String,
    load: JoinSet<()>,
    /// How much may have been repeated by now.
    permitted: HashMap<Flow, usize>,
    _directory: tempfile::TempDir,
}

impl Scene {
    /// An SMSC for it, in no hurry.
    pub(crate) async fn smsc() -> Arc<Simulator> {
        let habits = SimulatorConfig {
            response_delay: Span::fixed(ANSWER),
            retry_delay: Duration::from_millis(200),
            ..SimulatorConfig::default()
        };
        Arc::new(Simulator::start(([127, 0, 0, 1], 0).into(), habits).await.unwrap())
    }

    /// Starts the server with these flags, its channel to `smsc`, by way of `port`, and the load.
    pub(crate) async fn start(
        flags: &[&str],
        smsc: &Arc<Simulator>,
        port: u16,
        habits: Value,
        application_is: Application<'_>,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let process = Process::start(directory.path(), flags).await;
        let (tally, mut load) = (Arc::new(Tally::new()), JoinSet::new());
        let mut config = json!({
            "twisted_endpoint": format!("tcp:127.0.0.1:{port}"), "system_id": "e", "password": "p",
            "window_size": WINDOW, "initial_reconnect_delay": 0.05, "max_reconnect_delay": 0.5,
            "registered_delivery": true,
        });
        config.as_object_mut().unwrap().extend(habits.as_object().unwrap().clone());
        let mut created = json!({"type": "smpp", "config": config});
        let mut message = json!({"to": "+27820001001", "from": "40404"});
        match application_is {
            Application::Hooked => {
                let receiver = Receiver::start().await;
                created["mo_url"] = json!(receiver.url("/mo"));
                message["event_url"] = json!(receiver.url("/event"));
                load.spawn(hooked(receiver, tally.clone()));
            }
            Application::Queues(rabbitmq) => {
                created["amqp_queue"] = json!(QUEUE);
                load.spawn(queued(application(rabbitmq, QUEUE, &[]).await, tally.clone()));
            }
        }
        let mut events = smsc.events();
        let answer = call(&process.base, "/channels/", Some(created)).await;
        let channel = answer["result"]["id"].as_str().unwrap().to_owned();
        soon("a bind", async { while !matches!(*events.recv().await.unwrap(), SimEvent::Bound { .. }) {} }).await;
        load.spawn(watched(events, tally.clone()));
        load.spawn(calls(format!("{}/channels/{channel}/messages/", process.base), message, tally.clone()));
        load.spawn(phones(smsc.clone()));
        if let Application::Queues(rabbitmq) = application_is {
            let rate = PACE.as_secs_f64().recip().to_string();
            load.spawn(confirmed(application(rabbitmq, QUEUE, &["--stream", &rate]).await, tally.clone()));
        }
        Self { process, tally, client: client(), channel, load, permitted: HashMap::new(), _directory: directory }
    }

    /// Does this to what the server depends on, under load and so many times; says how all of these went on, the worst of
    /// the times. Of each flow at most so many may come out once more each time.
    pub(crate) async fn suffers(
        &mut self,
        what: &str,
        times: usize,
        flows: &[(Flow, usize)],
        mut fault: impl AsyncFnMut(&Self),
    ) {
        let before = flows.iter().map(|(flow, _)| self.tally.repeated(*flow)).collect::<Vec<_>>();
        let (mut worst, mut away) = (vec![Recovery::default(); flows.len()], Duration::ZERO);
        for _ in 0..times {
            join_all(flows.iter().map(|(flow, _)| self.tally.more(*flow, WINDOW))).await;
            let begun = Instant::now();
            fault(self).await;
            let over = Instant::now();
            away = away.max(over - begun);
            for ((flow, _), worst) in flows.iter().zip(&mut worst) {
                *worst = worst.or_worse(self.tally.recovered(*flow, begun, over).await);
            }
        }
        let mut line = format!("recovered: {what}");
        line += &if times > 1 { format!(" {times} times") } else { format!(" for {}", shown(away)) };
        for (((flow, most), worst), before) in flows.iter().zip(worst).zip(before) {
            let Recovery { first, drained, behind } = worst;
            let repeated = self.tally.repeated(*flow) - before;
            line += &format!("; {} after {}", flow.name(), shown(first));
            line += &if behind > 0 { format!(", {behind} behind in {}", shown(drained)) } else { String::new() };
            line += &if repeated > 0 { format!(", {repeated} repeated") } else { String::new() };
            *self.permitted.entry(*flow).or_default() += times * most;
        }
        say(&line);
        self.check();
    }

    /// What comes late counts too.
    fn check(&self) {
        for (flow, permitted) in &self.permitted {
            let repeated = self.tally.repeated(*flow);
            assert!(repeated <= *permitted, "{repeated} {} repeated, not at most {permitted}", flow.name());
        }
    }

    /// What the server answers.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let url = format!("{}{path}", self.process.base).parse().unwrap();
        let answer = self.client.request(Method::GET, &url, HeaderMap::new(), Bytes::new(), DEADLINE).await.unwrap();
        (answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap())
    }

    /// Waits until the channel says that a component is down.
    pub(crate) async fn is_down(&self, component: &str) {
        let path = format!("/channels/{}", self.channel);
        soon(&format!("{component} to be down"), async {
            while self.get(&path).await.1["result"]["status"]["components"][component]["status"] != "down" {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Waits until the server is, or is not, sound.
    pub(crate) async fn becomes(&self, healthy: bool) {
        soon("another health", async {
            while (self.get("/health").await.0 == 200) != healthy {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Ends the load once nothing that was accepted is missing.
    pub(crate) async fn end(mut self) -> Arc<Tally> {
        self.tally.complete().await;
        self.check();
        assert_eq!(self.tally.refused_and_seen(), Vec::<String>::new(), "what was refused was sent");
        self.load.abort_all();
        while let Some(ended) = self.load.join_next().await {
            if let Err(error) = ended {
                assert!(error.is_cancelled(), "{error}");
            }
        }
        self.tally
    }
}

/// Says it although the tests pass: what is printed as usual is kept for those that fail.
pub(crate) fn say(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// A duration for people.
pub(crate) fn shown(duration: Duration) -> String {
    match duration.as_millis() {
        milliseconds @ 0..1000 => format!("{milliseconds} ms"),
        _ => format!("{:.1} s", duration.as_secs_f64()),
    }
}

/// Something now and then, at the pace of the load.
fn pace() -> tokio::time::Interval {
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace
}

/// Sends over HTTP, whatever becomes of earlier calls.
async fn calls(url: String, message: Value, tally: Arc<Tally>) {
    let (mut pace, mut calls, client) = (pace(), JoinSet::new(), client());
    let room = Arc::new(Semaphore::new(CALLS));
    for number in 0_u64.. {
        let (room, _) = tokio::join!(room.clone().acquire_owned(), pace.tick());
        let (client, url, tally, mut message) = (client.clone(), url.clone(), tally.clone(), message.clone());
        message["content"] = json!(format!("h{number}"));
        calls.spawn(async move {
            send(&client, &url, &message, &tally).await;
            drop(room);
        });
        while let Some(ended) = calls.try_join_next() {
            ended.unwrap();
        }
    }
}

async fn send(client: &Client, url: &str, message: &Value, tally: &Tally) {
    let body = Bytes::from(message.to_string());
    let answer = client.request(Method::POST, &url.parse().unwrap(), HeaderMap::new(), body, DEADLINE).await.unwrap();
    let text = message["content"].as_str().unwrap().to_owned();
    let said: Value = serde_json::from_slice(&answer.body).unwrap();
    match answer.status.as_u16() {
        201 => {
            tally.accepted(Flow::Http, text);
            owed(tally, said["result"]["message_id"].as_str().unwrap());
        }
        503 => tally.refused(Flow::Http, text),
        status => panic!("{status} {said}"),
    }
}

/// What the application is to hear of an accepted message.
fn owed(tally: &Tally, message: &str) {
    for kind in ["taken", "delivered"] {
        tally.accepted(Flow::Event, format!("{message} {kind}"));
    }
}

/// Phones that write.
async fn phones(smsc: Arc<Simulator>) {
    let mut pace = pace();
    for number in 0_u64.. {
        pace.tick().await;
        let message = PhoneMessage { from: "27820001001".into(), to: "40404".into(), text: format!("m{number}") };
        smsc.inject(&message).unwrap();
    }
}

/// Notes what the SMSC gets, and what of phones' is taken from it.
async fn watched(mut events: broadcast::Receiver<Arc<SimEvent>>, tally: Arc<Tally>) {
    loop {
        match &*events.recv().await.unwrap() {
            SimEvent::Message { id: Some(_), text, .. } => {
                let flow = if text.starts_with('h') { Flow::Http } else { Flow::Queue };
                tally.seen(flow, text.clone());
            }
            SimEvent::Delivered { receipt: false, status, text, .. } if status.is_ok() => {
                tally.accepted(Flow::Phone, text.clone());
            }
            _ => {}
        }
    }
}

/// Notes what an application with a webhook gets.
async fn hooked(mut receiver: Receiver, tally: Arc<Tally>) {
    loop {
        let posted = receiver.next().await;
        if posted.path == "/mo" {
            tally.seen(Flow::Phone, posted.body["content"].as_str().unwrap().to_owned());
        } else {
            told(&tally, &posted.body["message_id"], &posted.body["event_type"]);
        }
    }
}

/// Notes what an application gets out of its queues.
async fn queued(mut reader: process::Process, tally: Arc<Tally>) {
    loop {
        let got = reader.any(&["inbound", "event"]).await;
        if let Some(content) = got["inbound"]["content"].as_str() {
            tally.seen(Flow::Phone, content.to_owned());
        } else {
            told(&tally, &got["event"]["user_message_id"], &got["event"]["event_type"]);
        }
    }
}

fn told(tally: &Tally, message: &Value, kind: &Value) {
    let kind = match kind.as_str().unwrap() {
        "ack" | "submitted" => "taken",
        "delivery_report" | "delivery_succeeded" => "delivered",
        other => panic!("{message} came to {other}"),
    };
    tally.seen(Flow::Event, format!("{} {kind}", message.as_str().unwrap()));
}

/// Notes what RabbitMQ has confirmed to the application.
async fn confirmed(mut writer: process::Process, tally: Arc<Tally>) {
    loop {
        let confirmed = writer.object("confirmed").await;
        let message = confirmed["confirmed"].as_str().unwrap();
        tally.accepted(Flow::Queue, message.to_owned());
        owed(&tally, message);
    }
}
