//! Junebug's command line: the flags of `jb` for services and plugins, its short spellings of several letters behind one
//! dash, and the name `jb` itself (Junebug reference §3.1).

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::model::JsonObject;

/// Flags that `serve` has from `jb`; those of both are beside them.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Junebug's options")]
pub struct JunebugFlags {
    /// File for the process log, beside standard error; begins anew at 1 MiB, five older ones are kept.
    #[arg(short, long, value_name = "FILE")]
    pub log_file: Option<PathBuf>,
    /// Where Junebug sent exceptions; nothing is sent there.
    #[arg(long, value_name = "DSN")]
    pub sentry_dsn: Option<String>,
    /// Where Junebug kept its state; nothing is read from there [default: localhost].
    #[arg(long, value_name = "HOST")]
    pub redis_host: Option<String>,
    /// Its port [default: 6379].
    #[arg(long, value_name = "PORT")]
    pub redis_port: Option<u16>,
    /// Its database [default: 0].
    #[arg(long, value_name = "NUMBER")]
    pub redis_db: Option<u32>,
    /// Its password.
    #[arg(long, value_name = "PASSWORD")]
    pub redis_password: Option<String>,
    /// A RabbitMQ [default: 127.0.0.1 as soon as any of its flags or keys is given].
    #[arg(long, value_name = "HOST")]
    pub amqp_host: Option<String>,
    /// Its port [default: 5672].
    #[arg(long, value_name = "PORT")]
    pub amqp_port: Option<u16>,
    /// Its virtual host [default: /].
    #[arg(long, value_name = "VHOST")]
    pub amqp_vhost: Option<String>,
    /// Who connects to it [default: guest].
    #[arg(long, value_name = "NAME")]
    pub amqp_user: Option<String>,
    /// Proof of it [default: guest].
    #[arg(long, value_name = "PASSWORD")]
    pub amqp_password: Option<String>,
    /// The type of the queues that are declared there [default: the virtual host's].
    #[arg(long, value_name = "TYPE", value_parser = ["classic", "quorum"])]
    pub amqp_queue_type: Option<String>,
    /// Its management interface, which /health then asks for queues that are stuck.
    #[arg(long, value_name = "HOST:PORT")]
    pub rabbitmq_management_interface: Option<String>,
    /// One more channel type; several times for several.
    #[arg(long, value_name = "TYPE:CLASS", value_parser = pair)]
    pub channels: Vec<(String, String)>,
    /// Whether those replace the built-in channel types: any text but an empty one says so.
    #[arg(long, value_name = "TEXT")]
    pub replace_channels: Option<String>,
    /// One more router type; several times for several.
    #[arg(long, value_name = "TYPE:CLASS", value_parser = pair)]
    pub routers: Vec<(String, String)>,
    /// Whether those replace the built-in router types: any text but an empty one says so.
    #[arg(long, value_name = "TEXT")]
    pub replace_routers: Option<String>,
    /// One more plugin, an object with `type`; several times for several.
    #[arg(long, value_name = "JSON", value_parser = object)]
    pub plugin: Vec<Value>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, class) = text.split_once(':').ok_or("expected TYPE:CLASS")?;
    Ok((name.to_owned(), class.to_owned()))
}

fn object(text: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if value.is_object() { Ok(value) } else { Err("expected an object".to_owned()) }
}

impl JunebugFlags {
    /// Those that were given, under the keys of the file; single keys of a service are to be laid over it.
    pub(super) fn keys(&self) -> JsonObject {
        let types = |pairs: &[(String, String)]| {
            let types: JsonObject = pairs.iter().map(|(name, class)| (name.clone(), json!(class))).collect();
            if types.is_empty() { Value::Null } else { Value::Object(types) }
        };
        let replaces = |text: &Option<String>| json!(text.as_ref().map(|text| !text.is_empty()));
        let redis = given([
            ("host", json!(self.redis_host)),
            ("port", json!(self.redis_port)),
            ("db", json!(self.redis_db)),
            ("password", json!(self.redis_password)),
        ]);
        let amqp = given([
            ("hostname", json!(self.amqp_host)),
            ("port", json!(self.amqp_port)),
            ("vhost", json!(self.amqp_vhost)),
            ("username", json!(self.amqp_user)),
            ("password", json!(self.amqp_password)),
            ("queue_type", json!(self.amqp_queue_type)),
        ]);
        given([
            ("logfile", json!(self.log_file)),
            ("sentry_dsn", json!(self.sentry_dsn)),
            ("redis", if redis.is_empty() { Value::Null } else { Value::Object(redis) }),
            ("amqp", if amqp.is_empty() { Value::Null } else { Value::Object(amqp) }),
            ("rabbitmq_management_interface", json!(self.rabbitmq_management_interface)),
            ("channels", types(&self.channels)),
            ("replace_channels", replaces(&self.replace_channels)),
            ("routers", types(&self.routers)),
            ("replace_routers", replaces(&self.replace_routers)),
            ("plugins", if self.plugin.is_empty() { Value::Null } else { json!(self.plugin) }),
        ])
    }
}

/// Keys with a value.
pub(super) fn given<const N: usize>(keys: [(&str, Value); N]) -> JsonObject {
    let given = keys.into_iter().filter(|(_, value)| *value != Value::Null);
    given.map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Spellings behind one dash that clap would take for several short flags, and the long ones.
const SPELLINGS: [(&str, &str); 22] = [
    ("-sd", "--sentry-dsn"),
    ("-redish", "--redis-host"),
    ("-redisp", "--redis-port"),
    ("-redisdb", "--redis-db"),
    ("-redispass", "--redis-password"),
    ("-amqph", "--amqp-host"),
    ("-amqpp", "--amqp-port"),
    ("-amqpvh", "--amqp-vhost"),
    ("-amqpu", "--amqp-user"),
    ("-amqppass", "--amqp-password"),
    ("-ittl", "--inbound-message-ttl"),
    ("-ottl", "--outbound-message-ttl"),
    ("-aer", "--allow-expired-replies"),
    ("-ch", "--channels"),
    ("-rch", "--replace-channels"),
    ("-pl", "--plugin"),
    ("-mw", "--metric-window"),
    ("-lp", "--logging-path"),
    ("-lrs", "--log-rotate-size"),
    ("-mlf", "--max-log-files"),
    ("-ml", "--max-logs"),
    ("-rmi", "--rabbitmq-management-interface"),
];

/// The command line as clap reads it: called as `jb` it is that of `serve`; and Junebug's spellings of the flags of `serve`
/// become long ones, with their value behind them or behind `=`.
pub(super) fn translate(words: &[OsString]) -> Vec<OsString> {
    let mut words = words.to_vec();
    let is_jb = words.first().and_then(|word| Path::new(word).file_name()).is_some_and(|name| name == "jb");
    if is_jb {
        words.insert(1, "serve".into());
    }
    if words.get(1).is_some_and(|command| command == "serve") {
        words.iter_mut().skip(2).for_each(|word| {
            if let Some(long) = long(word) {
                *word = long;
            }
        });
    }
    words
}

fn long(word: &OsStr) -> Option<OsString> {
    let text = word.to_str()?;
    let (flag, value) = match text.split_once('=') {
        Some((flag, value)) => (flag, Some(value)),
        None => (text, None),
    };
    let (_, long) = SPELLINGS.iter().find(|(spelling, _)| *spelling == flag)?;
    Some(value.map_or_else(|| (*long).into(), |value| format!("{long}={value}").into()))
}
