//! How an operator speaks USSD (field guide §6).

use std::time::Duration;

use serde_json::Value;

use super::super::super::ConfigError;
use super::super::super::fields::{Fields, wrong};
use crate::model::JsonObject;

/// See the file's head.
#[derive(Clone, Copy, Debug)]
pub(in crate::channel::esme) struct UssdConfig {
    pub(in crate::channel::esme) dialect: Dialect,
    /// How long a session lives without a turn.
    pub(in crate::channel::esme) max_session_length: Duration,
    /// Whether the dialled code is the destination address.
    pub(in crate::channel::esme) code_in_destination: bool,
}

/// Whose way of speaking USSD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::channel::esme) enum Dialect {
    /// `its_session_info`, as Tata has it.
    Default,
    /// `user_message_reference`, as MICA gateways have it.
    Mica,
    /// `its_session_info`, as 6D Technologies has it.
    SixDee,
}

/// The families of Vumi's processors (field guide §1.6).
const FAMILIES: [(&str, Dialect); 4] = [
    ("default", Dialect::Default),
    ("processors", Dialect::Default),
    ("mica", Dialect::Mica),
    ("sixdee", Dialect::SixDee),
];

impl UssdConfig {
    pub(super) fn read(fields: &Fields, dialect: Dialect) -> Result<Self, ConfigError> {
        Ok(Self {
            dialect,
            max_session_length: fields.seconds("max_session_length", 180.0)?,
            code_in_destination: fields
                .choice("ussd_code_pdu_field", &[("short_message", false), ("destination_addr", true)])?,
        })
    }
}

/// Reads the processors' class paths, which are data: the last but one segment names the family.
pub(super) fn dialect(config: &JsonObject) -> Result<Dialect, ConfigError> {
    let family = |key: &str| match config.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(path) => {
            let name = path.as_str().and_then(|path| path.rsplit('.').nth(1));
            let found = name.and_then(|name| FAMILIES.iter().find(|(known, _)| *known == name));
            found
                .map(|(_, dialect)| Some(*dialect))
                .ok_or_else(|| wrong(key, &format!("names {path}, whose family is none of: default, mica, sixdee")))
        }
    };
    // A receipt is the same in every family.
    family("delivery_report_processor")?;
    let deliver = family("deliver_short_message_processor")?;
    let submit = family("submit_short_message_processor")?;
    match (deliver, submit) {
        (Some(deliver), Some(submit)) if deliver != submit => {
            let how = "is of another family than deliver_short_message_processor";
            Err(wrong("submit_short_message_processor", how))
        }
        (deliver, submit) => Ok(deliver.or(submit).unwrap_or(Dialect::Default)),
    }
}
