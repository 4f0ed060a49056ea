//! The receipt of a message: a deliver_sm back to its sender (§5.2.12, Appendix B), in the forms of the field guide (§3.5).

use bytes::Bytes;
use chrono::{DateTime, Utc};
use smpp::pdu::DeliverSm;
use smpp::text::{Charset, charset_of};
use smpp::{Address, CString, DataCoding, EsmClass, MessageState, ShortMessage, Tag};

use super::config::{Intermediate, ReceiptDates, ReceiptErr, ReceiptForm, ReceiptText, SimulatorConfig};
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
    let wanted = message.registered_delivery.wants_receipt(delivered) && config.receipt_form != ReceiptForm::None;
    wanted.then(|| write(config, id, message, destination, done, EsmClass::DELIVERY_RECEIPT))
}

/// What tells that a message is on its way, for whoever wants receipts or notifications (§5.2.17 bit 4).
pub(super) fn notification(
    config: &SimulatorConfig,
    id: &str,
    message: &Message,
    destination: &Address,
    now: DateTime<Utc>,
) -> Option<DeliverSm> {
    let class = match config.receipts.intermediate {
        Intermediate::None => return None,
        Intermediate::Notification => INTERMEDIATE_NOTIFICATION,
        Intermediate::Receipt => EsmClass::DELIVERY_RECEIPT,
    };
    let wanted = message.registered_delivery.0 & 0x13 != 0 && config.receipt_form != ReceiptForm::None;
    wanted.then(|| write(config, id, message, destination, now, class))
}

/// An intermediate delivery notification (§5.2.12).
const INTERMEDIATE_NOTIFICATION: EsmClass = EsmClass(0x20);

fn write(
    config: &SimulatorConfig,
    id: &str,
    message: &Message,
    destination: &Address,
    at: DateTime<Utc>,
    esm_class: EsmClass,
) -> DeliverSm {
    let mut receipt = DeliverSm {
        source: destination.clone(),
        destination: message.source.clone(),
        esm_class,
        ..DeliverSm::default()
    };
    let has_tlvs = config.session.interface_version.has_tlvs();
    if config.receipt_form != ReceiptForm::Tlvs {
        let text = text(config, id, message, at);
        let octets = match config.receipts.receipt_text {
            ReceiptText::Ucs2 => {
                receipt.data_coding = DataCoding::UCS2;
                // Every character has one.
                Bytes::from(Charset::Ucs2.encode(&text).unwrap_or_default())
            }
            _ => Bytes::from(text),
        };
        match ShortMessage::new(octets.clone()) {
            Ok(short) => receipt.short_message = short,
            Err(_) if has_tlvs => receipt.tlvs.push(Tag::MESSAGE_PAYLOAD, &octets),
            // Version 3.3 has nowhere else to put it: the text of the message goes.
            Err(_) => receipt.short_message = ShortMessage::new(octets.slice(..SHORT_MESSAGE)).unwrap_or_default(),
        }
    }
    if has_tlvs && config.receipt_form != ReceiptForm::Text {
        receipt.tlvs.push_text(Tag::RECEIPTED_MESSAGE_ID, id);
        receipt.tlvs.push_integer(Tag::MESSAGE_STATE, u32::from(message.state.0));
        if let Some(code) = config.answers.network_error.filter(|_| has_failed(message.state)) {
            receipt.tlvs.push(Tag::NETWORK_ERROR_CODE, &code.0);
        }
    }
    receipt
}

/// Most octets of a short_message (§5.2.22), even for UCS2.
const SHORT_MESSAGE: usize = 254;
/// Characters of the message that a receipt repeats (Appendix B).
const REPEATED: usize = 20;

const fn has_failed(state: MessageState) -> bool {
    !matches!(state, MessageState::DELIVERED | MessageState::ENROUTE | MessageState::ACCEPTED)
}

fn text(config: &SimulatorConfig, id: &str, message: &Message, at: DateTime<Utc>) -> String {
    let layout = config.receipts.receipt_text;
    let charset = charset_of(message.data_coding);
    let repeated = charset.map(|charset| charset.decode_lossy(&message.octets)).unwrap_or_default();
    let date = |at: DateTime<Utc>| at.format(date_format(config.receipts.receipt_dates)).to_string();
    let count = |value: &str| if layout == ReceiptText::Nulls { "null".to_owned() } else { value.to_owned() };
    let delivered = if message.state == MessageState::DELIVERED { "001" } else { "000" };
    let fields = [
        ("id", id.to_owned()),
        ("sub", count("001")),
        ("dlvrd", count(delivered)),
        ("submit date", date(message.submitted)),
        ("done date", date(at)),
        ("stat", message.state.word().unwrap_or("UNKNOWN").to_owned()),
        ("err", count(&error(config, message.state))),
        // A receipt is ASCII; what is not is left out rather than sent as something else.
        ("text", repeated.chars().filter(|character| (' '..='~').contains(character)).take(REPEATED).collect()),
    ];
    let order: &[usize] = match layout {
        ReceiptText::Short => &[0, 5, 7],
        ReceiptText::NoText => &[0, 1, 2, 3, 4, 5, 6],
        ReceiptText::NoCounts => &[0, 3, 4, 5, 6],
        ReceiptText::OtherOrder => &[1, 0, 6, 2, 4, 3, 7, 5],
        _ => &[0, 1, 2, 3, 4, 5, 6, 7],
    };
    let separator = if layout == ReceiptText::Spaced { "  \t" } else { " " };
    let pairs = order.iter().map(|at| {
        let (key, value) = &fields[*at];
        match layout {
            ReceiptText::UpperKeys => format!("{}:{value}", key.to_ascii_uppercase()),
            ReceiptText::CapitalText if *key == "text" => format!("Text:{value}"),
            _ => format!("{key}:{value}"),
        }
    });
    let mut text = pairs.collect::<Vec<_>>().join(separator);
    match layout {
        ReceiptText::Spaced => text.push('\0'),
        ReceiptText::Pairs => text.push_str(" MCC=270 MNC=1"),
        _ => {}
    }
    text
}

const fn date_format(dates: ReceiptDates) -> &'static str {
    match dates {
        ReceiptDates::Minutes => "%y%m%d%H%M",
        ReceiptDates::Seconds => "%y%m%d%H%M%S",
        ReceiptDates::FullYear => "%Y%m%d%H%M%S",
        ReceiptDates::Zeros => "0000000000",
    }
}

fn error(config: &SimulatorConfig, state: MessageState) -> String {
    let code = match config.answers.network_error {
        _ if !has_failed(state) => 0,
        Some(code) => code.number(),
        None => 1,
    };
    match config.receipts.receipt_err {
        ReceiptErr::Decimal => format!("{code:03}"),
        ReceiptErr::Hex => format!("{code:03x}"),
        ReceiptErr::FourDigits => format!("{code:04}"),
        ReceiptErr::Unpadded => code.to_string(),
    }
}

/// `final_date` of a query (§7.1.1).
pub(super) fn final_date(done: Option<DateTime<Utc>>) -> CString<17> {
    let text = done.map(|done| done.format("%y%m%d%H%M%S000+").to_string());
    text.and_then(|text| text.as_str().try_into().ok()).unwrap_or_default()
}
