//! Whoever asks for a change and hangs up in the middle gets it whole or not at all: what is in force is what a restart
//! finds on disk.

use hyper::{HeaderMap, Method};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::auth::bearer;
use crate::support::{Maybug, Process};

/// Requests that are abandoned, each a little later than the one before: some before anything has begun, most while the
/// change is being written.
const ROUNDS: usize = 40;

/// A server, and who asks it.
struct Asker {
    maybug: Maybug,
    authorization: String,
}

impl Asker {
    /// Asks and hangs up, once everybody else has had so many turns.
    async fn abandons(&self, method: &str, path: &str, body: Value, turns: usize) {
        let mut stream = TcpStream::connect(self.maybug.server.addresses()[0]).await.unwrap();
        send(&mut stream, &self.authorization, method, path, body).await;
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    }

    async fn asks(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let headers = HeaderMap::from_iter([(hyper::header::AUTHORIZATION, self.authorization.parse().unwrap())]);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, _, answer) = self.maybug.request_with(method, path, headers, body.as_bytes()).await;
        (status, answer["result"].clone())
    }

    /// Everything that is listed there.
    async fn all(&self, path: &str) -> Vec<Value> {
        let mut all = Vec::new();
        for entry in self.asks(Method::GET, path, Value::Null).await.1.as_array().unwrap() {
            let name = entry["name"].as_str().or(entry.as_str()).unwrap();
            all.push(self.asks(Method::GET, &format!("{path}{name}"), Value::Null).await.1);
        }
        all
    }

    async fn restarts(self) -> Self {
        let directory = self.maybug.directory.clone();
        self.maybug.server.stop().await;
        Self { maybug: Maybug::at(directory, |_| {}).await, authorization: self.authorization }
    }
}

async fn send(stream: &mut TcpStream, authorization: &str, method: &str, path: &str, body: Value) {
    let body = body.to_string();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: {authorization}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
}

/// The result that is answered.
async fn answer(mut stream: TcpStream) -> Value {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str::<Value>(body).unwrap()["result"].take()
}

#[tokio::test]
async fn a_change_is_in_the_log_although_whoever_asked_has_gone() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = Process::start(directory.path(), &[]).await;
    let address = process.base.strip_prefix("http://").unwrap().to_owned();
    let mut stream = TcpStream::connect(&address).await.unwrap();
    send(&mut stream, "", "POST", "/accounts/", json!({"name": "root", "scopes": ["admin"]})).await;
    let authorization = bearer(answer(stream).await["token"].as_str().unwrap());
    let asks = async |method: &str, path: &str, body: Value, turns: usize| {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        send(&mut stream, &authorization, method, path, body).await;
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        stream
    };
    // Later and later, until a few were in time: what has not begun when the connection ends is not done.
    let mut paths = Vec::new();
    for attempt in 0.. {
        let name = format!("shop-{attempt}");
        let path = format!("/accounts/{name}");
        answer(asks("POST", "/accounts/", json!({"name": name, "scopes": ["read"]}), 0).await).await;
        // Its hash takes long enough for the end of the connection to be seen.
        drop(asks("POST", &path, json!({"disabled": true, "password": "correct horse"}), 1 << attempt).await);
        paths.push(path);
        let mut in_force = Vec::new();
        for path in &paths {
            let account = answer(asks("GET", path, json!({}), 0).await).await;
            in_force.extend((account["disabled"] == true).then_some(path));
        }
        if in_force.len() >= 3 {
            for path in in_force {
                process.says(&["audit: a change was made", "method=POST", &format!("path=\"{path}\"")]).await;
            }
            return;
        }
    }
}

#[tokio::test]
async fn changes_of_accounts_are_finished_although_whoever_asked_has_gone() {
    let maybug = Maybug::start().await;
    let (status, made) = maybug.post("/accounts/", json!({"name": "root", "scopes": ["admin"]})).await;
    assert_eq!(status, 201, "{made}");
    let asker = Asker { maybug, authorization: bearer(made["result"]["token"].as_str().unwrap()) };
    for turns in 0..ROUNDS {
        for name in ["changed", "deleted"] {
            let body = json!({"name": format!("{name}-{turns}"), "scopes": ["read"]});
            assert_eq!(asker.asks(Method::POST, "/accounts/", body).await.0, 201);
        }
        let made = json!({"name": format!("made-{turns}"), "scopes": ["read"]});
        asker.abandons("POST", "/accounts/", made, turns).await;
        let path = format!("/accounts/changed-{turns}");
        asker.abandons("POST", &path, json!({"scopes": ["send"], "disabled": true}), turns).await;
        asker.abandons("DELETE", &format!("/accounts/deleted-{turns}"), json!({}), turns).await;
    }
    // One at a time: with these all before them are through.
    for _ in 0..3 {
        assert_eq!(asker.asks(Method::POST, "/accounts/root", json!({"scopes": ["admin"]})).await.0, 200);
    }
    let in_force = asker.all("/accounts/").await;
    let made = in_force.iter().filter(|account| account["name"].as_str().unwrap().starts_with("made")).count();
    assert!(made > 0, "every request was abandoned before it had begun");
    let asker = asker.restarts().await;
    assert_eq!(asker.all("/accounts/").await, in_force);
}

#[tokio::test]
async fn changes_of_routers_are_finished_although_whoever_asked_has_gone() {
    let asker = Asker { maybug: Maybug::start().await, authorization: String::new() };
    let router = |label: &str| json!({"type": "outbound", "config": {}, "label": label});
    let mut made = Vec::new();
    for turns in 0..ROUNDS {
        let mut ids = Vec::new();
        for _ in 0..2 {
            let (status, router) = asker.asks(Method::POST, "/routers/", router("before")).await;
            assert_eq!(status, 201, "{router}");
            ids.push(router["id"].as_str().unwrap().to_owned());
        }
        asker.abandons("POST", "/routers/", router("abandoned"), turns).await;
        asker.abandons("PUT", &format!("/routers/{}", ids[0]), router("after"), turns).await;
        asker.abandons("DELETE", &format!("/routers/{}", ids[1]), json!({}), turns).await;
        made.extend(ids);
    }
    for _ in 0..3 {
        assert_eq!(asker.asks(Method::POST, "/routers/", router("last")).await.0, 201);
    }
    let in_force = asker.all("/routers/").await;
    assert!(in_force.iter().any(|router| router["label"] == "abandoned"), "every request was abandoned too early");
    let asker = asker.restarts().await;
    assert_eq!(without_status(asker.all("/routers/").await), without_status(in_force));
}

/// Rates are not kept.
fn without_status(mut routers: Vec<Value>) -> Vec<Value> {
    routers.iter_mut().for_each(|router| router["status"] = Value::Null);
    routers
}
