//! `maybug decode`: octets in hexadecimal digits to what they say.

use std::io::Read;

use anyhow::{Context, bail};
use bytes::BytesMut;
use smpp::{Description, RawPdu, Value};

use super::args::DecodeArgs;
use crate::telemetry::pdu_json::{self, Secrets};

pub(super) fn run(args: &DecodeArgs) -> anyhow::Result<()> {
    let text = if args.hex.is_empty() {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
        text
    } else {
        args.hex.join(" ")
    };
    let mut buffer = BytesMut::from(&octets(&text)?[..]);
    if buffer.is_empty() {
        bail!("there are no hexadecimal digits to decode");
    }
    let mut malformed = Vec::new();
    let mut at = 0;
    while !buffer.is_empty() {
        let before = buffer.len();
        let raw = match RawPdu::split(&mut buffer, usize::MAX) {
            Ok(Some(raw)) => raw,
            Ok(None) => bail!("the octets end inside the PDU that begins at offset {at}: {before} are there"),
            Err(error) => bail!("the octets at offset {at} are no PDU: {error}"),
        };
        let description = Description::of(&raw);
        show(args, &description);
        if let Some(error) = description.error {
            malformed.push(format!("the {} at offset {at} is malformed: {error}", raw.id));
        }
        at += before - buffer.len();
    }
    if malformed.is_empty() { Ok(()) } else { bail!(malformed.join("\n")) }
}

fn show(args: &DecodeArgs, description: &Description) {
    let secrets = if args.show_password { Secrets::Shown } else { Secrets::Masked };
    if args.json {
        println!("{}", serde_json::Value::Object(pdu_json::object(description, secrets)));
        return;
    }
    let mut shown = description.clone();
    if secrets == Secrets::Shown {
        for (_, value) in &mut shown.fields {
            if let Value::Secret(text) = value {
                *value = Value::Text(std::mem::take(text));
            }
        }
    }
    print!("{shown}");
}

/// Octets of hexadecimal text; whatever separates them does not matter.
fn octets(text: &str) -> anyhow::Result<Vec<u8>> {
    let mut digits = Vec::with_capacity(text.len());
    for (number, line) in text.lines().enumerate() {
        let line = line.replace("0x", "").replace("\\x", "");
        for character in line.chars().filter(|character| !character.is_whitespace()) {
            match character.to_digit(16).and_then(|digit| u8::try_from(digit).ok()) {
                Some(digit) => digits.push(digit),
                None if matches!(character, ':' | '-' | ',' | ';' | '"' | '\'') => {}
                None => bail!("{character:?} in line {} is no hexadecimal digit", number + 1),
            }
        }
    }
    let (pairs, odd) = digits.as_chunks::<2>();
    if !odd.is_empty() {
        bail!("there is an odd number of hexadecimal digits: {}", digits.len());
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}
