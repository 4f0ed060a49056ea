//! `maybug check --from junebug-redis` on a real Redis that was filled as Junebug fills it.

use ::redis::aio::MultiplexedConnection;
use bytes::Bytes;
use hyper::{HeaderMap, Method};
use maybug::server::Server;
use maybug::web::client::{Allowed, Client};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::redis::Redis;
use crate::server::{DEADLINE, config, soon};

const SMPP: &str = "0d9a2f0e-6f43-4a9e-8f0d-5f0a3c1b7e11";
const LOOPBACK: &str = "7c0f8f5e-1d0c-4b57-9d6a-3d1fbb0f4e22";
const ROUTED: &str = "b0a6f7c2-54f0-4d52-9d38-8f1f0b9d6c33";
const ROUTER: &str = "d1e2f3a4-0b1c-4d2e-8f3a-4b5c6d7e8f44";
const DESTINATION: &str = "e5f6a7b8-1c2d-4e3f-9a4b-5c6d7e8f9a55";
const MO: &str = "5f1c3a8e9b0d4c7fa1e2d3c4b5a69788";
const MT: &str = "7f1c3a8e9b0d4c7fa1e2d3c4b5a69788";
const ROUTED_MO: &str = "6f1c3a8e9b0d4c7fa1e2d3c4b5a69788";

/// What Junebug has of three channels, of a router with a destination, and of two MOs that came just now.
async fn fill(redis: &mut MultiplexedConnection) {
    let smpp = json!({"type": "smpp", "label": "mno", "mo_url": "http://app.example/mo", "status_url": null, "config": {
        "system_id": "me", "password": "secret", "twisted_endpoint": "tcp:127.0.0.1:1",
    }, "metadata": {"a": 1}});
    let loopback = json!({"type": "loopback", "config": {}, "amqp_queue": "q"});
    let now = maybug::model::Timestamp::now().to_string();
    let mo = |id: &str, channel: &str| {
        json!({
            "message_type": "user_message", "message_version": "20110921", "message_id": id, "timestamp": now,
            "transport_name": channel, "transport_type": "sms", "to_addr": "8110", "from_addr": "+27820000001",
            "group": null, "provider": "mno", "in_reply_to": null, "content": "hi", "session_event": null,
            "helper_metadata": {}, "transport_metadata": {"x": 1}, "routing_metadata": {},
        })
    };
    let router = json!({"id": ROUTER, "type": "from_address", "label": "by number", "config": {"channel": ROUTED}});
    let destination = json!({
        "id": DESTINATION, "config": {"regular_expression": "^811"}, "mo_url": "http://app.example/router", "mo_url_token": "t",
    });
    let status = json!({"message_type": "status_event", "component": "smpp", "status": "ok", "type": "bound"});
    let sent = json!({
        "message_id": MT, "channel_id": SMPP, "timestamp": now, "to": "+27820000001", "from": "8110", "group": null,
        "reply_to": null, "content": "hello", "channel_data": {}, "event_url": "http://app.example/events", "priority": "3",
    });
    let event = |id: &str, at: &str, more: Value| {
        let mut event = json!({"message_type": "event", "event_id": id, "user_message_id": MT, "timestamp": at});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event.to_string()
    };
    let ack = event(
        "aa1c3a8e9b0d4c7fa1e2d3c4b5a69788",
        "2024-03-01 09:30:01.000210",
        json!({"event_type": "ack", "sent_message_id": "smsc-1"}),
    );
    let report = json!({"event_type": "delivery_report", "delivery_status": "pending"});
    let report = event("0b1c3a8e9b0d4c7fa1e2d3c4b5a69788", "2024-03-01 09:30:02.000210", report);
    let mut pipe = ::redis::pipe();
    pipe.sadd("channels", &[SMPP, LOOPBACK, ROUTED])
        .set(format!("{ROUTED}:properties"), json!({"type": "loopback", "config": {}}).to_string())
        .sadd("routers", ROUTER)
        .set(format!("routers:{ROUTER}"), router.to_string())
        .sadd(format!("routers:{ROUTER}:destinations"), DESTINATION)
        .set(format!("routers:{ROUTER}:destinations:{DESTINATION}"), destination.to_string())
        .hset(format!("{DESTINATION}:inbound_messages:{ROUTED_MO}"), "message", mo(ROUTED_MO, ROUTED).to_string())
        .set(format!("{SMPP}:properties"), smpp.to_string())
        .hset(format!("{SMPP}:status"), "smpp", status.to_string())
        .set(format!("{SMPP}:outbound:171234"), 4)
        .set(format!("{LOOPBACK}:properties"), loopback.to_string())
        .hset(format!("{LOOPBACK}:inbound_messages:{MO}"), "message", mo(MO, LOOPBACK).to_string())
        .expire(format!("{LOOPBACK}:inbound_messages:{MO}"), 500)
        .hset(format!("{LOOPBACK}:inbound_messages:odd"), "message", "no JSON")
        .hset(format!("{SMPP}:outbound_messages:{MT}"), "message", sent.to_string())
        .hset(format!("{SMPP}:outbound_messages:{MT}"), "0b", report)
        .hset(format!("{SMPP}:outbound_messages:{MT}"), "aa", ack)
        .hset(format!("{SMPP}:outbound_messages:expired"), "aa", "{}");
    pipe.exec_async(redis).await.unwrap();
}

