//! Lines 133 to 151: routers.

use hyper::Method;
use serde_json::{Value, json};

use crate::routing::{Routed, bare_channel, created, destination, router};
use crate::setup::{RATES, error, keys, loopback, violations};
use crate::support::Maybug;

/// What a refused router says: its description, type and message.
async fn refused(maybug: &Maybug, config: Value) -> (String, String, String) {
    let (status, answer) = maybug.post("/routers/", json!({"type": "from_address", "config": config})).await;
    assert_eq!(status, 400, "{answer}");
    let (kind, message) = error(&answer);
    (answer["description"].as_str().unwrap().to_owned(), kind.to_owned(), message.to_owned())
}

fn bad_config(message: &str) -> (String, String, String) {
    ("invalid router config".to_owned(), "InvalidRouterConfig".to_owned(), message.to_owned())
}

/// Junebug 133: Routers are listed in order, under `result`; no routers are an empty list.
#[tokio::test]
async fn line_133_routers_are_listed_in_order() {
    let maybug = Maybug::start().await;
    let (status, answer) = maybug.get("/routers/").await;
    assert_eq!((status, &answer["description"], &answer["result"]), (200, &json!("routers retrieved"), &json!([])));
    let mut ids = Vec::new();
    for _ in 0..3 {
        let channel = bare_channel(&maybug).await;
        ids.push(created(&maybug, "/routers/", router(&channel)).await);
    }
    ids.sort();
    assert_eq!(maybug.get("/routers/").await.1["result"], json!(ids));
}

/// Junebug 134: A create is 201 `router created`, shows what was given, and adds an id.
#[tokio::test]
async fn line_134_a_create_is_201() {
    let maybug = Maybug::start().await;
    let given = router(&bare_channel(&maybug).await);
    let (status, answer) = maybug.post("/routers/", given.clone()).await;
    assert_eq!((status, &answer["code"]), (201, &json!("Created")));
    assert_eq!(answer["description"], "router created");
    for (key, value) in given.as_object().unwrap() {
        assert_eq!(&answer["result"][key], value, "{key}");
    }
    let id = answer["result"]["id"].as_str().unwrap();
    assert_eq!(id, uuid::Uuid::parse_str(id).unwrap().hyphenated().to_string());
}

/// Junebug 135: An empty create lacks `config` and `type`.
#[tokio::test]
async fn line_135_an_empty_create_names_config_and_type() {
    let maybug = Maybug::start().await;
    let (status, answer) = maybug.post("/routers/", json!({})).await;
    let expected = [
        ("'config' is a required property".to_owned(), "required".to_owned()),
        ("'type' is a required property".to_owned(), "required".to_owned()),
    ];
    assert_eq!(violations(status, &answer), expected);
}

/// Junebug 136: An unknown key is refused.
#[tokio::test]
async fn line_136_an_unknown_key_is_refused() {
    let maybug = Maybug::start().await;
    let mut given = router(&bare_channel(&maybug).await);
    given["id"] = json!("mine");
    let (status, answer) = maybug.post("/routers/", given).await;
    let message = "Additional properties are not allowed ('id' was unexpected)";
    assert_eq!(violations(status, &answer), [(message.to_owned(), "additionalProperties".to_owned())]);
}

/// Junebug 137: An unknown type names itself and every type there is.
#[tokio::test]
async fn line_137_an_unknown_type_is_named() {
    let maybug = Maybug::start().await;
    let (status, answer) = maybug.post("/routers/", json!({"type": "foo", "config": {}})).await;
    assert_eq!((status, &answer["description"]), (400, &json!("invalid router type")));
    let (kind, message) = error(&answer);
    assert_eq!(kind, "InvalidRouterType");
    assert!(message.starts_with("Invalid router type foo, must be one of: "), "{message}");
    assert!(message.contains("from_address"), "{message}");
}

