//! The PDUs in one direction of a connection, from its octets in order.
//!
//! Until a first PDU was found only what some version of SMPP has is believed in: a command of 3.3, 3.4 or 5.0, a length
//! that it can have, and status 0 in a request. Behind that any command may come, for peers say things that no version
//! has. Where octets are missing, and where the capture begins in the middle, the next PDU is looked for: a header
//! that is believed in, followed by another such header or by the end.

use std::ops::RangeInclusive;

use bytes::{Buf, BytesMut};
use smpp::raw::HEADER_LEN;
use smpp::{BindMode, CommandId, RawPdu};

use super::stream::Moment;

/// Octets that are looked through for a PDU before a direction is taken not to be SMPP.
const MOST_SEARCHED: usize = 256 * 1024;
/// Longest PDU that is believed in.
const MOST_PDU: usize = 70_000;
/// Longest bind, outbind or PDU without mandatory parameters that is believed in.
const MOST_SHORT: usize = 1_024;
/// Commands of SMPP 3.3 that later versions have dropped: param_retrieve, query_last_msgs, query_msg_details.
const ONLY_IN_3_3: RangeInclusive<u32> = 0x22..=0x24;
/// Statuses of the standard and of vendors are below (§5.1.3); some gateways use more of their 16 bits.
const MOST_STATUS: u32 = 0xffff;

/// See the file's head.
#[derive(Debug, Default)]
pub(super) struct Framing {
    state: State,
    buffer: BytesMut,
    searched: usize,
    /// Whether a PDU was ever found here, or the other direction has shown that this is SMPP.
    speaks: bool,
    pub(super) pdus: Vec<(Moment, RawPdu)>,
    /// What could not be read, in words.
    pub(super) notes: Vec<String>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing has been seen yet: the first octets may be anywhere in a PDU.
    #[default]
    Unknown,
    /// The next octet begins a PDU.
    Sound,
    /// The next PDU is looked for.
    Lost,
    /// This is not SMPP.
    Foreign,
}

impl Framing {
    /// The next octet is the first of all.
    pub(super) fn begin(&mut self) {
        if self.state == State::Unknown && self.buffer.is_empty() {
            self.state = State::Sound;
        }
    }

    /// Whether this is not SMPP.
    pub(super) fn is_foreign(&self) -> bool {
        self.state == State::Foreign
    }

    /// The connection is known to be SMPP: whatever comes is.
    pub(super) fn trust(&mut self) {
        self.speaks = true;
        if self.state == State::Foreign {
            // It began with something else, as behind a proxy that says whom it stands for.
            self.lose();
        }
    }

    /// The connection is known not to be SMPP.
    pub(super) fn give_up(&mut self) {
        self.state = State::Foreign;
        self.buffer = BytesMut::new();
        self.pdus = Vec::new();
        self.notes = Vec::new();
    }

    /// Octets that are held.
    pub(super) fn held(&self) -> usize {
        self.buffer.len()
    }

    /// The next octets.
    pub(super) fn push(&mut self, at: Moment, octets: &[u8]) {
        if self.state != State::Foreign {
            self.buffer.extend_from_slice(octets);
            self.cut(at, false);
            if self.buffer.is_empty() {
                // An empty one may still keep the room of a long PDU.
                self.buffer = BytesMut::new();
            }
        }
    }

    /// Octets are missing here.
    pub(super) fn gap(&mut self) {
        if self.state != State::Foreign {
            self.buffer = BytesMut::new();
            self.lose();
        }
    }

    /// Nothing will come any more.
    pub(super) fn finish(&mut self, at: Moment) {
        self.cut(at, true);
        if self.state == State::Sound && self.speaks && !self.buffer.is_empty() {
            self.notes.push(format!("the last {} octets are no whole PDU", self.buffer.len()));
        }
    }

    fn lose(&mut self) {
        self.state = State::Lost;
        self.searched = 0;
    }

