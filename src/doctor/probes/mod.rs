//! The probes, in the order in which they are made: what may end the connection comes last.

mod bind;
mod certificate;
mod message;
mod reach;
mod receipt;
mod session;

use std::time::Duration;

use serde_json::Value;
use smpp::explain::Refused;
use smpp::receipt::NetworkError;
use smpp::{Pdu, RawPdu, Tag};

use super::connection::Connection;
use super::{Finding, Question, Verdict};
use crate::model::JsonObject;

/// An examination under way.
pub(super) struct Examination<'a> {
    question: &'a Question,
    /// What a channel will be given, once it is known that one can be bound.
    config: JsonObject,
    bindable: bool,
    findings: Vec<Finding>,
    tell: &'a mut dyn FnMut(&Finding),
}

impl<'a> Examination<'a> {
    pub(super) fn new(question: &'a Question, config: JsonObject, tell: &'a mut dyn FnMut(&Finding)) -> Self {
        Self { question, config, bindable: false, findings: Vec::new(), tell }
    }

    /// What was found, and the configuration of a channel that can be bound.
    pub(super) fn end(self) -> (Vec<Finding>, Option<JsonObject>) {
        (self.findings, self.bindable.then_some(self.config))
    }

    pub(super) async fn run(&mut self) {
        if let Some(site) = self.reach().await {
            self.bind_in_every_way(&site).await;
        }
    }

    pub(super) fn out_of_time(&mut self, limit: Duration) {
        let said = format!("the examination was ended after {} s", limit.as_secs_f64());
        self.find(
            "time",
            Verdict::Bad,
            said,
            Some("This SMSC is very slow: examine it again with a longer --timeout."),
        );
    }

    fn find(&mut self, probe: &'static str, verdict: Verdict, said: impl Into<String>, advice: Option<&str>) {
        // An SMSC's words may not move a terminal's cursor.
        let said: String = said.into();
        let visible = |character: char| match character.is_control() {
            true => character.escape_default().to_string(),
            false => character.to_string(),
        };
        let said = said.chars().map(visible).collect();
        let finding = Finding { probe, verdict, said, advice: advice.map(str::to_owned) };
        (self.tell)(&finding);
        self.findings.push(finding);
    }

    fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.config.insert(key.to_owned(), value.into());
    }

    /// Tells of a refusal: the status with its number, what it means, its usual cause, what to try.
    fn refused(&mut self, probe: &'static str, verdict: Verdict, who: &str, raw: &RawPdu, what: Refused) {
        let why = raw.status.explain(what);
        let words = operators_words(raw);
        let said = format!("{who}refused with {:#}: {}. {}{words}", raw.status, why.meaning, why.cause);
        self.find(probe, verdict, said, Some(why.advice));
    }
}

/// What the SMSC adds to a refusal.
fn operators_words(raw: &RawPdu) -> String {
    let Ok(pdu) = Pdu::decode(raw) else { return String::new() };
    let Some(tlvs) = pdu.tlvs() else { return String::new() };
    let mut words = String::new();
    if let Some(text) = tlvs.text(Tag::ADDITIONAL_STATUS_INFO_TEXT) {
        words += &format!(" The SMSC adds {text:?}.");
    }
    if let Some(error) = tlvs.octets_of(Tag::NETWORK_ERROR_CODE).and_then(|octets| NetworkError::parse(&octets)) {
        let why = error.explain();
        words += &format!(" The network's reason: {}. {} {}", why.meaning, why.cause, why.advice);
    }
    words
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
