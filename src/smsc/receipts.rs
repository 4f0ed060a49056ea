//! The receipt of a message: a deliver_sm back to its sender (§5.2.12, Appendix B).

use bytes::Bytes;
use chrono::{DateTime, Utc};
use smpp::pdu::DeliverSm;
use smpp::receipt::Receipt;
use smpp::text::charset_of;
use smpp::{Address, CString, EsmClass, MessageState, ShortMessage, Tag};

use super::config::{ReceiptForm, SimulatorConfig};
use super::messages::Message;

/// The receipt for one destination; `None` when nobody wants it or none are sent.
pub(super) fn receipt(
    config: &SimulatorConfig,
    id: &str,
    message: &Message,
    destination: &Address,
    done: DateTime<Utc>,
) -> Option<DeliverSm> {
    let delivered = message.state == MessageState::DELIVERED;
    if !message.registered_delivery.wants_receipt(delivered) || config.receipt_form == ReceiptForm::None {
        return None;
    }
    let mut receipt = DeliverSm {
        source: destination.clone(),
        destination: message.source.clone(),
        esm_class: EsmClass::DELIVERY_RECEIPT,
        ..DeliverSm::default()
    };
    if config.receipt_form != ReceiptForm::Tlvs {
        let text = text(id, message, done, delivered);
        receipt.short_message = ShortMessage::new(Bytes::from(text)).unwrap_or_default();
    }
    if config.receipt_form != ReceiptForm::Text {
        receipt.tlvs.push_text(Tag::RECEIPTED_MESSAGE_ID, id);
        receipt.tlvs.push_integer(Tag::MESSAGE_STATE, u32::from(message.state.0));
    }
    Some(receipt)
}

fn text(id: &str, message: &Message, done: DateTime<Utc>, delivered: bool) -> String {
    let date = |at: DateTime<Utc>| Some(at.format("%y%m%d%H%M").to_string());
    let charset = charset_of(message.data_coding);
    let beginning = charset.map(|charset| charset.decode_lossy(&message.octets)).unwrap_or_default();
    Receipt {
        smsc_message_id: id.to_owned(),
        state: message.state.word().unwrap_or("UNKNOWN").to_owned(),
        dlvrd: Some(if delivered { "001" } else { "000" }.to_owned()),
        submit_date: date(message.submitted),
        done_date: date(done),
        err: Some(if delivered { "000" } else { "001" }.to_owned()),
        // A receipt is ASCII; what is not is left out rather than sent as something else.
        text: Some(beginning.chars().filter(|character| (' '..='~').contains(character)).collect()),
        ..Receipt::default()
    }
    .format()
}

/// `final_date` of a query (§7.1.1).
pub(super) fn final_date(done: Option<DateTime<Utc>>) -> CString<17> {
    let text = done.map(|done| done.format("%y%m%d%H%M%S000+").to_string());
    text.and_then(|text| text.as_str().try_into().ok()).unwrap_or_default()
}
