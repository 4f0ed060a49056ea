//! One PDU as another of the same structure: every field that says who or what becomes another, everything else stays.

use std::collections::{HashMap, HashSet};

use bytes::{BufMut, Bytes, BytesMut};
use smpp::pdu::Destination;
use smpp::text::charset_of;
use smpp::tlv::TlvKind;
use smpp::wire::Password;
use smpp::{
    Address, CString, CommandStatus, DataCoding, EsmClass, MessageType, Pdu, RawPdu, SequenceNumber, ShortMessage, Tag,
    Tlvs,
};

use super::alike::{Alike, Alphabet};
use super::keyed::{Key, Kind};
use super::message_ids::{self, Relations};
use super::names::Names;
use super::receipt_text::{self, Piece};
use crate::capture::receipt_of;

/// What becomes of names and texts, for one capture.
pub(super) struct Disguise<'a> {
    key: Key,
    relations: &'a Relations,
    /// Originals that nothing should become.
    avoid: &'a HashSet<Vec<u8>>,
    names: HashMap<Kind, Names>,
    alike: Alike,
    /// Minutes by which dates are moved back.
    minutes: i64,
    /// Originals of four characters or more that were replaced.
    pub(super) originals: HashSet<Vec<u8>>,
}

/// A text's surroundings, which tell how to read it.
#[derive(Clone, Copy)]
struct Setting {
    esm_class: EsmClass,
    data_coding: DataCoding,
    receipt: bool,
}

/// What the PDUs have in common that carry a message and say when: these addresses, times, text, parameters.
macro_rules! message {
    ($disguise:ident, $body:ident, $setting:expr, $($address:ident),+) => {{
        let (mut body, setting) = ($body, $setting);
        $($disguise.address(&mut body.$address);)+
        $disguise.date(&mut body.schedule_delivery_time);
        $disguise.date(&mut body.validity_period);
        $disguise.short_message(&mut body.short_message, setting);
        $disguise.tlvs(&mut body.tlvs, Some(setting));
        body.into()
    }};
}

/// Most minutes by which dates are moved: some three years.
const MOST_MINUTES: i64 = 3 * 365 * 24 * 60;

impl<'a> Disguise<'a> {
    pub(super) fn new(key: Key, relations: &'a Relations, avoid: &'a HashSet<Vec<u8>>) -> Self {
        let minutes = key.chances(Kind::Dates, b"", 0).i64(1..MOST_MINUTES);
        Self {
            key,
            relations,
            avoid,
            names: HashMap::new(),
            alike: Alike::default(),
            minutes,
            originals: HashSet::new(),
        }
    }

    /// A PDU of the same command, length and structure.
    pub(super) fn pdu(&mut self, raw: &RawPdu) -> RawPdu {
        let body = match Pdu::decode(raw) {
            Ok(Pdu::NoBody(_)) | Err(_) => self.unreadable(&raw.body),
            Ok(pdu) => {
                let mut body = self.decoded(pdu).to_raw(CommandStatus::ESME_ROK, SequenceNumber(0)).body;
                // A response may end before its fields do; it was read as if they were empty.
                body.truncate(raw.body.len());
                body
            }
        };
        RawPdu { body, ..raw.clone() }
    }

    /// What cannot be read keeps the octets that may be lengths and flags, and no text.
    fn unreadable(&mut self, body: &Bytes) -> Bytes {
        let mut chances = self.key.chances(Kind::Text, body, 0);
        let replaced = self.alike.replace(Alphabet::Binary, body, &mut chances);
        let kept = body.iter().zip(replaced).map(|(octet, other)| if *octet < 0x20 { *octet } else { other });
        kept.collect()
    }

