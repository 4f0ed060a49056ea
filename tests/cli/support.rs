//! Running the binary, with a deadline on everything.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

pub(crate) fn maybug(arguments: &[&str]) -> Output {
    with_input(arguments, "")
}

pub(crate) fn with_input(arguments: &[&str], input: impl AsRef<[u8]>) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_maybug"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its arguments reads no input.
    let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_ref());
    child.wait_with_output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

pub(crate) fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// How long anything may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// What must happen soon.
pub(crate) async fn soon<T>(what: &str, happens: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, happens).await {
        Ok(happened) => happened,
        Err(_) => panic!("{what} did not happen within 20 s"),
    }
}
