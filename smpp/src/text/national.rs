//! National language tables of GSM 03.38: locking shift and single shift (3GPP TS 23.038 annex A), announced by the
//! header elements 0x24 and 0x25 (3GPP TS 23.040 §9.2.3.24.15 and 16).
//!
//! A locking table takes the place of the default alphabet, a single table that of the extension table. The tables of
//! Indic scripts follow one plan, so they are written as what a script has of its Unicode block. The standard prints the
//! code of PA twice in Kannada's locking table (§A.3.7) and that of DDA nowhere: 0x24 is DDA here as it is on phones.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::charset::CharsetError;
use super::gsm7::{self, ESCAPE};

/// Announces the single shift table of a language.
pub const SINGLE_SHIFT: u8 = 0x24;
/// Announces the locking shift table of a language.
pub const LOCKING_SHIFT: u8 = 0x25;

/// A language with tables of its own; the number is the identifier on the air.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names say all there is to say")]
pub enum Language {
    Turkish = 1,
    Spanish = 2,
    Portuguese = 3,
    Bengali = 4,
    Gujarati = 5,
    Hindi = 6,
    Kannada = 7,
    Malayalam = 8,
    Oriya = 9,
    Punjabi = 10,
    Tamil = 11,
    Telugu = 12,
    Urdu = 13,
}

impl Language {
    /// Every language with its ISO 639-1 code.
    pub const ALL: [(&'static str, Self); 13] = [
        ("tr", Self::Turkish),
        ("es", Self::Spanish),
        ("pt", Self::Portuguese),
        ("bn", Self::Bengali),
        ("gu", Self::Gujarati),
        ("hi", Self::Hindi),
        ("kn", Self::Kannada),
        ("ml", Self::Malayalam),
        ("or", Self::Oriya),
        ("pa", Self::Punjabi),
        ("ta", Self::Tamil),
        ("te", Self::Telugu),
        ("ur", Self::Urdu),
    ];

    /// The language with this ISO 639-1 code.
    #[must_use]
    pub fn named(code: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == code).map(|(_, language)| *language)
    }

    /// The language with this identifier.
    #[must_use]
    pub fn identified(identifier: u8) -> Option<Self> {
        Self::ALL.iter().find(|(_, language)| *language as u8 == identifier).map(|(_, language)| *language)
    }

    /// Whether it has a locking table; Spanish has none.
    #[must_use]
    pub fn locks(self) -> bool {
        self != Self::Spanish
    }
}

/// The tables in use for a text; the defaults where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Hash)]
pub struct Tables {
    /// Instead of the default alphabet.
    pub locking: Option<Language>,
    /// Instead of the extension table.
    pub single: Option<Language>,
}

impl Tables {
    /// Whether both are the defaults.
    #[must_use]
    pub fn is_default(self) -> bool {
        self == Self::default()
    }

    /// Takes in a header element, if it is about tables; unknown languages mean the default (§9.2.3.24.15).
    pub fn read(&mut self, element: u8, data: &[u8]) {
        match (element, data) {
            (SINGLE_SHIFT, &[identifier]) => self.single = Language::identified(identifier),
            (LOCKING_SHIFT, &[identifier]) => {
                self.locking = Language::identified(identifier).filter(|language| language.locks());
            }
            _ => {}
        }
    }

    /// The header elements that announce them.
    #[must_use]
    pub fn elements(self) -> Vec<u8> {
        let mut elements = Vec::new();
        for (element, language) in [(SINGLE_SHIFT, self.single), (LOCKING_SHIFT, self.locking)] {
            if let Some(language) = language {
                elements.extend([element, 1, language as u8]);
            }
        }
        elements
    }

    /// Text in septets, one an octet.
    ///
    /// # Errors
    /// [`CharsetError::Unencodable`] names the first character that neither table has.
    pub fn encode(self, text: &str) -> Result<Vec<u8>, CharsetError> {
        if self.is_default() {
            return gsm7::encode(text);
        }
        let mut octets = Vec::with_capacity(text.len());
        for (index, character) in text.chars().enumerate() {
            if let Some(septet) = self.basic(character) {
                octets.push(septet);
            } else if let Some(septet) = self.extension(character) {
                octets.extend([ESCAPE, septet]);
            } else {
                return Err(CharsetError::Unencodable { character, index, charset: "gsm0338 with national tables" });
            }
        }
        Ok(octets)
    }

