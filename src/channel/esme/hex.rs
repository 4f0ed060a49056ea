//! Octets in hexadecimal, as messages and configurations write them.

use std::fmt::Write;

/// Reads digits, between which there may be spaces; `None` if there are others, or an odd number.
pub(super) fn read(digits: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = digits
        .chars()
        .filter(|character| !character.is_whitespace())
        .map(|character| character.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let (pairs, odd) = digits.as_chunks::<2>();
    odd.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// Writes two digits an octet.
pub(super) fn write(octets: &[u8]) -> String {
    let mut digits = String::with_capacity(octets.len() * 2);
    for octet in octets {
        // Writing to a String cannot fail.
        let _ = write!(digits, "{octet:02x}");
    }
    digits
}
