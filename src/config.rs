//! Configuration: a YAML file with Junebug's keys and ours, overridden by `MAYBUG_<KEY>` in the environment, overridden
//! by flags (Junebug reference §3.1).
//!
//! A key that nobody knows is refused with the nearest one that is known; a wrong type names its key.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;
use serde_json::Value;
use tracing_subscriber::EnvFilter;

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
    /// Further names of channel types: each the name of a type, or the Python class that Junebug would have run.
    pub channels: BTreeMap<String, String>,
    /// Whether no other channel types have names.
    pub replace_channels: bool,
    /// Further names of router types, in the same way.
    pub routers: BTreeMap<String, String>,
    /// Whether no other router types have names.
    pub replace_routers: bool,
    /// What to tell about keys that were given and have no effect; no key itself.
    #[serde(skip)]
    pub without_effect: Vec<String>,
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
            channels: BTreeMap::new(),
            replace_channels: false,
            routers: BTreeMap::new(),
            replace_routers: false,
            without_effect: Vec::new(),
        }
    }
}

/// The keys of [`Config`].
const KEYS: [&str; 31] = [
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
    "channels",
    "replace_channels",
    "routers",
    "replace_routers",
];

/// Junebug's keys that are read over, and what to know about that.
const UNUSED: [(&str, &str); 5] = [
    ("redis", "everything is kept in the embedded store under `data`"),
    ("amqp", "messages are exchanged over HTTP"),
    ("rabbitmq_management_interface", "there is no RabbitMQ to ask"),
    ("sentry_dsn", "errors are in the process log"),
    ("logfile", "the process log goes to standard error"),
];

/// Junebug's keys that cannot be honoured.
const REFUSED: [(&str, &str); 1] = [("plugins", "plugins cannot be loaded")];

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
    /// A key that cannot be honoured.
    #[error("the key '{key}' is not supported: {why}")]
    Unsupported {
        /// The key.
        key: &'static str,
        /// Why.
        why: &'static str,
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
        values.extend(flags);
        let (without_effect, mut problems) = check_keys(&values);
        if !problems.is_empty() {
            return Err(problems.swap_remove(0));
        }
        let config: Self = serde_path_to_error::deserialize(Value::Object(values)).map_err(|error| {
            ConfigFileError::BadValue { key: error.path().to_string(), message: error.inner().to_string() }
        })?;
        Self { without_effect, ..config }.check()
    }

    /// Everything that is wrong with a file, after what has no effect in it.
    ///
    /// # Errors
    /// The file cannot be read, or is no YAML mapping.
    pub fn problems_of(file: &Path) -> Result<(Vec<String>, Vec<ConfigFileError>), ConfigFileError> {
        Ok(Self::problems(&read(file)?))
    }

    /// What has no effect in some keys of a file, and what is wrong with them.
    #[must_use]
    pub fn problems(values: &JsonObject) -> (Vec<String>, Vec<ConfigFileError>) {
        let (without_effect, mut problems) = check_keys(values);
        // Key by key: one wrong value must not hide the next.
        for (key, value) in values.iter().filter(|(key, _)| KEYS.contains(&key.as_str())) {
            let alone = Value::Object([(key.clone(), value.clone())].into_iter().collect());
            let read: Result<Self, _> = serde_path_to_error::deserialize(alone);
            let checked = match read {
                Ok(config) => config.check().map(|_| ()),
                Err(error) => {
                    Err(ConfigFileError::BadValue { key: error.path().to_string(), message: error.inner().to_string() })
                }
            };
            problems.extend(checked.err());
        }
        (without_effect, problems)
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

/// What to tell about keys without effect, and which keys are refused.
fn check_keys(values: &JsonObject) -> (Vec<String>, Vec<ConfigFileError>) {
    let (mut without_effect, mut problems) = (Vec::new(), Vec::new());
    for (key, value) in values {
        if let Some((key, why)) = REFUSED.iter().find(|(refused, _)| refused == key) {
            // Junebug's own defaults change nothing.
            let nothing =
                value.as_object().is_some_and(JsonObject::is_empty) || value.as_array().is_some_and(Vec::is_empty);
            if nothing || matches!(value, Value::Null | Value::Bool(false)) {
                continue;
            }
            problems.push(ConfigFileError::Unsupported { key, why });
            continue;
        }
        if let Some((key, why)) = UNUSED.iter().find(|(unused, _)| unused == key) {
            without_effect.push(format!("the key '{key}' has no effect: {why}"));
        } else if !KEYS.contains(&key.as_str()) {
            problems.push(ConfigFileError::UnknownKey { key: key.clone(), nearest: nearest(key, &KEYS) });
        }
    }
    (without_effect, problems)
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
        assert!(message("plugins: [{type: a.B}]").contains("'plugins' is not supported"));
        assert!(message("- 1").contains("is no YAML mapping"));
    }

    #[test]
    fn a_junebug_file_is_accepted() {
        let yaml = "interface: 127.0.0.1\nport: 8081\nredis: {host: localhost, port: 6379}\namqp: {hostname: h}\n\
                    inbound_message_ttl: 300\nplugins: []\nchannels: {}\nreplace_channels: false";
        let config = load(yaml, &[], json!({})).unwrap();
        assert_eq!(config.inbound_message_ttl, 300);
        let told =
            |key: &str| config.without_effect.iter().any(|line| line.starts_with(&format!("the key '{key}' has")));
        assert!(told("redis") && told("amqp") && config.without_effect.len() == 2, "{:?}", config.without_effect);
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
