//! The parameter types of SMPP v3.4 §3.1 and how each is read, written and shown.
//!
//! Reading is nom over the PDU's octets; every string and octet field is a slice of the body that shares its
//! allocation. Strict in what we build ([`CString::new`]), lenient in what we accept (up to 255 octets a string).

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use nom::Parser;
use nom::bytes::complete::{tag, take, take_till};
use nom::number::complete::{be_u8, be_u16, be_u32};

use crate::error::DecodeErrorKind;
use crate::raw::HEADER_LEN;

/// Longest C-octet string that is accepted from a peer, in octets without its NUL (field guide §8.3).
const TOLERATED: usize = 255;

/// Reads fields off a PDU's body in wire order.
#[derive(Debug)]
pub struct Reader<'a> {
    body: &'a Bytes,
    rest: &'a [u8],
    leniency: Leniency,
}

/// What a reader makes of a string that the body's end cuts off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leniency {
    /// An error: requests.
    Strict,
    /// The string ends there, and fields after it are empty: responses, which peers shorten freely (§8.3).
    Shortened,
}

/// A field that could not be read; the PDU's decoder adds the sequence number.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub(crate) field: &'static str,
    pub(crate) offset: usize,
    pub(crate) kind: DecodeErrorKind,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(body: &'a Bytes, leniency: Leniency) -> Self {
        Self { body, rest: body, leniency }
    }

    /// Octets not read yet.
    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// A fault at the present position.
    pub(crate) fn fault(&self, field: &'static str, kind: DecodeErrorKind) -> Fault {
        Fault { field, offset: HEADER_LEN + self.body.len() - self.rest.len(), kind }
    }

    /// Whether the body may end here although fields are missing.
    fn may_end(&self) -> bool {
        self.leniency == Leniency::Shortened && self.rest.is_empty()
    }

    fn parse<O>(
        &mut self,
        field: &'static str,
        mut parser: impl Parser<&'a [u8], Output = O, Error = nom::error::Error<&'a [u8]>>,
    ) -> Result<O, Fault> {
        match parser.parse(self.rest) {
            Ok((rest, output)) => {
                self.rest = rest;
                Ok(output)
            }
            Err(_) => Err(self.fault(field, DecodeErrorKind::Truncated)),
        }
    }

    fn share(&self, octets: &'a [u8]) -> Bytes {
        if octets.is_empty() { Bytes::new() } else { self.body.slice_ref(octets) }
    }

    /// Everything that is left.
    pub(crate) fn tail(&mut self) -> Bytes {
        let rest = std::mem::take(&mut self.rest);
        self.share(rest)
    }

    fn c_string(&mut self, field: &'static str) -> Result<Bytes, Fault> {
        let text = self.parse_text();
        if text.len() > TOLERATED {
            return Err(self.fault(field, DecodeErrorKind::TooLong { max: TOLERATED + 1 }));
        }
        let shared = self.share(text);
        let after = &self.rest[text.len()..];
        match tag::<_, _, nom::error::Error<&[u8]>>(&[0][..]).parse(after) {
            Ok((rest, _)) => self.rest = rest,
            Err(_) if self.leniency == Leniency::Shortened => self.rest = after,
            Err(_) => return Err(self.fault(field, DecodeErrorKind::Unterminated)),
        }
        Ok(shared)
    }

    /// The octets up to the next NUL or the body's end; consumes nothing.
    fn parse_text(&self) -> &'a [u8] {
        let text = take_till::<_, _, nom::error::Error<&[u8]>>(|octet| octet == 0).parse(self.rest);
        text.map_or(self.rest, |(_, text)| text)
    }

    fn octets(&mut self, field: &'static str, announced: usize) -> Result<Bytes, Fault> {
        let available = self.rest.len();
        if announced > available {
            return Err(self.fault(field, DecodeErrorKind::LengthOverrun { announced, available }));
        }
        let octets = self.parse(field, take(announced))?;
        Ok(self.share(octets))
    }
}

