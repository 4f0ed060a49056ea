//! `maybug decode FILE`: the SMPP conversations of a capture as trees, lines, JSON, or counted.

use std::fmt::Write;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use smpp::pdu::{DataSm, DeliverSm, SubmitSm};
use smpp::{Address, Description, Pdu};

use super::args::DecodeArgs;
use super::{decode, pdu_content};
use crate::capture::{self, Capture, CapturedPdu, Conversation, Sender, Statistics};
use crate::model::JsonObject;

pub(super) fn run(args: &DecodeArgs) -> anyhow::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut malformed = 0;
    for file in &args.hex {
        let capture = capture::read(Path::new(file)).with_context(|| file.clone())?;
        malformed += show(args, file, &capture, &mut out)?;
        out.flush()?;
        for note in &capture.notes {
            eprintln!("maybug: {file}: {note}");
        }
        if capture.conversations.is_empty() {
            bail!("{file} has no SMPP conversation in it");
        }
    }
    if malformed > 0 { bail!("{malformed} PDUs are malformed") } else { Ok(()) }
}

/// How many PDUs were malformed.
fn show(args: &DecodeArgs, file: &str, capture: &Capture, out: &mut impl std::io::Write) -> std::io::Result<usize> {
    let mut malformed = 0;
    for (number, conversation) in (1..).zip(&capture.conversations) {
        if args.stats {
            let statistics = Statistics::of(conversation);
            match args.json {
                true => writeln!(out, "{}", statistics_object(file, number, conversation, &statistics))?,
                false => write!(out, "{}", statistics_text(number, conversation, &statistics))?,
            }
            continue;
        }
        if !args.json {
            let (esme, smsc, count) = (conversation.esme, conversation.smsc, conversation.pdus.len());
            writeln!(out, "# conversation {number}: ESME {esme}, SMSC {smsc}, {count} PDUs")?;
        }
        for captured in &conversation.pdus {
            let description = Description::of(&captured.raw);
            malformed += usize::from(description.error.is_some());
            if args.json {
                let mut object = JsonObject::new();
                object.insert("conversation".to_owned(), json!(number));
                object.insert("at".to_owned(), json!(captured.at.as_secs_f64()));
                object.insert("sender".to_owned(), json!(word(captured.sender)));
                object.extend(decode::object(args, &captured.raw, &description));
                writeln!(out, "{}", Value::Object(object))?;
            } else if args.oneline {
                writeln!(out, "{}", line(captured))?;
            } else {
                writeln!(out, "{} {}", time(captured.at), arrow(captured.sender))?;
                write!(out, "{}", decode::tree(args, &captured.raw, &description))?;
            }
        }
    }
    Ok(malformed)
}

fn word(sender: Sender) -> &'static str {
    match sender {
        Sender::Esme => "esme",
        Sender::Smsc => "smsc",
    }
}

fn arrow(sender: Sender) -> &'static str {
    match sender {
        Sender::Esme => "ESME -> SMSC",
        Sender::Smsc => "ESME <- SMSC",
    }
}

fn time(at: Duration) -> String {
    format!("{:>12.6}", at.as_secs_f64())
}

/// Time, direction, command, number, status, and for messages who, to whom and what.
fn line(captured: &CapturedPdu) -> String {
    let CapturedPdu { at, sender, raw } = captured;
    let arrow = if *sender == Sender::Esme { "->" } else { "<-" };
    let mut line = format!("{} {arrow} {:<24} {:>10}", time(*at), raw.id.to_string(), raw.sequence.0);
    if raw.id.is_response() {
        // Writing to a String cannot fail.
        let _ = write!(line, " {}", raw.status);
    }
    let pdu = match Pdu::decode(raw) {
        Ok(pdu) => pdu,
        Err(error) => {
            let _ = write!(line, " malformed: {error}");
            return line;
        }
    };
    match &pdu {
        Pdu::SubmitSm(SubmitSm { source, destination, .. })
        | Pdu::DeliverSm(DeliverSm { source, destination, .. })
        | Pdu::DataSm(DataSm { source, destination, .. }) => {
            let _ = write!(line, " {} > {}", address(source), address(destination));
            for meaning in pdu_content::lines(&pdu) {
                let _ = write!(line, "; {meaning}");
            }
        }
        Pdu::Bind(_, bind) => {
            let _ = write!(line, " {} version {:#04x}", bind.system_id.to_text(), bind.interface_version);
        }
        Pdu::SubmitSmResp(response) if !response.message_id.octets().is_empty() => {
            let _ = write!(line, " id {}", response.message_id.to_text());
        }
        _ => {}
    }
    line
}

fn address(address: &Address) -> String {
    format!("{}/{}:{}", address.ton.0, address.npi.0, address.digits.to_text())
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

fn statistics_text(number: usize, conversation: &Conversation, statistics: &Statistics) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        text,
        "# conversation {number}: ESME {}, SMSC {}, {} PDUs in {:.3} s",
        conversation.esme,
        conversation.smsc,
        conversation.pdus.len(),
        statistics.duration.as_secs_f64()
    );
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

fn statistics_object(file: &str, number: usize, conversation: &Conversation, statistics: &Statistics) -> Value {
    let table = |rows: Vec<(String, Value)>| Value::Object(rows.into_iter().collect());
    let latencies = statistics.latencies.iter().map(|(id, times)| {
        let [min, p50, p99, max] = [times.min, times.p50, times.p99, times.max].map(milliseconds);
        (id.clone(), json!({"count": times.count, "min_ms": min, "p50_ms": p50, "p99_ms": p99, "max_ms": max}))
    });
    let commands = statistics.commands.iter().map(|((sender, id), n)| (format!("{sender} {id}"), json!(n)));
    let statuses = statistics.statuses.iter().map(|((id, status), n)| (format!("{id} {status}"), json!(n)));
    json!({
        "file": file,
        "conversation": number,
        "esme": conversation.esme.to_string(),
        "smsc": conversation.smsc.to_string(),
        "pdus": conversation.pdus.len(),
        "seconds": statistics.duration.as_secs_f64(),
        "commands": table(commands.collect()),
        "statuses": table(statuses.collect()),
        "response_times": table(latencies.collect()),
        "unanswered": statistics.unanswered,
        "strays": statistics.strays,
        "window": {"esme": statistics.window.0, "smsc": statistics.window.1},
    })
}
