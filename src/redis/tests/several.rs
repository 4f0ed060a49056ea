//! Servers that belong together: a cluster, and a master with a replica that sentinels watch.

use super::servers::{SERVICE, Watched, cluster};
use super::{all, claim, connect, documented_users, put, until, write};
use crate::redis::route::hash_slot;
use crate::redis::{Redis, RedisError, Table};

/// A slot's name for each of three masters.
pub(super) fn names() -> [String; 3] {
    let name = |third: u16| {
        let of_third = |name: &String| hash_slot(name.as_bytes()) / 5461 == third;
        (0..).map(|number| format!("channel-{number}")).find(of_third).unwrap()
    };
    [name(0), name(1), name(2)]
}

#[tokio::test]
async fn a_cluster_keeps_each_slot_on_its_master() {
    let mut nodes = cluster().await;
    let [_, seed, _] = &nodes;
    let redis = connect(&format!("redis+cluster://127.0.0.1:{}?timeout_ms=2000", seed.port)).await;
    assert_eq!(redis.inspect().await.unwrap(), Vec::<String>::new());
    let slots = names().map(|name| redis.slot(&name));
    let mut epochs = Vec::new();
    for (slot, node) in slots.iter().zip(&nodes) {
        let mut epoch = claim(slot, "test").await.unwrap();
        slot.write(&mut epoch, &Table::ALL.map(|table| put(table, "key", "1"))).await.unwrap();
        epochs.push(epoch);
        assert_eq!(node.ask::<u32>("DBSIZE").await, 18);
    }

    // One master goes: its slots are away, the others are not, and it is not forgotten either.
    nodes[0].kill().await;
    for _ in 0..10 {
        let away = slots[0].get(Table::Msg, b"key").await.unwrap_err();
        assert!(away.is_passing(), "{away}");
        for (slot, epoch) in slots.iter().zip(&mut epochs).skip(1) {
            slot.write(epoch, &[put(Table::Msg, "key", "2")]).await.unwrap();
        }
    }
    let url = format!("redis+cluster://127.0.0.1:{},127.0.0.1:{}", nodes[0].port, nodes[1].port);
    let newcomer = connect(&url).await;
    assert_eq!(newcomer.slot(&names()[1]).get(Table::Msg, b"key").await.unwrap().as_deref(), Some(&b"2"[..]));
    let warnings = newcomer.inspect().await.unwrap();
    assert!(warnings.len() == 1 && warnings[0].contains("cannot be reached"), "{warnings:?}");
    nodes[0].revive().await;
    until(async || write(&slots[0], &mut epochs[0], &[put(Table::Msg, "more", "3")]).await).await;
    assert_eq!(all(&slots[0], Table::Msg).await, [("key", "1"), ("more", "3")].map(|(k, v)| (k.into(), v.into())));
}

#[tokio::test]
async fn a_slot_that_moves_to_another_master_is_followed() {
    let nodes = cluster().await;
    let redis = connect(&format!("redis+cluster://127.0.0.1:{}", nodes[0].port)).await;
    let [name, _, _] = names();
    let (slot, number) = (redis.slot(&name), hash_slot(name.as_bytes()));
    assert_eq!(slot.get(Table::Msg, b"key").await.unwrap(), None);
    let target: String = nodes[2].ask("CLUSTER MYID").await;
    for node in [&nodes[2], &nodes[0]] {
        let _: () = node.ask(&format!("CLUSTER SETSLOT {number} NODE {target}")).await;
    }
    let mut epoch = claim(&slot, "test").await.unwrap();
    slot.write(&mut epoch, &[put(Table::Msg, "key", "1")]).await.unwrap();
    assert_eq!(all(&slot, Table::Msg).await.len(), 1);
    assert_eq!((nodes[0].ask::<u32>("DBSIZE").await, nodes[2].ask::<u32>("DBSIZE").await), (0, 3));

    let single = connect(&format!("redis://127.0.0.1:{}", nodes[0].port)).await;
    let warnings = single.inspect().await.unwrap();
    assert!(warnings.len() == 1 && warnings[0].contains("belongs to a cluster"), "{warnings:?}");
    let error = single.slot(&name).get(Table::Msg, b"key").await.unwrap_err();
    assert!(!error.is_passing() && error.to_string().contains("redis+cluster://"), "{error}");
}

