//! `maybug decode`: octets in hexadecimal digits to what they say; capture files are in `capture`.

use std::fmt::Write;
use std::io::{Cursor, Read};
use std::path::Path;

use anyhow::{Context, bail};
use bytes::BytesMut;
use serde_json::json;
use smpp::{CommandId, Description, Pdu, RawPdu, Value};

use super::args::DecodeArgs;
use super::{capture, pdu_content};
use crate::capture::is_capture;
use crate::model::JsonObject;
use crate::telemetry::pdu_json::{self, Secrets, hex};

pub(super) fn run(args: &DecodeArgs) -> anyhow::Result<()> {
    // A pipe is as good as a file.
    let is_file = |word: &String| Path::new(word).metadata().is_ok_and(|found| !found.is_dir());
    if !args.hex.is_empty() && args.hex.iter().all(is_file) {
        return capture::run(args);
    }
    let needs_capture = args.oneline || args.stats;
    let text = if args.hex.is_empty() || args.hex == [capture::STDIN] {
        let mut front = Vec::new();
        let read = std::io::stdin().take(4).read_to_end(&mut front);
        read.context("standard input cannot be read")?;
        if is_capture(&front) {
            return capture::from_stdin(args, Cursor::new(front).chain(std::io::stdin()));
        }
        if needs_capture {
            bail!("--oneline and --stats need a capture; standard input is none");
        }
        std::io::stdin().read_to_end(&mut front).context("standard input cannot be read")?;
        String::from_utf8(front).context("standard input is no text; pipe binary octets through xxd first")?
    } else {
        if needs_capture {
            bail!("--oneline and --stats need a capture file; {:?} is none", args.hex.join(" "));
        }
        args.hex.join(" ")
    };
    let octets = octets(&text).with_context(|| match args.hex.iter().find(|word| !Path::new(word).is_file()) {
        Some(word) if word != capture::STDIN => format!("{word:?} is no file, and no PDU in hexadecimal"),
        _ => "standard input is no PDU in hexadecimal".to_owned(),
    })?;
    let mut buffer = BytesMut::from(&octets[..]);
    if buffer.is_empty() {
        bail!("there are no hexadecimal digits to decode");
    }
    let mut malformed = Vec::new();
    let mut at = 0;
    while !buffer.is_empty() {
        let before = buffer.len();
        let raw = match RawPdu::split(&mut buffer, usize::MAX) {
            Ok(Some(raw)) => raw,
            Ok(None) => bail!(truncated(&buffer, at)),
            Err(error) => bail!("command_length at offset {at}: {error}"),
        };
        let description = Description::of(&raw);
        show(args, &raw, &description);
        if let Some(error) = description.error {
            malformed.push(format!("the {} at offset {at} is malformed: {error}", raw.id));
        }
        at += before - buffer.len();
    }
    if malformed.is_empty() { Ok(()) } else { bail!(malformed.join("\n")) }
}

fn truncated(rest: &[u8], at: usize) -> String {
    let there = rest.len();
    match rest.first_chunk::<4>() {
        Some(length) => {
            let announced = u32::from_be_bytes(*length);
            format!("command_length at offset {at}: announces {announced} octets where {there} are there")
        }
        None => format!("command_length at offset {at}: the octets end inside the field"),
    }
}

/// A PDU in the form of `fixtures/pdu-vectors.json`.
pub(super) fn object(args: &DecodeArgs, raw: &RawPdu, description: &Description) -> JsonObject {
    let secrets = if args.show_password { Secrets::Shown } else { Secrets::Masked };
    let mut object = pdu_json::object(description, secrets);
    // The octets of a bind have its password in them, readable or not.
    if secrets == Secrets::Shown || !has_password(raw.id) {
        let mut octets = BytesMut::new();
        raw.encode(&mut octets);
        object.insert("hex".to_owned(), json!(hex(&octets)));
    }
    object.extend(Pdu::decode(raw).map(|pdu| pdu_content::object(&pdu)).unwrap_or_default());
    object
}

