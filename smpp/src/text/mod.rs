//! Between text and the octets of a short message (§5.2.19, 3GPP TS 23.038).
//!
//! [`encode`] picks or is told an alphabet; [`decode`] goes by `data_coding`. Nothing is replaced silently: what
//! cannot be said in an alphabet is an error that names the character. Headers and splitting are in
//! [`udh`], [`segment`] and [`reassemble`]; [`parts`] makes what PDUs carry of a text, [`content`] reads it.

pub mod charset;
pub mod content;
pub mod gsm7;
pub mod parts;
pub mod reassemble;
pub mod segment;
pub mod udh;

pub use charset::{Charset, CharsetError};

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
        Ok(octets) => Encoded { charset: Charset::Gsm7, data_coding: DataCoding::DEFAULT, octets },
        Err(_) => Encoded { charset: Charset::Ucs2, data_coding: DataCoding::UCS2, octets: charset::encode_ucs2(text) },
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
        0x08 => Some(Charset::Ucs2),
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

#[cfg(test)]
mod tests {
    use super::*;

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
