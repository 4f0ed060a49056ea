//! The script file of `maybug sim`: its flags as keys of a YAML file, and what is too much for flags, `accounts:` that
//! the SMSC behaves differently towards, `tls:` and `ussd:`.
//!
//! Keys become flags in front of those on the command line, so that a value is read, checked and explained in one way,
//! wherever it comes from. An account's keys come after all of those and take their place.

use std::ffi::OsString;
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args as _, Command, CommandFactory, FromArgMatches};
use serde_json::{Map, Value};

use super::args::{Args, SimArgs};
use crate::config::nearest;
use crate::smsc::{Account, OF_THE_WHOLE, SimulatorConfig, UssdScript};

/// What a file says.
pub(super) struct Script {
    /// Flags of the command.
    flags: Vec<Flags>,
    ussd: UssdScript,
    accounts: Vec<AccountScript>,
}

/// A key as flags.
struct Flags {
    name: String,
    words: Vec<OsString>,
}

struct AccountScript {
    system_id: String,
    password: String,
    flags: Vec<Flags>,
    ussd: Option<UssdScript>,
}

/// Reads a script and the command line with it.
pub(super) fn parse(words: &[OsString], file: &Path) -> Result<Args, clap::Error> {
    let refuse = |why: String| Args::command().error(ErrorKind::Io, format!("{}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| refuse(error.to_string()))?;
    let keys: Map<String, Value> = serde_saphyr::from_str(&text).map_err(|error| refuse(error.to_string()))?;
    let script = Script::read(keys).map_err(refuse)?;
    let matches = Args::command().try_get_matches_from(script.expand(words))?;
    let mut args = Args::from_arg_matches(&matches)?;
    if let (super::args::Command::Sim(sim), Some(given)) = (&mut args.command, matches.subcommand_matches("sim")) {
        for account in &script.accounts {
            let account = account.finish(given, &script.ussd)?;
            sim.behaviour.accounts.push(account);
        }
        sim.behaviour.ussd.script = script.ussd;
    }
    Ok(args)
}

impl Script {
    fn read(mut keys: Map<String, Value>) -> Result<Self, String> {
        let (mut ussd, mut flags) = read_ussd("ussd", keys.remove("ussd"))?;
        let accounts = match keys.remove("accounts") {
            None => Vec::new(),
            Some(Value::Array(accounts)) => {
                let accounts = accounts.into_iter().enumerate();
                accounts.map(|(at, account)| AccountScript::read(at, account)).collect::<Result<_, _>>()?
            }
            Some(_) => return Err("accounts must be a list of maps with system_id, password and other keys".to_owned()),
        };
        if let Some(tls) = keys.remove("tls") {
            flags.extend(read_tls(tls)?);
        }
        for (key, value) in keys {
            flags.push(Flags::read("", &key, &value, &["accounts", "tls", "ussd"])?);
        }
        Ok(Self { flags, ussd: ussd.take().unwrap_or_default(), accounts })
    }

    /// The command line with the flags in it, right after the command.
    fn expand(&self, words: &[OsString]) -> Vec<OsString> {
        // The program and the command come first; there are no flags before a command.
        let (front, back) = words.split_at(words.len().min(2));
        let flags = self.flags.iter().flat_map(|flags| &flags.words);
        front.iter().chain(flags).chain(back).cloned().collect()
    }
}

impl AccountScript {
    fn read(at: usize, account: Value) -> Result<Self, String> {
        let path = format!("accounts[{at}].");
        let Value::Object(mut keys) = account else {
            return Err(format!("accounts[{at}] must be a map with system_id, password and other keys"));
        };
        let mut text = |key: &str| match keys.remove(key) {
            Some(Value::String(text)) => Ok(Some(text)),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            None => Ok(None),
            Some(_) => Err(format!("{path}{key} must be text")),
        };
        let system_id = text("system_id")?.filter(|name| !name.is_empty());
        let system_id = system_id.ok_or_else(|| format!("{path}system_id is missing: who binds"))?;
        let password = text("password")?.unwrap_or_default();
        let (ussd, mut flags) = read_ussd(&format!("{path}ussd"), keys.remove("ussd"))?;
        for (key, value) in keys {
            if OF_THE_WHOLE.contains(&key.replace('_', "-").as_str()) {
                return Err(format!("{path}{key} belongs to the whole simulator, not to one account"));
            }
            flags.push(Flags::read(&path, &key, &value, &["system_id", "password", "ussd"])?);
        }
        Ok(Self { system_id, password, flags, ussd })
    }

    /// The account, which is what was given for everybody but for its own keys.
    fn finish(&self, given: &ArgMatches, ussd: &UssdScript) -> Result<Account, clap::Error> {
        let command = SimulatorConfig::augment_args(Command::new("sim"));
        let own = |name: &str| self.flags.iter().any(|flags| flags.name == name);
        let inherited = command.get_arguments().filter_map(|arg| {
            let name = arg.get_long()?;
            let inherits = !own(name) && !OF_THE_WHOLE.contains(&name);
            let is_given = given.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
            (inherits && is_given).then(|| repeat(arg, name, given))
        });
        let own = self.flags.iter().flat_map(|flags| flags.words.iter().cloned());
        let words: Vec<OsString> = std::iter::once("sim".into())
            .chain(inherited.collect::<Vec<_>>().into_iter().flatten())
            .chain(own)
            .collect();
        let mut habits = SimulatorConfig::from_arg_matches(&command.try_get_matches_from(words)?)?;
        habits.ussd.script = self.ussd.as_ref().unwrap_or(ussd).clone();
        Ok(Account { habits: Some(Arc::new(habits)), ..Account::from((self.system_id.clone(), self.password.clone())) })
    }
}

/// A flag as it was given.
fn repeat(arg: &clap::Arg, name: &str, given: &ArgMatches) -> Vec<OsString> {
    if !arg.get_action().takes_values() {
        return vec![OsString::from(format!("--{name}"))];
    }
    let occurrences = given.get_raw_occurrences(arg.get_id().as_str()).into_iter().flatten();
    let joined = occurrences.map(|values| {
        let mut word = OsString::from(format!("--{name}="));
        for (at, value) in values.enumerate() {
            if at > 0 {
                word.push(",");
            }
            word.push(value);
        }
        word
    });
    joined.collect()
}

/// `ussd:` as flags, and what no flag can say.
fn read_ussd(path: &str, value: Option<Value>) -> Result<(Option<UssdScript>, Vec<Flags>), String> {
    let mut keys = match value {
        None => return Ok((None, Vec::new())),
        Some(Value::Object(keys)) => keys,
        Some(_) => return Err(format!("{path} must be a map with dialect, timeout, answers, phones and asked")),
    };
    let mut flags = Vec::new();
    for (key, name) in [("dialect", "ussd-dialect"), ("timeout", "ussd-timeout"), ("answers", "ussd-answer")] {
        if let Some(value) = keys.remove(key) {
            let words = words(name, &value).and_then(|words| check(name, words));
            flags.push(Flags { name: name.to_owned(), words: words.map_err(|why| format!("{path}.{key} {why}"))? });
        }
    }
    let script = serde_path_to_error::deserialize(Value::Object(keys));
    let script = script.map_err(|error| match error.path().to_string() {
        inner if inner == "." => format!("{path}: {}", error.inner()),
        inner => format!("{path}.{inner}: {}", error.inner()),
    })?;
    Ok((Some(script), flags))
}

/// `tls:` as flags.
fn read_tls(value: Value) -> Result<Vec<Flags>, String> {
    let Value::Object(keys) = value else { return Err("tls must be a map with cert and key".to_owned()) };
    let flags = keys.iter().map(|(key, value)| match key.as_str() {
        "cert" | "key" => Flags::read("", &format!("tls-{key}"), value, &[]),
        _ => Err(format!("tls.{key} is unknown: tls has cert and key")),
    });
    flags.collect()
}

impl Flags {
    /// A key at a path; `others` are allowed there too, and suggested for a misspelt one.
    fn read(path: &str, key: &str, value: &Value, others: &[&str]) -> Result<Self, String> {
        let name = key.replace('_', "-");
        let command = SimArgs::augment_args(Command::new("sim"));
        let flags = command.get_arguments().filter_map(clap::Arg::get_long).filter(|name| *name != "script");
        let known: Vec<&str> = flags.collect();
        if !known.contains(&name.as_str()) {
            let candidates: Vec<&str> = known.iter().chain(others).copied().collect();
            let hint = nearest(&name, &candidates).map(|near| format!(", did you mean '{near}'?")).unwrap_or_default();
            return Err(format!("unknown key '{path}{key}'{hint}"));
        }
        let words = words(&name, value).and_then(|words| check(&name, words));
        let words = words.map_err(|why| format!("{path}{key} {why}"))?;
        Ok(Self { name, words })
    }
}

/// A value as flags; none for `false` and for nothing.
fn words(name: &str, value: &Value) -> Result<Vec<OsString>, String> {
    let with = |value: &dyn Display| vec![OsString::from(format!("--{name}={value}"))];
    match value {
        Value::Null | Value::Bool(false) => Ok(Vec::new()),
        Value::Bool(true) => Ok(vec![OsString::from(format!("--{name}"))]),
        Value::String(text) => Ok(with(text)),
        Value::Number(number) => Ok(with(number)),
        Value::Array(items) => {
            items.iter().map(|item| words(name, item)).collect::<Result<Vec<_>, _>>().map(|all| all.concat())
        }
        Value::Object(_) => Err("must be a value or a list of values".to_owned()),
    }
}

/// Flags whose values are what they may be; what is wrong, without saying the value of an account again.
fn check(name: &str, words: Vec<OsString>) -> Result<Vec<OsString>, String> {
    let command = SimArgs::augment_args(Command::new("sim"));
    let given = std::iter::once(OsString::from("sim")).chain(words.iter().cloned());
    match command.try_get_matches_from(given) {
        Ok(_) => Ok(words),
        // What it needs beside it is looked at when everything has been read.
        Err(error) if error.kind() == ErrorKind::MissingRequiredArgument => Ok(words),
        Err(_) if name == "account" => Err("has the form SYSTEM_ID:PASSWORD or SYSTEM_ID:PASSWORD:tx+rx".to_owned()),
        Err(error) => {
            let text = error.to_string();
            let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
            let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("For more information"));
            let said = lines.collect::<Vec<_>>().join(" ");
            Err(format!("cannot be read: {}", said.strip_prefix("error: ").unwrap_or(&said)))
        }
    }
}
