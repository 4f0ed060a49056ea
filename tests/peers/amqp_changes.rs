//! `amqp_queue` with a real RabbitMQ while something changes: who has a queue, what it is called, whether it is bound or
//! full, how many there are.

use std::collections::BTreeSet;
use std::time::Duration;

use hyper::Method;
use maybug::gateway::Assigned;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::amqp::{Bridge, publish};
use crate::application::application;
use crate::rabbitmq::RabbitMq;
use crate::server::soon;

async fn send(bridge: &Bridge, channel: &str, content: &str) {
    let message = json!({"to": "1", "content": content});
    let answer = bridge.ask(Method::POST, &format!("/channels/{channel}/messages/"), message).await;
    assert_eq!(answer["status"], 201, "{answer}");
}

async fn rename(bridge: &Bridge, channel: &str, queue: &str) {
    let answer = bridge.ask(Method::POST, &format!("/channels/{channel}"), json!({"amqp_queue": queue})).await;
    assert_eq!(answer["status"], 200, "{answer}");
}

/// Declares a queue and binds it.
async fn declare(rabbitmq: &RabbitMq, queue: &str, arguments: Value) {
    let declared = json!({"durable": true, "arguments": arguments});
    let path = format!("/api/queues/%2F/{queue}");
    assert_eq!(rabbitmq.manage(Method::PUT, &path, &declared).await.0, 201);
    bind(rabbitmq, queue).await;
}

