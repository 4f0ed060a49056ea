//! Receipts: found, learned from, combined, or kept aside.

use serde_json::{Value, json};
use smpp::CommandStatus;

use crate::peer::{Peer, ScriptedSmsc, receipt};
use crate::support::{Maybug, Receiver, types};

const PHONE: &str = "27820001001";

async fn submitted(maybug: &Maybug, peer: &mut Peer<tokio::net::TcpStream>, channel: &str, id: &str) -> String {
    let message = maybug.send(channel, json!({"to": PHONE, "content": "x"})).await;
    let (raw, _) = peer.submit().await;
    peer.take(&raw, id).await;
    maybug.events(channel, &message, 1).await;
    message
}

/// Pains 1 and 2: ids that are padded, in another case or another base in the receipt.
#[tokio::test]
async fn pain_1_and_2_ids_that_look_different_in_receipts_are_found_and_the_habit_is_learned() {
    let smsc = ScriptedSmsc::listen().await;
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let properties = json!({"status_url": receiver.url("/s")});
    let channel = maybug.smpp_channel(smsc.address(), json!({}), properties).await;
    let mut peer = smsc.bound().await;
    for n in 0..6_u32 {
        let id = 0x3860_1FA0 + n;
        let message = submitted(&maybug, &mut peer, &channel, &format!("{id:X}")).await;
        assert_eq!(peer.deliver(receipt(PHONE, &format!("{id:010}"), "DELIVRD")).await, CommandStatus::ESME_ROK);
        assert_eq!(types(&maybug.events(&channel, &message, 2).await), ["submitted", "delivery_succeeded"]);
    }
    let learned = receiver.until("what was learned", |posted| posted.body["component"] == "receipts").await["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(learned.contains("hexadecimal in responses, decimal in receipts"), "{learned}");
    let channel = maybug.smpp_channel(smsc.address(), json!({}), json!({})).await;
    let mut peer = smsc.bound().await;
    for (id, asked) in [("0012345", "12345"), ("ABC-1", "abc-1"), ("c87c2273-7edb", "C87C2273-7EDB")] {
        let message = submitted(&maybug, &mut peer, &channel, id).await;
        assert_eq!(peer.deliver(receipt(PHONE, asked, "UNDELIV")).await, CommandStatus::ESME_ROK);
        let events = maybug.events(&channel, &message, 2).await;
        assert_eq!(types(&events), ["submitted", "delivery_failed"], "{id}");
    }
}

/// The receipt `11` in decimal is of the message `b`, though a message `11` exists: the phone tells them apart. After a
/// restart what was learned holds at once, and an SMSC that changes its habit is followed.
#[tokio::test]
async fn what_was_learned_of_ids_outlives_a_restart_but_not_the_habit() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let channel = maybug.smpp_channel(smsc.address(), json!({}), json!({})).await;
    let mut peer = smsc.bound().await;
    let other = maybug.send(&channel, json!({"to": "27820009999", "content": "x"})).await;
    let (raw, _) = peer.submit().await;
    peer.take(&raw, "11").await;
    maybug.events(&channel, &other, 1).await;
    for n in 11..17 {
        let message = submitted(&maybug, &mut peer, &channel, &format!("{n:x}")).await;
        assert_eq!(peer.deliver(receipt(PHONE, &n.to_string(), "DELIVRD")).await, CommandStatus::ESME_ROK);
        assert_eq!(types(&maybug.events(&channel, &message, 2).await), ["submitted", "delivery_succeeded"], "{n}");
    }
    let (path, nothing) = (format!("/channels/{channel}/restart"), json!({}));
    let (_, (status, _)) = tokio::join!(peer.unbound(), maybug.post(&path, nothing));
    assert_eq!(status, 200);
    let mut peer = smsc.bound().await;
    // 0x26 is 38. Read as it is written, the id names the first; as learned, the second.
    let first = submitted(&maybug, &mut peer, &channel, "38").await;
    let second = submitted(&maybug, &mut peer, &channel, "26").await;
    assert_eq!(peer.deliver(receipt(PHONE, "38", "DELIVRD")).await, CommandStatus::ESME_ROK);
    assert_eq!(types(&maybug.events(&channel, &second, 2).await), ["submitted", "delivery_succeeded"]);
    assert_eq!(types(&maybug.events(&channel, &first, 1).await), ["submitted"]);
    // Now it writes ids as they are.
    let changed = submitted(&maybug, &mut peer, &channel, "fee").await;
    assert_eq!(peer.deliver(receipt(PHONE, "fee", "DELIVRD")).await, CommandStatus::ESME_ROK);
    assert_eq!(types(&maybug.events(&channel, &changed, 2).await), ["submitted", "delivery_succeeded"]);
    let changed = submitted(&maybug, &mut peer, &channel, "10000").await;
    assert_eq!(peer.deliver(receipt(PHONE, "10000", "DELIVRD")).await, CommandStatus::ESME_ROK);
    assert_eq!(types(&maybug.events(&channel, &changed, 2).await), ["submitted", "delivery_succeeded"]);
}

