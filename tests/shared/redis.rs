//! A Redis. `tests/run` installs it; it needs `mod daemon` beside it.

use tokio::process::{Child, Command};

use crate::daemon::{free_port, start};

/// A running server on loopback, with nothing in it.
pub(crate) struct Redis {
    /// Its port.
    pub(crate) port: u16,
    _server: Child,
    _directory: tempfile::TempDir,
}

impl Redis {
    /// With a password, if there is to be one.
    pub(crate) async fn start(password: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = free_port().await;
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.args(["--requirepass", password]);
        let server = start(&mut command, directory.path(), "Ready to accept connections").await;
        Self { port, _server: server, _directory: directory }
    }
}
