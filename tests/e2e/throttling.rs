//! An SMSC that asks to be sent less, or is said to: who pauses, for what, and until when.

use serde_json::{Value, json};
use smpp::CommandStatus;

use crate::peer::ScriptedSmsc;
use crate::support::{Maybug, Receiver, soon, types};

/// Waits for a status event of this type.
async fn told(receiver: &mut Receiver, kind: &str) -> Value {
    soon(kind, async {
        loop {
            let body = receiver.next().await.body;
            if body["type"] == kind {
                return body;
            }
        }
    })
    .await
}

#[tokio::test]
async fn slow_down_pauses_for_whatever_status_is_given_it() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let config = json!({"status_actions": {"ESME_RSYSERR": "slow_down"}, "throttle_delay": 3600});
    let id = maybug.smpp_channel(smsc.address(), config, json!({})).await;
    let mut peer = smsc.bound().await;
    maybug.send(&id, json!({"to": "+27820001001", "content": "one"})).await;
    let (raw, _) = peer.submit().await;
    peer.refuse(&raw, CommandStatus::ESME_RSYSERR).await;
    assert_eq!(peer.meanwhile().await.len(), 0, "it is sent again without a pause");
}

#[tokio::test]
async fn a_status_with_another_action_pauses_nothing() {
    let maybug = Maybug::start().await;
    for action in ["permanent", "retry"] {
        // Its own: the first channel comes back to its SMSC once its peer has gone.
        let smsc = ScriptedSmsc::listen().await;
        let config = json!({"status_actions": {"ESME_RMSGQFUL": action}, "throttle_delay": 3600});
        let id = maybug.smpp_channel(smsc.address(), config, json!({})).await;
        let mut peer = smsc.bound().await;
        maybug.send(&id, json!({"to": "+27820001001", "content": "to a phone that is full"})).await;
        let (raw, _) = peer.submit().await;
        peer.refuse(&raw, CommandStatus::ESME_RMSGQFUL).await;
        let other = maybug.send(&id, json!({"to": "+27820001002", "content": "to another"})).await;
        let (raw, _) = peer.submit().await;
        peer.take(&raw, "1").await;
        assert_eq!(types(&maybug.events(&id, &other, 1).await), ["submitted"], "{action}");
    }
}

#[tokio::test]
async fn a_throttled_bind_does_not_starve_the_other() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let id = maybug.smpp_channel(smsc.address(), json!({"bind_count": 2, "mt_tps": 100}), json!({})).await;
    let (mut one, mut two) = (smsc.bound().await, smsc.bound().await);
    for n in 0..110 {
        maybug.send(&id, json!({"to": "+27820001001", "content": n.to_string()})).await;
    }
    let (mut refused, mut taken) = (0, 0);
    let sharing = async {
        while taken < 100 {
            tokio::select! {
                (raw, _) = one.submit() => { one.refuse(&raw, CommandStatus::ESME_RTHROTTLED).await; refused += 1; }
                (raw, _) = two.submit() => { two.take(&raw, &format!("b{taken}")).await; taken += 1; }
            }
        }
    };
    soon("a hundred over the bind that is well", sharing).await;
    assert!(refused < 25, "{refused} refused on the one while the other took a hundred");
}

#[tokio::test]
async fn throttling_is_over_once_nothing_waits_for_its_end() {
    let smsc = ScriptedSmsc::listen().await;
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let id = maybug.smpp_channel(smsc.address(), json!({}), json!({"status_url": receiver.url("/s")})).await;
    let mut peer = smsc.bound().await;
    // Throttled, then refused for good.
    maybug.send(&id, json!({"to": "+27820001001", "content": "x"})).await;
    let (raw, _) = peer.submit().await;
    peer.refuse(&raw, CommandStatus::ESME_RTHROTTLED).await;
    told(&mut receiver, "throttled").await;
    let (raw, _) = peer.submit().await;
    peer.refuse(&raw, CommandStatus::ESME_RINVDSTADR).await;
    told(&mut receiver, "throttled_end").await;
    // Throttled until it is too late.
    let late = json!({"to": "+27820001001", "content": "x", "channel_data": {"validity_period": 4}});
    let late = maybug.send(&id, late).await;
    let refusing = async {
        loop {
            let (raw, _) = peer.submit().await;
            peer.refuse(&raw, CommandStatus::ESME_RTHROTTLED).await;
        }
    };
    let ending = async {
        told(&mut receiver, "throttled").await;
        told(&mut receiver, "throttled_end").await;
    };
    tokio::select! { () = refusing => {}, () = ending => {} }
    assert_eq!(types(&maybug.events(&id, &late, 1).await), ["expired"]);
}

#[tokio::test]
async fn retry_elsewhere_waits_where_there_is_no_other_bind() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let config = json!({"status_actions": {"0x00000450": "retry_elsewhere"}, "retry": {"0x00000450": {"count": 3, "delay": 3600}}});
    let id = maybug.smpp_channel(smsc.address(), config, json!({})).await;
    let mut peer = smsc.bound().await;
    maybug.send(&id, json!({"to": "+27820001001", "content": "x"})).await;
    let (raw, _) = peer.submit().await;
    peer.refuse(&raw, CommandStatus(0x450)).await;
    assert_eq!(peer.meanwhile().await.len(), 0, "it is sent again over the same bind at once");
}
