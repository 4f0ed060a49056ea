//! What a provider's requests are: by path and parameters, MOs, receipts, questions for MTs, or nothing of interest.

use std::collections::BTreeMap;

use hyper::Method;
use regex::Regex;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::config::{HttpConfig, REQUEST_FIELDS, method};
use super::content::{Reply, Shape};
use super::path::{Path, text};
use super::template::{Field, Template};
use crate::channel::ConfigError;
use crate::model::{DeliveryStatus, SessionEvent};

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

/// A path with names in it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct PathPattern(Vec<PathStep>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum PathStep {
    Literal(String),
    Name(String),
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

/// What parameters are like.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    Present(bool),
    OneOf(Vec<String>),
    NoneOf(Vec<String>),
    Matches(Regex),
}

/// Where a turn stands in its session.
#[derive(Clone, Debug)]
pub(super) enum EventRule {
    /// By whether the session is known.
    Auto,
    Always(SessionEvent),
    By(EventTable),
}

/// The same, by what something is filled in to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventTable {
    of: Template,
    values: BTreeMap<String, EventWord>,
    #[serde(default)]
    otherwise: EventWord,
}

/// A word for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum EventWord {
    #[default]
    Auto,
    New,
    Resume,
    Close,
    /// It is in no session.
    None,
}

/// What states of receipts mean; the first that fits.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct States {
    delivered: Vec<State>,
    failed: Vec<State>,
    pending: Vec<State>,
    otherwise: Otherwise,
}

/// What every other state means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Otherwise {
    Delivered,
    Failed,
    #[default]
    Pending,
}

/// Some states: a word, a number, or a range of numbers: `<0`, `>=100`, `1..5`.
#[derive(Clone, Debug, PartialEq)]
enum State {
    Word(String),
    Range(i64, i64),
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
        // What is said to a poll is said of MTs.
        let known = if self.kind == Kind::Poll { super::config::MT_FIELDS } else { REQUEST_FIELDS };
        for template in self.response.templates() {
            config.check_template(&format!("{key}.response"), template, &[known, REQUEST_FIELDS].concat())?;
        }
        Ok(())
    }

    /// The templates of what is read, with their keys.
    fn templates(&self) -> Vec<(&'static str, &Template)> {
        let first = self.first.iter().flat_map(|first| [&first.to, &first.content]).flatten();
        let event = match &self.session_event {
            Some(EventRule::By(table)) => Some(&table.of),
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

    /// Parameters that messages and receipts are made of and cannot do without.
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
        let templates = single.into_iter().flatten().chain(shapes.flat_map(Shape::templates));
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
        self.when.iter().all(|(path, condition)| match condition {
            Condition::Present(present) => path.find(parameters).is_some() == *present,
            Condition::OneOf(words) => path.text(parameters).is_some_and(|text| words.iter().any(|word| *word == text)),
            Condition::NoneOf(words) => {
                path.text(parameters).is_some_and(|text| words.iter().all(|word| *word != text))
            }
            Condition::Matches(pattern) => path.text(parameters).is_some_and(|text| pattern.is_match(&text)),
        })
    }
}

/// The parameter that a field is.
fn parameter(field: &Field) -> Option<&Path> {
    field.path.as_ref().filter(|_| field.root == "in")
}

impl PathPattern {
    /// The names' steps in a path, if it is one of these. A final slash makes no difference.
    pub(super) fn captures(&self, path: &str) -> Option<BTreeMap<String, String>> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let steps: Vec<&str> = path.split('/').skip(1).collect();
        if steps.len() != self.0.len() {
            return None;
        }
        let mut captures = BTreeMap::new();
        for (step, said) in self.0.iter().zip(steps) {
            match step {
                PathStep::Literal(literal) if literal == said => {}
                PathStep::Literal(_) => return None,
                PathStep::Name(name) => {
                    let decoded = percent_encoding::percent_decode_str(said).decode_utf8_lossy();
                    captures.insert(name.clone(), decoded.into_owned());
                }
            }
        }
        Some(captures)
    }

    /// Where to listen for it: the path, or `…/*` where names begin.
    pub(super) fn place(&self) -> String {
        let mut place = String::new();
        for step in &self.0 {
            match step {
                PathStep::Literal(literal) => {
                    place.push('/');
                    place.push_str(literal);
                }
                PathStep::Name(_) => return place + "/*",
            }
        }
        if place.is_empty() { "/".to_owned() } else { place }
    }
}

impl<'de> Deserialize<'de> for PathPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let path = text.strip_prefix('/').ok_or_else(|| wrong(format!("the path '{text}' does not begin with /")))?;
        let path = path.strip_suffix('/').unwrap_or(path);
        if path.is_empty() {
            return Ok(Self::default());
        }
        let steps = path.split('/').map(|step| {
            let name = step.strip_prefix('{').and_then(|step| step.strip_suffix('}'));
            match name {
                Some(name) => PathStep::Name(name.to_owned()),
                None => PathStep::Literal(step.to_owned()),
            }
        });
        Ok(Self(steps.collect()))
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let help = "a condition is true (given), false (not given), a text, a list of texts, {\"not\": list of texts} or \
                    {\"matches\": pattern}";
        let texts = |words: &[Value]| {
            let words = words.iter().map(|word| text(word).map(|word| word.into_owned())).collect::<Option<Vec<_>>>();
            words.ok_or_else(|| wrong(help.to_owned()))
        };
        Ok(match Value::deserialize(deserializer)? {
            Value::Bool(present) => Self::Present(present),
            Value::Array(words) => Self::OneOf(texts(&words)?),
            Value::Object(object) if object.len() == 1 && object.contains_key("not") => {
                let words = object.get("not").and_then(Value::as_array).ok_or_else(|| wrong(help.to_owned()))?;
                Self::NoneOf(texts(words)?)
            }
            Value::Object(object) => {
                let pattern = object.get("matches").and_then(Value::as_str).filter(|_| object.len() == 1);
                let pattern = pattern.ok_or_else(|| wrong(help.to_owned()))?;
                Self::Matches(Regex::new(pattern).map_err(|error| wrong(error.to_string()))?)
            }
            one => Self::OneOf(vec![text(&one).ok_or_else(|| wrong(help.to_owned()))?.into_owned()]),
        })
    }
}

