//! Lines 16 to 23: what a request's body may be.

use hyper::{HeaderMap, Method};
use serde_json::{Value, json};

use crate::setup::{error, header, loopback, raw, violations};
use crate::support::Maybug;

async fn create(body: &[u8], headers: HeaderMap) -> (u16, Value) {
    let maybug = Maybug::start().await;
    let (status, _, answer) = maybug.request_with(Method::POST, "/channels/", headers, body).await;
    (status, answer)
}

async fn is_no_json(body: &[u8]) {
    let (status, answer) = create(body, HeaderMap::new()).await;
    assert_eq!((status, &answer["code"]), (400, &json!("Bad Request")));
    assert_eq!((&answer["description"], error(&answer).0), (&json!("json decode error"), "JsonDecodeError"));
}

/// Junebug 16: Half an object is no JSON.
#[tokio::test]
async fn line_016_half_an_object_is_a_decode_error() {
    is_no_json(b"{").await;
}

/// Junebug 17: Nothing is no JSON.
#[tokio::test]
async fn line_017_an_empty_body_is_a_decode_error() {
    is_no_json(b"").await;
}

/// Junebug 18: A form is no JSON.
#[tokio::test]
async fn line_018_a_form_is_a_decode_error() {
    is_no_json(b"type=telnet").await;
}

/// Junebug 19: A list is no object.
#[tokio::test]
async fn line_019_a_list_is_of_the_wrong_type() {
    let (status, answer) = create(b"[]", HeaderMap::new()).await;
    assert_eq!(violations(status, &answer), [("[] is not of type 'object'".into(), "type".into())]);
}

/// Junebug 20: null is no object.
#[tokio::test]
async fn line_020_null_is_of_the_wrong_type() {
    let (status, answer) = create(b"null", HeaderMap::new()).await;
    assert_eq!(violations(status, &answer), [("None is not of type 'object'".into(), "type".into())]);
}

/// Junebug 21: JSON that calls itself plain text is read.
#[tokio::test]
async fn line_021_json_called_plain_text_is_read() {
    let body = loopback(json!({"label": "plain"})).to_string();
    let (status, answer) = create(body.as_bytes(), header("content-type", "text/plain")).await;
    assert_eq!((status, &answer["result"]["label"]), (201, &json!("plain")));
}

/// Junebug 22: JSON without a type is read.
#[tokio::test]
async fn line_022_json_without_a_content_type_is_read() {
    let maybug = Maybug::start().await;
    let answer = raw(&maybug, "POST", "/channels/", &loopback(json!({"label": "bare"})).to_string()).await;
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n") && answer.contains(r#""label":"bare""#), "{answer}");
}

/// Junebug 23: Octets that are no UTF-8 are no JSON.
#[tokio::test]
async fn line_023_octets_that_are_no_text_are_a_decode_error() {
    is_no_json(b"{\"type\": \"loopback\", \"config\": {}, \"label\": \"\xff\xfe\"}").await;
}
