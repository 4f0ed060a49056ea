//! One connection to the SMSC: binds, sends as the session permits, acknowledges what has been stored.
//!
//! Whatever a batch of PDUs from the SMSC makes us say leaves in one write; whatever it brings is stored in one commit,
//! which the link does not wait for: answers are sent as commits end.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};
use serde_json::json;
use smpp::explain::Refused;
use smpp::net::{Direction, Driver};
use smpp::pdu::{Bind, BindMode, DataSmResp, DeliverSmResp};
use smpp::session::{CloseReason, Event, Ready, Session, State, answer_to, interface_version};
use smpp::{Address, CString, CommandStatus, Npi, Password, Pdu, SequenceNumber, Ton};
use tokio::sync::futures::Notified;
use tokio_util::sync::CancellationToken;

use super::config::{OnTimeout, SessionPlan};
use super::deliver::Delivered;
use super::health::mode_name;
use super::incoming::Step;
use super::ledger::Batch;
use super::outgoing::{Effect, Missing, Part};
use super::receipts::Incident;
use super::shared::Shared;
use crate::channel::{Arrival, Intake, IntakeError};
use crate::endpoint::Stream;
use crate::model::{JsonObject, Level};
use crate::store::Delivery;
use crate::telemetry::channel_log::ConnectionLog;

type Tap = Box<dyn FnMut(Direction, &[u8]) + Send>;

/// Answers that wait for a commit.
type Pending<'a> = Pin<Box<dyn Future<Output = Vec<Reply>> + Send + 'a>>;

/// An answer to a request of the SMSC's.
struct Reply {
    sequence: SequenceNumber,
    status: CommandStatus,
    pdu: Pdu,
}

/// Who begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// We bind.
    Bind,
    /// The SMSC asks us to, with outbind.
    Outbind,
}

/// See the file's head.
pub(super) struct Link<'a, I> {
    shared: &'a Shared<I>,
    /// Which of the channel's binds this is.
    bind: usize,
    mode: BindMode,
    /// The SMSC's address, for people.
    peer: String,
    driver: Driver<Stream, Part, Tap>,
    /// Where its PDUs are kept.
    log: Arc<ConnectionLog>,
    /// Batches that are being stored.
    commits: FuturesUnordered<Pending<'a>>,
    /// What waits for more than that: receipts for their message, repetitions for what they repeat.
    pending: FuturesUnordered<Pending<'a>>,
    /// What the present batch brought, and what to answer once it is stored.
    arrivals: Vec<Arrival>,
    replies: Vec<Reply>,
    batch: Option<Batch<'a>>,
    awaits_outbind: bool,
    /// Another link serves while this one is tried: nothing is said of it before it is bound.
    aside: bool,
    throttled: bool,
    /// It has been told to end, and has begun to.
    ending: bool,
    closed: Option<CloseReason>,
}

/// Most MTs taken from the queue at once.
const PULL: usize = 256;
/// From a queue that could not be read to the next try.
const READ_AGAIN: Duration = Duration::from_secs(1);

impl<'a, I: Intake> Link<'a, I> {
    pub(super) fn new(shared: &'a Shared<I>, bind: usize, mode: BindMode, peer: String, stream: Stream) -> Self {
        let plan = &shared.config.session;
        let session = Session::new(plan.config.clone(), shared.now());
        let log = Arc::new(shared.setup.log.connection());
        let tapped = log.clone();
        let tap: Tap = Box::new(move |direction, octets| tapped.pdus(direction == Direction::Received, octets));
        Self {
            shared,
            bind,
            mode,
            peer,
            driver: Driver::new(stream, session, plan.max_pdu_len, tap),
            log,
            commits: FuturesUnordered::new(),
            pending: FuturesUnordered::new(),
            arrivals: Vec::new(),
            replies: Vec::new(),
            batch: None,
            awaits_outbind: false,
            aside: false,
            throttled: false,
            ending: false,
            closed: None,
        }
    }

    /// Tries the peer while another link serves.
    pub(super) fn aside(self) -> Self {
        Self { aside: true, ..self }
    }

