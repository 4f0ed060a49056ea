//! One TCP connection that spoke SMPP, as PDUs in the order in which they were seen.

use std::net::SocketAddr;
use std::time::Duration;

use smpp::RawPdu;

/// Who sent a PDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    /// The side that binds.
    Esme,
    /// The side that is bound to.
    Smsc,
}

impl Sender {
    /// The one that it talks to.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Esme => Self::Smsc,
            Self::Smsc => Self::Esme,
        }
    }

    /// `esme` or `smsc`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Esme => "esme",
            Self::Smsc => "smsc",
        }
    }
}

/// A PDU as it was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct CapturedPdu {
    /// When its last octet was seen, since the capture's first packet.
    pub at: Duration,
    /// Who sent it.
    pub sender: Sender,
    /// It, byte-exact.
    pub raw: RawPdu,
}

/// A connection's PDUs, both ways.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversation {
    /// The side that binds.
    pub esme: SocketAddr,
    /// The side that is bound to.
    pub smsc: SocketAddr,
    /// In the order of their last octets.
    pub pdus: Vec<CapturedPdu>,
}
