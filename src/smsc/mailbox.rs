//! One account of the simulator: its messages, when they end, and what waits for a receiver of it.
//!
//! Shared by all connections of the account, so that a receipt reaches whichever is bound as receiver, and waits while
//! none is. Time comes from the caller; whatever is due is worked off by whoever looks next.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use smpp::text::content::Content;
use smpp::text::reassemble::{Outcome, Reassembler, Segment};
use smpp::{Address, CString, MessageState, Pdu};
use tokio::sync::watch;

use super::agenda::Agenda;
use super::config::{InterfaceVersion, Intermediate, SimulatorConfig};
use super::ids::{Ids, Number};
use super::messages::{Message, Messages};
use super::receipts::{notification, receipt};

/// A deliver_sm for an account.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) pdu: Pdu,
    /// The id that it is a receipt for; `None` for an MO.
    pub(super) receipt_for: Option<String>,
}

/// A delivery under way, and how often it was tried.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) delivery: Arc<Delivery>,
    pub(super) tries: u32,
}

/// See the file's head.
pub(super) struct Mailbox {
    pub(super) system_id: String,
    /// Connections that may receive.
    pub(super) receivers: AtomicUsize,
    /// Binds that were refused, or would have been by now.
    pub(super) refused_binds: AtomicU64,
    /// Its phones have dialled what their script says.
    pub(super) dialled: AtomicBool,
    inner: Mutex<Inner>,
    /// Told when there may be something to take earlier than was known.
    changed: watch::Sender<()>,
}

struct Inner {
    messages: Messages,
    due: Agenda<What>,
    ready: VecDeque<Attempt>,
    dropped: u64,
    segments: Reassembler<()>,
}

/// Something that happens at a time.
enum What {
    Finish(Number),
    Notify(Number),
    Deliver(Attempt),
}

/// Incomplete long messages are given up after this.
const SEGMENTS_WAIT: Duration = Duration::from_secs(300);
/// Most incomplete long messages kept for an account.
const INCOMPLETE: usize = 10_000;

impl Mailbox {
    pub(super) fn new(system_id: &str) -> Self {
        Self {
            system_id: system_id.to_owned(),
            receivers: AtomicUsize::new(0),
            refused_binds: AtomicU64::new(0),
            dialled: AtomicBool::new(false),
            inner: Mutex::new(Inner {
                messages: Messages::default(),
                due: Agenda::default(),
                ready: VecDeque::new(),
                dropped: 0,
                segments: Reassembler::new(SEGMENTS_WAIT, INCOMPLETE),
            }),
            changed: watch::Sender::new(()),
        }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(super) fn has_receiver(&self) -> bool {
        self.receivers.load(Ordering::Relaxed) > 0
    }

    /// Takes a message, unless too many are on their way; what it replaces ends as deleted.
    pub(super) fn accept(
        &self,
        config: &SimulatorConfig,
        ids: &Ids,
        number: Number,
        message: Message,
        replaces: bool,
    ) -> bool {
        let mut inner = self.lock();
        let replaced = if replaces { inner.messages.replaced_by(&message) } else { Vec::new() };
        if replaced.is_empty() && inner.messages.on_their_way() >= config.queue_limit {
            return false;
        }
        for old in &replaced {
            inner.finish(config, ids, *old, Some(MessageState::DELETED));
        }
        let times = message.times;
        inner.messages.insert(number, message);
        let mut first = inner.due.add(times.ends(), What::Finish(number));
        if config.receipts.intermediate != Intermediate::None && times.half() < times.ends() {
            first |= inner.due.add(times.half(), What::Notify(number));
        }
        drop(inner);
        if first || !replaced.is_empty() {
            self.changed.send_replace(());
        }
        true
    }

    /// Queues a delivery; the oldest makes room when there are too many.
    pub(super) fn post(&self, config: &SimulatorConfig, delivery: Delivery) {
        self.lock().ready(config, Attempt::first(delivery));
        self.changed.send_replace(());
    }

    /// Gives everything that is ready to another account.
    pub(super) fn move_to(&self, config: &SimulatorConfig, other: &Self) {
        let waiting = std::mem::take(&mut self.lock().ready);
        if !waiting.is_empty() {
            let mut inner = other.lock();
            waiting.into_iter().for_each(|attempt| inner.ready(config, attempt));
            drop(inner);
            other.changed.send_replace(());
        }
    }

    /// Works off what is due and takes up to `max` deliveries.
    pub(super) fn take(&self, config: &SimulatorConfig, ids: &Ids, now: Instant, max: usize) -> Vec<Attempt> {
        let mut inner = self.lock();
        let moved = inner.advance(config, ids, now);
        let count = max.min(inner.ready.len());
        let taken = inner.ready.drain(..count).collect();
        let left = !inner.ready.is_empty();
        drop(inner);
        if moved && left {
            self.changed.send_replace(());
        }
        taken
    }

    /// Gives back what was lost with a connection, first in line.
    pub(super) fn put_back(&self, attempts: impl DoubleEndedIterator<Item = Attempt>) {
        let mut inner = self.lock();
        attempts.rev().for_each(|attempt| inner.ready.push_front(attempt));
        drop(inner);
        self.changed.send_replace(());
    }

    /// Tries again at a time.
    pub(super) fn retry(&self, at: Instant, attempt: Attempt) {
        if self.lock().due.add(at, What::Deliver(attempt)) {
            self.changed.send_replace(());
        }
    }

    /// When there is something to work off.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.lock().due.next()
    }

