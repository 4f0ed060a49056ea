//! What a provider's requests are: by path and parameters, MOs, receipts, questions for MTs, or nothing of interest.

use std::collections::BTreeMap;

use hyper::Method;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::config::{HttpConfig, MT_FIELDS, QUESTION_FIELDS, REQUEST_FIELDS, method};
use super::content::{Reply, Shape};
use super::path::Path;
use super::rules::{Condition, EventRule, States};
use super::steps::PathPattern;
use super::template::{Field, Template};
use crate::channel::ConfigError;

/// One kind of request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Route {
    /// Its path; `{name}` stands for one step of it.
    #[serde(default)]
    pub(super) path: PathPattern,
    #[serde(default = "get_and_post", deserialize_with = "methods")]
    pub(super) methods: Vec<Method>,
    #[serde(default)]
    pub(super) format: Format,
    /// The parameter that has an XML document in it.
    pub(super) xml_in: Option<String>,
    /// What its parameters must be like for this to be it.
    #[serde(default)]
    pub(super) when: BTreeMap<Path, Condition>,
    #[serde(default)]
    pub(super) kind: Kind,
    /// The list whose items are a message or receipt each.
    pub(super) each: Option<Path>,
    /// Parameters that it must have, beside those that messages are made of.
    #[serde(default)]
    pub(super) required: Vec<Path>,
    /// Parameters that it may have.
    #[serde(default)]
    pub(super) optional: Vec<String>,
    /// What becomes of requests with others.
    #[serde(default)]
    pub(super) unexpected: Unexpected,
    /// Parameters that must be exactly this; otherwise 403.
    #[serde(default)]
    pub(super) credentials: BTreeMap<Path, Template>,
    pub(super) from: Option<Template>,
    pub(super) to: Option<Template>,
    pub(super) content: Option<Template>,
    pub(super) group: Option<Template>,
    pub(super) provider: Option<Template>,
    /// What differs in the first turn of a session.
    pub(super) first: Option<First>,
    #[serde(default)]
    pub(super) channel_data: BTreeMap<String, Shape>,
    /// What an answer needs back; applications do not see it.
    #[serde(default)]
    pub(super) metadata: BTreeMap<String, Shape>,
    /// What names its session.
    pub(super) session: Option<Template>,
    pub(super) session_event: Option<EventRule>,
    /// What becomes of a later turn of a session that is not known.
    #[serde(default)]
    pub(super) unknown_session: UnknownSession,
    /// Said before each later answer, parameters repeat what came before: `*` between turns.
    pub(super) cumulative: Option<String>,
    /// Whether it waits for an MT.
    #[serde(default)]
    pub(super) hold: bool,
    /// What it is told if it does not.
    #[serde(default)]
    pub(super) response: Reply,
    /// The message that a receipt is for.
    pub(super) id: Option<Template>,
    #[serde(default)]
    pub(super) id_of: IdOf,
    /// What a receipt says.
    pub(super) state: Option<Template>,
    #[serde(default)]
    pub(super) states: States,
    /// What a receipt's event tells beyond that.
    #[serde(default)]
    pub(super) details: BTreeMap<String, Shape>,
    /// Whose MTs are asked for.
    pub(super) mailbox: Option<Template>,
}

/// How a body is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    /// As its media type says; as a form if that is nothing known.
    #[default]
    Auto,
    Form,
    Json,
    Xml,
}

/// What a request is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// An MO.
    #[default]
    Message,
    /// A delivery receipt.
    Receipt,
    /// A question for MTs.
    Poll,
    /// Nothing of interest; it is answered.
    Ignore,
}

/// What becomes of something that was not expected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Unexpected {
    /// Nothing.
    #[default]
    Accept,
    /// It is answered 400.
    Refuse,
}

/// What becomes of a later turn of a session that is not known.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum UnknownSession {
    /// It is passed on.
    #[default]
    Accept,
    /// It is not, and the request is told this.
    Answer(Reply),
}

/// What differs in the first turn of a session.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct First {
    pub(super) to: Option<Template>,
    pub(super) content: Option<Template>,
    /// It has none.
    #[serde(default)]
    pub(super) no_content: bool,
}

/// Whose id a receipt has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum IdOf {
    /// The one that the provider gave.
    #[default]
    Provider,
    /// Ours, which it was given.
    Message,
}

