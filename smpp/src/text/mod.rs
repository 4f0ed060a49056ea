//! Between text and the octets of a short message (§5.2.19, 3GPP TS 23.038).
//!
//! [`encode`] picks or is told an alphabet; [`decode`] goes by `data_coding`. Nothing is replaced silently: what
//! cannot be said in an alphabet is an error that names the character. Headers and splitting are in
//! [`udh`], [`segment`] and [`reassemble`]; [`parts`] makes what PDUs carry of a text, [`content`] reads it.

pub mod charset;
pub mod content;
pub mod gsm7;
pub mod national;
pub mod parts;
pub mod reassemble;
pub mod segment;
pub mod transliterate;
pub mod udh;

pub use charset::{Charset, CharsetError};
pub use national::Tables;

use self::national::Language;
use crate::field::DataCoding;

/// Text in octets, and the `data_coding` that announces them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// How they are to be read.
    pub charset: Charset,
    /// What to announce.
    pub data_coding: DataCoding,
    /// The octets, one septet each for GSM 03.38.
    pub octets: Vec<u8>,
    /// The national tables that they are in, for GSM 03.38 alone.
    pub tables: Tables,
}

impl Encoded {
    /// Octets in an alphabet without tables of its own.
    #[must_use]
    pub fn new(charset: Charset, data_coding: DataCoding, octets: Vec<u8>) -> Self {
        Self { charset, data_coding, octets, tables: Tables::default() }
    }

    /// What they say, with U+FFFD for what means nothing.
    #[must_use]
    pub fn text(&self) -> String {
        if self.tables.is_default() {
            self.charset.decode_lossy(&self.octets)
        } else {
            self.tables.decode(&self.octets)
        }
    }
}

/// Encodes in the cheapest alphabet that has every character: GSM 03.38, else UTF-16.
///
/// ```
/// use smpp::text::{Charset, encode};
///
/// assert_eq!(encode("price: 5 €").charset, Charset::Gsm7);
/// let czech = encode("žluťoučký");
/// assert_eq!((czech.charset, czech.data_coding.0, czech.octets.len()), (Charset::Ucs2, 8, 18));
/// ```
#[must_use]
pub fn encode(text: &str) -> Encoded {
    match Charset::Gsm7.encode(text) {
        Ok(octets) => Encoded::new(Charset::Gsm7, DataCoding::DEFAULT, octets),
        Err(_) => Encoded::new(Charset::Ucs2, DataCoding::UCS2, charset::encode_ucs2(text)),
    }
}

/// Encodes in GSM 03.38 with the national tables of these languages where that takes fewer segments than UTF-16 would.
#[must_use]
pub fn encode_national(text: &str, languages: &[Language]) -> Encoded {
    let plain = encode(text);
    if plain.charset == Charset::Gsm7 {
        return plain;
    }
    match national::cheapest(text, languages) {
        Some((tables, octets)) => {
            let national = Encoded { charset: Charset::Gsm7, data_coding: DataCoding::DEFAULT, octets, tables };
            if segment::count(&national) <= segment::count(&plain) { national } else { plain }
        }
        None => plain,
    }
}

/// The character set that a `data_coding` announces (§5.2.19; 3GPP TS 23.038 §4 for the groups from 0x10 up and
/// 0xC0 up); `None` for binary and for values that mean nothing known.
#[must_use]
pub const fn charset_of(data_coding: DataCoding) -> Option<Charset> {
    match data_coding.0 {
        0x00 => Some(Charset::Gsm7),
        0x01 => Some(Charset::Ascii),
        0x03 => Some(Charset::Latin1),
        0x05 | 0x0a => Some(Charset::Iso2022Jp),
        0x06 => Some(Charset::Iso8859_5),
        0x07 => Some(Charset::Iso8859_8),
        0x08 => Some(Charset::Ucs2),
        0x09 => Some(Charset::ShiftJis),
        0x0e => Some(Charset::EucKr),
        // General data coding, with or without message class: the alphabet is in bits 3 and 2.
        0x10..=0x3f => match data_coding.0 >> 2 & 0x03 {
            0 => Some(Charset::Gsm7),
            2 => Some(Charset::Ucs2),
            _ => None,
        },
        // Message waiting: discard and store groups in the default alphabet, the last in UCS2.
        0xc0..=0xdf => Some(Charset::Gsm7),
        0xe0..=0xef => Some(Charset::Ucs2),
        // Data coding with message class: bit 2 says 8-bit.
        0xf0..=0xff if data_coding.0 & 0x04 == 0 => Some(Charset::Gsm7),
        _ => None,
    }
}

/// The `data_coding` that announces a character set: its own of §5.2.19, else that of the SMSC's default alphabet.
#[must_use]
pub fn coding_of(charset: Charset) -> DataCoding {
    (0..=14).map(DataCoding).find(|coding| charset_of(*coding) == Some(charset)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alphabets_have_their_own_data_coding_or_the_default() {
        for (charset, coding) in
            [(Charset::Gsm7, 0), (Charset::Ucs2, 8), (Charset::Latin1, 3), (Charset::EucKr, 14), (Charset::Utf8, 0)]
        {
            assert_eq!(coding_of(charset).0, coding, "{charset:?}");
        }
    }

    #[test]
    fn data_codings_name_their_alphabet() {
        let cases = [
            (0x00, Some(Charset::Gsm7)),
            (0x01, Some(Charset::Ascii)),
            (0x03, Some(Charset::Latin1)),
            (0x04, None),
            (0x08, Some(Charset::Ucs2)),
            (0x10, Some(Charset::Gsm7)),
            (0x14, None),
            (0x18, Some(Charset::Ucs2)),
            (0xc8, Some(Charset::Gsm7)),
            (0xe0, Some(Charset::Ucs2)),
            (0xf1, Some(Charset::Gsm7)),
            (0xf5, None),
            (0x0f, None),
        ];
        for (octet, charset) in cases {
            assert_eq!(charset_of(DataCoding(octet)), charset, "{octet:#x}");
        }
    }
}
