//! Lines 152 to 176, and 13: destinations of routers.

use hyper::Method;
use serde_json::{Value, json};

use crate::routing::{Routed, destination};
use crate::setup::{becomes, error, keys, violations};
use crate::support::{Maybug, Receiver, types};

async fn request(routed: &Routed, method: Method, path: &str, body: Value) -> (u16, Value) {
    let (status, _, answer) = routed.maybug.request(method, path, body.to_string().as_bytes()).await;
    (status, answer)
}

/// Creates a destination that is refused; what was wrong with it.
async fn refused(body: Value) -> (u16, Value) {
    let routed = Routed::start().await;
    let path = format!("{}/destinations/", routed.path());
    let refused = routed.maybug.post(&path, body).await;
    assert_eq!(routed.maybug.get(&path).await.1["result"], json!([]), "nothing is left behind");
    refused
}

/// Junebug 13: Messages can be posted without the final slash.
#[tokio::test]
async fn line_013_messages_can_be_posted_without_a_slash() {
    let routed = Routed::start().await;
    let id = routed.destination("^8110$", json!({})).await;
    let message = json!({"to": "+1", "from": "8110", "content": "x"});
    let (status, answer) = routed.maybug.post(&format!("{}/messages", routed.of(&id)), message).await;
    assert_eq!((status, &answer["description"]), (201, &json!("message submitted")));
}

/// Junebug 152: A destination of an unknown router is 404.
#[tokio::test]
async fn line_152_an_unknown_router_is_404() {
    let maybug = Maybug::start().await;
    let (status, answer) = maybug.post("/routers/bad/destinations/", destination("^1$", json!({}))).await;
    assert_eq!((status, error(&answer)), (404, ("RouterNotFound", "Router with ID bad cannot be found")));
}

/// Junebug 153: `config` is required.
#[tokio::test]
async fn line_153_config_is_required() {
    let (status, answer) = refused(json!({})).await;
    let expected = [("'config' is a required property".to_owned(), "required".to_owned())];
    assert_eq!(violations(status, &answer), expected);
}

/// Junebug 154: `config` must have a regular expression.
#[tokio::test]
async fn line_154_a_regular_expression_is_required() {
    let (status, answer) = refused(json!({"config": {}})).await;
    assert_eq!((status, &answer["description"]), (400, &json!("invalid router destination config")));
    let message = "Missing required config field 'regular_expression'";
    assert_eq!(error(&answer), ("InvalidRouterDestinationConfig", message));
}

/// Junebug 155: A regular expression that is none is refused with the reason.
#[tokio::test]
async fn line_155_a_bad_regular_expression_is_refused() {
    let (status, answer) = refused(destination("(", json!({}))).await;
    let (kind, message) = error(&answer);
    assert_eq!((status, kind), (400, "InvalidRouterDestinationConfig"));
    let begins = "Field 'regular_expression' is not a valid regular expression: ";
    assert!(message.strip_prefix(begins).is_some_and(|reason| !reason.is_empty()), "{message}");
}

/// Junebug 156: A create is 201 `destination created`, shows what was given, and adds an id.
#[tokio::test]
async fn line_156_a_create_is_201() {
    let routed = Routed::start().await;
    let given = destination(
        r"^\*123\*4567\*1#$",
        json!({
            "label": "*123*4567*1# subcode", "metadata": {"owner": 7}, "mo_url": "http://127.0.0.1:1/messages",
            "mo_url_token": "my-secret-token", "amqp_queue": "subcode_1_queue", "character_limit": 140,
        }),
    );
    let (status, answer) = routed.maybug.post(&format!("{}/destinations/", routed.path()), given.clone()).await;
    assert_eq!((status, &answer["code"]), (201, &json!("Created")));
    assert_eq!(answer["description"], "destination created");
    for (key, value) in given.as_object().unwrap() {
        assert_eq!(&answer["result"][key], value, "{key}");
    }
    let id = answer["result"]["id"].as_str().unwrap();
    assert_eq!(id, uuid::Uuid::parse_str(id).unwrap().hyphenated().to_string());
    let (status, found) = routed.maybug.get(&routed.of(id)).await;
    assert_eq!((status, &found["description"]), (200, &json!("destination found")));
    assert_eq!(keys(&found["result"]), keys(&answer["result"]));
}

