//! What an operator may set for a channel of binds: Vumi's keys with Vumi's meaning (field guide §1.2 to 1.5), and ours.
//!
//! An absent key takes the value that delivers; `strict_vumi` gives absent keys Vumi's own defaults instead. A key that
//! nobody knows is refused with the nearest known one.

mod deliver;
mod results;
mod session;
mod submit;
mod ussd;
mod vendor_tlvs;

use serde_json::Value;

use super::super::ConfigError;
use super::super::fields::{Fields, wrong};
use super::aliases;
use crate::model::JsonObject;

pub(super) use deliver::DeliverConfig;
pub(super) use results::{Action, OnTimeout, OnUnknown, ResultConfig, RetryRule};
pub(super) use session::{BindPlan, Peer, SessionPlan};
pub(super) use submit::{Encoding, Long, Numbering, SubmitConfig, Validity};
pub(super) use ussd::{Dialect, UssdConfig};
pub(super) use vendor_tlvs::VendorTlvs;

/// A channel of binds as its operator wants it.
#[derive(Clone, Debug)]
pub struct EsmeConfig {
    pub(super) session: SessionPlan,
    pub(super) results: ResultConfig,
    pub(super) submit: SubmitConfig,
    pub(super) deliver: DeliverConfig,
    pub(super) ussd: UssdConfig,
    pub(super) disable_ack: bool,
    pub(super) disable_delivery_report: bool,
}

/// Every key; those of the last part change nothing here but are Vumi's, so no configuration is refused for them.
pub(super) const KEYS: &[&str] = &[
    "twisted_endpoint",
    "host",
    "port",
    "receiver_endpoint",
    "backup_hosts",
    "failback_interval",
    "outbind_listen",
    "outbind_from",
    "tls",
    "bind_type",
    "bind_count",
    "system_id",
    "password",
    "send_full_password",
    "system_type",
    "interface_version",
    "address_range",
    "bind_addr_ton",
    "bind_addr_npi",
    "initial_reconnect_delay",
    "max_reconnect_delay",
    "smpp_bind_timeout",
    "smpp_enquire_link_interval",
    "response_timeout",
    "idle_timeout",
    "pdu_read_timeout",
    "max_pdu_length",
    "window_size",
    "throttle_delay",
    "mt_tps",
    "bind_tps",
    "on_unknown",
    "on_response_timeout",
    "retry",
    "status_actions",
    "status_texts",
    "error_texts",
    "vendor_tlvs",
    "validity_period",
    "service_type",
    "source_addr_ton",
    "source_addr_npi",
    "dest_addr_ton",
    "dest_addr_npi",
    "address_autodetect",
    "registered_delivery",
    "esm_class",
    "protocol_id",
    "priority_flag",
    "multipart_timeout",
    "receipt_wait",
    "msg_id_type",
    "combine_receipts",
    "deliver_sm_decoding_error",
    "disable_ack",
    "disable_delivery_report",
    "delivery_report_processor",
    "delivery_report_processor_config",
    "deliver_short_message_processor",
    "deliver_short_message_processor_config",
    "submit_short_message_processor",
    "submit_short_message_processor_config",
    "strict_vumi",
    // The processors' keys at top level, as Vumi's flat configurations have them.
    "delivery_report_regex",
    "delivery_report_status_mapping",
    "delivery_report_use_esm_class",
    "data_coding_overrides",
    "allow_empty_messages",
    "binary",
    "udh_without_flag",
    "max_session_length",
    "ussd_code_pdu_field",
    "submit_sm_encoding",
    "submit_sm_data_coding",
    "national_languages",
    "transliterate",
    "send_long_messages",
    "send_multipart_sar",
    "send_multipart_udh",
    "multipart_sar_reference_rollover",
    // Vumi's, of no consequence here: what they bound is durable, or kept for as long as the store keeps it.
    "submit_sm_expiry",
    "third_party_id_expiry",
    "final_dr_third_party_id_expiry",
    "completed_multipart_info_expiry",
    "redis_manager",
    "split_bind_prefix",
    "codec_class",
    "transport_name",
    "worker_name",
    "publish_status",
    "amqp_prefetch_count",
    "middleware",
    "transport_type",
];

