//! Found messages as rows, and rows as text: lines of JSON, or CSV that a spreadsheet may open.

use std::str::FromStr;

use serde_json::{Value, json};

use super::bodies::{MessageBody, event_type};
use crate::model::{JsonObject, Timestamp};
use crate::store::{Found, Kept};
use crate::web::json::to_ascii;

/// A found message: what applications see of it, and what became of it.
///
/// # Panics
/// Never: a message is a JSON object.
#[must_use]
pub fn row(found: &Found) -> JsonObject {
    let body = match &found.message {
        Kept::Outbound(message) => serde_json::to_value(MessageBody::from(&**message)),
        Kept::Inbound(message) => serde_json::to_value(MessageBody::from(&**message)),
    };
    let Ok(Value::Object(mut row)) = body else { unreachable!("a message is a JSON object") };
    let last = found.events.last();
    let outbound = match &found.message {
        Kept::Outbound(message) => Some(message),
        Kept::Inbound(_) => None,
    };
    let time = |at: Option<Timestamp>| json!(at.map(|at| at.to_string()));
    let more = [
        ("direction", json!(if outbound.is_some() { "outbound" } else { "inbound" })),
        ("status", json!(found.standing.name())),
        ("last_event_type", json!(last.map(|event| event_type(&event.kind)))),
        ("last_event_timestamp", time(last.map(|event| event.at))),
        ("priority", json!(outbound.map(|message| message.priority.value()))),
        ("provider_message_ids", json!(found.smsc_message_ids())),
        ("send_at", time(outbound.and_then(|message| message.send_at))),
        ("expires_at", time(outbound.and_then(|message| message.expires_at))),
    ];
    row.extend(more.map(|(key, value)| (key.to_owned(), value)));
    row
}

/// A form in which rows are given away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Ndjson,
    /// Comma-separated values (RFC 4180) with a line of names, UTF-8.
    Csv,
}

/// What is no [`Format`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the format is neither ndjson nor csv")]
pub struct FormatError;

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        match text {
            "ndjson" => Ok(Self::Ndjson),
            "csv" => Ok(Self::Csv),
            _ => Err(FormatError),
        }
    }
}

/// The columns of CSV, which are keys of a row.
const COLUMNS: [&str; 17] = [
    "message_id",
    "channel_id",
    "direction",
    "timestamp",
    "from",
    "to",
    "status",
    "content",
    "last_event_type",
    "last_event_timestamp",
    "provider_message_ids",
    "priority",
    "send_at",
    "expires_at",
    "reply_to",
    "group",
    "channel_data",
];

impl Format {
    /// Its media type.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }

    /// What comes before the first row.
    #[must_use]
    pub fn head(self) -> String {
        match self {
            Self::Ndjson => String::new(),
            Self::Csv => record(COLUMNS),
        }
    }

    /// A row as text, its end included.
    #[must_use]
    pub fn line(self, row: &JsonObject) -> String {
        match self {
            Self::Ndjson => to_ascii(row) + "\n",
            Self::Csv => record(COLUMNS.map(|column| cell(row.get(column)))),
        }
    }
}

fn record<T: AsRef<[u8]>>(cells: impl IntoIterator<Item = T>) -> String {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    // Writing to memory cannot fail, and text stays text.
    let _ = writer.write_record(cells);
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => harmless(text),
        Some(Value::Array(items)) => {
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            harmless(&items.join(" "))
        }
        Some(Value::Object(object)) if object.is_empty() => String::new(),
        Some(other) => harmless(&other.to_string()),
    }
}

/// Text that no spreadsheet takes for a formula (OWASP, CSV injection). A phone's number with its plus sign is none.
fn harmless(text: &str) -> String {
    let number =
        text.strip_prefix('+').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()));
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) && !number;
    if formula { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_is_quoted_and_no_cell_is_a_formula() {
        let row = json!({
            "message_id": "a", "to": "+27820001001", "from": "-1", "content": "=HYPERLINK(\"x\"),\né", "priority": 5,
            "provider_message_ids": ["1", "2"], "channel_data": {"k": 1}, "reply_to": null,
        });
        let Value::Object(row) = row else { panic!() };
        assert_eq!(
            Format::Csv.line(&row),
            "a,,,,'-1,+27820001001,,\"'=HYPERLINK(\"\"x\"\"),\né\",,,1 2,5,,,,,\"{\"\"k\"\":1}\"\r\n"
        );
        assert!(Format::Csv.head().starts_with("message_id,channel_id,direction,timestamp,"));
        assert_eq!(Format::Ndjson.line(&row).matches('\n').count(), 1);
        for text in ["@SUM(1)", "\t=1", "+1+1", "+"] {
            assert!(harmless(text).starts_with('\''), "{text}");
        }
    }
}
