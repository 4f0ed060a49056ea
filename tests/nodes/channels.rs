//! Everything about a channel that only the node can do which has it, asked of the other one.

use hyper::Method;
use maybug::model::Timestamp;
use maybug::smsc::SimulatorConfig;
use serde_json::{Value, json};

use crate::pair::{Pair, loopback};
use crate::support::{Receiver, Scripted, Smsc, soon, types};

#[tokio::test]
async fn a_channel_is_worked_with_from_the_node_that_does_not_have_it() {
    let pair = Pair::start().await;
    for on in [0, 1] {
        let mut smsc = Smsc::start(SimulatorConfig::default()).await;
        let id = pair.smpp_channel(on, smsc.simulator.address().port()).await;
        let (holder, other) = (&pair.nodes[on], &pair.nodes[1 - on]);
        smsc.bound().await;
        let path = format!("/channels/{id}");
        let at_other = soon("the status of a channel that is bound", async {
            loop {
                let (status, answer) = other.get(&path).await;
                if (status, &answer["result"]["status"]["status"]) == (200, &json!("ok")) {
                    return answer;
                }
            }
        })
        .await;
        assert_eq!(holder.get(&path).await.1, at_other);

        let message = other.send(&id, json!({"to": "+27820001001", "content": "by way of another"})).await;
        assert_eq!(smsc.message().await.2, "by way of another");
        assert_eq!(types(&other.events(&id, &message, 1).await), ["submitted"]);

        assert_eq!(other.post(&format!("{path}/restart"), json!({})).await.0, 200);
        smsc.bound().await;

        let later = Timestamp::now().plus(std::time::Duration::from_secs(3600)).to_string();
        let scheduled = json!({"to": "+27820001001", "content": "later", "send_at": later});
        let first = other.send(&id, scheduled.clone()).await;
        other.send(&id, scheduled).await;
        soon("two messages that wait", async {
            while other.get(&format!("{path}/queue")).await.1["result"]["outbound"]["scheduled"] != 2 {}
        })
        .await;
        let cancelled = async |path: &str| {
            let (status, _, answer) = other.request(Method::DELETE, path, b"").await;
            (status, answer["result"]["cancelled"].clone())
        };
        assert_eq!(cancelled(&format!("{path}/messages/{first}")).await, (200, json!(1)));
        assert_eq!(cancelled(&format!("{path}/messages")).await, (200, json!(1)));

        let receipt = format!("{path}/receipts/{first}");
        for (method, body) in
            [(Method::DELETE, String::new()), (Method::POST, json!({"message_id": first}).to_string())]
        {
            let (status, _, answer) = other.request(method, &receipt, body.as_bytes()).await;
            assert_eq!((status, &answer["result"]["errors"][0]["type"]), (404, &json!("ReceiptNotFound")));
        }
    }
    for node in &pair.nodes {
        let (status, answer) = node.get("/channels/none").await;
        assert_eq!((status, &answer["result"]["errors"][0]["type"]), (404, &json!("ChannelNotFound")));
    }
}

