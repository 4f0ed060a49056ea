//! The `smpp` channel type against the simulated SMSC.

use std::time::Duration;

use maybug::smsc::{IdFormat, PhoneMessage, ReceiptForm, SessionHabits, SimEvent, SimulatorConfig};
use serde_json::json;
use smpp::CommandStatus;
use smpp::field::MessageState;

use crate::support::{Maybug, Receiver, Smsc, types};

#[tokio::test]
async fn a_message_reaches_the_smsc_and_its_receipt_the_webhook() {
    let mut smsc = Smsc::start(SimulatorConfig::default()).await;
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let id = maybug.smpp_channel(smsc.simulator.address(), json!({}), json!({})).await;
    let message = json!({"to": "+27820001001", "from": "40404", "content": "5 € ok", "event_url": receiver.url("/e")});
    let message = maybug.send(&id, message).await;
    assert_eq!(smsc.message().await, ("40404".into(), "27820001001".into(), "5 € ok".into()));
    assert_eq!(receiver.next().await.body["event_type"], "submitted");
    let report = receiver.next().await.body;
    assert_eq!((&report["event_type"], &report["message_id"]), (&json!("delivery_succeeded"), &json!(message)));
    assert_eq!(report["event_details"]["smpp_delivery_status"], "DELIVERED");
    let delivered = smsc.next("the acknowledgement", |event| match event {
        SimEvent::Delivered { status, receipt, .. } => Some((*status, *receipt)),
        _ => None,
    });
    assert_eq!(delivered.await, (CommandStatus::ESME_ROK, true));
}

#[tokio::test]
async fn receipts_match_across_bases_and_states_mean_what_the_guide_says() {
    for (id_format, receipt_id_format, form) in [
        (IdFormat::Hex, IdFormat::Decimal, ReceiptForm::Text),
        (IdFormat::Decimal, IdFormat::UpperHex, ReceiptForm::Tlvs),
        (IdFormat::UpperHex, IdFormat::Hex, ReceiptForm::Both),
    ] {
        let states = vec![(MessageState::UNDELIVERABLE, 1)];
        let receipts = Some(receipt_id_format);
        let config = SimulatorConfig {
            id_format,
            receipt_id_format: receipts,
            receipt_form: form,
            states,
            ..Default::default()
        };
        let smsc = Smsc::start(config).await;
        let maybug = Maybug::start().await;
        let config = json!({"registered_delivery": true});
        let id = maybug.smpp_channel(smsc.simulator.address(), config, json!({})).await;
        let message = maybug.send(&id, json!({"to": "+27820001001", "content": "x"})).await;
        let events = maybug.events(&id, &message, 2).await;
        assert_eq!(types(&events), ["submitted", "delivery_failed"], "{id_format:?} {receipt_id_format:?}");
    }
}

#[tokio::test]
async fn a_refusal_is_a_rejection_with_the_status_name() {
    let errors = vec![(1.0, CommandStatus::ESME_RINVDSTADR)];
    let smsc = Smsc::start(SimulatorConfig { errors, ..Default::default() }).await;
    let maybug = Maybug::start().await;
    let id = maybug.smpp_channel(smsc.simulator.address(), json!({}), json!({})).await;
    let message = maybug.send(&id, json!({"to": "+27820001001", "content": "x"})).await;
    let events = maybug.events(&id, &message, 1).await;
    assert_eq!(events[0]["event_type"], "rejected");
    let details = &events[0]["event_details"];
    assert_eq!((&details["reason"], &details["command_status"]), (&json!("ESME_RINVDSTADR"), &json!("0x0000000b")));
    assert_eq!(details["meaning"], "Invalid destination address");
    assert!(details["cause"].is_string() && details["advice"].is_string());
    let unsendable = maybug.send(&id, json!({"to": "Zoë", "content": "x"})).await;
    let events = maybug.events(&id, &unsendable, 1).await;
    assert_eq!(events[0]["event_details"]["reason"], "Invalid to_addr: Zoë");
}

#[tokio::test]
async fn messages_from_phones_are_posted_long_ones_whole() {
    let smsc = Smsc::start(SimulatorConfig::default()).await;
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let properties = json!({"mo_url": receiver.url("/mo")});
    maybug.smpp_channel(smsc.simulator.address(), json!({}), properties).await;
    let long = "Zażółć gęślą jaźń 😀 ".repeat(12);
    for text in ["hi there", &long] {
        let message = PhoneMessage { from: "27820001001".into(), to: "40404".into(), text: text.into() };
        smsc.simulator.inject(&message).unwrap();
        let posted = receiver.next().await.body;
        assert_eq!(
            (&posted["content"], &posted["from"], &posted["to"]),
            (&json!(text), &json!("27820001001"), &json!("40404"))
        );
    }
}

#[tokio::test]
async fn long_messages_go_out_in_segments_and_have_one_event() {
    let mut smsc = Smsc::start(SimulatorConfig::default()).await;
    let maybug = Maybug::start().await;
    let id = maybug.smpp_channel(smsc.simulator.address(), json!({}), json!({})).await;
    let text = "x".repeat(400);
    let message = maybug.send(&id, json!({"to": "+27820001001", "content": text})).await;
    let mut joined = String::new();
    for _ in 0..3 {
        joined += &smsc.message().await.2;
    }
    assert_eq!(joined, text);
    assert_eq!(types(&maybug.events(&id, &message, 1).await), ["submitted"]);
}

