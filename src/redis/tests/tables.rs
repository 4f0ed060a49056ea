//! What is written is read: in order, all or nothing, by whoever has the slot.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{all, claim, one, put, removal};
use crate::redis::{Row, Table, WriteError};

/// Short keys of octets that sort in surprising ways, so that they meet.
fn key() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(prop_oneof![Just(0), Just(1), Just(b'['), Just(b'a'), Just(0x7f), Just(0xff)], 0..4)
}

fn rows() -> impl Strategy<Value = Vec<(Vec<u8>, Option<Vec<u8>>)>> {
    let value = proptest::option::weighted(0.8, proptest::collection::vec(any::<u8>(), 0..4));
    proptest::collection::vec((key(), value), 0..40)
}

type Range = (Vec<u8>, Option<Vec<u8>>, bool, usize);

fn range() -> impl Strategy<Value = Range> {
    (key(), proptest::option::of(key()), any::<bool>(), prop_oneof![0..6_usize, Just(usize::MAX)])
}

fn expected(tree: &BTreeMap<Vec<u8>, Vec<u8>>, (from, to, backwards, limit): &Range) -> Vec<(Vec<u8>, Vec<u8>)> {
    let within = |key: &Vec<u8>| key >= from && to.as_ref().is_none_or(|to| key < to);
    let mut rows: Vec<_> = tree.iter().filter(|(key, _)| within(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
    if *backwards {
        rows.reverse();
    }
    rows.truncate(*limit);
    rows
}

#[test]
fn a_table_is_a_tree() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (_server, redis) = runtime.block_on(one());
    let mut runner = TestRunner::new(Config { cases: 64, failure_persistence: None, ..Config::default() });
    let writes = proptest::collection::vec(rows(), 1..4);
    let ranges = proptest::collection::vec(range(), 1..12);
    let result = runner.run(&(writes, ranges), |(writes, ranges)| {
        runtime.block_on(async {
            let slot = redis.slot("tree");
            let mut epoch = claim(&slot, "test").await.unwrap();
            slot.delete(&mut epoch).await.unwrap();
            let mut tree = BTreeMap::new();
            for write in writes {
                let rows =
                    write.iter().map(|(key, value)| Row { table: Table::Meta, key: key.clone(), value: value.clone() });
                slot.write(&mut epoch, &rows.collect::<Vec<_>>()).await.unwrap();
                for (key, value) in write {
                    match value {
                        Some(value) => tree.insert(key, value),
                        None => tree.remove(&key),
                    };
                }
            }
            for range in ranges {
                let (from, to, backwards, limit) = &range;
                let found = slot.range(Table::Meta, from, to.as_deref(), *backwards, *limit).await.unwrap();
                prop_assert_eq!(found, expected(&tree, &range), "{:?} of {:?}", range, tree);
                prop_assert_eq!(slot.get(Table::Meta, from).await.unwrap(), tree.get(from).cloned());
            }
            Ok(())
        })
    });
    result.unwrap();
}

#[tokio::test]
async fn a_write_has_as_many_rows_as_it_likes() {
    let (_server, redis) = one().await;
    let slot = redis.slot("big");
    let mut epoch = claim(&slot, "test").await.unwrap();
    let mut rows = Vec::new();
    for number in 0..5000_u32 {
        let key = number.to_be_bytes();
        for table in [Table::Msg, Table::Fate, Table::Id, Table::Smsc, Table::Phone] {
            rows.push(put(table, key, [b'v'; 160]));
        }
    }
    assert_eq!(rows.len(), 25_000);
    slot.write(&mut epoch, &rows).await.unwrap();
    let keys: Vec<_> = all(&slot, Table::Fate).await.into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, (0..5000_u32).map(|number| number.to_be_bytes().to_vec()).collect::<Vec<_>>());
    let (mut cursor, mut scanned) = (0, BTreeMap::new());
    loop {
        let (next, found) = slot.scan(Table::Smsc, cursor, 500).await.unwrap();
        scanned.extend(found);
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(scanned.len(), 5000);
    let gone: Vec<_> = rows.iter().map(|row| removal(row.table, &row.key)).collect();
    slot.write(&mut epoch, &gone).await.unwrap();
    for table in [Table::Msg, Table::Fate, Table::Id, Table::Phone] {
        assert_eq!(all(&slot, table).await, []);
    }
    assert_eq!(slot.get(Table::Smsc, &7_u32.to_be_bytes()).await.unwrap(), None);
}

#[tokio::test]
async fn who_had_the_slot_before_changes_nothing_any_more() {
    let (_server, redis) = one().await;
    let slot = redis.slot("channel");
    let mut first = claim(&slot, "node one").await.unwrap();
    slot.write(&mut first, &[put(Table::Msg, "a", "1"), put(Table::Meta, "b", "1")]).await.unwrap();
    let mut second = claim(&slot, "node two").await.unwrap();
    assert!(second.number() > first.number());
    let late = [put(Table::Msg, "a", "late"), removal(Table::Meta, "b"), put(Table::Smsc, "c", "late")];
    for attempt in [slot.write(&mut first, &late).await, slot.delete(&mut first).await] {
        let Err(WriteError::Fenced { slot, by, epoch }) = attempt else { panic!("{attempt:?}") };
        assert_eq!((slot.as_str(), by.as_str(), epoch), ("channel", "node two", second.number()));
    }
    assert_eq!(all(&slot, Table::Msg).await, [(b"a".to_vec(), b"1".to_vec())]);
    assert_eq!(all(&slot, Table::Meta).await, [(b"b".to_vec(), b"1".to_vec())]);
    assert_eq!(slot.get(Table::Smsc, b"c").await.unwrap(), None);
    slot.write(&mut second, &[removal(Table::Msg, "a")]).await.unwrap();
    assert_eq!(all(&slot, Table::Msg).await, []);
    // Other slots are not touched by it.
    let other = redis.slot("other");
    let mut epoch = claim(&other, "node one").await.unwrap();
    other.write(&mut epoch, &[put(Table::Msg, "a", "1")]).await.unwrap();
}

#[tokio::test]
async fn a_claim_that_fail_over_forgot_is_no_licence_for_two() {
    let (server, redis) = one().await;
    let slot = redis.slot("channel");
    let mut first = claim(&slot, "node one").await.unwrap();
    let row = [put(Table::Msg, "a", "1")];
    slot.write(&mut first, &row).await.unwrap();
    // What a replica that takes over may not have.
    let _: () = server.ask("DEL maybug:{channel}:fence").await;
    slot.write(&mut first, &row).await.unwrap();
    let _: () = server.ask("DEL maybug:{channel}:fence").await;
    let mut second = claim(&slot, "node two").await.unwrap();
    let refused = slot.write(&mut first, &row).await.unwrap_err().to_string();
    assert_eq!(refused, format!("the slot channel was taken over by node two (epoch {})", second.number()));
    slot.write(&mut second, &row).await.unwrap();
}

/// Whoever keeps the store does it in tasks of its own.
#[tokio::test]
async fn a_slot_is_used_from_other_tasks() {
    let (_server, redis) = one().await;
    let tasks = ["one", "two", "three"].map(|name| {
        let slot = redis.slot(name);
        tokio::spawn(async move {
            let mut epoch = claim(&slot, name).await.unwrap();
            for number in 0..100_u8 {
                slot.write(&mut epoch, &[put(Table::Msg, [number], name)]).await.unwrap();
            }
            all(&slot, Table::Msg).await.len()
        })
    });
    for task in tasks {
        assert_eq!(task.await.unwrap(), 100);
    }
}

#[tokio::test]
async fn the_last_change_of_a_row_counts() {
    let (_server, redis) = one().await;
    let slot = redis.slot("last");
    let mut epoch = claim(&slot, "test").await.unwrap();
    let rows = [
        put(Table::Due, "kept", "1"),
        removal(Table::Due, "kept"),
        put(Table::Due, "kept", "2"),
        put(Table::Due, "gone", "1"),
        removal(Table::Due, "gone"),
        put(Table::Id, "gone", "elsewhere"),
    ];
    for _ in 0..2 {
        slot.write(&mut epoch, &rows).await.unwrap();
        assert_eq!(all(&slot, Table::Due).await, [(b"kept".to_vec(), b"2".to_vec())]);
    }
    assert_eq!(slot.get(Table::Id, b"gone").await.unwrap().as_deref(), Some(&b"elsewhere"[..]));
    slot.write(&mut epoch, &[]).await.unwrap();
}

#[tokio::test]
async fn names_are_kept_apart_and_a_deleted_slot_leaves_nothing() {
    let (server, redis) = one().await;
    let names = ["", "%", "a}b", "a{b", "a:b", "a%7Db", "ünïcode", "A"];
    for name in names {
        let slot = redis.slot(name);
        let mut epoch = claim(&slot, "test").await.unwrap();
        let rows = Table::ALL.map(|table| put(table, "key", name));
        slot.write(&mut epoch, &rows).await.unwrap();
    }
    let keys: Vec<String> = server.ask("KEYS *").await;
    assert!(keys.iter().all(|key| key.matches(['{', '}']).count() == 2), "{keys:?}");
    for name in names {
        let slot = redis.slot(name);
        assert_eq!(slot.get(Table::Smsc, b"key").await.unwrap().as_deref(), Some(name.as_bytes()));
        let mut epoch = claim(&slot, "test").await.unwrap();
        slot.delete(&mut epoch).await.unwrap();
        assert_eq!(slot.get(Table::Msg, b"key").await.unwrap(), None);
    }
    let keys: Vec<String> = server.ask("KEYS *").await;
    assert!(keys.iter().all(|key| key.ends_with(":fence")), "{keys:?}");
    assert_ne!(server.ask::<i64>(&format!("TTL {}", keys[0])).await, -1);
    assert!(redis.slot("x").range(Table::Smsc, b"", None, false, 1).await.is_err());
}
