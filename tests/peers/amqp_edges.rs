//! What `amqp_queue` must not do: take a reply's metadata for instructions, lose an MO whose second receiver is a queue,
//! stop for one message that is too long, or tell of itself without end.

use hyper::{Method, StatusCode};
use maybug::model::MessageId;
use serde_json::{Value, json};
use smpp::pdu::DeliverSm;
use smpp::{CommandStatus, EsmClass, Tag};

use crate::amqp::publish;
use crate::peer::{ScriptedSmsc, mo};
use crate::rabbitmq::RabbitMq;
use crate::support::{Maybug, Receiver, Scripted, soon, types};

/// A server that has this broker.
async fn bridge(rabbitmq: &RabbitMq) -> Maybug {
    let amqp = rabbitmq.config();
    Maybug::with(|config| config.amqp = Some(amqp)).await
}

/// Declares a queue, as the application that reads it does.
async fn declare(rabbitmq: &RabbitMq, key: &str) {
    let exchange = json!({"type": "direct", "durable": true});
    rabbitmq.manage(Method::PUT, "/api/exchanges/%2F/vumi", &exchange).await;
    rabbitmq.manage(Method::PUT, &format!("/api/queues/%2F/{key}"), &json!({"durable": true})).await;
    let binding = format!("/api/bindings/%2F/e/vumi/q/{key}");
    assert_eq!(rabbitmq.manage(Method::POST, &binding, &json!({"routing_key": key})).await.0, 201);
}

/// The next message for an application, which has it then, with what the broker says of it; a long body is cut.
async fn entry(rabbitmq: &RabbitMq, key: &str) -> Value {
    let get = json!({"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto", "truncate": 16_384});
    let path = format!("/api/queues/%2F/{key}/get");
    soon(key, async {
        loop {
            let (_, found) = rabbitmq.manage(Method::POST, &path, &get).await;
            if found[0].is_object() {
                return found[0].clone();
            }
        }
    })
    .await
}

/// The same as an object.
async fn take(rabbitmq: &RabbitMq, key: &str) -> Value {
    serde_json::from_str(entry(rabbitmq, key).await["payload"].as_str().unwrap()).unwrap()
}

/// A reply as `TransportUserMessage.reply()` of Vumi makes it: it copies the metadata of what it answers.
fn reply(mo: &Value, content: &str) -> Value {
    let mut reply = mo.clone();
    for (key, value) in [
        ("message_id", json!(MessageId::mint())),
        ("to_addr", mo["from_addr"].clone()),
        ("from_addr", mo["to_addr"].clone()),
        ("in_reply_to", mo["message_id"].clone()),
        ("content", json!(content)),
    ] {
        reply[key] = value;
    }
    reply
}

async fn a_reply_asks_for_nothing_that_it_was_only_told(rabbitmq: &RabbitMq) {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = bridge(rabbitmq).await;
    declare(rabbitmq, "told.inbound").await;
    let queue = json!({"amqp_queue": "told"});
    let channel = maybug.smpp_channel(smsc.address(), json!({}), queue).await;
    let mut peer = smsc.bound().await;
    // With ports of the phone's application in a header.
    let header = "\u{6}\u{5}\u{4}\u{b}\u{4}\u{23}\u{70}";
    let mut text = DeliverSm { esm_class: EsmClass::UDHI, ..mo("27820001001", &format!("{header}hello")) };
    text.service_type = "WAP".try_into().unwrap();
    text.tlvs.push(Tag(0x1400), &[1]);
    text.tlvs.push(Tag(0x1401), &[2]);
    assert_eq!(peer.deliver(text).await, CommandStatus::ESME_ROK);
    let told = take(rabbitmq, "told.inbound").await;
    let data = json!({"0x1400": "01", "0x1401": "02"});
    assert_eq!((&told["helper_metadata"]["tlvs"], &told["transport_metadata"]["service_type"]), (&data, &json!("WAP")));
    assert_eq!(told["helper_metadata"]["destination_port"], 0x0b04);

    let mut changed = reply(&told, "changed");
    changed["helper_metadata"]["tlvs"]["0x1401"] = json!("03");
    changed["helper_metadata"]["tlvs"]["0x1402"] = json!("04");
    changed["helper_metadata"]["service_type"] = json!("VMA");
    for sent in [reply(&told, "as it was"), changed] {
        publish(rabbitmq, "told.outbound", &sent.to_string()).await;
        let (raw, submit) = peer.submit().await;
        assert_eq!(submit.destination.digits.to_text(), "27820001001");
        let octets = |tag| submit.tlvs.octets_of(Tag(tag)).map(|octets| octets.to_vec());
        let own = [octets(0x1400), octets(0x1401), octets(0x1402)];
        if sent["content"] == "as it was" {
            assert_eq!((own, submit.service_type.to_text()), ([None, None, None], String::new()));
        } else {
            assert_eq!((own, submit.service_type.to_text()), ([None, Some(vec![3]), Some(vec![4])], "VMA".to_owned()));
        }
        assert!(!submit.esm_class.udhi(), "the ports of the phone's text were sent back");
        peer.take(&raw, "1").await;
        let id = sent["message_id"].as_str().unwrap();
        assert_eq!(types(&maybug.events(&channel, id, 1).await), ["submitted"]);
    }
    maybug.server.stop().await;
}

