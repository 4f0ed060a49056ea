//! Malformed and impossible requests, each with the exact answer, and nothing lost for anybody else.

use hyper::Method;
use serde_json::{Value, json};

use crate::support::{Maybug, Smsc};

/// Method, path (`{c}` is a channel, `{m}` one without `mo_url`), body, status, description, errors.
type Row = (&'static str, &'static str, &'static str, u16, &'static str, Value);

const SENTENCE: &str = "The requested URL was not found on the server. If you entered the URL manually please check \
                        your spelling and try again.";
const NOT_ALLOWED: &str = "The method is not allowed for the requested URL.";

fn invalid(rows: &[(&str, &[&str])]) -> Value {
    rows.iter()
        .map(|(message, path)| json!({"type": "invalid_body", "message": message, "schema_path": path}))
        .collect()
}

fn kind(kind: &str, message: &str) -> Value {
    json!([{"type": kind, "message": message}])
}

fn config(key: &str, message: &str) -> Value {
    json!([{"type": "ConfigError", "key": key, "message": message}])
}

fn not_found() -> Value {
    json!([{"code": 404, "type": "Not Found", "message": format!("404 Not Found: {SENTENCE}")}])
}

fn not_allowed() -> Value {
    json!([{"code": 405, "type": "Method Not Allowed", "message": format!("405 Method Not Allowed: {NOT_ALLOWED}")}])
}

const USAGE: &str = "api usage error";
const SMPP: &str = r#""twisted_endpoint": "tcp:h:1", "system_id": "s", "password": "p""#;

fn paths() -> Vec<Row> {
    vec![
        ("GET", "/channel/", "", 404, SENTENCE, not_found()),
        ("GET", "//channels//", "", 404, SENTENCE, not_found()),
        ("GET", "/channels/{c}/message", "", 404, SENTENCE, not_found()),
        ("POST", "/health/", "", 405, NOT_ALLOWED, not_allowed()),
        ("PUT", "/channels/", "{}", 405, NOT_ALLOWED, not_allowed()),
        ("PATCH", "/channels/{c}", "{}", 405, NOT_ALLOWED, not_allowed()),
        ("GET", "/channels/{c}/restart", "", 405, NOT_ALLOWED, not_allowed()),
        ("PUT", "/channels/{c}/messages/", "", 405, NOT_ALLOWED, not_allowed()),
        ("GET", "/channels/nope", "", 404, "channel not found", kind("ChannelNotFound", "")),
        ("POST", "/channels/nope", "{}", 404, "channel not found", kind("ChannelNotFound", "")),
        ("DELETE", "/channels/nope", "", 404, "channel not found", kind("ChannelNotFound", "")),
        ("POST", "/channels/nope/restart", "", 404, "channel not found", kind("ChannelNotFound", "")),
        ("GET", "/channels/nope/logs", "", 404, "channel not found", kind("ChannelNotFound", "")),
        ("GET", "/channels/nope/messages/x", "", 404, "channel not found", kind("ChannelNotFound", "")),
        (
            "POST",
            "/channels/nope/messages/",
            r#"{"content": "x", "to": "1"}"#,
            404,
            "channel not found",
            kind("ChannelNotFound", ""),
        ),
        (
            "POST",
            "/channels/%2e%2e%2fetc/messages/",
            r#"{"content": "x", "to": "1"}"#,
            404,
            "channel not found",
            kind("ChannelNotFound", ""),
        ),
        (
            "GET",
            "/channels/{c}/logs?level=loud",
            "",
            400,
            USAGE,
            kind("ApiUsageError", "\"level\" is no level: 'loud'"),
        ),
        (
            "GET",
            "/channels/{c}/logs?type=x",
            "",
            400,
            USAGE,
            kind("ApiUsageError", "\"type\" is neither 'log' nor 'pdu': 'x'"),
        ),
    ]
}

