//! An application in Python that knows only Vumi's queues. It needs `mod process`, `mod rabbitmq` and `mod server` beside it.

use std::path::Path;

use tokio::process::Command;

use crate::process::{Process, file, installed};
use crate::rabbitmq::RabbitMq;

/// Starts the application and waits until it has its queues.
pub(crate) async fn application(rabbitmq: &RabbitMq, queue: &str, more: &[&str]) -> Process {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/venv/bin/python");
    let mut command = Command::new(installed(python));
    command.arg(file("python/application.py")).arg(rabbitmq.url()).arg(queue).args(more);
    let mut application = Process::start(&mut command);
    application.object("ready").await;
    application
}
