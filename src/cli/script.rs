//! The script file of `maybug sim`: its flags as keys of a YAML file.
//!
//! The keys become flags in front of those on the command line, so that a value is read, checked and explained in
//! one way, wherever it comes from.

use std::ffi::OsString;
use std::path::Path;

use clap::error::ErrorKind;
use clap::{Args as _, Command, CommandFactory};
use serde_json::{Map, Value};

use super::args::{Args, SimArgs};
use crate::config::nearest;

/// The command line with the flags of a script in it, right after the command.
pub(super) fn expand(words: &[OsString], file: &Path) -> Result<Vec<OsString>, clap::Error> {
    let refuse = |why: String| Args::command().error(ErrorKind::Io, format!("{}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| refuse(error.to_string()))?;
    let keys: Map<String, Value> = serde_saphyr::from_str(&text).map_err(|error| refuse(error.to_string()))?;
    let flags = keys.iter().map(|(key, value)| flags(key, value)).collect::<Result<Vec<_>, _>>().map_err(refuse)?;
    // The program and the command come first; there are no flags before a command.
    let (front, back) = words.split_at(words.len().min(2));
    Ok(front.iter().cloned().chain(flags.into_iter().flatten()).chain(back.iter().cloned()).collect())
}

/// A key as flags; none for `false` and for nothing.
fn flags(key: &str, value: &Value) -> Result<Vec<OsString>, String> {
    let name = key.replace('_', "-");
    let command = SimArgs::augment_args(Command::new("sim"));
    let known: Vec<&str> =
        command.get_arguments().filter_map(clap::Arg::get_long).filter(|name| *name != "script").collect();
    if !known.contains(&name.as_str()) {
        let hint = nearest(&name, &known).map(|known| format!(", did you mean '{known}'?")).unwrap_or_default();
        return Err(format!("unknown key '{key}'{hint}"));
    }
    let with = |value: &str| OsString::from(format!("--{name}={value}"));
    match value {
        Value::Null | Value::Bool(false) => Ok(Vec::new()),
        Value::Bool(true) => Ok(vec![OsString::from(format!("--{name}"))]),
        Value::String(text) => Ok(vec![with(text)]),
        Value::Number(number) => Ok(vec![with(&number.to_string())]),
        Value::Array(items) => {
            items.iter().map(|item| flags(key, item)).collect::<Result<Vec<_>, _>>().map(|all| all.concat())
        }
        Value::Object(_) => Err(format!("'{key}' must be a value or a list of values")),
    }
}
