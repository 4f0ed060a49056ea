//! What the binds of one channel share: the MTs under way, what comes in, the queue, the pace, the channel's health.
//!
//! All binds of a channel run in its one task, so no lock here is ever waited for; they only make that visible to the
//! compiler. None is held across a wait but the queue's, by whichever bind waits for new MTs.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use super::config::{EsmeConfig, OnUnknown};
use super::health::Health;
use super::ids;
use super::incoming::Incoming;
use super::ledger::{Batch, Ledger, Memory};
use super::outgoing::{Outgoing, Part};
use super::pace::SharedPace;
use super::receipts::Receipts;
use super::submit::estimate;
use super::ussd::Sessions;
use crate::channel::{Arrival, Fate, Intake, IntakeError, Outcome, Setup, StatusReport};
use crate::model::{JsonObject, Level, UnmatchedReceipt};
use crate::store::{Delivery, OutboundQueue, ReadError, Store, Ticket};

/// See the file's head.
pub(super) struct Shared<I> {
    pub(super) setup: Setup<I>,
    pub(super) config: EsmeConfig,
    outgoing: Mutex<Outgoing>,
    incoming: Mutex<Incoming>,
    receipts: Mutex<Receipts>,
    sessions: Mutex<Sessions>,
    pace: Mutex<SharedPace>,
    health: Mutex<Health>,
    /// Binds that may send at present.
    senders: Mutex<BTreeSet<usize>>,
    /// It has ended in order.
    left: AtomicBool,
    queue: tokio::sync::Mutex<OutboundQueue>,
    pub(super) ledger: Ledger,
    /// Held by whoever reads memory back.
    rereading: tokio::sync::Mutex<()>,
    /// Order of the oldest PDU that may still be answered; receipts that nothing matches wait for it.
    pub(super) answered: watch::Sender<u64>,
    /// Told when there is something to send that no bind has been waiting for.
    pub(super) work: Notify,
}

/// The state behind a lock; a panic while it was held has ended the channel already.
fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What memory has of what is stored.
async fn stored<I>(setup: &Setup<I>, config: &EsmeConfig) -> Result<(Incoming, Receipts, Sessions), ReadError> {
    let (store, id) = (&setup.store, &setup.id);
    let incoming = Incoming::new(setup, config, &store.parts(id).await?);
    let receipts = Receipts::new(store.notes(id, UnmatchedReceipt::NOTES).await?);
    Ok((incoming, receipts, Sessions::new(config.ussd, &store.notes(id, Sessions::NOTES).await?)))
}

/// MTs whose fate is known but perhaps not stored yet: should the channel be cut off meanwhile, they were sent.
struct Deciding<'a> {
    store: &'a Store,
    tickets: Vec<Ticket>,
}

impl<'a> Deciding<'a> {
    fn new(store: &'a Store, outcomes: &[Outcome]) -> Self {
        let ended = outcomes.iter().filter(|outcome| !matches!(outcome.fate, Fate::Retry { .. }));
        Self { store, tickets: ended.map(|outcome| outcome.ticket).collect() }
    }

    /// It is stored.
    fn done(mut self) {
        self.tickets.clear();
    }
}

impl Drop for Deciding<'_> {
    fn drop(&mut self) {
        self.store.suspect(&self.tickets, true);
    }
}

/// A channel that was cut off, or has panicked: as after a kill, whatever was in hand may have been sent.
impl<I> Drop for Shared<I> {
    fn drop(&mut self) {
        if !*self.left.get_mut() {
            let outgoing = lock(&self.outgoing);
            let tickets = [outgoing.in_hand(false), outgoing.in_hand(true)].concat();
            self.setup.store.suspect(&tickets, true);
        }
    }
}

/// From one look whether memory has been read back to the next.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

