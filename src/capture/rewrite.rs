//! A PDU as another of the same command, length and structure: which of its fields say who or what, for whoever puts
//! others there.
//!
//! Everything else stays octet for octet: statuses, sequence numbers, flags, tags, and how a PDU is cut short.

use bytes::{BufMut, Bytes, BytesMut};
use smpp::pdu::Destination;
use smpp::wire::Password;
use smpp::{
    Address, CString, CommandStatus, DataCoding, EsmClass, Pdu, RawPdu, SequenceNumber, ShortMessage, Tag, Tlvs,
};

use super::receipt_of;

/// Other values for those of a PDU, each as long as the original. What has a default stays as it is.
pub(super) trait Rewrite {
    /// For a number or sender.
    fn address(&mut self, digits: &[u8]) -> Vec<u8>;

    /// For a name or password.
    fn credential(&mut self, name: &[u8]) -> Vec<u8> {
        name.to_vec()
    }

    /// For the SMSC's id of a message.
    fn message_id(&mut self, id: &[u8]) -> Vec<u8> {
        id.to_vec()
    }

    /// For a time (SMPP v3.4 §7.1.1).
    fn date(&mut self, date: &[u8]) -> Vec<u8> {
        date.to_vec()
    }

    /// For a short message or payload.
    fn message(&mut self, octets: &Bytes, setting: Setting) -> Vec<u8>;

    /// For an optional parameter; the setting is that of the message that it comes with.
    fn tlv(&mut self, tag: Tag, value: &[u8], setting: Option<Setting>) -> Vec<u8>;

    /// For octets behind the last parameter that are none.
    fn trailing(&mut self, trailing: &[u8]) -> Vec<u8>;

    /// For a body that cannot be read.
    fn unreadable(&mut self, body: &Bytes) -> Bytes;
}

/// A text's surroundings, which tell how to read it.
#[derive(Clone, Copy)]
pub(super) struct Setting {
    pub(super) esm_class: EsmClass,
    pub(super) data_coding: DataCoding,
    pub(super) receipt: bool,
}

/// The PDU with other values.
pub(super) fn rewrite(raw: &RawPdu, by: &mut impl Rewrite) -> RawPdu {
    let body = match Pdu::decode(raw) {
        Ok(Pdu::NoBody(_)) | Err(_) => by.unreadable(&raw.body),
        Ok(pdu) => {
            let mut body = Walk(by).decoded(pdu).to_raw(CommandStatus::ESME_ROK, SequenceNumber(0)).body;
            // A response may end before its fields do; it was read as if they were empty.
            body.truncate(raw.body.len());
            body
        }
    };
    RawPdu { body, ..raw.clone() }
}

struct Walk<'a, R>(&'a mut R);

/// What the PDUs have in common that carry a message and say when: these addresses, times, text, parameters.
macro_rules! message {
    ($walk:ident, $body:ident, $setting:expr, $($address:ident),+) => {{
        let (mut body, setting) = ($body, $setting);
        $($walk.address(&mut body.$address);)+
        $walk.date(&mut body.schedule_delivery_time);
        $walk.date(&mut body.validity_period);
        $walk.short_message(&mut body.short_message, setting);
        $walk.tlvs(&mut body.tlvs, Some(setting));
        body.into()
    }};
}

impl<R: Rewrite> Walk<'_, R> {
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
        let other = self.0.message_id(id.octets());
        set(id, other);
    }

    fn address(&mut self, address: &mut Address) {
        let other = self.0.address(address.digits.octets());
        set(&mut address.digits, other);
    }

    fn credential<const MAX: usize>(&mut self, name: &mut CString<MAX>) {
        let other = self.0.credential(name.octets());
        set(name, other);
    }

    fn date(&mut self, date: &mut CString<17>) {
        let other = self.0.date(date.octets());
        set(date, other);
    }

    fn short_message(&mut self, message: &mut ShortMessage, setting: Setting) {
        let other = self.0.message(message.octets(), setting);
        if let Ok(other) = ShortMessage::new(other) {
            *message = other;
        }
    }

    fn tlvs(&mut self, tlvs: &mut Tlvs, setting: Option<Setting>) {
        if tlvs.is_empty() {
            return;
        }
        let mut out = BytesMut::with_capacity(tlvs.octets().len());
        for tlv in tlvs.iter() {
            let other = self.0.tlv(tlv.tag, tlv.value, setting);
            out.put_u16(tlv.tag.0);
            out.put_u16(u16::try_from(other.len()).unwrap_or(u16::MAX));
            out.put_slice(&other);
        }
        out.put_slice(&self.0.trailing(&tlvs.trailing()));
        *tlvs = Tlvs::from_octets(out.freeze());
    }
}

/// The other value has the original's length, so that it fits where that did.
fn set<const MAX: usize>(field: &mut CString<MAX>, other: Vec<u8>) {
    if let Ok(other) = CString::oversize(other) {
        *field = other;
    }
}
