//! What a message PDU means: text, header, segment, receipt, USSD step; the keys of `fixtures/pdu-vectors.json` that
//! go beyond fields.

use serde_json::{Value, json};
use smpp::pdu::{DataSm, DeliverSm};
use smpp::receipt::{Delivery, NetworkError, Receipt, StatusMapping, receipt_text};
use smpp::text::content::Content;
use smpp::ussd::{Phase, Ussd};
use smpp::{EsmClass, MessageType, Pdu, Tlvs};

use crate::model::JsonObject;
use crate::telemetry::pdu_json::hex;

/// The keys `text`, `udh`, `concat`, `receipt` and `session`, as far as the PDU has them.
pub(super) fn object(pdu: &Pdu) -> JsonObject {
    let mut keys = JsonObject::new();
    let Some(Ok(content)) = Content::of(pdu) else { return keys };
    let receipt = receipt(pdu, &content);
    if let Some(text) = content.text().filter(|_| receipt.is_none() || !content.octets.is_empty() || has_text(pdu)) {
        keys.insert("text".to_owned(), json!(text));
    }
    if let Some(udh) = &content.udh {
        let elements = udh.elements().map(|element| json!({"iei": element.id, "hex": hex(element.data)}));
        keys.insert("udh".to_owned(), elements.collect());
    }
    if let Some(concat) = content.concat {
        let concat = json!({"ref": concat.reference, "total": concat.total, "part": concat.part});
        keys.insert("concat".to_owned(), concat);
    }
    if let Some(receipt) = receipt {
        keys.insert("receipt".to_owned(), receipt_object(&receipt));
    }
    if let Pdu::DeliverSm(DeliverSm { tlvs, .. }) = pdu
        && let Some(ussd) = Ussd::of(tlvs)
    {
        let phase = match ussd.phase() {
            Phase::New => "new",
            Phase::Resume => "resume",
            Phase::Close => "close",
        };
        keys.insert("session".to_owned(), json!(phase));
    }
    keys
}

/// The same for the end of a tree.
pub(super) fn lines(pdu: &Pdu) -> Vec<String> {
    let keys = object(pdu);
    let mut lines = Vec::new();
    if let Some(Value::String(text)) = keys.get("text").filter(|_| !keys.contains_key("receipt")) {
        lines.push(format!("text: {text:?}"));
    }
    if let Some(concat) = keys.get("concat") {
        lines.push(format!("segment {} of {}, reference {}", concat["part"], concat["total"], concat["ref"]));
    }
    if let Some(receipt) = keys.get("receipt") {
        let word = |key: &str| receipt[key].as_str().unwrap_or("none").to_owned();
        lines.push(format!("receipt for {}: {} ({}), err {}", word("id"), word("stat"), word("state"), word("err")));
    }
    if let Some(session) = keys.get("session") {
        lines.push(format!("USSD session: {}", session.as_str().unwrap_or_default()));
    }
    lines
}

/// The receipt that it is (field guide §3.3 steps 1 and 2).
fn receipt(pdu: &Pdu, content: &Content) -> Option<Receipt> {
    let (esm_class, tlvs): (EsmClass, &Tlvs) = match pdu {
        Pdu::DeliverSm(DeliverSm { esm_class, tlvs, .. }) | Pdu::DataSm(DataSm { esm_class, tlvs, .. }) => {
            (*esm_class, tlvs)
        }
        _ => return None,
    };
    let marked = Receipt::in_tlvs(tlvs) || esm_class.message_type() != MessageType::Default;
    marked.then(|| Receipt::parse(tlvs, &receipt_text(content.data_coding, &content.octets))).flatten()
}

/// data_sm has a text only when it has a payload.
fn has_text(pdu: &Pdu) -> bool {
    !matches!(pdu, Pdu::DataSm(_))
}

fn receipt_object(receipt: &Receipt) -> Value {
    let state = match StatusMapping::default().delivery(&receipt.state) {
        Delivery::Pending => "pending",
        Delivery::Delivered => "delivered",
        Delivery::Failed => "failed",
    };
    let err = receipt.err.clone().or_else(|| receipt.network_error.map(network_error));
    json!({"id": receipt.smsc_message_id, "stat": receipt.state, "state": state, "err": err})
}

fn network_error(error: NetworkError) -> String {
    match error.network {
        None => format!("{:03}", error.code),
        Some(1) => format!("ansi-136:{}", error.code),
        Some(2) => format!("is-95:{}", error.code),
        Some(3) => format!("gsm:{}", error.code),
        Some(other) => format!("{other}:{}", error.code),
    }
}
