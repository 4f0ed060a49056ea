//! Lines 24 to 63: channels are created, read, changed, deleted and restarted.

use hyper::Method;
use maybug::smsc::{SimEvent, SimulatorConfig};
use serde_json::{Value, json};

use crate::setup::{RATES, echoing, error, keys, loopback, phone_writes, violations, with_quiet};
use crate::support::{Maybug, Receiver, Smsc};

/// What a refused create says.
async fn refused(properties: Value) -> Vec<(String, String)> {
    let maybug = Maybug::start().await;
    let (status, answer) = maybug.post("/channels/", properties).await;
    violations(status, &answer)
}

fn row(message: &str, path: &str) -> (String, String) {
    (message.to_owned(), path.to_owned())
}

/// An `smpp` channel's config for a host that does not listen.
fn unreachable() -> Value {
    json!({"twisted_endpoint": "tcp:127.0.0.1:1", "system_id": "me", "password": "p"})
}

/// Junebug 24: An empty create names `config` and `type`.
#[tokio::test]
async fn line_024_an_empty_create_names_config_and_type() {
    let expected =
        [row("'config' is a required property", "required"), row("'type' is a required property", "required")];
    assert_eq!(refused(json!({})).await, expected);
}

/// Junebug 25: A negative `rate_limit_count` breaks the minimum.
#[tokio::test]
async fn line_025_a_negative_rate_limit_count_is_named() {
    let expected = [row("-3 is less than the minimum of 0", "properties.rate_limit_count.minimum")];
    assert_eq!(refused(loopback(json!({"rate_limit_count": -3}))).await, expected);
}

/// Junebug 26: A `character_limit` that is text has the wrong type; ours may be null as well.
#[tokio::test]
async fn line_026_a_character_limit_of_text_is_named() {
    let expected = [row("'a' is not of type 'integer', 'null'", "properties.character_limit.type")];
    assert_eq!(refused(loopback(json!({"character_limit": "a"}))).await, expected);
}

/// Junebug 27: Both at once are both told.
#[tokio::test]
async fn line_027_every_violation_is_told() {
    let expected = [
        row("'a' is not of type 'integer', 'null'", "properties.character_limit.type"),
        row("-3 is less than the minimum of 0", "properties.rate_limit_count.minimum"),
    ];
    assert_eq!(refused(loopback(json!({"rate_limit_count": -3, "character_limit": "a"}))).await, expected);
}

/// Junebug 28: `config` as a list has the wrong type.
#[tokio::test]
async fn line_028_config_must_be_an_object() {
    let expected = [row("[] is not of type 'object'", "properties.config.type")];
    assert_eq!(refused(loopback(json!({"config": []}))).await, expected);
}

/// Junebug 29: A negative `rate_limit_window` breaks the minimum.
#[tokio::test]
async fn line_029_a_negative_rate_limit_window_is_named() {
    let expected = [row("-1 is less than the minimum of 0", "properties.rate_limit_window.minimum")];
    assert_eq!(refused(loopback(json!({"rate_limit_window": -1}))).await, expected);
}

/// Junebug 30: `mo_url_auth_token` must be text; ours may be null as well, and is held to that in changes too.
#[tokio::test]
async fn line_030_mo_url_auth_token_must_be_text() {
    let expected = [row("5 is not of type 'string', 'null'", "properties.mo_url_auth_token.type")];
    assert_eq!(refused(loopback(json!({"mo_url_auth_token": 5}))).await, expected);
    let maybug = Maybug::start().await;
    let path = format!("/channels/{}", maybug.channel(loopback(json!({"mo_url_auth_token": null}))).await);
    let (status, answer) = maybug.post(&path, json!({"mo_url_auth_token": 5})).await;
    assert_eq!(violations(status, &answer), expected);
}

/// Junebug 31: A create is 201 `Created` `channel created`.
#[tokio::test]
async fn line_031_a_create_is_201() {
    let maybug = Maybug::start().await;
    let (status, answer) = maybug.post("/channels/", loopback(json!({}))).await;
    assert_eq!((status, &answer["code"]), (201, &json!("Created")));
    assert_eq!(answer["description"], "channel created");
}

