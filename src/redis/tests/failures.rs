//! Servers that forget, stop, hang, fill up, and come back.

use std::time::Duration;

use super::gate::Gate;
use super::proxy::{Held, Proxy};
use super::{Server, all, claim, connect, one, put, removal, until, write};
use crate::redis::{RedisError, Table, WriteError};

/// Turns a hang into a failure.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn forgotten_scripts_are_told_again() {
    let (mut server, redis) = one().await;
    let slot = redis.slot("scripts");
    let mut epoch = claim(&slot, "test").await.unwrap();
    slot.write(&mut epoch, &[put(Table::Msg, "a", "1")]).await.unwrap();
    let _: () = server.ask("SCRIPT FLUSH").await;
    slot.write(&mut epoch, &[put(Table::Msg, "b", "2")]).await.unwrap();
    let _: () = server.ask("SCRIPT FLUSH").await;
    assert_eq!(all(&slot, Table::Msg).await.len(), 2);
    server.kill().await;
    let away = slot.get(Table::Msg, b"a").await.unwrap_err();
    assert!(away.is_passing(), "{away}");
    server.revive().await;
    until(async || write(&slot, &mut epoch, &[put(Table::Msg, "c", "3")]).await).await;
    assert_eq!(all(&slot, Table::Msg).await.len(), 3);
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_and_taken_up_again() {
    let server = Server::durable(&[]).await;
    let redis = connect(&format!("redis://127.0.0.1:{}?timeout_ms=500", server.port)).await;
    let slot = redis.slot("hangs");
    let mut epoch = until(async || claim(&slot, "test").await).await;
    server.signal("-STOP").await;
    for _ in 0..2 {
        let silent = slot.get(Table::Msg, b"a").await.unwrap_err();
        assert!(matches!(silent, RedisError::Silent { .. }) && silent.is_passing(), "{silent}");
        let silent = slot.write(&mut epoch, &[put(Table::Msg, "a", "1")]).await.unwrap_err();
        assert!(matches!(silent, WriteError::Redis(RedisError::Silent { .. })), "{silent}");
    }
    server.signal("-CONT").await;
    until(async || write(&slot, &mut epoch, &[put(Table::Msg, "b", "2")]).await).await;
    assert_eq!(slot.get(Table::Msg, b"b").await.unwrap().as_deref(), Some(&b"2"[..]));
}

/// How many scripts a server has run.
async fn runs(server: &Server) -> u64 {
    let statistics: String = server.ask("INFO commandstats").await;
    let script = |line: &&str| line.starts_with("cmdstat_eval");
    let calls = |line: &str| line.split(['=', ',']).nth(1).unwrap().parse::<u64>().unwrap();
    statistics.lines().filter(script).map(calls).sum::<u64>()
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_repeated_and_counts() {
    let server = Server::durable(&[]).await;
    let way = Proxy::to(server.port).await;
    let redis = connect(&format!("redis://127.0.0.1:{}", way.port)).await;
    let slot = redis.slot("unheard");
    let mut epoch = claim(&slot, "test").await.unwrap();
    slot.write(&mut epoch, &[put(Table::Msg, "key", "first")]).await.unwrap();
    let before = runs(&server).await;
    way.hold(Held::Back);
    let second = [put(Table::Msg, "key", "second")];
    let (written, ()) = tokio::join!(slot.write(&mut epoch, &second), async {
        while runs(&server).await == before {
            tokio::task::yield_now().await;
        }
        way.cut();
        way.restore().await;
    });
    written.unwrap();
    slot.write(&mut epoch, &[put(Table::Msg, "key", "third")]).await.unwrap();
    assert_eq!(slot.get(Table::Msg, b"key").await.unwrap().as_deref(), Some(&b"third"[..]));
}

/// A link reads receipts while its batches, which read too, wait until it looks after them again.
#[tokio::test]
async fn whoever_connects_and_is_asked_no_more_keeps_nobody_from_it() {
    let server = Server::durable(&[]).await;
    let way = Proxy::to(server.port).await;
    let redis = connect(&format!("redis://127.0.0.1:{}", way.port)).await;
    let slot = redis.slot("unasked");
    assert_eq!(slot.get(Table::Msg, b"key").await.unwrap(), None);
    way.hold(Held::There);
    way.cut();
    let (another, mut unasked) = (way.another(), Box::pin(slot.get(Table::Msg, b"key")));
    tokio::select! {
        biased;
        read = &mut unasked => panic!("it is not connected: {read:?}"),
        () = another => {}
    }
    way.restore().await;
    let asked = tokio::time::timeout(PATIENCE, slot.get(Table::Msg, b"key")).await;
    assert_eq!(asked.expect("it waits for who is not asked").unwrap(), None);
    assert_eq!(unasked.await.unwrap(), None);
}

#[tokio::test]
async fn a_write_that_arrives_after_its_repetition_changes_nothing() {
    let server = Server::durable(&[]).await;
    let gate = Gate::before(server.port).await;
    let redis = connect(&format!("redis://127.0.0.1:{}?timeout_ms=1000", gate.port)).await;
    let slot = redis.slot("late");
    let mut epoch = claim(&slot, "test").await.unwrap();
    gate.open(false);
    let first = [put(Table::Msg, "key", "first"), put(Table::Msg, "another", "first")];
    let silent = slot.write(&mut epoch, &first).await.unwrap_err();
    assert!(matches!(silent, WriteError::Redis(RedisError::Silent { .. })), "{silent}");
    until(async || write(&slot, &mut epoch, &first).await).await;
    until(async || write(&slot, &mut epoch, &[put(Table::Msg, "key", "second")]).await).await;
    let before = runs(&server).await;
    gate.open(true);
    while runs(&server).await == before {
        tokio::task::yield_now().await;
    }
    assert_eq!(slot.get(Table::Msg, b"key").await.unwrap().as_deref(), Some(&b"second"[..]));
}

#[tokio::test]
async fn a_full_server_refuses_all_of_a_write_and_lets_old_rows_go() {
    let server = Server::durable(&["--maxmemory", "4mb"]).await;
    let redis = connect(&format!("redis://127.0.0.1:{}", server.port)).await;
    let slot = redis.slot("full");
    let mut epoch = claim(&slot, "test").await.unwrap();
    let mut written = 0_u32;
    let full = loop {
        let value = vec![b'v'; 10_000];
        let rows = [Table::Id, Table::Msg].map(|table| put(table, written.to_be_bytes(), &value));
        match write(&slot, &mut epoch, &[&rows[..], &[removal(Table::Msg, b"none")]].concat()).await {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 1000, "it never gets full");
    };
    assert!(full.is_passing() && full.to_string().contains("raise its maxmemory"), "{full}");
    for table in [Table::Id, Table::Msg] {
        assert_eq!(all(&slot, table).await.len(), usize::try_from(written).unwrap());
    }
    let old: Vec<_> = (0..written / 2).map(|number| removal(Table::Msg, number.to_be_bytes())).collect();
    slot.write(&mut epoch, &old).await.unwrap();
    slot.write(&mut epoch, &[put(Table::Msg, "new", "1")]).await.unwrap();
}
