//! Operators' own parameters: Kannel's `group = smpp-tlv` and Jasmin's `custom_tlvs` as a channel's `vendor_tlvs`.
//!
//! Kannel's apply to the smsc-ids that they name, or to all; where both have a name or a tag, the one that names the
//! smsc-id counts. Jasmin's have no names, so their tags become names. Its third field is the most octets; it was the
//! default value before 0.12 was released, and is taken for that if it can be no length.

use serde_json::{Value, json};

use super::Note;
use super::draft::{Draft, Setting};
use super::kannel::{Group, integer};
use crate::model::JsonObject;

/// One of Kannel's groups.
struct Parameter<'a> {
    name: &'a str,
    place: &'a str,
    tag: u16,
    definition: Value,
    /// Empty is all.
    smsc_ids: Vec<&'a str>,
}

/// Gives channels, by smsc-id, their parameters; tells what became of each group.
pub(super) fn of_kannel<'a>(
    groups: impl Iterator<Item = &'a Group>,
    drafts: &mut [(Option<String>, &mut Draft)],
    notes: &mut Vec<Note>,
) {
    let mut parameters = Vec::new();
    for group in groups {
        let say = |text: &str| Note { place: group.place.clone(), text: text.to_owned() };
        match parameter(group) {
            Ok(parameter) => {
                notes.extend(group.settings.iter().filter(|setting| !KEYS.contains(&setting.key.as_str())).map(
                    |setting| Note {
                        place: setting.place.clone(),
                        text: format!("'{} = {}' was left out: nobody knows this key", setting.key, setting.value),
                    },
                ));
                parameters.push(parameter);
            }
            Err(why) => notes.push(say(&format!("this parameter was left out: {why}"))),
        }
    }
    for parameter in &parameters {
        let mut channels = Vec::new();
        for (smsc_id, draft) in drafts.iter_mut() {
            let own = |other: &Parameter<'_>| smsc_id.as_deref().is_some_and(|id| other.smsc_ids.contains(&id));
            let general = parameter.smsc_ids.is_empty();
            let same = |other: &Parameter<'_>| other.name == parameter.name || other.tag == parameter.tag;
            if own(parameter) || (general && !parameters.iter().any(|other| own(other) && same(other))) {
                let tlvs = draft.config.entry("vendor_tlvs").or_insert_with(|| json!({}));
                if let Some(tlvs) = tlvs.as_object_mut() {
                    tlvs.insert(parameter.name.to_owned(), parameter.definition.clone());
                }
                channels.push(format!("'{}'", draft.label));
            }
        }
        let name = parameter.name;
        let text = match &channels[..] {
            [] => format!("the parameter '{name}' was left out: none of its smsc-ids is a channel"),
            _ => format!(
                "the parameter '{name}' became vendor_tlvs.{name} of {}: messages give it in channel_data.tlvs.{name}, \
                 not in meta-data",
                channels.join(", ")
            ),
        };
        notes.push(Note { place: parameter.place.to_owned(), text });
    }
}

const KEYS: [&str; 6] = ["group", "name", "tag", "type", "length", "smsc-id"];

fn parameter(group: &Group) -> Result<Parameter<'_>, String> {
    let text = |key: &str| group.text(key).map(str::trim).ok_or_else(|| format!("it has no {key}"));
    let number = |key: &str| {
        let number = integer(text(key)?).and_then(|number| u64::try_from(number).ok());
        number.ok_or_else(|| format!("its {key} is no number"))
    };
    // Kannel's are octets as the application writes them, which is text unless somebody escapes octets.
    let form = match text("type")?.to_ascii_lowercase().as_str() {
        "octetstring" => "string",
        "nulterminated" => "nul_string",
        "integer" => "integer",
        other => return Err(format!("its type '{other}' is none of octetstring, nulterminated, integer")),
    };
    let tag = u16::try_from(number("tag")?).map_err(|_| "its tag is above 0xffff".to_owned())?;
    if let Some(name) = smpp::Tag(tag).name() {
        return Err(format!("its tag is that of SMPP's own {name}, which messages give as channel_data.tlvs.{name}"));
    }
    Ok(Parameter {
        name: text("name")?,
        place: &group.place,
        tag,
        definition: json!({"tag": format!("{tag:#06x}"), "type": form, "length": number("length")?}),
        smsc_ids: group.text("smsc-id").map(|ids| ids.split(';').map(str::trim).collect()).unwrap_or_default(),
    })
}

