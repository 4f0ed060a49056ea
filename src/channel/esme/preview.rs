//! What a message would be on the wire, without sending it: the same code that writes it, asked beforehand.

use serde_json::json;
use smpp::text::content::Content;
use smpp::text::{Charset, Encoded, segment};

use super::config::{EsmeConfig, Long};
use super::overrides::Overrides;
use super::submit::{Written, lay_out, to_pdus, write};
use crate::model::{JsonObject, Outbound, Timestamp};

/// Tells alphabet, segments, octets, room left, and characters that would be lost.
pub(super) fn preview(config: &EsmeConfig, message: &Outbound) -> JsonObject {
    let mut told = JsonObject::new();
    let sendable = to_pdus(config, message, 0, Timestamp::now());
    told.insert("sendable".to_owned(), json!(sendable.is_ok()));
    if let Err(unsendable) = &sendable {
        told.insert("reason".to_owned(), json!(unsendable.0));
    }
    let overrides = Overrides::of(&config.submit.vendor_tlvs, &message.channel_data).unwrap_or_default();
    match write(&config.submit, message, &overrides) {
        Ok(written) => tell(config, message, &overrides, &written, &mut told),
        Err(_) => {
            told.insert("lost".to_owned(), json!(lost(config, &overrides, &message.content)));
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
    let Ok(parts) = lay_out(&config.submit, overrides, encoded, 0) else { return };
    let segments: Vec<_> = parts
        .iter()
        .filter_map(|part| Content::new(part.esm_class, part.data_coding, part.short_message.octets(), &part.tlvs).ok())
        .map(|content| {
            let piece = Encoded { octets: content.octets.to_vec(), ..encoded.clone() };
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

/// The characters that its alphabet does not have.
fn lost(config: &EsmeConfig, overrides: &Overrides, content: &str) -> Vec<String> {
    let charset = overrides.charset.or(match config.submit.encoding {
        super::config::Encoding::Fixed(charset, _) => Some(charset),
        super::config::Encoding::Auto => None,
    });
    let Some(charset) = charset else { return Vec::new() };
    let mut lost: Vec<String> = Vec::new();
    for character in content.chars().map(String::from) {
        if charset.encode(&character).is_err() && !lost.contains(&character) {
            lost.push(character);
        }
    }
    lost
}
