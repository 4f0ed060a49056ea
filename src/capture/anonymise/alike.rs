//! Characters for characters of the same class: a digit for a digit, a small Cyrillic letter for a small Cyrillic letter.
//!
//! White space and control characters stay, lengths in octets and septets stay, and what an alphabet encodes in a special
//! way (escapes, surrogates) stays that.

use std::collections::HashMap;

use fastrand::Rng;
use smpp::text::{Charset, gsm7};

/// How octets are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Alphabet {
    /// GSM 03.38, a septet an octet.
    Gsm7,
    /// Latin-1 and its subset ASCII.
    Latin1,
    /// UTF-16, big endian.
    Ucs2,
    /// No characters; classes of octets that keep apart what a reader may tell apart.
    Binary,
}

/// What a character may be replaced by: those of the same class in the same block of 128.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Class {
    Upper,
    Lower,
    Letter,
    Digit,
    Mark,
    /// White space, controls, half a surrogate pair: not replaced.
    Kept,
}

impl Class {
    fn of(character: char) -> Self {
        match character {
            _ if character.is_whitespace() || character.is_control() => Self::Kept,
            // Byte order mark and what is no character.
            '\u{feff}' | '\u{fffe}' | '\u{ffff}' => Self::Kept,
            _ if character.is_uppercase() => Self::Upper,
            _ if character.is_lowercase() => Self::Lower,
            _ if character.is_numeric() => Self::Digit,
            _ if character.is_alphabetic() => Self::Letter,
            _ => Self::Mark,
        }
    }
}

/// The extension table without its form feed.
const GSM7_EXTENSION: [u8; 9] = [0x14, 0x28, 0x29, 0x2f, 0x3c, 0x3d, 0x3e, 0x40, 0x65];

/// Tables of replacements, made as they are needed.
#[derive(Default)]
pub(super) struct Alike {
    blocks: HashMap<(u32, Class), Vec<char>>,
    /// Septets by what they stand for.
    septets: HashMap<(bool, Class), Vec<u8>>,
}

impl Alphabet {
    /// That of a `data_coding`'s character set; no set is binary.
    pub(super) const fn of(charset: Option<Charset>) -> Self {
        match charset {
            Some(Charset::Gsm7) => Self::Gsm7,
            Some(Charset::Ucs2) => Self::Ucs2,
            Some(Charset::Ascii | Charset::Latin1 | Charset::Cp1252) => Self::Latin1,
            _ => Self::Binary,
        }
    }

    /// Octets that four characters take.
    pub(super) const fn four(self) -> usize {
        match self {
            Self::Ucs2 => 8,
            _ => 4,
        }
    }
}

impl Alike {
    /// Other octets of the same length and structure.
    pub(super) fn replace(&mut self, alphabet: Alphabet, octets: &[u8], chances: &mut Rng) -> Vec<u8> {
        match alphabet {
            Alphabet::Gsm7 => self.gsm7(octets, chances),
            Alphabet::Latin1 => octets.iter().map(|octet| self.octet(*octet, chances)).collect(),
            Alphabet::Ucs2 => self.ucs2(octets, chances),
            Alphabet::Binary => octets.iter().map(|octet| binary(*octet, chances)).collect(),
        }
    }

    fn gsm7(&mut self, octets: &[u8], chances: &mut Rng) -> Vec<u8> {
        let mut escaped = false;
        let replace = |octet: &u8| {
            let was_escaped = escaped;
            escaped = !was_escaped && *octet == gsm7::ESCAPE;
            match *octet {
                // What an escape in front of no character of the table means, differs; it stays.
                octet if was_escaped && !GSM7_EXTENSION.contains(&octet) => octet,
                _ if was_escaped => chances.choice(GSM7_EXTENSION).unwrap_or(GSM7_EXTENSION[0]),
                gsm7::ESCAPE => gsm7::ESCAPE,
                octet @ 0x80.. => binary(octet, chances),
                octet => self.septet(octet, chances),
            }
        };
        octets.iter().map(replace).collect()
    }

