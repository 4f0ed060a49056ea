//! What to try after a refusal: one row per status that has a usual cause.

use smpp::{CommandStatus, StatusClass};

/// A refusal in words: its name, its meaning, and what to try.
pub(super) fn explain(status: CommandStatus) -> String {
    format!("{status} ({:#010x}): {}.\nTry this: {}", status.0, status.meaning(), advice(status))
}

fn advice(status: CommandStatus) -> &'static str {
    match status {
        CommandStatus::ESME_RINVSYSID => "check --system-id; the SMSC may also allow it from certain addresses only.",
        CommandStatus::ESME_RINVPASWD => "check --password; many SMSCs take eight characters at most.",
        CommandStatus::ESME_RBINDFAIL => {
            "check system_id and password, whether the account may bind this way (--transmitter), and whether your \
             address is allowed."
        }
        CommandStatus::ESME_RALYBND => {
            "the SMSC still holds another bind of this account: end it, or wait until the SMSC notices that it is gone."
        }
        CommandStatus::ESME_RINVSYSTYP => "ask the operator for the system_type, and give it with --system-type.",
        CommandStatus::ESME_RINVSRCADR | CommandStatus::ESME_RINVSRCTON | CommandStatus::ESME_RINVSRCNPI => {
            "give --from a sender that the operator has assigned to the account, in the form that it was assigned."
        }
        CommandStatus::ESME_RINVDSTADR | CommandStatus::ESME_RINVDSTTON | CommandStatus::ESME_RINVDSTNPI => {
            "write --to in international form, country code first."
        }
        CommandStatus::ESME_RINVMSGLEN | CommandStatus::ESME_RINVESMCLASS | CommandStatus::ESME_RINVCMDLEN => {
            "send long text in another way: --long udh8, udh16, sar or payload."
        }
        CommandStatus::ESME_RINVDCS => "choose another --encoding, or announce another --data-coding.",
        CommandStatus::ESME_ROPTPARNOTALLWD | CommandStatus::ESME_RINVOPTPARSTREAM => {
            "the SMSC refuses optional parameters: split long text with --long udh8."
        }
        CommandStatus::ESME_RTHROTTLED => "send more slowly; the account has a rate limit, shared by all its binds.",
        CommandStatus::ESME_RMSGQFUL => "wait: too many messages of the account are undelivered.",
        CommandStatus::ESME_RINVBNDSTS => "bind as transceiver or transmitter to send.",
        _ => match status.class() {
            StatusClass::Temporary | StatusClass::SlowDown => "send it again later; the message itself is fine.",
            _ => "ask the operator, and show them the PDUs above.",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_a_name_a_meaning_and_advice() {
        let text = explain(CommandStatus::ESME_RINVPASWD);
        assert!(
            text.starts_with("ESME_RINVPASWD (0x0000000e): Invalid password.\nTry this: check --password"),
            "{text}"
        );
        assert!(explain(CommandStatus(0x40b)).starts_with("0x0000040b (0x0000040b): Vendor-specific error"));
    }
}
