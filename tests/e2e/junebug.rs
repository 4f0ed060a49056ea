//! Junebug's API over HTTP, on channels without a network.

use hyper::Method;
use serde_json::{Value, json};

use crate::support::{Maybug, Receiver, types};

fn loopback(properties: Value) -> Value {
    let mut channel = json!({"type": "loopback", "config": {}, "mo_url": null});
    channel.as_object_mut().unwrap().extend(properties.as_object().unwrap().clone());
    channel
}

#[tokio::test]
async fn every_answer_is_an_envelope_of_four_keys() {
    let maybug = Maybug::start().await;
    for path in ["/channels/", "/channels", "/health", "/health/", "/health/live", "/nowhere"] {
        let (status, answer) = maybug.get(path).await;
        let keys: Vec<&String> = answer.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["code", "description", "result", "status"], "{path}");
        assert_eq!(answer["status"], status, "{path}");
    }
    let (_, _, health) = maybug.request(Method::GET, "/health/", b"").await;
    assert_eq!(health, json!({"status": 200, "code": "OK", "description": "health ok", "result": {}}));
}

#[tokio::test]
async fn channels_are_created_listed_shown_changed_restarted_and_deleted() {
    let maybug = Maybug::start().await;
    let (status, created) =
        maybug.post("/channels/", loopback(json!({"label": "one", "metadata": {"a": 1}, "odd": [1]}))).await;
    assert_eq!((status, created["description"].as_str()), (201, Some("channel created")));
    let channel = &created["result"];
    let id = channel["id"].as_str().unwrap();
    assert_eq!((id.len(), &channel["odd"], &channel["mo_url"]), (36, &json!([1]), &Value::Null));
    assert!(channel.get("character_limit").is_none(), "absent properties stay absent");
    for rate in ["inbound_message_rate", "submitted_event_rate", "delivery_failed_rate"] {
        assert_eq!(channel["status"][rate], json!(0));
    }
    let other = maybug.channel(loopback(json!({}))).await;
    let mut ids = vec![id.to_owned(), other.clone()];
    ids.sort();
    assert_eq!(maybug.get("/channels/").await.1["result"], json!(ids));

    let path = format!("/channels/{id}");
    let (status, changed) = maybug.post(&path, json!({"label": "two", "metadata": {}, "mo_url": null})).await;
    assert_eq!((status, changed["description"].as_str()), (200, Some("channel updated")));
    let (_, found) = maybug.get(&format!("{path}/")).await;
    assert_eq!((&found["result"]["label"], &found["result"]["metadata"]), (&json!("two"), &json!({})));

    let (status, _, answer) = maybug.request(Method::POST, &format!("{path}/restart"), b"").await;
    assert_eq!((status, &answer["result"]), (200, &json!({})));
    let (status, _, answer) = maybug.request(Method::DELETE, &path, b"").await;
    assert_eq!((status, answer["description"].as_str(), &answer["result"]), (200, Some("channel deleted"), &json!({})));
    assert_eq!(maybug.request(Method::DELETE, &path, b"").await.0, 404);
    assert_eq!(maybug.get("/channels/").await.1["result"], json!([other]));
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
async fn a_sent_message_is_answered_in_full_and_its_events_can_be_asked_for() {
    let maybug = Maybug::start().await;
    let id = maybug.channel(loopback(json!({}))).await;
    let message = json!({"to": "+27820001001", "from": "8110", "content": "žluť 😀", "priority": "5",
        "channel_data": {"x": 1, "continue_session": true}});
    let (status, answer) = maybug.post(&format!("/channels/{id}/messages"), message).await;
    let result = &answer["result"];
    assert_eq!(
        (status, answer["code"].as_str(), answer["description"].as_str()),
        (201, Some("Created"), Some("message submitted"))
    );
    let mut keys: Vec<&String> = result.as_object().unwrap().keys().collect();
    keys.sort();
    let nine = ["channel_data", "channel_id", "content", "from", "group", "message_id", "reply_to", "timestamp", "to"];
    assert_eq!(keys, nine);
    assert_eq!((&result["content"], &result["channel_id"]), (&json!("žluť 😀"), &json!(id)));
    assert_eq!(result["channel_data"], json!({"x": 1, "continue_session": true}));
    assert_eq!(result["timestamp"].as_str().unwrap().len(), "2024-03-01 09:30:00.123456".len());
    let message = result["message_id"].as_str().unwrap();
    assert_eq!(message.len(), 32);

    let events = maybug.events(&id, message, 2).await;
    assert_eq!(types(&events), ["submitted", "delivery_succeeded"]);
    let (_, state) = maybug.get(&format!("/channels/{id}/messages/{message}")).await;
    assert_eq!(state["result"]["last_event_type"], "delivery_succeeded");
    assert_eq!(state["result"]["last_event_timestamp"], events[1]["timestamp"]);
    let mut keys: Vec<&String> = events[0].as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, ["channel_id", "event_details", "event_type", "message_id", "timestamp"]);

    let (status, unknown) = maybug.get(&format!("/channels/{id}/messages/nope")).await;
    assert_eq!(status, 200);
    let nothing = json!({"id": "nope", "last_event_type": null, "last_event_timestamp": null, "events": []});
    assert_eq!(unknown["result"], nothing);
}

