//! Wrong passwords, many of them: whoever sends them waits, and nobody else does.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::future::join_all;
use hyper::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use hyper::{HeaderMap, Method, StatusCode};
use maybug::web::client::{Answer, Client};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::sync::watch;
use url::Url;

use crate::auth::{account, basic, guarded};
use crate::auth_limits::answer;
use crate::support::{DEADLINE, Maybug, client, soon};

/// The status of a request with these credentials from another address of loopback than the other clients have.
async fn from_elsewhere(maybug: &Maybug, authorization: &str) -> Value {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), 0))).unwrap();
    let mut stream = socket.connect(maybug.server.addresses()[0]).await.unwrap();
    let head = format!("GET /channels/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    answer(&mut stream).await.1["status"].clone()
}

async fn from_here(client: &Client, maybug: &Maybug, authorization: &str) -> Answer {
    let url = Url::parse(&format!("{}/channels/", maybug.base)).unwrap();
    let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(authorization).unwrap())]);
    client.request(Method::GET, &url, headers, Bytes::new(), DEADLINE).await.unwrap()
}

fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn guesses_for_one_name_are_told_to_wait_and_the_account_is_there_from_elsewhere() {
    let (maybug, root) = guarded().await;
    account(&maybug, &root, json!({"name": "shop", "scopes": ["read"], "password": "correct horse"})).await;
    let client = client();
    for name in ["nobody", "shop"] {
        let guesses: Vec<String> = (0..30).map(|number| basic(name, &format!("guess {number}"))).collect();
        let said = join_all(guesses.iter().map(|guess| from_here(&client, &maybug, guess))).await;
        let refused: Vec<&Answer> = said.iter().filter(|answer| answer.status != StatusCode::UNAUTHORIZED).collect();
        assert!(refused.len() > 10, "{name}: {} of 30 guesses were not looked at", refused.len());
        for answer in refused {
            let body = body(answer);
            assert_eq!((answer.status, &body["status"]), (StatusCode::TOO_MANY_REQUESTS, &json!(429)));
            assert_eq!(
                (&body["code"], &body["description"]),
                (&json!("Too Many Requests"), &json!("too many wrong passwords"))
            );
            assert_eq!(body["result"]["errors"][0]["type"], "TooSoon", "{body}");
            assert!(answer.headers[RETRY_AFTER].to_str().unwrap().parse::<u64>().unwrap() >= 1);
        }
    }
    assert_eq!(from_elsewhere(&maybug, &basic("shop", "correct horse")).await, 200);
    let token = from_here(&client, &maybug, &root).await;
    assert_eq!(token.status, StatusCode::OK, "tokens wait for nothing");
}

#[tokio::test]
async fn while_one_address_floods_it_is_refused_and_others_are_let_in() {
    let (maybug, root) = guarded().await;
    let accounts: Vec<String> = (0..4).map(|number| format!("shop{number}")).collect();
    for name in &accounts {
        account(&maybug, &root, json!({"name": name, "scopes": ["read"], "password": "correct horse"})).await;
    }
    let maybug = Arc::new(maybug);
    let (refused, mut first) = watch::channel(None);
    let (client, number) = (client(), Arc::new(AtomicUsize::new(0)));
    let flood: Vec<_> = (0..200)
        .map(|_| {
            let (client, maybug, number, refused) = (client.clone(), maybug.clone(), number.clone(), refused.clone());
            tokio::spawn(async move {
                loop {
                    // A name is never said twice, so that none of them has to wait for what it has guessed.
                    let name = format!("name{}", number.fetch_add(1, Ordering::Relaxed));
                    let answer = from_here(&client, &maybug, &basic(&name, "wrong password")).await;
                    if answer.status != StatusCode::UNAUTHORIZED {
                        refused.send_replace(Some(answer));
                    }
                }
            })
        })
        .collect();
    let answer = soon("a refusal", first.wait_for(Option::is_some)).await.unwrap().clone().unwrap();
    assert_eq!((answer.status, &answer.headers[RETRY_AFTER]), (StatusCode::TOO_MANY_REQUESTS, &HeaderValue::from(1)));
    assert_eq!(body(&answer)["result"]["errors"][0]["type"], "Busy");
    for name in &accounts {
        assert_eq!(from_elsewhere(&maybug, &basic(name, "correct horse")).await, 200, "{name}");
    }
    flood.iter().for_each(tokio::task::JoinHandle::abort);
}