impl Route {
    /// Checks it; `key` is its own.
    pub(super) fn check(&self, config: &HttpConfig, key: &str) -> Result<(), ConfigError> {
        let missing = |name: &str, why: &str| {
            Err(ConfigError::new(&format!("{key}.{name}"), format!("Field '{key}.{name}' must be given {why}")))
        };
        match self.kind {
            Kind::Message if self.from.is_none() && self.session.is_none() => {
                return missing("from", "for messages without a session");
            }
            Kind::Receipt if self.id.is_none() => return missing("id", "for receipts"),
            Kind::Receipt if self.state.is_none() => return missing("state", "for receipts"),
            Kind::Poll if config.mailbox.is_none() => {
                return Err(ConfigError::new(
                    "mailbox",
                    format!("Field 'mailbox' must be given for '{key}', which polls"),
                ));
            }
            _ => {}
        }
        if self.each.is_some() && (self.hold || self.session.is_some()) {
            let why = format!("Field '{key}.each' excludes 'hold' and 'session': a turn is one message");
            return Err(ConfigError::new(&format!("{key}.each"), why));
        }
        if self.hold && config.reply.is_none() {
            return Err(ConfigError::new("reply", format!("Field 'reply' must be given for '{key}.hold'")));
        }
        if self.session_event.is_some() && self.session.is_none() && matches!(self.session_event, Some(EventRule::Auto))
        {
            return missing("session", "where session_event is auto");
        }
        for (name, template) in self.templates() {
            config.check_template(&format!("{key}.{name}"), template, REQUEST_FIELDS)?;
        }
        let response = format!("{key}.response");
        if self.kind == Kind::Poll {
            if !self.response.has_list() {
                let why = "must have a list in its JSON for a poll, {\"$each\": …}: it would tell no message";
                return Err(ConfigError::new(&response, format!("Field '{response}' {why}")));
            }
            let listed = self.response.listed();
            for template in self.response.templates() {
                // Of a message nothing is said that the question might lack, and of the question nothing of a message.
                let of_message = listed.iter().any(|listed| std::ptr::eq(*listed, template));
                config.check_template(&response, template, if of_message { MT_FIELDS } else { QUESTION_FIELDS })?;
            }
            return Ok(());
        }
        for template in self.response.templates() {
            config.check_template(&response, template, REQUEST_FIELDS)?;
        }
        Ok(())
    }

    /// The templates of what is read, with their keys.
    fn templates(&self) -> Vec<(&'static str, &Template)> {
        let first = self.first.iter().flat_map(|first| [&first.to, &first.content]).flatten();
        let event = match &self.session_event {
            Some(EventRule::By(table)) => Some(table.of()),
            _ => None,
        };
        let unknown = match &self.unknown_session {
            UnknownSession::Answer(reply) => reply.templates(),
            UnknownSession::Accept => Vec::new(),
        };
        let single = [
            ("from", &self.from),
            ("to", &self.to),
            ("content", &self.content),
            ("group", &self.group),
            ("provider", &self.provider),
            ("session", &self.session),
            ("id", &self.id),
            ("state", &self.state),
            ("mailbox", &self.mailbox),
        ];
        let mut all: Vec<_> = single.iter().filter_map(|(key, template)| Some((*key, template.as_ref()?))).collect();
        all.extend(first.map(|template| ("first", template)));
        all.extend(event.map(|template| ("session_event", template)));
        all.extend(unknown.into_iter().map(|template| ("unknown_session", template)));
        all.extend(self.credentials.values().map(|template| ("credentials", template)));
        for (key, shapes) in
            [("channel_data", &self.channel_data), ("metadata", &self.metadata), ("details", &self.details)]
        {
            all.extend(shapes.values().flat_map(Shape::templates).map(|template| (key, template)));
        }
        all
    }

    /// Parameters that messages, receipts and the response are made of and cannot do without.
    pub(super) fn needed(&self) -> impl Iterator<Item = &Path> {
        let single = [
            &self.from,
            &self.to,
            &self.content,
            &self.group,
            &self.provider,
            &self.session,
            &self.id,
            &self.state,
            &self.mailbox,
        ];
        let shapes = [&self.channel_data, &self.metadata, &self.details].into_iter().flat_map(BTreeMap::values);
        let response = if self.hold { Vec::new() } else { self.response.templates() };
        let templates = single.into_iter().flatten().chain(shapes.flat_map(Shape::templates)).chain(response);
        let fields = templates.flat_map(Template::fields).filter(|field| !field.is_optional());
        self.required.iter().chain(fields.filter_map(parameter))
    }

    /// Whether it knows a parameter.
    pub(super) fn knows(&self, name: &str) -> bool {
        let named = |path: &Path| path.as_str() == name || path.first() == name;
        self.optional.iter().any(|optional| optional == name)
            || self.xml_in.as_deref() == Some(name)
            || self.each.as_ref().is_some_and(named)
            || self.required.iter().chain(self.when.keys()).chain(self.credentials.keys()).any(named)
            || self.templates().iter().flat_map(|(_, template)| template.fields()).filter_map(parameter).any(named)
    }

    /// Whether a request with these parameters is it.
    pub(super) fn fits(&self, parameters: &Value) -> bool {
        self.when.iter().all(|(path, condition)| condition.holds(path, parameters))
    }
}

/// The parameter that a field is.
fn parameter(field: &Field) -> Option<&Path> {
    field.path.as_ref().filter(|_| field.root == "in")
}

fn get_and_post() -> Vec<Method> {
    vec![Method::GET, Method::POST]
}

fn methods<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Method>, D::Error> {
    #[derive(Deserialize)]
    struct One(#[serde(deserialize_with = "method")] Method);
    Ok(Vec::<One>::deserialize(deserializer)?.into_iter().map(|One(method)| method).collect())
}
