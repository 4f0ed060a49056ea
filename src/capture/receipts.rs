//! Which PDUs are receipts, and which ids they name: what both replaying and anonymising a capture follow.

use smpp::pdu::{DataSm, DeliverSm};
use smpp::receipt::{Receipt, receipt_text};
use smpp::text::content::Content;
use smpp::{EsmClass, MessageType, Pdu, Tlvs};

/// The receipt that a PDU is (field guide §3.3 steps 1 and 2); `None` for anything else.
#[must_use]
pub fn receipt_of(pdu: &Pdu) -> Option<Receipt> {
    let (esm_class, tlvs): (EsmClass, &Tlvs) = match pdu {
        Pdu::DeliverSm(DeliverSm { esm_class, tlvs, .. }) | Pdu::DataSm(DataSm { esm_class, tlvs, .. }) => {
            (*esm_class, tlvs)
        }
        _ => return None,
    };
    if !Receipt::in_tlvs(tlvs) && esm_class.message_type() == MessageType::Default {
        return None;
    }
    let content = Content::of(pdu)?.ok()?;
    Receipt::parse(tlvs, &receipt_text(content.data_coding, &content.octets))
}

/// The id that an answer gives to a message; `None` for other PDUs and where it is empty.
#[must_use]
pub fn id_given(pdu: &Pdu) -> Option<String> {
    let id = match pdu {
        Pdu::SubmitSmResp(body) => &body.message_id,
        Pdu::SubmitMultiResp(body) => &body.message_id,
        Pdu::DataSmResp(body) => &body.message_id,
        _ => return None,
    };
    (!id.is_empty()).then(|| id.to_text())
}