    /// Septets as text; as in the default alphabet, an escape before what has no meaning shows the basic character.
    #[must_use]
    pub fn decode(self, octets: &[u8]) -> String {
        let mut text = String::with_capacity(octets.len());
        let mut rest = octets.iter().copied();
        while let Some(octet) = rest.next() {
            if octet != ESCAPE {
                text.push(self.basic_at(octet));
                continue;
            }
            let Some(septet) = rest.next() else { break };
            text.push(self.extension_at(septet).unwrap_or_else(|| match septet {
                ESCAPE => ' ',
                other => self.basic_at(other),
            }));
        }
        text
    }

    /// How many septets a character takes; `None` when neither table has it.
    #[must_use]
    pub fn septets(self, character: char) -> Option<usize> {
        match self.basic(character) {
            Some(_) => Some(1),
            None => self.extension(character).map(|_| 2),
        }
    }

    fn basic(self, character: char) -> Option<u8> {
        match self.locking {
            None => gsm7::basic_septet(character),
            Some(language) => find(&LOCKING[language as usize], character),
        }
    }

    fn extension(self, character: char) -> Option<u8> {
        match self.single {
            None => gsm7::extension_septet(character),
            Some(language) => find(&SINGLE[language as usize], character),
        }
    }

    fn basic_at(self, septet: u8) -> char {
        let found = match self.locking {
            None => gsm7::basic_character(septet),
            Some(language) => LOCKING[language as usize].get(usize::from(septet)).copied().filter(|c| *c != NONE),
        };
        found.unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    fn extension_at(self, septet: u8) -> Option<char> {
        match self.single {
            None => gsm7::extension_character(septet),
            Some(language) => SINGLE[language as usize].get(usize::from(septet)).copied().filter(|c| *c != NONE),
        }
    }
}

/// The tables of the given languages that take the fewest septets for a text, header included; `None` when the text fits
/// none of them. The default ones are tried as well.
#[must_use]
pub fn cheapest(text: &str, languages: &[Language]) -> Option<(Tables, Vec<u8>)> {
    let locking = languages.iter().copied().filter(|language| language.locks()).map(Some);
    let candidates = std::iter::once(None).chain(locking).flat_map(|locking| {
        std::iter::once(None).chain(languages.iter().copied().map(Some)).map(move |single| Tables { locking, single })
    });
    // Counted once, so that a long text is not written in every pair of tables.
    let mut counts: HashMap<char, usize> = HashMap::new();
    text.chars().for_each(|character| *counts.entry(character).or_default() += 1);
    let septets = |tables: Tables| {
        let header = tables.elements().len() * 8 / 7;
        counts.iter().try_fold(header, |sum, (character, count)| Some(sum + count * tables.septets(*character)?))
    };
    let fitting = candidates.filter_map(|tables| Some((tables, septets(tables)?)));
    let (tables, _) = fitting.min_by_key(|(_, septets)| *septets)?;
    Some((tables, tables.encode(text).ok()?))
}

type Table = [char; 128];

/// A place without a character.
const NONE: char = '\u{ffff}';

fn find(table: &Table, character: char) -> Option<u8> {
    if character == NONE {
        return None;
    }
    let place = table.iter().position(|other| *other == character)?;
    u8::try_from(place).ok()
}

static LOCKING: LazyLock<[Table; 14]> = LazyLock::new(|| std::array::from_fn(locking));
static SINGLE: LazyLock<[Table; 14]> = LazyLock::new(|| std::array::from_fn(single));

/// What differs from the default alphabet, by place (annex A.3.1, A.3.3).
const TURKISH: &[(u8, char)] =
    &[(0x04, '€'), (0x07, 'ı'), (0x0b, 'Ğ'), (0x0c, 'ğ'), (0x1c, 'Ş'), (0x1d, 'ş'), (0x40, 'İ'), (0x60, 'ç')];
const PORTUGUESE: &[(u8, char)] = &[
    (0x04, 'ê'),
    (0x06, 'ú'),
    (0x07, 'í'),
    (0x08, 'ó'),
    (0x09, 'ç'),
    (0x0b, 'Ô'),
    (0x0c, 'ô'),
    (0x0e, 'Á'),
    (0x0f, 'á'),
    (0x12, 'ª'),
    (0x13, 'Ç'),
    (0x14, 'À'),
    (0x15, '∞'),
    (0x16, '^'),
    (0x17, '\\'),
    (0x18, '€'),
    (0x19, 'Ó'),
    (0x1a, '|'),
    (0x1c, 'Â'),
    (0x1d, 'â'),
    (0x1e, 'Ê'),
    (0x24, 'º'),
    (0x40, 'Í'),
    (0x5b, 'Ã'),
    (0x5c, 'Õ'),
    (0x5d, 'Ú'),
    (0x60, '~'),
    (0x7b, 'ã'),
    (0x7c, 'õ'),
    (0x7d, '`'),
];

/// Urdu (annex A.3.13), by code point; zero is a place that follows the plan of the Indic tables.
const URDU: [u16; 128] = [
    0x0627, 0x0622, 0x0628, 0x067b, 0x0680, 0x067e, 0x06a6, 0x062a, 0x06c2, 0x067f, 0, 0x0679, 0x067d, 0, 0x067a,
    0x067c, 0x062b, 0x062c, 0x0681, 0x0684, 0x0683, 0x0685, 0x0686, 0x0687, 0x062d, 0x062e, 0x062f, 0, 0x068c, 0x0688,
    0x0689, 0x068a, 0, 0, 0x068f, 0x068d, 0x0630, 0x0631, 0x0691, 0x0693, 0, 0, 0x0699, 0x0632, 0, 0x0696, 0, 0x0698,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x069a, 0x0633, 0x0634, 0, 0x0635, 0x0636, 0x0637, 0x0638, 0x0639, 0x0641,
    0x0642, 0x06a9, 0x06aa, 0x06ab, 0x06af, 0x06b3, 0x06b1, 0x0644, 0x0645, 0x0646, 0x06ba, 0x06bb, 0x06bc, 0x0648,
    0x06c4, 0x06d5, 0x06c1, 0x06be, 0x0621, 0x06cc, 0x06d0, 0x06d2, 0x064d, 0x0650, 0x064f, 0x0657, 0x0654, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0655, 0x0651, 0x0653, 0x0656, 0x0670,
];

/// An Indic script: its block in Unicode, the offsets that its locking table lacks, the characters at 0x60 and from 0x7B,
/// and those of its single table.
struct Script {
    block: u32,
    lacks: &'static [u8],
    at_60: u8,
    tail: [u8; 5],
    single: &'static [(u8, u8)],
    /// Where its digits begin in the single table, which has the dandas before them; Bengali and Telugu differ.
    dandas: bool,
}

/// Places 0x00 to 0x5F of the locking tables as offsets into a script's block; those below 0x80 that a plan keeps for
/// itself are given as characters.
const PLAN: [Place; 96] = {
    use Place::{Block as B, Fixed as F};
    [
        B(0x01),
        B(0x02),
        B(0x03),
        B(0x05),
        B(0x06),
        B(0x07),
        B(0x08),
        B(0x09),
        B(0x0a),
        B(0x0b),
        F('\n'),
        B(0x0c),
        B(0x0d),
        F('\r'),
        B(0x0e),
        B(0x0f),
        B(0x10),
        B(0x11),
        B(0x12),
        B(0x13),
        B(0x14),
        B(0x15),
        B(0x16),
        B(0x17),
        B(0x18),
        B(0x19),
        B(0x1a),
        F(NONE),
        B(0x1b),
        B(0x1c),
        B(0x1d),
        B(0x1e),
        F(' '),
        F('!'),
        B(0x1f),
        B(0x20),
        B(0x21),
        B(0x22),
        B(0x23),
        B(0x24),
        F(')'),
        F('('),
        B(0x25),
        B(0x26),
        F(','),
        B(0x27),
        F('.'),
        B(0x28),
        F('0'),
        F('1'),
        F('2'),
        F('3'),
        F('4'),
        F('5'),
        F('6'),
        F('7'),
        F('8'),
        F('9'),
        F(':'),
        F(';'),
        B(0x29),
        B(0x2a),
        B(0x2b),
        F('?'),
        B(0x2c),
        B(0x2d),
        B(0x2e),
        B(0x2f),
        B(0x30),
        B(0x31),
        B(0x32),
        B(0x33),
        B(0x34),
        B(0x35),
        B(0x36),
        B(0x37),
        B(0x38),
        B(0x39),
        B(0x3c),
        B(0x3d),
        B(0x3e),
        B(0x3f),
        B(0x40),
        B(0x41),
        B(0x42),
        B(0x43),
        B(0x44),
        B(0x45),
        B(0x46),
        B(0x47),
        B(0x48),
        B(0x49),
        B(0x4a),
        B(0x4b),
        B(0x4c),
        B(0x4d),
    ]
};

#[derive(Clone, Copy)]
enum Place {
    Block(u8),
    Fixed(char),
}

/// Annexes A.2.4 to A.2.12 and A.3.4 to A.3.12.
const SCRIPTS: [(Language, Script); 9] = [
    (
        Language::Bengali,
        Script {
            block: 0x0980,
            lacks: &[0x0d, 0x0e, 0x11, 0x12, 0x29, 0x31, 0x33, 0x34, 0x35, 0x45, 0x46, 0x49, 0x4a],
            at_60: 0x4e,
            tail: [0x57, 0x5c, 0x5d, 0x70, 0x71],
            single: &[
                (0x19, 0x66),
                (0x1a, 0x67),
                (0x1c, 0x68),
                (0x1d, 0x69),
                (0x1e, 0x6a),
                (0x1f, 0x6b),
                (0x20, 0x6c),
                (0x21, 0x6d),
                (0x22, 0x6e),
                (0x23, 0x6f),
                (0x24, 0x5f),
                (0x25, 0x60),
                (0x26, 0x61),
                (0x27, 0x62),
                (0x2a, 0x63),
                (0x2b, 0x72),
                (0x2c, 0x73),
                (0x2d, 0x74),
                (0x2e, 0x75),
                (0x30, 0x76),
                (0x31, 0x77),
                (0x32, 0x78),
                (0x33, 0x79),
                (0x34, 0x7a),
            ],
            dandas: false,
        },
    ),
    (
        Language::Gujarati,
        Script {
            block: 0x0a80,
            lacks: &[0x0e, 0x12, 0x29, 0x31, 0x34, 0x46, 0x4a],
            at_60: 0x50,
            tail: [0x60, 0x61, 0x62, 0x63, 0x71],
            single: DIGITS,
            dandas: true,
        },
    ),
    (
        Language::Hindi,
        Script {
            block: 0x0900,
            lacks: &[],
            at_60: 0x50,
            tail: [0x72, 0x7b, 0x7c, 0x7e, 0x7f],
            single: &[
                (0x1c, 0x66),
                (0x1d, 0x67),
                (0x1e, 0x68),
                (0x1f, 0x69),
                (0x20, 0x6a),
                (0x21, 0x6b),
                (0x22, 0x6c),
                (0x23, 0x6d),
                (0x24, 0x6e),
                (0x25, 0x6f),
                (0x26, 0x51),
                (0x27, 0x52),
                (0x2a, 0x53),
                (0x2b, 0x54),
                (0x2c, 0x58),
                (0x2d, 0x59),
                (0x2e, 0x5a),
                (0x30, 0x5b),
                (0x31, 0x5c),
                (0x32, 0x5d),
                (0x33, 0x5e),
                (0x34, 0x5f),
                (0x35, 0x60),
                (0x36, 0x61),
                (0x37, 0x62),
                (0x38, 0x63),
                (0x39, 0x70),
                (0x3a, 0x71),
            ],
            dandas: true,
        },
    ),
    (
        Language::Kannada,
        Script {
            block: 0x0c80,
            lacks: &[0x01, 0x0d, 0x11, 0x29, 0x34, 0x45, 0x49],
            at_60: 0x55,
            tail: [0x56, 0x60, 0x61, 0x62, 0x63],
            single: &[
                (0x1c, 0x66),
                (0x1d, 0x67),
                (0x1e, 0x68),
                (0x1f, 0x69),
                (0x20, 0x6a),
                (0x21, 0x6b),
                (0x22, 0x6c),
                (0x23, 0x6d),
                (0x24, 0x6e),
                (0x25, 0x6f),
                (0x26, 0x5e),
                (0x27, 0x71),
                (0x2a, 0x72),
            ],
            dandas: true,
        },
    ),
    (
        Language::Malayalam,
        Script {
            block: 0x0d00,
            lacks: &[0x01, 0x0d, 0x11, 0x29, 0x3c, 0x45, 0x49],
            at_60: 0x57,
            tail: [0x60, 0x61, 0x62, 0x63, 0x79],
            single: &[
                (0x1c, 0x66),
                (0x1d, 0x67),
                (0x1e, 0x68),
                (0x1f, 0x69),
                (0x20, 0x6a),
                (0x21, 0x6b),
                (0x22, 0x6c),
                (0x23, 0x6d),
                (0x24, 0x6e),
                (0x25, 0x6f),
                (0x26, 0x70),
                (0x27, 0x71),
                (0x2a, 0x72),
                (0x2b, 0x73),
                (0x2c, 0x74),
                (0x2d, 0x75),
                (0x2e, 0x7a),
                (0x30, 0x7b),
                (0x31, 0x7c),
                (0x32, 0x7d),
                (0x33, 0x7e),
                (0x34, 0x7f),
            ],
            dandas: true,
        },
    ),
    (
        Language::Oriya,
        Script {
            block: 0x0b00,
            lacks: &[0x0d, 0x0e, 0x11, 0x12, 0x29, 0x31, 0x34, 0x45, 0x46, 0x49, 0x4a],
            at_60: 0x56,
            tail: [0x57, 0x60, 0x61, 0x62, 0x63],
            single: &[
                (0x1c, 0x66),
                (0x1d, 0x67),
                (0x1e, 0x68),
                (0x1f, 0x69),
                (0x20, 0x6a),
                (0x21, 0x6b),
                (0x22, 0x6c),
                (0x23, 0x6d),
                (0x24, 0x6e),
                (0x25, 0x6f),
                (0x26, 0x5c),
                (0x27, 0x5d),
                (0x2a, 0x5f),
                (0x2b, 0x70),
                (0x2c, 0x71),
            ],
            dandas: true,
        },
    ),
    (
        Language::Punjabi,
        Script {
            block: 0x0a00,
            lacks: &[
                0x0b, 0x0c, 0x0d, 0x0e, 0x11, 0x12, 0x29, 0x31, 0x34, 0x37, 0x3d, 0x43, 0x44, 0x45, 0x46, 0x49, 0x4a,
            ],
            at_60: 0x51,
            tail: [0x70, 0x71, 0x72, 0x73, 0x74],
            single: &[
                (0x1c, 0x66),
                (0x1d, 0x67),
                (0x1e, 0x68),
                (0x1f, 0x69),
                (0x20, 0x6a),
                (0x21, 0x6b),
                (0x22, 0x6c),
                (0x23, 0x6d),
                (0x24, 0x6e),
                (0x25, 0x6f),
                (0x26, 0x59),
                (0x27, 0x5a),
                (0x2a, 0x5b),
                (0x2b, 0x5c),
                (0x2c, 0x5e),
                (0x2d, 0x75),
            ],
            dandas: true,
        },
    ),
    (
        Language::Tamil,
        Script {
            block: 0x0b80,
            lacks: &[
                0x01, 0x0b, 0x0c, 0x0d, 0x11, 0x16, 0x17, 0x18, 0x1b, 0x1d, 0x20, 0x21, 0x22, 0x25, 0x26, 0x27, 0x2b,
                0x2c, 0x2d, 0x3c, 0x3d, 0x43, 0x44, 0x45, 0x49,
            ],
            at_60: 0x50,
            tail: [0x57, 0x70, 0x71, 0x72, 0x79],
            single: &[
                (0x1c, 0x66),
                (0x1d, 0x67),
                (0x1e, 0x68),
                (0x1f, 0x69),
                (0x20, 0x6a),
                (0x21, 0x6b),
                (0x22, 0x6c),
                (0x23, 0x6d),
                (0x24, 0x6e),
                (0x25, 0x6f),
                (0x26, 0x73),
                (0x27, 0x74),
                (0x2a, 0x75),
                (0x2b, 0x76),
                (0x2c, 0x77),
                (0x2d, 0x78),
                (0x2e, 0x7a),
            ],
            dandas: true,
        },
    ),
    (
        Language::Telugu,
        Script {
            block: 0x0c00,
            lacks: &[0x0d, 0x11, 0x29, 0x34, 0x3c, 0x45, 0x49],
            at_60: 0x55,
            tail: [0x56, 0x60, 0x61, 0x62, 0x63],
            single: &[
                (0x1c, 0x66),
                (0x1d, 0x67),
                (0x1e, 0x68),
                (0x1f, 0x69),
                (0x20, 0x6a),
                (0x21, 0x6b),
                (0x22, 0x6c),
                (0x23, 0x6d),
                (0x24, 0x6e),
                (0x25, 0x6f),
                (0x26, 0x58),
                (0x27, 0x59),
                (0x2a, 0x78),
                (0x2b, 0x79),
                (0x2c, 0x7a),
                (0x2d, 0x7b),
                (0x2e, 0x7c),
                (0x30, 0x7d),
                (0x31, 0x7e),
                (0x32, 0x7f),
            ],
            dandas: false,
        },
    ),
];

/// The digits alone.
const DIGITS: &[(u8, u8)] = &[
    (0x1c, 0x66),
    (0x1d, 0x67),
    (0x1e, 0x68),
    (0x1f, 0x69),
    (0x20, 0x6a),
    (0x21, 0x6b),
    (0x22, 0x6c),
    (0x23, 0x6d),
    (0x24, 0x6e),
    (0x25, 0x6f),
];

/// Urdu's own part of its single table.
const URDU_SINGLE: &[(u8, u16)] = &[
    (0x19, 0x0600),
    (0x1a, 0x0601),
    (0x1c, 0x06f0),
    (0x1d, 0x06f1),
    (0x1e, 0x06f2),
    (0x1f, 0x06f3),
    (0x20, 0x06f4),
    (0x21, 0x06f5),
    (0x22, 0x06f6),
    (0x23, 0x06f7),
    (0x24, 0x06f8),
    (0x25, 0x06f9),
    (0x26, 0x060c),
    (0x27, 0x060d),
    (0x2a, 0x060e),
    (0x2b, 0x060f),
    (0x2c, 0x0610),
    (0x2d, 0x0611),
    (0x2e, 0x0612),
    (0x30, 0x0613),
    (0x31, 0x0614),
    (0x32, 0x061b),
    (0x33, 0x061f),
    (0x34, 0x0640),
    (0x35, 0x0652),
    (0x36, 0x0658),
    (0x37, 0x066b),
    (0x38, 0x066c),
    (0x39, 0x0672),
    (0x3a, 0x0673),
    (0x3b, 0x06cd),
    (0x3f, 0x06d4),
];

/// What every single table of an Indic script has.
const INDIC_SINGLE: &[(u8, char)] = &[
    (0x00, '@'),
    (0x01, '£'),
    (0x02, '$'),
    (0x03, '¥'),
    (0x04, '¿'),
    (0x05, '"'),
    (0x06, '¤'),
    (0x07, '%'),
    (0x08, '&'),
    (0x09, '\''),
    (0x0a, '\u{c}'),
    (0x0b, '*'),
    (0x0c, '+'),
    (0x0e, '-'),
    (0x0f, '/'),
    (0x10, '<'),
    (0x11, '='),
    (0x12, '>'),
    (0x13, '¡'),
    (0x14, '^'),
    (0x15, '¡'),
    (0x16, '_'),
    (0x17, '#'),
    (0x18, '*'),
];

/// What each of the three European single tables adds to the extension table.
const SINGLE_EUROPEAN: [&[(u8, char)]; 3] = [
    &[(0x47, 'Ğ'), (0x49, 'İ'), (0x53, 'Ş'), (0x63, 'ç'), (0x67, 'ğ'), (0x69, 'ı'), (0x73, 'ş')],
    &[
        (0x09, 'ç'),
        (0x41, 'Á'),
        (0x49, 'Í'),
        (0x4f, 'Ó'),
        (0x55, 'Ú'),
        (0x61, 'á'),
        (0x69, 'í'),
        (0x6f, 'ó'),
        (0x75, 'ú'),
    ],
    &[
        (0x05, 'ê'),
        (0x09, 'ç'),
        (0x0b, 'Ô'),
        (0x0c, 'ô'),
        (0x0e, 'Á'),
        (0x0f, 'á'),
        (0x12, 'Φ'),
        (0x13, 'Γ'),
        (0x15, 'Ω'),
        (0x16, 'Π'),
        (0x17, 'Ψ'),
        (0x18, 'Σ'),
        (0x19, 'Θ'),
        (0x1f, 'Ê'),
        (0x41, 'À'),
        (0x49, 'Í'),
        (0x4f, 'Ó'),
        (0x55, 'Ú'),
        (0x5b, 'Ã'),
        (0x5c, 'Õ'),
        (0x61, 'Â'),
        (0x69, 'í'),
        (0x6f, 'ó'),
        (0x75, 'ú'),
        (0x7b, 'ã'),
        (0x7c, 'õ'),
        (0x7f, 'â'),
    ],
];

fn put(table: &mut Table, places: impl IntoIterator<Item = (u8, char)>) {
    for (place, character) in places {
        if let Some(entry) = table.get_mut(usize::from(place)) {
            *entry = character;
        }
    }
}

/// The default alphabet without its escape.
fn default_alphabet() -> Table {
    std::array::from_fn(|septet| u8::try_from(septet).ok().and_then(gsm7::basic_character).unwrap_or(NONE))
}

fn script(identifier: usize) -> Option<&'static Script> {
    SCRIPTS.iter().find(|(language, _)| *language as usize == identifier).map(|(_, script)| script)
}