#[tokio::test]
async fn throttled_messages_are_sent_again_and_all_arrive_once() {
    let mut smsc = Smsc::start(SimulatorConfig { throttle: Some(5), ..Default::default() }).await;
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let properties = json!({"status_url": receiver.url("/status")});
    let id = maybug.smpp_channel(smsc.simulator.address(), json!({}), properties).await;
    let mut expected: Vec<String> = (0..12).map(|n| n.to_string()).collect();
    for text in &expected {
        maybug.send(&id, json!({"to": "+27820001001", "content": text})).await;
    }
    let mut seen = Vec::new();
    for _ in 0..12 {
        seen.push(smsc.message().await.2);
    }
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
    let mut statuses = Vec::new();
    while statuses.last().map(String::as_str) != Some("throttled") {
        let body = receiver.next().await.body;
        let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["channel_id", "component", "details", "message", "status", "type"]);
        statuses.push(body["type"].as_str().unwrap().to_owned());
    }
    assert_eq!(statuses, ["starting", "binding", "bound", "throttled"]);
}

#[tokio::test]
async fn a_cut_connection_loses_nothing_and_repeats_at_most_a_window() {
    let session = SessionHabits { cut_after: Some(37), ..SessionHabits::default() };
    let mut smsc = Smsc::start(SimulatorConfig { session, ..Default::default() }).await;
    let maybug = Maybug::start().await;
    let id = maybug.smpp_channel(smsc.simulator.address(), json!({"window_size": 10}), json!({})).await;
    for n in 0..200 {
        maybug.send(&id, json!({"to": "+27820001001", "content": n.to_string()})).await;
    }
    let mut seen = std::collections::BTreeMap::new();
    let mut copies = 0;
    while seen.len() < 200 {
        *seen.entry(smsc.message().await.2).or_insert(0) += 1;
        copies += 1;
    }
    let cuts = copies / 37 + 1;
    assert!(copies - 200 <= cuts * 10, "{copies} copies of 200 messages over {cuts} cuts");
}

#[tokio::test]
async fn a_refused_bind_says_why_and_is_tried_again() {
    let accounts = vec![("somebody".to_owned(), "else".to_owned()).into()];
    let smsc = Smsc::start(SimulatorConfig { accounts, ..Default::default() }).await;
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let properties = json!({"status_url": receiver.url("/status")});
    let id = maybug.smpp_channel(smsc.simulator.address(), json!({}), properties).await;
    let failed = receiver.told("bind_failed").await;
    assert_eq!(failed["message"], "Bind failed: ESME_RINVSYSID (0x0000000f)");
    assert_eq!((&failed["status"], &failed["details"]["meaning"]), (&json!("down"), &json!("Invalid system id")));
    let (_, shown) = maybug.get(&format!("/channels/{id}")).await;
    assert_eq!(shown["result"]["status"]["status"], "down");
}

#[tokio::test]
async fn a_higher_priority_overtakes_what_waits() {
    let mut smsc =
        Smsc::start(SimulatorConfig { response_delay: Duration::from_millis(20).into(), ..Default::default() }).await;
    let maybug = Maybug::start().await;
    let id = maybug.smpp_channel(smsc.simulator.address(), json!({"window_size": 1}), json!({})).await;
    for n in 0..30 {
        maybug.send(&id, json!({"to": "+27820001001", "content": format!("bulk {n}")})).await;
    }
    maybug.send(&id, json!({"to": "+27820001001", "content": "now", "priority": 5})).await;
    let mut order = Vec::new();
    for _ in 0..31 {
        order.push(smsc.message().await.2);
    }
    let place = order.iter().position(|text| text == "now").unwrap();
    assert!(place < 30, "it came last");
    let bulk: Vec<String> = order.into_iter().filter(|text| text != "now").collect();
    assert_eq!(bulk, (0..30).map(|n| format!("bulk {n}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn mt_tps_and_the_rate_limit_hold_the_pace() {
    holds_the_pace(json!({"mt_tps": 10}), json!({})).await;
    holds_the_pace(json!({}), json!({"rate_limit_count": 50, "rate_limit_window": 5})).await;
}

async fn holds_the_pace(config: serde_json::Value, properties: serde_json::Value) {
    let mut smsc = Smsc::start(SimulatorConfig::default()).await;
    let maybug = Maybug::start().await;
    let id = maybug.smpp_channel(smsc.simulator.address(), config, properties).await;
    // From before the first can have left: seeing one late makes this longer, never shorter.
    let begun = tokio::time::Instant::now();
    for _ in 0..6 {
        maybug.send(&id, json!({"to": "+27820001001", "content": "x"})).await;
    }
    for _ in 0..6 {
        smsc.message().await;
    }
    assert!(begun.elapsed() > Duration::from_millis(380), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn stopping_unbinds() {
    let mut smsc = Smsc::start(SimulatorConfig::default()).await;
    let maybug = Maybug::start().await;
    maybug.smpp_channel(smsc.simulator.address(), json!({}), json!({})).await;
    smsc.bound().await;
    maybug.server.stop().await;
    let why = smsc.next("the unbind", |event| match event {
        SimEvent::Unbound { why, .. } => Some(why.clone()),
        _ => None,
    });
    assert_eq!(why.await, "the peer unbound");
}
