//! What a provider's answer means: taken, refused for good, or to be tried again; and what it says beside that.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use hyper::header::HeaderName;
use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use serde_json::Value;

use super::path::Path;
use super::tree;
use crate::web::client::Answer;

/// How many octets of a compiled pattern are allowed.
const MAX_PATTERN: usize = 256 * 1024;
/// Most characters of a provider's text that are told.
const MAX_REASON: usize = 500;

/// A pattern that somebody configured.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Regex);

impl Pattern {
    /// Whether it is anywhere in a text.
    pub(super) fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let built = RegexBuilder::new(&text).size_limit(MAX_PATTERN).build();
        built.map(Self).map_err(|error| serde::de::Error::custom(format!("'{text}' is no regular expression: {error}")))
    }
}

/// What an answer must be like; all of what is given.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Test {
    status: Option<Statuses>,
    headers: BTreeMap<String, Pattern>,
    body: Option<Pattern>,
    json: BTreeMap<String, Pattern>,
    xml: BTreeMap<String, Pattern>,
    form: BTreeMap<String, Pattern>,
}

/// Some statuses: `200`, `"5xx"`, `[200, "202-204"]`.
#[derive(Clone, Debug)]
pub(super) struct Statuses(Vec<RangeInclusive<u16>>);

/// Where something is said.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Extract {
    /// In a header.
    Header(String),
    /// In JSON, at a path.
    Json(Path),
    /// In XML, at a path.
    Xml(Path),
    /// In a body like a query string.
    Form(Path),
    /// What the first group of a pattern matches, or else the whole of it.
    Regex(Pattern),
    /// The body.
    Body(Trimmed),
}

/// `body: trimmed`: there is one way to take a body.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Trimmed {
    /// Without white space around it.
    Trimmed,
}

/// An answer, read as what it is asked to be.
pub(super) struct Said<'a> {
    answer: &'a Answer,
    text: Cow<'a, str>,
    json: Option<Value>,
    xml: Option<Value>,
    form: Option<Value>,
}

impl<'a> Said<'a> {
    /// An answer of which nothing has been asked yet.
    pub(super) fn new(answer: &'a Answer) -> Self {
        Self { text: tree::decode(&answer.body), answer, json: None, xml: None, form: None }
    }

    /// Its status.
    pub(super) fn status(&self) -> u16 {
        self.answer.status.as_u16()
    }

    /// Its body.
    pub(super) fn text(&self) -> String {
        self.text.trim().to_owned()
    }

    fn json(&mut self) -> &Value {
        let body = &self.answer.body;
        self.json.get_or_insert_with(|| tree::json(body).unwrap_or_default())
    }

    fn xml(&mut self) -> &Value {
        let body = &self.answer.body;
        self.xml.get_or_insert_with(|| tree::xml(body).unwrap_or_default())
    }

    fn form(&mut self) -> &Value {
        let body = &self.answer.body;
        self.form.get_or_insert_with(|| tree::form(body.trim_ascii()).unwrap_or_default())
    }

    fn header(&self, name: &str) -> Option<String> {
        let name = name.parse::<HeaderName>().ok()?;
        Some(tree::decode(self.answer.headers.get(name)?.as_bytes()).into_owned())
    }

    /// Whether it is like one of these.
    pub(super) fn is_any(&mut self, tests: &[Test]) -> bool {
        tests.iter().any(|test| self.is(test))
    }

    fn is(&mut self, test: &Test) -> bool {
        let status = self.status();
        test.status.as_ref().is_none_or(|statuses| statuses.0.iter().any(|range| range.contains(&status)))
            && test.headers.iter().all(|(name, pattern)| self.header(name).is_some_and(|text| pattern.is_match(&text)))
            && test.body.as_ref().is_none_or(|pattern| pattern.is_match(self.text.trim()))
            && holds(&test.json, || self.json())
            && holds(&test.xml, || self.xml())
            && holds(&test.form, || self.form())
    }

    /// What is said in a place; nothing if that is nothing.
    pub(super) fn extract(&mut self, extract: &Extract) -> Option<String> {
        let found = match extract {
            Extract::Header(name) => self.header(name),
            Extract::Json(path) => path.text(self.json()).map(Cow::into_owned),
            Extract::Xml(path) => path.text(self.xml()).map(Cow::into_owned),
            Extract::Form(path) => path.text(self.form()).map(Cow::into_owned),
            Extract::Regex(pattern) => {
                let captures = pattern.0.captures(&self.text)?;
                captures.get(1).or_else(|| captures.get(0)).map(|found| found.as_str().to_owned())
            }
            Extract::Body(Trimmed::Trimmed) => Some(self.text.clone().into_owned()),
        };
        Some(found?.trim().to_owned()).filter(|found| !found.is_empty())
    }
}

