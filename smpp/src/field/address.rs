//! Addresses: type of number, numbering plan, digits (§5.2.5 to §5.2.9).
//!
//! Whether the digits suit the type is the caller's business; operators differ. [`detect`] is a good guess.

use bytes::BytesMut;

use super::octet_field;
use crate::wire::{CString, Fault, Field, Reader, StringError, Value};

/// Type of number (§5.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Ton(pub u8);

impl Ton {
    /// Unknown.
    pub const UNKNOWN: Self = Self(0);
    /// International: digits start with a country code, without `+`.
    pub const INTERNATIONAL: Self = Self(1);
    /// National.
    pub const NATIONAL: Self = Self(2);
    /// Network specific; short codes at some operators.
    pub const NETWORK_SPECIFIC: Self = Self(3);
    /// Subscriber number.
    pub const SUBSCRIBER_NUMBER: Self = Self(4);
    /// Alphanumeric: at most eleven characters.
    pub const ALPHANUMERIC: Self = Self(5);
    /// Abbreviated; short codes at other operators.
    pub const ABBREVIATED: Self = Self(6);
}

/// Numbering plan indicator (§5.2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Npi(pub u8);

impl Npi {
    /// Unknown.
    pub const UNKNOWN: Self = Self(0);
    /// ISDN, E.163/E.164.
    pub const ISDN: Self = Self(1);
    /// Data, X.121.
    pub const DATA: Self = Self(3);
    /// Telex, F.69.
    pub const TELEX: Self = Self(4);
    /// Land mobile, E.212.
    pub const LAND_MOBILE: Self = Self(6);
    /// National.
    pub const NATIONAL: Self = Self(8);
    /// Private.
    pub const PRIVATE: Self = Self(9);
    /// ERMES.
    pub const ERMES: Self = Self(10);
    /// Internet, IP.
    pub const INTERNET: Self = Self(14);
    /// WAP client id.
    pub const WAP: Self = Self(18);
}

octet_field!(Ton);
octet_field!(Npi);

/// An address in a PDU: three fields that belong together. 65 octets are what data_sm takes (§4.7.1);
/// the other commands take 21.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Address {
    /// Type of number.
    pub ton: Ton,
    /// Numbering plan.
    pub npi: Npi,
    /// The digits or characters.
    pub digits: CString<65>,
}

/// The numbering that an address looks like, and its digits (field guide §5.6): international with or without `+`,
/// short code, or alphanumeric.
///
/// ```
/// use smpp::field::address::{Npi, Ton, detect};
///
/// assert_eq!(detect("+27820001001"), (Ton::INTERNATIONAL, Npi::ISDN, "27820001001"));
/// assert_eq!(detect("40404"), (Ton::ABBREVIATED, Npi::UNKNOWN, "40404"));
/// assert_eq!(detect("Maybug"), (Ton::ALPHANUMERIC, Npi::UNKNOWN, "Maybug"));
/// ```
#[must_use]
pub fn detect(address: &str) -> (Ton, Npi, &str) {
    let digits = address.strip_prefix('+').unwrap_or(address);
    let numeric = !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
    match (numeric, digits.len()) {
        (true, _) if digits.len() < address.len() => (Ton::INTERNATIONAL, Npi::ISDN, digits),
        (true, 8..=15) => (Ton::INTERNATIONAL, Npi::ISDN, digits),
        (true, 3..=7) => (Ton::ABBREVIATED, Npi::UNKNOWN, digits),
        (false, 1..=11) => (Ton::ALPHANUMERIC, Npi::UNKNOWN, address),
        _ => (Ton::UNKNOWN, Npi::UNKNOWN, address),
    }
}

impl Address {
    /// An address with the numbering that it looks like; see [`detect`].
    ///
    /// # Errors
    /// [`StringError`] when it is longer than 64 octets or contains a NUL.
    pub fn detected(address: &str) -> Result<Self, StringError> {
        let (ton, npi, digits) = detect(address);
        Ok(Self { ton, npi, digits: digits.try_into()? })
    }
}

impl Field for Address {
    fn decode(reader: &mut Reader<'_>, name: &'static str) -> Result<Self, Fault> {
        let (ton, npi) = names(name);
        Ok(Self {
            ton: Ton::decode(reader, ton)?,
            npi: Npi::decode(reader, npi)?,
            digits: CString::decode(reader, name)?,
        })
    }

    fn encode(&self, out: &mut BytesMut) {
        self.ton.encode(out);
        self.npi.encode(out);
        self.digits.encode(out);
    }

    fn describe(&self, name: &'static str, rows: &mut Vec<(&'static str, Value)>) {
        let (ton, npi) = names(name);
        self.ton.describe(ton, rows);
        self.npi.describe(npi, rows);
        self.digits.describe(name, rows);
    }
}

/// The standard's names of the TON and NPI that go with an address field.
fn names(field: &'static str) -> (&'static str, &'static str) {
    match field {
        "source_addr" => ("source_addr_ton", "source_addr_npi"),
        "destination_addr" => ("dest_addr_ton", "dest_addr_npi"),
        "esme_addr" => ("esme_addr_ton", "esme_addr_npi"),
        _ => ("addr_ton", "addr_npi"),
    }
}
