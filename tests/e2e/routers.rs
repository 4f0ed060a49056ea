//! Routers and destinations: what anybody may define, where MOs go, who may answer them, where events go, and what is
//! counted and logged for whom.

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Maybug, Receiver, Scripted, Smsc, soon, types};
use maybug::smsc::{PhoneMessage, SimulatorConfig};

/// A channel to a simulated SMSC that nobody gets the MOs of.
async fn smsc_channel(maybug: &Maybug, smsc: &mut Smsc) -> String {
    let address = smsc.simulator.address();
    let config = json!({
        "twisted_endpoint": format!("tcp:{}:{}", address.ip(), address.port()), "system_id": "esme",
        "password": "secret", "initial_reconnect_delay": 0.05, "registered_delivery": true,
    });
    let channel = maybug.channel(json!({"type": "smpp", "config": config})).await;
    smsc.bound().await;
    channel
}

async fn created(maybug: &Maybug, path: &str, body: Value) -> String {
    let (status, answer) = maybug.post(path, body).await;
    assert_eq!(status, 201, "{answer}");
    answer["result"]["id"].as_str().unwrap().to_owned()
}

async fn router(maybug: &Maybug, router_type: &str, config: Value) -> String {
    created(maybug, "/routers/", json!({"type": router_type, "config": config})).await
}

async fn destination(maybug: &Maybug, router: &str, config: Value, url: &str) -> String {
    let body = json!({"config": config, "mo_url": url, "mo_url_token": "s3cret"});
    created(maybug, &format!("/routers/{router}/destinations/"), body).await
}

fn phone(smsc: &Smsc, to: &str, text: &str) {
    let message = PhoneMessage { from: "27820001001".into(), to: to.into(), text: text.into() };
    assert_eq!(smsc.simulator.inject(&message), Ok(1));
}

