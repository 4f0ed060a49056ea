//! A message as what its PDUs carry: one short message, a row of segments, or a payload parameter.
//!
//! The addresses and flags around it are the caller's.

use super::segment::{self, Split, TooLong};
use super::{Charset, Encoded, gsm7};
use crate::field::{DataCoding, EsmClass};
use crate::tlv::{Tag, Tlvs};
use crate::wire::ShortMessage;

/// A text that cannot be laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PartsError {
    /// More than 255 segments, or more than a payload takes.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// More than one short message takes, where it is to be one.
    #[error("it has {octets} octets where one short message takes {MAX_SHORT_MESSAGE}")]
    NotOne {
        /// Octets of header and text.
        octets: usize,
    },
    /// The header leaves less than a character for the text of each message.
    #[error("header elements of {elements} octets leave no room for text")]
    NoRoom {
        /// Octets of the elements, without those that make segments.
        elements: usize,
    },
}

/// Octets of `short_message` (§5.2.22).
const MAX_SHORT_MESSAGE: usize = 254;
/// Octets that a message has for header and text on the way to a phone (3GPP TS 23.040 §9.2.3.16).
const USER_DATA: usize = 140;

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
/// [`PartsError::TooLong`] above 255 segments, or above the 65,535 octets that a payload takes;
/// [`PartsError::NoRoom`] when the elements leave less than a character of each segment.
pub fn parts(text: &Encoded, layout: &Layout, reference: u16) -> Result<Vec<Part>, PartsError> {
    let elements = [&text.tables.elements()[..], &layout.elements].concat();
    let no_room = PartsError::NoRoom { elements: elements.len() };
    let split = match layout.long {
        Long::Segments(split) => split,
        Long::Payload => return Ok(vec![payload(text, &elements)?]),
    };
    let header = if elements.is_empty() { 0 } else { 1 + elements.len() };
    if header > USER_DATA {
        return Err(no_room);
    }
    if text.octets.len() <= segment::capacity(text.charset, header) {
        return Ok(vec![whole(text, &elements, &text.octets)?]);
    }
    let fits = segment::capacity(text.charset, 1 + elements.len() + segment::concat_len(split));
    let fits = layout.segment_octets.map_or(fits, |octets| octets.min(fits));
    if fits < segment::longest_character(text.charset) {
        return Err(no_room);
    }
    if let Some(segments) = segment::far_too_many(text, fits) {
        return Err(TooLong { segments }.into());
    }
    let pieces = segment::cut(text, fits);
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
        Ok(Part { tlvs, ..whole(text, &own, &piece)? })
    };
    (1..=total).zip(pieces).map(part).collect()
}

/// The text in one short message with these header elements beside its tables', even where a phone takes less.
///
/// # Errors
/// [`PartsError::NotOne`] above the 254 octets of the field.
pub fn single(text: &Encoded, elements: &[u8]) -> Result<Part, PartsError> {
    whole(text, &[&text.tables.elements()[..], elements].concat(), &text.octets)
}

/// A short message with these header elements, if there are any.
fn whole(text: &Encoded, elements: &[u8], piece: &[u8]) -> Result<Part, PartsError> {
    let (octets, esm_class) = headed(text.charset, elements, piece)?;
    let not_one = PartsError::NotOne { octets: octets.len() };
    if octets.len() > MAX_SHORT_MESSAGE {
        return Err(not_one);
    }
    let short_message = ShortMessage::new(octets).map_err(|_| not_one)?;
    Ok(Part { esm_class, data_coding: text.data_coding, short_message, tlvs: Tlvs::default() })
}

/// Header and text; packed septets begin at a septet's boundary behind it.
fn headed(charset: Charset, elements: &[u8], piece: &[u8]) -> Result<(Vec<u8>, EsmClass), PartsError> {
    let length = u8::try_from(elements.len()).map_err(|_| PartsError::NoRoom { elements: elements.len() })?;
    if length == 0 {
        return Ok((piece.to_vec(), EsmClass::default()));
    }
    let mut octets = [&[length][..], elements].concat();
    match charset {
        Charset::Gsm7Packed => octets.extend(gsm7::realign(piece, 0, gsm7::fill(octets.len()))),
        _ => octets.extend_from_slice(piece),
    }
    Ok((octets, EsmClass::UDHI))
}

