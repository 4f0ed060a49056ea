//! What can be done to a field between its value and its place: a fixed list of small changes.

use std::borrow::Cow;
use std::fmt::Write;

use base64::prelude::{BASE64_STANDARD, Engine};
use chrono::format::{Item, StrftimeItems};
use percent_encoding::utf8_percent_encode;
use smpp::text::Charset;

use super::template::{Fields, UNRESERVED, cut};
use crate::model::Timestamp;

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Filter {
    /// `default:TEXT`: what it is when it is missing or empty.
    Default(String),
    /// `optional`: what it stands in is left out when it is missing.
    Optional,
    /// `trim`: without white space around it.
    Trim,
    /// `upper`.
    Upper,
    /// `lower`.
    Lower,
    /// `strip:TEXT`: without this at its beginning.
    Strip(String),
    /// `lead:TEXT`: with this at its beginning, once.
    Lead(String),
    /// `swap:A:B`: with B at its beginning where A is.
    Swap(String, String),
    /// `replace:A:B`: with B wherever A is.
    Replace(String, String),
    /// `after:TEXT`: what comes behind the last of these; all of it where there is none.
    After(String),
    /// `urlencode`: fit for a part of a URL.
    UrlEncode,
    /// `date:FORMAT`: an instant in a form of strftime's, UTC.
    Date(String),
    /// `hex:CHARSET`: its octets in hexadecimal.
    Hex(Charset),
    /// `unhex:CHARSET`: the text of such octets.
    Unhex(Charset),
    /// `base64`: its octets in UTF-8.
    Base64,
    /// `table:NAME`: what the table has for it, or for `*`.
    Table(String),
    /// `table_prefix:NAME`: what the table has for its longest beginning, or for `*`.
    TablePrefix(String),
    /// `expand:PREFIX`: with `{{ name }}` in it replaced by the parameter `PREFIXname`.
    Expand(String),
    /// `br`: with line feeds as `<br />`, in XML.
    Lines,
    /// `number`: JSON has it as a number.
    Number,
}

/// A value on its way through filters.
pub(super) struct Said<'a> {
    /// The text; `None` if there is none.
    pub(super) text: Option<Cow<'a, str>>,
    /// Whether line feeds become elements in XML.
    pub(super) lines: bool,
}

/// Most octets of a text with names in it, once they are filled in.
const MAX_EXPANDED: usize = 64 * 1024;
/// What a table has for whatever it has nothing for.
const REST: &str = "*";

