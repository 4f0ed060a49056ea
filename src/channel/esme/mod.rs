//! The `smpp` channel type: one bind to one SMSC as an ESME.
//!
//! Connects, binds, serves the link until it ends, and comes back with a growing, jittered delay. What is under way
//! towards the SMSC (`outgoing`) and the segments of long MOs (`incoming`) outlive a link; everything else of a link
//! is in `link`.

mod config;
mod deliver;
mod endpoint;
mod incoming;
mod link;
mod outgoing;
mod submit;

use std::time::Duration;

use serde_json::json;
use smpp::session::CloseReason;
use smpp::{CommandStatus, StatusClass};

pub use self::config::EsmeConfig;
use self::incoming::Incoming;
use self::link::Link;
use self::outgoing::Outgoing;
pub use self::submit::{Unsendable, to_submit_sm};
use super::{Intake, Setup, StatusReport};
use crate::model::{JsonObject, Level};

/// A bind that held this long was a good one: the next delay is the first again.
const GOOD_BIND: Duration = Duration::from_secs(60);
/// Least wait after the SMSC said that we are bound already: the old bind must die first (field guide §2.2).
const ALREADY_BOUND: Duration = Duration::from_secs(30);

/// Runs the channel until its stop.
pub async fn run<I: Intake>(setup: Setup<I>, config: EsmeConfig) {
    let mut outgoing = Outgoing::new(&setup, &config);
    let mut incoming = Incoming::new(&setup, &config);
    let mut delay = config.initial_reconnect_delay;
    tell(&setup, Level::Down, "starting", "Starting").await;
    while !setup.stop.is_cancelled() {
        let begun = tokio::time::Instant::now();
        let why = attempt(&setup, &config, &mut outgoing, &mut incoming).await;
        if setup.stop.is_cancelled() {
            break;
        }
        if begun.elapsed() >= GOOD_BIND {
            delay = config.initial_reconnect_delay;
        }
        let least = match why {
            Some(CloseReason::BindRefused(CommandStatus::ESME_RALYBND)) => ALREADY_BOUND,
            _ => Duration::ZERO,
        };
        let wait = delay.max(least).mul_f64(0.8 + 0.4 * fastrand::f64());
        setup.log.info(format!("next attempt to bind in {:.1} s", wait.as_secs_f64()));
        delay = (delay * 2).min(config.max_reconnect_delay);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = setup.stop.cancelled() => {}
        }
    }
}

/// One connection from its first packet to its last; why it ended, if it was ever made.
async fn attempt<I: Intake>(
    setup: &Setup<I>,
    config: &EsmeConfig,
    outgoing: &mut Outgoing,
    incoming: &mut Incoming,
) -> Option<CloseReason> {
    let connected = tokio::select! {
        connected = config.endpoint.connect() => connected,
        () = setup.stop.cancelled() => return None,
    };
    let stream = match connected {
        Ok(stream) => stream,
        Err(error) => {
            let address = format!("{}:{}", config.endpoint.host, config.endpoint.port);
            tell(setup, Level::Down, "connect_failed", &format!("Connecting to {address} failed: {error}")).await;
            return None;
        }
    };
    let why = Link::new(setup, config, stream, outgoing, incoming).serve().await;
    let (kind, message) = match why {
        CloseReason::BindRefused(status) => ("bind_failed", format!("Bind failed: {status} ({:#010x})", status.0)),
        CloseReason::BindTimeout => ("bind_timeout", "Timed out awaiting bind".to_owned()),
        _ => ("connection_lost", String::new()),
    };
    if kind != "connection_lost" {
        let mut details = JsonObject::new();
        if let CloseReason::BindRefused(status) = why {
            details.insert("command_status".to_owned(), json!(format!("{:#010x}", status.0)));
            details.insert("meaning".to_owned(), json!(status.meaning()));
        }
        report(setup, Level::Down, kind, message, details).await;
    }
    tell(setup, Level::Down, "connection_lost", lost(&why)).await;
    Some(why)
}

/// Vumi's two sentences, where they fit, so that whoever matches them goes on matching.
fn lost(why: &CloseReason) -> &'static str {
    match why {
        CloseReason::ConnectionLost => "Connection to the other side was lost in a non-clean fashion: Connection lost.",
        CloseReason::Silent => "The SMSC stopped answering enquire_link.",
        CloseReason::Framing(_) => "The SMSC sent octets that are no SMPP; the connection was closed.",
        _ => "Connection was closed cleanly.",
    }
}

/// A status without details.
async fn tell<I: Intake>(setup: &Setup<I>, level: Level, kind: &'static str, message: &str) {
    report(setup, level, kind, message.to_owned(), JsonObject::new()).await;
}

async fn report<I: Intake>(setup: &Setup<I>, level: Level, kind: &'static str, message: String, details: JsonObject) {
    let report = StatusReport { component: "smpp", level, kind, message, details };
    setup.intake.status(&setup.id, report).await;
}

/// Whether a refusal of one message says that the whole bind is unusable.
fn ends_bind(status: CommandStatus) -> bool {
    status.class() == StatusClass::EndsBind
}
