//! The states of a session and who may send what in each (§2.2, §2.3).
//!
//! ```text
//! Open ──bind──> Binding ──ROK──> BoundTx | BoundRx | BoundTrx ──unbind──> Unbinding ──> Closed
//!   └──────────────── refused, timed out, lost: from anywhere ─────────────────────────────^
//! ```

use super::config::Role;
use crate::command::CommandId;
use crate::pdu::BindMode;

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Connected, nobody has asked to bind.
    Open,
    /// A bind waits for its answer.
    Binding(BindMode),
    /// Bound.
    Bound(BindMode),
    /// One side has asked to end, and sends only responses; the other may go on until it has agreed.
    Unbinding,
    /// Over.
    Closed,
}

impl State {
    /// The mode, while bound.
    #[must_use]
    pub const fn bound(self) -> Option<BindMode> {
        match self {
            Self::Bound(mode) => Some(mode),
            _ => None,
        }
    }

    /// Whether a peer of role `sender` may send the request `id` now (§2.3).
    #[must_use]
    pub const fn permits(self, sender: Role, id: CommandId) -> bool {
        let mode = match self {
            Self::Bound(mode) => mode,
            Self::Open => return matches!((sender, id), (Role::Smsc, CommandId::OUTBIND)),
            _ => return false,
        };
        let (to_smsc, to_esme) = match mode {
            BindMode::Transmitter => (true, false),
            BindMode::Receiver => (false, true),
            BindMode::Transceiver => (true, true),
        };
        match id {
            CommandId::SUBMIT_SM
            | CommandId::SUBMIT_MULTI
            | CommandId::QUERY_SM
            | CommandId::CANCEL_SM
            | CommandId::REPLACE_SM
            | CommandId::BROADCAST_SM
            | CommandId::QUERY_BROADCAST_SM
            | CommandId::CANCEL_BROADCAST_SM => matches!(sender, Role::Esme) && to_smsc,
            CommandId::DELIVER_SM | CommandId::ALERT_NOTIFICATION => matches!(sender, Role::Smsc) && to_esme,
            CommandId::DATA_SM => match sender {
                Role::Esme => to_smsc,
                Role::Smsc => to_esme,
            },
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_flow_the_way_the_bind_allows() {
        let tx = State::Bound(BindMode::Transmitter);
        let rx = State::Bound(BindMode::Receiver);
        assert!(tx.permits(Role::Esme, CommandId::SUBMIT_SM) && !rx.permits(Role::Esme, CommandId::SUBMIT_SM));
        assert!(rx.permits(Role::Smsc, CommandId::DELIVER_SM) && !tx.permits(Role::Smsc, CommandId::DELIVER_SM));
        assert!(!State::Bound(BindMode::Transceiver).permits(Role::Smsc, CommandId::SUBMIT_SM));
        assert!(tx.permits(Role::Esme, CommandId::DATA_SM) && !tx.permits(Role::Smsc, CommandId::DATA_SM));
        assert!(!State::Open.permits(Role::Esme, CommandId::SUBMIT_SM));
        assert!(State::Open.permits(Role::Smsc, CommandId::OUTBIND));
    }
}
