//! Splitting long text into segments (3GPP TS 23.040 §9.2.3.24.1; SMPP §5.3.2.22 to 24).
//!
//! A cut never falls inside an escape pair, a surrogate pair or a sequence of several octets, nor inside a grapheme
//! cluster that would fit one segment; each segment can be read by itself.

use unicode_segmentation::UnicodeSegmentation;

use super::Encoded;
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
    /// How many it needs, at least.
    pub segments: usize,
}

/// Most octets, or septets in octets of their own, behind a header of so many octets, its length octet included.
#[must_use]
pub const fn capacity(charset: Charset, header: usize) -> usize {
    match charset {
        Charset::Gsm7 | Charset::Ascii => 160_usize.saturating_sub((header * 8).div_ceil(7)),
        Charset::Ucs2 => 140_usize.saturating_sub(header) / 2 * 2,
        _ => 140_usize.saturating_sub(header),
    }
}

/// Most octets, or septets in octets of their own, that fit into one short message of this character set.
#[must_use]
pub const fn single_capacity(charset: Charset) -> usize {
    capacity(charset, 0)
}

/// Octets, or septets in octets of their own, of the longest character of a character set, shifts included: a segment
/// with less room than that cannot hold text.
#[must_use]
pub const fn longest_character(charset: Charset) -> usize {
    match charset {
        Charset::Ascii | Charset::Latin1 | Charset::Cp1252 | Charset::Iso8859_5 | Charset::Iso8859_8 => 1,
        Charset::Gsm7 | Charset::Gsm7Packed | Charset::ShiftJis | Charset::EucKr | Charset::Big5 => 2,
        Charset::Utf8 | Charset::Ucs2 => 4,
        // Two octets between two shifts of three.
        Charset::Iso2022Jp => 8,
    }
}

/// Octets that concatenation takes of each segment, beside the length octet of the header.
#[must_use]
pub const fn concat_len(split: Split) -> usize {
    match split {
        // The SMSC makes the same header of the parameters.
        Split::Udh8 | Split::Sar => 5,
        Split::Udh16 => 6,
    }
}

/// Most segments that a message can have (3GPP TS 23.040 §9.2.3.24.1).
const MAX_SEGMENTS: usize = 255;

/// Segments of `capacity` octets that a text takes at least, where these are too many: then there is no need to cut it.
pub(super) fn far_too_many(text: &Encoded, capacity: usize) -> Option<usize> {
    Some(text.octets.len().div_ceil(capacity.max(1))).filter(|segments| *segments > MAX_SEGMENTS)
}

/// How many segments a text makes with 8-bit references, its tables announced in each; of more than 255, how many at least.
#[must_use]
pub fn count(text: &Encoded) -> usize {
    let elements = text.tables.elements().len();
    let single = capacity(text.charset, if elements == 0 { 0 } else { elements + 1 });
    if text.octets.len() <= single {
        return 1;
    }
    let each = capacity(text.charset, 1 + elements + concat_len(Split::Udh8));
    far_too_many(text, each).unwrap_or_else(|| cut(text, each).len())
}

/// Cuts encoded text into segments; one when it fits into one message.
///
/// ```
/// use smpp::text::{Charset, encode, segment::{Split, split}};
///
/// let text = encode(&"x".repeat(161));
/// let lengths: Vec<usize> = split(&text, Split::Udh8).unwrap().iter().map(|segment| segment.len()).collect();
/// assert_eq!(lengths, [153, 8]);
/// ```
///
/// # Errors
/// [`TooLong`] above 255 segments.
pub fn split(text: &Encoded, split: Split) -> Result<Vec<Vec<u8>>, TooLong> {
    if text.octets.len() <= single_capacity(text.charset) {
        return Ok(vec![text.octets.clone()]);
    }
    let each = capacity(text.charset, 1 + concat_len(split));
    if let Some(segments) = far_too_many(text, each) {
        return Err(TooLong { segments });
    }
    let segments = cut(text, each);
    if segments.len() > MAX_SEGMENTS {
        return Err(TooLong { segments: segments.len() });
    }
    Ok(segments)
}