impl<'de> Deserialize<'de> for EventRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if value.is_object() {
            return serde_json::from_value(value).map(Self::By).map_err(|error| wrong(error.to_string()));
        }
        let word = serde_json::from_value::<EventWord>(value).map_err(|error| wrong(error.to_string()))?;
        match word {
            EventWord::Auto => Ok(Self::Auto),
            EventWord::New => Ok(Self::Always(SessionEvent::New)),
            EventWord::Resume => Ok(Self::Always(SessionEvent::Resume)),
            EventWord::Close => Ok(Self::Always(SessionEvent::Close)),
            EventWord::None => Err(wrong("'none' is said by leaving it out".to_owned())),
        }
    }
}

impl EventTable {
    /// What decides.
    pub(super) fn of(&self) -> &Template {
        &self.of
    }

    /// What a text means.
    pub(super) fn word(&self, text: &str) -> EventWord {
        self.values.get(text).copied().unwrap_or(self.otherwise)
    }
}

impl States {
    /// What a state means.
    pub(super) fn status(&self, state: &str) -> DeliveryStatus {
        let any = |states: &[State]| states.iter().any(|known| known.is(state.trim()));
        match () {
            () if any(&self.delivered) => DeliveryStatus::Delivered,
            () if any(&self.failed) => DeliveryStatus::Failed,
            () if any(&self.pending) => DeliveryStatus::Pending,
            () => match self.otherwise {
                Otherwise::Delivered => DeliveryStatus::Delivered,
                Otherwise::Failed => DeliveryStatus::Failed,
                Otherwise::Pending => DeliveryStatus::Pending,
            },
        }
    }
}

impl State {
    fn is(&self, state: &str) -> bool {
        match self {
            Self::Word(word) => word == state,
            Self::Range(least, most) => state.parse::<i64>().is_ok_and(|number| (*least..=*most).contains(&number)),
        }
    }

    fn parse(text: &str) -> Self {
        let range = || {
            if let Some(most) = text.strip_prefix("<=") {
                return Some((i64::MIN, most.parse().ok()?));
            }
            if let Some(least) = text.strip_prefix(">=") {
                return Some((least.parse().ok()?, i64::MAX));
            }
            if let Some(above) = text.strip_prefix('<') {
                return Some((i64::MIN, above.parse::<i64>().ok()?.checked_sub(1)?));
            }
            if let Some(below) = text.strip_prefix('>') {
                return Some((below.parse::<i64>().ok()?.checked_add(1)?, i64::MAX));
            }
            let (least, most) = text.split_once("..")?;
            Some((least.parse().ok()?, most.parse().ok()?))
        };
        match range() {
            Some((least, most)) => Self::Range(least, most),
            None => Self::Word(text.to_owned()),
        }
    }
}

impl<'de> Deserialize<'de> for State {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let text = text(&value).ok_or_else(|| wrong("a state is a word, a number or a range".to_owned()))?;
        Ok(Self::parse(&text))
    }
}

fn get_and_post() -> Vec<Method> {
    vec![Method::GET, Method::POST]
}

fn methods<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Method>, D::Error> {
    #[derive(Deserialize)]
    struct One(#[serde(deserialize_with = "method")] Method);
    Ok(Vec::<One>::deserialize(deserializer)?.into_iter().map(|One(method)| method).collect())
}

fn wrong<E: serde::de::Error>(why: String) -> E {
    E::custom(why)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn states_are_words_numbers_and_ranges() {
        let states: States = serde_json::from_value(json!({
            "delivered": [2, 14, "D"], "failed": ["<0", "100..199", ">=900"], "pending": ["P"], "otherwise": "failed",
        }))
        .unwrap();
        for (state, expected) in [
            ("2", DeliveryStatus::Delivered),
            (" 14 ", DeliveryStatus::Delivered),
            ("D", DeliveryStatus::Delivered),
            ("d", DeliveryStatus::Failed),
            ("-3", DeliveryStatus::Failed),
            ("P", DeliveryStatus::Pending),
            ("0", DeliveryStatus::Failed),
        ] {
            assert_eq!(states.status(state), expected, "{state}");
        }
        let states: States = serde_json::from_value(json!({"failed": ["<0", "100..199", ">=900"]})).unwrap();
        for (state, expected) in
            [("-1", true), ("0", false), ("100", true), ("200", false), ("900", true), ("x", false)]
        {
            assert_eq!(states.status(state) == DeliveryStatus::Failed, expected, "{state}");
        }
    }

    #[test]
    fn a_path_may_have_names_in_it() {
        let pattern: PathPattern = serde_json::from_value(json!("/session/{id}/start")).unwrap();
        assert_eq!(pattern.captures("/session/a%20b/start/").unwrap()["id"], "a b");
        for other in ["/session/a/end", "/session/a", "/", "/x/session/a/start"] {
            assert_eq!(pattern.captures(other), None, "{other}");
        }
        assert_eq!(pattern.place(), "/session/*");
        let root: PathPattern = serde_json::from_value(json!("/")).unwrap();
        assert!(root.captures("/").is_some() && root.place() == "/");
    }
}
