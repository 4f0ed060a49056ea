//! The character sets that short messages come in, and their names in configurations (field guide §1.4, §4.3).
//!
//! Encoding and decoding are strict: an error names the character or the octet that has no counterpart.

use encoding_rs::{DecoderResult, EncoderResult, Encoding};

use super::gsm7;

/// A character set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Charset {
    /// GSM 03.38 with its extension table, one septet an octet.
    Gsm7,
    /// GSM 03.38 with eight septets in seven octets.
    Gsm7Packed,
    /// ASCII.
    Ascii,
    /// ISO-8859-1.
    Latin1,
    /// Windows-1252.
    Cp1252,
    /// UTF-8.
    Utf8,
    /// UTF-16, big endian.
    Ucs2,
    /// ISO-8859-5, Cyrillic.
    Iso8859_5,
    /// ISO-8859-8, Hebrew.
    Iso8859_8,
    /// ISO-2022-JP.
    Iso2022Jp,
    /// Shift JIS.
    ShiftJis,
    /// EUC-KR, KS C 5601.
    EucKr,
    /// Big5.
    Big5,
}

/// Text that a character set cannot say, or octets that mean nothing in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CharsetError {
    /// A character without a counterpart.
    #[error("{character:?} at character {index} cannot be written in {charset}")]
    Unencodable {
        /// The character.
        character: char,
        /// Its place in the text, counted in characters from zero.
        index: usize,
        /// The character set's name.
        charset: &'static str,
    },
    /// An octet, or a pair or sequence that begins with it, without a meaning.
    #[error("octet {octet:#04x} at {index} means nothing in {charset}")]
    Undecodable {
        /// The octet.
        octet: u8,
        /// Its place, counted in octets from zero.
        index: usize,
        /// The character set's name.
        charset: &'static str,
    },
}