    fn decoded(&mut self, pdu: Pdu) -> Pdu {
        let receipt = receipt_of(&pdu).is_some();
        let set = |esm_class, data_coding| Setting { esm_class, data_coding, receipt };
        match pdu {
            Pdu::Bind(mode, mut body) => {
                self.credential(&mut body.system_id);
                let Password(password) = &mut body.password;
                self.credential(password);
                self.credential(&mut body.system_type);
                self.address(&mut body.address_range);
                self.tlvs(&mut body.tlvs, None);
                Pdu::Bind(mode, body)
            }
            Pdu::BindResp(mode, mut body) => {
                self.credential(&mut body.system_id);
                self.tlvs(&mut body.tlvs, None);
                Pdu::BindResp(mode, body)
            }
            Pdu::Outbind(mut body) => {
                self.credential(&mut body.system_id);
                let Password(password) = &mut body.password;
                self.credential(password);
                self.tlvs(&mut body.tlvs, None);
                body.into()
            }
            Pdu::SubmitSm(body) => {
                let setting = set(body.esm_class, body.data_coding);
                message!(self, body, setting, source, destination)
            }
            Pdu::DeliverSm(body) => {
                let setting = set(body.esm_class, body.data_coding);
                message!(self, body, setting, source, destination)
            }
            Pdu::SubmitMulti(mut body) => {
                for destination in &mut body.destinations.0 {
                    match destination {
                        Destination::Address(address) => self.address(address),
                        Destination::List(name) => self.credential(name),
                    }
                }
                let setting = set(body.esm_class, body.data_coding);
                message!(self, body, setting, source)
            }
            Pdu::DataSm(mut body) => {
                let setting = set(body.esm_class, body.data_coding);
                self.address(&mut body.source);
                self.address(&mut body.destination);
                self.tlvs(&mut body.tlvs, Some(setting));
                body.into()
            }
            Pdu::ReplaceSm(mut body) => {
                self.message_id(&mut body.message_id);
                message!(self, body, set(EsmClass::default(), DataCoding::DEFAULT), source)
            }
            Pdu::BroadcastSm(mut body) => {
                let setting = set(EsmClass::default(), body.data_coding);
                self.address(&mut body.source);
                self.message_id(&mut body.message_id);
                self.date(&mut body.schedule_delivery_time);
                self.date(&mut body.validity_period);
                self.tlvs(&mut body.tlvs, Some(setting));
                body.into()
            }
            other => self.about_messages(other),
        }
    }

    /// Commands that name messages and do not carry any.
    fn about_messages(&mut self, mut pdu: Pdu) -> Pdu {
        match &mut pdu {
            Pdu::SubmitSmResp(body) => self.id_and_tlvs(&mut body.message_id, &mut body.tlvs),
            Pdu::DeliverSmResp(body) => self.id_and_tlvs(&mut body.message_id, &mut body.tlvs),
            Pdu::DataSmResp(body) => self.id_and_tlvs(&mut body.message_id, &mut body.tlvs),
            Pdu::BroadcastSmResp(body) => self.id_and_tlvs(&mut body.message_id, &mut body.tlvs),
            Pdu::QueryBroadcastSmResp(body) => self.id_and_tlvs(&mut body.message_id, &mut body.tlvs),
            Pdu::SubmitMultiResp(body) => {
                self.id_and_tlvs(&mut body.message_id, &mut body.tlvs);
                body.unsuccess.0.iter_mut().for_each(|refused| self.address(&mut refused.destination));
            }
            Pdu::QuerySm(body) => {
                self.id_and_tlvs(&mut body.message_id, &mut body.tlvs);
                self.address(&mut body.source);
            }
            Pdu::QuerySmResp(body) => {
                self.id_and_tlvs(&mut body.message_id, &mut body.tlvs);
                self.date(&mut body.final_date);
            }
            Pdu::CancelSm(body) => {
                self.id_and_tlvs(&mut body.message_id, &mut body.tlvs);
                self.address(&mut body.source);
                self.address(&mut body.destination);
            }
            Pdu::QueryBroadcastSm(body) => {
                self.id_and_tlvs(&mut body.message_id, &mut body.tlvs);
                self.address(&mut body.source);
            }
            Pdu::CancelBroadcastSm(body) => {
                self.id_and_tlvs(&mut body.message_id, &mut body.tlvs);
                self.address(&mut body.source);
            }
            Pdu::AlertNotification(body) => {
                self.address(&mut body.source);
                self.address(&mut body.esme);
                self.tlvs(&mut body.tlvs, None);
            }
            Pdu::Unbind(body) => self.tlvs(&mut body.tlvs, None),
            Pdu::UnbindResp(body) => self.tlvs(&mut body.tlvs, None),
            Pdu::EnquireLink(body) => self.tlvs(&mut body.tlvs, None),
            Pdu::EnquireLinkResp(body) => self.tlvs(&mut body.tlvs, None),
            Pdu::GenericNack(body) => self.tlvs(&mut body.tlvs, None),
            Pdu::CancelSmResp(body) => self.tlvs(&mut body.tlvs, None),
            Pdu::ReplaceSmResp(body) => self.tlvs(&mut body.tlvs, None),
            Pdu::CancelBroadcastSmResp(body) => self.tlvs(&mut body.tlvs, None),
            _ => {}
        }
        pdu
    }

