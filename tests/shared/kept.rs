//! Where the servers of tests keep things: in the directory that each has, or, where the environment names a Redis, there,
//! under a prefix of the directory's.

use std::path::Path;

use maybug::config::{RedisKey, Secret};

/// The environment variable with the Redis's URL.
const REDIS: &str = "MAYBUG_TEST_REDIS";

/// The Redis of the server with this directory, if it is to have one.
pub(super) fn redis(directory: &Path) -> Option<RedisKey> {
    let url = std::env::var(REDIS).ok()?;
    let prefix = directory.file_name()?.to_string_lossy().replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
    Some(RedisKey::Store(Secret(format!("{url}?prefix={prefix}"))))
}
