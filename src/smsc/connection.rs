//! One connection of an ESME: its loop, its answers, and its end, which may be as bad as configured.
//!
//! One task does all of it. What one read brought is answered in one write; delayed answers wait in a queue of the
//! connection, receipts in the account's mailbox.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use fastrand::Rng;
use smpp::net::{Direction, Driver};
use smpp::session::{Event, Role, Session, SessionConfig, answer_to};
use smpp::{CommandStatus, Pdu, SequenceNumber};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::agenda::Agenda;
use super::binds::habits;
use super::config::{ErrorBody, SimulatorConfig};
use super::event::SimEvent;
use super::faults::{Faults, Upon};
use super::mailbox::{Attempt, Mailbox};
use super::paced::{LastWords, Paced, last_pdu};
use super::shared::Shared;

type Tap = Box<dyn FnMut(Direction, &[u8]) + Send>;

/// What a connection speaks over: a socket, or two ends in one process.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// See the file's head.
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) number: u64,
    /// How it behaves towards this ESME.
    pub(super) config: Arc<SimulatorConfig>,
    /// How it behaves towards everybody; `config` follows from it.
    pub(super) base: Arc<SimulatorConfig>,
    last_words: LastWords,
    pub(super) driver: Driver<Paced<Box<dyn Wire>>, Attempt, Tap>,
    pub(super) faults: Faults,
    /// The account, once bound.
    pub(super) mailbox: Option<Arc<Mailbox>>,
    pub(super) changed: Option<watch::Receiver<()>>,
    pub(super) receives: bool,
    delayed: Agenda<Delayed>,
    cuts: watch::Receiver<()>,
    end: Option<End>,
}

/// How a connection ends.
enum End {
    /// The session is over, for this reason.
    Closed(String),
    /// It is dropped without a word.
    Cut,
    /// It is dropped in the middle of the last word.
    CutMidPdu,
}

