//! Called as `jb`: a supervisor's line for Junebug starts the server.

use std::process::Stdio;

use bytes::Bytes;
use hyper::{HeaderMap, Method};
use maybug::web::client::{Allowed, Client};
use tokio::process::Command;

use crate::support::soon;

#[tokio::test]
async fn a_supervisors_line_for_junebug_starts_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let jb = path("jb");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_maybug"), &jb).unwrap();
    let file = "interface: 127.0.0.1\nport: 1\nlogfile: elsewhere.log\nallow_expired_replies: true\nlogging_path: a/b/logs\n\
                redis: {host: redis.example, password: hush}\nsentry_dsn: https://key@sentry.example/1\nmin_free: 0\n";
    std::fs::write(path("config.yaml"), file).unwrap();
    let mut server = Command::new(&jb)
        .args(["-c", "config.yaml", "-p", "0", "-l", "junebug.log", "-redisdb", "3"])
        .current_dir(directory.path())
        .env("JUNEBUG_DISABLE_LOGGING", "1")
        .env("JUNEBUG_REACTOR", "epoll")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let log = || std::fs::read_to_string(path("junebug.log")).unwrap_or_default();
    let address = soon("the server's start", async {
        loop {
            if let Some((_, rest)) = log().split_once("the API listens on ")
                && let Some((address, _)) = rest.split_once('\n')
            {
                return address.to_owned();
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    let client = Client::new(Allowed { networks: vec!["127.0.0.0/8".parse().unwrap()] });
    let url = format!("{address}/channels").parse().unwrap();
    let answer =
        soon("an answer", client.request(Method::GET, &url, HeaderMap::new(), Bytes::new(), crate::support::DEADLINE));
    assert!(answer.await.unwrap().status.is_success());
    let log = log();
    for told in ["redis://:…@redis.example:6379/3", "`sentry_dsn` is not used", "JUNEBUG_REACTOR is not used"] {
        assert!(log.contains(told), "{told}: {log}");
    }
    assert!(!log.contains("hush") && !log.contains("key@"), "{log}");
    assert!(path("a/b/logs").is_dir(), "Junebug makes the directory of logs");
    assert!(!path("elsewhere.log").exists(), "a flag overrides the file");
    server.start_kill().unwrap();
    let output = server.wait_with_output().await.unwrap();
    assert!(output.stderr.is_empty() && output.stdout.is_empty(), "{output:?}");
}

#[test]
fn a_logfile_that_cannot_be_written_is_told() {
    let output = crate::support::maybug(&["serve", "-p", "0", "-l", "/nonexistent/junebug.log"]);
    let said = crate::support::stderr(&output);
    assert!(
        !output.status.success() && said.contains("the logfile /nonexistent/junebug.log cannot be written"),
        "{said}"
    );
}
