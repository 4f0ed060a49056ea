//! Nodes that are killed, that end, and that have lost Redis: what whoever asks another one is told.

use hyper::Method;
use hyper::header::RETRY_AFTER;
use hyper::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use url::Url;

use crate::pair::{Pair, loopback};
use crate::peer::ScriptedSmsc;
use crate::redis::Redis;
use crate::support::{DEADLINE, Process, call, client, soon};

async fn ask(base: &str, path: &str) -> (StatusCode, HeaderMap, Value) {
    let url = Url::parse(&format!("{base}{path}")).unwrap();
    let answer = client().request(Method::GET, &url, HeaderMap::new(), Default::default(), DEADLINE).await.unwrap();
    (answer.status, answer.headers, serde_json::from_slice(&answer.body).unwrap())
}

#[tokio::test]
async fn a_node_that_was_killed_is_named_to_whoever_asks_for_its_channels() {
    let redis = Redis::start("").await;
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let url = format!("redis://127.0.0.1:{}", redis.port);
    let node = async |at: usize| Process::start(directories[at].path(), &["--redis", &url]).await;
    let (first, second) = (node(0).await, node(1).await);
    // Some of them are placed on each.
    for _ in 0..12 {
        call(&first.base, "/channels/", Some(loopback())).await;
    }
    let port = second.base.rsplit(':').next().unwrap().to_owned();
    let killed = soon("a channel on the second node", async {
        loop {
            let listed = call(&first.base, "/nodes", None).await;
            let channels = listed["result"]["channels"].as_array().unwrap().clone();
            let on_second = |channel: &Value| channel["node"].as_str().is_some_and(|node| node.ends_with(&port));
            if let Some(channel) = channels.into_iter().find(on_second) {
                return channel;
            }
        }
    })
    .await;
    second.kill().await;
    let (status, headers, answer) = ask(&first.base, &format!("/channels/{}", killed["id"].as_str().unwrap())).await;
    assert_eq!((status.as_u16(), &headers[RETRY_AFTER]), (503, &"5".parse().unwrap()), "{answer}");
    let error = &answer["result"]["errors"][0];
    assert_eq!(error["type"], "NodeUnreachable");
    let message = error["message"].as_str().unwrap();
    for part in [killed["id"].as_str().unwrap(), killed["node"].as_str().unwrap(), "within 15 s"] {
        assert!(message.contains(part), "{message}");
    }
}

#[tokio::test]
async fn a_node_that_is_about_to_end_says_so_until_it_has_handed_over() {
    let (pair, smsc) = (Pair::start().await, ScriptedSmsc::listen().await);
    pair.smpp_channel(1, smsc.address().port()).await;
    // It does not answer the unbind, for which it is waited.
    let _peer = smsc.bound().await;
    let base = pair.nodes[1].base.clone();
    assert_eq!(ask(&base, "/health/ready").await.0, 200);
    let [_stays, goes] = pair.nodes;
    let stopping = tokio::spawn(goes.server.stop());
    let (headers, answer) = soon("a node that is not ready", async {
        loop {
            let (status, headers, answer) = ask(&base, "/health/ready").await;
            if status == 503 {
                return (headers, answer);
            }
        }
    })
    .await;
    assert_eq!(answer["result"]["errors"][0]["message"], "this node is about to end");
    assert!(!headers.contains_key("x-maybug-revision"));
    assert_eq!(ask(&base, "/health/live").await.0, 200);
    assert_eq!(ask(&base, "/health").await.0, 500);
    stopping.abort();
}

#[tokio::test]
async fn a_node_without_redis_is_not_ready_and_lives() {
    let mut pair = Pair::start().await;
    pair.redis.kill().await;
    for node in &pair.nodes {
        soon("a node that is not ready", async { while ask(&node.base, "/health/ready").await.0 != 503 {} }).await;
        assert_eq!(ask(&node.base, "/health/live").await.0, 200);
    }
    assert_eq!(pair.nodes[0].post("/channels/", json!({"type": "loopback", "config": {}})).await.0, 503);
}
