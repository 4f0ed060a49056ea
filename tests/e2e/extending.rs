//! Which channel types a server has: those of its configuration file, and those that a program adds.

use hyper::Method;
use maybug::config::Config;
use maybug::server::Server;
use maybug::smsc::{SimEvent, SimulatorConfig};
use serde_json::json;

use crate::support::{Maybug, Smsc};

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

/// Conformance list 193.
#[tokio::test]
async fn the_names_of_the_configuration_file_may_be_the_only_ones() {
    let maybug = Maybug::with(|config| {
        config.channels.insert("foo".into(), "loopback".into());
        config.replace_channels = true;
    })
    .await;
    maybug.channel(json!({"type": "foo", "config": {}, "mo_url": null})).await;
    let body = json!({"type": "loopback", "config": {}}).to_string();
    let (status, _, answer) = maybug.request(Method::POST, "/channels/", body.as_bytes()).await;
    assert_eq!((status, &answer["description"]), (400, &json!("invalid channel type")));
    let item = &answer["result"]["errors"][0];
    assert_eq!(item["type"], "InvalidChannelType");
    assert_eq!(item["message"], "Invalid channel type 'loopback', must be one of: foo");
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
