//! Vumi: the YAML of an SMPP transport, or of a MultiWorker with several.
//!
//! Its keys are ours, nested or flat, so they are kept as they are; `strict_vumi` gives absent ones Vumi's defaults.

use std::path::Path;

use serde_json::{Value, json};

use super::draft::{Draft, Rule, Setting};
use super::{MigrateError, Migration, Note, channel, name, read};
use crate::channel::esme::aliases;
use crate::model::JsonObject;

const KEPT: &str = "messages, ids and sessions are kept in the server's own store";
const QUEUE: &str = "messages are exchanged over HTTP, or as the server is told; a channel's id names its queues";

/// Keys of Vumi's that are left out, and why.
const WITHOUT: &[(&str, &str)] = &[
    ("transport_type", "a channel carries SMS and USSD alike, message by message"),
    ("worker_name", "it became nothing: a channel has its id"),
    ("amqp_prefetch_count", "window_size says how many messages are under way"),
    ("publish_status", "statuses go to the `status_url` of the channel"),
    ("middleware", "there is none; opt-outs, rates and logs are the server's own"),
    ("redis_manager", KEPT),
    ("split_bind_prefix", "bind_type tx+rx makes one channel of a transmitter and a receiver"),
    ("submit_sm_expiry", KEPT),
    ("third_party_id_expiry", KEPT),
    ("final_dr_third_party_id_expiry", KEPT),
    ("completed_multipart_info_expiry", KEPT),
    ("codec_class", "data_coding_overrides names an encoding for each data_coding"),
    ("smpp_msg_id_type", "msg_id_type says how ids are written"),
    ("COUNTRY_CODE", "give each message its `from`"),
    ("OPERATOR_PREFIX", "give each message its `from`"),
    ("OPERATOR_NUMBER", "give each message its `from`"),
    ("vhost", QUEUE),
    ("hostname", QUEUE),
    ("hosted_by", QUEUE),
    ("amqp", QUEUE),
    ("sentry_dsn", "errors are in the process log"),
];

