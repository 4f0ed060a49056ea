//! Messages that are to be sent at a time, or are worth nothing after one, as applications and SMSCs see them.

use std::time::Duration;

use hyper::Method;
use maybug::model::Timestamp;
use maybug::smsc::SimulatorConfig;
use serde_json::{Value, json};

use crate::peer::ScriptedSmsc;
use crate::support::{Maybug, Process, Receiver, Smsc, call, types};

const PHONE: &str = "27820001001";

fn later(by: Duration) -> String {
    Timestamp::now().plus(by).to_string()
}

/// A channel whose SMSC is not there.
async fn down(maybug: &Maybug) -> String {
    let config = json!({"twisted_endpoint": "tcp:127.0.0.1:1", "system_id": "e", "password": "p"});
    maybug.channel(json!({"type": "smpp", "config": config, "mo_url": null})).await
}

#[tokio::test]
async fn messages_leave_at_their_time_in_the_order_of_their_times() {
    let mut smsc = Smsc::start(SimulatorConfig::default()).await;
    let maybug = Maybug::start().await;
    let channel = maybug.smpp_channel(smsc.simulator.address(), json!({}), json!({})).await;
    smsc.bound().await;
    let first = Timestamp::now().plus(Duration::from_millis(600));
    let iso = format!("{}+00:00", first.to_string().replace(' ', "T"));
    let second = later(Duration::from_millis(900));
    maybug.send(&channel, json!({"to": PHONE, "content": "second", "send_at": second})).await;
    maybug.send(&channel, json!({"to": PHONE, "content": "first", "send_at": iso})).await;
    maybug.send(&channel, json!({"to": PHONE, "content": "past", "send_at": "2020-01-01 00:00:00"})).await;
    assert_eq!(smsc.message().await.2, "past");
    let (_, answer) = maybug.get(&format!("/channels/{channel}/queue")).await;
    assert_eq!(answer["description"], "queue length");
    assert_eq!(answer["result"]["outbound"]["scheduled"], 2, "{answer}");
    assert_eq!(smsc.message().await.2, "first");
    assert!(Timestamp::now() >= first);
    assert_eq!(smsc.message().await.2, "second");
}

