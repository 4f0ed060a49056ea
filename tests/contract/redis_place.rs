//! The place of the Redis engine: keys with a prefix of its own, in servers that all places share.

use std::process::Child;
use std::sync::atomic::{AtomicUsize, Ordering};

use maybug::store::StoreConfig;
use redis::{ErrorKind, RedisResult, ServerErrorKind};
use tokio::sync::OnceCell;

use crate::servers::{Redis, cluster, end_with_us};

/// Servers for this process.
pub(crate) struct Servers {
    nodes: Vec<Redis>,
    url: String,
    _ends_them: Child,
}

impl Servers {
    /// One server.
    pub(crate) async fn single() -> &'static Self {
        static SINGLE: OnceCell<Servers> = OnceCell::const_new();
        SINGLE.get_or_init(async || Self::of("redis", vec![Redis::start("").await])).await
    }

    /// A cluster of three masters.
    pub(crate) async fn cluster() -> &'static Self {
        static CLUSTER: OnceCell<Servers> = OnceCell::const_new();
        let start = async || {
            let nodes = cluster().await;
            for node in &nodes {
                // None of them is ever started again.
                let _: () = node.ask("CONFIG SET appendonly no").await;
            }
            Self::of("redis+cluster", nodes.into())
        };
        CLUSTER.get_or_init(start).await
    }

    fn of(scheme: &str, nodes: Vec<Redis>) -> Self {
        let ends_them = end_with_us(&nodes);
        let addresses: Vec<_> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        Self { nodes, url: format!("{scheme}://{}", addresses.join(",")), _ends_them: ends_them }
    }
}

/// See the file's head.
pub(crate) struct Keys {
    pub(crate) servers: &'static Servers,
    prefix: String,
}

impl Keys {
    pub(crate) fn new(servers: &'static Servers) -> Self {
        static PLACES: AtomicUsize = AtomicUsize::new(0);
        // As long as all others: none is the beginning of another.
        let prefix = format!("place-{:06}", PLACES.fetch_add(1, Ordering::Relaxed));
        Self { servers, prefix }
    }

    pub(crate) fn config(&self) -> StoreConfig {
        let url = format!("{}?prefix={}", self.servers.url, self.prefix);
        StoreConfig { redis: Some(url.parse().unwrap()), ..StoreConfig::default() }
    }

    /// All keys as they are now, one moment for each node.
    pub(crate) async fn crashed(&self) -> Self {
        let copy = Self::new(self.servers);
        let script = "local found = {}
            for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
                found[#found + 1] = {key, redis.call('PTTL', key), redis.call('DUMP', key)}
            end
            return found";
        for node in &self.servers.nodes {
            let mut connection = node.connection().await.unwrap();
            let mut dump = redis::cmd("EVAL");
            dump.arg(script).arg(0).arg(format!("{}:*", self.prefix));
            let found: Vec<(String, i64, Vec<u8>)> = dump.query_async(&mut connection).await.unwrap();
            for (key, ttl, dump) in found {
                copy.restore(&key.replacen(&self.prefix, &copy.prefix, 1), ttl.max(0), &dump).await;
            }
        }
        copy
    }

    /// How many rows there are about messages.
    pub(crate) async fn rows(&self) -> u64 {
        let script = "local rows = 0
            for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
                if redis.call('TYPE', key).ok == 'hash' and not string.find(key, ':meta$') then
                    rows = rows + redis.call('HLEN', key)
                end
            end
            return rows";
        let mut rows = 0;
        for node in &self.servers.nodes {
            let mut connection = node.connection().await.unwrap();
            let mut count = redis::cmd("EVAL");
            count.arg(script).arg(0).arg(format!("{}:*", self.prefix));
            rows += count.query_async::<u64>(&mut connection).await.unwrap();
        }
        rows
    }

    /// Puts a key to whichever node it belongs to.
    async fn restore(&self, key: &str, ttl: i64, dump: &[u8]) {
        for node in &self.servers.nodes {
            let mut connection = node.connection().await.unwrap();
            let restored: RedisResult<()> =
                redis::cmd("RESTORE").arg(key).arg(ttl).arg(dump).query_async(&mut connection).await;
            match restored {
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::Moved) => {}
                restored => return restored.unwrap(),
            }
        }
        panic!("no node takes {key}");
    }
}