fn bodies() -> Vec<Row> {
    let messages = "/channels/{c}/messages/";
    let not_json = |message: &str| kind("JsonDecodeError", message);
    let decode = "json decode error";
    vec![
        (
            "POST",
            messages,
            r#"{"content": "x", "to": "1"} x"#,
            400,
            decode,
            not_json("trailing characters at line 1 column 29"),
        ),
        (
            "POST",
            messages,
            r#"{"content": "x""#,
            400,
            decode,
            not_json("EOF while parsing an object at line 1 column 15"),
        ),
        ("POST", messages, "\"x\"", 400, USAGE, invalid(&[("'x' is not of type 'object'", &["type"])])),
        (
            "POST",
            messages,
            r#"{"content": 1, "to": 2}"#,
            400,
            USAGE,
            invalid(&[
                ("1 is not of type 'string'", &["properties", "content", "type"]),
                ("2 is not of type 'string'", &["properties", "to", "type"]),
            ]),
        ),
        (
            "POST",
            messages,
            r#"{"content": "x", "to": "1", "from": 5}"#,
            400,
            USAGE,
            invalid(&[("5 is not of type 'string', 'null'", &["properties", "from", "type"])]),
        ),
        (
            "POST",
            messages,
            r#"{"content": "x", "to": "1", "priority": 0}"#,
            400,
            USAGE,
            invalid(&[("0 is less than the minimum of 1", &["properties", "priority", "minimum"])]),
        ),
        (
            "POST",
            messages,
            r#"{"content": "x", "to": "1", "priority": "high"}"#,
            400,
            USAGE,
            invalid(&[("'high' is not of type 'integer'", &["properties", "priority", "type"])]),
        ),
        (
            "POST",
            messages,
            r#"{"content": "x", "to": "1", "b": 1, "a": 2}"#,
            400,
            USAGE,
            invalid(&[("Additional properties are not allowed ('a', 'b' were unexpected)", &["additionalProperties"])]),
        ),
        (
            "POST",
            messages,
            r#"{"content": "x", "to": "1", "event_url": "ftp://x/"}"#,
            400,
            USAGE,
            kind("ApiUsageError", "\"event_url\" is no http or https URL: 'ftp://x/'"),
        ),
        (
            "POST",
            messages,
            r#"{"content": "x", "to": "1", "channel_data": {"session_event": "pause"}}"#,
            400,
            USAGE,
            kind("ApiUsageError", "Invalid session_event \"pause\": it must be null, 'new', 'resume' or 'close'"),
        ),
        (
            "POST",
            "/channels/{m}/messages/",
            r#"{"content": "x", "to": "1"}"#,
            400,
            USAGE,
            kind("ApiUsageError", "This channel has no \"mo_url\" or \"amqp_queue\""),
        ),
        (
            "GET",
            "/channels/{m}/messages/x",
            "",
            400,
            USAGE,
            kind("ApiUsageError", "This channel has no \"mo_url\" or \"amqp_queue\""),
        ),
        (
            "POST",
            "/channels/nope/messages/",
            "{}",
            400,
            USAGE,
            invalid(&[("'content' is a required property", &["required"])]),
        ),
    ]
}

