//! All that a store has as a file, and back into another place: lines of JSON, of which the first says what this is and the
//! last how many there are and what their digest is, so that a part of a file is not taken for all of it.

mod export;
mod import;

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use self::export::{check_in_order, count, export};
pub use self::import::{Step, import};
use crate::store::{CommitError, OpenError, ReadError, Record, Restored};

/// What the first line says.
const FORMAT: &str = "maybug-store";
/// The version of the records.
const VERSION: u32 = 1;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    format: String,
    version: u32,
    /// When it was made.
    #[serde(default)]
    at: String,
    /// By which version of this program.
    #[serde(default)]
    by: String,
}

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
struct Tail {
    end: End,
}

#[derive(Debug, Serialize, Deserialize)]
struct End {
    records: u64,
    counts: Counts,
    /// Of all lines between the first and the last, their ends included.
    sha256: String,
}

/// How many records there are of each kind and channel; what is no channel's is under an empty name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Counts(pub BTreeMap<String, BTreeMap<String, u64>>);

impl Counts {
    fn add(&mut self, record: &Record) {
        let channel = record.channel().map(|channel| channel.as_str()).unwrap_or_default();
        let channels = match self.0.get_mut(record.kind()) {
            Some(channels) => channels,
            None => self.0.entry(record.kind().to_owned()).or_default(),
        };
        match channels.get_mut(channel) {
            Some(count) => *count += 1,
            None => drop(channels.insert(channel.to_owned(), 1)),
        }
    }

    /// How many of a kind.
    #[must_use]
    pub fn of(&self, kind: &str) -> u64 {
        self.0.get(kind).map_or(0, |channels| channels.values().sum())
    }

    /// How many in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().flat_map(BTreeMap::values).sum()
    }

    /// Where others are not the same: the kind, the channel, how many there are here and there.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<(String, String, u64, u64)> {
        let mut all = BTreeMap::<(&String, &String), [u64; 2]>::new();
        for (side, counts) in [self, other].into_iter().enumerate() {
            for (kind, channels) in &counts.0 {
                for (channel, count) in channels {
                    all.entry((kind, channel)).or_default()[side] = *count;
                }
            }
        }
        let differ = all.into_iter().filter(|(_, [here, there])| here != there);
        differ.map(|((kind, channel), [here, there])| (kind.clone(), channel.clone(), here, there)).collect()
    }
}

/// The lines between the first and the last, as far as they have come.
#[derive(Default)]
struct Lines {
    count: u64,
    digest: Sha256,
}

impl Lines {
    fn add(&mut self, line: &[u8]) {
        self.count += 1;
        self.digest.update(line);
    }

    fn mark(&self) -> Restored {
        Restored { line: self.count, digest: self.digest.clone().finalize().into() }
    }
}

fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |mut text, octet| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}

/// Why something was not moved, or not wholly.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MovingError {
    /// The place has nothing, or what it has cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Where a store is looked for that is to be exported.
    #[error("there is no store there")]
    Nothing,
    /// In Redis, somebody writes it, or has ended without saying so.
    #[error(
        "{holder} has this store in Redis and has not closed it: stop that server; if it has crashed, start it again and stop it \
         in order"
    )]
    InUse {
        /// Its holder.
        holder: String,
    },
    /// The place of an import has something, or had.
    #[error(
        "there is a store that has been used: import into an empty directory, or under another prefix of Redis's keys"
    )]
    NotEmpty,
    /// The file is none of ours.
    #[error("this is no export of a store: it does not begin with {{\"format\":\"{FORMAT}\"")]
    Format,
    /// Of a version that this program does not know.
    #[error(
        "this export has version {0} of the format, and this program reads version {VERSION}: use the Maybug that made it, or a \
         newer one"
    )]
    Version(u32),
    /// A line that is no record.
    #[error("line {line} of the export is damaged, or of a newer version of this program")]
    Line {
        /// Counted from 1.
        line: u64,
        /// Why.
        source: serde_json::Error,
    },
    /// It ends before its last line.
    #[error(
        "the export is not whole: it ends after {0} records. Nothing runs on what has been imported; import a whole one again"
    )]
    Truncated(u64),
    /// What it says of itself at its end is not so.
    #[error(
        "the export is damaged: what its last line says of its lines is not so. Make it anew, and import that into another place"
    )]
    Damaged,
    /// What is there is the beginning of another one.
    #[error(
        "another import into this place was not finished: what is there is not the beginning of this export. Finish that one, or \
         remove what is there"
    )]
    Other,
    /// What was read back is not what was imported.
    #[error(
        "what is there now is not what was exported, and no server starts on it: {0}. Remove what is there and import again"
    )]
    Differs(String),
    /// The file.
    #[error("the export cannot be read or written")]
    Io(#[from] std::io::Error),
    /// The store to be exported.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store to be imported into.
    #[error("what has been imported is kept; run the same import again once this is mended")]
    Commit(#[from] CommitError),
}