/// Pain 3, and field guide 8.6 #93.
#[tokio::test]
async fn pain_3_a_receipt_that_overtakes_its_response_is_matched() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let channel = maybug.smpp_channel(smsc.address(), json!({}), json!({})).await;
    let mut peer = smsc.bound().await;
    let message = maybug.send(&channel, json!({"to": PHONE, "content": "x"})).await;
    let (raw, _) = peer.submit().await;
    let sequence = peer.request(receipt(PHONE, "77", "DELIVRD")).await;
    peer.take(&raw, "77").await;
    let answer = peer.expect(smpp::CommandId::DELIVER_SM_RESP).await;
    assert_eq!((answer.sequence, answer.status), (sequence, CommandStatus::ESME_ROK));
    assert_eq!(types(&maybug.events(&channel, &message, 2).await), ["submitted", "delivery_succeeded"]);
}

#[tokio::test]
async fn receipts_of_segments_make_one_report_for_each_change() {
    let smsc = ScriptedSmsc::listen().await;
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let channel = maybug.smpp_channel(smsc.address(), json!({}), json!({})).await;
    let mut peer = smsc.bound().await;
    let body = json!({"to": PHONE, "content": "x".repeat(400), "event_url": receiver.url("/e")});
    let message = maybug.send(&channel, body).await;
    for id in ["s1", "s2", "s3"] {
        let (raw, _) = peer.submit().await;
        peer.take(&raw, id).await;
    }
    assert_eq!(receiver.next().await.body["event_type"], "submitted");
    // Out of order, one of them twice.
    for id in ["s3", "s1", "s3", "s2"] {
        assert_eq!(peer.deliver(receipt(PHONE, id, "DELIVRD")).await, CommandStatus::ESME_ROK);
    }
    let first = receiver.next().await.body;
    assert_eq!((&first["event_type"], &first["message_id"]), (&json!("delivery_pending"), &json!(message)));
    let last = receiver.next().await.body;
    assert_eq!(last["event_type"], "delivery_succeeded");
    let said = json!({"s1": "delivered", "s2": "delivered", "s3": "delivered"});
    assert_eq!(last["event_details"]["segments"], said);
    assert_eq!(receiver.posted(), 0, "no more than the changes is told");
    let all = maybug.events(&channel, &message, 5).await;
    assert_eq!(all.len(), 5, "what was not told can be looked up all the same");
}

#[tokio::test]
async fn one_failed_segment_fails_the_message_and_a_restart_forgets_nothing() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let channel = maybug.smpp_channel(smsc.address(), json!({}), json!({})).await;
    let mut peer = smsc.bound().await;
    let message = maybug.send(&channel, json!({"to": PHONE, "content": "x".repeat(200)})).await;
    for id in ["a", "b"] {
        let (raw, _) = peer.submit().await;
        peer.take(&raw, id).await;
    }
    maybug.events(&channel, &message, 1).await;
    peer.deliver(receipt(PHONE, "a", "DELIVRD")).await;
    let path = format!("/channels/{channel}/restart");
    let restart = maybug.post(&path, json!({}));
    let (_, (status, _)) = tokio::join!(peer.unbound(), restart);
    assert_eq!(status, 200);
    let mut peer = smsc.bound().await;
    peer.deliver(receipt(PHONE, "b", "EXPIRED")).await;
    let events = maybug.events(&channel, &message, 3).await;
    assert_eq!(types(&events), ["submitted", "delivery_pending", "delivery_failed"]);
    assert_eq!(events[2]["event_details"]["segments"], json!({"a": "delivered", "b": "failed"}));
}

