//! Refusals in words: the usual cause of a status or a network's error, and what to try, for whoever is woken by it.
//!
//! The standard's own sentence is [`CommandStatus::meaning`]; here is what experience adds. A vendor's statuses mean
//! what its operator says. Errors of networks are in `network`.

mod network;

use crate::command::{CommandStatus, StatusClass};

pub use network::NetworkExplanation;

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
        CommandStatus::ESME_RINVSUBREP | CommandStatus::ESME_RINVREPFLAG => {
            ("The SMSC does not replace an earlier message by a later one.", "Leave replace_if_present_flag out.")
        }
        CommandStatus::ESME_RINVSRCADDRSUBUNIT | CommandStatus::ESME_RINVDSTADDRSUBUNIT => (
            "The SMSC does not take the source_addr_subunit or dest_addr_subunit that was sent.",
            "Leave the parameter out.",
        ),
        CommandStatus::ESME_RINVMSGID | CommandStatus::ESME_RINVNUMMSGS => ANOTHER_REQUEST,
        CommandStatus::ESME_RINVPRTFLG => {
            ("The account may not send with this priority.", "Set priority_flag to 0, or leave it out.")
        }
        CommandStatus::ESME_RINVDFTMSGID => {
            ("The SMSC has no predefined message of this number.", "Send the text itself.")
        }
        CommandStatus::ESME_RINVNUMDESTS
        | CommandStatus::ESME_RINVDESTFLAG
        | CommandStatus::ESME_RINVDLNAME
        | CommandStatus::ESME_RCNTSUBDL => (
            "The SMSC does not take several destinations or a distribution list in one message.",
            "Send to each number by itself.",
        ),
        CommandStatus::ESME_RX_P_APPN | CommandStatus::ESME_RX_R_APPN => {
            ("Whoever receives the message at the other end has refused it.", "Ask whoever runs that application.")
        }
        CommandStatus::ESME_RINVCMDID => (
            "The SMSC does not know this kind of PDU, or not in this bind.",
            "Ask which PDUs the operator takes; bind as transceiver or transmitter.",
        ),
        _ => match status.class() {
            StatusClass::EndsBind => (
                "The SMSC takes the bind for no bind of this account any more.",
                "The channel binds again by itself; if it goes on, ask whether the account was closed or is used elsewhere.",
            ),
            StatusClass::NotForSubmit => ANOTHER_REQUEST,
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

const ANOTHER_REQUEST: (&str, &str) = (
    "The status answers another request than the one that was sent.",
    "Show the PDUs to the operator: its SMSC is at fault.",
);

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
        let general = CommandStatus(0x300).explain(Refused::Message).cause;
        for status in (1..0x113).map(CommandStatus).filter(|status| status.name().is_some()) {
            assert_ne!(status.explain(Refused::Message).cause, general, "{status}");
        }
    }
}
