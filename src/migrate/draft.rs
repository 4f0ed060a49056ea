//! A channel under construction: settings of another system become keys of ours, and each that is renamed, differs or
//! is left out gets a note.

use serde_json::Value;

use super::Note;
use crate::channel::esme::aliases;
use crate::config::nearest;
use crate::model::JsonObject;

/// A setting as it stands in the other system's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) place: String,
    pub(super) key: String,
    pub(super) value: String,
}

/// What becomes of a key of the other system.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    /// The table of aliases has it.
    Alias,
    /// The same, but it does not mean quite the same: a sentence.
    Differs(&'static str),
    /// It has no counterpart: why, and what to do instead.
    Without(&'static str),
    /// The importer reads it by itself.
    Own,
}

/// A table of keys.
pub(super) type Rules = [(&'static str, Rule)];

/// See the file's head.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    pub(super) label: String,
    pub(super) config: JsonObject,
    pub(super) notes: Vec<Note>,
}

/// Keys whose values are text although they may look like numbers.
const TEXTS: [&str; 6] = ["system_id", "password", "system_type", "address_range", "service_type", "interface_version"];

impl Draft {
    /// Sets a key of ours.
    pub(super) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.config.insert(key.to_owned(), value.into());
    }

    /// Sets a key of ours that the other system has another default for.
    pub(super) fn otherwise(&mut self, key: &str, value: impl Into<Value>) {
        self.config.entry(key).or_insert(value.into());
    }

    /// A sentence about a setting.
    pub(super) fn note(&mut self, setting: &Setting, text: &str) {
        // Objects may have passwords in them: Vumi's redis_manager.
        let secret = setting.key.contains("password") || setting.value.starts_with(['{', '[']);
        let value = if secret { "…" } else { setting.value.as_str() };
        let text = format!("'{} = {value}' {text}", setting.key);
        self.notes.push(Note { place: setting.place.clone(), text });
    }

    /// Applies the table to a setting; a key that is in no table is named with the nearest that is.
    pub(super) fn apply(&mut self, rules: &Rules, setting: &Setting) {
        match rules.iter().find(|(key, _)| *key == setting.key) {
            Some((_, Rule::Alias)) => self.alias(setting, None),
            Some((_, Rule::Differs(how))) => self.alias(setting, Some(how)),
            Some((_, Rule::Without(why))) => self.note(setting, &format!("has no counterpart: {why}")),
            Some((_, Rule::Own)) => {}
            None => {
                let known: Vec<&str> = rules.iter().map(|(key, _)| *key).collect();
                let hint = nearest(&setting.key, &known);
                let hint = hint.map(|known| format!(", did you mean '{known}'?")).unwrap_or_default();
                self.note(setting, &format!("was left out: nobody knows this key{hint}"));
            }
        }
    }

    fn alias(&mut self, setting: &Setting, differs: Option<&str>) {
        let pairs = match aliases::translate(&setting.key, &Value::from(setting.value.as_str())) {
            Ok(pairs) => pairs.unwrap_or_default(),
            Err(error) => {
                self.note(setting, &format!("was left out: {}", error.message));
                return;
            }
        };
        let mut became = Vec::new();
        for (key, value) in pairs {
            let value = if TEXTS.contains(&key) { value } else { numeric(value) };
            if key != setting.key {
                let shown = if key == "password" { "…".to_owned() } else { shown(&value) };
                became.push(format!("{key} {shown}"));
            }
            self.set(key, value);
        }
        let became = if became.is_empty() { "stays".to_owned() } else { format!("became {}", became.join(" and ")) };
        match differs {
            Some(how) => self.note(setting, &format!("{became}; {how}")),
            None if became != "stays" => self.note(setting, &became),
            None => {}
        }
    }
}

fn shown(value: &Value) -> String {
    value.as_str().filter(|text| !text.is_empty()).map_or_else(|| value.to_string(), str::to_owned)
}

/// Numbers in text as numbers.
fn numeric(value: Value) -> Value {
    let Some(text) = value.as_str().map(str::trim) else { return value };
    let whole = text.parse::<u64>().ok().map(Value::from);
    let number = whole.or_else(|| text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from));
    number.unwrap_or(value)
}

/// A TCP endpoint string; colons are kept by a backslash.
pub(super) fn endpoint(host: &str, port: &str, local: Option<&str>) -> String {
    let plain = |text: &str| text.replace('\\', "\\\\").replace(':', "\\:");
    let local = local.map(|local| format!(":bindAddress={}", plain(local))).unwrap_or_default();
    format!("tcp:host={}:port={}{local}", plain(host), plain(port))
}