impl Charset {
    /// The character set with this name in any of the spellings in use; letter case, `-`, `_` and spaces do not
    /// matter.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let plain: String = name.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
        Some(match plain.to_ascii_lowercase().as_str() {
            "gsm0338" | "gsm" | "gsm7" | "gsm7bit" => Self::Gsm7,
            "gsm0338packed" | "gsm7packed" => Self::Gsm7Packed,
            "ascii" | "usascii" | "ia5" => Self::Ascii,
            "latin1" | "iso88591" | "l1" => Self::Latin1,
            "cp1252" | "windows1252" => Self::Cp1252,
            "utf8" => Self::Utf8,
            "utf16be" | "ucs2" | "utf16" | "ucs2be" => Self::Ucs2,
            "iso88595" | "cyrillic" => Self::Iso8859_5,
            "iso88598" | "hebrew" => Self::Iso8859_8,
            "iso2022jp" | "jis" => Self::Iso2022Jp,
            "shiftjis" | "sjis" => Self::ShiftJis,
            "euckr" | "ksc5601" | "cp949" => Self::EucKr,
            "big5" => Self::Big5,
            _ => return None,
        })
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gsm7 => "gsm0338",
            Self::Gsm7Packed => "gsm0338-packed",
            Self::Ascii => "ascii",
            Self::Latin1 => "latin1",
            Self::Cp1252 => "cp1252",
            Self::Utf8 => "utf-8",
            Self::Ucs2 => "utf-16be",
            Self::Iso8859_5 => "iso8859-5",
            Self::Iso8859_8 => "iso8859-8",
            Self::Iso2022Jp => "iso2022-jp",
            Self::ShiftJis => "shift_jis",
            Self::EucKr => "euc-kr",
            Self::Big5 => "big5",
        }
    }

    /// Text in octets.
    ///
    /// # Errors
    /// [`CharsetError::Unencodable`] names the first character that the set does not have.
    pub fn encode(self, text: &str) -> Result<Vec<u8>, CharsetError> {
        let by_octet = |octet_of: fn(char) -> Option<u8>| {
            let octets = text.chars().enumerate().map(|(index, character)| {
                octet_of(character).ok_or(CharsetError::Unencodable { character, index, charset: self.name() })
            });
            octets.collect()
        };
        match self {
            Self::Gsm7 => gsm7::encode(text),
            Self::Gsm7Packed => Ok(gsm7::pack(&gsm7::encode(text)?, 0)),
            Self::Ascii => by_octet(|character| u8::try_from(character).ok().filter(u8::is_ascii)),
            Self::Latin1 => by_octet(|character| u8::try_from(character).ok()),
            Self::Cp1252 => by_octet(cp1252_octet),
            Self::Utf8 => Ok(text.as_bytes().to_vec()),
            Self::Ucs2 => Ok(encode_ucs2(text)),
            Self::Iso8859_5 | Self::Iso8859_8 | Self::Iso2022Jp | Self::ShiftJis | Self::EucKr | Self::Big5 => {
                self.encode_foreign(text)
            }
        }
    }

    /// Octets as text.
    ///
    /// # Errors
    /// [`CharsetError::Undecodable`] names the first octet that means nothing.
    pub fn decode(self, octets: &[u8]) -> Result<String, CharsetError> {
        let undecodable = |index: usize| CharsetError::Undecodable {
            octet: octets.get(index).copied().unwrap_or_default(),
            index,
            charset: self.name(),
        };
        let by_octet = |character_of: fn(u8) -> Option<char>| {
            let characters = octets.iter().enumerate();
            characters.map(|(index, octet)| character_of(*octet).ok_or_else(|| undecodable(index))).collect()
        };
        match self {
            Self::Gsm7 => gsm7::decode(octets),
            Self::Gsm7Packed => gsm7::decode(&gsm7::unpack_text(octets, 0)),
            Self::Ascii => by_octet(|octet| octet.is_ascii().then_some(char::from(octet))),
            Self::Latin1 => by_octet(|octet| Some(char::from(octet))),
            Self::Cp1252 => by_octet(cp1252_character),
            Self::Utf8 => match std::str::from_utf8(octets) {
                Ok(text) => Ok(text.to_owned()),
                Err(error) => Err(undecodable(error.valid_up_to())),
            },
            Self::Ucs2 => decode_ucs2(octets).map_err(undecodable),
            Self::Iso8859_5 | Self::Iso8859_8 | Self::Iso2022Jp | Self::ShiftJis | Self::EucKr | Self::Big5 => {
                self.decode_foreign(octets).map_err(undecodable)
            }
        }
    }

    /// The tables of those that are kept elsewhere.
    fn foreign(self) -> &'static Encoding {
        match self {
            Self::Iso8859_5 => encoding_rs::ISO_8859_5,
            Self::Iso8859_8 => encoding_rs::ISO_8859_8,
            Self::Iso2022Jp => encoding_rs::ISO_2022_JP,
            Self::ShiftJis => encoding_rs::SHIFT_JIS,
            Self::EucKr => encoding_rs::EUC_KR,
            _ => encoding_rs::BIG5,
        }
    }

    fn encode_foreign(self, text: &str) -> Result<Vec<u8>, CharsetError> {
        let mut encoder = self.foreign().new_encoder();
        let most = encoder.max_buffer_length_from_utf8_without_replacement(text.len()).unwrap_or(text.len());
        let mut octets = Vec::with_capacity(most + 8);
        match encoder.encode_from_utf8_to_vec_without_replacement(text, &mut octets, true) {
            (EncoderResult::Unmappable(character), read) => {
                let index = text.get(..read).map_or(0, |read| read.chars().count()).saturating_sub(1);
                Err(CharsetError::Unencodable { character, index, charset: self.name() })
            }
            _ => Ok(octets),
        }
    }

    /// The text, or where it stops making sense.
    fn decode_foreign(self, octets: &[u8]) -> Result<String, usize> {
        let mut decoder = self.foreign().new_decoder_without_bom_handling();
        let most = decoder.max_utf8_buffer_length_without_replacement(octets.len()).unwrap_or(octets.len() * 3);
        let mut text = String::with_capacity(most);
        match decoder.decode_to_string_without_replacement(octets, &mut text, true) {
            (DecoderResult::Malformed(bad, after), read) => {
                Err(read.saturating_sub(usize::from(bad) + usize::from(after)))
            }
            _ => Ok(text),
        }
    }

    /// Octets as text, with U+FFFD for what means nothing: for messages that were acknowledged before anybody could
    /// read them.
    #[must_use]
    pub fn decode_lossy(self, octets: &[u8]) -> String {
        if let Ok(text) = self.decode(octets) {
            return text;
        }
        match self {
            Self::Ucs2 => {
                let (units, odd) = octets.as_chunks::<2>();
                let units = units.iter().map(|unit| u16::from_be_bytes(*unit));
                let text = char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER));
                text.chain(odd.iter().map(|_| char::REPLACEMENT_CHARACTER)).collect()
            }
            Self::Utf8 => String::from_utf8_lossy(octets).into_owned(),
            Self::Iso2022Jp | Self::ShiftJis | Self::EucKr | Self::Big5 => {
                self.foreign().decode_without_bom_handling(octets).0.into_owned()
            }
            _ => octets.chunks(1).map(|octet| self.decode(octet).unwrap_or_else(|_| "\u{fffd}".to_owned())).collect(),
        }
    }
}