#[tokio::test]
async fn a_kill_neither_loses_nor_hastens_what_is_scheduled() {
    let directory = tempfile::tempdir().unwrap();
    let mut smsc = Smsc::start(SimulatorConfig::default()).await;
    let address = smsc.simulator.address();
    let process = Process::start(directory.path(), &[]).await;
    let config = json!({
        "twisted_endpoint": format!("tcp:{}:{}", address.ip(), address.port()), "system_id": "e", "password": "p",
    });
    let created = json!({"type": "smpp", "config": config, "mo_url": null});
    let answer = call(&process.base, "/channels/", Some(created)).await;
    let channel = answer["result"]["id"].as_str().unwrap().to_owned();
    let at = Timestamp::now().plus(Duration::from_secs(2));
    let body = json!({"to": PHONE, "content": "x", "send_at": at.to_string()});
    let sent = call(&process.base, &format!("/channels/{channel}/messages/"), Some(body)).await;
    let message = sent["result"]["message_id"].as_str().unwrap().to_owned();
    process.kill().await;
    let process = Process::start(directory.path(), &[]).await;
    assert_eq!(smsc.message().await.2, "x");
    assert!(Timestamp::now() >= at);
    let path = format!("/channels/{channel}/messages/{message}");
    while call(&process.base, &path, None).await["result"]["last_event_type"] != "submitted" {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_expires_is_told_in_time_although_the_channel_is_down() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let channel = down(&maybug).await;
    let url = receiver.url("/e");
    let body = |content: &str| json!({"to": PHONE, "content": content, "event_url": url});
    let mut bodies = [body("validity"), body("expires_at"), body("scheduled")];
    bodies[0]["validity"] = json!(1);
    bodies[1]["expires_at"] = json!(later(Duration::from_millis(700)));
    bodies[2]["expires_at"] = json!(later(Duration::from_millis(900)));
    bodies[2]["send_at"] = json!(later(Duration::from_millis(300)));
    let mut sent = Vec::new();
    for body in bodies {
        sent.push(maybug.send(&channel, body).await);
    }
    let stays = maybug.send(&channel, json!({"to": PHONE, "content": "stays", "validity": 3600})).await;
    for _ in 0..3 {
        let posted = receiver.next().await.body;
        assert_eq!(posted["event_type"], "expired", "{posted}");
        assert!(sent.iter().any(|id| posted["message_id"] == **id));
    }
    for message in &sent {
        let events = maybug.events(&channel, message, 1).await;
        assert_eq!(types(&events), ["expired"]);
        assert!(events[0]["event_details"]["reason"].as_str().unwrap().starts_with("not sent before 20"), "{events:?}");
    }
    assert_eq!(maybug.get(&format!("/channels/{channel}/queue/")).await.1["result"]["outbound"]["total"], 1);
    let state = maybug.get(&format!("/channels/{channel}/messages/{stays}")).await.1;
    assert_eq!(state["result"]["events"], json!([]));
}

#[tokio::test]
async fn what_expires_in_the_hands_of_a_channel_that_was_cut_off_is_told_in_time() {
    let smsc = ScriptedSmsc::listen().await;
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let config = json!({"window_size": 1, "initial_reconnect_delay": 60, "max_reconnect_delay": 60});
    let channel = maybug.smpp_channel(smsc.address(), config, json!({})).await;
    let mut peer = smsc.bound().await;
    let body = json!({"to": PHONE, "content": "x".repeat(400), "validity": 2, "event_url": receiver.url("/e")});
    maybug.send(&channel, body).await;
    // The first of three segments is under way, the others wait for it.
    peer.submit().await;
    drop(peer);
    assert_eq!(receiver.next().await.body["event_type"], "expired");
}

#[tokio::test]
async fn what_is_left_of_the_validity_goes_to_the_smsc_whatever_ends_first() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let channel = maybug.smpp_channel(smsc.address(), json!({"validity_period": 300}), json!({})).await;
    let mut peer = smsc.bound().await;
    let absolute = "991231235959000+";
    for (fields, expected) in [
        (json!({"validity": 200}), "000000000319000R"),
        (json!({"validity": 7200}), "000000000459000R"),
        (json!({"validity": 7200, "channel_data": {"validity_period": 3600}}), "000000005959000R"),
        (json!({"channel_data": {"validity_period": absolute}}), absolute),
        (json!({"validity": 7200, "channel_data": {"validity_period": absolute}}), "000000015959000R"),
        (json!({"validity": 7200, "channel_data": {"validity_period": "000000010000000R"}}), "000000010000000R"),
    ] {
        let mut body = json!({"to": PHONE, "content": "x"});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        maybug.send(&channel, body).await;
        let (raw, submit) = peer.submit().await;
        assert_eq!(submit.validity_period.to_text(), expected, "{fields}");
        peer.take(&raw, "a").await;
    }
}

#[tokio::test]
async fn times_that_make_no_sense_are_refused_by_name() {
    let maybug = Maybug::start().await;
    let channel = down(&maybug).await;
    let far = later(Duration::from_secs(400 * 24 * 3_600));
    let soon = later(Duration::from_secs(3_600));
    for (fields, kind, named) in [
        (json!({"send_at": "soon"}), "invalid_body", "'soon' is not a 'date-time'"),
        (json!({"send_at": "2026-08-01T08:00:00"}), "invalid_body", "is not a 'date-time'"),
        (json!({"send_at": null}), "invalid_body", "None is not of type 'string'"),
        (json!({"send_at": far}), "ApiUsageError", "\"send_at\" is more than 366 days ahead"),
        (json!({"validity": 0}), "invalid_body", "0 is less than the minimum of 1"),
        (json!({"validity": "60"}), "invalid_body", "'60' is not of type 'integer'"),
        (json!({"validity": 99_999_999}), "invalid_body", "is greater than the maximum of"),
        (json!({"expires_at": "2020-01-01 00:00:00"}), "ApiUsageError", "\"expires_at\" is not later than now"),
        (json!({"send_at": soon, "expires_at": soon}), "ApiUsageError", "\"expires_at\" is not later than \"send_at\""),
    ] {
        let mut body = json!({"to": PHONE, "content": "x"});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let (status, _, answer) =
            maybug.request(Method::POST, &format!("/channels/{channel}/messages/"), body.to_string().as_bytes()).await;
        let error = &answer["result"]["errors"][0];
        assert_eq!((status, &error["type"]), (400, &Value::from(kind)), "{fields}: {answer}");
        assert!(error["message"].as_str().unwrap().contains(named), "{fields}: {answer}");
    }
    assert_eq!(maybug.get(&format!("/channels/{channel}/queue")).await.1["result"]["outbound"]["total"], 0);
}