/// Junebug 32: What was given is shown unchanged; passwords in `config` only with `expose_secrets`, else masked.
#[tokio::test]
async fn line_032_what_was_given_is_shown_unchanged() {
    let mut given = json!({
        "type": "smpp", "config": unreachable(), "label": "ž", "metadata": {"a": [1, null]},
        "status_url": "http://127.0.0.1:1/s", "mo_url": "http://127.0.0.1:1/m", "mo_url_auth_token": "t",
        "rate_limit_count": 500, "rate_limit_window": 10, "character_limit": 160,
    });
    for expose in [true, false] {
        let maybug = Maybug::with(|config| config.expose_secrets = expose).await;
        let (_, answer) = maybug.post("/channels/", given.clone()).await;
        if !expose {
            given["config"]["password"] = json!("********");
        }
        for (key, value) in given.as_object().unwrap() {
            assert_eq!(&answer["result"][key], value, "{key}");
        }
    }
}

/// Junebug 33: The id is a dashed UUID of ours.
#[tokio::test]
async fn line_033_the_id_is_a_dashed_uuid() {
    let maybug = Maybug::start().await;
    let id = maybug.channel(loopback(json!({"id": "mine"}))).await;
    let uuid = uuid::Uuid::parse_str(&id).unwrap();
    assert_eq!(id, uuid.hyphenated().to_string());
}

/// Junebug 34: Before a component has said anything the status is null, and there are no components.
#[tokio::test]
async fn line_034_no_status_yet_is_null() {
    let maybug = with_quiet().await;
    let (_, answer) = maybug.post("/channels/", json!({"type": "quiet", "config": {}})).await;
    let status = &answer["result"]["status"];
    assert_eq!((status.get("status"), &status["components"]), (Some(&Value::Null), &json!({})));
}

/// Junebug 35: A new channel's seven rates are 0.
#[tokio::test]
async fn line_035_new_rates_are_zero() {
    let maybug = Maybug::start().await;
    let (_, answer) = maybug.post("/channels/", loopback(json!({}))).await;
    for rate in RATES {
        assert_eq!(answer["result"]["status"][rate].to_string(), "0", "{rate}: no fraction, as Junebug");
    }
}

/// Junebug 36: What was not given is absent.
#[tokio::test]
async fn line_036_what_was_not_given_is_absent() {
    let maybug = Maybug::start().await;
    let (_, answer) = maybug.post("/channels/", json!({"type": "loopback", "config": {}})).await;
    assert_eq!(keys(&answer["result"]), ["config", "id", "status", "type"]);
}

/// Junebug 37: An unknown key is kept and shown.
#[tokio::test]
async fn line_037_an_unknown_key_is_kept() {
    let maybug = Maybug::start().await;
    let (status, answer) = maybug.post("/channels/", loopback(json!({"zzz": {"deep": [1]}}))).await;
    assert_eq!((status, &answer["result"]["zzz"]), (201, &json!({"deep": [1]})));
}

/// Junebug 38: `id` and `status` are ours to say.
#[tokio::test]
async fn line_038_a_given_id_and_status_are_overridden() {
    let maybug = Maybug::start().await;
    let (_, answer) = maybug.post("/channels/", loopback(json!({"id": "mine", "status": "fine"}))).await;
    let channel = &answer["result"];
    assert_ne!(channel["id"], "mine");
    assert!(channel["status"].is_object());
    assert_eq!(maybug.get("/channels/mine").await.0, 404);
}

/// Junebug 39: An unknown type names itself and every type there is. `type` is a string, not Junebug's list of one.
#[tokio::test]
async fn line_039_an_unknown_type_is_named_with_all_there_are() {
    let maybug = Maybug::start().await;
    let (status, answer) = maybug.post("/channels/", json!({"type": "foo", "config": {}})).await;
    assert_eq!((status, &answer["description"]), (400, &json!("invalid channel type")));
    let (kind, message) = error(&answer);
    assert_eq!(kind, "InvalidChannelType");
    assert!(message.starts_with("Invalid channel type 'foo', must be one of: "), "{message}");
    for name in ["smpp", "telnet", "dmark", "loopback"] {
        assert!(message.contains(name), "{message}");
    }
}

/// Junebug 40: A config that lacks something names it as `ConfigError`; 400 here, 500 in Junebug.
#[tokio::test]
async fn line_040_a_config_that_lacks_something_names_it() {
    let maybug = Maybug::start().await;
    let config = json!({"system_id": "me", "password": "p"});
    let (status, answer) = maybug.post("/channels/", json!({"type": "smpp", "config": config})).await;
    assert_eq!(status, 400);
    assert_eq!(error(&answer), ("ConfigError", "Missing required config field 'twisted_endpoint'"));
}

/// Junebug 41: A create that failed leaves nothing behind.
#[tokio::test]
async fn line_041_a_failed_create_leaves_nothing() {
    let maybug = Maybug::start().await;
    for bad in [json!({"type": "smpp", "config": {}}), json!({"type": "foo", "config": {}}), json!({})] {
        assert_eq!(maybug.post("/channels/", bad).await.0, 400);
    }
    assert_eq!(maybug.get("/channels/").await.1["result"], json!([]));
}