/// Junebug 157: `mo_url_auth_token` is a channel's key, not a destination's.
#[tokio::test]
async fn line_157_mo_url_auth_token_is_unknown_here() {
    let (status, answer) = refused(destination("^1$", json!({"mo_url_auth_token": "t"}))).await;
    let message = "Additional properties are not allowed ('mo_url_auth_token' was unexpected)";
    assert_eq!(violations(status, &answer), [(message.to_owned(), "additionalProperties".to_owned())]);
}

/// Junebug 158: `character_limit` must be a number, however it is given.
#[tokio::test]
async fn line_158_character_limit_must_be_a_number() {
    let routed = Routed::start().await;
    let id = routed.destination("^1$", json!({})).await;
    let body = destination("^1$", json!({"character_limit": "a"}));
    for (method, path) in [
        (Method::POST, format!("{}/destinations/", routed.path())),
        (Method::PUT, routed.of(&id)),
        (Method::PATCH, routed.of(&id)),
    ] {
        let (status, answer) = request(&routed, method, &path, body.clone()).await;
        let [(message, path)] = &violations(status, &answer)[..] else { panic!("{answer}") };
        assert!(message.starts_with("'a' is not of type 'integer'"), "{message}");
        assert_eq!(path, "properties.character_limit.type");
    }
}

/// Junebug 159: Destinations are listed in order.
#[tokio::test]
async fn line_159_destinations_are_listed_in_order() {
    let routed = Routed::start().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(routed.destination("^1$", json!({})).await);
    }
    ids.sort();
    let (status, answer) = routed.maybug.get(&format!("{}/destinations/", routed.path())).await;
    assert_eq!((status, &answer["description"]), (200, &json!("destinations retrieved")));
    assert_eq!(answer["result"], json!(ids));
}

fn is_unknown(routed: &Routed, status: u16, answer: &Value) {
    assert_eq!((status, &answer["description"]), (404, &json!("destination not found")));
    let message = format!("Cannot find destination with ID bad for router {}", routed.router);
    assert_eq!(error(answer), ("DestinationNotFound", message.as_str()));
}

/// Junebug 160: An unknown destination is 404.
#[tokio::test]
async fn line_160_an_unknown_destination_is_404() {
    let routed = Routed::start().await;
    let (status, answer) = routed.maybug.get(&routed.of("bad")).await;
    is_unknown(&routed, status, &answer);
}

/// Junebug 161: Changing or deleting an unknown destination is 404.
#[tokio::test]
async fn line_161_changing_an_unknown_destination_is_404() {
    let routed = Routed::start().await;
    for method in [Method::PUT, Method::PATCH, Method::DELETE] {
        let body = destination("^1$", json!({}));
        let (status, answer) = request(&routed, method, &routed.of("bad"), body).await;
        is_unknown(&routed, status, &answer);
    }
}

/// Junebug 162: A PATCH that fails changes nothing.
#[tokio::test]
async fn line_162_a_patch_that_fails_changes_nothing() {
    let routed = Routed::start().await;
    let id = routed.destination("^1$", json!({"label": "a"})).await;
    let change = json!({"label": "b", "config": {"regular_expression": "("}});
    let (status, answer) = request(&routed, Method::PATCH, &routed.of(&id), change).await;
    assert_eq!((status, error(&answer).0), (400, "InvalidRouterDestinationConfig"));
    let (_, found) = routed.maybug.get(&routed.of(&id)).await;
    assert_eq!(found["result"]["config"], json!({"regular_expression": "^1$"}));
    assert_eq!(found["result"]["label"], "a");
}

/// Junebug 163: A deleted destination gets nothing more.
#[tokio::test]
async fn line_163_a_deleted_destination_gets_nothing_more() {
    let mut receiver = Receiver::start().await;
    let routed = Routed::start().await;
    let deleted = routed.destination("^8110$", json!({"mo_url": receiver.url("/deleted")})).await;
    routed.destination("^811", json!({"mo_url": receiver.url("/kept")})).await;
    let (status, answer) = request(&routed, Method::DELETE, &routed.of(&deleted), Value::Null).await;
    assert_eq!((status, &answer["description"], &answer["result"]), (200, &json!("destination deleted"), &json!({})));
    for _ in 0..3 {
        routed.phone_writes("8110", "x").await;
        assert_eq!(receiver.next().await.path, "/kept");
    }
}

