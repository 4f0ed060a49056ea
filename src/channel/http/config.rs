//! What an `http` channel may be told: every key, its default, and that the whole makes sense.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use hyper::Method;
use ipnet::IpNet;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::content::Reply;
use super::outbound::Outbound;
use super::route::{Kind, Route};
use super::template::Template;
use crate::channel::ConfigError;
use crate::model::JsonObject;

/// Names with texts: secrets, a table.
pub(super) type Texts = BTreeMap<String, String>;

/// See the file's head.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// What messages are said to be: `sms`, `ussd`, …
    #[serde(default = "sms")]
    pub(super) transport_type: String,
    /// The address to listen on.
    #[serde(default = "everywhere")]
    pub(super) web_interface: IpAddr,
    /// The port to listen on; 0 takes a free one, which the channel's status tells.
    pub(super) web_port: Option<u16>,
    /// What requests must carry, as HTTP Basic.
    pub(super) web_username: Option<String>,
    /// The same.
    pub(super) web_password: Option<String>,
    /// From where requests may come; anywhere if none is given.
    #[serde(default)]
    pub(super) allow_from: Vec<IpNet>,
    /// `{secret.x}`; never shown.
    #[serde(default)]
    pub(super) secrets: Texts,
    /// `{sender.x}`, by the message's source address, or `*`; never shown.
    #[serde(default)]
    pub(super) senders: BTreeMap<String, Texts>,
    /// What the filter `table` looks things up in.
    #[serde(default)]
    pub(super) tables: BTreeMap<String, Texts>,
    /// How MTs are sent, if they are sent by requests of ours.
    pub(super) outbound: Option<Outbound>,
    /// What is said to requests of the provider's, the first that fits.
    #[serde(default)]
    pub(super) inbound: Vec<Route>,
    /// How requests are answered that wait for an MT.
    pub(super) reply: Option<Held>,
    /// How long sessions are kept.
    #[serde(default)]
    pub(super) session: SessionConfig,
    /// How MTs wait for the provider to ask for them.
    pub(super) mailbox: Option<Mailbox>,
    /// What a request that cannot be taken is told.
    pub(super) error: Option<Reply>,
}

/// How requests are answered that wait for an MT.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Held {
    /// How long they wait.
    #[serde(default = "four_minutes", deserialize_with = "seconds")]
    pub(super) timeout: Duration,
    /// What they are told after that.
    #[serde(default = "gateway_timeout")]
    pub(super) timeout_response: Reply,
    /// The answer that lets a session go on.
    #[serde(rename = "continue")]
    pub(super) go_on: Reply,
    /// The answer that ends it; the same if none is given.
    pub(super) end: Option<Reply>,
}

/// How long sessions are kept.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SessionConfig {
    /// After their last turn.
    #[serde(deserialize_with = "seconds")]
    pub(super) timeout: Duration,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(600) }
    }
}

/// How MTs wait for the provider to ask for them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mailbox {
    /// Whose they are: filled in for a message, it is what a request's is filled in to.
    #[serde(default = "everybody")]
    pub(super) of: Template,
    /// Most messages of one answer.
    #[serde(default = "ten")]
    pub(super) most: usize,
}

/// Fields that a template for an MT may have.
pub(super) const MT_FIELDS: &[&str] = &[
    "to",
    "from",
    "content",
    "message_id",
    "reply_to",
    "group",
    "provider",
    "transport_type",
    "session_event",
    "channel_data",
    "metadata",
    "sender",
    "secret",
    "now",
    "accepted_at",
];
/// Fields that a template for a request of the provider's may have.
pub(super) const REQUEST_FIELDS: &[&str] =
    &["in", "item", "path", "header", "secret", "now", "message_id", "error", "session"];
/// Fields of what a question for MTs is told beside them.
pub(super) const QUESTION_FIELDS: &[&str] = &["in", "path", "header", "secret", "now"];
/// Fields of an answer that waited for an MT: both.
const REPLY_FIELDS: &[&str] = &[
    "in",
    "path",
    "header",
    "session",
    "to",
    "from",
    "content",
    "message_id",
    "channel_data",
    "metadata",
    "secret",
    "now",
];
/// Shorter ones are words and numbers that a provider may well say of something else.
const MIN_SECRET: usize = 5;
/// What stands for a secret.
const MASK: &str = "********";
/// Most requests at a time.
pub(super) const MAX_WINDOW: usize = 1_000;

impl HttpConfig {
    /// Reads a channel's `config`.
    ///
    /// # Errors
    /// [`ConfigError`] names the key, dotted where it is nested.
    pub fn parse(config: &JsonObject) -> Result<Self, ConfigError> {
        let value = Value::Object(config.clone());
        let config: Self = serde_path_to_error::deserialize(value).map_err(|error| {
            let path = error.path().to_string();
            let key = if path == "." { "" } else { path.as_str() };
            let place = if key.is_empty() { String::new() } else { format!("Field '{key}': ") };
            ConfigError::new(key, format!("{place}{}", error.inner()))
        })?;
        config.check()?;
        Ok(config)
    }

    /// A provider's text as it may be told: without the secrets that it repeats.
    pub(super) fn without_secrets(&self, text: String) -> String {
        let secrets = self.secrets.values().chain(self.senders.values().flat_map(Texts::values));
        let known = secrets.filter(|secret| secret.len() >= MIN_SECRET && text.contains(secret.as_str()));
        known.fold(text.clone(), |text, secret| text.replace(secret.as_str(), MASK))
    }

