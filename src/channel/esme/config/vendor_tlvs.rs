//! An operator's own optional parameters: their names, tags and forms, so that messages give and get them by name.
//!
//! `vendor_tlvs` is `{"template_id": {"tag": "0x1401", "type": "string", "length": 30}}`. By its tag a parameter stays
//! what it is everywhere, octets in hexadecimal; so does one that came in another form than its definition has.

use std::sync::Arc;

use serde_json::{Value, json};
use smpp::tlv::Tlv;
use smpp::{Tag, Tlvs};

use super::super::super::ConfigError;
use super::super::super::fields::{Fields, wrong};
use super::super::hex;

const KEY: &str = "vendor_tlvs";
/// Characters of a name.
const MAX_NAME: usize = 64;
/// Octets that a length can announce (SMPP v3.4 §3.2.4).
const MAX_LENGTH: usize = 65_535;

/// See the file's head.
#[derive(Clone, Debug, Default)]
pub(in crate::channel::esme) struct VendorTlvs(Arc<[VendorTlv]>);

#[derive(Debug)]
struct VendorTlv {
    name: String,
    tag: Tag,
    form: Form,
    /// Octets that it has if it is an integer, and else at most; a NUL is not counted.
    length: usize,
    /// What is sent with a message that does not give it.
    default: Option<Vec<u8>>,
    /// A message that does not give it is not sent.
    required: bool,
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// An unsigned integer, the most significant octet first.
    Integer,
    /// Anything; hexadecimal in JSON.
    Octets,
    /// Text in UTF-8.
    String,
    /// The same with a NUL behind it.
    NulString,
}

impl VendorTlvs {
    pub(super) fn read(fields: &Fields) -> Result<Self, ConfigError> {
        let mut tlvs: Vec<VendorTlv> = Vec::new();
        for (name, definition) in fields.object(KEY)?.into_iter().flatten() {
            let tlv = VendorTlv::read(name, definition)?;
            if let Some(other) = tlvs.iter().find(|other| other.tag == tlv.tag) {
                let how = format!("gives '{name}' and '{}' the same tag, {}", other.name, tlv.tag);
                return Err(wrong(KEY, &how));
            }
            tlvs.push(tlv);
        }
        Ok(Self(tlvs.into()))
    }

    /// Whether every message gets some of them, or must have them.
    pub(super) fn in_every_message(&self) -> bool {
        self.0.iter().any(|tlv| tlv.required || tlv.default.is_some())
    }

    /// Puts a message's parameter, if it is one of these; an error is why its value cannot be.
    pub(in crate::channel::esme) fn put(
        &self,
        tlvs: &mut Tlvs,
        name: &str,
        value: &Value,
    ) -> Option<Result<(), String>> {
        let tlv = self.0.iter().find(|tlv| tlv.name == name)?;
        Some(tlv.write(value).map(|octets| tlvs.push(tlv.tag, &octets)))
    }

    /// Adds what a message has not given; an error is the name of one that it must give.
    pub(in crate::channel::esme) fn complete(&self, tlvs: &mut Tlvs) -> Result<(), &str> {
        for tlv in self.0.iter().filter(|tlv| tlvs.octets_of(tlv.tag).is_none()).collect::<Vec<_>>() {
            match &tlv.default {
                Some(octets) => tlvs.push(tlv.tag, octets),
                None if tlv.required => return Err(&tlv.name),
                None => {}
            }
        }
        Ok(())
    }

    /// The name and value of a parameter that came; of one that is none of these, or has another form, its tag and octets.
    pub(in crate::channel::esme) fn show(&self, came: &Tlv<'_>) -> (String, Value) {
        let known = self.0.iter().find(|tlv| tlv.tag == came.tag);
        let named = known.and_then(|tlv| Some((tlv.name.clone(), tlv.show(came.value)?)));
        named.unwrap_or_else(|| (came.tag.to_string(), json!(hex::write(came.value))))
    }
}

