//! What applications put into their queues and cannot be sent, with a real RabbitMQ: listed as it is, sent again corrected
//! or not, deleted, whatever the type of its queue.

use std::collections::BTreeSet;

use hyper::Method;
use maybug::config::{AmqpConfig, QueueType};
use serde_json::{Value, json};

use crate::amqp::{Bridge, publish};
use crate::rabbitmq::RabbitMq;
use crate::server::soon;

async fn bridge(rabbitmq: &RabbitMq, queue_type: QueueType) -> Bridge {
    let amqp = AmqpConfig { queue_type: Some(queue_type), ..rabbitmq.config() };
    Bridge::with(|config| config.amqp = Some(amqp)).await
}

fn message(id: &str) -> Value {
    json!({
        "message_type": "user_message", "message_version": "20110921", "message_id": id,
        "timestamp": "2024-03-01 09:30:00.123456", "transport_name": "x", "transport_type": "sms",
        "to_addr": "+27820001001", "from_addr": "8110", "in_reply_to": null, "content": "hello", "session_event": null,
        "transport_metadata": {},
    })
}

/// Waits until so many could not be sent; the first page of them.
async fn failed(bridge: &Bridge, path: &str, count: usize) -> Value {
    bridge.until(path, "failures", |found| found["total"] == count && found["failures"][0].is_object()).await
}

fn column(page: &Value, key: &str) -> Vec<Value> {
    page["failures"].as_array().unwrap().iter().map(|failure| failure[key].clone()).collect()
}

async fn what_could_not_be_sent_is_shown_corrected_and_sent(rabbitmq: &RabbitMq, queue_type: QueueType) {
    let queue = format!("{queue_type:?}").to_lowercase();
    let bridge = bridge(rabbitmq, queue_type).await;
    let channel = bridge.loopback(&queue, json!({})).await;
    bridge.told(&channel, "connected").await;
    let path = format!("/channels/{channel}/failures/");
    assert_eq!(bridge.get(&path).await, json!({"failures": [], "total": 0, "cursor": null}));
    let length = format!("/channels/{channel}/queue");
    assert_eq!(bridge.get(&length).await["failures"], 0);

    let outbound = format!("{queue}.outbound");
    publish(rabbitmq, &outbound, "{").await;
    let octets = json!({"properties": {}, "routing_key": outbound, "payload": "/4A=", "payload_encoding": "base64"});
    let (status, answer) = rabbitmq.manage(Method::POST, "/api/exchanges/%2F/vumi/publish", &octets).await;
    assert_eq!((status, &answer["routed"]), (200, &json!(true)));
    let mut nowhere = message("nowhere");
    nowhere["to_addr"] = Value::Null;
    publish(rabbitmq, &outbound, &nowhere.to_string()).await;
    // The oldest first, as often as one looks.
    for _ in 0..25 {
        let page = failed(&bridge, &path, 3).await;
        assert_eq!(column(&page, "body"), [json!("{"), json!("/4A="), json!(nowhere.to_string())]);
        assert_eq!(column(&page, "encoding"), ["utf-8", "base64", "utf-8"]);
        assert_eq!(column(&page, "octets"), [json!(1), json!(2), json!(nowhere.to_string().len())]);
        let reasons = column(&page, "reason");
        assert_eq!(reasons[2], "the field 'to_addr' is null");
        assert!(reasons[..2].iter().all(|reason| reason.as_str().unwrap().starts_with("it is no JSON: ")));
        assert!(column(&page, "created_at").iter().all(Value::is_string));
    }
    assert_eq!(bridge.get(&length).await["failures"], 3);
    // A page ends where it should, and the next begins there, also when the last one of the first has gone.
    let first = bridge.get(&format!("{path}?limit=2")).await;
    let second = bridge.get(&format!("{path}?cursor={}", first["cursor"].as_str().unwrap())).await;
    assert_eq!((column(&first, "octets"), second["cursor"].clone()), (vec![json!(1), json!(2)], Value::Null));
    assert_eq!(column(&second, "body"), [json!(nowhere.to_string())]);
    let delete = format!("{path}{}", first["cursor"].as_str().unwrap());
    assert_eq!(bridge.ask(Method::DELETE, &delete, Value::Null).await["status"], 200);
    assert_eq!(bridge.ask(Method::DELETE, &delete, Value::Null).await["status"], 404);
    assert_eq!(
        bridge.get(&format!("{path}?cursor={}", first["cursor"].as_str().unwrap())).await["failures"],
        second["failures"]
    );

    // Corrected wrongly, corrected, and as it came.
    let id = column(&second, "id")[0].as_str().unwrap().to_owned();
    let retry = format!("{path}{id}/retry");
    let answer = bridge.ask(Method::POST, &retry, json!({"to_addr": "1"})).await;
    assert_eq!(
        (&answer["status"], &answer["result"]["errors"][0]["message"]),
        (&json!(400), &json!("The message is wrong: the field 'message_type' is missing"))
    );
    let right = uuid::Uuid::new_v4().simple().to_string();
    let answer = bridge.ask(Method::POST, &retry, message(&right)).await;
    assert_eq!((&answer["status"], &answer["result"]["id"]), (&json!(200), &json!(id)));
    let sent = format!("/channels/{channel}/messages/{right}");
    bridge.until(&sent, "the corrected one", |found| found["last_event_type"] == "delivery_succeeded").await;
    let page = failed(&bridge, &path, 1).await;
    let before = column(&page, "id")[0].clone();
    let answer = bridge.ask(Method::POST, &format!("{path}{}/retry", before.as_str().unwrap()), Value::Null).await;
    assert_eq!(answer["status"], 200, "{answer}");
    let again = |found: &Value| found["total"] == 1 && found["failures"][0]["id"] != before;
    assert_eq!(bridge.until(&path, "the same again", again).await["failures"][0]["body"], "{");
    let answer = bridge.ask(Method::DELETE, &format!("{path}?limit=1"), Value::Null).await;
    assert_eq!(answer["status"], 400, "{answer}");
    assert_eq!(bridge.ask(Method::DELETE, &path, Value::Null).await["result"], json!({"deleted": 1}));
    assert_eq!(bridge.get(&path).await["total"], 0);
    let (_, made) = rabbitmq.manage(Method::GET, &format!("/api/queues/%2F/{queue}.failures"), &Value::Null).await;
    assert_eq!((&made["type"], &made["arguments"]["x-max-length"]), (&json!(queue), &json!(10_000)));
    let (_, made) = rabbitmq.manage(Method::GET, &format!("/api/queues/%2F/{outbound}"), &Value::Null).await;
    assert_eq!(made["type"], json!(queue));
    bridge.server.stop().await;
}

