//! `amqp_queue` with a real RabbitMQ, and an application in Python that knows only Vumi's queues.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use hyper::{HeaderMap, Method};
use maybug::config::{AmqpConfig, Config, QueueType};
use maybug::server::Server;
use maybug::smsc::{PhoneMessage, SimEvent, Simulator, SimulatorConfig};
use maybug::web::client::{Allowed, Client};
use serde_json::{Value, json};

use crate::application::application;
use crate::libraries::webhook;
use crate::rabbitmq::RabbitMq;
use crate::server::{DEADLINE, config, soon};

/// A server, and the broker that it uses.
pub(crate) struct Bridge {
    pub(crate) server: Server,
    base: String,
    client: Client,
    _directory: tempfile::TempDir,
}

impl Bridge {
    pub(crate) async fn start(rabbitmq: &RabbitMq) -> Self {
        Self::with(|config| config.amqp = Some(rabbitmq.config())).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = config(directory.path());
        change(&mut config);
        let server = Server::start(&config).await.unwrap();
        let base = format!("http://{}", server.addresses()[0]);
        let client = Client::new(Allowed { networks: vec!["127.0.0.0/8".parse().unwrap()] });
        Self { server, base, client, _directory: directory }
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.base).parse().unwrap();
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let answer = self.client.request(method, &url, HeaderMap::new(), body, DEADLINE).await.unwrap();
        serde_json::from_slice(&answer.body).unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.ask(Method::GET, path, Value::Null).await["result"].clone()
    }

    /// Creates something; its id.
    pub(crate) async fn create(&self, path: &str, body: Value) -> String {
        let answer = self.ask(Method::POST, path, body).await;
        assert_eq!(answer["status"], 201, "{answer}");
        answer["result"]["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn loopback(&self, queue: &str, config: Value) -> String {
        self.create("/channels/", json!({"type": "loopback", "config": config, "amqp_queue": queue})).await
    }

    /// Waits until what is got at this path is wanted.
    pub(crate) async fn until(&self, path: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        soon(what, async {
            loop {
                let found = self.get(path).await;
                if wanted(&found) {
                    return found;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }

    /// Waits until the channel says this of the broker.
    pub(crate) async fn told(&self, channel: &str, kind: &str) -> Value {
        let is = |found: &Value| found["status"]["components"]["amqp"]["type"] == kind;
        let found = self.until(&format!("/channels/{channel}"), kind, is).await;
        found["status"]["components"]["amqp"].clone()
    }
}

async fn the_connection_is_encrypted_if_that_is_wanted(rabbitmq: &RabbitMq) {
    let encrypted = |authority: Option<std::path::PathBuf>| {
        let (hostname, port) = ("localhost".to_owned(), rabbitmq.tls);
        AmqpConfig { hostname, port, tls: true, ca_file: authority, ..rabbitmq.config() }
    };
    let bridge = Bridge::with(|config| config.amqp = Some(encrypted(Some(rabbitmq.certificate().to_owned())))).await;
    let channel = bridge.loopback("hidden", json!({})).await;
    bridge.told(&channel, "connected").await;
    bridge.server.stop().await;
    let suspicious = Bridge::with(|config| config.amqp = Some(encrypted(None))).await;
    let channel = suspicious.loopback("hidden", json!({})).await;
    let is = |found: &Value| found["status"]["components"]["amqp"]["message"].to_string().contains("certificate");
    suspicious.until(&format!("/channels/{channel}"), "a doubt", is).await;
    suspicious.server.stop().await;
}

/// Publishes octets as an application without manners does.
pub(crate) async fn publish(rabbitmq: &RabbitMq, key: &str, payload: &str) {
    let message = json!({"properties": {"delivery_mode": 2}, "routing_key": key, "payload": payload, "payload_encoding": "string"});
    let path = "/api/exchanges/%2F/vumi/publish";
    soon("a queue to be bound", async {
        while rabbitmq.manage(Method::POST, path, &message).await.1["routed"] != true {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// The messages in a queue, once there are so many.
async fn waiting(rabbitmq: &RabbitMq, queue: &str, count: usize) -> Value {
    let get = json!({"count": 10, "ackmode": "ack_requeue_true", "encoding": "auto"});
    let path = format!("/api/queues/%2F/{queue}/get");
    soon("messages in a queue", async {
        loop {
            let (status, found) = rabbitmq.manage(Method::POST, &path, &get).await;
            if status == 200 && found.as_array().is_some_and(|found| found.len() == count) {
                return found;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

async fn messages_replies_and_events_are_vumis(rabbitmq: &RabbitMq) {
    let bridge = Bridge::start(rabbitmq).await;
    let mut application = application(rabbitmq, "answers", &["--answer", "2024-01-01 00:00:00 žluť"]).await;
    let simulator = Simulator::start(([127, 0, 0, 1], 0).into(), SimulatorConfig::default()).await.unwrap();
    let mut seen = simulator.events();
    let (url, mut posted) = webhook().await;
    let channel = json!({"type": "smpp", "mo_url": url, "amqp_queue": "answers", "character_limit": 3, "config": {
        "twisted_endpoint": format!("tcp:127.0.0.1:{}", simulator.address().port()), "system_id": "a", "password": "b",
    }});
    let channel = bridge.create("/channels/", channel).await;
    assert_eq!(bridge.told(&channel, "connected").await["status"], "ok");
    let message = PhoneMessage { from: "27820001001".into(), to: "40404".into(), text: "ž".into() };
    // What comes for nobody is nobody's.
    soon("a bind", async { while !matches!(*seen.recv().await.unwrap(), SimEvent::Bound { .. }) {} }).await;
    assert_eq!(simulator.inject(&message), Ok(1));

    let got = application.object("inbound").await;
    assert_eq!((&got["ascii"], &got["properties"]), (&json!(true), &json!({"delivery_mode": 2})));
    let inbound = got["inbound"].as_object().unwrap();
    let over_http = soon("the callback", posted.recv()).await.unwrap();
    assert_eq!(over_http["message_id"], inbound["message_id"]);
    let timestamp = inbound["timestamp"].as_str().unwrap();
    assert_eq!((timestamp.len(), &timestamp[10..11], &timestamp[19..20]), (26, " ", "."));
    let expected = json!({
        "message_type": "user_message", "message_version": "20110921", "message_id": over_http["message_id"],
        "timestamp": over_http["timestamp"], "transport_name": channel, "transport_type": "sms", "to_addr": "40404",
        "to_addr_type": null, "from_addr": inbound["from_addr"], "from_addr_type": null, "group": null,
        "provider": null, "in_reply_to": null, "content": "ž", "session_event": null,
        "helper_metadata": inbound["helper_metadata"], "transport_metadata": inbound["transport_metadata"],
        "routing_metadata": {},
    });
    assert_eq!(Value::Object(inbound.clone()), expected);
    assert!(inbound["from_addr"].as_str().unwrap().ends_with("27820001001"));

    // The limit of characters is for HTTP, and what looks like a timestamp is text.
    let (from, to, text) = soon("the reply", async {
        loop {
            if let SimEvent::Message { id: Some(_), from, to, text, .. } = &*seen.recv().await.unwrap() {
                return (from.clone(), to.clone(), text.clone());
            }
        }
    })
    .await;
    assert_eq!((from.as_str(), text.as_str()), ("40404", "2024-01-01 00:00:00 žluť"));
    assert!(to.ends_with("27820001001"));
    let ack = application.object("event").await;
    assert_eq!((&ack["event"]["event_type"], &ack["ascii"]), (&json!("ack"), &json!(true)));
    assert_eq!(ack["properties"], json!({"delivery_mode": 2}));
    assert!(!ack["event"]["sent_message_id"].as_str().unwrap().is_empty());
    let id = ack["event"]["user_message_id"].clone();
    // Nobody asked for a receipt by an event_url: the queue alone is a reason.
    let report = application.object("event").await["event"].clone();
    assert_eq!((&report["event_type"], &report["delivery_status"]), (&json!("delivery_report"), &json!("delivered")));
    assert_eq!((&report["user_message_id"], &report["transport_name"]), (&id, &json!(channel)));
    let path = format!("/channels/{channel}/messages/{}", id.as_str().unwrap());
    let told = bridge.get(&path).await;
    assert_eq!(told["last_event_type"], "delivery_succeeded");
    bridge.server.stop().await;
}

#[tokio::test]
async fn a_broker_that_is_killed_in_the_middle_loses_nothing_and_sends_nothing_twice() {
    a_broker_is_killed_in_the_middle(3_000, None, &[]).await;
}

#[tokio::test]
async fn nor_does_one_with_quorum_queues() {
    a_broker_is_killed_in_the_middle(800, Some(QueueType::Quorum), &["--type", "quorum"]).await;
}

async fn a_broker_is_killed_in_the_middle(count: usize, queue_type: Option<QueueType>, more: &[&str]) {
    let mut rabbitmq = RabbitMq::start().await;
    let amqp = AmqpConfig { queue_type, ..rabbitmq.config() };
    let bridge = Bridge::with(|config| config.amqp = Some(amqp)).await;
    let mut application = application(&rabbitmq, "q", &[&["--send", &count.to_string()], more].concat()).await;
    let channel = bridge.loopback("q", json!({"echo": true})).await;
    let (mut echoes, mut events) = (BTreeMap::<String, BTreeSet<String>>::new(), BTreeMap::new());
    let mut killed = false;
    // And the one that is sent over HTTP meanwhile.
    while echoes.len() <= count || events.values().map(BTreeSet::len).sum::<usize>() < 2 * (count + 1) {
        let line = application.any(&["inbound", "event"]).await;
        if let Some(message) = line.get("inbound") {
            let text = message["content"].as_str().unwrap().to_owned();
            echoes.entry(text).or_default().insert(message["message_id"].to_string());
        } else {
            let event = &line["event"];
            let kinds: &mut BTreeSet<String> = events.entry(event["user_message_id"].to_string()).or_default();
            let kind = event["event_type"].as_str().unwrap().to_owned();
            // RabbitMQ gives what is in a quorum queue again out of order.
            let ordered = queue_type != Some(QueueType::Quorum);
            assert!(!ordered || kind == "ack" || kinds.contains("ack"), "a report came before its ack");
            kinds.insert(kind);
        }
        if !killed && echoes.len() > count / 4 {
            killed = true;
            rabbitmq.kill().await;
            bridge.told(&channel, "disconnected").await;
            // Those over HTTP are accepted and sent all the while; their events wait.
            let message = json!({"to": "1", "content": "over HTTP"});
            let answer = bridge.ask(Method::POST, &format!("/channels/{channel}/messages/"), message).await;
            assert_eq!(answer["status"], 201);
            rabbitmq.revive().await;
            bridge.told(&channel, "connected").await;
        }
    }
    assert!(killed);
    let tokens = echoes.keys().filter(|text| text.starts_with("token "));
    assert_eq!(tokens.count(), count);
    let twice: Vec<_> = echoes.iter().filter(|(_, messages)| messages.len() > 1).collect();
    assert!(twice.is_empty(), "sent twice: {twice:?}");
    assert!(
        (0..count).all(|number| events.contains_key(&format!("\"q-{number}\""))),
        "events name the ids of the sender"
    );
    let wanted = queue_type.map_or("classic".to_owned(), |queue_type| format!("{queue_type:?}").to_lowercase());
    for queue in ["q.outbound", "q.inbound"] {
        let (_, queue) = rabbitmq.manage(Method::GET, &format!("/api/queues/%2F/{queue}"), &Value::Null).await;
        assert_eq!(queue["type"], wanted);
    }
    bridge.server.stop().await;
}

async fn what_is_no_message_is_put_aside_and_costs_the_others_nothing(rabbitmq: &RabbitMq) {
    let bridge = Bridge::start(rabbitmq).await;
    let channel = bridge.loopback("one", json!({})).await;
    bridge.loopback("two", json!({})).await;
    for broken in ["{", "[]", "{\"message_type\": \"user_message\"}"] {
        publish(rabbitmq, "one.outbound", broken).await;
    }
    let mut application = application(rabbitmq, "one", &["--send", "1"]).await;
    assert_eq!(application.object("event").await["event"]["user_message_id"], "one-0");
    let mut refused = waiting(rabbitmq, "one.failures", 3).await;
    refused.as_array_mut().unwrap().sort_by_key(|message| message["payload"].to_string());
    let told: Vec<_> = refused.as_array().unwrap().iter().map(|message| &message["payload"]).collect();
    assert_eq!(told, ["[]", "{", "{\"message_type\": \"user_message\"}"]);
    assert_eq!(refused[2]["properties"]["headers"]["x-maybug-reason"], "the field 'message_version' is missing");
    let logs = bridge.get(&format!("/channels/{channel}/logs")).await;
    assert!(logs.to_string().contains("was put into one.failures: it is no JSON object"), "{logs}");

    for (queue, why) in [
        ("Loud", "\"amqp_queue\" must be lower case: 'Loud'"),
        ("amq.shop", "\"amqp_queue\" begins with 'amq.', which RabbitMQ refuses: 'amq.shop'"),
    ] {
        let body = json!({"type": "loopback", "config": {}, "amqp_queue": queue});
        let answer = bridge.ask(Method::POST, "/channels/", body).await;
        let error = &answer["result"]["errors"][0];
        assert_eq!((&answer["status"], &error["message"]), (&json!(400), &json!(why)));
    }

    // A queue that nobody has any more is not consumed; another name is.
    let path = format!("/channels/{channel}");
    bridge.ask(Method::POST, &path, json!({"amqp_queue": "three"})).await;
    publish(rabbitmq, "three.outbound", "?").await;
    assert_eq!(waiting(rabbitmq, "three.failures", 1).await[0]["payload"], "?");
    publish(rabbitmq, "one.outbound", "?").await;
    assert_eq!(waiting(rabbitmq, "one.outbound", 1).await[0]["payload"], "?");
    bridge.server.stop().await;
}

async fn destinations_have_queues_of_their_own(rabbitmq: &RabbitMq) {
    let bridge = Bridge::start(rabbitmq).await;
    let mut shop = application(rabbitmq, "shop", &["--answer", "from the shop"]).await;
    let mut bank = application(rabbitmq, "bank", &["--send", "1"]).await;
    let channel = bridge.create("/channels/", json!({"type": "loopback", "config": {"echo": true}})).await;
    let body = json!({"type": "from_address", "config": {"channel": channel}});
    let router = bridge.create("/routers/", body).await;
    let path = format!("/routers/{router}/destinations/");
    for (queue, pattern) in [("shop", "^1$"), ("bank", "^40404$")] {
        let body = json!({"config": {"regular_expression": pattern}, "amqp_queue": queue});
        bridge.create(&path, body).await;
    }
    // The echo of the bank's message comes back to the address that it was sent from.
    for _ in 0..3 {
        let got = bank.any(&["inbound", "event"]).await;
        if let Some(mine) = got.get("inbound") {
            assert_eq!((&mine["content"], &mine["transport_name"]), (&json!("token 0"), &json!(channel)));
        } else {
            let named = (&got["event"]["user_message_id"], &got["event"]["transport_name"]);
            assert_eq!(named, (&json!("bank-0"), &json!(channel)));
        }
    }
    let path = format!("/channels/{channel}/messages/");
    bridge.ask(Method::POST, &path, json!({"from": "1", "to": "2", "content": "to the shop"})).await;
    let mine = shop.object("inbound").await["inbound"].clone();
    assert_eq!(mine["content"], "to the shop");
    assert_eq!(shop.object("inbound").await["inbound"]["content"], "from the shop");
    bridge.server.stop().await;
}

async fn what_nobody_has_declared_a_queue_for_waits_and_without_a_broker_too(rabbitmq: &RabbitMq) {
    let bridge = Bridge::start(rabbitmq).await;
    let channel = bridge.loopback("late", json!({})).await;
    for number in 0..50 {
        let message = json!({"to": "1", "content": number.to_string()});
        bridge.ask(Method::POST, &format!("/channels/{channel}/messages/"), message).await;
    }
    let told = bridge.told(&channel, "unrouted").await;
    assert_eq!(
        (&told["status"], told["message"].as_str().unwrap().contains("has bound a queue")),
        (&json!("degraded"), true)
    );
    let path = format!("/channels/{channel}/queue");
    bridge.until(&path, "a hundred events", |length| length["events"] == 100).await;
    let mut application = application(rabbitmq, "late", &[]).await;
    for _ in 0..100 {
        application.object("event").await;
    }
    bridge.told(&channel, "connected").await;
    bridge.server.stop().await;

    let alone = Bridge::with(|config| config.callback_max_age = 0).await;
    let channel = alone.loopback("q", json!({})).await;
    assert_eq!(alone.told(&channel, "no_broker").await["status"], "down");
    let path = format!("/channels/{channel}/messages/");
    let answer = alone.ask(Method::POST, &path, json!({"to": "1", "content": "x"})).await;
    assert_eq!(answer["status"], 201);
    let two = |found: &Value| found["callbacks"].as_array().unwrap().len() == 2;
    let parked = alone.until("/callbacks/", "parked events", two).await["callbacks"].clone();
    assert_eq!((&parked[0]["amqp_queue"], &parked[0]["kind"]), (&json!("q"), &json!("event")));
    assert!(parked[0]["reason"].as_str().unwrap().contains("no key 'amqp'"), "{parked}");
    alone.server.stop().await;
}

#[tokio::test]
async fn applications_send_and_receive_over_queues() {
    let rabbitmq = RabbitMq::shared().await;
    tokio::join!(
        messages_replies_and_events_are_vumis(&rabbitmq),
        what_is_no_message_is_put_aside_and_costs_the_others_nothing(&rabbitmq),
        destinations_have_queues_of_their_own(&rabbitmq),
        what_nobody_has_declared_a_queue_for_waits_and_without_a_broker_too(&rabbitmq),
        the_connection_is_encrypted_if_that_is_wanted(&rabbitmq),
    );
}
