//! What an operator may set for a bind: Vumi's keys with Vumi's meaning (field guide §1.2 to 1.5), and ours.
//!
//! An absent key takes the value that delivers; `strict_vumi` gives absent keys Vumi's own defaults instead. Numbers
//! may be strings, as Vumi took them. A key that nobody knows is refused with the nearest known one.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use regex::Regex;
use serde_json::Value;
use smpp::pdu::BindMode;
use smpp::receipt::{Delivery, StatusMapping};
use smpp::session::{Role, SessionConfig, ThrottleConfig};
use smpp::text::Charset;
use smpp::text::segment::Split;
use smpp::{CommandStatus, DataCoding, EsmClass};

use super::super::ConfigError;
use super::endpoint::Endpoint;
use crate::model::JsonObject;

/// A bind as its operator wants it.
#[derive(Clone, Debug)]
pub struct EsmeConfig {
    pub(super) endpoint: Endpoint,
    pub(super) system_id: String,
    pub(super) password: String,
    pub(super) system_type: String,
    pub(super) interface_version: u8,
    pub(super) address_range: String,
    pub(super) bind_mode: BindMode,
    pub(super) session: SessionConfig,
    pub(super) max_pdu_len: usize,
    pub(super) initial_reconnect_delay: Duration,
    pub(super) max_reconnect_delay: Duration,
    pub(super) on_unknown: OnUnknown,
    pub(super) submit: SubmitConfig,
    pub(super) deliver: DeliverConfig,
    pub(super) disable_ack: bool,
    pub(super) disable_delivery_report: bool,
}

/// What to do with an MT whose fate at the SMSC is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnUnknown {
    /// Send it again: it may arrive twice.
    Resend,
    /// Report it as rejected: it may have arrived.
    Report,
}

/// How MTs become submit_sm.
#[derive(Clone, Debug)]
pub(super) struct SubmitConfig {
    pub(super) service_type: String,
    /// TON and NPI, or by the looks of the address.
    pub(super) source: Option<(u8, u8)>,
    pub(super) destination: Option<(u8, u8)>,
    pub(super) esm_class: EsmClass,
    pub(super) protocol_id: u8,
    pub(super) priority_flag: u8,
    pub(super) validity_period: String,
    /// Always, never, or when somebody wants to know.
    pub(super) registered_delivery: Option<bool>,
    pub(super) encoding: Encoding,
    pub(super) long: Long,
    /// Octets per segment, where Vumi's own limit is wanted.
    pub(super) segment_octets: Option<usize>,
}

/// How text is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// The cheapest alphabet that has every character.
    Auto,
    /// Always this one.
    Fixed(Charset, DataCoding),
}

/// What becomes of text that does not fit one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Long {
    /// It is refused.
    Refuse,
    /// All text goes into `message_payload`.
    Payload,
    /// Segments.
    Segments(Split),
}

/// How deliver_sm and data_sm are read.
#[derive(Clone, Debug)]
pub(super) struct DeliverConfig {
    pub(super) overrides: HashMap<u8, Charset>,
    pub(super) default_alphabet: Option<Charset>,
    pub(super) allow_empty: bool,
    pub(super) decoding_error: CommandStatus,
    pub(super) use_esm_class: bool,
    pub(super) regex: Option<Regex>,
    pub(super) mapping: StatusMapping,
    pub(super) multipart_timeout: Duration,
    pub(super) receipt_wait: Duration,
}

/// Every key; those in the second half change nothing here but are Vumi's, so no configuration is refused for them.
const KEYS: [&str; 70] = [
    "twisted_endpoint",
    "host",
    "port",
    "system_id",
    "password",
    "send_full_password",
    "system_type",
    "interface_version",
    "address_range",
    "bind_type",
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
    "validity_period",
    "initial_reconnect_delay",
    "max_reconnect_delay",
    "smpp_bind_timeout",
    "smpp_enquire_link_interval",
    "response_timeout",
    "idle_timeout",
    "window_size",
    "throttle_delay",
    "mt_tps",
    "max_pdu_length",
    "on_unknown",
    "multipart_timeout",
    "receipt_wait",
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
    "submit_sm_encoding",
    "submit_sm_data_coding",
    "send_long_messages",
    "send_multipart_sar",
    "send_multipart_udh",
    // Vumi's, of no consequence here.
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
    "multipart_sar_reference_rollover",
    "max_session_length",
    "ussd_code_pdu_field",
    "transport_type",
];

