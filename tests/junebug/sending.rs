//! Lines 74 to 104: a message is sent, or refused.

use maybug::config::AmqpConfig;
use maybug::smsc::SimulatorConfig;
use serde_json::{Value, json};

use crate::setup::{echoing, error, keys, loopback, phone_writes, violations};
use crate::support::{Maybug, Process, Receiver, Smsc, call, types};

/// Sends on a channel without a network.
async fn send(message: Value) -> (u16, Value) {
    let maybug = Maybug::start().await;
    let id = maybug.channel(loopback(json!({}))).await;
    maybug.post(&format!("/channels/{id}/messages/"), message).await
}

/// What is wrong with a message.
async fn refused(message: Value) -> Vec<(String, String)> {
    let (status, answer) = send(message).await;
    violations(status, &answer)
}

fn row(message: &str, path: &str) -> (String, String) {
    (message.to_owned(), path.to_owned())
}

/// Junebug 74: Sending on an unknown channel is 404.
#[tokio::test]
async fn line_074_an_unknown_channel_is_404() {
    let maybug = Maybug::start().await;
    let (status, answer) = maybug.post("/channels/nope/messages/", json!({"to": "1", "content": "a"})).await;
    assert_eq!((status, error(&answer)), (404, ("ChannelNotFound", "")));
}

/// Junebug 75: A send is 201 `Created` `message submitted`.
#[tokio::test]
async fn line_075_a_send_is_201() {
    let (status, answer) = send(json!({"to": "+1", "content": "a"})).await;
    assert_eq!((status, &answer["code"]), (201, &json!("Created")));
    assert_eq!(answer["description"], "message submitted");
}

/// Junebug 76: The result has exactly nine keys.
#[tokio::test]
async fn line_076_the_result_has_nine_keys() {
    let (_, answer) = send(json!({"to": "+1", "content": "a"})).await;
    let nine = ["channel_data", "channel_id", "content", "from", "group", "message_id", "reply_to", "timestamp", "to"];
    assert_eq!(keys(&answer["result"]), nine);
    let result = &answer["result"];
    assert_eq!((&result["to"], &result["content"], &result["channel_data"]), (&json!("+1"), &json!("a"), &json!({})));
    assert_eq!((&result["group"], &result["reply_to"]), (&Value::Null, &Value::Null));
}

/// Junebug 77: Without `from`, or with null, `from` is null.
#[tokio::test]
async fn line_077_no_from_is_null() {
    for message in [json!({"to": "+1", "content": "a"}), json!({"to": "+1", "content": "a", "from": null})] {
        let (_, answer) = send(message).await;
        assert_eq!(answer["result"]["from"], Value::Null);
    }
}

/// Junebug 78: `group` is shown, and reaches the channel.
#[tokio::test]
async fn line_078_group_reaches_the_channel() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let id = maybug.channel(echoing(&receiver.url("/mo"))).await;
    let message = json!({"to": "1", "content": "a", "group": "g1"});
    let (_, answer) = maybug.post(&format!("/channels/{id}/messages/"), message).await;
    assert_eq!(answer["result"]["group"], "g1");
    assert_eq!(receiver.mo().await["group"], "g1");
}

/// Junebug 79: A message's id is 32 lower-case hexadecimal digits.
#[tokio::test]
async fn line_079_an_id_is_32_hexadecimal_digits() {
    let (_, answer) = send(json!({"to": "+1", "content": "a"})).await;
    let id = answer["result"]["message_id"].as_str().unwrap();
    assert!(id.len() == 32 && id.chars().all(|digit| matches!(digit, '0'..='9' | 'a'..='f')), "{id}");
}

/// Junebug 80: A time has a space, six digits of a second, and no zone.
#[tokio::test]
async fn line_080_a_time_has_microseconds_and_no_zone() {
    let (_, answer) = send(json!({"to": "+1", "content": "a"})).await;
    let time = answer["result"]["timestamp"].as_str().unwrap();
    let form = regex::Regex::new(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}$").unwrap();
    assert!(form.is_match(time), "{time}");
    let time = chrono::NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S%.f").unwrap().and_utc();
    assert!((chrono::Utc::now() - time).num_minutes().abs() < 2, "{time} is UTC");
}

