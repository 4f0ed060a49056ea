//! A log per channel, router and destination, as Junebug keeps it (Junebug reference §6), and the last PDUs of each.
//!
//! Entries go to a rotating file of JSON lines, written by one thread away from every message; when it cannot keep up
//! entries are dropped and counted, never waited for. PDUs go to a ring in memory as the octets they were, and become
//! readable only when somebody reads them. Where logs are to know nothing private they are masked before they are kept.

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::rotation::{RotatingFile, rotated};
use crate::capture::masked;
use crate::model::{ChannelId, JsonObject, MessageId, Timestamp};

/// Severity, with Python's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Of interest to whoever looks for a fault; PDUs.
    Debug = 10,
    /// Worth knowing.
    Info = 20,
    /// Something is not as it should be.
    Warning = 30,
    /// Something failed.
    Error = 40,
}

/// How channel logs are kept.
#[derive(Clone, Debug)]
pub struct LogFiles {
    /// Directory; made if absent.
    pub path: PathBuf,
    /// Octets after which a file is rotated.
    pub rotate_size: u64,
    /// Rotated files that are kept; 0 keeps all.
    pub max_files: usize,
    /// Whether texts, and the middle of numbers, are kept out of everything.
    pub privacy: bool,
}

/// The logs of all channels.
#[derive(Clone)]
pub struct ChannelLogs {
    files: Arc<LogFiles>,
    lines: SyncSender<Line>,
    dropped: Arc<AtomicU64>,
    rings: Arc<Mutex<Rings>>,
}

/// By id.
type Rings = HashMap<Arc<str>, Arc<Mutex<PduRing>>>;

enum Line {
    Entry(Arc<str>, String),
    Delete(Arc<str>),
    Flush(SyncSender<()>),
}

/// Lines that may wait for the writing thread.
const BACKLOG: usize = 8_192;
/// Files that are kept open: a thousand channels must leave descriptors for sockets.
const OPEN_FILES: usize = 64;
/// Octets of PDUs that are kept per channel.
const RING_OCTETS: usize = 256 * 1024;

impl ChannelLogs {
    /// Starts the writing thread.
    ///
    /// # Errors
    /// When the directory cannot be made or the thread cannot be started.
    pub fn start(files: LogFiles) -> io::Result<Self> {
        fs::create_dir_all(&files.path)?;
        let (lines, inbox) = sync_channel(BACKLOG);
        let writer = Writer { files: files.clone(), open: HashMap::new() };
        std::thread::Builder::new().name("maybug-logs".to_owned()).spawn(move || writer.run(&inbox))?;
        Ok(Self { files: Arc::new(files), lines, dropped: Arc::default(), rings: Arc::default() })
    }

    /// The log of one channel.
    #[must_use]
    pub fn channel(&self, id: &ChannelId) -> ChannelLog {
        self.of(&id.0)
    }

    /// The log of whatever has this id.
    #[must_use]
    pub fn of(&self, id: &Arc<str>) -> ChannelLog {
        let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = rings.entry(id.clone()).or_default().clone();
        ChannelLog { id: id.clone(), logs: self.clone(), ring }
    }

    /// Forgets whatever had this id and deletes its files.
    pub fn delete(&self, id: &Arc<str>) {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        let _ = self.lines.send(Line::Delete(id.clone()));
    }

