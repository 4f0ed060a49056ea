//! What is of Redis alone: somebody else who takes the rows, a server without memory, one that goes away and comes back with
//! what it has on disk, a cluster of which a part is away.

use std::sync::Arc;

use maybug::model::{ChannelId, Outbound};
use maybug::store::{Change, CommitError, OpenError, Store, StoreConfig};

use crate::place::{Engine, Place};
use crate::servers::{Redis, cluster};
use crate::store_support::{SOON, accept, ack, channel, contents, inbound, message, ready};

fn config(scheme: &str, server: &Redis) -> StoreConfig {
    let url = format!("{scheme}://127.0.0.1:{}?timeout_ms=500", server.port);
    StoreConfig { redis: Some(url.parse().unwrap()), ..StoreConfig::default() }
}

/// Until the store says of itself what it should.
async fn until_health(store: &Store, expected: &str) {
    let asked = async {
        while !store.health().map_or_else(|why| why.to_string(), |()| "well".to_owned()).contains(expected) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, asked).await.unwrap_or_else(|_| panic!("{:?}, never {expected}", store.health()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_opens_the_same_place_takes_it_and_the_one_before_writes_nothing_more() {
    let place = Place::new(Engine::Redis).await;
    let before = place.open().await;
    before.commit(vec![accept("a")]).await.unwrap();
    let after = place.open().await;
    let refused = before.commit(vec![accept("late")]).await;
    let Err(CommitError::NotReady(why)) = &refused else { panic!("{refused:?}") };
    assert!(why.contains("was taken over by process"), "{why}");
    assert!(before.health().is_err());
    after.commit(vec![accept("b")]).await.unwrap();
    assert_eq!(contents(&ready(&after, 9).await), ["a", "b"]);
    // An end in order of the one before changes nothing either.
    before.close().await;
    assert_eq!(contents(&ready(&place.crashed().await.open().await, 9).await), ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_memory_is_told_and_goes_on_once_it_has_some() {
    let server = Redis::durable(&[]).await;
    let store = Store::open(&config("redis", &server)).await.unwrap();
    store.commit(vec![accept("a")]).await.unwrap();
    let mut queue = store.outbound(&channel());
    let pulled = queue.pull(1).await.unwrap();
    let _: () = server.ask("CONFIG SET maxmemory 1").await;
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.commit(vec![ack(&pulled[0], "x")]).await }
    });
    until_health(&store, "out of memory").await;
    assert!(!waiting.is_finished(), "what was not written is not acknowledged");
    let _: () = server.ask("CONFIG SET maxmemory 0").await;
    waiting.await.unwrap().unwrap();
    until_health(&store, "well").await;
    assert_eq!(store.depth(&channel()).waiting, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_fills_up_refuses_bulk_first_then_all_sends_then_what_providers_tell_us() {
    let server = Redis::durable(&[]).await;
    // So much that what the store writes itself does not count.
    let _: () = server.ask("SETRANGE ballast 67108864 x").await;
    let store = Store::open(&config("redis", &server)).await.unwrap();
    for (percent, expected, told) in [
        (50, (true, true, true), "well"),
        (88, (false, true, true), "fills up"),
        (94, (false, false, true), "is nearly full"),
        (98, (false, false, false), "is full"),
    ] {
        let info: String = server.ask("INFO memory").await;
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
        let most = used.parse::<u64>().unwrap() * 100 / percent;
        let _: () = server.ask(&format!("CONFIG SET maxmemory {most}")).await;
        until_health(&store, told).await;
        let bulk = store.commit(vec![accept("bulk")]).await.is_ok();
        let urgent = store.commit(vec![Change::Accept(message("urgent", 5))]).await.is_ok();
        let told = store.commit(vec![inbound("mo", "http://a/")]).await.is_ok();
        assert_eq!((bulk, urgent, told), expected, "at {percent} %");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_away_and_comes_back_has_everything_once_and_in_order() {
    let mut server = Redis::durable(&[]).await;
    let store = Store::open(&config("redis", &server)).await.unwrap();
    let mut expected: Vec<String> = Vec::new();
    for round in 0..4 {
        let (before, during) = (format!("{round} before"), format!("{round} during"));
        store.commit(vec![accept(&before)]).await.unwrap();
        // It ends, or hangs.
        if round % 2 == 0 {
            server.kill().await;
        } else {
            server.signal("-STOP").await;
        }
        let waiting = tokio::spawn({
            let (store, during) = (store.clone(), during.clone());
            async move { store.commit(vec![accept(&during)]).await }
        });
        until_health(&store, "Redis at 127.0.0.1").await;
        if round % 2 == 0 {
            server.revive().await;
        } else {
            server.signal("-CONT").await;
        }
        waiting.await.unwrap().unwrap();
        until_health(&store, "well").await;
        expected.extend([before, during]);
    }
    assert_eq!(contents(&ready(&store, 99).await), expected);
    let pulled = store.outbound(&channel()).pull(1).await.unwrap();
    store.commit(vec![ack(&pulled[0], "x")]).await.unwrap();
    // Both of us end, and begin again.
    drop(store);
    server.kill().await;
    server.revive().await;
    let store = Store::open(&config("redis", &server)).await.unwrap();
    assert_eq!(contents(&ready(&store, 99).await), expected[1..]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_closed_while_its_server_is_away_says_that_the_rest_was_not_written() {
    let mut server = Redis::durable(&[]).await;
    let store = Store::open(&config("redis", &server)).await.unwrap();
    store.commit(vec![accept("a")]).await.unwrap();
    server.kill().await;
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.commit(vec![accept("b")]).await }
    });
    until_health(&store, "Redis at 127.0.0.1").await;
    tokio::time::timeout(SOON, store.close()).await.expect("it waits for ever");
    assert!(matches!(waiting.await.unwrap(), Err(CommitError::NotReady(_))));
    server.revive().await;
    let store = Store::open(&config("redis", &server)).await.unwrap();
    assert_eq!(contents(&ready(&store, 9).await), ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_another_format_and_a_server_that_is_not_there_are_refused_with_words() {
    let mut server = Redis::durable(&[]).await;
    Store::open(&config("redis", &server)).await.unwrap().close().await;
    let tables: Vec<String> = server.ask("KEYS maybug:*:meta").await;
    let [table] = &tables[..] else { panic!("{tables:?}") };
    let mut connection = server.connection().await.unwrap();
    let keys: Vec<Vec<u8>> = redis::cmd("HKEYS").arg(table).query_async(&mut connection).await.unwrap();
    let format = keys.into_iter().find(|key| key.ends_with(b"format")).unwrap();
    let _: () = redis::cmd("HSET").arg(table).arg(format).arg(b"\xfe").query_async(&mut connection).await.unwrap();
    let refused = Store::open(&config("redis", &server)).await.err().unwrap();
    assert!(matches!(refused, OpenError::Version { found: 0xfe }), "{refused}");
    server.kill().await;
    let refused = Store::open(&config("redis", &server)).await.err().unwrap().to_string();
    assert!(refused.contains(&format!("Redis at 127.0.0.1:{} cannot be reached", server.port)), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_part_of_a_cluster_is_away_channels_of_the_others_go_on() {
    let mut nodes = cluster().await;
    let store = Store::open(&config("redis+cluster", &nodes[1])).await.unwrap();
    let mut mine = Vec::new();
    for third in 0..3 {
        // A name is its own hash tag.
        for number in 0.. {
            let name = format!("channel-{number}");
            if nodes[0].ask::<u16>(&format!("CLUSTER KEYSLOT {name}")).await / 5462 == third {
                mine.push(ChannelId::from(name.as_str()));
                break;
            }
        }
    }
    let accept = |channel: &ChannelId, content: &str| {
        Change::Accept(Arc::new(Outbound { channel: channel.clone(), ..Outbound::clone(&message(content, 1)) }))
    };
    store.commit(mine.iter().map(|channel| accept(channel, "a")).collect()).await.unwrap();
    nodes[0].kill().await;
    let waiting = tokio::spawn({
        let (store, change) = (store.clone(), accept(&mine[0], "b"));
        async move { store.commit(vec![change]).await }
    });
    until_health(&store, "Redis").await;
    for channel in &mine[1..] {
        tokio::time::timeout(SOON, store.commit(vec![accept(channel, "b")])).await.expect("it waits").unwrap();
        let mut queue = store.outbound(channel);
        let mut pulled = queue.pull(9).await.unwrap();
        while pulled.len() < 2 {
            pulled.extend(queue.pull(9).await.unwrap());
        }
        assert_eq!(contents(&pulled), ["a", "b"]);
    }
    assert!(!waiting.is_finished());
    nodes[0].revive().await;
    tokio::time::timeout(SOON, waiting).await.expect("it never comes back").unwrap().unwrap();
    assert_eq!(store.depth(&mine[0]).waiting, 2);
}