/// Junebug 81: `event_url`, `event_auth_token` and `priority` are not shown.
#[tokio::test]
async fn line_081_callbacks_and_priority_are_not_shown() {
    let message = json!({
        "to": "+1", "content": "a", "event_url": "http://127.0.0.1:1/e", "event_auth_token": "t", "priority": 3,
    });
    let (status, answer) = send(message).await;
    assert_eq!(status, 201);
    for key in ["event_url", "event_auth_token", "priority"] {
        assert!(answer["result"].get(key).is_none(), "{key}");
    }
}

/// Junebug 82: `content` is required.
#[tokio::test]
async fn line_082_content_is_required() {
    assert_eq!(refused(json!({"to": "+1"})).await, [row("'content' is a required property", "required")]);
}

/// Junebug 83: One of `to` and `reply_to` is required.
#[tokio::test]
async fn line_083_to_or_reply_to_is_required() {
    let (status, answer) = send(json!({"content": "a"})).await;
    assert_eq!((status, &answer["description"]), (400, &json!("api usage error")));
    assert_eq!(error(&answer), ("ApiUsageError", "Either \"to\" or \"reply_to\" must be specified"));
}

/// Junebug 84: An unknown key is refused.
#[tokio::test]
async fn line_084_an_unknown_key_is_refused() {
    let one = row("Additional properties are not allowed ('foo' was unexpected)", "additionalProperties");
    assert_eq!(refused(json!({"to": "+1", "content": "a", "foo": 1})).await, [one]);
}

/// Junebug 85: `to`, `reply_to` and `event_url` are no null.
#[tokio::test]
async fn line_085_null_is_no_address_and_no_url() {
    for key in ["to", "reply_to", "event_url"] {
        let mut message = json!({"to": "+1", "content": "a"});
        message[key] = Value::Null;
        assert_eq!(refused(message).await, [row("None is not of type 'string'", &format!("properties.{key}.type"))]);
    }
}

/// Junebug 86: `to` must be text.
#[tokio::test]
async fn line_086_to_must_be_text() {
    assert_eq!(
        refused(json!({"to": 1, "content": "a"})).await,
        [row("1 is not of type 'string'", "properties.to.type")]
    );
}

/// Junebug 87: `priority` may be a number.
#[tokio::test]
async fn line_087_priority_may_be_a_number() {
    assert_eq!(send(json!({"to": "+1", "content": "a", "priority": 1})).await.0, 201);
}

/// Junebug 88: `priority` may be a number as text, which is all that Junebug takes; 1 and 5 have names here.
#[tokio::test]
async fn line_088_priority_may_be_text() {
    for priority in ["3", "bulk", "realtime"] {
        assert_eq!(send(json!({"to": "+1", "content": "a", "priority": priority})).await.0, 201);
    }
}

/// Junebug 89: `priority` is from 1 to 5.
#[tokio::test]
async fn line_089_priority_ends_at_five() {
    let expected = [row("9 is greater than the maximum of 5", "properties.priority.maximum")];
    assert_eq!(refused(json!({"to": "+1", "content": "a", "priority": 9})).await, expected);
}

/// Junebug 90: `channel_data` must be an object.
#[tokio::test]
async fn line_090_channel_data_must_be_an_object() {
    let expected = [row("[] is not of type 'object'", "properties.channel_data.type")];
    assert_eq!(refused(json!({"to": "+1", "content": "a", "channel_data": []})).await, expected);
}

/// Junebug 91: `content` of null is refused like any other violation; in Junebug it is a 500.
#[tokio::test]
async fn line_091_content_of_null_is_refused() {
    let expected = [row("None is not of type 'string'", "properties.content.type")];
    assert_eq!(refused(json!({"to": "+1", "content": null})).await, expected);
}

