//! Splitting long text into segments (3GPP TS 23.040 §9.2.3.24.1; SMPP §5.3.2.22 to 24).
//!
//! A cut never falls inside an escape pair, a surrogate pair or a UTF-8 sequence, nor before a combining mark
//! while there is room to move it.

use super::charset::Charset;
use super::gsm7::ESCAPE;

/// How segments tell that they belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// User data header with an 8-bit reference.
    Udh8,
    /// User data header with a 16-bit reference.
    Udh16,
    /// The `sar_*` parameters; the SMSC makes the header, so it needs the room of an 8-bit one.
    Sar,
}

/// Text that is too long for 255 segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the text needs {segments} segments where 255 are the most")]
pub struct TooLong {
    /// How many it needs.
    pub segments: usize,
}

/// Most octets, or septets in octets of their own, that fit into one short message of this character set.
#[must_use]
pub const fn single_capacity(charset: Charset) -> usize {
    match charset {
        Charset::Gsm7 | Charset::Ascii => 160,
        _ => 140,
    }
}

/// Most octets of text in one segment of several.
#[must_use]
pub const fn segment_capacity(charset: Charset, split: Split) -> usize {
    match (charset, split) {
        (Charset::Gsm7 | Charset::Ascii, Split::Udh16) => 152,
        (Charset::Gsm7 | Charset::Ascii, _) => 153,
        (Charset::Ucs2, Split::Udh16) => 132,
        (Charset::Ucs2, _) => 134,
        (_, Split::Udh16) => 133,
        _ => 134,
    }
}

/// Cuts encoded text into segments; one when it fits into one message.
///
/// ```
/// use smpp::text::{Charset, segment::{Split, split}};
///
/// let octets = Charset::Gsm7.encode(&"x".repeat(161)).unwrap();
/// let lengths: Vec<usize> = split(&octets, Charset::Gsm7, Split::Udh8).unwrap().iter().map(|s| s.len()).collect();
/// assert_eq!(lengths, [153, 8]);
/// ```
///
/// # Errors
/// [`TooLong`] above 255 segments.
pub fn split(octets: &[u8], charset: Charset, split: Split) -> Result<Vec<&[u8]>, TooLong> {
    if octets.len() <= single_capacity(charset) {
        return Ok(vec![octets]);
    }
    let segments = cut(octets, charset, segment_capacity(charset, split));
    if segments.len() > 255 {
        return Err(TooLong { segments: segments.len() });
    }
    Ok(segments)
}

