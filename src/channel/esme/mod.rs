//! The `smpp` channel type: one or several binds to an SMSC as an ESME.
//!
//! | file | what |
//! |---|---|
//! | `config/`, `aliases` | every key, and the names that Kannel and Jasmin have for them |
//! | `bind` | the life of a bind: connecting, fail-over, back-off |
//! | `link` | one connection: what it sends, what it answers |
//! | `outgoing/` | MTs under way, and what becomes of each by its answers |
//! | `submit`, `alphabet`, `overrides` | their PDUs; `preview` asks beforehand |
//! | `incoming`, `deliver` | what PDUs of the SMSC's are, segments until they are complete |
//! | `receipts`, `ids` | receipts and the messages they belong to; how the SMSC writes its ids |
//! | `ussd` | sessions of phones |
//! | `shared`, `pace`, `health` | what the binds of a channel have in common |
//! | `ledger` | what memory knows and the store perhaps not yet |
//!
//! All of it runs in the channel's one task. What is under way towards the SMSC, segments of long MOs and sessions
//! outlive links; only `link` knows a connection.

pub mod aliases;
mod alphabet;
mod bind;
mod config;
mod deliver;
mod health;
mod hex;
mod ids;
mod incoming;
mod ledger;
mod link;
mod outgoing;
mod overrides;
mod pace;
mod preview;
mod receipts;
mod shared;
mod submit;
mod ussd;

use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};

use self::bind::BindLife;
pub use self::config::EsmeConfig;
use self::receipts::REMATCH;
use self::shared::Shared;
use super::{ChannelType, ConfigError, Intake, Setup};
use crate::model::{JsonObject, Outbound};

/// How often MTs in hand are asked whether they have expired.
const EXPIRE: Duration = Duration::from_secs(1);

/// The channel type `smpp`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Smpp {
    /// How a channel binds that does not say it (`bind_type`).
    pub bind_type: Option<&'static str>,
}

/// Vumi's classes, and how each of them binds.
pub(super) const CLASSES: [(&str, Option<&str>); 8] = [
    ("SmppTransceiverTransport", None),
    ("SmppTransceiverTransportWithOldConfig", None),
    ("SmppTransport", None),
    ("SmppTransportWithOldConfig", None),
    ("SmppTransmitterTransport", Some("tx")),
    ("SmppTxTransport", Some("tx")),
    ("SmppReceiverTransport", Some("rx")),
    ("SmppRxTransport", Some("rx")),
];

impl Smpp {
    fn parse(self, config: &JsonObject) -> Result<EsmeConfig, ConfigError> {
        let Some(bind_type) = self.bind_type else { return EsmeConfig::parse(config) };
        let mut config = aliases::resolve(config)?;
        config.entry("bind_type").or_insert(bind_type.into());
        EsmeConfig::parse(&config)
    }
}

impl ChannelType for Smpp {
    fn check(&self, config: &JsonObject) -> Result<(), ConfigError> {
        self.parse(config).map(|_| ())
    }

    fn secrets(&self) -> &'static [&'static str] {
        &aliases::SECRETS
    }

    fn preview(&self, config: &JsonObject, message: &Outbound) -> Result<Option<JsonObject>, ConfigError> {
        Ok(Some(preview::preview(&self.parse(config)?, message)))
    }

    async fn run<I: Intake>(&self, setup: Setup<I>) -> Result<(), ConfigError> {
        let config = self.parse(&setup.config)?;
        run(setup, config).await;
        Ok(())
    }
}

/// Runs the channel until its stop.
async fn run<I: Intake>(setup: Setup<I>, config: EsmeConfig) {
    let binds = config.session.binds.len();
    let shared = Shared::new(setup, config).await;
    let mut lives: FuturesUnordered<_> = (0..binds).map(|number| BindLife::new(&shared, number).hold()).collect();
    let (looking, expiring) = (look_again(&shared), expire(&shared));
    tokio::pin!(looking, expiring);
    loop {
        tokio::select! {
            ended = lives.next() => if ended.is_none() {
                return shared.leave();
            },
            () = &mut looking => {}
            () = &mut expiring => {}
        }
    }
}

/// Tells of MTs in hand that expire before they can be sent, for as long as the channel runs.
async fn expire<I: Intake>(shared: &Shared<I>) {
    loop {
        tokio::time::sleep(EXPIRE).await;
        shared.outgoing().expire();
        if !shared.outgoing().outcomes.is_empty() {
            shared.settle().await;
        }
    }
}

/// Looks at receipts that were kept aside, now and then, for as long as the channel runs.
async fn look_again<I: Intake>(shared: &Shared<I>) {
    loop {
        shared.rematch().await;
        tokio::time::sleep(REMATCH).await;
    }
}
