//! Configuration: a YAML file with Junebug's keys and ours, overridden by `MAYBUG_<KEY>` in the environment, overridden
//! by flags (Junebug reference §3.1).
//!
//! A key that nobody knows is refused with the nearest one that is known; a wrong type names its key.

mod plugins;
mod services;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;
use serde_json::Value;
use tracing_subscriber::EnvFilter;
use url::Url;

pub use self::plugins::{NginxConfig, Plugin};
pub use self::services::{AmqpConfig, JunebugRedis, QueueType, RedisKey, Secret};
use crate::model::JsonObject;

/// How the process log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// When the API asks for credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Of everybody.
    Always,
    /// As soon as there is an account.
    WithAccounts,
    /// Of nobody.
    Never,
}

/// Everything the server can be told. Each key has the name that it has in the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where the API listens: an address or a name.
    pub interface: String,
    /// And on which port; 0 takes a free one.
    pub port: u16,
    /// Whether the API asks for credentials. On loopback it does when absent as soon as there is an account.
    pub auth: Option<bool>,
    /// Listens on other than loopback addresses although anybody who reaches them may do anything.
    pub open: bool,
    /// Names by which the API on loopback may be asked while nobody is asked for credentials, beside the interface's.
    pub api_hosts: Vec<String>,
    /// Most connections of one address other than loopback, or of one network of 64 bits for IPv6.
    pub connections_per_address: usize,
    /// The directory of the embedded store.
    pub data: PathBuf,
    /// Whether a message is on disk before it is acknowledged. Off, a power cut loses what was accepted.
    pub sync: bool,
    /// Most octets that the store may take; absent is no limit.
    pub quota: Option<u64>,
    /// Octets that must stay free on the disk for sends to be accepted.
    pub min_free: u64,
    /// Seconds for which messages and events are kept.
    pub retention: u64,
    /// Most messages that may wait for one channel; more are answered 429.
    pub queue_limit: u64,
    /// Seconds for which an MO can be replied to.
    pub inbound_message_ttl: u64,
    /// Seconds after an MT for which its receipts are posted; raises `retention` when longer.
    pub outbound_message_ttl: u64,
    /// Sends a reply whose MO has expired as an ordinary message when it has a `to`.
    pub allow_expired_replies: bool,
    /// Whether a channel is refused that has neither `mo_url` nor `amqp_queue`, as Junebug did before it had routers.
    pub require_destination: bool,
    /// Whether MOs that end a session are forwarded. Junebug never did.
    pub forward_session_close: bool,
    /// Whether channel passwords are returned by the API as they are.
    pub expose_secrets: bool,
    /// Seconds over which rates are counted.
    pub metric_window: f64,
    /// Directory of the channels' logs.
    pub logging_path: PathBuf,
    /// Octets after which a channel's log is rotated.
    pub log_rotate_size: u64,
    /// Rotated logs that are kept per channel; 0 keeps all.
    pub max_log_files: usize,
    /// Most log entries in one answer.
    pub max_logs: usize,
    /// Whether the text of messages and the middle of numbers are kept out of all logs, the log of PDUs too.
    pub log_privacy: bool,
    /// The process log's filter, in tracing's syntax.
    pub log_level: String,
    /// The process log's form.
    pub log_format: LogFormat,
    /// Private networks that callbacks may go to. Loopback is allowed while the API listens on loopback.
    pub callback_allow: Vec<IpNet>,
    /// Seconds after which a callback that nobody took is given up and kept aside.
    pub callback_max_age: u64,
    /// The RabbitMQ that messages are exchanged over beside HTTP, if any.
    pub amqp: Option<AmqpConfig>,
    /// The management interface of that RabbitMQ, `host:port`; `/health` then asks it for queues that are stuck.
    pub rabbitmq_management_interface: Option<String>,
    /// The Redis that keeps everything instead of `data`, a URL; or where Junebug kept its state, which is not used.
    pub redis: Option<RedisKey>,
    /// Where other nodes on the same Redis reach this one's API, a URL; by default at the address that it listens on.
    pub node_url: Option<String>,
    /// Where Junebug sent exceptions; nothing is sent there.
    pub sentry_dsn: Option<Secret>,
    /// A file for the process log, beside standard error.
    pub logfile: Option<PathBuf>,
    /// What Junebug loaded as plugins.
    pub plugins: Vec<Plugin>,
    /// Further names of channel types: each the name of a type, or the Python class that Junebug would have run.
    pub channels: BTreeMap<String, String>,
    /// Whether no other channel types have names.
    #[serde(deserialize_with = "truthy")]
    pub replace_channels: bool,
    /// Further names of router types, in the same way.
    pub routers: BTreeMap<String, String>,
    /// Whether no other router types have names.
    #[serde(deserialize_with = "truthy")]
    pub replace_routers: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interface: "localhost".to_owned(),
            port: 8080,
            auth: None,
            open: false,
            api_hosts: Vec::new(),
            connections_per_address: 64,
            data: "maybug-data".into(),
            sync: true,
            quota: None,
            min_free: 512 * 1024 * 1024,
            retention: 7 * 24 * 3600,
            queue_limit: 5_000_000,
            inbound_message_ttl: 600,
            outbound_message_ttl: 172_800,
            allow_expired_replies: false,
            require_destination: false,
            forward_session_close: true,
            expose_secrets: false,
            metric_window: 10.0,
            logging_path: "logs/".into(),
            log_rotate_size: 1_000_000,
            max_log_files: 5,
            max_logs: 100,
            log_privacy: false,
            log_level: "info".to_owned(),
            log_format: LogFormat::Text,
            callback_allow: Vec::new(),
            callback_max_age: 24 * 3600,
            amqp: None,
            rabbitmq_management_interface: None,
            redis: None,
            node_url: None,
            sentry_dsn: None,
            logfile: None,
            plugins: Vec::new(),
            channels: BTreeMap::new(),
            replace_channels: false,
            routers: BTreeMap::new(),
            replace_routers: false,
        }
    }
}

