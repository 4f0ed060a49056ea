//! User data header: information elements before the text (3GPP TS 23.040 §9.2.3.24).
//!
//! Walks all elements, so that a concatenation behind a port address is found; elements it does not know are kept.

use bytes::Bytes;

/// Which piece of which message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Concat {
    /// Shared by all pieces.
    pub reference: u16,
    /// How many pieces there are, 1 to 255.
    pub total: u8,
    /// Which this is, from 1.
    pub part: u8,
}

impl Concat {
    /// `None` unless `1 <= part <= total`: such an element is to be ignored (§9.2.3.24.1).
    #[must_use]
    pub fn new(reference: u16, total: u8, part: u8) -> Option<Self> {
        (1..=total).contains(&part).then_some(Self { reference, total, part })
    }
}

/// One information element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// Its identifier.
    pub id: u8,
    /// Its data.
    pub data: &'a [u8],
}

/// A header and what follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Udh {
    /// The elements as they came, without the length octet.
    pub elements: Bytes,
    /// The text behind the header.
    pub text: Bytes,
}

/// A header that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the user data header announces {announced} octets where {available} are left")]
pub struct UdhError {
    /// Octets announced.
    pub announced: usize,
    /// Octets there.
    pub available: usize,
}

/// Concatenation with an 8-bit reference.
pub const CONCAT_8: u8 = 0x00;
/// Application ports, 8 bits each.
pub const PORTS_8: u8 = 0x04;
/// Application ports, 16 bits each.
pub const PORTS_16: u8 = 0x05;
/// Concatenation with a 16-bit reference.
pub const CONCAT_16: u8 = 0x08;

impl Udh {
    /// Takes the header off the front of a short message whose UDHI is set.
    ///
    /// # Errors
    /// [`UdhError`] when the header claims more than there is.
    pub fn split(octets: &Bytes) -> Result<Self, UdhError> {
        let announced = usize::from(octets.first().copied().unwrap_or_default());
        let available = octets.len().saturating_sub(1);
        if octets.is_empty() || announced > available {
            return Err(UdhError { announced, available });
        }
        Ok(Self { elements: octets.slice(1..=announced), text: octets.slice(1 + announced..) })
    }

    /// The elements; ends where the rest is too short to be one.
    pub fn elements(&self) -> impl Iterator<Item = Element<'_>> {
        let mut rest = &self.elements[..];
        std::iter::from_fn(move || {
            let (&[id, length], after) = rest.split_first_chunk()?;
            let (data, after) = after.split_at_checked(usize::from(length))?;
            rest = after;
            Some(Element { id, data })
        })
    }

    /// The concatenation, if a sound one is there.
    #[must_use]
    pub fn concat(&self) -> Option<Concat> {
        self.elements().find_map(|element| match (element.id, element.data) {
            (CONCAT_8, &[reference, total, part]) => Concat::new(u16::from(reference), total, part),
            (CONCAT_16, &[high, low, total, part]) => Concat::new(u16::from_be_bytes([high, low]), total, part),
            _ => None,
        })
    }

    /// Destination and source port, if there are any.
    #[must_use]
    pub fn ports(&self) -> Option<(u16, u16)> {
        self.elements().find_map(|element| match (element.id, element.data) {
            (PORTS_8, &[destination, source]) => Some((u16::from(destination), u16::from(source))),
            (PORTS_16, &[d0, d1, s0, s1]) => Some((u16::from_be_bytes([d0, d1]), u16::from_be_bytes([s0, s1]))),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn concatenation_is_found_behind_ports_and_with_either_reference() {
        let octets = Bytes::from_static(&[0x0b, 5, 4, 0x15, 0x81, 0, 0, 0, 3, 0x2a, 2, 1, b'x']);
        let udh = Udh::split(&octets).unwrap();
        assert_eq!(udh.concat(), Concat::new(0x2a, 2, 1));
        assert_eq!(udh.ports(), Some((0x1581, 0)));
        assert_eq!(&udh.text[..], b"x");
        let wide = Udh::split(&Bytes::from_static(&[6, 8, 4, 1, 2, 2, 1])).unwrap();
        assert_eq!(wide.concat(), Concat::new(0x102, 2, 1));
    }

    #[test]
    fn impossible_pieces_are_no_pieces_and_long_headers_are_refused() {
        for (total, part) in [(2, 0), (2, 5), (0, 0), (0, 1)] {
            let udh = Udh::split(&Bytes::from(vec![5, 0, 3, 1, total, part])).unwrap();
            assert_eq!(udh.concat(), None);
        }
        assert_eq!(Udh::split(&Bytes::from_static(&[9, 1])), Err(UdhError { announced: 9, available: 1 }));
        assert!(Udh::split(&Bytes::new()).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(udh) = Udh::split(&Bytes::from(octets)) {
                let _ = (udh.concat(), udh.ports(), udh.elements().count());
            }
        }
    }
}