fn channels() -> Vec<(String, u16, &'static str, Value)> {
    let smpp = |more: &str| format!(r#"{{"type": "smpp", "config": {{{SMPP}{more}}}}}"#);
    let bad = "config error";
    vec![
        (
            r#"{"type": 1, "config": []}"#.into(),
            400,
            USAGE,
            invalid(&[
                ("1 is not of type 'string'", &["properties", "type", "type"]),
                ("[] is not of type 'object'", &["properties", "config", "type"]),
            ]),
        ),
        (
            r#"{"type": "loopback", "config": {}, "rate_limit_window": 1.0}"#.into(),
            400,
            USAGE,
            invalid(&[("1.0 is not of type 'integer'", &["properties", "rate_limit_window", "type"])]),
        ),
        (
            r#"{"type": "loopback", "config": {}, "character_limit": true}"#.into(),
            400,
            USAGE,
            invalid(&[("True is not of type 'integer', 'null'", &["properties", "character_limit", "type"])]),
        ),
        (
            r#"{"type": "loopback", "config": {}, "mo_url": 7}"#.into(),
            400,
            USAGE,
            invalid(&[("7 is not of type 'string', 'null'", &["properties", "mo_url", "type"])]),
        ),
        (
            r#"{"type": "loopback", "config": {"ecco": true}}"#.into(),
            400,
            bad,
            config("ecco", "Unknown config field 'ecco', did you mean 'echo'?"),
        ),
        (
            r#"{"type": "smpp", "config": {}}"#.into(),
            400,
            bad,
            config("password", "Missing required config field 'password'"),
        ),
        (
            r#"{"type": "smpp", "config": {"password": "p", "system_id": "s"}}"#.into(),
            400,
            bad,
            config("twisted_endpoint", "Missing required config field 'twisted_endpoint'"),
        ),
        (
            r#"{"type": "smpp", "config": {"password": "p", "system_id": "s", "twisted_endpoint": "nowhere"}}"#.into(),
            400,
            bad,
            config(
                "twisted_endpoint",
                "Field 'twisted_endpoint' is not a valid server endpoint: it must begin with tcp:, ssl: or tls:",
            ),
        ),
        (
            smpp(r#", "system_type": "much too long""#),
            400,
            bad,
            config("system_type", "Field 'system_type' must be at most 12 ASCII characters"),
        ),
        (smpp(r#", "mt_tps": "fast""#), 400, bad, config("mt_tps", "Field 'mt_tps' is not a number")),
        (smpp(r#", "bind_tps": -1"#), 400, bad, config("bind_tps", "Field 'bind_tps' must not be negative")),
        (smpp(r#", "mt_tps": -1"#), 400, bad, config("mt_tps", "Field 'mt_tps' must not be negative")),
        (
            smpp(r#", "window_size": 0"#),
            400,
            bad,
            config("window_size", "Field 'window_size' must be a whole number from 1 to 10000"),
        ),
        (
            smpp(r#", "smpp_bind_timeout": 0"#),
            400,
            bad,
            config("smpp_bind_timeout", "Field 'smpp_bind_timeout' must be a number of seconds larger than zero"),
        ),
        (
            smpp(r#", "bind_type": "both""#),
            400,
            bad,
            config("bind_type", "Field 'bind_type' must be one of: trx, tx, rx, tx+rx"),
        ),
        (
            smpp(r#", "registered_delivery": "yes""#),
            400,
            bad,
            config("registered_delivery", "Field 'registered_delivery' is not true or false"),
        ),
        (
            smpp(r#", "deliver_sm_decoding_error": "ESME_NOPE""#),
            400,
            bad,
            config(
                "deliver_sm_decoding_error",
                "Field 'deliver_sm_decoding_error' names the unknown status 'ESME_NOPE'",
            ),
        ),
        (
            smpp(r#", "windwo_size": 1"#),
            400,
            bad,
            config("windwo_size", "Unknown config field 'windwo_size', did you mean 'window_size'?"),
        ),
    ]
}

#[tokio::test]
async fn every_malformed_request_has_its_answer_and_costs_nobody_anything() {
    let mut smsc = Smsc::start(Default::default()).await;
    let maybug = Maybug::start().await;
    let good = maybug.smpp_channel(smsc.simulator.address(), json!({}), json!({})).await;
    let mute = maybug.channel(json!({"type": "loopback", "config": {}})).await;
    let mut count = 0;
    let rows = paths().into_iter().chain(bodies());
    for (method, path, body, status, description, errors) in rows {
        let path = path.replace("{c}", &good).replace("{m}", &mute);
        let method: Method = method.parse().unwrap();
        let (answered, headers, answer) = maybug.request(method.clone(), &path, body.as_bytes()).await;
        let what = format!("{method} {path} {body}");
        assert_eq!(answered, status, "{what}");
        assert_eq!(answer["description"], description, "{what}");
        assert_eq!(answer["result"], json!({"errors": errors}), "{what}");
        assert_eq!(status == 405, headers.contains_key("allow"), "{what}");
        count += 1;
    }
    for (body, status, description, mut errors) in channels() {
        if errors[0]["key"] == "" {
            errors[0].as_object_mut().unwrap().remove("key");
        }
        let (answered, _, answer) = maybug.request(Method::POST, "/channels/", body.as_bytes()).await;
        assert_eq!((answered, answer["description"].as_str()), (status, Some(description)), "{body} {answer}");
        assert_eq!(answer["result"], json!({"errors": errors}), "{body}");
        count += 1;
    }
    assert!(count >= 40, "{count}");
    assert_eq!(maybug.get("/channels/").await.1["result"].as_array().unwrap().len(), 2, "nothing is left behind");
    maybug.send(&good, json!({"to": "+27820001001", "content": "still here"})).await;
    assert_eq!(smsc.message().await.2, "still here");
}

#[tokio::test]
async fn octets_that_are_no_text_and_bodies_that_are_too_long_are_refused() {
    let maybug = Maybug::start().await;
    let id = maybug.channel(json!({"type": "loopback", "config": {}, "mo_url": null})).await;
    let path = format!("/channels/{id}/messages/");
    let (status, _, answer) = maybug.request(Method::POST, &path, b"{\"content\": \"\xff\xfe\"}").await;
    assert_eq!((status, answer["description"].as_str()), (400, Some("json decode error")));
    let (status, _, answer) = maybug.request(Method::POST, &path, "[".repeat(1000).as_bytes()).await;
    assert_eq!((status, answer["description"].as_str()), (400, Some("json decode error")));
    let long = json!({"to": "1", "content": "x".repeat(1024 * 1024)}).to_string();
    let (status, _, answer) = maybug.request(Method::POST, &path, long.as_bytes()).await;
    let message = "413 Payload Too Large: the request body is longer than 1048576 octets";
    assert_eq!((status, answer["result"]["errors"][0]["message"].as_str()), (413, Some(message)));
}