#[tokio::test]
async fn callbacks_are_made_again_and_forgotten_wherever_they_are() {
    let (pair, mut receiver) = (Pair::start().await, Receiver::start().await);
    let ids = [pair.channel(0, loopback()).await, pair.channel(1, loopback()).await];
    let refusal = || Scripted::Answer(hyper::StatusCode::UNAUTHORIZED, Vec::new());
    receiver.script([refusal(), refusal(), refusal(), refusal()]);
    let event_url = receiver.url("/e");
    for id in &ids {
        pair.nodes[0].send(id, json!({"to": "1", "content": "x", "event_url": event_url})).await;
    }
    for _ in 0..4 {
        receiver.next().await;
    }
    let parked = async |node: usize, count: usize| {
        soon("what was given up", async {
            loop {
                let (_, answer) = pair.nodes[node].get("/callbacks/").await;
                let parked = answer["result"]["callbacks"].as_array().unwrap().clone();
                if parked.len() == count {
                    return parked;
                }
            }
        })
        .await
    };
    let all = parked(0, 4).await;
    assert_eq!(parked(1, 4).await, all);
    let of = |id: &str| -> Value { all.iter().find(|parked| parked["channel_id"] == id).unwrap()["id"].clone() };
    let retry = format!("/callbacks/{}/retry", of(&ids[1]).as_str().unwrap());
    assert_eq!(pair.nodes[0].post(&retry, json!({})).await.0, 200);
    receiver.next().await;
    let forgotten = format!("/callbacks/{}", of(&ids[0]).as_str().unwrap());
    assert_eq!(pair.nodes[1].request(Method::DELETE, &forgotten, b"").await.0, 200);
    parked(0, 2).await;
    let (status, answer) = pair.nodes[0].post("/callbacks/retry", json!({})).await;
    assert_eq!((status, &answer["result"]), (200, &json!({"retried": 2})), "one of each node");
    for _ in 0..2 {
        receiver.next().await;
    }
    parked(1, 0).await;
}

#[tokio::test]
async fn messages_of_another_server_come_to_the_node_that_has_their_channel() {
    let pair = Pair::start().await;
    for on in [0, 1] {
        let id = pair.channel(on, loopback()).await;
        let other = &pair.nodes[1 - on];
        let mt = uuid::Uuid::new_v4().simple().to_string();
        let message = json!({"id": mt, "channel": id, "to": "1", "content": "x", "accepted_at": Timestamp::now()});
        let object = json!({"outbound": {"message": message, "events": []}});
        for outcome in ["created", "unchanged"] {
            let (status, answer) = other.post("/import", object.clone()).await;
            assert_eq!((status, &answer["result"]["outcome"]), (200, &json!(outcome)), "{answer}");
        }
        let (_, found) = other.get(&format!("/channels/{id}/messages")).await;
        assert_eq!(found["result"]["messages"].as_array().unwrap().len(), 1, "{found}");
    }
}

#[tokio::test]
async fn a_limit_that_refuses_counts_what_comes_by_way_of_every_node() {
    let pair = Pair::start().await;
    let mut properties = loopback();
    let limit = json!({"rate_limit_count": 4, "rate_limit_window": 600, "rate_limit_action": "reject"});
    properties.as_object_mut().unwrap().extend(limit.as_object().unwrap().clone());
    let path = format!("/channels/{}/messages/", pair.channel(1, properties).await);
    let mut answers = Vec::new();
    for node in [0, 1, 0, 1, 0, 1] {
        answers.push(pair.nodes[node].post(&path, json!({"to": "1", "content": "x"})).await.0);
    }
    assert_eq!(answers, [201, 201, 201, 201, 429, 429]);
}

#[tokio::test]
async fn a_router_knows_of_another_nodes_channel_that_it_is_down() {
    let pair = Pair::start().await;
    let up = pair.channel(1, loopback()).await;
    // Nothing listens there.
    let down = pair.smpp_channel(1, 1).await;
    let (status, answer) = pair.nodes[0].post("/routers/", json!({"type": "outbound", "config": {}})).await;
    assert_eq!(status, 201, "{answer}");
    let router = answer["result"]["id"].as_str().unwrap();
    for (channel, prefix) in [(&down, "27"), (&up, "2")] {
        let destination = json!({"config": {"channel": channel, "prefix": prefix}});
        let (status, answer) = pair.nodes[0].post(&format!("/routers/{router}/destinations/"), destination).await;
        assert_eq!(status, 201, "{answer}");
    }
    soon("a choice that goes by what the channel says", async {
        loop {
            let message = json!({"to": "+27820001001", "content": "x"});
            let (status, answer) = pair.nodes[0].post(&format!("/channels/{router}/messages/"), message).await;
            assert_eq!(status, 201, "{answer}");
            if answer["result"]["channel_id"] == *up {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}
