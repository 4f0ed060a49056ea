//! The captures of `fixtures/`, field by field beside what tshark reads in them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bytes::BytesMut;
use maybug::capture::{self, CapturedPdu, Conversation, Sender};
use serde_json::Value;
use smpp::{CommandId, Description, RawPdu, Tag};

use crate::tshark::{pdus, several};

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

/// The optional parameters of a PDU: octets with tag and length, and what it reads in them.
fn tlvs(layer: &Value) -> Vec<(String, BTreeMap<String, String>)> {
    let parameters = &layer["smpp.opt_params"];
    // Each field comes with an array of its octets, its place and so on.
    let raw = match &parameters["smpp.opt_param_raw"] {
        Value::Array(one) if one.first().is_some_and(Value::is_string) => vec![one[0].clone()],
        Value::Array(many) => many.iter().map(|one| one[0].clone()).collect(),
        _ => Vec::new(),
    };
    let read = several(parameters["smpp.opt_param"].clone());
    assert_eq!(raw.len(), read.len(), "{parameters}");
    let fields = |object: &Value| -> BTreeMap<String, String> {
        let fields = object.as_object().unwrap().iter();
        fields.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
    };
    raw.iter().zip(&read).map(|(octets, read)| (octets.as_str().unwrap().to_owned(), fields(read))).collect()
}

/// What tshark shows of a value; octets and nothing else where it knows no better.
fn shown(tag: Tag, value: &smpp::Value, octets: &[u8]) -> Vec<(String, String)> {
    let number = |key: &str, number: u32| (format!("smpp.{key}"), number.to_string());
    let (first, rest) = octets.split_first().map_or((0, &[][..]), |(first, rest)| (*first, rest));
    let second = rest.first().copied().unwrap_or_default();
    match (tag, value) {
        (Tag::ITS_SESSION_INFO, _) => vec![
            number("its_session.number", first.into()),
            number("its_session.sequence", u32::from(second >> 1)),
            number("its_session.ind", u32::from(second & 1)),
        ],
        (Tag::NETWORK_ERROR_CODE, _) => vec![
            number("network_error.type", first.into()),
            number("network_error.code", rest.iter().fold(0, |code, octet| code << 8 | u32::from(*octet))),
        ],
        (_, smpp::Value::Integer(value)) => vec![(String::new(), value.to_string())],
        (_, smpp::Value::Text(text)) => vec![(String::new(), text.clone())],
        _ => vec![(String::new(), hex(octets))],
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Compares the optional parameters of a PDU; how many values.
fn compare_tlvs(name: &str, raw: &RawPdu, theirs: &Value) -> usize {
    let (description, theirs) = (Description::of(raw), tlvs(theirs));
    assert_eq!(description.tlvs.len(), theirs.len(), "{name} {}: {theirs:?}", raw.id);
    let mut compared = 0;
    for ((tag, value, octets), (whole, read)) in description.tlvs.iter().zip(&theirs) {
        let length = u16::try_from(octets.len()).unwrap();
        let name = format!("{name} {} {tag}: {read:?}", raw.id);
        let head = [tag.0.to_be_bytes(), length.to_be_bytes()].concat();
        assert_eq!(*whole, hex(&head) + &hex(octets), "{name}");
        assert_eq!(normal(&read["smpp.opt_param_tag"]), tag.0.to_string(), "{name}");
        assert_eq!(normal(&read["smpp.opt_param_len"]), length.to_string(), "{name}");
        if octets.is_empty() {
            continue;
        }
        let mut values = read.iter().filter(|(key, _)| !key.starts_with("smpp.opt_param"));
        for (key, ours) in shown(*tag, value, octets) {
            let theirs = if key.is_empty() { values.next().map(|(_, value)| value) } else { read.get(&key) };
            let theirs = theirs.unwrap_or_else(|| panic!("{name}: no {key}"));
            assert_eq!(normal(theirs), normal(&ours), "{name}");
            compared += 1;
        }
    }
    compared
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
    let (mut compared, mut parameters) = (0, 0);
    for (name, count) in [
        ("wireshark-smpp.pcap", 8),
        ("kannel-1.4.5-to-node-smpp-0.5.1.pcapng", 56),
        ("jasmin-0.11.1-to-node-smpp-0.5.1.pcapng", 42),
    ] {
        let path = directory.join(name);
        let capture = capture::read(&path).unwrap();
        let [conversation] = &capture.conversations[..] else { panic!("{name}") };
        let theirs = pdus(&path).await;
        assert_eq!((conversation.pdus.len(), theirs.len(), capture.notes.len()), (count, count, 0), "{name}");
        for (pdu, layer) in conversation.pdus.iter().zip(&theirs) {
            let raw = &pdu.raw;
            parameters += compare_tlvs(name, raw, layer);
            let mut theirs = BTreeMap::new();
            collect(layer, &mut theirs);
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
    assert!(parameters >= 18, "only {parameters} values of parameters were compared");
}

#[tokio::test]
async fn every_parameter_of_the_vectors_is_what_tshark_reads() {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/pdu-vectors.json");
    let vectors: Vec<Value> = serde_json::from_slice(&std::fs::read(fixtures).unwrap()).unwrap();
    let mut conversation = Conversation {
        esme: "10.0.0.1:40000".parse().unwrap(),
        smsc: "10.0.0.2:2775".parse().unwrap(),
        pdus: Vec::new(),
    };
    let mut names = Vec::new();
    for (number, vector) in (0..).zip(&vectors) {
        let hex = vector["hex"].as_str().unwrap().as_bytes();
        let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        let octets: Vec<u8> = hex.chunks(2).map(octet).collect();
        let raw = RawPdu::split(&mut BytesMut::from(&octets[..]), usize::MAX).unwrap().unwrap();
        if Description::of(&raw).tlvs.is_empty() {
            continue;
        }
        conversation.pdus.push(CapturedPdu { at: Duration::from_millis(number), sender: Sender::Esme, raw });
        names.push(vector["name"].as_str().unwrap());
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vectors.pcap");
    capture::write(&[conversation.clone()], &mut std::fs::File::create(&path).unwrap()).unwrap();
    let theirs = pdus(&path).await;
    assert_eq!(theirs.len(), names.len());
    let mut compared = 0;
    for ((pdu, name), layer) in conversation.pdus.iter().zip(names).zip(&theirs) {
        // tshark 4.0 looks for none in this response.
        if pdu.raw.id != CommandId::SUBMIT_SM_RESP {
            compared += compare_tlvs(name, &pdu.raw, layer);
        }
    }
    assert!(compared >= 60, "only {compared} values were compared");
}
