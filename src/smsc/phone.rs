//! A message from a phone, made by whoever drives the simulator.

use bytes::Bytes;
use smpp::pdu::DeliverSm;
use smpp::text::parts::{Long, Part, PartsError, parts};
use smpp::text::segment::Split;
use smpp::text::{Charset, CharsetError, Encoded, encode};
use smpp::{Address, DataCoding, StringError, Tlvs};

/// What a phone says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneMessage {
    /// The phone.
    pub from: String,
    /// The ESME's address.
    pub to: String,
    /// What it says; long text goes out in segments.
    pub text: String,
}

/// How it is delivered. The default is the cheapest alphabet, 8-bit headers where it is long, and whoever is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneOptions {
    /// Which account gets it; the first that has a receiver, now or later, when `None`.
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

impl Default for PhoneOptions {
    fn default() -> Self {
        Self {
            system_id: None,
            coding: None,
            long: Long::Segments(Split::Udh8),
            service_type: String::new(),
            tlvs: Tlvs::default(),
        }
    }
}

/// Why a phone's message cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PhoneError {
    /// An address or the service type does not fit.
    #[error("{0}: {1}")]
    Field(&'static str, StringError),
    /// The alphabet does not have the text.
    #[error(transparent)]
    Text(#[from] CharsetError),
    /// It does not fit.
    #[error(transparent)]
    Parts(#[from] PartsError),
}

/// Its PDUs, in order; `reference` joins segments.
pub(super) fn pdus(
    message: &PhoneMessage,
    options: &PhoneOptions,
    reference: u16,
) -> Result<Vec<DeliverSm>, PhoneError> {
    let encoded = match options.coding {
        None => encode(&message.text),
        Some((charset, data_coding)) => Encoded::new(charset, data_coding, charset.encode(&message.text)?),
    };
    let field = |name| move |error| PhoneError::Field(name, error);
    let template = DeliverSm {
        service_type: options.service_type.as_str().try_into().map_err(field("service_type"))?,
        source: Address::detected(&message.from).map_err(field("from"))?,
        destination: Address::detected(&message.to).map_err(field("to"))?,
        ..DeliverSm::default()
    };
    let pdu = |part: Part| {
        let mut tlvs = part.tlvs.octets().to_vec();
        tlvs.extend_from_slice(options.tlvs.octets());
        DeliverSm {
            esm_class: part.esm_class,
            data_coding: part.data_coding,
            short_message: part.short_message,
            tlvs: Tlvs::from_octets(Bytes::from(tlvs)),
            ..template.clone()
        }
    };
    Ok(parts(&encoded, &options.long.into(), reference)?.into_iter().map(pdu).collect())
}