/// Junebug 92: Content over the limit is refused with its length and the limit, in code points.
#[tokio::test]
async fn line_092_too_long_content_is_refused() {
    let maybug = Maybug::start().await;
    let id = maybug.channel(loopback(json!({"character_limit": 3}))).await;
    let path = format!("/channels/{id}/messages/");
    assert_eq!(maybug.post(&path, json!({"to": "1", "content": "ab😀"})).await.0, 201);
    let (status, answer) = maybug.post(&path, json!({"to": "1", "content": "abc😀"})).await;
    assert_eq!((status, &answer["description"]), (400, &json!("message too long")));
    let message = "Message content 'abc😀' is of length 4, which is greater than the character limit of 3";
    assert_eq!(error(&answer), ("MessageTooLong", message));
}

/// Junebug 93: Without a limit, or with null, any length is taken.
#[tokio::test]
async fn line_093_no_limit_takes_any_length() {
    let maybug = Maybug::start().await;
    for channel in [loopback(json!({})), loopback(json!({"character_limit": null}))] {
        let id = maybug.channel(channel).await;
        maybug.send(&id, json!({"to": "1", "content": "x".repeat(10_000)})).await;
    }
}

/// Junebug 94: What was refused as too long is not sent.
#[tokio::test]
async fn line_094_what_was_too_long_is_not_sent() {
    let mut smsc = Smsc::start(SimulatorConfig::default()).await;
    let maybug = Maybug::start().await;
    let id = maybug.smpp_channel(smsc.simulator.address(), json!({}), json!({"character_limit": 3})).await;
    let message = json!({"to": "+27820001001", "content": "long"});
    assert_eq!(maybug.post(&format!("/channels/{id}/messages/"), message).await.0, 400);
    maybug.send(&id, json!({"to": "+27820001001", "content": "ok"})).await;
    assert_eq!(smsc.message().await.2, "ok");
}

/// Junebug 95: A channel that nobody could receive from sends nothing.
#[tokio::test]
async fn line_095_a_channel_without_destination_sends_nothing() {
    let maybug = Maybug::start().await;
    let id = maybug.channel(json!({"type": "loopback", "config": {}})).await;
    let (status, answer) = maybug.post(&format!("/channels/{id}/messages/"), json!({"to": "1", "content": "a"})).await;
    assert_eq!((status, error(&answer)), (400, ("ApiUsageError", "This channel has no \"mo_url\" or \"amqp_queue\"")));
}

fn is_no_reply(status: u16, answer: &Value, named: &str) {
    assert_eq!((status, &answer["description"]), (400, &json!("message not found")));
    assert_eq!(error(answer), ("MessageNotFound", format!("Inbound message with id {named} not found").as_str()));
}

/// Junebug 96: A reply to nothing is 400, not 404.
#[tokio::test]
async fn line_096_a_reply_to_nothing_is_400() {
    let (status, answer) = send(json!({"reply_to": "feed", "content": "a"})).await;
    is_no_reply(status, &answer, "feed");
}

/// Junebug 97: That there is a `to` too changes nothing by default.
#[tokio::test]
async fn line_097_a_reply_to_nothing_with_an_address_is_400() {
    let (status, answer) = send(json!({"reply_to": "feed", "to": "1", "content": "a"})).await;
    is_no_reply(status, &answer, "feed");
}

/// Junebug 98: With `allow_expired_replies` it goes to `to`, and is no reply.
#[tokio::test]
async fn line_098_an_expired_reply_may_go_to_its_address() {
    let maybug = Maybug::with(|config| config.allow_expired_replies = true).await;
    let id = maybug.channel(loopback(json!({}))).await;
    let path = format!("/channels/{id}/messages/");
    let message = json!({"reply_to": "feed", "to": "1", "from": "2", "content": "a"});
    let (status, answer) = maybug.post(&path, message).await;
    let result = &answer["result"];
    assert_eq!((status, &result["to"], &result["from"]), (201, &json!("1"), &json!("2")));
    assert_eq!(result["reply_to"], Value::Null);
    for message in [json!({"reply_to": "feed", "content": "a"}), json!({"reply_to": "feed", "to": "", "content": "a"})]
    {
        let (status, answer) = maybug.post(&path, message).await;
        is_no_reply(status, &answer, "feed");
    }
}

