//! Errors of networks in words: `network_error_code` of receipts (SMPP v3.4 §5.3.2.31, v5.0 §4.8.4.42).
//!
//! GSM networks have two tables that operators pass on, the MAP errors of 3GPP TS 29.002 §17.6 and the RP-Cause values
//! of 3GPP TS 24.011 §8.2.5.4, and nothing in a PDU says which one a code is from: where both have it, both are told.
//! Every other number is its operator's own, and said to be that.

use super::{Explanation, Refused};
use crate::command::CommandStatus;
use crate::receipt::NetworkError;

/// A network's error in words. Cause and advice are sentences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkExplanation {
    /// The name of the error and the table that it is from.
    pub meaning: String,
    /// Why it usually comes.
    pub cause: String,
    /// What to do about it.
    pub advice: String,
}

/// Code, name, usual cause, what to try.
type Row = (u16, &'static str, &'static str, &'static str);

/// The network types, and what their codes are. 1 to 3 are of both versions, the others of SMPP v5.0.
const NETWORKS: [(u8, &str); 8] = [
    (1, "ANSI-136 access denied reason"),
    (2, "IS-95 access denied reason"),
    (GSM, "GSM error"),
    (4, "ANSI-136 cause code"),
    (5, "IS-95 cause code"),
    (6, "ANSI-41 error"),
    (SMPP, "SMPP error"),
    (8, "error of the SMSC's own"),
];

const GSM: u8 = 3;
const SMPP: u8 = 7;

/// Errors of MAP that a short message may meet (3GPP TS 29.002 §17.6; §12 says which those are).
const MAP: [Row; 16] = [
    (1, "unknown subscriber", NOT_IN_USE, TAKE_OFF),
    (5, "unidentified subscriber", "The visited network does not know the phone.", AGAIN),
    (6, "absent subscriber", OUT_OF_REACH, SMSC_AGAIN),
    (9, "illegal subscriber", "The network has barred the SIM.", ASK_SUBSCRIBER),
    (11, "teleservice not provisioned", "The subscriber has no SMS service.", ASK_SUBSCRIBER),
    (12, "illegal equipment", "The network has barred the phone.", ASK_SUBSCRIBER),
    (13, "call barred", "The subscriber or the operator has barred messages.", ASK_SUBSCRIBER),
    (21, "facility not supported", "The visited network does not carry SMS.", AGAIN),
    (27, "absent subscriber", OUT_OF_REACH, SMSC_AGAIN),
    (31, "subscriber busy for MT SMS", "Another message is on its way to the phone.", SMSC_AGAIN),
    (
        32,
        "SM delivery failure",
        "The phone refused it: its memory is full, or it is not a phone for this kind of message.",
        "Try it later; if it stays, send plain text without class or header.",
    ),
    (33, "message waiting list full", "Too many messages wait for this phone.", AGAIN),
    (34, "system failure", "Something is wrong in the visited network.", AGAIN),
    (35, "data missing", "The networks did not understand each other.", CALL),
    (36, "unexpected data value", "The networks did not understand each other.", CALL),
    (51, "resource limitation", "The network is overloaded.", AGAIN),
];

/// RP-Cause values (3GPP TS 24.011 §8.2.5.4 and annex E.2).
const RP: [Row; 23] = [
    (1, "unassigned number", NOT_IN_USE, TAKE_OFF),
    (8, "operator determined barring", "The operator has barred messages for the subscriber.", ASK_SUBSCRIBER),
    (10, "call barred", "Messages are barred for the subscriber.", ASK_SUBSCRIBER),
    (21, "short message transfer rejected", "The other side could take the message and does not want to.", CALL),
    (22, "memory capacity exceeded", "The phone has no room for another message.", SMSC_AGAIN),
    (27, "destination out of order", OUT_OF_REACH, SMSC_AGAIN),
    (28, "unidentified subscriber", "The subscriber is not registered in the network.", AGAIN),
    (29, "facility rejected", "The network does not carry what was asked for.", CALL),
    (30, "unknown subscriber", NOT_IN_USE, TAKE_OFF),
    (38, "network out of order", "Something is wrong in the network, for some time.", AGAIN),
    (41, "temporary failure", "Something is wrong in the network, for a moment.", AGAIN),
    (42, "congestion", "The network is overloaded.", AGAIN),
    (47, "resources unavailable", "The network is overloaded.", AGAIN),
    (50, "requested facility not subscribed", "The subscriber has no SMS service.", ASK_SUBSCRIBER),
    (69, "requested facility not implemented", "The network does not carry SMS.", CALL),
    (81, "invalid short message transfer reference value", CONFUSED, CALL),
    (95, "semantically incorrect message", CONFUSED, CALL),
    (96, "invalid mandatory information", CONFUSED, CALL),
    (97, "message type non-existent or not implemented", CONFUSED, CALL),
    (98, "message not compatible with short message protocol state", CONFUSED, CALL),
    (99, "information element non-existent or not implemented", CONFUSED, CALL),
    (111, "protocol error", CONFUSED, CALL),
    (127, "interworking", "Another network refused it for reasons that this one cannot name.", CALL),
];

const NOT_IN_USE: &str = "The number is not in use.";
const OUT_OF_REACH: &str = "The phone is off or out of reach.";
const CONFUSED: &str = "The phone and the network did not understand each other.";
const TAKE_OFF: &str = "Take the number off the list.";
const AGAIN: &str = "Send the message again later.";
const SMSC_AGAIN: &str = "Wait: the SMSC tries again while the message is valid.";
const ASK_SUBSCRIBER: &str = "Only the subscriber and their operator can change that.";
const CALL: &str = "Call the operator with the time and the number if it happens often.";

const OWN_CAUSE: &str = "The code is the operator's own.";
const OWN_ADVICE: &str = "Look it up in the operator's documentation, and write it into error_texts.";

impl NetworkError {
    /// What its network type says of the code; `None` for digits, which have none, and for reserved types.
    #[must_use]
    pub fn network_name(self) -> Option<&'static str> {
        NETWORKS.iter().find(|(network, _)| Some(*network) == self.network).map(|(_, name)| *name)
    }

    /// Explains the error.
    ///
    /// ```
    /// use smpp::receipt::NetworkError;
    ///
    /// let why = NetworkError { network: Some(3), code: 6 }.explain();
    /// assert_eq!(why.meaning, "absent subscriber (MAP error 6)");
    /// ```
    #[must_use]
    pub fn explain(self) -> NetworkExplanation {
        let row = |table: &'static [Row]| table.iter().find(|(code, ..)| *code == self.code);
        match (self.network, self.network_name()) {
            (Some(SMPP), _) => {
                let status = CommandStatus(self.code.into());
                let Explanation { meaning, cause, advice } = status.explain(Refused::Message);
                NetworkExplanation {
                    meaning: format!("{meaning}: {status:#}"),
                    cause: cause.to_owned(),
                    advice: advice.to_owned(),
                }
            }
            // Three digits mostly come from GSM networks, too.
            (Some(GSM) | None, _) => match (row(&MAP), row(&RP)) {
                (None, None) => own(format!("error {} of the network", self.code)),
                (Some(row), None) => NetworkExplanation::of("MAP error", row),
                (None, Some(row)) => NetworkExplanation::of("RP-Cause", row),
                (Some(map), Some(rp)) => {
                    NetworkExplanation::of("MAP error", map).or(&NetworkExplanation::of("RP-Cause", rp))
                }
            },
            (_, Some(name)) => own(format!("{name} {}", self.code)),
            (Some(network), None) => own(format!("error {} of the reserved network type {network}", self.code)),
        }
    }
}

