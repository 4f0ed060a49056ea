//! A message as what its PDUs carry: one short message, a row of segments, or a payload parameter.
//!
//! The addresses and flags around it are the caller's.

use super::Encoded;
use super::segment::{self, Split, TooLong};
use crate::field::{DataCoding, EsmClass};
use crate::tlv::{Tag, Tlvs};
use crate::wire::ShortMessage;

/// How text that does not fit into one short message leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Long {
    /// In several PDUs.
    Segments(Split),
    /// In one PDU, in `message_payload`; short text too.
    Payload,
}

/// What one PDU carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// UDHI, or nothing.
    pub esm_class: EsmClass,
    /// How the text is coded.
    pub data_coding: DataCoding,
    /// Header and text; empty when the text is in the payload.
    pub short_message: ShortMessage,
    /// The payload or the `sar_*` parameters, if any.
    pub tlvs: Tlvs,
}

/// The parts of a text, in order; `reference` joins segments.
///
/// ```
/// use smpp::text::parts::{Long, parts};
/// use smpp::text::{encode, segment::Split};
///
/// let parts = parts(&encode(&"x".repeat(161)), Long::Segments(Split::Udh8), 7).unwrap();
/// assert_eq!(parts.len(), 2);
/// assert_eq!(parts[1].short_message.octets()[..6], [5, 0, 3, 7, 2, 2]);
/// ```
///
/// # Errors
/// [`TooLong`] above 255 segments, or above the 65,535 octets that a payload takes.
pub fn parts(text: &Encoded, long: Long, reference: u16) -> Result<Vec<Part>, TooLong> {
    let split = match long {
        Long::Segments(split) => split,
        Long::Payload => return Ok(vec![payload(text)?]),
    };
    let pieces = segment::split(&text.octets, text.charset, split)?;
    let total = u8::try_from(pieces.len()).map_err(|_| TooLong { segments: pieces.len() })?;
    let part = |(number, piece): (u8, &&[u8])| {
        let mut octets = if total > 1 { segment::header(split, reference, total, number) } else { Vec::new() };
        let esm_class = if octets.is_empty() { EsmClass::default() } else { EsmClass::UDHI };
        octets.extend_from_slice(piece);
        let mut tlvs = Tlvs::default();
        if total > 1 && split == Split::Sar {
            tlvs.push_integer(Tag::SAR_MSG_REF_NUM, u32::from(reference));
            tlvs.push_integer(Tag::SAR_TOTAL_SEGMENTS, u32::from(total));
            tlvs.push_integer(Tag::SAR_SEGMENT_SEQNUM, u32::from(number));
        }
        let short_message = ShortMessage::new(octets).map_err(|_| TooLong { segments: pieces.len() })?;
        Ok(Part { esm_class, data_coding: text.data_coding, short_message, tlvs })
    };
    (1..=total).zip(&pieces).map(part).collect()
}

fn payload(text: &Encoded) -> Result<Part, TooLong> {
    if text.octets.len() > usize::from(u16::MAX) {
        return Err(TooLong { segments: text.octets.len().div_ceil(segment::single_capacity(text.charset)) });
    }
    let mut tlvs = Tlvs::default();
    tlvs.push(Tag::MESSAGE_PAYLOAD, &text.octets);
    let (esm_class, short_message) = Default::default();
    Ok(Part { esm_class, data_coding: text.data_coding, short_message, tlvs })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::content::Content;
    use crate::text::encode;

    #[test]
    fn every_way_of_sending_long_text_reads_back_as_the_text() {
        let text = "Ein sehr langer Text: € ".repeat(20);
        for long in [Split::Udh8, Split::Udh16, Split::Sar].map(Long::Segments).into_iter().chain([Long::Payload]) {
            let parts = parts(&encode(&text), long, 0x1234).unwrap();
            assert_eq!(parts.len(), if long == Long::Payload { 1 } else { 4 }, "{long:?}");
            let read = parts.iter().enumerate().map(|(index, part)| {
                let content =
                    Content::new(part.esm_class, part.data_coding, part.short_message.octets(), &part.tlvs).unwrap();
                assert_eq!(
                    content.concat.map(|concat| usize::from(concat.part)),
                    (parts.len() > 1).then_some(index + 1)
                );
                content.text().unwrap()
            });
            assert_eq!(read.collect::<String>(), text, "{long:?}");
        }
    }
}
