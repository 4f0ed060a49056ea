//! Typed access to a channel's `config`: each reader names the key and what it should have been.
//!
//! Numbers may be strings and booleans 0 or 1, as Vumi took them. `null` is the same as absent.

use std::time::Duration;

use serde_json::Value;

use super::ConfigError;
use crate::model::JsonObject;

/// Keys that every worker of Vumi's has: of no consequence here, but no configuration is refused for them.
pub(super) const WORKER_KEYS: [&str; 5] =
    ["transport_name", "worker_name", "publish_status", "amqp_prefetch_count", "middleware"];

/// A configuration, flat.
#[derive(Debug)]
pub(crate) struct Fields(pub(crate) JsonObject);

impl Fields {
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&self, key: &str) -> Result<Option<String>, ConfigError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(_) => Err(wrong(key, "is not a string")),
        }
    }

    pub(crate) fn required_text(&self, key: &str) -> Result<String, ConfigError> {
        self.text(key)?.ok_or_else(|| ConfigError::new(key, format!("Missing required config field '{key}'")))
    }

    pub(crate) fn sized_text(&self, key: &str, most: usize, required: bool) -> Result<String, ConfigError> {
        let text = if required { self.required_text(key)? } else { self.text(key)?.unwrap_or_default() };
        if text.len() > most || !text.is_ascii() || text.contains('\0') {
            return Err(wrong(key, &format!("must be at most {most} ASCII characters")));
        }
        Ok(text)
    }

    /// Also 0 and 1, and the words as text in any case; empty text is false. To Vumi every other text is true, `no` and
    /// `off` too, which nobody means: it is an error.
    pub(crate) fn boolean(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        let value = match self.get(key) {
            None => return Ok(None),
            Some(Value::Bool(value)) => Some(*value),
            Some(Value::Number(number)) if number.as_f64() == Some(0.0) => Some(false),
            Some(Value::Number(number)) if number.as_f64() == Some(1.0) => Some(true),
            Some(Value::String(text)) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" => Some(true),
                "false" | "0" | "" => Some(false),
                _ => None,
            },
            Some(_) => None,
        };
        value.map(Some).ok_or_else(|| wrong(key, "is not true or false"))
    }

    pub(crate) fn number(&self, key: &str) -> Result<Option<f64>, ConfigError> {
        let number = match self.get(key) {
            None => return Ok(None),
            Some(Value::Number(number)) => number.as_f64(),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(_) => None,
        };
        let number = number.filter(|number: &f64| number.is_finite());
        number.map(Some).ok_or_else(|| wrong(key, "is not a number"))
    }

    pub(crate) fn integer<T>(&self, key: &str, range: std::ops::RangeInclusive<T>) -> Result<Option<T>, ConfigError>
    where
        T: TryFrom<i64> + PartialOrd + std::fmt::Display,
    {
        let Some(number) = self.number(key)? else { return Ok(None) };
        let integer = if number.fract() == 0.0 { T::try_from(number as i64).ok() } else { None };
        let fits = integer.filter(|integer| range.contains(integer));
        let (least, most) = (range.start(), range.end());
        fits.map(Some).ok_or_else(|| wrong(key, &format!("must be a whole number from {least} to {most}")))
    }

    /// At least a millisecond, at most ten years.
    pub(crate) fn seconds(&self, key: &str, default: f64) -> Result<Duration, ConfigError> {
        Ok(self.optional_seconds(key)?.unwrap_or_else(|| Duration::from_secs_f64(default)))
    }

    /// The same, without a default.
    pub(crate) fn optional_seconds(&self, key: &str) -> Result<Option<Duration>, ConfigError> {
        let Some(seconds) = self.number(key)? else { return Ok(None) };
        if !(0.001..=315_360_000.0).contains(&seconds) {
            return Err(wrong(key, "must be a number of seconds larger than zero"));
        }
        Ok(Some(Duration::from_secs_f64(seconds)))
    }

    /// One of some words; the first when absent.
    pub(crate) fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Result<T, ConfigError> {
        let text = self.text(key)?;
        let found = match &text {
            None => choices.first(),
            Some(text) => choices.iter().find(|(word, _)| word == text),
        };
        found.map(|(_, choice)| *choice).ok_or_else(|| {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            wrong(key, &format!("must be one of: {}", words.join(", ")))
        })
    }

    pub(crate) fn object(&self, key: &str) -> Result<Option<&JsonObject>, ConfigError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(_) => Err(wrong(key, "is not an object")),
        }
    }

    pub(crate) fn texts(&self, key: &str) -> Result<Vec<String>, ConfigError> {
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned).ok_or_else(|| wrong(key, "is not a list of strings")))
                .collect(),
            Some(_) => Err(wrong(key, "is not a list of strings")),
        }
    }
}

/// A sentence about a key.
pub(crate) fn wrong(key: &str, how: &str) -> ConfigError {
    ConfigError::new(key, format!("Field '{key}' {how}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Vumi's ConfigBool: numbers, and text of which only `false`, `0` and nothing are no.
    #[test]
    fn a_boolean_may_be_a_number_or_a_word_and_anything_else_is_named() {
        for (value, expected) in [
            (json!(true), true),
            (json!(1), true),
            (json!("1"), true),
            (json!(" True "), true),
            (json!("true"), true),
            (json!(false), false),
            (json!(0), false),
            (json!("0"), false),
            (json!("False"), false),
            (json!(""), false),
        ] {
            let fields = Fields(JsonObject::from_iter([("disable_ack".to_owned(), value.clone())]));
            assert_eq!(fields.boolean("disable_ack"), Ok(Some(expected)), "{value}");
        }
        for value in [json!(2), json!(0.5), json!("no"), json!("maybe"), json!([]), json!({})] {
            let fields = Fields(JsonObject::from_iter([("disable_ack".to_owned(), value.clone())]));
            let error = fields.boolean("disable_ack").unwrap_err();
            assert_eq!(error.message, "Field 'disable_ack' is not true or false", "{value}");
        }
    }
}
