//! `maybug decode FILE --make-fixture OUT`: a capture as one that can be given away.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, bail};

use super::args::DecodeArgs;
use crate::capture::{self, anonymise};

pub(super) fn run(args: &DecodeArgs, out: &Path) -> anyhow::Result<()> {
    let [file] = &args.hex[..] else { bail!("--make-fixture takes one capture file") };
    let conversations = capture::read(Path::new(file)).with_context(|| file.clone())?.conversations;
    if conversations.is_empty() {
        bail!("{file} has no SMPP conversation in it");
    }
    // As random as the operating system's: nobody can try which number has become which.
    let seed = args.seed.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let done = anonymise(&conversations, &seed);
    let write = || {
        let mut file = BufWriter::new(File::create(out)?);
        capture::write(&done.conversations, &mut file)?;
        file.flush()
    };
    write().with_context(|| format!("{} cannot be written", out.display()))?;
    let pdus: usize = done.conversations.iter().map(|conversation| conversation.pdus.len()).sum();
    let count = done.conversations.len();
    let plural = if count == 1 { "" } else { "s" };
    println!("{pdus} PDUs of {count} conversation{plural} in {}", out.display());
    if !done.leftovers.is_empty() {
        let shown: Vec<_> = done.leftovers.iter().take(10).map(|left| String::from_utf8_lossy(left)).collect();
        let count = done.leftovers.len();
        eprintln!("maybug: {count} originals also occur in the result, by coincidence; look at them: {shown:?}");
    }
    Ok(())
}
