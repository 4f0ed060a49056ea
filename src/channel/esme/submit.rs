//! An MT as submit_sm: addresses, alphabet, segments (field guide §5, §6.3).

use std::time::Duration;

use bytes::Bytes;
use smpp::field::address::detect;
use smpp::field::time::Time;
use smpp::pdu::SubmitSm;
use smpp::text::segment::{self, Split};
use smpp::text::{self, Charset};
use smpp::{Address, CString, DataCoding, EsmClass, Npi, Pdu, RegisteredDelivery, ShortMessage, Tag, Tlvs, Ton};

use super::config::{Dialect, Encoding, EsmeConfig, Long, Numbering, SubmitConfig, Validity};
use crate::model::{Outbound, Timestamp};

/// Why an MT cannot be sent over this bind; the reason of its nack.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unsendable(pub(super) String);

/// The PDUs of one MT, in order; `reference` joins its segments.
pub(super) fn to_pdus(
    config: &EsmeConfig,
    message: &Outbound,
    reference: u16,
    now: Timestamp,
) -> Result<Vec<Pdu>, Unsendable> {
    let pdus = build(config, message, reference, now)?;
    if !config.submit.tlvs && pdus.iter().any(|pdu| pdu.tlvs().is_some_and(|tlvs| !tlvs.octets().is_empty())) {
        return Err(Unsendable(
            "it needs optional parameters, which this channel's interface_version lacks".to_owned(),
        ));
    }
    Ok(pdus)
}

fn build(config: &EsmeConfig, message: &Outbound, reference: u16, now: Timestamp) -> Result<Vec<Pdu>, Unsendable> {
    let dialect = config.ussd.dialect;
    let config = &config.submit;
    let template = template(config, message, now)?;
    if message.transport_type.as_deref() == Some("ussd") {
        return Ok(vec![ussd(config, dialect, message, template)?.into()]);
    }
    let (charset, data_coding, octets) = encode(config, &message.content)?;
    let template = SubmitSm { data_coding, ..template };
    match config.long {
        Long::Payload => Ok(vec![payload(template, &octets)?.into()]),
        Long::Refuse => Ok(vec![whole(template, octets)?.into()]),
        Long::Segments(split) => segments(config, template, charset, &octets, split, reference),
    }
}

/// Until when it is worth sending.
pub(super) fn expires_at(config: &SubmitConfig, message: &Outbound) -> Option<Timestamp> {
    match config.validity {
        Validity::For(time) => Some(message.accepted_at.plus(time)),
        Validity::Unlimited | Validity::Text(_) => None,
    }
}

/// What is left of its validity, for the SMSC.
fn validity_period(config: &SubmitConfig, message: &Outbound, now: Timestamp) -> String {
    match (&config.validity, expires_at(config, message)) {
        (Validity::Text(text), _) => text.clone(),
        // What is less than a second is still something.
        (_, Some(expires)) => Time::relative(now.until(expires).max(Duration::from_secs(1))).to_string(),
        _ => String::new(),
    }
}

fn template(config: &SubmitConfig, message: &Outbound, now: Timestamp) -> Result<SubmitSm, Unsendable> {
    let wants_receipt = config.registered_delivery.unwrap_or(message.event_url.is_some());
    let text = |name: &str, text: &str| Unsendable(format!("Invalid {name}: {text}"));
    Ok(SubmitSm {
        service_type: config
            .service_type
            .as_str()
            .try_into()
            .map_err(|_| text("service_type", &config.service_type))?,
        source: match message.from.as_deref().filter(|from| !from.is_empty()) {
            Some(from) => address("from_addr", from, config.source)?,
            None => Address::default(),
        },
        destination: address("to_addr", &message.to, config.destination)?,
        esm_class: config.esm_class,
        protocol_id: config.protocol_id,
        priority_flag: config.priority_flag,
        validity_period: validity_period(config, message, now).as_str().try_into().unwrap_or_default(),
        registered_delivery: if wants_receipt { RegisteredDelivery::RECEIPT } else { RegisteredDelivery::NONE },
        ..SubmitSm::default()
    })
}

/// Longest address of submit_sm, in octets without the NUL (§5.2.8, §5.2.9).
const MAX_ADDRESS: usize = 20;

/// With the configured TON and NPI, or by the looks of the digits (field guide §5.6).
fn address(field: &str, digits: &str, configured: Numbering) -> Result<Address, Unsendable> {
    let invalid = || Unsendable(format!("Invalid {field}: {digits}"));
    let (ton, npi, digits) = match configured {
        Numbering::Fixed(ton, npi) => (Ton(ton), Npi(npi), digits),
        Numbering::Detected => detect(digits),
        Numbering::Otherwise(ton, npi) => {
            let number = digits.strip_prefix('+').unwrap_or(digits);
            match number.bytes().all(|octet| octet.is_ascii_digit()) {
                true if number.len() < digits.len() => (Ton::INTERNATIONAL, Npi(npi), number),
                true => (Ton(ton), Npi(npi), digits),
                false => (Ton::ALPHANUMERIC, Npi::UNKNOWN, digits),
            }
        }
    };
    if !digits.is_ascii() || digits.len() > MAX_ADDRESS {
        return Err(invalid());
    }
    let digits: CString<65> = digits.try_into().map_err(|_| invalid())?;
    Ok(Address { ton, npi, digits })
}

