//! `maybug decode FILE`: the SMPP conversations of a capture, from a file or while it is being written.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use anyhow::{Context, bail};

use super::args::DecodeArgs;
use super::captured::{Ends, show};
use super::counts;
use crate::capture::{self, Capture, CaptureError, Conversation, Counting, Followed, Pairing, Statistics};

/// What standard input is called on the command line.
pub(super) const STDIN: &str = "-";

/// What is told of standard input.
const STDIN_NAME: &str = "standard input";

pub(super) fn run(args: &DecodeArgs) -> anyhow::Result<()> {
    let mut malformed = 0;
    for file in &args.hex {
        let shown = if Path::new(file).is_file() { whole(args, file) } else { live(args, file, open(file)?) };
        malformed += quietly(shown)?;
    }
    judged(malformed)
}

/// Shows a capture that comes through standard input.
pub(super) fn from_stdin(args: &DecodeArgs, file: impl Read + Send + 'static) -> anyhow::Result<()> {
    judged(quietly(live(args, STDIN_NAME, file))?)
}

fn judged(malformed: u64) -> anyhow::Result<()> {
    if malformed > 0 { bail!("{malformed} PDUs are malformed") } else { Ok(()) }
}

/// Nobody reads any more, as behind `| head`: that is no failure.
fn quietly(shown: anyhow::Result<u64>) -> anyhow::Result<u64> {
    shown.or_else(|error| match error.downcast_ref::<io::Error>() {
        Some(closed) if closed.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        _ => Err(error),
    })
}

fn open(file: &str) -> anyhow::Result<File> {
    File::open(file).map_err(CaptureError::from).with_context(|| file.to_owned())
}

/// A capture's conversations; what could not be read is told on standard error.
pub(super) fn conversations(file: &Path) -> anyhow::Result<Vec<Conversation>> {
    let stdin = file == Path::new(STDIN);
    let shown = if stdin { STDIN_NAME.into() } else { file.to_string_lossy() };
    let read = if stdin { capture::read_from(io::stdin()) } else { capture::read(file) };
    let capture = read.with_context(|| shown.to_string())?;
    told(&shown, &capture)?;
    Ok(capture.conversations)
}

fn told(file: &str, capture: &Capture) -> anyhow::Result<()> {
    capture.notes.iter().for_each(|note| eprintln!("maybug: {file}: {note}"));
    if capture.conversations.is_empty() {
        bail!("{file} has no SMPP conversation in it");
    }
    Ok(())
}

/// Shows a file conversation by conversation; how many PDUs were malformed.
fn whole(args: &DecodeArgs, file: &str) -> anyhow::Result<u64> {
    let mut out = BufWriter::new(io::stdout().lock());
    let capture = capture::read(Path::new(file)).with_context(|| file.to_owned())?;
    let mut malformed = 0;
    for (number, conversation) in (1..).zip(&capture.conversations) {
        let ends = Ends { number, esme: conversation.esme, smsc: conversation.smsc };
        if args.stats {
            count(args, file, &ends, &Statistics::of(conversation), &mut out)?;
            continue;
        }
        if !args.json {
            writeln!(out, "{ends}, {} PDUs", conversation.pdus.len())?;
        }
        let mut pairing = Pairing::default();
        for captured in &conversation.pdus {
            malformed += u64::from(show(args, number, captured, &pairing.take(captured), &mut out)?);
        }
    }
    out.flush()?;
    told(file, &capture)?;
    Ok(malformed)
}

fn count(args: &DecodeArgs, file: &str, ends: &Ends, counted: &Statistics, out: &mut impl Write) -> io::Result<()> {
    match args.json {
        true => writeln!(out, "{}", counts::object(file, ends, counted)),
        false => write!(out, "{}", counts::text(ends, counted)),
    }
}

/// Shows each PDU as it comes, or each conversation's statistics when it ends; how many PDUs were malformed.
fn live(args: &DecodeArgs, file: &str, capture: impl Read + Send + 'static) -> anyhow::Result<u64> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut pairings: HashMap<u64, Pairing> = HashMap::new();
    let mut countings: HashMap<u64, (Ends, Counting)> = HashMap::new();
    let (mut malformed, mut found, mut last) = (0, false, None);
    let followed = capture::follow(capture, |followed| -> anyhow::Result<()> {
        match followed {
            Followed::Pdu { conversation, esme, smsc, pdu } => {
                found = true;
                let ends = Ends { number: conversation, esme, smsc };
                if args.stats {
                    countings.entry(conversation).or_insert_with(|| (ends, Counting::default())).1.add(&pdu);
                    return Ok(());
                }
                // PDUs of several conversations come in any order.
                if !args.json && last.replace(conversation) != Some(conversation) {
                    writeln!(out, "{ends}")?;
                }
                let paired = pairings.entry(conversation).or_default().take(&pdu);
                malformed += u64::from(show(args, conversation, &pdu, &paired, &mut out)?);
            }
            Followed::Ended { conversation } => {
                pairings.remove(&conversation);
                if let Some((ends, counting)) = countings.remove(&conversation) {
                    count(args, file, &ends, &counting.finish(), &mut out)?;
                }
            }
            Followed::Note(note) => eprintln!("maybug: {file}: {note}"),
        }
        Ok(out.flush()?)
    });
    match followed {
        Ok(()) if !found => bail!("{file} has no SMPP conversation in it"),
        Ok(()) => Ok(malformed),
        // With the file's name only what is wrong with the file.
        Err(error) if error.is::<CaptureError>() => Err(error.context(file.to_owned())),
        Err(error) => Err(error),
    }
}
