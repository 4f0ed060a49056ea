//! An MT as submit_sm: addresses, alphabet, segments (field guide §5, §6.3).

use std::time::Duration;

use bytes::Bytes;
use smpp::field::address::detect;
use smpp::field::time::Time;
use smpp::pdu::SubmitSm;
use smpp::text::parts::{self, Layout, Part, PartsError, parts};
use smpp::text::{Charset, Encoded};
use smpp::{Address, CString, Npi, Pdu, RegisteredDelivery, ShortMessage, Ton};

use super::alphabet::write;
use super::config::{Dialect, EsmeConfig, Long, Numbering, SubmitConfig, Validity};
use super::overrides::{Overrides, When};
use crate::model::{Outbound, Timestamp};

/// Why an MT cannot be sent over this bind; the reason of its nack.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unsendable(pub(super) String);

/// Octets of `short_message` (§5.2.22).
const MAX_SHORT_MESSAGE: usize = 254;
/// Octets of printable ASCII that Vumi sends without splitting them.
const VUMI_SINGLE: usize = 160;

/// The PDUs of one MT, in order; `long` says how segments are marked, `reference` joins them.
pub(super) fn to_pdus(
    config: &EsmeConfig,
    message: &Outbound,
    long: Long,
    reference: u16,
    now: Timestamp,
) -> Result<Vec<Pdu>, Unsendable> {
    let overrides = Overrides::of(&config.submit.vendor_tlvs, &message.channel_data)?;
    let pdus = build(config, message, &overrides, (long, reference), now)?;
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
    (long, reference): (Long, u16),
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
    Ok(lay_out(&config.submit, overrides, &written.encoded, (long, reference))?.into_iter().map(with).collect())
}

/// The parts of a text, cut and joined like this.
pub(super) fn lay_out(
    config: &SubmitConfig,
    overrides: &Overrides,
    encoded: &Encoded,
    (long, reference): (Long, u16),
) -> Result<Vec<Part>, Unsendable> {
    let long = match long {
        Long::Refuse => return whole(overrides, encoded),
        Long::Segments(_) if config.segment_octets.is_some() && vumi_sends_whole(overrides, encoded) => {
            return whole(overrides, encoded);
        }
        Long::Segments(split) => parts::Long::Segments(split),
        Long::Payload => parts::Long::Payload,
    };
    let layout = Layout {
        long,
        segment_octets: config.segment_octets,
        elements: overrides.elements.clone(),
        reference_rollover: config.reference_rollover,
    };
    parts(encoded, &layout, reference).map_err(|error| Unsendable(error.to_string()))
}

/// In one message or not at all; longer than a phone takes, if that is what was asked for.
fn whole(overrides: &Overrides, encoded: &Encoded) -> Result<Vec<Part>, Unsendable> {
    match parts::single(encoded, &overrides.elements) {
        Ok(part) => Ok(vec![part]),
        Err(PartsError::NotOne { octets }) => Err(Unsendable(format!(
            "Message too long: {octets} octets where {MAX_SHORT_MESSAGE} fit, and neither send_long_messages nor \
             send_multipart_* is set"
        ))),
        Err(error) => Err(Unsendable(error.to_string())),
    }
}

/// Whether these are 160 octets of ASCII at most: Vumi counts them as seven bits each, whatever the alphabet (field guide
/// §5.2). Alphabets that say more with such octets are left out, and so is what is no text.
fn vumi_sends_whole(overrides: &Overrides, encoded: &Encoded) -> bool {
    let ascii_is_ascii = !matches!(encoded.charset, Charset::Ucs2 | Charset::Gsm7Packed | Charset::Iso2022Jp);
    let plain = overrides.elements.is_empty() && overrides.binary.is_none() && encoded.tables.is_default();
    let octets = &encoded.octets;
    ascii_is_ascii && plain && octets.len() <= VUMI_SINGLE && octets.iter().all(|octet| (0x20..=0x7f).contains(octet))
}

/// Until when it is worth sending.
pub(super) fn expires_at(config: &SubmitConfig, message: &Outbound) -> Option<Timestamp> {
    // What is wrong with it is said when it is written.
    let own =
        || Overrides::of(&config.vendor_tlvs, &message.channel_data).ok().and_then(|overrides| overrides.validity);
    let first = message.send_at.unwrap_or(message.accepted_at);
    let period = match (message.channel_data.contains_key("validity_period").then(own).flatten(), &config.validity) {
        (Some(When::In(time)), _) => Some(first.plus(time)),
        (None, Validity::For(time)) => Some(first.plus(*time)),
        _ => None,
    };
    [period, message.expires_at].into_iter().flatten().min()
}

