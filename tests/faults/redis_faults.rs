//! Redis killed, held still, cut off under load: what was answered 201 is sent once, what was taken from the SMSC reaches
//! the application.

use serde_json::json;

use crate::proxy::{Held, Proxy};
use crate::redis::Redis;
use crate::scene::{Application, Scene};
use crate::tally::Flow;

/// All that depends on it.
const FLOWS: [Flow; 3] = [Flow::Http, Flow::Phone, Flow::Event];
/// Cuts in a row.
const CUTS: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_redis_suffers_it_loses_nothing_and_sends_nothing_twice() {
    let mut redis = Redis::durable(&[]).await;
    let way = Proxy::to(redis.port).await;
    let url = format!("redis://127.0.0.1:{}?timeout_ms=500", way.port);
    let smsc = Scene::smsc().await;
    let port = smsc.address().port();
    let scene = Scene::start(&["--redis", &url], &smsc, port, json!({}), Application::Hooked).await;

    scene.suffers("the way to Redis was cut", CUTS, &FLOWS, async || way.cut()).await;
    for (held, what) in [
        (Held::Both, "Redis could not be reached"),
        (Held::There, "Redis heard nothing"),
        (Held::Back, "Redis was not heard"),
    ] {
        let fault = async || {
            way.hold(held);
            scene.becomes(false).await;
            way.restore().await;
        };
        scene.suffers(what, 1, &FLOWS, fault).await;
    }
    let refused = async || {
        way.refuse().await;
        scene.becomes(false).await;
        way.restore().await;
    };
    scene.suffers("Redis refused connections", 1, &FLOWS, refused).await;
    let paused = async || {
        redis.signal("-STOP").await;
        scene.becomes(false).await;
        redis.signal("-CONT").await;
    };
    scene.suffers("Redis was held still", 1, &FLOWS, paused).await;
    let killed = async || {
        redis.kill().await;
        scene.becomes(false).await;
        redis.revive().await;
    };
    scene.suffers("Redis was killed and started again", 1, &FLOWS, killed).await;

    let tally = scene.end().await;
    assert_eq!(tally.repeated(Flow::Http), 0);
}
