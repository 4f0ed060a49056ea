//! What is written: bodies, headers, whole responses; and that no value leaves its place in them.

use std::collections::BTreeMap;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response as HttpResponse, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::template::{Fields, FillError, Place, Template};
use crate::model::JsonObject;
use crate::web::Response;

/// A body; how it is written decides how values in it are escaped.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Content {
    /// JSON whose texts are templates.
    Json(Shape),
    /// Names and values, URL-encoded.
    Form(Pairs),
    /// XML with fields.
    Xml(Template),
    /// Text in which nothing has a meaning.
    Text(Template),
}

/// JSON whose texts are templates.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    Literal(Value),
    Text(Template),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
    /// `{"$each": …}`: a list with one of these for each message.
    Each(Box<Self>),
}

/// Names and values, as a query or a form has them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Pairs(pub(super) BTreeMap<String, Template>);

/// Headers.
#[derive(Clone, Debug, Default)]
pub(super) struct Headers(pub(super) Vec<(HeaderName, Template)>);

/// A response.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Reply {
    /// Its status.
    #[serde(deserialize_with = "status")]
    pub(super) status: StatusCode,
    /// Its headers.
    pub(super) headers: Headers,
    /// Its body.
    pub(super) body: Option<Content>,
}

/// The key of a shape that is repeated.
const EACH: &str = "$each";

impl Default for Reply {
    fn default() -> Self {
        Self { status: StatusCode::OK, headers: Headers::default(), body: None }
    }
}

impl Content {
    /// The body and the media type that goes with it; `each` are the messages of a list.
    pub(super) fn fill<F: Fields>(&self, fields: &F, each: &[F]) -> Result<(Bytes, &'static str), FillError> {
        Ok(match self {
            Self::Json(shape) => {
                let value = shape.fill(fields, each)?.unwrap_or_default();
                (value.to_string().into(), "application/json")
            }
            Self::Form(pairs) => (pairs.fill(fields)?.into(), "application/x-www-form-urlencoded"),
            Self::Xml(template) => {
                (template.fill(fields, Place::Xml)?.unwrap_or_default().into(), "text/xml; charset=utf-8")
            }
            Self::Text(template) => (template.plain(fields)?.into(), "text/plain; charset=utf-8"),
        })
    }

    /// Every template in it.
    pub(super) fn templates(&self) -> Vec<&Template> {
        match self {
            Self::Json(shape) => shape.templates(),
            Self::Form(pairs) => pairs.0.values().collect(),
            Self::Xml(template) | Self::Text(template) => vec![template],
        }
    }
}

impl Shape {
    /// The value; `None` when a template of its own is optional and has nothing to say.
    pub(super) fn fill<F: Fields>(&self, fields: &F, each: &[F]) -> Result<Option<Value>, FillError> {
        Ok(Some(match self {
            Self::Literal(value) => value.clone(),
            Self::Text(template) => match template.fill(fields, Place::Plain)? {
                None => return Ok(None),
                Some(text) if template.is_number() => serde_json::from_str(&text).unwrap_or(Value::String(text)),
                Some(text) => Value::String(text),
            },
            Self::List(items) => {
                let filled = items.iter().map(|item| item.fill(fields, each)).collect::<Result<Vec<_>, _>>()?;
                Value::Array(filled.into_iter().flatten().collect())
            }
            Self::Object(members) => {
                let mut object = JsonObject::new();
                for (name, shape) in members {
                    if let Some(value) = shape.fill(fields, each)? {
                        object.insert(name.clone(), value);
                    }
                }
                Value::Object(object)
            }
            Self::Each(shape) => {
                let filled = each.iter().map(|fields| shape.fill(fields, &[])).collect::<Result<Vec<_>, _>>()?;
                Value::Array(filled.into_iter().flatten().collect())
            }
        }))
    }

    /// Every template in it.
    pub(super) fn templates(&self) -> Vec<&Template> {
        match self {
            Self::Literal(_) => Vec::new(),
            Self::Text(template) => vec![template],
            Self::List(items) => items.iter().flat_map(Self::templates).collect(),
            Self::Object(members) => members.iter().flat_map(|(_, shape)| shape.templates()).collect(),
            Self::Each(shape) => shape.templates(),
        }
    }

    /// Every list in it that has one for each message.
    fn lists(&self) -> Vec<&Self> {
        match self {
            Self::Literal(_) | Self::Text(_) => Vec::new(),
            Self::List(items) => items.iter().flat_map(Self::lists).collect(),
            Self::Object(members) => members.iter().flat_map(|(_, shape)| shape.lists()).collect(),
            Self::Each(_) => vec![self],
        }
    }

