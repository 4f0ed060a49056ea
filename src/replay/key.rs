//! What makes a live request the same as a recorded one: who, to whom, what; not references, numbers and times, which
//! every run has of its own.

use bytes::BytesMut;
use smpp::text::content::Content;
use smpp::{Address, CommandStatus, Pdu, SequenceNumber};

use crate::capture::receipt_of;

/// Equal keys, same request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// A receipt for a message that the recording names so.
    Receipt(String),
    /// A request's content.
    Content(Vec<u8>),
}

impl Key {
    /// A request's key; `message` finds the message that an id in a receipt names.
    pub(super) fn of(pdu: &Pdu, message: impl Fn(&str) -> Option<String>) -> Self {
        if let Some(id) = receipt_of(pdu).and_then(|receipt| message(&receipt.smsc_message_id)) {
            return Self::Receipt(id);
        }
        let mut key = pdu.command_id().0.to_be_bytes().to_vec();
        match (ends(pdu), Content::of(pdu)) {
            (Some((source, destination)), Some(Ok(content))) => {
                for address in [source, destination] {
                    key.extend_from_slice(address.digits.octets());
                    key.push(0);
                }
                // The reference is chosen anew each time; which piece it is, is not.
                let (part, total) = content.concat.map_or((1, 1), |concat| (concat.part, concat.total));
                key.extend([part, total, content.data_coding.0]);
                key.extend_from_slice(&content.octets);
            }
            _ => {
                let mut octets = BytesMut::new();
                pdu.to_raw(CommandStatus::ESME_ROK, SequenceNumber(0)).encode(&mut octets);
                key.extend_from_slice(&octets);
            }
        }
        Self::Content(key)
    }
}

fn ends(pdu: &Pdu) -> Option<(&Address, &Address)> {
    match pdu {
        Pdu::SubmitSm(body) => Some((&body.source, &body.destination)),
        Pdu::DeliverSm(body) => Some((&body.source, &body.destination)),
        Pdu::DataSm(body) => Some((&body.source, &body.destination)),
        _ => None,
    }
}
