//! What one message wants otherwise than its channel does: keys of its `channel_data`.
//!
//! | key | what |
//! |---|---|
//! | `encoding`, `data_coding` | the alphabet, the octet that announces it |
//! | `message_class` | 0 is shown at once and not kept (flash), 1 to 3 |
//! | `message_waiting` | `{"indication": "voicemail", "active": true, "store": false}` |
//! | `binary` | `base64` or `hex`: the content is octets |
//! | `udh` | header elements in hexadecimal, without the length octet |
//! | `destination_port`, `source_port` | application ports, as a header |
//! | `validity_period`, `schedule_delivery_time` | seconds, or a time of SMPP v3.4 §7.1.1 |
//! | `service_type`, `protocol_id`, `priority_flag`, `registered_delivery`, `replace_if_present_flag` | as they are |
//! | `tlvs` | `{"0x1400": "00ff"}`: optional parameters, by tag or name, as octets in hexadecimal, text or number; an operator's own by the names of the channel's `vendor_tlvs` |
//!
//! Other keys are the application's own.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use smpp::field::time::Time;
use smpp::text::Charset;
use smpp::text::udh::PORTS_16;
use smpp::tlv::TlvKind;
use smpp::{DataCoding, Tag, Tlvs};

use super::config::VendorTlvs;
use super::hex;
use super::submit::Unsendable;
use crate::model::JsonObject;

/// See the file's head.
#[derive(Clone, Debug, Default)]
pub(super) struct Overrides {
    pub(super) charset: Option<Charset>,
    pub(super) data_coding: Option<DataCoding>,
    pub(super) message_class: Option<u8>,
    pub(super) message_waiting: Option<u8>,
    pub(super) binary: Option<Binary>,
    /// Header elements.
    pub(super) elements: Vec<u8>,
    pub(super) validity: Option<When>,
    pub(super) schedule: Option<When>,
    pub(super) service_type: Option<String>,
    pub(super) protocol_id: Option<u8>,
    pub(super) priority_flag: Option<u8>,
    pub(super) registered_delivery: Option<bool>,
    pub(super) replace_if_present: Option<u8>,
    pub(super) tlvs: Tlvs,
}

/// How octets are written in a message's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Base64,
    Hex,
}

/// A moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// So long from when we accepted the message, or from when it was to be sent.
    In(Duration),
    /// As the SMSC reads it.
    Text(String),
}

impl Binary {
    /// The octets of a content.
    pub(super) fn decode(self, content: &str) -> Result<Vec<u8>, Unsendable> {
        let octets = match self {
            Self::Base64 => STANDARD.decode(content.trim()).ok(),
            Self::Hex => hex::read(content),
        };
        let name = if self == Self::Hex { "hexadecimal" } else { "base64" };
        octets.ok_or_else(|| Unsendable(format!("Invalid content: channel_data.binary says {name}, which it is not")))
    }
}

impl Overrides {
    /// Reads a message's `channel_data`; nothing is the usual case and costs nothing.
    pub(super) fn of(vendor: &VendorTlvs, data: &JsonObject) -> Result<Self, Unsendable> {
        let mut overrides = Self::default();
        for (key, value) in data.iter().filter(|(_, value)| !value.is_null()) {
            overrides.read(key, value).ok_or_else(|| Unsendable(format!("Invalid channel_data.{key}: {value}")))?;
        }
        if overrides.binary.is_some() && overrides.message_waiting.is_some() && overrides.data_coding.is_none() {
            return Err(Unsendable(
                "Invalid channel_data.message_waiting: no data_coding says so of binary content; give \
                 channel_data.data_coding, or text"
                    .to_owned(),
            ));
        }
        overrides.ports(data)?;
        overrides.parameters(vendor, data.get("tlvs"))?;
        Ok(overrides)
    }

