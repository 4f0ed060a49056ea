//! Which server has a slot: the one there is, the one that the sentinels call master, or the node of the cluster.
//!
//! Whoever knows is asked by all ways at once, and the first good answer counts: a server that hangs costs nobody time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use futures_util::future::select_ok;
use redis::{Value, cmd};
use tokio::time::Instant;

use super::config::{Address, RedisConfig, Topology};
use super::error::{RedisError, redirect};
use super::node::Node;
use super::pace::{Pace, apart};

/// Hash slots of a cluster.
const SLOTS: u16 = 16_384;
/// How often a cluster is asked for its map at most.
const REFRESH: Duration = Duration::from_millis(100);

/// See the file's head.
pub(super) enum Router {
    Single(Arc<Node>),
    Sentinel(Arc<Sentinels>),
    Cluster(Arc<Cluster>),
}

/// The sentinels, and what they said.
pub(super) struct Sentinels {
    config: RedisConfig,
    service: String,
    sentinels: Vec<Arc<Node>>,
    master: ArcSwapOption<Node>,
    /// Held by whoever asks, always in a task of its own.
    pace: tokio::sync::Mutex<Pace>,
}

/// The cluster, as far as it is known.
pub(super) struct Cluster {
    config: RedisConfig,
    map: ArcSwap<Map>,
    /// When it was last asked; held by whoever asks, in a task of its own.
    asking: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Clone, Default)]
struct Map {
    /// Ranges of slots and their masters, in order.
    ranges: Vec<(u16, u16, Arc<Node>)>,
    /// Slots that moved since.
    moved: HashMap<u16, Arc<Node>>,
    /// Every master, and the nodes that we were told of.
    nodes: HashMap<Address, Arc<Node>>,
}

impl Router {
    /// # Errors
    /// [`RedisError::Tls`].
    pub(super) fn new(config: &RedisConfig) -> Result<Self, RedisError> {
        let node = |address: &Address| Node::new(address.clone(), config, &config.login, config.db);
        Ok(match &config.topology {
            Topology::Single(address) => Self::Single(node(address)?),
            Topology::Sentinel { sentinels, service, login } => {
                let sentinel = |address: &Address| Node::new(address.clone(), config, login, 0);
                Self::Sentinel(Arc::new(Sentinels {
                    config: config.clone(),
                    service: service.clone(),
                    sentinels: sentinels.iter().map(sentinel).collect::<Result<_, _>>()?,
                    master: ArcSwapOption::empty(),
                    pace: tokio::sync::Mutex::default(),
                }))
            }
            Topology::Cluster(seeds) => {
                let nodes = seeds.iter().map(|seed| Ok((seed.clone(), node(seed)?))).collect::<Result<_, RedisError>>();
                let map = Map { nodes: nodes?, ..Map::default() };
                Self::Cluster(Arc::new(Cluster {
                    config: config.clone(),
                    map: ArcSwap::from_pointee(map),
                    asking: tokio::sync::Mutex::default(),
                }))
            }
        })
    }

    /// The server of a hash slot.
    ///
    /// # Errors
    /// [`RedisError`], where nobody knows.
    pub(super) async fn node(&self, slot: u16) -> Result<Arc<Node>, RedisError> {
        match self {
            Self::Single(node) => Ok(node.clone()),
            Self::Sentinel(sentinels) => sentinels.master().await,
            Self::Cluster(cluster) => match cluster.map.load().find(slot) {
                Some(node) => Ok(node),
                None => {
                    cluster.refresh().await?;
                    let why = format!("hash slot {slot} has no master");
                    cluster.map.load().find(slot).ok_or(RedisError::NoNode { why })
                }
            },
        }
    }

