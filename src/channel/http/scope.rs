//! What the fields of templates stand for: a request of the provider's, an MT, or an MT that answers such a request.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hyper::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::{HttpConfig, Texts};
use super::path::{Path, text};
use super::template::Fields;
use super::tree::decode;
use crate::model::{MessageId, Outbound, Timestamp};

/// A request as it was read.
#[derive(Debug, Default)]
pub(super) struct Request {
    /// Its parameters, or its document.
    pub(super) parameters: Value,
    /// The steps of its path that have names.
    pub(super) captures: BTreeMap<String, String>,
    /// Its headers.
    pub(super) headers: HeaderMap,
    /// The session that it is a turn of, if it was known.
    pub(super) session: Option<Session>,
}

/// What is remembered of a session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Session {
    /// Our side's address.
    pub(super) to: String,
    /// The phone's address.
    pub(super) from: String,
    /// Everything that the phone has said, where turns repeat it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) said: String,
}

/// Fields of a request.
#[derive(Clone)]
pub(super) struct RequestFields<'a> {
    pub(super) config: &'a HttpConfig,
    pub(super) request: &'a Request,
    /// The item of a list that is looked at, and its place there.
    pub(super) item: Option<(usize, &'a Value)>,
    pub(super) now: Timestamp,
    /// The MO that it has become.
    pub(super) message: Option<MessageId>,
    /// What was wrong with it.
    pub(super) error: Option<&'a str>,
}

/// Fields of an MT, and of the request that it answers.
pub(super) struct MessageFields<'a> {
    pub(super) config: &'a HttpConfig,
    pub(super) message: &'a Outbound,
    pub(super) request: Option<&'a Request>,
    pub(super) now: Timestamp,
}

/// Fields of the answer to a question for MTs: of the question in general, of an MT for each.
pub(super) enum PollFields<'a> {
    Question(RequestFields<'a>),
    Message(MessageFields<'a>),
}

fn table<'a>(config: &'a HttpConfig, name: &str, key: &str) -> Option<&'a str> {
    config.tables.get(name)?.get(key).map(String::as_str)
}

fn table_prefix<'a>(config: &'a HttpConfig, name: &str, text: &str) -> Option<&'a str> {
    let beginnings = config.tables.get(name)?.iter().filter(|(key, _)| text.starts_with(key.as_str()));
    beginnings.max_by_key(|(key, _)| key.len()).map(|(_, value)| value.as_str())
}

fn named<'a>(texts: &'a Texts, path: Option<&Path>) -> Option<Cow<'a, str>> {
    texts.get(path?.as_str()).map(|text| Cow::Borrowed(text.as_str()))
}

impl Request {
    fn field(&self, root: &str, path: &Path) -> Option<Cow<'_, str>> {
        match root {
            "in" => path.text(&self.parameters),
            "path" => self.captures.get(path.as_str()).map(|text| text.as_str().into()),
            "header" => self.headers.get(path.as_str()).map(|value| decode(value.as_bytes())),
            "session" => {
                let session = self.session.as_ref()?;
                match path.as_str() {
                    "to" => Some(session.to.as_str().into()),
                    "from" => Some(session.from.as_str().into()),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

impl<'a> RequestFields<'a> {
    /// Fields of a request as it came.
    pub(super) fn of(config: &'a HttpConfig, request: &'a Request) -> Self {
        Self { config, request, item: None, now: Timestamp::now(), message: None, error: None }
    }
}

impl<'a> MessageFields<'a> {
    /// Fields of an MT.
    pub(super) fn of(config: &'a HttpConfig, message: &'a Outbound, request: Option<&'a Request>) -> Self {
        Self { config, message, request, now: Timestamp::now() }
    }
}

impl Fields for RequestFields<'_> {
    fn field(&self, root: &str, path: Option<&Path>) -> Option<Cow<'_, str>> {
        match (root, path, self.item) {
            // Of parameters that come several times, those of one place belong together.
            ("in", Some(path), Some((place, _))) => match path.find(&self.request.parameters)? {
                Value::Array(items) => text(items.get(place)?),
                one => text(one),
            },
            ("item", None, Some((_, item))) => text(item),
            ("item", Some(path), Some((_, item))) => path.text(item),
            ("secret", path, _) => named(&self.config.secrets, path),
            ("now", None, _) => Some(self.now.to_string().into()),
            ("message_id", None, _) => Some(self.message?.to_string().into()),
            ("error", None, _) => self.error.map(Cow::Borrowed),
            (root, path, _) => self.request.field(root, path?),
        }
    }

    fn table(&self, name: &str, key: &str) -> Option<&str> {
        table(self.config, name, key)
    }

    fn table_prefix(&self, name: &str, text: &str) -> Option<&str> {
        table_prefix(self.config, name, text)
    }
}

impl Fields for MessageFields<'_> {
    fn field(&self, root: &str, path: Option<&Path>) -> Option<Cow<'_, str>> {
        let message = self.message;
        let optional = |text: &'_ Option<String>| text.clone().map(Cow::Owned);
        match (root, path) {
            ("to", None) => Some(message.to.as_str().into()),
            ("from", None) => message.from.as_deref().map(Cow::Borrowed),
            ("content", None) => Some(message.content.as_str().into()),
            ("message_id", None) => Some(message.id.to_string().into()),
            ("reply_to", None) => message.reply_to.map(|id| id.to_string().into()),
            ("group", None) => optional(&message.group),
            ("provider", None) => optional(&message.provider),
            ("transport_type", None) => optional(&message.transport_type),
            ("session_event", None) => message.session_event.map(|event| event.as_str().into()),
            ("accepted_at", None) => Some(message.accepted_at.to_string().into()),
            ("now", None) => Some(self.now.to_string().into()),
            ("channel_data", Some(path)) => text(path.find_in(&message.channel_data)?),
            ("metadata", Some(path)) => text(path.find_in(&message.transport_metadata)?),
            ("secret", path) => named(&self.config.secrets, path),
            ("signature", Some(path)) => {
                let signature = self.config.outbound.as_ref()?.signatures.get(path.as_str())?;
                Some(signature.of(&signature.template().plain(self).ok()?).into())
            }
            ("sender", path) => {
                let senders = &self.config.senders;
                let sender = senders.get(message.from.as_deref().unwrap_or_default());
                named(sender.or_else(|| senders.get("*"))?, path)
            }
            (root, path) => self.request?.field(root, path?),
        }
    }

    fn table(&self, name: &str, key: &str) -> Option<&str> {
        table(self.config, name, key)
    }

    fn table_prefix(&self, name: &str, text: &str) -> Option<&str> {
        table_prefix(self.config, name, text)
    }
}

impl Fields for PollFields<'_> {
    fn field(&self, root: &str, path: Option<&Path>) -> Option<Cow<'_, str>> {
        match self {
            Self::Question(fields) => fields.field(root, path),
            Self::Message(fields) => fields.field(root, path),
        }
    }

    fn table(&self, name: &str, key: &str) -> Option<&str> {
        match self {
            Self::Question(fields) => fields.table(name, key),
            Self::Message(fields) => fields.table(name, key),
        }
    }

    fn table_prefix(&self, name: &str, text: &str) -> Option<&str> {
        match self {
            Self::Question(fields) => fields.table_prefix(name, text),
            Self::Message(fields) => fields.table_prefix(name, text),
        }
    }
}