impl VendorTlv {
    fn read(name: &str, definition: &Value) -> Result<Self, ConfigError> {
        let inside = |key: &str| if key.is_empty() { format!("{KEY}.{name}") } else { format!("{KEY}.{name}.{key}") };
        let odd = name.is_empty()
            || name.chars().count() > MAX_NAME
            || name.starts_with("0x")
            || name.chars().any(|character| character.is_whitespace() || character.is_control());
        if odd || Tag::ALL.iter().any(|tag| tag.name() == Some(name)) {
            let how = format!(
                "has the name '{name}', which cannot be: it is one of the standard's, looks like a tag, has spaces, or is \
                 longer than {MAX_NAME} characters"
            );
            return Err(wrong(KEY, &how));
        }
        let object = definition.as_object().ok_or_else(|| wrong(&inside(""), "is not an object"))?;
        // What is wrong inside is named from the outside.
        let named = |error: ConfigError| {
            let message = error.message.replacen(&format!("'{}'", error.key), &format!("'{}'", inside(&error.key)), 1);
            ConfigError::new(&inside(&error.key), message)
        };
        ConfigError::check_keys(object, &["tag", "type", "length", "default", "required"]).map_err(named)?;
        let fields = Fields(object.clone());
        let form = [
            ("octets", Form::Octets),
            ("integer", Form::Integer),
            ("string", Form::String),
            ("nul_string", Form::NulString),
        ];
        let form = fields.choice("type", &form).map_err(named)?;
        let (most, usual) = if form == Form::Integer { (8, 4) } else { (MAX_LENGTH - 1, MAX_LENGTH - 1) };
        let mut tlv = Self {
            name: name.to_owned(),
            tag: tag(&fields).map_err(named)?,
            form,
            length: fields.integer("length", 1..=most as u32).map_err(named)?.map_or(usual, |length| length as usize),
            default: None,
            required: fields.boolean("required").map_err(named)?.unwrap_or(false),
        };
        if let Some(value) = fields.get("default") {
            let octets =
                tlv.write(value).map_err(|why| wrong(&inside("default"), &format!("cannot be sent: {why}")))?;
            tlv.default = Some(octets);
        }
        Ok(tlv)
    }

    /// The octets of a value.
    fn write(&self, value: &Value) -> Result<Vec<u8>, String> {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return Err("it is neither text nor a number".to_owned()),
        };
        let mut octets = match self.form {
            Form::Integer => {
                let number: u64 =
                    text.trim().parse().map_err(|_| "it is not a whole number of zero or more".to_owned())?;
                let octets = number.to_be_bytes();
                let (above, within) = octets.split_at(octets.len().saturating_sub(self.length));
                if above.iter().any(|octet| *octet != 0) {
                    return Err(format!("{number} does not fit {} octets", self.length));
                }
                within.to_vec()
            }
            Form::Octets => hex::read(&text).ok_or("it is not hexadecimal")?,
            Form::String => text.into_bytes(),
            Form::NulString if text.contains('\0') => return Err("it has a NUL inside".to_owned()),
            Form::NulString => text.into_bytes(),
        };
        if octets.len() > self.length {
            return Err(format!("it has {} octets where {} fit", octets.len(), self.length));
        }
        if self.form == Form::NulString {
            octets.push(0);
        }
        Ok(octets)
    }

    /// The value of octets that came, if they have this form.
    fn show(&self, octets: &[u8]) -> Option<Value> {
        match self.form {
            Form::Integer if octets.is_empty() || octets.len() > 8 => None,
            Form::Integer => Some(json!(octets.iter().fold(0_u64, |value, octet| value << 8 | u64::from(*octet)))),
            Form::Octets => Some(json!(hex::write(octets))),
            Form::String => std::str::from_utf8(octets).ok().map(|text| json!(text)),
            // Some leave the NUL out.
            Form::NulString => octets.split(|octet| *octet == 0).next().and_then(|text| {
                let rest = octets.get(text.len()..)?;
                let text = std::str::from_utf8(text).ok().filter(|_| rest.len() <= 1)?;
                Some(json!(text))
            }),
        }
    }
}

