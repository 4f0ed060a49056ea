//! Conversations out of a capture: all of them at once, or PDU by PDU as they come.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::connections::{Connections, Patience, Seen};
use super::conversation::{CapturedPdu, Conversation};
use super::file::{self, Packet};
use super::fragments::Fragments;
use super::link::{self, Content};

/// What a capture has of SMPP.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Capture {
    /// Its conversations, in the order in which they begin.
    pub conversations: Vec<Conversation>,
    /// What could not be read, and was passed over.
    pub notes: Vec<String>,
}

/// What becomes known of a capture while it is read.
#[derive(Clone, Debug, PartialEq)]
pub enum Followed {
    /// A PDU.
    Pdu {
        /// Its conversation, counted from 1 in the order of their first PDUs.
        conversation: u64,
        /// The side that binds.
        esme: SocketAddr,
        /// The side that is bound to.
        smsc: SocketAddr,
        /// It.
        pdu: CapturedPdu,
    },
    /// No more will come of a conversation.
    Ended {
        /// Its number.
        conversation: u64,
    },
    /// Something could not be read, and was passed over.
    Note(String),
}

/// Why a capture could not be read to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// It cannot be opened.
    #[error("the file cannot be opened")]
    Open(#[from] std::io::Error),
    /// It is something else.
    #[error("this is no pcap or pcapng file")]
    NotACapture,
    /// The file system failed.
    #[error("the file cannot be read at packet {packet}")]
    Unreadable {
        /// Counted from 1.
        packet: u64,
    },
    /// It ends in the middle of a packet.
    #[error("the file ends in the middle of packet {packet}")]
    CutOff {
        /// Counted from 1.
        packet: u64,
    },
    /// It makes no sense any more.
    #[error("the file is damaged at packet {packet}")]
    Damaged {
        /// Counted from 1.
        packet: u64,
    },
}

impl CaptureError {
    /// Whether what came before can be believed.
    fn is_late(&self) -> bool {
        matches!(self, Self::CutOff { .. } | Self::Damaged { .. })
    }
}

/// Most notes that are kept.
const MOST_NOTES: usize = 1_000;

/// Reads a capture file.
///
/// # Errors
/// [`CaptureError`] when it is none. A file that ends early or is damaged further on gives what it has, with a note.
pub fn read(path: &Path) -> Result<Capture, CaptureError> {
    read_from(File::open(path)?)
}

/// Reads a capture, wherever it comes from.
///
/// # Errors
/// As [`read`].
pub fn read_from(file: impl Read + Send + 'static) -> Result<Capture, CaptureError> {
    let mut reader = Reader::new(Patience::Whole);
    let mut found = Found::default();
    let ended: Result<(), CaptureError> = file::packets(file, |packet| {
        reader.packet(&packet);
        found.take(&mut reader);
        Ok(())
    });
    reader.finish();
    found.take(&mut reader);
    let mut capture = found.capture();
    match ended {
        Ok(()) => {}
        Err(error) if error.is_late() && !capture.conversations.is_empty() => capture.notes.push(error.to_string()),
        Err(error) => return Err(error),
    }
    Ok(capture)
}

