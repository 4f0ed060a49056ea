//! What can be wrong with octets from a peer, and who has to act on it.
//!
//! [`FrameError`]: the stream has lost its framing, close it. [`DecodeError`]: a well-framed PDU with a bad
//! body, answer it and carry on. A negative `command_status` is a value, not an error.

use crate::command::{CommandStatus, SequenceNumber};

/// The stream can no longer be cut into PDUs; the only remedy is to close it (field guide §8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// `command_length` is below the header's own 16 octets.
    #[error("command_length {length} is shorter than the 16-octet header")]
    TooShort {
        /// The announced length in octets.
        length: u32,
    },
    /// `command_length` exceeds the configured limit.
    #[error("command_length {length} exceeds the limit of {limit} octets")]
    TooLong {
        /// The announced length in octets.
        length: u32,
        /// The configured limit in octets.
        limit: usize,
    },
    /// A PDU began and its rest did not come in time.
    #[error("{have} octets of a PDU arrived and the rest did not")]
    Stalled {
        /// Octets that arrived.
        have: usize,
    },
}

/// A PDU whose frame is sound but whose body is not (§3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} at offset {offset}: {kind}")]
pub struct DecodeError {
    /// The standard's name of the field that could not be read.
    pub field: &'static str,
    /// Where the field begins, in octets from the start of the PDU, header included.
    pub offset: usize,
    /// What is wrong with it.
    pub kind: DecodeErrorKind,
    /// The sequence number to answer with.
    pub sequence: SequenceNumber,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The body ends inside the field.
    #[error("the body ends inside the field")]
    Truncated,
    /// A C-octet string has no NUL before the body's end.
    #[error("the C-octet string has no terminating NUL")]
    Unterminated,
    /// A C-octet string is longer than this implementation tolerates.
    #[error("the C-octet string exceeds {max} octets")]
    TooLong {
        /// The limit in octets, NUL included.
        max: usize,
    },
    /// `sm_length` or another length field announces more octets than the body has.
    #[error("announces {announced} octets where {available} are left")]
    LengthOverrun {
        /// Octets announced.
        announced: usize,
        /// Octets left in the body.
        available: usize,
    },
    /// A field has a value that gives what follows no meaning (`dest_flag` other than 1 or 2).
    #[error("value {value} is not defined")]
    Undefined {
        /// The value found.
        value: u8,
    },
    /// The command id is not one this implementation knows.
    #[error("unknown command id")]
    UnknownCommand,
}

impl DecodeError {
    /// The `command_status` to answer the bad request with (field guide §4.5, §8.3).
    #[must_use]
    pub const fn status(&self) -> CommandStatus {
        match self.kind {
            DecodeErrorKind::UnknownCommand => CommandStatus::ESME_RINVCMDID,
            DecodeErrorKind::LengthOverrun { .. } => CommandStatus::ESME_RINVMSGLEN,
            DecodeErrorKind::Undefined { .. } => CommandStatus::ESME_RINVDESTFLAG,
            _ => CommandStatus::ESME_RINVCMDLEN,
        }
    }
}
