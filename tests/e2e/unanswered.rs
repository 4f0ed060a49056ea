//! An SMSC that does not answer: how often it is sent the same, until when, and what is said of it.

use serde_json::json;
use smpp::pdu::UnbindResp;
use smpp::{CommandId, CommandStatus, Tlvs};
use tokio::net::TcpStream;

use crate::peer::{Peer, ScriptedSmsc};
use crate::support::{Maybug, Receiver, soon, types};

#[tokio::test]
async fn waiting_for_answers_for_ever_is_not_waiting_for_a_dead_peer() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let config = json!({"on_response_timeout": "wait", "response_timeout": 0.5, "smpp_enquire_link_interval": 0.3});
    maybug.smpp_channel(smsc.address(), config, json!({})).await;
    // Holds the connection and never answers anything again.
    let _peer = smsc.bound().await;
    smsc.bound().await;
}

#[tokio::test]
async fn what_is_waited_for_is_not_sent_twice_however_late_its_answer() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let config = json!({
        "on_response_timeout": "wait", "response_timeout": 0.1, "window_size": 1, "smpp_enquire_link_interval": 0.25,
    });
    let id = maybug.smpp_channel(smsc.address(), config, json!({})).await;
    let mut peer = smsc.bound().await;
    let message = maybug.send(&id, json!({"to": "+27820001001", "content": "slow"})).await;
    let (raw, _) = peer.submit().await;
    // The link is asked for after more than twice the time that others are given; until then nothing else may come.
    soon("an enquire_link", async {
        let log = format!("/channels/{id}/logs?type=pdu");
        while !maybug.get(&log).await.1.to_string().contains("sent enquire_link ") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(peer.meanwhile().await.len(), 0);
    peer.take(&raw, "1").await;
    assert_eq!(types(&maybug.events(&id, &message, 1).await), ["submitted"]);
}

#[tokio::test]
async fn what_has_expired_is_not_sent_again_after_a_cut() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let id = maybug.smpp_channel(smsc.address(), json!({}), json!({})).await;
    let mut peer = smsc.bound().await;
    let message = json!({"to": "+27820001001", "content": "OTP", "channel_data": {"validity_period": 1}});
    let message = maybug.send(&id, message).await;
    peer.submit().await;
    drop(peer);
    let mut peer = smsc.accept().await;
    // Its validity passes while nothing is bound.
    let events = maybug.events(&id, &message, 1).await;
    peer.accept_bind(Tlvs::default()).await;
    assert_eq!(types(&events), ["expired"]);
    let reason = events[0]["event_details"]["reason"].as_str().unwrap();
    assert!(reason.ends_with("it was sent, and the SMSC did not answer"), "{reason}");
    assert_eq!(peer.meanwhile().await.len(), 0);
}

#[tokio::test]
async fn what_is_sent_again_says_how_long_is_left_now() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let id = maybug.smpp_channel(smsc.address(), json!({}), json!({})).await;
    let mut peer = smsc.bound().await;
    let message = json!({"to": "+27820001001", "content": "OTP", "channel_data": {"validity_period": 20}});
    maybug.send(&id, message).await;
    let (_, first) = peer.submit().await;
    // Cut off and sent again until a second has passed, the least that a validity can say.
    loop {
        drop(peer);
        peer = smsc.bound().await;
        let (_, again) = peer.submit().await;
        if again.validity_period.to_text() < first.validity_period.to_text() {
            break;
        }
        assert_eq!(again.validity_period, first.validity_period, "it never grows");
    }
}

#[tokio::test]
async fn a_third_missing_answer_makes_the_bind_suspect_and_the_next_copy_late() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let id = maybug.smpp_channel(smsc.address(), json!({"response_timeout": 0.2}), json!({})).await;
    let mut peer = smsc.bound().await;
    let message = maybug.send(&id, json!({"to": "+27820001001", "content": "x"})).await;
    for _ in 0..3 {
        peer.submit().await;
    }
    soon("the unbind", peer.expect(CommandId::UNBIND)).await;
    assert_eq!(peer.meanwhile().await.len(), 0, "not a fourth time");
    drop(peer);
    let mut peer = smsc.bound().await;
    let (raw, _) = peer.submit().await;
    peer.take(&raw, "1").await;
    let events = maybug.events(&id, &message, 1).await;
    assert_eq!(events[0]["event_details"]["possible_duplicate"], true, "{events:?}");
}

