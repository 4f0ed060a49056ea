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

/// How a text is laid out in PDUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// What becomes of long text.
    pub long: Long,
    /// Octets of text per segment, where they are to be fewer than fit.
    pub segment_octets: Option<usize>,
    /// Header elements that every segment carries, ports for instance, as octets.
    pub elements: Vec<u8>,
    /// References of `sar_*` parameters run below this.
    pub reference_rollover: u32,
}

impl From<Long> for Layout {
    fn from(long: Long) -> Self {
        Self { long, segment_octets: None, elements: Vec::new(), reference_rollover: 65_536 }
    }
}

/// The parts of a text, in order; `reference` joins segments.
///
/// ```
/// use smpp::text::parts::{Long, parts};
/// use smpp::text::{encode, segment::Split};
///
/// let parts = parts(&encode(&"x".repeat(161)), &Long::Segments(Split::Udh8).into(), 7).unwrap();
/// assert_eq!(parts.len(), 2);
/// assert_eq!(parts[1].short_message.octets()[..6], [5, 0, 3, 7, 2, 2]);
/// ```
///
/// # Errors
/// [`TooLong`] above 255 segments, or above the 65,535 octets that a payload takes.
pub fn parts(text: &Encoded, layout: &Layout, reference: u16) -> Result<Vec<Part>, TooLong> {
    let elements = [&text.tables.elements()[..], &layout.elements].concat();
    let split = match layout.long {
        Long::Segments(split) => split,
        Long::Payload => return Ok(vec![payload(text, &elements)?]),
    };
    let single = if elements.is_empty() { 0 } else { 1 + elements.len() };
    if text.octets.len() <= segment::capacity(text.charset, single) {
        return Ok(vec![whole(text, &elements, text.octets.clone())?]);
    }
    let fits = segment::capacity(text.charset, 1 + elements.len() + segment::concat_len(split));
    let pieces = segment::cut(text, layout.segment_octets.map_or(fits, |octets| octets.min(fits)));
    let count = pieces.len();
    let total = u8::try_from(count).map_err(|_| TooLong { segments: count })?;
    let part = |(number, piece): (u8, Vec<u8>)| {
        let mut own = elements.clone();
        let mut tlvs = Tlvs::default();
        if split == Split::Sar {
            tlvs.push_integer(Tag::SAR_MSG_REF_NUM, u32::from(reference) % layout.reference_rollover.max(1));
            tlvs.push_integer(Tag::SAR_TOTAL_SEGMENTS, u32::from(total));
            tlvs.push_integer(Tag::SAR_SEGMENT_SEQNUM, u32::from(number));
        } else {
            // Concatenation first, as everybody expects it.
            own.splice(0..0, segment::concat_element(split, reference, total, number));
        }
        Ok(Part { tlvs, ..whole(text, &own, piece)? })
    };
    (1..=total).zip(pieces).map(part).collect()
}

/// A short message with these header elements, if there are any.
fn whole(text: &Encoded, elements: &[u8], piece: Vec<u8>) -> Result<Part, TooLong> {
    let (octets, esm_class) = headed(elements, piece);
    let short_message = ShortMessage::new(octets).map_err(|_| TooLong { segments: 1 })?;
    Ok(Part { esm_class, data_coding: text.data_coding, short_message, tlvs: Tlvs::default() })
}

fn headed(elements: &[u8], piece: Vec<u8>) -> (Vec<u8>, EsmClass) {
    match u8::try_from(elements.len()) {
        Ok(length @ 1..) => ([&[length][..], elements, &piece].concat(), EsmClass::UDHI),
        _ => (piece, EsmClass::default()),
    }
}

fn payload(text: &Encoded, elements: &[u8]) -> Result<Part, TooLong> {
    let (octets, esm_class) = headed(elements, text.octets.clone());
    if octets.len() > usize::from(u16::MAX) {
        return Err(TooLong { segments: octets.len().div_ceil(segment::single_capacity(text.charset)) });
    }
    let mut tlvs = Tlvs::default();
    tlvs.push(Tag::MESSAGE_PAYLOAD, &octets);
    Ok(Part { esm_class, data_coding: text.data_coding, short_message: ShortMessage::default(), tlvs })
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
            let parts = parts(&encode(&text), &long.into(), 0x1234).unwrap();
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
