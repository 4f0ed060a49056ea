//! `maybug export messages`: from a server that runs, and from the store of one that does not, it is the same.

use std::process::Output;

use maybug::config::Config;
use maybug::gateway::{Draft, Via};
use maybug::server::Server;
use serde_json::{Value, json};

use crate::support::{maybug, stderr, stdout};

/// What a run that must go well said.
fn said(output: &Output) -> &str {
    assert!(output.status.success(), "{}", stderr(output));
    stdout(output)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_messages_come_from_a_running_server_and_from_its_store() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let config = Config {
        interface: "127.0.0.1".into(),
        port: 0,
        data: data.clone(),
        logging_path: directory.path().join("logs"),
        min_free: 0,
        ..Config::default()
    };
    let server = Server::start(&config).await.unwrap();
    let channel = json!({"type": "loopback", "config": {}, "mo_url": null});
    let channel = server.gateway().create_channel(channel.as_object().unwrap().clone()).await.unwrap().id.clone();
    // More than a page of an export.
    for n in 0..520 {
        let to = if n % 2 == 0 { "+27820001001" } else { "2" };
        let draft = Draft { to: Some(to.to_owned()), content: format!("n{n}"), ..Draft::default() };
        server.gateway().send(Via::Channel(&channel), draft).await.unwrap();
    }
    let api = format!("http://{}", server.addresses()[0]);
    let (data, file) = (data.to_str().unwrap(), directory.path().join("out.csv"));
    let file = file.to_str().unwrap();
    let export = |place: [&str; 2], more: &[&str]| maybug(&[&["export", "messages"], &place[..], more].concat());
    // Until every message has been told of to the last.
    let delivered = ["--status", "delivered"];
    while said(&export(["--api", &api], &delivered)).lines().count() < 520 {}

    let running = export(["--api", &api], &[]);
    let rows: Vec<Value> = said(&running).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let contents: Vec<&str> = rows.iter().map(|row| row["content"].as_str().unwrap()).collect();
    assert_eq!(contents, (0..520).rev().map(|n| format!("n{n}")).collect::<Vec<_>>());
    assert_eq!(stderr(&running), "520 messages exported\n");
    let refused = export(["--api", &api], &["--channel", "nope"]);
    assert!(!refused.status.success() && stderr(&refused).contains("the API answered 404 Not Found"), "{refused:?}");
    let locked = export(["--data", data], &[]);
    assert!(!locked.status.success() && stderr(&locked).contains("--api"), "{}", stderr(&locked));
    let one = ["--address", "27820001001", "--format", "csv", "-o", file, "--json"];
    assert_eq!(stderr(&export(["--api", &api], &one)), "{\"done\":true,\"exported\":260}\n");
    let over_api = std::fs::read_to_string(file).unwrap();
    server.stop().await;

    assert_eq!(stdout(&export(["--data", data], &[])), stdout(&running));
    assert_eq!(said(&export(["--data", data], &one)), "");
    assert_eq!(std::fs::read_to_string(file).unwrap(), over_api);
    assert!(over_api.lines().nth(1).unwrap().contains(",delivered,n518,"), "{over_api}");
    let before = rows[400]["timestamp"].as_str().unwrap();
    assert_eq!(said(&export(["--data", data], &["--until", before])).lines().count(), 119);
}
