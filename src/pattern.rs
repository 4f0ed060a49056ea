//! Python's regular expressions, as the configurations of Vumi and Junebug have them, for the engines that we use.
//!
//! The dialects differ in little: Python writes `{,65}` where others want `{0,65}`, and `\Z` where they want `\z`. What
//! operators wrote for a channel may look around and back, within a step limit; what anybody may write for a router must
//! match in time that grows with the text alone.

/// Steps of back-tracking before a match is given up. The pattern is then taken not to match.
const STEPS: usize = 100_000;
/// Octets that a compiled linear pattern may take.
const SIZE: usize = 1024 * 1024;
/// How deep a linear pattern may be nested.
const NESTING: u32 = 50;

/// Compiles a pattern in Python's dialect, look-around and back-references included.
///
/// # Errors
/// What is wrong with it.
pub fn backtracking(pattern: &str) -> Result<fancy_regex::Regex, String> {
    let mut builder = fancy_regex::RegexBuilder::new(&translate(pattern));
    builder.backtrack_limit(STEPS);
    builder.build().map_err(|error| error.to_string())
}

/// Compiles a pattern in Python's dialect that matches in linear time: neither look-around nor back-references.
///
/// # Errors
/// What is wrong with it.
pub fn linear(pattern: &str) -> Result<regex::Regex, String> {
    let mut builder = regex::RegexBuilder::new(&translate(pattern));
    builder.size_limit(SIZE).nest_limit(NESTING);
    builder.build().map_err(|error| match error {
        regex::Error::Syntax(text) => text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
        regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
        other => other.to_string(),
    })
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
            let regex = backtracking(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert_eq!(regex.is_match(text).unwrap(), matches, "{pattern} {text:?}");
        }
        assert!(backtracking("(?P<id>").is_err());
    }

    #[test]
    fn a_linear_pattern_neither_looks_around_nor_grows_without_bound() {
        assert!(linear(r"^\*123\*4567\*1#\Z").unwrap().is_match("*123*4567*1#"));
        let refused = |pattern: &str| linear(pattern).unwrap_err();
        assert_eq!(refused("("), "unclosed group");
        assert_eq!(refused("(?!x)"), "look-around, including look-ahead and look-behind, is not supported");
        assert_eq!(refused(r"(x)\1"), "backreferences are not supported");
        assert_eq!(refused(&"x{1000}".repeat(100)), "it is too large");
    }

    #[test]
    fn a_pattern_that_would_never_end_is_given_up() {
        let regex = backtracking(r"^(a|aa)+\1b$").unwrap();
        assert!(regex.is_match(&format!("{}c", "a".repeat(60))).is_err());
    }
}