/// Vumi's default pattern; whoever copied it into a configuration gets the tolerant parser all the same.
const VUMI_REGEX: &str = r"id:(?P<id>[^ ]{,65})(?: +sub:(?P<sub>[^ ]+))?(?: +dlvrd:(?P<dlvrd>[^ ]+))?(?: +submit date:(?P<submit_date>\d*))?(?: +done date:(?P<done_date>\d*))? +stat:(?P<stat>[A-Z]{5,7})(?: +err:(?P<err>[^ ]+))? +[Tt]ext:(?P<text>.{,20}).*";

impl EsmeConfig {
    /// Reads a channel's `config`.
    ///
    /// # Errors
    /// [`ConfigError`] names the key.
    pub fn parse(config: &JsonObject) -> Result<Self, ConfigError> {
        check_keys(config)?;
        let fields = Fields::flatten(config)?;
        let strict = fields.boolean("strict_vumi")?.unwrap_or(false);
        let password = fields.required_text("password")?;
        let full = fields.boolean("send_full_password")?.unwrap_or(false);
        // Field guide §0 #25: cut to what v3.4 allows unless told otherwise.
        let password = if full { password } else { password.chars().take(8).collect() };
        let parsed = Self {
            endpoint: Endpoint::parse(config)?,
            system_id: fields.sized_text("system_id", 15, true)?,
            password,
            system_type: fields.sized_text("system_type", 12, false)?,
            interface_version: fields.interface_version()?,
            address_range: fields.sized_text("address_range", 40, false)?,
            bind_mode: fields.choice(
                "bind_type",
                &[("trx", BindMode::Transceiver), ("tx", BindMode::Transmitter), ("rx", BindMode::Receiver)],
            )?,
            session: fields.session()?,
            max_pdu_len: fields.integer("max_pdu_length", 16..=16_777_216)?.unwrap_or(smpp::raw::DEFAULT_MAX_PDU_LEN),
            initial_reconnect_delay: fields.seconds("initial_reconnect_delay", 5.0)?,
            max_reconnect_delay: fields.seconds("max_reconnect_delay", 300.0)?,
            on_unknown: fields.choice("on_unknown", &[("resend", OnUnknown::Resend), ("report", OnUnknown::Report)])?,
            submit: fields.submit(strict)?,
            deliver: fields.deliver(strict)?,
            disable_ack: fields.boolean("disable_ack")?.unwrap_or(false),
            disable_delivery_report: fields.boolean("disable_delivery_report")?.unwrap_or(false),
        };
        parsed.session.check().map_err(|error| ConfigError::new("", error.to_string()))?;
        Ok(parsed)
    }
}

fn check_keys(config: &JsonObject) -> Result<(), ConfigError> {
    ConfigError::check_keys(config, &KEYS)
}

/// Typed access to a configuration.
struct Fields(JsonObject);

