//! How MTs become submit_sm.

use std::time::Duration;

use smpp::text::national::Language;
use smpp::text::segment::Split;
use smpp::text::{Charset, coding_of};
use smpp::{DataCoding, EsmClass};

use super::super::super::ConfigError;
use super::super::super::fields::{Fields, wrong};
use super::vendor_tlvs::VendorTlvs;

/// See the file's head.
#[derive(Clone, Debug)]
pub(in crate::channel::esme) struct SubmitConfig {
    pub(in crate::channel::esme) service_type: String,
    pub(in crate::channel::esme) source: Numbering,
    pub(in crate::channel::esme) destination: Numbering,
    pub(in crate::channel::esme) esm_class: EsmClass,
    pub(in crate::channel::esme) protocol_id: u8,
    pub(in crate::channel::esme) priority_flag: u8,
    pub(in crate::channel::esme) validity: Validity,
    /// Always, never, or when somebody wants to know.
    pub(in crate::channel::esme) registered_delivery: Option<bool>,
    pub(in crate::channel::esme) encoding: Encoding,
    /// Whose national tables may be used.
    pub(in crate::channel::esme) languages: Vec<Language>,
    /// Whether text may be folded into GSM 03.38 where that saves segments.
    pub(in crate::channel::esme) transliterate: bool,
    pub(in crate::channel::esme) long: Long,
    /// Octets per segment, where Vumi's own limit is wanted.
    pub(in crate::channel::esme) segment_octets: Option<usize>,
    /// References of segments marked by parameters run below this.
    pub(in crate::channel::esme) reference_rollover: u32,
    /// Whether optional parameters may be sent at all.
    pub(in crate::channel::esme) tlvs: bool,
    /// The operator's own.
    pub(in crate::channel::esme) vendor_tlvs: VendorTlvs,
}

/// For how long a message is worth sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::channel::esme) enum Validity {
    /// As long as the SMSC likes, and however long it waits here.
    Unlimited,
    /// So long from the moment that we accepted it; the SMSC is told what is left.
    For(Duration),
    /// As this time of SMPP v3.4 §7.1.1 tells the SMSC.
    Text(String),
}

/// Where an address's TON and NPI come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::channel::esme) enum Numbering {
    /// Always these.
    Fixed(u8, u8),
    /// By the looks of the address.
    Detected,
    /// These, unless the address has a `+` or is no number: Kannel's rule.
    Otherwise(u8, u8),
}

/// How text is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::channel::esme) enum Encoding {
    /// The cheapest alphabet that has every character.
    Auto,
    /// Always this one.
    Fixed(Charset, DataCoding),
}

/// What becomes of text that does not fit one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::channel::esme) enum Long {
    /// It is refused.
    Refuse,
    /// All text goes into `message_payload`.
    Payload,
    /// Segments.
    Segments(Split),
}

impl Long {
    /// Whether long text would carry optional parameters.
    fn needs_tlvs(self) -> bool {
        matches!(self, Self::Payload | Self::Segments(Split::Sar))
    }

    /// The same for an SMSC that knows no optional parameters.
    pub(in crate::channel::esme) fn without_tlvs(self) -> Self {
        if self.needs_tlvs() { Self::Segments(Split::Udh8) } else { self }
    }
}

/// Vumi's octets per segment.
const VUMI_SEGMENT: usize = 130;

impl SubmitConfig {
    pub(super) fn read(fields: &Fields, strict: bool, vendor_tlvs: VendorTlvs) -> Result<Self, ConfigError> {
        let detect = fields.boolean("address_autodetect")?;
        let version = fields.text("interface_version")?.and_then(|text| u8::from_str_radix(&text, 16).ok());
        Ok(Self {
            service_type: fields.sized_text("service_type", 5, false)?,
            source: numbering(fields, "source_addr_ton", "source_addr_npi", (0, 0), detect, strict)?,
            destination: numbering(fields, "dest_addr_ton", "dest_addr_npi", (0, 1), detect, strict)?,
            esm_class: EsmClass(fields.integer("esm_class", 0..=255_u8)?.unwrap_or(0)),
            protocol_id: fields.integer("protocol_id", 0..=255_u8)?.unwrap_or(0),
            priority_flag: fields.integer("priority_flag", 0..=3_u8)?.unwrap_or(0),
            validity: validity(fields)?,
            registered_delivery: fields.boolean("registered_delivery")?.or(strict.then_some(true)),
            encoding: encoding(fields, strict)?,
            languages: languages(fields)?,
            transliterate: fields.boolean("transliterate")?.unwrap_or(false),
            long: long(fields, strict)?,
            segment_octets: strict.then_some(VUMI_SEGMENT),
            reference_rollover: fields.integer("multipart_sar_reference_rollover", 1..=65_536_u32)?.unwrap_or(65_536),
            tlvs: version.is_none_or(|version| version >= 0x34),
            vendor_tlvs,
        })
    }

