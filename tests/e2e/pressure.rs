//! What is refused when there is no room, and by whom it is noticed.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use hyper::Method;
use maybug::gateway::{GatewayError, Via};
use maybug::smsc::{PhoneMessage, SimEvent};
use maybug::store::CommitError;
use serde_json::json;
use smpp::CommandStatus;

use crate::support::{Maybug, Smsc};

#[tokio::test]
async fn a_full_disk_leaves_messages_from_phones_with_the_smsc() {
    let mut smsc = Smsc::start(Default::default()).await;
    let full = Maybug::with(|config| config.min_free = u64::MAX / 8).await;
    full.smpp_channel(smsc.simulator.address(), json!({}), json!({})).await;
    let message = PhoneMessage { from: "27820001001".into(), to: "40404".into(), text: "keep me".into() };
    smsc.simulator.inject(&message).unwrap();
    let answer = smsc.next("the refusal", |event| match event {
        SimEvent::Delivered { status, .. } => Some(*status),
        _ => None,
    });
    assert_eq!(answer.await, CommandStatus::ESME_RX_T_APPN);
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let maybug = Maybug::start().await;
    let (status, headers, body) = maybug.request(Method::HEAD, "/channels/", b"").await;
    assert_eq!((status, body.is_null()), (200, true));
    assert!(headers.contains_key("content-length"));
}

#[tokio::test]
async fn one_blocked_channel_leaves_the_others_their_pace() {
    let mut smsc = Smsc::start(Default::default()).await;
    let maybug = Maybug::start().await;
    let unreachable = json!({"twisted_endpoint": "tcp:127.0.0.1:1", "system_id": "me", "password": "p"});
    let blocked = maybug.channel(json!({"type": "smpp", "config": unreachable, "mo_url": null})).await;
    let free = maybug.smpp_channel(smsc.simulator.address(), json!({}), json!({})).await;
    for n in 0..200 {
        maybug.send(&blocked, json!({"to": "27820001001", "content": "stuck"})).await;
        maybug.send(&free, json!({"to": "27820001001", "content": n.to_string()})).await;
    }
    for n in 0..200 {
        assert_eq!(smsc.message().await.2, n.to_string());
    }
    assert_eq!(maybug.server.gateway().depth(&blocked.as_str().into()).waiting, 200);
}

/// However much waits: what is urgent is behind at most what the window holds already.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_realtime_message_overtakes_a_million_within_one_window() {
    let smsc = crate::peer::ScriptedSmsc::listen().await;
    let maybug = Maybug::with(|config| config.sync = false).await;
    // Nobody reads the SMSC's end while the queue is filled.
    let patient = json!({"window_size": 10, "response_timeout": 3600});
    let channel = maybug.smpp_channel(smsc.address(), patient, json!({})).await;
    let mut peer = smsc.bound().await;
    let gateway = maybug.server.gateway();
    let id = channel.as_str().into();
    let bulk = (0..1_000_000).map(|number| {
        let draft = maybug::gateway::Draft {
            to: Some("27820001001".into()),
            content: format!("bulk {number}"),
            ..Default::default()
        };
        let (gateway, id) = (&gateway, &id);
        async move {
            // As a client would: a store that is busy asks to be asked again.
            while let Err(error) = gateway.send(Via::Channel(id), draft.clone()).await {
                assert_eq!(error, GatewayError::Store(CommitError::Busy));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    });
    let mut accepted = pin!(futures_util::stream::iter(bulk).buffer_unordered(1_000));
    while accepted.next().await.is_some() {}
    maybug.send(&channel, json!({"to": "27820001001", "content": "now", "priority": 5})).await;
    // The window has been full since long before.
    let mut place = 0;
    loop {
        let (raw, submit) = peer.submit().await;
        peer.take(&raw, &place.to_string()).await;
        if submit.short_message.octets() == &b"now"[..] {
            break;
        }
        place += 1;
    }
    assert!(place <= 10, "behind {place} others");
    assert!(gateway.depth(&id).waiting > 999_000);
}

/// The same where the bulk is long: behind the window and the rest of one message.
#[tokio::test]
async fn a_realtime_message_overtakes_long_ones_too() {
    let smsc = crate::peer::ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let id = maybug.smpp_channel(smsc.address(), json!({"window_size": 10}), json!({})).await;
    let mut peer = smsc.accept().await;
    for _ in 0..20 {
        maybug.send(&id, json!({"to": "+27820001001", "content": "x".repeat(153 * 20), "priority": 1})).await;
    }
    peer.accept_bind(smpp::Tlvs::default()).await;
    let (mut raw, mut submit) = peer.submit().await;
    maybug.send(&id, json!({"to": "+27820001002", "content": "1234", "priority": 5})).await;
    let mut before = 0;
    while submit.destination.digits.to_text() != "27820001002" {
        peer.take(&raw, &before.to_string()).await;
        before += 1;
        (raw, submit) = peer.submit().await;
    }
    assert!(before <= 20, "behind {before} segments");
}

#[tokio::test]
async fn long_messages_that_wait_for_a_retry_stay_in_the_queue_but_for_a_few() {
    let smsc = crate::peer::ScriptedSmsc::listen().await;
    let maybug = Maybug::with(|config| config.sync = false).await;
    let config = json!({"retry": {"ESME_RSYSERR": {"count": -1, "delay": 3600}}, "window_size": 500});
    let channel = maybug.smpp_channel(smsc.address(), config, json!({})).await;
    let mut peer = smsc.accept().await;
    let gateway = maybug.server.gateway();
    let id = channel.as_str().into();
    let long =
        maybug::gateway::Draft { to: Some("27820001001".into()), content: "x".repeat(200), ..Default::default() };
    let mut accepted = pin!(
        futures_util::stream::iter((0..3_000).map(|_| gateway.send(Via::Channel(&id), long.clone())))
            .buffer_unordered(100)
    );
    while accepted.next().await.is_some() {}
    peer.accept_bind(smpp::Tlvs::default()).await;
    let mut sent = 0;
    loop {
        let came = peer.meanwhile().await;
        if came.is_empty() && sent > 0 {
            break;
        }
        for raw in came {
            sent += 1;
            peer.refuse(&raw, CommandStatus::ESME_RSYSERR).await;
        }
    }
    assert!((2_000..4_000).contains(&sent), "{sent} of 6000 segments wait in memory for an hour");
}
