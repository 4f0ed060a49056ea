//! What Maybug consumes, with a real RabbitMQ, while somebody deletes what it has declared, and while nothing can be taken:
//! how much it has in hand then, and that a quorum queue counts none of it as failed.

use hyper::Method;
use maybug::bus::Bus;
use maybug::config::{AmqpConfig, QueueType};
use serde_json::{Value, json};

use crate::amqp::{Bridge, publish};
use crate::rabbitmq::RabbitMq;
use crate::server::soon;

fn amqp(rabbitmq: &RabbitMq, queue_type: QueueType) -> AmqpConfig {
    AmqpConfig { queue_type: Some(queue_type), ..rabbitmq.config() }
}

fn message(id: &str, content: &str) -> String {
    let message = json!({
        "message_type": "user_message", "message_version": "20110921", "message_id": id, "content": content,
        "timestamp": "2024-03-01 09:30:00.123456", "transport_name": "x", "transport_type": "sms",
        "to_addr": "+27820001001", "from_addr": "8110", "in_reply_to": null, "session_event": null,
        "transport_metadata": {},
    });
    message.to_string()
}

/// Publishes a message as soon as there is a way to the queue, and waits until it has been sent.
async fn sent(rabbitmq: &RabbitMq, bridge: &Bridge, channel: &str, queue: &str) {
    let id = uuid::Uuid::new_v4().simple().to_string();
    publish(rabbitmq, &format!("{queue}.outbound"), &message(&id, "hello")).await;
    done(bridge, channel, &id).await;
}

/// Waits until a message has been sent.
async fn done(bridge: &Bridge, channel: &str, id: &str) {
    let path = format!("/channels/{channel}/messages/{id}");
    bridge.until(&path, "a message", |found| found["last_event_type"] == "delivery_succeeded").await;
}

async fn what_is_deleted_is_declared_again(rabbitmq: &RabbitMq, bridge: &Bridge, queue: &str) {
    let channel = bridge.loopback(queue, json!({})).await;
    sent(rabbitmq, bridge, &channel, queue).await;
    let delete =
        async |path: String| assert_eq!(rabbitmq.manage(Method::DELETE, &path, &json!({})).await.0, 204, "{path}");
    delete("/api/exchanges/%2F/vumi".to_owned()).await;
    sent(rabbitmq, bridge, &channel, queue).await;
    delete(format!("/api/bindings/%2F/e/vumi/q/{queue}.outbound/{queue}.outbound")).await;
    sent(rabbitmq, bridge, &channel, queue).await;
    delete(format!("/api/queues/%2F/{queue}.outbound")).await;
    sent(rabbitmq, bridge, &channel, queue).await;
}

#[tokio::test]
async fn exchanges_bindings_and_queues_come_back() {
    let rabbitmq = RabbitMq::shared().await;
    for queue_type in [QueueType::Classic, QueueType::Quorum] {
        let bridge = Bridge::with(|config| config.amqp = Some(amqp(&rabbitmq, queue_type))).await;
        what_is_deleted_is_declared_again(&rabbitmq, &bridge, &format!("{queue_type:?}").to_lowercase()).await;
        bridge.server.stop().await;
    }
}

/// A destination whose channel is taken away while its queue is consumed: nothing out of that can be taken.
struct Orphan {
    bridge: Bridge,
    router: String,
    destination: String,
}

impl Orphan {
    async fn of(rabbitmq: &RabbitMq, queue: &str) -> (Self, String) {
        let bridge = Bridge::with(|config| config.amqp = Some(amqp(rabbitmq, QueueType::Quorum))).await;
        let channel = bridge.create("/channels/", json!({"type": "loopback", "config": {}})).await;
        let router = bridge.create("/routers/", json!({"type": "from_address", "config": {"channel": channel}})).await;
        let body = json!({"config": {"regular_expression": ".*"}, "amqp_queue": queue});
        let destination = bridge.create(&format!("/routers/{router}/destinations/"), body).await;
        sent(rabbitmq, &bridge, &channel, queue).await;
        (Self { bridge, router, destination }, channel)
    }

    async fn delete(&self, channel: &str) {
        assert_eq!(self.bridge.ask(Method::DELETE, &format!("/channels/{channel}"), Value::Null).await["status"], 200);
    }

    /// Gives it a channel again.
    async fn adopted(&self) -> String {
        let channel = self.bridge.create("/channels/", json!({"type": "loopback", "config": {}})).await;
        let path = format!("/routers/{}", self.router);
        let answer = self.bridge.ask(Method::PATCH, &path, json!({"config": {"channel": channel}})).await;
        assert_eq!(answer["status"], 200, "{answer}");
        channel
    }

    async fn waits(&self) {
        let path = format!("/routers/{}/destinations/{}/logs", self.router, self.destination);
        let waits = |logs: &Value| logs.to_string().contains("is not consumed for the moment");
        self.bridge.until(&path, "that it waits", waits).await;
    }
}

/// What goes back to this queue once is dropped: RabbitMQ's own limit is twenty times.
#[tokio::test]
async fn what_has_to_wait_does_not_go_back() {
    let rabbitmq = RabbitMq::shared().await;
    let strict = json!({"durable": true, "arguments": {"x-queue-type": "quorum", "x-delivery-limit": 0}});
    assert_eq!(rabbitmq.manage(Method::PUT, "/api/queues/%2F/strict.outbound", &strict).await.0, 201);
    let (orphan, channel) = Orphan::of(&rabbitmq, "strict").await;
    orphan.delete(&channel).await;
    let ids: Vec<String> = (0..5).map(|_| uuid::Uuid::new_v4().simple().to_string()).collect();
    for id in &ids {
        publish(&rabbitmq, "strict.outbound", &message(id, "patient")).await;
    }
    orphan.waits().await;
    let channel = orphan.adopted().await;
    for id in &ids {
        done(&orphan.bridge, &channel, id).await;
    }
    orphan.bridge.server.stop().await;
}

#[tokio::test]
async fn few_long_messages_are_in_hand_and_many_short_ones() {
    const MEBIBYTE: usize = 1024 * 1024;
    let rabbitmq = RabbitMq::shared().await;
    let bridge = Bridge::with(|config| config.amqp = Some(amqp(&rabbitmq, QueueType::Classic))).await;
    let bus = Bus::start(&amqp(&rabbitmq, QueueType::Classic));
    let channel = bridge.loopback("sizes", json!({})).await;
    sent(&rabbitmq, &bridge, &channel, "sizes").await;
    bus.watch().up().await;
    for (octets, count, most) in [(1, 20, 256), (MEBIBYTE - 1024, 2, 16)] {
        // What it knows of their length it has from those that it has seen.
        for _ in 0..count {
            let id = uuid::Uuid::new_v4().simple().to_string();
            let body = message(&id, &"x".repeat(octets));
            bus.publisher().publish("sizes.outbound", &[body.as_bytes()]).await;
            done(&bridge, &channel, &id).await;
        }
        soon("another prefetch", async {
            loop {
                let (_, found) = rabbitmq.manage(Method::GET, "/api/queues/%2F/sizes.outbound", &Value::Null).await;
                if found["consumer_details"][0]["prefetch_count"] == most {
                    return;
                }
            }
        })
        .await;
    }
    bus.stop().await;
    bridge.server.stop().await;
}
