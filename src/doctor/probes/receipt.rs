//! What comes after a message: its receipt, which tells how message ids are written, and a copy from the phone, which
//! tells what became of the characters. What others send meanwhile is nobody's business here.

use serde_json::Value;
use smpp::Pdu;
use smpp::explain::NetworkExplanation;
use smpp::receipt::{Delivery, IdRule, Receipt, Relation, StatusMapping, canonical_id, receipt_text};
use smpp::text::content::Content;
use tokio::time::Instant;

use super::message::ALPHABET;
use super::{Connection, Examination, Verdict};

/// States of one message that are told.
const MOST_STATES: usize = 10;

/// What is still waited for.
struct Awaited<'a> {
    id: &'a str,
    /// The phone's digits.
    phone: String,
    /// States that its receipts have told.
    states: Vec<String>,
    /// Whether the last receipt came.
    settled: bool,
    /// Whether the phone's copy came.
    copied: bool,
}

impl Examination<'_> {
    /// Waits for what comes of the message that was taken under `id`.
    pub(super) async fn outcome(&mut self, hears: &mut Connection, id: &str, to: &str) {
        let until = Instant::now() + self.question.patience;
        let mut awaited = Awaited { id, phone: digits(to), states: Vec::new(), settled: false, copied: false };
        while !(awaited.settled && awaited.copied) {
            let Some(pdu) = hears.delivery(until).await else { break };
            self.delivered(&pdu, &mut awaited);
        }
        let wait = self.question.patience.as_secs_f64();
        if awaited.states.is_empty() {
            let advice = "Is the phone on, and are receipts enabled for the account? Another bind of it may have got the receipt.";
            self.find("receipt", Verdict::Note, format!("none within {wait} s"), Some(advice));
        }
        if !awaited.copied {
            let said = format!("no copy came from the phone within {wait} s; it should show: {ALPHABET}");
            self.find("alphabet", Verdict::Note, said, None);
        }
    }

    fn delivered(&mut self, pdu: &Pdu, awaited: &mut Awaited<'_>) {
        let Some(Ok(content)) = Content::of(pdu) else { return };
        let from_phone = source(pdu).is_some_and(|source| digits(&source) == awaited.phone);
        let tlvs = pdu.tlvs().cloned().unwrap_or_default();
        let text = receipt_text(content.data_coding, &content.octets);
        match Receipt::parse(&tlvs, &text) {
            Some(receipt) => self.receipt(&receipt, from_phone, awaited),
            None if from_phone && !awaited.copied => {
                awaited.copied = true;
                self.copy(&content.text().unwrap_or_default());
            }
            None => {}
        }
    }

    fn receipt(&mut self, receipt: &Receipt, from_phone: bool, awaited: &mut Awaited<'_>) {
        let kept = canonical_id(awaited.id);
        let theirs = &receipt.smsc_message_id;
        let ours = IdRule::Any.forms(theirs).contains(&kept);
        // Refused for now, it comes again and again; and those of others come, too.
        if !(ours || from_phone) || awaited.states.contains(&receipt.state) || awaited.states.len() >= MOST_STATES {
            return;
        }
        awaited.states.push(receipt.state.clone());
        if !ours {
            awaited.settled = true;
            let said = format!("its id {theirs:?} is not that of the message, {:?}, in any base", awaited.id);
            return self.find(
                "receipt",
                Verdict::Bad,
                said,
                Some("Ask the operator how receipts name their messages."),
            );
        }
        let delivery = StatusMapping::default().delivery(&receipt.state);
        awaited.settled |= delivery != Delivery::Pending;
        if delivery == Delivery::Failed {
            let (said, advice) = failure(receipt);
            self.find("receipt", Verdict::Note, said, advice.as_deref());
        } else {
            self.find("receipt", Verdict::Good, receipt.state.clone(), None);
        }
        if awaited.states.len() == 1 {
            self.ids(awaited.id, theirs);
        }
    }

    /// What one pair of ids shows.
    fn ids(&mut self, response: &str, receipt: &str) {
        let kept = canonical_id(response);
        let pair = format!("{response:?} in the response, {receipt:?} in the receipt: ");
        let (said, kind): (&str, Value) = match Relation::between(&kept, &canonical_id(receipt)) {
            // One digit reads the same in every base.
            Some(Relation::Same) if kept.len() == 1 => {
                let said = format!("{pair}that is the same in decimal and in hexadecimal, and tells nothing");
                let advice = "The channel learns it from its first receipts.";
                return self.find("message ids", Verdict::Note, said, Some(advice));
            }
            Some(Relation::Same) => ("the same", "string".into()),
            Some(Relation::HexToDecimal) => ("hexadecimal in the response, decimal in the receipt", 1.into()),
            Some(Relation::DecimalToHex) => ("decimal in the response, hexadecimal in the receipt", 2.into()),
            None => return,
        };
        self.find("message ids", Verdict::Good, format!("{pair}{said}"), None);
        self.set("msg_id_type", kind);
    }

    fn copy(&mut self, came: &str) {
        if came == ALPHABET {
            let said = "the characters of GSM 03.38 that ASCII has elsewhere or not at all came back as they were sent";
            return self.find("alphabet", Verdict::Good, said, None);
        }
        let lost: String = ALPHABET.chars().filter(|character| !came.contains(*character)).collect();
        let said = format!("a message came from the phone without {lost:?}");
        let advice =
            "If it is our message, set submit_sm_encoding and data_coding_overrides to what the operator uses.";
        self.find("alphabet", Verdict::Note, said, Some(advice));
    }
}

/// Why it was not delivered, and what to do about it, where the receipt gives a reason.
fn failure(receipt: &Receipt) -> (String, Option<String>) {
    let why = match (receipt.network_error, &receipt.err) {
        (Some(error), _) => error.explain(),
        (None, Some(err)) => NetworkExplanation::of_receipt_text(err),
        (None, None) => return (receipt.state.clone(), None),
    };
    (format!("{}: {}. {}", receipt.state, why.meaning, why.cause), Some(why.advice))
}

fn source(pdu: &Pdu) -> Option<String> {
    match pdu {
        Pdu::DeliverSm(pdu) => Some(pdu.source.digits.to_text()),
        Pdu::DataSm(pdu) => Some(pdu.source.digits.to_text()),
        _ => None,
    }
}

fn digits(address: &str) -> String {
    address.chars().filter(char::is_ascii_digit).collect()
}