/// What is left of its validity, for the SMSC: whatever ends first of what the message, its `channel_data` and the channel
/// say.
fn validity_period(config: &SubmitConfig, message: &Outbound, overrides: &Overrides, now: Timestamp) -> String {
    // What is less than a second is still something.
    let ours = expires_at(config, message);
    let ((Some(When::Text(text)), _) | (None, Validity::Text(text))) = (&overrides.validity, &config.validity) else {
        return ours.map(|expires| left(now.until(expires))).unwrap_or_default();
    };
    let theirs = text.parse().ok().and_then(|time| Timestamp::of(time, now));
    match ours.filter(|ours| theirs.is_some_and(|theirs| *ours < theirs)) {
        Some(expires) => left(now.until(expires)),
        None => text.clone(),
    }
}

fn left(time: Duration) -> String {
    Time::relative(time.max(Duration::from_secs(1))).to_string()
}

/// Says anew what is left of the validity of a PDU that is sent again.
pub(super) fn set_validity(pdu: &mut Pdu, time: Duration) {
    if let Pdu::SubmitSm(submit) = pdu {
        submit.validity_period = left(time).as_str().try_into().unwrap_or_default();
    }
}

/// About how many PDUs an MT makes; cheap, since it decides only how many MTs are taken from the queue at once.
pub(super) fn estimate(message: &Outbound) -> usize {
    let octets = message.content.len();
    match (octets, message.content.is_ascii()) {
        (0..=160, true) => 1,
        // Letters of a segment in GSM 03.38; in UCS-2 they are 67, of two octets or more in UTF-8.
        (_, true) => octets.div_ceil(153),
        (_, false) => octets.div_ceil(134),
    }
}