    /// Entries that were not written because the disk was slower than the events.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// The log of one channel, router or destination.
#[derive(Clone)]
pub struct ChannelLog {
    id: Arc<str>,
    logs: ChannelLogs,
    ring: Arc<Mutex<PduRing>>,
}

/// A chunk of whole PDUs as it crossed the wire.
#[derive(Clone, Debug)]
pub struct PduChunk {
    /// When.
    pub at: Timestamp,
    /// Over which of the channel's connections.
    pub connection: u32,
    /// From the peer, or to it.
    pub received: bool,
    /// The octets.
    pub octets: Vec<u8>,
}

impl ChannelLog {
    /// Adds an entry; `details` become keys beside Junebug's own.
    pub fn write(&self, level: LogLevel, message: impl Into<String>, details: JsonObject) {
        let message = message.into();
        match level {
            LogLevel::Debug => tracing::debug!(id = %self.id, "{message}"),
            LogLevel::Info => tracing::info!(id = %self.id, "{message}"),
            LogLevel::Warning => tracing::warn!(id = %self.id, "{message}"),
            LogLevel::Error => tracing::error!(id = %self.id, "{message}"),
        }
        if level < LogLevel::Info {
            return;
        }
        let mut entry = details;
        entry.insert("logger".to_owned(), json!(self.id.to_lowercase()));
        entry.insert("level".to_owned(), json!(level as u8));
        entry.insert("timestamp".to_owned(), json!(Timestamp::now().as_secs_f64()));
        entry.insert("message".to_owned(), json!(message));
        let line = Value::Object(entry).to_string();
        if self.logs.lines.try_send(Line::Entry(self.id.clone(), line)).is_err() {
            self.logs.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Worth knowing.
    pub fn info(&self, message: impl Into<String>) {
        self.write(LogLevel::Info, message, JsonObject::new());
    }

    /// Something is not as it should be.
    pub fn warn(&self, message: impl Into<String>) {
        self.write(LogLevel::Warning, message, JsonObject::new());
    }

    /// Something failed.
    pub fn error(&self, message: impl Into<String>) {
        self.write(LogLevel::Error, message, JsonObject::new());
    }

    /// Something failed because of an error, which `exception` shows as Junebug does: its class, what it says, and as
    /// the stack what caused what.
    pub fn failure<E: Error>(&self, message: impl Into<String>, error: &E) {
        self.about(None).failure(message, error);
    }

    /// Whether texts and numbers are not for this log.
    #[must_use]
    pub fn privacy(&self) -> bool {
        self.logs.files.privacy
    }

    /// The same, for lines about one message, if it is known about which.
    #[must_use]
    pub fn about(&self, message: impl Into<Option<MessageId>>) -> AboutMessage<'_> {
        AboutMessage { log: self, message: message.into() }
    }

    /// Where the PDUs of one connection are kept.
    #[must_use]
    pub fn connection(&self) -> ConnectionLog {
        let mut ring = self.ring();
        ring.connections = ring.connections.wrapping_add(1);
        ConnectionLog { log: self.clone(), number: ring.connections }
    }

    /// The kept PDUs, oldest first, in the chunks in which they crossed the wire.
    #[must_use]
    pub fn pdu_chunks(&self) -> Vec<PduChunk> {
        self.ring().chunks()
    }

    /// Which message each of the kept PDUs belongs to, as far as that is known.
    #[must_use]
    pub fn pdu_owners(&self) -> PduOwners {
        PduOwners(self.ring().owners.iter().copied().collect())
    }

    fn ring(&self) -> MutexGuard<'_, PduRing> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last `count` entries, newest first, over rotated files too; those about one message, if one is given.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn entries(&self, count: usize, about: Option<MessageId>) -> io::Result<Vec<JsonObject>> {
        let about = about.map(|message| message.to_string());
        // Most lines need no reading for that.
        let maybe = |line: &&str| about.as_ref().is_none_or(|about| line.contains(&**about));
        let meant =
            |entry: &JsonObject| about.is_none() || entry.get(MESSAGE_ID).and_then(Value::as_str) == about.as_deref();
        // What has been said before the question belongs into the answer.
        let (done, written) = sync_channel(1);
        if self.logs.lines.send(Line::Flush(done)).is_ok() {
            let _ = written.recv();
        }
        let mut entries = Vec::new();
        for index in 0.. {
            let text = match fs::read_to_string(rotated(&file(&self.logs.files.path, &self.id), index)) {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(error),
            };
            // A last line without its end is still being written.
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            let lines = whole.lines().rev().filter(maybe);
            entries.extend(lines.filter_map(|line| serde_json::from_str(line).ok()).filter(meant));
            if entries.len() >= count {
                break;
            }
        }
        entries.truncate(count);
        Ok(entries)
    }
}

/// The key of an entry's message.
const MESSAGE_ID: &str = "message_id";

/// Lines about one message.
pub struct AboutMessage<'a> {
    log: &'a ChannelLog,
    message: Option<MessageId>,
}

