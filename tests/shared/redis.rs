//! Redis servers: one, one that is killed and comes back, several that belong together. `tests/run` installs it; it needs
//! `mod daemon` beside it.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use super::daemon::{free_port, start};

/// A running server on loopback, with nothing in it. It is killed when dropped.
pub(crate) struct Redis {
    /// Its port.
    pub(crate) port: u16,
    password: String,
    arguments: Vec<String>,
    ready: &'static str,
    server: Child,
    directory: tempfile::TempDir,
}

/// What a server says when it is there.
const READY: &str = "Ready to accept connections";
/// What a sentinel says.
const WATCHES: &str = "+monitor master";
/// What the sentinels call the master.
pub(crate) const SERVICE: &str = "mymaster";
/// How long servers may take to agree.
const PATIENCE: Duration = Duration::from_secs(60);

impl Redis {
    /// With a password, if there is to be one.
    pub(crate) async fn start(password: &str) -> Self {
        Self::open(password, &["--save", "", "--appendonly", "no"]).await
    }

    /// One that keeps what it has acknowledged, whatever happens to it.
    pub(crate) async fn durable(more: &[&str]) -> Self {
        Self::open("", &[&["--save", "", "--appendonly", "yes", "--appendfsync", "always"], more].concat()).await
    }

    /// One that speaks TLS, with a certificate of its own for `localhost`, which it asks clients for, too.
    pub(crate) async fn tls() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(directory.path().join(CERTIFICATE), certified.cert.pem()).unwrap();
        std::fs::write(directory.path().join(KEY), certified.signing_key.serialize_pem()).unwrap();
        let port = free_port().await;
        let tls = port.to_string();
        let mut arguments = vec!["--port", "0", "--tls-port", &tls, "--save", "", "--appendonly", "no"];
        arguments.extend([
            "--tls-cert-file",
            CERTIFICATE,
            "--tls-key-file",
            "key.pem",
            "--tls-ca-cert-file",
            CERTIFICATE,
        ]);
        Self::run(directory, port, "", &arguments, READY).await
    }

    async fn open(password: &str, arguments: &[&str]) -> Self {
        let port = free_port().await;
        let (directory, text) = (tempfile::tempdir().unwrap(), port.to_string());
        let arguments = [&["--port", &text, "--requirepass", password], arguments].concat();
        Self::run(directory, port, password, &arguments, READY).await
    }

    async fn run(
        directory: tempfile::TempDir,
        port: u16,
        password: &str,
        arguments: &[&str],
        ready: &'static str,
    ) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let server = launch(&directory, &arguments, ready).await;
        Self { port, password: password.to_owned(), arguments, ready, server, directory }
    }

    /// Asks it for something, as its operator would.
    pub(crate) async fn ask<T: ::redis::FromRedisValue>(&self, command: &str) -> T {
        self.try_ask(command).await.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// The same, if it may fail.
    pub(crate) async fn try_ask<T: ::redis::FromRedisValue>(&self, command: &str) -> ::redis::RedisResult<T> {
        let mut connection = self.connection().await?;
        let mut words = command.split(' ');
        let mut command = ::redis::cmd(words.next().unwrap());
        words.for_each(|word| {
            command.arg(word);
        });
        command.query_async(&mut connection).await
    }

    /// A connection of its operator's.
    pub(crate) async fn connection(&self) -> ::redis::RedisResult<::redis::aio::MultiplexedConnection> {
        let client = ::redis::Client::open(format!("redis://:{}@127.0.0.1:{}", self.password, self.port))?;
        let options = ::redis::AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
        client.get_multiplexed_async_connection_with_config(&options).await
    }

    /// Holds it still (`-STOP`), or lets it go on (`-CONT`).
    pub(crate) async fn signal(&self, signal: &str) {
        let server = self.server.id().unwrap().to_string();
        assert!(Command::new("kill").args([signal, &server]).status().await.unwrap().success());
    }

    /// Ends it as a power cut does.
    pub(crate) async fn kill(&mut self) {
        self.server.kill().await.unwrap();
    }

    /// Starts it again, with what it has on disk.
    pub(crate) async fn revive(&mut self) {
        self.server = launch(&self.directory, &self.arguments, self.ready).await;
    }

    /// A replica of it, which the rest of the cluster knows, too.
    pub(crate) async fn replica(&self, rest: &[Self]) -> Self {
        let replica = node().await;
        let _: () = self.ask(&met(&replica).await).await;
        let master: String = self.ask("CLUSTER MYID").await;
        let own: String = replica.ask("CLUSTER MYID").await;
        // Only who has heard of a node can follow it.
        agree("a replica", async || replica.try_ask::<()>(&format!("CLUSTER REPLICATE {master}")).await.is_ok()).await;
        agree("a replica's data", async || {
            let info: String = replica.ask("INFO replication").await;
            info.contains("master_link_status:up")
        })
        .await;
        for node in rest.iter().chain([self]) {
            agree("a replica's place", async || {
                let nodes: String = node.ask("CLUSTER NODES").await;
                nodes.lines().any(|line| line.starts_with(&own) && line.contains("slave") && line.contains(&master))
            })
            .await;
        }
        replica
    }

    /// Its certificate, for whoever wants to trust it, and the key, for whoever wants to show it.
    pub(crate) fn certificate(&self) -> [PathBuf; 2] {
        [CERTIFICATE, KEY].map(|file| self.directory.path().join(file))
    }
}

