//! What becomes of an MT by the status that it was answered with, and what when no answer comes.
//!
//! By default what Vumi did (field guide §3.8): slow down when asked to, bind anew when the bind is unusable, and take
//! every other refusal as final. `retry` and `status_actions` say otherwise, status by status.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use smpp::explain::{NetworkExplanation, Refused};
use smpp::receipt::{NetworkError, Receipt};
use smpp::{CommandStatus, StatusClass};

use super::super::super::ConfigError;
use super::super::super::fields::{Fields, wrong};
use crate::model::JsonObject;

/// See the file's head.
#[derive(Clone, Debug)]
pub(in crate::channel::esme) struct ResultConfig {
    pub(in crate::channel::esme) on_unknown: OnUnknown,
    pub(in crate::channel::esme) on_timeout: OnTimeout,
    actions: HashMap<CommandStatus, Action>,
    /// The operator's own words for its statuses, and for the errors in its receipts.
    status_texts: HashMap<CommandStatus, String>,
    error_texts: HashMap<String, String>,
}

/// What to do with an MT whose fate at the SMSC is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::channel::esme) enum OnUnknown {
    /// Send it again: it may arrive twice.
    Resend,
    /// Report it as rejected: it may have arrived.
    Report,
}

/// What to do when the SMSC does not answer in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::channel::esme) enum OnTimeout {
    /// Send it again on the same bind.
    Resend,
    /// Report it as rejected.
    Nack,
    /// Bind anew; then as with every lost connection.
    Reconnect,
    /// Go on waiting.
    Wait,
}

/// What to do with a refused PDU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::channel::esme) enum Action {
    /// The MT is rejected.
    Permanent,
    /// It is tried again later.
    Retry(RetryRule),
    /// It is tried again at once on another bind of the channel; without one, later.
    RetryElsewhere(RetryRule),
    /// It is sent again after a pause, in which nothing else is sent.
    SlowDown,
    /// The bind is of no use: bind anew, then send it again.
    StopBind,
}

/// How often and when a refused MT is tried again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::channel::esme) struct RetryRule {
    /// Tries after the first; `None` is for as long as the message is valid.
    pub(in crate::channel::esme) count: Option<u32>,
    /// Wait before the first of them; doubles with each.
    pub(in crate::channel::esme) delay: Duration,
}

/// What an incomplete rule is completed with.
const DEFAULT_RULE: RetryRule = RetryRule { count: Some(10), delay: Duration::from_secs(30) };
/// Longest wait between tries.
const LONGEST: Duration = Duration::from_secs(3600);

impl RetryRule {
    /// The wait before the try after `tries` refusals.
    pub(in crate::channel::esme) fn delay_after(self, tries: u32) -> Duration {
        self.delay.saturating_mul(2_u32.saturating_pow(tries.min(20))).min(LONGEST.max(self.delay))
    }

    /// Whether there is a try after `tries` refusals.
    pub(in crate::channel::esme) fn allows(self, tries: u32) -> bool {
        self.count.is_none_or(|count| tries < count)
    }
}

impl OnTimeout {
    pub(super) fn read(fields: &Fields) -> Result<Self, ConfigError> {
        let words =
            [("resend", Self::Resend), ("nack", Self::Nack), ("reconnect", Self::Reconnect), ("wait", Self::Wait)];
        fields.choice("on_response_timeout", &words)
    }
}

impl ResultConfig {
    pub(super) fn read(fields: &Fields) -> Result<Self, ConfigError> {
        let mut config = Self {
            on_unknown: fields.choice("on_unknown", &[("resend", OnUnknown::Resend), ("report", OnUnknown::Report)])?,
            on_timeout: OnTimeout::read(fields)?,
            actions: HashMap::new(),
            status_texts: HashMap::new(),
            error_texts: HashMap::new(),
        };
        for (name, text) in fields.object("status_texts")?.into_iter().flatten() {
            let text = text.as_str().ok_or_else(|| wrong("status_texts", &format!("gives '{name}' no text")))?;
            config.status_texts.insert(status("status_texts", name)?, text.to_owned());
        }
        for (code, text) in fields.object("error_texts")?.into_iter().flatten() {
            let text = text.as_str().ok_or_else(|| wrong("error_texts", &format!("gives '{code}' no text")))?;
            config.error_texts.insert(code.clone(), text.to_owned());
        }
        let mut rules = HashMap::new();
        for (name, rule) in fields.object("retry")?.into_iter().flatten() {
            let rule = retry_rule(name, rule)?;
            rules.insert(status("retry", name)?, rule);
        }
        config.actions.extend(rules.iter().map(|(status, rule)| (*status, Action::Retry(*rule))));
        for (name, action) in fields.object("status_actions")?.into_iter().flatten() {
            let key = status("status_actions", name)?;
            let rule = rules.get(&key).copied().unwrap_or(DEFAULT_RULE);
            let action = match action.as_str() {
                Some("permanent") => Action::Permanent,
                Some("retry") => Action::Retry(rule),
                Some("retry_elsewhere") => Action::RetryElsewhere(rule),
                Some("slow_down") => Action::SlowDown,
                Some("stop_bind") => Action::StopBind,
                _ => {
                    let how = format!(
                        "gives '{name}' the action {action}, which is not one of: permanent, retry, retry_elsewhere, \
                         slow_down, stop_bind"
                    );
                    return Err(wrong("status_actions", &how));
                }
            };
            config.actions.insert(key, action);
        }
        Ok(config)
    }