async fn all_are_sent_again_once_and_looks_take_turns(rabbitmq: &RabbitMq, queue_type: QueueType) {
    const COUNT: usize = 130;
    let queue = format!("{queue_type:?}-many").to_lowercase();
    let bridge = bridge(rabbitmq, queue_type).await;
    let channel = bridge.create("/channels/", json!({"type": "loopback", "config": {}})).await;
    let router = bridge.create("/routers/", json!({"type": "from_address", "config": {"channel": channel}})).await;
    let destinations = format!("/routers/{router}/destinations/");
    let body = json!({"config": {"regular_expression": ".*"}, "amqp_queue": queue});
    let destination = bridge.create(&destinations, body).await;
    let path = format!("{destinations}{destination}/failures/");
    for number in 0..COUNT {
        publish(rabbitmq, &format!("{queue}.outbound"), &format!("[{number}]")).await;
    }
    let before = failed(&bridge, &path, COUNT).await;
    // Several who look at a time all see everything.
    let looks = (0..4).map(|_| bridge.get(&path));
    for page in futures_util::future::join_all(looks).await {
        assert_eq!(page, before);
    }
    let retry = format!("{path}retry");
    assert_eq!(bridge.ask(Method::POST, &retry, Value::Null).await["result"], json!({"retried": COUNT}));
    // All of them are no better than before.
    let ids: BTreeSet<String> = column(&before, "id").iter().map(ToString::to_string).collect();
    let other =
        |found: &Value| found["total"] == COUNT && column(found, "id").iter().all(|id| !ids.contains(&id.to_string()));
    let (mut page, mut seen) = (bridge.until(&path, "all of them", other).await, Vec::new());
    loop {
        seen.extend(column(&page, "body"));
        let Some(cursor) = page["cursor"].as_str() else { break };
        page = bridge.get(&format!("{path}?limit=40&cursor={cursor}")).await;
    }
    // A quorum queue keeps no order of what has been looked at.
    let wanted: BTreeSet<_> = (0..COUNT).map(|number| format!("\"[{number}]\"")).collect();
    assert_eq!(seen.len(), COUNT);
    assert_eq!(seen.iter().map(ToString::to_string).collect::<BTreeSet<_>>(), wanted);
    assert_eq!(bridge.ask(Method::DELETE, &path, Value::Null).await["result"], json!({"deleted": COUNT}));
    bridge.server.stop().await;
}

