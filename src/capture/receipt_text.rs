//! The text of a receipt: keys, states, counts and error codes stay, ids, dates and the quoted text become others.

use std::ops::Range;

/// A piece of a receipt's text that is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// The value of `id:`.
    Id,
    /// That of a date.
    Date,
    /// The quoted text, and whatever is not of Appendix B.
    Text,
}

const KEYS: [(&[u8], Option<Piece>); 8] = [
    (b"id:", Some(Piece::Id)),
    (b"sub:", None),
    (b"dlvrd:", None),
    (b"submit date:", Some(Piece::Date)),
    (b"done date:", Some(Piece::Date)),
    (b"stat:", None),
    (b"err:", None),
    (b"text:", Some(Piece::Text)),
];

/// The pieces of a receipt's text to replace, in order. Splits where `smpp::receipt` does: keys at a word's start, values
/// to the next space, `text:` up to a key that may follow it.
pub(super) fn pieces(text: &[u8]) -> Vec<(Piece, Range<usize>)> {
    let mut pieces = Vec::new();
    let mut at = 0;
    let mut quoted = false;
    while at < text.len() {
        let next = next_key(text, at, quoted);
        let Some((start, length, piece)) = next else {
            push(&mut pieces, Piece::Text, at..text.len());
            break;
        };
        push(&mut pieces, Piece::Text, at..start);
        let value = start + length;
        let end =
            text[value..].iter().position(|octet| b" \t\r\n\0".contains(octet)).map_or(text.len(), |end| value + end);
        quoted = piece == Some(Piece::Text);
        at = match piece {
            Some(Piece::Text) => value,
            Some(piece) => {
                push(&mut pieces, piece, value..end);
                end
            }
            // A state is one word of letters, a count or a code a few characters; anything longer is not one.
            None if end - value <= 14 => end,
            None => value,
        };
    }
    pieces
}

fn push(pieces: &mut Vec<(Piece, Range<usize>)>, piece: Piece, range: Range<usize>) {
    if !range.is_empty() {
        pieces.push((piece, range));
    }
}

/// Where the next key begins, its length, and what its value is. Inside of the quoted text neither `id:` nor `text:`
/// is one.
fn next_key(text: &[u8], from: usize, quoted: bool) -> Option<(usize, usize, Option<Piece>)> {
    (from..text.len()).find_map(|at| {
        let word = at == from || text[at - 1].is_ascii_whitespace() || text[at - 1] == 0;
        let found = KEYS.iter().filter(|_| word).find(|(key, piece)| {
            let front = text.get(at..at + key.len());
            let inside = quoted && matches!(piece, Some(Piece::Id | Piece::Text));
            !inside && front.is_some_and(|front| front.eq_ignore_ascii_case(key))
        });
        found.map(|(key, piece)| (at, key.len(), *piece))
    })
}

/// A date moved back by `minutes`; what is none stays. Reads the ten, twelve and fourteen digits of receipts, and the
/// absolute times of SMPP v3.4 §7.1.1, whose last four characters stay.
pub(super) fn earlier(date: &[u8], minutes: i64) -> Vec<u8> {
    let digits = date.iter().take_while(|octet| octet.is_ascii_digit()).count();
    let (length, format) = match digits {
        10 => (10, "%y%m%d%H%M"),
        12 => (12, "%y%m%d%H%M%S"),
        14 => (14, "%Y%m%d%H%M%S"),
        // A relative time ends in R and tells nothing.
        15 if !date.ends_with(b"R") => (12, "%y%m%d%H%M%S"),
        _ => return date.to_vec(),
    };
    let (moved, rest) = date.split_at(length);
    let Ok(text) = std::str::from_utf8(moved) else { return date.to_vec() };
    // chrono wants seconds where a time has none.
    let (text, format) = if length == 10 { (format!("{text}00"), "%y%m%d%H%M%S") } else { (text.to_owned(), format) };
    let Ok(time) = chrono::NaiveDateTime::parse_from_str(&text, format) else { return date.to_vec() };
    let earlier = time - chrono::Duration::minutes(minutes);
    let mut out = earlier.format(format).to_string().into_bytes();
    out.truncate(length);
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_dates_and_what_is_quoted_are_found() {
        let text =
            b"id:12 sub:001 dlvrd:001 submit date:2609011130 done date:2609011131 stat:DELIVRD err:000 text:Hi id:7";
        let shown = |(piece, range): (Piece, Range<usize>)| (piece, String::from_utf8_lossy(&text[range]).into_owned());
        let found: Vec<_> = pieces(text).into_iter().map(shown).filter(|(_, text)| text != " ").collect();
        let expected =
            [(Piece::Id, "12"), (Piece::Date, "2609011130"), (Piece::Date, "2609011131"), (Piece::Text, "Hi id:7")];
        assert_eq!(found, expected.map(|(piece, text)| (piece, text.to_owned())));
        let free = pieces(b"hello stat:DELIVRD 31612345678");
        assert_eq!(free, [(Piece::Text, 0..6), (Piece::Text, 18..30)]);
    }

    #[test]
    fn dates_move_together_and_what_is_none_stays() {
        assert_eq!(earlier(b"2609011130", 60), b"2609011030");
        assert_eq!(earlier(b"260901113005", 24 * 60), b"260831113005");
        assert_eq!(earlier(b"20260901113005", 1), b"20260901112905");
        assert_eq!(earlier(b"260901113000012+", 30), b"260901110000012+");
        assert_eq!(earlier(b"000000000100000R", 30), b"000000000100000R");
        assert_eq!(earlier(b"0000000000", 30), b"0000000000");
    }
}
