//! Redis killed, held still, cut off under load: what was answered 201 is sent once, what was taken from the SMSC reaches
//! the application.

use serde_json::json;

use crate::proxy::{Held, Proxy};
use crate::redis::Redis;
use crate::scene::{Application, Scene};
use crate::tally::Flow;

/// All that depends on it. Nothing of it comes twice: the server knows what it has done and has not written yet.
const FLOWS: [(Flow, usize); 3] = [(Flow::Http, 0), (Flow::Phone, 0), (Flow::Event, 0)];
/// Cuts in a row.
const CUTS: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_redis_suffers_it_loses_nothing_and_sends_nothing_twice() {
    let mut redis = Redis::durable(&[]).await;
    let way = Proxy::to(redis.port).await;
    let url = format!("redis://127.0.0.1:{}?timeout_ms=1500", way.port);
    let smsc = Scene::smsc().await;
    let port = smsc.address().port();
    let mut scene = Scene::start(&["--redis", &url], &smsc, port, json!({}), Application::Hooked).await;

    scene.suffers("the way to Redis was cut", CUTS, &FLOWS, async |_| way.cut()).await;
    for (held, what) in [
        (Held::Both, "Redis could not be reached"),
        (Held::There, "Redis heard nothing"),
        (Held::Back, "Redis was not heard"),
    ] {
        let fault = async |scene: &Scene| {
            way.hold(held);
            scene.becomes(false).await;
            way.restore().await;
        };
        scene.suffers(what, 1, &FLOWS, fault).await;
    }
    let refused = async |scene: &Scene| {
        way.refuse().await;
        scene.becomes(false).await;
        way.restore().await;
    };
    scene.suffers("Redis refused connections", 1, &FLOWS, refused).await;
    let paused = async |scene: &Scene| {
        redis.signal("-STOP").await;
        scene.becomes(false).await;
        redis.signal("-CONT").await;
    };
    scene.suffers("Redis was held still", 1, &FLOWS, paused).await;
    let killed = async |scene: &Scene| {
        redis.kill().await;
        scene.becomes(false).await;
        redis.revive().await;
    };
    scene.suffers("Redis was killed and started again", 1, &FLOWS, killed).await;

    scene.end().await;
}