    /// Every server that has slots.
    ///
    /// # Errors
    /// [`RedisError`], where nobody knows.
    pub(super) async fn masters(&self) -> Result<Vec<Arc<Node>>, RedisError> {
        let Self::Cluster(cluster) = self else { return Ok(vec![self.node(0).await?]) };
        cluster.refresh().await?;
        let mut masters: Vec<Arc<Node>> = Vec::new();
        for (_, _, node) in &cluster.map.load().ranges {
            if !masters.iter().any(|master| Arc::ptr_eq(master, node)) {
                masters.push(node.clone());
            }
        }
        Ok(masters)
    }

    /// After an error: whether another server, or a new connection, may do better at once.
    pub(super) async fn reconsider(&self, slot: u16, node: &Arc<Node>, error: &RedisError) -> bool {
        match (self, error) {
            (Self::Cluster(cluster), RedisError::Moved { to, .. }) => cluster.moved(slot, to),
            (Self::Single(_), _) => matches!(error, RedisError::Unreachable { .. }),
            (Self::Sentinel(sentinels), error) if error.changes_master() => {
                sentinels.forget(node);
                !matches!(error, RedisError::Silent { .. })
            }
            (Self::Cluster(cluster), error) if error.changes_master() => {
                // Where nobody knows better, the error stands as it is.
                let _ = cluster.refresh().await;
                !matches!(error, RedisError::Silent { .. })
            }
            _ => false,
        }
    }
}

impl Sentinels {
    fn forget(&self, node: &Arc<Node>) {
        let current = self.master.load();
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, node)) {
            self.master.compare_and_swap(&*current, None);
        }
    }

    async fn master(self: &Arc<Self>) -> Result<Arc<Node>, RedisError> {
        if let Some(master) = self.master.load_full() {
            return Ok(master);
        }
        let sentinels = self.clone();
        apart(async move { sentinels.elected().await }).await
    }

    async fn elected(&self) -> Result<Arc<Node>, RedisError> {
        let mut pace = self.pace.lock().await;
        if let Some(master) = self.master.load_full() {
            return Ok(master);
        }
        let asked = self.sentinels.iter().map(|sentinel| Box::pin(self.master_of(sentinel)));
        let (master, _) = pace.attempt(select_ok(asked)).await?;
        self.master.store(Some(master.clone()));
        Ok(master)
    }

    /// Who is master in a sentinel's eyes, if that one thinks so too.
    async fn master_of(&self, sentinel: &Arc<Node>) -> Result<Arc<Node>, RedisError> {
        let unknown = |why: String| RedisError::NoMaster { service: self.service.clone(), why };
        let asked = sentinel.ask(cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(&self.service)).await;
        let told: Option<(String, u16)> = match asked {
            Err(error @ (RedisError::Login { .. } | RedisError::Forbidden { .. })) => return Err(error),
            Err(error) => return Err(unknown(error.to_string())),
            Ok(told) => told,
        };
        let Some((host, port)) = told else {
            return Err(unknown(format!("the sentinel at {} has never heard of it", sentinel.address())));
        };
        let address = Address { host, port };
        let node = Node::new(address, &self.config, &self.config.login, self.config.db)?;
        let role: Vec<Value> = match node.ask(&cmd("ROLE")).await {
            Err(error) if error.is_passing() => return Err(unknown(error.to_string())),
            role => role?,
        };
        match role.first() {
            Some(Value::BulkString(role)) if role == b"master" => Ok(node),
            _ => Err(unknown(format!("{} is not master any more, or not yet", node.address()))),
        }
    }
}

impl Map {
    fn find(&self, slot: u16) -> Option<Arc<Node>> {
        if let Some(node) = self.moved.get(&slot) {
            return Some(node.clone());
        }
        let behind = self.ranges.partition_point(|(_, last, _)| *last < slot);
        self.ranges.get(behind).filter(|(first, _, _)| *first <= slot).map(|(_, _, node)| node.clone())
    }
}

