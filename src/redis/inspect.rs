//! What is wrong with a Redis's configuration for somebody who keeps messages in it.

use std::collections::HashMap;
use std::sync::Arc;

use redis::cmd;

use super::config::Topology;
use super::node::Node;
use super::{Redis, RedisError};

/// The oldest version whose `ZRANGE` knows `BYLEX`.
const OLDEST: (u32, u32) = (6, 2);

impl Redis {
    /// Sentences about what may lose messages or stop the service, each with what to do; none, if all is well.
    ///
    /// # Errors
    /// [`RedisError`], where it is not known who is master, or nothing can be asked.
    pub(crate) async fn inspect(&self) -> Result<Vec<String>, RedisError> {
        let mut warnings = Vec::new();
        for node in self.0.router.masters().await? {
            match self.examine(&node).await {
                Ok(found) => {
                    warnings.extend(found.iter().map(|warning| format!("Redis at {}: {warning}", node.address())));
                }
                Err(error) if error.is_passing() => warnings.push(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        Ok(warnings)
    }

    /// How much of the memory that they may have is taken, in percent, by the master that has the least left; zero where
    /// nothing limits it.
    ///
    /// # Errors
    /// [`RedisError`], of the first server that does not say.
    pub(crate) async fn fullness(&self) -> Result<u64, RedisError> {
        let mut fullest = 0;
        for node in self.0.router.masters().await? {
            let info: String = node.ask(cmd("INFO").arg("memory")).await?;
            let info: HashMap<&str, &str> = info.lines().filter_map(|line| line.trim_end().split_once(':')).collect();
            let number = |name: &str| info.get(name).and_then(|said| said.parse::<u64>().ok()).unwrap_or_default();
            let percent = number("used_memory").saturating_mul(100).checked_div(number("maxmemory"));
            fullest = fullest.max(percent.unwrap_or_default());
        }
        Ok(fullest)
    }

    async fn examine(&self, node: &Arc<Node>) -> Result<Vec<String>, RedisError> {
        let info: String = match node.ask(&cmd("INFO")).await {
            Err(RedisError::Forbidden { .. }) => {
                return Ok(vec!["its settings cannot be examined because this user may not use INFO".to_owned()]);
            }
            info => info?,
        };
        let info: HashMap<&str, &str> = info.lines().filter_map(|line| line.trim_end().split_once(':')).collect();
        let said = |name: &str| info.get(name).copied().unwrap_or_default();
        let number = |name: &str| said(name).parse::<u64>().unwrap_or_default();
        let mut warnings = Vec::new();
        let version = said("redis_version");
        let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or_default());
        let parts = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if parts < OLDEST {
            warnings.push(format!("its version {version} is too old; use 6.2 or later, or Valkey"));
        }
        if said("aof_enabled") == "0" {
            warnings.push("it loses what it has when it stops; set appendonly yes".to_owned());
        } else {
            warnings.extend(sync(node).await?);
        }
        match said("maxmemory_policy") {
            "" | "noeviction" => {}
            policy => warnings.push(format!(
                "it deletes messages when memory is short; set maxmemory-policy noeviction, not {policy}"
            )),
        }
        let (replicas, wanted) = (number("connected_slaves"), u64::from(self.0.config.replicas));
        if wanted == 0 && replicas > 0 {
            warnings.push(
                "fail-over to a replica loses what that one does not have yet; put replicas=1 into the URL to wait for it"
                    .to_owned(),
            );
        }
        if replicas < wanted {
            warnings.push(format!(
                "it has {replicas} replicas, and nothing counts as written before {wanted} have it; start more, or lower \
                 replicas in the URL"
            ));
        }
        if said("cluster_enabled") == "1" && !matches!(self.0.config.topology, Topology::Cluster(_)) {
            warnings
                .push("it belongs to a cluster and has some keys only; write redis+cluster:// in the URL".to_owned());
        }
        if said("role") == "slave" {
            warnings
                .push("it is a replica and takes no changes; name the master in the URL, or its sentinels".to_owned());
        }
        Ok(warnings)
    }
}

/// What is wrong with how often it writes to its disk.
async fn sync(node: &Arc<Node>) -> Result<Option<String>, RedisError> {
    let asked: Result<HashMap<String, String>, _> = node.ask(cmd("CONFIG").arg("GET").arg("appendfsync")).await;
    let policy = match asked {
        // Hosted services have no CONFIG, or another one.
        Err(RedisError::Forbidden { .. } | RedisError::Refused { .. }) => None,
        answer => answer?.remove("appendfsync"),
    };
    Ok(match policy.as_deref() {
        Some("always") => None,
        Some("everysec") => Some(
            "a power cut loses up to a second of what was acknowledged; set appendfsync always where that is too much"
                .to_owned(),
        ),
        Some(policy) => Some(format!(
            "a power cut loses what was acknowledged, as appendfsync is {policy}; set it to always, or to everysec"
        )),
        None => Some(
            "its appendfsync cannot be looked up because CONFIG GET is refused; see to it that it is always, or everysec"
                .to_owned(),
        ),
    })
}
