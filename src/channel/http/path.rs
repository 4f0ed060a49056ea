//! Where a value stands in something that was read: parameters, JSON and XML are all trees, and one notation finds a place
//! in each.
//!
//! `results.0.from` is a key, an index and a key; `field[name=Text]` is the first of several that has this attribute,
//! member or child. Where a list stands and no index is given, its first item is meant. A whole path that is a key as it
//! stands comes first, since parameters may have dots in their names.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use crate::model::JsonObject;

/// See the file's head.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Path {
    whole: String,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    name: String,
    /// A member that the item must have, and its text.
    having: Option<(String, String)>,
}

/// What an XML element has beside its children when it has any.
pub(super) const TEXT: &str = "#text";
/// Begins the names of an XML element's attributes.
pub(super) const ATTRIBUTE: &str = "@";

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let steps = text.split('.').map(Step::parse).collect::<Result<_, _>>()?;
        Ok(Self { whole: text.to_owned(), steps })
    }

    /// The path as it was written.
    pub(super) fn as_str(&self) -> &str {
        &self.whole
    }

    /// Its first name: that of the parameter, or of the document's outermost member.
    pub(super) fn first(&self) -> &str {
        self.steps.first().map_or("", |step| &step.name)
    }

    /// What stands there.
    pub(super) fn find<'a>(&self, tree: &'a Value) -> Option<&'a Value> {
        match tree {
            Value::Object(members) => self.find_in(members),
            _ => self.steps.iter().try_fold(tree, |at, step| step.find(at)),
        }
    }

    /// What stands there in an object.
    pub(super) fn find_in<'a>(&self, members: &'a JsonObject) -> Option<&'a Value> {
        if let Some(found) = members.get(&self.whole) {
            return Some(found);
        }
        let (first, rest) = self.steps.split_first()?;
        rest.iter().try_fold(first.having(members.get(&first.name)?)?, |at, step| step.find(at))
    }

    /// The text that stands there, the first if it is a list.
    pub(super) fn text<'a>(&self, tree: &'a Value) -> Option<Cow<'a, str>> {
        text(self.find(tree)?)
    }
}

/// What a value says as text; nothing for `null` and for what has parts.
pub(super) fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Array(items) => text(items.first()?),
        Value::Object(members) => text(members.get(TEXT)?),
        other => Some(Cow::Owned(other.to_string())),
    }
}

impl Step {
    fn parse(text: &str) -> Result<Self, String> {
        let Some((name, rest)) = text.split_once('[') else {
            return match text {
                "" => Err("a name is empty".to_owned()),
                _ => Ok(Self { name: text.to_owned(), having: None }),
            };
        };
        let having = rest.strip_suffix(']').and_then(|having| having.split_once('='));
        let (key, value) = having.ok_or_else(|| format!("'{text}' is not of the form name[key=value]"))?;
        Ok(Self { name: name.to_owned(), having: Some((key.to_owned(), value.to_owned())) })
    }

    fn find<'a>(&self, at: &'a Value) -> Option<&'a Value> {
        let found = match at {
            Value::Array(items) => match self.name.parse::<usize>() {
                Ok(index) => items.get(index),
                Err(_) => items.first()?.get(&self.name),
            },
            _ => at.get(&self.name),
        }?;
        self.having(found)
    }

    fn having<'a>(&self, found: &'a Value) -> Option<&'a Value> {
        let Some((key, value)) = &self.having else { return Some(found) };
        let has = |item: &&Value| {
            let member = item.get(key).or_else(|| item.get(format!("{ATTRIBUTE}{key}")));
            member.and_then(text).is_some_and(|text| text == *value)
        };
        match found {
            Value::Array(items) => items.iter().find(has),
            one => Some(one).filter(has),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.whole)
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(|why| serde::de::Error::custom(format!("'{text}' is no path: {why}")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_notation_finds_parameters_members_elements_and_attributes() {
        let tree = json!({
            "a.b": "dotted", "to": ["1", "2"], "n": 7, "nothing": null, "yes": true,
            "results": [{"from": "x"}, {"from": "y"}],
            "e": {"field": [{"@name": "A", "#text": "one"}, {"@name": "B", "#text": "two"}, {"name": "C", "v": "three"}]},
        });
        for (path, expected) in [
            ("a.b", Some("dotted")),
            ("to", Some("1")),
            ("to.1", Some("2")),
            ("n", Some("7")),
            ("yes", Some("true")),
            ("nothing", None),
            ("results", None),
            ("results.from", Some("x")),
            ("results.1.from", Some("y")),
            ("results.2.from", None),
            ("e.field", Some("one")),
            ("e.field[name=B]", Some("two")),
            ("e.field[name=C].v", Some("three")),
            ("e.field[name=D]", None),
            ("e.field.1.@name", Some("B")),
        ] {
            assert_eq!(Path::parse(path).unwrap().text(&tree).as_deref(), expected, "{path}");
        }
        for bad in ["", "a..b", "a[b", "a[b]"] {
            assert!(Path::parse(bad).is_err(), "{bad}");
        }
    }
}
