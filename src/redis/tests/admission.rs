//! Whom a server lets in, what that one may do there, and what is wrong with the server.

use super::{Server, all, claim, connect, documented_users, eventually, node, one, put, times};
use crate::redis::lease::TakeError;
use crate::redis::registry::{Member, Registry};
use crate::redis::{ConfigError, Redis, RedisConfig, RedisError, Table};

async fn refused(url: &str) -> RedisError {
    let error = Redis::connect(&url.parse().unwrap()).await.err().unwrap();
    let told = format!("{error} {error:?}");
    assert!(!told.contains("hush"), "{told}");
    error
}

#[tokio::test]
async fn a_wrong_password_is_told_without_it() {
    let server = Server::start("secret").await;
    for login in ["", ":hush@", "nobody:hush@"] {
        let error = refused(&format!("redis://{login}127.0.0.1:{}", server.port)).await;
        assert!(matches!(error, RedisError::Login { .. }) && !error.is_passing(), "{error}");
        assert!(error.to_string().contains("refused the user or password"), "{error}");
    }
    connect(&format!("redis://:secret@127.0.0.1:{}/3", server.port)).await;
}

#[tokio::test]
async fn a_user_needs_the_permissions_that_are_documented() {
    let (server, _) = one().await;
    let _: () = server.ask(&documented_users("hush")[0]).await;
    let url = format!("redis://maybug:hush@127.0.0.1:{}/1", server.port);
    let redis = node(&url, times(100, 10_000, 20_000)).await;
    assert_eq!(redis.inspect().await.unwrap(), Vec::<String>::new());
    let slot = redis.slot("acl");
    let mut epoch = claim(&slot, "test").await.unwrap();
    let mut rows = Table::ALL.map(|table| put(table, "key", "value"));
    slot.write(&mut epoch, &rows).await.unwrap();
    assert_eq!(all(&slot, Table::Msg).await.len(), 1);
    assert_eq!(slot.get(Table::Msg, b"key").await.unwrap().as_deref(), Some(&b"value"[..]));
    assert_eq!(slot.scan(Table::Smsc, 0, 10).await.unwrap().1.len(), 1);
    rows.iter_mut().for_each(|row| row.value = None);
    slot.write(&mut epoch, &rows).await.unwrap();
    slot.delete(&mut epoch).await.unwrap();
    let (lease, mut epoch) = slot.take("test").await.unwrap();
    slot.write(&mut epoch, &[put(Table::Msg, "key", "value")]).await.unwrap();
    let mut operator = server.connection().await.unwrap();
    let _: () = ::redis::cmd("SELECT").arg(1).query_async(&mut operator).await.unwrap();
    let mut left = async |command: &str, more: &[u64]| -> u64 {
        let command = ::redis::cmd(command).arg("maybug:{acl}:lease").arg(more).to_owned();
        command.query_async(&mut operator).await.unwrap()
    };
    left("PEXPIRE", &[1_000_000]).await;
    eventually(async || left("PTTL", &[]).await <= 20_000).await;
    let busy = slot.take("another").await.unwrap_err();
    assert!(matches!(busy, TakeError::Busy { .. }), "{busy}");
    lease.release().await.unwrap();
    let registry = Registry::join(&redis, Member::default());
    registry.view().wait_for(|view| view.nodes.len() == 1).await.unwrap();
    crate::redis::registry::bump(&redis.slot("")).await.unwrap();
    registry.leave().await.unwrap();
    let waits = connect(&format!(
        "redis://maybug:hush@127.0.0.1:{}/1?replicas=1&timeout_ms=500&replica_timeout_ms=1000",
        server.port
    ))
    .await;
    let lonely = claim(&waits.slot("acl"), "test").await.unwrap_err();
    assert!(matches!(lonely, RedisError::Unreplicated { had: 0, wanted: 1, .. }) && lonely.is_passing(), "{lonely}");

    let _: () = server.ask("ACL SETUSER maybug -hset -config|get").await;
    let mut epoch = claim(&slot, "test").await.unwrap();
    let error = slot.write(&mut epoch, &[put(Table::Msg, "key", "value")]).await.unwrap_err().to_string();
    assert!(error.contains("does not permit") && !error.contains("hush"), "{error}");
    let warnings = redis.inspect().await.unwrap();
    assert!(warnings.len() == 1 && warnings[0].contains("CONFIG GET is refused"), "{warnings:?}");
    let _: () = server.ask("ACL SETUSER maybug -info").await;
    let warnings = redis.inspect().await.unwrap();
    assert!(warnings.len() == 1 && warnings[0].contains("may not use INFO"), "{warnings:?}");
}

#[tokio::test]
async fn a_careless_server_is_told_of() {
    let server = Server::start("").await;
    let redis = connect(&format!("redis://127.0.0.1:{}", server.port)).await;
    let warned = async || redis.inspect().await.unwrap().join("\n");
    assert!(warned().await.contains("set appendonly yes"));
    let _: () = server.ask("CONFIG SET maxmemory-policy allkeys-lru").await;
    assert!(warned().await.contains("set maxmemory-policy noeviction, not allkeys-lru"));
    for (policy, expected) in [("everysec", "up to a second"), ("no", "appendfsync is no")] {
        let _: () = server.ask("CONFIG SET appendonly yes").await;
        let _: () = server.ask(&format!("CONFIG SET appendfsync {policy}")).await;
        let warning = warned().await;
        assert!(warning.contains(expected) && !warning.contains("appendonly"), "{warning}");
    }
    let waits = connect(&format!("redis://127.0.0.1:{}?replicas=2", server.port)).await;
    let warnings = waits.inspect().await.unwrap().join("\n");
    assert!(warnings.contains("it has 0 replicas, and nothing counts as written before 2 have it"), "{warnings}");
}

#[tokio::test]
async fn tls_asks_both_for_a_certificate_that_is_trusted() {
    let server = Server::tls().await;
    let [ca_file, key_file] = server.certificate().map(|file| file.display().to_string());
    let files = format!("ca_file={ca_file}&certificate_file={ca_file}&key_file={key_file}");
    let redis = connect(&format!("rediss://localhost:{}?{files}", server.port)).await;
    let slot = redis.slot("tls");
    let mut epoch = claim(&slot, "test").await.unwrap();
    slot.write(&mut epoch, &[put(Table::Msg, "key", [b'v'; 100_000])]).await.unwrap();
    assert_eq!(slot.get(Table::Msg, b"key").await.unwrap(), Some(vec![b'v'; 100_000]));
    let stranger = Server::tls().await;
    let unknown = refused(&format!("rediss://localhost:{}?{files}", stranger.port)).await;
    assert!(unknown.to_string().contains("TLS handshake failed"), "{unknown}");
    let misnamed = refused(&format!("rediss://127.0.0.1:{}?{files}", server.port)).await;
    assert!(misnamed.to_string().contains("TLS handshake failed"), "{misnamed}");
    let anonymous = refused(&format!("rediss://localhost:{}?ca_file={ca_file}", server.port)).await;
    assert!(anonymous.to_string().contains("cannot be reached"), "{anonymous}");
    assert_eq!("https://localhost".parse::<RedisConfig>(), Err(ConfigError::Scheme("https".to_owned())));
    let missing = refused(&format!("rediss://localhost:{}?ca_file=/nowhere", server.port)).await;
    assert!(!missing.is_passing() && missing.to_string().contains("/nowhere cannot be read"), "{missing}");
}