/// Junebug 164: A message goes to every destination that matches, and to no other.
#[tokio::test]
async fn line_164_a_message_goes_to_what_matches() {
    let (mut one, mut two) = (Receiver::start().await, Receiver::start().await);
    let routed = Routed::start().await;
    routed.destination("^8110$", json!({"mo_url": one.url("/mo")})).await;
    routed.destination("^8220$", json!({"mo_url": two.url("/mo")})).await;
    routed.phone_writes("8220", "for two").await;
    routed.phone_writes("8110", "for one").await;
    let mo = two.mo().await;
    assert_eq!((&mo["content"], &mo["channel_id"]), (&json!("for two"), &json!(routed.channel)));
    assert_eq!(one.mo().await["content"], "for one");
}

/// Junebug 165: What matches nothing goes to the default destination; without one it goes nowhere.
#[tokio::test]
async fn line_165_what_matches_nothing_goes_to_the_default() {
    let mut receiver = Receiver::start().await;
    let routed = Routed::start().await;
    routed.destination("^8110$", json!({"mo_url": receiver.url("/matched")})).await;
    routed.phone_writes("9999", "nowhere").await;
    let fallback = json!({
        "config": {"regular_expression": "^none$", "default": true}, "mo_url": receiver.url("/default"),
    });
    let (status, _) = routed.maybug.post(&format!("{}/destinations/", routed.path()), fallback).await;
    assert_eq!(status, 201);
    routed.phone_writes("9999", "unmatched").await;
    let posted = receiver.next().await;
    assert_eq!((posted.path.as_str(), &posted.body["content"]), ("/default", &json!("unmatched")));
    routed.phone_writes("8110", "matched").await;
    assert_eq!(receiver.next().await.path, "/matched");
}

/// Junebug 166: A message without `to` is in the router's log and goes nowhere.
#[tokio::test]
async fn line_166_a_message_without_to_is_logged() {
    let mut receiver = Receiver::start().await;
    let routed = Routed::start().await;
    routed.destination("", json!({"mo_url": receiver.url("/mo")})).await;
    routed.maybug.send(&routed.channel, json!({"to": "+27820001001", "content": "to nobody"})).await;
    let says = |entry: &Value| entry["message"].as_str().unwrap().ends_with("was not routed: it has no to address");
    let path = format!("{}/logs", routed.path());
    becomes(&routed.maybug, &path, |log| log.as_array().unwrap().iter().any(says)).await;
    routed.phone_writes("8110", "to us").await;
    assert_eq!(receiver.mo().await["content"], "to us");
}

/// Junebug 167: `mo_url_token` comes as `Authorization: Token …`; Junebug keeps it to itself.
#[tokio::test]
async fn line_167_messages_carry_the_destinations_token() {
    let mut receiver = Receiver::start().await;
    let routed = Routed::start().await;
    routed.destination("^8110$", json!({"mo_url": receiver.url("/mo"), "mo_url_token": "t0k"})).await;
    routed.phone_writes("8110", "x").await;
    assert_eq!(receiver.next().await.headers["authorization"], "Token t0k");
}

/// Junebug 168: What is sent through a destination is the router's channel's.
#[tokio::test]
async fn line_168_a_send_has_the_routers_channel() {
    let routed = Routed::start().await;
    let id = routed.destination("^8110$", json!({})).await;
    let message = json!({"to": "+1", "from": "8110", "content": "x"});
    let (status, answer) = routed.maybug.post(&format!("{}/messages/", routed.of(&id)), message).await;
    assert_eq!((status, &answer["description"]), (201, &json!("message submitted")));
    assert_eq!(answer["result"]["channel_id"], json!(routed.channel));
    let nine = ["channel_data", "channel_id", "content", "from", "group", "message_id", "reply_to", "timestamp", "to"];
    assert_eq!(keys(&answer["result"]), nine);
}

/// Junebug 169: Sending through a router or destination that is not there is 404.
#[tokio::test]
async fn line_169_a_send_through_nothing_is_404() {
    let routed = Routed::start().await;
    let message = json!({"to": "+1", "from": "8110", "content": "x"});
    let (status, answer) = routed.maybug.post("/routers/bad/destinations/bad/messages/", message.clone()).await;
    assert_eq!((status, error(&answer).0), (404, "RouterNotFound"));
    let (status, answer) = routed.maybug.post(&format!("{}/messages/", routed.of("bad")), message).await;
    is_unknown(&routed, status, &answer);
}