/// The keys of [`Config`].
const KEYS: [&str; 39] = [
    "interface",
    "port",
    "auth",
    "open",
    "api_hosts",
    "connections_per_address",
    "data",
    "sync",
    "quota",
    "min_free",
    "retention",
    "queue_limit",
    "inbound_message_ttl",
    "outbound_message_ttl",
    "allow_expired_replies",
    "require_destination",
    "forward_session_close",
    "expose_secrets",
    "metric_window",
    "logging_path",
    "log_rotate_size",
    "max_log_files",
    "max_logs",
    "log_privacy",
    "log_level",
    "log_format",
    "callback_allow",
    "callback_max_age",
    "amqp",
    "rabbitmq_management_interface",
    "redis",
    "node_url",
    "sentry_dsn",
    "logfile",
    "plugins",
    "channels",
    "replace_channels",
    "routers",
    "replace_routers",
];

/// Why the configuration was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigFileError {
    /// The file could not be read.
    #[error("the configuration file cannot be read")]
    Unreadable {
        /// Why.
        source: std::io::Error,
    },
    /// The file is no YAML mapping.
    #[error("the configuration file is no YAML mapping: {message}")]
    NotYaml {
        /// Where and why.
        message: String,
    },
    /// A key that nobody knows.
    #[error("unknown key '{key}'{}", nearest.map(|known| format!(", did you mean '{known}'?")).unwrap_or_default())]
    UnknownKey {
        /// The key.
        key: String,
        /// The nearest known one.
        nearest: Option<&'static str>,
    },
    /// A value of the wrong type or form.
    #[error("the key '{key}' is wrong: {message}")]
    BadValue {
        /// The key.
        key: String,
        /// What is wrong.
        message: String,
    },
    /// Listening in public needs to be meant.
    #[error(
        "{address} can be reached from elsewhere, and the API asks nobody for credentials. Say `auth: true` (flag --auth), \
         after making an account with `maybug account create NAME --scope admin`; or say `open: true` (flag --open) if \
         anybody may do anything; or use a loopback address"
    )]
    NotOpen {
        /// The address.
        address: SocketAddr,
    },
    /// The interface has no address.
    #[error("the interface '{interface}' has no address: {message}")]
    NoAddress {
        /// The interface.
        interface: String,
        /// Why.
        message: String,
    },
}