#[tokio::test]
async fn every_matching_destination_gets_a_copy_and_only_it_may_answer() {
    let (maybug, mut smsc) = (Maybug::start().await, Smsc::start(SimulatorConfig::default()).await);
    let mut receiver = Receiver::start().await;
    let channel = smsc_channel(&maybug, &mut smsc).await;
    let router = router(&maybug, "from_address", json!({"channel": channel})).await;
    let one = destination(&maybug, &router, json!({"regular_expression": "^4040"}), &receiver.url("/one")).await;
    let two = destination(&maybug, &router, json!({"regular_expression": "4$"}), &receiver.url("/two")).await;
    let rest = json!({"regular_expression": "^$", "default": true});
    destination(&maybug, &router, rest, &receiver.url("/rest")).await;
    phone(&smsc, "40404", "both");
    let posted = [receiver.next().await, receiver.next().await];
    let mut paths: Vec<&str> = posted.iter().map(|posted| posted.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/one", "/two"]);
    for posted in &posted {
        assert_eq!(posted.headers["authorization"], "Token s3cret");
        assert_eq!(posted.headers["x-junebug-attempt"], "1");
        assert_eq!(posted.body["channel_id"], *channel);
    }
    phone(&smsc, "999", "nobody's");
    assert_eq!(receiver.next().await.path, "/rest");
    phone(&smsc, "1114", "two's");
    let mine = receiver.next().await;
    assert_eq!(mine.path, "/two");
    let reply = json!({"reply_to": mine.body["message_id"], "content": "yes"});
    let path = |destination: &str| format!("/routers/{router}/destinations/{destination}/messages/");
    let (status, answer) = maybug.post(&path(&one), reply.clone()).await;
    assert_eq!((status, &answer["result"]["errors"][0]["type"]), (400, &json!("MessageNotFound")));
    let (status, answer) = maybug.post(&path(&two), reply).await;
    assert_eq!((status, &answer["result"]["channel_id"]), (201, &json!(channel)));
    assert_eq!(smsc.message().await, ("1114".into(), "27820001001".into(), "yes".into()));
}

#[tokio::test]
async fn events_of_a_destination_bear_its_name_and_it_is_counted_and_limited() {
    let maybug = Maybug::with(|config| config.metric_window = 0.2).await;
    let mut receiver = Receiver::start().await;
    let channel = maybug.channel(json!({"type": "loopback", "config": {}, "character_limit": 10})).await;
    let (status, answer) =
        maybug.post(&format!("/channels/{channel}/messages/"), json!({"to": "1", "content": "x"})).await;
    assert_eq!((status, &answer["result"]["errors"][0]["type"]), (400, &json!("ApiUsageError")));
    let router = router(&maybug, "from_address", json!({"channel": channel})).await;
    let body = json!({"config": {"regular_expression": "^8110$"}, "character_limit": 5});
    let id = created(&maybug, &format!("/routers/{router}/destinations/"), body).await;
    let path = format!("/routers/{router}/destinations/{id}/messages");
    let (status, answer) = maybug.post(&path, json!({"to": "1", "content": "123456"})).await;
    assert_eq!((status, &answer["result"]["errors"][0]["type"]), (400, &json!("MessageTooLong")));
    let body = json!({"to": "1", "content": "12345", "event_url": receiver.url("/e?m=%I&d=%d")});
    let (status, answer) = maybug.post(&path, body).await;
    assert_eq!(status, 201, "{answer}");
    let message = answer["result"]["message_id"].as_str().unwrap();
    for delivery in ["8", "1"] {
        let posted = receiver.next().await;
        assert_eq!(posted.path, format!("/e?m={message}&d={delivery}"));
        assert_eq!(posted.body["channel_id"], *id);
    }
    let (_, shown) = maybug.get(&format!("{path}/{message}")).await;
    assert_eq!(types(shown["result"]["events"].as_array().unwrap()), ["submitted", "delivery_succeeded"]);
    assert_eq!(shown["result"]["events"][0]["channel_id"], *id);
    // Seen from the channel it is the channel's.
    assert_eq!(maybug.events(&channel, message, 2).await[0]["channel_id"], *channel);
    // Sent on the channel from the destination's number, it is the destination's to hear of.
    let sent = maybug.send(&channel, json!({"to": "1", "from": "8110", "content": "x"})).await;
    maybug.events(&channel, &sent, 2).await;
    let (_, shown) = maybug.get(&format!("{path}/{sent}")).await;
    assert_eq!(shown["result"]["events"].as_array().unwrap().len(), 2);
    for of in [format!("/routers/{router}"), format!("/routers/{router}/destinations/{id}")] {
        soon("rates", async {
            loop {
                maybug.send(&channel, json!({"to": "1", "from": "8110", "content": "x"})).await;
                let (_, shown) = maybug.get(&of).await;
                if shown["result"]["status"]["delivery_succeeded_rate"] != 0 {
                    return;
                }
            }
        })
        .await;
    }
}

#[tokio::test]
async fn definitions_survive_a_restart_and_a_change_that_is_wrong() {
    let maybug = Maybug::start().await;
    let channel = maybug.channel(json!({"type": "loopback", "config": {"echo": true}})).await;
    let router = router(&maybug, "from_address", json!({"channel": channel})).await;
    let destination = destination(&maybug, &router, json!({"regular_expression": "^1$"}), "http://127.0.0.1:1/").await;
    let of_router = format!("/routers/{router}");
    let of_destination = format!("{of_router}/destinations/{destination}");
    let patch = async |path: &str, body: Value| {
        let (status, _, answer) = maybug.request(Method::PATCH, path, body.to_string().as_bytes()).await;
        (status, answer["result"].clone())
    };
    let (status, _) = patch(&of_destination, json!({"config": {"regular_expression": "(?=x)"}})).await;
    assert_eq!(status, 400);
    assert_eq!(patch(&of_destination, json!({"label": "one"})).await.1["config"]["regular_expression"], "^1$");
    assert_eq!(patch(&of_router, json!({"type": "percentage"})).await.0, 400, "its destination has none");
    assert_eq!(patch(&of_router, json!({"label": "mine"})).await.1["config"]["channel"], *channel);
    // Nobody else may get the channel's MOs meanwhile.
    let (status, answer) = maybug.post(&format!("/channels/{channel}"), json!({"mo_url": null})).await;
    assert_eq!((status, &answer["result"]["errors"][0]["type"]), (400, &json!("ApiUsageError")));
    let directory = maybug.directory.clone();
    maybug.server.stop().await;
    let maybug = Maybug::at(directory, |_| {}).await;
    let (_, shown) = maybug.get(&of_destination).await;
    assert_eq!((&shown["result"]["label"], &shown["result"]["id"]), (&json!("one"), &json!(destination)));
    let (status, _) = maybug.get(&format!("{of_destination}/logs")).await;
    assert_eq!(status, 200);
    // A message that nobody wants is said to be so in the router's log.
    maybug.send(&channel, json!({"to": "27820001001", "from": "2", "content": "x"})).await;
    soon("the log", async {
        loop {
            let (_, logs) = maybug.get(&format!("{of_router}/logs")).await;
            if logs["result"].to_string().contains("was not routed: no destination matches") {
                return;
            }
        }
    })
    .await;
    assert_eq!(maybug.request(Method::DELETE, &of_router, b"").await.0, 200);
    assert_eq!(maybug.get(&of_destination).await.0, 404);
    assert_eq!(maybug.post(&format!("/channels/{channel}"), json!({"mo_url": null})).await.0, 200);
}

#[tokio::test]
async fn what_one_receiver_cannot_take_another_one_gets() {
    let maybug = Maybug::start().await;
    let (mut first, mut second) = (Receiver::start().await, Receiver::start().await);
    let channel = maybug.channel(json!({"type": "loopback", "config": {"echo": true}})).await;
    let router = router(&maybug, "failover", json!({"channel": channel, "after_failures": 2})).await;
    destination(&maybug, &router, json!({"priority": 1}), &first.url("/first")).await;
    let heir = destination(&maybug, &router, json!({"priority": 2}), &second.url("/second")).await;
    first.script([503, 500].map(|status| Scripted::Answer(StatusCode::from_u16(status).unwrap(), Vec::new())));
    maybug.send(&channel, json!({"to": "27820001001", "from": "8110", "content": "x"})).await;
    for attempt in ["1", "2"] {
        assert_eq!(first.next().await.headers["x-junebug-attempt"], attempt);
    }
    let taken = second.next().await;
    assert_eq!((taken.path.as_str(), &taken.headers["x-junebug-attempt"]), ("/second", &"1".parse().unwrap()));
    let reply = json!({"reply_to": taken.body["message_id"], "content": "yes"});
    let (status, answer) = maybug.post(&format!("/routers/{router}/destinations/{heir}/messages/"), reply).await;
    assert_eq!(status, 201, "{answer}");
    first.until("the echo of the reply", |posted| posted.body["content"] == "yes").await;
    // What neither wants goes round once, and is kept aside.
    for receiver in [&first, &second] {
        receiver.script([Scripted::Answer(StatusCode::NOT_FOUND, Vec::new())]);
    }
    maybug.send(&channel, json!({"to": "27820001001", "from": "8110", "content": "y"})).await;
    let refused = async |receiver: &mut Receiver| receiver.until("y", |posted| posted.body["content"] == "y").await;
    refused(&mut first).await;
    let unwanted = refused(&mut second).await;
    soon("the callback that nobody took", async {
        loop {
            let (_, parked) = maybug.get("/callbacks/").await;
            let parked = &parked["result"]["callbacks"][0];
            if parked["message_id"] == unwanted["message_id"] {
                assert_eq!(parked["destination_id"], *heir);
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_session_stays_where_it_began_after_a_restart_too() {
    let maybug = Maybug::start().await;
    let mut receiver = Receiver::start().await;
    let channel = maybug.channel(json!({"type": "loopback", "config": {"echo": true}})).await;
    let router = router(&maybug, "session", json!({"channel": channel})).await;
    destination(&maybug, &router, json!({"code": "*120*1#"}), &receiver.url("/bank")).await;
    destination(&maybug, &router, json!({"default": true}), &receiver.url("/rest")).await;
    let step = |from: &str, event: &str| json!({"to": "27820001001", "from": from, "content": "x", "channel_data": {"session_event": event}});
    maybug.send(&channel, step("*120*1#", "new")).await;
    assert_eq!(receiver.next().await.path, "/bank");
    let directory = maybug.directory.clone();
    maybug.server.stop().await;
    let maybug = Maybug::at(directory, |_| {}).await;
    for (from, event, path) in [("1", "resume", "/bank"), ("1", "close", "/bank"), ("1", "resume", "/rest")] {
        maybug.send(&channel, step(from, event)).await;
        let posted = receiver.next().await;
        assert_eq!((posted.path.as_str(), &posted.body["channel_data"]["session_event"]), (path, &json!(event)));
    }
}

#[tokio::test]
async fn an_outbound_router_is_sent_to_like_a_channel_and_chooses_one_that_is_up() {
    let maybug = Maybug::start().await;
    let mut receiver = Receiver::start().await;
    let up = maybug.channel(json!({"type": "loopback", "config": {"echo": true}, "mo_url": receiver.url("/mo")})).await;
    // Nothing listens there.
    let config = json!({"twisted_endpoint": "tcp:127.0.0.1:1", "system_id": "a", "password": "b"});
    let down = maybug.channel(json!({"type": "smpp", "config": config, "mo_url": null})).await;
    soon("the channel's word", async {
        while maybug.get(&format!("/channels/{down}")).await.1["result"]["status"]["status"] != "down" {}
    })
    .await;
    let router = router(&maybug, "outbound", json!({})).await;
    let add = async |config: Value| {
        let body = json!({"config": config});
        maybug.post(&format!("/routers/{router}/destinations/"), body).await
    };
    assert_eq!(
        add(json!({"channel": "no-such", "prefix": "27"})).await.1["result"]["errors"][0]["message"],
        "Channel no-such does not exist"
    );
    assert_eq!(add(json!({"channel": down, "prefix": "27"})).await.0, 201);
    assert_eq!(add(json!({"channel": up, "prefix": "2"})).await.0, 201);
    let path = format!("/channels/{router}/messages/");
    let body = json!({"to": "+27820001001", "from": "8110", "content": "x"});
    let (status, answer) = maybug.post(&path, body).await;
    assert_eq!((status, &answer["result"]["channel_id"]), (201, &json!(up)), "{answer}");
    let message = answer["result"]["message_id"].as_str().unwrap();
    assert_eq!(types(&maybug.events(&router, message, 2).await), ["submitted", "delivery_succeeded"]);
    let (status, answer) = maybug.post(&path, json!({"to": "+491", "content": "x"})).await;
    assert_eq!((status, &answer["result"]["errors"][0]["type"]), (400, &json!("NoRoute")));
    // A reply goes where the message came from.
    let mo = receiver.mo().await;
    let (status, answer) = maybug.post(&path, json!({"reply_to": mo["message_id"], "content": "y"})).await;
    assert_eq!((status, &answer["result"]["channel_id"]), (201, &json!(up)), "{answer}");
    let (status, _) = maybug.post("/channels/no-such/messages/", json!({"to": "1", "content": "x"})).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn what_nobody_can_take_goes_round_once_and_is_kept_aside_when_it_is_old() {
    const MESSAGES: usize = 40;
    let maybug = Maybug::with(|config| config.callback_max_age = 1).await;
    let (mut first, mut second) = (Receiver::start().await, Receiver::start().await);
    let channel = maybug.channel(json!({"type": "loopback", "config": {"echo": true}})).await;
    let router = router(&maybug, "failover", json!({"channel": channel, "after_failures": 1})).await;
    let mut heirs = Vec::new();
    for (priority, receiver) in [&first, &second].into_iter().enumerate() {
        heirs.push(destination(&maybug, &router, json!({"priority": priority}), &receiver.url("/down")).await);
        receiver.script(vec![Scripted::Answer(StatusCode::SERVICE_UNAVAILABLE, Vec::new()); 100 * MESSAGES]);
    }
    // One alone, before the hosts have failed so often that they are spared.
    let message = || json!({"to": "27820001001", "from": "8110", "content": "x"});
    maybug.send(&channel, message()).await;
    let parked = async |count: usize| {
        soon("what nobody took", async {
            loop {
                let (_, parked) = maybug.get("/callbacks/").await;
                let parked = parked["result"]["callbacks"].as_array().unwrap().clone();
                assert!(parked.len() <= count, "one was kept aside twice: {parked:?}");
                if parked.len() == count {
                    return parked;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    };
    let alone = parked(1).await;
    assert_eq!(alone[0]["destination_id"], *heirs[1]);
    assert_eq!(first.next().await.headers["x-junebug-attempt"], "1");
    assert_eq!((first.posted(), second.next().await.headers["x-junebug-attempt"].clone()), (0, "1".parse().unwrap()));
    // Many, until both hosts are spared and long after.
    for _ in 1..MESSAGES {
        maybug.send(&channel, message()).await;
    }
    let all = parked(MESSAGES).await;
    let ids: std::collections::BTreeSet<_> = all.iter().map(|parked| parked["message_id"].to_string()).collect();
    assert_eq!(ids.len(), MESSAGES);
}
