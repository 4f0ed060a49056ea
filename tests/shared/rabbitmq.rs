//! A RabbitMQ with its management plugin. `tests/run` installs it; it needs `mod daemon` beside it.
//!
//! A node costs seconds of a processor to start. So tests that only use one share it, each in a virtual host of its own;
//! those that kill, hold, starve or configure one have a node for themselves.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use hyper::{HeaderMap, Method};
use maybug::config::{AmqpConfig, Secret};
use maybug::web::client::{Allowed, Client};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::{OnceCell, oneshot};

use crate::daemon::{bound, free_port, remove_at_exit, start};

/// A virtual host of a node on loopback, and the user who sees that alone; their names are the same but for `/`, which
/// is `guest`'s.
#[derive(Clone)]
pub(crate) struct RabbitMq {
    /// The port of AMQP.
    pub(crate) port: u16,
    /// The port of AMQP over TLS.
    pub(crate) tls: u16,
    /// The port of the management interface.
    pub(crate) management: u16,
    vhost: String,
    user: String,
    certificate: PathBuf,
    client: Client,
}

/// A node of a test's own, with the virtual host `/`.
pub(crate) struct Node {
    rabbitmq: RabbitMq,
    name: String,
    epmd_port: u16,
    /// The port on which nodes talk to each other.
    dist: u16,
    node: Child,
    _epmd: Child,
    directory: tempfile::TempDir,
}

impl Deref for Node {
    type Target = RabbitMq;

    fn deref(&self) -> &RabbitMq {
        &self.rabbitmq
    }
}

/// Where Debian has it; the one in the path may change to another user.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
/// Likewise.
const CONTROL: &str = "/usr/lib/rabbitmq/bin/rabbitmqctl";
/// Of every user.
const PASSWORD: &str = "guest";

/// The node that is shared, by its virtual host `/`.
static SHARED: OnceCell<RabbitMq> = OnceCell::const_new();
/// Virtual hosts made on it.
static VHOSTS: AtomicU32 = AtomicU32::new(0);

impl RabbitMq {
    /// A node of one's own.
    pub(crate) async fn start() -> Node {
        Self::configured("").await
    }

    /// The same with more lines of rabbitmq.conf.
    pub(crate) async fn configured(more: &str) -> Node {
        Node::start(more).await
    }

    /// A virtual host of one's own, on the node that the tests of this process share.
    pub(crate) async fn shared() -> Self {
        // Connections end with the runtime that made them.
        let node = Self { client: client(), ..SHARED.get_or_init(share).await.clone() };
        let name = format!("test-{}", VHOSTS.fetch_add(1, Ordering::Relaxed));
        // Who may set policies may ask the management interface too.
        let user = json!({"password": PASSWORD, "tags": "policymaker"});
        let all = json!({"configure": ".*", "write": ".*", "read": ".*"});
        for (path, body) in [
            (format!("/api/vhosts/{name}"), json!({})),
            (format!("/api/users/{name}"), user),
            (format!("/api/permissions/{name}/{name}"), all),
        ] {
            let (status, answer) = node.manage(Method::PUT, &path, &body).await;
            assert_eq!(status, 201, "{path}: {answer}");
        }
        Self { vhost: name.clone(), user: name, ..node }
    }

    /// What a server needs to know of it.
    pub(crate) fn config(&self) -> AmqpConfig {
        AmqpConfig {
            port: self.port,
            vhost: self.vhost.clone(),
            username: self.user.clone(),
            password: Secret(PASSWORD.to_owned()),
            ..AmqpConfig::default()
        }
    }

    /// The same as a URL.
    pub(crate) fn url(&self) -> String {
        format!("amqp://{}:{PASSWORD}@127.0.0.1:{}/{}", self.user, self.port, self.vhost.replace('/', "%2F"))
    }

    /// Asks the management interface: `/api/queues/%2F/name` for instance. `%2F` is the virtual host, whatever its name.
    pub(crate) async fn manage(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let path = if self.vhost == "/" { path.to_owned() } else { path.replace("%2F", &self.vhost) };
        let url = format!("http://{}:{PASSWORD}@127.0.0.1:{}{path}", self.user, self.management).parse().unwrap();
        let body = Bytes::from(body.to_string());
        let answer = self.client.request(method, &url, HeaderMap::new(), body, crate::server::DEADLINE).await.unwrap();
        (answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    /// Its certificate, for whoever wants to trust it.
    pub(crate) fn certificate(&self) -> &Path {
        &self.certificate
    }
}

/// A client of the management interface.
fn client() -> Client {
    Client::new(Allowed { networks: vec!["127.0.0.0/8".parse().unwrap()] })
}

/// Starts the node that is shared, in a thread that has it as long as the process lives: the runtime of the test that is
/// first ends before.
async fn share() -> RabbitMq {
    let (sender, started) = oneshot::channel();
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let node = Node::start("").await;
            let _last = remove_at_exit(node.directory.path());
            let _ = sender.send(node.rabbitmq.clone());
            std::future::pending::<()>().await;
        });
    });
    started.await.expect("the shared RabbitMQ has not started; why is written above")
}

impl Node {
    async fn start(more: &str) -> Self {
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
        let epmd = bound("epmd")
            .args(["-port", &epmd_port.to_string()])
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("epmd: {error}; tests/run installs it with rabbitmq-server"));
        // A node that does not find it would start one that nobody ends.
        crate::server::soon("epmd", async { while TcpStream::connect(("127.0.0.1", epmd_port)).await.is_err() {} })
            .await;
        let dist = free_port().await;
        let mut command = command(path, &name, epmd_port, dist);
        let node = start(&mut command, path, READY).await;
        let certificate = path.join(CERTIFICATE);
        let (vhost, user) = ("/".to_owned(), "guest".to_owned());
        let rabbitmq = RabbitMq { port, tls, management, vhost, user, certificate, client: client() };
        Self { rabbitmq, name, epmd_port, dist, node, _epmd: epmd, directory }
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
    let mut command = bound(SERVER);
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
