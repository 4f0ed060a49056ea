//! Refusals in words: the usual cause of a status or a network's error, and what to try, for whoever is woken by it.
//!
//! The standard's own sentence is [`CommandStatus::meaning`]; here is what experience adds. A vendor's statuses mean
//! what its operator says.

use crate::command::{CommandStatus, StatusClass};
use crate::receipt::NetworkError;

/// What was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A bind.
    Bind,
    /// A message.
    Message,
}

/// A refusal in words; each is a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What it says.
    pub meaning: &'static str,
    /// Why it usually comes.
    pub cause: &'static str,
    /// What to do about it.
    pub advice: &'static str,
}

impl CommandStatus {
    /// Explains an error.
    ///
    /// ```
    /// use smpp::CommandStatus;
    /// use smpp::explain::Refused;
    ///
    /// let why = CommandStatus::ESME_RINVPASWD.explain(Refused::Bind);
    /// assert!(why.cause.contains("eight characters"));
    /// ```
    #[must_use]
    pub fn explain(self, refused: Refused) -> Explanation {
        let (cause, advice) = match refused {
            Refused::Bind => bind(self),
            Refused::Message => message(self),
        };
        Explanation { meaning: self.meaning(), cause, advice }
    }
}

fn bind(status: CommandStatus) -> (&'static str, &'static str) {
    match status {
        CommandStatus::ESME_RINVSYSID => (
            "The system_id is misspelt, not set up yet, or not allowed from this address.",
            "Compare it letter by letter with what the operator sent, and ask which addresses may bind.",
        ),
        CommandStatus::ESME_RINVPASWD => (
            "The password is wrong, or was cut: SMPP 3.4 has room for eight characters and some operators give longer ones.",
            "Check the password; if it is longer than eight characters, send it in full.",
        ),
        CommandStatus::ESME_RBINDFAIL => (
            "Most SMSCs say this for anything: credentials, bind mode, address, number of binds.",
            "Check system_id and password, whether the account may bind this way, and whether our address is allowed.",
        ),
        CommandStatus::ESME_RALYBND => (
            "The SMSC still holds an earlier bind of this account, often one whose connection broke without a word.",
            "Wait until it notices, or end the other bind; if this goes on, ask how many binds the account may have.",
        ),
        CommandStatus::ESME_RINVSYSTYP => {
            ("The operator expects a certain system_type.", "Ask for the system_type and set it.")
        }
        CommandStatus::ESME_RINVBNDSTS | CommandStatus::ESME_RINVCMDID => (
            "The account may not bind in this mode.",
            "Try a transmitter and a receiver in place of a transceiver, or the other way round.",
        ),
        CommandStatus::ESME_RTHROTTLED | CommandStatus::ESME_RMSGQFUL => (
            "Too many attempts to bind in a short time, or too many binds.",
            "Wait some minutes before the next attempt.",
        ),
        CommandStatus::ESME_RSYSERR | CommandStatus::ESME_RUNKNOWNERR => (
            "Something is wrong at the SMSC.",
            "Wait and try again; if it stays, call the operator with the time and the system_id.",
        ),
        _ => (
            "The SMSC refuses the bind for a reason of its own.",
            "Ask the operator what the status means, and show the PDUs.",
        ),
    }
}