fn locking(identifier: usize) -> Table {
    let mut table = default_alphabet();
    match identifier {
        1 => put(&mut table, TURKISH.iter().copied()),
        3 => put(&mut table, PORTUGUESE.iter().copied()),
        13 => indic(&mut table, |at, place| match URDU[at] {
            0 => place.and_then(|place| if let Place::Fixed(fixed) = place { Some(fixed) } else { None }),
            code => char::from_u32(u32::from(code)),
        }),
        _ => {
            if let Some(script) = script(identifier) {
                let own = |offset: u8| {
                    char::from_u32(script.block + u32::from(offset)).filter(|_| !script.lacks.contains(&offset))
                };
                indic(&mut table, |at, place| match (at, place) {
                    (_, Some(Place::Fixed(fixed))) => Some(fixed),
                    (_, Some(Place::Block(offset))) => own(offset),
                    (0x60, None) => own(script.at_60),
                    (0x7b..0x80, None) => own(script.tail[at - 0x7b]),
                    _ => None,
                });
            }
        }
    }
    table
}

/// Fills a table by the plan of the Indic ones: `own` says what a place has; the small letters stay.
fn indic(table: &mut Table, own: impl Fn(usize, Option<Place>) -> Option<char>) {
    for (at, entry) in table.iter_mut().enumerate() {
        if !(0x61..=0x7a).contains(&at) {
            *entry = own(at, PLAN.get(at).copied()).unwrap_or(NONE);
        }
    }
}

