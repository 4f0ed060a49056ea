//! What providers say, as trees: query strings, forms, JSON, XML.
//!
//! A parameter or element that comes several times is a list. An XML element is its text, or, if it has attributes or
//! children, an object of them with its text as `#text`; prefixes of names are left out, and entities beyond XML's five
//! are not expanded. All of it within limits.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use serde_json::Value;

use super::path::{ATTRIBUTE, TEXT};
use crate::model::JsonObject;

/// Deepest nesting of elements.
const MAX_DEPTH: usize = 32;
/// Most elements of a document, and most parameters of a form.
const MAX_ITEMS: usize = 10_000;

/// A document that could not be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReadError {
    /// It is no JSON.
    #[error("the body is no JSON: {0}")]
    Json(String),
    /// It is no XML.
    #[error("the body is no XML: {0}")]
    Xml(String),
    /// It has too many parts or is nested too deeply.
    #[error("the body has more than {MAX_ITEMS} parts or more than {MAX_DEPTH} levels")]
    TooLarge,
}

/// Octets as text: UTF-8, or else ISO-8859-1, which everything can be.
pub(super) fn decode(octets: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(octets) {
        Ok(text) => Cow::Borrowed(text.trim_start_matches('\u{feff}')),
        Err(_) => Cow::Owned(octets.iter().map(|octet| char::from(*octet)).collect()),
    }
}

/// A query string or a form (WHATWG URL §5.1); its octets as [`decode`] has them.
pub(super) fn form(octets: &[u8]) -> Result<Value, ReadError> {
    let mut members = JsonObject::new();
    for (count, pair) in octets.split(|octet| *octet == b'&').filter(|pair| !pair.is_empty()).enumerate() {
        if count >= MAX_ITEMS {
            return Err(ReadError::TooLarge);
        }
        let mut halves = pair.splitn(2, |octet| *octet == b'=');
        let mut half = || {
            let spaced: Vec<u8> =
                halves.next()?.iter().map(|octet| if *octet == b'+' { b' ' } else { *octet }).collect();
            let octets: Vec<u8> = percent_encoding::percent_decode(&spaced).collect();
            Some(decode(&octets).into_owned())
        };
        let name = half().unwrap_or_default();
        add(&mut members, name, Value::String(half().unwrap_or_default()));
    }
    Ok(Value::Object(members))
}

/// JSON; serde's own limit on nesting is 128.
pub(super) fn json(octets: &[u8]) -> Result<Value, ReadError> {
    serde_json::from_slice(octets).map_err(|error| ReadError::Json(error.to_string()))
}