fn template(
    config: &SubmitConfig,
    message: &Outbound,
    overrides: &Overrides,
    now: Timestamp,
) -> Result<SubmitSm, Unsendable> {
    let wants_receipt = overrides.registered_delivery.or(config.registered_delivery);
    let wants_receipt = wants_receipt.unwrap_or(message.event_url.is_some() || message.events_queued);
    let service_type = overrides.service_type.as_deref().unwrap_or(&config.service_type);
    let schedule = match &overrides.schedule {
        None => String::new(),
        Some(When::Text(text)) => text.clone(),
        // What is due already goes at once.
        Some(When::In(time)) => match now.until(message.send_at.unwrap_or(message.accepted_at).plus(*time)) {
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
    use smpp::text::content::Content;
    use smpp::text::gsm7;
    use smpp::{DataCoding, EsmClass, Tag};

    use super::*;
    use crate::channel::esme::config::EsmeConfig;
    use crate::model::SessionEvent;

    fn message(to: &str, from: Option<&str>, content: &str) -> Outbound {
        Outbound { from: from.map(Into::into), ..Outbound::plain(to, content) }
    }

    fn submits(config: serde_json::Value, message: &Outbound) -> Result<Vec<SubmitSm>, Unsendable> {
        let mut config = config.as_object().unwrap().clone();
        config.insert("twisted_endpoint".into(), "tcp:h:1".into());
        config.insert("system_id".into(), "s".into());
        config.insert("password".into(), "p".into());
        let config = EsmeConfig::parse(&config).unwrap();
        let pdus = to_pdus(&config, message, config.submit.long, 7, Timestamp::now())?;
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

    fn with(content: &str, key: &str, value: serde_json::Value) -> Outbound {
        let mut message = message("27820001001", None, content);
        message.channel_data.insert(key.into(), value);
        message
    }

    /// What a phone reads that knows the standard's data codings only.
    fn read(submit: &SubmitSm) -> Option<String> {
        let octets = submit.short_message.octets();
        Content::new(submit.esm_class, submit.data_coding, octets, &submit.tlvs).ok()?.text()
    }

    #[test]
    fn an_alphabet_is_announced_by_its_own_data_coding_unless_another_is_given() {
        let coding = |config| submits(config, &message("27820001001", None, "x")).unwrap()[0].data_coding.0;
        assert_eq!(coding(serde_json::json!({"submit_sm_encoding": "ucs2"})), 8);
        assert_eq!(coding(serde_json::json!({"submit_sm_encoding": "latin1"})), 3);
        assert_eq!(coding(serde_json::json!({"submit_sm_encoding": "utf-8"})), 0);
        assert_eq!(coding(serde_json::json!({"submit_sm_encoding": "ucs2", "submit_sm_data_coding": 24})), 24);
        assert_eq!(coding(serde_json::json!({"submit_sm_encoding": "ucs2", "strict_vumi": true})), 0);
    }

    #[test]
    fn class_and_indication_announce_the_alphabet_that_the_text_is_in() {
        let strict = serde_json::json!({"strict_vumi": true});
        let latin = serde_json::json!({"submit_sm_encoding": "latin1"});
        let wide = serde_json::json!({"submit_sm_encoding": "ucs2"});
        let waiting = serde_json::json!({"indication": "voicemail"});
        for (config, text, flash, indication) in [
            (&strict, "a@b", 0xf0, 0xc8),
            (&strict, "ж", 0x18, 0xe8),
            (&latin, "é_", 0xf0, 0xc8),
            (&latin, "ж", 0x18, 0xe8),
            (&wide, "x", 0x18, 0xe8),
        ] {
            for (key, value, coding) in
                [("message_class", 0.into(), flash), ("message_waiting", waiting.clone(), indication)]
            {
                let submit = &submits(config.clone(), &with(text, key, value)).unwrap()[0];
                assert_eq!((submit.data_coding.0, read(submit).as_deref()), (coding, Some(text)), "{config} {key}");
            }
        }
        let mut flash = with("é", "message_class", 0.into());
        flash.channel_data.insert("encoding".into(), "latin1".into());
        let why = "Invalid channel_data.encoding: latin1 has no data_coding with message_class or message_waiting: give \
                   gsm0338, ucs2 or nothing, or channel_data.data_coding";
        assert_eq!(submits(serde_json::json!({}), &flash).unwrap_err().0, why);
        flash.channel_data.insert("data_coding".into(), 0x11.into());
        let submit = &submits(serde_json::json!({}), &flash).unwrap()[0];
        assert_eq!((submit.data_coding.0, &submit.short_message.octets()[..]), (0x11, &[0xe9][..]));
        let mut octets = with("00ff", "message_waiting", waiting);
        octets.channel_data.insert("binary".into(), "hex".into());
        assert!(
            submits(serde_json::json!({}), &octets).unwrap_err().0.starts_with("Invalid channel_data.message_waiting")
        );
    }

    #[test]
    fn a_ussd_reply_needs_no_header_to_be_read() {
        let mut reply = message("27820001001", None, "Şifreniz ığş");
        reply.transport_type = Some("ussd".into());
        reply.transport_metadata.insert("session_info".into(), "00f0".into());
        let submit = &submits(serde_json::json!({"national_languages": ["tr"]}), &reply).unwrap()[0];
        assert_eq!(read(submit).as_deref(), Some("Şifreniz ığş"));
    }

    /// Field guide §5.2.
    #[test]
    fn strict_vumi_sends_in_one_what_vumi_sent_in_one() {
        let lengths = |config: serde_json::Value, text: &str| -> Vec<usize> {
            let parts = submits(config, &message("27820001001", None, text)).unwrap();
            parts.iter().map(|part| read(part).unwrap().len()).collect()
        };
        for way in ["send_multipart_udh", "send_multipart_sar"] {
            let strict = || serde_json::json!({"strict_vumi": true, way: true});
            assert_eq!(lengths(strict(), &"x".repeat(140)), [140]);
            assert_eq!(lengths(strict(), &"x".repeat(160)), [160]);
            assert_eq!(lengths(strict(), &"x".repeat(161)), [130, 31]);
            assert_eq!(lengths(strict(), &format!("{}\n", "x".repeat(140))), [130, 11]);
        }
        // What is no ASCII has no seven bits to fit more.
        let wide = serde_json::json!({"strict_vumi": true, "send_multipart_udh": true, "submit_sm_encoding": "ucs2",
            "submit_sm_data_coding": 8});
        assert_eq!(submits(wide, &message("27820001001", None, &"†".repeat(71))).unwrap().len(), 2);
        let mut octets = with(&"20".repeat(150), "binary", "hex".into());
        let strict = serde_json::json!({"strict_vumi": true, "send_multipart_udh": true});
        assert_eq!(submits(strict.clone(), &octets).unwrap().len(), 2);
        octets.content = "20".repeat(140);
        assert_eq!(submits(strict, &octets).unwrap().len(), 1);
    }

    #[test]
    fn what_is_not_to_be_split_is_not_split_by_a_header_either() {
        let strict = || serde_json::json!({"strict_vumi": true});
        let sent = submits(strict(), &with(&"x".repeat(200), "destination_port", 2948.into())).unwrap();
        assert_eq!((sent.len(), sent[0].esm_class, sent[0].short_message.octets().len()), (1, EsmClass::UDHI, 207));
        let refused = submits(strict(), &with(&"x".repeat(250), "destination_port", 2948.into())).unwrap_err();
        assert!(refused.0.starts_with("Message too long: 257 octets where 254 fit"), "{refused}");
    }

    #[test]
    fn packed_text_and_large_headers_fit_or_are_refused() {
        let packed = serde_json::json!({"submit_sm_encoding": "gsm0338-packed"});
        let parts = submits(packed, &message("27820001001", None, &"x".repeat(161))).unwrap();
        let octets: Vec<&Bytes> = parts.iter().map(|part| part.short_message.octets()).collect();
        assert_eq!(octets[0].len(), 140);
        // A header of six octets is 48 bits; text begins at a multiple of seven, one bit later.
        assert_eq!(gsm7::unpack(&octets[0][6..], 1, 153), [b'x'; 153]);
        assert_eq!(gsm7::unpack(&octets[1][6..], 1, 8), [b'x'; 8]);
        for udh in [format!("708a{}", "00".repeat(138)), format!("70ff{}", "00".repeat(255)) + "7000"] {
            let refused = submits(serde_json::json!({}), &with("Hello 😀", "udh", udh.into())).unwrap_err();
            assert!(refused.0.contains("leave no room for text"), "{refused}");
        }
    }

    #[test]
    fn a_channel_of_gsm_03_38_folds_and_takes_national_tables_where_it_may() {
        let config = |more: &str, value: serde_json::Value| serde_json::json!({"submit_sm_encoding": "gsm0338", "submit_sm_data_coding": 1, more: value});
        let plain = |more: &str, value, text: &str| submits(config(more, value), &message("27820001001", None, text));
        let folded = &plain("transliterate", true.into(), "kůň").unwrap()[0];
        assert_eq!((folded.data_coding.0, &folded.short_message.octets()[..]), (1, &b"kun"[..]));
        let turkish = &plain("national_languages", serde_json::json!(["tr"]), "ığş").unwrap()[0];
        assert_eq!((turkish.data_coding.0, turkish.esm_class), (1, EsmClass::UDHI));
        let content = Content::new(turkish.esm_class, DataCoding(0), turkish.short_message.octets(), &turkish.tlvs);
        assert_eq!(content.unwrap().text().as_deref(), Some("ığş"));
        let refused = plain("transliterate", false.into(), "kůň").unwrap_err();
        assert_eq!(refused.0, "Invalid content: 'ů' at character 1 cannot be written in gsm0338");
        let refused = plain("transliterate", true.into(), "kůň \u{f8ff}").unwrap_err();
        assert_eq!(refused.0, "Invalid content: '\\u{f8ff}' cannot be written in gsm0338, nor folded");
        let packed = serde_json::json!({"submit_sm_encoding": "gsm0338-packed", "transliterate": true});
        let packed = submits(packed, &message("27820001001", None, "kůň")).unwrap();
        assert_eq!(packed[0].short_message.octets()[..], gsm7::pack(b"kun", 0));
        let own = submits(serde_json::json!({"transliterate": true}), &with("kůň", "encoding", "gsm0338".into()));
        assert_eq!(own.unwrap()[0].short_message.octets()[..], *b"kun");
    }

    #[test]
    fn what_no_way_of_sending_takes_is_refused_before_it_is_written() {
        let refused = submits(serde_json::json!({}), &message("27820001001", None, &"ж".repeat(100_000))).unwrap_err();
        assert_eq!(
            refused.0,
            "Message too long: 200000 octets of UTF-8 where no way of sending takes more than 196605"
        );
    }
}