impl AboutMessage<'_> {
    /// Worth knowing.
    pub fn info(&self, message: impl Into<String>) {
        self.write(LogLevel::Info, message);
    }

    /// Something is not as it should be.
    pub fn warn(&self, message: impl Into<String>) {
        self.write(LogLevel::Warning, message);
    }

    /// Something failed because of an error; see [`ChannelLog::failure`].
    pub fn failure<E: Error>(&self, message: impl Into<String>, error: &E) {
        let class = std::any::type_name::<E>().rsplit("::").next().unwrap_or_default();
        let mut stack = vec![error.to_string()];
        let mut cause = error.source();
        while let Some(error) = cause {
            stack.push(error.to_string());
            cause = error.source();
        }
        let instance = format!("{class}({:?})", error.to_string());
        let exception = json!({"class": class, "instance": instance, "stack": stack});
        self.write_with(LogLevel::Error, message, JsonObject::from_iter([("exception".to_owned(), exception)]));
    }

    fn write(&self, level: LogLevel, message: impl Into<String>) {
        self.write_with(level, message, JsonObject::new());
    }

    fn write_with(&self, level: LogLevel, message: impl Into<String>, mut details: JsonObject) {
        details.extend(self.message.map(|message| (MESSAGE_ID.to_owned(), json!(message))));
        self.log.write(level, message, details);
    }
}

/// Where the PDUs of one connection are kept.
pub struct ConnectionLog {
    log: ChannelLog,
    number: u32,
}

impl fmt::Debug for ConnectionLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {} of {}", self.number, self.log.id)
    }
}

impl ConnectionLog {
    /// Keeps PDUs that crossed the wire; one copy of their octets, masked if they are private, nothing else.
    pub fn pdus(&self, received: bool, octets: &[u8]) {
        let masked = self.log.privacy().then(|| masked(octets));
        let octets = masked.as_deref().unwrap_or(octets);
        let chunk = Chunk { at: Timestamp::now(), connection: self.number, received, length: octets.len() };
        self.log.ring().push(chunk, octets);
    }

    /// Notes that a request of ours, or of the peer's (`received`), with this sequence number belongs to a message.
    pub fn belongs(&self, received: bool, sequence: u32, message: MessageId) {
        self.log.ring().note((PduName { connection: self.number, received, sequence }, message));
    }
}

/// Names a request among the kept PDUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct PduName {
    connection: u32,
    received: bool,
    sequence: u32,
}

/// Which messages PDUs belong to.
#[derive(Debug, Default)]
pub struct PduOwners(HashMap<PduName, MessageId>);

impl PduOwners {
    /// The message of a PDU of a chunk: of a request, or of the answer to one.
    #[must_use]
    pub fn of(&self, chunk: &PduChunk, response: bool, sequence: u32) -> Option<MessageId> {
        let name = PduName { connection: chunk.connection, received: chunk.received != response, sequence };
        self.0.get(&name).copied()
    }
}

/// The last PDUs as one run of octets with an index; the oldest make room.
#[derive(Debug, Default)]
struct PduRing {
    octets: VecDeque<u8>,
    index: VecDeque<Chunk>,
    /// The messages of the last requests.
    owners: VecDeque<(PduName, MessageId)>,
    /// How many connections there have been.
    connections: u32,
}

#[derive(Clone, Copy, Debug)]
struct Chunk {
    at: Timestamp,
    connection: u32,
    received: bool,
    length: usize,
}

/// Requests whose messages are kept: about as many as fit into the ring with their answers.
const OWNERS: usize = 2_048;

impl PduRing {
    fn push(&mut self, chunk: Chunk, octets: &[u8]) {
        if octets.len() > RING_OCTETS {
            return;
        }
        while self.octets.len() + octets.len() > RING_OCTETS {
            let Some(oldest) = self.index.pop_front() else { break };
            self.octets.drain(..oldest.length);
        }
        self.octets.extend(octets);
        self.index.push_back(chunk);
    }

    fn note(&mut self, owner: (PduName, MessageId)) {
        if self.owners.len() >= OWNERS {
            self.owners.pop_front();
        }
        self.owners.push_back(owner);
    }

    fn chunks(&self) -> Vec<PduChunk> {
        let mut octets = self.octets.iter().copied();
        let chunk = |chunk: &Chunk| PduChunk {
            at: chunk.at,
            connection: chunk.connection,
            received: chunk.received,
            octets: octets.by_ref().take(chunk.length).collect(),
        };
        self.index.iter().map(chunk).collect()
    }
}

