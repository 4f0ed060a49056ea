//! PDUs without what people wrote, and with half of their numbers: what a log may keep of them.
//!
//! Texts, vendors' parameters and whatever cannot be read become asterisks, each as long as it was; of numbers the
//! middle does. Commands, statuses, times, flags, alphabets, headers of segments, message ids, and all that a receipt
//! says but the quoted text stay, so that a masked PDU decodes and tells what went wrong.

use bytes::{Bytes, BytesMut};
use smpp::tlv::TlvKind;
use smpp::{DataCoding, MessageType, RawPdu, Tag};

use super::receipt_text::{self, Piece};
use super::rewrite::{Rewrite, Setting, rewrite};

/// Whole PDUs with their texts and numbers masked.
#[must_use]
pub fn masked(octets: &[u8]) -> Vec<u8> {
    let (mut rest, mut out) = (BytesMut::from(octets), BytesMut::with_capacity(octets.len()));
    while let Ok(Some(raw)) = RawPdu::split(&mut rest, usize::MAX) {
        rewrite(&raw, &mut Mask).encode(&mut out);
    }
    out.into()
}

/// See the file's head.
struct Mask;

/// Digits that make a number a person's; shorter ones are services.
const PERSONS: usize = 7;
/// Characters of a number that are shown at either end at most, and that are hidden between them at least.
const SHOWN: usize = 4;
const HIDDEN: usize = 3;

impl Rewrite for Mask {
    fn address(&mut self, digits: &[u8]) -> Vec<u8> {
        if digits.iter().filter(|octet| octet.is_ascii_digit()).count() < PERSONS {
            return digits.to_vec();
        }
        let plus = usize::from(digits.starts_with(b"+"));
        let shown = SHOWN.min((digits.len() - plus - HIDDEN) / 2);
        let middle = plus + shown..digits.len() - shown;
        digits.iter().enumerate().map(|(at, octet)| if middle.contains(&at) { b'*' } else { *octet }).collect()
    }

    fn message(&mut self, octets: &Bytes, setting: Setting) -> Vec<u8> {
        let wide = setting.data_coding == DataCoding::UCS2;
        if setting.receipt && !wide {
            let mut out = octets.to_vec();
            for (_, range) in receipt_text::pieces(octets).into_iter().filter(|(piece, _)| *piece == Piece::Text) {
                // The space between two keys is one, too.
                if !octets[range.clone()].trim_ascii().is_empty() {
                    out[range].fill(b'*');
                }
            }
            return out;
        }
        let headed = setting.esm_class.udhi() && setting.esm_class.message_type() == MessageType::Default;
        let header = octets.first().filter(|_| headed).map_or(0, |length| 1 + usize::from(*length));
        let (header, text) = octets.split_at_checked(header).unwrap_or((&[], octets));
        let star = |at: usize| if wide && at.is_multiple_of(2) { 0 } else { b'*' };
        header.iter().copied().chain((0..text.len()).map(star)).collect()
    }

    fn tlv(&mut self, tag: Tag, value: &[u8], setting: Option<Setting>) -> Vec<u8> {
        match (tag, tag.kind()) {
            (Tag::MESSAGE_PAYLOAD, _) if let Some(setting) = setting => {
                self.message(&Bytes::copy_from_slice(value), setting)
            }
            // §5.3.2.36: digit mode, TON, NPI, then the digits.
            (Tag::CALLBACK_NUM, _) => {
                let (head, digits) = value.split_at(value.len().min(3));
                [head, &self.address(digits)].concat()
            }
            (
                Tag::RECEIPTED_MESSAGE_ID
                | Tag::NETWORK_ERROR_CODE
                | Tag::ITS_SESSION_INFO
                | Tag::ALERT_ON_MESSAGE_DELIVERY,
                _,
            )
            | (_, Some(TlvKind::Integer { .. })) => value.to_vec(),
            // Names and passwords of vendors, template variables: nobody knows what it says.
            _ => stars(value),
        }
    }

    fn trailing(&mut self, trailing: &[u8]) -> Vec<u8> {
        // What could be a tag and a length must not become a parameter.
        let (head, rest) = trailing.split_at(trailing.len().min(4));
        [head, &stars(rest)].concat()
    }

    /// What may be lengths and flags is kept, and no text.
    fn unreadable(&mut self, body: &Bytes) -> Bytes {
        body.iter().map(|octet| if *octet < 0x20 { *octet } else { b'*' }).collect()
    }
}

