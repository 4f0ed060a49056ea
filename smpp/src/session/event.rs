//! What the caller learns from a session.

use std::time::Duration;

use crate::command::{CommandStatus, SequenceNumber};
use crate::error::{DecodeError, FrameError};
use crate::pdu::{Bind, BindMode, Pdu};
use crate::raw::RawPdu;
use crate::tlv::{Tag, Tlvs};

/// One thing that happened. `T` is the caller's token for its own requests.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub enum Event<T> {
    /// ESME: the bind was accepted. SMSC: our answer accepted it.
    Bound {
        /// Which way messages may flow.
        mode: BindMode,
        /// What the SMSC calls itself; empty at the SMSC's end.
        system_id: String,
        /// What the peer sent along; `sc_interface_version` is here when it said.
        tlvs: Tlvs,
    },
    /// SMSC: somebody asks to bind; answer with [`Session::respond`](super::Session::respond).
    BindRequest {
        /// To answer with.
        sequence: SequenceNumber,
        /// Which way.
        mode: BindMode,
        /// Who.
        bind: Bind,
    },
    /// The peer asks something that the caller must answer ([`Session::respond`](super::Session::respond));
    /// alert_notification and outbind alone have no answer.
    Request {
        /// To answer with.
        sequence: SequenceNumber,
        /// What.
        pdu: Pdu,
    },
    /// A request of the caller's was answered, by its response or by generic_nack.
    Response {
        /// Whose answer.
        token: T,
        /// The outcome.
        status: CommandStatus,
        /// The body; [`Pdu::NoBody`] when there was none or it could not be read.
        pdu: Pdu,
        /// How long it took.
        latency: Duration,
    },
    /// A request of the caller's was not answered in time, or by something that is no answer to it: its fate at
    /// the peer is unknown.
    Expired {
        /// Whose.
        token: T,
    },
    /// The session itself answered a request with an error; for the log.
    Refused {
        /// The request.
        raw: RawPdu,
        /// Why.
        why: Refusal,
    },
    /// A response or generic_nack that belongs to nothing outstanding; for the log.
    Stray {
        /// It.
        raw: RawPdu,
    },
    /// The peer has asked to end the session; no request may be sent any more.
    PeerUnbinding,
    /// The session is over; nothing comes after this. Write what [`Session::poll_transmit`](
    /// super::Session::poll_transmit) still has, then close the stream.
    Closed {
        /// Why.
        why: CloseReason,
        /// Requests that were not answered, oldest first: their fate at the peer is unknown.
        outstanding: Vec<T>,
    },
}

/// Why the session answered a request with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Its body could not be read.
    #[error("malformed: {0}")]
    Malformed(DecodeError),
    /// The bind does not allow it (§2.3).
    #[error("not allowed in this bind state")]
    WrongState,
    /// Too many requests wait for the caller's answer.
    #[error("too many requests are waiting for an answer")]
    TooMany,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// We unbound, in order.
    #[error("unbound")]
    Unbound,
    /// The peer unbound, in order.
    #[error("the peer unbound")]
    PeerUnbound,
    /// The peer refused the bind.
    #[error("bind refused: {0}")]
    BindRefused(CommandStatus),
    /// The bind was not answered in time, or nobody bound in time.
    #[error("timed out awaiting bind")]
    BindTimeout,
    /// The peer answered the bind with something that does not fit it.
    #[error("the bind was answered with another command's response")]
    BindMismatch,
    /// The peer answered no enquire_link.
    #[error("the peer has gone silent")]
    Silent,
    /// No message either way for too long.
    #[error("no traffic for too long")]
    Inactive,
    /// The peer did not answer our unbind in time.
    #[error("the peer did not answer the unbind in time")]
    UnbindTimeout,
    /// The stream could no longer be cut into PDUs.
    #[error("lost framing: {0}")]
    Framing(FrameError),
    /// The stream ended.
    #[error("the connection was lost")]
    ConnectionLost,
}

/// The interface version that a bind's answer declared, if it did (§5.3.2.25).
#[must_use]
pub fn interface_version(tlvs: &Tlvs) -> Option<u8> {
    tlvs.integer(Tag::SC_INTERFACE_VERSION).and_then(|version| u8::try_from(version).ok())
}