fn encode(config: &SubmitConfig, content: &str) -> Result<(Charset, DataCoding, Vec<u8>), Unsendable> {
    match config.encoding {
        Encoding::Auto => {
            let encoded = text::encode(content);
            Ok((encoded.charset, encoded.data_coding, encoded.octets))
        }
        Encoding::Fixed(charset, data_coding) => {
            let octets = charset.encode(content).map_err(|error| Unsendable(format!("Invalid content: {error}")))?;
            Ok((charset, data_coding, octets))
        }
    }
}

/// Octets of `short_message` (§5.2.22).
const MAX_SHORT_MESSAGE: usize = 254;

fn whole(template: SubmitSm, octets: Vec<u8>) -> Result<SubmitSm, Unsendable> {
    let length = octets.len();
    let short_message = ShortMessage::new(octets).ok().filter(|_| length <= MAX_SHORT_MESSAGE).ok_or_else(|| {
        Unsendable(format!(
            "Message too long: {length} octets where {MAX_SHORT_MESSAGE} fit, and neither send_long_messages nor \
             send_multipart_* is set"
        ))
    })?;
    Ok(SubmitSm { short_message, ..template })
}

fn payload(template: SubmitSm, octets: &[u8]) -> Result<SubmitSm, Unsendable> {
    if octets.len() > usize::from(u16::MAX) {
        return Err(Unsendable(format!("Message too long: {} octets where 65535 fit", octets.len())));
    }
    let mut tlvs = Tlvs::default();
    tlvs.push(Tag::MESSAGE_PAYLOAD, octets);
    Ok(SubmitSm { tlvs, ..template })
}

fn segments(
    config: &SubmitConfig,
    template: SubmitSm,
    charset: Charset,
    octets: &[u8],
    split: Split,
    reference: u16,
) -> Result<Vec<Pdu>, Unsendable> {
    let pieces = match config.segment_octets {
        Some(capacity) if octets.len() > segment::single_capacity(charset) => segment::cut(octets, charset, capacity),
        _ => segment::split(octets, charset, split).map_err(|error| Unsendable(error.to_string()))?,
    };
    if let [piece] = pieces[..] {
        return Ok(vec![whole(template, piece.to_vec())?.into()]);
    }
    let total = u8::try_from(pieces.len())
        .map_err(|_| Unsendable(format!("the text needs {} segments where 255 are the most", pieces.len())))?;
    let pdu = |(part, piece): (u8, &&[u8])| {
        let mut text = segment::header(split, reference, total, part);
        text.extend_from_slice(piece);
        let mut submit = whole(template.clone(), text)?;
        match split {
            Split::Sar => {
                let reference = u32::from(reference) % config.reference_rollover;
                submit.tlvs.push_integer(Tag::SAR_MSG_REF_NUM, reference);
                submit.tlvs.push_integer(Tag::SAR_TOTAL_SEGMENTS, u32::from(total));
                submit.tlvs.push_integer(Tag::SAR_SEGMENT_SEQNUM, u32::from(part));
            }
            Split::Udh8 | Split::Udh16 => submit.esm_class = submit.esm_class | EsmClass::UDHI,
        }
        Ok(submit.into())
    };
    (1..=total).zip(&pieces).map(pdu).collect()
}

/// A reply in a USSD session, never split (field guide §6.3, §6.6).
fn ussd(
    config: &SubmitConfig,
    dialect: Dialect,
    message: &Outbound,
    template: SubmitSm,
) -> Result<SubmitSm, Unsendable> {
    let (_, data_coding, octets) = encode(config, &message.content)?;
    let fits = octets.len() <= MAX_SHORT_MESSAGE;
    let mut submit = if fits { whole(template, octets)? } else { payload(template, &octets)? };
    submit.data_coding = data_coding;
    super::ussd::put(dialect, message, &mut submit.tlvs)?;
    Ok(submit)
}

