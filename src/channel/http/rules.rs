//! Rules that decide what a request is: what parameters are like, where a turn stands in its session, what a receipt's state
//! means.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::answer::Pattern;
use super::path::{Path, text};
use super::template::Template;
use crate::model::{DeliveryStatus, SessionEvent};

/// What parameters are like.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    Present(bool),
    OneOf(Vec<String>),
    NoneOf(Vec<String>),
    Matches(Pattern),
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

impl Condition {
    /// Whether a parameter is like that.
    pub(super) fn holds(&self, path: &Path, parameters: &Value) -> bool {
        match self {
            Self::Present(present) => path.find(parameters).is_some() == *present,
            Self::OneOf(words) => path.text(parameters).is_some_and(|text| words.iter().any(|word| *word == text)),
            Self::NoneOf(words) => path.text(parameters).is_some_and(|text| words.iter().all(|word| *word != text)),
            Self::Matches(pattern) => path.text(parameters).is_some_and(|text| pattern.is_match(&text)),
        }
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
            Value::Object(mut object) => {
                let pattern = object.remove("matches").filter(|_| object.is_empty());
                let pattern = pattern.ok_or_else(|| wrong(help.to_owned()))?;
                Self::Matches(serde_json::from_value(pattern).map_err(|error| wrong(error.to_string()))?)
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
}
