//! What other connectors' configurations mean here: channels, and notes on everything that is different or has no
//! counterpart.
//!
//! Values are translated by the table of the channel configuration itself ([`crate::channel::esme::aliases`]); each
//! importer adds the judgements: what its system did where a key is absent, and what to do about keys that have no
//! counterpart.

mod draft;
mod jasmin;
mod junebug;
mod junebug_redis;
mod kannel;
mod vendor_tlvs;
mod vumi;
mod vumi_messages;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use self::draft::Draft;
pub use self::junebug_redis::{Database, RedisImportError, read as read_redis};
use crate::gateway::Types;
use crate::model::JsonObject;

/// Whose configuration it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Source {
    /// `kannel.conf`.
    Kannel,
    /// A script for jcli, or what `smppccm -s` showed.
    Jasmin,
    /// YAML of a worker, or of a MultiWorker.
    Vumi,
    /// A channel as its API has it, or the YAML file of the server.
    Junebug,
}

/// What became of a configuration.
#[derive(Debug, Default)]
pub struct Migration {
    /// Channels, ready for `POST /channels/`.
    pub channels: Vec<Value>,
    /// What became something else, is different or has no counterpart, in the order of the file.
    pub notes: Vec<Note>,
    /// Why a channel will be refused as it is.
    pub problems: Vec<Note>,
}

/// A sentence about a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// `kannel.conf:12`.
    pub place: String,
    /// The sentence.
    pub text: String,
}

impl std::fmt::Display for Note {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.place, self.text)
    }
}

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// A file could not be read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is larger than any configuration.
    #[error("{} has more than {} octets, which no configuration has", path.display(), MAX_FILE)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A line that its own system refuses too.
    #[error("{place}: {message}")]
    Syntax {
        /// Where.
        place: String,
        /// What is wrong.
        message: String,
    },
    /// There is nothing to migrate in it.
    #[error("{}: {message}", path.display())]
    Nothing {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        message: String,
    },
}

/// Most octets of one file.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// Reads a configuration.
///
/// # Errors
/// [`MigrateError`].
pub fn migrate(source: Source, path: &Path) -> Result<Migration, MigrateError> {
    let mut migration = match source {
        Source::Kannel => kannel::migrate(path)?,
        Source::Jasmin => jasmin::migrate(path)?,
        Source::Vumi => vumi::migrate(path)?,
        Source::Junebug => junebug::migrate(path)?,
    };
    in_order(&mut migration.notes);
    for channel in &migration.channels {
        let label = channel["label"].as_str().unwrap_or("without a label");
        if let Err(text) = check(channel["type"].as_str(), channel["config"].as_object()) {
            migration.problems.push(Note { place: format!("channel '{label}'"), text });
        }
    }
    Ok(migration)
}

/// That the server takes a channel.
fn check(channel_type: Option<&str>, config: Option<&JsonObject>) -> Result<(), String> {
    let name = channel_type.unwrap_or_default();
    let types = Types::default().channels;
    let Some(channel_type) = types.get(name) else {
        return Err(format!("there is no channel type '{name}'"));
    };
    channel_type.check(config.unwrap_or(&JsonObject::new())).map_err(|error| error.message)
}

/// Notes as the files have them, each once.
fn in_order(notes: &mut Vec<Note>) {
    let mut files: Vec<String> = Vec::new();
    let mut keyed: Vec<((usize, usize), Note)> = Vec::new();
    for note in notes.drain(..) {
        let (file, line) = note.place.rsplit_once(':').unwrap_or((note.place.as_str(), "0"));
        let line = line.parse().unwrap_or(0);
        let known = files.iter().position(|known| known == file);
        let file = known.unwrap_or_else(|| {
            files.push(file.to_owned());
            files.len() - 1
        });
        if !keyed.iter().any(|(_, other)| *other == note) {
            keyed.push(((file, line), note));
        }
    }
    keyed.sort_by_key(|(place, _)| *place);
    notes.extend(keyed.into_iter().map(|(_, note)| note));
}

fn read(path: &Path) -> Result<String, MigrateError> {
    let unreadable = |source| MigrateError::Unreadable { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(unreadable)?.len() > MAX_FILE {
        return Err(MigrateError::TooLarge { path: path.to_owned() });
    }
    // Kannel's files are often Latin-1: whatever is not UTF-8 is read as that.
    let octets = std::fs::read(path).map_err(unreadable)?;
    Ok(String::from_utf8(octets).unwrap_or_else(|error| error.as_bytes().iter().copied().map(char::from).collect()))
}

/// The file's own name, for places.
fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// A channel as `POST /channels/` takes it.
fn channel(draft: Draft) -> Value {
    json!({"type": "smpp", "label": draft.label, "config": draft.config})
}
