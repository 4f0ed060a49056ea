//! Lines 1 to 15: the form of every answer, methods, paths.

use hyper::Method;
use serde_json::{Value, json};

use crate::setup::{error, header, keys, loopback, raw};
use crate::support::Maybug;

const NOT_FOUND: &str = "The requested URL was not found on the server. If you entered the URL manually please check \
                         your spelling and try again.";
const NOT_ALLOWED: &str = "The method is not allowed for the requested URL.";

/// Answers of every kind: each endpoint, and each way to fail.
async fn answers(maybug: &Maybug) -> Vec<(u16, hyper::HeaderMap, Value)> {
    let (_, created) = maybug.post("/channels/", loopback(json!({"character_limit": 3}))).await;
    let channel = created["result"]["id"].as_str().unwrap();
    let message = maybug.send(channel, json!({"to": "1", "content": "x"})).await;
    let rows = [
        ("GET", "/channels/".to_owned(), String::new()),
        ("POST", "/channels/".to_owned(), loopback(json!({})).to_string()),
        ("GET", format!("/channels/{channel}"), String::new()),
        ("POST", format!("/channels/{channel}"), "{}".to_owned()),
        ("POST", format!("/channels/{channel}/restart"), String::new()),
        ("POST", format!("/channels/{channel}/messages/"), r#"{"to": "1", "content": "x"}"#.to_owned()),
        ("POST", format!("/channels/{channel}/messages/"), r#"{"to": "1", "content": "long"}"#.to_owned()),
        ("GET", format!("/channels/{channel}/messages/{message}"), String::new()),
        ("GET", format!("/channels/{channel}/logs"), String::new()),
        ("GET", format!("/channels/{channel}/logs?n=x"), String::new()),
        ("GET", "/routers/".to_owned(), String::new()),
        ("POST", "/routers/".to_owned(), "{}".to_owned()),
        ("GET", "/health".to_owned(), String::new()),
        ("GET", "/nowhere".to_owned(), String::new()),
        ("PUT", "/channels/".to_owned(), String::new()),
        ("POST", "/channels/".to_owned(), "{".to_owned()),
        ("POST", "/channels/".to_owned(), "x".repeat(2 << 20)),
        ("GET", "/channels/nope".to_owned(), String::new()),
        ("DELETE", format!("/channels/{channel}"), String::new()),
    ];
    let mut answers = Vec::new();
    for (method, path, body) in rows {
        answers.push(maybug.request(method.parse().unwrap(), &path, body.as_bytes()).await);
    }
    answers
}

/// Junebug 1: Every answer is an object of exactly four keys.
#[tokio::test]
async fn line_001_every_answer_has_exactly_four_keys() {
    let maybug = Maybug::start().await;
    for (_, _, answer) in answers(&maybug).await {
        assert_eq!(keys(&answer), ["code", "description", "result", "status"], "{answer}");
    }
}

/// Junebug 2: `status` in the body is the HTTP status.
#[tokio::test]
async fn line_002_the_status_is_in_the_body_too() {
    let maybug = Maybug::start().await;
    let mut seen = Vec::new();
    for (status, _, answer) in answers(&maybug).await {
        assert_eq!(answer["status"], status, "{answer}");
        seen.push(status);
    }
    for status in [200, 201, 400, 404, 405, 413] {
        assert!(seen.contains(&status), "{seen:?}");
    }
}

/// Junebug 3: Every answer is `Content-Type: application/json`, without a charset.
#[tokio::test]
async fn line_003_every_answer_is_application_json() {
    let maybug = Maybug::start().await;
    for (_, headers, answer) in answers(&maybug).await {
        assert_eq!(headers["content-type"], "application/json", "{answer}");
    }
}

/// Junebug 4: A path that does not exist is 404 with a `Not Found` item.
#[tokio::test]
async fn line_004_an_unknown_path_is_404_not_found() {
    let maybug = Maybug::start().await;
    let (status, answer) = maybug.get("/foobar").await;
    let item = json!({"code": 404, "type": "Not Found", "message": format!("404 Not Found: {NOT_FOUND}")});
    let expected = json!({
        "status": 404, "code": "Not Found", "description": NOT_FOUND, "result": {"errors": [item]},
    });
    assert_eq!((status, answer), (404, expected));
}

/// Junebug 5: `/` is 404 too.
#[tokio::test]
async fn line_005_the_root_is_404() {
    let maybug = Maybug::start().await;
    let (status, answer) = maybug.get("/").await;
    assert_eq!((status, error(&answer).0), (404, "Not Found"));
}

async fn not_allowed(method: Method, path: &str) {
    let maybug = Maybug::start().await;
    let (status, headers, answer) = maybug.request(method, path, b"").await;
    let item = json!({
        "code": 405, "type": "Method Not Allowed", "message": format!("405 Method Not Allowed: {NOT_ALLOWED}"),
    });
    assert_eq!((status, &answer["description"]), (405, &json!(NOT_ALLOWED)));
    assert_eq!(answer["result"], json!({"errors": [item]}));
    assert!(headers.contains_key("allow"), "unlike Junebug's");
}

/// Junebug 6: PUT of a channel is 405. Ours says in `Allow` what there is.
#[tokio::test]
async fn line_006_put_of_a_channel_is_405() {
    not_allowed(Method::PUT, "/channels/abc").await;
}

/// Junebug 7: DELETE of all channels is 405.
#[tokio::test]
async fn line_007_delete_of_all_channels_is_405() {
    not_allowed(Method::DELETE, "/channels/").await;
}

/// Junebug 8: OPTIONS is 405: there is no CORS.
#[tokio::test]
async fn line_008_options_is_405() {
    not_allowed(Method::OPTIONS, "/channels/").await;
}

/// Junebug 9: HEAD is GET without its body.
#[tokio::test]
async fn line_009_head_is_200_without_a_body() {
    let maybug = Maybug::start().await;
    let answer = raw(&maybug, "HEAD", "/channels/", "").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    assert!(answer.contains("content-type: application/json\r\n"), "{answer}");
}

/// Junebug 10: A list without its final slash. Junebug redirects with 308; ours is served directly.
#[tokio::test]
async fn line_010_a_list_without_its_slash_is_served() {
    let maybug = Maybug::start().await;
    let id = maybug.channel(loopback(json!({}))).await;
    let (status, answer) = maybug.get("/channels").await;
    assert_eq!((status, &answer["result"]), (200, &json!([id])));
}

/// Junebug 11: A channel with a final slash. Junebug has no such path; ours is the channel, and an unknown one is 404.
#[tokio::test]
async fn line_011_an_item_with_a_slash_is_the_item() {
    let maybug = Maybug::start().await;
    let (status, answer) = maybug.get("/channels/abc/").await;
    assert_eq!((status, error(&answer).0), (404, "ChannelNotFound"));
    let id = maybug.channel(loopback(json!({}))).await;
    assert_eq!(maybug.get(&format!("/channels/{id}/")).await.1["result"]["id"], json!(id));
}

/// Junebug 12: `/health/` is `/health`.
#[tokio::test]
async fn line_012_health_has_both_spellings() {
    let maybug = Maybug::start().await;
    let with = maybug.get("/health/").await;
    assert_eq!((with.0, &with), (200, &maybug.get("/health").await));
}

/// Junebug 14: Whatever is in `Authorization` changes nothing by default; RapidPro's Courier always sends Basic.
#[tokio::test]
async fn line_014_authorization_is_ignored_by_default() {
    let maybug = Maybug::start().await;
    let id = maybug.channel(loopback(json!({}))).await;
    for value in ["Basic Y291cmllcjpzM2NyM3Q=", "Token abc", "nonsense"] {
        let path = format!("/channels/{id}");
        let (status, _, answer) = maybug.request_with(Method::GET, &path, header("authorization", value), b"").await;
        assert_eq!((status, &answer["result"]["id"]), (200, &json!(id)), "{value}");
        let path = format!("/channels/{id}/messages/");
        let body = br#"{"to": "1", "content": "x"}"#;
        let sent = maybug.request_with(Method::POST, &path, header("authorization", value), body).await;
        assert_eq!(sent.0, 201, "{value}");
    }
}

/// Junebug 15: Answers are ASCII: other characters are escaped, astral ones as surrogate pairs.
#[tokio::test]
async fn line_015_answers_are_ascii() {
    let maybug = Maybug::start().await;
    let answer = raw(&maybug, "POST", "/channels/", &loopback(json!({"label": "é😀"})).to_string()).await;
    assert!(answer.is_ascii() && answer.contains(r#""label":"\u00e9\ud83d\ude00""#), "{answer}");
}