    fn read(value: Value) -> Result<Self, String> {
        Ok(match value {
            Value::String(text) => Self::Text(Template::parse(&text)?),
            Value::Array(items) => Self::List(items.into_iter().map(Self::read).collect::<Result<_, _>>()?),
            Value::Object(mut members) if members.len() == 1 && members.contains_key(EACH) => {
                Self::Each(Box::new(Self::read(members.remove(EACH).unwrap_or_default())?))
            }
            Value::Object(members) => {
                let member = |(name, value)| {
                    let shape = Self::read(value).map_err(|why| format!("in '{name}': {why}"))?;
                    Ok::<_, String>((name, shape))
                };
                Self::Object(members.into_iter().map(member).collect::<Result<_, _>>()?)
            }
            other => Self::Literal(other),
        })
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl Pairs {
    /// URL-encoded, those that are optional and missing left out.
    pub(super) fn fill(&self, fields: &impl Fields) -> Result<String, FillError> {
        let mut out = form_urlencoded::Serializer::new(String::new());
        for (name, template) in &self.0 {
            if let Some(value) = template.fill(fields, Place::Plain)? {
                out.append_pair(name, &value);
            }
        }
        Ok(out.finish())
    }
}

impl Headers {
    /// Adds them to others.
    pub(super) fn fill(&self, fields: &impl Fields, headers: &mut HeaderMap) -> Result<(), FillError> {
        for (name, template) in &self.0 {
            let Some(value) = template.fill(fields, Place::Plain)? else { continue };
            // RFC 9110 §5.5: line ends and NUL would begin another header; the rest of what is refused has no use.
            let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| FillError::Unfit {
                field: format!("the header {name}"),
                why: "would have a line end or a control character in it".to_owned(),
            })?;
            headers.append(name, value);
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let named = BTreeMap::<String, Template>::deserialize(deserializer)?;
        let header = |(name, template): (String, Template)| match name.parse::<HeaderName>() {
            Ok(header) => Ok((header, template)),
            Err(_) => Err(serde::de::Error::custom(format!("'{name}' is no header"))),
        };
        Ok(Self(named.into_iter().map(header).collect::<Result<_, _>>()?))
    }
}

impl Reply {
    /// The response.
    pub(super) fn fill<F: Fields>(&self, fields: &F, each: &[F]) -> Result<Response, FillError> {
        let mut headers = HeaderMap::new();
        self.headers.fill(fields, &mut headers)?;
        let body = match &self.body {
            None => Bytes::new(),
            Some(content) => {
                let (body, media_type) = content.fill(fields, each)?;
                headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(media_type));
                body
            }
        };
        let mut response = HttpResponse::new(body.into());
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        Ok(response)
    }

    /// Every template in it.
    pub(super) fn templates(&self) -> Vec<&Template> {
        let body = self.body.iter().flat_map(Content::templates);
        self.headers.0.iter().map(|(_, template)| template).chain(body).collect()
    }

    /// Those of them that are said of each message.
    pub(super) fn listed(&self) -> Vec<&Template> {
        self.lists().into_iter().flat_map(Shape::templates).collect()
    }

    /// Whether it says anything of each message.
    pub(super) fn has_list(&self) -> bool {
        !self.lists().is_empty()
    }

    fn lists(&self) -> Vec<&Shape> {
        match &self.body {
            Some(Content::Json(shape)) => shape.lists(),
            _ => Vec::new(),
        }
    }
}

fn status<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<StatusCode, D::Error> {
    let code = u16::deserialize(deserializer)?;
    let status = StatusCode::from_u16(code).ok().filter(|status| status.as_u16() >= 200 && status.as_u16() < 600);
    status.ok_or_else(|| serde::de::Error::custom(format!("{code} is no status from 200 to 599")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::config::HttpConfig;
    use super::super::scope::MessageFields;
    use super::super::tree;
    use super::*;
    use crate::model::Outbound;

    /// A configuration and a message whose every text is this one.
    fn config() -> HttpConfig {
        let config = json!({"outbound": {"url": "https://h/"}});
        HttpConfig::parse(config.as_object().unwrap()).unwrap()
    }

    fn message(text: &str) -> Outbound {
        let mut message = Outbound { from: Some(text.to_owned()), ..Outbound::plain(text, text) };
        message.channel_data.insert("x".to_owned(), json!({"y": [text]}));
        message
    }

    const NAMES: [&str; 4] = ["to", "from", "content", "channel_data.x.y"];

    fn filled(content: Value, text: &str) -> Bytes {
        let content: Content = serde_json::from_value(content).unwrap();
        let (config, message) = (config(), message(text));
        content.fill(&MessageFields::of(&config, &message, None), &[]).unwrap().0
    }

    /// Any text at all, and often one that would mean something where it stands.
    fn texts() -> impl Strategy<Value = String> {
        let special = prop::sample::select(vec![
            "\"", "\\", "'", "<", ">", "&", "]]>", "<!--", "-->", "&amp;", "&#10;", "\r\n", "\n", "\r", "\0", "\t",
            "=", "&a=b", "%0d%0a", "+", "#", "?", "/", "//", "../", ":", "@", "{to}", "{{", "}", "|", "\u{2028}",
            "\u{fffe}", "😀", "é", " ",
        ]);
        prop_oneof![
            any::<String>(),
            prop::collection::vec(prop_oneof![special.prop_map(str::to_owned), "[a-z]{0,3}"], 0..8)
                .prop_map(|parts| parts.concat()),
        ]
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_place_in_json(text in texts()) {
            let shape = NAMES.iter().map(|name| (name.to_string(), json!([format!("a{{{name}}}b")])));
            let body = filled(json!({"json": Value::Object(shape.collect())}), &text);
            let read: Value = serde_json::from_slice(&body).unwrap();
            prop_assert_eq!(read.as_object().unwrap().len(), NAMES.len());
            for name in NAMES {
                prop_assert_eq!(&read[name], &json!([format!("a{text}b")]));
            }
        }

        #[test]
        fn no_text_adds_a_parameter(text in texts()) {
            let pairs = NAMES.iter().map(|name| (name.to_string(), json!(format!("{{{name}}}"))));
            let body = filled(json!({"form": Value::Object(pairs.collect())}), &text);
            let read = tree::form(&body).unwrap();
            prop_assert_eq!(read.as_object().unwrap().len(), NAMES.len());
            for name in NAMES {
                // A mark at the beginning means nothing and is not read.
                prop_assert_eq!(read[name].as_str().unwrap(), text.trim_start_matches('\u{feff}'));
            }
        }

        #[test]
        fn no_text_adds_an_element_or_an_attribute(text in texts()) {
            let body = filled(json!({"xml": "<a><b c=\"{to}\" d='{from}'>|{content}|</b><e/></a>"}), &text);
            let read = tree::xml(&body).unwrap();
            let mut names: Vec<&String> = read["a"]["b"].as_object().unwrap().keys().collect();
            names.sort();
            prop_assert_eq!(names, ["#text", "@c", "@d"]);
            prop_assert_eq!(read["a"].as_object().unwrap().len(), 2);
            let said = |character: char| !matches!(character, '\0'..'\u{20}' | '\u{fffe}' | '\u{ffff}') || "\t\n\r".contains(character);
            let expected: String = text.chars().map(|character| if said(character) { character } else { '?' }).collect();
            prop_assert_eq!(read["a"]["b"]["#text"].as_str().unwrap(), format!("|{expected}|"));
        }

        #[test]
        fn no_text_begins_another_header(text in texts()) {
            let headers: Headers = serde_json::from_value(json!({"X-To": "{to}", "X-Y": "a{channel_data.x.y}"})).unwrap();
            let (config, message) = (config(), message(&text));
            let mut map = HeaderMap::new();
            match headers.fill(&MessageFields::of(&config, &message, None), &mut map) {
                Ok(()) => {
                    prop_assert_eq!(map.len(), 2);
                    for value in map.values() {
                        prop_assert!(!value.as_bytes().iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0)));
                    }
                }
                Err(error) => prop_assert!(text.chars().any(char::is_control), "{error}"),
            }
        }

        #[test]
        fn no_text_leaves_its_step_of_a_path(text in texts()) {
            let template = Template::parse("https://h/a/{to}/b").unwrap();
            let (config, message) = (config(), message(&text));
            let filled = template.fill(&MessageFields::of(&config, &message, None), Place::Url);
            if text == "." || text == ".." {
                prop_assert!(filled.is_err());
                return Ok(());
            }
            let url: url::Url = filled.unwrap().unwrap().parse().unwrap();
            prop_assert_eq!((url.host_str(), url.query(), url.fragment()), (Some("h"), None, None));
            let steps: Vec<&str> = url.path_segments().unwrap().collect();
            prop_assert_eq!(steps.len(), 3);
            prop_assert_eq!((steps[0], steps[2]), ("a", "b"));
            prop_assert_eq!(percent_encoding::percent_decode_str(steps[1]).decode_utf8().unwrap(), text);
        }
    }
}
