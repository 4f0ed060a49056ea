//! An examination of an SMSC: reached, encrypted or not, bound in every way, asked what it answers; explained, with a
//! channel's configuration as the result.
//!
//! Each probe has a time limit. Nothing is sent to a phone unless a number is given. A refused identity ends the
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
    /// As whom.
    pub system_id: String,
    /// Proof of it.
    pub password: String,
    /// As the operator wants it.
    pub system_type: String,
    /// A phone that may be sent two messages.
    pub to: Option<String>,
    /// From whom.
    pub from: Option<String>,
    /// How long any answer may take.
    pub patience: Duration,
}

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

impl Diagnosis {
    /// Whether a channel can be bound.
    #[must_use]
    pub fn is_bindable(&self) -> bool {
        self.channel.is_some()
    }
}

/// Examines an SMSC; `tell` hears of each finding as it comes.
pub async fn examine(question: &Question, mut tell: impl FnMut(&Finding)) -> Diagnosis {
    let mut config = JsonObject::new();
    let (kind, endpoint) = match &question.endpoint.tls {
        None => ("tcp", &question.endpoint),
        Some(_) => ("tls", &question.endpoint),
    };
    let host = endpoint.host.replace(':', "\\:");
    config.insert("twisted_endpoint".to_owned(), json!(format!("{kind}:host={host}:port={}", endpoint.port)));
    config.insert("system_id".to_owned(), json!(question.system_id));
    if !question.system_type.is_empty() {
        config.insert("system_type".to_owned(), json!(question.system_type));
    }
    if question.password.len() > 8 {
        config.insert("send_full_password".to_owned(), json!(true));
    }
    let mut examination = probes::Examination { question, config, findings: Vec::new(), tell: &mut tell };
    let bindable = examination.run().await;
    let probes::Examination { config, findings, .. } = examination;
    let channel = bindable.then(|| {
        let mut channel = JsonObject::new();
        channel.insert("type".to_owned(), json!("smpp"));
        channel.insert("label".to_owned(), json!(format!("{} at {}", question.system_id, question.endpoint.host)));
        channel.insert("config".to_owned(), json!(config));
        channel
    });
    Diagnosis { findings, channel }
}
