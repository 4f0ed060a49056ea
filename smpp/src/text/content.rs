//! What a message PDU carries, wherever it carries it: header, concatenation, text (field guide §4.1, §4.4).
//!
//! Whether it is a receipt is `receipt`'s business; joining segments is [`super::reassemble`]'s.

use bytes::Bytes;

use super::udh::{Concat, Udh, UdhError};
use super::{Charset, Tables, charset_of, gsm7};
use crate::field::{DataCoding, EsmClass, MessageType};
use crate::pdu::Pdu;
use crate::tlv::{Tag, Tlvs};

/// The content of a submit_sm, submit_multi, deliver_sm or data_sm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// How the text is coded.
    pub data_coding: DataCoding,
    /// The user data header, where `esm_class` announces one and this is no receipt.
    pub udh: Option<Udh>,
    /// Which segment this is, by `sar_*` or by header.
    pub concat: Option<Concat>,
    /// The text's octets, without header.
    pub octets: Bytes,
    /// The national tables that its header announces.
    pub tables: Tables,
}

impl Content {
    /// Reads it: `message_payload` where there is one, else `short_message`.
    ///
    /// # Errors
    /// [`UdhError`] when a header is announced that is not there.
    pub fn new(
        esm_class: EsmClass,
        data_coding: DataCoding,
        short_message: &Bytes,
        tlvs: &Tlvs,
    ) -> Result<Self, UdhError> {
        let whole = tlvs.octets_of(Tag::MESSAGE_PAYLOAD).unwrap_or_else(|| short_message.clone());
        // A receipt's text has no header, whatever its flags say (field guide §8.6).
        let headed = esm_class.udhi() && esm_class.message_type() == MessageType::Default;
        let udh = if headed { Some(Udh::split(&whole)?) } else { None };
        let octets = udh.as_ref().map_or(whole, |udh| udh.text.clone());
        let concat = sar(tlvs).or_else(|| udh.as_ref().and_then(Udh::concat));
        let mut tables = Tables::default();
        udh.iter().flat_map(Udh::elements).for_each(|element| tables.read(element.id, element.data));
        Ok(Self { data_coding, udh, concat, octets, tables })
    }

    /// That of a PDU; `None` for those that carry no message.
    ///
    /// # Errors
    /// [`UdhError`] when a header is announced that is not there.
    pub fn of(pdu: &Pdu) -> Option<Result<Self, UdhError>> {
        let payload_only = Bytes::new();
        let (esm_class, data_coding, short_message, tlvs) = match pdu {
            Pdu::SubmitSm(pdu) => (pdu.esm_class, pdu.data_coding, pdu.short_message.octets(), &pdu.tlvs),
            Pdu::SubmitMulti(pdu) => (pdu.esm_class, pdu.data_coding, pdu.short_message.octets(), &pdu.tlvs),
            Pdu::DeliverSm(pdu) => (pdu.esm_class, pdu.data_coding, pdu.short_message.octets(), &pdu.tlvs),
            Pdu::DataSm(pdu) => (pdu.esm_class, pdu.data_coding, &payload_only, &pdu.tlvs),
            _ => return None,
        };
        Some(Self::new(esm_class, data_coding, short_message, tlvs))
    }

    /// How the text is coded; `None` for binary.
    #[must_use]
    pub const fn charset(&self) -> Option<Charset> {
        charset_of(self.data_coding)
    }

    /// The octets for whoever knows the alphabet better: packed septets begin with the first bit, as if there were no
    /// header in front of them.
    #[must_use]
    pub fn aligned(&self, charset: Charset) -> Bytes {
        match (&self.udh, charset) {
            (Some(udh), Charset::Gsm7Packed) => {
                gsm7::realign(&self.octets, gsm7::fill(1 + udh.elements.len()), 0).into()
            }
            _ => self.octets.clone(),
        }
    }

    /// The text, with U+FFFD for what means nothing; `None` for binary.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let charset = self.charset()?;
        if charset == Charset::Gsm7 && !self.tables.is_default() {
            return Some(self.tables.decode(&self.octets));
        }
        Some(charset.decode_lossy(&self.octets))
    }
}

/// The segment that the `sar_*` parameters say this is (§5.3.2.22 to 24).
fn sar(tlvs: &Tlvs) -> Option<Concat> {
    let reference = u16::try_from(tlvs.integer(Tag::SAR_MSG_REF_NUM)?).ok()?;
    let total = u8::try_from(tlvs.integer(Tag::SAR_TOTAL_SEGMENTS)?).ok()?;
    let part = u8::try_from(tlvs.integer(Tag::SAR_SEGMENT_SEQNUM)?).ok()?;
    Concat::new(reference, total, part)
}
