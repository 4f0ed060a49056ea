//! Lines 64 to 73: what a channel says of itself, and its rates.

use hyper::{Method, StatusCode};
use maybug::model::Level;
use maybug::smsc::{SimulatorConfig, Span};
use serde_json::{Value, json};
use smpp::CommandStatus;
use smpp::field::MessageState;

use crate::setup::{becomes, echoing, keys, logged, loopback, phone_writes};
use crate::support::{Maybug, Receiver, Scripted, Smsc, soon};

/// Seconds in which rates are counted here.
const WINDOW: f64 = 0.1;

/// A channel's status once the connection is bound.
async fn bound(maybug: &Maybug, channel: &str) -> Value {
    let wanted = |channel: &Value| channel["status"]["components"]["smpp"]["type"] == "bound";
    becomes(maybug, &format!("/channels/{channel}"), wanted).await["status"].clone()
}

/// Junebug 64: A component's status has exactly six keys.
#[tokio::test]
async fn line_064_a_component_has_exactly_six_keys() {
    let smsc = Smsc::start(SimulatorConfig::default()).await;
    let maybug = Maybug::start().await;
    let id = maybug.smpp_channel(smsc.simulator.address(), json!({}), json!({})).await;
    let status = bound(&maybug, &id).await;
    let component = &status["components"]["smpp"];
    assert_eq!(keys(component), ["channel_id", "component", "details", "message", "status", "type"]);
    assert_eq!((&component["component"], &component["channel_id"]), (&json!("smpp"), &json!(id)));
    assert_eq!((&component["status"], &component["message"]), (&json!("ok"), &json!("Bound")));
}

/// Junebug 65: All components being ok, the channel is; its status is that of the worst.
#[tokio::test]
async fn line_065_a_channel_is_as_well_as_its_worst_component() {
    let smsc = Smsc::start(SimulatorConfig::default()).await;
    let maybug = Maybug::start().await;
    let id = maybug.smpp_channel(smsc.simulator.address(), json!({}), json!({})).await;
    assert_eq!(bound(&maybug, &id).await["status"], "ok");
    smsc.simulator.reconfigure(|config| config.errors = vec![(1.0, CommandStatus::ESME_RTHROTTLED)]);
    maybug.send(&id, json!({"to": "+27820001001", "content": "x"})).await;
    let wanted = |channel: &Value| channel["status"]["status"] == "degraded";
    let degraded = becomes(&maybug, &format!("/channels/{id}"), wanted).await;
    assert_eq!(degraded["status"]["components"]["smpp"]["type"], "throttled");
}

/// Junebug 66: What components said outlives a restart of the channel.
#[tokio::test]
async fn line_066_statuses_outlive_a_restart() {
    let smsc = Smsc::start(SimulatorConfig::default()).await;
    let maybug = Maybug::start().await;
    let id = maybug.smpp_channel(smsc.simulator.address(), json!({}), json!({})).await;
    bound(&maybug, &id).await;
    let path = format!("/channels/{id}");
    maybug.request(Method::POST, &format!("{path}/restart"), b"").await;
    let (_, answer) = maybug.get(&path).await;
    assert!(answer["result"]["status"]["components"]["smpp"].is_object(), "{answer}");
    assert!(answer["result"]["status"]["status"].is_string(), "{answer}");
}

/// Junebug 67: A status is posted to `status_url` as JSON of those six keys, without any `Authorization`.
#[tokio::test]
async fn line_067_a_status_is_posted_as_json() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let id = maybug.channel(loopback(json!({"status_url": receiver.url("/s"), "mo_url_auth_token": "t"}))).await;
    let posted = receiver.next().await;
    assert_eq!((posted.path.as_str(), &posted.headers["content-type"]), ("/s", &"application/json".parse().unwrap()));
    assert!(!posted.headers.contains_key("authorization"));
    assert_eq!(keys(&posted.body), ["channel_id", "component", "details", "message", "status", "type"]);
    assert_eq!(posted.body["channel_id"], json!(id));
}

