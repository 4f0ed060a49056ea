//! An MT as submit_sm: addresses, alphabet, segments (field guide §5, §6.3).

use std::time::Duration;

use bytes::Bytes;
use smpp::field::address::detect;
use smpp::field::time::Time;
use smpp::pdu::SubmitSm;
use smpp::text::parts::{self, Layout, Part, parts};
use smpp::text::segment::Split;
use smpp::text::transliterate::fold;
use smpp::text::{self, Charset, Encoded, segment};
use smpp::{Address, CString, DataCoding, EsmClass, Npi, Pdu, RegisteredDelivery, ShortMessage, Ton};

use super::config::{Dialect, Encoding, EsmeConfig, Long, Numbering, SubmitConfig, Validity};
use super::overrides::{Overrides, When};
use crate::model::{Outbound, Timestamp};

/// Why an MT cannot be sent over this bind; the reason of its nack.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unsendable(pub(super) String);

/// Octets of `short_message` (§5.2.22).
const MAX_SHORT_MESSAGE: usize = 254;

/// A text as it will be written.
pub(super) struct Written {
    pub(super) encoded: Encoded,
    /// Characters that another stands for, and which.
    pub(super) replaced: Vec<(char, String)>,
    /// It is octets, not text.
    pub(super) binary: bool,
}

/// The PDUs of one MT, in order; `reference` joins its segments.
pub(super) fn to_pdus(
    config: &EsmeConfig,
    message: &Outbound,
    reference: u16,
    now: Timestamp,
) -> Result<Vec<Pdu>, Unsendable> {
    let overrides = Overrides::of(&config.submit.vendor_tlvs, &message.channel_data)?;
    let pdus = build(config, message, &overrides, reference, now)?;
    if !config.submit.tlvs && pdus.iter().any(|pdu| !pdu.tlvs.octets().is_empty()) {
        return Err(Unsendable(
            "it needs optional parameters, which this channel's interface_version lacks".to_owned(),
        ));
    }
    Ok(pdus.into_iter().map(Pdu::from).collect())
}

fn build(
    config: &EsmeConfig,
    message: &Outbound,
    overrides: &Overrides,
    reference: u16,
    now: Timestamp,
) -> Result<Vec<SubmitSm>, Unsendable> {
    let template = template(&config.submit, message, overrides, now)?;
    let written = write(&config.submit, message, overrides)?;
    if message.transport_type.as_deref() == Some("ussd") {
        return Ok(vec![ussd(config.ussd.dialect, message, template, &written.encoded)?]);
    }
    let with = |part: Part| {
        let mut submit = SubmitSm {
            esm_class: template.esm_class | part.esm_class,
            data_coding: part.data_coding,
            short_message: part.short_message,
            tlvs: part.tlvs,
            ..template.clone()
        };
        if !template.tlvs.octets().is_empty() {
            submit.tlvs.extend(&template.tlvs);
        }
        submit
    };
    Ok(lay_out(&config.submit, overrides, &written.encoded, reference)?.into_iter().map(with).collect())
}

/// The parts of a text, as the channel cuts it.
pub(super) fn lay_out(
    config: &SubmitConfig,
    overrides: &Overrides,
    encoded: &Encoded,
    reference: u16,
) -> Result<Vec<Part>, Unsendable> {
    let long = match config.long {
        Long::Payload => parts::Long::Payload,
        Long::Segments(split) => parts::Long::Segments(split),
        Long::Refuse => return whole(overrides, encoded),
    };
    let layout = Layout {
        long,
        segment_octets: config.segment_octets,
        elements: overrides.elements.clone(),
        reference_rollover: config.reference_rollover,
    };
    parts(encoded, &layout, reference).map_err(|error| Unsendable(error.to_string()))
}

/// In one message or not at all.
fn whole(overrides: &Overrides, encoded: &Encoded) -> Result<Vec<Part>, Unsendable> {
    let length = encoded.octets.len();
    if length > MAX_SHORT_MESSAGE {
        return Err(Unsendable(format!(
            "Message too long: {length} octets where {MAX_SHORT_MESSAGE} fit, and neither send_long_messages nor \
             send_multipart_* is set"
        )));
    }
    if length <= segment::single_capacity(encoded.charset) || !overrides.elements.is_empty() {
        let layout = Layout { elements: overrides.elements.clone(), ..parts::Long::Segments(Split::Udh8).into() };
        return parts(encoded, &layout, 0).map_err(|error| Unsendable(error.to_string()));
    }
    // Longer than a phone takes, but it is what was asked for.
    let short_message = ShortMessage::new(encoded.octets.clone()).map_err(|error| Unsendable(error.to_string()))?;
    let (esm_class, data_coding) = (EsmClass::default(), encoded.data_coding);
    Ok(vec![Part { esm_class, data_coding, short_message, tlvs: smpp::Tlvs::default() }])
}

/// Until when it is worth sending.
pub(super) fn expires_at(config: &SubmitConfig, message: &Outbound) -> Option<Timestamp> {
    // What is wrong with it is said when it is written.
    let own =
        || Overrides::of(&config.vendor_tlvs, &message.channel_data).ok().and_then(|overrides| overrides.validity);
    match (message.channel_data.contains_key("validity_period").then(own).flatten(), &config.validity) {
        (Some(When::In(time)), _) => Some(message.accepted_at.plus(time)),
        (None, Validity::For(time)) => Some(message.accepted_at.plus(*time)),
        _ => None,
    }
}

