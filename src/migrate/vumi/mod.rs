//! Vumi: the YAML of an SMPP transport, or of a MultiWorker with several.
//!
//! Its keys are ours, nested or flat, so they are kept as they are; `strict_vumi` gives absent ones Vumi's defaults.

mod keys;
mod pair;

use std::path::Path;

use serde_json::Value;

use self::pair::{Bind, join};
use super::draft::{Draft, Setting};
use super::{MigrateError, Migration, Note, channel, name, read};
use crate::model::JsonObject;

/// A transport's class, by the last word of its path.
#[derive(Clone, Copy, Debug)]
struct Class {
    name: &'static str,
    mode: &'static str,
    /// Whether it is of the engine that Vumi gave up.
    old: bool,
    /// Whether it reads the processors' keys at top level.
    flat: bool,
}

const fn class(name: &'static str, mode: &'static str, old: bool, flat: bool) -> Class {
    Class { name, mode, old, flat }
}

const CLASSES: [Class; 8] = [
    class("SmppTransceiverTransport", "trx", false, false),
    class("SmppTransmitterTransport", "tx", false, false),
    class("SmppReceiverTransport", "rx", false, false),
    class("SmppTransceiverTransportWithOldConfig", "trx", false, true),
    // Of this engine there are releases with either.
    class("SmppTransport", "trx", true, true),
    class("SmppTransportWithOldConfig", "trx", true, true),
    class("SmppTxTransport", "tx", true, true),
    class("SmppRxTransport", "rx", true, true),
];

fn class_of(path: &str) -> Option<Class> {
    let last = path.rsplit('.').next().unwrap_or_default();
    CLASSES.into_iter().find(|class| class.name == last)
}

/// Keys that say the class of a transport that is alone in its file.
const CLASS_KEYS: [&str; 3] = ["transport_class", "worker_class", "class"];

/// A transport with its settings.
struct Transport {
    /// Its section, in a MultiWorker's file.
    section: Option<String>,
    /// The key that says its class, and the class.
    class: Option<(String, String)>,
    config: JsonObject,
}

pub(super) fn migrate(path: &Path) -> Result<Migration, MigrateError> {
    let syntax = |message: String| MigrateError::Syntax { place: name(path), message };
    let text = read(path)?;
    let document: Value = serde_saphyr::from_str(&text).map_err(|error| syntax(error.to_string()))?;
    let Value::Object(document) = document else { return Err(syntax("it is no YAML mapping".to_owned())) };
    let places = Places { file: name(path), text: &text };
    let mut notes = Vec::new();
    let mut binds: Vec<Bind> = Vec::new();
    for transport in transports(document, &places, &mut notes) {
        let prefix = transport.config.get("split_bind_prefix").and_then(Value::as_str).map(str::to_owned);
        let section = transport.section.clone();
        let mut draft = draft(transport, &places);
        notes.append(&mut draft.notes);
        let bind = Bind { draft, prefix: prefix.filter(|prefix| !prefix.is_empty()), section };
        join(&mut binds, bind, &places, &mut notes);
    }
    if binds.is_empty() {
        let message = "there is no SMPP transport in it".to_owned();
        return Err(MigrateError::Nothing { path: path.to_owned(), message });
    }
    Ok(Migration { channels: binds.into_iter().map(|bind| channel(bind.draft)).collect(), notes, problems: Vec::new() })
}

/// Where keys stand; YAML's reader does not say.
struct Places<'a> {
    file: String,
    text: &'a str,
}

impl Places<'_> {
    /// A key of a section, or of none; where it stands first if the section has it from the defaults.
    fn of(&self, section: Option<&str>, key: &str) -> String {
        let stands = |line: &str| {
            let line = line.trim_start().trim_start_matches("- ").trim_start_matches(['"', '\'']);
            line.strip_prefix(key)
                .is_some_and(|rest| rest.trim_start_matches(['"', '\'']).trim_start().starts_with(':'))
        };
        let begins = |line: &str| section.is_some_and(|name| line.trim_end() == format!("{name}:"));
        let begin = self.text.lines().position(begins).map_or(0, |index| index + 1);
        let mut inside =
            self.text.lines().skip(begin).take_while(|line| begin == 0 || !line.starts_with(char::is_alphanumeric));
        let found = inside.position(stands).map(|index| begin + index);
        match found.or_else(|| self.text.lines().position(stands)) {
            Some(index) => format!("{}:{}", self.file, index + 1),
            None => self.file.clone(),
        }
    }
}

/// One transport, or those of a MultiWorker: `workers: {NAME: CLASS}`, `defaults`, and a section for each name.
fn transports(mut document: JsonObject, places: &Places<'_>, notes: &mut Vec<Note>) -> Vec<Transport> {
    let Some(Value::Object(workers)) = document.get("workers").cloned() else {
        let class =
            CLASS_KEYS.iter().find_map(|key| Some(((*key).to_owned(), document.get(*key)?.as_str()?.to_owned())));
        return vec![Transport { section: None, class, config: document }];
    };
    let section = |value: Option<Value>| match value {
        Some(Value::Object(section)) => section,
        _ => JsonObject::new(),
    };
    let defaults = section(document.remove("defaults"));
    let mut transports = Vec::new();
    for (worker, class) in workers {
        let class = class.as_str().unwrap_or_default().to_owned();
        if class_of(&class).is_none() {
            let text = format!("the worker '{worker}' ({class}) is not an SMPP transport: left out");
            notes.push(Note { place: places.of(None, &worker), text });
            continue;
        }
        let mut config = defaults.clone();
        config.extend(section(document.remove(&worker)));
        transports.push(Transport { section: Some(worker.clone()), class: Some((worker, class)), config });
    }
    transports
}

fn draft(transport: Transport, places: &Places<'_>) -> Draft {
    let text = |key: &str| transport.config.get(key).and_then(Value::as_str).map(str::to_owned);
    let section = transport.section.as_deref();
    let name = text("transport_name").or_else(|| text("TRANSPORT_NAME"));
    let label = name.or_else(|| transport.section.clone()).unwrap_or_else(|| "vumi".to_owned());
    let mut draft = Draft { label, ..Draft::default() };
    draft.set("strict_vumi", true);
    let class = transport.class.as_ref().and_then(|(_, path)| class_of(path));
    let settings = transport.config.iter().filter(|(key, _)| !CLASS_KEYS.contains(&key.as_str()));
    for (key, value) in settings {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let setting = Setting { place: places.of(section, key), key: key.clone(), value: shown };
        if key.eq_ignore_ascii_case("transport_name") {
            draft.note(&setting, "became the label; the server gives each channel an id");
        } else {
            keys::take(&mut draft, &setting, value, class.is_none_or(|class| class.flat));
        }
    }
    if let Some((key, value)) = transport.class {
        let setting = Setting { place: places.of(None, &key), key, value };
        match class {
            Some(Class { mode, old, .. }) => {
                draft.set("bind_type", mode);
                let old = if old { "; its engine was given up by Vumi, its keys mean the same here" } else { "" };
                draft.note(&setting, &format!("became bind_type {mode}{old}"));
            }
            None => draft.note(&setting, "was left out: the channel binds as a transceiver; bind_type says otherwise"),
        }
    } else {
        let text = "the file does not say the class of the transport: the channel binds as a transceiver; \
                    bind_type says otherwise";
        draft.notes.push(Note { place: places.file.clone(), text: text.to_owned() });
    }
    draft
}