impl<I: Intake> Shared<I> {
    pub(super) async fn new(setup: Setup<I>, config: EsmeConfig) -> Self {
        let now = tokio::time::Instant::now().into_std();
        let rate = [config.session.rate, setup.rate_limit].into_iter().flatten().reduce(f64::min);
        let ledger = Ledger::default();
        let (incoming, receipts, sessions) = stored(&setup, &config).await.unwrap_or_else(|error| {
            setup.log.error(format!("what the channel keeps could not be read: {error}"));
            ledger.distrust(now);
            (Incoming::new(&setup, &config, &[]), Receipts::new(Vec::new()), Sessions::new(config.ussd, &[]))
        });
        Self {
            outgoing: Mutex::new(Outgoing::new(&config, ids::recall(&setup, &config).await)),
            incoming: Mutex::new(incoming),
            receipts: Mutex::new(receipts),
            sessions: Mutex::new(sessions),
            pace: Mutex::new(SharedPace::new(rate, config.session.binds.len(), now)),
            health: Mutex::new(Health::new(&config.session.binds)),
            senders: Mutex::default(),
            left: AtomicBool::new(false),
            queue: tokio::sync::Mutex::new(match config.results.on_unknown {
                OnUnknown::Resend => setup.store.outbound(&setup.id),
                // Whoever is told that it may have been sent shall be told of few that were not.
                OnUnknown::Report => setup.store.outbound(&setup.id).exactly(),
            }),
            ledger,
            rereading: tokio::sync::Mutex::default(),
            answered: watch::Sender::new(0),
            work: Notify::new(),
            setup,
            config,
        }
    }