/// Whoever declares a queue first decides on its type.
async fn queues_that_are_there_are_used_as_they_are(rabbitmq: &RabbitMq) {
    let bridge = bridge(rabbitmq, QueueType::Quorum).await;
    for queue in ["there.outbound", "there.failures"] {
        let declared =
            rabbitmq.manage(Method::PUT, &format!("/api/queues/%2F/{queue}"), &json!({"durable": true})).await;
        assert_eq!(declared.0, 201);
    }
    let channel = bridge.loopback("there", json!({})).await;
    publish(rabbitmq, "there.outbound", "?").await;
    let page = failed(&bridge, &format!("/channels/{channel}/failures/"), 1).await;
    assert_eq!(column(&page, "body"), ["?"]);
    bridge.server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_sent_is_visible_and_can_be_worked_on() {
    let rabbitmq = RabbitMq::shared().await;
    tokio::join!(
        what_could_not_be_sent_is_shown_corrected_and_sent(&rabbitmq, QueueType::Classic),
        what_could_not_be_sent_is_shown_corrected_and_sent(&rabbitmq, QueueType::Quorum),
        all_are_sent_again_once_and_looks_take_turns(&rabbitmq, QueueType::Classic),
        all_are_sent_again_once_and_looks_take_turns(&rabbitmq, QueueType::Quorum),
        queues_that_are_there_are_used_as_they_are(&rabbitmq),
    );
}

#[tokio::test]
async fn a_broker_that_is_not_there_or_says_nothing_is_told_of() {
    let mut rabbitmq = RabbitMq::start().await;
    let bridge = bridge(&rabbitmq, QueueType::Classic).await;
    let channel = bridge.loopback("q", json!({})).await;
    bridge.told(&channel, "connected").await;
    let (path, length) = (format!("/channels/{channel}/failures/"), format!("/channels/{channel}/queue"));
    publish(&rabbitmq, "q.outbound", "?").await;
    failed(&bridge, &path, 1).await;
    rabbitmq.signal("-STOP").await;
    // It is asked, and does not answer.
    let told = soon("an answer", bridge.get(&length)).await;
    assert_eq!((&told["failures"], &told["outbound"]["total"]), (&Value::Null, &json!(0)));
    let answer = bridge.ask(Method::GET, &path, Value::Null).await;
    let told = (&answer["status"], &answer["result"]["errors"][0]["message"]);
    assert_eq!(told, (&json!(503), &json!("RabbitMQ does not answer")));
    rabbitmq.signal("-CONT").await;
    rabbitmq.kill().await;
    bridge.told(&channel, "disconnected").await;
    let answer = bridge.ask(Method::GET, &path, Value::Null).await;
    assert_eq!((&answer["status"], &answer["result"]["errors"][0]["type"]), (&json!(503), &json!("BrokerUnavailable")));
    assert_eq!(bridge.get(&length).await["failures"], Value::Null);
    rabbitmq.revive().await;
    bridge.told(&channel, "connected").await;
    bridge.server.stop().await;

    let alone = Bridge::with(|_| {}).await;
    let (with, without) = (alone.loopback("q", json!({})).await, json!({"type": "loopback", "config": {}}));
    let without = alone.create("/channels/", without).await;
    for (channel, why) in [
        (&with, "there is no RabbitMQ: the configuration has no key 'amqp'".to_owned()),
        (&without, format!("{without} has no \"amqp_queue\"")),
    ] {
        let answer = alone.ask(Method::GET, &format!("/channels/{channel}/failures"), Value::Null).await;
        assert_eq!((&answer["status"], &answer["result"]["errors"][0]["message"]), (&json!(400), &json!(why)));
        assert_eq!(alone.get(&format!("/channels/{channel}/queue")).await["failures"], Value::Null);
    }
    alone.server.stop().await;
}
