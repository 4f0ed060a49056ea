//! A PDU of a capture as a tree, a line or JSON.

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use smpp::pdu::{DataSm, DeliverSm, SubmitSm};
use smpp::{Address, Description, Pdu};

use super::args::DecodeArgs;
use super::{decode, pdu_content};
use crate::capture::{CapturedPdu, Paired, Sender};
use crate::model::JsonObject;

/// Which conversation, and who talks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    /// From 1.
    pub(super) number: u64,
    pub(super) esme: SocketAddr,
    pub(super) smsc: SocketAddr,
}

impl fmt::Display for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, esme, smsc } = self;
        write!(f, "# conversation {number}: ESME {esme}, SMSC {smsc}")
    }
}

/// Shows a PDU; whether it is malformed.
pub(super) fn show(
    args: &DecodeArgs,
    number: u64,
    captured: &CapturedPdu,
    paired: &Paired,
    out: &mut impl Write,
) -> io::Result<bool> {
    let description = Description::of(&captured.raw);
    if args.json {
        let mut object = JsonObject::new();
        object.insert("conversation".to_owned(), json!(number));
        object.insert("at".to_owned(), json!(captured.at.as_secs_f64()));
        object.insert("sender".to_owned(), json!(captured.sender.word()));
        object.extend(decode::object(args, &captured.raw, &description));
        writeln!(out, "{}", Value::Object(object))?;
    } else if args.oneline {
        writeln!(out, "{}", line(captured, &description, paired))?;
    } else {
        writeln!(out, "{} {}", time(captured.at), arrow(captured.sender))?;
        write!(out, "{}", decode::tree(args, &captured.raw, &description))?;
    }
    Ok(description.error.is_some())
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

/// Time, direction, command, number and length; of answers status and time; of messages who, to whom and what.
fn line(captured: &CapturedPdu, description: &Description, paired: &Paired) -> String {
    let CapturedPdu { at, sender, raw } = captured;
    let arrow = if *sender == Sender::Esme { "->" } else { "<-" };
    let (id, sequence, length) = (raw.id.to_string(), raw.sequence.0, description.length);
    let mut line = format!("{} {arrow} {id:<24} {sequence:>10} {length:>5} octets", time(*at));
    // Writing to a String cannot fail, here and below.
    if raw.id.is_response() {
        let _ = write!(line, " {}", raw.status);
        // The others are shown by their number anyway.
        if raw.status.name().is_some() {
            let _ = write!(line, " ({:#010x})", raw.status.0);
        }
    }
    match paired {
        Paired::Answer(_, took) => {
            let _ = write!(line, " after {} ms", milliseconds(*took));
        }
        Paired::Stray => line.push_str(" to no request"),
        Paired::Request(_) | Paired::Told => {}
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

pub(super) fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
