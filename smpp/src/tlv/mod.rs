//! Optional parameters (§3.2.4): tag, length, value, in the order they came.
//!
//! A PDU's optional part is kept as the octets it arrived in, so that unknown tags, vendor tags and even
//! trailing garbage go out again byte for byte, and a PDU whose parameters nobody reads costs no allocation.

pub mod tag;

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use nom::Parser;
use nom::bytes::complete::take;
use nom::multi::length_data;
use nom::number::complete::be_u16;

pub use tag::{Tag, TlvKind};

use crate::wire::{Value, text};

/// The optional parameters of one PDU.
///
/// ```
/// use smpp::{Tag, Tlvs};
///
/// let mut tlvs = Tlvs::default();
/// tlvs.push_integer(Tag::USSD_SERVICE_OP, 2);
/// tlvs.push(Tag(0x1454), &[0, 0, 0, 1]);
/// assert_eq!(tlvs.integer(Tag::USSD_SERVICE_OP), Some(2));
/// assert_eq!(tlvs.iter().count(), 2);
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Tlvs(Bytes);

/// One optional parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// Which.
    pub tag: Tag,
    /// Its value, undecoded.
    pub value: &'a [u8],
}

impl Tlvs {
    /// The optional part of a body, taken as it is.
    #[must_use]
    pub const fn from_octets(octets: Bytes) -> Self {
        Self(octets)
    }

    /// The octets, trailing ones included.
    #[must_use]
    pub fn octets(&self) -> &Bytes {
        &self.0
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The well-formed parameters in wire order; ends where the rest is too short to be one (field guide §8.4).
    pub fn iter(&self) -> impl Iterator<Item = Tlv<'_>> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let (after, tlv) = split(rest)?;
            rest = after;
            Some(tlv)
        })
    }

    /// Octets at the end that are no parameter: a length beyond the body, or one to three stray octets.
    #[must_use]
    pub fn trailing(&self) -> Bytes {
        let parsed: usize = self.iter().map(|tlv| 4 + tlv.value.len()).sum();
        self.0.slice(parsed..)
    }

    /// The value of the first parameter with this tag, sharing the PDU's allocation.
    #[must_use]
    pub fn octets_of(&self, tag: Tag) -> Option<Bytes> {
        let tlv = self.iter().find(|tlv| tlv.tag == tag)?;
        Some(if tlv.value.is_empty() { Bytes::new() } else { self.0.slice_ref(tlv.value) })
    }

    /// The first parameter with this tag as an integer of one to four octets; `None` when absent, empty or wider.
    #[must_use]
    pub fn integer(&self, tag: Tag) -> Option<u32> {
        self.iter().find(|tlv| tlv.tag == tag).and_then(|tlv| integer(tlv.value))
    }

    /// The first parameter with this tag as text, cut at its first NUL; octets above 0x7F are read as Latin-1.
    #[must_use]
    pub fn text(&self, tag: Tag) -> Option<String> {
        self.iter().find(|tlv| tlv.tag == tag).map(|tlv| text(until_nul(tlv.value)))
    }

    /// Appends a parameter. A value above 65,535 octets, which no length field can announce, is cut.
    pub fn push(&mut self, tag: Tag, value: &[u8]) {
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        let mut octets = match std::mem::take(&mut self.0).try_into_mut() {
            Ok(octets) => octets,
            Err(shared) => BytesMut::from(&shared[..]),
        };
        octets.reserve(4 + value.len());
        octets.put_u16(tag.0);
        octets.put_u16(length);
        octets.put_slice(&value[..usize::from(length)]);
        self.0 = octets.freeze();
    }

    /// Appends the parameters of another list.
    pub fn extend(&mut self, other: &Self) {
        self.0 = [&self.0[..], &other.0].concat().into();
    }

    /// Appends an integer in the width that the standard gives the tag; unknown tags get four octets.
    pub fn push_integer(&mut self, tag: Tag, value: u32) {
        let width = match tag.kind() {
            Some(TlvKind::Integer { octets }) => octets,
            _ => 4,
        };
        self.push(tag, &value.to_be_bytes()[4 - width..]);
    }

    /// Appends a C-octet string and its NUL.
    pub fn push_text(&mut self, tag: Tag, value: &str) {
        let mut octets = Vec::with_capacity(value.len() + 1);
        octets.extend_from_slice(value.as_bytes());
        octets.push(0);
        self.push(tag, &octets);
    }
}