fn payload(text: &Encoded, elements: &[u8]) -> Result<Part, PartsError> {
    let (octets, esm_class) = headed(text.charset, elements, &text.octets)?;
    if octets.len() > usize::from(u16::MAX) {
        let segments = octets.len().div_ceil(segment::single_capacity(text.charset));
        return Err(TooLong { segments }.into());
    }
    let mut tlvs = Tlvs::default();
    tlvs.push(Tag::MESSAGE_PAYLOAD, &octets);
    Ok(Part { esm_class, data_coding: text.data_coding, short_message: ShortMessage::default(), tlvs })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::text::content::Content;
    use crate::text::{Charset, encode};

    fn read(part: &Part) -> Content {
        Content::new(part.esm_class, part.data_coding, part.short_message.octets(), &part.tlvs).unwrap()
    }

    #[test]
    fn every_way_of_sending_long_text_reads_back_as_the_text() {
        let text = "Ein sehr langer Text: € ".repeat(20);
        for long in [Split::Udh8, Split::Udh16, Split::Sar].map(Long::Segments).into_iter().chain([Long::Payload]) {
            let parts = parts(&encode(&text), &long.into(), 0x1234).unwrap();
            assert_eq!(parts.len(), if long == Long::Payload { 1 } else { 4 }, "{long:?}");
            let read = parts.iter().enumerate().map(|(index, part)| {
                let content = read(part);
                assert_eq!(
                    content.concat.map(|concat| usize::from(concat.part)),
                    (parts.len() > 1).then_some(index + 1)
                );
                content.text().unwrap()
            });
            assert_eq!(read.collect::<String>(), text, "{long:?}");
        }
    }

    /// 3GPP TS 23.040 §9.2.3.24: fill bits, so that the text begins at a septet's boundary.
    #[test]
    fn packed_text_is_aligned_behind_every_header() {
        let text = "packed text of many septets; ".repeat(9);
        let octets = Charset::Gsm7Packed.encode(&text).unwrap();
        let encoded = Encoded::new(Charset::Gsm7Packed, DataCoding::DEFAULT, octets);
        let ways = [Split::Udh8, Split::Udh16, Split::Sar].map(Long::Segments).into_iter().chain([Long::Payload]);
        for (long, others) in ways.flat_map(|long| [0, 3, 6, 8].map(|others| (long, others))) {
            let elements =
                if others > 0 { [&[0x70, others - 2][..], &vec![0; usize::from(others) - 2]].concat() } else { vec![] };
            let parts = parts(&encoded, &Layout { elements, ..long.into() }, 7).unwrap();
            let mut whole = String::new();
            for part in &parts {
                let content = read(part);
                let header = content.udh.as_ref().map_or(0, |udh| 1 + udh.elements.len());
                let payload = part.tlvs.octets_of(Tag::MESSAGE_PAYLOAD);
                let octets = payload.unwrap_or_else(|| part.short_message.octets().clone());
                // Read as phones do: septets counted from the message's first bit.
                let before = (header * 8).div_ceil(7);
                let septets = gsm7::unpack(&octets, 0, octets.len() * 8 / 7);
                let text = gsm7::decode(&septets[before..]).unwrap();
                let text = text.trim_end_matches('\r');
                assert_eq!(Charset::Gsm7Packed.decode(&content.aligned(Charset::Gsm7Packed)).unwrap(), text);
                whole.push_str(text);
            }
            assert_eq!(whole, text, "{long:?} behind {others}");
        }
        let first = &parts(&encoded, &Long::Segments(Split::Udh8).into(), 7).unwrap()[0];
        assert_eq!(first.short_message.octets().len(), 140);
    }

    #[test]
    fn elements_that_leave_no_room_for_a_character_are_refused() {
        let elements = |length: usize| [&[0x70, u8::try_from(length - 2).unwrap()][..], &vec![0; length - 2]].concat();
        let layout = |length, long: Long| Layout { elements: elements(length), ..long.into() };
        let udh = Long::Segments(Split::Udh8);
        for (text, most) in [(encode("Hello 😀"), 130), (encode(&"x".repeat(161)), 132)] {
            assert!(parts(&text, &layout(most, udh), 0).is_ok(), "{most}");
            for length in [most + 1, 140, 200] {
                let error = parts(&text, &layout(length, udh), 0).unwrap_err();
                assert_eq!(error, PartsError::NoRoom { elements: length });
            }
        }
        let crowded = Layout { elements: [elements(200), elements(60)].concat(), ..Long::Payload.into() };
        assert_eq!(parts(&encode("x"), &crowded, 0), Err(PartsError::NoRoom { elements: 260 }));
        assert!(parts(&encode("x"), &layout(200, Long::Payload), 0).is_ok());
        // Without a text the header may fill the message.
        assert_eq!(parts(&encode(""), &layout(139, udh), 0).unwrap()[0].short_message.octets().len(), 140);
        assert_eq!(parts(&encode(""), &layout(140, udh), 0), Err(PartsError::NoRoom { elements: 140 }));
    }

    #[test]
    fn one_message_takes_what_its_field_holds() {
        let text = encode(&"x".repeat(200));
        let part = single(&text, &[5, 4, 0, 1, 0, 2]).unwrap();
        assert_eq!((part.esm_class, part.short_message.octets().len()), (EsmClass::UDHI, 207));
        assert_eq!(single(&text, &[0x70; 60]), Err(PartsError::NotOne { octets: 261 }));
        assert_eq!(read(&part).octets, Bytes::from(text.octets));
    }
}
