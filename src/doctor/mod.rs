//! An examination of an SMSC: reached, encrypted or not, bound in every way, asked what it answers; explained, with a
//! channel's configuration as the result.
//!
//! Every step ends after the patience that the question grants, and all of them together after [`MOST_STEPS`] times
//! that. Nothing is sent to a phone unless a number is given, and then two messages at most. A refused identity ends the
//! examination at once, since SMSCs lock accounts that keep trying.

mod connection;
mod probes;

use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use crate::endpoint::EndpointText;
use crate::model::JsonObject;

/// What is examined, and with what.
#[derive(Clone, Debug)]
pub struct Question {
    /// Where.
    pub endpoint: EndpointText,
    /// As whom: 15 octets at most.
    pub system_id: String,
    /// Proof of it.
    pub password: String,
    /// As the operator wants it: 12 octets at most.
    pub system_type: String,
    /// A phone that one message may be sent to, and where the form of an address is refused, a second one with
    /// another TON and NPI.
    pub to: Option<String>,
    /// From whom.
    pub from: Option<String>,
    /// How long any step may take: [`MOST_PATIENCE`] at most.
    pub patience: Duration,
}

/// The whole examination takes at most this many times the patience of its question.
pub const MOST_STEPS: u32 = 30;

/// Longest wait for any step.
pub const MOST_PATIENCE: Duration = Duration::from_secs(3600);

/// How a probe went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Worth knowing.
    Note,
    /// In the way.
    Bad,
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// Which.
    pub probe: &'static str,
    /// How it went.
    pub verdict: Verdict,
    /// What was seen.
    pub said: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// The whole examination.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diagnosis {
    /// In the order of the probes.
    pub findings: Vec<Finding>,
    /// A channel ready to be created, if binding worked at all; the password is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<JsonObject>,
}

/// Examines an SMSC; `tell` hears of each finding as it comes.
pub async fn examine(question: &Question, mut tell: impl FnMut(&Finding)) -> Diagnosis {
    let question = &Question { patience: question.patience.min(MOST_PATIENCE), ..question.clone() };
    let mut examination = probes::Examination::new(question, channel_config(question), &mut tell);
    let limit = question.patience.saturating_mul(MOST_STEPS);
    if tokio::time::timeout(limit, examination.run()).await.is_err() {
        examination.out_of_time(limit);
    }
    let (findings, config) = examination.end();
    let channel = config.map(|config| {
        let label = format!("{} at {}", question.system_id, question.endpoint.host);
        let members = [("type", json!("smpp")), ("label", json!(label)), ("config", json!(config))];
        members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    });
    Diagnosis { findings, channel }
}

/// What a channel needs to ask the same of the same.
fn channel_config(question: &Question) -> JsonObject {
    let mut config = JsonObject::new();
    config.insert("twisted_endpoint".to_owned(), json!(question.endpoint.to_string()));
    config.insert("system_id".to_owned(), json!(question.system_id));
    if !question.system_type.is_empty() {
        config.insert("system_type".to_owned(), json!(question.system_type));
    }
    // What SMPP 3.4 has room for.
    if question.password.len() > 8 {
        config.insert("send_full_password".to_owned(), json!(true));
    }
    config
}
