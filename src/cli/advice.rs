//! What to try after a refusal, in the words of the command line.

use smpp::CommandStatus;
use smpp::explain::Refused;

/// A refusal in words: its name, its meaning, its usual cause, and what to try.
pub(super) fn explain(status: CommandStatus, refused: Refused) -> String {
    let why = status.explain(refused);
    format!("{status:#}: {}.\nUsual cause: {}\nTry this: {}", why.meaning, why.cause, why.advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_a_name_a_meaning_and_advice() {
        let text = explain(CommandStatus::ESME_RINVPASWD, Refused::Bind);
        assert!(text.starts_with("ESME_RINVPASWD (0x0000000e): Invalid password.\nUsual cause: "), "{text}");
        assert!(text.contains("\nTry this: Check the password"), "{text}");
        let text = explain(CommandStatus(0x40b), Refused::Message);
        assert!(text.starts_with("0x0000040b: Vendor-specific error"));
    }
}