/// Junebug 42: A channel needs neither `mo_url` nor `amqp_queue`, whatever the documentation of Junebug says.
#[tokio::test]
async fn line_042_a_channel_without_destination_is_created() {
    let maybug = Maybug::start().await;
    assert_eq!(maybug.post("/channels/", json!({"type": "loopback", "config": {}})).await.0, 201);
}

/// Junebug 43: `amqp_queue` alone is enough.
#[tokio::test]
async fn line_043_amqp_queue_alone_is_enough() {
    let maybug = Maybug::start().await;
    let channel = json!({"type": "loopback", "config": {}, "amqp_queue": "app"});
    let (status, answer) = maybug.post("/channels/", channel).await;
    assert_eq!((status, &answer["result"]["amqp_queue"]), (201, &json!("app")));
}

/// Junebug 44: `status_url` may be null from the start.
#[tokio::test]
async fn line_044_status_url_may_be_null() {
    let maybug = Maybug::start().await;
    let (status, answer) = maybug.post("/channels/", loopback(json!({"status_url": null}))).await;
    assert_eq!((status, answer["result"].get("status_url")), (201, Some(&Value::Null)));
}

/// Junebug 45: No channels are an empty list.
#[tokio::test]
async fn line_045_no_channels_are_an_empty_list() {
    let maybug = Maybug::start().await;
    let (status, answer) = maybug.get("/channels/").await;
    assert_eq!((status, &answer["description"], &answer["result"]), (200, &json!("channels listed"), &json!([])));
}

/// Junebug 46: Channels are listed in order.
#[tokio::test]
async fn line_046_channels_are_listed_in_order() {
    let maybug = Maybug::start().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(maybug.channel(loopback(json!({}))).await);
    }
    ids.sort();
    assert_eq!(maybug.get("/channels/").await.1["result"], json!(ids));
}

/// The answer for a channel that is not there.
fn is_unknown(status: u16, answer: &Value) {
    assert_eq!((status, &answer["description"]), (404, &json!("channel not found")));
    assert_eq!(error(answer), ("ChannelNotFound", ""));
}

/// Junebug 47: An unknown channel is 404 with an empty message.
#[tokio::test]
async fn line_047_an_unknown_channel_is_404() {
    let maybug = Maybug::start().await;
    let (status, answer) = maybug.get("/channels/foo-bar").await;
    is_unknown(status, &answer);
}

/// Junebug 48: A channel is shown as its create showed it.
#[tokio::test]
async fn line_048_a_channel_is_shown_as_created() {
    let maybug = Maybug::start().await;
    let (_, created) = maybug.post("/channels/", loopback(json!({"label": "a", "zzz": 1}))).await;
    let id = created["result"]["id"].as_str().unwrap();
    let (status, found) = maybug.get(&format!("/channels/{id}")).await;
    assert_eq!((status, &found["description"]), (200, &json!("channel found")));
    assert_eq!(keys(&found["result"]), keys(&created["result"]));
    assert_eq!(keys(&found["result"]["status"]), keys(&created["result"]["status"]));
    assert_eq!(found["result"]["label"], "a");
}

/// Junebug 49: Changing an unknown channel is 404.
#[tokio::test]
async fn line_049_changing_an_unknown_channel_is_404() {
    let maybug = Maybug::start().await;
    let (status, answer) = maybug.post("/channels/foo-bar", json!({})).await;
    is_unknown(status, &answer);
}

/// Junebug 50: A change replaces what it gives and nothing else.
#[tokio::test]
async fn line_050_a_change_replaces_what_it_gives() {
    let maybug = Maybug::start().await;
    let id = maybug.channel(loopback(json!({"label": "a", "metadata": {"old": 1}}))).await;
    let (status, answer) = maybug.post(&format!("/channels/{id}"), json!({"metadata": {"foo": "bar"}})).await;
    assert_eq!((status, &answer["description"]), (200, &json!("channel updated")));
    let channel = &answer["result"];
    assert_eq!((&channel["metadata"], &channel["label"]), (&json!({"foo": "bar"}), &json!("a")));
    assert_eq!((&channel["type"], &channel["id"]), (&json!("loopback"), &json!(id)));
}

/// Junebug 51: An empty change shows the channel.
#[tokio::test]
async fn line_051_an_empty_change_shows_the_channel() {
    let maybug = Maybug::start().await;
    let id = maybug.channel(loopback(json!({"label": "a"}))).await;
    let (status, answer) = maybug.post(&format!("/channels/{id}"), json!({})).await;
    assert_eq!((status, &answer["result"]["label"]), (200, &json!("a")));
}

