//! What one request may take: length, depth, encoding, time, and how many at once. Each bound answers in the envelope.

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING};
use maybug::access::Accounts;
use maybug::api::guard::Guard;
use maybug::api::{Api, ApiLimits};
use maybug::config::Auth;
use maybug::store::{Store, StoreConfig};
use maybug::web::server::{Limits, serve};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::auth::{ask, basic};
use crate::support::{Maybug, soon};

const MESSAGE: &str = r#"{"to": "1", "content": "Hello"}"#;

#[tokio::test]
async fn a_request_is_bounded_in_length_depth_and_encoding() {
    let maybug = Maybug::start().await;
    let channel = maybug.channel(json!({"type": "loopback", "config": {}, "mo_url": null})).await;
    let path = format!("/channels/{channel}/messages/");
    let nested = |depth: usize| {
        let deep = "[".repeat(depth - 2) + &"]".repeat(depth - 2);
        format!(r#"{{"to": "1", "content": "Hello", "channel_data": {{"deep": {deep}}}}}"#)
    };
    let url = |length: usize| format!("/channels/{}", "x".repeat(length - "/channels/".len()));
    for (path, headers, body, status, kind) in [
        (path.clone(), vec![], MESSAGE.to_owned(), 201, ""),
        (path.clone(), vec![(CONTENT_ENCODING, "identity")], MESSAGE.to_owned(), 201, ""),
        (path.clone(), vec![(CONTENT_ENCODING, "gzip")], MESSAGE.to_owned(), 415, "Unsupported Media Type"),
        (path.clone(), vec![], nested(64), 201, ""),
        (path.clone(), vec![], nested(65), 400, "JsonDecodeError"),
        (path.clone(), vec![], "[".repeat(1_000_000), 400, "JsonDecodeError"),
        (path.clone(), vec![], " ".repeat((1 << 20) + 1), 413, "Payload Too Large"),
        (url(8 * 1024), vec![], "{}".to_owned(), 404, "ChannelNotFound"),
        (url(8 * 1024 + 1), vec![], "{}".to_owned(), 414, "URI Too Long"),
    ] {
        let said = ask(&maybug.base, &Method::POST, &path, &headers, &body).await;
        assert_eq!(said.status, status, "{}", said.body);
        if status > 201 {
            assert_eq!(said.body["result"]["errors"][0]["type"], kind, "{}", said.body);
        }
    }
}

/// The API of a server once more, with other limits and no accounts, at this address.
async fn limited(maybug: &Maybug, auth: Auth, time: Duration, requests: usize) -> (String, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let config = StoreConfig { path: directory.path().to_owned(), min_free: 0, ..StoreConfig::default() };
    let accounts = Accounts::open(Store::open(&config).await.unwrap()).await.unwrap();
    let guard = Guard::new(Arc::new(accounts), auth, None);
    let limits = ApiLimits { body: 1024, body_time: Duration::from_secs(60), time, requests, max_logs: 1 };
    let api = Arc::new(Api::new(maybug.server.gateway().clone(), guard, limits, None, None));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(serve(listener, api, Limits::default(), CancellationToken::new()));
    (address, directory)
}

/// Begins a request whose body does not come.
async fn hanging(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "POST /channels/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    // Once it is told to go on, it is being answered.
    let mut told = [0; 25];
    soon("the word to go on", stream.read_exact(&mut told)).await.unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

/// The head and the envelope of what comes next.
pub(crate) async fn answer(stream: &mut TcpStream) -> (String, Value) {
    let mut octets = Vec::new();
    soon("an answer", async {
        loop {
            assert!(stream.read_buf(&mut octets).await.unwrap() > 0, "it was closed without an answer");
            let text = std::str::from_utf8(&octets).unwrap();
            if let Some((head, body)) = text.split_once("\r\n\r\n")
                && let Ok(body) = serde_json::from_str(body)
            {
                return (head.to_owned(), body);
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_answered_all_the_same() {
    let maybug = Maybug::start().await;
    let (address, _directory) = limited(&maybug, Auth::Never, Duration::from_millis(50), 10).await;
    let (head, body) = answer(&mut hanging(&address).await).await;
    assert!(head.starts_with("HTTP/1.1 503 ") && head.to_lowercase().contains("retry-after: 5"), "{head}");
    assert_eq!(body["result"]["errors"][0]["type"], "Timeout");
}

#[test]
fn a_request_whose_password_cannot_be_checked_is_answered_in_time_and_a_glance_as_a_stranger() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let main = runtime.worker_threads(2).enable_all().build().unwrap();
    let maybug = main.block_on(Maybug::start());
    // The one thread that passwords are checked on is taken.
    let other = runtime.max_blocking_threads(1).build().unwrap();
    let (free, taken) = std::sync::mpsc::channel::<()>();
    let (address, _directory) = other.block_on(limited(&maybug, Auth::Always, Duration::from_millis(240), 10));
    other.spawn_blocking(move || taken.recv());
    main.block_on(async {
        let (base, authorization) = (format!("http://{address}"), basic("nobody", "password"));
        for (path, status, description) in [("/channels/", 503, "too slow"), ("/health", 200, "health ok")] {
            let said = ask(&base, &Method::GET, path, &[(AUTHORIZATION, &authorization)], "").await;
            assert_eq!((said.status, &said.body["description"]), (status, &json!(description)), "{path}");
        }
    });
    drop(free);
    other.shutdown_background();
}

#[tokio::test]
async fn one_request_too_many_is_told_to_come_back() {
    let maybug = Maybug::start().await;
    let (address, _directory) = limited(&maybug, Auth::Never, Duration::from_secs(60), 1).await;
    let mut first = hanging(&address).await;
    let base = format!("http://{address}");
    let refused = ask(&base, &Method::GET, "/channels/", &[], "").await;
    assert_eq!((refused.status, &refused.headers["retry-after"]), (503, &"1".parse().unwrap()));
    assert_eq!(refused.body["result"]["errors"][0]["type"], "Busy");
    first.write_all(b"{}").await.unwrap();
    assert_eq!(answer(&mut first).await.1["status"], 400, "the one that was there first is answered");
    assert_eq!(ask(&base, &Method::GET, "/channels/", &[], "").await.status, 200);
}