/// Runs `maybug check --from junebug-redis`: whether it succeeded, and what it wrote to both outputs.
async fn check(redis: &Redis, more: &[&str]) -> (bool, String, String) {
    let url = format!("redis://:secret@127.0.0.1:{}/3", redis.port);
    let mut command = Command::new(env!("CARGO_BIN_EXE_maybug"));
    command.args(["check", "--from", "junebug-redis", &url]).args(more);
    let output = soon("check", command.output()).await.unwrap();
    let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
    assert!(!text(&output.stderr).contains(":secret@"), "the password shows: {}", text(&output.stderr));
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

/// What a server answers.
async fn ask(method: Method, api: &str, path: &str, body: String) -> Value {
    let client = Client::new(Allowed { networks: vec!["127.0.0.0/8".parse().unwrap()] });
    let url = format!("{api}{path}").parse().unwrap();
    let answer = client.request(method, &url, HeaderMap::new(), Bytes::from(body), DEADLINE).await.unwrap();
    let mut envelope: Value = serde_json::from_slice(&answer.body).unwrap();
    assert!(answer.status.is_success(), "{envelope}");
    envelope["result"].take()
}

async fn get(api: &str, path: &str) -> Value {
    ask(Method::GET, api, path, String::new()).await
}

async fn post(api: &str, path: &str, body: Value) -> Value {
    ask(Method::POST, api, path, body.to_string()).await
}

async fn connection(redis: &Redis) -> MultiplexedConnection {
    let client = ::redis::Client::open(format!("redis://:secret@127.0.0.1:{}/3", redis.port)).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

#[tokio::test]
async fn what_junebug_kept_is_taken_over_under_its_ids() {
    let redis = Redis::start("secret").await;
    let mut database = connection(&redis).await;
    let (succeeded, _, said) = check(&redis, &[]).await;
    assert!(!succeeded && said.contains("no set 'channels' and no set 'routers'"), "{said}");
    fill(&mut database).await;

    // Something cannot be read: it is named, the rest is shown.
    let (succeeded, shown, said) = check(&redis, &["--json"]).await;
    assert!(!succeeded && said.contains("1 more are left out"), "{said}");
    assert!(said.contains(&format!("channel {SMPP}: Junebug's last word of smpp: ok, bound")), "{said}");
    assert!(said.contains("1 outbound messages, which are not sent again"), "{said}");
    let shown: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(shown[0]["channel"]["id"], SMPP);
    assert_eq!(shown[0]["channel"]["properties"]["config"]["strict_vumi"], true);
    assert_eq!(shown[0]["channel"]["properties"]["metadata"], json!({"a": 1}));
    assert_eq!(shown[3]["router"]["properties"]["label"], "by number");
    assert_eq!(shown[4]["destination"]["router"], ROUTER);
    assert_eq!(shown[4]["destination"]["properties"]["mo_url_token"], "t");
    assert_eq!(shown[5]["inbound"]["id"], MO);
    assert_eq!(shown[6]["inbound"]["destinations"], json!([DESTINATION]));
    ::redis::cmd("DEL").arg(format!("{LOOPBACK}:inbound_messages:odd")).exec_async(&mut database).await.unwrap();

    // Into the directory of a server that is stopped, twice.
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let apply = ["--apply", "--data", data.to_str().unwrap()];
    for outcome in ["created", "unchanged"] {
        let (succeeded, done, said) = check(&redis, &apply).await;
        assert!(succeeded, "{said}");
        let wanted = [
            format!("channel {SMPP}"),
            format!("channel {LOOPBACK}"),
            format!("channel {ROUTED}"),
            format!("router {ROUTER}"),
            format!("destination {DESTINATION} of {ROUTER}"),
            format!("inbound {MO}"),
            format!("inbound {ROUTED_MO}"),
            format!("outbound {MT}"),
        ];
        assert_eq!(done.lines().collect::<Vec<_>>(), wanted.map(|object| format!("{object}: {outcome}")));
    }
    // Into one that runs: everything is there by now, and runs.
    let server = Server::start(&config(directory.path())).await.unwrap();
    let (succeeded, _, said) = check(&redis, &apply).await;
    assert!(!succeeded && said.contains("give a running one as --api URL"), "{said}");
    let api = format!("http://{}", server.addresses()[0]);
    let apply = ["--apply", "--api", &api, "--json"];
    let (succeeded, done, said) = check(&redis, &apply).await;
    assert!(succeeded && done.lines().count() == 8, "{done}{said}");
    assert!(done.lines().all(|line| line.contains("\"outcome\":\"unchanged\"")), "{done}");
    let reply = |to: &str| json!({"reply_to": to, "content": "and you?"});
    let sent = post(&api, &format!("/channels/{LOOPBACK}/messages/"), reply(MO)).await;
    assert_eq!((&sent["to"], &sent["from"]), (&json!("+27820000001"), &json!("8110")), "{sent}");
    let path = format!("/routers/{ROUTER}/destinations/{DESTINATION}/messages/");
    assert_eq!(post(&api, &path, reply(ROUTED_MO)).await["channel_id"], ROUTED);

    // What was sent can be asked for, and is not sent again.
    let state = get(&api, &format!("/channels/{SMPP}/messages/{MT}")).await;
    assert_eq!(state["last_event_type"], "delivery_pending", "{state}");
    assert_eq!(state["events"][0]["event_type"], "submitted", "{state}");
    assert_eq!(server.gateway().depth(&SMPP.into()).waiting, 0);

    // What changed there since is refused, and what is new is created.
    let properties = json!({"type": "loopback", "config": {}, "amqp_queue": "other"});
    let mut pipe = ::redis::pipe();
    pipe.set(format!("{LOOPBACK}:properties"), properties.to_string())
        .sadd("channels", &["new", "broken", "gone"])
        .set("new:properties", json!({"type": "loopback", "config": {}}).to_string())
        .set("broken:properties", json!({"type": "xmpp", "config": {}}).to_string());
    pipe.exec_async(&mut database).await.unwrap();
    let (succeeded, done, said) = check(&redis, &["--apply", "--api", &api]).await;
    assert!(!succeeded, "{done}");
    for line in [
        "channel broken: refused: Invalid channel type 'xmpp'",
        "channel new: created",
        &format!("channel {LOOPBACK}: refused: it is there already and differs in 'amqp_queue'"),
        &format!("channel {SMPP}: unchanged"),
    ] {
        assert!(done.lines().any(|told| told.starts_with(line)), "{line}: {done}");
    }
    assert!(said.contains("channel gone: it is listed, but there is no 'gone:properties'"), "{said}");
    assert!(said.contains("3 things were not taken over"), "{said}");
    let (_, _, said) = check(&redis, &[]).await;
    assert!(said.contains("channel broken: there is no channel type 'xmpp'"), "{said}");
    assert_eq!(server.gateway().channel(&"new".into()).unwrap().text("type"), Some("loopback"));
    server.stop().await;
}

#[tokio::test]
async fn a_redis_that_is_not_there_is_told_without_its_password() {
    let url = "redis://:secret@127.0.0.1:1/0";
    let mut command = Command::new(env!("CARGO_BIN_EXE_maybug"));
    let output = command.args(["check", "--from", "junebug-redis", url]).output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("redis://:…@127.0.0.1:1/0 cannot be read"), "{said}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_maybug"));
    let output = command.args(["check", "--from", "junebug-redis", "rediss://:secret@h/0"]).output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("TLS is not supported here") && !said.contains("secret"), "{said}");
}
