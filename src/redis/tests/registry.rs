//! Nodes know each other, and which settings there are.

use std::time::Duration;

use tokio::sync::watch;

use super::{Server, eventually, node, times};
use crate::redis::Redis;
use crate::redis::registry::{Member, Registry, View, bump};

fn member(id: &str) -> Member {
    Member {
        id: id.to_owned(),
        name: format!("{id}:80"),
        url: format!("http://{id}"),
        key: String::new(),
        version: "1".to_owned(),
        draining: false,
    }
}

/// A node that forgets others after this many milliseconds.
async fn at(server: &Server, kept: u64) -> Redis {
    node(&format!("redis://127.0.0.1:{}?timeout_ms=1000", server.port), times(50, kept, kept)).await
}

async fn sees(view: &mut watch::Receiver<View>, what: impl FnMut(&View) -> bool) -> View {
    let seen = tokio::time::timeout(Duration::from_secs(60), view.wait_for(what)).await.unwrap();
    seen.unwrap().clone()
}

async fn sees_nodes(view: &mut watch::Receiver<View>, ids: &[&str]) -> View {
    sees(view, |view| view.heard.is_some() && view.nodes.iter().map(|node| node.id.as_str()).eq(ids.iter().copied()))
        .await
}

#[tokio::test]
async fn nodes_know_each_other() {
    let server = Server::start("").await;
    let (first, second) = (at(&server, 20_000).await, at(&server, 20_000).await);
    let settings = first.slot("");
    let first = Registry::join(&first, member("b"));
    let mut view = first.view();
    assert_eq!(sees_nodes(&mut view, &["b"]).await.revision, 0);
    let second = Registry::join(&second, member("a"));
    assert_eq!(sees_nodes(&mut view, &["a", "b"]).await.nodes, [member("a"), member("b")]);
    sees_nodes(&mut second.view(), &["a", "b"]).await;

    second.drain();
    let view_of_it = sees(&mut view, |view| view.nodes[0].draining).await;
    assert!(!view_of_it.nodes[1].draining);

    let revision = bump(&settings).await.unwrap();
    assert_eq!(sees(&mut view, |view| view.revision != 0).await.revision, revision);
    let next = bump(&settings).await.unwrap();
    assert!(next > revision);
    for view in [&mut view, &mut second.view()] {
        sees(view, |view| view.revision == next).await;
    }

    // Nobody is told again what has not changed, but when it was heard.
    let heard = view.borrow_and_update().heard.unwrap();
    eventually(async || view.borrow().heard.unwrap() > heard).await;
    assert!(!view.has_changed().unwrap());

    second.leave().await.unwrap();
    assert_eq!(server.ask::<Vec<String>>("HKEYS maybug:{%}:nodes").await, ["b"]);
    sees_nodes(&mut view, &["b"]).await;
}

#[tokio::test]
async fn who_says_nothing_is_forgotten() {
    let server = Server::start("").await;
    let redis = at(&server, 500).await;
    let first = Registry::join(&redis, member("a"));
    let second = Registry::join(&at(&server, 500).await, member("b"));
    let mut view = first.view();
    sees_nodes(&mut view, &["a", "b"]).await;
    drop(second);
    sees_nodes(&mut view, &["a"]).await;
    // Nor is one known for longer that was heard tomorrow, before the clock was set back.
    let mut operator = server.connection().await.unwrap();
    let tomorrow = r#"99999999999999 {"id":"c"}"#;
    let hset = ::redis::cmd("HSET").arg("maybug:{%}:nodes").arg("c").arg(tomorrow).to_owned();
    let _: u32 = hset.query_async(&mut operator).await.unwrap();
    sees_nodes(&mut view, &["a", "c"]).await;
    sees_nodes(&mut view, &["a"]).await;
}

#[tokio::test]
async fn what_was_heard_is_kept_while_redis_is_away() {
    let mut server = Server::durable(&[]).await;
    let redis = at(&server, 20_000).await;
    let settings = redis.slot("");
    let first = Registry::join(&redis, member("a"));
    let mut view = first.view();
    let heard = sees_nodes(&mut view, &["a"]).await.heard;
    server.kill().await;
    let revision = bump(&settings).await;
    assert!(revision.is_err());
    assert_eq!(view.borrow().nodes, [member("a")]);
    server.revive().await;
    eventually(async || view.borrow().heard > heard && bump(&settings).await.is_ok()).await;
    sees(&mut view, |view| view.revision > 0).await;
}

#[tokio::test]
async fn a_full_server_knows_the_nodes() {
    let server = Server::start("").await;
    let _: () = server.ask("CONFIG SET maxmemory 1").await;
    let first = Registry::join(&at(&server, 20_000).await, member("a"));
    sees_nodes(&mut first.view(), &["a"]).await;
}