/// Whether a PDU of this kind has a password (§4.1, §4.1.7).
fn has_password(id: CommandId) -> bool {
    matches!(
        id,
        CommandId::BIND_TRANSMITTER | CommandId::BIND_RECEIVER | CommandId::BIND_TRANSCEIVER | CommandId::OUTBIND
    )
}

fn show(args: &DecodeArgs, raw: &RawPdu, description: &Description) {
    if args.json {
        println!("{}", serde_json::Value::Object(object(args, raw, description)));
    } else {
        print!("{}", tree(args, raw, description));
    }
}

/// A PDU as a tree.
pub(super) fn tree(args: &DecodeArgs, raw: &RawPdu, description: &Description) -> String {
    let secrets = if args.show_password { Secrets::Shown } else { Secrets::Masked };
    let mut shown = description.clone();
    if secrets == Secrets::Shown {
        for (_, value) in &mut shown.fields {
            if let Value::Secret(text) = value {
                *value = Value::Text(std::mem::take(text));
            }
        }
    }
    let mut tree = shown.to_string();
    for line in Pdu::decode(raw).map(|pdu| pdu_content::lines(&pdu)).unwrap_or_default() {
        // Writing to a String cannot fail.
        let _ = writeln!(tree, "  = {line}");
    }
    tree
}

/// Octets of hexadecimal text; whatever separates them does not matter, nor do the offsets and the text beside them in
/// the output of xxd, hexdump and tshark.
fn octets(text: &str) -> anyhow::Result<Vec<u8>> {
    let mut digits = Vec::with_capacity(text.len());
    for (number, line) in text.lines().enumerate() {
        let line = dump_line(line).unwrap_or(line).replace("0x", "").replace("\\x", "");
        for character in line.chars().filter(|character| !character.is_whitespace()) {
            match character.to_digit(16).and_then(|digit| u8::try_from(digit).ok()) {
                Some(digit) => digits.push(digit),
                None if matches!(character, ':' | '-' | ',' | ';' | '"' | '\'' | '[' | ']') => {}
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

/// The octets of a line of a dump, when it is one: `OFFSET: 0011 2233  text` (xxd), `OFFSET  00 11  22 33  |text|`
/// (hexdump), `OFFSET  00 11 22 33   text` (tshark).
fn dump_line(line: &str) -> Option<&str> {
    let line = line.trim();
    let end = line.find(|character: char| !character.is_ascii_hexdigit())?;
    let (offset, rest) = line.split_at(end);
    if !(4..=8).contains(&offset.len()) {
        return None;
    }
    if let Some(octets) = rest.strip_prefix(": ") {
        return octets.trim_start().split("  ").next();
    }
    let octets = rest.strip_prefix("  ")?.trim_start();
    let pairs = octets.split_ascii_whitespace().next().is_some_and(|first| first.len() == 2);
    pairs.then(|| octets.split('|').next().and_then(|octets| octets.split("   ").next())).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_found_in_every_usual_dress() {
        let expected = [0, 0, 0, 0x10, 0, 0, 0, 0x15, 0, 0, 0, 0, 0, 0, 0, 1];
        for text in [
            "00000010000000150000000000000001",
            "00:00:00:10:00:00:00:15:00:00:00:00:00:00:00:01",
            "0x00000010 0x00000015\n0x00000000 0x00000001",
            "00000000: 0000 0010 0000 0015 0000 0000 0000 0001  ................",
            "00000000  00 00 00 10 00 00 00 15  00 00 00 00 00 00 00 01  |................|\n",
            "0000  00 00 00 10 00 00 00 15   00abcdef\n0008  00 00 00 00 00 00 00 01   be ef",
            "00000010 00000015 00000000 00000001",
            r"\x00\x00\x00\x10\x00\x00\x00\x15\x00\x00\x00\x00\x00\x00\x00\x01",
        ] {
            assert_eq!(octets(text).unwrap(), expected, "{text}");
        }
        assert_eq!(octets("0g").unwrap_err().to_string(), "'g' in line 1 is no hexadecimal digit");
        assert!(octets("012").unwrap_err().to_string().contains("odd number"));
    }
}
