//! Services of others, each on ports of its own and with everything in a directory that goes with it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

/// How long a service may take to start: an Erlang node does when the machine is busy.
const START: Duration = Duration::from_secs(120);

/// A port that is free, outside the range from which the system gives ports to connections and to tests.
pub(crate) async fn free_port() -> u16 {
    loop {
        let port = fastrand::u16(12_000..32_000);
        if TcpListener::bind(("127.0.0.1", port)).await.is_ok() {
            return port;
        }
    }
}

/// A program that is killed when the thread that starts it ends, however that ends: a process that is interrupted drops
/// nothing. (Those who call prctl themselves need unsafe code.)
pub(crate) fn bound(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", program]);
    command
}

/// Removes a directory once this process has ended and the services in it have too; nothing that is static is dropped.
/// It takes what is returned as long as it lives.
pub(crate) fn remove_at_exit(directory: &Path) -> Child {
    // A service that is being killed may write once more.
    let script = r#"cat; for try in 1 2 3 4 5; do rm -rf "$1" && exit; sleep 1; done"#;
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]).arg(directory).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // Not in the group that Ctrl-C interrupts.
    shell.process_group(0).spawn().unwrap()
}

/// Starts a service and waits for the line that says that it is ready; it is killed when dropped.
pub(crate) async fn start(command: &mut Command, directory: &Path, ready: &str) -> Child {
    command.current_dir(directory).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let started = command.spawn();
    let mut child = started.unwrap_or_else(|error| panic!("{command:?}: {error}; tests/run installs it"));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    tokio::time::timeout(START, async {
        loop {
            match lines.next_line().await.unwrap() {
                Some(line) if line.contains(ready) => return,
                Some(line) => said.push(line),
                None => panic!("{command:?} ended before it was ready: {said:#?}"),
            }
        }
    })
    .await
    .unwrap_or_else(|_| panic!("{command:?} did not get ready"));
    // A pipe that nobody reads would stop it.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    child
}
