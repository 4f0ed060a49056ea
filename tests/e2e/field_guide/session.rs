//! §8.5: connections, binds, silence and ends, seen by the SMSC and by whoever reads the channel's status.

use std::time::Duration;

use serde_json::json;
use smpp::pdu::{EnquireLink, Outbind, Unbind};
use smpp::{CommandId, CommandStatus, Tlvs};
use tokio::net::TcpListener;

use super::{Bound, PHONE};
use crate::peer::{ScriptedSmsc, mo};
use crate::support::{Maybug, Receiver, soon, types};

/// Field guide 8.5 #64: nobody is there.
#[tokio::test]
async fn an_smsc_that_cannot_be_reached_is_said_and_tried_again() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let properties = json!({"status_url": receiver.url("/s")});
    maybug.smpp_channel(free, json!({}), properties.clone()).await;
    let failed = receiver.told("connect_failed").await["message"].as_str().unwrap().to_owned();
    assert_eq!(failed, format!("Connecting to {free} failed: Connection refused (os error 111)"));
    let nowhere = json!({"twisted_endpoint": "tcp:host=no.such.host.invalid:port=2775"});
    maybug.smpp_channel(free, nowhere, properties).await;
    let failed = soon("the name", async {
        loop {
            let message = receiver.told("connect_failed").await["message"].as_str().unwrap().to_owned();
            if message.contains("cannot be resolved") {
                return message;
            }
        }
    });
    assert!(failed.await.contains("no.such.host.invalid"));
    let listener = TcpListener::bind(free).await.unwrap();
    soon("another try", listener.accept()).await.unwrap();
}

/// Field guide 8.5 #65 and #66: connected, and then nothing.
#[tokio::test]
async fn a_bind_that_is_not_answered_or_closed_upon_is_tried_again_ever_later() {
    let smsc = ScriptedSmsc::listen().await;
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let config = json!({"smpp_bind_timeout": 0.1, "initial_reconnect_delay": 0.05, "max_reconnect_delay": 30});
    maybug.smpp_channel(smsc.address(), config, json!({"status_url": receiver.url("/s")})).await;
    let silent = smsc.accept().await;
    assert_eq!(receiver.told("bind_timeout").await["message"], "Timed out awaiting bind");
    drop(silent);
    let mut waits = Vec::new();
    let mut last = tokio::time::Instant::now();
    for _ in 0..4 {
        drop(smsc.accept().await);
        waits.push(last.elapsed());
        last = tokio::time::Instant::now();
    }
    assert!(waits[3] > waits[1], "{waits:?}");
}

/// Field guide 8.5 #67: every refusal of a bind is shown with its reason.
#[tokio::test]
async fn every_refusal_of_a_bind_is_shown() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    // The least seconds until the next try: a refused account must not get locked.
    for (status, name, wait) in [
        (0x0d, "ESME_RBINDFAIL", 20.0),
        (0x0e, "ESME_RINVPASWD", 48.0),
        (0x05, "ESME_RALYBND", 24.0),
        (0x53, "ESME_RINVSYSTYP", 48.0),
    ] {
        let mut receiver = Receiver::start().await;
        let id = maybug.smpp_channel(smsc.address(), json!({}), json!({"status_url": receiver.url("/s")})).await;
        smsc.accept().await.refuse_bind(CommandStatus(status)).await;
        let failed = receiver.told("bind_failed").await;
        assert_eq!(failed["message"], format!("Bind failed: {name} ({status:#010x})"));
        assert!(failed["details"]["next_attempt_in"].as_f64().unwrap() >= wait, "{failed}");
        maybug.request(hyper::Method::DELETE, &format!("/channels/{id}"), b"").await;
    }
}

/// Field guide 8.5 #68 and #69: PDUs before the answer to the bind.
#[tokio::test]
async fn before_the_bind_is_answered_the_link_is_alive_and_takes_no_messages() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    maybug.smpp_channel(smsc.address(), json!({}), json!({})).await;
    let mut peer = smsc.accept().await;
    let sequence = peer.request(EnquireLink::default()).await;
    assert_eq!(peer.expect(CommandId::ENQUIRE_LINK_RESP).await.sequence, sequence);
    assert_eq!(peer.deliver(mo(PHONE, "too early")).await, CommandStatus::ESME_RINVBNDSTS);
    peer.accept_bind(Tlvs::default()).await;
    assert_eq!(peer.deliver(mo(PHONE, "now")).await, CommandStatus::ESME_ROK);
}