/// Decimal, or hexadecimal after `0x`.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Jasmin's `custom_tlvs`.
pub(super) fn of_jasmin(draft: &mut Draft, setting: &Setting) {
    if setting.value.eq_ignore_ascii_case("none") || setting.value == "[]" {
        return;
    }
    let mut tlvs = JsonObject::new();
    for rule in setting.value.split(';').map(str::trim).filter(|rule| !rule.is_empty()) {
        match jasmins(rule) {
            Ok((name, definition)) => {
                let shown = definition.get("default").map(|_| "; its third field was taken for a value to send always");
                let how = format!(
                    "has {rule}, which became vendor_tlvs.{name}, a name that you may change: messages give it in \
                     channel_data.tlvs.{name}{}",
                    shown.unwrap_or_default()
                );
                draft.note(setting, &how);
                tlvs.insert(name, definition);
            }
            Err(why) => draft.note(setting, &format!("has '{rule}', which was left out: {why}")),
        }
    }
    if !tlvs.is_empty() {
        draft.set("vendor_tlvs", tlvs);
    }
}

/// `tag,type,max_length[,required|optional]`.
fn jasmins(rule: &str) -> Result<(String, Value), String> {
    let fields: Vec<&str> = rule.split(',').map(str::trim).collect();
    let (tag, form, third, fourth) = match fields[..] {
        [tag, form, third] => (tag, form, third, String::new()),
        // Jasmin does not look at what follows.
        [tag, form, third, fourth, ..] => (tag, form, third, fourth.to_ascii_lowercase()),
        _ => return Err("it is not tag,type,length[,required|optional]".to_owned()),
    };
    let tag = number(tag).and_then(|tag| u16::try_from(tag).ok()).ok_or("its tag is no number")?;
    if let Some(name) = smpp::Tag(tag).name() {
        return Err(format!("its tag is that of SMPP's own {name}, which messages give as channel_data.tlvs.{name}"));
    }
    let mut definition = JsonObject::new();
    definition.insert("tag".to_owned(), json!(format!("{tag:#06x}")));
    let length = third.parse::<u64>().ok().filter(|length| *length > 0);
    let (form, length, fits) = match form {
        "Int1" | "Int2" | "Int4" | "Int8" => {
            let octets = form.trim_start_matches("Int").parse::<u64>().unwrap_or(4);
            ("integer", Some(octets), length == Some(octets))
        }
        "OctetString" => ("string", length, length.is_some()),
        // Jasmin counts the NUL.
        "COctetString" => ("nul_string", length.map(|length| (length - 1).max(1)), length.is_some()),
        other => {
            return Err(format!("its type '{other}' is none of Int1, Int2, Int4, Int8, OctetString, COctetString"));
        }
    };
    definition.insert("type".to_owned(), json!(form));
    match fourth.as_str() {
        "required" => drop(definition.insert("required".to_owned(), json!(true))),
        "optional" | "" => {}
        other => return Err(format!("'{other}' is neither required nor optional")),
    }
    if fits || third == "-" {
        definition.extend(length.map(|length| ("length".to_owned(), json!(length))));
    } else {
        let integer = form == "integer";
        definition.extend(length.filter(|_| integer).map(|length| ("length".to_owned(), json!(length))));
        let value = if integer { json!(number(third).ok_or("its value is no number")?) } else { json!(third) };
        // What was required had to come with the message, whatever stood here.
        if fourth != "required" {
            definition.insert("default".to_owned(), value);
        }
    }
    Ok((format!("tlv_{tag:#06x}"), Value::Object(definition)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jasmins_rules_are_read_in_both_of_their_forms() {
        for (rule, name, definition) in [
            (
                "0x1401,OctetString,20,required",
                "tlv_0x1401",
                json!({"tag": "0x1401", "type": "string", "length": 20, "required": true}),
            ),
            ("5120,Int8,8", "tlv_0x1400", json!({"tag": "0x1400", "type": "integer", "length": 8})),
            ("0x1402,Int2,-", "tlv_0x1402", json!({"tag": "0x1402", "type": "integer", "length": 2})),
            (
                "0x1403,COctetString,9,optional",
                "tlv_0x1403",
                json!({"tag": "0x1403", "type": "nul_string", "length": 8}),
            ),
            (
                "0x3000,COctetString,defaultval,optional",
                "tlv_0x3000",
                json!({"tag": "0x3000", "type": "nul_string", "default": "defaultval"}),
            ),
            (
                "0x3001,Int2,1234,required",
                "tlv_0x3001",
                json!({"tag": "0x3001", "type": "integer", "length": 2, "required": true}),
            ),
            ("0x3002,Int1,7", "tlv_0x3002", json!({"tag": "0x3002", "type": "integer", "length": 1, "default": 7})),
        ] {
            assert_eq!(jasmins(rule), Ok((name.to_owned(), definition)), "{rule}");
        }
        for (rule, why) in [
            ("0x1401,Text,20", "its type 'Text' is none of"),
            ("x,Int1,1", "its tag is no number"),
            ("0x0204,Int2,2", "SMPP's own user_message_reference"),
            ("0x1401,Int1", "it is not tag,type,length"),
            ("0x1401,Int1,1,maybe", "neither required nor optional"),
        ] {
            assert!(jasmins(rule).unwrap_err().contains(why), "{rule}");
        }
    }
}