/// A provider's text as far as it is told.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(MAX_REASON).collect()
}

/// Whether each path has a text that its pattern matches.
fn holds<'a>(tests: &BTreeMap<String, Pattern>, tree: impl FnOnce() -> &'a Value) -> bool {
    if tests.is_empty() {
        return true;
    }
    let tree = tree();
    let text = |path: &str| Path::parse(path).ok().and_then(|path| path.text(tree));
    tests.iter().all(|(path, pattern)| text(path).is_some_and(|text| pattern.is_match(&text)))
}

impl Statuses {
    fn of(value: &Value) -> Option<RangeInclusive<u16>> {
        let text = match value {
            Value::Number(number) => {
                let status = u16::try_from(number.as_u64()?).ok()?;
                return Some(status..=status);
            }
            Value::String(text) => text,
            _ => return None,
        };
        if let Some(hundred) = text.strip_suffix("xx") {
            let hundred: u16 = hundred.parse().ok().filter(|hundred| (1..=9).contains(hundred))?;
            return Some(hundred * 100..=hundred * 100 + 99);
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Some(first.parse().ok()?..=last.parse().ok()?)
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let items = if let Value::Array(items) = &value { items.as_slice() } else { std::slice::from_ref(&value) };
        let ranges = items.iter().map(Self::of).collect::<Option<Vec<_>>>();
        ranges
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("a status is 200, \"2xx\", \"200-204\" or a list of those"))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hyper::{HeaderMap, StatusCode};
    use serde_json::json;

    use super::*;

    fn answer(status: u16, header: &'static str, body: &'static str) -> Answer {
        let headers = HeaderMap::from_iter([("x-id".parse().unwrap(), header.parse().unwrap())]);
        Answer { status: StatusCode::from_u16(status).unwrap(), headers, body: Bytes::from(body) }
    }

    #[test]
    fn a_test_holds_when_all_that_it_names_does() {
        let json_body = answer(202, "7", r#"{"code": 0, "messages": [{"id": "a-1"}], "text": "fine"}"#);
        let xml_body = answer(200, "7", "<r><code>0</code><m id='x-9'/></r>");
        let form_body = answer(200, "7", "code=0&id=12\n");
        for (answer, test, expected) in [
            (&json_body, json!({"status": "2xx", "json": {"code": "^0$", "messages.0.id": "."}}), true),
            (&json_body, json!({"status": [200, "203-204"], "json": {"code": "^0$"}}), false),
            (&json_body, json!({"headers": {"X-Id": "^7$"}}), true),
            (&json_body, json!({"headers": {"X-No": "."}}), false),
            (&json_body, json!({"xml": {"code": "."}}), false),
            (&xml_body, json!({"status": 200, "xml": {"r.code": "^0$"}}), true),
            (&form_body, json!({"form": {"code": "^0$"}, "body": "^code"}), true),
            (&form_body, json!({}), true),
        ] {
            let test: Test = serde_json::from_value(test).unwrap();
            assert_eq!(Said::new(answer).is(&test), expected, "{test:?}");
        }
    }

    #[test]
    fn what_is_said_is_found_where_it_is() {
        let json_body = answer(202, " 7 ", r#"{"messages": [{"id": 41}], "text": ""}"#);
        let xml_body = answer(200, "7", "<r><m id='x-9'/></r>");
        let form_body = answer(200, "7", "code=0&id=1%202\n");
        for (answer, extract, expected) in [
            (&json_body, json!({"header": "x-id"}), Some("7")),
            (&json_body, json!({"json": "messages.0.id"}), Some("41")),
            (&json_body, json!({"json": "text"}), None),
            (&xml_body, json!({"xml": "r.m.@id"}), Some("x-9")),
            (&form_body, json!({"form": "id"}), Some("1 2")),
            (&form_body, json!({"regex": "code=(\\d)"}), Some("0")),
            (&form_body, json!({"regex": "id.*"}), Some("id=1%202")),
            (&form_body, json!({"body": "trimmed"}), Some("code=0&id=1%202")),
        ] {
            let extract: Extract = serde_json::from_value(extract).unwrap();
            assert_eq!(Said::new(answer).extract(&extract).as_deref(), expected, "{extract:?}");
        }
    }
}