/// UTF-16 big endian.
pub(crate) fn encode_ucs2(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// The text without a leading byte order mark, or where it stops making sense.
fn decode_ucs2(octets: &[u8]) -> Result<String, usize> {
    let (units, odd) = octets.as_chunks::<2>();
    let mut text = String::with_capacity(octets.len());
    let mut at = 0;
    for unit in char::decode_utf16(units.iter().map(|unit| u16::from_be_bytes(*unit))) {
        let character = unit.map_err(|_| at)?;
        if at > 0 || character != '\u{feff}' {
            text.push(character);
        }
        at += 2 * character.len_utf16();
    }
    if odd.is_empty() { Ok(text) } else { Err(at) }
}

/// Windows-1252 from 0x80 to 0x9F; `\0` where it has nothing.
const CP1252: [char; 32] = [
    '€', '\0', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\0', 'Ž', '\0', '\0', '‘', '’', '“', '”', '•',
    '–', '—', '˜', '™', 'š', '›', 'œ', '\0', 'ž', 'Ÿ',
];

fn cp1252_character(octet: u8) -> Option<char> {
    match octet.checked_sub(0x80).and_then(|index| CP1252.get(usize::from(index))) {
        Some('\0') => None,
        Some(character) => Some(*character),
        None => Some(char::from(octet)),
    }
}

fn cp1252_octet(character: char) -> Option<u8> {
    (0..=u8::MAX).find(|octet| cp1252_character(*octet) == Some(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_every_spelling() {
        for (name, charset) in [("UTF-16BE", Charset::Ucs2), ("iso8859_1", Charset::Latin1), ("gsm0338", Charset::Gsm7)]
        {
            assert_eq!(Charset::named(name), Some(charset));
            assert_eq!(Charset::named(charset.name()), Some(charset));
        }
        assert_eq!(Charset::named("klingon"), None);
    }

    #[test]
    fn errors_name_what_has_no_counterpart() {
        let error = Charset::Ascii.encode("naïve").unwrap_err();
        assert_eq!(error.to_string(), "'ï' at character 2 cannot be written in ascii");
        let error = Charset::Ascii.decode(&[b'a', 0xa7]).unwrap_err();
        assert_eq!(error.to_string(), "octet 0xa7 at 1 means nothing in ascii");
        assert!(Charset::Ucs2.decode(&[0, b'a', 0]).is_err());
        assert!(Charset::Ucs2.decode(&[0xd8, 0x3d]).is_err());
    }

    #[test]
    fn lossy_reading_marks_what_is_missing() {
        assert_eq!(Charset::Ucs2.decode_lossy(&[0, b'a', 0xd8, 0x3d, 0]), "a\u{fffd}\u{fffd}");
        assert_eq!(Charset::Ascii.decode_lossy(&[b'a', 0xa7, b'b']), "a\u{fffd}b");
    }

    #[test]
    fn surrogate_pairs_survive_and_a_byte_order_mark_does_not() {
        assert_eq!(Charset::Ucs2.decode(&Charset::Ucs2.encode("a😀").unwrap()), Ok("a😀".to_owned()));
        assert_eq!(Charset::Ucs2.decode(&[0xfe, 0xff, 0, b'a']), Ok("a".to_owned()));
        assert_eq!(Charset::Cp1252.decode(&Charset::Cp1252.encode("5 €").unwrap()), Ok("5 €".to_owned()));
    }
}