async fn what_fails_over_to_a_queue_is_in_that_queue(rabbitmq: &RabbitMq) {
    let mut receiver = Receiver::start().await;
    receiver.script(vec![Scripted::Answer(StatusCode::SERVICE_UNAVAILABLE, Vec::new()); 100]);
    let maybug = bridge(rabbitmq).await;
    declare(rabbitmq, "heir.inbound").await;
    let channel = maybug.channel(json!({"type": "loopback", "config": {"echo": true}})).await;
    let router = json!({"type": "failover", "config": {"channel": channel, "after_failures": 1}});
    let router = maybug.post("/routers/", router).await.1["result"]["id"].as_str().unwrap().to_owned();
    let path = format!("/routers/{router}/destinations/");
    let first = json!({"config": {"priority": 1}, "mo_url": receiver.url("/mo")});
    let heir = json!({"config": {"priority": 2}, "amqp_queue": "heir"});
    for destination in [first, heir] {
        assert_eq!(maybug.post(&path, destination).await.0, 201);
    }
    // Tried first and handed on; and, once the first has failed so often that it is spared, not even tried.
    for number in 0..12 {
        let content = number.to_string();
        maybug.send(&channel, json!({"to": "27820001001", "from": "8110", "content": content})).await;
        assert_eq!(take(rabbitmq, "heir.inbound").await["content"], content);
    }
    assert_eq!(receiver.next().await.body["content"], "0");
    assert_eq!(maybug.get("/callbacks/").await.1["result"]["callbacks"], json!([]));
    maybug.server.stop().await;
}

async fn a_message_that_is_too_long_stops_nobody(rabbitmq: &RabbitMq) {
    let maybug = bridge(rabbitmq).await;
    let mut channels = Vec::new();
    for queue in ["long", "short"] {
        declare(rabbitmq, &format!("{queue}.inbound")).await;
        let channel = json!({"type": "loopback", "config": {"echo": true}, "amqp_queue": queue});
        channels.push(maybug.channel(channel).await);
    }
    let message = |id: usize, content: &str| {
        let message = json!({
            "message_type": "user_message", "message_version": "20110921", "message_id": format!("long-{id}"),
            "timestamp": "2024-03-01 09:30:00.123456", "transport_name": "x", "transport_type": "sms",
            "to_addr": "+27820001001", "from_addr": "8110", "in_reply_to": null, "content": content,
            "session_event": null, "transport_metadata": {},
        });
        message.to_string()
    };
    // The first is as long as any may be.
    let room = 1024 * 1024 - message(0, "").len();
    let longest = message(0, &"x".repeat(room));
    let too_long = message(1, &"y".repeat(room + 1));
    for (key, body) in
        [("long", &longest), ("long", &too_long), ("long", &message(2, "z")), ("short", &message(3, "s"))]
    {
        publish(rabbitmq, &format!("{key}.outbound"), body).await;
    }
    assert_eq!(take(rabbitmq, "short.inbound").await["content"], "s");
    assert!(entry(rabbitmq, "long.inbound").await["payload_bytes"].as_u64().unwrap() > room as u64);
    assert_eq!(take(rabbitmq, "long.inbound").await["content"], "z");
    let refused = entry(rabbitmq, "long.failures").await;
    assert_eq!(refused["properties"]["headers"]["x-maybug-reason"], "it is longer than 1048576 octets");
    assert_eq!(refused["payload_bytes"], too_long.len());
    // A line reaches the log a little later.
    soon("what was refused in the log", async {
        let path = format!("/channels/{}/logs", channels[0]);
        loop {
            let (_, logs) = maybug.get(&path).await;
            match logs.to_string().matches("put into long.failures: it is longer than").count() {
                0 => tokio::task::yield_now().await,
                count => return assert_eq!(count, 1, "{logs}"),
            }
        }
    })
    .await;
    maybug.server.stop().await;
}

/// With a virtual host of its own, in which the broker counts what nobody has bound a queue for.
#[tokio::test]
async fn two_queues_that_nobody_has_bound_do_not_tell_of_themselves_in_turn() {
    const TRIES: u64 = 6;
    let rabbitmq = RabbitMq::shared().await;
    let mut receiver = Receiver::start().await;
    let maybug = bridge(&rabbitmq).await;
    let channel = json!({
        "type": "loopback", "config": {"echo": true}, "amqp_queue": "nobody", "status_url": receiver.url("/status"),
    });
    let channel = maybug.channel(channel).await;
    receiver.told("connected").await;
    // An MO and two events, for a key each.
    maybug.send(&channel, json!({"to": "27820001001", "from": "8110", "content": "x"})).await;
    assert_eq!(receiver.told("unrouted").await["component"], "amqp");
    soon("more tries", async {
        while rabbitmq.manage(Method::GET, "/api/overview", &Value::Null).await.1["message_stats"]["return_unroutable"]
            .as_u64()
            .is_none_or(|count| count < TRIES)
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut told = Vec::new();
    while receiver.posted() > 0 {
        told.push(receiver.next().await.body["type"].clone());
    }
    assert!(!told.iter().any(|kind| kind == "unrouted" || kind == "connected"), "{told:?}");
    let (_, logs) = maybug.get(&format!("/channels/{channel}/logs?n=1000")).await;
    assert_eq!(logs.to_string().matches("(unrouted)").count(), 1, "{logs}");
    for key in ["nobody.inbound", "nobody.event"] {
        declare(&rabbitmq, key).await;
        take(&rabbitmq, key).await;
    }
    receiver.told("connected").await;
    maybug.server.stop().await;
}

#[tokio::test]
async fn queues_neither_lose_nor_invent() {
    let rabbitmq = RabbitMq::shared().await;
    tokio::join!(
        a_reply_asks_for_nothing_that_it_was_only_told(&rabbitmq),
        what_fails_over_to_a_queue_is_in_that_queue(&rabbitmq),
        a_message_that_is_too_long_stops_nobody(&rabbitmq),
    );
}
