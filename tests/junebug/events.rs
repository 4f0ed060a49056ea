//! Lines 105 to 116: what became of a message.

use hyper::StatusCode;
use maybug::smsc::SimulatorConfig;
use serde_json::{Value, json};
use smpp::CommandStatus;
use smpp::field::MessageState;

use crate::setup::{becomes, error, keys, logged, loopback};
use crate::support::{Maybug, Receiver, Scripted, Smsc, types};

/// A message's state.
async fn state(maybug: &Maybug, channel: &str, message: &str) -> (u16, Value) {
    maybug.get(&format!("/channels/{channel}/messages/{message}")).await
}

/// Junebug 105: An unknown message is 200 with nulls.
#[tokio::test]
async fn line_105_an_unknown_message_is_200_with_nulls() {
    let maybug = Maybug::start().await;
    let id = maybug.channel(loopback(json!({}))).await;
    let (status, answer) = state(&maybug, &id, "nope").await;
    assert_eq!((status, &answer["description"]), (200, &json!("message status")));
    let nothing = json!({"id": "nope", "last_event_type": null, "last_event_timestamp": null, "events": []});
    assert_eq!(answer["result"], nothing);
}

/// Junebug 106: After an ack the message is `submitted`.
#[tokio::test]
async fn line_106_an_ack_is_submitted() {
    let smsc = Smsc::start(SimulatorConfig::default()).await;
    let maybug = Maybug::start().await;
    let config = json!({"registered_delivery": false});
    let id = maybug.smpp_channel(smsc.simulator.address(), config, json!({})).await;
    let message = maybug.send(&id, json!({"to": "+27820001001", "content": "x"})).await;
    maybug.events(&id, &message, 1).await;
    let (_, answer) = state(&maybug, &id, &message).await;
    let result = &answer["result"];
    assert_eq!((&result["id"], &result["last_event_type"]), (&json!(message), &json!("submitted")));
    assert_eq!(types(result["events"].as_array().unwrap()), ["submitted"]);
}

/// Junebug 107: After a nack the message is `rejected`, with the reason.
#[tokio::test]
async fn line_107_a_nack_is_rejected_with_its_reason() {
    let errors = vec![(1.0, CommandStatus::ESME_RINVDSTADR)];
    let smsc = Smsc::start(SimulatorConfig { errors, ..Default::default() }).await;
    let maybug = Maybug::start().await;
    let id = maybug.smpp_channel(smsc.simulator.address(), json!({}), json!({})).await;
    let message = maybug.send(&id, json!({"to": "+27820001001", "content": "x"})).await;
    let events = maybug.events(&id, &message, 1).await;
    assert_eq!(types(&events), ["rejected"]);
    assert_eq!(events[0]["event_details"]["reason"], "ESME_RINVDSTADR");
}

/// Junebug 108: The last event's time is told beside it.
#[tokio::test]
async fn line_108_the_time_of_the_last_event_is_told() {
    let maybug = Maybug::start().await;
    let id = maybug.channel(loopback(json!({}))).await;
    let message = maybug.send(&id, json!({"to": "1", "content": "x"})).await;
    let events = maybug.events(&id, &message, 2).await;
    let (_, answer) = state(&maybug, &id, &message).await;
    assert_eq!(answer["result"]["last_event_timestamp"], events[1]["timestamp"]);
    assert_eq!(answer["result"]["last_event_type"], events[1]["event_type"]);
    assert!(events[0]["timestamp"].as_str() <= events[1]["timestamp"].as_str());
}

/// Junebug 109: The message of an unknown channel is 404.
#[tokio::test]
async fn line_109_a_message_of_an_unknown_channel_is_404() {
    let maybug = Maybug::start().await;
    let (status, answer) = state(&maybug, "nope", "nope").await;
    assert_eq!((status, error(&answer)), (404, ("ChannelNotFound", "")));
}

/// Junebug 110: A channel that sends nothing has no messages to ask for.
#[tokio::test]
async fn line_110_a_channel_without_destination_has_no_messages() {
    let maybug = Maybug::start().await;
    let id = maybug.channel(json!({"type": "loopback", "config": {}})).await;
    let (status, answer) = state(&maybug, &id, "nope").await;
    assert_eq!((status, error(&answer)), (400, ("ApiUsageError", "This channel has no \"mo_url\" or \"amqp_queue\"")));
}

