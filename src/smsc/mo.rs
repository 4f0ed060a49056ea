//! A message from a phone, made by whoever drives the simulator.

use bytes::Bytes;
use smpp::pdu::DeliverSm;
use smpp::text::parts::{Long, parts};
use smpp::text::segment::Split;
use smpp::text::{Charset, CharsetError, Encoded, encode};
use smpp::{Address, DataCoding, StringError, Tlvs};

/// What a phone says. `Mo::new` is plain text in the cheapest alphabet, split by 8-bit headers where it is long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mo {
    /// The phone.
    pub from: String,
    /// The ESME's address.
    pub to: String,
    /// What it says.
    pub text: String,
    /// Which account gets it: by default the first that has a receiver bound, or else the first there is.
    pub system_id: Option<String>,
    /// In which alphabet, and how `data_coding` says so; the cheapest when `None`.
    pub coding: Option<(Charset, DataCoding)>,
    /// How it leaves when it is long.
    pub long: Long,
    /// Teleservice, for instance `USSD`.
    pub service_type: String,
    /// Further parameters, for instance those of USSD.
    pub tlvs: Tlvs,
}

/// Why an MO cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MoError {
    /// Nobody has bound yet, or nobody of that name.
    #[error("there is no account to deliver to: nobody has bound yet")]
    NoAccount,
    /// An address or the service type does not fit.
    #[error("{0}: {1}")]
    Field(&'static str, StringError),
    /// The alphabet does not have the text.
    #[error(transparent)]
    Text(#[from] CharsetError),
    /// It is longer than 255 segments.
    #[error(transparent)]
    TooLong(#[from] smpp::text::segment::TooLong),
}

impl Mo {
    /// A plain one.
    #[must_use]
    pub fn new(from: &str, to: &str, text: &str) -> Self {
        Self {
            from: from.to_owned(),
            to: to.to_owned(),
            text: text.to_owned(),
            system_id: None,
            coding: None,
            long: Long::Segments(Split::Udh8),
            service_type: String::new(),
            tlvs: Tlvs::default(),
        }
    }

    /// Its PDUs, in order; `reference` joins segments.
    pub(super) fn pdus(&self, reference: u16) -> Result<Vec<DeliverSm>, MoError> {
        let encoded = match self.coding {
            None => encode(&self.text),
            Some((charset, data_coding)) => {
                Encoded { charset, data_coding, octets: charset.encode(&self.text)? }
            }
        };
        let field = |name| move |error| MoError::Field(name, error);
        let template = DeliverSm {
            service_type: self.service_type.as_str().try_into().map_err(field("service_type"))?,
            source: Address::detected(&self.from).map_err(field("from"))?,
            destination: Address::detected(&self.to).map_err(field("to"))?,
            ..DeliverSm::default()
        };
        let pdu = |part: smpp::text::parts::Part| {
            let mut tlvs = part.tlvs.octets().to_vec();
            tlvs.extend_from_slice(self.tlvs.octets());
            DeliverSm {
                esm_class: part.esm_class,
                data_coding: part.data_coding,
                short_message: part.short_message,
                tlvs: Tlvs::from_octets(Bytes::from(tlvs)),
                ..template.clone()
            }
        };
        Ok(parts(&encoded, self.long, reference)?.into_iter().map(pdu).collect())
    }
}
