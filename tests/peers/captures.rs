//! The captures of `fixtures/`, field by field beside what tshark reads in them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use maybug::capture;
use serde_json::Value;
use smpp::{Description, RawPdu};
use tokio::process::Command;

use crate::process::soon;

/// tshark's names of our fields.
const FIELDS: [(&str, &str); 20] = [
    ("system_id", "smpp.system_id"),
    ("system_type", "smpp.system_type"),
    ("interface_version", "smpp.interface_version"),
    ("service_type", "smpp.service_type"),
    ("source_addr_ton", "smpp.source_addr_ton"),
    ("source_addr_npi", "smpp.source_addr_npi"),
    ("source_addr", "smpp.source_addr"),
    ("dest_addr_ton", "smpp.dest_addr_ton"),
    ("dest_addr_npi", "smpp.dest_addr_npi"),
    ("destination_addr", "smpp.destination_addr"),
    ("protocol_id", "smpp.protocol_id"),
    ("priority_flag", "smpp.priority_flag"),
    ("schedule_delivery_time", "smpp.schedule_delivery_time"),
    ("validity_period", "smpp.validity_period"),
    ("replace_if_present_flag", "smpp.replace_if_present_flag"),
    ("sm_default_msg_id", "smpp.sm_default_msg_id"),
    ("sm_length", "smpp.sm_length"),
    ("message_id", "smpp.message_id"),
    ("short_message", "smpp.message"),
    ("data_coding", "smpp.data_coding"),
];

/// tshark's word for an empty service_type.
const DEFAULT: &str = "(default)";

/// A number, whatever base tshark writes it in; otherwise the text in lower case without colons.
fn normal(text: &str) -> String {
    let hex = text.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let number = hex
        .or_else(|| text.parse().ok())
        .filter(|_| text.len() < 11 && !text.starts_with('0') || text.starts_with("0x"));
    match number {
        Some(number) => number.to_string(),
        None => text.replace(':', "").to_lowercase(),
    }
}

/// Values of a PDU's keys, at any depth: tshark nests some of them.
fn collect(value: &Value, into: &mut BTreeMap<String, Vec<String>>) {
    let Value::Object(object) = value else { return };
    for (key, value) in object {
        match value {
            Value::String(text) => into.entry(key.clone()).or_default().push(text.clone()),
            Value::Array(items) => items.iter().for_each(|item| match item {
                Value::String(text) => into.entry(key.clone()).or_default().push(text.clone()),
                other => collect(other, into),
            }),
            other => collect(other, into),
        }
    }
}

async fn tshark(file: &PathBuf, port: u16) -> Vec<BTreeMap<String, Vec<String>>> {
    let mut command = Command::new("tshark");
    let decode = format!("tcp.port=={port},smpp");
    command.args(["-n", "-d", &decode, "-Y", "smpp", "-T", "json", "--no-duplicate-keys", "-r"]).arg(file);
    let output = soon("tshark", command.output()).await.expect("tests/run installs tshark");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Both senders cut a surrogate pair in two, and tshark writes the halves.
    let halves = regex::Regex::new(r"\\u[dD][89abAB][0-9a-fA-F]{2}|\\u[dD][c-fC-F][0-9a-fA-F]{2}").unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let frames: Vec<Value> = serde_json::from_str(&halves.replace_all(&text, "?")).unwrap();
    let mut pdus = Vec::new();
    for frame in frames {
        let layer = &frame["_source"]["layers"]["smpp"];
        let layers = layer.as_array().cloned().unwrap_or_else(|| vec![layer.clone()]);
        for layer in layers {
            let mut values = BTreeMap::new();
            collect(&layer, &mut values);
            pdus.push(values);
        }
    }
    pdus
}

fn ours(raw: &RawPdu) -> Vec<(&'static str, String)> {
    let description = Description::of(raw);
    assert_eq!(description.error, None);
    let mut rows = Vec::new();
    for (name, value) in &description.fields {
        let text = match value {
            smpp::Value::Integer(number) => number.to_string(),
            smpp::Value::Text(text) => text.clone(),
            smpp::Value::Octets(octets) => octets.iter().map(|octet| format!("{octet:02x}")).collect(),
            // tshark shows passwords; we do not.
            _ => continue,
        };
        rows.push((*name, text));
    }
    rows
}

#[tokio::test]
async fn every_field_of_the_captures_is_what_tshark_reads() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/pcap");
    let mut compared = 0;
    for (name, port, count) in [
        ("wireshark-smpp.pcap", 9000, 8),
        ("kannel-1.4.5-to-node-smpp-0.5.1.pcapng", 22401, 56),
        ("jasmin-0.11.1-to-node-smpp-0.5.1.pcapng", 22402, 42),
    ] {
        let path = directory.join(name);
        let capture = capture::read(&path).unwrap();
        let [conversation] = &capture.conversations[..] else { panic!("{name}") };
        let theirs = tshark(&path, port).await;
        assert_eq!((conversation.pdus.len(), theirs.len(), capture.notes.len()), (count, count, 0), "{name}");
        for (pdu, theirs) in conversation.pdus.iter().zip(&theirs) {
            let raw = &pdu.raw;
            let header = [
                ("smpp.command_id", raw.id.0),
                ("smpp.sequence_number", raw.sequence.0),
                ("smpp.command_length", u32::try_from(16 + raw.body.len()).unwrap()),
            ];
            for (key, ours) in header {
                assert_eq!(normal(&theirs[key][0]), ours.to_string(), "{name} {key}");
            }
            if raw.id.is_response() {
                assert_eq!(normal(&theirs["smpp.command_status"][0]), raw.status.0.to_string(), "{name}");
            }
            for (field, value) in ours(raw) {
                let Some((_, key)) = FIELDS.iter().find(|(ours, _)| *ours == field) else { continue };
                let shown = theirs.get(*key).and_then(|values| values.first());
                let Some(shown) = shown.filter(|shown| !shown.eq_ignore_ascii_case(DEFAULT) || !value.is_empty())
                else {
                    continue;
                };
                assert_eq!(normal(shown), normal(&value), "{name} {} {field}", raw.id);
                compared += 1;
            }
            let ours = ours(raw);
            let octet = |field: &str| {
                ours.iter().find(|(name, _)| *name == field).map(|(_, value)| value.parse::<u8>().unwrap())
            };
            // tshark shows the bits of these two.
            for (field, key, shift, mask) in [
                ("esm_class", "smpp.esm.submit.msg_mode", 0, 0x03),
                ("esm_class", "smpp.esm.submit.msg_type", 2, 0x0f),
                ("esm_class", "smpp.esm.submit.features", 6, 0x03),
                ("registered_delivery", "smpp.regdel.receipt", 0, 0x03),
                ("registered_delivery", "smpp.regdel.acks", 2, 0x03),
                ("registered_delivery", "smpp.regdel.notif", 4, 0x01),
            ] {
                let (Some(ours), Some(shown)) = (octet(field), theirs.get(key)) else { continue };
                assert_eq!(normal(&shown[0]), (ours >> shift & mask).to_string(), "{name} {} {key}", raw.id);
                compared += 1;
            }
        }
    }
    assert!(compared > 600, "only {compared} fields were compared");
}
