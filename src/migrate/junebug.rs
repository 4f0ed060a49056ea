//! Junebug: a channel as its API has it, or several in a list; or the YAML file of the server.
//!
//! Its keys are ours. A channel's config gets `strict_vumi`, so that absent keys mean what they meant.

use std::path::Path;

use serde_json::Value;

use super::{MigrateError, Migration, Note, name, read};
use crate::config::Config;
use crate::model::JsonObject;

/// What the API adds when it shows a channel.
const SHOWN: [&str; 2] = ["id", "status"];

pub(super) fn migrate(path: &Path) -> Result<Migration, MigrateError> {
    let syntax = |message: String| MigrateError::Syntax { place: name(path), message };
    // JSON is YAML.
    let document: Value = serde_saphyr::from_str(&read(path)?).map_err(|error| syntax(error.to_string()))?;
    let mut migration = Migration::default();
    match unwrapped(document) {
        Value::Array(items) => {
            for item in items {
                let Value::Object(item) = unwrapped(item) else {
                    return Err(syntax("a list must be a list of channels".to_owned()));
                };
                migration.channels.push(channel(item, path, &mut migration.notes));
            }
        }
        Value::Object(object) if object.contains_key("config") => {
            migration.channels.push(channel(object, path, &mut migration.notes));
        }
        Value::Object(object) => {
            let problem = |text: String| Note { place: name(path), text };
            let (about, problems) = Config::problems(&object);
            migration.notes.extend(about.into_iter().map(problem));
            migration.problems.extend(problems.iter().map(|error| problem(error.to_string())));
        }
        _ => return Err(syntax("it is neither a channel nor a configuration file".to_owned())),
    }
    Ok(migration)
}

/// A channel out of the answer that it came in: `{"status": 200, "result": {…}}`.
fn unwrapped(document: Value) -> Value {
    match document {
        Value::Object(mut answer) if answer.contains_key("result") && answer.contains_key("status") => {
            answer.remove("result").unwrap_or_default()
        }
        other => other,
    }
}

fn channel(mut channel: JsonObject, path: &Path, notes: &mut Vec<Note>) -> Value {
    for key in SHOWN {
        if channel.remove(key).is_some() {
            let text = format!("'{key}' was left out: the server says it");
            notes.push(Note { place: name(path), text });
        }
    }
    as_junebug_meant(&mut channel, &name(path), notes);
    Value::Object(channel)
}

/// Absent keys of a channel as they were meant.
pub(super) fn as_junebug_meant(channel: &mut JsonObject, place: &str, notes: &mut Vec<Note>) {
    if channel.get("type").and_then(Value::as_str) == Some("smpp")
        && let Some(config) = channel.get_mut("config").and_then(Value::as_object_mut)
        && !config.contains_key("strict_vumi")
    {
        config.insert("strict_vumi".to_owned(), Value::Bool(true));
        let text = "strict_vumi true was added: absent keys mean what they meant in Junebug; without it they take what \
                    delivers best";
        notes.push(Note { place: place.to_owned(), text: text.to_owned() });
    }
}
