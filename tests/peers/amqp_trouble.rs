//! A RabbitMQ that is there and does not answer: held still as a whole, or short of memory.

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

use crate::amqp::Bridge;
use crate::application::application;
use crate::rabbitmq::RabbitMq;
use crate::server::soon;

/// How long a server may take to stop, whatever the broker does; less than what most supervisors grant.
const STOP: Duration = Duration::from_secs(10);

/// The names of the connections that consume, as the broker has them.
async fn consuming(rabbitmq: &RabbitMq) -> Vec<String> {
    let (_, connections) = rabbitmq.manage(Method::GET, "/api/connections", &Value::Null).await;
    let ours = |connection: &&Value| {
        connection["client_properties"]["connection_name"].as_str().is_some_and(|name| name.ends_with("consumes"))
    };
    let name = |connection: &Value| connection["name"].as_str().unwrap_or_default().to_owned();
    connections.as_array().into_iter().flatten().filter(ours).map(name).collect()
}

#[tokio::test]
async fn a_server_stops_while_its_broker_is_held_still() {
    let rabbitmq = RabbitMq::start().await;
    let bridge = Bridge::start(&rabbitmq).await;
    let mut application = application(&rabbitmq, "held", &["--send", "1000"]).await;
    bridge.loopback("held", json!({"echo": true})).await;
    application.any(&["inbound", "event"]).await;
    rabbitmq.signal("-STOP").await;
    let stopped = tokio::time::timeout(STOP, bridge.server.stop()).await;
    rabbitmq.signal("-CONT").await;
    assert!(stopped.is_ok(), "it waits for the broker");
}

#[tokio::test]
async fn a_broker_that_reads_nothing_hides_no_lost_connection() {
    let rabbitmq = RabbitMq::start().await;
    let bridge = Bridge::start(&rabbitmq).await;
    let mut application = application(&rabbitmq, "blocked", &[]).await;
    let channel = bridge.loopback("blocked", json!({})).await;
    bridge.told(&channel, "connected").await;
    let another = bridge.loopback("another", json!({})).await;
    rabbitmq.memory("0").await;
    // The first to publish is not read any more; so the other's channel is never opened.
    for channel in [&channel, &another] {
        let message = json!({"to": "1", "content": "x"});
        let answer = bridge.ask(Method::POST, &format!("/channels/{channel}/messages/"), message).await;
        assert_eq!(answer["status"], 201, "{answer}");
        let path = format!("/channels/{channel}/queue");
        bridge.until(&path, "events that are owed", |length| length["events"] == 2).await;
    }
    let before = soon("a connection", async {
        loop {
            if let Some(name) = consuming(&rabbitmq).await.pop() {
                return name;
            }
        }
    })
    .await;
    let path = format!("/api/connections/{}", before.replace(' ', "%20").replace('>', "%3E"));
    assert_eq!(rabbitmq.manage(Method::DELETE, &path, &json!({})).await.0, 204);
    soon("another connection", async {
        while !consuming(&rabbitmq).await.iter().any(|name| *name != before) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    rabbitmq.memory("0.6").await;
    for _ in 0..2 {
        application.object("event").await;
    }
    bridge.server.stop().await;
}
