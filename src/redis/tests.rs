//! Against real servers, which `tests/run` installs.

mod admission;
#[path = "../../tests/shared/daemon.rs"]
#[allow(dead_code, reason = "these tests start no RabbitMQ")]
mod daemon;
mod failures;
mod gate;
mod leases;
#[path = "../../tests/shared/proxy.rs"]
#[allow(dead_code, reason = "these tests break connections in few ways")]
mod proxy;
mod registry;
#[path = "../../tests/shared/redis.rs"]
#[allow(dead_code, reason = "these tests keep no servers in statics")]
mod servers;
mod several;
mod several_leases;
mod tables;

use std::time::Duration;

use servers::Redis as Server;

use super::lease::{Lease, TakeError};
use super::term::{Tenure, Times};
use super::{Epoch, Redis, RedisError, Row, Slot, Table, WriteError};

/// Connects to what an URL says.
async fn connect(url: &str) -> Redis {
    Redis::connect(&url.parse().unwrap()).await.unwrap_or_else(|error| panic!("{url}: {error}"))
}

/// A node, with these times of its leases.
async fn node(url: &str, times: Times) -> Redis {
    Redis::open(&url.parse().unwrap(), times).await.unwrap_or_else(|error| panic!("{url}: {error}"))
}

/// Times with which a test need not wait long, in milliseconds; a machine that has much to do is no pause.
fn times(renew: u64, doubtful: u64, lost: u64) -> Times {
    let [renew, doubtful, lost] = [renew, doubtful, lost].map(Duration::from_millis);
    Times { renew, doubtful, lost, pause: Duration::from_secs(60), announce: renew }
}

/// Takes a slot as soon as nobody has it any more.
async fn take(slot: &Slot, node: &str) -> (Lease, Epoch) {
    until_some(async || match slot.take(node).await {
        Ok(taken) => Ok(Some(taken)),
        Err(TakeError::Busy { .. }) => Ok(None),
        Err(TakeError::Redis(error)) => Err(error),
    })
    .await
}

/// Takes a slot, and leaves it without a lease.
async fn claim(slot: &Slot, node: &str) -> Result<Epoch, RedisError> {
    let epoch = match slot.take(node).await {
        Ok((_, epoch)) => epoch,
        Err(TakeError::Redis(error)) => return Err(error),
        Err(busy @ TakeError::Busy { .. }) => panic!("{busy}"),
    };
    slot.ask::<()>(redis::cmd("UNLINK").arg(&slot.named.lease)).await?;
    Ok(epoch)
}

/// Waits until a lease stands like that.
async fn stands(lease: &Lease, how: impl FnMut(&Tenure) -> bool) -> Tenure {
    let mut watch = lease.watch();
    let stands = tokio::time::timeout(Duration::from_secs(60), watch.wait_for(how)).await.unwrap();
    stands.unwrap().clone()
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
    until_some(async || act().await.map(Some)).await
}

/// The same for what may have to wait for others.
async fn until_some<T>(mut act: impl AsyncFnMut() -> Result<Option<T>, RedisError>) -> T {
    let done = async {
        loop {
            match act().await {
                Ok(Some(done)) => return done,
                Ok(None) => {}
                Err(error) => assert!(error.is_passing(), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), done).await.unwrap()
}

/// Waits until something is so.
async fn eventually(mut is_so: impl AsyncFnMut() -> bool) {
    until_some(async || Ok(is_so().await.then_some(()))).await;
}
