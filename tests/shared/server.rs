//! What several test binaries need: a deadline on everything, and a server with a channel that sends.

#[allow(clippy::duplicate_mod, reason = "a binary may have both files that need it")]
#[path = "kept.rs"]
mod kept;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use maybug::config::Config;
use maybug::gateway::Draft;
use maybug::model::ChannelId;
use maybug::server::Server;
use serde_json::json;

/// How long anything may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Fails instead of hanging.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// A server on a free port, with everything in this directory.
pub(crate) fn config(directory: &Path) -> Config {
    Config {
        interface: "127.0.0.1".into(),
        port: 0,
        data: directory.join("data"),
        logging_path: directory.join("logs"),
        min_free: 0,
        redis: kept::redis(directory),
        ..Config::default()
    }
}

/// Starts that server.
pub(crate) async fn start(directory: &Path) -> Server {
    Server::start(&config(directory)).await.unwrap()
}

/// A channel of it to an SMSC, which asks for receipts.
pub(crate) async fn channel(server: &Server, smsc: SocketAddr) -> ChannelId {
    let channel = json!({"type": "smpp", "mo_url": null, "config": {
        "twisted_endpoint": format!("tcp:127.0.0.1:{}", smsc.port()), "system_id": "me", "password": "secret",
        "registered_delivery": true,
    }});
    let channel = server.gateway().create_channel(channel.as_object().unwrap().clone()).await.unwrap();
    channel.id.clone()
}

/// A message to a phone.
pub(crate) fn draft(from: &str, content: &str) -> Draft {
    Draft { to: Some("+27820001001".into()), from: Some(from.into()), content: content.to_owned(), ..Draft::default() }
}
