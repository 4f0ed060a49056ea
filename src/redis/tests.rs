//! Against real servers, which `tests/run` installs.

mod admission;
#[path = "../../tests/shared/daemon.rs"]
#[allow(dead_code, reason = "these tests start no RabbitMQ")]
mod daemon;
mod failures;
mod gate;
#[path = "../../tests/shared/proxy.rs"]
#[allow(dead_code, reason = "these tests break connections in few ways")]
mod proxy;
#[path = "../../tests/shared/redis.rs"]
#[allow(dead_code, reason = "these tests keep no servers in statics")]
mod servers;
mod several;
mod tables;

use std::time::Duration;

use servers::Redis as Server;

use super::{Epoch, Redis, RedisError, Row, Slot, Table, WriteError};

/// Connects to what an URL says.
async fn connect(url: &str) -> Redis {
    Redis::connect(&url.parse().unwrap()).await.unwrap_or_else(|error| panic!("{url}: {error}"))
}

/// A server with nothing in it, and us.
async fn one() -> (Server, Redis) {
    let server = Server::durable(&[]).await;
    let redis = connect(&format!("redis://127.0.0.1:{}", server.port)).await;
    (server, redis)
}

fn put(table: Table, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Row {
    Row { table, key: key.as_ref().to_vec(), value: Some(value.as_ref().to_vec()) }
}

fn removal(table: Table, key: impl AsRef<[u8]>) -> Row {
    Row { table, key: key.as_ref().to_vec(), value: None }
}

/// Every row of an ordered table.
async fn all(slot: &Slot, table: Table) -> Vec<(Vec<u8>, Vec<u8>)> {
    slot.range(table, b"", None, false, usize::MAX).await.unwrap()
}

/// Writes where nobody else does.
async fn write(slot: &Slot, epoch: &mut Epoch, rows: &[Row]) -> Result<(), RedisError> {
    slot.write(epoch, rows).await.map_err(|error| match error {
        WriteError::Redis(error) => error,
        fenced @ WriteError::Fenced { .. } => panic!("{fenced}"),
    })
}

/// The commands in the documentation that make a user, with this password.
fn documented_users(password: &str) -> [String; 2] {
    let lines = include_str!("../../docs/redis.md").lines();
    let commands: Vec<_> = lines.filter(|line| line.starts_with("ACL SETUSER")).collect();
    <[&str; 2]>::try_from(commands).unwrap().map(|command| command.replace("PASSWORD", password))
}

/// Does something until it is done, as long as what is in the way passes.
async fn until<T>(mut act: impl AsyncFnMut() -> Result<T, RedisError>) -> T {
    let done = async {
        loop {
            match act().await {
                Ok(done) => return done,
                Err(error) => assert!(error.is_passing(), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), done).await.unwrap()
}
