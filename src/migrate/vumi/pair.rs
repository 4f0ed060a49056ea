//! Vumi's transmitters and receivers: two that share a prefix and the credentials are one channel.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::Note;
use super::super::draft::{Draft, Setting, endpoint};
use super::Places;

/// A transport's channel, not yet joined with another's.
pub(super) struct Bind {
    pub(super) draft: Draft,
    /// Vumi's `split_bind_prefix`.
    pub(super) prefix: Option<String>,
    /// Where it stands in a MultiWorker's file.
    pub(super) section: Option<String>,
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

/// What says for which addresses messages from phones are got, and how they and receipts are read; a transmitter gets
/// neither.
const READING: [&str; 17] = [
    "address_range",
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
const LINK: [&str; 5] =
    ["system_type", "interface_version", "smpp_bind_timeout", "smpp_enquire_link_interval", "initial_reconnect_delay"];

/// A transmitter and a receiver that share a prefix and the credentials are one channel: it reads as the receiver did, and
/// all else is the transmitter's.
pub(super) fn join(binds: &mut Vec<Bind>, new: Bind, places: &Places<'_>, notes: &mut Vec<Note>) {
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
                own(transmitter, "of the transmitter was left out: it gets nothing, what the receiver says counts");
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