impl Filter {
    /// Reads `name` or `name:argument`. What stands in quotes stands for itself.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (name, argument) = match text.split_once(':') {
            Some((name, argument)) => (name.trim(), Some(argument)),
            None => (text.trim(), None),
        };
        let plain = |text: &str| text.replace('\'', "");
        let one = || {
            let argument = argument.map(plain).filter(|argument| !argument.is_empty());
            argument.ok_or_else(|| format!("the filter '{name}' needs an argument, '{name}:…'"))
        };
        let two = || match cut(argument.unwrap_or_default(), ':').as_slice() {
            [from, to] if !plain(from).is_empty() => Ok((plain(from), plain(to))),
            _ => Err(format!("the filter '{name}' needs two arguments, '{name}:A:B'")),
        };
        let charset = || match one()?.as_str() {
            "gsm" => Ok(Charset::Gsm7),
            "ucs2" => Ok(Charset::Ucs2),
            "latin1" => Ok(Charset::Latin1),
            "utf8" => Ok(Charset::Utf8),
            _ => Err(format!("the filter '{name}' takes one of: gsm, ucs2, latin1, utf8")),
        };
        const BARE: [&str; 8] = ["optional", "trim", "upper", "lower", "urlencode", "base64", "br", "number"];
        if argument.is_some() && BARE.contains(&name) {
            return Err(format!("the filter '{name}' takes no argument"));
        }
        Ok(match name {
            "default" => Self::Default(plain(argument.unwrap_or_default())),
            "optional" => Self::Optional,
            "trim" => Self::Trim,
            "upper" => Self::Upper,
            "lower" => Self::Lower,
            "strip" => Self::Strip(one()?),
            "lead" => Self::Lead(one()?),
            "swap" => two().map(|(from, to)| Self::Swap(from, to))?,
            "replace" => two().map(|(from, to)| Self::Replace(from, to))?,
            "after" => Self::After(one()?),
            "urlencode" => Self::UrlEncode,
            "date" => Self::Date(format(one()?)?),
            "hex" => Self::Hex(charset()?),
            "unhex" => Self::Unhex(charset()?),
            "base64" => Self::Base64,
            "table" => Self::Table(one()?),
            "table_prefix" => Self::TablePrefix(one()?),
            "expand" => Self::Expand(one()?),
            "br" => Self::Lines,
            "number" => Self::Number,
            _ => return Err(format!("there is no filter '{name}'")),
        })
    }

    /// Applies it. What is missing stays missing, but for `default`.
    pub(super) fn apply<'a>(&'a self, said: Said<'a>, fields: &'a impl Fields) -> Result<Said<'a>, String> {
        let lines = said.lines || *self == Self::Lines;
        let Some(text) = said.text.filter(|text| !(text.is_empty() && matches!(self, Self::Default(_)))) else {
            let text = if let Self::Default(text) = self { Some(Cow::Borrowed(text.as_str())) } else { None };
            return Ok(Said { text, lines });
        };
        let text = match self {
            Self::Default(_) | Self::Optional | Self::Lines => text,
            Self::Trim => text.trim().to_owned().into(),
            Self::Upper => text.to_uppercase().into(),
            Self::Lower => text.to_lowercase().into(),
            Self::Strip(prefix) => {
                text.strip_prefix(prefix.as_str()).map(|rest| rest.to_owned().into()).unwrap_or(text)
            }
            Self::Lead(prefix) if text.starts_with(prefix.as_str()) => text,
            Self::Lead(prefix) => format!("{prefix}{text}").into(),
            Self::Swap(from, to) => match text.strip_prefix(from.as_str()) {
                Some(rest) => format!("{to}{rest}").into(),
                None => text,
            },
            Self::Replace(from, to) => text.replace(from.as_str(), to).into(),
            Self::After(mark) => {
                text.rsplit_once(mark.as_str()).map(|(_, rest)| rest.to_owned().into()).unwrap_or(text)
            }
            Self::UrlEncode => utf8_percent_encode(&text, UNRESERVED).to_string().into(),
            Self::Date(format) => date(&text, format)?.into(),
            Self::Hex(charset) => hex(&charset.encode(&text).map_err(|error| error.to_string())?).into(),
            Self::Unhex(charset) => {
                let octets = unhex(&text).ok_or("is not hexadecimal")?;
                charset.decode(&octets).map_err(|error| error.to_string())?.into()
            }
            Self::Base64 => BASE64_STANDARD.encode(text.as_bytes()).into(),
            Self::Table(name) => {
                let found = fields.table(name, &text).or_else(|| fields.table(name, REST));
                found.ok_or_else(|| format!("is not in the table '{name}'"))?.into()
            }
            Self::TablePrefix(name) => {
                let found = fields.table_prefix(name, &text).or_else(|| fields.table(name, REST));
                found.ok_or_else(|| format!("begins with nothing in the table '{name}'"))?.into()
            }
            Self::Expand(prefix) => expand(&text, prefix, fields)?.into(),
            Self::Number => match serde_json::from_str::<serde_json::Number>(text.trim()) {
                Ok(number) => number.to_string().into(),
                Err(_) => return Err("is not a number".to_owned()),
            },
        };
        Ok(Said { text: Some(text), lines })
    }
}

/// That a form of strftime's is one.
fn format(format: String) -> Result<String, String> {
    if StrftimeItems::new(&format).any(|item| item == Item::Error) {
        return Err(format!("'{format}' is no date format"));
    }
    Ok(format)
}

