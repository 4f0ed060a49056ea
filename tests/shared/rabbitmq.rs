//! A RabbitMQ with its management plugin. `tests/run` installs it; it needs `mod daemon` beside it.

use std::path::Path;
use std::process::Stdio;

use bytes::Bytes;
use hyper::{HeaderMap, Method};
use maybug::web::client::{Allowed, Client};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::daemon::{free_port, start};

/// A running node with the user `guest`, password `guest`, on loopback.
pub(crate) struct RabbitMq {
    /// The port of AMQP.
    pub(crate) port: u16,
    /// The port of AMQP over TLS.
    pub(crate) tls: u16,
    /// The port of the management interface.
    pub(crate) management: u16,
    name: String,
    epmd_port: u16,
    /// The port on which nodes talk to each other.
    dist: u16,
    node: Child,
    _epmd: Child,
    directory: tempfile::TempDir,
}

/// Where Debian has it; the one in the path may change to another user.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
/// Likewise.
const CONTROL: &str = "/usr/lib/rabbitmq/bin/rabbitmqctl";

impl RabbitMq {
    pub(crate) async fn start() -> Self {
        Self::configured("").await
    }

    /// With more lines of rabbitmq.conf.
    pub(crate) async fn configured(more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let (port, management, epmd_port) = (free_port().await, free_port().await, free_port().await);
        let tls = free_port().await;
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(path.join(CERTIFICATE), certified.cert.pem()).unwrap();
        std::fs::write(path.join("key.pem"), certified.signing_key.serialize_pem()).unwrap();
        let name = format!("maybug-{port}@localhost");
        std::fs::write(path.join("plugins"), "[rabbitmq_management].").unwrap();
        let configuration = format!(
            "listeners.tcp.1 = 127.0.0.1:{port}\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {management}\n\
             collect_statistics_interval = 200\nmanagement.rates_mode = basic\ndisk_free_limit.absolute = 1MB\nlisteners.ssl.1 = 127.0.0.1:{tls}\n\
             ssl_options.certfile = {certificate}\nssl_options.keyfile = {key}\n{more}",
            certificate = path.join(CERTIFICATE).display(),
            key = path.join("key.pem").display(),
        );
        std::fs::write(path.join("rabbitmq.conf"), configuration).unwrap();
        // Nodes find each other through a daemon; with one of our own no node of anybody else's is met, and it ends with us.
        let epmd = Command::new("epmd")
            .args(["-port", &epmd_port.to_string()])
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("epmd: {error}; tests/run installs it with rabbitmq-server"));
        let dist = free_port().await;
        let mut command = command(path, &name, epmd_port, dist);
        let node = start(&mut command, path, READY).await;
        Self { port, tls, management, name, epmd_port, dist, node, _epmd: epmd, directory }
    }

    /// Asks the management interface: `/api/queues/%2F/name` for instance.
    pub(crate) async fn manage(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let client = Client::new(Allowed { networks: vec!["127.0.0.0/8".parse().unwrap()] });
        let url = format!("http://guest:guest@127.0.0.1:{}{path}", self.management).parse().unwrap();
        let body = Bytes::from(body.to_string());
        let answer = client.request(method, &url, HeaderMap::new(), body, crate::server::DEADLINE).await.unwrap();
        (answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    /// Holds all of it still, or lets it go on.
    pub(crate) async fn signal(&self, signal: &str) {
        let node = self.node.id().unwrap().to_string();
        assert!(Command::new("kill").args([signal, &node]).status().await.unwrap().success());
    }

    /// Takes it for short of memory, or no more.
    pub(crate) async fn memory(&self, limit: &str) {
        let mut control = Command::new(CONTROL);
        environment(&mut control, self.directory.path(), &self.name, self.epmd_port);
        let set = control.args(["set_vm_memory_high_watermark", limit]).stdout(Stdio::null()).status().await.unwrap();
        assert!(set.success());
    }

    /// Its certificate, for whoever wants to trust it.
    pub(crate) fn certificate(&self) -> std::path::PathBuf {
        self.directory.path().join(CERTIFICATE)
    }

    /// Ends it as a power cut does.
    pub(crate) async fn kill(&mut self) {
        self.node.kill().await.unwrap();
    }

    /// Starts it again, with what it has on disk.
    pub(crate) async fn revive(&mut self) {
        let path = self.directory.path();
        self.node = start(&mut command(path, &self.name, self.epmd_port, self.dist), path, READY).await;
    }
}

/// The file with its certificate.
const CERTIFICATE: &str = "certificate.pem";
/// What the node says when it is there.
const READY: &str = "Server startup complete";

fn command(path: &Path, node: &str, epmd_port: u16, dist: u16) -> Command {
    let mut command = Command::new(SERVER);
    environment(&mut command, path, node, epmd_port);
    command
        // The server replaces the script then, so that whoever kills the one kills the other.
        .env("RABBITMQ_ALLOW_INPUT", "1")
        .env("RABBITMQ_SERVER_START_ARGS", "-noinput")
        .env("RABBITMQ_DIST_PORT", dist.to_string())
        .env("RABBITMQ_MNESIA_BASE", path.join("mnesia"))
        .env("RABBITMQ_LOG_BASE", path.join("log"))
        .env("RABBITMQ_LOGS", "-")
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", path.join("plugins"))
        .env("RABBITMQ_CONFIG_FILE", path.join("rabbitmq"));
    command
}

/// Where the node is.
fn environment(command: &mut Command, path: &Path, node: &str, epmd_port: u16) {
    command
        .env("HOME", path)
        .env("RABBITMQ_NODENAME", node)
        .env("ERL_EPMD_PORT", epmd_port.to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1");
}
