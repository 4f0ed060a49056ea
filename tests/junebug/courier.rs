//! RapidPro's Courier, channel type `JN`: its requests and what it takes back, as they are in its handler.

use hyper::Method;
use hyper::header::{HeaderMap, HeaderValue};
use maybug::smsc::{PhoneMessage, SimulatorConfig};
use serde_json::{Value, json};

use crate::support::{Maybug, Posted, Receiver, Smsc};

const SECRET: &str = "c0ur1er";

/// What Courier sends with every request: always Basic, whether anybody asked for it or not.
fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    let json = HeaderValue::from_static("application/json");
    headers.insert("content-type", json.clone());
    headers.insert("accept", json);
    headers.insert("authorization", HeaderValue::from_static("Basic Y291cmllcjpwYXNz"));
    headers
}

/// Sends as Courier does; the id that it reads from the answer.
async fn send(maybug: &Maybug, url: &str, message: &Value) -> String {
    let (status, _, answer) = maybug.request_with(Method::POST, url, headers(), message.to_string().as_bytes()).await;
    assert!((200..300).contains(&status), "{answer}");
    answer["result"]["message_id"].as_str().unwrap().to_owned()
}

/// What Courier makes of a request to it: a status and, of an event, the message and its new state.
fn judge(posted: &Posted) -> (u16, Option<(String, &'static str)>) {
    if posted.headers.get("authorization").is_none_or(|value| value != &format!("Token {SECRET}")) {
        return (401, None);
    }
    let text = |key: &str| posted.body[key].as_str().filter(|text| !text.is_empty());
    if posted.path.ends_with("/event") {
        let (Some(kind), Some(id)) = (text("event_type"), text("message_id")) else { return (400, None) };
        let state = match kind {
            "submitted" => "sent",
            "delivery_succeeded" => "delivered",
            "delivery_failed" | "rejected" => "failed",
            _ => "ignored",
        };
        return (200, Some((id.to_owned(), state)));
    }
    let (Some(from), Some(_), Some(time), Some(_)) = (text("from"), text("to"), text("timestamp"), text("message_id"))
    else {
        return (400, None);
    };
    let is_time = chrono::NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S%.f").is_ok();
    let is_phone = from.strip_prefix('+').unwrap_or(from).chars().all(|digit| digit.is_ascii_digit());
    (if is_time && is_phone { 200 } else { 400 }, None)
}

async fn channel(maybug: &Maybug, smsc: &Smsc, courier: &Receiver) -> String {
    let properties = json!({"mo_url": courier.url("/c/jn/uuid/inbound"), "mo_url_auth_token": SECRET});
    let config = json!({"registered_delivery": true});
    let id = maybug.smpp_channel(smsc.simulator.address(), config, properties).await;
    format!("/channels/{id}/messages/")
}

fn message(courier: &Receiver, content: &str) -> Value {
    json!({
        "event_url": courier.url("/c/jn/uuid/event"), "event_auth_token": SECRET, "content": content,
        "from": "8110", "to": "+27820001001",
    })
}

#[tokio::test]
async fn courier_sends_and_follows_its_messages() {
    let mut smsc = Smsc::start(SimulatorConfig::default()).await;
    let mut courier = Receiver::start().await;
    let maybug = Maybug::start().await;
    let url = channel(&maybug, &smsc, &courier).await;
    // The longest that Courier sends in one request.
    let text = "ž".repeat(1530);
    let id = send(&maybug, &url, &message(&courier, &text)).await;
    assert_eq!(judge(&courier.next().await), (200, Some((id.clone(), "sent"))));
    // Receipts come segment by segment; until the last one it is pending, which Courier passes over.
    let last = loop {
        match judge(&courier.next().await) {
            (200, Some((_, "ignored"))) => {}
            judged => break judged,
        }
    };
    assert_eq!(last, (200, Some((id, "delivered"))));
    assert_eq!(smsc.message().await.1, "27820001001");
}

#[tokio::test]
async fn courier_learns_of_failures() {
    let smsc = Smsc::start(SimulatorConfig::default()).await;
    let mut courier = Receiver::start().await;
    let maybug = Maybug::start().await;
    let url = channel(&maybug, &smsc, &courier).await;
    smsc.simulator.reconfigure(|config| config.errors = vec![(1.0, smpp::CommandStatus::ESME_RINVDSTADR)]);
    let refused = send(&maybug, &url, &message(&courier, "x")).await;
    assert_eq!(judge(&courier.next().await), (200, Some((refused, "failed"))));
    smsc.simulator.reconfigure(|config| {
        config.errors.clear();
        config.states = vec![(smpp::field::MessageState::UNDELIVERABLE, 1)];
    });
    let lost = send(&maybug, &url, &message(&courier, "x")).await;
    assert_eq!(judge(&courier.next().await), (200, Some((lost.clone(), "sent"))));
    assert_eq!(judge(&courier.next().await), (200, Some((lost, "failed"))));
}

#[tokio::test]
async fn courier_takes_messages_from_phones() {
    let smsc = Smsc::start(SimulatorConfig::default()).await;
    let mut courier = Receiver::start().await;
    let maybug = Maybug::start().await;
    channel(&maybug, &smsc, &courier).await;
    for text in ["Hello", "žluť 😀"] {
        let message = PhoneMessage { from: "27820001001".into(), to: "8110".into(), text: text.into() };
        smsc.simulator.inject(&message).unwrap();
        let posted = courier.next().await;
        assert_eq!((judge(&posted), &posted.body["content"]), ((200, None), &json!(text)));
        assert_eq!(posted.path, "/c/jn/uuid/inbound");
        assert_eq!(posted.headers["content-type"], "application/json");
    }
}
