//! Paths that requests come to, with names for some of their steps.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

/// A path with names in it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct PathPattern(Vec<PathStep>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum PathStep {
    Literal(String),
    Name(String),
}

impl PathPattern {
    /// The names' steps in a path, if it is one of these. A final slash makes no difference.
    pub(super) fn captures(&self, path: &str) -> Option<BTreeMap<String, String>> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let steps: Vec<&str> = path.split('/').skip(1).collect();
        if steps.len() != self.0.len() {
            return None;
        }
        let mut captures = BTreeMap::new();
        for (step, said) in self.0.iter().zip(steps) {
            match step {
                PathStep::Literal(literal) if literal == said => {}
                PathStep::Literal(_) => return None,
                PathStep::Name(name) => {
                    let decoded = percent_encoding::percent_decode_str(said).decode_utf8_lossy();
                    captures.insert(name.clone(), decoded.into_owned());
                }
            }
        }
        Some(captures)
    }

    /// Where to listen for it: the path, or `…/*` where names begin.
    pub(super) fn place(&self) -> String {
        let mut place = String::new();
        for step in &self.0 {
            match step {
                PathStep::Literal(literal) => {
                    place.push('/');
                    place.push_str(literal);
                }
                PathStep::Name(_) => return place + "/*",
            }
        }
        if place.is_empty() { "/".to_owned() } else { place }
    }
}

impl<'de> Deserialize<'de> for PathPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let path = text
            .strip_prefix('/')
            .ok_or_else(|| serde::de::Error::custom(format!("the path '{text}' does not begin with /")))?;
        let path = path.strip_suffix('/').unwrap_or(path);
        if path.is_empty() {
            return Ok(Self::default());
        }
        let steps = path.split('/').map(|step| {
            let name = step.strip_prefix('{').and_then(|step| step.strip_suffix('}'));
            match name {
                Some(name) => PathStep::Name(name.to_owned()),
                None => PathStep::Literal(step.to_owned()),
            }
        });
        Ok(Self(steps.collect()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_may_have_names_in_it() {
        let pattern: PathPattern = serde_json::from_value(json!("/session/{id}/start")).unwrap();
        assert_eq!(pattern.captures("/session/a%20b/start/").unwrap()["id"], "a b");
        for other in ["/session/a/end", "/session/a", "/", "/x/session/a/start"] {
            assert_eq!(pattern.captures(other), None, "{other}");
        }
        assert_eq!(pattern.place(), "/session/*");
        let root: PathPattern = serde_json::from_value(json!("/")).unwrap();
        assert!(root.captures("/").is_some() && root.place() == "/");
    }
}