/// Junebug 170: A message can be answered through the destination that got it.
#[tokio::test]
async fn line_170_a_message_can_be_answered_through_its_destination() {
    let mut receiver = Receiver::start().await;
    let routed = Routed::start().await;
    let id = routed.destination("^8110$", json!({"mo_url": receiver.url("/mo")})).await;
    routed.phone_writes("8110", "x").await;
    let mo = receiver.mo().await["message_id"].clone();
    let reply = json!({"reply_to": mo, "content": "y"});
    let (status, answer) = routed.maybug.post(&format!("{}/messages/", routed.of(&id)), reply).await;
    let result = &answer["result"];
    assert_eq!((status, &result["reply_to"], &result["to"]), (201, &mo, &json!("+27820001001")));
    assert_eq!(result["from"], "8110");
}

/// Junebug 171: An answer to nothing is 400.
#[tokio::test]
async fn line_171_an_answer_to_nothing_is_400() {
    let routed = Routed::start().await;
    let id = routed.destination("^8110$", json!({})).await;
    let reply = json!({"reply_to": "feed", "content": "y"});
    let (status, answer) = routed.maybug.post(&format!("{}/messages/", routed.of(&id)), reply).await;
    let message = "Inbound message with id feed not found";
    assert_eq!((status, error(&answer)), (400, ("MessageNotFound", message)));
}

/// Junebug 172: A message without events is 200 with nulls.
#[tokio::test]
async fn line_172_a_message_without_events_has_nulls() {
    let routed = Routed::start().await;
    let id = routed.destination("^8110$", json!({})).await;
    let (status, answer) = routed.maybug.get(&format!("{}/messages/nope", routed.of(&id))).await;
    assert_eq!((status, &answer["description"]), (200, &json!("message status")));
    let nothing = json!({"id": "nope", "last_event_type": null, "last_event_timestamp": null, "events": []});
    assert_eq!(answer["result"], nothing);
}

/// Junebug 173: Events of a destination's message have its id for a channel.
#[tokio::test]
async fn line_173_events_have_the_destinations_id() {
    let routed = Routed::start().await;
    let id = routed.destination("^8110$", json!({})).await;
    let message = routed.send(&id, json!({"to": "+1", "from": "8110", "content": "x"})).await;
    let path = format!("{}/messages/{message}", routed.of(&id));
    let state = becomes(&routed.maybug, &path, |state| state["last_event_type"] == "delivery_succeeded").await;
    let events = state["events"].as_array().unwrap();
    assert_eq!(types(events), ["submitted", "delivery_succeeded"]);
    assert!(events.iter().all(|event| event["channel_id"] == json!(id)), "{state}");
}

/// Junebug 174: A destination's `character_limit` holds, which Junebug only keeps.
#[tokio::test]
async fn line_174_a_destinations_limit_holds() {
    let routed = Routed::start().await;
    let id = routed.destination("^8110$", json!({"character_limit": 3})).await;
    let path = format!("{}/messages/", routed.of(&id));
    let (status, answer) = routed.maybug.post(&path, json!({"to": "+1", "from": "8110", "content": "long"})).await;
    assert_eq!((status, error(&answer).0), (400, "MessageTooLong"));
    assert!(error(&answer).1.ends_with("is of length 4, which is greater than the character limit of 3"), "{answer}");
    routed.send(&id, json!({"to": "+1", "from": "8110", "content": "fit"})).await;
}

/// Junebug 175: `event_url` gets the events of a destination's message, which Junebug's does not.
#[tokio::test]
async fn line_175_event_url_of_a_destinations_message_is_called() {
    let mut receiver = Receiver::start().await;
    let routed = Routed::start().await;
    let id = routed.destination("^8110$", json!({})).await;
    let url = receiver.url("/e");
    let message = json!({"to": "+1", "from": "8110", "content": "x", "event_url": url, "event_auth_token": "t"});
    let message = routed.send(&id, message).await;
    for expected in ["submitted", "delivery_succeeded"] {
        let posted = receiver.next().await;
        assert_eq!(posted.headers["authorization"], "Token t");
        assert_eq!((&posted.body["event_type"], &posted.body["message_id"]), (&json!(expected), &json!(message)));
        assert_eq!(posted.body["channel_id"], json!(id));
    }
}

/// Junebug 176: A destination has a log, which Junebug's has not.
#[tokio::test]
async fn line_176_a_destination_has_a_log() {
    let routed = Routed::start().await;
    let id = routed.destination("^8110$", json!({})).await;
    let (status, answer) = routed.maybug.get(&format!("{}/logs", routed.of(&id))).await;
    assert_eq!((status, &answer["description"]), (200, &json!("logs retrieved")));
    assert!(answer["result"].is_array(), "{answer}");
    assert_eq!(routed.maybug.get(&format!("{}/logs", routed.of("bad"))).await.0, 404);
}