    fn septet(&mut self, septet: u8, chances: &mut Rng) -> u8 {
        if self.septets.is_empty() {
            for other in (0..0x80).filter(|other| *other != gsm7::ESCAPE) {
                self.septets.entry(class_of(other)).or_default().push(other);
            }
        }
        match class_of(septet) {
            (_, Class::Kept) => septet,
            class => self.septets.get(&class).and_then(|others| chances.choice(others)).copied().unwrap_or(septet),
        }
    }

    fn octet(&mut self, octet: u8, chances: &mut Rng) -> u8 {
        let replaced = self.character(char::from(octet), chances);
        u8::try_from(replaced).unwrap_or(octet)
    }

    fn ucs2(&mut self, octets: &[u8], chances: &mut Rng) -> Vec<u8> {
        let (units, odd) = octets.as_chunks::<2>();
        let mut replaced = Vec::with_capacity(octets.len());
        for unit in units.iter().map(|unit| u16::from_be_bytes(*unit)) {
            let other = match unit {
                // A half stays that half, also where a segment begins or ends between the two.
                0xd800..=0xdbff => unit,
                0xdc00..=0xdfff => chances.u16(0xdc00..=0xdfff),
                _ => {
                    let character = char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER);
                    u16::try_from(u32::from(self.character(character, chances))).unwrap_or(unit)
                }
            };
            replaced.extend(other.to_be_bytes());
        }
        replaced.extend_from_slice(odd);
        replaced
    }

    fn character(&mut self, character: char, chances: &mut Rng) -> char {
        let class = Class::of(character);
        if class == Class::Kept {
            return character;
        }
        let block = u32::from(character) / 128;
        let others = self.blocks.entry((block, class)).or_insert_with(|| {
            let all = (block * 128..(block + 1) * 128).filter_map(char::from_u32);
            all.filter(|other| Class::of(*other) == class).collect()
        });
        chances.choice(&*others).copied().unwrap_or(character)
    }
}

/// A septet's class, ASCII letters apart from the others.
fn class_of(septet: u8) -> (bool, Class) {
    let character = gsm7::decode(&[septet]).ok().and_then(|text| text.chars().next());
    character.map_or((false, Class::Kept), |character| (character.is_ascii(), Class::of(character)))
}

/// An octet for an octet: controls, printable characters by class, and those with the high bit stay such.
fn binary(octet: u8, chances: &mut Rng) -> u8 {
    match octet {
        0x00..=0x1f => chances.u8(0x00..=0x1f),
        b'0'..=b'9' => chances.u8(b'0'..=b'9'),
        b'A'..=b'Z' => chances.u8(b'A'..=b'Z'),
        b'a'..=b'z' => chances.u8(b'a'..=b'z'),
        0x20..=0x7f => octet,
        0x80..=0xff => chances.u8(0x80..=0xff),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
    use super::*;

    #[test]
    fn escapes_surrogates_space_and_classes_stay() {
        let mut alike = Alike::default();
        let mut chances = Rng::with_seed(1);
        let text = "Ab 9{€\n";
        let octets = Charset::Gsm7.encode(text).unwrap();
        let other = Charset::Gsm7.decode(&alike.replace(Alphabet::Gsm7, &octets, &mut chances)).unwrap();
        let characters: Vec<char> = other.chars().collect();
        assert!(characters[0].is_ascii_uppercase() && characters[1].is_ascii_lowercase(), "{other}");
        assert!(characters[2] == ' ' && characters[3].is_ascii_digit() && characters[6] == '\n', "{other}");
        assert_eq!(Charset::Gsm7.encode(&other).unwrap().len(), octets.len());

        let octets = Charset::Ucs2.encode("Жя😀漢").unwrap();
        let other = alike.replace(Alphabet::Ucs2, &octets, &mut chances);
        let text: Vec<char> = Charset::Ucs2.decode(&other).unwrap().chars().collect();
        assert_eq!(text.len(), 4);
        assert!(text[0].is_uppercase() && text[1].is_lowercase() && text[2] > '\u{ffff}' && text[3].is_alphabetic());
        // Half a pair, as a segment may end with.
        assert_eq!(alike.replace(Alphabet::Ucs2, &[0xd8, 0x3d, 0], &mut chances), [0xd8, 0x3d, 0]);
    }
}