impl Fields {
    /// The processors' own configurations are read as if they stood at top level.
    fn flatten(config: &JsonObject) -> Result<Self, ConfigError> {
        let mut flat = config.clone();
        for name in ["delivery_report", "deliver_short_message", "submit_short_message"] {
            let class = format!("{name}_processor");
            if let Some(path) = config.get(&class).filter(|path| !path.is_null()) {
                // Class paths are data: only the default family exists, by any of its names.
                let known = path.as_str().is_some_and(|path| {
                    let family = path.rsplit('.').nth(1).unwrap_or_default();
                    matches!(family, "default" | "processors")
                });
                if !known {
                    return Err(ConfigError::new(
                        &class,
                        format!("Field '{class}' names {path}, which is not supported"),
                    ));
                }
            }
            let key = format!("{class}_config");
            match config.get(&key) {
                None | Some(Value::Null) => {}
                Some(Value::Object(nested)) => flat.extend(nested.clone()),
                Some(_) => return Err(ConfigError::new(&key, format!("Field '{key}' is not an object"))),
            }
        }
        check_keys(&flat)?;
        Ok(Self(flat))
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    fn text(&self, key: &str) -> Result<Option<String>, ConfigError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(_) => Err(ConfigError::new(key, format!("Field '{key}' is not a string"))),
        }
    }

    fn required_text(&self, key: &str) -> Result<String, ConfigError> {
        self.text(key)?.ok_or_else(|| ConfigError::new(key, format!("Missing required config field '{key}'")))
    }

    fn sized_text(&self, key: &str, most: usize, required: bool) -> Result<String, ConfigError> {
        let text = if required { self.required_text(key)? } else { self.text(key)?.unwrap_or_default() };
        if text.len() > most || !text.is_ascii() || text.contains('\0') {
            return Err(ConfigError::new(key, format!("Field '{key}' must be at most {most} ASCII characters")));
        }
        Ok(text)
    }

    fn boolean(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(_) => Err(ConfigError::new(key, format!("Field '{key}' is not true or false"))),
        }
    }

    fn number(&self, key: &str) -> Result<Option<f64>, ConfigError> {
        let number = match self.get(key) {
            None => return Ok(None),
            Some(Value::Number(number)) => number.as_f64(),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(_) => None,
        };
        let number = number.filter(|number: &f64| number.is_finite());
        number.map(Some).ok_or_else(|| ConfigError::new(key, format!("Field '{key}' is not a number")))
    }

    fn integer<T>(&self, key: &str, range: std::ops::RangeInclusive<T>) -> Result<Option<T>, ConfigError>
    where
        T: TryFrom<i64> + PartialOrd + std::fmt::Display,
    {
        let Some(number) = self.number(key)? else { return Ok(None) };
        let integer = if number.fract() == 0.0 { T::try_from(number as i64).ok() } else { None };
        let fits = integer.filter(|integer| range.contains(integer));
        let (least, most) = (range.start(), range.end());
        fits.map(Some).ok_or_else(|| {
            ConfigError::new(key, format!("Field '{key}' must be a whole number from {least} to {most}"))
        })
    }

    /// At least a millisecond, at most ten years.
    fn seconds(&self, key: &str, default: f64) -> Result<Duration, ConfigError> {
        let seconds = self.number(key)?.unwrap_or(default);
        if !(0.001..=315_360_000.0).contains(&seconds) {
            return Err(ConfigError::new(key, format!("Field '{key}' must be a number of seconds larger than zero")));
        }
        Ok(Duration::from_secs_f64(seconds))
    }

    /// One of some words; the first when absent.
    fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Result<T, ConfigError> {
        let text = self.text(key)?;
        let found = match &text {
            None => choices.first(),
            Some(text) => choices.iter().find(|(word, _)| word == text),
        };
        found.map(|(_, choice)| *choice).ok_or_else(|| {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            ConfigError::new(key, format!("Field '{key}' must be one of: {}", words.join(", ")))
        })
    }

    /// Two hexadecimal digits, as text or as the number that they look like (field guide §1.2).
    fn interface_version(&self) -> Result<u8, ConfigError> {
        let text = self.text("interface_version")?.unwrap_or_else(|| "34".to_owned());
        u8::from_str_radix(&text, 16).map_err(|_| {
            ConfigError::new("interface_version", "Field 'interface_version' must be two hexadecimal digits")
        })
    }

    fn session(&self) -> Result<SessionConfig, ConfigError> {
        let rate = self.number("mt_tps")?.filter(|rate| *rate != 0.0);
        let idle = self.get("idle_timeout").map(|_| self.seconds("idle_timeout", 0.0)).transpose()?;
        Ok(SessionConfig {
            role: Role::Esme,
            window: self.integer("window_size", 1..=10_000)?.and_then(NonZeroUsize::new).unwrap_or(WINDOW),
            response_timeout: self.seconds("response_timeout", 60.0)?,
            bind_timeout: self.seconds("smpp_bind_timeout", 30.0)?,
            enquire_link_interval: Some(self.seconds("smpp_enquire_link_interval", 55.0)?),
            inactivity_timeout: idle,
            throttle: ThrottleConfig {
                rate,
                initial_backoff: self.seconds("throttle_delay", 0.1)?,
                ..ThrottleConfig::default()
            },
            ..SessionConfig::default()
        })
    }

    /// TON and NPI where either is given or nothing is to be guessed.
    fn numbering(
        &self,
        ton: &str,
        npi: &str,
        defaults: (u8, u8),
        guess: bool,
    ) -> Result<Option<(u8, u8)>, ConfigError> {
        let given = (self.integer(ton, 0..=255_u8)?, self.integer(npi, 0..=255_u8)?);
        Ok(match given {
            (None, None) if guess => None,
            (ton, npi) => Some((ton.unwrap_or(defaults.0), npi.unwrap_or(defaults.1))),
        })
    }

    fn submit(&self, strict: bool) -> Result<SubmitConfig, ConfigError> {
        let guess = self.boolean("address_autodetect")?.unwrap_or(!strict);
        let validity_period = self.text("validity_period")?.unwrap_or_default();
        if !validity_period.is_empty() && validity_period.parse::<smpp::field::time::Time>().is_err() {
            let message = "Field 'validity_period' must be a time of SMPP v3.4 §7.1.1, for instance 000002000000000R";
            return Err(ConfigError::new("validity_period", message));
        }
        Ok(SubmitConfig {
            service_type: self.sized_text("service_type", 5, false)?,
            source: self.numbering("source_addr_ton", "source_addr_npi", (0, 0), guess)?,
            destination: self.numbering("dest_addr_ton", "dest_addr_npi", (0, 1), guess)?,
            esm_class: EsmClass(self.integer("esm_class", 0..=255_u8)?.unwrap_or(0)),
            protocol_id: self.integer("protocol_id", 0..=255_u8)?.unwrap_or(0),
            priority_flag: self.integer("priority_flag", 0..=3_u8)?.unwrap_or(0),
            validity_period,
            registered_delivery: self.boolean("registered_delivery")?.or(strict.then_some(true)),
            encoding: self.encoding(strict)?,
            long: self.long(strict)?,
            segment_octets: strict.then_some(VUMI_SEGMENT),
        })
    }

    fn encoding(&self, strict: bool) -> Result<Encoding, ConfigError> {
        let coding = self.integer("submit_sm_data_coding", 0..=255_u8)?;
        let name = match self.text("submit_sm_encoding")? {
            Some(name) => name,
            // Vumi's own default, where its meaning is wanted.
            None if strict || coding.is_some() => "utf-8".to_owned(),
            None => return Ok(Encoding::Auto),
        };
        if name == "auto" {
            return Ok(Encoding::Auto);
        }
        let charset = Charset::named(&name).ok_or_else(|| {
            ConfigError::new(
                "submit_sm_encoding",
                format!("Field 'submit_sm_encoding' names the unknown encoding '{name}'"),
            )
        })?;
        Ok(Encoding::Fixed(charset, DataCoding(coding.unwrap_or(0))))
    }

    fn long(&self, strict: bool) -> Result<Long, ConfigError> {
        let choices = [
            ("send_long_messages", Long::Payload),
            ("send_multipart_sar", Long::Segments(Split::Sar)),
            ("send_multipart_udh", Long::Segments(Split::Udh8)),
        ];
        let mut chosen = Vec::new();
        for (key, long) in choices {
            if self.boolean(key)? == Some(true) {
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

    fn deliver(&self, strict: bool) -> Result<DeliverConfig, ConfigError> {
        let status = self.text("deliver_sm_decoding_error")?;
        let decoding_error = match &status {
            None => CommandStatus::ESME_RDELIVERYFAILURE,
            Some(name) => CommandStatus::from_name(name).ok_or_else(|| {
                let key = "deliver_sm_decoding_error";
                ConfigError::new(key, format!("Field '{key}' names the unknown status '{name}'"))
            })?,
        };
        Ok(DeliverConfig {
            overrides: self.overrides()?,
            // Field guide §4.2: Vumi refuses data_coding 0 unless told what it is.
            default_alphabet: (!strict).then_some(Charset::Gsm7),
            allow_empty: self.boolean("allow_empty_messages")?.unwrap_or(!strict),
            decoding_error,
            use_esm_class: self.boolean("delivery_report_use_esm_class")?.unwrap_or(true),
            regex: self.regex()?,
            mapping: self.mapping()?,
            multipart_timeout: self.seconds("multipart_timeout", 3_600.0)?,
            receipt_wait: self.seconds("receipt_wait", 60.0)?,
        })
    }

    fn object(&self, key: &str) -> Result<Option<&JsonObject>, ConfigError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(_) => Err(ConfigError::new(key, format!("Field '{key}' is not an object"))),
        }
    }

    fn overrides(&self) -> Result<HashMap<u8, Charset>, ConfigError> {
        let key = "data_coding_overrides";
        let mut overrides = HashMap::new();
        for (coding, name) in self.object(key)?.into_iter().flatten() {
            let coding: u8 = coding.parse().map_err(|_| {
                ConfigError::new(key, format!("Field '{key}' has the key '{coding}', which is no number from 0 to 255"))
            })?;
            let charset = name.as_str().and_then(Charset::named);
            let charset = charset
                .ok_or_else(|| ConfigError::new(key, format!("Field '{key}' names the unknown encoding {name}")))?;
            overrides.insert(coding, charset);
        }
        Ok(overrides)
    }

    fn regex(&self) -> Result<Option<Regex>, ConfigError> {
        let key = "delivery_report_regex";
        let Some(pattern) = self.text(key)?.filter(|pattern| pattern != VUMI_REGEX) else { return Ok(None) };
        // Python writes {,65} where Rust wants {0,65}, and \Z where Rust wants \z.
        let pattern = pattern.replace("{,", "{0,").replace(r"\Z", r"\z");
        let regex = Regex::new(&pattern).map_err(|error| {
            ConfigError::new(key, format!("Field '{key}' is not a usable regular expression: {error}"))
        })?;
        let names: Vec<&str> = regex.capture_names().flatten().collect();
        if !(names.contains(&"id") && names.contains(&"stat")) {
            return Err(ConfigError::new(key, format!("Field '{key}' must have the groups 'id' and 'stat'")));
        }
        Ok(Some(regex))
    }

    fn mapping(&self) -> Result<StatusMapping, ConfigError> {
        let key = "delivery_report_status_mapping";
        let Some(object) = self.object(key)? else { return Ok(StatusMapping::default()) };
        let mut rows = Vec::new();
        for (word, meaning) in object {
            let delivery = match meaning.as_str() {
                Some("pending") => Delivery::Pending,
                Some("delivered") => Delivery::Delivered,
                Some("failed") => Delivery::Failed,
                _ => {
                    let message = format!(
                        "Field '{key}' gives '{word}' the meaning {meaning}, which is not one of: \
                                           pending, delivered, failed"
                    );
                    return Err(ConfigError::new(key, message));
                }
            };
            rows.push((word.clone(), delivery));
        }
        Ok(StatusMapping::new(rows))
    }
}

