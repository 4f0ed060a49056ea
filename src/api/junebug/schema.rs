//! Which form bodies must have, and Junebug's words for what is wrong with them (Junebug reference §1.3).
//!
//! Every violation is reported. Messages are those of the validator that Junebug used, Python's spellings included.

use serde_json::Value;

use crate::api::error::{ApiError, Violation};
use crate::gateway::FARTHEST;
use crate::model::{JsonObject, Priority, Timestamp};

/// What a field may be.
#[derive(Clone, Copy, Debug)]
pub(in crate::api) enum Kind {
    Text,
    TextOrNull,
    Flag,
    Object,
    ObjectOrNull,
    List,
    ListOrNull,
    /// A whole number, zero or more.
    Count,
    CountOrNull,
    /// A whole number from 1 to 5, as such or as text, or the name of one.
    Priority,
    /// An instant as text.
    Time,
    /// A whole number of seconds, one or more, a leap year at most.
    Seconds,
}

/// A body's form.
pub(in crate::api) struct Schema {
    pub(in crate::api) required: &'static [&'static str],
    pub(in crate::api) fields: &'static [(&'static str, Kind)],
    /// Whether fields that are not listed are accepted.
    pub(in crate::api) open: bool,
}

/// Creating a channel (§2.2). Null is what a change has instead of absence, so what was changed can be created again.
pub(super) const CHANNEL: Schema = Schema {
    required: &["type", "config"],
    fields: &[
        ("type", Kind::Text),
        ("config", Kind::Object),
        ("label", Kind::Text),
        ("metadata", Kind::Object),
        ("status_url", Kind::TextOrNull),
        ("mo_url", Kind::TextOrNull),
        ("mo_url_auth_token", Kind::TextOrNull),
        ("amqp_queue", Kind::TextOrNull),
        ("rate_limit_count", Kind::Count),
        ("rate_limit_window", Kind::Count),
        ("character_limit", Kind::CountOrNull),
    ],
    open: true,
};

/// Changing a channel (§2.4).
pub(super) const CHANNEL_CHANGES: Schema = Schema { required: &[], ..CHANNEL };

/// Creating or replacing a router (§5.1).
pub(super) const ROUTER: Schema = Schema { required: &["type", "config"], ..ROUTER_CHANGES };

/// Changing a router (§5.5).
pub(super) const ROUTER_CHANGES: Schema = Schema {
    required: &[],
    fields: &[("type", Kind::Text), ("config", Kind::Object), ("label", Kind::Text), ("metadata", Kind::Object)],
    open: false,
};

/// Creating or replacing a destination (§5.1).
pub(super) const DESTINATION: Schema = Schema { required: &["config"], ..DESTINATION_CHANGES };

/// Changing a destination (§5.5).
pub(super) const DESTINATION_CHANGES: Schema = Schema {
    required: &[],
    fields: &[
        ("config", Kind::Object),
        ("label", Kind::Text),
        ("metadata", Kind::Object),
        ("mo_url", Kind::Text),
        ("mo_url_token", Kind::Text),
        ("amqp_queue", Kind::Text),
        ("character_limit", Kind::Count),
    ],
    open: false,
};

/// Sending a message (§2.7).
pub(super) const MESSAGE: Schema = Schema {
    required: &["content"],
    fields: &[
        ("content", Kind::Text),
        ("to", Kind::Text),
        ("from", Kind::TextOrNull),
        ("group", Kind::TextOrNull),
        ("reply_to", Kind::Text),
        ("event_url", Kind::Text),
        ("event_auth_token", Kind::Text),
        ("priority", Kind::Priority),
        ("channel_data", Kind::Object),
        ("send_at", Kind::Time),
        ("expires_at", Kind::Time),
        ("validity", Kind::Seconds),
    ],
    open: false,
};

impl Schema {
    /// A body as an object of this form.
    ///
    /// # Errors
    /// [`ApiError::NotJson`], [`ApiError::Invalid`] with every violation.
    pub(in crate::api) fn read(&self, body: &[u8]) -> Result<JsonObject, ApiError> {
        let value: Value = serde_json::from_slice(body).map_err(|error| ApiError::NotJson(error.to_string()))?;
        let Value::Object(object) = value else {
            let message = format!("{} is not of type 'object'", python(&value));
            return Err(ApiError::Invalid(vec![Violation { message, schema_path: vec!["type".to_owned()] }]));
        };
        self.check(&object)?;
        Ok(object)
    }

    /// Whether an object has this form.
    ///
    /// # Errors
    /// [`ApiError::Invalid`] with every violation.
    pub(in crate::api) fn check(&self, object: &JsonObject) -> Result<(), ApiError> {
        let mut violations = Vec::new();
        for field in self.required.iter().filter(|field| !object.contains_key(**field)) {
            let message = format!("'{field}' is a required property");
            violations.push(Violation { message, schema_path: vec!["required".to_owned()] });
        }
        for (field, kind) in self.fields {
            if let Some((rule, message)) = object.get(*field).and_then(|value| kind.violation(value)) {
                let schema_path = ["properties", field, rule].map(ToOwned::to_owned).into();
                violations.push(Violation { message, schema_path });
            }
        }
        violations.extend(self.unexpected(object));
        if violations.is_empty() { Ok(()) } else { Err(ApiError::Invalid(violations)) }
    }