#[tokio::test]
async fn a_replica_takes_over_in_a_cluster() {
    let mut nodes = cluster().await;
    let replica = nodes[0].replica(&nodes[1..]).await;
    let patience = "timeout_ms=1000&replica_timeout_ms=500";
    let url = format!("redis+cluster://127.0.0.1:{},127.0.0.1:{}?{patience}", nodes[0].port, nodes[1].port);
    let redis = connect(&format!("{url}&replicas=1")).await;
    let [name, other, _] = names();
    let slot = redis.slot(&name);
    let mut epoch = until(async || claim(&slot, "test").await).await;
    for number in 0..20_u8 {
        until(async || write(&slot, &mut epoch, &[put(Table::Msg, [number], "1")]).await).await;
    }
    let warnings = redis.inspect().await.unwrap();
    assert_eq!(warnings.iter().filter(|warning| warning.contains("before 1 have it")).count(), 2, "{warnings:?}");
    nodes[0].kill().await;
    let found = until(async || slot.range(Table::Msg, b"", None, false, usize::MAX).await).await;
    assert_eq!(found.len(), 20);
    assert_eq!(replica.ask::<u32>("DBSIZE").await, 3);
    // Nobody has what is written now, and that is told; the others' slots were never in question.
    let alone = write(&slot, &mut epoch, &[put(Table::Msg, "alone", "1")]).await.unwrap_err();
    assert!(matches!(alone, RedisError::Unreplicated { .. }), "{alone}");
    let careless = connect(&url).await;
    let mut epoch = claim(&careless.slot(&other), "test").await.unwrap();
    careless.slot(&other).write(&mut epoch, &[put(Table::Msg, "key", "1")]).await.unwrap();
    // The old master comes back as a replica, and what was not replicated is by then.
    nodes[0].revive().await;
    let mut epoch = until(async || claim(&slot, "test").await).await;
    until(async || write(&slot, &mut epoch, &[put(Table::Msg, "more", "1")]).await).await;
    assert_eq!(all(&slot, Table::Msg).await.len(), 22);
}

#[tokio::test]
async fn fail_over_loses_nothing_that_was_acknowledged() {
    let mut servers = Watched::start().await;
    let ports: Vec<_> = servers.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port)).collect();
    let patience = "timeout_ms=1000&replica_timeout_ms=200&sentinel_user=maybug&sentinel_password=hush";
    for sentinel in &servers.sentinels {
        let _: () = sentinel.ask(&documented_users("hush")[1]).await;
    }
    let url = format!("redis+sentinel://{}/{SERVICE}?replicas=1&{patience}", ports.join(","));
    let redis = connect(&url).await;
    assert_eq!(redis.inspect().await.unwrap(), Vec::<String>::new());
    let slot = redis.slot("watched");
    let mut epoch = until(async || claim(&slot, "test").await).await;
    let row = |number: u32| [put(Table::Msg, number.to_be_bytes(), number.to_string())];

    // What no replica has is not acknowledged.
    servers.replica.signal("-STOP").await;
    let alone = write(&slot, &mut epoch, &row(0)).await.unwrap_err();
    assert!(matches!(alone, RedisError::Unreplicated { had: 0, .. }), "{alone}");
    servers.replica.signal("-CONT").await;
    until(async || write(&slot, &mut epoch, &row(0)).await).await;

    for number in 1..50 {
        until(async || write(&slot, &mut epoch, &row(number)).await).await;
    }
    servers.master.kill().await;
    let away = write(&slot, &mut epoch, &row(50)).await.unwrap_err();
    assert!(away.is_passing(), "{away}");
    let found = until(async || slot.range(Table::Msg, b"", None, false, usize::MAX).await).await;
    for number in 0..50_u32 {
        let row = (number.to_be_bytes().to_vec(), number.to_string().into_bytes());
        assert!(found.contains(&row), "{number} was acknowledged and is lost");
    }
    // The old master comes back as a replica of the new one; the sentinels would make it one, 8 s later.
    servers.master.revive().await;
    let _: () = servers.master.ask(&format!("REPLICAOF 127.0.0.1 {}", servers.replica.port)).await;
    for number in 50..60 {
        until(async || write(&slot, &mut epoch, &row(number)).await).await;
    }
    assert_eq!(all(&slot, Table::Msg).await.len(), 60);
    assert_eq!(servers.replica.ask::<u32>("DBSIZE").await, 3);

    let stranger = Redis::connect(&url.replace("hush", "wrong").parse().unwrap()).await.err().unwrap();
    assert!(matches!(stranger, RedisError::Login { .. }), "{stranger}");
    let wrong = url.replace(SERVICE, "another");
    let unknown = Redis::connect(&wrong.parse().unwrap()).await.err().unwrap();
    assert!(unknown.to_string().contains("no sentinel knows a master \"another\""), "{unknown}");
}
