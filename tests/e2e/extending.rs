//! Which channel types a server has: those of its configuration file, and those that a program adds.

use maybug::config::Config;
use maybug::server::Server;
use maybug::smsc::{SimEvent, SimulatorConfig};
use serde_json::{Value, json};

use crate::support::{Maybug, Receiver, Smsc, soon, types};

#[allow(dead_code, reason = "a program whose main is not this one's")]
#[path = "../../examples/spool_channel.rs"]
mod spool_channel;

#[allow(dead_code, reason = "a program whose main is not this one's")]
#[path = "../../examples/office_hours.rs"]
mod office_hours;

const TRANSMITTER: &str = "vumi.transports.smpp.SmppTransmitterTransport";

#[tokio::test]
async fn a_name_of_the_configuration_file_stands_for_a_type_or_for_the_class_that_junebug_ran() {
    let mut smsc = Smsc::start(SimulatorConfig::default()).await;
    let maybug = Maybug::with(|config| {
        let names = [("mirror", "loopback"), ("sender", TRANSMITTER)];
        config.channels = names.iter().map(|(name, class)| ((*name).into(), (*class).into())).collect();
    })
    .await;
    let mirror = maybug.channel(json!({"type": "mirror", "config": {"echo": false}, "mo_url": null})).await;
    let message = maybug.send(&mirror, json!({"to": "1", "content": "x"})).await;
    assert_eq!(maybug.events(&mirror, &message, 2).await.len(), 2);
    let endpoint = format!("tcp:127.0.0.1:{}", smsc.simulator.address().port());
    let config = json!({"twisted_endpoint": endpoint, "system_id": "esme", "password": "secret"});
    let sender = maybug.channel(json!({"type": "sender", "config": config, "mo_url": null})).await;
    let bound = |event: &SimEvent| match event {
        SimEvent::Bound { mode, .. } => Some(format!("{mode:?}")),
        _ => None,
    };
    assert_eq!(smsc.next("a bind", bound).await, "Transmitter");
    let (_, shown) = maybug.get(&format!("/channels/{sender}")).await;
    assert_eq!(
        (&shown["result"]["type"], &shown["result"]["config"]["password"]),
        (&json!("sender"), &json!("********"))
    );
}

#[tokio::test]
async fn a_class_that_has_no_counterpart_is_told_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config {
        interface: "127.0.0.1".into(),
        port: 0,
        data: directory.path().join("data"),
        logging_path: directory.path().join("logs"),
        channels: [("fax".to_owned(), "my.own.FaxTransport".to_owned())].into(),
        ..Config::default()
    };
    let error = Server::start(&config).await.err().unwrap().to_string();
    assert!(error.contains("'fax' is 'my.own.FaxTransport'") && error.contains("docs/extending.md"), "{error}");
    assert!(!config.data.exists());
}

#[tokio::test]
async fn a_program_adds_a_channel_type_of_its_own() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::extended(spool_channel::types()).await;
    let refused = json!({"type": "spool", "config": {"directry": "/x"}});
    let (status, answer) = maybug.post("/channels/", refused).await;
    let item = &answer["result"]["errors"][0];
    assert_eq!((status, &item["type"], &item["key"]), (400, &json!("ConfigError"), &json!("directry")));
    let (_, answer) = maybug.post("/channels/", json!({"type": "fax", "config": {}})).await;
    let told = answer["result"]["errors"][0]["message"].as_str().unwrap();
    assert!(told.ends_with(", spool"), "{told}");

    let spool = tempfile::tempdir().unwrap();
    let id = maybug
        .channel(json!({
            "type": "spool", "config": {"directory": spool.path()}, "mo_url": receiver.url("/mo"),
            "status_url": receiver.url("/status"),
        }))
        .await;
    receiver.told("watching").await;
    let message = maybug.send(&id, json!({"to": "27820001001", "content": "out of it"})).await;
    assert_eq!(types(&maybug.events(&id, &message, 1).await), ["submitted"]);
    let written = std::fs::read(spool.path().join(format!("out/{message}.json"))).unwrap();
    let written: Value = serde_json::from_slice(&written).unwrap();
    assert_eq!((&written["to"], &written["content"]), (&json!("27820001001"), &json!("out of it")));

    let incoming = spool.path().join("in");
    std::fs::write(incoming.join("bad.json"), "no message").unwrap();
    let mo = json!({"from": "27820001001", "to": "40404", "content": "into it"}).to_string();
    std::fs::write(incoming.join("1.part"), mo).unwrap();
    std::fs::rename(incoming.join("1.part"), incoming.join("1.json")).unwrap();
    let posted = receiver.mo().await;
    assert_eq!((&posted["from"], &posted["content"]), (&json!("27820001001"), &json!("into it")));
    soon("the files to go", async {
        while incoming.join("1.json").exists() || !incoming.join("bad.bad").exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_program_adds_a_router_type_and_the_file_names_others() {
    let mut receiver = Receiver::start().await;
    let named = Maybug::with(|config| {
        config.routers = [("by_number".into(), "junebug.router.FromAddressRouter".into())].into();
        config.replace_routers = true;
    })
    .await;
    let (status, answer) = named.post("/routers/", json!({"type": "by_number", "config": {}})).await;
    assert_eq!((status, &answer["result"]["errors"][0]["type"]), (400, &json!("InvalidRouterConfig")));
    let (_, answer) = named.post("/routers/", json!({"type": "from_address", "config": {}})).await;
    assert_eq!(answer["result"]["errors"][0]["message"], "Invalid router type from_address, must be one of: by_number");
    let maybug = Maybug::extended(office_hours::types()).await;
    let channel = maybug.channel(json!({"type": "loopback", "config": {"echo": true}})).await;
    let (status, answer) = maybug.post("/routers/", json!({"type": "by_day", "config": {}})).await;
    assert_eq!(status, 400);
    let message = answer["result"]["errors"][0]["message"].as_str().unwrap();
    assert!(message.ends_with("outbound, office_hours"), "{message}");
    let (status, answer) =
        maybug.post("/routers/", json!({"type": "office_hours", "config": {"channel": channel}})).await;
    assert_eq!(status, 201, "{answer}");
    let path = format!("/routers/{}/destinations/", answer["result"]["id"].as_str().unwrap());
    let (_, answer) = maybug.post(&path, json!({"config": {"opens": 25, "closes": 1}})).await;
    assert_eq!(answer["result"]["errors"][0]["message"], "Field 'opens' is not an hour from 0 to 24");
    let body = json!({"config": {"opens": 0, "closes": 24}, "mo_url": receiver.url("/always")});
    assert_eq!(maybug.post(&path, body).await.0, 201);
    maybug.send(&channel, json!({"to": "1", "from": "2", "content": "x"})).await;
    assert_eq!(receiver.next().await.path, "/always");
}