/// Junebug 111: A posted event has exactly five keys.
#[tokio::test]
async fn line_111_a_posted_event_has_five_keys() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let id = maybug.channel(loopback(json!({}))).await;
    let message = maybug.send(&id, json!({"to": "1", "content": "x", "event_url": receiver.url("/e")})).await;
    let event = receiver.next().await.body;
    assert_eq!(keys(&event), ["channel_id", "event_details", "event_type", "message_id", "timestamp"]);
    assert_eq!((&event["message_id"], &event["channel_id"]), (&json!(message), &json!(id)));
    assert_eq!(event["timestamp"].as_str().unwrap().len(), "2024-03-01 09:30:01.000210".len());
}

/// Junebug 112: Receipts are posted as what they say.
#[tokio::test]
async fn line_112_receipts_are_posted_as_what_they_say() {
    for (state, expected) in [
        (MessageState::DELIVERED, "delivery_succeeded"),
        (MessageState::UNDELIVERABLE, "delivery_failed"),
        (MessageState::ENROUTE, "delivery_pending"),
    ] {
        let smsc = Smsc::start(SimulatorConfig { states: vec![(state, 1)], ..Default::default() }).await;
        let mut receiver = Receiver::start().await;
        let maybug = Maybug::start().await;
        let id = maybug.smpp_channel(smsc.simulator.address(), json!({}), json!({})).await;
        maybug.send(&id, json!({"to": "+27820001001", "content": "x", "event_url": receiver.url("/e")})).await;
        assert_eq!(receiver.next().await.body["event_type"], "submitted");
        assert_eq!(receiver.next().await.body["event_type"], expected);
    }
}

/// Junebug 113: `event_auth_token` comes as `Authorization: Token …`.
#[tokio::test]
async fn line_113_events_carry_their_token() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let id = maybug.channel(loopback(json!({}))).await;
    let url = receiver.url("/e");
    maybug.send(&id, json!({"to": "1", "content": "x", "event_url": url, "event_auth_token": "s3cr3t"})).await;
    assert_eq!(receiver.next().await.headers["authorization"], "Token s3cr3t");
}

/// Junebug 114: Without `event_url` an event can be asked for, and nobody is called.
#[tokio::test]
async fn line_114_without_event_url_events_can_be_asked_for() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let id = maybug.channel(loopback(json!({"mo_url": receiver.url("/mo")}))).await;
    let silent = maybug.send(&id, json!({"to": "1", "content": "x"})).await;
    assert_eq!(types(&maybug.events(&id, &silent, 2).await), ["submitted", "delivery_succeeded"]);
    let told = maybug.send(&id, json!({"to": "1", "content": "x", "event_url": receiver.url("/e")})).await;
    assert_eq!(receiver.next().await.body["message_id"], json!(told));
}

/// Junebug 115: An `event_url` that answers 500 is logged with its code and body, and the event is kept; unlike in
/// Junebug it comes again.
#[tokio::test]
async fn line_115_a_failing_event_url_is_logged() {
    let mut receiver = Receiver::start().await;
    receiver.script([Scripted::Echo(StatusCode::INTERNAL_SERVER_ERROR)]);
    let maybug = Maybug::start().await;
    let id = maybug.channel(loopback(json!({}))).await;
    let message = maybug.send(&id, json!({"to": "1", "content": "x", "event_url": receiver.url("/e")})).await;
    let entry = logged(&maybug, &id, "to event_url failed because of the answer 500").await;
    let text = entry["message"].as_str().unwrap();
    assert!(text.contains(&message) && text.contains(r#""event_type":"submitted""#), "{text}");
    assert_eq!(types(&maybug.events(&id, &message, 2).await), ["submitted", "delivery_succeeded"]);
    let first = receiver.next().await.body;
    assert_eq!(receiver.next().await.body, first);
}

/// Junebug 116: A receipt that comes later than `outbound_message_ttl` seconds after its message is not posted, though
/// it can be asked for. They count from when the message was accepted; in Junebug from when it was last touched, and
/// what the provider says to the message itself is then lost with it.
#[tokio::test]
async fn line_116_a_late_receipt_is_not_posted() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::with(|config| config.outbound_message_ttl = 0).await;
    let id = maybug.channel(loopback(json!({}))).await;
    let late = maybug.send(&id, json!({"to": "1", "content": "x", "event_url": receiver.url("/late")})).await;
    assert_eq!(receiver.next().await.body["event_type"], "submitted");
    let path = format!("/channels/{id}/messages/{late}");
    becomes(&maybug, &path, |state| state["last_event_type"] == "delivery_succeeded").await;
    maybug.send(&id, json!({"to": "1", "content": "x", "event_url": receiver.url("/next")})).await;
    assert_eq!(receiver.next().await.path, "/next", "nothing in between");
}