/// A parameter of a PDU's mandatory part.
pub trait Field: Sized + Default {
    /// Reads the field.
    ///
    /// # Errors
    /// A [`Fault`] that names the field and where it begins.
    fn decode(reader: &mut Reader<'_>, name: &'static str) -> Result<Self, Fault>;
    /// Appends the field's octets.
    fn encode(&self, out: &mut BytesMut);
    /// Appends what a person wants to see of it, under the standard's names.
    fn describe(&self, name: &'static str, rows: &mut Vec<(&'static str, Value)>);
}

/// A field's value as people and JSON see it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// An integer.
    Integer(u32),
    /// A C-octet string without its NUL; octets above 0x7F are read as Latin-1.
    Text(String),
    /// A password: shown only to those who ask for it.
    Secret(String),
    /// An octet string.
    Octets(Bytes),
    /// Repeated groups, `dest_address` for instance.
    List(Vec<Vec<(&'static str, Self)>>),
}

macro_rules! integer_field {
    ($($type:ty, $parser:ident, $put:ident;)*) => {$(
        impl Field for $type {
            fn decode(reader: &mut Reader<'_>, name: &'static str) -> Result<Self, Fault> {
                if reader.may_end() {
                    return Ok(0);
                }
                reader.parse(name, $parser)
            }

            fn encode(&self, out: &mut BytesMut) {
                out.$put(*self);
            }

            fn describe(&self, name: &'static str, rows: &mut Vec<(&'static str, Value)>) {
                rows.push((name, Value::Integer(u32::from(*self))));
            }
        }
    )*};
}

integer_field! {
    u8, be_u8, put_u8;
    u16, be_u16, put_u16;
    u32, be_u32, put_u32;
}

/// A C-octet string (§3.1) of at most `MAX` octets, its NUL included. Holds it without the NUL.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct CString<const MAX: usize>(Bytes);

/// A string that does not fit the field that it was meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StringError {
    /// Too long.
    #[error("{length} octets where at most {max} fit")]
    TooLong {
        /// Its length in octets.
        length: usize,
        /// The most that fit, without the NUL.
        max: usize,
    },
    /// A NUL would end it early.
    #[error("contains a NUL")]
    Nul,
}

impl<const MAX: usize> CString<MAX> {
    /// The string, if it fits.
    ///
    /// # Errors
    /// [`StringError`] when it is longer than `MAX - 1` octets or contains a NUL.
    pub fn new(octets: impl Into<Bytes>) -> Result<Self, StringError> {
        Self::checked(octets.into(), MAX - 1)
    }

    /// The string even if it is longer than the standard allows, for peers known to take it; at most 255 octets.
    ///
    /// # Errors
    /// [`StringError`] when it is longer than 255 octets or contains a NUL.
    pub fn oversize(octets: impl Into<Bytes>) -> Result<Self, StringError> {
        Self::checked(octets.into(), TOLERATED)
    }

    fn checked(octets: Bytes, max: usize) -> Result<Self, StringError> {
        if octets.len() > max {
            return Err(StringError::TooLong { length: octets.len(), max });
        }
        if octets.contains(&0) {
            return Err(StringError::Nul);
        }
        Ok(Self(octets))
    }

    /// The octets, without the NUL.
    #[must_use]
    pub fn octets(&self) -> &Bytes {
        &self.0
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As text; octets above 0x7F are read as Latin-1, so that no two strings look alike.
    #[must_use]
    pub fn to_text(&self) -> String {
        text(&self.0)
    }
}

impl<const MAX: usize> TryFrom<&str> for CString<MAX> {
    type Error = StringError;

    fn try_from(text: &str) -> Result<Self, StringError> {
        Self::new(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl<const MAX: usize> fmt::Debug for CString<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_text(), f)
    }
}

impl<const MAX: usize> fmt::Display for CString<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| fmt::Write::write_char(f, char::from(*octet)))
    }
}

impl<const MAX: usize> Field for CString<MAX> {
    fn decode(reader: &mut Reader<'_>, name: &'static str) -> Result<Self, Fault> {
        reader.c_string(name).map(Self)
    }

    fn encode(&self, out: &mut BytesMut) {
        out.put_slice(&self.0);
        out.put_u8(0);
    }

    fn describe(&self, name: &'static str, rows: &mut Vec<(&'static str, Value)>) {
        rows.push((name, Value::Text(self.to_text())));
    }
}