/// Junebug 52: Every violation of a change is told.
#[tokio::test]
async fn line_052_every_violation_of_a_change_is_told() {
    let maybug = Maybug::start().await;
    let id = maybug.channel(loopback(json!({}))).await;
    let change = json!({"rate_limit_count": -3, "character_limit": "a", "label": 1});
    let (status, answer) = maybug.post(&format!("/channels/{id}"), change).await;
    let expected = [
        row("'a' is not of type 'integer', 'null'", "properties.character_limit.type"),
        row("-3 is less than the minimum of 0", "properties.rate_limit_count.minimum"),
        row("1 is not of type 'string'", "properties.label.type"),
    ];
    assert_eq!(violations(status, &answer), expected);
}

/// Junebug 53: `config` is replaced whole.
#[tokio::test]
async fn line_053_config_is_replaced_whole() {
    let maybug = Maybug::start().await;
    let id = maybug.channel(loopback(json!({"config": {"echo": true}}))).await;
    let (_, answer) = maybug.post(&format!("/channels/{id}"), json!({"config": {}})).await;
    assert_eq!(answer["result"]["config"], json!({}));
}

/// Junebug 54: A change of `config` restarts the connection, and no other change does. Junebug restarts it for a `config`
/// that is the same as before, too.
#[tokio::test]
async fn line_054_only_a_new_config_restarts_the_connection() {
    let mut smsc = Smsc::start(SimulatorConfig::default()).await;
    let maybug = Maybug::start().await;
    let id = maybug.smpp_channel(smsc.simulator.address(), json!({}), json!({})).await;
    smsc.bound().await;
    let path = format!("/channels/{id}");
    let change = json!({"label": "b", "mo_url": "http://127.0.0.1:1/", "metadata": {}, "character_limit": 5});
    assert_eq!(maybug.post(&path, change).await.0, 200);
    let mut config = maybug.get(&path).await.1["result"]["config"].clone();
    config["system_id"] = json!("other");
    assert_eq!(maybug.post(&path, json!({"config": config})).await.0, 200);
    let second = smsc.next("the second bind", |event| match event {
        SimEvent::Bound { connection, system_id, .. } if system_id == "other" => Some(*connection),
        _ => None,
    });
    assert_eq!(second.await, 2, "the first change made no connection");
}

/// Junebug 55: A new `mo_url` gets what comes from then on.
#[tokio::test]
async fn line_055_a_new_mo_url_gets_what_comes_next() {
    let (mut before, mut after) = (Receiver::start().await, Receiver::start().await);
    let maybug = Maybug::start().await;
    let id = maybug.channel(echoing(&before.url("/mo"))).await;
    phone_writes(&maybug, &id, "one").await;
    assert_eq!(before.mo().await["content"], "one");
    maybug.post(&format!("/channels/{id}"), json!({"mo_url": after.url("/mo")})).await;
    phone_writes(&maybug, &id, "two").await;
    assert_eq!(after.mo().await["content"], "two");
    assert_eq!(before.posted(), 0);
}

/// Junebug 56: A `status_url` that becomes null gets nothing more, at once; Junebug's goes on until a restart.
#[tokio::test]
async fn line_056_a_status_url_of_null_gets_nothing_more() {
    let mut smsc = Smsc::start(SimulatorConfig::default()).await;
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let properties = json!({"status_url": receiver.url("/before")});
    let id = maybug.smpp_channel(smsc.simulator.address(), json!({}), properties).await;
    receiver.told("bound").await;
    let path = format!("/channels/{id}");
    let (status, answer) = maybug.post(&path, json!({"status_url": null})).await;
    assert_eq!((status, answer["result"].get("status_url")), (200, Some(&Value::Null)));
    smsc.bound().await;
    maybug.request(Method::POST, &format!("{path}/restart"), b"").await;
    smsc.bound().await;
    // A channel's statuses leave in order: those of the restart would come before the first that is wanted again.
    maybug.post(&path, json!({"status_url": receiver.url("/after")})).await;
    smsc.simulator.cut();
    assert_eq!(receiver.next().await.path, "/after");
}

/// Junebug 57: A change may bring keys that nobody knows.
#[tokio::test]
async fn line_057_a_change_may_bring_unknown_keys() {
    let maybug = Maybug::start().await;
    let path = format!("/channels/{}", maybug.channel(loopback(json!({}))).await);
    let (status, _) = maybug.post(&path, json!({"public_http": {"enabled": false}})).await;
    assert_eq!(status, 200);
    assert_eq!(maybug.get(&path).await.1["result"]["public_http"], json!({"enabled": false}));
}

