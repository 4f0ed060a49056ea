//! SMPP v3.4 without I/O: the caller brings octets and time, the engine brings the protocol.
#![warn(missing_docs)]

pub mod command;
pub mod error;
pub mod raw;

pub use command::{CommandId, CommandStatus, SequenceNumber, StatusClass};
pub use error::{DecodeError, DecodeErrorKind, FrameError};
pub use raw::RawPdu;