/// Cuts encoded text into pieces of at most `capacity` octets, each sound text by itself.
#[must_use]
pub fn cut(text: &Encoded, capacity: usize) -> Vec<Vec<u8>> {
    let one_octet_each = matches!(
        text.charset,
        Charset::Gsm7 | Charset::Ascii | Charset::Latin1 | Charset::Cp1252 | Charset::Iso8859_5 | Charset::Iso8859_8
    );
    if one_octet_each && text.tables.is_default() {
        return cut_octets(&text.octets, text.charset, capacity);
    }
    let whole = match text.tables.is_default() {
        true => text.charset.decode(&text.octets).ok(),
        false => Some(text.tables.decode(&text.octets)),
    };
    let encode = |piece: &str| match text.tables.is_default() {
        true => text.charset.encode(piece).ok(),
        false => text.tables.encode(piece).ok(),
    };
    // What is no text of its alphabet is cut wherever it must be.
    let whole_only = matches!(text.charset, Charset::Iso2022Jp | Charset::Gsm7Packed);
    whole
        .and_then(|whole| cut_text(&whole, encode, whole_only, capacity))
        .unwrap_or_else(|| text.octets.chunks(capacity.max(1)).map(<[u8]>::to_vec).collect())
}

/// The header element that makes a segment one of several; empty for [`Split::Sar`].
#[must_use]
pub fn concat_element(split: Split, reference: u16, total: u8, part: u8) -> Vec<u8> {
    let [high, low] = reference.to_be_bytes();
    match split {
        Split::Udh8 => vec![super::udh::CONCAT_8, 3, low, total, part],
        Split::Udh16 => vec![super::udh::CONCAT_16, 4, high, low, total, part],
        Split::Sar => Vec::new(),
    }
}

/// Between clusters where one fits at all, else between characters. Of alphabets with shifts, or packed (`whole_only`), a
/// piece can only be encoded as a whole; of the others its octets are those of its parts.
fn cut_text(
    whole: &str,
    encode: impl Fn(&str) -> Option<Vec<u8>>,
    whole_only: bool,
    capacity: usize,
) -> Option<Vec<Vec<u8>>> {
    let mut pieces = Vec::new();
    let (mut begin, mut octets) = (0, Vec::new());
    let mut add = |at: usize, part: &str, own: Vec<u8>| {
        if own.len() > capacity {
            // Not even a character fits.
            return None;
        }
        let longer = if whole_only { encode(&whole[begin..at + part.len()])? } else { Vec::new() };
        if whole_only && longer.len() <= capacity {
            octets = longer;
        } else if !whole_only && octets.len() + own.len() <= capacity {
            octets.extend_from_slice(&own);
        } else {
            pieces.push(std::mem::replace(&mut octets, own));
            begin = at;
        }
        Some(())
    };
    for (at, cluster) in whole.grapheme_indices(true) {
        let own = encode(cluster)?;
        if own.len() <= capacity {
            add(at, cluster, own)?;
            continue;
        }
        for (offset, character) in cluster.char_indices() {
            let part = &cluster[offset..offset + character.len_utf8()];
            add(at + offset, part, encode(part)?)?;
        }
    }
    pieces.push(octets);
    Some(pieces)
}

