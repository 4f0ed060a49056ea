//! Lines 195 to 205: what Junebug meant to have.

use std::time::Duration;

use hyper::Method;
use maybug::smsc::{SimulatorConfig, Span};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::setup::{becomes, echoing, error, loopback, phone_writes};
use crate::support::{Maybug, Receiver, Smsc};

/// Junebug 195: A channel sends at its rate, and nothing is lost.
#[tokio::test]
async fn line_195_a_channel_sends_at_its_rate() {
    let mut smsc = Smsc::start(SimulatorConfig::default()).await;
    let maybug = Maybug::start().await;
    let properties = json!({"rate_limit_count": 2, "rate_limit_window": 1});
    let id = maybug.smpp_channel(smsc.simulator.address(), json!({}), properties).await;
    // From before the first can have left: being late makes this longer, never shorter.
    let begun = Instant::now();
    for n in 0..10 {
        maybug.send(&id, json!({"to": "+27820001001", "content": n.to_string()})).await;
    }
    for n in 0..10 {
        assert_eq!(smsc.message().await.2, n.to_string());
    }
    assert!(begun.elapsed() > Duration::from_millis(3_900), "{:?}", begun.elapsed());
    // One of the two alone would be no limit, and nobody would know.
    let (status, answer) = maybug.post("/channels/", loopback(json!({"rate_limit_count": 2}))).await;
    assert_eq!((status, error(&answer).0), (400, "ApiUsageError"));
}

/// Junebug 196: What waits with priority 5 leaves before what waits with priority 1.
#[tokio::test]
async fn line_196_a_higher_priority_leaves_first() {
    let mut smsc = Smsc::start(SimulatorConfig { no_response: 1.0, ..Default::default() }).await;
    let maybug = Maybug::start().await;
    let config = json!({"window_size": 1, "registered_delivery": false});
    let id = maybug.smpp_channel(smsc.simulator.address(), config, json!({})).await;
    maybug.send(&id, json!({"to": "+27820001001", "content": "in the way"})).await;
    smsc.message().await;
    for n in 0..3 {
        maybug.send(&id, json!({"to": "+27820001001", "content": format!("bulk {n}"), "priority": 1})).await;
    }
    maybug.send(&id, json!({"to": "+27820001001", "content": "realtime", "priority": 5})).await;
    smsc.simulator.reconfigure(|config| config.no_response = 0.0);
    smsc.simulator.cut();
    let mut order = Vec::new();
    while order.len() < 4 {
        let (_, _, text) = smsc.message().await;
        if text != "in the way" {
            order.push(text);
        }
    }
    assert_eq!(order, ["realtime", "bulk 0", "bulk 1", "bulk 2"]);
}

/// Junebug 197: `event_url` may have parameters of the message and of its fate, as Kannel has them.
#[tokio::test]
async fn line_197_event_url_has_parameters() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let id = maybug.channel(loopback(json!({}))).await;
    let url = receiver.url("/e?id=%I&d=%d");
    let message = maybug.send(&id, json!({"to": "1", "content": "x", "event_url": url})).await;
    assert_eq!(receiver.next().await.path, format!("/e?id={message}&d=8"));
    let posted = receiver.next().await;
    assert_eq!(posted.path, format!("/e?id={message}&d=1"));
    assert_eq!(posted.body["event_type"], "delivery_succeeded", "the body comes as well");
}

/// Junebug 198: `mo_url` may have parameters of the message, which are encoded.
#[tokio::test]
async fn line_198_mo_url_has_parameters() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let id = maybug.channel(echoing(&receiver.url("/mo?f=%p&t=%a"))).await;
    phone_writes(&maybug, &id, "two  words & é").await;
    let posted = receiver.next().await;
    assert_eq!(posted.path, "/mo?f=%2B27820001001&t=two%20words%20%26%20%C3%A9");
    assert_eq!(posted.body["content"], "two  words & é");
}

