//! What a conversation comes to, as text and as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use super::captured::{Ends, milliseconds};
use crate::capture::Statistics;

/// As tables of text.
pub(super) fn text(ends: &Ends, statistics: &Statistics) -> String {
    let mut text = String::new();
    let (pdus, seconds) = (statistics.pdus, statistics.duration.as_secs_f64());
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(text, "{ends}, {pdus} PDUs in {seconds:.3} s");
    let mut section = |title: &str, rows: Vec<String>| {
        if !rows.is_empty() {
            let _ = writeln!(text, "{title}");
        }
        for row in rows {
            let _ = writeln!(text, "  {row}");
        }
    };
    let row = |name: &str, count: &u64| format!("{name:<50} {count:>9}");
    let commands = statistics.commands.iter();
    section("commands", commands.map(|((sender, id), n)| row(&format!("{sender} {id}"), n)).collect());
    let statuses = statistics.statuses.iter();
    section("statuses", statuses.map(|((id, status), n)| row(&format!("{id} {status}"), n)).collect());
    let tlvs = statistics.tlvs.iter();
    section("optional parameters", tlvs.map(|((id, tag), n)| row(&format!("{id} {tag}"), n)).collect());
    section("malformed", statistics.malformed.iter().map(|(id, n)| row(id, n)).collect());
    let latencies = statistics.latencies.iter().map(|(id, times)| {
        let [min, p50, p99, max] = [times.min, times.p50, times.p99, times.max].map(milliseconds);
        format!("{id:<30} {:>9} answers  min {min}  p50 {p50}  p99 {p99}  max {max} ms", times.count)
    });
    section("response times", latencies.collect());
    section("unanswered", statistics.unanswered.iter().map(|(id, n)| row(id, n)).collect());
    section("answers to nothing", statistics.strays.iter().map(|(id, n)| row(id, n)).collect());
    let (esme, smsc) = statistics.window;
    section("most requests waiting at once", vec![format!("esme {esme}, smsc {smsc}")]);
    text
}

/// As a JSON object.
pub(super) fn object(file: &str, ends: &Ends, statistics: &Statistics) -> Value {
    let table = |rows: Vec<(String, Value)>| Value::Object(rows.into_iter().collect());
    let latencies = statistics.latencies.iter().map(|(id, times)| {
        let [min, p50, p99, max] = [times.min, times.p50, times.p99, times.max].map(milliseconds);
        (id.clone(), json!({"count": times.count, "min_ms": min, "p50_ms": p50, "p99_ms": p99, "max_ms": max}))
    });
    let commands = statistics.commands.iter().map(|((sender, id), n)| (format!("{sender} {id}"), json!(n)));
    let statuses = statistics.statuses.iter().map(|((id, status), n)| (format!("{id} {status}"), json!(n)));
    let tlvs = statistics.tlvs.iter().map(|((id, tag), n)| (format!("{id} {tag}"), json!(n)));
    json!({
        "file": file,
        "conversation": ends.number,
        "esme": ends.esme.to_string(),
        "smsc": ends.smsc.to_string(),
        "pdus": statistics.pdus,
        "seconds": statistics.duration.as_secs_f64(),
        "commands": table(commands.collect()),
        "statuses": table(statuses.collect()),
        "tlvs": table(tlvs.collect()),
        "malformed": statistics.malformed,
        "response_times": table(latencies.collect()),
        "unanswered": statistics.unanswered,
        "strays": statistics.strays,
        "window": {"esme": statistics.window.0, "smsc": statistics.window.1},
    })
}