    /// State and final date of a message of `source`'s.
    pub(super) fn query(
        &self,
        config: &SimulatorConfig,
        ids: &Ids,
        now: Instant,
        number: Number,
        source: &Address,
    ) -> Option<Standing> {
        let mut inner = self.lock();
        inner.advance(config, ids, now);
        let message = inner.messages.find(number).filter(|message| message.source.digits == source.digits)?;
        // Version 3.4 has no state for it.
        let knows_scheduled = config.session.interface_version == InterfaceVersion::V50;
        let waits = knows_scheduled && message.finished.is_none() && message.times.is_scheduled(now);
        let state = if waits { MessageState::SCHEDULED } else { message.state };
        Some(Standing { state, finished: message.finished })
    }

    /// Whether the account knows a message.
    pub(super) fn knows(&self, number: Number) -> bool {
        self.lock().messages.find(number).is_some()
    }

    /// Deletes messages on their way, which gives receipts; how many there were.
    pub(super) fn cancel(&self, config: &SimulatorConfig, ids: &Ids, now: Instant, which: Which<'_>) -> usize {
        let mut inner = self.lock();
        inner.advance(config, ids, now);
        let numbers = match which {
            Which::One(number, source) => {
                let own = inner.messages.find(number).is_some_and(|message| message.source.digits == source.digits);
                if own { vec![number] } else { Vec::new() }
            }
            Which::Between(service_type, source, destination) => {
                inner.messages.between(service_type, source, destination)
            }
        };
        let finished =
            numbers.into_iter().filter(|number| inner.finish(config, ids, *number, Some(MessageState::DELETED)));
        let count = finished.count();
        drop(inner);
        self.changed.send_replace(());
        count
    }

    /// Gives a message on its way another text and other times; whether there was one.
    pub(super) fn replace(
        &self,
        config: &SimulatorConfig,
        ids: &Ids,
        now: Instant,
        number: Number,
        source: &Address,
        change: impl FnOnce(&mut Message),
    ) -> bool {
        let mut inner = self.lock();
        inner.advance(config, ids, now);
        let message = inner.messages.on_its_way(number).filter(|message| message.source.digits == source.digits);
        let Some(message) = message else { return false };
        let before = message.times.ends();
        change(message);
        let ends = message.times.ends();
        // A later end is found when the earlier one has come.
        let first = ends < before && inner.due.add(ends, What::Finish(number));
        drop(inner);
        if first {
            self.changed.send_replace(());
        }
        true
    }

