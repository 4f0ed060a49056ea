//! GSM 03.38: the default alphabet, its extension table, and packing (3GPP TS 23.038 §6.1.2, §6.2.1).
//!
//! On SMPP a septet usually has an octet of its own; packing is for the few gateways that want eight in seven.

use super::charset::CharsetError;

/// Announces a character of the extension table.
pub const ESCAPE: u8 = 0x1b;

/// The default alphabet; the index is the septet. 0x1B is never looked up.
const BASIC: [char; 128] = [
    '@', '£', '$', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', '\n', 'Ø', 'ø', '\r', 'Å', 'å', 'Δ', '_', 'Φ', 'Γ', 'Λ', 'Ω',
    'Π', 'Ψ', 'Σ', 'Θ', 'Ξ', '\u{1b}', 'Æ', 'æ', 'ß', 'É', ' ', '!', '"', '#', '¤', '%', '&', '\'', '(', ')', '*', '+',
    ',', '-', '.', '/', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', ':', ';', '<', '=', '>', '?', '¡', 'A', 'B',
    'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', 'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y',
    'Z', 'Ä', 'Ö', 'Ñ', 'Ü', '§', '¿', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p',
    'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'ä', 'ö', 'ñ', 'ü', 'à',
];

/// The extension table.
const EXTENSION: [(u8, char); 10] = [
    (0x0a, '\u{c}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2f, '\\'),
    (0x3c, '['),
    (0x3d, '~'),
    (0x3e, ']'),
    (0x40, '|'),
    (0x65, '€'),
];

/// How many septets a character takes: one, two, or `None` when the alphabet does not have it.
#[must_use]
pub fn septets(character: char) -> Option<usize> {
    match septet(character)? {
        Septet::Basic(_) => Some(1),
        Septet::Extension(_) => Some(2),
    }
}

enum Septet {
    Basic(u8),
    Extension(u8),
}

fn septet(character: char) -> Option<Septet> {
    // Where ASCII and the alphabet agree, which is most of what is written.
    if matches!(character, ' '..='#' | '%'..='?' | 'A'..='Z' | 'a'..='z') {
        return u8::try_from(character).ok().map(Septet::Basic);
    }
    let basic = BASIC.iter().position(|basic| *basic == character && *basic != '\u{1b}');
    if let Some(index) = basic.and_then(|index| u8::try_from(index).ok()) {
        return Some(Septet::Basic(index));
    }
    EXTENSION.iter().find(|(_, extension)| *extension == character).map(|(septet, _)| Septet::Extension(*septet))
}

/// A character's place in the default alphabet.
pub(super) fn basic_septet(character: char) -> Option<u8> {
    match septet(character)? {
        Septet::Basic(septet) => Some(septet),
        Septet::Extension(_) => None,
    }
}

/// A character's place in the extension table.
pub(super) fn extension_septet(character: char) -> Option<u8> {
    match septet(character)? {
        Septet::Basic(_) => None,
        Septet::Extension(septet) => Some(septet),
    }
}

/// What the default alphabet has at a place.
pub(super) fn basic_character(septet: u8) -> Option<char> {
    BASIC.get(usize::from(septet)).copied().filter(|_| septet != ESCAPE)
}

/// What the extension table has at a place.
pub(super) fn extension_character(septet: u8) -> Option<char> {
    EXTENSION.iter().find(|(place, _)| *place == septet).map(|(_, character)| *character)
}

/// Text in septets, one an octet; extension characters take two.
///
/// # Errors
/// [`CharsetError::Unencodable`] names the first character that the alphabet does not have.
pub fn encode(text: &str) -> Result<Vec<u8>, CharsetError> {
    let mut octets = Vec::with_capacity(text.len());
    for (index, character) in text.chars().enumerate() {
        match septet(character) {
            Some(Septet::Basic(septet)) => octets.push(septet),
            Some(Septet::Extension(septet)) => octets.extend([ESCAPE, septet]),
            None => return Err(CharsetError::Unencodable { character, index, charset: "gsm0338" }),
        }
    }
    Ok(octets)
}

/// Septets, one an octet, as text. An escape before anything that is not in the extension table shows the basic
/// character (3GPP TS 23.038 §6.2.1.1 note); before another escape, a space; at the end, nothing.
///
/// # Errors
/// [`CharsetError::Undecodable`] for an octet that is no septet.
pub fn decode(septets: &[u8]) -> Result<String, CharsetError> {
    let mut text = String::with_capacity(septets.len());
    let mut escaped = false;
    for (index, septet) in septets.iter().copied().enumerate() {
        let Some(basic) = BASIC.get(usize::from(septet)).copied() else {
            return Err(CharsetError::Undecodable { octet: septet, index, charset: "gsm0338" });
        };
        match (escaped, septet == ESCAPE) {
            (false, true) => escaped = true,
            (true, true) => {
                escaped = false;
                text.push(' ');
            }
            (true, false) => {
                escaped = false;
                let extension = EXTENSION.iter().find(|(extension, _)| *extension == septet);
                text.push(extension.map_or(basic, |(_, character)| *character));
            }
            (false, false) => text.push(basic),
        }
    }
    Ok(text)
}

/// Packs septets, the first one `fill` bits into the first octet (0 to 6: what aligns text behind a header,
/// 3GPP TS 23.040 §9.2.3.24). Seven spare bits at the end become a carriage return, not an `@` (§6.1.2.3.1).
#[must_use]
pub fn pack(septets: &[u8], fill: u32) -> Vec<u8> {
    let bits = septets.len() * 7 + usize::try_from(fill).unwrap_or(0);
    let mut octets = Vec::with_capacity(bits.div_ceil(8));
    let (mut held, mut width) = (0_u32, fill);
    let spare = bits.next_multiple_of(8) - bits;
    let carriage_return = if spare == 7 { Some(0x0d) } else { None };
    for septet in septets.iter().copied().chain(carriage_return) {
        held |= u32::from(septet & 0x7f) << width;
        width += 7;
        while width >= 8 {
            octets.push(held.to_le_bytes()[0]);
            held >>= 8;
            width -= 8;
        }
    }
    if width > 0 {
        octets.push(held.to_le_bytes()[0]);
    }
    octets
}

/// Takes at most `count` septets out of packed octets, skipping `fill` bits.
#[must_use]
pub fn unpack(octets: &[u8], fill: u32, count: usize) -> Vec<u8> {
    let mut septets = Vec::with_capacity(count.min(octets.len() * 8 / 7));
    let (mut held, mut width) = (0_u32, 0_u32);
    let mut skip = fill;
    for octet in octets {
        held |= u32::from(*octet) << width;
        width += 8;
        if skip > 0 {
            held >>= skip;
            width -= skip;
            skip = 0;
        }
        while width >= 7 {
            if septets.len() >= count {
                return septets;
            }
            septets.push(held.to_le_bytes()[0] & 0x7f);
            held >>= 7;
            width -= 7;
        }
    }
    septets
}

/// Bits between a header of so many octets, its length octet included, and packed text, so that the text begins at a
/// septet's boundary (3GPP TS 23.040 §9.2.3.24).
#[must_use]
pub fn fill(header: usize) -> u32 {
    u32::try_from((7 - header * 8 % 7) % 7).unwrap_or_default()
}

/// All septets of packed text behind `fill` bits, without the carriage return that fills seven spare bits (3GPP TS 23.038
/// §6.1.2.3.1).
#[must_use]
pub fn unpack_text(octets: &[u8], fill: u32) -> Vec<u8> {
    let bits = (octets.len() * 8).saturating_sub(usize::try_from(fill).unwrap_or_default());
    let mut septets = unpack(octets, fill, bits / 7);
    if bits.is_multiple_of(7) && septets.last() == Some(&b'\r') {
        septets.pop();
    }
    septets
}

/// Packed text that is aligned behind another number of fill bits.
#[must_use]
pub fn realign(octets: &[u8], from: u32, to: u32) -> Vec<u8> {
    pack(&unpack_text(octets, from), to)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn section_sign_escape_and_extension_are_read_as_the_tables_say() {
        assert_eq!(decode(&[0x5f, ESCAPE, 0x65, 0, ESCAPE]).unwrap(), "§€@");
        assert_eq!(decode(&[ESCAPE, b'a', ESCAPE, ESCAPE]).unwrap(), "a ");
        assert!(decode(&[0x80]).is_err());
        assert_eq!(encode("`").unwrap_err().to_string(), "'`' at character 0 cannot be written in gsm0338");
    }

    #[test]
    fn hello_packs_as_the_standard_does() {
        let packed = pack(&encode("hellohello").unwrap(), 0);
        assert_eq!(packed, [0xe8, 0x32, 0x9b, 0xfd, 0x46, 0x97, 0xd9, 0xec, 0x37]);
    }

    #[test]
    fn fewer_septets_may_be_taken_than_there_are() {
        let packed = pack(&[b'x'; 153], 1);
        assert_eq!(unpack(&packed, 1, 152), [b'x'; 152]);
        assert_eq!(unpack(&packed, 1, 3), [b'x'; 3]);
        assert!(unpack(&packed, 1, 0).is_empty());
    }

    proptest! {
        #[test]
        fn septets_survive_packing(septets in proptest::collection::vec(0_u8..128, 0..200), fill in 0_u32..7) {
            let packed = pack(&septets, fill);
            prop_assert_eq!(unpack(&packed, fill, septets.len()), septets);
        }

        #[test]
        fn every_encodable_text_reads_back(text in "[ -~@£¥èéùìòÇ\nØøÅåΔΦΓΛΩΠΨΣΘΞÆæßÉ¤¡ÄÖÑÜ§¿äöñüà€]{0,80}") {
            let text: String = text.chars().filter(|character| *character != '`').collect();
            prop_assert_eq!(decode(&encode(&text).unwrap()).unwrap(), text);
        }
    }
}