    /// Cuts off the PDUs that are complete.
    fn cut(&mut self, at: Moment, ended: bool) {
        loop {
            match self.state {
                State::Foreign => return self.buffer.clear(),
                State::Sound => match if self.speaks { framed(&self.buffer) } else { believed(&self.buffer) } {
                    Header::Incomplete => return,
                    Header::Impossible if self.speaks => {
                        self.notes.push("octets that begin no PDU were passed over".to_owned());
                        self.lose();
                    }
                    Header::Impossible => self.state = State::Foreign,
                    Header::Pdu(_) => match RawPdu::split(&mut self.buffer, MOST_PDU) {
                        Ok(Some(raw)) => {
                            self.speaks = true;
                            self.pdus.push((at, raw));
                        }
                        Ok(None) | Err(_) => return,
                    },
                },
                State::Unknown | State::Lost => {
                    if !self.search(ended) {
                        return;
                    }
                }
            }
        }
    }

    /// Looks for the next PDU; whether it was found, or all hope was given up.
    fn search(&mut self, ended: bool) -> bool {
        while self.buffer.len() >= HEADER_LEN {
            if let Header::Pdu(length) = believed(&self.buffer) {
                let sure = match self.buffer.get(length..) {
                    // What follows must begin like a PDU, or not be there.
                    Some(rest) => !matches!(believed(rest), Header::Impossible),
                    None => ended,
                };
                if sure {
                    self.state = State::Sound;
                    return true;
                }
                if self.buffer.get(length..).is_none() {
                    // Its end has not come yet; it may tell.
                    return false;
                }
            }
            self.buffer.advance(1);
            self.searched += 1;
            if self.searched > MOST_SEARCHED && !self.speaks {
                self.state = State::Foreign;
                return true;
            }
        }
        false
    }
}

enum Header {
    /// A PDU of this length may begin here.
    Pdu(usize),
    Incomplete,
    Impossible,
}

fn word(octets: &[u8], at: usize) -> Option<u32> {
    octets.get(at..).and_then(<[u8]>::first_chunk).copied().map(u32::from_be_bytes)
}

/// Whether a PDU of any command may begin at the front.
fn framed(octets: &[u8]) -> Header {
    let Some(length) = word(octets, 0) else { return Header::Incomplete };
    match usize::try_from(length) {
        Ok(length) if (HEADER_LEN..=MOST_PDU).contains(&length) => Header::Pdu(length),
        _ => Header::Impossible,
    }
}

/// Whether a PDU that some version of SMPP has may begin at the front.
fn believed(octets: &[u8]) -> Header {
    let length = match framed(octets) {
        Header::Pdu(length) => length,
        other => return other,
    };
    let Some(id) = word(octets, 4).map(CommandId) else { return Header::Incomplete };
    if !lengths(id).is_some_and(|lengths| lengths.contains(&length)) {
        return Header::Impossible;
    }
    match word(octets, 8) {
        None => Header::Incomplete,
        Some(0) => Header::Pdu(length),
        // Some ESMEs leave one in their binds, and are taken; the answer will tell.
        Some(status) if (id.is_response() || BindMode::of(id).is_some()) && status <= MOST_STATUS => {
            Header::Pdu(length)
        }
        Some(_) => Header::Impossible,
    }
}

/// What lengths PDUs of a command may have; `None` for what no version has.
pub(super) fn lengths(id: CommandId) -> Option<RangeInclusive<usize>> {
    let request = CommandId(id.0 & 0x7fff_ffff);
    match request {
        // §4.1: five strings, be they empty, and three integers; responses may have no body.
        _ if BindMode::of(id).is_some() => Some(HEADER_LEN + 7..=MOST_SHORT),
        CommandId::OUTBIND => Some(HEADER_LEN + 2..=MOST_SHORT),
        CommandId::UNBIND | CommandId::ENQUIRE_LINK => Some(HEADER_LEN..=MOST_SHORT),
        _ if id.name().is_some() || ONLY_IN_3_3.contains(&request.0) => Some(HEADER_LEN..=MOST_PDU),
        _ => None,
    }
}
