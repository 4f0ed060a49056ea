//! The channel that an examination writes, in a running server: it binds.

use maybug::config::Config;
use maybug::server::Server;
use maybug::smsc::{SimEvent, Simulator, SimulatorConfig};
use maybug::web::client::{Allowed, Client};
use serde_json::Value;

use super::{examine, smsc};
use crate::support::soon;

/// Creates the channel with its password in a server of its own, and waits for its binds.
pub(super) async fn binds(simulator: &Simulator, channel: &Value, password: &str, count: usize) {
    let directory = tempfile::tempdir().unwrap();
    let config = Config {
        interface: "127.0.0.1".into(),
        port: 0,
        data: directory.path().join("data"),
        logging_path: directory.path().join("logs"),
        min_free: 0,
        ..Config::default()
    };
    let server = Server::start(&config).await.unwrap();
    let url = format!("http://{}/channels/", server.addresses()[0]).parse().unwrap();
    let client = Client::new(Allowed { networks: vec!["127.0.0.0/8".parse().unwrap()] });
    let mut events = simulator.events();
    let mut channel = channel.clone();
    channel["config"]["password"] = password.into();
    let body = channel.to_string().into();
    let limit = std::time::Duration::from_secs(20);
    let answer = client.request(hyper::Method::POST, &url, Default::default(), body, limit).await.unwrap();
    assert_eq!(answer.status, 201, "{:?}", answer.body);
    let bound = async {
        let mut bound = 0;
        while bound < count {
            bound += usize::from(matches!(*events.recv().await.unwrap(), SimEvent::Bound { .. }));
        }
    };
    soon("the channel's binds", bound).await;
    server.stop().await;
}

#[tokio::test]
async fn the_channel_that_is_written_binds() {
    for (modes, count) in [("trx", 1), ("tx+rx", 2)] {
        let config = SimulatorConfig { bind_modes: modes.parse().unwrap(), ..Default::default() };
        let (simulator, address) = smsc(config).await;
        let examined = examine(&[&address, "--password", "s3cret", "--to", "27820001001", "--timeout", "1s"]).await;
        binds(&simulator, &examined.diagnosis["channel"], "s3cret", count).await;
    }
}
