//! Two nodes on a Redis of their own, and channels on the one or the other.

use std::sync::Arc;

use maybug::config::{Config, RedisKey, Secret};
use maybug::store::{Duty, Member};
use serde_json::{Value, json};

use crate::redis::Redis;
use crate::support::{Maybug, soon};

/// Where nodes say that they are there.
pub(crate) const NODES: &str = "maybug:{%}:nodes";

pub(crate) struct Pair {
    pub(crate) nodes: [Maybug; 2],
    /// Which of them leads.
    pub(crate) leader: usize,
    pub(crate) redis: Redis,
}

impl Pair {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl Fn(&mut Config)) -> Self {
        let redis = Redis::start("").await;
        let url = format!("redis://127.0.0.1:{}", redis.port);
        let node = async || {
            let change = |config: &mut Config| {
                config.redis = Some(RedisKey::Store(Secret(url.clone())));
                change(config);
            };
            Maybug::at(Arc::new(tempfile::tempdir().unwrap()), change).await
        };
        let mut pair = Self { nodes: [node().await, node().await], leader: 0, redis };
        pair.leader = soon("two nodes, of which the right one leads", async {
            loop {
                let leader = pair.place(&Duty::Lead).await;
                let leads = json!([leader == 0, leader == 1]);
                if pair.listed().await.iter().all(|listed| pair.each(listed, "leads") == leads) {
                    return leader;
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
        pair
    }

    /// The node that does not lead.
    pub(crate) fn follower(&self) -> &Maybug {
        &self.nodes[1 - self.leader]
    }

    /// What `GET /nodes` says on each.
    async fn listed(&self) -> [Value; 2] {
        let [first, second] = &self.nodes;
        [first.get("/nodes").await.1["result"].clone(), second.get("/nodes").await.1["result"].clone()]
    }

    /// What is listed of each node, in our order; null of one that is not listed.
    pub(crate) fn each(&self, listed: &Value, key: &str) -> Value {
        let nodes = listed["nodes"].as_array().unwrap();
        let of = |node: &Maybug| nodes.iter().find(|listed| listed["url"] == *node.base).map(|node| node[key].clone());
        self.nodes.iter().map(of).collect()
    }

    /// What each node says of itself.
    pub(crate) async fn members(&self) -> Vec<Member> {
        let said: Vec<String> = self.redis.ask(&format!("HVALS {NODES}")).await;
        said.iter().map(|said| serde_json::from_str(said.split_once(' ').unwrap().1).unwrap()).collect()
    }

    /// The node that a duty is placed on.
    async fn place(&self, duty: &Duty) -> usize {
        let members = self.members().await;
        let url = &duty.place(&members).unwrap().url;
        self.nodes.iter().position(|node| node.base == *url).unwrap()
    }

    /// A channel on this node, where it is once this returns; it is made by way of the other node.
    pub(crate) async fn channel(&self, on: usize, properties: Value) -> String {
        let mut id = String::new();
        for number in 0.. {
            id = format!("channel-{number}");
            let there = self.nodes[on].get(&format!("/channels/{id}")).await.0 != 404;
            if !there && self.place(&Duty::Channel(id.as_str().into())).await == on {
                break;
            }
        }
        let (status, answer) =
            self.nodes[1 - on].post("/import", json!({"channel": {"id": id, "properties": properties}})).await;
        assert_eq!((status, &answer["result"]["outcome"]), (200, &json!("created")), "{answer}");
        soon("a channel where it should be", async {
            let name = |listed: &Value| self.each(listed, "name")[on].clone();
            let is_there = |listed: &Value| {
                let channels = listed["channels"].as_array().unwrap();
                channels.iter().any(|channel| channel["id"] == *id && channel["node"] == name(listed))
            };
            while !self.listed().await.iter().all(is_there) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        id
    }

    /// An `smpp` channel.
    pub(crate) async fn smpp_channel(&self, on: usize, port: u16) -> String {
        let config =
            json!({"twisted_endpoint": format!("tcp:127.0.0.1:{port}"), "system_id": "me", "password": "secret"});
        self.channel(on, json!({"type": "smpp", "mo_url": null, "config": config})).await
    }
}

/// A channel without a network, whose messages are delivered at once.
pub(crate) fn loopback() -> Value {
    json!({"type": "loopback", "config": {}, "mo_url": null})
}
