//! When messages out of an AMQP queue leave, with a real RabbitMQ and an SMSC that is slow to answer: by their priority, not
//! before their time, and not when it is too late.

use hyper::Method;
use maybug::model::Timestamp;
use serde_json::{Value, json};

use crate::amqp::publish;
use crate::peer::ScriptedSmsc;
use crate::rabbitmq::RabbitMq;
use crate::support::{Maybug, soon, types};

/// A message with wishes; its id.
async fn wish(rabbitmq: &RabbitMq, content: &str, wishes: Value) -> String {
    let id = uuid::Uuid::new_v4().simple().to_string();
    let message = json!({
        "message_type": "user_message", "message_version": "20110921", "message_id": id, "content": content,
        "timestamp": "2024-03-01 09:30:00.123456", "transport_name": "slow", "transport_type": "sms",
        "to_addr": "+27820001001", "from_addr": "8110", "in_reply_to": null, "session_event": null,
        "transport_metadata": {}, "helper_metadata": wishes,
    });
    publish(rabbitmq, "slow.outbound", &message.to_string()).await;
    id
}

/// What waits for a channel, once it is what is wanted.
async fn queue(maybug: &Maybug, channel: &str, wanted: impl Fn(&Value) -> bool) {
    soon("a queue", async {
        while !wanted(&maybug.get(&format!("/channels/{channel}/queue")).await.1["result"]["outbound"]) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_urgent_overtakes_and_what_is_late_is_told() {
    let rabbitmq = RabbitMq::shared().await;
    let smsc = ScriptedSmsc::listen().await;
    let amqp = rabbitmq.config();
    let maybug = Maybug::with(|config| config.amqp = Some(amqp)).await;
    let config = json!({"window_size": 1});
    let channel = maybug.smpp_channel(smsc.address(), config, json!({"amqp_queue": "slow"})).await;
    let mut peer = smsc.bound().await;
    wish(&rabbitmq, "first", json!({})).await;
    let (mut raw, submit) = peer.submit().await;
    assert_eq!(submit.short_message.octets(), &b"first"[..]);
    // It has no answer yet, so the others wait.
    let wishes =
        [json!({}), json!({"priority": 1}), json!({"priority": "3"}), json!({"priority": 4}), json!({"priority": 2})];
    for (number, wished) in wishes.into_iter().enumerate() {
        wish(&rabbitmq, &format!("waits {number}"), wished).await;
    }
    let late = wish(&rabbitmq, "late", json!({"expires_at": "2020-01-01T00:00:00Z"})).await;
    let at = Timestamp::now().plus(std::time::Duration::from_secs(2));
    wish(&rabbitmq, "later", json!({"priority": "realtime", "send_at": at.to_string()})).await;
    wish(&rabbitmq, "urgent", json!({"priority": "realtime", "validity": 3600})).await;
    assert_eq!(types(&maybug.events(&channel, &late, 1).await), ["expired"]);
    let waiting = json!({"1": 2, "2": 1, "3": 1, "4": 1, "5": 1});
    queue(&maybug, &channel, |length| length["by_priority"] == waiting && length["scheduled"] == 1).await;
    // While nothing is answered, its time comes.
    queue(&maybug, &channel, |length| length["by_priority"]["5"] == 2).await;
    assert!(Timestamp::now() >= at);
    let mut order = Vec::new();
    for number in 0..7 {
        peer.take(&raw, &number.to_string()).await;
        let (next, submit) = peer.submit().await;
        order.push(String::from_utf8(submit.short_message.octets().to_vec()).unwrap());
        assert_eq!(!submit.validity_period.to_text().is_empty(), order.last().unwrap() == "urgent");
        raw = next;
    }
    assert_eq!(order, ["urgent", "later", "waits 3", "waits 2", "waits 4", "waits 0", "waits 1"]);
    peer.take(&raw, "last").await;

    wish(&rabbitmq, "wrong", json!({"priority": 9})).await;
    let path = format!("/channels/{channel}/failures/");
    let reason = soon("a refusal", async {
        loop {
            let found = maybug.get(&path).await.1["result"]["failures"][0]["reason"].clone();
            if found.is_string() {
                return found;
            }
        }
    })
    .await;
    assert_eq!(reason, "'priority' of 'helper_metadata' is not a number from 1 to 5, 'bulk' or 'realtime'");
    assert_eq!(rabbitmq.manage(Method::GET, "/api/queues/%2F/slow.outbound", &Value::Null).await.1["durable"], true);
    maybug.server.stop().await;
}
