//! `data_coding` (§5.2.19): the octet. What it means for the text is `text`'s business.

use super::octet_field;

/// How the short message is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct DataCoding(pub u8);

impl DataCoding {
    /// The SMSC's default alphabet, usually GSM 03.38.
    pub const DEFAULT: Self = Self(0);
    /// IA5, ASCII.
    pub const IA5: Self = Self(1);
    /// 8-bit binary.
    pub const BINARY: Self = Self(4);
    /// Latin-1, ISO-8859-1.
    pub const LATIN1: Self = Self(3);
    /// UCS-2, ISO/IEC 10646, big endian.
    pub const UCS2: Self = Self(8);
}

octet_field!(DataCoding);