impl EsmeConfig {
    /// Reads a channel's `config`, and the certificates that it names.
    ///
    /// # Errors
    /// [`ConfigError`] names the key.
    pub fn parse(config: &JsonObject) -> Result<Self, ConfigError> {
        let config = &aliases::resolve(config)?;
        ConfigError::check_keys(config, KEYS)?;
        let fields = flatten(config)?;
        let strict = fields.boolean("strict_vumi")?.unwrap_or(false);
        let vendor_tlvs = VendorTlvs::read(&fields)?;
        let parsed = Self {
            session: SessionPlan::read(&fields)?,
            results: ResultConfig::read(&fields)?,
            submit: SubmitConfig::read(&fields, strict, vendor_tlvs.clone())?,
            deliver: DeliverConfig::read(&fields, strict, vendor_tlvs)?,
            ussd: UssdConfig::read(&fields, ussd::dialect(config)?)?,
            disable_ack: fields.boolean("disable_ack")?.unwrap_or(false),
            disable_delivery_report: fields.boolean("disable_delivery_report")?.unwrap_or(false),
        };
        if parsed.session.without_tlvs() && parsed.submit.needs_tlvs() {
            return Err(wrong(
                "interface_version",
                "is below 3.4, which has no optional parameters: neither send_long_messages nor send_multipart_sar can \
                 be used with it; send_multipart_udh can",
            ));
        }
        if parsed.session.without_tlvs() && parsed.submit.vendor_tlvs.in_every_message() {
            let how = "has parameters for every message, but interface_version is below 3.4, which has none";
            return Err(wrong("vendor_tlvs", how));
        }
        Ok(parsed)
    }
}

