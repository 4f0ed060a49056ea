//! What a channel may be told of how MTs are sent.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::Method;
use md5::Md5;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::answer::{Extract, Test};
use super::config::{HttpConfig, MAX_WINDOW, MT_FIELDS, Texts, method, seconds, ten};
use super::content::{Content, Headers, Pairs};
use super::template::Template;
use crate::channel::ConfigError;

/// How MTs are sent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Outbound {
    #[serde(default = "post", deserialize_with = "method")]
    pub(super) method: Method,
    pub(super) url: Template,
    #[serde(default)]
    pub(super) query: Pairs,
    #[serde(default)]
    pub(super) headers: Headers,
    pub(super) basic: Option<Basic>,
    pub(super) bearer: Option<Template>,
    pub(super) body: Option<Content>,
    /// `{signature.x}`: what providers have hashed to know who asks.
    #[serde(default)]
    pub(super) signatures: BTreeMap<String, Signature>,
    /// How long an answer may take.
    #[serde(default = "half_a_minute", deserialize_with = "seconds")]
    pub(super) timeout: Duration,
    /// Most requests at a time.
    #[serde(default = "ten")]
    pub(super) window: usize,
    /// Answers that mean that the message was taken; any 2xx if none is given.
    #[serde(default = "success")]
    pub(super) success: Vec<Test>,
    /// Answers that mean that nothing more should be sent for a while.
    #[serde(default = "throttled")]
    pub(super) throttled: Vec<Test>,
    /// Answers that mean that it may be taken later.
    #[serde(default = "temporary")]
    pub(super) temporary: Vec<Test>,
    /// Where the provider's id is; ours is taken for it where there is none.
    pub(super) message_id: Option<Extract>,
    /// Where the reason of a refusal is; the status and the body otherwise.
    pub(super) reason: Option<Extract>,
    /// What such reasons mean.
    #[serde(default)]
    pub(super) reasons: Texts,
    #[serde(default)]
    pub(super) retry: Retry,
    /// What becomes of a message whose request was not answered.
    #[serde(default)]
    pub(super) on_unknown: OnUnknown,
}

/// What becomes of a message that the provider may or may not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum OnUnknown {
    /// It is sent again.
    #[default]
    Resend,
    /// It is reported as refused.
    Report,
}

/// A hash, in lower-case hexadecimal.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Signature {
    Md5(Template),
    Sha256(Template),
}

impl Signature {
    pub(super) fn template(&self) -> &Template {
        match self {
            Self::Md5(template) | Self::Sha256(template) => template,
        }
    }

    /// The hash of a text.
    pub(super) fn of(&self, text: &str) -> String {
        let octets = match self {
            Self::Md5(_) => Md5::digest(text).to_vec(),
            Self::Sha256(_) => Sha256::digest(text).to_vec(),
        };
        octets.iter().map(|octet| format!("{octet:02x}")).collect()
    }
}

/// HTTP Basic.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Basic {
    pub(super) username: Template,
    pub(super) password: Template,
}

/// When a message is tried again.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Retry {
    /// The first pause; each further one is twice as long.
    #[serde(deserialize_with = "seconds")]
    pub(super) first: Duration,
    /// The longest pause.
    #[serde(deserialize_with = "seconds")]
    pub(super) longest: Duration,
    /// The age of a message that is not tried any more.
    #[serde(deserialize_with = "seconds")]
    pub(super) max_age: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(300),
            max_age: Duration::from_secs(24 * 3600),
        }
    }
}

impl HttpConfig {
    /// Checks what `outbound` says.
    pub(super) fn check_outbound(&self, outbound: &Outbound) -> Result<(), ConfigError> {
        // Where requests go is the operator's to say, and no message's.
        let beginning = outbound.url.beginning();
        let authority = beginning.split_once("://").map(|(_, rest)| rest);
        let closed = authority.is_some_and(|rest| rest.contains(['/', '?']) || outbound.url.fields().next().is_none());
        let http = ["http://", "https://"].iter().any(|scheme| beginning.starts_with(scheme));
        if !http || !closed || url::Url::parse(beginning).is_err() {
            let why = "Field 'outbound.url' must begin with http:// or https:// and the whole host, before any field";
            return Err(ConfigError::new("outbound.url", why));
        }
        if !(1..=MAX_WINDOW).contains(&outbound.window) {
            let why = format!("Field 'outbound.window' must be from 1 to {MAX_WINDOW}");
            return Err(ConfigError::new("outbound.window", why));
        }
        if outbound.basic.is_some() && outbound.bearer.is_some() {
            return Err(ConfigError::new(
                "outbound.bearer",
                "Field 'outbound.bearer' and 'outbound.basic' exclude each other",
            ));
        }
        let headers = outbound.headers.0.iter().map(|(_, template)| ("headers", template));
        let query = outbound.query.0.values().map(|template| ("query", template));
        let body = outbound.body.iter().flat_map(Content::templates).map(|template| ("body", template));
        for (name, signature) in &outbound.signatures {
            self.check_template(&format!("outbound.signatures.{name}"), signature.template(), MT_FIELDS)?;
        }
        let known = [MT_FIELDS, &["signature"]].concat();
        let basic = outbound.basic.iter().flat_map(|basic| [&basic.username, &basic.password]);
        let authorization = basic.map(|template| ("basic", template));
        let bearer = outbound.bearer.iter().map(|template| ("bearer", template));
        let url = std::iter::once(("url", &outbound.url));
        for (key, template) in url.chain(query).chain(headers).chain(authorization).chain(bearer).chain(body) {
            self.check_template(&format!("outbound.{key}"), template, &known)?;
        }
        Ok(())
    }
}

fn post() -> Method {
    Method::POST
}

fn half_a_minute() -> Duration {
    Duration::from_secs(30)
}

fn tests(tests: Value) -> Vec<Test> {
    serde_json::from_value(tests).unwrap_or_default()
}

fn success() -> Vec<Test> {
    tests(serde_json::json!([{"status": "2xx"}]))
}

/// RFC 6585 §4, RFC 9110 §15.6.4.
fn throttled() -> Vec<Test> {
    tests(serde_json::json!([{"status": 429}, {"status": 503, "headers": {"retry-after": "."}}]))
}

/// RFC 9110 §15.5.9, RFC 8470 §5.2, RFC 6585 §4, and whatever is the server's own fault.
fn temporary() -> Vec<Test> {
    tests(serde_json::json!([{"status": [408, 425, 429, "5xx"]}]))
}
