//! What a simulated SMSC saw and did, for whoever listens: the command line, tests.

use smpp::text::content::Content;
use smpp::text::udh::Concat;
use smpp::{BindMode, CommandStatus, Pdu};

/// Something that happened on connection `connection`, counted from 1. Those of one connection come in order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SimEvent {
    /// An ESME bound.
    Bound {
        /// Where.
        connection: u64,
        /// Who.
        system_id: String,
        /// How.
        mode: BindMode,
    },
    /// A bind was refused.
    BindRefused {
        /// Where.
        connection: u64,
        /// Whose.
        system_id: String,
        /// How it would have bound.
        mode: BindMode,
        /// What it was answered.
        status: CommandStatus,
    },
    /// A submit_sm, submit_multi or data_sm came; long messages come segment by segment.
    Message {
        /// Where.
        connection: u64,
        /// Whose.
        system_id: String,
        /// Our id; absent when it was refused.
        id: Option<String>,
        /// From whom.
        from: String,
        /// To whom; several joined by commas.
        to: String,
        /// What it says, without header; hexadecimal digits when it is binary.
        text: String,
        /// Which segment it is.
        concat: Option<Concat>,
        /// The whole message, with the last segment to come.
        whole: Option<Whole>,
        /// What it was answered.
        status: CommandStatus,
        /// Whether it was answered at all.
        answered: bool,
        /// All of it.
        pdu: Box<Pdu>,
    },
    /// A receipt or a message from a phone was acknowledged, or refused.
    Delivered {
        /// Where.
        connection: u64,
        /// To whom.
        system_id: String,
        /// It was a receipt.
        receipt: bool,
        /// The id that the receipt is for, as the receipt has it.
        id: Option<String>,
        /// From whom.
        from: String,
        /// To whom.
        to: String,
        /// What it says.
        text: String,
        /// What the ESME answered.
        status: CommandStatus,
    },
    /// A phone was shown a turn of a USSD session.
    Ussd {
        /// Where.
        connection: u64,
        /// Which phone.
        phone: String,
        /// What it was shown.
        text: String,
        /// What it answers, if it does.
        answer: Option<String>,
        /// The session is over.
        ended: bool,
    },
    /// A phone has come to the end of its USSD script, or something else than that has.
    Walked {
        /// Which phone.
        phone: String,
        /// How many steps it took, or what was not as its script has it.
        outcome: Result<usize, String>,
    },
    /// The network ended a USSD session in which nothing was said for too long.
    UssdTimedOut {
        /// Whose.
        phone: String,
    },
    /// A bound connection ended.
    Unbound {
        /// Which.
        connection: u64,
        /// Whose.
        system_id: String,
        /// Why.
        why: String,
    },
}

/// A long message, joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// What it says; hexadecimal digits when it is binary.
    pub text: String,
    /// How many segments it had.
    pub segments: usize,
}

/// The text of a message, or its octets.
pub(super) fn shown(content: &Content) -> String {
    content.text().unwrap_or_else(|| content.octets.iter().map(|octet| format!("{octet:02x}")).collect())
}
