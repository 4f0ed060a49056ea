//! Names that users of Kannel and Jasmin know, onto our keys.
//!
//! Only where the meaning is the same, or differs by a unit; what needs a judgement is for [`crate::migrate`], which uses
//! this table too. Every key, ours as well, may be written with `-` instead of `_`.

use serde_json::{Value, json};

use super::super::ConfigError;
use super::super::fields::wrong;
use super::config::KEYS;
use crate::model::JsonObject;

/// A foreign name, with `_`.
struct Alias {
    name: &'static str,
    keys: &'static [&'static str],
    unit: Unit,
}

/// How its value becomes ours.
#[derive(Clone, Copy)]
enum Unit {
    /// It is ours.
    Same,
    /// Minutes become seconds.
    Minutes,
    /// `transceiver`, `transmitter`, `receiver`.
    Bind,
    /// Jasmin's `dlr_msgid`: which side writes ids in hexadecimal.
    IdBase,
    /// A password that is sent whole: neither Kannel nor Jasmin cuts it.
    WholePassword,
    /// The alphabet of `data_coding` 0.
    DefaultAlphabet,
}

const fn alias(name: &'static str, keys: &'static [&'static str], unit: Unit) -> Alias {
    Alias { name, keys, unit }
}

/// Field guide §1.8.
const ALIASES: &[Alias] = &[
    // Both.
    alias("enquire_link_interval", &["smpp_enquire_link_interval"], Unit::Same),
    // Kannel's.
    alias("smsc_username", &["system_id"], Unit::Same),
    alias("smsc_password", &["password"], Unit::WholePassword),
    alias("max_pending_submits", &["window_size"], Unit::Same),
    alias("throughput", &["mt_tps"], Unit::Same),
    alias("validityperiod", &["validity_period"], Unit::Minutes),
    alias("wait_ack", &["response_timeout"], Unit::Same),
    alias("reconnect_delay", &["initial_reconnect_delay", "max_reconnect_delay"], Unit::Same),
    alias("alt_charset", &["data_coding_overrides"], Unit::DefaultAlphabet),
    alias("priority", &["priority_flag"], Unit::Same),
    // Jasmin's.
    alias("username", &["system_id"], Unit::Same),
    alias("systype", &["system_type"], Unit::Same),
    alias("addr_range", &["address_range"], Unit::Same),
    alias("bind", &["bind_type"], Unit::Bind),
    alias("bind_ton", &["bind_addr_ton"], Unit::Same),
    alias("bind_npi", &["bind_addr_npi"], Unit::Same),
    alias("src_ton", &["source_addr_ton"], Unit::Same),
    alias("src_npi", &["source_addr_npi"], Unit::Same),
    alias("dst_ton", &["dest_addr_ton"], Unit::Same),
    alias("dst_npi", &["dest_addr_npi"], Unit::Same),
    alias("proto_id", &["protocol_id"], Unit::Same),
    alias("validity", &["validity_period"], Unit::Same),
    alias("elink_interval", &["smpp_enquire_link_interval"], Unit::Same),
    alias("bind_to", &["smpp_bind_timeout"], Unit::Same),
    alias("res_to", &["response_timeout"], Unit::Same),
    alias("pdu_red_to", &["pdu_read_timeout"], Unit::Same),
    alias("submit_throughput", &["mt_tps"], Unit::Same),
    alias("dlr_msgid", &["msg_id_type"], Unit::IdBase),
];

/// Foreign names of secrets, in both spellings.
pub const SECRETS: [&str; 3] = ["password", "smsc_password", "smsc-password"];

/// A configuration in which every name is ours; names that nobody knows stay, to be refused with the rest.
///
/// # Errors
/// A key that is given twice, under two names; a value without counterpart.
pub fn resolve(config: &JsonObject) -> Result<JsonObject, ConfigError> {
    let mut resolved = JsonObject::new();
    let mut origins: Vec<(&str, &str)> = Vec::new();
    for (name, value) in config {
        let Some(pairs) = translate(name, value)? else {
            resolved.insert(name.clone(), value.clone());
            continue;
        };
        for (key, value) in pairs {
            // Null is as good as absent.
            if value.is_null() {
                resolved.entry(key).or_insert(value);
                continue;
            }
            // What is said of the password outweighs where its name comes from.
            let implied = key == "send_full_password" && name.replace('-', "_") != key;
            if implied && (config.contains_key(key) || config.contains_key("send-full-password")) {
                continue;
            }
            if let Some((_, other)) = origins.iter().find(|(taken, other)| *taken == key && other != name) {
                let message = format!("Fields '{name}' and '{other}' are the same, '{key}': give one of them");
                return Err(ConfigError::new(name, message));
            }
            origins.push((key, name));
            resolved.insert(key.to_owned(), value);
        }
    }
    Ok(resolved)
}

/// Every key of ours.
pub fn keys() -> impl Iterator<Item = &'static str> {
    KEYS.iter().copied()
}