/// A channel that a phone has written to, and the message's id.
async fn written_to(maybug: &Maybug, receiver: &mut Receiver) -> (String, String) {
    let id = maybug.channel(echoing(&receiver.url("/mo"))).await;
    phone_writes(maybug, &id, "hi").await;
    let mo = receiver.mo().await["message_id"].as_str().unwrap().to_owned();
    (id, mo)
}

/// Junebug 99: A reply goes to who wrote, from what was written to, whatever else it says.
#[tokio::test]
async fn line_099_a_reply_goes_to_who_wrote() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let (id, mo) = written_to(&maybug, &mut receiver).await;
    let reply = json!({"reply_to": mo, "to": "ignored", "from": "ignored", "group": "ignored", "content": "a"});
    let (status, answer) = maybug.post(&format!("/channels/{id}/messages/"), reply).await;
    let result = &answer["result"];
    assert_eq!((status, &result["reply_to"]), (201, &json!(mo)));
    assert_eq!((&result["to"], &result["from"]), (&json!("+27820001001"), &json!("8110")));
    assert_eq!(result["group"], Value::Null);
}

/// Junebug 100: A message can be answered again.
#[tokio::test]
async fn line_100_a_message_can_be_answered_again() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let (id, mo) = written_to(&maybug, &mut receiver).await;
    for n in 0..3 {
        maybug.send(&id, json!({"reply_to": mo, "content": n.to_string()})).await;
    }
}

/// Junebug 101: After `inbound_message_ttl` seconds a message cannot be answered. They count from its arrival; in Junebug
/// each look at the message begins them anew.
#[tokio::test]
async fn line_101_an_old_message_cannot_be_answered() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::with(|config| config.inbound_message_ttl = 0).await;
    let (id, mo) = written_to(&maybug, &mut receiver).await;
    let reply = json!({"reply_to": mo, "content": "a"});
    let (status, answer) = maybug.post(&format!("/channels/{id}/messages/"), reply).await;
    is_no_reply(status, &answer, &mo);
}

/// Junebug 102: A message is answered on the channel that it came over.
#[tokio::test]
async fn line_102_a_message_is_answered_on_its_own_channel() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let (_, mo) = written_to(&maybug, &mut receiver).await;
    let other = maybug.channel(loopback(json!({}))).await;
    let (status, answer) =
        maybug.post(&format!("/channels/{other}/messages/"), json!({"reply_to": mo, "content": "a"})).await;
    is_no_reply(status, &answer, &mo);
}

/// Junebug 103: A broker that is away stops no message that comes over HTTP: the queue is here. In Junebug it is a 500.
#[tokio::test]
async fn line_103_a_broker_that_is_away_stops_nothing() {
    let maybug = Maybug::with(|config| config.amqp = Some(AmqpConfig { port: 1, ..AmqpConfig::default() })).await;
    let id = maybug.channel(json!({"type": "loopback", "config": {}, "amqp_queue": "app"})).await;
    let message = maybug.send(&id, json!({"to": "1", "content": "a"})).await;
    assert_eq!(types(&maybug.events(&id, &message, 2).await), ["submitted", "delivery_succeeded"]);
}

/// Junebug 104: `allow_expired_replies` in the file counts; Junebug's own flag overrides it even when it is not given.
#[tokio::test]
async fn line_104_allow_expired_replies_in_the_file_counts() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("maybug.yaml");
    std::fs::write(&file, "allow_expired_replies: true\n").unwrap();
    let process = Process::start(directory.path(), &["-c", file.to_str().unwrap()]).await;
    let created = call(&process.base, "/channels/", Some(loopback(json!({})))).await;
    let path = format!("/channels/{}/messages/", created["result"]["id"].as_str().unwrap());
    let sent = call(&process.base, &path, Some(json!({"reply_to": "feed", "to": "1", "content": "a"}))).await;
    assert_eq!(sent["result"]["reply_to"], Value::Null);
    process.kill().await;
}
