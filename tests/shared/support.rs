//! A server, an SMSC and a receiver of callbacks, each real and on a port of its own. Tests wait for events, never for
//! time to pass; a deadline only turns a hang into a failure.

#[allow(clippy::duplicate_mod, reason = "a binary may have both files that need it")]
#[path = "kept.rs"]
mod kept;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{HeaderMap, Method, StatusCode};
use maybug::config::Config;
use maybug::gateway::Types;
use maybug::server::Server;
use maybug::smsc::{SimEvent, Simulator, SimulatorConfig};
use maybug::web::Response;
use maybug::web::client::{Allowed, Client};
use maybug::web::server::{Handler, Limits, serve};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;
use url::Url;

/// How long anything may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Fails instead of hanging.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// A running server.
pub(crate) struct Maybug {
    pub(crate) server: Server,
    pub(crate) base: String,
    client: Client,
    pub(crate) directory: Arc<tempfile::TempDir>,
}

impl Maybug {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::at(Arc::new(tempfile::tempdir().unwrap()), change).await
    }

    /// With types of one's own.
    pub(crate) async fn extended(types: Types) -> Self {
        Self::run(Arc::new(tempfile::tempdir().unwrap()), types, |_| {}).await
    }

    /// On a directory that an earlier server may have used.
    pub(crate) async fn at(directory: Arc<tempfile::TempDir>, change: impl FnOnce(&mut Config)) -> Self {
        Self::run(directory, Types::default(), change).await
    }

    async fn run(directory: Arc<tempfile::TempDir>, types: Types, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            interface: "127.0.0.1".into(),
            port: 0,
            data: directory.path().join("data"),
            logging_path: directory.path().join("logs"),
            min_free: 0,
            redis: kept::redis(directory.path()),
            ..Config::default()
        };
        change(&mut config);
        let server = Server::start_with(&config, types).await.unwrap();
        let base = format!("http://{}", server.addresses()[0]);
        Self { server, base, client: client(), directory }
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let (status, _, body) = self.request(Method::GET, path, b"").await;
        (status, body)
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let (status, _, body) = self.request(Method::POST, path, body.to_string().as_bytes()).await;
        (status, body)
    }

    pub(crate) async fn request(&self, method: Method, path: &str, body: &[u8]) -> (u16, HeaderMap, Value) {
        self.request_with(method, path, HeaderMap::new(), body).await
    }

    pub(crate) async fn request_with(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: &[u8],
    ) -> (u16, HeaderMap, Value) {
        let url = Url::parse(&format!("{}{path}", self.base)).unwrap();
        let body = Bytes::copy_from_slice(body);
        let answer = self.client.request(method, &url, headers, body, DEADLINE).await.unwrap();
        assert_eq!(answer.headers["content-type"], "application/json", "{path}");
        assert!(answer.body.is_ascii(), "{path}");
        let envelope: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        (answer.status.as_u16(), answer.headers, envelope)
    }

    /// Creates a channel and returns its id.
    pub(crate) async fn channel(&self, properties: Value) -> String {
        let (status, answer) = self.post("/channels/", properties).await;
        assert_eq!(status, 201, "{answer}");
        answer["result"]["id"].as_str().unwrap().to_owned()
    }

    /// Creates an `smpp` channel on a simulator, with more configuration and properties.
    pub(crate) async fn smpp_channel(&self, smsc: SocketAddr, config: Value, properties: Value) -> String {
        let mut merged = json!({
            "twisted_endpoint": format!("tcp:{}:{}", smsc.ip(), smsc.port()),
            "system_id": "esme", "password": "secret", "initial_reconnect_delay": 0.05, "max_reconnect_delay": 0.2,
        });
        merged.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
        let mut channel = json!({"type": "smpp", "config": merged, "mo_url": null});
        channel.as_object_mut().unwrap().extend(properties.as_object().unwrap().clone());
        self.channel(channel).await
    }

    /// Sends a message and returns its id.
    pub(crate) async fn send(&self, channel: &str, message: Value) -> String {
        let (status, answer) = self.post(&format!("/channels/{channel}/messages/"), message).await;
        assert_eq!(status, 201, "{answer}");
        answer["result"]["message_id"].as_str().unwrap().to_owned()
    }

    /// The event types of a message, once there are `count`.
    pub(crate) async fn events(&self, channel: &str, message: &str, count: usize) -> Vec<Value> {
        let path = format!("/channels/{channel}/messages/{message}");
        soon("events", async {
            loop {
                let (_, answer) = self.get(&path).await;
                let events = answer["result"]["events"].as_array().unwrap().clone();
                if events.len() >= count {
                    return events;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }
}

pub(crate) fn client() -> Client {
    Client::new(Allowed { networks: vec!["127.0.0.0/8".parse().unwrap()] })
}

/// Asks a server that is not in this process: GET, or POST of a body.
pub(crate) async fn call(base: &str, path: &str, body: Option<Value>) -> Value {
    let url = Url::parse(&format!("{base}{path}")).unwrap();
    let method = if body.is_some() { Method::POST } else { Method::GET };
    let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
    let answer = client().request(method, &url, HeaderMap::new(), body, DEADLINE).await.unwrap();
    assert!(answer.status.is_success(), "{path}: {}", answer.status);
    serde_json::from_slice(&answer.body).unwrap()
}

/// The types of events.
pub(crate) fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event_type"].as_str().unwrap()).collect()
}

/// A simulated SMSC and what it has seen.
pub(crate) struct Smsc {
    pub(crate) simulator: Simulator,
    events: broadcast::Receiver<Arc<SimEvent>>,
}

impl Smsc {
    pub(crate) async fn start(config: SimulatorConfig) -> Self {
        Self::at(([127, 0, 0, 1], 0).into(), config).await
    }

    pub(crate) async fn at(address: SocketAddr, config: SimulatorConfig) -> Self {
        let simulator = Simulator::start(address, config).await.unwrap();
        let events = simulator.events();
        Self { simulator, events }
    }

    /// The next event that `wanted` wants.
    pub(crate) async fn next<T>(&mut self, what: &str, wanted: impl Fn(&SimEvent) -> Option<T>) -> T {
        soon(what, async {
            loop {
                if let Some(found) = wanted(&self.events.recv().await.unwrap()) {
                    return found;
                }
            }
        })
        .await
    }

    pub(crate) async fn bound(&mut self) {
        self.next("a bind", |event| matches!(event, SimEvent::Bound { .. }).then_some(())).await;
    }

    /// The ids that it has given so far, by the digits of the phone.
    pub(crate) fn ids(&mut self) -> BTreeMap<String, Vec<String>> {
        let mut ids = BTreeMap::<_, Vec<_>>::new();
        loop {
            match self.events.try_recv() {
                Ok(event) => {
                    if let SimEvent::Message { id: Some(id), to, .. } = &*event {
                        ids.entry(to.trim_start_matches('+').to_owned()).or_default().push(id.clone());
                    }
                }
                Err(TryRecvError::Empty | TryRecvError::Closed) => return ids,
                Err(TryRecvError::Lagged(missed)) => panic!("{missed} events were missed"),
            }
        }
    }

    /// The next message that was taken: from, to, text.
    pub(crate) async fn message(&mut self) -> (String, String, String) {
        self.next("a message", |event| match event {
            SimEvent::Message { id: Some(_), from, to, text, .. } => Some((from.clone(), to.clone(), text.clone())),
            _ => None,
        })
        .await
    }
}

/// The real binary on a directory of its own.
pub(crate) struct Process {
    pub(crate) child: Child,
    /// Where its API is; it is in its log.
    pub(crate) base: String,
    log: watch::Receiver<String>,
}

impl Process {
    /// `maybug serve` with further flags.
    pub(crate) async fn start(directory: &Path, flags: &[&str]) -> Self {
        Self::on("127.0.0.1", directory, flags).await
    }

    pub(crate) async fn on(interface: &str, directory: &Path, flags: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_maybug"))
            .args(["serve", "-i", interface, "-p", "0", "--data"])
            .arg(directory.join("data"))
            .arg("--logging-path")
            .arg(directory.join("logs"))
            .args(flags)
            .env("MAYBUG_MIN_FREE", "0")
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut log = String::new();
        let base = soon("the server's start", async {
            loop {
                let line = lines.next_line().await.unwrap();
                let line = line.unwrap_or_else(|| panic!("the server ended at its start: {log}"));
                log.push_str(&line);
                log.push('\n');
                if let Some((_, address)) = line.split_once("the API listens on ") {
                    return address.to_owned();
                }
            }
        })
        .await;
        let (told, log) = watch::channel(log);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                told.send_modify(|log| log.extend([&line, "\n"]));
            }
        });
        Self { child, base, log }
    }

    /// Waits until a line of its log has all of these.
    pub(crate) async fn says(&mut self, parts: &[&str]) {
        let said = |log: &String| log.lines().any(|line| parts.iter().all(|part| line.contains(part)));
        soon(&format!("a line with {parts:?}"), self.log.wait_for(said)).await.unwrap();
    }

    /// Tells it to end, and waits until it has, in order; what its log says.
    #[allow(dead_code, reason = "not every binary has a process that ends in order")]
    pub(crate) async fn end(mut self) -> String {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
        let ended = soon("its end", self.child.wait()).await.unwrap();
        while self.log.changed().await.is_ok() {}
        let log = self.log.borrow().clone();
        assert!(ended.success(), "{ended}: {log}");
        log
    }

    /// Kills it; what its log says.
    pub(crate) async fn kill(mut self) -> String {
        self.child.kill().await.unwrap();
        while self.log.changed().await.is_ok() {}
        self.log.borrow().clone()
    }
}