/// As many asterisks, and the NUL behind them if there is one.
fn stars(value: &[u8]) -> Vec<u8> {
    let end = value.len() - usize::from(value.ends_with(&[0]));
    (0..value.len()).map(|at| if at < end { b'*' } else { 0 }).collect()
}

#[cfg(test)]
mod tests {
    use smpp::pdu::{DeliverSm, SubmitSm};
    use smpp::{Address, CommandStatus, EsmClass, Pdu, SequenceNumber, ShortMessage, Tlvs};

    use super::*;

    fn address(digits: &str) -> Address {
        Address { digits: digits.try_into().unwrap(), ..Address::default() }
    }

    fn mask(pdu: impl Into<Pdu>) -> Pdu {
        let mut octets = BytesMut::new();
        pdu.into().encode(CommandStatus::ESME_ROK, SequenceNumber(7), &mut octets);
        let masked = masked(&octets);
        assert_eq!(masked.len(), octets.len());
        let mut masked = BytesMut::from(&masked[..]);
        Pdu::decode(&RawPdu::split(&mut masked, usize::MAX).unwrap().unwrap()).unwrap()
    }

    #[test]
    fn numbers_lose_their_middle_and_services_nothing() {
        let shown = |digits: &str| String::from_utf8(Mask.address(digits.as_bytes())).unwrap();
        assert_eq!(shown("+27831234567"), "+2783***4567");
        assert_eq!(shown("27831234567"), "2783***4567");
        assert_eq!(shown("8312345"), "83***45");
        assert_eq!((shown("40404"), shown("Maybug")), ("40404".to_owned(), "Maybug".to_owned()));
    }

    #[test]
    fn texts_become_asterisks_and_headers_stay() {
        let mut tlvs = Tlvs::default();
        tlvs.push(Tag(0x1400), b"secret\0");
        tlvs.push_integer(Tag::USER_MESSAGE_REFERENCE, 9);
        let submit = SubmitSm {
            destination: address("27831234567"),
            esm_class: EsmClass::UDHI,
            short_message: ShortMessage::new(&b"\x05\x00\x03\x07\x02\x01secret"[..]).unwrap(),
            tlvs,
            ..SubmitSm::default()
        };
        let Pdu::SubmitSm(submit) = mask(submit) else { panic!() };
        assert_eq!(&submit.short_message.octets()[..], b"\x05\x00\x03\x07\x02\x01******");
        assert_eq!(submit.destination.digits.to_text(), "2783***4567");
        assert_eq!(&submit.tlvs.octets_of(Tag(0x1400)).unwrap()[..], b"******\0");
        assert_eq!(submit.tlvs.integer(Tag::USER_MESSAGE_REFERENCE), Some(9));
        let text = ShortMessage::new(&[0, b'h', 0, b'i'][..]).unwrap();
        let wide = SubmitSm { data_coding: DataCoding::UCS2, short_message: text, ..SubmitSm::default() };
        let Pdu::SubmitSm(wide) = mask(wide) else { panic!() };
        assert_eq!(&wide.short_message.octets()[..], &[0, b'*', 0, b'*']);
    }

    #[test]
    fn a_receipt_keeps_what_became_of_the_message() {
        let text = &b"id:12 sub:001 dlvrd:001 stat:UNDELIV err:006 text:My PIN is 1234"[..];
        let receipt = DeliverSm {
            esm_class: EsmClass(4),
            short_message: ShortMessage::new(text).unwrap(),
            ..DeliverSm::default()
        };
        let Pdu::DeliverSm(receipt) = mask(receipt) else { panic!() };
        let shown = String::from_utf8(receipt.short_message.octets().to_vec()).unwrap();
        assert!(shown.starts_with("id:12 sub:001 dlvrd:001 stat:UNDELIV err:006 text:*"), "{shown}");
        assert!(!shown.contains("PIN") && !shown.contains("1234"), "{shown}");
    }

    #[test]
    fn what_cannot_be_read_says_nothing() {
        let body = Bytes::from_static(b"\0\x01\x01no end");
        let raw = RawPdu { body, ..Pdu::from(SubmitSm::default()).to_raw(CommandStatus::ESME_ROK, SequenceNumber(1)) };
        let mut octets = BytesMut::new();
        raw.encode(&mut octets);
        assert_eq!(masked(&octets)[16..], b"\0\x01\x01******"[..]);
    }
}