    fn read(&mut self, key: &str, value: &Value) -> Option<()> {
        let octet = || value.as_u64().and_then(|number| u8::try_from(number).ok());
        let up_to = |most: u8| octet().filter(|number| *number <= most);
        match key {
            "encoding" => self.charset = Some(Charset::named(value.as_str()?)?),
            "data_coding" => self.data_coding = Some(DataCoding(octet()?)),
            "message_class" => self.message_class = Some(up_to(3)?),
            "message_waiting" => self.message_waiting = Some(message_waiting(value.as_object()?)?),
            "binary" => {
                self.binary = Some(match value.as_str()? {
                    "base64" => Binary::Base64,
                    "hex" => Binary::Hex,
                    _ => return None,
                });
            }
            "udh" => self.elements = hex::read(value.as_str()?).filter(|elements| well_formed(elements))?,
            "validity_period" => self.validity = Some(when(value)?),
            "schedule_delivery_time" => self.schedule = Some(when(value)?),
            "service_type" => self.service_type = Some(value.as_str().filter(|text| text.len() <= 5)?.to_owned()),
            "protocol_id" => self.protocol_id = Some(octet()?),
            "priority_flag" => self.priority_flag = Some(up_to(3)?),
            "registered_delivery" => self.registered_delivery = Some(value.as_bool()?),
            "replace_if_present_flag" => self.replace_if_present = Some(up_to(1)?),
            _ => {}
        }
        Some(())
    }

    /// Ports need each other: one alone leaves the other at zero.
    fn ports(&mut self, data: &JsonObject) -> Result<(), Unsendable> {
        let port = |key: &str| match data.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let port = value.as_u64().and_then(|number| u16::try_from(number).ok());
                port.map(Some).ok_or_else(|| Unsendable(format!("Invalid channel_data.{key}: {value}")))
            }
        };
        let (destination, source) = (port("destination_port")?, port("source_port")?);
        if destination.is_some() || source.is_some() {
            let ports = [destination.unwrap_or_default(), source.unwrap_or_default()];
            self.elements.extend([PORTS_16, 4]);
            self.elements.extend(ports.iter().flat_map(|port| port.to_be_bytes()));
        }
        Ok(())
    }

    /// Optional parameters: an operator's own by name, others by name or tag.
    fn parameters(&mut self, vendor: &VendorTlvs, given: Option<&Value>) -> Result<(), Unsendable> {
        if let Some(given) = given.filter(|given| !given.is_null()) {
            let invalid = || Unsendable(format!("Invalid channel_data.tlvs: {given}"));
            for (name, value) in given.as_object().ok_or_else(invalid)? {
                let put = vendor.put(&mut self.tlvs, name, value).unwrap_or_else(|| put(&mut self.tlvs, name, value));
                put.map_err(|why| Unsendable(format!("Invalid channel_data.tlvs.{name}: {value}: {why}")))?;
            }
        }
        let missing = |name: &str| Unsendable(format!("Missing channel_data.tlvs.{name}, which vendor_tlvs requires"));
        vendor.complete(&mut self.tlvs).map_err(missing)
    }

    /// Whether `data_coding` is to be that of a group for messages with class or indication.
    pub(super) fn has_group(&self) -> bool {
        self.data_coding.is_none() && (self.message_class.is_some() || self.message_waiting.is_some())
    }

    /// The octet that announces an alphabet, with class or indication where they are wanted (3GPP TS 23.038 §4).
    pub(super) fn announce(&self, charset: Charset, usual: DataCoding) -> DataCoding {
        if let Some(data_coding) = self.data_coding {
            return data_coding;
        }
        let wide = charset == Charset::Ucs2;
        if let Some(waiting) = self.message_waiting {
            // The group for UCS2 always stores.
            return DataCoding(if wide { 0xe0 | waiting & 0x0f } else { waiting });
        }
        match (self.message_class, self.binary) {
            (Some(class), _) if wide => DataCoding(0x18 | class),
            (Some(class), None) => DataCoding(0xf0 | class),
            (Some(class), Some(_)) => DataCoding(0xf4 | class),
            (None, Some(_)) => DataCoding(4),
            (None, None) => usual,
        }
    }
}