fn cut_octets(octets: &[u8], charset: Charset, capacity: usize) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    let mut rest = octets;
    while rest.len() > capacity {
        // An escape belongs to what follows it, unless it is itself escaped.
        let escapes = match charset {
            Charset::Gsm7 => rest[..capacity].iter().rev().take_while(|octet| **octet == ESCAPE).count(),
            _ => 0,
        };
        let (piece, after) = rest.split_at((capacity - escapes % 2).max(1));
        pieces.push(piece.to_vec());
        rest = after;
    }
    pieces.push(rest.to_vec());
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::field::DataCoding;
    use crate::text::national::Language;

    fn encoded(text: &str, charset: Charset) -> Option<Encoded> {
        Some(Encoded::new(charset, DataCoding(0), charset.encode(text).ok()?))
    }

    fn lengths(text: &str, charset: Charset, form: Split) -> Vec<usize> {
        split(&encoded(text, charset).unwrap(), form).unwrap().iter().map(Vec::len).collect()
    }

    #[test]
    fn the_usual_limits_hold() {
        assert_eq!(lengths(&"x".repeat(160), Charset::Gsm7, Split::Udh8), [160]);
        assert_eq!(lengths(&format!("{}€", "x".repeat(159)), Charset::Gsm7, Split::Udh8), [153, 8]);
        assert_eq!(lengths(&"ж".repeat(70), Charset::Ucs2, Split::Udh8), [140]);
        assert_eq!(lengths(&"ж".repeat(71), Charset::Ucs2, Split::Udh8), [134, 8]);
        assert_eq!(lengths(&"ж".repeat(71), Charset::Ucs2, Split::Udh16), [132, 10]);
        assert_eq!(lengths(&"é".repeat(141), Charset::Latin1, Split::Sar), [134, 7]);
        let long = encoded(&"x".repeat(153 * 256), Charset::Gsm7).unwrap();
        assert_eq!(split(&long, Split::Udh8), Err(TooLong { segments: 256 }));
        // 3GPP TS 23.040 §9.2.3.24: septets left behind headers of so many octets.
        let septets: Vec<usize> = [0, 4, 6, 7, 9, 12].map(|header| capacity(Charset::Gsm7, header)).into();
        assert_eq!(septets, [160, 155, 153, 152, 149, 146]);
    }

    #[test]
    fn escape_pairs_surrogate_pairs_and_clusters_stay_whole() {
        let text = format!("{}€{}", "x".repeat(152), "y".repeat(20));
        assert_eq!(lengths(&text, Charset::Gsm7, Split::Udh8), [152, 22]);
        let text = format!("{}😀{}", "ж".repeat(66), "ж".repeat(10));
        assert_eq!(lengths(&text, Charset::Ucs2, Split::Udh8)[0], 132);
        let text = format!("{}e\u{301}{}", "ж".repeat(66), "ж".repeat(10));
        assert_eq!(lengths(&text, Charset::Ucs2, Split::Udh8)[0], 132);
        let family = "👩\u{200d}👩\u{200d}👧\u{200d}👦";
        let text = format!("{}{family}", "ж".repeat(60));
        assert_eq!(lengths(&text, Charset::Ucs2, Split::Udh8), [120, 22]);
        // One that no segment can hold is cut between characters.
        let endless = format!("e{}", "\u{301}".repeat(200));
        assert_eq!(lengths(&endless, Charset::Ucs2, Split::Udh8), [134, 134, 134]);
    }

    const CHARSETS: [Charset; 13] = [
        Charset::Gsm7,
        Charset::Gsm7Packed,
        Charset::Ascii,
        Charset::Latin1,
        Charset::Cp1252,
        Charset::Utf8,
        Charset::Ucs2,
        Charset::Iso8859_5,
        Charset::Iso8859_8,
        Charset::Iso2022Jp,
        Charset::ShiftJis,
        Charset::EucKr,
        Charset::Big5,
    ];

    proptest! {
        /// Every encoding in every form: each segment is sound by itself and no longer than it may be, together they are
        /// the text, and no cluster is cut.
        #[test]
        fn every_segment_is_sound_text_and_together_they_are_the_whole(
            text in "([a-z€\\[ž😀👩]|e\u{301}|👩\u{200d}👧|[а-яёא-ת]|[ぁ-ん漢字]|[가-힣]){0,400}",
            form in prop::sample::select(&[Split::Udh8, Split::Udh16, Split::Sar][..]),
            charset in prop::sample::select(&CHARSETS[..]),
            vumi in any::<bool>(),
        ) {
            let kept: String = text.graphemes(true).filter(|cluster| charset.encode(cluster).is_ok()).collect();
            let encoded = encoded(&kept, charset).unwrap();
            let most = if vumi { 130 } else { capacity(charset, 1 + concat_len(form)) };
            let segments = match vumi {
                true => cut(&encoded, most),
                false => split(&encoded, form).unwrap(),
            };
            let read: Vec<String> = segments.iter().map(|segment| charset.decode(segment).unwrap()).collect();
            prop_assert_eq!(read.concat(), kept.clone());
            let alone = segments.len() == 1 && !vumi;
            let most = if alone { single_capacity(charset) } else { most };
            prop_assert!(segments.iter().all(|segment| segment.len() <= most));
            let mut at = 0;
            let clusters: Vec<usize> = kept.grapheme_indices(true).map(|(at, _)| at).chain([kept.len()]).collect();
            for piece in &read {
                at += piece.len();
                prop_assert!(clusters.binary_search(&at).is_ok() || charset == Charset::Gsm7, "cut inside a cluster");
            }
        }

        #[test]
        fn national_tables_are_cut_as_soundly(
            text in "[a-zçşğıİáÁãõनमस्ते€\\[]{0,400}",
            languages in prop::sample::subsequence(&Language::ALL[..], 0..4),
        ) {
            let languages: Vec<Language> = languages.into_iter().map(|(_, language)| language).collect();
            let encoded = crate::text::encode_national(&text, &languages);
            prop_assert_eq!(encoded.text(), text.clone());
            let header = 1 + encoded.tables.elements().len() + concat_len(Split::Udh8);
            let segments = cut(&encoded, capacity(encoded.charset, header));
            let read: String =
                segments.iter().map(|piece| Encoded { octets: piece.clone(), ..encoded.clone() }.text()).collect();
            prop_assert_eq!(read, text);
        }
    }
}