    /// What is known of a refusal, for an event or a status: its number, name, meaning, usual cause, what to try, and the
    /// operator's own words beside them.
    pub(in crate::channel::esme) fn explain(&self, status: CommandStatus, refused: Refused) -> JsonObject {
        let why = status.explain(refused);
        let mut told = JsonObject::new();
        told.insert("command_status".to_owned(), json!(format!("{:#010x}", status.0)));
        if let Some(name) = status.name() {
            told.insert("name".to_owned(), json!(name));
        }
        told.extend(words(why.meaning, why.cause, why.advice, self.status_texts.get(&status)));
        told
    }

    /// The same in one line, for a log.
    pub(in crate::channel::esme) fn say(&self, status: CommandStatus, refused: Refused) -> String {
        let why = status.explain(refused);
        let own = self.status_texts.get(&status).map(|own| format!(" The operator says: {own}.")).unwrap_or_default();
        format!("{status:#}: {}.{own} {} {}", why.meaning, why.cause, why.advice)
    }

    /// Adds to a receipt's details what its error code means; the same in one line, for a log.
    pub(in crate::channel::esme) fn explain_receipt(
        &self,
        receipt: &Receipt,
        details: &mut JsonObject,
    ) -> Option<String> {
        let network = receipt.network_error.filter(|error| error.code != 0);
        // Zeros are the convention for no error.
        let err = receipt.err.as_deref().filter(|err| err.bytes().any(|octet| octet != b'0'));
        let why = network.map(NetworkError::explain).or_else(|| err.map(NetworkExplanation::of_receipt_text))?;
        let code = network.map(|error| error.code.to_string());
        let own = err.into_iter().chain(code.as_deref()).find_map(|code| self.error_texts.get(code));
        if let Some(name) = network.and_then(NetworkError::network_name) {
            details.insert("network_type".to_owned(), json!(name));
        }
        let NetworkExplanation { meaning, cause, advice } = why;
        details.extend(words(&meaning, &cause, &advice, own));
        let own = own.map(|own| format!(" The operator says: {own}.")).unwrap_or_default();
        Some(format!("{meaning}.{own} {cause} {advice}"))
    }

    /// What to do with a PDU that was answered with this error.
    pub(in crate::channel::esme) fn action(&self, status: CommandStatus) -> Action {
        self.actions.get(&status).copied().unwrap_or_else(|| match status.class() {
            StatusClass::SlowDown => Action::SlowDown,
            StatusClass::EndsBind => Action::StopBind,
            _ => Action::Permanent,
        })
    }
}

/// The keys of an explanation.
fn words(meaning: &str, cause: &str, advice: &str, own: Option<&String>) -> JsonObject {
    let ours = [("meaning", meaning), ("cause", cause), ("advice", advice)];
    let own = own.map(|own| ("operator_text", own.as_str()));
    ours.into_iter().chain(own).map(|(key, text)| (key.to_owned(), json!(text))).collect()
}

fn retry_rule(name: &str, rule: &Value) -> Result<RetryRule, ConfigError> {
    let object = rule.as_object().filter(|object| !object.is_empty());
    let object = object
        .ok_or_else(|| wrong("retry", &format!("gives '{name}' no rule: {{\"count\": 10, \"delay\": 30}} is one")))?;
    ConfigError::check_keys(object, &["count", "delay"])?;
    let fields = Fields(JsonObject::clone(object));
    Ok(RetryRule {
        count: match object.get("count") {
            // Kannel's word for "as long as it takes".
            Some(Value::Number(number)) if number.as_i64() == Some(-1) => None,
            _ => fields.integer("count", 0..=1_000_000_u32)?.map_or(DEFAULT_RULE.count, Some),
        },
        delay: fields.seconds("delay", DEFAULT_RULE.delay.as_secs_f64())?,
    })
}