    /// Binds; nothing else is done before the SMSC has agreed.
    ///
    /// # Errors
    /// Why it did not come to that.
    pub(super) async fn open(&mut self, opening: Opening) -> Result<(), CloseReason> {
        match opening {
            Opening::Bind => self.send_bind().await,
            Opening::Outbind => self.awaits_outbind = true,
        }
        let late = tokio::time::sleep(self.shared.config.session.config.bind_timeout * 2);
        tokio::pin!(late);
        // An SMSC may unbind with the very answer to the bind; what came between is served all the same.
        while !matches!(self.driver.session.state(), State::Bound(_) | State::Unbinding) {
            tokio::select! {
                event = self.driver.event() => self.handle(event).await,
                () = self.shared.setup.stop.cancelled() => {
                    let now = self.driver.now();
                    self.driver.session.unbind(now);
                }
                // The session has its own clock once it has been asked to bind.
                () = &mut late, if self.awaits_outbind => self.closed = Some(CloseReason::BindTimeout),
            }
            if let Some(why) = self.closed {
                self.driver.finish().await;
                return Err(why);
            }
        }
        Ok(())
    }

    async fn send_bind(&mut self) {
        let now = self.driver.now();
        if let Err(error) = self.driver.session.bind(now, self.mode, bind(&self.shared.config.session)) {
            // A fresh session takes a bind; anything else is a bug of ours that must not pass for a lost link.
            self.shared.setup.log.error(format!("the bind could not be sent: {error}"));
        }
        if !self.aside {
            self.shared.tell(self.bind, Level::Down, "binding", "Binding").await;
        }
    }

    /// Serves the link to its end; ends it in order once `retire` is given: at the channel's stop, or because another link
    /// has taken its place.
    pub(super) async fn serve(mut self, retire: &CancellationToken) -> CloseReason {
        let sends = self.mode != BindMode::Receiver;
        self.shared.set_sending(self.bind, sends);
        self.overdue().await;
        // What came in the same segment as the answer to the bind.
        while let Some(event) = self.driver.session.poll_event() {
            self.handle(event).await;
        }
        loop {
            self.settle().await;
            if let Some(why) = self.closed {
                if !self.is_replaced(retire) {
                    self.shared.set_sending(self.bind, false);
                }
                // What is being stored without anybody to be answered must not be taken for lost.
                while self.commits.next().await.is_some() {}
                self.driver.finish().await;
                return why;
            }
            // From before it looks for work: what is told while it looks must not be missed.
            let work = self.shared.work.notified();
            let wait = self.send().await;
            if self.driver.session.outstanding() == 0 {
                self.unthrottled().await;
            }
            if !self.shared.outgoing().outcomes.is_empty() {
                // What turned out to be too late to be sent.
                self.shared.settle().await;
            }
            self.step(wait, work, retire).await;
        }
    }

    /// Whether another link serves the bind instead of this one.
    fn is_replaced(&self, retire: &CancellationToken) -> bool {
        retire.is_cancelled() && !self.shared.setup.stop.is_cancelled()
    }

    /// Waits for whatever comes first, and handles it.
    async fn step(&mut self, wait: Wait, work: Notified<'_>, retire: &CancellationToken) {
        let overdue = self.shared.next_overdue().await;
        tokio::select! {
            event = self.driver.event() => {
                self.handle(event).await;
                // The rest of what one read brought.
                while let Some(event) = self.driver.session.poll_event() {
                    self.handle(event).await;
                }
            }
            Some(replies) = self.commits.next(), if !self.commits.is_empty() => self.reply(replies),
            Some(replies) = self.pending.next(), if !self.pending.is_empty() => self.reply(replies),
            pulled = self.shared.pull(wait.pull.min(PULL)), if wait.pull > 0 => match pulled {
                Ok(deliveries) => self.accept(deliveries),
                Err(error) => self.shared.unreadable(&error),
            },
            () = work, if wait.pull > 0 || wait.until.is_some() => {}
            () = sleep_until(wait.until), if wait.until.is_some() => {}
            () = sleep_until(overdue), if overdue.is_some() => self.overdue().await,
            () = retire.cancelled(), if !self.ending => {
                self.ending = true;
                if !self.is_replaced(retire) {
                    self.shared.set_sending(self.bind, false);
                    self.shared.suspect(self.driver.session.unanswered());
                    self.shared.tell(self.bind, Level::Down, "unbinding", "Unbinding").await;
                }
                let now = self.driver.now();
                self.driver.session.unbind(now);
            }
        }
    }