/// Junebug 199: What is encoded in a URL already, and what is no parameter, stays.
#[tokio::test]
async fn line_199_what_is_encoded_already_stays() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let id = maybug.channel(loopback(json!({}))).await;
    let given = receiver.url("/e%20f?plus=%2B&d0=%d0&z=%z&n=%I");
    let message = maybug.send(&id, json!({"to": "1", "content": "x", "event_url": given})).await;
    let path = receiver.next().await.path;
    assert_eq!(path, format!("/e%20f?plus=%2B&d0=%d0&z=%z&n={message}"));
}

/// A channel whose provider is away, with two bulk messages and a realtime one.
async fn queued(maybug: &Maybug, receiver: &Receiver) -> (String, Vec<String>) {
    let config = json!({"twisted_endpoint": "tcp:127.0.0.1:1", "system_id": "me", "password": "p"});
    let id = maybug.channel(json!({"type": "smpp", "config": config, "mo_url": null})).await;
    let mut messages = Vec::new();
    for priority in [1, 1, 5] {
        let url = receiver.url("/e");
        let message = json!({"to": "+27820001001", "content": "x", "priority": priority, "event_url": url});
        messages.push(maybug.send(&id, message).await);
    }
    (id, messages)
}

/// Junebug 200: The length of the queue is what the provider has not had yet, by priority.
#[tokio::test]
async fn line_200_the_length_of_the_queue_can_be_asked_for() {
    let receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let (id, _) = queued(&maybug, &receiver).await;
    let (status, answer) = maybug.get(&format!("/channels/{id}/queue")).await;
    assert_eq!((status, &answer["description"]), (200, &json!("queue length")));
    let outbound = &answer["result"]["outbound"];
    assert_eq!(
        (&outbound["total"], &answer["result"]["inbound"], &answer["result"]["events"]),
        (&json!(3), &json!(0), &json!(0))
    );
    assert_eq!((&outbound["by_priority"]["1"], &outbound["by_priority"]["5"]), (&json!(2), &json!(1)));
    assert_eq!(maybug.get(&format!("/channels/{id}")).await.1["result"]["status"]["queue_length"], 3);
    let done = maybug.channel(loopback(json!({}))).await;
    let message = maybug.send(&done, json!({"to": "1", "content": "x"})).await;
    maybug.events(&done, &message, 2).await;
    assert_eq!(maybug.get(&format!("/channels/{done}/queue")).await.1["result"]["outbound"]["total"], 0);
}

/// Junebug 201: What waits can be cancelled, which empties the queue and rejects each message.
#[tokio::test]
async fn line_201_what_waits_can_be_cancelled() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let (id, mut messages) = queued(&maybug, &receiver).await;
    let (status, _, answer) = maybug.request(Method::DELETE, &format!("/channels/{id}/messages/"), b"").await;
    assert_eq!((status, &answer["description"]), (200, &json!("messages cancelled")));
    assert_eq!(answer["result"], json!({"cancelled": 3}));
    assert_eq!(maybug.get(&format!("/channels/{id}/queue")).await.1["result"]["outbound"]["total"], 0);
    let mut told = Vec::new();
    for _ in 0..3 {
        let event = receiver.next().await.body;
        assert_eq!(
            (&event["event_type"], &event["event_details"]["reason"]),
            (&json!("rejected"), &json!("cancelled"))
        );
        told.push(event["message_id"].as_str().unwrap().to_owned());
    }
    told.sort();
    messages.sort();
    assert_eq!(told, messages);
}