/// The file with its certificate.
const CERTIFICATE: &str = "certificate.pem";
/// The file with the key.
const KEY: &str = "key.pem";

async fn launch(directory: &tempfile::TempDir, arguments: &[String], ready: &str) -> Child {
    let mut command = Command::new("redis-server");
    command.args(arguments).args(["--bind", "127.0.0.1", "--dir", "."]);
    start(&mut command, directory.path(), ready).await
}

/// Ends servers of a static, which nobody drops, when this process ends, in whatever way it does.
pub(crate) fn end_with_us(servers: &[Redis]) -> std::process::Child {
    // The pipe ends with us.
    let script = "trap '' INT TERM HUP; cat; while [ $# -gt 0 ]; do kill -9 \"$1\"; rm -rf \"$2\"; shift 2; done";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", script, "sh"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    for server in servers {
        command.arg(server.server.id().unwrap().to_string()).arg(server.directory.path());
    }
    command.spawn().unwrap()
}

/// A node of a cluster that knows no other yet.
async fn node() -> Redis {
    let bus = free_port().await.to_string();
    let mut more = vec!["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "1000"];
    more.extend(["--cluster-require-full-coverage", "no", "--repl-diskless-sync-delay", "0"]);
    // A replica whose first elections were lost on a busy machine goes on trying.
    more.extend(["--cluster-replica-validity-factor", "0"]);
    Redis::durable(&more).await
}

/// What other nodes are told to meet it.
async fn met(node: &Redis) -> String {
    let bus: (String, u16) = node.ask("CONFIG GET cluster-port").await;
    format!("CLUSTER MEET 127.0.0.1 {} {}", node.port, bus.1)
}

/// A cluster of three masters; what one of them had is away while it is.
pub(crate) async fn cluster() -> [Redis; 3] {
    let nodes = [node().await, node().await, node().await];
    let bounds = [0, 5461, 10_923, 16_384];
    for (index, node) in nodes.iter().enumerate() {
        let _: () = node.ask(&format!("CLUSTER ADDSLOTSRANGE {} {}", bounds[index], bounds[index + 1] - 1)).await;
        let _: () = node.ask(&format!("CLUSTER SET-CONFIG-EPOCH {}", index + 1)).await;
        if index > 0 {
            let _: () = nodes[0].ask(&met(node).await).await;
        }
    }
    for node in &nodes {
        agree("a cluster", async || {
            let info: String = node.ask("CLUSTER INFO").await;
            info.contains("cluster_state:ok")
                && info.contains("cluster_slots_ok:16384")
                && info.contains("cluster_size:3")
        })
        .await;
    }
    nodes
}

/// A master, its replica, and three sentinels who call the master [`SERVICE`].
pub(crate) struct Watched {
    pub(crate) master: Redis,
    pub(crate) replica: Redis,
    pub(crate) sentinels: Vec<Redis>,
}

impl Watched {
    pub(crate) async fn start() -> Self {
        // A replica that is behind asks at once, and not a second later.
        let quick = ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"];
        let master = Redis::durable(&quick).await;
        let of = format!("127.0.0.1 {}", master.port);
        let replica = Redis::durable(&[&quick[..], &["--replicaof", &of]].concat()).await;
        agree("a replica", async || {
            let info: String = replica.ask("INFO replication").await;
            info.contains("master_link_status:up")
        })
        .await;
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            let (directory, port) = (tempfile::tempdir().unwrap(), free_port().await);
            let configuration = format!(
                "port {port}\nsentinel monitor {SERVICE} 127.0.0.1 {} 2\n\
                 sentinel down-after-milliseconds {SERVICE} 1000\nsentinel failover-timeout {SERVICE} 3000\n",
                master.port
            );
            std::fs::write(directory.path().join("sentinel.conf"), configuration).unwrap();
            sentinels.push(Redis::run(directory, port, "", &["sentinel.conf", "--sentinel"], WATCHES).await);
        }
        for sentinel in &sentinels {
            agree("sentinels", async || {
                let info: String = sentinel.ask("INFO sentinel").await;
                info.contains("slaves=1,sentinels=3") && info.contains("status=ok")
            })
            .await;
        }
        Self { master, replica, sentinels }
    }
}

/// Asks again and again until it is so.
async fn agree(what: &str, is_so: impl AsyncFn() -> bool) {
    let asked = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| panic!("no agreement on {what}"));
}
