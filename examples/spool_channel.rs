//! A server with a channel type of its own: `spool`, whose provider is a directory.
//!
//! Each MT becomes a file `out/MESSAGE.json`; each file that somebody moves to `in/` becomes an MO.
//!
//! ```console
//! $ cargo run --example spool_channel -- maybug.yaml
//! $ curl -s http://127.0.0.1:8080/channels/ -d '{
//!     "type": "spool", "mo_url": "http://127.0.0.1:9000/mo", "config": {"directory": "/var/spool/sms"}}'
//! ```

use std::path::{Path, PathBuf};
use std::time::Duration;

use maybug::channel::{Arrival, ChannelType, ConfigError, Fate, Intake, Outcome, Setup, StatusReport};
use maybug::config::Config;
use maybug::gateway::Types;
use maybug::model::{Inbound, JsonObject, Level, MessageId, SmscMessageId, Timestamp};
use maybug::server::Server;
use maybug::store::Delivery;
use serde::Deserialize;
use serde_json::json;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let file = std::env::args_os().nth(1).map(PathBuf::from);
    let config = Config::load(file.as_deref(), |name| std::env::var(name).ok(), JsonObject::new())?;
    let server = Server::start_with(&config, types()).await?;
    println!("the API listens on {:?}", server.addresses());
    tokio::signal::ctrl_c().await?;
    server.stop().await;
    Ok(())
}

/// What every server has, and `spool`.
pub(crate) fn types() -> Types {
    let mut types = Types::default();
    types.channels = types.channels.with("spool", Spool);
    types
}

/// The channel type `spool`.
pub(crate) struct Spool;

/// A file in `in/`.
#[derive(Deserialize)]
struct Mo {
    from: String,
    to: String,
    content: Option<String>,
}

impl ChannelType for Spool {
    fn check(&self, config: &JsonObject) -> Result<(), ConfigError> {
        directory(config).map(|_| ())
    }

    async fn run<I: Intake>(&self, setup: Setup<I>) -> Result<(), ConfigError> {
        let directory = directory(&setup.config)?;
        let mut queue = setup.queue();
        let mut look = tokio::time::interval(Duration::from_millis(200));
        loop {
            tokio::select! {
                // A message that is in hand when the channel ends goes back into the queue.
                () = setup.stop.cancelled() => return Ok(()),
                pulled = queue.pull(100) => match pulled {
                    Ok(deliveries) => {
                        let outcomes = deliveries.into_iter().map(|delivery| write(&setup, &directory, delivery));
                        setup.intake.decided(&setup.id, outcomes.collect()).await;
                    }
                    Err(error) => {
                        setup.log.error(error.to_string());
                        setup.stop.cancelled().await;
                    }
                },
                _ = look.tick() => report(&setup, read(&setup, &directory).await).await,
            }
        }
    }
}

fn directory(config: &JsonObject) -> Result<PathBuf, ConfigError> {
    ConfigError::check_keys(config, &["directory"])?;
    let directory = config.get("directory").and_then(|value| value.as_str());
    let missing = || ConfigError::new("directory", "Missing required config field 'directory'");
    directory.map(PathBuf::from).ok_or_else(missing)
}

/// Writes an MT; it is whole under its name or not there.
fn write<I: Intake>(setup: &Setup<I>, directory: &Path, delivery: Delivery) -> Outcome {
    let Delivery { ticket, origin, message, .. } = delivery;
    let id = message.id.to_string();
    let record = json!({"id": id, "to": message.to, "from": message.from, "content": message.content});
    let (whole, part) = (directory.join(format!("out/{id}.json")), directory.join(format!("out/{id}.part")));
    let written = std::fs::create_dir_all(directory.join("out"))
        .and_then(|()| std::fs::write(&part, record.to_string()))
        .and_then(|()| std::fs::rename(&part, &whole));
    let fate = match written {
        Ok(()) => Fate::Submitted {
            smsc_message_ids: vec![SmscMessageId(id)],
            correlate: Vec::new(),
            announce: true,
            details: JsonObject::new(),
        },
        // It goes back into the queue: a full disk passes.
        Err(error) => {
            setup.log.warn(format!("{} cannot be written: {error}", whole.display()));
            Fate::Retry { at: Timestamp::now().plus(Duration::from_secs(5)) }
        }
    };
    Outcome { ticket, origin, message, fate }
}

/// Reads what there is in `in/`. A file goes only once its message is durable: after a crash it is read again.
async fn read<I: Intake>(setup: &Setup<I>, directory: &Path) -> std::io::Result<()> {
    let incoming = directory.join("in");
    std::fs::create_dir_all(&incoming)?;
    for entry in std::fs::read_dir(&incoming)?.take(100) {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let Ok(mo) = serde_json::from_slice::<Mo>(&std::fs::read(&path)?) else {
            setup.log.warn(format!("{} is no message; it is renamed", path.display()));
            std::fs::rename(&path, path.with_extension("bad"))?;
            continue;
        };
        let message = Inbound {
            id: MessageId::mint(),
            channel: setup.id.clone(),
            to: mo.to,
            from: mo.from,
            group: None,
            content: mo.content,
            reply_to: None,
            session_event: None,
            channel_data: JsonObject::new(),
            transport_type: Some("spool".to_owned()),
            transport_metadata: JsonObject::new(),
            provider: None,
            destinations: Vec::new(),
            received_at: Timestamp::now(),
        };
        let arrival = Arrival::Message { message: message.into(), joined_from: Vec::new() };
        if let Err(error) = setup.intake.arrived(&setup.id, vec![arrival]).await {
            setup.log.warn(format!("{} is left for later: {error}", path.display()));
            return Ok(());
        }
        std::fs::remove_file(&path)?;
    }
    Ok(())
}

/// Tells how the directory is; the gateway passes on what is new.
async fn report<I: Intake>(setup: &Setup<I>, read: std::io::Result<()>) {
    let (level, kind, message) = match read {
        Ok(()) => (Level::Ok, "watching", "The directory is watched".to_owned()),
        Err(error) => (Level::Down, "unreadable", format!("The directory cannot be read: {error}")),
    };
    let report = StatusReport { component: "spool", level, kind, message, details: JsonObject::new() };
    setup.intake.status(&setup.id, report).await;
}