/// Junebug 202: What was said of one message can be asked for, and is of that message alone.
#[tokio::test]
async fn line_202_a_message_has_a_log() {
    let mut smsc = Smsc::start(SimulatorConfig::default()).await;
    let maybug = Maybug::start().await;
    let id = maybug.smpp_channel(smsc.simulator.address(), json!({}), json!({})).await;
    let mut messages = Vec::new();
    for text in ["one", "two"] {
        let message = json!({"to": "+27820001001", "content": text, "event_url": "http://127.0.0.1:1/e"});
        messages.push(maybug.send(&id, message).await);
        smsc.message().await;
    }
    for message in &messages {
        let path = format!("/channels/{id}/messages/{message}/logs");
        let says = |entry: &Value| entry["message"].as_str().unwrap().contains("to event_url failed");
        let entries = becomes(&maybug, &path, |entries| entries.as_array().unwrap().iter().any(says)).await;
        assert!(entries.as_array().unwrap().iter().all(|entry| entry["message_id"] == json!(message)), "{entries}");
        let (status, answer) = maybug.get(&format!("/channels/{id}/logs?message_id={message}")).await;
        let filtered = answer["result"].as_array().unwrap();
        assert_eq!((status, &answer["description"]), (200, &json!("logs retrieved")));
        assert!(!filtered.is_empty() && filtered.iter().all(|entry| entry["message_id"] == json!(message)), "{answer}");
    }
}

/// Junebug 203: Every PDU is in the log of its channel, decoded, passwords masked.
#[tokio::test]
async fn line_203_pdus_are_in_the_log() {
    let mut smsc = Smsc::start(SimulatorConfig::default()).await;
    let maybug = Maybug::start().await;
    let id = maybug.smpp_channel(smsc.simulator.address(), json!({}), json!({})).await;
    let message = maybug.send(&id, json!({"to": "+27820001001", "content": "look at me"})).await;
    smsc.message().await;
    maybug.events(&id, &message, 1).await;
    let (_, answer) = maybug.get(&format!("/channels/{id}/logs?type=pdu")).await;
    let entries = answer["result"].as_array().unwrap();
    let named = |name: &str| entries.iter().find(|entry| entry["pdu"]["command"] == name);
    let submit = named("submit_sm").unwrap_or_else(|| panic!("{answer}"));
    assert_eq!((&submit["logger"], &submit["level"], &submit["direction"]), (&json!(id), &json!(10), &json!("sent")));
    assert!(submit["pdu"].to_string().contains("27820001001"), "{submit}");
    assert!(named("submit_sm_resp").is_some() && !answer.to_string().contains("secret"), "{answer}");
}

/// Junebug 204: A channel whose provider answers nothing holds up no other.
#[tokio::test]
async fn line_204_a_blocked_channel_holds_up_no_other() {
    let mut smsc = Smsc::start(SimulatorConfig { no_response: 1.0, ..Default::default() }).await;
    let maybug = Maybug::start().await;
    let blocked = maybug.smpp_channel(smsc.simulator.address(), json!({"window_size": 1}), json!({})).await;
    let free = maybug.channel(loopback(json!({}))).await;
    for _ in 0..20 {
        maybug.send(&blocked, json!({"to": "+27820001001", "content": "x"})).await;
    }
    smsc.message().await;
    for _ in 0..20 {
        let message = maybug.send(&free, json!({"to": "1", "content": "x"})).await;
        maybug.events(&free, &message, 2).await;
    }
    let waiting = maybug.server.gateway().depth(&blocked.as_str().into()).waiting;
    assert!(waiting >= 19, "{waiting}");
}

/// Junebug 205: What was accepted while the provider was away is sent once it is back.
#[tokio::test]
async fn line_205_what_was_accepted_meanwhile_is_sent_later() {
    let smsc = Smsc::start(SimulatorConfig::default()).await;
    let address = smsc.simulator.address();
    let maybug = Maybug::start().await;
    let id = maybug.smpp_channel(address, json!({}), json!({})).await;
    let path = format!("/channels/{id}");
    becomes(&maybug, &path, |channel| channel["status"]["status"] == "ok").await;
    smsc.simulator.stop().await;
    becomes(&maybug, &path, |channel| channel["status"]["status"] == "down").await;
    for n in 0..5 {
        maybug.send(&id, json!({"to": "+27820001001", "content": n.to_string()})).await;
    }
    let mut again = Smsc::at(address, SimulatorConfig { response_delay: Span::default(), ..Default::default() }).await;
    for n in 0..5 {
        assert_eq!(again.message().await.2, n.to_string());
    }
}