/// Junebug 58: A change that fails changes nothing; Junebug's would leave the channel without its connection.
#[tokio::test]
async fn line_058_a_failed_change_changes_nothing() {
    let mut smsc = Smsc::start(SimulatorConfig::default()).await;
    let maybug = Maybug::start().await;
    let id = maybug.smpp_channel(smsc.simulator.address(), json!({}), json!({"label": "a"})).await;
    smsc.bound().await;
    let path = format!("/channels/{id}");
    let before = maybug.get(&path).await.1["result"].clone();
    for change in [
        json!({"label": "b", "config": {}}),
        json!({"label": "b", "type": "foo"}),
        json!({"label": "b", "rate_limit_count": -1}),
    ] {
        assert_eq!(maybug.post(&path, change).await.0, 400);
    }
    let after = maybug.get(&path).await.1["result"].clone();
    for key in ["label", "type", "config"] {
        assert_eq!(after[key], before[key]);
    }
    maybug.send(&id, json!({"to": "+27820001001", "content": "x"})).await;
    let connection = smsc.next("the message", |event| match event {
        SimEvent::Bound { .. } => panic!("it has been bound anew"),
        SimEvent::Message { connection, .. } => Some(*connection),
        _ => None,
    });
    assert_eq!(connection.await, 1);
}

/// Junebug 59: A delete is 200 with an empty object.
#[tokio::test]
async fn line_059_a_delete_is_200() {
    let maybug = Maybug::start().await;
    let id = maybug.channel(loopback(json!({}))).await;
    let (status, _, answer) = maybug.request(Method::DELETE, &format!("/channels/{id}"), b"").await;
    assert_eq!((status, &answer["description"], &answer["result"]), (200, &json!("channel deleted"), &json!({})));
}

/// Junebug 60: A deleted channel is gone.
#[tokio::test]
async fn line_060_a_deleted_channel_is_gone() {
    let maybug = Maybug::start().await;
    let id = maybug.channel(loopback(json!({}))).await;
    let path = format!("/channels/{id}");
    maybug.request(Method::DELETE, &path, b"").await;
    assert_eq!(maybug.get("/channels/").await.1["result"], json!([]));
    for method in [Method::GET, Method::DELETE] {
        let (status, _, answer) = maybug.request(method, &path, b"").await;
        is_unknown(status, &answer);
    }
}

/// Junebug 61: A restart is 200 with an empty object, and binds anew.
#[tokio::test]
async fn line_061_a_restart_binds_anew() {
    let mut smsc = Smsc::start(SimulatorConfig::default()).await;
    let maybug = Maybug::start().await;
    let id = maybug.smpp_channel(smsc.simulator.address(), json!({}), json!({})).await;
    smsc.bound().await;
    let (status, _, answer) = maybug.request(Method::POST, &format!("/channels/{id}/restart"), b"no JSON").await;
    assert_eq!((status, &answer["description"], &answer["result"]), (200, &json!("channel restarted"), &json!({})));
    smsc.bound().await;
}

/// Junebug 62: Restarting an unknown channel is 404.
#[tokio::test]
async fn line_062_restarting_an_unknown_channel_is_404() {
    let maybug = Maybug::start().await;
    let (status, _, answer) = maybug.request(Method::POST, "/channels/nope/restart", b"").await;
    is_unknown(status, &answer);
}

/// Junebug 63: Channels run again after a restart of the server, with their ids and properties.
#[tokio::test]
async fn line_063_channels_run_again_after_a_restart_of_the_server() {
    let mut smsc = Smsc::start(SimulatorConfig::default()).await;
    let maybug = Maybug::start().await;
    let properties = json!({"label": "kept", "metadata": {"a": 1}, "zzz": null});
    let id = maybug.smpp_channel(smsc.simulator.address(), json!({}), properties).await;
    let other = maybug.channel(loopback(json!({}))).await;
    smsc.bound().await;
    let path = format!("/channels/{id}");
    let before = maybug.get(&path).await.1["result"].clone();
    let directory = maybug.directory.clone();
    maybug.server.stop().await;
    let again = Maybug::at(directory, |_| {}).await;
    smsc.bound().await;
    let after = again.get(&path).await.1["result"].clone();
    for key in keys(&before).into_iter().filter(|key| *key != "status") {
        assert_eq!(after[key], before[key], "{key}");
    }
    let message = again.send(&other, json!({"to": "1", "content": "x"})).await;
    again.events(&other, &message, 2).await;
}