/// Junebug 138: `config` must have a channel.
#[tokio::test]
async fn line_138_config_must_have_a_channel() {
    let maybug = Maybug::start().await;
    assert_eq!(refused(&maybug, json!({})).await, bad_config("Missing required config field 'channel'"));
}

/// Junebug 139: The channel must be a UUID.
#[tokio::test]
async fn line_139_the_channel_must_be_a_uuid() {
    let maybug = Maybug::start().await;
    for channel in [json!("x"), json!(5), json!([])] {
        let expected = bad_config("Field 'channel' is not a valid UUID");
        assert_eq!(refused(&maybug, json!({"channel": channel})).await, expected);
    }
}

/// Junebug 140: The channel must exist.
#[tokio::test]
async fn line_140_the_channel_must_exist() {
    let maybug = Maybug::start().await;
    let channel = "9d5fbc2e-7a11-4b3c-8f60-6dbcc3ad0e11";
    let expected = bad_config(&format!("Channel {channel} does not exist"));
    assert_eq!(refused(&maybug, json!({"channel": channel})).await, expected);
}

/// Junebug 141: The channel must have no destination of its own; that its `mo_url` is null does not help.
#[tokio::test]
async fn line_141_the_channel_must_have_no_destination() {
    let maybug = Maybug::start().await;
    for properties in [json!({"mo_url": "http://127.0.0.1:1/"}), json!({})] {
        let channel = maybug.channel(loopback(properties)).await;
        let expected = bad_config(&format!("Channel {channel} already has a destination specified"));
        assert_eq!(refused(&maybug, json!({"channel": channel})).await, expected);
    }
}

/// Junebug 142: A channel has one router.
#[tokio::test]
async fn line_142_a_channel_has_one_router() {
    let routed = Routed::start().await;
    let (channel, router) = (&routed.channel, &routed.router);
    let expected = bad_config(&format!("Router {router} is already routing channel {channel}"));
    assert_eq!(refused(&routed.maybug, json!({"channel": channel})).await, expected);
    let same = json!({"config": {"channel": channel}});
    let (status, _, _) = routed.maybug.request(Method::PATCH, &routed.path(), same.to_string().as_bytes()).await;
    assert_eq!(status, 200, "its own router is not in the way");
}

/// Junebug 143: An unknown router is 404.
#[tokio::test]
async fn line_143_an_unknown_router_is_404() {
    let maybug = Maybug::start().await;
    let (status, answer) = maybug.get("/routers/bad").await;
    assert_eq!((status, &answer["description"]), (404, &json!("router not found")));
    assert_eq!(error(&answer), ("RouterNotFound", "Router with ID bad cannot be found"));
}

/// Changes a router.
async fn change(routed: &Routed, method: Method, change: Value) -> (u16, Value) {
    let (status, _, answer) = routed.maybug.request(method, &routed.path(), change.to_string().as_bytes()).await;
    (status, answer)
}

/// Junebug 144: PUT replaces the whole: without `label` there is none.
#[tokio::test]
async fn line_144_put_without_label_removes_it() {
    let routed = Routed::start().await;
    let kept = routed.destination("^1$", json!({})).await;
    let given = json!({"type": "from_address", "config": {"channel": routed.channel}});
    let (status, answer) = change(&routed, Method::PUT, given).await;
    assert_eq!((status, &answer["description"]), (200, &json!("router updated")));
    assert_eq!(keys(&answer["result"]), ["config", "id", "status", "type"]);
    assert_eq!(answer["result"]["id"], json!(routed.router));
    assert_eq!(routed.maybug.get(&format!("{}/destinations/", routed.path())).await.1["result"], json!([kept]));
}

/// Junebug 145: PUT needs a `config`.
#[tokio::test]
async fn line_145_put_without_config_is_400() {
    let routed = Routed::start().await;
    let (status, answer) = change(&routed, Method::PUT, json!({"type": "from_address"})).await;
    let expected = [("'config' is a required property".to_owned(), "required".to_owned())];
    assert_eq!(violations(status, &answer), expected);
}

