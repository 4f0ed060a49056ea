//! Vumi: the YAML of an SMPP transport, or of a MultiWorker with several.
//!
//! Its keys are ours, nested or flat, so they are kept as they are; `strict_vumi` gives absent ones Vumi's defaults.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::draft::{Draft, Rule, Setting, endpoint};
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
    let name = text("transport_name").or_else(|| text("TRANSPORT_NAME"));
    let label = name.or_else(|| transport.section.clone()).unwrap_or_else(|| "vumi".to_owned());
    let mut draft = Draft { label, ..Draft::default() };
    draft.set("strict_vumi", true);
    for (key, value) in &transport.config {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if CLASS_KEYS.contains(&key.as_str()) {
            continue;
        }
        let setting = Setting { place: places.of(section, key), key: key.clone(), value: shown };
        if key.eq_ignore_ascii_case("transport_name") {
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

/// A transport's channel, not yet joined with another's.
struct Bind {
    draft: Draft,
    prefix: Option<String>,
    section: Option<String>,
}

impl Bind {
    fn get(&self, key: &str) -> Option<&Value> {
        self.draft.config.get(key)
    }

    fn mode(&self) -> &str {
        self.get("bind_type").and_then(Value::as_str).unwrap_or("trx")
    }

    fn endpoint(&self) -> Option<String> {
        let text = |key: &str| Some(self.get(key)?.as_str()?.to_owned());
        let port = || self.get("port").map(|port| port.as_str().map_or_else(|| port.to_string(), str::to_owned));
        text("twisted_endpoint").or_else(|| Some(endpoint(&text("host")?, &port()?, None)))
    }
}

/// What says how messages from phones and receipts are read; a transmitter gets neither.
const READING: [&str; 16] = [
    "delivery_report_processor",
    "delivery_report_processor_config",
    "delivery_report_regex",
    "delivery_report_status_mapping",
    "delivery_report_use_esm_class",
    "disable_delivery_report",
    "deliver_short_message_processor",
    "deliver_short_message_processor_config",
    "deliver_sm_decoding_error",
    "data_coding_overrides",
    "allow_empty_messages",
    "ussd_code_pdu_field",
    "max_session_length",
    "multipart_timeout",
    "receipt_wait",
    "msg_id_type",
];

/// What a bind has of its own, or that is told of elsewhere.
const OF_EACH_BIND: [&str; 4] = ["bind_type", "twisted_endpoint", "host", "port"];

/// What says how a bind is made and kept.
const LINK: [&str; 6] = [
    "system_type",
    "interface_version",
    "address_range",
    "smpp_bind_timeout",
    "smpp_enquire_link_interval",
    "initial_reconnect_delay",
];

/// A transmitter and a receiver that share a prefix and the credentials are one channel: it reads as the receiver did, and
/// all else is the transmitter's.
fn join(binds: &mut Vec<Bind>, new: Bind, places: &Places<'_>, notes: &mut Vec<Note>) {
    let credentials = |bind: &Bind| ["system_id", "password"].map(|key| bind.get(key).cloned());
    let halves = |one: &Bind| matches!((one.mode(), new.mode()), ("tx", "rx") | ("rx", "tx"));
    let found = binds.iter().position(|bind| {
        new.prefix.is_some() && bind.prefix == new.prefix && halves(bind) && credentials(bind) == credentials(&new)
    });
    let Some(index) = found else {
        binds.push(new);
        return;
    };
    let old = std::mem::replace(&mut binds[index], new);
    let text =
        format!("'{}' and '{}' became one channel with bind_type tx+rx", old.draft.label, binds[index].draft.label);
    notes.push(Note { place: places.of(None, "split_bind_prefix"), text });
    let receiver = if old.mode() == "tx" { std::mem::replace(&mut binds[index], old) } else { old };
    let transmitter = &mut binds[index];
    if let Some(endpoint) = receiver.endpoint().filter(|endpoint| transmitter.endpoint().as_ref() != Some(endpoint)) {
        transmitter.draft.set("receiver_endpoint", endpoint);
    }
    let keys: BTreeSet<&String> = transmitter.draft.config.keys().chain(receiver.draft.config.keys()).collect();
    let mut differing: Vec<(String, Option<Value>)> = Vec::new();
    for key in keys.into_iter().filter(|key| !OF_EACH_BIND.contains(&key.as_str()) && *key != "receiver_endpoint") {
        if transmitter.get(key) != receiver.get(key) {
            differing.push((key.clone(), receiver.get(key).cloned()));
        }
    }
    for (key, value) in differing {
        let own = |bind: &Bind, how: &str| {
            let value = bind.get(&key).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))?;
            let place = places.of(bind.section.as_deref(), &key);
            let mut said = Draft::default();
            said.note(&Setting { place, key: key.clone(), value }, how);
            Some(said.notes)
        };
        let said = if READING.contains(&key.as_str()) {
            let said =
                own(transmitter, "of the transmitter was left out: it reads nothing, what the receiver says counts");
            transmitter.draft.config.remove(&key);
            transmitter.draft.config.extend(value.map(|value| (key.clone(), value)));
            said
        } else if LINK.contains(&key.as_str()) && value.is_none() {
            own(transmitter, "is that of the transmitter alone; one channel has one, so the receiver has it now too")
        } else if LINK.contains(&key.as_str()) {
            own(&receiver, "of the receiver was left out: one channel has one, the transmitter's")
        } else {
            own(&receiver, "of the receiver was left out: it is for sending, where the transmitter's counts")
        };
        notes.extend(said.into_iter().flatten());
    }
    transmitter.draft.set("bind_type", "tx+rx");
}
