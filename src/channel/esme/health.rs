//! How a channel does, made of how each of its binds does.
//!
//! One bind speaks for itself, in Vumi's words. Of several, the channel is well when all are bound, degraded while
//! messages can still flow both ways as configured, down otherwise; the word is that of the bind that changed.

use serde_json::{Value, json};
use smpp::pdu::BindMode;

use super::config::{BindPlan, Peer};
use crate::channel::StatusReport;
use crate::model::{JsonObject, Level};

/// See the file's head.
pub(super) struct Health {
    binds: Vec<BindHealth>,
}

struct BindHealth {
    mode: BindMode,
    name: String,
    level: Level,
    kind: &'static str,
}

impl Health {
    pub(super) fn new(plans: &[BindPlan]) -> Self {
        let binds = plans.iter().enumerate().map(|(number, plan)| BindHealth {
            mode: plan.mode,
            name: format!("bind {} ({}, {})", number + 1, mode_name(plan.mode), peer_name(&plan.peer)),
            level: Level::Down,
            kind: "starting",
        });
        Self { binds: binds.collect() }
    }

    /// Takes in one bind's latest word; what the channel's status is now.
    pub(super) fn update(
        &mut self,
        bind: usize,
        level: Level,
        kind: &'static str,
        message: String,
        mut details: JsonObject,
    ) -> StatusReport {
        let Some(health) = self.binds.get_mut(bind) else {
            return StatusReport { component: "smpp", level, kind, message, details };
        };
        (health.level, health.kind) = (level, kind);
        if self.binds.len() == 1 {
            return StatusReport { component: "smpp", level, kind, message, details };
        }
        let message = format!("{}: {message}", self.binds[bind].name);
        let rows = self.binds.iter().map(|bind| json!({"bind": bind.name, "state": bind.kind})).collect();
        details.insert("binds".to_owned(), Value::Array(rows));
        StatusReport { component: "smpp", level: self.level(), kind, message, details }
    }

    fn level(&self) -> Level {
        let worst = |bind: &BindHealth| bind.level != Level::Ok;
        if !self.binds.iter().any(worst) {
            return Level::Ok;
        }
        let served = |direction: fn(BindMode) -> bool| {
            let mut wanted = self.binds.iter().filter(|bind| direction(bind.mode)).peekable();
            wanted.peek().is_none() || wanted.any(|bind| bind.level != Level::Down)
        };
        if served(|mode| mode != BindMode::Receiver) && served(|mode| mode != BindMode::Transmitter) {
            Level::Degraded
        } else {
            Level::Down
        }
    }
}

/// A bind mode as configurations write it.
pub(super) fn mode_name(mode: BindMode) -> &'static str {
    match mode {
        BindMode::Transmitter => "tx",
        BindMode::Receiver => "rx",
        BindMode::Transceiver => "trx",
    }
}

/// Where a bind's SMSC is, the primary one.
pub(super) fn peer_name(peer: &Peer) -> String {
    match peer {
        Peer::Connect(hosts) => hosts.first().map(ToString::to_string).unwrap_or_default(),
        Peer::Outbind { listen, .. } => format!("outbind on {listen}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::EndpointText;

    fn health(modes: &[BindMode]) -> Health {
        let endpoint = EndpointText::tcp("smsc", 2775).open().unwrap();
        let plan = |mode: &BindMode| BindPlan { mode: *mode, peer: Peer::Connect(vec![endpoint.clone()]) };
        Health::new(&modes.iter().map(plan).collect::<Vec<_>>())
    }

    fn update(health: &mut Health, bind: usize, level: Level, kind: &'static str) -> (Level, String) {
        let report = health.update(bind, level, kind, "Word".to_owned(), JsonObject::new());
        (report.level, report.message)
    }

    #[test]
    fn one_bind_speaks_for_itself_and_several_for_the_channel() {
        let mut one = health(&[BindMode::Transceiver]);
        assert_eq!(update(&mut one, 0, Level::Ok, "bound"), (Level::Ok, "Word".to_owned()));
        let mut pair = health(&[BindMode::Transmitter, BindMode::Receiver]);
        let message = "bind 1 (tx, smsc:2775): Word".to_owned();
        assert_eq!(update(&mut pair, 0, Level::Ok, "bound"), (Level::Down, message), "nothing can come in yet");
        assert_eq!(update(&mut pair, 1, Level::Ok, "bound").0, Level::Ok);
        let mut two = health(&[BindMode::Transceiver, BindMode::Transceiver]);
        assert_eq!(update(&mut two, 1, Level::Ok, "bound").0, Level::Degraded);
    }
}