impl Cluster {
    /// Takes a redirection's word for one slot; false if that leads nowhere.
    fn moved(&self, slot: u16, to: &Address) -> bool {
        let known = self.map.load().nodes.get(to).cloned();
        let Ok(node) = known.map_or_else(|| self.open(to), Ok) else { return false };
        self.map.rcu(|map| {
            let mut map = Map::clone(map);
            map.moved.insert(slot, node.clone());
            map.nodes.insert(to.clone(), node.clone());
            map
        });
        true
    }

    fn open(&self, address: &Address) -> Result<Arc<Node>, RedisError> {
        Node::new(address.clone(), &self.config, &self.config.login, 0)
    }

    /// Asks for the map again, unless that was done just now.
    async fn refresh(self: &Arc<Self>) -> Result<(), RedisError> {
        let cluster = self.clone();
        apart(async move { cluster.ask_again().await }).await
    }

    async fn ask_again(&self) -> Result<(), RedisError> {
        let mut asked = self.asking.lock().await;
        if asked.is_some_and(|asked| asked.elapsed() < REFRESH) {
            return Ok(());
        }
        let map = self.map.load_full();
        let everybody = map.nodes.values().map(|node| Box::pin(ranges(node)));
        let found = select_ok(everybody).await;
        *asked = Some(Instant::now());
        let (ranges, _) = found?;
        let mut fresh = Map::default();
        for (first, last, address) in ranges {
            let known = map.nodes.get(&address).or_else(|| fresh.nodes.get(&address));
            let node = known.map_or_else(|| self.open(&address), |node| Ok(node.clone()))?;
            fresh.nodes.insert(address, node.clone());
            fresh.ranges.push((first, last, node));
        }
        fresh.ranges.sort_unstable_by_key(|(first, _, _)| *first);
        // The nodes that the operator named stay known, for the day when all others have gone.
        if let Topology::Cluster(seeds) = &self.config.topology {
            for seed in seeds {
                if let Some(node) = map.nodes.get(seed) {
                    fresh.nodes.entry(seed.clone()).or_insert_with(|| node.clone());
                }
            }
        }
        self.map.store(Arc::new(fresh));
        Ok(())
    }
}

/// Ranges of slots and their masters, in a node's eyes.
async fn ranges(node: &Arc<Node>) -> Result<Vec<(u16, u16, Address)>, RedisError> {
    let answer: Vec<Vec<Value>> = match node.ask(cmd("CLUSTER").arg("SLOTS")).await {
        Err(error) if error.is_passing() => return Err(RedisError::NoNode { why: error.to_string() }),
        answer => answer?,
    };
    let range = |range: &[Value]| {
        let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = range else { return None };
        let [host, Value::Int(port), ..] = &master[..] else { return None };
        // A node that does not know its own address leaves it out.
        let host = match host {
            Value::BulkString(host) => std::str::from_utf8(host).ok()?,
            _ => "",
        };
        let master = redirect(node.address(), &format!("{host}:{port}"))?;
        let slots = |number: &i64| u16::try_from(*number).ok().filter(|slot| *slot < SLOTS);
        Some((slots(first)?, slots(last)?, master))
    };
    let ranges: Vec<_> = answer.iter().filter_map(|found| range(found)).collect();
    if ranges.is_empty() {
        let why = format!("{} knows no master of any slot", node.address());
        return Err(RedisError::NoNode { why });
    }
    Ok(ranges)
}

/// The hash slot of a key, or of the tag that stands for it: CRC-16/XMODEM, modulo 16,384.
pub(super) fn hash_slot(tag: &[u8]) -> u16 {
    let mut crc = 0_u16;
    for octet in tag {
        crc ^= u16::from(*octet) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
        }
    }
    crc % SLOTS
}

#[cfg(test)]
mod tests {
    use super::hash_slot;

    /// The cluster specification's own example, and what `CLUSTER KEYSLOT` says.
    #[test]
    fn slots_are_those_of_redis() {
        assert_eq!(hash_slot(b"123456789"), 0x31C3);
        assert_eq!((hash_slot(b"foo"), hash_slot(b"bar")), (12_182, 5_061));
    }
}
