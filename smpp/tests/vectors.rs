//! Every vector of `fixtures/pdu-vectors.json` decodes to the values that it lists and encodes to its octets.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use bytes::BytesMut;
use serde_json::{Map, Value as Json, json};
use smpp::{CommandId, Description, Pdu, RawPdu, Tag, Value};

fn vectors() -> Vec<Json> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/pdu-vectors.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn octets(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn json_of(value: &Value) -> Json {
    match value {
        Value::Integer(value) => json!(value),
        Value::Text(text) | Value::Secret(text) => json!(text),
        Value::Octets(octets) => json!(hex(octets)),
        Value::List(groups) => groups.iter().map(|rows| object(rows)).collect(),
        _ => Json::Null,
    }
}

fn object(rows: &[(&'static str, Value)]) -> Json {
    Json::Object(rows.iter().map(|(name, value)| ((*name).to_owned(), json_of(value))).collect::<Map<_, _>>())
}

#[test]
fn decode_to_the_listed_values_and_encode_to_the_same_octets() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 101);
    for vector in vectors {
        let name = vector["name"].as_str().unwrap();
        let wire = octets(vector["hex"].as_str().unwrap());
        let mut buffer = BytesMut::from(&wire[..]);
        let raw = RawPdu::split(&mut buffer, 70_000).unwrap().unwrap();
        assert!(buffer.is_empty(), "{name}");
        assert_eq!(Some(raw.id), CommandId::from_name(vector["command"].as_str().unwrap()), "{name}");
        assert_eq!(json!(raw.status.0), vector["status"], "{name}");
        assert_eq!(json!(raw.sequence.0), vector["sequence"], "{name}");

        let description = Description::of(&raw);
        assert_eq!(description.error, None, "{name}");
        assert_eq!(object(&description.fields), vector["fields"], "{name}");
        let listed = vector["tlvs"].as_object().unwrap();
        assert_eq!(description.tlvs.len(), listed.len(), "{name}");
        for (key, tlv) in listed {
            let tag = Tag(u16::from_str_radix(&tlv["tag"].as_str().unwrap()[2..], 16).unwrap());
            let (_, value, raw_value) = description.tlvs.iter().find(|row| row.0 == tag).unwrap();
            assert_eq!(hex(raw_value), tlv["hex"].as_str().unwrap(), "{name} {tag}");
            if !key.starts_with("0x") {
                assert_eq!(Some(key.as_str()), tag.name(), "{name}");
                assert_eq!(json_of(value), tlv["value"], "{name} {tag}");
            }
        }

        let pdu = Pdu::decode(&raw).unwrap();
        let mut out = BytesMut::new();
        pdu.encode(raw.status, raw.sequence, &mut out);
        assert_eq!(hex(&out), hex(&wire), "{name}");
        let mut copied = BytesMut::new();
        raw.encode(&mut copied);
        assert_eq!(hex(&copied), hex(&wire), "{name}");
    }
}