/// A tag in hexadecimal or decimal that the standard has not taken.
fn tag(fields: &Fields) -> Result<Tag, ConfigError> {
    let text = fields.required_text("tag")?;
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let number = digits.map_or_else(|| text.parse().ok(), |digits| u16::from_str_radix(digits, 16).ok());
    let tag = number.map(Tag).ok_or_else(|| wrong("tag", "must be a number like 0x1401, at most 0xffff"))?;
    match tag.name() {
        Some(name) => Err(wrong("tag", &format!("is that of the standard's {name}: messages have it by that name"))),
        None => Ok(tag),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tlvs: Value) -> Result<VendorTlvs, ConfigError> {
        VendorTlvs::read(&Fields(json!({KEY: tlvs}).as_object().unwrap().clone()))
    }

    fn four() -> VendorTlvs {
        read(json!({
            "count": {"tag": "0x1400", "type": "integer", "length": 2},
            "raw": {"tag": 5121, "length": 3},
            "id": {"tag": "0x1402", "type": "string", "length": 4},
            "ref": {"tag": "0x1403", "type": "nul_string", "length": 4, "default": "none"},
        }))
        .unwrap()
    }

    #[test]
    fn values_are_written_and_read_by_their_form() {
        for (name, value, octets, back) in [
            ("count", json!(513), &[2, 1][..], json!(513)),
            ("count", json!("7"), &[0, 7], json!(7)),
            ("raw", json!("00 ff"), &[0, 0xff], json!("00ff")),
            ("id", json!("é12"), &[0xc3, 0xa9, b'1', b'2'], json!("é12")),
            ("id", json!(1707), b"1707", json!("1707")),
            ("ref", json!("ab"), b"ab\0", json!("ab")),
        ] {
            let mut tlvs = Tlvs::default();
            four().put(&mut tlvs, name, &value).unwrap().unwrap();
            let tlv = tlvs.iter().next().unwrap();
            assert_eq!(tlv.value, octets, "{name}");
            assert_eq!(four().show(&tlv), (name.to_owned(), back));
        }
    }

    #[test]
    fn what_came_in_another_form_stays_under_its_tag() {
        let tlvs = four();
        let show = |tag, value: &[u8]| tlvs.show(&Tlv { tag: Tag(tag), value });
        assert_eq!(show(0x1402, &[0xff]), ("0x1402".to_owned(), json!("ff")));
        assert_eq!(show(0x1400, &[]), ("0x1400".to_owned(), json!("")));
        assert_eq!(show(0x1403, b"a\0b\0"), ("0x1403".to_owned(), json!("61006200")));
        assert_eq!(show(0x1403, b"ab"), ("ref".to_owned(), json!("ab")));
        assert_eq!(show(0x1499, &[1]), ("0x1499".to_owned(), json!("01")));
    }

    #[test]
    fn a_value_that_does_not_fit_says_why() {
        for (name, value, why) in [
            ("count", json!(65_536), "65536 does not fit 2 octets"),
            ("count", json!(-1), "it is not a whole number of zero or more"),
            ("raw", json!("0g"), "it is not hexadecimal"),
            ("id", json!("12345"), "it has 5 octets where 4 fit"),
            ("id", json!([]), "it is neither text nor a number"),
            ("ref", json!("a\0"), "it has a NUL inside"),
        ] {
            assert_eq!(four().put(&mut Tlvs::default(), name, &value).unwrap().unwrap_err(), why);
        }
        assert!(four().put(&mut Tlvs::default(), "other", &json!(1)).is_none());
    }

    #[test]
    fn messages_get_defaults_and_must_give_what_is_required() {
        let mut tlvs = Tlvs::default();
        four().complete(&mut tlvs).unwrap();
        assert_eq!(tlvs.text(Tag(0x1403)).as_deref(), Some("none"));
        four().complete(&mut tlvs).unwrap();
        assert_eq!(tlvs.iter().count(), 1, "what is there is left as it is");
        let required = read(json!({"id": {"tag": "0x1402", "required": true}})).unwrap();
        assert_eq!(required.complete(&mut tlvs), Err("id"));
    }

    #[test]
    fn what_is_wrong_with_a_definition_is_named() {
        for (tlvs, message) in [
            (json!({"a": 1}), "Field 'vendor_tlvs.a' is not an object"),
            (json!({"a": {}}), "Missing required config field 'vendor_tlvs.a.tag'"),
            (json!({"a": {"tag": "x"}}), "Field 'vendor_tlvs.a.tag' must be a number like 0x1401, at most 0xffff"),
            (
                json!({"a": {"tag": "0x0204"}}),
                "Field 'vendor_tlvs.a.tag' is that of the standard's user_message_reference: messages have it by that name",
            ),
            (
                json!({"a": {"tag": "0x1400", "type": "text"}}),
                "Field 'vendor_tlvs.a.type' must be one of: octets, integer, string, nul_string",
            ),
            (
                json!({"a": {"tag": "0x1400", "type": "integer", "length": 9}}),
                "Field 'vendor_tlvs.a.length' must be a whole number from 1 to 8",
            ),
            (
                json!({"a": {"tag": "0x1400", "len": 9}}),
                "Unknown config field 'vendor_tlvs.a.len', did you mean 'length'?",
            ),
            (
                json!({"a": {"tag": "0x1400", "length": 1, "default": "0000"}}),
                "Field 'vendor_tlvs.a.default' cannot be sent: it has 2 octets where 1 fit",
            ),
            (
                json!({"a": {"tag": "0x1400"}, "b": {"tag": 5120}}),
                "Field 'vendor_tlvs' gives 'b' and 'a' the same tag, 0x1400",
            ),
        ] {
            let error = read(tlvs).unwrap_err();
            assert_eq!(error.message, message);
            assert!(message.contains(&format!("'{}'", error.key)), "{}", error.key);
        }
        for name in ["", "0x1400", "message_payload", "a b"] {
            assert!(read(json!({name: {"tag": "0x1400"}})).unwrap_err().message.contains("which cannot be"), "{name}");
        }
    }
}
