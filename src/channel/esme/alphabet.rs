//! In which alphabet an MT is written: its own, its channel's, or the cheapest that has every character; and the
//! `data_coding` that announces it (3GPP TS 23.038, field guide §5.1).

use std::collections::HashSet;

use smpp::DataCoding;
use smpp::text::transliterate::fold;
use smpp::text::{self, Charset, Encoded, coding_of, national, segment};

use super::config::{Encoding, SubmitConfig};
use super::overrides::Overrides;
use super::submit::Unsendable;
use crate::model::Outbound;

/// A text as it will be written.
pub(super) struct Written {
    pub(super) encoded: Encoded,
    /// Characters that another stands for, and which.
    pub(super) replaced: Vec<(char, String)>,
    /// It is octets, not text.
    pub(super) binary: bool,
}

/// Octets of UTF-8 in the longest content that can be sent at all: a payload takes 65,535 octets, and no alphabet says in
/// one octet what takes more than three in UTF-8; octets in hexadecimal take three with a space between them.
const MAX_CONTENT: usize = 3 * 65_535;

/// Most characters that are listed as lost.
const MAX_LISTED: usize = 100;

/// Writes a message's content in the alphabet that it is to have.
pub(super) fn write(config: &SubmitConfig, message: &Outbound, overrides: &Overrides) -> Result<Written, Unsendable> {
    let content = &message.content;
    if content.len() > MAX_CONTENT {
        let length = content.len();
        let why =
            format!("Message too long: {length} octets of UTF-8 where no way of sending takes more than {MAX_CONTENT}");
        return Err(Unsendable(why));
    }
    if let Some(binary) = overrides.binary {
        // Latin-1 stands for octets that mean nothing to us.
        let charset = overrides.charset.unwrap_or(Charset::Latin1);
        let data_coding = overrides.announce(Charset::Latin1, DataCoding(4));
        let encoded = Encoded::new(charset, data_coding, binary.decode(content)?);
        return Ok(Written { encoded, replaced: Vec::new(), binary: true });
    }
    let rules = Rules::of(config, message);
    let (mut encoded, replaced) = match wanted(config, overrides)? {
        Encoding::Fixed(charset, data_coding) => rules.in_charset(charset, data_coding, content)?,
        Encoding::Auto => rules.cheapest(content),
    };
    encoded.data_coding = overrides.announce(encoded.charset, encoded.data_coding);
    Ok(Written { encoded, replaced, binary: false })
}

/// Characters that the alphabet of a message does not have: the first hundred, each once.
pub(super) fn lost(config: &SubmitConfig, message: &Outbound, overrides: &Overrides) -> Vec<char> {
    let fixed = wanted(config, overrides).ok().filter(|_| message.content.len() <= MAX_CONTENT);
    let Some(Encoding::Fixed(charset, data_coding)) = fixed else { return Vec::new() };
    let rules = Rules::of(config, message);
    let mut seen = HashSet::new();
    let once = message.content.chars().filter(|character| seen.insert(*character));
    once.filter(|character| rules.in_charset(charset, data_coding, character.encode_utf8(&mut [0; 4])).is_err())
        .take(MAX_LISTED)
        .collect()
}

/// The message's own alphabet, else the channel's. Class and indication have a `data_coding` for GSM 03.38 and for UCS-2
/// alone, so they need one of those.
fn wanted(config: &SubmitConfig, overrides: &Overrides) -> Result<Encoding, Unsendable> {
    let fits =
        |charset| !overrides.has_group() || matches!(charset, Charset::Gsm7 | Charset::Gsm7Packed | Charset::Ucs2);
    match (overrides.charset, config.encoding) {
        (Some(charset), _) if fits(charset) => Ok(Encoding::Fixed(charset, coding_of(charset))),
        (Some(charset), _) => Err(Unsendable(format!(
            "Invalid channel_data.encoding: {} has no data_coding with message_class or message_waiting: give gsm0338, \
             ucs2 or nothing, or channel_data.data_coding",
            charset.name()
        ))),
        (None, Encoding::Fixed(charset, data_coding)) if fits(charset) => Ok(Encoding::Fixed(charset, data_coding)),
        (None, _) => Ok(Encoding::Auto),
    }
}

/// What may be done to a text so that it fits GSM 03.38.
struct Rules<'a> {
    languages: &'a [national::Language],
    transliterate: bool,
}

impl<'a> Rules<'a> {
    fn of(config: &'a SubmitConfig, message: &Outbound) -> Self {
        // National tables are announced in a header, which a USSD string does not have.
        let ussd = message.transport_type.as_deref() == Some("ussd");
        Self { languages: if ussd { &[] } else { &config.languages }, transliterate: config.transliterate }
    }

    /// In this alphabet; GSM 03.38 with national tables, or folded, where it has to be.
    fn in_charset(
        &self,
        charset: Charset,
        data_coding: DataCoding,
        content: &str,
    ) -> Result<(Encoded, Vec<(char, String)>), Unsendable> {
        let error = match charset.encode(content) {
            Ok(octets) => return Ok((Encoded::new(charset, data_coding, octets), Vec::new())),
            Err(error) => Unsendable(format!("Invalid content: {error}")),
        };
        if charset == Charset::Gsm7
            && !self.languages.is_empty()
            && let Some((tables, octets)) = national::cheapest(content, self.languages)
        {
            return Ok((Encoded { charset, data_coding, octets, tables }, Vec::new()));
        }
        if !self.transliterate || !matches!(charset, Charset::Gsm7 | Charset::Gsm7Packed) {
            return Err(error);
        }
        let Some(folded) = fold(content) else {
            // What can be folded is not what is in the way.
            let odd = content.chars().find(|character| fold(character.encode_utf8(&mut [0; 4])).is_none());
            let why = |odd| Unsendable(format!("Invalid content: {odd:?} cannot be written in gsm0338, nor folded"));
            return Err(odd.map_or(error, why));
        };
        let octets = charset.encode(&folded.text).map_err(|error| Unsendable(format!("Invalid content: {error}")))?;
        Ok((Encoded::new(charset, data_coding, octets), folded.changed))
    }

    /// GSM 03.38, with national tables or folded where the channel allows that and it saves segments; else UCS-2.
    fn cheapest(&self, content: &str) -> (Encoded, Vec<(char, String)>) {
        let encoded = match self.languages {
            [] => text::encode(content),
            languages => text::encode_national(content, languages),
        };
        if encoded.charset == Charset::Gsm7 || !self.transliterate {
            return (encoded, Vec::new());
        }
        match fold(content) {
            Some(folded) => {
                let plain = text::encode(&folded.text);
                match segment::count(&plain) < segment::count(&encoded) {
                    true => (plain, folded.changed),
                    false => (encoded, Vec::new()),
                }
            }
            None => (encoded, Vec::new()),
        }
    }
}
