//! What many lines need: channels, the items of an error, messages from phones, entries of a log.

use hyper::HeaderMap;
use maybug::channel::{ChannelType, ConfigError, Intake, Setup};
use maybug::gateway::Types;
use maybug::model::JsonObject;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Maybug, soon};

/// A channel without a network, with more properties: every message is delivered at once.
pub(crate) fn loopback(properties: Value) -> Value {
    let mut channel = json!({"type": "loopback", "config": {}, "mo_url": null});
    channel.as_object_mut().unwrap().extend(properties.as_object().unwrap().clone());
    channel
}

/// The same; every message comes back as one from the phone, to `mo_url`.
pub(crate) fn echoing(mo_url: &str) -> Value {
    loopback(json!({"config": {"echo": true}, "mo_url": mo_url}))
}

/// A message from a phone to 8110, on a channel that echoes.
pub(crate) async fn phone_writes(maybug: &Maybug, channel: &str, text: &str) {
    maybug.send(channel, json!({"to": "+27820001001", "from": "8110", "content": text})).await;
}

/// A channel type of a program's own that says nothing of itself, which every built-in one does.
#[derive(Clone, Copy)]
pub(crate) struct Quiet;

impl ChannelType for Quiet {
    fn check(&self, _: &JsonObject) -> Result<(), ConfigError> {
        Ok(())
    }

    async fn run<I: Intake>(&self, setup: Setup<I>) -> Result<(), ConfigError> {
        setup.stop.cancelled().await;
        Ok(())
    }
}

/// A server that has it, as `quiet`.
pub(crate) async fn with_quiet() -> Maybug {
    let mut types = Types::default();
    types.channels = types.channels.with("quiet", Quiet);
    Maybug::extended(types).await
}

/// Somebody at a terminal of a `telnet` channel.
pub(crate) struct Terminal(pub(crate) TcpStream);

impl Terminal {
    /// Connects to a channel of this server, once it listens.
    pub(crate) async fn connect(maybug: &Maybug, channel: &str) -> Self {
        let wanted = |channel: &Value| channel["status"]["components"]["telnet"]["details"]["address"].is_string();
        let channel = becomes(maybug, &format!("/channels/{channel}"), wanted).await;
        let address = channel["status"]["components"]["telnet"]["details"]["address"].as_str().unwrap();
        Self(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) async fn types(&mut self, line: &str) {
        self.0.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }
}

/// A `telnet` channel.
pub(crate) fn telnet(properties: Value) -> Value {
    let mut channel = json!({"type": "telnet", "config": {"twisted_endpoint": "tcp:0:interface=127.0.0.1"}});
    channel.as_object_mut().unwrap().extend(properties.as_object().unwrap().clone());
    channel
}

/// The only item of an error: its type and message.
pub(crate) fn error(answer: &Value) -> (&str, &str) {
    let [item] = answer["result"]["errors"].as_array().unwrap().as_slice() else { panic!("{answer}") };
    (item["type"].as_str().unwrap(), item["message"].as_str().unwrap())
}

/// What is wrong with a body: each message, and the path of the rule with dots.
pub(crate) fn violations(status: u16, answer: &Value) -> Vec<(String, String)> {
    assert_eq!((status, &answer["description"]), (400, &json!("api usage error")), "{answer}");
    let items = answer["result"]["errors"].as_array().unwrap();
    let paths = |item: &Value| {
        assert_eq!(item["type"], "invalid_body", "{answer}");
        let path: Vec<&str> =
            item["schema_path"].as_array().unwrap().iter().map(|part| part.as_str().unwrap()).collect();
        (item["message"].as_str().unwrap().to_owned(), path.join("."))
    };
    items.iter().map(paths).collect()
}

/// The keys of an object, sorted.
pub(crate) fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

pub(crate) fn header(name: &'static str, value: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(name, value.parse().unwrap());
    headers
}

/// The answer to a request as it is on the wire.
pub(crate) async fn raw(maybug: &Maybug, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(maybug.server.addresses()[0]).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon("the answer", stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

/// What a GET of this path has, once `wanted` is true of it.
pub(crate) async fn becomes(maybug: &Maybug, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    soon(path, async {
        loop {
            let (_, answer) = maybug.get(path).await;
            if wanted(&answer["result"]) {
                return answer["result"].clone();
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// The entry of a channel's log that says this, once it is there.
pub(crate) async fn logged(maybug: &Maybug, channel: &str, text: &str) -> Value {
    let says = |entry: &&Value| entry["message"].as_str().unwrap().contains(text);
    let path = format!("/channels/{channel}/logs");
    let entries = becomes(maybug, &path, |entries| entries.as_array().unwrap().iter().any(|entry| says(&entry))).await;
    entries.as_array().unwrap().iter().find(says).unwrap().clone()
}

pub(crate) const RATES: [&str; 7] = [
    "delivery_failed_rate",
    "delivery_pending_rate",
    "delivery_succeeded_rate",
    "inbound_message_rate",
    "outbound_message_rate",
    "rejected_event_rate",
    "submitted_event_rate",
];
