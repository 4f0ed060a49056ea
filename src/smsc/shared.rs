//! What all connections of a simulator share: configuration, accounts, ids, counters, listeners.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use serde::Serialize;
use smpp::net::Direction;
use smpp::{CommandStatus, StatusClass};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use super::accounts::Accounts;
use super::config::SimulatorConfig;
use super::event::SimEvent;
use super::ids::Ids;
use super::ussd::UssdPhones;

/// Told of the octets on each connection, counted from 1: whole PDUs, one or more at a time.
pub type Tap = Arc<dyn Fn(u64, Direction, &[u8]) + Send + Sync>;

pub(super) struct Shared {
    pub(super) config: ArcSwap<SimulatorConfig>,
    pub(super) accounts: Accounts,
    pub(super) ussd: UssdPhones,
    pub(super) ids: Ids,
    pub(super) seed: u64,
    pub(super) tap: Option<Tap>,
    /// Shared, since room for as many as a listener may be behind is there from the start.
    pub(super) events: broadcast::Sender<Arc<SimEvent>>,
    pub(super) counters: Live,
    /// Told when all connections are to be cut.
    pub(super) cuts: watch::Sender<()>,
    pub(super) stop: CancellationToken,
}

impl Shared {
    /// Whether anybody listens; events are not even made otherwise.
    pub(super) fn watched(&self) -> bool {
        self.events.receiver_count() > 0
    }

    pub(super) fn tell(&self, event: impl FnOnce() -> SimEvent) {
        if self.watched() {
            // The last listener may have gone in this very moment.
            let _ = self.events.send(Arc::new(event()));
        }
    }

    /// A phone's script has come to its end, if it has.
    pub(super) fn walked(&self, phone: String, outcome: Option<Result<usize, String>>) {
        if let Some(outcome) = outcome {
            let counter = if outcome.is_ok() { &self.counters.walks } else { &self.counters.walks_failed };
            counter.fetch_add(1, Ordering::Relaxed);
            self.tell(|| SimEvent::Walked { phone, outcome });
        }
    }
}

/// The counters while they count.
#[derive(Debug, Default)]
pub(super) struct Live {
    pub(super) connections: AtomicU64,
    pub(super) binds: AtomicU64,
    pub(super) cuts: AtomicU64,
    walks: AtomicU64,
    walks_failed: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    throttled: AtomicU64,
    unanswered: AtomicU64,
    receipts: AtomicU64,
    receipts_refused: AtomicU64,
    mos: AtomicU64,
    mos_refused: AtomicU64,
}

/// What a simulator has done since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Connections accepted.
    pub connections: u64,
    /// Binds accepted.
    pub binds: u64,
    /// Connections cut.
    pub cuts: u64,
    /// Submits taken.
    pub accepted: u64,
    /// Submits refused, throttled ones aside.
    pub refused: u64,
    /// Submits answered ESME_RTHROTTLED or ESME_RMSGQFUL.
    pub throttled: u64,
    /// Submits taken and never answered.
    pub unanswered: u64,
    /// Receipts taken by the ESME.
    pub receipts: u64,
    /// Receipts that it refused, each try.
    pub receipts_refused: u64,
    /// MO segments taken by the ESME.
    pub mos: u64,
    /// MO segments that it refused, each try.
    pub mos_refused: u64,
    /// Receipts and MO segments dropped because too many waited.
    pub dropped: u64,
    /// USSD scripts of phones that came out as they should.
    pub walks: u64,
    /// USSD scripts that did not.
    pub walks_failed: u64,
}

impl Live {
    pub(super) fn submit(&self, refusal: Option<CommandStatus>, answered: bool) {
        let counter = match refusal.map(CommandStatus::class) {
            None => &self.accepted,
            Some(StatusClass::SlowDown) => &self.throttled,
            Some(_) => &self.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if !answered {
            self.unanswered.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn delivered(&self, receipt: bool, taken: bool) {
        let counter = match (receipt, taken) {
            (true, true) => &self.receipts,
            (true, false) => &self.receipts_refused,
            (false, true) => &self.mos,
            (false, false) => &self.mos_refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self, dropped: u64) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            connections: read(&self.connections),
            binds: read(&self.binds),
            cuts: read(&self.cuts),
            accepted: read(&self.accepted),
            refused: read(&self.refused),
            throttled: read(&self.throttled),
            unanswered: read(&self.unanswered),
            receipts: read(&self.receipts),
            receipts_refused: read(&self.receipts_refused),
            mos: read(&self.mos),
            mos_refused: read(&self.mos_refused),
            dropped,
            walks: read(&self.walks),
            walks_failed: read(&self.walks_failed),
        }
    }
}
