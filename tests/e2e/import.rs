//! `POST /import`: what another server kept is taken over under its ids, and what still happens to it is told.

use hyper::Method;
use serde_json::{Value, json};
use smpp::CommandStatus;

use crate::peer::{ScriptedSmsc, receipt};
use crate::support::{Maybug, Receiver};

const MT: &str = "7f1c3a8e9b0d4c7fa1e2d3c4b5a69788";

async fn import(maybug: &Maybug, object: &Value) -> (u16, Value) {
    let (status, mut answer) = maybug.post("/import", object.clone()).await;
    let outcome = answer["result"]["outcome"].take();
    (status, if outcome.is_null() { answer["result"]["errors"][0].take() } else { outcome })
}

#[tokio::test]
async fn a_receipt_for_what_another_server_sent_is_told() {
    let (smsc, maybug, mut receiver) = (ScriptedSmsc::listen().await, Maybug::start().await, Receiver::start().await);
    let config = json!({
        "twisted_endpoint": format!("tcp:127.0.0.1:{}", smsc.address().port()), "system_id": "me", "password": "secret",
        "strict_vumi": true,
    });
    let channel = json!({"channel": {"id": "old", "properties": {"type": "smpp", "mo_url": null, "config": config}}});
    assert_eq!(import(&maybug, &channel).await, (200, json!("created")));
    let mut peer = smsc.bound().await;

    let now = maybug::model::Timestamp::now();
    let message = json!({
        "id": MT, "channel": "old", "to": "+27820001001", "content": "Hello", "accepted_at": now,
        "event_url": receiver.url("/events"), "event_auth_token": "t",
    });
    let ack =
        json!({"id": MT, "message": MT, "channel": "old", "at": now, "kind": "ack", "sent_message_id": "smsc-77"});
    let outbound = json!({"outbound": {"message": message, "events": [ack]}});
    assert_eq!(import(&maybug, &outbound).await, (200, json!("created")));
    assert_eq!(import(&maybug, &outbound).await, (200, json!("unchanged")));
    let mut to_come = outbound.clone();
    to_come["outbound"]["message"]["accepted_at"] = json!(maybug::model::Timestamp::now().0 * 2);
    let (status, error) = import(&maybug, &to_come).await;
    assert!(status == 400 && error["message"].as_str().unwrap().starts_with("\"accepted_at\""), "{error}");

    assert_eq!(peer.deliver(receipt("27820001001", "smsc-77", "DELIVRD")).await, CommandStatus::ESME_ROK);
    let told = receiver.next().await;
    assert_eq!((&told.body["event_type"], &told.body["message_id"]), (&json!("delivery_succeeded"), &json!(MT)));
    assert_eq!((told.path.as_str(), told.headers["authorization"].to_str().unwrap()), ("/events", "Token t"));
    assert!(peer.meanwhile().await.is_empty(), "it was sent again");
    let events = maybug.events("old", MT, 2).await;
    assert_eq!(crate::support::types(&events), ["submitted", "delivery_succeeded"]);
}

#[tokio::test]
async fn what_differs_or_cannot_be_is_refused() {
    let maybug = Maybug::start().await;
    let channel = |config: Value| json!({"channel": {"id": "c", "properties": {"type": "loopback", "config": config}}});
    assert_eq!(import(&maybug, &channel(json!({}))).await, (200, json!("created")));
    let (status, error) = import(&maybug, &channel(json!({"zzz": 1}))).await;
    let message = error["message"].as_str().unwrap().to_owned();
    assert!(status == 400 && message.starts_with("it is there already and differs in 'config'"), "{message}");
    let router = |channel: &str| json!({"router": {"id": "r", "properties": {"type": "from_address", "config": {"channel": channel}}}});
    assert_eq!(import(&maybug, &router("c")).await, (200, json!("created")));
    let destination = |router: &str| json!({"destination": {"router": router, "id": "d", "properties": {"config": {"regular_expression": "^1"}}}});
    assert_eq!(import(&maybug, &destination("r")).await, (200, json!("created")));
    assert_eq!(import(&maybug, &destination("r")).await, (200, json!("unchanged")));
    let outbound = |more: Value, about: &str| {
        let mut message = json!({"id": MT, "channel": "c", "to": "1", "content": "x", "accepted_at": 0});
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let event = json!({"id": MT, "message": about, "channel": "c", "at": 0, "kind": "nack", "reason": "r"});
        json!({"outbound": {"message": message, "events": [event]}})
    };
    for (object, status, kind) in [
        (destination("nobody"), 404, "RouterNotFound"),
        (json!({"router": {"id": "s", "properties": {"type": "zzz", "config": {}}}}), 400, "InvalidRouterType"),
        (json!({"channel": {"id": "d", "properties": {"type": "zzz", "config": {}}}}), 400, "InvalidChannelType"),
        (json!({"channel": {"id": "a/b", "properties": {"type": "loopback", "config": {}}}}), 400, "ApiUsageError"),
        (json!({"router": {"id": "..", "properties": {"type": "from_address", "config": {}}}}), 400, "ApiUsageError"),
        (outbound(json!({"priority": 9}), MT), 400, "ApiUsageError"),
        (outbound(json!({}), "8f1c3a8e9b0d4c7fa1e2d3c4b5a69788"), 400, "ApiUsageError"),
        (json!({"account": {}}), 400, "ApiUsageError"),
        (json!({"channel": {"id": "d"}}), 400, "ApiUsageError"),
    ] {
        let (answered, error) = import(&maybug, &object).await;
        assert_eq!((answered, &error["type"]), (status, &json!(kind)), "{object} {error}");
    }
    let (status, _, answer) = maybug.request(Method::POST, "/import/", b"{").await;
    assert_eq!((status, &answer["result"]["errors"][0]["type"]), (400, &json!("JsonDecodeError")));
}

#[tokio::test]
async fn what_is_imported_never_waits() {
    let (maybug, smsc) = (Maybug::start().await, ScriptedSmsc::listen().await);
    let channel = maybug.smpp_channel(smsc.address(), json!({}), json!({})).await;
    let mut peer = smsc.bound().await;
    let now = maybug::model::Timestamp::now();
    let ids: Vec<String> = (0..300).map(|_| maybug::model::MessageId::mint().to_string()).collect();
    let importing = async {
        for id in &ids {
            let message =
                json!({"id": id, "channel": channel, "to": "+27820001001", "content": "old", "accepted_at": now});
            let ack =
                json!({"id": id, "message": id, "channel": channel, "at": now, "kind": "ack", "sent_message_id": id});
            let outbound = json!({"outbound": {"message": message, "events": [ack]}});
            assert_eq!(import(&maybug, &outbound).await, (200, json!("created")));
        }
    };
    let watching = async {
        loop {
            let (_, queue) = maybug.get(&format!("/channels/{channel}/queue")).await;
            let outbound = &queue["result"]["outbound"];
            assert_eq!((&outbound["total"], &outbound["in_hand"]), (&json!(0), &json!(0)), "{queue}");
            let (_, shown) = maybug.get(&format!("/channels/{channel}")).await;
            assert_eq!(shown["result"]["status"]["queue_length"], 0);
        }
    };
    tokio::select! {
        () = importing => {}
        () = watching => {}
    }
    assert!(peer.meanwhile().await.is_empty(), "it was sent again");
    for id in &ids {
        assert_eq!(crate::support::types(&maybug.events(&channel, id, 1).await), ["submitted"]);
    }
}