/// A password on its way to or from the wire; never shown by `Debug`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Password(pub CString<9>);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}

impl Field for Password {
    fn decode(reader: &mut Reader<'_>, name: &'static str) -> Result<Self, Fault> {
        CString::decode(reader, name).map(Self)
    }

    fn encode(&self, out: &mut BytesMut) {
        self.0.encode(out);
    }

    fn describe(&self, name: &'static str, rows: &mut Vec<(&'static str, Value)>) {
        rows.push((name, Value::Secret(self.0.to_text())));
    }
}

/// `sm_length` and the octets that it counts (§5.2.21, §5.2.22): at most 255, though the standard says 254.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ShortMessage(Bytes);

impl ShortMessage {
    /// Most octets that `sm_length` can announce.
    pub const MAX: usize = 255;

    /// The message, if `sm_length` can announce it.
    ///
    /// # Errors
    /// [`StringError::TooLong`] above 255 octets; longer ones belong into segments or `message_payload`.
    pub fn new(octets: impl Into<Bytes>) -> Result<Self, StringError> {
        let octets = octets.into();
        if octets.len() > Self::MAX {
            return Err(StringError::TooLong { length: octets.len(), max: Self::MAX });
        }
        Ok(Self(octets))
    }

    /// The octets.
    #[must_use]
    pub fn octets(&self) -> &Bytes {
        &self.0
    }

    fn sm_length(&self) -> u8 {
        u8::try_from(self.0.len()).unwrap_or(u8::MAX)
    }
}

impl Field for ShortMessage {
    fn decode(reader: &mut Reader<'_>, name: &'static str) -> Result<Self, Fault> {
        let announced = u8::decode(reader, "sm_length")?;
        reader.octets(name, usize::from(announced)).map(Self)
    }

    fn encode(&self, out: &mut BytesMut) {
        out.put_u8(self.sm_length());
        out.put_slice(&self.0);
    }

    fn describe(&self, name: &'static str, rows: &mut Vec<(&'static str, Value)>) {
        rows.push(("sm_length", Value::Integer(u32::from(self.sm_length()))));
        rows.push((name, Value::Octets(self.0.clone())));
    }
}

/// Octets as Latin-1 text.
pub(crate) fn text(octets: &[u8]) -> String {
    octets.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Field>(octets: &'static [u8], leniency: Leniency) -> (Result<T, Fault>, usize) {
        let body = Bytes::from_static(octets);
        let mut reader = Reader::new(&body, leniency);
        (T::decode(&mut reader, "field"), reader.remaining())
    }

    #[test]
    fn a_string_ends_at_its_nul_and_only_a_response_may_leave_it_out() {
        let (string, left) = read::<CString<6>>(b"CMT\0x", Leniency::Strict);
        assert_eq!((string.unwrap().to_text().as_str(), left), ("CMT", 1));
        let (string, _) = read::<CString<6>>(b"9", Leniency::Strict);
        let fault = string.unwrap_err();
        assert_eq!((fault.kind, fault.offset), (DecodeErrorKind::Unterminated, 16));
        let (string, _) = read::<CString<6>>(b"9", Leniency::Shortened);
        assert_eq!(string.unwrap().to_text(), "9");
    }

    #[test]
    fn we_build_only_what_fits_but_accept_more() {
        assert_eq!(CString::<6>::try_from("toolong"), Err(StringError::TooLong { length: 7, max: 5 }));
        assert_eq!(CString::<6>::new(&b"a\0b"[..]), Err(StringError::Nul));
        let (string, _) = read::<CString<6>>(b"toolong\0", Leniency::Strict);
        assert_eq!(string.unwrap().to_text(), "toolong");
    }

    #[test]
    fn sm_length_beyond_the_body_is_an_overrun() {
        let (message, _) = read::<ShortMessage>(&[10, 1, 2, 3], Leniency::Strict);
        let fault = message.unwrap_err();
        assert_eq!(fault.kind, DecodeErrorKind::LengthOverrun { announced: 10, available: 3 });
    }

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(format!("{:?}", Password("secret".try_into().unwrap())), "********");
    }
}
