//! Finding the peers, running them, and reading what they say, with a deadline on everything.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A file that `tests/run` installs: under `MAYBUG_PEERS_DIR`, or `target/peers`.
pub(crate) fn installed(path: &str) -> PathBuf {
    let dir = std::env::var_os("MAYBUG_PEERS_DIR");
    let dir = dir.map_or_else(|| source("target/peers"), PathBuf::from);
    let found = dir.join(path);
    assert!(found.exists(), "{} is missing; run tests/run, which installs it", found.display());
    found
}

/// A file of the repository.
pub(crate) fn source(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A program of the system's that `tests/run` installs.
pub(crate) fn program(name: &str) -> Command {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    // Kannel's boxes are not on everybody's path.
    let mut places = std::env::split_paths(&paths).chain([PathBuf::from("/usr/sbin")]);
    match places.find(|place| place.join(name).exists()) {
        Some(place) => Command::new(place.join(name)),
        None => panic!("{name} is missing; run tests/run, which installs it"),
    }
}

/// Runs to the end, and must succeed.
pub(crate) fn must_succeed(mut command: Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{said}", String::from_utf8_lossy(&output.stderr));
    said
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A program that talks in JSON lines; killed when dropped.
pub(crate) struct Talker {
    child: Child,
    input: ChildStdin,
    events: Receiver<Value>,
}

impl Talker {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (sender, events) = channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        std::thread::spawn(move || {
            for line in lines {
                // The receiver goes with the test.
                let _ = sender.send(serde_json::from_str(&line).unwrap());
            }
        });
        let input = child.stdin.take().unwrap();
        Self { child, input, events }
    }

    /// `maybug sim` on a free port, and its address.
    pub(crate) fn sim(arguments: &[&str]) -> (Self, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maybug"));
        command.args(["sim", "--listen", "127.0.0.1:0", "--json"]).args(arguments);
        let mut sim = Self::start(command);
        let address = sim.next("its address", |event| event["event"] == "listening")["address"].clone();
        (sim, address.as_str().unwrap().to_owned())
    }

    /// The next event that is wanted.
    pub(crate) fn next(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + SOON;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(event) if wanted(&event) => return event,
                Ok(_) => {}
                Err(_) => panic!("{what} was not heard of within {} s", SOON.as_secs()),
            }
        }
    }

    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
