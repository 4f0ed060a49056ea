//! SMPP v3.4 without I/O: the caller brings octets and time, the engine brings the protocol.
#![warn(missing_docs)]

pub mod command;
pub mod describe;
pub mod error;
pub mod field;
#[cfg(feature = "tokio")]
pub mod net;
pub mod pdu;
pub mod raw;
pub mod receipt;
pub mod session;
pub mod text;
pub mod tlv;
pub mod ussd;
pub mod wire;

pub use command::{CommandId, CommandStatus, SequenceNumber, StatusClass};
pub use describe::Description;
pub use error::{DecodeError, DecodeErrorKind, FrameError};
pub use field::{Address, DataCoding, EsmClass, MessageState, MessageType, Npi, RegisteredDelivery, Ton};
pub use pdu::{BindMode, Pdu};
pub use raw::RawPdu;
pub use tlv::{Tag, Tlvs};
pub use wire::{CString, Password, ShortMessage, StringError, Value};
