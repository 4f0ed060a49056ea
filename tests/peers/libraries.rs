//! npm `smpp` as ESME and as SMSC, PyPI `smpplib` as ESME.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use http_body_util::BodyExt;
use maybug::web::Response;
use maybug::web::client::{Allowed, Client};
use maybug::web::server::{Handler, Limits, serve};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::process::{Process, file, installed, simulator};
use crate::server::{DEADLINE, soon, start};

fn node(script: &str) -> Command {
    installed(file("node/node_modules/smpp"));
    let mut command = Command::new("node");
    command.arg(file("node").join(script));
    command
}

#[tokio::test]
async fn the_npm_library_binds_to_the_simulator_as_esme() {
    let (mut smsc, port) = simulator(&[]).await;
    Process::start(node("esme.mjs").args(["127.0.0.1", &port.to_string()])).succeed("the npm ESME").await;
    let mut texts = Vec::new();
    for _ in 0..3 {
        texts.push(smsc.message().await["text"].as_str().unwrap().to_owned());
    }
    assert!(
        texts.contains(&"Hello {world} €".to_owned()) && texts.contains(&"Zażółć gęślą jaźń 😀".to_owned()),
        "{texts:?}"
    );
}

#[tokio::test]
async fn smpplib_binds_to_the_simulator_as_esme() {
    let (mut smsc, port) = simulator(&["--account", "python:secret"]).await;
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/venv/bin/python");
    let mut command = Command::new(installed(python));
    command.arg(file("python/esme.py")).args(["127.0.0.1", &port.to_string()]);
    Process::start(&mut command).succeed("smpplib").await;
    let expected = "A long message with @ and £ signs. ".repeat(8);
    let mut joined = String::new();
    while joined.len() < expected.len() {
        joined += smsc.message().await["text"].as_str().unwrap();
    }
    assert_eq!(joined, expected);
}

/// Keeps the bodies of requests.
struct Recorder(mpsc::UnboundedSender<Value>);

impl Handler for Recorder {
    async fn call(self: Arc<Self>, _: SocketAddr, request: hyper::Request<hyper::body::Incoming>) -> Response {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        self.0.send(serde_json::from_slice(&body).unwrap()).unwrap();
        Response::default()
    }
}

/// A receiver of callbacks: its URL, and their bodies.
pub(crate) async fn webhook() -> (String, mpsc::UnboundedReceiver<Value>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (sender, posted) = mpsc::unbounded_channel();
    tokio::spawn(serve(listener, Arc::new(Recorder(sender)), Limits::default(), CancellationToken::new()));
    (url, posted)
}

#[tokio::test]
async fn a_channel_binds_to_the_npm_library_as_smsc() {
    let mut smsc = Process::start(&mut node("smsc.mjs"));
    let port = smsc.object("listening").await["listening"].as_u64().unwrap();
    let (webhook, mut posted) = webhook().await;

    let directory = tempfile::tempdir().unwrap();
    let server = start(directory.path()).await;
    let base = format!("http://{}", server.addresses()[0]);
    let client = Client::new(Allowed { networks: vec!["127.0.0.0/8".parse().unwrap()] });
    let post = async |path: &str, body: Value| -> Value {
        let url = format!("{base}{path}").parse().unwrap();
        let answer =
            client.request(hyper::Method::POST, &url, Default::default(), body.to_string().into(), DEADLINE).await;
        let answer = answer.unwrap();
        assert_eq!(answer.status, 201);
        serde_json::from_slice(&answer.body).unwrap()
    };
    let channel = json!({"type": "smpp", "mo_url": webhook, "config": {
        "twisted_endpoint": format!("tcp:host=127.0.0.1:port={port}"), "system_id": "maybug", "password": "secret",
    }});
    let channel = post("/channels/", channel).await["result"]["id"].as_str().unwrap().to_owned();
    let bind = smsc.object("bind").await;
    assert_eq!(
        (&bind["system_id"], &bind["password"], &bind["interface_version"]),
        (&json!("maybug"), &json!("secret"), &json!(0x34))
    );

    let texts = ["Hello € @{}", "Привет 😀", "third"];
    for text in texts {
        let message = json!({"to": "+27820001001", "from": "40404", "content": text, "event_url": webhook});
        post(&format!("/channels/{channel}/messages/"), message).await;
    }
    let mut seen = Vec::new();
    for _ in texts {
        seen.push(smsc.object("submit").await["submit"].as_str().unwrap().to_owned());
    }
    seen.sort();
    let mut expected = texts.map(str::to_owned);
    expected.sort();
    assert_eq!(seen, expected, "the throttled one was sent again");
    let (mut submitted, mut delivered, mut messages) = (0, 0, Vec::new());
    while submitted < 3 || delivered < 3 || messages.is_empty() {
        let body = soon("callbacks", posted.recv()).await.unwrap();
        match body["event_type"].as_str() {
            Some("submitted") => submitted += 1,
            Some("delivery_succeeded") => delivered += 1,
            Some(other) => panic!("{other}"),
            None => messages.push(body["content"].as_str().unwrap().to_owned()),
        }
    }
    assert_eq!(messages, ["from a phone: žluť"]);
    server.stop().await;
    smsc.object("unbind").await;
}

#[tokio::test]
async fn maybug_send_talks_to_the_npm_library() {
    let mut smsc = Process::start(&mut node("smsc.mjs"));
    let address = format!("127.0.0.1:{}", smsc.object("listening").await["listening"]);
    let mut send = Process::maybug(&["send", &address, "--to", "27820001001", "Hello"]);
    send.next("the bind in the output", |line| line.contains("> bind_transceiver sequence 1").then_some(())).await;
    let throttled = send
        .next("the refusal", |line| line.contains("< submit_sm_resp sequence 2 status ESME_RTHROTTLED").then_some(()));
    throttled.await;
}

#[tokio::test]
async fn the_doctor_examines_the_npm_library() {
    let mut smsc = Process::start(&mut node("smsc.mjs"));
    let address = format!("127.0.0.1:{}", smsc.object("listening").await["listening"]);
    let more = ["--password", "secret", "--to", "27820001001", "--timeout", "5s", "--json"];
    let mut doctor = Process::maybug(&[&["doctor", &address, "--system-id", "maybug"], &more[..]].concat());
    let diagnosis = doctor.object("findings").await;
    let findings = diagnosis["findings"].as_array().unwrap();
    let of = |probe: &str| findings.iter().filter(|finding| finding["probe"] == probe).collect::<Vec<_>>();
    assert_eq!(of("bind").len(), 6, "{diagnosis}");
    for finding in [of("bind"), of("keep-alive"), of("window"), of("several binds")].concat() {
        assert_eq!(finding["verdict"], "good", "{diagnosis}");
    }
    assert!(of("message")[0]["said"].as_str().unwrap().contains("refused with ESME_RTHROTTLED"), "{diagnosis}");
    assert_eq!(diagnosis["channel"]["config"]["window_size"], 10);
    doctor.succeed("the examination").await;
    for _ in 0..6 {
        smsc.object("unbind").await;
    }
}