fn single(identifier: usize) -> Table {
    let mut table = [NONE; 128];
    for septet in 0..128 {
        if let Some(character) = gsm7::extension_character(septet) {
            put(&mut table, [(septet, character)]);
        }
    }
    if let Some(added) = identifier.checked_sub(1).and_then(|index| SINGLE_EUROPEAN.get(index)) {
        put(&mut table, added.iter().copied());
    }
    if identifier < 4 {
        return table;
    }
    put(&mut table, INDIC_SINGLE.iter().copied());
    put(&mut table, (0x41..=0x5a).map(|place: u8| (place, char::from(place))));
    if identifier == Language::Urdu as usize {
        put(
            &mut table,
            URDU_SINGLE.iter().filter_map(|(place, code)| Some((*place, char::from_u32(u32::from(*code))?))),
        );
    }
    if let Some(script) = script(identifier) {
        if script.dandas {
            put(&mut table, [(0x19, '\u{964}'), (0x1a, '\u{965}')]);
        }
        let own = script.single.iter();
        put(
            &mut table,
            own.filter_map(|(place, offset)| Some((*place, char::from_u32(script.block + u32::from(*offset))?))),
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tables() -> impl Strategy<Value = Tables> {
        let language = || prop::option::of(prop::sample::select(&Language::ALL[..]).prop_map(|(_, language)| language));
        (language(), language())
            .prop_map(|(locking, single)| Tables { locking: locking.filter(|language| language.locks()), single })
    }

    /// The tables as another implementation has them: the places of Turkish, Spanish and Portuguese in node-smpp
    /// 0.6.0-rc.4, checked letter by letter.
    #[test]
    fn the_european_tables_are_those_of_others() {
        let tr = Tables { locking: Some(Language::Turkish), single: Some(Language::Turkish) };
        let alphabet: Vec<u8> = (0..128).filter(|septet| *septet != ESCAPE).collect();
        assert_eq!(
            tr.decode(&alphabet),
            "@£$¥€éùıòÇ\nĞğ\rÅåΔ_ΦΓΛΩΠΨΣΘΞŞşßÉ !\"#¤%&'()*+,-./0123456789:;<=>?İABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§çabcdefghijklmnopqrstuvwxyzäöñüà"
        );
        let pt = Tables { locking: Some(Language::Portuguese), single: Some(Language::Portuguese) };
        assert_eq!(
            pt.decode(&alphabet),
            "@£$¥êéúíóç\nÔô\rÁáΔ_ªÇÀ∞^\\€Ó|ÂâÊÉ !\"#º%&'()*+,-./0123456789:;<=>?ÍABCDEFGHIJKLMNOPQRSTUVWXYZÃÕÚÜ§~abcdefghijklmnopqrstuvwxyzãõ`üà"
        );
        let escaped = |tables: Tables, places: &str| {
            tables.decode(&places.bytes().flat_map(|place| [ESCAPE, place]).collect::<Vec<u8>>())
        };
        assert_eq!(escaped(tr, "GIScegis"), "ĞİŞç€ğış");
        let es = Tables { locking: None, single: Some(Language::Spanish) };
        assert_eq!(escaped(es, "\tAIOUaeiou"), "çÁÍÓÚá€íóú");
        assert_eq!(escaped(pt, "AIOU[\\aeiou{|\x7f"), "ÀÍÓÚÃÕÂ€íóúãõâ");
    }

    #[test]
    fn the_indic_tables_have_their_scripts() {
        let text = |language, text: &str| {
            let tables = Tables { locking: Some(language), single: Some(language) };
            let octets = tables.encode(text).unwrap();
            assert_eq!(tables.decode(&octets), text);
            octets.len()
        };
        for (language, words) in [
            (Language::Hindi, "नमस्ते 12"),
            (Language::Bengali, "আমি বাংলা ১২৩"),
            (Language::Gujarati, "નમસ્તે ૧૨"),
            (Language::Kannada, "ನಮಸ್ಕಾರ ೧"),
            (Language::Malayalam, "നമസ്കാരം"),
            (Language::Oriya, "ନମସ୍କାର"),
            (Language::Punjabi, "ਸਤ ਸ੍ਰੀ ਅਕਾਲ"),
            (Language::Tamil, "வணக்கம் ௧"),
            (Language::Telugu, "నమస్కారం, abc (ABC)"),
            (Language::Urdu, "سلام، ۱۲"),
        ] {
            assert!(text(language, words) <= 2 * words.chars().count(), "{words}");
        }
        assert_eq!(text(Language::Hindi, "नमस्ते"), 6);
        assert_eq!(text(Language::Kannada, "ಕನ್ನಡ"), 5);
        assert_eq!(text(Language::Urdu, "سلام"), 4);
        let lacks = Tables { locking: Some(Language::Tamil), single: None }.encode("\u{b96}").unwrap_err();
        assert!(matches!(lacks, CharsetError::Unencodable { character: '\u{b96}', .. }));
    }

    #[test]
    fn the_mark_of_an_empty_place_is_no_character() {
        for (_, language) in Language::ALL {
            let tables = Tables { locking: Some(language).filter(|language| language.locks()), single: Some(language) };
            assert!(tables.encode("\u{ffff}").is_err(), "{language:?}");
        }
        assert_eq!(crate::text::encode_national("\u{ffff}", &[Language::Hindi]).charset, crate::text::Charset::Ucs2);
    }

    #[test]
    fn the_cheapest_tables_are_found() {
        let all: Vec<Language> = Language::ALL.iter().map(|(_, language)| *language).collect();
        assert_eq!(cheapest("plain", &all).unwrap().0, Tables::default());
        let (tables, octets) = cheapest("İstanbul'da çok güzel bir gün, ışık ve ğ", &all).unwrap();
        assert_eq!(tables.locking, Some(Language::Turkish));
        assert_eq!(octets.len(), 40);
        assert_eq!(cheapest("漢字", &all), None);
        assert!(cheapest("ş", &[Language::Turkish]).unwrap().0.single.is_none());
    }

    proptest! {
        #[test]
        fn no_pair_of_tables_is_cheaper_than_the_cheapest(
            text in "[a-zçşğıİáÁãõनमस्ते€\\[ж]{0,40}",
            languages in prop::sample::subsequence(&Language::ALL[..], 0..4),
        ) {
            let languages: Vec<Language> = languages.into_iter().map(|(_, language)| language).collect();
            let length = |tables: Tables, octets: &[u8]| octets.len() + tables.elements().len() * 8 / 7;
            let found = cheapest(&text, &languages);
            let own = || languages.iter().copied().map(Some).chain([None]);
            for (locking, single) in own().flat_map(|locking| own().map(move |single| (locking, single))) {
                let tables = Tables { locking: locking.filter(|language| language.locks()), single };
                if let Ok(octets) = tables.encode(&text) {
                    let (cheapest, written) = found.as_ref().unwrap();
                    prop_assert!(length(*cheapest, written) <= length(tables, &octets), "{tables:?}");
                }
            }
            if let Some((tables, octets)) = found {
                prop_assert_eq!(tables.decode(&octets), text);
            }
        }

        #[test]
        fn what_is_encoded_reads_back(tables in tables(), octets in prop::collection::vec(0_u8..128, 0..60)) {
            let text = tables.decode(&octets);
            if let Ok(again) = tables.encode(&text) {
                prop_assert_eq!(tables.decode(&again), text);
            }
            let mut read = Tables::default();
            for element in tables.elements().chunks(3) {
                read.read(element[0], &element[2..]);
            }
            prop_assert_eq!(read, tables);
        }
    }
}