impl Config {
    /// Reads the file if there is one, then the environment, then `flags`.
    ///
    /// # Errors
    /// [`ConfigFileError`].
    pub fn load(
        file: Option<&Path>,
        environment: impl Fn(&str) -> Option<String>,
        flags: JsonObject,
    ) -> Result<Self, ConfigFileError> {
        let mut values = match file {
            Some(path) => read(path)?,
            None => JsonObject::new(),
        };
        for key in KEYS {
            if let Some(text) = environment(&format!("MAYBUG_{}", key.to_uppercase())) {
                // Scalars as in the file; what is no YAML is a string.
                let value = serde_saphyr::from_str(&text).unwrap_or(Value::String(text));
                values.insert(key.to_owned(), value);
            }
        }
        flags.into_iter().for_each(|(key, value)| overlay(&mut values, key, value));
        let mut problems = check_keys(&values);
        if !problems.is_empty() {
            return Err(problems.swap_remove(0));
        }
        // As if it were not there.
        values.retain(|_, value| !value.is_null());
        let config: Self = serde_path_to_error::deserialize(Value::Object(values)).map_err(|error| {
            ConfigFileError::BadValue { key: error.path().to_string(), message: error.inner().to_string() }
        })?;
        config.check()
    }

    /// Everything that is wrong with a file, after what there is to know about it.
    ///
    /// # Errors
    /// The file cannot be read, or is no YAML mapping.
    pub fn problems_of(file: &Path) -> Result<(Vec<String>, Vec<ConfigFileError>), ConfigFileError> {
        Ok(Self::problems(&read(file)?))
    }

    /// What there is to know about some keys of a file, and what is wrong with them.
    #[must_use]
    pub fn problems(values: &JsonObject) -> (Vec<String>, Vec<ConfigFileError>) {
        let (mut notes, mut problems) = (Vec::new(), check_keys(values));
        // Key by key: one wrong value must not hide the next.
        for (key, value) in values.iter().filter(|(key, value)| KEYS.contains(&key.as_str()) && !value.is_null()) {
            let alone = Value::Object([(key.clone(), value.clone())].into_iter().collect());
            let read: Result<Self, _> = serde_path_to_error::deserialize(alone);
            let checked = match read {
                Ok(config) => config.check().map(|config| notes.extend(config.notes())),
                Err(error) => {
                    Err(ConfigFileError::BadValue { key: error.path().to_string(), message: error.inner().to_string() })
                }
            };
            problems.extend(checked.err());
        }
        (notes, problems)
    }

    /// What to know about keys of Junebug's whose services are not used.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let redis = self.redis.as_ref().and_then(|redis| match redis {
            RedisKey::Store(_) => None,
            RedisKey::Junebug(redis) => Some(format!(
                "`redis` as Junebug has it is not used: everything is kept in the embedded store under `data`, or in a Redis \
                 that is given as a URL; `maybug check --from junebug-redis {redis}` tells what of Junebug's is there and \
                 imports it"
            )),
        });
        let sentry = self.sentry_dsn.as_ref().map(|_| {
            "`sentry_dsn` is not used: nothing is sent to Sentry, errors are in the process log (`log_format: json` for \
             machines)"
                .to_owned()
        });
        let plugins = self.plugins.iter().map(|Plugin::Nginx(nginx)| {
            format!(
                "the configuration of nginx for {} is not written by the server: run `maybug check --nginx FILE --write` \
                 with this file whenever a channel with a `web_path` is created, changed or deleted",
                nginx.server_name
            )
        });
        redis.into_iter().chain(sentry).chain(plugins).collect()
    }

    fn check(mut self) -> Result<Self, ConfigFileError> {
        let bad = |key: &str, message: &str| {
            Err(ConfigFileError::BadValue { key: key.to_owned(), message: message.to_owned() })
        };
        if !(self.metric_window.is_finite() && self.metric_window > 0.0) {
            return bad("metric_window", "it must be a positive number of seconds");
        }
        if self.log_rotate_size == 0 {
            return bad("log_rotate_size", "it must be larger than zero");
        }
        if let Err(error) = EnvFilter::try_new(&self.log_level) {
            return bad("log_level", &error.to_string());
        }
        if self.rabbitmq_management_interface.as_ref().is_some_and(|address| !is_host_and_port(address)) {
            return bad("rabbitmq_management_interface", "expected HOST:PORT, without http://");
        }
        if self.auth == Some(true) && self.open {
            return bad("open", "with `auth: true` the API is not open; take one of them away");
        }
        if self.connections_per_address == 0 {
            return bad("connections_per_address", "it must be larger than zero");
        }
        self.retention = self.retention.max(self.outbound_message_ttl).max(self.inbound_message_ttl);
        Ok(self)
    }

    /// When the API asks for credentials.
    #[must_use]
    pub fn auth(&self) -> Auth {
        match (self.auth, self.open) {
            (Some(true), _) => Auth::Always,
            (Some(false), _) | (None, true) => Auth::Never,
            (None, false) => Auth::WithAccounts,
        }
    }

    /// The addresses to listen on, loopback ones only unless credentials are asked for or it is [`Config::open`].
    ///
    /// # Errors
    /// [`ConfigFileError::NoAddress`], [`ConfigFileError::NotOpen`].
    pub async fn addresses(&self) -> Result<Vec<SocketAddr>, ConfigFileError> {
        let found = tokio::net::lookup_host((self.interface.as_str(), self.port)).await;
        let no_address = |message: String| ConfigFileError::NoAddress { interface: self.interface.clone(), message };
        let addresses: Vec<SocketAddr> = found.map_err(|error| no_address(error.to_string()))?.collect();
        match addresses.iter().find(|address| !address.ip().is_loopback()) {
            Some(address) if self.auth() != Auth::Always && !self.open => {
                Err(ConfigFileError::NotOpen { address: *address })
            }
            _ if addresses.is_empty() => Err(no_address("it resolves to nothing".to_owned())),
            _ => Ok(addresses),
        }
    }

    /// [`Config::retention`] as a duration.
    #[must_use]
    pub fn retention(&self) -> Duration {
        Duration::from_secs(self.retention)
    }
}