/// Junebug 68: A `status_url` that answers 500 is logged with its code and body, and the next status comes all the same;
/// unlike in Junebug the failed one comes again, unless the component has said something else since.
#[tokio::test]
async fn line_068_a_failing_status_url_is_logged_and_gets_the_next() {
    let smsc = Smsc::start(SimulatorConfig::default()).await;
    let mut receiver = Receiver::start().await;
    receiver.script([Scripted::Echo(StatusCode::INTERNAL_SERVER_ERROR)]);
    let maybug = Maybug::start().await;
    let properties = json!({"status_url": receiver.url("/s")});
    let id = maybug.smpp_channel(smsc.simulator.address(), json!({}), properties.clone()).await;
    let failed = receiver.next().await.body;
    let entry = logged(&maybug, &id, "POST to status_url failed because of the answer 500").await;
    let message = entry["message"].as_str().unwrap();
    assert!(message.contains(failed["type"].as_str().unwrap()), "what the receiver says is the status: {message}");
    receiver.told("bound").await;
    receiver.script([Scripted::Answer(StatusCode::INTERNAL_SERVER_ERROR, vec![])]);
    maybug.channel(loopback(properties)).await;
    let failed = receiver.told("running").await;
    assert_eq!(receiver.told("running").await, failed);
}

/// Junebug 69: A component is ok, degraded or down, and nothing else.
#[tokio::test]
async fn line_069_there_are_three_levels() {
    for word in ["ok", "degraded", "down"] {
        let level: Level = serde_json::from_value(json!(word)).unwrap();
        assert_eq!(json!(level), json!(word));
    }
    for word in ["good", "OK", ""] {
        assert!(serde_json::from_value::<Level>(json!(word)).is_err(), "{word}");
    }
}

/// Does something again and again until it shows in a rate.
async fn shows(maybug: &Maybug, channel: &str, rate: &str, action: impl AsyncFn()) {
    soon(rate, async {
        loop {
            action().await;
            let (_, answer) = maybug.get(&format!("/channels/{channel}")).await;
            let rate = answer["result"]["status"][rate].as_f64().unwrap();
            if rate > 0.0 {
                // A whole number of them in a window.
                let count = rate * WINDOW;
                assert!((count - count.round()).abs() < 1e-6, "{rate}");
                return;
            }
        }
    })
    .await;
}

async fn counting() -> Maybug {
    Maybug::with(|config| config.metric_window = WINDOW).await
}

/// Sends on an SMSC that answers like this until this rate shows it.
async fn sends_show(habits: SimulatorConfig, rate: &str) {
    let smsc = Smsc::start(habits).await;
    let maybug = counting().await;
    let config = json!({"registered_delivery": true});
    let id = maybug.smpp_channel(smsc.simulator.address(), config, json!({})).await;
    shows(&maybug, &id, rate, async || {
        maybug.send(&id, json!({"to": "+27820001001", "content": "x"})).await;
    })
    .await;
}

/// Junebug 70: Sends show in `outbound_message_rate`.
#[tokio::test]
async fn line_070_sends_are_counted() {
    let maybug = counting().await;
    let id = maybug.channel(loopback(json!({}))).await;
    shows(&maybug, &id, "outbound_message_rate", async || {
        maybug.send(&id, json!({"to": "1", "content": "x"})).await;
    })
    .await;
}

/// Junebug 71: Acks show in `submitted_event_rate`, nacks in `rejected_event_rate`.
#[tokio::test]
async fn line_071_acks_and_nacks_are_counted() {
    sends_show(SimulatorConfig::default(), "submitted_event_rate").await;
    let errors = vec![(1.0, CommandStatus::ESME_RINVDSTADR)];
    sends_show(SimulatorConfig { errors, ..Default::default() }, "rejected_event_rate").await;
}

/// Junebug 72: Receipts show in the rate of what they say.
#[tokio::test]
async fn line_072_receipts_are_counted_by_what_they_say() {
    for (state, rate) in [
        (MessageState::DELIVERED, "delivery_succeeded_rate"),
        (MessageState::UNDELIVERABLE, "delivery_failed_rate"),
        (MessageState::ENROUTE, "delivery_pending_rate"),
    ] {
        let receipt_delay = Span::default();
        sends_show(SimulatorConfig { states: vec![(state, 1)], receipt_delay, ..Default::default() }, rate).await;
    }
}

/// Junebug 73: Messages from phones show in `inbound_message_rate`.
#[tokio::test]
async fn line_073_messages_from_phones_are_counted() {
    let receiver = Receiver::start().await;
    let maybug = counting().await;
    let id = maybug.channel(echoing(&receiver.url("/mo"))).await;
    shows(&maybug, &id, "inbound_message_rate", async || phone_writes(&maybug, &id, "x").await).await;
}
