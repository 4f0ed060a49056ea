//! Text folded into GSM 03.38: typographic signs to plain ones, letters without their accents, scripts in Latin letters.
//!
//! What is lost is told, so that whoever sends can decide.

use super::gsm7;

/// A text that fits GSM 03.38, and what was changed to make it fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folded {
    /// The text.
    pub text: String,
    /// What became of each character that the alphabet does not have, in the order in which they first occur; of the
    /// first hundred.
    pub changed: Vec<(char, String)>,
}

/// Most characters whose stand-ins are listed: a bound for texts of many scripts, far above what a person reads.
const MAX_LISTED: usize = 100;

/// Signs whose usual stand-in is not what a general transliteration gives.
const SIGNS: [(char, &str); 12] = [
    ('\u{a0}', " "),
    ('\u{202f}', " "),
    ('…', "..."),
    ('–', "-"),
    ('—', "-"),
    ('‘', "'"),
    ('’', "'"),
    ('“', "\""),
    ('”', "\""),
    ('„', "\""),
    ('ç', "Ç"),
    ('\u{ad}', ""),
];

/// Folds a text; `None` when something in it has no counterpart.
///
/// ```
/// use smpp::text::transliterate::fold;
///
/// let folded = fold("“Žluťoučký kůň” – ok…").unwrap();
/// assert_eq!(folded.text, "\"Zlutoucky kun\" - ok...");
/// assert_eq!(fold("漢字").map(|folded| folded.text), Some("Han Zi".to_owned()));
/// ```
#[must_use]
pub fn fold(text: &str) -> Option<Folded> {
    let mut folded = Folded { text: String::with_capacity(text.len()), changed: Vec::new() };
    for character in text.chars() {
        if gsm7::septets(character).is_some() {
            folded.text.push(character);
            continue;
        }
        let sign = SIGNS.iter().find(|(sign, _)| *sign == character).map(|(_, plain)| *plain);
        let plain = sign.or_else(|| deunicode::deunicode_char(character))?;
        if !plain.chars().all(|plain| gsm7::septets(plain).is_some()) {
            return None;
        }
        folded.text.push_str(plain);
        if folded.changed.len() < MAX_LISTED && !folded.changed.iter().any(|(known, _)| *known == character) {
            folded.changed.push((character, plain.to_owned()));
        }
    }
    // Ideographs come with a space behind each.
    if text.ends_with(|last: char| !last.is_whitespace()) {
        folded.text.truncate(folded.text.trim_end().len());
    }
    Some(folded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_fits_stays_and_what_was_changed_is_told() {
        assert_eq!(fold("price: 5 € {ok}").unwrap().changed, []);
        let folded = fold("it’s “nice” – Łódź").unwrap();
        assert_eq!(folded.text, "it's \"nice\" - Lodz");
        let changed: String = folded.changed.iter().map(|(character, _)| character).collect();
        assert_eq!(changed, "’“”–Łóź");
    }

    #[test]
    fn a_text_of_many_characters_lists_the_first() {
        let han: String = (0x4e00..0x9fa0_u32).filter_map(char::from_u32).collect();
        let folded = fold(&han).unwrap();
        assert!(folded.text.len() > han.chars().count());
        assert_eq!((folded.changed.len(), folded.changed[0].0), (100, '一'));
    }

    proptest! {
        #[test]
        fn what_is_folded_fits(text in "\\PC{0,80}") {
            if let Some(folded) = fold(&text) {
                prop_assert!(gsm7::encode(&folded.text).is_ok());
            }
        }
    }
}
