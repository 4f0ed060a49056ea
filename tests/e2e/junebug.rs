//! Junebug's API over HTTP, beyond what its lines say (`tests/junebug`): secrets, sessions, restarts, overload.

use hyper::Method;
use serde_json::{Value, json};

use crate::support::{Maybug, Receiver};

fn loopback(properties: Value) -> Value {
    let mut channel = json!({"type": "loopback", "config": {}, "mo_url": null});
    channel.as_object_mut().unwrap().extend(properties.as_object().unwrap().clone());
    channel
}

#[tokio::test]
async fn a_channel_that_nobody_gets_the_messages_of_can_be_refused() {
    let maybug = Maybug::with(|config| config.require_destination = true).await;
    let (status, answer) = maybug.post("/channels/", json!({"type": "loopback", "config": {}})).await;
    let message = "One or both of \"mo_url\" and \"amqp_queue\" must be specified";
    assert_eq!((status, &answer["result"]["errors"][0]["message"]), (400, &json!(message)));
    maybug.channel(json!({"type": "loopback", "config": {}, "amqp_queue": "q"})).await;
}

#[tokio::test]
async fn secrets_are_masked_and_a_mask_that_comes_back_changes_nothing() {
    let maybug = Maybug::start().await;
    let config = json!({"twisted_endpoint": "tcp:127.0.0.1:1", "system_id": "me", "password": "hunter2"});
    let id = maybug.channel(json!({"type": "smpp", "config": config, "mo_url": null})).await;
    let path = format!("/channels/{id}");
    let (_, shown) = maybug.get(&path).await;
    assert_eq!(shown["result"]["config"]["password"], "********");
    maybug.post(&path, json!({"config": shown["result"]["config"], "label": "x"})).await;
    let stored = maybug.server.gateway().channel(&id.as_str().into()).unwrap();
    assert_eq!(stored.config()["password"], "hunter2");
    let exposing = Maybug::with(|config| config.expose_secrets = true).await;
    let id = exposing.channel(json!({"type": "smpp", "config": config, "mo_url": null})).await;
    assert_eq!(exposing.get(&format!("/channels/{id}")).await.1["result"]["config"]["password"], "hunter2");
}

#[tokio::test]
async fn only_a_reply_turns_continue_session_into_a_session_event() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let id = maybug.channel(loopback(json!({"config": {"echo": true}, "mo_url": receiver.url("/mo")}))).await;
    let path = format!("/channels/{id}/messages/");
    let shown = async |message: Value| {
        let (status, answer) = maybug.post(&path, message).await;
        assert_eq!(status, 201, "{answer}");
        answer["result"]["channel_data"].clone()
    };
    for data in [json!({"x": 1, "continue_session": true}), json!({"continue_session": false})] {
        assert_eq!(shown(json!({"to": "1", "from": "2", "content": "x", "channel_data": data})).await, data);
    }
    let mo = receiver.mo().await["message_id"].clone();
    for (given, expected) in [
        (json!({"x": 1, "continue_session": true}), json!({"x": 1})),
        (json!({"continue_session": false}), json!({"session_event": "close"})),
        (json!({"continue_session": true, "session_event": "close"}), json!({"session_event": "close"})),
    ] {
        assert_eq!(shown(json!({"reply_to": mo, "content": "x", "channel_data": given})).await, expected);
    }
}

#[tokio::test]
async fn channels_messages_and_queues_survive_a_restart() {
    let maybug = Maybug::start().await;
    let id = maybug.channel(loopback(json!({"label": "kept"}))).await;
    let unreachable = json!({"twisted_endpoint": "tcp:127.0.0.1:1", "system_id": "me", "password": "p"});
    let stuck = maybug.channel(json!({"type": "smpp", "config": unreachable, "mo_url": null})).await;
    let message = maybug.send(&id, json!({"to": "1", "content": "x"})).await;
    maybug.events(&id, &message, 2).await;
    for _ in 0..3 {
        maybug.send(&stuck, json!({"to": "27820001001", "content": "x"})).await;
    }
    let directory = maybug.directory.clone();
    maybug.server.stop().await;
    let again = Maybug::at(directory, |_| {}).await;
    assert_eq!(again.get(&format!("/channels/{id}")).await.1["result"]["label"], "kept");
    assert_eq!(again.events(&id, &message, 2).await.len(), 2);
    assert_eq!(again.server.gateway().depth(&stuck.as_str().into()).waiting, 3);
}

#[tokio::test]
async fn a_full_queue_is_429_and_an_unwritable_store_503_with_retry_after() {
    let unreachable = json!({"twisted_endpoint": "tcp:127.0.0.1:1", "system_id": "me", "password": "p"});
    let channel = json!({"type": "smpp", "config": unreachable, "mo_url": null});
    let maybug = Maybug::with(|config| config.queue_limit = 1).await;
    let id = maybug.channel(channel.clone()).await;
    let path = format!("/channels/{id}/messages/");
    let body = json!({"to": "1", "content": "x"}).to_string();
    maybug.request(Method::POST, &path, body.as_bytes()).await;
    let (status, headers, answer) = maybug.request(Method::POST, &path, body.as_bytes()).await;
    assert_eq!(
        (status, &headers["retry-after"], answer["result"]["errors"][0]["type"].as_str()),
        (429, &"5".parse().unwrap(), Some("QueueFull"))
    );

    let full = Maybug::with(|config| config.min_free = u64::MAX / 8).await;
    let id = full.channel(channel).await;
    let (status, headers, answer) =
        full.request(Method::POST, &format!("/channels/{id}/messages/"), body.as_bytes()).await;
    assert_eq!((status, &headers["retry-after"]), (503, &"30".parse().unwrap()));
    assert_eq!(answer["result"]["errors"][0]["message"], "the disk is too full to accept this");
    assert_eq!(full.get("/health/ready").await.0, 503);
    assert_eq!(full.get("/health/live").await.0, 200);
}