    /// Sends as much as the session and the channel's rate permit; says what to wait for.
    async fn send(&mut self) -> Wait {
        let nothing = Wait { pull: 0, until: None };
        let others = self.shared.has_other_sender(self.bind);
        loop {
            let now = self.driver.now();
            let room = match self.driver.session.ready(now) {
                Ready::Now(room) => room,
                Ready::At(at) => {
                    // Whoever must pause leaves the channel's rate to the others.
                    self.shared.pace().sated(self.bind);
                    return Wait { until: Some(at), ..nothing };
                }
                Ready::WindowFull | Ready::NotBound => {
                    self.shared.pace().sated(self.bind);
                    return nothing;
                }
            };
            let room = match self.shared.pace().budget(self.bind, now) {
                Ok(budget) => room.min(budget),
                Err(at) => return Wait { until: Some(at), ..nothing },
            };
            let sent = self.send_some(now, room, others);
            if sent >= room {
                continue;
            }
            if self.shared.outgoing().is_full() {
                self.shared.pace().sated(self.bind);
                return Wait { until: self.shared.outgoing().next_due(), ..nothing };
            }
            match self.shared.try_pull((room - sent).min(PULL)) {
                Ok(pulled) if pulled.is_empty() => {
                    self.shared.pace().sated(self.bind);
                    return Wait { pull: room - sent, until: self.shared.outgoing().next_due() };
                }
                Ok(pulled) => self.accept(pulled),
                Err(error) => {
                    self.shared.unreadable(&error);
                    return Wait { until: Some(now + READ_AGAIN), ..nothing };
                }
            }
            if !self.shared.outgoing().outcomes.is_empty() {
                // A queue full of messages that cannot be sent must not fill memory with what became of them.
                self.shared.settle().await;
            }
        }
    }

    /// Sends up to `room` PDUs that are in hand; how many.
    fn send_some(&mut self, now: Instant, room: usize, others: bool) -> usize {
        let mut outgoing = self.shared.outgoing();
        let mut pace = self.shared.pace();
        for sent in 0..room {
            let Some((part, pdu)) = outgoing.next(now, self.bind, others) else { return sent };
            match self.driver.session.request(now, pdu, part) {
                Ok(sequence) => {
                    outgoing.message(part).into_iter().for_each(|id| self.log.belongs(false, sequence.0, id));
                }
                Err(error) => {
                    tracing::debug!(%error, "a PDU waits");
                    outgoing.put_back(part);
                    return room;
                }
            }
            pace.spend(self.bind, now);
        }
        room
    }

    async fn handle(&mut self, event: Event<Part>) {
        match event {
            Event::Bound { mode, system_id, tlvs } => {
                let mut details = JsonObject::new();
                details.insert("host".to_owned(), json!(self.peer));
                details.insert("bind_type".to_owned(), json!(mode_name(mode)));
                details.insert("smsc_system_id".to_owned(), json!(system_id));
                let version = interface_version(&tlvs);
                self.shared.outgoing().bound(&self.shared.config, version);
                let version = version.map(|version| format!("{version:#04x}"));
                details.insert("smsc_interface_version".to_owned(), json!(version));
                let message = if self.aside { "Bound to the primary again" } else { "Bound" };
                self.shared.report(self.bind, Level::Ok, "bound", message.to_owned(), details).await;
            }
            Event::Request { sequence, pdu } => self.request(sequence, pdu).await,
            Event::Response { token, status, pdu, .. } => self.response(token, status, &pdu).await,
            Event::Expired { token } => self.expired(token),
            Event::Refused { raw, why } => {
                self.shared.setup.log.warn(format!("a {} of the SMSC's was refused: {why}", raw.id));
            }
            Event::Stray { raw } => {
                let (id, status, sequence) = (raw.id, raw.status, raw.sequence);
                self.shared
                    .setup
                    .log
                    .warn(format!("{id} {status:#} with sequence number {sequence} answers nothing of ours"));
            }
            Event::PeerUnbinding => self.shared.setup.log.info("the SMSC unbinds"),
            Event::Closed { why, outstanding } => {
                let mut outgoing = self.shared.outgoing();
                for part in outstanding {
                    outgoing.unknown(part, self.shared.config.results.on_unknown, "the connection was lost");
                }
                self.closed = Some(why);
            }
            // An SMSC's events; this end is the ESME.
            _ => {}
        }
    }

    fn expired(&mut self, part: Part) {
        let results = &self.shared.config.results;
        let log = &self.shared.setup.log;
        let mut outgoing = self.shared.outgoing();
        log.about(outgoing.message(part)).warn("a submit_sm was not answered in time; its fate at the SMSC is unknown");
        match results.on_timeout {
            OnTimeout::Nack => {
                outgoing.unknown(part, super::config::OnUnknown::Report, "the SMSC did not answer");
            }
            OnTimeout::Resend | OnTimeout::Wait => {
                if outgoing.missed(&self.shared.config, part, results.on_unknown) == Missing::Suspect {
                    log.warn("binding again, since the SMSC has not answered one submit_sm several times");
                    let now = self.driver.now();
                    self.driver.session.unbind(now);
                }
            }
            OnTimeout::Reconnect => {
                outgoing.missed(&self.shared.config, part, results.on_unknown);
                log.warn("binding again, since on_response_timeout is reconnect");
                let now = self.driver.now();
                self.driver.session.unbind(now);
            }
        }
    }

