//! Lines 129 to 132 of what Junebug promises (`tests/junebug`), with a real RabbitMQ: an application that speaks over
//! queues.

use hyper::Method;
use serde_json::{Value, json};

use crate::rabbitmq::RabbitMq;
use crate::support::{Maybug, Receiver, soon};

/// A server with a virtual host of the broker, a channel with the queue `app` that echoes, and what the application has declared.
struct Queues {
    rabbitmq: RabbitMq,
    maybug: Maybug,
    channel: String,
}

impl Queues {
    /// With the `mo_url` of the channel, if it has one.
    async fn start(mo_url: Option<String>) -> Self {
        let rabbitmq = RabbitMq::shared().await;
        let exchange = json!({"type": "direct", "durable": true});
        rabbitmq.manage(Method::PUT, "/api/exchanges/%2F/vumi", &exchange).await;
        for key in ["app.inbound", "app.event"] {
            let queue = format!("/api/queues/%2F/{key}");
            assert_eq!(rabbitmq.manage(Method::PUT, &queue, &json!({"durable": true})).await.0, 201);
            let binding = format!("/api/bindings/%2F/e/vumi/q/{key}");
            assert_eq!(rabbitmq.manage(Method::POST, &binding, &json!({"routing_key": key})).await.0, 201);
        }
        let amqp = rabbitmq.config();
        let maybug = Maybug::with(|config| config.amqp = Some(amqp)).await;
        let mut channel = json!({"type": "loopback", "config": {"echo": true}, "amqp_queue": "app"});
        if let Some(url) = mo_url {
            channel["mo_url"] = json!(url);
        }
        let channel = maybug.channel(channel).await;
        Self { rabbitmq, maybug, channel }
    }

    /// What is next in a queue, as the application would take it.
    async fn next(&self, queue: &str) -> Value {
        let take = json!({"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"});
        let path = format!("/api/queues/%2F/{queue}/get");
        soon(queue, async {
            loop {
                let (_, found) = self.rabbitmq.manage(Method::POST, &path, &take).await;
                if found[0].is_object() {
                    return found[0].clone();
                }
            }
        })
        .await
    }

    async fn phone_writes(&self, text: &str) {
        self.maybug.send(&self.channel, json!({"to": "+27820001001", "from": "8110", "content": text})).await;
    }
}

/// A message as JSON.
fn payload(taken: &Value) -> Value {
    serde_json::from_str(taken["payload"].as_str().unwrap()).unwrap()
}

/// Junebug 129: With `mo_url` and `amqp_queue` both get a message.
#[tokio::test]
async fn line_129_mo_url_and_the_queue_both_get_a_message() {
    let mut receiver = Receiver::start().await;
    let queues = Queues::start(Some(receiver.url("/mo"))).await;
    queues.phone_writes("for both").await;
    let posted = receiver.mo().await;
    let queued = payload(&queues.next("app.inbound").await);
    assert_eq!((&posted["content"], &queued["content"]), (&json!("for both"), &json!("for both")));
    assert_eq!(posted["message_id"], queued["message_id"]);
}

/// Junebug 130: A message goes to the exchange `vumi` with the key `.inbound` of the queue.
#[tokio::test]
async fn line_130_messages_go_to_the_queues_inbound() {
    let queues = Queues::start(None).await;
    queues.phone_writes("hi").await;
    let taken = queues.next("app.inbound").await;
    assert_eq!((&taken["exchange"], &taken["routing_key"]), (&json!("vumi"), &json!("app.inbound")));
    assert_eq!(taken["properties"]["delivery_mode"], 2);
    let message = payload(&taken);
    assert_eq!((&message["message_type"], &message["message_version"]), (&json!("user_message"), &json!("20110921")));
    assert_eq!((&message["from_addr"], &message["to_addr"]), (&json!("+27820001001"), &json!("8110")));
    assert_eq!((&message["content"], &message["transport_name"]), (&json!("hi"), &json!(queues.channel)));
}

/// Junebug 131: A message that the application puts into `.outbound` is sent as it is.
#[tokio::test]
async fn line_131_what_comes_from_the_queues_outbound_is_sent() {
    let queues = Queues::start(None).await;
    // Junebug would write this text anew with six digits, since it looks like a time.
    let text = "2024-01-01 00:00:00";
    let message = json!({
        "message_type": "user_message", "message_version": "20110921", "message_id": "5f1c3a8e9b0d4c7fa1e2d3c4b5a69788",
        "timestamp": "2024-03-01 09:30:00.123456", "transport_name": "app", "transport_type": "sms",
        "to_addr": "+27820001001", "from_addr": "8110", "in_reply_to": null, "content": text, "session_event": null,
        "group": null, "provider": null, "helper_metadata": {}, "transport_metadata": {}, "routing_metadata": {},
    });
    let publish = json!({
        "properties": {"delivery_mode": 2}, "routing_key": "app.outbound", "payload": message.to_string(),
        "payload_encoding": "string",
    });
    soon("the server to consume the queue", async {
        while queues.rabbitmq.manage(Method::POST, "/api/exchanges/%2F/vumi/publish", &publish).await.1["routed"]
            != true
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let echo = payload(&queues.next("app.inbound").await);
    assert_eq!((&echo["content"], &echo["from_addr"]), (&json!(text), &json!("+27820001001")));
    assert_eq!(echo["to_addr"], "8110");
    let event = payload(&queues.next("app.event").await);
    assert_eq!(event["user_message_id"], message["message_id"]);
}

/// Junebug 132: Events go to `.event` of the queue.
#[tokio::test]
async fn line_132_events_go_to_the_queues_event() {
    let queues = Queues::start(None).await;
    queues.phone_writes("x").await;
    let taken = queues.next("app.event").await;
    assert_eq!((&taken["exchange"], &taken["routing_key"]), (&json!("vumi"), &json!("app.event")));
    let ack = payload(&taken);
    assert_eq!((&ack["message_type"], &ack["event_type"]), (&json!("event"), &json!("ack")));
    assert!(ack["sent_message_id"].is_string(), "{ack}");
    let report = payload(&queues.next("app.event").await);
    assert_eq!((&report["event_type"], &report["delivery_status"]), (&json!("delivery_report"), &json!("delivered")));
    assert_eq!(report["user_message_id"], ack["user_message_id"]);
}