impl NetworkExplanation {
    /// For a code in a receipt's text (`err:`, SMPP v3.4 appendix B), whose meaning no standard gives.
    #[must_use]
    pub fn of_receipt_text(err: &str) -> Self {
        own(format!("error {err} of the receipt"))
    }

    fn of(table: &str, (code, name, cause, advice): &Row) -> Self {
        Self { meaning: format!("{name} ({table} {code})"), cause: (*cause).into(), advice: (*advice).into() }
    }

    /// Both readings, this one by MAP; what they have in common once.
    fn or(self, rp: &Self) -> Self {
        let both = |map: String, rp: &str| if map == rp { map } else { format!("MAP: {map} RP-Cause: {rp}") };
        Self {
            meaning: format!("{} or {}", self.meaning, rp.meaning),
            cause: both(self.cause, &rp.cause),
            advice: both(self.advice, &rp.advice),
        }
    }
}

fn own(meaning: String) -> NetworkExplanation {
    NetworkExplanation { meaning, cause: OWN_CAUSE.to_owned(), advice: OWN_ADVICE.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explain(network: Option<u8>, code: u16) -> NetworkExplanation {
        NetworkError { network, code }.explain()
    }

    #[test]
    fn networks_say_why_a_phone_was_not_reached() {
        assert_eq!(explain(Some(3), 6).meaning, "absent subscriber (MAP error 6)");
        assert_eq!(explain(None, 31).meaning, "subscriber busy for MT SMS (MAP error 31)");
        let full = explain(Some(3), 22);
        assert_eq!(
            (full.meaning.as_str(), full.advice.as_str()),
            ("memory capacity exceeded (RP-Cause 22)", SMSC_AGAIN)
        );
    }

    #[test]
    fn a_code_of_both_tables_is_read_by_both() {
        let absent = explain(Some(3), 27);
        assert_eq!(absent.meaning, "absent subscriber (MAP error 27) or destination out of order (RP-Cause 27)");
        assert_eq!(absent.cause, OUT_OF_REACH, "what both say is said once");
        let refused = explain(Some(3), 21);
        assert_eq!(
            refused.meaning,
            "facility not supported (MAP error 21) or short message transfer rejected (RP-Cause 21)"
        );
        assert!(
            refused.cause.starts_with("MAP: The visited network") && refused.cause.contains(" RP-Cause: The other")
        );
    }

    #[test]
    fn what_no_table_has_is_the_operators_own() {
        for (network, code, meaning) in [
            (Some(1), 6, "ANSI-136 access denied reason 6"),
            (Some(2), 6, "IS-95 access denied reason 6"),
            (Some(3), 999, "error 999 of the network"),
            (Some(4), 6, "ANSI-136 cause code 6"),
            (Some(6), 6, "ANSI-41 error 6"),
            (Some(8), 6, "error of the SMSC's own 6"),
            (Some(9), 6, "error 6 of the reserved network type 9"),
        ] {
            let why = explain(network, code);
            assert_eq!((why.meaning.as_str(), why.cause.as_str()), (meaning, OWN_CAUSE));
            assert!(why.advice.contains("error_texts"));
        }
        assert!(NetworkExplanation::of_receipt_text("21b").meaning.contains("21b"));
        let smpp = explain(Some(7), 0x0b);
        assert_eq!(smpp.meaning, "Invalid destination address: ESME_RINVDSTADR (0x0000000b)");
    }

    #[test]
    fn tables_are_in_order_and_say_sentences() {
        for table in [&MAP[..], &RP] {
            assert!(table.is_sorted_by(|a, b| a.0 < b.0));
            assert!(table.iter().all(|(_, _, cause, advice)| cause.ends_with('.') && advice.ends_with('.')));
        }
    }
}