/// XML, as an object of its outermost element.
pub(super) fn xml(octets: &[u8]) -> Result<Value, ReadError> {
    let text = decode(octets);
    let mut reader = Reader::from_str(text.trim_start());
    let mut open = vec![Element::default()];
    let mut count = 0;
    loop {
        let event = reader.read_event().map_err(wrong)?;
        match event {
            Event::Start(start) | Event::Empty(start) if count >= MAX_ITEMS || open.len() > MAX_DEPTH => {
                let _ = start;
                return Err(ReadError::TooLarge);
            }
            Event::Start(start) => {
                count += 1;
                open.push(Element::new(&start)?);
            }
            Event::Empty(start) => {
                count += 1;
                close(&mut open, Element::new(&start)?)?;
            }
            // The reader has seen to it that it is the end of the last one.
            Event::End(_) => {
                let element = open.pop().ok_or_else(|| wrong("an end without a beginning"))?;
                close(&mut open, element)?;
            }
            Event::Text(text) => push(&mut open, &text.xml10_content().map_err(wrong)?),
            Event::CData(text) => push(&mut open, &text.xml10_content().map_err(wrong)?),
            Event::GeneralRef(reference) => {
                let name = reference.decode().map_err(wrong)?;
                let character = match &*name {
                    "amp" => Some('&'),
                    "lt" => Some('<'),
                    "gt" => Some('>'),
                    "quot" => Some('"'),
                    "apos" => Some('\''),
                    _ => reference.resolve_char_ref().map_err(wrong)?,
                };
                let character = character.ok_or_else(|| wrong(format!("the entity '{name}' is not known")))?;
                push(&mut open, character.encode_utf8(&mut [0; 4]));
            }
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
    match open.pop() {
        Some(document) if open.is_empty() && document.members.len() == 1 => Ok(Value::Object(document.members)),
        _ => Err(wrong("it is not one element")),
    }
}

/// An element that has begun.
#[derive(Default)]
struct Element {
    name: String,
    members: JsonObject,
    text: String,
}

impl Element {
    fn new(start: &BytesStart<'_>) -> Result<Self, ReadError> {
        let mut members = JsonObject::new();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(wrong)?;
            if members.len() >= MAX_ITEMS {
                return Err(ReadError::TooLarge);
            }
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(wrong)?;
            let name = format!("{ATTRIBUTE}{}", decode(attribute.key.local_name().as_ref()));
            members.insert(name, Value::String(value.into_owned()));
        }
        Ok(Self { name: decode(start.local_name().as_ref()).into_owned(), members, text: String::new() })
    }

    fn value(mut self) -> Value {
        let text = self.text.trim();
        if self.members.is_empty() {
            return Value::String(text.to_owned());
        }
        if !text.is_empty() {
            self.members.insert(TEXT.to_owned(), Value::String(text.to_owned()));
        }
        Value::Object(self.members)
    }
}

fn close(open: &mut [Element], mut element: Element) -> Result<(), ReadError> {
    let parent = open.last_mut().ok_or_else(|| wrong("an end without a beginning"))?;
    let name = std::mem::take(&mut element.name);
    add(&mut parent.members, name, element.value());
    Ok(())
}

fn push(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

/// Adds a member; a second of the same name makes a list of both.
fn add(members: &mut JsonObject, name: String, value: Value) {
    match members.get_mut(&name) {
        None => {
            members.insert(name, value);
        }
        Some(Value::Array(items)) => items.push(value),
        Some(first) => {
            let before = first.take();
            *first = Value::Array(vec![before, value]);
        }
    }
}

fn wrong(error: impl ToString) -> ReadError {
    ReadError::Xml(error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn elements_are_their_text_or_their_parts() {
        let text = "\u{feff} <?xml version='1.0'?><!DOCTYPE r><s:r xmlns:s='u'><f n='A' >1 &lt; &#x32;<![CDATA[&]]></f>\
                    <f n=\"B&amp;\"/><e> x\n</e><e/></s:r>";
        let expected = json!({"r": {
            "@s": "u", "f": [{"@n": "A", "#text": "1 < 2&"}, {"@n": "B&"}], "e": ["x", ""],
        }});
        assert_eq!(xml(text.as_bytes()), Ok(expected));
        assert_eq!(xml(b"<r>\xe9</r>"), Ok(json!({"r": "\u{e9}"})));
    }

    #[test]
    fn what_is_no_document_or_too_much_of_one_is_refused() {
        for text in ["", "blah", "<a>", "<a></b>", "<a/><b/>", "<a>&unknown;</a>", "<a x='1' x='2'/>", "<a>&#0;</a>"] {
            assert!(matches!(xml(text.as_bytes()), Err(ReadError::Xml(_))), "{text}: {:?}", xml(text.as_bytes()));
        }
        let bomb = "<!DOCTYPE a [<!ENTITY b 'bbbb'><!ENTITY c '&b;&b;&b;'>]><a>&c;</a>";
        assert!(matches!(xml(bomb.as_bytes()), Err(ReadError::Xml(_))));
        assert_eq!(xml("<a>".repeat(40).as_bytes()), Err(ReadError::TooLarge));
        assert_eq!(xml(format!("<a>{}</a>", "<b/>".repeat(10_001)).as_bytes()), Err(ReadError::TooLarge));
    }

    #[test]
    fn parameters_that_come_again_are_lists() {
        let expected = json!({"a": ["1", "2", "3"], "b c": "\u{e9}", "d": ""});
        assert_eq!(form(b"a=1&a=2&b+c=%C3%A9&d&a=3&&"), Ok(expected));
        assert_eq!(form(b"x=%E9"), Ok(json!({"x": "\u{e9}"})));
        assert_eq!(form(&b"a=1&".repeat(10_001)), Err(ReadError::TooLarge));
    }
}
