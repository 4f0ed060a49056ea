//! JSON in ASCII: everything else escaped, astral characters as surrogate pairs, as Junebug's clients have always got it.
//! And how deep JSON that comes in may be.

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

/// Whether JSON text is nested more than `limit` deep. Of text that is no JSON it says something, quickly.
#[must_use]
pub fn is_deeper(text: &[u8], limit: usize) -> bool {
    // Hardly any body has that many brackets, strings included.
    if memchr::memchr2_iter(b'[', b'{', text).nth(limit).is_none() {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for octet in text {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_else_is_escaped() {
        assert_eq!(to_ascii("aé😀\n"), "\"a\\u00e9\\ud83d\\ude00\\n\"");
        assert_eq!(to_ascii(&serde_json::json!({"é": 1})), "{\"\\u00e9\":1}");
    }

    #[test]
    fn depth_is_that_of_brackets_outside_strings() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(!is_deeper(nested(64).as_bytes(), 64));
        assert!(is_deeper(nested(65).as_bytes(), 64));
        assert!(is_deeper(&[b'{'; 100_000], 64), "unclosed");
        assert!(!is_deeper(format!("\"{}\"", nested(100)).as_bytes(), 64), "text");
        assert!(!is_deeper(format!("[{}0]", "[],".repeat(100)).as_bytes(), 64), "side by side");
        assert!(is_deeper(format!(r#"["\"", {}]"#, nested(64)).as_bytes(), 64), "after an escaped quote");
    }
}