    /// Where to listen.
    pub(super) fn paths(&self) -> Vec<String> {
        let paths: BTreeSet<String> = self.inbound.iter().map(|route| route.path.place()).collect();
        paths.into_iter().collect()
    }

    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |key: &str, why: &str| Err(ConfigError::new(key, format!("Field '{key}' {why}")));
        if self.inbound.is_empty() && self.outbound.is_none() {
            return wrong("outbound", "or 'inbound' must be given: the channel would neither send nor receive");
        }
        if !self.inbound.is_empty() && self.web_port.is_none() {
            return wrong("web_port", "must be given for 'inbound'");
        }
        if self.web_username.is_some() != self.web_password.is_some() {
            return wrong("web_password", "and 'web_username' go together: both or neither must be given");
        }
        if let Some(outbound) = &self.outbound {
            self.check_outbound(outbound)?;
        }
        for (number, route) in self.inbound.iter().enumerate() {
            route.check(self, &format!("inbound[{number}]"))?;
        }
        if let Some(held) = &self.reply {
            for (key, reply) in [
                ("continue", Some(&held.go_on)),
                ("end", held.end.as_ref()),
                ("timeout_response", Some(&held.timeout_response)),
            ] {
                for template in reply.into_iter().flat_map(Reply::templates) {
                    self.check_template(&format!("reply.{key}"), template, REPLY_FIELDS)?;
                }
            }
        }
        if let Some(mailbox) = &self.mailbox {
            if !self.inbound.iter().any(|route| route.kind == Kind::Poll) {
                return wrong(
                    "mailbox",
                    "needs a request in 'inbound' whose kind is 'poll': nobody would ask for messages",
                );
            }
            if self.outbound.is_some() || self.inbound.iter().any(|route| route.hold) {
                return wrong("mailbox", "excludes 'outbound' and 'hold': messages wait until they are asked for");
            }
            self.check_template("mailbox.of", &mailbox.of, MT_FIELDS)?;
            if !(1..=MAX_WINDOW).contains(&mailbox.most) {
                return wrong("mailbox.most", &format!("must be from 1 to {MAX_WINDOW}"));
            }
        }
        for template in self.error.iter().flat_map(Reply::templates) {
            self.check_template("error", template, REQUEST_FIELDS)?;
        }
        Ok(())
    }

    /// That every field of a template is one of these, and every secret and table is there.
    pub(super) fn check_template(&self, key: &str, template: &Template, known: &[&str]) -> Result<(), ConfigError> {
        let wrong = |why: fmt::Arguments<'_>| Err(ConfigError::new(key, format!("Field '{key}': {why}")));
        for field in template.fields() {
            if !known.contains(&field.root.as_str()) {
                return wrong(format_args!("there is no field '{field}' here; there are: {}", known.join(", ")));
            }
            let named = field.path.as_ref().map(|path| path.as_str());
            match (field.root.as_str(), named) {
                ("secret", Some(name)) if !self.secrets.contains_key(name) => {
                    return wrong(format_args!("'secrets' has no '{name}'"));
                }
                ("sender", Some(name)) if !self.senders.values().any(|sender| sender.contains_key(name)) => {
                    return wrong(format_args!("'senders' has no '{name}'"));
                }
                ("secret" | "sender" | "in" | "path" | "header" | "channel_data" | "metadata" | "session", None) => {
                    return wrong(format_args!("'{field}' needs a name: {{{field}.…}}"));
                }
                _ => {}
            }
            if field.root == "signature"
                && !self
                    .outbound
                    .iter()
                    .any(|outbound| named.is_some_and(|name| outbound.signatures.contains_key(name)))
            {
                return wrong(format_args!("'outbound.signatures' has no '{}'", named.unwrap_or_default()));
            }
            if let Some(table) = field.tables().find(|table| !self.tables.contains_key(*table)) {
                return wrong(format_args!("'tables' has no '{table}'"));
            }
        }
        Ok(())
    }
}

fn sms() -> String {
    "sms".to_owned()
}

fn everywhere() -> IpAddr {
    IpAddr::V4(Ipv4Addr::UNSPECIFIED)
}

pub(super) fn ten() -> usize {
    10
}

/// Vumi's `request_timeout` (field guide §7.2).
fn four_minutes() -> Duration {
    Duration::from_secs(240)
}

fn gateway_timeout() -> Reply {
    Reply { status: hyper::StatusCode::GATEWAY_TIMEOUT, ..Reply::default() }
}

fn everybody() -> Template {
    Template::parse("").unwrap_or_else(|_| unreachable!("an empty text has no fields"))
}

/// At least a millisecond, at most a year.
pub(super) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    if !(0.001..=31_536_000.0).contains(&seconds) {
        return Err(serde::de::Error::custom("must be a number of seconds larger than zero"));
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// A method that a request may have.
pub(super) fn method<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Method, D::Error> {
    let text = String::deserialize(deserializer)?;
    let known = ["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&text.as_str());
    let method = text.parse().ok().filter(|_| known);
    method.ok_or_else(|| serde::de::Error::custom(format!("'{text}' is none of: GET, POST, PUT, PATCH, DELETE")))
}
