//! Texts with named fields: `{to}`, `{in.msisdn|strip:+}`, `{channel_data.price|default:0}`.
//!
//! A template has names and filters and no code. What a field says is escaped for the place where it stands (XML text, a
//! URL's path), or whoever puts the whole text somewhere does it (a form, JSON, a header), so no message can add a
//! parameter, a member, an element or a header. `{{` and `}}` are braces.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::filter::{Filter, Said};
use super::path::Path;

/// See the file's head.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    Field(Field),
}

/// A field: whose it is, which one, and what is done to it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    /// `to`, `in`, `channel_data`, …
    pub(super) root: String,
    /// What comes behind the root.
    pub(super) path: Option<Path>,
    filters: Vec<Filter>,
}

/// Where a text is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Somewhere that escapes it by itself, or where nothing has a meaning.
    Plain,
    /// Text or an attribute's value in XML.
    Xml,
    /// A part of a URL's path.
    Url,
}

/// What fields stand for.
pub(super) trait Fields {
    /// What a field says; `None` if there is nothing of that name.
    fn field(&self, root: &str, path: Option<&Path>) -> Option<Cow<'_, str>>;

    /// What a table has for a key.
    fn table(&self, name: &str, key: &str) -> Option<&str>;

    /// What a table has for the longest of its keys that a text begins with.
    fn table_prefix(&self, name: &str, text: &str) -> Option<&str>;
}

/// Why a template could not be filled in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FillError {
    /// There is nothing of that name.
    #[error("there is no {0}")]
    Missing(String),
    /// There is, and it cannot be said that way.
    #[error("{field} {why}")]
    Unfit {
        /// The field.
        field: String,
        /// How it is not fit.
        why: String,
    },
}

/// RFC 3986 §2.3.
pub(super) const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(behind) = rest.strip_prefix(brace) {
                literal.push_str(brace);
                rest = behind;
                continue;
            }
            let end = if brace == "{" { field_end(rest) } else { None };
            let end = end.ok_or_else(|| format!("a '{brace}' has no counterpart; a brace itself is written twice"))?;
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::Field(Field::parse(&rest[..end])?));
            rest = &rest[end + 1..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(Self { pieces })
    }

    /// Its fields.
    pub(super) fn fields(&self) -> impl Iterator<Item = &Field> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Field(field) => Some(field),
            Piece::Text(_) => None,
        })
    }

    /// What comes before its first field.
    pub(super) fn beginning(&self) -> &str {
        match self.pieces.first() {
            Some(Piece::Text(text)) => text,
            _ => "",
        }
    }

    /// Whether it is one field that JSON is to have as a number.
    pub(super) fn is_number(&self) -> bool {
        matches!(self.pieces.as_slice(), [Piece::Field(field)] if field.filters.last() == Some(&Filter::Number))
    }

    /// The text with its fields filled in; `None` if one that is optional is missing.
    pub(super) fn fill(&self, fields: &impl Fields, place: Place) -> Result<Option<String>, FillError> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(literal) => text.push_str(literal),
                Piece::Field(field) => match field.fill(fields, place)? {
                    Some(filled) => text.push_str(&filled),
                    None => return Ok(None),
                },
            }
        }
        Ok(Some(text))
    }

    /// The same where nothing is escaped, and what is missing is nothing.
    pub(super) fn plain(&self, fields: &impl Fields) -> Result<String, FillError> {
        Ok(self.fill(fields, Place::Plain)?.unwrap_or_default())
    }
}

/// Where a field ends; what stands in quotes ends nothing.
fn field_end(text: &str) -> Option<usize> {
    let mut quoted = false;
    text.char_indices().find_map(|(at, character)| {
        quoted ^= character == '\'';
        (character == '}' && !quoted).then_some(at)
    })
}

/// Cuts at a separator outside quotes.
pub(super) fn cut(text: &str, separator: char) -> Vec<String> {
    let (mut parts, mut quoted) = (vec![String::new()], false);
    for character in text.chars() {
        if character == '\'' {
            quoted = !quoted;
        }
        if character == separator && !quoted {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(character);
        }
    }
    parts
}

impl Field {
    fn parse(text: &str) -> Result<Self, String> {
        let mut parts = cut(text, '|').into_iter();
        let name = parts.next().unwrap_or_default();
        let (root, path) = match name.split_once('.') {
            Some((root, path)) => {
                (root, Some(Path::parse(path).map_err(|why| format!("'{name}' is no field: {why}"))?))
            }
            None => (name.as_str(), None),
        };
        if root.is_empty() || !root.bytes().all(|octet| octet.is_ascii_lowercase() || octet == b'_') {
            return Err(format!("'{name}' is no field"));
        }
        let filters = parts.map(|filter| Filter::parse(&filter)).collect::<Result<_, _>>()?;
        Ok(Self { root: root.to_owned(), path, filters })
    }

    /// Whether it may be missing.
    pub(super) fn is_optional(&self) -> bool {
        self.filters.iter().any(|filter| matches!(filter, Filter::Optional | Filter::Default(_)))
    }

    /// The tables that it looks something up in.
    pub(super) fn tables(&self) -> impl Iterator<Item = &str> {
        self.filters.iter().filter_map(|filter| match filter {
            Filter::Table(name) | Filter::TablePrefix(name) => Some(name.as_str()),
            _ => None,
        })
    }

    fn fill(&self, fields: &impl Fields, place: Place) -> Result<Option<String>, FillError> {
        let mut said = Said { text: fields.field(&self.root, self.path.as_ref()), lines: false };
        for filter in &self.filters {
            said = filter.apply(said, fields).map_err(|why| FillError::Unfit { field: self.to_string(), why })?;
        }
        let Some(text) = said.text else {
            return if self.is_optional() { Ok(None) } else { Err(FillError::Missing(self.to_string())) };
        };
        Ok(Some(match place {
            // Steps up, however they are written (WHATWG URL §4.5).
            Place::Url if matches!(&*text, "." | "..") => {
                let why = "cannot be a step of a URL's path".to_owned();
                return Err(FillError::Unfit { field: self.to_string(), why });
            }
            Place::Plain => text.into_owned(),
            Place::Url => utf8_percent_encode(&text, UNRESERVED).to_string(),
            Place::Xml => xml(&text, said.lines),
        }))
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{}.{path}", self.root),
            None => f.write_str(&self.root),
        }
    }
}

/// XML 1.0 §2.2 and §2.4: what is not a character of XML cannot be said in it at all and becomes a question mark.
fn xml(text: &str, lines: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\n' if lines => out.push_str("<br />"),
            '\r' if lines => {}
            // A literal one would become a line feed, or a space in an attribute, when it is read.
            '\r' => out.push_str("&#13;"),
            '\t' | '\n' => out.push(character),
            '\0'..'\u{20}' | '\u{fffe}' | '\u{ffff}' => out.push('?'),
            other => out.push(other),
        }
    }
    out
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => text,
            number @ serde_json::Value::Number(_) => number.to_string(),
            _ => return Err(serde::de::Error::custom("must be a text")),
        };
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}