fn message(status: CommandStatus) -> (&'static str, &'static str) {
    match status {
        CommandStatus::ESME_RINVSRCADR | CommandStatus::ESME_RINVSRCTON | CommandStatus::ESME_RINVSRCNPI => (
            "The sender is not one of those that the operator has assigned to the account, or not in the form in which it was.",
            "Use an assigned sender, and the TON and NPI that the operator names for it.",
        ),
        CommandStatus::ESME_RINVDSTADR | CommandStatus::ESME_RINVDSTTON | CommandStatus::ESME_RINVDSTNPI => (
            "The number does not exist, is not in international form, or lies in a network that the account may not reach.",
            "Write the number with its country code; ask which networks are open to the account.",
        ),
        CommandStatus::ESME_RINVMSGLEN | CommandStatus::ESME_RINVESMCLASS | CommandStatus::ESME_RINVCMDLEN => (
            "The text is too long for one message in this form, or the SMSC does not take headers or payloads.",
            "Send long text in another form: segments with header, with sar parameters, or as a payload.",
        ),
        CommandStatus::ESME_RINVDCS => (
            "The SMSC does not know the data_coding.",
            "Choose another encoding, or the data_coding that the operator names for it.",
        ),
        CommandStatus::ESME_RINVOPTPARSTREAM
        | CommandStatus::ESME_ROPTPARNOTALLWD
        | CommandStatus::ESME_RINVPARLEN
        | CommandStatus::ESME_RMISSINGOPTPARAM
        | CommandStatus::ESME_RINVOPTPARAMVAL => (
            "The SMSC does not take an optional parameter that was sent, or misses one of its own.",
            "Send long text in segments with header; ask for the parameters that the operator wants.",
        ),
        CommandStatus::ESME_RTHROTTLED => (
            "More was sent than the account may send in a second, over all its binds.",
            "Set mt_tps to what the operator grants; the message is sent again by itself.",
        ),
        CommandStatus::ESME_RMSGQFUL => (
            "Too many messages of the account, or to this phone, are not delivered yet.",
            "Wait; the message is sent again by itself.",
        ),
        CommandStatus::ESME_RINVBNDSTS => {
            ("The bind may not send, or is no longer one.", "Bind as transceiver or transmitter.")
        }
        CommandStatus::ESME_RINVSCHED | CommandStatus::ESME_RINVEXPIRY => (
            "A time is in the past, too far ahead, or in a form that the SMSC does not read.",
            "Leave it out, or give it relative instead of absolute.",
        ),
        CommandStatus::ESME_RINVSERTYP
        | CommandStatus::ESME_RSERTYPUNAUTH
        | CommandStatus::ESME_RSERTYPDENIED
        | CommandStatus::ESME_RSERTYPUNAVAIL => (
            "The service_type is not one that the account may use.",
            "Leave service_type empty, or ask for the right one.",
        ),
        CommandStatus::ESME_RINVREGDLVFLG => (
            "The account may not ask for receipts in this way.",
            "Turn registered_delivery off, or ask to have receipts enabled.",
        ),
        CommandStatus::ESME_RSUBMITFAIL => (
            "Many SMSCs say this for everything: no credit, a blocked text or sender, no route.",
            "Ask the operator with the time, the number and our PDU.",
        ),
        CommandStatus::ESME_RPROHIBITED => {
            ("The account is not allowed to do this.", "Ask the operator what the account is allowed.")
        }
        _ => match status.class() {
            StatusClass::Temporary | StatusClass::SlowDown => (
                "The SMSC cannot take it now; the message itself is fine.",
                "Send it again later; a retry for this status does so by itself.",
            ),
            _ if (0x400..=0x4ff).contains(&status.0) => (
                "A vendor's own status: credit, filters and routes are the usual reasons.",
                "Look it up in the operator's documentation, and write it into status_texts.",
            ),
            _ => {
                ("The SMSC refuses the message as it is.", "Ask the operator what the status means, and show the PDU.")
            }
        },
    }
}

/// Errors of GSM networks (MAP, 3GPP TS 29.002 §17.6.6), as SMSCs put them into `network_error_code`.
const MAP: [(u16, &str, &str); 16] = [
    (1, "unknown subscriber", "The number is not in use; take it off the list."),
    (5, "unidentified subscriber", "The visited network does not know the phone; try again later."),
    (6, "absent subscriber", "The phone is off or out of reach; the SMSC tries again while the message is valid."),
    (9, "illegal subscriber", "The network has barred the SIM."),
    (11, "teleservice not provisioned", "The subscriber has no SMS service."),
    (12, "illegal equipment", "The network has barred the phone."),
    (13, "call barred", "The subscriber or the operator has barred messages."),
    (21, "facility not supported", "The visited network does not carry SMS."),
    (27, "absent subscriber", "The phone is off or out of reach; the SMSC tries again while the message is valid."),
    (31, "subscriber busy for SMS", "Another message is on its way to the phone; it is tried again."),
    (32, "delivery failure", "The phone refused it: its memory is full, or it is no phone for this kind of message."),
    (33, "message waiting list full", "Too many messages wait for this phone."),
    (34, "system failure", "Something is wrong in the visited network; try again later."),
    (35, "data missing", "The networks did not understand each other; call the operator."),
    (36, "unexpected data value", "The networks did not understand each other; call the operator."),
    (51, "resource limitation", "The network is overloaded; try again later."),
];

impl NetworkError {
    /// The network's name for it and what follows from it, for errors of GSM networks that have a usual meaning.
    #[must_use]
    pub fn explain(self) -> Option<(&'static str, &'static str)> {
        // Three digits come from GSM networks, too.
        if !matches!(self.network, Some(3) | None) {
            return None;
        }
        MAP.iter().find(|(code, _, _)| *code == self.code).map(|(_, name, advice)| (*name, *advice))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_explained_in_sentences() {
        for status in (0..0x500).map(CommandStatus) {
            for refused in [Refused::Bind, Refused::Message] {
                let why = status.explain(refused);
                assert!(why.cause.ends_with('.') && why.advice.ends_with('.'), "{status}");
            }
        }
        let bind = CommandStatus::ESME_RTHROTTLED.explain(Refused::Bind);
        assert_ne!(bind, CommandStatus::ESME_RTHROTTLED.explain(Refused::Message));
        assert!(CommandStatus(0x450).explain(Refused::Message).advice.contains("status_texts"));
    }

    #[test]
    fn networks_say_why_a_phone_was_not_reached() {
        let absent = NetworkError { network: Some(3), code: 6 };
        assert_eq!(absent.explain().map(|(name, _)| name), Some("absent subscriber"));
        assert_eq!(NetworkError { network: Some(1), code: 6 }.explain(), None);
        assert_eq!(NetworkError { network: Some(3), code: 999 }.explain(), None);
    }
}