/// Shows what is in a capture while it comes, until `show` fails. Nothing is kept of what was shown.
///
/// # Errors
/// What `show` says, and [`CaptureError`] as [`read`].
pub fn follow<E: From<CaptureError>>(
    file: impl Read + Send + 'static,
    mut show: impl FnMut(Followed) -> Result<(), E>,
) -> Result<(), E> {
    let mut reader = Reader::new(Patience::Live);
    let mut numbers = Numbers::default();
    let mut failed = None;
    let ended = file::packets(file, |packet| {
        reader.packet(&packet);
        let shown = numbers.show(&mut reader, &mut show);
        shown.map_err(|error| {
            failed = Some(error);
            CaptureError::Unreadable { packet: packet.number }
        })
    });
    if let Some(error) = failed {
        return Err(error);
    }
    reader.finish();
    numbers.show(&mut reader, &mut show)?;
    match ended {
        Ok(()) => Ok(()),
        Err(error) if error.is_late() && numbers.last > 0 => show(Followed::Note(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// From packets to what becomes known.
struct Reader {
    connections: Connections,
    fragments: Fragments,
    /// The first packet's time.
    start: Option<Duration>,
    unknown_links: u64,
}

impl Reader {
    fn new(patience: Patience) -> Self {
        let connections = Connections::new(patience);
        Self { connections, fragments: Fragments::default(), start: None, unknown_links: 0 }
    }

    fn packet(&mut self, packet: &Packet<'_>) {
        let start = *self.start.get_or_insert(packet.at);
        let moment = (packet.number, packet.at.saturating_sub(start));
        match link::read(packet.link, packet.data) {
            Content::Tcp(segment) => self.connections.segment(moment, segment),
            Content::Fragment(fragment) => {
                let whole = self.fragments.push(moment.1, &fragment);
                if let Some(segment) = whole.as_ref().and_then(|whole| link::joined(&fragment.packet, whole)) {
                    self.connections.segment(moment, segment);
                }
            }
            Content::UnknownLink => self.unknown_links += 1,
            Content::Other => {}
        }
    }

    fn finish(&mut self) {
        self.connections.finish();
        self.fragments.finish();
        let mut note = |count: u64, what: &str| {
            if count > 0 {
                self.connections.seen.push(Seen::Note(format!("{count} {what} were passed over")));
            }
        };
        note(self.fragments.given_up, "IP packets of which not all fragments came");
        note(self.unknown_links, "packets of an unknown link type");
    }
}

/// A conversation whose PDUs are not in order yet.
struct Unsorted {
    esme: SocketAddr,
    smsc: SocketAddr,
    /// Each with its packet's number.
    pdus: Vec<(u64, CapturedPdu)>,
}

/// Conversations as far as they were read.
#[derive(Default)]
struct Found {
    /// By the connection's number.
    conversations: HashMap<u64, Unsorted>,
    notes: Vec<String>,
    /// Notes beyond those that are kept.
    more: usize,
}

impl Found {
    fn take(&mut self, reader: &mut Reader) {
        for seen in reader.connections.seen.drain(..) {
            match seen {
                Seen::Pdu { connection, esme, smsc, packet, pdu } => {
                    let begun = || Unsorted { esme, smsc, pdus: Vec::new() };
                    self.conversations.entry(connection).or_insert_with(begun).pdus.push((packet, pdu));
                }
                Seen::Ended { .. } => {}
                Seen::Note(note) if self.notes.len() < MOST_NOTES => self.notes.push(note),
                Seen::Note(_) => self.more += 1,
            }
        }
    }

    fn capture(self) -> Capture {
        let mut found: Vec<_> = self.conversations.into_iter().collect();
        found.sort_unstable_by_key(|(connection, _)| *connection);
        let conversations = found.into_iter().map(|(_, Unsorted { esme, smsc, mut pdus })| {
            pdus.sort_by_key(|(packet, _)| *packet);
            Conversation { esme, smsc, pdus: pdus.into_iter().map(|(_, pdu)| pdu).collect() }
        });
        let mut notes = self.notes;
        if self.more > 0 {
            notes.push(format!("and {} more of that kind", self.more));
        }
        Capture { conversations: conversations.collect(), notes }
    }
}

/// Numbers for conversations that are shown while they come.
#[derive(Default)]
struct Numbers {
    /// By the connection's number.
    given: HashMap<u64, u64>,
    last: u64,
}

impl Numbers {
    fn show<E>(&mut self, reader: &mut Reader, show: &mut impl FnMut(Followed) -> Result<(), E>) -> Result<(), E> {
        for seen in reader.connections.seen.drain(..) {
            let followed = match seen {
                Seen::Pdu { connection, esme, smsc, pdu, .. } => {
                    let conversation = *self.given.entry(connection).or_insert_with(|| {
                        self.last += 1;
                        self.last
                    });
                    Followed::Pdu { conversation, esme, smsc, pdu }
                }
                Seen::Ended { connection } => match self.given.remove(&connection) {
                    Some(conversation) => Followed::Ended { conversation },
                    None => continue,
                },
                Seen::Note(note) => Followed::Note(note),
            };
            show(followed)?;
        }
        Ok(())
    }
}
