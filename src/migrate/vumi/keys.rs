//! Vumi's keys: what becomes of each, at top level and in the processors' own configurations.
//!
//! Most are ours and stay. Vumi ignores keys that it does not know and those that stand where it does not look for them;
//! here they would count or have the channel refused, so they are named.

use serde_json::{Value, json};

use super::super::draft::{Draft, Rule, Setting};
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

/// The processors' keys, by the key of their configuration.
const PROCESSORS: [(&str, &[&str]); 3] = [
    (
        "delivery_report_processor_config",
        &["delivery_report_regex", "delivery_report_status_mapping", "delivery_report_use_esm_class"],
    ),
    (
        "deliver_short_message_processor_config",
        &["data_coding_overrides", "allow_empty_messages", "max_session_length", "ussd_code_pdu_field"],
    ),
    (
        "submit_short_message_processor_config",
        &[
            "submit_sm_encoding",
            "submit_sm_data_coding",
            "send_long_messages",
            "send_multipart_sar",
            "send_multipart_udh",
            "multipart_sar_reference_rollover",
            "max_session_length",
        ],
    ),
];

/// Keys that Vumi reads as true or false.
const BOOLEANS: [&str; 8] = [
    "registered_delivery",
    "disable_ack",
    "disable_delivery_report",
    "delivery_report_use_esm_class",
    "allow_empty_messages",
    "send_long_messages",
    "send_multipart_sar",
    "send_multipart_udh",
];

/// Takes a key over, or says why not. `flat`: whether the transport reads the processors' keys at top level.
pub(super) fn take(draft: &mut Draft, setting: &Setting, value: &Value, flat: bool) {
    let key = setting.key.as_str();
    if let Some((_, why)) = WITHOUT.iter().find(|(known, _)| *known == key) {
        draft.note(setting, &format!("has no counterpart: {why}"));
        return;
    }
    // Kannel's and Jasmin's names for our keys mean nothing to Vumi: `username` is that of its message broker.
    if !aliases::keys().any(|known| known == key) {
        draft.apply(&known(), setting);
        return;
    }
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
    match (key, number) {
        ("initial_reconnect_delay", Some(..=0.0)) => {
            draft.note(setting, "was left out: Vumi ignored it and began with 2.7 s");
            return;
        }
        ("throttle_delay", Some(..=0.0)) => {
            draft.note(setting, "became throttle_delay 0.001, the shortest; it doubles as long as the SMSC refuses");
            draft.set(key, 0.001);
            return;
        }
        _ => differs(draft, setting),
    }
    let processor = PROCESSORS.iter().find(|(_, keys)| keys.contains(&key));
    if let Some((processor, _)) = processor.filter(|_| !flat) {
        draft.note(setting, &format!("stays; Vumi read it in {processor}, and ignored it here"));
    }
    let value = match (PROCESSORS.iter().find(|(processor, _)| *processor == key), value) {
        (Some((_, keys)), Value::Object(own)) => Value::Object(nested(draft, setting, own, keys)),
        _ => plain(draft, setting, value),
    };
    draft.set(key, value);
}

/// A processor's own configuration, without what Vumi does not look for there.
fn nested(draft: &mut Draft, outer: &Setting, own: &JsonObject, keys: &[&'static str]) -> JsonObject {
    let own_rules = keys.iter().map(|key| (*key, Rule::Own));
    let rules: Vec<(&str, Rule)> =
        own_rules.chain(WITHOUT.iter().map(|(key, why)| (*key, Rule::Without(why)))).collect();
    let mut kept = JsonObject::new();
    for (key, value) in own {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let setting = Setting { place: outer.place.clone(), key: key.clone(), value: shown };
        if keys.contains(&key.as_str()) {
            kept.insert(key.clone(), plain(draft, &setting, value));
        } else {
            draft.apply(&rules, &setting);
        }
    }
    kept
}

/// A value as a channel takes it: a boolean that only Vumi reads as one, and `data_coding`, which YAML may have in
/// hexadecimal, in decimal.
fn plain(draft: &mut Draft, setting: &Setting, value: &Value) -> Value {
    match value {
        Value::Object(overrides) if setting.key == "data_coding_overrides" => {
            let decimal = |coding: &String| {
                let number = coding.strip_prefix("0x").and_then(|digits| u8::from_str_radix(digits, 16).ok());
                number.map_or_else(|| coding.clone(), |number| number.to_string())
            };
            let pairs = overrides.iter().map(|(coding, charset)| (decimal(coding), charset.clone()));
            json!(pairs.collect::<JsonObject>())
        }
        // To Vumi every number but 0 is true, and every text but `false`, `0` and nothing.
        Value::Number(_) | Value::String(_) if BOOLEANS.contains(&setting.key.as_str()) => {
            let word = setting.value.trim().to_ascii_lowercase();
            if ["true", "1", "false", "0", ""].contains(&word.as_str()) {
                return value.clone();
            }
            let truth = value.as_f64() != Some(0.0);
            draft.note(setting, &format!("became {truth}, which it was to Vumi"));
            json!(truth)
        }
        _ => value.clone(),
    }
}

/// Keys that Vumi took and did not obey, or obeyed otherwise (field guide §0, §2.6).
fn differs(draft: &mut Draft, setting: &Setting) {
    let how = match setting.key.as_str() {
        "initial_reconnect_delay" => "stays; Vumi ignored it and began with 2.7 s",
        "mt_tps" if setting.value != "0" => "stays; Vumi's limit ended with the first answer, here it holds",
        "password" if setting.value.chars().count() > 8 => {
            "stays; it is cut to 8 characters as in Vumi unless send_full_password is true"
        }
        "host" => "stays; twisted_endpoint takes it and the port in one, and counts where both are given",
        _ => return,
    };
    draft.note(setting, how);
}

/// The names that can have been meant.
fn known() -> Vec<(&'static str, Rule)> {
    let ours = aliases::keys().map(|key| (key, Rule::Own));
    ours.chain(WITHOUT.iter().map(|(key, why)| (*key, Rule::Without(why)))).collect()
}