/// Agrees to the unbind that comes, although what was sent has not been answered.
async fn agree(peer: &mut Peer<TcpStream>) {
    let raw = peer.expect(CommandId::UNBIND).await;
    peer.answer(&raw, CommandStatus::ESME_ROK, UnbindResp::default().into()).await;
}

/// A channel with one message on the wire and one behind it.
async fn sent_and_waiting(smsc: &ScriptedSmsc, maybug: &Maybug) -> (String, Peer<TcpStream>, [String; 2]) {
    let id = maybug.smpp_channel(smsc.address(), json!({"window_size": 1}), json!({})).await;
    let mut peer = smsc.bound().await;
    let sent = maybug.send(&id, json!({"to": "+27820001001", "content": "sent"})).await;
    let waits = maybug.send(&id, json!({"to": "+27820001001", "content": "waits"})).await;
    peer.submit().await;
    (id, peer, [sent, waits])
}

/// Answers both messages; the first may be a duplicate, the second cannot.
async fn takes_both(maybug: &Maybug, id: &str, mut peer: Peer<TcpStream>, messages: [String; 2]) {
    for (message, duplicate) in messages.iter().zip([json!(true), json!(null)]) {
        let (raw, _) = peer.submit().await;
        peer.take(&raw, message).await;
        let events = maybug.events(id, message, 1).await;
        assert_eq!(events[0]["event_details"]["possible_duplicate"], duplicate, "{events:?}");
    }
}

#[tokio::test]
async fn what_was_on_the_wire_at_a_restart_may_be_a_duplicate_and_nothing_else_is() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let (id, mut peer, messages) = sent_and_waiting(&smsc, &maybug).await;
    let path = format!("/channels/{id}/restart");
    let (_, (code, _)) = tokio::join!(agree(&mut peer), maybug.post(&path, json!({})));
    assert_eq!(code, 200);
    takes_both(&maybug, &id, smsc.bound().await, messages).await;
}

#[tokio::test]
async fn what_was_on_the_wire_when_the_server_ended_in_order_may_be_a_duplicate_and_nothing_else_is() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let (id, mut peer, messages) = sent_and_waiting(&smsc, &maybug).await;
    let directory = maybug.directory.clone();
    tokio::join!(agree(&mut peer), maybug.server.stop());
    let maybug = Maybug::at(directory, |_| {}).await;
    takes_both(&maybug, &id, smsc.bound().await, messages).await;
}

/// What was refused before the end is known not to have been taken.
#[tokio::test]
async fn what_was_throttled_while_the_channel_ended_is_no_duplicate() {
    let smsc = ScriptedSmsc::listen().await;
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let config = json!({"on_unknown": "report"});
    let id = maybug.smpp_channel(smsc.address(), config, json!({"status_url": receiver.url("/s")})).await;
    let mut peer = smsc.bound().await;
    let message = maybug.send(&id, json!({"to": "+27820001001", "content": "x"})).await;
    let (raw, _) = peer.submit().await;
    let path = format!("/channels/{id}/restart");
    tokio::join!(
        async {
            while receiver.next().await.body["type"] != "unbinding" {}
            peer.refuse(&raw, CommandStatus::ESME_RTHROTTLED).await;
            peer.unbound().await;
        },
        maybug.post(&path, json!({}))
    );
    let mut peer = smsc.bound().await;
    let (raw, _) = peer.submit().await;
    peer.take(&raw, "1").await;
    assert_eq!(types(&maybug.events(&id, &message, 1).await), ["submitted"]);
}
