//! RabbitMQ killed, held still, cut off: what it has confirmed is sent once, what is owed to the application's queues comes,
//! and those who send over HTTP notice nothing.

use std::path::Path;

use serde_json::json;

use crate::proxy::{Held, Proxy};
use crate::rabbitmq::RabbitMq;
use crate::redis::Redis;
use crate::scene::{Application, Scene, WINDOW};
use crate::tally::Flow;

/// All that depends on it.
const FLOWS: [Flow; 3] = [Flow::Queue, Flow::Phone, Flow::Event];
/// Seconds between heartbeats: after twice that it is taken for gone.
const HEARTBEAT: u16 = 1;
/// Cuts in a row.
const CUTS: usize = 5;
/// Most messages of one routing key that RabbitMQ has not confirmed yet; they come again (docs/amqp.md).
const ON_THEIR_WAY: usize = 1024;

/// A configuration that reaches RabbitMQ by way of this port.
fn configuration(directory: &Path, port: u16) -> String {
    let path = directory.join("maybug.yaml");
    let amqp = json!({"amqp": {"hostname": "127.0.0.1", "port": port, "heartbeat": HEARTBEAT}});
    std::fs::write(&path, amqp.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_rabbitmq_suffers_it_loses_nothing_and_sends_nothing_twice() {
    let (mut rabbitmq, redis) = tokio::join!(RabbitMq::start(), Redis::durable(&[]));
    let way = Proxy::to(rabbitmq.port).await;
    let directory = tempfile::tempdir().unwrap();
    let (file, url) = (configuration(directory.path(), way.port), format!("redis://127.0.0.1:{}", redis.port));
    let smsc = Scene::smsc().await;
    let port = smsc.address().port();
    let application = Application::Queues(&rabbitmq);
    let scene = Scene::start(&["-c", &file, "--redis", &url], &smsc, port, json!({}), application).await;
    // Those who send over HTTP go on.
    let others = async || scene.tally.more(Flow::Http, 2 * WINDOW).await;

    scene.suffers("the way to RabbitMQ was cut", CUTS, &FLOWS, async || way.cut()).await;
    for (held, what) in [
        (Held::Both, "RabbitMQ could not be reached"),
        (Held::There, "RabbitMQ heard nothing"),
        (Held::Back, "RabbitMQ was not heard"),
    ] {
        let fault = async || {
            way.hold(held);
            scene.told("amqp", "disconnected").await;
            others().await;
            way.restore().await;
        };
        scene.suffers(what, 1, &FLOWS, fault).await;
    }
    let paused = async || {
        rabbitmq.signal("-STOP").await;
        scene.told("amqp", "disconnected").await;
        others().await;
        rabbitmq.signal("-CONT").await;
    };
    scene.suffers("RabbitMQ was held still", 1, &FLOWS, paused).await;
    let killed = async || {
        rabbitmq.kill().await;
        scene.told("amqp", "disconnected").await;
        others().await;
        rabbitmq.revive().await;
    };
    scene.suffers("RabbitMQ was killed and started again", 1, &FLOWS, killed).await;

    let tally = scene.end().await;
    assert_eq!(tally.refusals(), 0, "sends over HTTP");
    assert_eq!((tally.repeated(Flow::Http), tally.repeated(Flow::Queue)), (0, 0));
    for flow in [Flow::Phone, Flow::Event] {
        assert!(tally.repeated(flow) <= (CUTS + 5) * ON_THEIR_WAY, "{} {}", tally.repeated(flow), flow.name());
    }
}
