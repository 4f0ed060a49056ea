//! Python's regular expressions, as Vumi's configurations have them, for the engine that we use.
//!
//! The dialects differ in little: Python writes `{,65}` where others want `{0,65}`, and `\Z` where they want `\z`.
//! Look-around and back-references are supported, within a step limit, so that no receipt can stall a channel.

use fancy_regex::{Regex, RegexBuilder};

/// Steps of back-tracking before a match is given up. The pattern is then taken not to match.
const STEPS: usize = 100_000;

/// Compiles a pattern in Python's dialect.
///
/// # Errors
/// What is wrong with it.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new(&translate(pattern));
    builder.backtrack_limit(STEPS);
    builder.build().map_err(|error| error.to_string())
}

fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut characters = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                let escaped = characters.next();
                out.push('\\');
                out.extend(escaped.map(|escaped| if escaped == 'Z' && !in_class { 'z' } else { escaped }));
            }
            '[' if !in_class => {
                in_class = true;
                out.push('[');
                // A bracket in first place is a member, and Python does not ask for an escape.
                if characters.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                if characters.next_if_eq(&']').is_some() {
                    out.push_str(r"\]");
                }
            }
            // Python knows no nested classes: the bracket is a member.
            '[' => out.push_str(r"\["),
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '{' if !in_class && characters.peek() == Some(&',') => out.push_str("{0"),
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pythons_spellings_are_understood() {
        for (pattern, text, matches) in [
            ("^x{,2}$", "xx", true),
            ("^x{,2}$", "xxx", false),
            (r"x\Z", "x", true),
            (r"x\Z", "x\n", false),
            (r"[]x]", "]", true),
            (r"[^]x]", "]", false),
            (r"[[]", "[", true),
            (r"\{,2}", "{,2}", true),
            (r"(?i)ID:(?P<id>\w+)", "id:1", true),
            (r"(?P<q>['\x22]).*(?P=q)", "say 'x'", true),
            (r"id(?!:0)", "id:0", false),
            (r"(?<=id:)\d+", "id:5", true),
        ] {
            let regex = compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert_eq!(regex.is_match(text).unwrap(), matches, "{pattern} {text:?}");
        }
        assert!(compile("(?P<id>").is_err());
    }

    #[test]
    fn a_pattern_that_would_never_end_is_given_up() {
        let regex = compile(r"^(a|aa)+\1b$").unwrap();
        assert!(regex.is_match(&format!("{}c", "a".repeat(60))).is_err());
    }
}