    // Fields

    fn id_and_tlvs(&mut self, id: &mut CString<65>, tlvs: &mut Tlvs) {
        self.message_id(id);
        self.tlvs(tlvs, None);
    }

    fn message_id(&mut self, id: &mut CString<65>) {
        let other = self.id_octets(id.octets());
        set(id, other);
    }

    fn address(&mut self, address: &mut Address) {
        let other = self.number(address.digits.octets());
        set(&mut address.digits, other);
    }

    fn credential<const MAX: usize>(&mut self, name: &mut CString<MAX>) {
        let other = self.name(Kind::Credential, name.octets());
        set(name, other);
    }

    fn date(&mut self, date: &mut CString<17>) {
        let other = receipt_text::earlier(date.octets(), self.minutes);
        set(date, other);
    }

    fn short_message(&mut self, message: &mut ShortMessage, setting: Setting) {
        let other = self.message(message.octets(), setting);
        if let Ok(other) = ShortMessage::new(other) {
            *message = other;
        }
    }

    // Values

    /// A number is the same with and without its plus.
    fn number(&mut self, number: &[u8]) -> Vec<u8> {
        match number.strip_prefix(b"+") {
            Some(digits) => [b"+", &self.name(Kind::Address, digits)[..]].concat(),
            None => self.name(Kind::Address, number),
        }
    }

    fn name(&mut self, kind: Kind, original: &[u8]) -> Vec<u8> {
        if original.is_empty() {
            return Vec::new();
        }
        self.remember(original, 4);
        self.names.entry(kind).or_default().other(&self.key, kind, original, self.avoid)
    }

    fn id_octets(&mut self, id: &[u8]) -> Vec<u8> {
        self.remember(id.trim_ascii(), 4);
        let names = self.names.entry(Kind::MessageId).or_default();
        message_ids::other(self.relations, names, &self.key, self.avoid, id)
    }

    fn text(&mut self, alphabet: Alphabet, original: &[u8]) -> Vec<u8> {
        self.remember(original, alphabet.four());
        for nonce in 0..16 {
            let mut chances = self.key.chances(Kind::Text, original, nonce);
            let other = self.alike.replace(alphabet, original, &mut chances);
            if other != original {
                return other;
            }
        }
        original.to_vec()
    }

    fn remember(&mut self, original: &[u8], least: usize) {
        if original.len() >= least && !original.iter().all(|octet| matches!(octet, b' ' | b'0' | b'\n' | b'\r' | 0)) {
            self.originals.insert(original.to_vec());
        }
    }

    /// A short message or payload: the header stays.
    fn message(&mut self, octets: &Bytes, setting: Setting) -> Vec<u8> {
        if setting.receipt {
            return self.receipt(octets, setting.data_coding);
        }
        let headed = setting.esm_class.udhi() && setting.esm_class.message_type() == MessageType::Default;
        let header = octets.first().filter(|_| headed).map_or(0, |length| 1 + usize::from(*length));
        let (header, text) = octets.split_at_checked(header).unwrap_or((&[], octets));
        let alphabet = Alphabet::of(charset_of(setting.data_coding));
        [header, &self.text(alphabet, text)].concat()
    }

