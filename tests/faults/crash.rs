//! `kill -9` under load, again and again: what was answered 201 reaches the SMSC, and hardly anything twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::{HeaderMap, Method};
use maybug::smsc::SimEvent;
use maybug::web::client::{Allowed, Client};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use url::Url;

use crate::redis::Redis;
use crate::scene::{say, shown};
use crate::support::{Process, Smsc, soon};

const WINDOW: usize = 20;
const SENDERS: u64 = 4;

async fn post(client: &Client, url: &str, body: Value) -> Option<Value> {
    let url = Url::parse(url).unwrap();
    let body = Bytes::from(body.to_string());
    let answer = client.request(Method::POST, &url, HeaderMap::new(), body, Duration::from_secs(10)).await.ok()?;
    (answer.status == 201).then(|| serde_json::from_slice(&answer.body).unwrap())
}

/// Field guide 8.5 #78: killed with a full window, twenty times.
#[tokio::test]
async fn nothing_that_was_accepted_is_lost_and_at_most_a_window_is_repeated_per_kill() {
    crashes(20, None).await;
}

#[tokio::test]
async fn nothing_is_lost_either_where_redis_keeps_it_and_is_killed_too() {
    crashes(10, Some(Redis::durable(&[]).await)).await;
}

/// Every other time, Redis goes first.
async fn crashes(rounds: usize, mut redis: Option<Redis>) {
    let directory = tempfile::tempdir().unwrap();
    let url = redis.as_ref().map(|redis| format!("redis://127.0.0.1:{}", redis.port));
    let flags: Vec<&str> = url.as_deref().into_iter().flat_map(|url| ["--redis", url]).collect();
    let mut smsc = Smsc::start(Default::default()).await;
    let client = Client::new(Allowed { networks: vec!["127.0.0.0/8".parse().unwrap()] });
    let accepted = Arc::new(Mutex::new(BTreeSet::new()));
    let number = Arc::new(AtomicU64::new(0));
    let mut channel = String::new();
    let mut copies: BTreeMap<String, usize> = BTreeMap::new();
    let mut slowest = Duration::ZERO;

    for round in 0..rounds {
        let begun = Instant::now();
        let process = Process::start(directory.path(), &flags).await;
        slowest = slowest.max(begun.elapsed());
        if channel.is_empty() {
            let address = smsc.simulator.address();
            let config = json!({
                "twisted_endpoint": format!("tcp:{}:{}", address.ip(), address.port()), "system_id": "e",
                "password": "p", "window_size": WINDOW, "initial_reconnect_delay": 0.05,
            });
            let created = json!({"type": "smpp", "config": config, "mo_url": null});
            let answer = post(&client, &format!("{}/channels/", process.base), created).await.unwrap();
            channel = answer["result"]["id"].as_str().unwrap().to_owned();
        }
        let url = format!("{}/channels/{channel}/messages/", process.base);
        let senders: Vec<_> = (0..SENDERS)
            .map(|_| {
                let (client, url) = (client.clone(), url.clone());
                let (accepted, number) = (accepted.clone(), number.clone());
                tokio::spawn(async move {
                    loop {
                        let text = number.fetch_add(1, Ordering::Relaxed).to_string();
                        let message = json!({"to": "+27820001001", "content": text});
                        if post(&client, &url, message).await.is_none() {
                            return;
                        }
                        accepted.lock().await.insert(text);
                    }
                })
            })
            .collect();
        // A random moment, counted in messages so that slow machines are killed at the same places.
        let until = accepted.lock().await.len() + 20 + round * 7 % 90;
        soon("the load", async {
            while accepted.lock().await.len() < until {
                tokio::task::yield_now().await;
            }
        })
        .await;
        if let Some(redis) = redis.as_mut().filter(|_| round % 2 == 1) {
            redis.kill().await;
            redis.revive().await;
        }
        process.kill().await;
        for sender in senders {
            sender.await.unwrap();
        }
    }

    let _process = Process::start(directory.path(), &flags).await;
    let accepted = accepted.lock().await.clone();
    let missing = |copies: &BTreeMap<String, usize>| accepted.iter().filter(|text| !copies.contains_key(*text)).count();
    while missing(&copies) > 0 {
        let text = smsc.next("every accepted message", |event| match event {
            SimEvent::Message { id: Some(_), text, .. } => Some(text.clone()),
            _ => None,
        });
        *copies.entry(text.await).or_default() += 1;
    }
    let repeated: usize = copies.values().map(|count| count - 1).sum();
    assert!(repeated <= rounds * WINDOW, "{repeated} duplicates in {rounds} kills");
    let what = if redis.is_some() { "the server on Redis" } else { "the server" };
    let (took, accepted) = (shown(slowest), accepted.len());
    say(&format!(
        "recovered: {what} was killed {rounds} times; listens after {took}; {accepted} sends over HTTP, {repeated} repeated"
    ));
}
