//! SMPP v3.4 without I/O: the caller brings octets and time, the engine brings the protocol.
//!
//! Layers, lowest first; each can be used without those above it:
//!
//! | module | what |
//! |---|---|
//! | [`raw`] | cutting a stream into frames: header and undecoded body |
//! | [`pdu`], [`tlv`], [`field`] | every command, every optional parameter, the octets with a structure of their own |
//! | [`session`] | one session, ESME or SMSC: binding, windows, timers, pace, orderly ends |
//! | [`text`], [`receipt`], [`ussd`] | what messages say: alphabets, segments, delivery receipts, USSD parameters |
//! | [`describe`], [`explain`] | a PDU as people read it; refusals, their usual cause and what to try |
//! | `net` | a tokio-util codec and a driver for tokio streams (feature `tokio`) |
//! | `testing` | two sessions face to face in virtual time (feature `testing`) |
//!
//! ```
//! use bytes::BytesMut;
//! use smpp::pdu::SubmitSm;
//! use smpp::{CommandStatus, Pdu, RawPdu, SequenceNumber, ShortMessage, text};
//!
//! // Text to a PDU to octets.
//! let encoded = text::encode("Hello €");
//! let submit = SubmitSm {
//!     data_coding: encoded.data_coding,
//!     short_message: ShortMessage::new(encoded.octets)?,
//!     ..SubmitSm::default()
//! };
//! let mut wire = BytesMut::new();
//! Pdu::from(submit).encode(CommandStatus::ESME_ROK, SequenceNumber(1), &mut wire);
//!
//! // And back.
//! let raw = RawPdu::split(&mut wire, smpp::raw::DEFAULT_MAX_PDU_LEN)?.expect("the frame is complete");
//! let Pdu::SubmitSm(submit) = Pdu::decode(&raw)? else { unreachable!() };
//! let charset = text::charset_of(submit.data_coding).expect("GSM 03.38");
//! assert_eq!(charset.decode(submit.short_message.octets())?, "Hello €");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Invariants: octets from a peer never panic and never make the engine allocate more than they are; whatever a peer
//! sends goes out again byte for byte, unknown parameters and trailing octets included; a request ends in exactly one
//! of response, expiry, or hand-back at the end of its session; passwords are not in `Debug` or `Display`.
#![warn(missing_docs)]

pub mod command;
pub mod describe;
pub mod error;
pub mod explain;
pub mod field;
#[cfg(feature = "tokio")]
pub mod net;
pub mod pdu;
pub mod raw;
pub mod receipt;
pub mod session;
#[cfg(feature = "testing")]
pub mod testing;
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
