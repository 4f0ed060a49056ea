//! What `maybug replay` says: a line for each difference, and a summary; for people or as JSON.

use std::time::Duration;

use serde_json::{Value as Json, json};
use smpp::session::Role;
use smpp::{Description, SequenceNumber, Value};

use crate::replay::{Answer, Difference, FieldDifference, Summary, What};
use crate::telemetry::pdu_json::{self, Secrets, hex};

pub(super) fn line(difference: &Difference) -> String {
    let Difference { conversation, number, request, what, recorded, .. } = difference;
    let at = match number {
        0 => format!("conversation {conversation}, {request}"),
        _ => format!("conversation {conversation}, PDU {number} {request}"),
    };
    match what {
        What::Missing => {
            let status = recorded.as_ref().map_or_else(String::new, |answer| format!(", {} recorded", answer.status));
            format!("{at}: no answer{status}")
        }
        What::NotSent(why) => format!("{at}: not sent: {why}"),
        What::Fields(fields) => {
            let said: Vec<String> = fields.iter().map(field_line).collect();
            format!("{at}: {}", said.join("; "))
        }
    }
}

fn field_line(field: &FieldDifference) -> String {
    let FieldDifference { name, recorded, live } = field;
    let said = |value: &Option<Value>| value.as_ref().map_or_else(|| "nothing".to_owned(), shown);
    format!("{name}: {} recorded, {} came", said(recorded), said(live))
}

fn shown(value: &Value) -> String {
    match value {
        Value::Integer(value) => value.to_string(),
        Value::Text(text) => text.clone(),
        Value::Octets(octets) => hex(octets),
        other => format!("{other:?}"),
    }
}

pub(super) fn object(difference: &Difference) -> Json {
    let (what, why) = match &difference.what {
        What::Missing => ("missing", None),
        What::NotSent(why) => ("not_sent", Some(why)),
        What::Fields(_) => ("fields", None),
    };
    let fields = match &difference.what {
        What::Fields(fields) => fields.as_slice(),
        _ => &[],
    };
    let field = |field: &FieldDifference| json!({"name": field.name, "recorded": field.recorded.as_ref().map(shown), "live": field.live.as_ref().map(shown)});
    // The session shows of a bind's answer the status and the parameters.
    let bind = difference.number == 0;
    let answer = |said: &Answer| answer(said, bind);
    json!({
        "event": "difference", "conversation": difference.conversation, "pdu": difference.number,
        "request": difference.request.to_string(), "what": what, "why": why,
        "fields": fields.iter().map(field).collect::<Json>(),
        "recorded": difference.recorded.as_ref().map(answer), "live": difference.live.as_ref().map(answer),
    })
}

fn answer(answer: &Answer, bind: bool) -> Json {
    let raw = answer.pdu.to_raw(answer.status, SequenceNumber(0));
    let mut object = pdu_json::object(&Description::of(&raw), Secrets::Masked);
    // The sequence number of an answer is its request's, and means nothing here.
    object.remove("sequence");
    if bind {
        object.remove("fields");
    }
    Json::Object(object)
}

pub(super) fn summary(summary: &Summary, role: Role, conversations: usize, took: Duration) -> String {
    let other = match role {
        Role::Esme => "SMSC",
        Role::Smsc => "ESME",
    };
    let came = summary.recognised + summary.in_turn;
    let mut lines = vec![
        format!(
            "{} sent, {} answered, {} in {:.1} s",
            count(summary.sent, "request"),
            summary.answered,
            count(conversations, "conversation"),
            took.as_secs_f64(),
        ),
        format!("{} from the recording", count(summary.differences, "difference")),
        format!(
            "{came} of {} of the {other} came ({} with other content), and {} that the recording does not have",
            count(summary.expected, "recorded request"),
            summary.in_turn,
            summary.unrecorded,
        ),
    ];
    if summary.incomparable > 0 {
        lines.push(format!("{} not answered in the recording", count(summary.incomparable, "request")));
    }
    if summary.unreadable > 0 {
        lines.push(format!("{} malformed in the recording, not sent", count(summary.unreadable, "request")));
    }
    lines.join("\n")
}

fn count(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

pub(super) fn summary_object(summary: &Summary, conversations: usize, took: Duration) -> Json {
    json!({
        "event": "done", "conversations": conversations, "seconds": took.as_secs_f64(),
        "sent": summary.sent, "answered": summary.answered, "differences": summary.differences,
        "unanswered_in_recording": summary.incomparable, "malformed_in_recording": summary.unreadable,
        "received": {
            "recorded": summary.expected, "same_content": summary.recognised, "other_content": summary.in_turn,
            "unrecorded": summary.unrecorded,
        },
    })
}
