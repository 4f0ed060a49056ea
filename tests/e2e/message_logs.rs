//! What was said of one message: lines of the log, and its PDUs, and nobody else's.

use std::collections::BTreeSet;

use maybug::smsc::SimulatorConfig;
use serde_json::{Value, json};
use smpp::CommandStatus;

use crate::peer::{ScriptedSmsc, receipt};
use crate::support::{Maybug, Smsc, soon};

const PHONE: &str = "27820001001";

async fn logs(maybug: &Maybug, path: &str) -> Vec<Value> {
    let (status, answer) = maybug.get(path).await;
    assert_eq!((status, &answer["description"]), (200, &json!("logs retrieved")), "{answer}");
    answer["result"].as_array().unwrap().clone()
}

fn commands(entries: &[Value]) -> Vec<&str> {
    let named = entries.iter().filter(|entry| entry.get("pdu").is_some());
    named.map(|entry| entry["message"].as_str().unwrap().split(' ').nth(1).unwrap()).collect()
}

#[tokio::test]
async fn a_message_has_its_pdus_and_lines_and_none_of_another_to_the_same_phone() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let channel = maybug.smpp_channel(smsc.address(), json!({}), json!({})).await;
    let mut peer = smsc.bound().await;
    let body = |content: &str| json!({"to": PHONE, "content": content, "event_url": "http://127.0.0.1:1/e"});
    let mut sent = Vec::new();
    for (content, id) in [("one", "a1"), ("two", "a2")] {
        sent.push(maybug.send(&channel, body(content)).await);
        let (raw, _) = peer.submit().await;
        peer.take(&raw, id).await;
    }
    peer.deliver(receipt(PHONE, "a2", "DELIVRD")).await;
    maybug.events(&channel, &sent[1], 2).await;
    for (message, expected) in [
        (&sent[0], vec!["submit_sm_resp", "submit_sm"]),
        (&sent[1], vec!["deliver_sm_resp", "deliver_sm", "submit_sm_resp", "submit_sm"]),
    ] {
        let path = format!("/channels/{channel}/messages/{message}/logs");
        let entries = soon("the failed callback", async {
            loop {
                let entries = logs(&maybug, &path).await;
                if entries.iter().any(|entry| entry["message"].as_str().unwrap().contains("to event_url failed")) {
                    return entries;
                }
            }
        })
        .await;
        assert!(entries.iter().all(|entry| entry["message_id"] == **message), "{entries:?}");
        assert_eq!(commands(&entries), expected);
        let times: Vec<f64> = entries.iter().map(|entry| entry["timestamp"].as_f64().unwrap()).collect();
        assert!(times.is_sorted_by(|one, other| one >= other), "the newest first");
        let level = logs(&maybug, &format!("{path}/?level=info")).await;
        assert!(!level.is_empty() && commands(&level).is_empty());
        assert_eq!(logs(&maybug, &format!("{path}?n=1")).await.len(), 1);
        let by_query = logs(&maybug, &format!("/channels/{channel}/logs?message_id={message}")).await;
        assert!(!by_query.is_empty() && by_query.iter().all(|entry| entry["message_id"] == **message));
        let pdus = logs(&maybug, &format!("/channels/{channel}/logs?type=pdu&message_id={message}")).await;
        assert_eq!(commands(&pdus), expected);
    }
    assert!(logs(&maybug, &format!("/channels/{channel}/messages/nonsense/logs")).await.is_empty());
    assert_eq!(maybug.get("/channels/x/messages/y/logs").await.0, 404);
}

#[tokio::test]
async fn refusals_silences_and_messages_from_phones_are_said_of_their_message() {
    let mut smsc =
        Smsc::start(SimulatorConfig { errors: vec![(1.0, CommandStatus::ESME_RINVDSTADR)], ..Default::default() })
            .await;
    let maybug = Maybug::start().await;
    let channel = maybug.smpp_channel(smsc.simulator.address(), json!({}), json!({})).await;
    smsc.bound().await;
    let mut ids = BTreeSet::new();
    for _ in 0..3 {
        let message = maybug.send(&channel, json!({"to": PHONE, "content": "x"})).await;
        maybug.events(&channel, &message, 1).await;
        let entries = logs(&maybug, &format!("/channels/{channel}/messages/{message}/logs")).await;
        let refused = entries.iter().filter(|entry| entry["message"].as_str().unwrap().contains("was refused"));
        assert_eq!(refused.count(), 1, "{entries:?}");
        assert_eq!(commands(&entries), ["submit_sm_resp", "submit_sm"]);
        ids.insert(message);
    }
    assert_eq!(ids.len(), 3);
}
