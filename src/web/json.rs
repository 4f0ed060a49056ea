//! JSON in ASCII: everything else escaped, astral characters as surrogate pairs, as Junebug's clients have always got it.

use serde::Serialize;

/// A value as JSON text in ASCII.
///
/// # Panics
/// Never for the types of this crate: JSON can say all of them.
#[must_use]
pub fn to_ascii<T: Serialize + ?Sized>(value: &T) -> String {
    let text = serde_json::to_string(value).expect("every type that is written has string keys");
    if text.is_ascii() { text } else { escape(&text) }
}

/// Escapes what is not ASCII; in JSON text that can only stand inside strings.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut units = [0; 2];
    for character in text.chars() {
        if character.is_ascii() {
            out.push(character);
        } else {
            for unit in character.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_else_is_escaped() {
        assert_eq!(to_ascii("aé😀\n"), "\"a\\u00e9\\ud83d\\ude00\\n\"");
        assert_eq!(to_ascii(&serde_json::json!({"é": 1})), "{\"\\u00e9\":1}");
    }
}