/// The octet of a message waiting indication, for the default alphabet.
fn message_waiting(object: &JsonObject) -> Option<u8> {
    let kind = match object.get("indication")?.as_str()? {
        "voicemail" => 0,
        "fax" => 1,
        "email" => 2,
        "other" => 3,
        _ => return None,
    };
    let flag = |key: &str, default: bool| object.get(key).map_or(Some(default), Value::as_bool);
    let (active, store) = (flag("active", true)?, flag("store", false)?);
    Some(if store { 0xd0 } else { 0xc0 } | u8::from(active) << 3 | kind)
}

fn when(value: &Value) -> Option<When> {
    match value {
        Value::String(text) => text.parse::<Time>().ok().map(|_| When::Text(text.clone())),
        _ => {
            let seconds = value.as_f64().filter(|seconds| (0.0..=315_360_000.0).contains(seconds))?;
            Some(When::In(Duration::from_secs_f64(seconds)))
        }
    }
}

/// Octets that a parameter's length can announce (§3.2.4.1).
const MAX_PARAMETER: usize = 65_535;

/// A parameter: octets in hexadecimal, but for those that are known to be numbers or text.
fn put(tlvs: &mut Tlvs, tag: &str, value: &Value) -> Result<(), String> {
    let number = tag.strip_prefix("0x").and_then(|digits| u16::from_str_radix(digits, 16).ok());
    let named = || Tag::ALL.iter().copied().find(|known| known.name() == Some(tag));
    let tag = number.map(Tag).or_else(named).ok_or(
        "no parameter of the standard has this name, and none in the channel's vendor_tlvs; a tag is written 0x1400",
    )?;
    let within = |length: usize| match length > MAX_PARAMETER {
        true => Err(format!("it has {length} octets where {MAX_PARAMETER} fit")),
        false => Ok(()),
    };
    match (value, tag.kind()) {
        (Value::Number(number), Some(TlvKind::Integer { octets })) => {
            let number = number.as_u64().and_then(|number| u32::try_from(number).ok());
            let number = number.ok_or("it is not a whole number from 0 to 4294967295")?;
            if octets < 4 && number >> (8 * octets) > 0 {
                let plural = if octets == 1 { "" } else { "s" };
                return Err(format!("{number} does not fit {octets} octet{plural}"));
            }
            tlvs.push_integer(tag, number);
        }
        (Value::Number(number), _) => {
            let number = number.as_u64().ok_or("it is not a whole number of zero or more")?;
            let octets = number.to_be_bytes();
            let leading = usize::try_from(number.leading_zeros() / 8).unwrap_or(7).min(7);
            tlvs.push(tag, &octets[leading..]);
        }
        (Value::String(text), Some(TlvKind::Text)) => {
            within(text.len() + 1)?;
            tlvs.push_text(tag, text);
        }
        (Value::String(digits), _) => {
            let octets = hex::read(digits).ok_or("it is not hexadecimal")?;
            within(octets.len())?;
            tlvs.push(tag, &octets);
        }
        _ => return Err("it is neither text nor a number".to_owned()),
    }
    Ok(())
}

