//! A Redis that dies, hangs or fills up while a server runs on it: said at once, nothing lost, over by itself.

use std::time::Duration;

use bytes::Bytes;
use hyper::{HeaderMap, Method};
use maybug::web::client::{Allowed, Client};
use serde_json::{Value, json};
use tokio::process::Command;
use url::Url;

use crate::redis::Redis;
use crate::support::{Process, soon};

/// A server on a Redis, with a channel that nothing holds up.
struct OnRedis {
    process: Process,
    client: Client,
    _directory: tempfile::TempDir,
}

impl OnRedis {
    async fn start(redis: &Redis) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("redis://127.0.0.1:{}?timeout_ms=2000", redis.port);
        let process = Process::start(directory.path(), &["--redis", &url]).await;
        let client = Client::new(Allowed { networks: vec!["127.0.0.0/8".parse().unwrap()] });
        let this = Self { process, client, _directory: directory };
        let channel = json!({"type": "loopback", "config": {}, "mo_url": null});
        assert_eq!(this.ask(Method::POST, "/channels/", channel).await.0, 201);
        this
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let url = Url::parse(&format!("{}{path}", self.process.base)).unwrap();
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let patience = Duration::from_secs(60);
        let answer = self.client.request(method, &url, HeaderMap::new(), body, patience).await.unwrap();
        (answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap())
    }

    async fn channel(&self) -> String {
        let (_, channels) = self.ask(Method::GET, "/channels/", Value::Null).await;
        channels["result"][0].as_str().unwrap().to_owned()
    }

    async fn sends(&self, channel: &str, content: &str) -> (u16, Value) {
        self.ask(
            Method::POST,
            &format!("/channels/{channel}/messages/"),
            json!({"to": "+27820001001", "content": content}),
        )
        .await
    }

    async fn is_healthy(&self) -> bool {
        self.ask(Method::GET, "/health", Value::Null).await.0 == 200
    }

    /// Waits until the server is, or is not, sound.
    async fn becomes(&self, healthy: bool) {
        soon("another health", async {
            while self.is_healthy().await != healthy {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Waits until a message has been sent.
    async fn is_submitted(&self, channel: &str, id: &str) {
        let path = format!("/channels/{channel}/messages/{id}");
        soon("a submitted message", async {
            while self.ask(Method::GET, &path, Value::Null).await.1["result"]["last_event_type"].is_null() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

/// One send is under way when Redis goes; whoever comes later is told why at once. Then `mend` makes it good, and the one
/// that waited is answered, and all leave that were answered 201. (It is told at once too if something else was written
/// just before it came.)
async fn is_away(on: &OnRedis, why: &str, mend: impl Future<Output = ()>) {
    let channel = on.channel().await;
    let (waited, ()) = tokio::join!(on.sends(&channel, "when it goes"), async {
        on.becomes(false).await;
        let (_, told) = on.ask(Method::GET, "/health", Value::Null).await;
        let (status, refused) = on.sends(&channel, "meanwhile").await;
        assert_eq!(status, 503, "{refused}");
        for said in [told, refused] {
            let message = said["result"]["errors"][0]["message"].as_str().unwrap();
            assert!(message.contains("Redis at 127.0.0.1") && message.contains(why), "{message}");
        }
        mend.await;
    });
    assert!([201, 503].contains(&waited.0), "{}", waited.1);
    on.becomes(true).await;
    let (status, after) = on.sends(&channel, "after").await;
    assert_eq!(status, 201, "{after}");
    for sent in [Some(waited.1).filter(|_| waited.0 == 201), Some(after)].into_iter().flatten() {
        on.is_submitted(&channel, sent["result"]["message_id"].as_str().unwrap()).await;
    }
}

#[tokio::test]
async fn a_redis_that_dies_is_told_of_and_all_goes_on_when_it_is_back() {
    let mut redis = Redis::durable(&[]).await;
    let on = OnRedis::start(&redis).await;
    redis.kill().await;
    is_away(&on, "cannot be reached", redis.revive()).await;
}

#[tokio::test]
async fn a_redis_that_does_not_answer_is_told_of_and_all_goes_on_when_it_does() {
    let redis = Redis::durable(&[]).await;
    let on = OnRedis::start(&redis).await;
    redis.signal("-STOP").await;
    is_away(&on, "did not answer", redis.signal("-CONT")).await;
}

#[tokio::test]
async fn a_redis_whose_memory_fills_up_refuses_sends_before_it_is_full_and_says_so() {
    let redis = Redis::durable(&[]).await;
    let on = OnRedis::start(&redis).await;
    let channel = on.channel().await;
    let used: String = redis.ask("INFO memory").await;
    let used: u64 = used.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().trim().parse().unwrap();
    // 94 percent of it are taken.
    let _: () = redis.ask(&format!("CONFIG SET maxmemory {}", used * 100 / 94)).await;
    on.becomes(false).await;
    let (status, refused) = on.sends(&channel, "too much").await;
    assert_eq!(status, 503, "{refused}");
    let message = refused["result"]["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("Redis's memory is too full"), "{message}");
    let _: () = redis.ask("CONFIG SET maxmemory 0").await;
    on.becomes(true).await;
    assert_eq!(on.sends(&channel, "room").await.0, 201);
}

#[tokio::test]
async fn a_server_ends_although_its_redis_is_away_and_something_is_not_written() {
    let mut redis = Redis::durable(&[]).await;
    let mut on = OnRedis::start(&redis).await;
    let channel = on.channel().await;
    redis.kill().await;
    // Whoever sends goes away without an answer; what is to be written stays.
    tokio::select! {
        answer = on.sends(&channel, "when it goes") => panic!("{answer:?}"),
        () = on.becomes(false) => {}
    }
    let pid = on.process.child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    assert!(soon("the server's end", on.process.child.wait()).await.unwrap().success());
}