/// An answer that waits for its time.
struct Delayed {
    sequence: SequenceNumber,
    status: CommandStatus,
    pdu: Pdu,
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>, number: u64, stream: Box<dyn Wire>) -> Self {
        let config = shared.config.load_full();
        let now = tokio::time::Instant::now().into_std();
        let session = Session::new(session_config(&config), now);
        let tap: Tap = match shared.tap.clone() {
            Some(tap) => Box::new(move |direction, octets| tap(number, direction, octets)),
            None => Box::new(|_, _| {}),
        };
        let stream = Paced::new(stream, config.read_rate);
        Self {
            last_words: stream.last_words(),
            base: config.clone(),
            driver: Driver::new(stream, session, smpp::raw::DEFAULT_MAX_PDU_LEN, tap),
            faults: Faults::new(Rng::with_seed(shared.seed.wrapping_add(number)), now),
            cuts: shared.cuts.subscribe(),
            shared,
            number,
            config,
            mailbox: None,
            changed: None,
            receives: false,
            delayed: Agenda::default(),
            end: None,
        }
    }

    /// Follows changes of the configuration.
    fn reconfigure(&mut self) {
        let base = self.shared.config.load();
        if !Arc::ptr_eq(&base, &self.base) {
            self.base = base.clone();
            self.config = match &self.mailbox {
                Some(mailbox) => habits(&self.base, &mailbox.system_id),
                None => self.base.clone(),
            };
        }
    }

    /// Serves the connection to its end.
    pub(super) async fn serve(mut self) {
        let begun = self.driver.now();
        let mut stopping = false;
        let mut unbinding = false;
        let end = loop {
            self.reconfigure();
            if self.config.receipts.receipts_first {
                self.deliver();
            }
            self.answer_due();
            self.deliver();
            let cut_at = self.config.session.cut_every.map(|every| begun + every);
            let unbind_at = self.config.session.unbind_every.map(|every| begun + every).filter(|_| !unbinding);
            if let Some(end) = self.end.take() {
                break end;
            }
            let wake = self.next_wake();
            tokio::select! {
                event = self.driver.event() => {
                    // It may have changed while nothing came.
                    self.reconfigure();
                    self.handle(event);
                    // The rest of what one read brought.
                    while self.end.is_none() && let Some(event) = self.driver.session.poll_event() {
                        self.handle(event);
                    }
                }
                () = sleep_until(wake), if wake.is_some() => {}
                () = changed(&mut self.changed), if self.changed.is_some() => {}
                () = sleep_until(cut_at), if cut_at.is_some() => break End::Cut,
                () = sleep_until(unbind_at), if unbind_at.is_some() => {
                    unbinding = true;
                    self.unbind();
                }
                // The sender lives in `shared`.
                _ = self.cuts.changed() => break End::Cut,
                () = self.shared.stop.cancelled(), if !stopping => {
                    stopping = true;
                    self.unbind();
                }
            }
        };
        self.finish(end).await;
    }

    /// Answers what waits for its answer, and unbinds.
    fn unbind(&mut self) {
        while let Some(Delayed { sequence, status, pdu }) = self.delayed.take() {
            self.respond(sequence, status, &pdu);
        }
        let now = self.driver.now();
        self.driver.session.unbind(now);
    }

    async fn finish(mut self, end: End) {
        if let Some(mailbox) = &self.mailbox
            && self.receives
        {
            mailbox.receivers.fetch_sub(1, Ordering::Relaxed);
        }
        let why = match end {
            End::Closed(why) => {
                self.driver.finish().await;
                why
            }
            End::Cut | End::CutMidPdu => {
                self.shared.counters.cuts.fetch_add(1, Ordering::Relaxed);
                if matches!(end, End::CutMidPdu) {
                    self.say_half().await;
                }
                // What was sent and not answered is the next receiver's.
                self.driver.session.handle_close();
                while let Some(event) = self.driver.session.poll_event() {
                    if let Event::Closed { outstanding, .. } = event
                        && let Some(mailbox) = &self.mailbox
                    {
                        mailbox.put_back(outstanding.into_iter());
                    }
                }
                "cut".to_owned()
            }
        };
        if let Some(mailbox) = self.mailbox {
            let system_id = mailbox.system_id.clone();
            self.shared.tell(|| SimEvent::Unbound { connection: self.number, system_id, why });
        }
    }

    /// Writes what waits, but of the last PDU the first half alone.
    async fn say_half(&mut self) {
        let octets = self.driver.session.poll_transmit().unwrap_or_default();
        let last = last_pdu(&octets);
        if let Some(tap) = self.shared.tap.as_ref().filter(|_| last > 0) {
            tap(self.number, Direction::Sent, &octets[..last]);
        }
        self.last_words.set(octets.slice(..last + (octets.len() - last) / 2));
        self.driver.finish().await;
    }

    fn handle(&mut self, event: Event<Attempt>) {
        match event {
            Event::BindRequest { sequence, mode, bind } => self.bind(sequence, mode, &bind),
            Event::Request { sequence, pdu } => self.request(sequence, pdu),
            Event::Response { token, status, .. } => self.answered(token, status),
            // Nobody knows whether it arrived; an SMSC tries again.
            Event::Expired { token } => self.put_back(std::iter::once(token)),
            Event::Closed { why, outstanding } => {
                self.put_back(outstanding.into_iter());
                self.end = Some(End::Closed(why.to_string()));
            }
            _ => {}
        }
    }

    fn put_back(&self, attempts: impl DoubleEndedIterator<Item = Attempt>) {
        if let Some(mailbox) = &self.mailbox {
            mailbox.put_back(attempts);
        }
    }

    fn request(&mut self, sequence: SequenceNumber, pdu: Pdu) {
        match self.faults.upon(&self.config) {
            Upon::Nothing => self.answer(sequence, pdu),
            Upon::Cut if self.config.session.cut_mid_pdu => {
                self.end = Some(End::CutMidPdu);
                self.answer(sequence, pdu);
            }
            Upon::Cut => self.end = Some(End::Cut),
            Upon::Unbind => {
                self.answer(sequence, pdu);
                self.unbind();
            }
        }
    }

    fn answer(&mut self, sequence: SequenceNumber, pdu: Pdu) {
        match &pdu {
            Pdu::SubmitSm(_) | Pdu::SubmitMulti(_) | Pdu::DataSm(_) | Pdu::BroadcastSm(_) => self.submit(sequence, pdu),
            Pdu::QuerySm(query) => self.query(sequence, query),
            Pdu::CancelSm(cancel) => self.cancel(sequence, cancel),
            Pdu::ReplaceSm(replace) => self.replace(sequence, replace),
            Pdu::QueryBroadcastSm(query) => self.query_broadcast(sequence, query),
            Pdu::CancelBroadcastSm(cancel) => self.cancel_broadcast(sequence, cancel),
            _ => {
                if let Some(answer) = answer_to(pdu.command_id()) {
                    self.respond(sequence, CommandStatus::ESME_RINVCMDID, &answer);
                }
            }
        }
    }

    /// Answers a submit, at once or when its time comes; not before `earliest`.
    pub(super) fn respond_later(
        &mut self,
        sequence: SequenceNumber,
        status: CommandStatus,
        pdu: Pdu,
        earliest: Option<Instant>,
    ) {
        let no_delay = self.config.response_delay.is_zero() && earliest.is_none();
        if no_delay || self.end.is_some() {
            return self.respond(sequence, status, &pdu);
        }
        let now = self.driver.now();
        let at = earliest.unwrap_or(now).max(now) + self.config.response_delay.draw(&mut self.faults.rng);
        self.delayed.add(at, Delayed { sequence, status, pdu });
    }

    pub(super) fn respond(&mut self, sequence: SequenceNumber, status: CommandStatus, pdu: &Pdu) {
        let now = self.driver.now();
        let bare = Pdu::NoBody(pdu.command_id());
        let no_body = !status.is_ok() && self.config.answers.error_body == ErrorBody::None;
        let pdu = if no_body { &bare } else { pdu };
        // It fails only once the session is over, and then nobody is there to be told.
        let _ = self.driver.session.respond(now, sequence, status, pdu);
    }

    /// How many submits wait for their answer.
    pub(super) fn waiting(&self) -> usize {
        self.delayed.len()
    }

    fn answer_due(&mut self) {
        let Some(first) = self.delayed.next() else { return };
        let now = self.driver.now();
        if first > now {
            return;
        }
        while let Some(Delayed { sequence, status, pdu }) = self.delayed.take_due(now) {
            self.respond(sequence, status, &pdu);
        }
    }

    /// When something is due that no event announces.
    fn next_wake(&mut self) -> Option<Instant> {
        let answer = self.delayed.next();
        // With a full window only an answer helps, and that is an event.
        let due = self.mailbox.as_ref().and_then(|mailbox| mailbox.next_due());
        answer.into_iter().chain(due).min()
    }
}

fn session_config(config: &SimulatorConfig) -> SessionConfig {
    SessionConfig {
        role: Role::Smsc,
        window: NonZeroUsize::new(config.window).unwrap_or(NonZeroUsize::MIN),
        enquire_link_interval: (!config.enquire_link.is_zero()).then_some(config.enquire_link),
        // `window_limit` bounds what waits for an answer, and leaves out what will never be answered.
        max_unanswered: NonZeroUsize::MAX,
        answers_enquire_link: !config.session.ignore_enquire_link,
        ..SessionConfig::default()
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

async fn changed(receiver: &mut Option<watch::Receiver<()>>) {
    let changed = match receiver {
        Some(receiver) => receiver.changed().await,
        None => std::future::pending().await,
    };
    if changed.is_err() {
        // The account is gone, which outlives its connections.
        std::future::pending().await
    }
}