#[tokio::test]
async fn a_receipt_for_nothing_is_kept_aside_with_its_likeliest_messages_and_can_be_given_to_one() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let channel = maybug.smpp_channel(smsc.address(), json!({}), json!({})).await;
    let mut peer = smsc.bound().await;
    let message = submitted(&maybug, &mut peer, &channel, "abc-123").await;
    let other = maybug.send(&channel, json!({"to": "27830009999", "content": "other"})).await;
    let (raw, _) = peer.submit().await;
    peer.take(&raw, "zzzzzz").await;
    maybug.events(&channel, &other, 1).await;
    assert_eq!(peer.deliver(receipt(PHONE, "xbc-123", "DELIVRD")).await, CommandStatus::ESME_ROK);
    let path = format!("/channels/{channel}/receipts/");
    let (_, inbox) = maybug.get(&path).await;
    let kept = &inbox["result"][0];
    assert_eq!((&kept["smsc_message_id"], &kept["phone"]), (&json!("xbc-123"), &json!(PHONE)));
    assert_eq!(kept["candidates"].as_array().unwrap().len(), 1, "{kept}");
    assert_eq!(kept["candidates"][0]["message_id"], json!(message));
    assert_eq!(kept["candidates"][0]["why"], "the same phone and a similar id");
    let one = format!("{path}{}", kept["id"].as_str().unwrap());
    let (status, answer) = maybug.post(&one, json!({"message_id": "x"})).await;
    assert_eq!((status, &answer["result"]["errors"][0]["type"]), (400, &json!("ApiUsageError")));
    assert_eq!(maybug.post(&one, json!({"message_id": message})).await.0, 200);
    assert_eq!(types(&maybug.events(&channel, &message, 2).await), ["submitted", "delivery_succeeded"]);
    assert_eq!(maybug.get(&path).await.1["result"], json!([]));
    assert_eq!(maybug.post(&one, json!({"message_id": message})).await.0, 404);
    // One that is of no use to anybody.
    peer.deliver(receipt(PHONE, "nothing", "DELIVRD")).await;
    let (_, inbox) = maybug.get(&path).await;
    let id = inbox["result"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(maybug.request(hyper::Method::DELETE, &format!("{path}{id}"), b"").await.0, 200);
    assert_eq!(maybug.get(&path).await.1["result"], json!([]));
}

#[tokio::test]
async fn a_changed_rule_finds_the_messages_of_receipts_that_were_kept_aside() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let channel = maybug.smpp_channel(smsc.address(), json!({"msg_id_type": "string"}), json!({})).await;
    let mut peer = smsc.bound().await;
    let message = submitted(&maybug, &mut peer, &channel, "1f").await;
    assert_eq!(peer.deliver(receipt(PHONE, "31", "DELIVRD")).await, CommandStatus::ESME_ROK);
    let path = format!("/channels/{channel}");
    assert_eq!(maybug.get(&format!("{path}/receipts")).await.1["result"].as_array().unwrap().len(), 1);
    let (_, shown) = maybug.get(&path).await;
    let mut config: Value = shown["result"]["config"].clone();
    config["msg_id_type"] = json!(1);
    let change = json!({"config": config});
    let changing = maybug.post(&path, change);
    let (_, (status, answer)) = tokio::join!(peer.unbound(), changing);
    assert_eq!(status, 200, "{answer}");
    assert_eq!(types(&maybug.events(&channel, &message, 2).await), ["submitted", "delivery_succeeded"]);
    assert_eq!(maybug.get(&format!("{path}/receipts")).await.1["result"], json!([]));
}