/// Cuts encoded text into pieces of at most `capacity` octets.
#[must_use]
pub fn cut(octets: &[u8], charset: Charset, capacity: usize) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut rest = octets;
    while rest.len() > capacity {
        let at = boundary(rest, charset, capacity);
        let (piece, after) = rest.split_at(at);
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

/// The header of one segment; empty for [`Split::Sar`].
#[must_use]
pub fn header(split: Split, reference: u16, total: u8, part: u8) -> Vec<u8> {
    let [high, low] = reference.to_be_bytes();
    match split {
        Split::Udh8 => vec![5, super::udh::CONCAT_8, 3, low, total, part],
        Split::Udh16 => vec![6, super::udh::CONCAT_16, 4, high, low, total, part],
        Split::Sar => Vec::new(),
    }
}

/// The last place not after `capacity` where the octets may be cut.
fn boundary(octets: &[u8], charset: Charset, capacity: usize) -> usize {
    match charset {
        Charset::Gsm7 => {
            // An escape belongs to what follows it, unless it is itself escaped.
            let escapes = octets[..capacity].iter().rev().take_while(|octet| **octet == ESCAPE).count();
            capacity - escapes % 2
        }
        Charset::Utf8 => {
            let continuation = |at: &usize| octets.get(*at).is_some_and(|octet| octet & 0xc0 == 0x80);
            let start = (capacity.saturating_sub(3)..=capacity).rev().find(|at| !continuation(at));
            start.filter(|at| *at > 0).unwrap_or(capacity)
        }
        Charset::Ucs2 => utf16_boundary(octets, capacity - capacity % 2),
        _ => capacity,
    }
}

/// How far a cut may move back to keep a combining mark with its letter, in octets.
const GRAPHEME_REACH: usize = 16;

fn utf16_boundary(octets: &[u8], capacity: usize) -> usize {
    let unit = |at: usize| octets.get(at..).and_then(<[u8]>::first_chunk::<2>).map(|unit| u16::from_be_bytes(*unit));
    let low_surrogate = |at: usize| unit(at).is_some_and(|unit| (0xdc00..0xe000).contains(&unit));
    let whole = if low_surrogate(capacity) { capacity - 2 } else { capacity };
    let mut at = whole;
    while whole - at < GRAPHEME_REACH && at > 2 {
        let joins = unit(at).is_some_and(extends) || unit(at - 2) == Some(ZERO_WIDTH_JOINER);
        if !joins && !low_surrogate(at) {
            return at;
        }
        at -= 2;
    }
    whole
}

const ZERO_WIDTH_JOINER: u16 = 0x200d;

/// Code units that belong to the character before them: combining marks, variation selectors, the joiner.
fn extends(unit: u16) -> bool {
    matches!(unit, 0x0300..=0x036f | 0x0483..=0x0489 | 0x0591..=0x05bd | 0x0610..=0x061a | 0x064b..=0x065f
        | 0x093c | 0x093e..=0x094d | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff | 0x200d | 0x20d0..=0x20ff | 0xfe00..=0xfe0f
        | 0xfe20..=0xfe2f)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lengths(text: &str, charset: Charset, form: Split) -> Vec<usize> {
        split(&charset.encode(text).unwrap(), charset, form).unwrap().iter().map(|segment| segment.len()).collect()
    }

    #[test]
    fn the_usual_limits_hold() {
        assert_eq!(lengths(&"x".repeat(160), Charset::Gsm7, Split::Udh8), [160]);
        assert_eq!(lengths(&format!("{}€", "x".repeat(159)), Charset::Gsm7, Split::Udh8), [153, 8]);
        assert_eq!(lengths(&"ж".repeat(70), Charset::Ucs2, Split::Udh8), [140]);
        assert_eq!(lengths(&"ж".repeat(71), Charset::Ucs2, Split::Udh8), [134, 8]);
        assert_eq!(lengths(&"ж".repeat(71), Charset::Ucs2, Split::Udh16), [132, 10]);
        assert_eq!(lengths(&"é".repeat(141), Charset::Latin1, Split::Sar), [134, 7]);
        let long = "x".repeat(153 * 256);
        assert_eq!(split(long.as_bytes(), Charset::Gsm7, Split::Udh8), Err(TooLong { segments: 256 }));
    }

    #[test]
    fn escape_pairs_surrogate_pairs_and_accents_stay_whole() {
        let text = format!("{}€{}", "x".repeat(152), "y".repeat(20));
        assert_eq!(lengths(&text, Charset::Gsm7, Split::Udh8), [152, 22]);
        let text = format!("{}😀{}", "ж".repeat(66), "ж".repeat(10));
        assert_eq!(lengths(&text, Charset::Ucs2, Split::Udh8)[0], 132);
        let text = format!("{}e\u{301}{}", "ж".repeat(66), "ж".repeat(10));
        assert_eq!(lengths(&text, Charset::Ucs2, Split::Udh8)[0], 132);
    }

    proptest! {
        #[test]
        fn every_segment_is_sound_text_and_together_they_are_the_whole(
            text in "[a-z€\\[ž😀e\u{301}👩\u{200d}]{0,400}",
            form in prop::sample::select(&[Split::Udh8, Split::Udh16, Split::Sar][..]),
        ) {
            for charset in [Charset::Gsm7, Charset::Utf8, Charset::Ucs2] {
                let Ok(octets) = charset.encode(&text) else { continue };
                let segments = split(&octets, charset, form).unwrap();
                let joined: String = segments.iter().map(|segment| charset.decode(segment).unwrap()).collect();
                prop_assert_eq!(&joined, &text);
                prop_assert!(segments.iter().all(|segment| segment.last() != Some(&ESCAPE) || charset != Charset::Gsm7));
            }
        }
    }
}