#[tokio::test]
async fn character_limits_count_code_points() {
    let maybug = Maybug::start().await;
    let id = maybug.channel(loopback(json!({"character_limit": 3}))).await;
    let path = format!("/channels/{id}/messages/");
    assert_eq!(maybug.post(&path, json!({"to": "1", "content": "ab😀"})).await.0, 201);
    let (status, answer) = maybug.post(&path, json!({"to": "1", "content": "abcd"})).await;
    assert_eq!((status, answer["description"].as_str()), (400, Some("message too long")));
    let message = "Message content 'abcd' is of length 4, which is greater than the character limit of 3";
    assert_eq!(answer["result"]["errors"], json!([{"type": "MessageTooLong", "message": message}]));
}

#[tokio::test]
async fn replies_go_to_who_wrote_while_the_message_is_fresh() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let config = json!({"config": {"echo": true}, "mo_url": receiver.url("/mo"), "mo_url_auth_token": "t0k"});
    let id = maybug.channel(loopback(config)).await;
    maybug.send(&id, json!({"to": "+27820001001", "from": "8110", "content": "ping"})).await;
    let posted = receiver.next().await;
    assert_eq!((posted.path.as_str(), &posted.headers["authorization"]), ("/mo", &"Token t0k".parse().unwrap()));
    assert_eq!(posted.headers["content-type"], "application/json");
    assert_eq!((&posted.body["from"], &posted.body["to"]), (&json!("+27820001001"), &json!("8110")));
    assert_eq!((&posted.body["content"], &posted.body["reply_to"]), (&json!("ping"), &Value::Null));
    let mo = posted.body["message_id"].as_str().unwrap();

    let path = format!("/channels/{id}/messages/");
    let reply =
        json!({"reply_to": mo, "to": "ignored", "content": "pong", "channel_data": {"continue_session": false}});
    let (status, answer) = maybug.post(&path, reply).await;
    assert_eq!(status, 201);
    let result = &answer["result"];
    assert_eq!((&result["to"], &result["from"]), (&json!("+27820001001"), &json!("8110")));
    assert_eq!((&result["reply_to"], &result["channel_data"]), (&json!(mo), &json!({"session_event": "close"})));

    let (status, answer) = maybug.post(&path, json!({"reply_to": "feed", "to": "1", "content": "x"})).await;
    assert_eq!((status, answer["description"].as_str()), (400, Some("message not found")));
    let error = json!([{"type": "MessageNotFound", "message": "Inbound message with id feed not found"}]);
    assert_eq!(answer["result"]["errors"], error);
}

#[tokio::test]
async fn expired_replies_are_sent_as_ordinary_messages_where_that_is_allowed() {
    let maybug = Maybug::with(|config| config.allow_expired_replies = true).await;
    let id = maybug.channel(loopback(json!({}))).await;
    let path = format!("/channels/{id}/messages/");
    let (status, answer) = maybug.post(&path, json!({"reply_to": "feed", "to": "1", "content": "x"})).await;
    assert_eq!((status, &answer["result"]["reply_to"]), (201, &Value::Null));
    for message in [json!({"reply_to": "feed", "content": "x"}), json!({"reply_to": "feed", "to": "", "content": "x"})]
    {
        assert_eq!(maybug.post(&path, message).await.1["description"], "message not found");
    }
}

#[tokio::test]
async fn logs_are_the_newest_entries_first() {
    let maybug = Maybug::with(|config| config.max_logs = 2).await;
    let id = maybug.channel(loopback(json!({}))).await;
    maybug.request(Method::POST, &format!("/channels/{id}/restart"), b"").await;
    maybug.events(&id, &maybug.send(&id, json!({"to": "1", "content": "x"})).await, 1).await;
    let (status, answer) = maybug.get(&format!("/channels/{id}/logs?n=1")).await;
    assert_eq!((status, answer["description"].as_str()), (200, Some("logs retrieved")));
    let entry = &answer["result"][0];
    assert_eq!((&entry["logger"], &entry["level"]), (&json!(id), &json!(20)));
    assert!(entry["timestamp"].is_f64() && entry["message"].is_string());
    assert_eq!(maybug.get(&format!("/channels/{id}/logs?n=0")).await.1["result"], json!([]));
    assert!(maybug.get(&format!("/channels/{id}/logs?n=99")).await.1["result"].as_array().unwrap().len() <= 2);
    assert_eq!(maybug.get(&format!("/channels/{id}/logs?level=error")).await.1["result"], json!([]));
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
