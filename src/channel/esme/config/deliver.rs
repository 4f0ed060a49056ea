//! How deliver_sm and data_sm are read: alphabets, receipts, segments, USSD.

use std::collections::HashMap;
use std::time::Duration;

use fancy_regex::Regex;
use smpp::CommandStatus;
use smpp::receipt::{Base, Delivery, IdRule, StatusMapping};
use smpp::text::Charset;

use super::super::super::ConfigError;
use super::super::super::fields::{Fields, wrong};
use super::vendor_tlvs::VendorTlvs;
use crate::pattern;

/// See the file's head.
#[derive(Clone, Debug)]
pub(in crate::channel::esme) struct DeliverConfig {
    pub(in crate::channel::esme) overrides: HashMap<u8, Charset>,
    pub(in crate::channel::esme) default_alphabet: Option<Charset>,
    pub(in crate::channel::esme) allow_empty: bool,
    /// Whether messages that are no text are passed on, as base64.
    pub(in crate::channel::esme) binary: Option<()>,
    /// Whether a header that makes segments counts without its flag.
    pub(in crate::channel::esme) udh_without_flag: bool,
    pub(in crate::channel::esme) decoding_error: CommandStatus,
    pub(in crate::channel::esme) use_esm_class: bool,
    pub(in crate::channel::esme) regex: Option<Regex>,
    pub(in crate::channel::esme) mapping: StatusMapping,
    pub(in crate::channel::esme) multipart_timeout: Duration,
    pub(in crate::channel::esme) receipt_wait: Duration,
    /// How receipts' ids are looked up; learned when absent.
    pub(in crate::channel::esme) id_rule: Option<IdRule>,
    /// Whether the receipts of one message's segments make one report.
    pub(in crate::channel::esme) combine: bool,
    /// The operator's own optional parameters.
    pub(in crate::channel::esme) vendor_tlvs: VendorTlvs,
}

/// Vumi's default pattern; whoever copied it into a configuration gets the tolerant parser all the same.
pub(super) const VUMI_REGEX: &str = r"id:(?P<id>[^ ]{,65})(?: +sub:(?P<sub>[^ ]+))?(?: +dlvrd:(?P<dlvrd>[^ ]+))?(?: +submit date:(?P<submit_date>\d*))?(?: +done date:(?P<done_date>\d*))? +stat:(?P<stat>[A-Z]{5,7})(?: +err:(?P<err>[^ ]+))? +[Tt]ext:(?P<text>.{,20}).*";

impl DeliverConfig {
    pub(super) fn read(fields: &Fields, strict: bool, vendor_tlvs: VendorTlvs) -> Result<Self, ConfigError> {
        let status = fields.text("deliver_sm_decoding_error")?;
        let decoding_error = match &status {
            None => CommandStatus::ESME_RDELIVERYFAILURE,
            Some(name) => CommandStatus::from_name(name)
                .ok_or_else(|| wrong("deliver_sm_decoding_error", &format!("names the unknown status '{name}'")))?,
        };
        Ok(Self {
            overrides: overrides(fields)?,
            // Field guide §4.2: Vumi refuses data_coding 0 unless told what it is.
            default_alphabet: (!strict).then_some(Charset::Gsm7),
            allow_empty: fields.boolean("allow_empty_messages")?.unwrap_or(!strict),
            binary: fields.choice("binary", &[("refuse", None), ("base64", Some(()))])?,
            // Field guide §4.4: Vumi does not look at the flag.
            udh_without_flag: fields.boolean("udh_without_flag")?.unwrap_or(strict),
            decoding_error,
            use_esm_class: fields.boolean("delivery_report_use_esm_class")?.unwrap_or(true),
            regex: regex(fields)?,
            mapping: mapping(fields)?,
            multipart_timeout: fields.seconds("multipart_timeout", 3_600.0)?,
            receipt_wait: fields.seconds("receipt_wait", 60.0)?,
            id_rule: id_rule(fields)?,
            combine: fields.boolean("combine_receipts")?.unwrap_or(!strict),
            vendor_tlvs,
        })
    }
}

/// Kannel's `msg-id-type`: bit 0 for hexadecimal responses, bit 1 for hexadecimal receipts; or a word.
fn id_rule(fields: &Fields) -> Result<Option<IdRule>, ConfigError> {
    let base = |hexadecimal| if hexadecimal { Base::Hexadecimal } else { Base::Decimal };
    let number = |bits: u8| IdRule::Number { response: base(bits & 1 != 0), receipt: base(bits & 2 != 0) };
    fields.choice(
        "msg_id_type",
        &[
            ("auto", None),
            ("string", Some(IdRule::Text)),
            ("0", Some(number(0))),
            ("1", Some(number(1))),
            ("2", Some(number(2))),
            ("3", Some(number(3))),
        ],
    )
}

fn overrides(fields: &Fields) -> Result<HashMap<u8, Charset>, ConfigError> {
    let key = "data_coding_overrides";
    let mut overrides = HashMap::new();
    for (coding, name) in fields.object(key)?.into_iter().flatten() {
        let coding: u8 = coding
            .parse()
            .map_err(|_| wrong(key, &format!("has the key '{coding}', which is no number from 0 to 255")))?;
        let charset = name.as_str().and_then(Charset::named);
        let charset = charset.ok_or_else(|| wrong(key, &format!("names the unknown encoding {name}")))?;
        overrides.insert(coding, charset);
    }
    Ok(overrides)
}

fn regex(fields: &Fields) -> Result<Option<Regex>, ConfigError> {
    let key = "delivery_report_regex";
    let Some(pattern) = fields.text(key)?.filter(|pattern| pattern != VUMI_REGEX) else { return Ok(None) };
    let regex = pattern::backtracking(&pattern)
        .map_err(|error| wrong(key, &format!("is not a usable regular expression: {error}")))?;
    let names: Vec<&str> = regex.capture_names().flatten().collect();
    if !(names.contains(&"id") && names.contains(&"stat")) {
        return Err(wrong(key, "must have the groups 'id' and 'stat'"));
    }
    Ok(Some(regex))
}

fn mapping(fields: &Fields) -> Result<StatusMapping, ConfigError> {
    let key = "delivery_report_status_mapping";
    let Some(object) = fields.object(key)? else { return Ok(StatusMapping::default()) };
    let mut rows = Vec::new();
    for (word, meaning) in object {
        let delivery = match meaning.as_str() {
            Some("pending") => Delivery::Pending,
            Some("delivered") => Delivery::Delivered,
            Some("failed") => Delivery::Failed,
            _ => {
                let how =
                    format!("gives '{word}' the meaning {meaning}, which is not one of: pending, delivered, failed");
                return Err(wrong(key, &how));
            }
        };
        rows.push((word.clone(), delivery));
    }
    Ok(StatusMapping::new(rows))
}
