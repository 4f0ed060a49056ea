//! `maybug export store` and `maybug import`: out of a directory and of Redis and into each, and what is refused.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use maybug::config::{Config, RedisKey, Secret};
use maybug::gateway::{Draft, Via};
use maybug::server::Server;
use serde_json::{Value, json};

use crate::servers::Redis;
use crate::support::{maybug, stderr, stdout, with_input};

fn config(directory: &Path, data: &Path) -> Config {
    Config {
        interface: "127.0.0.1".into(),
        port: 0,
        data: data.to_owned(),
        logging_path: directory.join("logs"),
        min_free: 0,
        ..Config::default()
    }
}

/// A server that has run: a channel, messages that have been delivered.
async fn run(config: &Config, count: usize) -> Server {
    let server = Server::start(config).await.unwrap();
    let channel = json!({"type": "loopback", "config": {}, "mo_url": null});
    let channel = server.gateway().create_channel(channel.as_object().unwrap().clone()).await.unwrap().id.clone();
    for n in 0..count {
        let draft = Draft { to: Some("+27820001001".to_owned()), content: format!("n{n}"), ..Draft::default() };
        server.gateway().send(Via::Channel(&channel), draft).await.unwrap();
    }
    server
}

fn succeeded(output: &Output) -> &Output {
    assert!(output.status.success(), "{}", stderr(output));
    output
}

fn refused(output: &Output, why: &str) {
    let said = stderr(output);
    assert!(!output.status.success() && said.contains(why), "{said}");
}