/// A request that a receiver got.
#[derive(Debug)]
pub(crate) struct Posted {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

/// A receiver of callbacks. Answers 200, or what has been scripted first.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    posted: mpsc::UnboundedReceiver<Posted>,
    script: Arc<Mutex<VecDeque<Scripted>>>,
    stop: CancellationToken,
}

/// What to answer one request.
#[derive(Clone, Debug)]
pub(crate) enum Scripted {
    Answer(StatusCode, Vec<(&'static str, String)>),
    /// What came, as it came.
    Echo(StatusCode),
    /// Never.
    Hang,
}

struct Recorder {
    posted: mpsc::UnboundedSender<Posted>,
    script: Arc<Mutex<VecDeque<Scripted>>>,
}

impl Handler for Recorder {
    async fn call(self: Arc<Self>, _: SocketAddr, request: hyper::Request<Incoming>) -> Response {
        let (head, body) = request.into_parts();
        let octets = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&octets).unwrap();
        let next = self.script.lock().unwrap().pop_front();
        self.posted.send(Posted { path: head.uri.to_string(), headers: head.headers, body }).unwrap();
        match next {
            None => Response::default(),
            Some(Scripted::Hang) => std::future::pending().await,
            Some(Scripted::Echo(status)) => {
                let mut response = Response::new(octets.into());
                *response.status_mut() = status;
                response
            }
            Some(Scripted::Answer(status, headers)) => {
                let mut response = Response::default();
                *response.status_mut() = status;
                for (name, value) in headers {
                    response.headers_mut().insert(name, value.parse().unwrap());
                }
                response
            }
        }
    }
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        Self::at(([127, 0, 0, 1], 0).into()).await
    }