/// The file of an id.
fn file(path: &Path, id: &Arc<str>) -> PathBuf {
    // Imported ids may be anything but a slash; dots must not lead out of the directory.
    path.join(id.replace("..", "__").replace('/', "_"))
}

struct Writer {
    files: LogFiles,
    open: HashMap<Arc<str>, RotatingFile>,
}

impl Writer {
    fn run(mut self, inbox: &Receiver<Line>) {
        for line in inbox {
            let done = match line {
                Line::Entry(id, entry) => self.append(&id, &entry),
                Line::Delete(id) => self.delete(&id),
                Line::Flush(done) => {
                    let _ = done.send(());
                    Ok(())
                }
            };
            if let Err(error) = done {
                tracing::error!(%error, path = %self.files.path.display(), "a channel log could not be written");
            }
        }
    }

    fn append(&mut self, id: &Arc<str>, entry: &str) -> io::Result<()> {
        if !self.open.contains_key(id) {
            if self.open.len() >= OPEN_FILES {
                self.open.clear();
            }
            let path = file(&self.files.path, id);
            self.open.insert(id.clone(), RotatingFile::open(path, self.files.rotate_size, self.files.max_files)?);
        }
        if let Some(file) = self.open.get_mut(id) {
            file.append(format!("{entry}\n").as_bytes())?;
        }
        Ok(())
    }

    fn delete(&mut self, id: &Arc<str>) -> io::Result<()> {
        self.open.remove(id);
        for index in 0.. {
            match fs::remove_file(rotated(&file(&self.files.path, id), index)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logs(path: &Path, rotate_size: u64) -> ChannelLogs {
        ChannelLogs::start(LogFiles { path: path.to_owned(), rotate_size, max_files: 2, privacy: false }).unwrap()
    }

    #[test]
    fn entries_come_newest_first_over_rotated_files_of_which_only_some_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let log = logs(directory.path(), 300).channel(&"Abc".into());
        for number in 0..20 {
            log.info(number.to_string());
        }
        let entries = log.entries(100, None).unwrap();
        assert_eq!(entries[0]["message"], "19");
        assert_eq!(entries[0]["logger"], "abc");
        assert_eq!(entries[0]["level"], 20);
        assert!(entries.len() > 4 && entries.len() < 20, "{}", entries.len());
        assert_eq!(log.entries(2, None).unwrap().len(), 2);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
        log.logs.delete(&"Abc".into());
        assert!(log.entries(1, None).unwrap().is_empty());
    }

    #[test]
    fn fewer_files_are_kept_when_fewer_are_wanted() {
        let directory = tempfile::tempdir().unwrap();
        for index in 1..=6 {
            fs::write(directory.path().join(format!("a.{index}")), "{}\n").unwrap();
        }
        let log = logs(directory.path(), 1).channel(&"a".into());
        log.info("one");
        log.info("two");
        assert_eq!(log.entries(1, None).unwrap()[0]["message"], "two");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
    }

    #[test]
    fn more_channels_than_open_files_lose_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let logs = logs(directory.path(), 1_000_000);
        let channels: Vec<_> =
            (0..2 * OPEN_FILES).map(|number| logs.channel(&number.to_string().as_str().into())).collect();
        for round in ["one", "two"] {
            channels.iter().for_each(|log| log.info(round));
        }
        for log in &channels {
            let entries = log.entries(3, None).unwrap();
            assert_eq!(entries.iter().map(|entry| &entry["message"]).collect::<Vec<_>>(), ["two", "one"]);
        }
    }

    #[test]
    fn the_pdu_ring_keeps_the_latest_octets() {
        let mut ring = PduRing::default();
        for number in 0..400_u16 {
            let octets = number.to_be_bytes().repeat(500);
            let at = Timestamp(i64::from(number));
            let chunk = Chunk { at, connection: 1, received: number % 2 == 0, length: octets.len() };
            ring.push(chunk, &octets);
        }
        let chunks = ring.chunks();
        assert!(chunks.len() == RING_OCTETS / 1000);
        let last = chunks.last().unwrap();
        assert_eq!((last.at, last.received, &last.octets[..2]), (Timestamp(399), false, &[1, 143][..]));
    }
}
