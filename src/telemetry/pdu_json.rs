//! A PDU as JSON: names, numbers, hex; the form of `fixtures/pdu-vectors.json`.

use serde_json::{Value as Json, json};
use smpp::{Description, Value};

use crate::model::JsonObject;

/// What becomes of passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// They are shown.
    Shown,
    /// They are not.
    Masked,
}

/// A PDU's object form: `command`, `status`, `sequence`, `fields`, `tlvs`, and `error` for one that cannot be read.
#[must_use]
pub fn object(description: &Description, secrets: Secrets) -> JsonObject {
    let mut object = JsonObject::new();
    object.insert("command".to_owned(), json!(description.command.to_string()));
    object.insert("status".to_owned(), json!(description.status.0));
    object.insert("sequence".to_owned(), json!(description.sequence.0));
    object.insert("fields".to_owned(), rows(&description.fields, secrets));
    let tlvs = description.tlvs.iter().map(|(tag, read, octets)| {
        let tlv = json!({"tag": format!("{:#06x}", tag.0), "hex": hex(octets), "value": value(read, secrets)});
        (tag.to_string(), tlv)
    });
    object.insert("tlvs".to_owned(), Json::Object(tlvs.collect()));
    if !description.trailing.is_empty() {
        object.insert("trailing".to_owned(), json!(hex(&description.trailing)));
    }
    if let Some(error) = description.error {
        let said = json!({"field": error.field, "offset": error.offset, "message": error.kind.to_string()});
        object.insert("error".to_owned(), said);
    }
    object
}

fn rows(rows: &[(&'static str, Value)], secrets: Secrets) -> Json {
    Json::Object(rows.iter().map(|(name, read)| ((*name).to_owned(), value(read, secrets))).collect())
}

fn value(read: &Value, secrets: Secrets) -> Json {
    match (read, secrets) {
        (Value::Integer(number), _) => json!(number),
        (Value::Text(text), _) | (Value::Secret(text), Secrets::Shown) => json!(text),
        (Value::Octets(octets), _) => json!(hex(octets)),
        (Value::List(groups), _) => groups.iter().map(|group| rows(group, secrets)).collect(),
        // Secrets, and kinds of values that are newer than this file.
        _ => json!("********"),
    }
}

/// Octets as lower-case hexadecimal digits.
#[must_use]
pub fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