/// The default window: what most SMSCs grant.
const WINDOW: NonZeroUsize = NonZeroUsize::new(10).expect("ten is not zero");
/// Vumi's octets per segment.
const VUMI_SEGMENT: usize = 130;

#[cfg(test)]
mod tests {
    use serde_json::json;

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
        assert_eq!(config.session.window.get(), 10);
        let strict = parse(json!({"strict_vumi": true})).unwrap();
        assert_eq!(strict.submit.encoding, Encoding::Fixed(Charset::Utf8, DataCoding(0)));
        assert_eq!((strict.submit.long, strict.submit.destination), (Long::Refuse, Some((0, 1))));
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
        assert_eq!(config.session.throttle.rate, Some(5.0));
        assert_eq!((config.interface_version, config.password.as_str()), (0x34, "longer t"));
        assert_eq!(config.submit.encoding, Encoding::Fixed(Charset::Latin1, DataCoding(3)));
        assert_eq!(config.deliver.overrides.get(&0), Some(&Charset::Utf8));
    }

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
        assert!(message(json!({"delivery_report_processor": "my.own.Thing"})).contains("not supported"));
        assert!(message(json!({"data_coding_overrides": {"x": "ascii"}})).contains("no number"));
    }

    #[test]
    fn vumis_own_pattern_is_accepted_as_the_default() {
        let config = parse(json!({"delivery_report_processor_config": {"delivery_report_regex": VUMI_REGEX}}));
        assert!(config.unwrap().deliver.regex.is_none());
    }
}
