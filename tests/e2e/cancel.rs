//! What waits can be counted and cancelled; what the provider may have had cannot.

use std::time::Duration;

use futures_util::future::join_all;
use hyper::Method;
use maybug::model::Timestamp;
use maybug::smsc::SimulatorConfig;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::peer::{Peer, ScriptedSmsc};
use crate::support::{Maybug, Receiver, Smsc, soon, types};

const PHONE: &str = "27820001001";

async fn delete(maybug: &Maybug, path: &str) -> (u16, Value) {
    let (status, _, answer) = maybug.request(Method::DELETE, path, b"").await;
    (status, answer)
}

/// A channel with a window of one and one message in it that is never answered.
async fn blocked(maybug: &Maybug, smsc: &ScriptedSmsc) -> (String, String, Peer<TcpStream>) {
    let config = json!({"window_size": 1, "response_timeout": 60});
    let channel = maybug.smpp_channel(smsc.address(), config, json!({})).await;
    let mut peer = smsc.bound().await;
    let held = maybug.send(&channel, json!({"to": PHONE, "content": "held"})).await;
    peer.submit().await;
    (channel, held, peer)
}

#[tokio::test]
async fn all_that_waits_is_cancelled_and_told_and_what_the_smsc_has_is_not_touched() {
    let smsc = ScriptedSmsc::listen().await;
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let (channel, held, peer) = blocked(&maybug, &smsc).await;
    let mut waiting = Vec::new();
    for n in 0..6 {
        let mut body = json!({"to": PHONE, "content": "waits", "priority": 1 + n % 2, "event_url": receiver.url("/e")});
        if n > 3 {
            body["send_at"] = json!(Timestamp::now().plus(Duration::from_secs(3_600)).to_string());
        }
        waiting.push(maybug.send(&channel, body).await);
    }
    let (status, answer) = maybug.get(&format!("/channels/{channel}/queue")).await;
    assert_eq!(status, 200);
    let expected = json!({
        "outbound": {"total": 6, "by_priority": {"1": 2, "2": 2, "3": 0, "4": 0, "5": 0}, "scheduled": 2, "in_hand": 1},
        "inbound": 0, "events": 0, "failures": null,
    });
    assert_eq!(answer["result"], expected);
    assert_eq!(maybug.get(&format!("/channels/{channel}")).await.1["result"]["status"]["queue_length"], 6);

    let messages = format!("/channels/{channel}/messages");
    let (status, answer) = delete(&maybug, &format!("{messages}?priority=2")).await;
    assert_eq!((status, &answer["description"]), (200, &json!("messages cancelled")));
    assert_eq!(answer["result"], json!({"cancelled": 3}));
    assert_eq!(delete(&maybug, &format!("{messages}/{}/", waiting[0])).await.1["result"], json!({"cancelled": 1}));
    assert_eq!(delete(&maybug, &format!("{messages}/")).await.1["result"], json!({"cancelled": 2}));
    assert_eq!(delete(&maybug, &format!("{messages}/")).await.1["result"], json!({"cancelled": 0}));
    let mut told = Vec::new();
    for _ in 0..6 {
        let body = receiver.next().await.body;
        assert_eq!((&body["event_type"], &body["event_details"]["reason"]), (&json!("rejected"), &json!("cancelled")));
        told.push(body["message_id"].as_str().unwrap().to_owned());
    }
    told.sort();
    waiting.sort();
    assert_eq!(told, waiting);
    for message in &waiting {
        assert_eq!(types(&maybug.events(&channel, message, 1).await), ["rejected"]);
    }
    for gone in [&held, &waiting[0], "0123456789abcdef0123456789abcdef", "nonsense"] {
        let (status, answer) = delete(&maybug, &format!("{messages}/{gone}")).await;
        assert_eq!((status, &answer["result"]["errors"][0]["type"]), (404, &json!("MessageNotFound")), "{gone}");
    }
    assert_eq!(maybug.get(&format!("{messages}/{held}")).await.1["result"]["events"], json!([]));
    drop(peer);
}

#[tokio::test]
async fn cancelling_says_what_is_wrong_with_the_question() {
    let maybug = Maybug::start().await;
    for path in ["/channels/x/messages/", "/channels/x/messages/y", "/channels/x/queue"] {
        let method = if path.ends_with("queue") { Method::GET } else { Method::DELETE };
        let (status, _, answer) = maybug.request(method, path, b"").await;
        assert_eq!((status, &answer["result"]["errors"][0]["type"]), (404, &json!("ChannelNotFound")), "{path}");
    }
    let channel = maybug.channel(json!({"type": "loopback", "config": {}, "mo_url": null})).await;
    for query in ["priority=6", "prioriti=1"] {
        let (status, answer) = delete(&maybug, &format!("/channels/{channel}/messages/?{query}")).await;
        assert_eq!((status, &answer["result"]["errors"][0]["type"]), (400, &json!("ApiUsageError")), "{query}");
    }
}