    async fn request(&mut self, sequence: SequenceNumber, pdu: Pdu) {
        let (delivered, response): (Delivered, Pdu) = match pdu {
            Pdu::DeliverSm(pdu) => (pdu.into(), DeliverSmResp::default().into()),
            Pdu::DataSm(pdu) => (pdu.into(), DataSmResp::default().into()),
            Pdu::Outbind(_) if self.awaits_outbind => {
                self.awaits_outbind = false;
                return self.send_bind().await;
            }
            other => {
                self.shared.setup.log.info(format!("the SMSC sent {}", other.command_id()));
                if let Some(pdu) = answer_to(other.command_id()) {
                    self.reply(vec![Reply { sequence, status: CommandStatus::ESME_RINVCMDID, pdu }]);
                }
                return;
            }
        };
        if self.shared.sound().await.is_err() {
            // What was noted of it in memory cannot be relied on.
            return self.reply(vec![Reply { sequence, status: CommandStatus::ESME_RX_T_APPN, pdu: response }]);
        }
        let now = self.driver.now();
        let (phone, sender) = (delivered.source.digits.to_text(), delivered.destination.digits.to_text());
        let vendors = delivered.vendors(&self.shared.config.deliver);
        let reply = |status| Reply { sequence, status, pdu: response };
        let step = self.shared.incoming().take(now, delivered, &mut self.shared.sessions());
        match step {
            Step::Store(arrivals) => {
                for arrival in &arrivals {
                    if let Arrival::Message { message, .. } = arrival {
                        self.log.belongs(true, sequence.0, message.id);
                    }
                }
                self.gather(arrivals);
                self.replies.push(reply(CommandStatus::ESME_ROK));
            }
            Step::Again => {
                let (shared, reply) = (self.shared, reply(CommandStatus::ESME_ROK));
                self.pending.push(Box::pin(async move {
                    match shared.ledger.earlier_stored().await {
                        true => vec![reply],
                        false => vec![Reply { status: CommandStatus::ESME_RX_T_APPN, ..reply }],
                    }
                }));
            }
            Step::Answer(status) => self.reply(vec![reply(status)]),
            Step::Report(..) if self.shared.config.disable_delivery_report => {
                self.reply(vec![reply(CommandStatus::ESME_ROK)]);
            }
            Step::Report(receipt, text) => {
                let mut incident = Incident::new(&self.shared.config, *receipt, text, phone, sender);
                incident.add(vendors);
                incident.came_as(self.log.clone(), sequence);
                self.receipt(incident, reply(CommandStatus::ESME_ROK)).await;
            }
        }
        self.overdue().await;
    }

    /// What the present batch is to store, too.
    fn gather(&mut self, arrivals: impl IntoIterator<Item = Arrival>) {
        self.arrivals.extend(arrivals);
        self.batch.get_or_insert_with(|| self.shared.ledger.begin());
    }

    /// Takes MTs in hand.
    fn accept(&mut self, deliveries: Vec<Delivery>) {
        let arrivals = self.shared.accept(deliveries);
        if !arrivals.is_empty() {
            self.gather(arrivals);
        }
    }

    /// Passes on long MOs that have waited long enough for their segments.
    async fn overdue(&mut self) {
        if self.shared.sound().await.is_ok() {
            let now = self.driver.now();
            let arrivals = self.shared.incoming().overdue(now);
            if !arrivals.is_empty() {
                self.gather(arrivals);
            }
        }
    }

    /// A receipt joins the batch if its message is known, and else waits by itself until it is or cannot be.
    async fn receipt(&mut self, incident: Incident, reply: Reply) {
        match self.shared.match_receipt(&incident).await {
            Ok(Some(matched)) => {
                self.gather([matched.arrival]);
                self.replies.push(reply);
                if let Some(learned) = matched.learned {
                    self.gather([learned]);
                    self.shared.tell_ids().await;
                }
            }
            Ok(None) => {
                let (shared, came) = (self.shared, self.shared.moment());
                self.pending.push(Box::pin(async move {
                    let status = answer(shared.take_stray(incident, came).await);
                    vec![Reply { status, ..reply }]
                }));
            }
            Err(error) => {
                self.shared.unreadable(&error);
                self.reply(vec![Reply { status: answer(Err(IntakeError::Unavailable)), ..reply }]);
            }
        }
    }