/// As Junebug read it, where any text but an empty one says yes.
fn truthy<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Bool(value) => Ok(value),
        Value::String(text) => Ok(!text.is_empty()),
        other => Err(serde::de::Error::custom(format!("expected true or false, not {other}"))),
    }
}

fn is_host_and_port(address: &str) -> bool {
    let plain = !address.contains(['/', '@', '?', '#']);
    plain && Url::parse(&format!("http://{address}")).is_ok_and(|url| url.has_host())
}

fn read(path: &Path) -> Result<JsonObject, ConfigFileError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigFileError::Unreadable { source })?;
    let not_yaml = |message: String| ConfigFileError::NotYaml { message };
    match serde_saphyr::from_str::<Value>(&text) {
        Ok(Value::Object(values)) => Ok(values),
        Ok(Value::Null) => Ok(JsonObject::new()),
        Ok(other) => Err(not_yaml(format!("it is {other}"))),
        Err(error) => Err(not_yaml(error.to_string())),
    }
}

/// Sets a key over what the file says: single keys of a service, one more plugin, anything else as a whole.
fn overlay(values: &mut JsonObject, key: String, value: Value) {
    match (values.get_mut(&key), value) {
        (Some(Value::Object(service)), Value::Object(given)) if matches!(key.as_str(), "amqp" | "redis") => {
            service.extend(given);
        }
        (Some(Value::Array(plugins)), Value::Array(given)) if key == "plugins" => plugins.extend(given),
        (_, value) => drop(values.insert(key, value)),
    }
}

/// Which keys are refused.
fn check_keys(values: &JsonObject) -> Vec<ConfigFileError> {
    let mut problems = Vec::new();
    for key in values.keys() {
        if !KEYS.contains(&key.as_str()) {
            problems.push(ConfigFileError::UnknownKey { key: key.clone(), nearest: nearest(key, &KEYS) });
        }
    }
    problems
}

