//! RabbitMQ killed, held still, cut off: what it has confirmed is sent once, what is owed to the application's queues comes,
//! and those who send over HTTP notice nothing.

use std::path::Path;

use serde_json::json;

use crate::proxy::{Held, Proxy};
use crate::rabbitmq::RabbitMq;
use crate::redis::Redis;
use crate::scene::{Application, Scene, WINDOW};
use crate::tally::Flow;

/// All that depends on it, and how much of it may come twice each time: what is taken out of a queue never, what is put into
/// one if RabbitMQ has not confirmed it yet (docs/amqp.md).
const FLOWS: [(Flow, usize); 4] =
    [(Flow::Queue, 0), (Flow::Phone, ON_THEIR_WAY), (Flow::Event, ON_THEIR_WAY), (Flow::Http, 0)];
/// Most messages of one routing key that are published and not confirmed.
const ON_THEIR_WAY: usize = 1024;
/// Seconds between heartbeats: after twice that it is taken for gone.
const HEARTBEAT: u16 = 1;
/// Cuts in a row.
const CUTS: usize = 5;

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
    let mut scene = Scene::start(&["-c", &file, "--redis", &url], &smsc, port, json!({}), application).await;
    // Until it is noticed, and others have gone on meanwhile.
    let noticed = async |scene: &Scene| {
        scene.is_down("amqp").await;
        scene.tally.more(Flow::Http, 2 * WINDOW).await;
    };

    scene.suffers("the way to RabbitMQ was cut", CUTS, &FLOWS, async |_| way.cut()).await;
    for (held, what) in [
        (Held::Both, "RabbitMQ could not be reached"),
        (Held::There, "RabbitMQ heard nothing"),
        (Held::Back, "RabbitMQ was not heard"),
    ] {
        let fault = async |scene: &Scene| {
            way.hold(held);
            noticed(scene).await;
            way.restore().await;
        };
        scene.suffers(what, 1, &FLOWS, fault).await;
    }
    let paused = async |scene: &Scene| {
        rabbitmq.signal("-STOP").await;
        noticed(scene).await;
        rabbitmq.signal("-CONT").await;
    };
    scene.suffers("RabbitMQ was held still", 1, &FLOWS, paused).await;
    let killed = async |scene: &Scene| {
        rabbitmq.kill().await;
        noticed(scene).await;
        rabbitmq.revive().await;
    };
    scene.suffers("RabbitMQ was killed and started again", 1, &FLOWS, killed).await;

    assert_eq!(scene.end().await.refusals(), 0, "sends over HTTP are accepted all the time");
}
