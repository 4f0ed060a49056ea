//! `maybug account`: the first admin of a server that has never run, and everybody else.

use std::path::Path;
use std::process::{Command, Output};

use maybug::config::{Config, RedisKey, Secret};
use maybug::server::Server;

use crate::servers::Redis;
use crate::support::{stderr, stdout};

fn account(token: Option<&str>, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maybug"));
    command
        .arg("account")
        .args(arguments)
        .env_remove("MAYBUG_TOKEN")
        .env_remove("MAYBUG_DATA")
        .env_remove("MAYBUG_REDIS");
    if let Some(token) = token {
        command.env("MAYBUG_TOKEN", token);
    }
    command.output().unwrap()
}

/// What a command that must succeed says on standard output.
fn said(output: Output) -> String {
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output).trim_end().to_owned()
}

fn failed(output: Output, why: &str) {
    assert!(!output.status.success() && stderr(&output).contains(why), "{}", stderr(&output));
}

async fn server(directory: &Path) -> Server {
    let config = Config {
        interface: "127.0.0.1".into(),
        port: 0,
        auth: Some(true),
        data: directory.join("data"),
        logging_path: directory.join("logs"),
        min_free: 0,
        ..Config::default()
    };
    Server::start(&config).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_token_lets_its_owner_in_and_makes_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let place = ["--data", data.to_str().unwrap()];
    let local = |arguments: &[&str]| account(None, &[arguments, &place[..]].concat());
    failed(local(&["list"]), "there is no store in");
    failed(local(&["create", "shop", "--scope", "send"]), "this would leave no account");
    let root = said(local(&["create", "root", "--scope", "admin", "--label", "first"]));
    assert!(root.starts_with("mb_") && root.len() == 46 && !root.contains('\n'), "{root}: for scripts");
    failed(local(&["create", "root", "--scope", "admin"]), "there is an account 'root' already");

    let server = server(directory.path()).await;
    failed(local(&["list"]), "is in use by another process. While the server runs, ask it: --api");
    let url = format!("http://{}/", server.addresses()[0]);
    let remote = |token: Option<&str>, arguments: &[&str]| account(token, &[arguments, &["--api", &url]].concat());
    failed(remote(None, &["list"]), "401 Unauthorized: this needs credentials");
    failed(remote(Some("mb_x"), &["list"]), "401 Unauthorized: the credentials are wrong");
    let options = ["--scope", "send", "--scope", "read", "--channel", "c1", "--source", "127.0.0.0/8"];
    let more = ["--expires-in", "90d", "--password", "a good password"];
    let shop = said(remote(Some(&root), &[&["create", "shop"], &options[..], &more[..]].concat()));
    failed(remote(Some(&shop), &["list"]), "403 Forbidden: the account 'shop' lacks the scope 'admin'");
    assert_eq!(said(remote(Some(&root), &["list"])), "root\nshop");
    let send = |token: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maybug"));
        let messages = format!("{url}channels/c1/messages/");
        command.args(["send", "--to", "27820001001", "--url", &messages, "Hello"]).env("MAYBUG_TOKEN", token);
        command.output().unwrap()
    };
    failed(send("mb_x"), "401 Unauthorized");
    failed(send(&shop), "404 Not Found");
    let second = said(remote(Some(&root), &["token", "shop", "--label", "second"]));
    assert_ne!(second, shop);
    let over_api = said(remote(Some(&root), &["show", "shop"]));
    let shown: serde_json::Value = serde_json::from_str(&over_api).unwrap();
    assert_eq!(shown["scopes"], serde_json::json!(["read", "send"]));
    assert_eq!((&shown["channels"][0], &shown["sources"][0]), (&"c1".into(), &"127.0.0.0/8".into()));
    assert_eq!((&shown["has_password"], &shown["tokens"][1]["label"]), (&true.into(), &"second".into()));
    let (made, ends) = (shown["tokens"][0]["created_at"].as_str(), shown["tokens"][0]["expires_at"].as_str());
    let days = |text: Option<&str>| maybug::model::Timestamp::parse(text.unwrap()).unwrap().0 / 86_400_000_000;
    assert_eq!(days(ends) - days(made), 90);
    failed(remote(Some(&root), &["show", "a/b"]), "no name looks like that");
    server.stop().await;

    // The same again where it is kept.
    assert_eq!(said(local(&["show", "shop"])), over_api);
    let id = shown["tokens"][0]["id"].as_str().unwrap();
    said(local(&["token", "shop", "--delete", id]));
    failed(local(&["token", "shop", "--delete", id]), "the account 'shop' has no token");
    said(local(&["token", "root"]));
    failed(local(&["delete", "root"]), "this would leave no account");
    said(local(&["delete", "shop"]));
    assert_eq!(said(local(&["list"])), "root");
}

/// Servers that share a Redis have their accounts there.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_account_of_servers_on_redis_is_made_in_it_while_none_runs() {
    let (redis, directory) = (Redis::start("").await, tempfile::tempdir().unwrap());
    let url = format!("redis://127.0.0.1:{}", redis.port);
    let local = |arguments: &[&str]| account(None, &[arguments, &["--redis", &url]].concat());
    let root = said(local(&["create", "root", "--scope", "admin"]));
    assert_eq!(said(local(&["list"])), "root");
    let config = Config {
        interface: "127.0.0.1".into(),
        port: 0,
        auth: Some(true),
        redis: Some(RedisKey::Store(Secret(url.clone()))),
        logging_path: directory.path().join("logs"),
        ..Config::default()
    };
    let server = Server::start(&config).await.unwrap();
    let api = format!("http://{}/", server.addresses()[0]);
    assert_eq!(said(account(Some(&root), &["list", "--api", &api])), "root");
    // After it has been waited for whether it is still there.
    failed(local(&["list"]), "While the server runs, ask it: --api");
    server.stop().await;
    assert_eq!(said(local(&["list"])), "root");
}