    async fn response(&mut self, part: Part, status: CommandStatus, pdu: &Pdu) {
        let elsewhere = self.shared.has_other_sender(self.bind).then_some(self.bind);
        let message = self.shared.outgoing().message(part);
        let effect = self.shared.outgoing().answered(&self.shared.config, elsewhere, part, status, pdu);
        if effect != Effect::SlowDown {
            self.unthrottled().await;
        }
        match effect {
            Effect::Taken => {}
            Effect::SlowDown => {
                if !self.throttled {
                    self.throttled = true;
                    let mut details = self.shared.config.results.explain(status, Refused::Message);
                    details.insert("rate".to_owned(), json!(self.driver.session.rate()));
                    let message = "Throttled".to_owned();
                    self.shared.report(self.bind, Level::Degraded, "throttled", message, details).await;
                }
            }
            Effect::BindUnusable => {
                let log = &self.shared.setup.log;
                let said = self.shared.config.results.say(status, Refused::Message);
                log.error(format!("binding again, since the SMSC answered a submit_sm with {said}"));
                let now = self.driver.now();
                self.driver.session.unbind(now);
            }
            Effect::Postponed => {
                let log = &self.shared.setup.log;
                let said = self.shared.config.results.say(status, Refused::Message);
                log.about(message).warn(format!("a submit_sm was refused and will be sent again: {said}"));
                // Perhaps over a bind that has nothing to do at present.
                self.shared.work.notify_waiters();
            }
            Effect::Refused => {
                let log = &self.shared.setup.log;
                let said = self.shared.config.results.say(status, Refused::Message);
                log.about(message).warn(format!("a submit_sm was refused: {said}"));
            }
        }
    }

    /// Says that throttling is over, if it is: nothing waits for its end.
    async fn unthrottled(&mut self) {
        let bound = self.driver.session.state().bound().is_some();
        if self.throttled && bound && !self.shared.outgoing().has_again() {
            self.throttled = false;
            self.shared.tell(self.bind, Level::Ok, "throttled_end", "No longer throttled").await;
        }
    }

    /// Hands on what the batch decided and brought.
    async fn settle(&mut self) {
        self.shared.settle().await;
        let Some(batch) = self.batch.take() else {
            debug_assert!(self.replies.is_empty(), "every answer that waits has something to wait for");
            return;
        };
        let shared = self.shared;
        let (arrivals, replies) = (std::mem::take(&mut self.arrivals), std::mem::take(&mut self.replies));
        self.commits.push(Box::pin(async move {
            let status = answer(shared.store(batch, arrivals).await);
            replies.into_iter().map(|reply| Reply { status, ..reply }).collect()
        }));
    }

    fn reply(&mut self, replies: Vec<Reply>) {
        if self.driver.session.state() == State::Closed {
            return;
        }
        let now = self.driver.now();
        for Reply { sequence, status, pdu } in replies {
            if let Err(error) = self.driver.session.respond(now, sequence, status, &pdu) {
                tracing::debug!(%error, "an answer came too late");
            }
        }
    }
}

/// What the link waits for besides the SMSC.
struct Wait {
    /// This many MTs may be pulled; none if zero.
    pull: usize,
    until: Option<Instant>,
}

async fn sleep_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
}

/// What to answer the SMSC when something has been stored, or has not (field guide §4.5).
fn answer(stored: Result<(), IntakeError>) -> CommandStatus {
    match stored {
        Ok(()) => CommandStatus::ESME_ROK,
        Err(IntakeError::Busy) => CommandStatus::ESME_RTHROTTLED,
        Err(IntakeError::Unavailable) => CommandStatus::ESME_RX_T_APPN,
    }
}

fn bind(plan: &SessionPlan) -> Bind {
    // Lengths and octets were checked when the configuration was.
    let password = CString::oversize(plan.password.clone().into_bytes()).unwrap_or_default();
    let (ton, npi) = plan.bind_numbering;
    Bind {
        system_id: plan.system_id.as_str().try_into().unwrap_or_default(),
        password: Password(password),
        system_type: plan.system_type.as_str().try_into().unwrap_or_default(),
        interface_version: plan.interface_version,
        address_range: Address {
            ton: Ton(ton),
            npi: Npi(npi),
            digits: plan.address_range.as_str().try_into().unwrap_or_default(),
        },
        ..Bind::default()
    }
}