    pub(super) fn outgoing(&self) -> MutexGuard<'_, Outgoing> {
        lock(&self.outgoing)
    }

    pub(super) fn incoming(&self) -> MutexGuard<'_, Incoming> {
        lock(&self.incoming)
    }

    pub(super) fn receipts(&self) -> MutexGuard<'_, Receipts> {
        lock(&self.receipts)
    }

    pub(super) fn sessions(&self) -> MutexGuard<'_, Sessions> {
        lock(&self.sessions)
    }

    pub(super) fn pace(&self) -> MutexGuard<'_, SharedPace> {
        lock(&self.pace)
    }

    /// A bind can send, or can no more; what it had in hand is for the others then.
    pub(super) fn set_sending(&self, bind: usize, sends: bool) {
        let mut senders = lock(&self.senders);
        if sends {
            senders.insert(bind);
        } else {
            senders.remove(&bind);
            lock(&self.pace).sated(bind);
        }
        drop(senders);
        self.work.notify_waiters();
    }

    /// Whether another bind than this one can send.
    pub(super) fn has_other_sender(&self, bind: usize) -> bool {
        lock(&self.senders).iter().any(|other| *other != bind)
    }

    /// MTs of about so many PDUs from the queue, as soon as there are any. Binds take turns.
    ///
    /// What is in hand cannot be overtaken any more: a hundred long messages are not taken where the window holds ten
    /// segments.
    pub(super) async fn pull(&self, pdus: usize) -> Result<Vec<Delivery>, ReadError> {
        self.queue.lock().await.pull_weighed(pdus, estimate).await
    }

    /// MTs that are there already; none if another bind waits for the same.
    pub(super) fn try_pull(&self, pdus: usize) -> Result<Vec<Delivery>, ReadError> {
        match self.queue.try_lock() {
            Ok(mut queue) => queue.try_pull_weighed(pdus, estimate),
            Err(_) => Ok(Vec::new()),
        }
    }

    /// Takes MTs in hand; arrivals are what has to be stored along with that.
    pub(super) fn accept(&self, deliveries: Vec<Delivery>) -> Vec<Arrival> {
        let mut sessions = self.sessions();
        let notes = deliveries.iter().filter_map(|delivery| sessions.sent(&delivery.message)).collect();
        self.outgoing().accept(&self.config, deliveries);
        notes
    }

    /// Passes on what has become of MTs, and wakes receipts that waited for it.
    pub(super) async fn settle(&self) {
        let (outcomes, suspects) = {
            let mut outgoing = self.outgoing();
            (std::mem::take(&mut outgoing.outcomes), std::mem::take(&mut outgoing.suspects))
        };
        self.setup.store.suspect(&suspects, true);
        if !outcomes.is_empty() {
            let deciding = Deciding::new(&self.setup.store, &outcomes);
            self.setup.intake.decided(&self.setup.id, outcomes).await;
            deciding.done();
        }
        if self.answered.receiver_count() > 0 {
            let oldest = self.outgoing().oldest_open();
            self.answered.send_if_modified(|answered| std::mem::replace(answered, oldest) != oldest);
        }
    }

    /// The channel is about to end, and may be cut off before all has been answered: what `on_the_wire` are PDUs of may have
    /// reached the SMSC by then.
    pub(super) fn suspect<'b>(&self, on_the_wire: impl Iterator<Item = &'b Part>) {
        let tickets = self.outgoing().tickets(on_the_wire);
        self.setup.store.suspect(&tickets, true);
    }

    /// The channel has ended: what is known of each MT in hand by now is noted for the next run.
    pub(super) fn leave(&self) {
        for uncertain in [false, true] {
            let tickets = self.outgoing().in_hand(uncertain);
            self.setup.store.suspect(&tickets, uncertain);
        }
        self.left.store(true, Ordering::Relaxed);
    }

    /// Stores a batch; when this returns `Ok` it is durable.
    pub(super) async fn store(&self, batch: Batch<'_>, arrivals: Vec<Arrival>) -> Result<(), IntakeError> {
        self.setup.intake.arrived(&self.setup.id, arrivals).await?;
        batch.stored();
        Ok(())
    }

    /// Makes sure that what is in memory is what is stored or about to be; reads it back if need be.
    ///
    /// # Errors
    /// When to ask again: what comes until then must come again, too.
    pub(super) async fn sound(&self) -> Result<(), Instant> {
        match self.ledger.memory(self.now()) {
            Memory::Sound => {}
            Memory::Stale(until) => return Err(until),
            Memory::Reread => {
                // Once at a time: nothing begins before memory can be relied on.
                let Ok(_turn) = self.rereading.try_lock() else { return Err(self.now() + BETWEEN_LOOKS) };
                self.setup.log.warn("something could not be stored; segments, sessions and receipts are read back");
                match stored(&self.setup, &self.config).await {
                    Ok(stored) => {
                        (*self.incoming(), *self.receipts(), *self.sessions()) = stored;
                        self.ledger.trust();
                    }
                    Err(error) => {
                        self.unreadable(&error);
                        return Err(self.ledger.distrust(self.now()));
                    }
                }
            }
        }
        Ok(())
    }

    /// When a long MO is to be passed on that has waited long enough for its segments.
    pub(super) async fn next_overdue(&self) -> Option<Instant> {
        match self.sound().await {
            Ok(()) => self.incoming().next_overdue(),
            Err(until) => Some(until),
        }
    }

    /// Says something of one bind; the channel's status is made of all.
    pub(super) async fn tell(&self, bind: usize, level: Level, kind: &'static str, message: &str) {
        self.report(bind, level, kind, message.to_owned(), JsonObject::new()).await;
    }

    /// The same, with details.
    pub(super) async fn report(
        &self,
        bind: usize,
        level: Level,
        kind: &'static str,
        message: String,
        details: JsonObject,
    ) {
        let report = lock(&self.health).update(bind, level, kind, message, details);
        self.setup.intake.status(&self.setup.id, report).await;
    }

    /// What has been learned of the SMSC's receipts is a status of its own.
    pub(super) async fn report_ids(&self, message: String, level: Level) {
        let report =
            StatusReport { component: "receipts", level, kind: "message_ids", message, details: JsonObject::new() };
        self.setup.intake.status(&self.setup.id, report).await;
    }

    pub(super) fn unreadable(&self, error: &ReadError) {
        self.setup.log.error(format!("the store could not be read: {error}"));
    }

    pub(super) fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}