/// Of lines of JSON on standard error, the last.
fn last(output: &Output) -> Value {
    serde_json::from_str(stderr(succeeded(output)).lines().last().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_moves_to_redis_and_back_and_a_backup_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let [data, back, restored] = ["data", "back", "restored"].map(|name| directory.path().join(name));
    run(&config(directory.path(), &data), 300).await.stop().await;
    let redis = Redis::start("s3cret").await;
    let url = format!("redis://:s3cret@127.0.0.1:{}", redis.port);
    let [data, back, restored] = [&data, &back, &restored].map(|path| path.to_str().unwrap());

    let lines = maybug(&["export", "store", "--data", data]);
    let said = stderr(succeeded(&lines));
    assert!(said.starts_with(&format!("{} records exported: ", stdout(&lines).lines().count() - 2)), "{said}");
    assert!(said.contains("channel 1") && said.contains("message 300"), "{said}");
    let into_redis = with_input(&["import", "-", "--redis", &url], &lines.stdout);
    let said = stderr(succeeded(&into_redis));
    let total = stdout(&lines).lines().count() - 2;
    // It is told, too, that this Redis forgets what it has when it stops.
    assert!(said.contains("appendonly"), "{said}");
    let last_line = said.lines().last().unwrap();
    assert!(last_line.starts_with(&format!("{total} records imported, {total} found there: ")), "{said}");
    refused(&with_input(&["import", "-", "--redis", &url], &lines.stdout), "import into an empty directory");

    // A URL with a password is nobody else's to see.
    let mut out = Command::new(env!("CARGO_BIN_EXE_maybug"));
    let out = out.args(["export", "store", "--json"]).env("MAYBUG_REDIS", &url).output().unwrap();
    assert_eq!(last(&out)["exported"], total);
    let into = with_input(&["import", "-", "--data", back, "--json"], &out.stdout);
    let told = last(&into);
    assert_eq!((&told["imported"], &told["found"], &told["done"]), (&json!(total), &json!(total), &json!(true)));
    assert_eq!(told["counts"]["message"].as_object().unwrap().values().next(), Some(&json!(300)));

    let file = directory.path().join("backup.ndjson");
    std::fs::write(&file, "an earlier one, for everybody to read").unwrap();
    let file = file.to_str().unwrap();
    succeeded(&maybug(&["export", "store", "--data", back, "--output", file]));
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    succeeded(&maybug(&["import", file, "--data", restored]));
    let messages = |data| maybug(&["export", "messages", "--data", data]);
    assert_eq!(stdout(&messages(data)), stdout(&messages(restored)));
    assert_eq!(stdout(&messages(restored)).lines().count(), 300);

    // A server runs on what has come.
    let server = run(&config(directory.path(), Path::new(restored)), 1).await;
    assert_eq!(server.gateway().channels().len(), 2);
    refused(&maybug(&["export", "store", "--data", restored]), "Stop the server first");
    refused(&maybug(&["import", file, "--data", restored]), "Stop the server first");
    server.stop().await;
    let on_redis =
        Config { redis: Some(RedisKey::Store(Secret(url.clone()))), ..config(directory.path(), Path::new("")) };
    let server = run(&on_redis, 1).await;
    let running = format!("{}-", server.addresses()[0]);
    refused(&maybug(&["export", "store", "--redis", &url]), &running);
    refused(&maybug(&["import", file, "--redis", &url]), &running);
    server.stop().await;
    succeeded(&maybug(&["export", "store", "--redis", &url]));

    let logs = directory.path().join("logs");
    let mut crashing = Command::new(env!("CARGO_BIN_EXE_maybug"))
        .args(["serve", "-p", "0", "--redis", &url, "-lp", logs.to_str().unwrap()])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(crashing.stderr.take().unwrap()).lines();
    let address =
        said.map_while(Result::ok).find_map(|line| Some(line.split_once("the API listens on http://")?.1.to_owned()));
    crashing.kill().unwrap();
    crashing.wait().unwrap();
    let crashed = format!("{}-", address.expect("it did not start"));
    refused(&maybug(&["export", "store", "--redis", &url]), &crashed);
    refused(&maybug(&["export", "store", "--redis", &url]), "--crashed");
    let taken = maybug(&["export", "store", "--redis", &url, "--crashed"]);
    assert!(stdout(succeeded(&taken)).lines().count() > total);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_whole_export_is_refused_and_no_server_starts_on_it() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    run(&config(directory.path(), &data), 20).await.stop().await;
    let place = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let lines = maybug(&["export", "store", "--data", &place("data")]);
    let text = stdout(succeeded(&lines));
    let import = |text: &str, name: &str| with_input(&["import", "-", "--data", &place(name)], text);

    refused(&import(&text.replacen("\"version\":1", "\"version\":7", 1), "a"), "version 7");
    refused(&import("{\"messages\": 1}\n", "a"), "no export of a store");
    refused(&import("", "a"), "no export of a store");
    refused(&import(&text.replacen("n7", "n8", 1), "b"), "damaged");
    let cut = import(&text[..text.len() / 2], "c");
    refused(&cut, "not whole");
    let serve = maybug(&["serve", "--data", &place("c"), "-p", "0"]);
    refused(&serve, "was not finished");
    refused(&maybug(&["export", "store", "--data", &place("c")]), "was not finished");
    succeeded(&import(text, "c"));
    refused(&import(text, "c"), "has been used");
    refused(&maybug(&["export", "store", "--data", &place("nowhere")]), "there is no store there");
    assert!(!Path::new(&place("nowhere")).exists());
    refused(&maybug(&["export", "store", "--data", &place("")]), "there is no store there");
    assert!(!Path::new(&place("version")).exists(), "one was made");
    refused(&maybug(&["export", "store"]), "--data DIR, or --redis URL");
    refused(&maybug(&["import", "-", "--data", "x", "--redis", "redis://y"]), "cannot be used with");
    let shown = maybug(&["import", &place("none.ndjson"), "--data", &place("a")]);
    refused(&shown, "none.ndjson");
    let away = maybug(&["export", "store", "--redis", "redis://:hush@127.0.0.1:1"]);
    refused(&away, "127.0.0.1:1");
    assert!(!stderr(&away).contains("hush"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_was_killed_goes_on_when_it_is_run_again() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    run(&config(directory.path(), &data), 3_000).await.stop().await;
    let lines = maybug(&["export", "store", "--data", data.to_str().unwrap()]).stdout;
    let target = directory.path().join("target");
    let target = target.to_str().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_maybug"))
        .args(["import", "-", "--data", target])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Most of this has been read once it could all be written.
    child.stdin.as_mut().unwrap().write_all(&lines[..lines.len() * 3 / 4]).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    refused(&maybug(&["serve", "--data", target, "-p", "0"]), "was not finished");
    succeeded(&with_input(&["import", "-", "--data", target], &lines));
    let messages = |data| maybug(&["export", "messages", "--data", data]);
    assert_eq!(stdout(&messages(data.to_str().unwrap())), stdout(&messages(target)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_cannot_be_read_is_not_left_out_without_a_word() {
    let directory = tempfile::tempdir().unwrap();
    let redis = Redis::start("").await;
    let url = format!("redis://127.0.0.1:{}", redis.port);
    let on_redis =
        Config { redis: Some(RedisKey::Store(Secret(url.clone()))), ..config(directory.path(), Path::new("")) };
    run(&on_redis, 1).await.stop().await;
    succeeded(&maybug(&["export", "store", "--redis", &url]));
    // An account as no version of today writes it.
    let _: i64 = redis.ask("HSET maybug:{%}:meta account/x r0000{}").await;
    let _: i64 = redis.ask("ZADD maybug:{%}:meta:order 0 account/x").await;
    refused(&maybug(&["export", "store", "--redis", &url]), "damaged or unknown");
    let file = directory.path().join("backup.ndjson");
    std::fs::write(&file, "an earlier one").unwrap();
    let into_file = maybug(&["export", "store", "--redis", &url, "--output", file.to_str().unwrap()]);
    refused(&into_file, "damaged or unknown");
    assert_eq!(std::fs::read(&file).unwrap(), b"an earlier one", "given up for one that did not come to its end");
    let left = std::fs::read_dir(directory.path()).unwrap();
    assert_eq!(left.filter(|entry| entry.as_ref().unwrap().path().is_file()).count(), 1, "what is of no use is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_a_full_redis_refuses_ends_and_goes_on_once_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    run(&config(directory.path(), &data), 3_000).await.stop().await;
    let file = directory.path().join("backup.ndjson");
    let [data, file] = [&data, &file].map(|path| path.to_str().unwrap());
    succeeded(&maybug(&["export", "store", "--data", data, "--output", file]));
    let redis = Redis::start("").await;
    let url = format!("redis://127.0.0.1:{}", redis.port);
    let _: String = redis.ask("CONFIG SET maxmemory 3mb").await;
    let full = maybug(&["import", file, "--redis", &url]);
    refused(&full, "run the same import again");
    let _: String = redis.ask("CONFIG SET maxmemory 0").await;
    succeeded(&maybug(&["import", file, "--redis", &url]));
}