/// Field guide 8.5 #71: half open.
#[tokio::test]
async fn a_peer_that_says_nothing_is_left() {
    // Whoever waits for answers for ever does not wait for a dead link.
    for on_response_timeout in ["resend", "wait"] {
        let mut receiver = Receiver::start().await;
        let maybug = Maybug::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = json!({
            "smpp_enquire_link_interval": 0.05, "response_timeout": 0.1, "on_response_timeout": on_response_timeout,
        });
        let properties = json!({"status_url": receiver.url("/s")});
        maybug.smpp_channel(listener.local_addr().unwrap(), config, properties).await;
        let (stream, _) = soon("a connection", listener.accept()).await.unwrap();
        let mut peer = crate::peer::Peer::new(stream);
        peer.accept_bind(Tlvs::default()).await;
        // Nobody reads or answers from here on.
        let lost = receiver.told("connection_lost").await;
        assert_eq!(lost["message"], "The SMSC stopped answering enquire_link.");
    }
}

/// Field guide 8.5 #72: the SMSC unbinds, with our window full.
#[tokio::test]
async fn an_unbind_from_the_smsc_is_answered_and_the_channel_binds_again() {
    let mut bound = Bound::new(json!({"window_size": 2})).await;
    let mut messages = Vec::new();
    for n in 0..2 {
        let message = json!({"to": PHONE, "content": n.to_string()});
        messages.push(bound.maybug.send(&bound.channel, message).await);
    }
    let (first, _) = bound.peer.submit().await;
    bound.peer.submit().await;
    bound.peer.request(Unbind::default()).await;
    bound.peer.expect(CommandId::UNBIND_RESP).await;
    bound.peer.take(&first, "1").await;
    drop(bound.peer);
    let mut peer = bound.smsc.bound().await;
    let (second, _) = peer.submit().await;
    peer.take(&second, "2").await;
    for message in &messages {
        assert_eq!(types(&bound.maybug.events(&bound.channel, message, 1).await), ["submitted"]);
    }
}

/// Field guide 8.5 #73 to #75: our own unbind.
#[tokio::test]
async fn a_stop_ends_in_order_whatever_the_smsc_does_and_once_only() {
    let mut bound = Bound::new(json!({})).await;
    let path = format!("/channels/{}", bound.channel);
    let deleting = bound.maybug.request(hyper::Method::DELETE, &path, b"");
    let closing = async {
        bound.peer.expect(CommandId::UNBIND).await;
        // Closes instead of answering.
        drop(bound.peer);
    };
    let ((status, _, _), ()) = tokio::join!(deleting, closing);
    assert_eq!(status, 200);
    assert_eq!(bound.maybug.request(hyper::Method::DELETE, &path, b"").await.0, 404, "the second finds nothing");
}

/// Field guide 8.5 #76 and #77: what was not answered is sent again, and only that.
#[tokio::test]
async fn after_a_loss_only_the_unanswered_segments_are_sent_again_in_order() {
    let mut bound = Bound::new(json!({})).await;
    let message = bound.maybug.send(&bound.channel, json!({"to": PHONE, "content": "x".repeat(500)})).await;
    let mut segments = Vec::new();
    for _ in 0..4 {
        segments.push(bound.peer.submit().await);
    }
    bound.peer.take(&segments[1].0, "b").await;
    // The answer is in before the end is: the channel reads in order.
    drop(bound.peer);
    let mut peer = bound.smsc.bound().await;
    for expected in [0, 2, 3] {
        let (raw, submit) = peer.submit().await;
        assert_eq!(submit, segments[expected].1, "the same octets, the same reference");
        peer.take(&raw, &expected.to_string()).await;
    }
    let events = bound.maybug.events(&bound.channel, &message, 1).await;
    assert_eq!(types(&events), ["submitted"]);
    assert_eq!(events[0]["event_details"]["possible_duplicate"], true);
}