/// What is left of its validity, for the SMSC.
fn validity_period(config: &SubmitConfig, message: &Outbound, overrides: &Overrides, now: Timestamp) -> String {
    match (&overrides.validity, &config.validity, expires_at(config, message)) {
        (Some(When::Text(text)), _, _) | (None, Validity::Text(text), _) => text.clone(),
        // What is less than a second is still something.
        (_, _, Some(expires)) => Time::relative(now.until(expires).max(Duration::from_secs(1))).to_string(),
        _ => String::new(),
    }
}

fn template(
    config: &SubmitConfig,
    message: &Outbound,
    overrides: &Overrides,
    now: Timestamp,
) -> Result<SubmitSm, Unsendable> {
    let wants_receipt = overrides.registered_delivery.or(config.registered_delivery);
    let wants_receipt = wants_receipt.unwrap_or(message.event_url.is_some());
    let service_type = overrides.service_type.as_deref().unwrap_or(&config.service_type);
    let schedule = match &overrides.schedule {
        None => String::new(),
        Some(When::Text(text)) => text.clone(),
        // What is due already goes at once.
        Some(When::In(time)) => match now.until(message.accepted_at.plus(*time)) {
            Duration::ZERO => String::new(),
            left => Time::relative(left).to_string(),
        },
    };
    Ok(SubmitSm {
        service_type: service_type
            .try_into()
            .map_err(|_| Unsendable(format!("Invalid service_type: {service_type}")))?,
        source: match message.from.as_deref().filter(|from| !from.is_empty()) {
            Some(from) => address("from_addr", from, config.source)?,
            None => Address::default(),
        },
        destination: address("to_addr", &message.to, config.destination)?,
        esm_class: config.esm_class,
        protocol_id: overrides.protocol_id.unwrap_or(config.protocol_id),
        priority_flag: overrides.priority_flag.unwrap_or(config.priority_flag),
        schedule_delivery_time: schedule.as_str().try_into().unwrap_or_default(),
        validity_period: validity_period(config, message, overrides, now).as_str().try_into().unwrap_or_default(),
        registered_delivery: if wants_receipt { RegisteredDelivery::RECEIPT } else { RegisteredDelivery::NONE },
        replace_if_present_flag: overrides.replace_if_present.unwrap_or_default(),
        tlvs: overrides.tlvs.clone(),
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

/// Writes a message's content in the alphabet that it is to have.
pub(super) fn write(config: &SubmitConfig, message: &Outbound, overrides: &Overrides) -> Result<Written, Unsendable> {
    let content = &message.content;
    if let Some(binary) = overrides.binary {
        // Latin-1 stands for octets that mean nothing to us.
        let charset = overrides.charset.unwrap_or(Charset::Latin1);
        let data_coding = overrides.announce(Charset::Latin1, DataCoding(4));
        let encoded = Encoded::new(charset, data_coding, binary.decode(content)?);
        return Ok(Written { encoded, replaced: Vec::new(), binary: true });
    }
    let (mut encoded, replaced) = match (overrides.charset, config.encoding) {
        (Some(charset), _) => (in_charset(charset, usual_coding(charset), content)?, Vec::new()),
        (None, Encoding::Fixed(charset, data_coding)) => (in_charset(charset, data_coding, content)?, Vec::new()),
        (None, Encoding::Auto) => cheapest(config, content),
    };
    encoded.data_coding = overrides.announce(encoded.charset, encoded.data_coding);
    Ok(Written { encoded, replaced, binary: false })
}

fn in_charset(charset: Charset, data_coding: DataCoding, content: &str) -> Result<Encoded, Unsendable> {
    let octets = charset.encode(content).map_err(|error| Unsendable(format!("Invalid content: {error}")))?;
    Ok(Encoded::new(charset, data_coding, octets))
}

/// The `data_coding` of the standard for a character set; that of the SMSC's default alphabet where it has none.
fn usual_coding(charset: Charset) -> DataCoding {
    (0..=14).map(DataCoding).find(|coding| text::charset_of(*coding) == Some(charset)).unwrap_or_default()
}

/// GSM 03.38, with national tables or folded where the channel allows that and it saves segments; else UCS-2.
fn cheapest(config: &SubmitConfig, content: &str) -> (Encoded, Vec<(char, String)>) {
    let encoded = match config.languages[..] {
        [] => text::encode(content),
        ref languages => text::encode_national(content, languages),
    };
    if encoded.charset == Charset::Gsm7 || !config.transliterate {
        return (encoded, Vec::new());
    }
    match fold(content) {
        Some(folded) => {
            let plain = text::encode(&folded.text);
            match segment::count(&plain) < segment::count(&encoded) {
                true => (plain, folded.changed),
                false => (encoded, Vec::new()),
            }
        }
        None => (encoded, Vec::new()),
    }
}

/// A reply in a USSD session, never split (field guide §6.3, §6.6).
fn ussd(dialect: Dialect, message: &Outbound, template: SubmitSm, encoded: &Encoded) -> Result<SubmitSm, Unsendable> {
    let fits = encoded.octets.len() <= MAX_SHORT_MESSAGE;
    let mut submit = SubmitSm { data_coding: encoded.data_coding, ..template };
    if fits {
        submit.short_message =
            ShortMessage::new(encoded.octets.clone()).map_err(|error| Unsendable(error.to_string()))?;
    } else if encoded.octets.len() <= usize::from(u16::MAX) {
        submit.tlvs.push(smpp::Tag::MESSAGE_PAYLOAD, &encoded.octets);
    } else {
        return Err(Unsendable(format!("Message too long: {} octets where 65535 fit", encoded.octets.len())));
    }
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
    use smpp::Tag;

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