/// The message id of a submit_sm_resp, if it has one.
pub(super) fn message_id(response: &Pdu) -> Option<String> {
    let id: &Bytes = match response {
        Pdu::SubmitSmResp(response) => response.message_id.octets(),
        Pdu::DataSmResp(response) => response.message_id.octets(),
        _ => return None,
    };
    let id: String = id.iter().copied().map(char::from).collect();
    let id = id.trim();
    (!id.is_empty()).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::esme::config::EsmeConfig;
    use crate::model::{JsonObject, MessageId, Priority, SessionEvent};

    fn message(to: &str, from: Option<&str>, content: &str) -> Outbound {
        Outbound {
            id: MessageId::mint(),
            channel: "c".into(),
            to: to.into(),
            from: from.map(Into::into),
            group: None,
            content: content.into(),
            reply_to: None,
            session_event: None,
            priority: Priority::BULK,
            channel_data: JsonObject::new(),
            transport_type: None,
            transport_metadata: JsonObject::new(),
            provider: None,
            event_url: None,
            event_auth_token: None,
            accepted_at: Timestamp::now(),
        }
    }

    fn submits(config: serde_json::Value, message: &Outbound) -> Result<Vec<SubmitSm>, Unsendable> {
        let mut config = config.as_object().unwrap().clone();
        config.insert("twisted_endpoint".into(), "tcp:h:1".into());
        config.insert("system_id".into(), "s".into());
        config.insert("password".into(), "p".into());
        let config = EsmeConfig::parse(&config).unwrap();
        let pdus = to_pdus(&config, message, 7, Timestamp::now())?;
        Ok(pdus.into_iter().map(|pdu| if let Pdu::SubmitSm(submit) = pdu { submit } else { panic!() }).collect())
    }

    fn numbering(address: &Address) -> (u8, u8, String) {
        (address.ton.0, address.npi.0, address.digits.to_text())
    }

    #[test]
    fn addresses_get_the_numbering_that_they_look_like_or_the_configured_one() {
        let submit = &submits(serde_json::json!({}), &message("+27820001001", Some("Maybug"), "x")).unwrap()[0];
        assert_eq!(numbering(&submit.destination), (1, 1, "27820001001".into()));
        assert_eq!(numbering(&submit.source), (5, 0, "Maybug".into()));
        let submit = &submits(serde_json::json!({}), &message("27820001001", Some("40404"), "x")).unwrap()[0];
        assert_eq!(numbering(&submit.source), (6, 0, "40404".into()));
        let vumi = serde_json::json!({"strict_vumi": true});
        let submit = &submits(vumi, &message("+27820001001", None, "x")).unwrap()[0];
        assert_eq!(numbering(&submit.destination), (0, 1, "+27820001001".into()));
        let kannel = serde_json::json!({"address_autodetect": true, "source_addr_ton": 2, "source_addr_npi": 1});
        for (from, expected) in [("27820001001", (2, 1)), ("+27820001001", (1, 1)), ("Maybug", (5, 0)), ("404", (2, 1))]
        {
            let submit = &submits(kannel.clone(), &message("+27820001001", Some(from), "x")).unwrap()[0];
            let (ton, npi, digits) = numbering(&submit.source);
            assert_eq!(((ton, npi), digits.as_str()), (expected, from.trim_start_matches('+')));
        }
        let refused = submits(serde_json::json!({}), &message("Zoë", None, "x")).unwrap_err();
        assert_eq!(refused.0, "Invalid to_addr: Zoë");
    }

    #[test]
    fn long_text_is_split_as_configured() {
        let long = message("27820001001", None, &"x".repeat(161));
        let parts = submits(serde_json::json!({}), &long).unwrap();
        assert_eq!(parts.iter().map(|part| part.short_message.octets().len()).collect::<Vec<_>>(), [159, 14]);
        assert_eq!(&parts[1].short_message.octets()[..6], &[5, 0, 3, 7, 2, 2]);
        assert!(parts[0].esm_class.udhi());
        let parts = submits(serde_json::json!({"send_multipart_sar": true}), &long).unwrap();
        assert_eq!(parts[1].tlvs.integer(Tag::SAR_SEGMENT_SEQNUM), Some(2));
        let parts = submits(serde_json::json!({"send_long_messages": true}), &long).unwrap();
        assert_eq!(parts[0].tlvs.octets_of(Tag::MESSAGE_PAYLOAD).unwrap().len(), 161);
        let vumi = serde_json::json!({"strict_vumi": true, "send_multipart_udh": true});
        let parts = submits(vumi, &long).unwrap();
        assert_eq!(parts.iter().map(|part| part.short_message.octets().len()).collect::<Vec<_>>(), [136, 37]);
        let refused = submits(serde_json::json!({"strict_vumi": true}), &message("1", None, &"x".repeat(256)));
        assert!(refused.unwrap_err().0.starts_with("Message too long: 256 octets"));
    }

    #[test]
    fn a_receipt_is_asked_for_when_somebody_wants_to_know() {
        let mut wanted = message("27820001001", None, "x");
        let receipt = |message: &Outbound| submits(serde_json::json!({}), message).unwrap()[0].registered_delivery.0;
        assert_eq!(receipt(&wanted), 0);
        wanted.event_url = Some("http://x/".into());
        assert_eq!(receipt(&wanted), 1);
    }

    #[test]
    fn a_ussd_reply_carries_its_session_and_its_end() {
        let mut reply = message("27820001001", None, "bye");
        reply.transport_type = Some("ussd".into());
        reply.transport_metadata.insert("session_info".into(), "00f0".into());
        reply.session_event = Some(SessionEvent::Close);
        let submit = &submits(serde_json::json!({}), &reply).unwrap()[0];
        assert_eq!(&submit.tlvs.octets()[..], [0x05, 0x01, 0, 1, 2, 0x13, 0x83, 0, 2, 0, 0xf1]);
    }
}