    /// Takes a segment; the whole text and how many segments it had, once the last has come.
    pub(super) fn join(
        &self,
        now: Instant,
        source: &Address,
        destination: &Address,
        content: &Content,
    ) -> Option<(Content, usize)> {
        let concat = content.concat.filter(|concat| concat.total > 1)?;
        let mut inner = self.lock();
        while inner.segments.take_expired(now).is_some() {}
        let segment = Segment {
            source: source.clone(),
            destination: destination.clone(),
            concat,
            data_coding: content.data_coding,
            text: content.octets.clone(),
            tables: content.tables,
            token: (),
        };
        let Outcome::Complete(segments) = inner.segments.push(now, segment) else { return None };
        // Octets are joined before they are read: a sender may have cut a character in two.
        let octets: Vec<u8> = segments.iter().flat_map(|segment| segment.text.iter().copied()).collect();
        Some((Content { octets: octets.into(), concat: None, udh: None, ..*content }, segments.len()))
    }

    /// Deliveries dropped because too many waited.
    pub(super) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing below panics while it holds the lock; if it did, the account would still be worth serving.
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// What a cancel_sm names.
#[derive(Clone, Copy)]
pub(super) enum Which<'a> {
    One(Number, &'a Address),
    Between(&'a CString<6>, &'a Address, &'a Address),
}

/// Where a message stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) state: MessageState,
    pub(super) finished: Option<DateTime<Utc>>,
}

impl Inner {
    /// Works off what is due; whether anything became ready.
    fn advance(&mut self, config: &SimulatorConfig, ids: &Ids, now: Instant) -> bool {
        let before = self.ready.len();
        while let Some(what) = self.due.take_due(now) {
            let times = |number| self.messages.find(number).map(|message| message.times);
            // A message may have been given later times.
            match what {
                What::Finish(number) => match times(number).map(|times| times.ends()).filter(|ends| *ends > now) {
                    Some(later) => {
                        self.due.add(later, what);
                    }
                    None => {
                        self.finish(config, ids, number, None);
                    }
                },
                What::Notify(number) => match times(number).map(|times| times.half()).filter(|half| *half > now) {
                    Some(later) => {
                        self.due.add(later, what);
                    }
                    None => self.notify(config, ids, number),
                },
                What::Deliver(attempt) => self.ready.push_back(attempt),
            }
        }
        self.ready.len() > before
    }

    fn finish(&mut self, config: &SimulatorConfig, ids: &Ids, number: Number, state: Option<MessageState>) -> bool {
        let done = Utc::now();
        let Some(message) = self.messages.finish(number, state, done, config.remember) else { return false };
        let id = ids.receipt_text(config, number);
        let copies = if message.twice { 2 } else { 1 };
        let receipts = message.destinations().filter_map(|to| receipt(config, &id, message, to, done));
        for receipt in receipts.collect::<Vec<_>>() {
            for _ in 0..copies {
                let delivery = Delivery { pdu: receipt.clone().into(), receipt_for: Some(id.clone()) };
                self.ready(config, Attempt::first(delivery));
            }
        }
        true
    }

    /// Tells that a message is still on its way.
    fn notify(&mut self, config: &SimulatorConfig, ids: &Ids, number: Number) {
        let Some(message) = self.messages.on_its_way(number) else { return };
        let id = ids.receipt_text(config, number);
        let now = Utc::now();
        let notes: Vec<_> =
            message.destinations().filter_map(|to| notification(config, &id, message, to, now)).collect();
        for note in notes {
            self.ready(config, Attempt::first(Delivery { pdu: note.into(), receipt_for: Some(id.clone()) }));
        }
    }

    fn ready(&mut self, config: &SimulatorConfig, attempt: Attempt) {
        while self.ready.len() >= config.backlog.max(1) {
            self.ready.pop_front();
            self.dropped += 1;
        }
        self.ready.push_back(attempt);
    }
}

impl Attempt {
    pub(super) fn first(delivery: Delivery) -> Self {
        Self { delivery: Arc::new(delivery), tries: 0 }
    }
}