/// The known name most like `name`, if any is like it at all.
#[must_use]
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let scored = known.iter().map(|candidate| (strsim::jaro_winkler(name, candidate), *candidate));
    scored.filter(|(score, _)| *score > 0.75).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn load(yaml: &str, environment: &[(&str, &str)], flags: Value) -> Result<Config, ConfigFileError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), yaml).unwrap();
        let find = |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Config::load(Some(file.path()), find, flags.as_object().unwrap().clone())
    }

    #[test]
    fn flags_override_the_environment_which_overrides_the_file() {
        let config =
            load("port: 1\ndata: a\nmax_logs: 7", &[("MAYBUG_PORT", "2"), ("MAYBUG_DATA", "b")], json!({"port": 3}));
        let config = config.unwrap();
        assert_eq!((config.port, config.data.to_str(), config.max_logs), (3, Some("b"), 7));
        assert_eq!(load("", &[], json!({})).unwrap().port, 8080);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let message = |yaml| load(yaml, &[], json!({})).unwrap_err().to_string();
        assert_eq!(message("prot: 1"), "unknown key 'prot', did you mean 'port'?");
        assert_eq!(message("zzz: 1"), "unknown key 'zzz'");
        assert!(message("port: abc").starts_with("the key 'port' is wrong: invalid type: string \"abc\""));
        assert_eq!(
            message("metric_window: 0"),
            "the key 'metric_window' is wrong: it must be a positive number of seconds"
        );
        assert!(message("log_level: maybug=loud").starts_with("the key 'log_level' is wrong: "));
        assert!(message("plugins: [{type: a.B}]").contains("'plugins[0]' is wrong: there is no plugin 'a.B'"));
        assert!(message("amqp: {host: h}").contains("'amqp.host' is wrong: unknown field `host`, expected one of"));
        assert!(message("amqp: {queue_type: mirrored}").contains("expected `classic` or `quorum`"));
        assert!(
            message("rabbitmq_management_interface: http://localhost:15672")
                .contains("_interface' is wrong: expected HOST")
        );
        assert!(message("- 1").contains("is no YAML mapping"));
    }

    #[test]
    fn a_junebug_file_is_accepted() {
        let yaml = "interface: 127.0.0.1\nport: 8081\nrouters:\nreplace_routers: \"False\"\nredis: {host: localhost, port: 6380, password: hush}\n\
                    amqp: {hostname: h, heartbeat: 5}\ninbound_message_ttl: 300\nplugins: []\nchannels: {}\n\
                    replace_channels: false\nsentry_dsn: https://key@sentry/1\nlogfile: junebug.log\n\
                    allow_expired_replies: true\nrabbitmq_management_interface: localhost:15672";
        let config = load(yaml, &[], json!({})).unwrap();
        assert_eq!((config.inbound_message_ttl, config.allow_expired_replies), (300, true));
        assert_eq!((config.replace_channels, config.replace_routers), (false, true));
        let amqp = AmqpConfig { hostname: "h".to_owned(), heartbeat: 5, ..AmqpConfig::default() };
        assert_eq!(config.amqp, Some(amqp));
        assert_eq!(config.rabbitmq_management_interface.as_deref(), Some("localhost:15672"));
        let notes = config.notes().join("\n");
        assert!(notes.contains("--from junebug-redis redis://:…@localhost:6380/0"), "{notes}");
        assert!(notes.contains("`sentry_dsn` is not used"), "{notes}");
        assert!(!format!("{notes}{config:?}").contains("hush"), "the password shows");
        assert!(!format!("{notes}{config:?}").contains("key@"), "the DSN shows");
    }

    #[test]
    fn flags_are_laid_over_services_and_after_plugins() {
        let nginx = |name| json!({"type": "junebug.plugins.nginx.NginxPlugin", "server_name": name});
        let yaml = format!("amqp: {{hostname: h, vhost: v}}\nplugins: [{}]", nginx("a"));
        let flags = json!({"amqp": {"vhost": "w"}, "redis": {"db": 3}, "plugins": [nginx("b")]});
        let config = load(&yaml, &[], flags).unwrap();
        let amqp = config.amqp.unwrap();
        assert_eq!((amqp.hostname.as_str(), amqp.vhost.as_str()), ("h", "w"));
        assert_eq!(config.redis, Some(RedisKey::Junebug(JunebugRedis { db: 3, ..JunebugRedis::default() })));
        let names = config.plugins.iter().map(|Plugin::Nginx(nginx)| nginx.server_name.as_str());
        assert_eq!(names.collect::<Vec<_>>(), ["a", "b"]);
    }

    #[tokio::test]
    async fn other_than_loopback_addresses_must_be_meant() {
        let config = Config { interface: "0.0.0.0".into(), ..Config::default() };
        assert!(matches!(config.addresses().await, Err(ConfigFileError::NotOpen { .. })));
        assert!(Config { auth: Some(false), ..config.clone() }.addresses().await.is_err());
        assert!(Config { auth: Some(true), ..config.clone() }.addresses().await.is_ok());
        assert!(Config { open: true, ..config }.addresses().await.is_ok());
        assert!(Config::default().addresses().await.is_ok());
    }
}