/// Field guide 8.5 #80 and #81: segments count for the rate, and a throttled one is sent again alone.
#[tokio::test]
async fn segments_are_what_the_rate_counts_and_a_throttled_one_is_sent_again_alone() {
    let mut bound = Bound::new(json!({"mt_tps": 4, "throttle_delay": 0.05})).await;
    let long = json!({"to": PHONE, "content": "x".repeat(400)});
    let message = bound.maybug.send(&bound.channel, long).await;
    let begun = tokio::time::Instant::now();
    let first = bound.peer.submit().await;
    let second = bound.peer.submit().await;
    let third = bound.peer.submit().await;
    assert!(begun.elapsed() > Duration::from_millis(400), "{:?}", begun.elapsed());
    bound.peer.take(&first.0, "a").await;
    bound.peer.take(&third.0, "c").await;
    bound.peer.refuse(&second.0, CommandStatus::ESME_RTHROTTLED).await;
    let (again, submit) = bound.peer.submit().await;
    assert_eq!(submit, second.1);
    assert_ne!(again.sequence, second.0.sequence);
    bound.peer.take(&again, "b").await;
    assert_eq!(types(&bound.maybug.events(&bound.channel, &message, 1).await), ["submitted"]);
}

/// Field guide 8.5 #82; pain 32: throttled twice with others waiting, all in the end and none twice, in order.
#[tokio::test]
async fn pain_32_throttled_messages_keep_their_order_and_none_is_sent_twice() {
    let mut bound = Bound::new(json!({"window_size": 1, "throttle_delay": 0.05})).await;
    let mut messages = Vec::new();
    for n in 0..5 {
        let message = json!({"to": PHONE, "content": n.to_string()});
        messages.push(bound.maybug.send(&bound.channel, message).await);
    }
    let (mut order, mut refusals) = (Vec::new(), Vec::new());
    while order.len() < 5 {
        let (raw, submit) = bound.peer.submit().await;
        let text = String::from_utf8(submit.short_message.octets().to_vec()).unwrap();
        if refusals.len() < 2 {
            refusals.push(tokio::time::Instant::now());
            bound.peer.refuse(&raw, CommandStatus::ESME_RTHROTTLED).await;
        } else {
            order.push(text.clone());
            bound.peer.take(&raw, &text).await;
        }
    }
    assert_eq!(order, ["0", "1", "2", "3", "4"]);
    assert!(refusals[1] - refusals[0] >= Duration::from_millis(45), "it does not run hot");
    for message in &messages {
        assert_eq!(types(&bound.maybug.events(&bound.channel, message, 1).await), ["submitted"]);
    }
}

/// Field guide 8.5 #83: throttled, lost, bound again.
#[tokio::test]
async fn what_was_throttled_when_the_link_was_lost_is_sent_after_the_next_bind() {
    let mut bound = Bound::new(json!({"throttle_delay": 30})).await;
    let message = bound.maybug.send(&bound.channel, json!({"to": PHONE, "content": "x"})).await;
    let (raw, _) = bound.peer.submit().await;
    bound.peer.refuse(&raw, CommandStatus::ESME_RTHROTTLED).await;
    bound.told("throttled").await;
    drop(bound.peer);
    let mut peer = bound.smsc.bound().await;
    let (raw, _) = peer.submit().await;
    peer.take(&raw, "1").await;
    assert_eq!(types(&bound.maybug.events(&bound.channel, &message, 1).await), ["submitted"]);
}

/// Field guide 8.5 #84: outbind on a connection that is bound.
#[tokio::test]
async fn an_outbind_that_nobody_waits_for_changes_nothing() {
    let mut bound = Bound::new(json!({})).await;
    bound.peer.request(Outbind::default()).await;
    bound.takes(mo(PHONE, "still there")).await;
}

/// Pain 29: "already bound" after a loss mends itself.
#[tokio::test]
async fn pain_29_already_bound_is_waited_out() {
    let smsc = ScriptedSmsc::listen().await;
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    maybug.smpp_channel(smsc.address(), json!({}), json!({"status_url": receiver.url("/s")})).await;
    smsc.accept().await.refuse_bind(CommandStatus::ESME_RALYBND).await;
    let failed = receiver.told("bind_failed").await;
    let wait = failed["details"]["next_attempt_in"].as_f64().unwrap();
    assert!(
        (24.0..=36.0).contains(&wait),
        "long enough for the old bind to die, short enough not to be missed: {wait}"
    );
}