/// The processors' own configurations are read as if they stood at top level.
fn flatten(config: &JsonObject) -> Result<Fields, ConfigError> {
    let mut flat = config.clone();
    for name in ["delivery_report", "deliver_short_message", "submit_short_message"] {
        let key = format!("{name}_processor_config");
        match config.get(&key) {
            None | Some(Value::Null) => {}
            Some(Value::Object(nested)) => flat.extend(nested.clone()),
            Some(_) => return Err(wrong(&key, "is not an object")),
        }
    }
    ConfigError::check_keys(&flat, KEYS)?;
    Ok(Fields(flat))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use smpp::DataCoding;
    use smpp::text::Charset;
    use smpp::text::segment::Split;

    use super::*;

    fn parse(mut config: Value) -> Result<EsmeConfig, ConfigError> {
        let base = json!({"twisted_endpoint": "tcp:host=smsc:port=2775", "system_id": "me", "password": "secret"});
        for (key, value) in base.as_object().unwrap() {
            config.as_object_mut().unwrap().entry(key.clone()).or_insert(value.clone());
        }
        EsmeConfig::parse(config.as_object().unwrap())
    }

    #[test]
    fn absent_keys_deliver_and_strict_vumi_does_as_vumi_did() {
        let config = parse(json!({})).unwrap();
        assert_eq!(config.submit.encoding, Encoding::Auto);
        assert_eq!(config.submit.long, Long::Segments(Split::Udh8));
        assert_eq!(config.session.config.window.get(), 10);
        let strict = parse(json!({"strict_vumi": true})).unwrap();
        assert_eq!(strict.submit.encoding, Encoding::Fixed(Charset::Utf8, DataCoding(0)));
        assert_eq!((strict.submit.long, strict.submit.destination), (Long::Refuse, Numbering::Fixed(0, 1)));
    }

    #[test]
    fn nested_processor_configurations_and_numbers_in_strings_are_read() {
        let config = parse(json!({
            "mt_tps": "5", "interface_version": 34, "password": "longer than eight",
            "submit_short_message_processor": "vumi.transports.smpp.processors.SubmitShortMessageProcessor",
            "submit_short_message_processor_config": {"submit_sm_encoding": "latin1", "submit_sm_data_coding": 3},
            "deliver_short_message_processor_config": {"data_coding_overrides": {"0": "utf-8"}},
        }))
        .unwrap();
        assert_eq!(config.session.rate, Some(5.0));
        assert_eq!((config.session.interface_version, config.session.password.as_str()), (0x34, "longer t"));
        assert_eq!(config.submit.encoding, Encoding::Fixed(Charset::Latin1, DataCoding(3)));
        assert_eq!(config.deliver.overrides.get(&0), Some(&Charset::Utf8));
    }

    #[test]
    fn a_processors_class_path_chooses_the_dialect_of_ussd() {
        let paths = [
            ("vumi.transports.smpp.processors.mica.DeliverShortMessageProcessor", Dialect::Mica),
            ("vumi.transports.smpp.processors.sixdee.DeliverShortMessageProcessor", Dialect::SixDee),
            ("vumi.transports.smpp.processors.default.DeliverShortMessageProcessor", Dialect::Default),
            ("vumi.transports.smpp.processors.DeliverShortMessageProcessor", Dialect::Default),
        ];
        for (path, dialect) in paths {
            let config = parse(json!({"deliver_short_message_processor": path})).unwrap();
            assert_eq!(config.ussd.dialect, dialect, "{path}");
        }
    }

    /// Field guide 8.7 #115.
    #[test]
    fn what_is_wrong_is_named() {
        let message = |config| parse(config).unwrap_err().message;
        assert_eq!(message(json!({"system_id": null})), "Missing required config field 'system_id'");
        assert_eq!(message(json!({"windw_size": 1})), "Unknown config field 'windw_size', did you mean 'window_size'?");
        assert_eq!(message(json!({"window_size": 0})), "Field 'window_size' must be a whole number from 1 to 10000");
        assert_eq!(message(json!({"mt_tps": "fast"})), "Field 'mt_tps' is not a number");
        assert_eq!(
            message(json!({"send_multipart_sar": true, "send_multipart_udh": true})),
            "The following parameters are mutually exclusive: send_multipart_sar, send_multipart_udh"
        );
        assert!(message(json!({"delivery_report_regex": "(?P<id>x)"})).contains("'id' and 'stat'"));
        assert!(
            message(json!({"delivery_report_processor": "my.own.Thing"})).contains("none of: default, mica, sixdee")
        );
        assert!(message(json!({"data_coding_overrides": {"x": "ascii"}})).contains("no number"));
        assert!(
            message(json!({"interface_version": 33, "send_multipart_sar": true})).contains("send_multipart_udh can")
        );
        assert_eq!(
            message(json!({"tls": {"ca_file": "/does/not/exist"}})),
            "Field 'tls' cannot be used: the certificate /does/not/exist cannot be read: I/O error: \
             No such file or directory (os error 2)"
        );
        assert_eq!(message(json!({"tls": {"ca": "x"}})), "Unknown config field 'tls.ca', did you mean 'ca_file'?");
        assert_eq!(
            message(json!({"backup_hosts": ["smsc2"]})),
            "Field 'backup_hosts' is not a valid server endpoint: it must begin with tcp:, ssl: or tls:"
        );
        assert_eq!(
            message(json!({"retry": {"ESME_RFUNNY": {"count": 1}}})),
            "Field 'retry' names the unknown status 'ESME_RFUNNY'"
        );
        assert_eq!(
            message(json!({"status_actions": {"ESME_RSYSERR": "shrug"}})),
            "Field 'status_actions' gives 'ESME_RSYSERR' the action \"shrug\", which is not one of: \
             permanent, retry, retry_elsewhere, slow_down, stop_bind"
        );
        assert!(message(json!({"msg_id_type": 4})).contains("auto, string, 0, 1, 2, 3"));
        assert_eq!(
            message(json!({"submit_sm_encoding": "auto", "submit_sm_data_coding": 1})),
            "Field 'submit_sm_data_coding' cannot stand beside submit_sm_encoding auto, which announces the alphabet that \
             it picks for each message: name an encoding, or leave the octet out"
        );
    }

    #[test]
    fn vumis_own_pattern_is_accepted_as_the_default() {
        let pattern = deliver::VUMI_REGEX;
        let config = parse(json!({"delivery_report_processor_config": {"delivery_report_regex": pattern}}));
        assert!(config.unwrap().deliver.regex.is_none());
    }
}
