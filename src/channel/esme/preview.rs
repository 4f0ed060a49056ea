//! What a message would be on the wire, without sending it: the same code that writes it, asked beforehand.

use serde_json::json;
use smpp::text::content::Content;
use smpp::text::{Charset, Encoded, segment};

use super::alphabet::{Written, lost, write};
use super::config::{EsmeConfig, Long};
use super::overrides::Overrides;
use super::submit::{lay_out, to_pdus};
use crate::model::{JsonObject, Outbound, Timestamp};

/// Tells alphabet, segments, octets, room left, and characters that would be lost.
pub(super) fn preview(config: &EsmeConfig, message: &Outbound) -> JsonObject {
    let mut told = JsonObject::new();
    let sendable = to_pdus(config, message, config.submit.long, 0, Timestamp::now());
    told.insert("sendable".to_owned(), json!(sendable.is_ok()));
    if let Err(unsendable) = &sendable {
        told.insert("reason".to_owned(), json!(unsendable.0));
    }
    let overrides = Overrides::of(&config.submit.vendor_tlvs, &message.channel_data).unwrap_or_default();
    match write(&config.submit, message, &overrides) {
        Ok(written) => tell(config, message, &overrides, &written, &mut told),
        Err(_) => {
            told.insert("lost".to_owned(), json!(lost(&config.submit, message, &overrides)));
        }
    }
    told
}

fn tell(config: &EsmeConfig, message: &Outbound, overrides: &Overrides, written: &Written, told: &mut JsonObject) {
    let Written { encoded, replaced, binary } = written;
    told.insert("encoding".to_owned(), json!(if *binary { "binary" } else { encoded.charset.name() }));
    told.insert("data_coding".to_owned(), json!(encoded.data_coding.0));
    let language = |language: Option<smpp::text::national::Language>| language.map(|language| format!("{language:?}"));
    if !encoded.tables.is_default() {
        let tables = json!({"locking": language(encoded.tables.locking), "single": language(encoded.tables.single)});
        told.insert("national_tables".to_owned(), tables);
    }
    if !*binary {
        told.insert("characters".to_owned(), json!(message.content.chars().count()));
    }
    let unit = if encoded.charset == Charset::Gsm7 { "septets" } else { "octets" };
    told.insert(unit.to_owned(), json!(encoded.octets.len()));
    let replaced: JsonObject = replaced.iter().map(|(character, by)| (character.to_string(), json!(by))).collect();
    told.insert("replaced".to_owned(), json!(replaced));
    told.insert("lost".to_owned(), json!([]));
    let Ok(parts) = lay_out(&config.submit, overrides, encoded, (config.submit.long, 0)) else { return };
    let segments: Vec<_> = parts
        .iter()
        .filter_map(|part| Content::new(part.esm_class, part.data_coding, part.short_message.octets(), &part.tlvs).ok())
        .map(|content| {
            let piece = Encoded { octets: content.aligned(encoded.charset).to_vec(), ..encoded.clone() };
            let text = (!binary).then(|| piece.text());
            json!({unit: piece.octets.len(), "text": text})
        })
        .collect();
    told.insert("segment_count".to_owned(), json!(segments.len()));
    if config.submit.long != Long::Payload && segments.len() == parts.len() {
        let header = parts.last().map_or(0, |part| {
            let octets = part.short_message.octets();
            if part.esm_class.udhi() { 1 + octets.first().copied().map_or(0, usize::from) } else { 0 }
        });
        let room = segment::capacity(encoded.charset, header);
        let last = segments.last().and_then(|last| last[unit].as_u64()).unwrap_or_default();
        let left = u64::try_from(room).unwrap_or_default().saturating_sub(last);
        told.insert(format!("{unit}_left"), json!(left));
    }
    told.insert("segments".to_owned(), json!(segments));
    let suggestion = (!*binary).then(|| suggestion(config, &message.content, encoded, segments.len())).flatten();
    told.insert("suggestion".to_owned(), json!(suggestion));
}

/// What would make it cheaper.
fn suggestion(config: &EsmeConfig, content: &str, encoded: &Encoded, count: usize) -> Option<String> {
    if encoded.charset != Charset::Ucs2 || config.submit.transliterate {
        return None;
    }
    let folded = smpp::text::transliterate::fold(content)?;
    let cheaper = segment::count(&smpp::text::encode(&folded.text));
    let odd: Vec<String> = folded.changed.iter().take(10).map(|(character, _)| character.to_string()).collect();
    (cheaper < count).then(|| {
        format!(
            "{} make it UCS-2; without them, or with transliterate, it takes {cheaper} instead of {count}",
            odd.join(" ")
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn told(config: Value, content: &str) -> JsonObject {
        let mut config = config.as_object().unwrap().clone();
        for (key, value) in [("twisted_endpoint", "tcp:h:1"), ("system_id", "s"), ("password", "p")] {
            config.insert(key.into(), value.into());
        }
        let message = Outbound::plain("27820001001", content);
        preview(&EsmeConfig::parse(&config).unwrap(), &message)
    }

    #[test]
    fn a_hundred_lost_characters_are_listed_each_once() {
        let many: String = (0x10000..0x10000 + 40_000_u32).filter_map(char::from_u32).collect();
        let told_of = told(json!({"submit_sm_encoding": "latin1"}), &many);
        assert_eq!((told_of["sendable"].as_bool(), told_of["lost"].as_array().unwrap().len()), (Some(false), 100));
        let few = told(json!({"submit_sm_encoding": "latin1"}), "ůaňůé");
        assert_eq!(few["lost"], json!(["ů", "ň"]));
    }

    #[test]
    fn what_is_folded_or_in_a_national_table_is_not_lost() {
        let config = json!({"submit_sm_encoding": "gsm0338", "transliterate": true, "national_languages": ["tr"]});
        let folded = told(config.clone(), "kůň");
        assert_eq!((&folded["lost"], &folded["replaced"]), (&json!([]), &json!({"ů": "u", "ň": "n"})));
        assert_eq!(told(config, "ığůš \u{f8ff}")["lost"], json!(["\u{f8ff}"]));
    }

    #[test]
    fn content_beyond_all_ways_of_sending_is_told_so_and_no_more() {
        let told = told(json!({"submit_sm_encoding": "latin1"}), &"ž".repeat(500_000));
        assert_eq!((told["sendable"].as_bool(), &told["lost"]), (Some(false), &json!([])));
        assert!(told["reason"].as_str().unwrap().starts_with("Message too long: 1000000 octets"));
        assert!(!told.contains_key("segments"));
    }

    #[test]
    fn packed_segments_are_shown_as_phones_read_them() {
        let told = told(json!({"submit_sm_encoding": "gsm0338-packed"}), &"abcdefgh".repeat(21));
        let texts: Vec<&str> =
            told["segments"].as_array().unwrap().iter().map(|row| row["text"].as_str().unwrap()).collect();
        assert_eq!((texts.len(), texts.concat()), (2, "abcdefgh".repeat(21)));
    }
}