impl Tlv<'_> {
    /// The value as the tag's definition reads it; as octets when the tag is unknown or the width is wrong.
    #[must_use]
    pub fn value(&self) -> Value {
        match (self.tag.kind(), integer(self.value)) {
            (Some(TlvKind::Integer { .. }), Some(value)) => Value::Integer(value),
            (Some(TlvKind::Text), _) => Value::Text(text(until_nul(self.value))),
            _ => Value::Octets(Bytes::copy_from_slice(self.value)),
        }
    }
}

impl fmt::Debug for Tlvs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for tlv in self.iter() {
            map.entry(&tlv.tag, &tlv.value());
        }
        let trailing = self.trailing();
        if !trailing.is_empty() {
            map.entry(&"trailing", &trailing);
        }
        map.finish()
    }
}

fn split(octets: &[u8]) -> Option<(&[u8], Tlv<'_>)> {
    if octets.is_empty() {
        return None;
    }
    let mut parser = (be_u16::<_, nom::error::Error<&[u8]>>, length_data(be_u16));
    let (rest, (tag, value)) = parser.parse(octets).ok()?;
    Some((rest, Tlv { tag: Tag(tag), value }))
}

fn integer(octets: &[u8]) -> Option<u32> {
    if octets.is_empty() || octets.len() > 4 {
        return None;
    }
    Some(octets.iter().fold(0, |value, octet| value << 8 | u32::from(*octet)))
}

fn until_nul(octets: &[u8]) -> &[u8] {
    take::<_, _, nom::error::Error<&[u8]>>(octets.iter().position(|octet| *octet == 0).unwrap_or(octets.len()))
        .parse(octets)
        .map_or(octets, |(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tlvs(octets: &'static [u8]) -> Tlvs {
        Tlvs::from_octets(Bytes::from_static(octets))
    }

    #[test]
    fn a_length_beyond_the_body_keeps_the_parameters_before_it() {
        let tlvs = tlvs(&[0x04, 0x27, 0, 1, 2, 0x00, 0x1e, 0, 0x41, 1, 2, 3]);
        assert_eq!(tlvs.integer(Tag::MESSAGE_STATE), Some(2));
        assert_eq!(tlvs.text(Tag::RECEIPTED_MESSAGE_ID), None);
        assert_eq!(&tlvs.trailing()[..], &[0x00, 0x1e, 0, 0x41, 1, 2, 3]);
    }

    #[test]
    fn wrong_widths_are_read_and_the_first_of_two_wins() {
        let tlvs = tlvs(&[0x04, 0x27, 0, 2, 0, 2, 0x04, 0x27, 0, 1, 5, 0x04, 0x26, 0, 0]);
        assert_eq!(tlvs.integer(Tag::MESSAGE_STATE), Some(2));
        assert_eq!(tlvs.integer(Tag::MORE_MESSAGES_TO_SEND), None);
    }

    #[test]
    fn strings_end_at_the_first_nul_or_with_the_value() {
        let tlvs = tlvs(&[0x00, 0x1e, 0, 3, b'a', 0, 0, 0x00, 0x1d, 0, 1, b'b']);
        assert_eq!(tlvs.text(Tag::RECEIPTED_MESSAGE_ID).as_deref(), Some("a"));
        assert_eq!(tlvs.text(Tag::ADDITIONAL_STATUS_INFO_TEXT).as_deref(), Some("b"));
    }
}
