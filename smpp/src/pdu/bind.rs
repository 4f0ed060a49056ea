//! bind_transmitter, bind_receiver, bind_transceiver, their responses, and outbind (§4.1).
//!
//! The three binds differ in their command id only, so they are one [`Bind`] and a [`BindMode`].

use super::body;
use crate::command::CommandId;
use crate::field::Address;
use crate::wire::{CString, Password};

/// Which way messages may flow on a bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BindMode {
    /// ESME to SMSC only.
    Transmitter,
    /// SMSC to ESME only.
    Receiver,
    /// Both.
    Transceiver,
}

impl BindMode {
    /// The command that binds so.
    #[must_use]
    pub const fn command_id(self) -> CommandId {
        match self {
            Self::Transmitter => CommandId::BIND_TRANSMITTER,
            Self::Receiver => CommandId::BIND_RECEIVER,
            Self::Transceiver => CommandId::BIND_TRANSCEIVER,
        }
    }

    /// The mode that a bind command asks for.
    #[must_use]
    pub const fn of(id: CommandId) -> Option<Self> {
        match id {
            CommandId::BIND_TRANSMITTER => Some(Self::Transmitter),
            CommandId::BIND_RECEIVER => Some(Self::Receiver),
            CommandId::BIND_TRANSCEIVER => Some(Self::Transceiver),
            _ => None,
        }
    }

    /// The mode that a bind response answers.
    #[must_use]
    pub const fn of_response(id: CommandId) -> Option<Self> {
        match id {
            CommandId::BIND_TRANSMITTER_RESP => Some(Self::Transmitter),
            CommandId::BIND_RECEIVER_RESP => Some(Self::Receiver),
            CommandId::BIND_TRANSCEIVER_RESP => Some(Self::Transceiver),
            _ => None,
        }
    }
}

body! {
    /// A request to bind (§4.1.1, §4.1.3, §4.1.5).
    Bind {
        /// Who binds.
        system_id: CString<16> = "system_id",
        /// Proof of it.
        password: Password = "password",
        /// What kind of system binds.
        system_type: CString<13> = "system_type",
        /// 0x34 is v3.4, 0x33 and below v3.3, 0x50 v5.0 (§5.2.4).
        interface_version: u8 = "interface_version",
        /// The addresses that the ESME serves: TON, NPI and a range (§5.2.7), 41 octets at most.
        address_range: Address = "address_range",
    }
}

body! {
    /// The SMSC's answer (§4.1.2, §4.1.4, §4.1.6).
    BindResp {
        /// Who answers.
        system_id: CString<16> = "system_id",
    }
}

body! {
    /// The SMSC asks the ESME to bind (§4.1.7).
    Outbind {
        /// Who asks.
        system_id: CString<16> = "system_id",
        /// Proof of it.
        password: Password = "password",
    }
}