    fn receipt(&mut self, octets: &Bytes, data_coding: DataCoding) -> Vec<u8> {
        let wide = data_coding == DataCoding::UCS2;
        let narrow: Option<Vec<u8>> =
            octets.as_chunks::<2>().0.iter().map(|[high, low]| (*high == 0).then_some(*low)).collect();
        match narrow.filter(|_| wide && octets.len().is_multiple_of(2)) {
            Some(narrow) => self.receipt_text(&narrow, Alphabet::Latin1).into_iter().flat_map(|low| [0, low]).collect(),
            None if wide => self.text(Alphabet::Ucs2, octets),
            None => self.receipt_text(octets, Alphabet::of(charset_of(data_coding))),
        }
    }

    fn receipt_text(&mut self, text: &[u8], alphabet: Alphabet) -> Vec<u8> {
        let mut out = text.to_vec();
        for (piece, range) in receipt_text::pieces(text) {
            let original = &text[range.clone()];
            let other = match piece {
                Piece::Id => self.id_octets(original),
                Piece::Date => receipt_text::earlier(original, self.minutes),
                Piece::Text => self.text(alphabet, original),
            };
            out[range].copy_from_slice(&other);
        }
        out
    }

    fn tlvs(&mut self, tlvs: &mut Tlvs, setting: Option<Setting>) {
        if tlvs.is_empty() {
            return;
        }
        let mut out = BytesMut::with_capacity(tlvs.octets().len());
        for tlv in tlvs.iter() {
            let other = self.tlv(tlv.tag, tlv.value, setting);
            out.put_u16(tlv.tag.0);
            out.put_u16(u16::try_from(other.len()).unwrap_or(u16::MAX));
            out.put_slice(&other);
        }
        // What could be a tag and a length must not become a parameter.
        let trailing = tlvs.trailing();
        let (head, rest) = trailing.split_at(trailing.len().min(4));
        out.put_slice(head);
        out.put_slice(&self.text(Alphabet::Binary, rest));
        *tlvs = Tlvs::from_octets(out.freeze());
    }

    fn tlv(&mut self, tag: Tag, value: &[u8], setting: Option<Setting>) -> Vec<u8> {
        match (tag, tag.kind()) {
            (Tag::RECEIPTED_MESSAGE_ID, _) => self.id_octets(value),
            (Tag::MESSAGE_PAYLOAD, _) => match setting {
                Some(setting) => self.message(&Bytes::copy_from_slice(value), setting),
                None => self.text(Alphabet::Binary, value),
            },
            // §5.3.2.36: digit mode, TON, NPI, then the digits.
            (Tag::CALLBACK_NUM, _) => {
                let (head, digits) = value.split_at(value.len().min(3));
                [head, &self.number(digits)].concat()
            }
            // §5.3.2.15, §5.3.2.16, §5.3.2.38: a type, then the rest.
            (Tag::SOURCE_SUBADDRESS | Tag::DEST_SUBADDRESS | Tag::CALLBACK_NUM_ATAG, _) => {
                let (head, rest) = value.split_at(value.len().min(1));
                [head, &self.text(Alphabet::Binary, rest)].concat()
            }
            (Tag::NETWORK_ERROR_CODE | Tag::ITS_SESSION_INFO | Tag::ALERT_ON_MESSAGE_DELIVERY, _) => value.to_vec(),
            (_, Some(TlvKind::Integer { .. })) => value.to_vec(),
            (_, Some(TlvKind::Text)) => {
                let end = value.iter().position(|octet| *octet == 0).unwrap_or(value.len());
                [&self.text(Alphabet::Latin1, &value[..end]), &value[end..]].concat()
            }
            // A vendor's own: nobody knows what it says.
            _ => self.text(Alphabet::Binary, value),
        }
    }
}

/// The other value has the original's length, so that it fits where that did.
fn set<const MAX: usize>(field: &mut CString<MAX>, other: Vec<u8>) {
    if let Ok(other) = CString::oversize(other) {
        *field = other;
    }
}