/// Binds one to the key of its name.
async fn bind(rabbitmq: &RabbitMq, queue: &str) {
    let (path, key) = (format!("/api/bindings/%2F/e/vumi/q/{queue}"), json!({"routing_key": queue}));
    soon("the exchange", async {
        while rabbitmq.manage(Method::POST, &path, &key).await.0 != 201 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// That nothing out of an application's queue has been refused.
async fn none_refused(rabbitmq: &RabbitMq, queue: &str) {
    let path = format!("/api/queues/%2F/{queue}.failures");
    let (status, found) = rabbitmq.manage(Method::GET, &path, &Value::Null).await;
    assert_eq!(status, 404, "some were refused: {found}");
}

async fn the_status_of_an_unbound_queue_ends_with_what_waited_for_it(rabbitmq: &RabbitMq) {
    let impatient = Bridge::with(|config| {
        config.amqp = Some(rabbitmq.config());
        // Long enough to be told of.
        config.callback_max_age = 1;
    });
    let impatient = impatient.await;
    let channel = impatient.loopback("nobodys", json!({})).await;
    impatient.told(&channel, "connected").await;
    send(&impatient, &channel, "x").await;
    impatient.told(&channel, "unrouted").await;
    impatient.until("/callbacks/", "parked events", |found| found["callbacks"].as_array().unwrap().len() == 2).await;
    impatient.told(&channel, "connected").await;
    impatient.server.stop().await;

    // All who have the queue are told, and it is all of its keys that count.
    let bridge = Bridge::start(rabbitmq).await;
    let (one, two) = (bridge.loopback("both", json!({"echo": true})).await, bridge.loopback("both", json!({})).await);
    for channel in [&one, &two] {
        send(&bridge, channel, "x").await;
    }
    for channel in [&one, &two] {
        assert_eq!(bridge.told(channel, "unrouted").await["status"], "degraded");
    }
    let mut application = application(rabbitmq, "both", &[]).await;
    for _ in 0..5 {
        application.any(&["inbound", "event"]).await;
    }
    for channel in [&one, &two] {
        bridge.told(channel, "connected").await;
    }
    bridge.server.stop().await;
}

async fn what_is_bound_and_full_is_not_unbound(rabbitmq: &RabbitMq) {
    let bridge = Bridge::start(rabbitmq).await;
    let channel = bridge.loopback("stuffed", json!({})).await;
    send(&bridge, &channel, "x").await;
    bridge.told(&channel, "unrouted").await;
    let full = json!({"durable": true, "arguments": {"x-max-length": 1, "x-overflow": "reject-publish"}});
    assert_eq!(rabbitmq.manage(Method::PUT, "/api/queues/%2F/stuffed.event", &full).await.0, 201);
    let filler = json!({"properties": {}, "routing_key": "stuffed.event", "payload": "", "payload_encoding": "string"});
    let (status, answer) = rabbitmq.manage(Method::POST, "/api/exchanges/%2F/amq.default/publish", &filler).await;
    assert_eq!((status, &answer["routed"]), (200, &json!(true)));
    bind(rabbitmq, "stuffed.event").await;
    bridge.told(&channel, "connected").await;
    assert_eq!(bridge.get(&format!("/channels/{channel}/queue")).await["events"], 2);
    let logs = bridge.get(&format!("/channels/{channel}/logs")).await.to_string();
    for why in ["no queue is bound to the key 'stuffed.event'", "RabbitMQ refuses it"] {
        assert!(logs.contains(why), "{logs}");
    }
    bridge.server.stop().await;
}

async fn a_queue_that_changes_hands_is_refused_nothing(rabbitmq: &RabbitMq) {
    const COUNT: usize = 1_000;
    let bridge = Bridge::start(rabbitmq).await;
    let mut first = application(rabbitmq, "moved", &["--send", &COUNT.to_string()]).await;
    let mut second = application(rabbitmq, "aside", &[]).await;
    let (one, two) = (bridge.loopback("moved", json!({})).await, bridge.loopback("aside", json!({})).await);
    let moves = async {
        for _ in 0..10 {
            for (from, to) in [(&one, &two), (&two, &one)] {
                rename(&bridge, from, "aside").await;
                rename(&bridge, to, "moved").await;
            }
        }
    };
    // Whoever has sent a message is told of it over the queue that is its own by then.
    let reports = async {
        let mut reported = BTreeSet::new();
        while reported.len() < COUNT {
            let line = soon("a report", async {
                tokio::select! { line = first.object("event") => line, line = second.object("event") => line }
            })
            .await;
            if line["event"]["event_type"] == "delivery_report" {
                reported.insert(line["event"]["user_message_id"].to_string());
            }
        }
    };
    tokio::join!(moves, reports);
    none_refused(rabbitmq, "moved").await;
    bridge.server.stop().await;
}

async fn what_has_no_channel_for_now_waits_and_is_not_refused(rabbitmq: &RabbitMq) {
    let bridge = Bridge::start(rabbitmq).await;
    let loopback = json!({"type": "loopback", "config": {}});
    let (one, two) = (bridge.create("/channels/", loopback.clone()).await, bridge.create("/channels/", loopback).await);
    let body = json!({"type": "from_address", "config": {"channel": one}});
    let router = bridge.create("/routers/", body).await;
    let body = json!({"config": {"regular_expression": ".*"}, "amqp_queue": "orphan"});
    let destination = bridge.create(&format!("/routers/{router}/destinations/"), body).await;
    let answer = bridge.ask(Method::DELETE, &format!("/channels/{one}"), Value::Null).await;
    assert_eq!(answer["status"], 200, "{answer}");
    let mut application = application(rabbitmq, "orphan", &["--send", "3"]).await;
    application.object("sent").await;
    let path = format!("/routers/{router}/destinations/{destination}/logs");
    let waits = |logs: &Value| logs.to_string().contains("orphan.outbound is not consumed for the moment");
    bridge.until(&path, "that it waits", waits).await;
    let answer = bridge.ask(Method::PATCH, &format!("/routers/{router}"), json!({"config": {"channel": two}})).await;
    assert_eq!(answer["status"], 200, "{answer}");
    let mut acked = Vec::new();
    while acked.len() < 3 {
        let event = application.object("event").await["event"].clone();
        if event["event_type"] == "ack" {
            acked.push(event["user_message_id"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(acked, ["orphan-0", "orphan-1", "orphan-2"]);
    none_refused(rabbitmq, "orphan").await;
    bridge.server.stop().await;
}

async fn a_queue_that_is_full_now_and_then_keeps_its_order(rabbitmq: &RabbitMq) {
    const COUNT: usize = 500;
    let full = json!({"pattern": "^tight\\.inbound$", "definition": {"max-length": 5, "overflow": "reject-publish"}});
    let (status, answer) = rabbitmq.manage(Method::PUT, "/api/policies/%2F/tight", &full).await;
    assert_eq!(status, 201, "{answer}");
    let bridge = Bridge::start(rabbitmq).await;
    let channel = bridge.loopback("tight", json!({"echo": true})).await;
    for number in 0..COUNT {
        send(&bridge, &channel, &number.to_string()).await;
    }
    let path = format!("/channels/{channel}/queue");
    bridge.until(&path, "all that is owed", |length| length["inbound"] == COUNT).await;
    let mut application = application(rabbitmq, "tight", &[]).await;
    let mut got: Vec<String> = Vec::new();
    let mut is_over = false;
    while got.last().is_none_or(|last| last != "over") {
        got.push(application.object("inbound").await["inbound"]["content"].as_str().unwrap().to_owned());
        if !is_over && (0..COUNT).all(|number| got.contains(&number.to_string())) {
            is_over = true;
            bridge.until(&path, "that nothing is owed", |length| length["inbound"] == 0).await;
            send(&bridge, &channel, "over").await;
        }
    }
    // What comes twice counts when it comes last: whoever goes by that has seen them in order.
    let last = |number: usize| got.iter().rposition(|other| *other == number.to_string()).unwrap();
    let places: Vec<usize> = (0..COUNT).map(last).collect();
    assert!(places.is_sorted(), "{got:?}");
    let logs = bridge.get(&format!("/channels/{channel}/logs?n=1000")).await.to_string();
    assert!(logs.contains("queue tight.inbound: RabbitMQ refuses it"), "it was never full: {logs}");
    bridge.server.stop().await;
}

async fn what_is_owed_goes_to_a_queue_that_has_got_another_name(rabbitmq: &RabbitMq) {
    let bridge = Bridge::start(rabbitmq).await;
    let channel = bridge.loopback("before", json!({"echo": true})).await;
    for number in 0..20 {
        send(&bridge, &channel, &number.to_string()).await;
    }
    let path = format!("/channels/{channel}/queue");
    let owed = |length: &Value| length["events"] == 40 && length["inbound"] == 20;
    bridge.until(&path, "all that is owed", owed).await;
    rename(&bridge, &channel, "after").await;
    let mut renamed = application(rabbitmq, "after", &[]).await;
    let mut contents = Vec::new();
    for _ in 0..60 {
        let line = renamed.any(&["inbound", "event"]).await;
        contents.extend(line["inbound"]["content"].as_str().map(|text| text.parse::<usize>().unwrap()));
    }
    assert_eq!(contents, (0..20).collect::<Vec<_>>());

    // The same for a destination, of which there is no word in what is owed.
    let routed = bridge.create("/channels/", json!({"type": "loopback", "config": {"echo": true}})).await;
    let router = bridge.create("/routers/", json!({"type": "from_address", "config": {"channel": routed}})).await;
    let path = format!("/routers/{router}/destinations/");
    let body = json!({"config": {"regular_expression": ".*"}, "amqp_queue": "earlier"});
    let destination = bridge.create(&path, body).await;
    let message = json!({"to": "1", "from": "2", "content": "x"});
    let answer = bridge.ask(Method::POST, &format!("{path}{destination}/messages/"), message).await;
    assert_eq!(answer["status"], 201, "{answer}");
    bridge.told(&routed, "unrouted").await;
    let answer = bridge.ask(Method::PATCH, &format!("{path}{destination}"), json!({"amqp_queue": "later"})).await;
    assert_eq!(answer["status"], 200, "{answer}");
    let mut renamed = application(rabbitmq, "later", &[]).await;
    for _ in 0..3 {
        renamed.any(&["inbound", "event"]).await;
    }
    bridge.server.stop().await;
}

/// How many messages are in a queue that nobody reads, once there are at least so many.
async fn filled(rabbitmq: &RabbitMq, queue: &str, count: u64) -> u64 {
    let path = format!("/api/queues/%2F/{queue}");
    soon(queue, async {
        loop {
            let ready = rabbitmq.manage(Method::GET, &path, &Value::Null).await.1["messages_ready"].as_u64();
            if let Some(ready) = ready.filter(|ready| *ready >= count) {
                return ready;
            }
        }
    })
    .await
}

async fn a_queue_is_read_where_its_channel_runs(rabbitmq: &RabbitMq) {
    let bridge = Bridge::start(rabbitmq).await;
    let channels = [bridge.loopback("moves", json!({})).await, bridge.loopback("stays", json!({})).await];
    let broken = async |queue: &str, count: u64| {
        publish(rabbitmq, &format!("{queue}.outbound"), "{").await;
        assert_eq!(filled(rabbitmq, &format!("{queue}.failures"), count).await, count);
    };
    broken("moves", 1).await;
    let stays = Assigned::Only([channels[1].as_str().into()].into());
    bridge.server.gateway().assign(stays).await.unwrap();
    publish(rabbitmq, "moves.outbound", "{").await;
    for count in 1..5 {
        broken("stays", count).await;
    }
    assert_eq!(filled(rabbitmq, "moves.failures", 1).await, 1, "it was read all the same");
    bridge.server.gateway().assign(Assigned::All).await.unwrap();
    assert_eq!(filled(rabbitmq, "moves.failures", 2).await, 2);
    bridge.server.stop().await;
}

async fn what_is_owed_goes_with_its_owner_alone(rabbitmq: &RabbitMq) {
    let bridge = Bridge::start(rabbitmq).await;
    let channel = bridge.create("/channels/", json!({"type": "loopback", "config": {}})).await;
    let router = bridge.create("/routers/", json!({"type": "from_address", "config": {"channel": channel}})).await;
    let path = format!("/routers/{router}/destinations/");
    let all = |queue: &str| json!({"config": {"regular_expression": ".*"}, "amqp_queue": queue});
    bridge.create(&path, all("own")).await;
    let destination = bridge.create(&path, all("theirs")).await;
    let message = json!({"to": "1", "from": "2", "content": "x"});
    let answer = bridge.ask(Method::POST, &format!("/channels/{channel}/messages/"), message).await;
    assert_eq!(answer["status"], 201, "{answer}");
    bridge.told(&channel, "unrouted").await;
    let answer = bridge.ask(Method::PATCH, &format!("{path}{destination}"), json!({"amqp_queue": "no-more"})).await;
    assert_eq!(answer["status"], 200, "{answer}");
    // An ack and a report for each.
    declare(rabbitmq, "no-more.event", json!({})).await;
    assert_eq!(filled(rabbitmq, "no-more.event", 2).await, 2);
    declare(rabbitmq, "own.event", json!({})).await;
    bridge.told(&channel, "connected").await;
    assert_eq!(filled(rabbitmq, "own.event", 2).await, 2);
    bridge.server.stop().await;
}

async fn what_goes_elsewhere_does_not_wait_for_what_stays(rabbitmq: &RabbitMq) {
    let bridge = Bridge::start(rabbitmq).await;
    let (stays, leaves) = (bridge.loopback("shared", json!({})).await, bridge.loopback("shared", json!({})).await);
    send(&bridge, &stays, "x").await;
    // What is owed for the one stands first.
    bridge.told(&stays, "unrouted").await;
    send(&bridge, &leaves, "y").await;
    let path = format!("/channels/{leaves}/queue");
    bridge.until(&path, "all that is owed", |length| length["events"] == 4).await;
    rename(&bridge, &leaves, "apart").await;
    declare(rabbitmq, "apart.event", json!({})).await;
    assert_eq!(filled(rabbitmq, "apart.event", 2).await, 2);
    bridge.server.stop().await;
}

async fn whoever_has_nothing_to_publish_has_no_channel_of_the_broker(rabbitmq: &RabbitMq) {
    let bridge = Bridge::start(rabbitmq).await;
    let channel = bridge.loopback("quiet", json!({})).await;
    declare(rabbitmq, "quiet.event", json!({})).await;
    send(&bridge, &channel, "x").await;
    assert_eq!(filled(rabbitmq, "quiet.event", 2).await, 2);
    let publishing = async || {
        let (_, connections) = rabbitmq.manage(Method::GET, "/api/connections", &Value::Null).await;
        let ours = |connection: &&Value| {
            connection["client_properties"]["connection_name"].as_str().is_some_and(|name| name.ends_with("publishes"))
        };
        let channels = |connection: &Value| connection["channels"].as_u64().unwrap_or_default();
        connections.as_array().unwrap().iter().filter(ours).map(channels).sum::<u64>()
    };
    soon("a channel", async { while publishing().await == 0 {} }).await;
    soon("no channel", async { while publishing().await > 0 {} }).await;
    bridge.server.stop().await;
}

async fn a_stop_in_the_middle_repeats_nothing(rabbitmq: &RabbitMq) {
    const COUNT: usize = 1_000;
    let place = tempfile::tempdir().unwrap();
    let start = || {
        Bridge::with(|config| {
            config.amqp = Some(rabbitmq.config());
            config.data = place.path().join("data");
        })
    };
    let mut bridge = start().await;
    let channel = bridge.loopback("halted", json!({"echo": true})).await;
    let mut application = application(rabbitmq, "halted", &["--send", &COUNT.to_string()]).await;
    let mut got = Vec::new();
    while got.len() < 3 * COUNT {
        let line = application.any(&["inbound", "event"]).await;
        let id = [&line["inbound"]["message_id"], &line["event"]["event_id"]].map(|id| id.as_str().map(str::to_owned));
        got.extend(id.into_iter().flatten());
        if [COUNT / 2, COUNT, 2 * COUNT].contains(&got.len()) {
            bridge.server.stop().await;
            bridge = start().await;
        }
    }
    bridge.told(&channel, "connected").await;
    let once: BTreeSet<_> = got.iter().collect();
    assert_eq!((once.len(), got.len()), (3 * COUNT, 3 * COUNT), "some came twice");
    bridge.server.stop().await;
}

/// Vumi's messages have nobody who could be told 429: what is beyond a limit waits.
async fn a_limit_that_refuses_lets_what_comes_out_of_a_queue_wait(rabbitmq: &RabbitMq) {
    let bridge = Bridge::start(rabbitmq).await;
    let mut application = application(rabbitmq, "slow", &["--send", "10"]).await;
    let limited = json!({"type": "loopback", "config": {}, "amqp_queue": "slow",
        "rate_limit_count": 5, "rate_limit_window": 1, "rate_limit_action": "reject"});
    let begun = Instant::now();
    let answer = bridge.ask(Method::POST, "/channels/", limited).await;
    assert_eq!(answer["status"], 201, "{answer}");
    let mut acked = Vec::new();
    while acked.len() < 10 {
        let event = application.object("event").await["event"].clone();
        if event["event_type"] == "ack" {
            acked.push(event["user_message_id"].as_str().unwrap().to_owned());
        }
    }
    // The first leaves at once, each other a fifth of a second after the one before.
    assert!(begun.elapsed() >= Duration::from_millis(1_750), "{:?}", begun.elapsed());
    assert_eq!(acked, (0..10).map(|number| format!("slow-{number}")).collect::<Vec<_>>());
    bridge.server.stop().await;
}

#[tokio::test]
async fn queues_change_and_nothing_is_lost_or_refused() {
    let rabbitmq = RabbitMq::shared().await;
    tokio::join!(
        the_status_of_an_unbound_queue_ends_with_what_waited_for_it(&rabbitmq),
        what_is_bound_and_full_is_not_unbound(&rabbitmq),
        a_queue_that_changes_hands_is_refused_nothing(&rabbitmq),
        what_has_no_channel_for_now_waits_and_is_not_refused(&rabbitmq),
        a_queue_that_is_full_now_and_then_keeps_its_order(&rabbitmq),
        what_is_owed_goes_to_a_queue_that_has_got_another_name(&rabbitmq),
        a_queue_is_read_where_its_channel_runs(&rabbitmq),
        what_is_owed_goes_with_its_owner_alone(&rabbitmq),
        what_goes_elsewhere_does_not_wait_for_what_stays(&rabbitmq),
        a_stop_in_the_middle_repeats_nothing(&rabbitmq),
        a_limit_that_refuses_lets_what_comes_out_of_a_queue_wait(&rabbitmq),
    );
}

#[tokio::test]
async fn there_may_be_more_queues_than_a_connection_has_channels() {
    let rabbitmq = RabbitMq::configured("channel_max = 5\n").await;
    let bridge = Bridge::start(&rabbitmq).await;
    let names: Vec<String> = (0..12).map(|number| format!("many-{number}")).collect();
    for name in &names {
        declare(&rabbitmq, &format!("{name}.event"), json!({})).await;
        let channel = bridge.loopback(name, json!({})).await;
        send(&bridge, &channel, "over HTTP").await;
    }
    for name in &names {
        let mut application = application(&rabbitmq, name, &["--send", "1"]).await;
        let wanted = format!("{name}-0");
        soon("an event", async { while application.object("event").await["event"]["user_message_id"] != *wanted {} })
            .await;
    }
    bridge.server.stop().await;
}

async fn an_exchange_that_is_deleted_comes_back(rabbitmq: &RabbitMq) {
    let bridge = Bridge::start(rabbitmq).await;
    let channel = bridge.loopback("erased", json!({})).await;
    declare(rabbitmq, "erased.event", json!({})).await;
    send(&bridge, &channel, "x").await;
    assert_eq!(filled(rabbitmq, "erased.event", 2).await, 2);
    assert_eq!(rabbitmq.manage(Method::DELETE, "/api/exchanges/%2F/vumi", &json!({})).await.0, 204);
    send(&bridge, &channel, "y").await;
    bind(rabbitmq, "erased.event").await;
    assert_eq!(filled(rabbitmq, "erased.event", 4).await, 4);
    bridge.server.stop().await;
}

/// With a virtual host of their own, in which there is nothing of others.
#[tokio::test]
async fn an_idle_queue_costs_nothing_and_an_exchange_comes_back() {
    let rabbitmq = RabbitMq::shared().await;
    whoever_has_nothing_to_publish_has_no_channel_of_the_broker(&rabbitmq).await;
    an_exchange_that_is_deleted_comes_back(&rabbitmq).await;
}