/// Our keys and values for a name, ours or foreign, in either spelling; `None` when nobody knows it.
///
/// # Errors
/// A value without counterpart.
pub fn translate(name: &str, value: &Value) -> Result<Option<Vec<(&'static str, Value)>>, ConfigError> {
    let plain = name.replace('-', "_");
    if let Some(key) = KEYS.iter().find(|key| **key == plain) {
        return Ok(Some(vec![(key, value.clone())]));
    }
    let Some(alias) = ALIASES.iter().find(|alias| alias.name == plain) else { return Ok(None) };
    if value.is_null() {
        return Ok(Some(Vec::new()));
    }
    let text = || value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let one_of = |words: &[(&str, &str)]| {
        let found = words.iter().find(|(word, _)| *word == text()).map(|(_, ours)| json!(ours));
        found.ok_or_else(|| {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            wrong(name, &format!("must be one of: {}", known.join(", ")))
        })
    };
    let value = match alias.unit {
        Unit::Same => value.clone(),
        Unit::Minutes => {
            let minutes = value.as_f64().or_else(|| text().trim().parse().ok());
            let minutes = minutes.filter(|minutes: &f64| minutes.is_finite() && *minutes > 0.0);
            let seconds = minutes.ok_or_else(|| wrong(name, "must be a number of minutes larger than zero"))? * 60.0;
            if seconds.fract() == 0.0 { json!(seconds as u64) } else { json!(seconds) }
        }
        Unit::Bind => one_of(&[("transceiver", "trx"), ("transmitter", "tx"), ("receiver", "rx")])?,
        Unit::IdBase => one_of(&[("0", "string"), ("1", "1"), ("2", "2")])?,
        Unit::WholePassword => {
            return Ok(Some(vec![("password", value.clone()), ("send_full_password", json!(true))]));
        }
        Unit::DefaultAlphabet => json!({"0": value}),
    };
    Ok(Some(alias.keys.iter().map(|key| (*key, value.clone())).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::ChannelType;
    use crate::channel::esme::Smpp;

    fn resolved(config: Value) -> Result<Value, String> {
        resolve(config.as_object().unwrap()).map(Value::Object).map_err(|error| error.message)
    }

    #[test]
    fn foreign_names_in_both_spellings_are_ours() {
        let theirs = json!({
            "smsc-username": "me", "bind": "receiver", "dlr_msgid": 2, "msg-id-type": 1,
        });
        assert_eq!(
            resolved(theirs).unwrap_err(),
            "Fields 'msg-id-type' and 'dlr_msgid' are the same, 'msg_id_type': give one of them"
        );
        let theirs = json!({
            "smsc-username": "me", "smsc_password": "longer than eight", "systype": "VMA", "bind": "receiver",
            "dlr_msgid": 2, "validityperiod": "3", "reconnect-delay": 10, "alt-charset": "latin1", "window_size": 5,
            "nobodys": 1,
        });
        let ours = json!({
            "system_id": "me", "password": "longer than eight", "send_full_password": true, "system_type": "VMA",
            "bind_type": "rx", "msg_id_type": "2", "validity_period": 180, "initial_reconnect_delay": 10,
            "max_reconnect_delay": 10, "data_coding_overrides": {"0": "latin1"}, "window_size": 5, "nobodys": 1,
        });
        assert_eq!(resolved(theirs).unwrap(), ours);
    }

    #[test]
    fn a_key_has_one_name_and_a_value_must_have_a_counterpart() {
        assert!(
            resolved(json!({"elink_interval": 1, "smpp_enquire_link_interval": 2}))
                .unwrap_err()
                .contains("'smpp_enquire_link_interval' and 'elink_interval' are the same")
        );
        assert_eq!(
            resolved(json!({"bind": "both"})).unwrap_err(),
            "Field 'bind' must be one of: transceiver, transmitter, receiver"
        );
        assert!(resolved(json!({"validityperiod": -1})).unwrap_err().contains("'validityperiod' must be a number of"));
        assert_eq!(resolved(json!({"username": null})).unwrap(), json!({}));
        let nothing = json!({"system_type": null, "systype": "VMA"});
        assert_eq!(resolved(nothing).unwrap(), json!({"system_type": "VMA"}));
        assert_eq!(
            resolved(json!({"smsc-password": "x", "send_full_password": false})).unwrap(),
            json!({"password": "x", "send_full_password": false})
        );
    }

    #[test]
    fn every_alias_leads_to_keys_and_a_channel_takes_them() {
        for alias in ALIASES {
            assert!(!KEYS.contains(&alias.name), "{} is a key of ours", alias.name);
            assert!(alias.keys.iter().all(|key| KEYS.contains(key)), "{}", alias.name);
        }
        let config = json!({
            "host": "smsc.example", "port": 2775, "smsc-username": "me", "smsc-password": "s3cret", "throughput": 5,
        });
        assert_eq!(Smpp::default().check(config.as_object().unwrap()), Ok(()));
    }
}