/// The last word of a class path, how it binds, and whether it is of the engine that Vumi gave up.
const CLASSES: [(&str, &str, bool); 7] = [
    ("SmppTransceiverTransport", "trx", false),
    ("SmppTransmitterTransport", "tx", false),
    ("SmppReceiverTransport", "rx", false),
    ("SmppTransceiverTransportWithOldConfig", "trx", false),
    ("SmppTransport", "trx", true),
    ("SmppTxTransport", "tx", true),
    ("SmppRxTransport", "rx", true),
];

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
    let mut drafts: Vec<(Draft, Option<String>)> = Vec::new();
    for transport in transports(document, &places, &mut notes) {
        let prefix = transport.config.get("split_bind_prefix").and_then(Value::as_str).map(str::to_owned);
        let mut draft = draft(transport, &places);
        notes.append(&mut draft.notes);
        join(&mut drafts, draft, prefix.filter(|prefix| !prefix.is_empty()), &places, &mut notes);
    }
    if drafts.is_empty() {
        let message = "there is no SMPP transport in it".to_owned();
        return Err(MigrateError::Nothing { path: path.to_owned(), message });
    }
    Ok(Migration {
        channels: drafts.into_iter().map(|(draft, _)| channel(draft)).collect(),
        notes,
        problems: Vec::new(),
    })
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
        let last = class.rsplit('.').next().unwrap_or_default();
        if !CLASSES.iter().any(|(known, ..)| *known == last) {
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
    let label = text("transport_name").or_else(|| transport.section.clone()).unwrap_or_else(|| "vumi".to_owned());
    let mut draft = Draft { label, ..Draft::default() };
    draft.set("strict_vumi", true);
    for (key, value) in &transport.config {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if CLASS_KEYS.contains(&key.as_str()) {
            continue;
        }
        let setting = Setting { place: places.of(section, key), key: key.clone(), value: shown };
        if key == "transport_name" {
            draft.note(&setting, "became the label; the server gives each channel an id");
            continue;
        }
        match WITHOUT.iter().find(|(known, _)| known == key) {
            Some((_, why)) => draft.note(&setting, &format!("has no counterpart: {why}")),
            None if matches!(aliases::translate(key, value), Ok(Some(_))) => {
                differs(&mut draft, &setting);
                draft.set(key, value.clone());
            }
            None => draft.apply(&known(), &setting),
        }
    }
    if let Some((key, value)) = transport.class {
        let setting = Setting { place: places.of(None, &key), key, value };
        let last = setting.value.rsplit('.').next().unwrap_or_default();
        match CLASSES.iter().find(|(known, ..)| *known == last) {
            Some((_, mode, old)) => {
                draft.set("bind_type", *mode);
                let old = if *old { "; its engine was given up by Vumi, its keys mean the same here" } else { "" };
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

/// Keys that Vumi took and did not obey, or obeyed otherwise (field guide §0, §2.6).
fn differs(draft: &mut Draft, setting: &Setting) {
    let how = match setting.key.as_str() {
        "initial_reconnect_delay" => "stays; Vumi ignored it and began with 2.7 s",
        "mt_tps" if setting.value != "0" => "stays; Vumi's limit ended with the first answer, here it holds",
        "password" if setting.value.chars().count() > 8 => {
            "stays; it is cut to 8 characters as in Vumi unless send_full_password is true"
        }
        "host" => "stays; twisted_endpoint takes it and the port in one",
        _ => return,
    };
    draft.note(setting, how);
}

/// The names that can have been meant.
fn known() -> Vec<(&'static str, Rule)> {
    let ours = aliases::keys().map(|key| (key, Rule::Own));
    ours.chain(WITHOUT.iter().map(|(key, why)| (*key, Rule::Without(why)))).collect()
}

/// A transmitter and a receiver that share a prefix and the credentials are one channel.
fn join(
    drafts: &mut Vec<(Draft, Option<String>)>,
    new: Draft,
    prefix: Option<String>,
    places: &Places<'_>,
    notes: &mut Vec<Note>,
) {
    let mode = |draft: &Draft| draft.config.get("bind_type").and_then(Value::as_str).unwrap_or("trx").to_owned();
    let credentials = |draft: &Draft| ["system_id", "password"].map(|key| draft.config.get(key).cloned());
    let halves = |one: &Draft| matches!((mode(one).as_str(), mode(&new).as_str()), ("tx", "rx") | ("rx", "tx"));
    let found = drafts.iter_mut().find(|(draft, other)| {
        prefix.is_some() && *other == prefix && halves(draft) && credentials(draft) == credentials(&new)
    });
    let Some((draft, _)) = found else {
        drafts.push((new, prefix));
        return;
    };
    let text = format!("'{}' and '{}' became one channel with bind_type tx+rx", draft.label, new.label);
    notes.push(Note { place: places.of(None, "split_bind_prefix"), text });
    let (mut transmitter, receiver) =
        if mode(draft) == "tx" { (std::mem::take(draft), new) } else { (new, std::mem::take(draft)) };
    let place = |draft: &Draft| {
        let port = draft.config.get("port").map(|port| port.as_str().map_or_else(|| port.to_string(), str::to_owned));
        let given = draft.config.get("twisted_endpoint").and_then(Value::as_str).map(str::to_owned);
        given.or_else(|| Some(super::draft::endpoint(draft.config.get("host")?.as_str()?, &port?, None)))
    };
    if let Some(endpoint) = place(&receiver).filter(|endpoint| place(&transmitter).as_ref() != Some(endpoint)) {
        transmitter.set("receiver_endpoint", endpoint);
    }
    for (key, value) in &receiver.config {
        // What each half has of its own: MOs and receipts are read as the receiver read them.
        if key.starts_with("deliver") && transmitter.config.get(key) != Some(value) {
            transmitter.config.insert(key.clone(), value.clone());
        }
    }
    transmitter.config.insert("bind_type".to_owned(), json!("tx+rx"));
    *draft = transmitter;
}
