//! The life of channels: what is asked for is finished, and nobody waits for somebody else's channel.

use std::pin::pin;

use hyper::Method;
use maybug::smsc::{SimEvent, SimulatorConfig};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::peer::ScriptedSmsc;
use crate::support::{Maybug, Receiver, Smsc, soon, types};

#[tokio::test]
async fn a_restart_is_finished_although_whoever_asked_has_gone() {
    let maybug = Maybug::start().await;
    let id = maybug.channel(json!({"type": "loopback", "config": {}, "mo_url": null})).await;
    let channel = id.as_str().into();
    for _ in 0..3 {
        // What hyper does to an answer when its connection closes.
        let mut restart = pin!(maybug.server.gateway().restart_channel(&channel));
        assert!(futures_util::poll!(restart.as_mut()).is_pending());
    }
    let message = maybug.send(&id, json!({"to": "1", "content": "x"})).await;
    assert_eq!(types(&maybug.events(&id, &message, 2).await), ["submitted", "delivery_succeeded"]);
}

#[tokio::test]
async fn a_connection_that_closes_during_a_restart_leaves_the_channel_bound() {
    let mut smsc = Smsc::start(SimulatorConfig { no_response: 1.0, ..Default::default() }).await;
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let config = json!({"response_timeout": 1});
    let properties = json!({"status_url": receiver.url("/status")});
    let id = maybug.smpp_channel(smsc.simulator.address(), config, properties).await;
    receiver.told("bound").await;
    smsc.bound().await;
    maybug.send(&id, json!({"to": "27820001001", "content": "never answered"})).await;
    smsc.next("the message", |event| matches!(event, SimEvent::Message { .. }).then_some(())).await;
    let mut stream = TcpStream::connect(maybug.server.addresses()[0]).await.unwrap();
    let request = format!("POST /channels/{id}/restart HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    receiver.told("unbinding").await;
    drop(stream);
    smsc.bound().await;
}

#[tokio::test]
async fn a_channel_that_takes_long_to_end_holds_up_no_other() {
    let mut smsc = Smsc::start(SimulatorConfig { no_response: 1.0, ..Default::default() }).await;
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let properties = json!({"status_url": receiver.url("/status")});
    let slow = maybug.smpp_channel(smsc.simulator.address(), json!({}), properties).await;
    let other = maybug.channel(json!({"type": "loopback", "config": {}, "mo_url": null})).await;
    receiver.told("bound").await;
    maybug.send(&slow, json!({"to": "27820001001", "content": "never answered"})).await;
    smsc.next("the message", |event| matches!(event, SimEvent::Message { .. }).then_some(())).await;
    let path = format!("/channels/{slow}/restart");
    let mut ending = pin!(maybug.request(Method::POST, &path, b""));
    tokio::select! {
        _ = &mut ending => panic!("it had an answer to wait for"),
        _ = receiver.told("unbinding") => {}
    }
    let others = async {
        let path = format!("/channels/{other}");
        assert_eq!(maybug.request(Method::POST, &format!("{path}/restart"), b"").await.0, 200);
        assert_eq!(maybug.post(&path, json!({"config": {"echo": true}})).await.0, 200);
        assert_eq!(maybug.request(Method::DELETE, &path, b"").await.0, 200);
        maybug.channel(json!({"type": "loopback", "config": {}})).await;
    };
    tokio::select! {
        _ = &mut ending => panic!("the others had to wait for it"),
        () = soon("the others", others) => {}
    }
}

/// What was answered before the restart began is decided, though it may not be on disk yet when the channel has ended.
#[tokio::test]
async fn a_restart_sends_nothing_again_that_the_smsc_has_taken() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let id = maybug.smpp_channel(smsc.address(), json!({"window_size": 20}), json!({})).await;
    let path = format!("/channels/{id}/restart");
    let mut peer = smsc.bound().await;
    for round in 0..10 {
        for n in 0..20 {
            maybug.send(&id, json!({"to": "+27820001001", "content": format!("{round}.{n}")})).await;
        }
        for n in 0..20 {
            let (raw, submit) = peer.submit().await;
            assert_eq!(submit.short_message.octets(), format!("{round}.{n}").as_bytes());
            peer.take(&raw, "").await;
        }
        let (_, (status, _)) = tokio::join!(peer.unbound(), maybug.post(&path, json!({})));
        assert_eq!(status, 200);
        peer = smsc.bound().await;
    }
}