    pub(crate) async fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, posted) = mpsc::unbounded_channel();
        let script = Arc::new(Mutex::new(VecDeque::new()));
        let recorder = Arc::new(Recorder { posted: sender, script: script.clone() });
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, recorder, Limits::default(), stop.clone()));
        Self { address, posted, script, stop }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn script(&self, answers: impl IntoIterator<Item = Scripted>) {
        self.script.lock().unwrap().extend(answers);
    }

    pub(crate) async fn next(&mut self) -> Posted {
        soon("a callback", self.posted.recv()).await.unwrap()
    }

    /// The body of the next request that is wanted; others are passed over.
    pub(crate) async fn until(&mut self, what: &str, wanted: impl Fn(&Posted) -> bool) -> Value {
        soon(what, async {
            loop {
                let posted = self.next().await;
                if wanted(&posted) {
                    return posted.body;
                }
            }
        })
        .await
    }

    /// The next status of this type.
    pub(crate) async fn told(&mut self, kind: &str) -> Value {
        self.until(kind, |posted| posted.body["type"] == kind).await
    }

    /// The next MO, which channels post to `/mo`.
    pub(crate) async fn mo(&mut self) -> Value {
        self.until("an MO", |posted| posted.path == "/mo").await
    }

    /// How many requests have come that `next` has not returned yet.
    pub(crate) fn posted(&self) -> usize {
        self.posted.len()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