/// Junebug 146: PATCH keeps what it does not name.
#[tokio::test]
async fn line_146_patch_keeps_what_it_does_not_name() {
    let routed = Routed::start().await;
    let (status, answer) = change(&routed, Method::PATCH, json!({"label": "x"})).await;
    assert_eq!((status, &answer["description"]), (200, &json!("router updated")));
    let mut expected = router(&routed.channel);
    expected["label"] = json!("x");
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&answer["result"][key], value, "{key}");
    }
}

/// Junebug 147: A PATCH that fails changes nothing.
#[tokio::test]
async fn line_147_a_patch_that_fails_changes_nothing() {
    let routed = Routed::start().await;
    let (status, answer) = change(&routed, Method::PATCH, json!({"label": "x", "config": {"channel": "y"}})).await;
    assert_eq!((status, error(&answer).0), (400, "InvalidRouterConfig"));
    let (_, found) = routed.maybug.get(&routed.path()).await;
    let expected = router(&routed.channel);
    assert_eq!((&found["result"]["config"], &found["result"]["label"]), (&expected["config"], &expected["label"]));
}

/// Junebug 148: POST to a router is 405.
#[tokio::test]
async fn line_148_post_to_a_router_is_405() {
    let routed = Routed::start().await;
    let (status, answer) = change(&routed, Method::POST, json!({})).await;
    assert_eq!((status, error(&answer).0), (405, "Method Not Allowed"));
}

/// Junebug 149: A router is deleted once, with its destinations.
#[tokio::test]
async fn line_149_a_router_is_deleted_once() {
    let routed = Routed::start().await;
    let destination = routed.destination("^1$", json!({})).await;
    let (status, answer) = change(&routed, Method::DELETE, Value::Null).await;
    assert_eq!((status, &answer["description"], &answer["result"]), (200, &json!("router deleted"), &json!({})));
    let (status, answer) = change(&routed, Method::DELETE, Value::Null).await;
    assert_eq!((status, error(&answer).0), (404, "RouterNotFound"));
    assert_eq!(routed.maybug.get(&routed.of(&destination)).await.0, 404);
    assert_eq!(routed.maybug.get("/routers/").await.1["result"], json!([]));
}

/// Junebug 150: Routers and destinations have seven rates, which Junebug's lack.
#[tokio::test]
async fn line_150_routers_and_destinations_have_rates() {
    let routed = Routed::start().await;
    let destination = routed.destination("^1$", json!({})).await;
    for path in [routed.path(), routed.of(&destination)] {
        let (_, answer) = routed.maybug.get(&path).await;
        assert_eq!(keys(&answer["result"]["status"]), RATES, "{path}");
        assert!(RATES.iter().all(|rate| answer["result"]["status"][rate].is_number()), "{answer}");
    }
}

/// Junebug 151: Routers and destinations are there, and route, after a restart of the server.
#[tokio::test]
async fn line_151_routers_survive_a_restart() {
    let mut receiver = crate::support::Receiver::start().await;
    let routed = Routed::start().await;
    let given = json!({"mo_url": receiver.url("/mo"), "label": "kept"});
    let id = routed.destination("^8110$", given.clone()).await;
    let directory = routed.maybug.directory.clone();
    let (router_before, destination_before) =
        (routed.maybug.get(&routed.path()).await.1, routed.maybug.get(&routed.of(&id)).await.1);
    let Routed { maybug, channel, router } = routed;
    maybug.server.stop().await;
    let routed = Routed { maybug: Maybug::at(directory, |_| {}).await, channel, router };
    assert_eq!(routed.maybug.get(&routed.path()).await.1["result"]["config"], router_before["result"]["config"]);
    let after = routed.maybug.get(&routed.of(&id)).await.1;
    for (key, value) in destination("^8110$", given).as_object().unwrap() {
        assert_eq!((&after["result"][key], &destination_before["result"][key]), (value, value));
    }
    routed.phone_writes("8110", "x").await;
    assert_eq!(receiver.mo().await["content"], "x");
}