    /// Whether every long message would carry optional parameters.
    pub(super) fn needs_tlvs(&self) -> bool {
        self.long.needs_tlvs()
    }
}

/// TON and NPI where either is given or nothing is to be detected; `address_autodetect: true` beside them detects what is
/// evident.
fn numbering(
    fields: &Fields,
    ton: &str,
    npi: &str,
    defaults: (u8, u8),
    detect: Option<bool>,
    strict: bool,
) -> Result<Numbering, ConfigError> {
    let given = (fields.integer(ton, 0..=255_u8)?, fields.integer(npi, 0..=255_u8)?);
    let (ton, npi) = (given.0.unwrap_or(defaults.0), given.1.unwrap_or(defaults.1));
    Ok(match (given, detect) {
        ((None, None), Some(true)) => Numbering::Detected,
        ((None, None), None) if !strict => Numbering::Detected,
        (_, Some(true)) => Numbering::Otherwise(ton, npi),
        _ => Numbering::Fixed(ton, npi),
    })
}

/// Seconds, or a time as the SMSC reads it.
fn validity(fields: &Fields) -> Result<Validity, ConfigError> {
    let key = "validity_period";
    let Some(text) = fields.text(key)?.filter(|text| !text.is_empty()) else { return Ok(Validity::Unlimited) };
    if text.len() < 16 {
        return Ok(Validity::For(fields.seconds(key, 0.0)?));
    }
    if text.parse::<smpp::field::time::Time>().is_err() {
        let how = "must be a number of seconds, or a time of SMPP v3.4 §7.1.1, for instance 000002000000000R";
        return Err(wrong(key, how));
    }
    Ok(Validity::Text(text))
}

fn encoding(fields: &Fields, strict: bool) -> Result<Encoding, ConfigError> {
    let key = "submit_sm_encoding";
    let coding = fields.integer("submit_sm_data_coding", 0..=255_u8)?;
    let name = match fields.text(key)? {
        Some(name) => name,
        // Vumi's own default, where its meaning is wanted.
        None if strict || coding.is_some() => "utf-8".to_owned(),
        None => return Ok(Encoding::Auto),
    };
    if name == "auto" {
        let how = "cannot stand beside submit_sm_encoding auto, which announces the alphabet that it picks for each \
                   message: name an encoding, or leave the octet out";
        return coding.map_or(Ok(Encoding::Auto), |_| Err(wrong("submit_sm_data_coding", how)));
    }
    let charset = Charset::named(&name).ok_or_else(|| wrong(key, &format!("names the unknown encoding '{name}'")))?;
    // Vumi announces what it is told, whatever the text is in.
    let usual = if strict { DataCoding::DEFAULT } else { coding_of(charset) };
    Ok(Encoding::Fixed(charset, coding.map_or(usual, DataCoding)))
}

fn languages(fields: &Fields) -> Result<Vec<Language>, ConfigError> {
    let key = "national_languages";
    let known = || Language::ALL.map(|(code, _)| code).join(", ");
    let unknown = |code: &str| wrong(key, &format!("names '{code}', which is none of: {}", known()));
    fields.texts(key)?.iter().map(|code| Language::named(code).ok_or_else(|| unknown(code))).collect()
}

fn long(fields: &Fields, strict: bool) -> Result<Long, ConfigError> {
    let choices = [
        ("send_long_messages", Long::Payload),
        ("send_multipart_sar", Long::Segments(Split::Sar)),
        ("send_multipart_udh", Long::Segments(Split::Udh8)),
    ];
    let mut chosen = Vec::new();
    for (key, long) in choices {
        if fields.boolean(key)? == Some(true) {
            chosen.push((key, long));
        }
    }
    match chosen[..] {
        [] if strict => Ok(Long::Refuse),
        [] => Ok(Long::Segments(Split::Udh8)),
        [(_, long)] => Ok(long),
        [(key, _), ..] => {
            let keys: Vec<&str> = chosen.iter().map(|(key, _)| *key).collect();
            let message = format!("The following parameters are mutually exclusive: {}", keys.join(", "));
            Err(ConfigError::new(key, message))
        }
    }
}