#[tokio::test]
async fn events_that_their_receiver_does_not_take_are_counted_for_their_channel_alone() {
    let maybug = Maybug::start().await;
    let mine =
        maybug.channel(json!({"type": "loopback", "config": {"echo": true}, "mo_url": "http://127.0.0.1:1/mo"})).await;
    let other = maybug.channel(json!({"type": "loopback", "config": {}, "mo_url": null})).await;
    maybug.send(&mine, json!({"to": "1", "content": "x", "event_url": "http://127.0.0.1:1/e"})).await;
    soon("the events", async {
        loop {
            let result = maybug.get(&format!("/channels/{mine}/queue")).await.1["result"].clone();
            if result["events"] == 2 && result["inbound"] == 1 {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    let result = maybug.get(&format!("/channels/{other}/queue")).await.1["result"].clone();
    assert_eq!((&result["events"], &result["inbound"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn what_the_provider_may_have_had_says_so_when_it_is_cancelled_after_all() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let (channel, held, peer) = blocked(&maybug, &smsc).await;
    // It goes back into its queue, and nobody is there to get it again.
    drop((peer, smsc));
    let directory = maybug.directory.clone();
    maybug.server.stop().await;
    let maybug = Maybug::at(directory, |_| {}).await;
    assert_eq!(delete(&maybug, &format!("/channels/{channel}/messages/{held}")).await.0, 200);
    let events = maybug.events(&channel, &held, 1).await;
    assert_eq!(types(&events), ["rejected"]);
    assert_eq!(events[0]["event_details"]["possible_duplicate"], json!(true), "{events:?}");
}

/// Messages that are scheduled for one instant, and for how many instants.
const AT_A_TIME: usize = 20;
const TIMES: usize = 15;

/// Has each of many scheduled messages cancelled about when its time comes, once for each of these delays in
/// microseconds; its id, its phone and how many were told that they had cancelled it.
async fn cancelled_in_time(maybug: &Maybug, channel: &str, delays: &[i64]) -> Vec<(String, String, usize)> {
    let mut outcomes = Vec::new();
    for time in 0..TIMES {
        let at = Timestamp::now().plus(Duration::from_millis(90));
        let mut sent = Vec::new();
        for number in 0..AT_A_TIME {
            let to = format!("2782{:07}", time * AT_A_TIME + number);
            let message = json!({"to": to, "content": "x", "send_at": at.to_string()});
            sent.push((maybug.send(channel, message).await, to));
        }
        let racing = sent.into_iter().enumerate().map(|(number, (id, to))| async move {
            let path = format!("/channels/{channel}/messages/{id}");
            // From a little before to a little after, one close upon the other.
            let start = at.0 - 1_000 + 120 * i64::try_from(number).unwrap();
            let one = async |delay: &i64| {
                while Timestamp::now() < Timestamp(start + delay) {
                    tokio::task::yield_now().await;
                }
                delete(maybug, &path).await
            };
            let mut cancelled = 0;
            for (status, answer) in join_all(delays.iter().map(one)).await {
                if status == 200 {
                    cancelled += 1;
                } else {
                    assert_eq!((status, &answer["result"]["errors"][0]["type"]), (404, &json!("MessageNotFound")));
                }
            }
            (id, to, cancelled)
        });
        outcomes.extend(join_all(racing).await);
    }
    outcomes
}

#[tokio::test]
async fn what_is_cancelled_just_when_its_time_comes_is_either_cancelled_or_sent() {
    let mut smsc = Smsc::start(SimulatorConfig::default()).await;
    let maybug = Maybug::start().await;
    let channel = maybug.smpp_channel(smsc.simulator.address(), json!({}), json!({})).await;
    smsc.bound().await;
    let outcomes = cancelled_in_time(&maybug, &channel, &[0, 0, 2_000]).await;
    for (id, _, cancelled) in &outcomes {
        let events = maybug.events(&channel, id, 1).await;
        let expected = if *cancelled == 0 { "submitted" } else { "rejected" };
        assert_eq!((types(&events)[0], *cancelled < 2), (expected, true), "{cancelled} have cancelled {id}");
    }
    // Whatever is still to come comes before this one.
    let last = maybug.send(&channel, json!({"to": "27830000000", "content": "last"})).await;
    maybug.events(&channel, &last, 1).await;
    let (_, queue) = maybug.get(&format!("/channels/{channel}/queue")).await;
    assert_eq!(queue["result"]["outbound"]["total"], 0, "{queue}");
    let taken = smsc.ids();
    for (id, to, cancelled) in &outcomes {
        let times = taken.get(to).map_or(0, Vec::len);
        assert_eq!(times + cancelled, 1, "{id} was sent {times} times and cancelled {cancelled} times");
    }
}

#[tokio::test]
async fn what_gets_its_place_and_cannot_be_sent_is_cancelled_whenever_it_is() {
    let maybug = Maybug::start().await;
    let config = json!({"twisted_endpoint": "tcp:127.0.0.1:1", "system_id": "e", "password": "p"});
    let channel = maybug.channel(json!({"type": "smpp", "config": config, "mo_url": null})).await;
    // One alone: whoever comes too late for another is told so.
    for (id, _, cancelled) in cancelled_in_time(&maybug, &channel, &[0]).await {
        assert_eq!(cancelled, 1, "{id} was cancelled {cancelled} times");
        assert_eq!(types(&maybug.events(&channel, &id, 1).await), ["rejected"]);
    }
}
