//! Processes of others, read line by line.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::server::soon;

/// A file of this directory.
pub(crate) fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(path)
}

/// A program that `tests/run` installs.
pub(crate) fn installed(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "{} is missing: tests/run installs it", path.display());
    path
}

/// A running process.
pub(crate) struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn();
        let mut child = started.unwrap_or_else(|error| panic!("{command:?}: {error}; tests/run installs it"));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// `maybug` with these arguments.
    pub(crate) fn maybug(args: &[&str]) -> Self {
        Self::start(Command::new(env!("CARGO_BIN_EXE_maybug")).args(args))
    }

    /// The next line in which `wanted` finds something.
    pub(crate) async fn next<T>(&mut self, what: &str, wanted: impl Fn(&str) -> Option<T>) -> T {
        soon(what, async {
            loop {
                let line = self.lines.next_line().await.unwrap();
                let line = line.unwrap_or_else(|| panic!("the process ended before {what}"));
                if let Some(found) = wanted(&line) {
                    return found;
                }
            }
        })
        .await
    }

    /// The next line that is a JSON object with this key.
    pub(crate) async fn object(&mut self, key: &str) -> Value {
        self.any(&[key]).await
    }

    /// The next line that is a JSON object with one of these keys.
    pub(crate) async fn any(&mut self, keys: &[&str]) -> Value {
        self.next("an object", |line| {
            let object: Value = serde_json::from_str(line).ok()?;
            keys.iter().any(|key| object.get(key).is_some()).then_some(object)
        })
        .await
    }

    /// The next message that the simulator got.
    pub(crate) async fn message(&mut self) -> Value {
        self.next("a message", |line| {
            let object: Value = serde_json::from_str(line).ok()?;
            (object["event"] == "message").then_some(object)
        })
        .await
    }

    /// Waits for the end; it must be a good one.
    pub(crate) async fn succeed(mut self, what: &str) {
        soon(what, async { while self.lines.next_line().await.unwrap().is_some() {} }).await;
        let status = soon(what, self.child.wait()).await.unwrap();
        assert!(status.success(), "{what} failed: {status}");
    }
}

/// `maybug sim` on a free port, and that port.
pub(crate) async fn simulator(more: &[&str]) -> (Process, u16) {
    let args = [&["sim", "--json", "--listen", "127.0.0.1:0"], more].concat();
    let mut process = Process::maybug(&args);
    let address = process.object("address").await["address"].clone();
    let port = address.as_str().and_then(|address| address.rsplit(':').next()).unwrap().parse().unwrap();
    (process, port)
}