/// A status by its name or in hexadecimal.
fn status(key: &str, name: &str) -> Result<CommandStatus, ConfigError> {
    let hex = name.strip_prefix("0x").and_then(|digits| u32::from_str_radix(digits, 16).ok()).map(CommandStatus);
    let named = CommandStatus::from_name(name).or_else(|| CommandStatus::from_name(&format!("ESME_{name}")));
    hex.or(named).ok_or_else(|| wrong(key, &format!("names the unknown status '{name}'")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(config: Value) -> ResultConfig {
        ResultConfig::read(&Fields(config.as_object().unwrap().clone())).unwrap()
    }

    #[test]
    fn refusals_are_final_unless_the_channel_says_otherwise() {
        let config = read(json!({}));
        assert_eq!(config.action(CommandStatus::ESME_RSYSERR), Action::Permanent);
        assert_eq!(config.action(CommandStatus::ESME_RTHROTTLED), Action::SlowDown);
        assert_eq!(config.action(CommandStatus::ESME_RINVBNDSTS), Action::StopBind);
        let config = read(json!({
            "retry": {"ESME_RSYSERR": {"count": 2, "delay": 30}, "RSUBMITFAIL": {"count": -1}, "0x00000450": {"delay": 1}},
            "status_actions": {"ESME_RMSGQFUL": "permanent", "0x00000450": "retry_elsewhere"},
        }));
        let rule = RetryRule { count: Some(2), delay: Duration::from_secs(30) };
        assert_eq!(config.action(CommandStatus::ESME_RSYSERR), Action::Retry(rule));
        assert!(matches!(config.action(CommandStatus::ESME_RSUBMITFAIL), Action::Retry(RetryRule { count: None, .. })));
        assert_eq!(config.action(CommandStatus::ESME_RMSGQFUL), Action::Permanent);
        let elsewhere = RetryRule { count: Some(10), delay: Duration::from_secs(1) };
        assert_eq!(config.action(CommandStatus(0x450)), Action::RetryElsewhere(elsewhere));
    }

    #[test]
    fn an_operators_words_stand_beside_ours() {
        let config = read(json!({"status_texts": {"RTHROTTLED": "9 a second"}, "error_texts": {"21b": "ported"}}));
        let told = config.explain(CommandStatus::ESME_RTHROTTLED, Refused::Message);
        assert_eq!((&told["name"], &told["command_status"]), (&json!("ESME_RTHROTTLED"), &json!("0x00000058")));
        assert_eq!(told["operator_text"], "9 a second");
        assert!(["meaning", "cause", "advice"].iter().all(|key| told[*key].is_string()), "{told:?}");
        let said = config.say(CommandStatus::ESME_RTHROTTLED, Refused::Message);
        assert!(said.starts_with("ESME_RTHROTTLED (0x00000058): Throttling error"), "{said}");
        assert!(said.contains(" The operator says: 9 a second. More was sent ") && said.contains("mt_tps"), "{said}");
        let mut details = JsonObject::new();
        let receipt = Receipt { err: Some("21b".to_owned()), ..Receipt::default() };
        let said = config.explain_receipt(&receipt, &mut details).unwrap();
        assert_eq!(said.split(' ').take(6).collect::<Vec<_>>(), ["error", "21b", "of", "the", "receipt.", "The"]);
        assert_eq!(
            (&details["operator_text"], &details["meaning"]),
            (&json!("ported"), &json!("error 21b of the receipt"))
        );
        let fine = Receipt { err: Some("000".to_owned()), ..Receipt::default() };
        assert_eq!(config.explain_receipt(&fine, &mut JsonObject::new()), None);
    }

    #[test]
    fn waits_double_up_to_an_hour_and_the_count_ends_them() {
        let rule = RetryRule { count: Some(2), delay: Duration::from_secs(900) };
        let waits: Vec<u64> = (0..4).map(|tries| rule.delay_after(tries).as_secs()).collect();
        assert_eq!(waits, [900, 1800, 3600, 3600]);
        assert!(rule.allows(1) && !rule.allows(2));
        assert!(RetryRule { count: None, ..rule }.allows(u32::MAX));
    }
}