fn date(text: &str, format: &str) -> Result<String, String> {
    let instant = Timestamp::parse(text).ok_or("is not an instant")?;
    let instant = chrono::DateTime::from_timestamp_micros(instant.0).ok_or("is not an instant")?;
    let mut out = String::new();
    write!(out, "{}", instant.format(format)).map_err(|_| format!("cannot be written as '{format}'"))?;
    Ok(out)
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(octets.len() * 2), |mut out, octet| {
        let _ = write!(out, "{octet:02X}");
        out
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim().as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |octet: u8| char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    digits.chunks(2).map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}

/// What is missing is nothing.
fn expand(text: &str, prefix: &str, fields: &impl Fields) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("{{") {
        let Some((name, behind)) = behind.split_once("}}") else { break };
        out.push_str(before);
        if let Ok(path) = super::path::Path::parse(&format!("{prefix}{}", name.trim()))
            && let Some(value) = fields.field("in", Some(&path))
        {
            out.push_str(&value);
        }
        // A name of a few letters may stand for a text of many, as often as it likes.
        if out.len() > MAX_EXPANDED {
            return Err(format!("is longer than {MAX_EXPANDED} octets with its names filled in"));
        }
        rest = behind;
    }
    Ok(out + rest)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::path::Path;
    use super::super::template::{Place, Template};
    use super::*;

    struct Known(Value);

    impl Fields for Known {
        fn field(&self, root: &str, path: Option<&Path>) -> Option<Cow<'_, str>> {
            let tree = self.0.get(root)?;
            match path {
                Some(path) => path.text(tree),
                None => super::super::path::text(tree),
            }
        }

        fn table(&self, name: &str, key: &str) -> Option<&str> {
            self.0.get("tables")?.get(name)?.get(key)?.as_str()
        }

        fn table_prefix(&self, name: &str, text: &str) -> Option<&str> {
            let table = self.0.get("tables")?.get(name)?.as_object()?;
            let found = table.iter().filter(|(key, _)| text.starts_with(key.as_str())).max_by_key(|(key, _)| key.len());
            found?.1.as_str()
        }
    }

    fn known() -> Known {
        Known(json!({
            "to": "+27820001001", "empty": "", "content": "a|b <c>\nd & 'e'", "now": "2024-03-01 09:30:00.000000",
            "in": {"template": "Hi {{ name }}, {{x}}!", "template_name": "Ann", "price": "1.50", "hex": "00410042"},
            "tables": {"networks": {"26": "a", "2782": "b"}, "errors": {"E0": "no parameters", "*": "unknown"}},
        }))
    }

    fn filled(template: &str) -> Result<Option<String>, String> {
        let template = Template::parse(template)?;
        template.fill(&known(), Place::Plain).map_err(|error| error.to_string())
    }

    #[test]
    fn each_filter_does_what_it_says() {
        for (template, expected) in [
            ("{to|strip:+}", "27820001001"),
            ("{to|swap:+:00}", "0027820001001"),
            ("{to|strip:+|lead:+}", "+27820001001"),
            ("{to|lead:+}", "+27820001001"),
            ("{to|after:82}", "0001001"),
            ("{to|after:x}", "+27820001001"),
            ("{content|replace:'|':/}", "a/b <c>\nd & 'e'"),
            ("{empty|default:none}{missing|default:}", "none"),
            ("{now|date:%Y%m%dT%H:%M:%S}", "20240301T09:30:00"),
            ("{in.hex|unhex:ucs2|lower}", "ab"),
            ("{in.template_name|hex:gsm}/{in.template_name|hex:ucs2}", "416E6E/0041006E006E"),
            ("{in.template_name|base64}", "QW5u"),
            ("{to|urlencode}", "%2B27820001001"),
            ("{in.template|expand:template_}", "Hi Ann, !"),
            ("{in.price|table:errors}", "unknown"),
            ("{to|strip:+|table_prefix:networks}", "b"),
            ("{{{to|strip:+|upper}}}", "{27820001001}"),
        ] {
            assert_eq!(filled(template), Ok(Some(expected.to_owned())), "{template}");
        }
        assert_eq!(filled("a{missing|optional}"), Ok(None));
    }

    #[test]
    fn names_in_a_text_do_not_make_much_of_little() {
        let mut known = known();
        known.0["in"]["template"] = json!("{{name}}".repeat(1_000));
        known.0["in"]["template_name"] = json!("x".repeat(1_000));
        let template = Template::parse("{in.template|expand:template_}").unwrap();
        let why = template.fill(&known, Place::Plain).unwrap_err().to_string();
        assert_eq!(why, "in.template is longer than 65536 octets with its names filled in");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (template, expected) in [
            ("{to", "a '{' has no counterpart; a brace itself is written twice"),
            ("to}", "a '}' has no counterpart; a brace itself is written twice"),
            ("{to|shout}", "there is no filter 'shout'"),
            ("{to|strip}", "the filter 'strip' needs an argument, 'strip:…'"),
            ("{to|swap:+}", "the filter 'swap' needs two arguments, 'swap:A:B'"),
            ("{to|hex:utf16}", "the filter 'hex' takes one of: gsm, ucs2, latin1, utf8"),
            ("{now|date:%Q}", "'%Q' is no date format"),
            ("{}", "'' is no field"),
            ("{missing.x}", "there is no missing.x"),
            ("{to|date:%Y}", "to is not an instant"),
            ("{content|number}", "content is not a number"),
            ("{to|table_prefix:networks}", "to begins with nothing in the table 'networks'"),
        ] {
            assert_eq!(filled(template), Err(expected.to_owned()), "{template}");
        }
    }
}