    fn unexpected(&self, object: &JsonObject) -> Option<Violation> {
        let known = |key: &String| self.open || self.fields.iter().any(|(field, _)| field == key);
        let unexpected: Vec<String> = object.keys().filter(|key| !known(key)).map(|key| format!("'{key}'")).collect();
        let verb = match unexpected.len() {
            0 => return None,
            1 => "was",
            _ => "were",
        };
        let names = unexpected.join(", ");
        let message = format!("Additional properties are not allowed ({names} {verb} unexpected)");
        Some(Violation { message, schema_path: vec!["additionalProperties".to_owned()] })
    }
}

impl Kind {
    /// The rule that a value breaks, and how to say so.
    fn violation(self, value: &Value) -> Option<(&'static str, String)> {
        let not = |name: &str| Some(("type", format!("{} is not of type {name}", python(value))));
        match (self, value) {
            (Self::Text | Self::TextOrNull, Value::String(_)) => None,
            (Self::TextOrNull | Self::CountOrNull | Self::ObjectOrNull | Self::ListOrNull, Value::Null) => None,
            (Self::Flag, Value::Bool(_)) => None,
            (Self::Object | Self::ObjectOrNull, Value::Object(_)) => None,
            (Self::List | Self::ListOrNull, Value::Array(_)) => None,
            (Self::Text, _) => not("'string'"),
            (Self::TextOrNull, _) => not("'string', 'null'"),
            (Self::Flag, _) => not("'boolean'"),
            (Self::Object, _) => not("'object'"),
            (Self::ObjectOrNull, _) => not("'object', 'null'"),
            (Self::List, _) => not("'array'"),
            (Self::ListOrNull, _) => not("'array', 'null'"),
            (Self::Count | Self::CountOrNull, Value::Number(number)) if number.is_i64() || number.is_u64() => {
                let negative = number.as_i64().is_some_and(|number| number < 0);
                negative.then(|| ("minimum", format!("{number} is less than the minimum of 0")))
            }
            (Self::Count, _) => not("'integer'"),
            (Self::CountOrNull, _) => not("'integer', 'null'"),
            (Self::Priority, value) => match Priority::number(value) {
                Some(1..=5) => None,
                Some(number) if number < 1 => Some(("minimum", format!("{number} is less than the minimum of 1"))),
                Some(number) => Some(("maximum", format!("{number} is greater than the maximum of 5"))),
                None => not("'integer'"),
            },
            (Self::Time, Value::String(text)) => {
                let bad = Timestamp::parse_any(text).is_none();
                bad.then(|| ("format", format!("'{text}' is not a 'date-time'")))
            }
            (Self::Time, _) => not("'string'"),
            (Self::Seconds, Value::Number(number)) if number.is_i64() || number.is_u64() => {
                let most = FARTHEST.as_secs();
                match number.as_u64() {
                    None | Some(0) => Some(("minimum", format!("{number} is less than the minimum of 1"))),
                    Some(seconds) if seconds > most => {
                        Some(("maximum", format!("{number} is greater than the maximum of {most}")))
                    }
                    Some(_) => None,
                }
            }
            (Self::Seconds, _) => not("'integer'"),
        }
    }
}

/// A value as Python would print it.
fn python(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("'{text}'"),
        Value::Array(items) => format!("[{}]", items.iter().map(python).collect::<Vec<_>>().join(", ")),
        Value::Object(object) => {
            let rows: Vec<String> = object.iter().map(|(key, value)| format!("'{key}': {}", python(value))).collect();
            format!("{{{}}}", rows.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(schema: &Schema, body: &str) -> Vec<String> {
        let Err(ApiError::Invalid(mut violations)) = schema.read(body.as_bytes()) else { panic!("{body}") };
        violations.sort();
        violations.into_iter().map(|violation| violation.message).collect()
    }

    #[test]
    fn every_violation_is_told_in_junebugs_words() {
        assert_eq!(
            messages(&MESSAGE, r#"{"to": null, "priority": 7, "b": 1, "a": 2}"#),
            [
                "'content' is a required property",
                "7 is greater than the maximum of 5",
                "Additional properties are not allowed ('a', 'b' were unexpected)",
                "None is not of type 'string'",
            ]
        );
        assert_eq!(messages(&CHANNEL, "[]"), ["[] is not of type 'object'"]);
        assert_eq!(
            messages(&CHANNEL, r#"{"type": "smpp", "config": {}, "rate_limit_count": -3, "character_limit": true}"#),
            ["-3 is less than the minimum of 0", "True is not of type 'integer', 'null'"]
        );
        assert_eq!(
            messages(&MESSAGE, r#"{"content": "", "send_at": "soon", "expires_at": 1, "validity": 0}"#),
            ["'soon' is not a 'date-time'", "0 is less than the minimum of 1", "1 is not of type 'string'"]
        );
        assert!(CHANNEL.read(br#"{"type": "x", "config": {}, "anything": [1]}"#).is_ok());
        assert!(MESSAGE.read(br#"{"content": "x", "priority": "5", "from": null}"#).is_ok());
        assert!(matches!(MESSAGE.read(b"{} x"), Err(ApiError::NotJson(_))));
    }
}