/// Whether elements fill their header exactly.
fn well_formed(mut elements: &[u8]) -> bool {
    while let Some((&[_, length], rest)) = elements.split_first_chunk() {
        match rest.get(usize::from(length)..) {
            Some(rest) => elements = rest,
            None => return false,
        }
    }
    elements.is_empty()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(data: Value) -> Result<Overrides, String> {
        Overrides::of(&VendorTlvs::default(), data.as_object().unwrap()).map_err(|unsendable| unsendable.0)
    }

    #[test]
    fn classes_indications_and_binary_are_announced() {
        let announced = |data: Value, charset| of(data).unwrap().announce(charset, DataCoding(0)).0;
        assert_eq!(announced(json!({"message_class": 0}), Charset::Gsm7), 0xf0);
        assert_eq!(announced(json!({"message_class": 0}), Charset::Ucs2), 0x18);
        assert_eq!(announced(json!({"message_class": 1, "binary": "hex"}), Charset::Latin1), 0xf5);
        assert_eq!(announced(json!({"binary": "hex"}), Charset::Latin1), 4);
        let waiting = |rest: Value| announced(json!({"message_waiting": rest}), Charset::Gsm7);
        assert_eq!(waiting(json!({"indication": "voicemail"})), 0xc8);
        assert_eq!(waiting(json!({"indication": "email", "active": false, "store": true})), 0xd2);
        assert_eq!(announced(json!({"data_coding": 17, "message_class": 0}), Charset::Gsm7), 17);
    }

    #[test]
    fn ports_headers_and_parameters_become_octets() {
        let push = of(json!({"destination_port": 2948, "source_port": 9200})).unwrap();
        assert_eq!(push.elements, [5, 4, 0x0b, 0x84, 0x23, 0xf0]);
        let tlvs =
            json!({"0x1400": "00 ff", "user_message_reference": 7, "receipted_message_id": "abc", "0x1401": 513});
        let tlvs = of(json!({"tlvs": tlvs})).unwrap().tlvs;
        assert_eq!(tlvs.octets_of(Tag(0x1400)).unwrap()[..], [0, 0xff]);
        assert_eq!(tlvs.octets_of(Tag(0x1401)).unwrap()[..], [2, 1]);
        assert_eq!(tlvs.integer(Tag::USER_MESSAGE_REFERENCE), Some(7));
    }

    #[test]
    fn what_is_wrong_is_named_and_what_is_the_applications_own_is_left_alone() {
        for (data, why) in [
            (json!({"message_class": 4}), "Invalid channel_data.message_class: 4"),
            (json!({"encoding": "klingon"}), "Invalid channel_data.encoding: \"klingon\""),
            (json!({"udh": "0003"}), "Invalid channel_data.udh: \"0003\""),
            (json!({"tlvs": [1]}), "Invalid channel_data.tlvs: [1]"),
            (
                json!({"tlvs": {"user_message_reference": 70_000}}),
                "Invalid channel_data.tlvs.user_message_reference: 70000: 70000 does not fit 2 octets",
            ),
            (
                json!({"tlvs": {"ussd_service_op": 256}}),
                "Invalid channel_data.tlvs.ussd_service_op: 256: 256 does not fit 1 octet",
            ),
            (json!({"tlvs": {"0x1400": "0g"}}), "Invalid channel_data.tlvs.0x1400: \"0g\": it is not hexadecimal"),
            (
                json!({"tlvs": {"no_such": 1}}),
                "Invalid channel_data.tlvs.no_such: 1: no parameter of the standard has this name, and none in the \
                 channel's vendor_tlvs; a tag is written 0x1400",
            ),
            (json!({"validity_period": "soon"}), "Invalid channel_data.validity_period: \"soon\""),
            (json!({"destination_port": 70000}), "Invalid channel_data.destination_port: 70000"),
        ] {
            assert_eq!(of(data).unwrap_err(), why);
        }
        for (tag, octets) in [("0x1400", 65_536), ("additional_status_info_text", 65_535)] {
            let value = if octets % 2 == 0 { "00".repeat(octets) } else { "x".repeat(octets) };
            let why = of(json!({"tlvs": {tag: value}})).unwrap_err();
            assert!(why.ends_with("it has 65536 octets where 65535 fit"), "{}", &why[why.len() - 60..]);
        }
        assert!(of(json!({"my": {"own": [1, 2]}, "priority_flag": null})).is_ok());
        assert!(Binary::Hex.decode("0g").unwrap_err().0.contains("hexadecimal"));
    }
}
