//! One connection to the SMSC: binds, sends as the session permits, acknowledges what has been stored.
//!
//! One task does all of it. Whatever a batch of PDUs from the SMSC makes us say leaves in one write; whatever it
//! brings is stored in one commit, which the link does not wait for: answers are sent as commits end.

use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};
use smpp::net::{Direction, Driver};
use smpp::pdu::{Bind, DataSmResp, DeliverSmResp};
use smpp::receipt::{Receipt, id_forms};
use smpp::session::{CloseReason, Event, Ready, Session, State, answer_to};
use smpp::{Address, CString, CommandStatus, Npi, Password, Pdu, SequenceNumber, Ton};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::config::EsmeConfig;
use super::deliver::{Delivered, report as read_report};
use super::incoming::{Incoming, Step};
use super::outgoing::{Effect, Outgoing, Part};
use super::tell;
use crate::channel::{Arrival, Intake, IntakeError, Setup};
use crate::model::{ChannelId, Level, SmscMessageId};
use crate::store::{ReadError, Store, StoredMessage};

type Tap = Box<dyn FnMut(Direction, &[u8]) + Send>;

/// Answers that wait for a commit.
type Pending = Pin<Box<dyn Future<Output = Vec<Reply>> + Send>>;

/// An answer to a request of the SMSC's.
struct Reply {
    sequence: SequenceNumber,
    status: CommandStatus,
    pdu: Pdu,
}

/// See the file's head.
pub(super) struct Link<'a, I> {
    setup: &'a Setup<I>,
    config: &'a EsmeConfig,
    outgoing: &'a mut Outgoing,
    incoming: &'a mut Incoming,
    driver: Driver<TcpStream, Part, Tap>,
    pending: FuturesUnordered<Pending>,
    /// What the present batch brought, and what to answer once it is stored.
    arrivals: Vec<Arrival>,
    replies: Vec<Reply>,
    /// Order of the oldest PDU that may still be answered; receipts that nothing matches wait for it.
    answered: watch::Sender<u64>,
    throttled: bool,
    /// Something that `incoming` had counted on was not stored; it is read back once nothing is under way.
    stale: bool,
    closed: Option<CloseReason>,
}

/// Most MTs taken from the queue at once.
const PULL: usize = 256;

impl<'a, I: Intake> Link<'a, I> {
    pub(super) fn new(
        setup: &'a Setup<I>,
        config: &'a EsmeConfig,
        stream: TcpStream,
        outgoing: &'a mut Outgoing,
        incoming: &'a mut Incoming,
    ) -> Self {
        let session = Session::new(config.session.clone(), tokio::time::Instant::now().into_std());
        let log = setup.log.clone();
        let tap: Tap = Box::new(move |direction, octets| log.pdus(direction == Direction::Received, octets));
        Self {
            setup,
            config,
            outgoing,
            incoming,
            driver: Driver::new(stream, session, config.max_pdu_len, tap),
            pending: FuturesUnordered::new(),
            arrivals: Vec::new(),
            replies: Vec::new(),
            answered: watch::Sender::new(0),
            throttled: false,
            stale: false,
            closed: None,
        }
    }

    /// Serves the link to its end.
    pub(super) async fn serve(mut self) -> CloseReason {
        let now = self.driver.now();
        if let Err(error) = self.driver.session.bind(now, self.config.bind_mode, bind(self.config)) {
            // A fresh session takes a bind; anything else is a bug of ours that must not pass for a lost link.
            self.setup.log.error(format!("the bind could not be sent: {error}"));
        }
        tell(self.setup, Level::Down, "binding", "Binding").await;
        self.arrivals.extend(self.incoming.overdue(now));
        loop {
            self.settle().await;
            if self.stale && self.pending.is_empty() {
                self.stale = false;
                *self.incoming = Incoming::new(self.setup, self.config);
            }
            if let Some(why) = self.closed {
                self.driver.finish().await;
                return why;
            }
            let wait = self.send();
            self.step(wait).await;
        }
    }

    /// Waits for whatever comes first, and handles it.
    async fn step(&mut self, wait: Wait) {
        let overdue = self.incoming.next_overdue();
        let stopping = self.setup.stop.is_cancelled();
        tokio::select! {
            event = self.driver.event() => {
                self.handle(event).await;
                // The rest of what one read brought.
                while let Some(event) = self.driver.session.poll_event() {
                    self.handle(event).await;
                }
            }
            Some(replies) = self.pending.next(), if !self.pending.is_empty() => {
                self.stale |= replies.iter().any(|reply| !reply.status.is_ok());
                self.reply(replies);
            }
            pulled = self.outgoing.queue.pull(wait.pull.min(PULL)), if wait.pull > 0 => match pulled {
                Ok(deliveries) => self.outgoing.accept(self.config, deliveries),
                Err(error) => self.unreadable(&error),
            },
            () = sleep_until(wait.until), if wait.until.is_some() => {}
            () = sleep_until(overdue), if overdue.is_some() => {
                let now = self.driver.now();
                self.arrivals.extend(self.incoming.overdue(now));
            }
            () = self.setup.stop.cancelled(), if !stopping => {
                let now = self.driver.now();
                tell(self.setup, Level::Down, "unbinding", "Unbinding").await;
                self.driver.session.unbind(now);
            }
        }
    }

    /// Sends as much as the session permits; says what to wait for.
    fn send(&mut self) -> Wait {
        let nothing = Wait { pull: 0, until: None };
        loop {
            let now = self.driver.now();
            let room = match self.driver.session.ready(now) {
                Ready::Now(room) => room,
                Ready::At(at) => return Wait { until: Some(at), ..nothing },
                Ready::WindowFull | Ready::NotBound => return nothing,
            };
            if !self.outgoing.has_next()
                && let Err(error) = self.outgoing.refill(self.config, room.min(PULL))
            {
                self.unreadable(&error);
                return nothing;
            }
            for _ in 0..room {
                let Some((part, pdu)) = self.outgoing.next() else { return Wait { pull: room, ..nothing } };
                if let Err(error) = self.driver.session.request(now, pdu, part) {
                    tracing::debug!(%error, "a PDU waits");
                    self.outgoing.put_back(part);
                    return nothing;
                }
            }
        }
    }

    async fn handle(&mut self, event: Event<Part>) {
        match event {
            Event::Bound { .. } => {
                tell(self.setup, Level::Ok, "bound", "Bound").await;
            }
            Event::Request { sequence, pdu } => self.request(sequence, pdu),
            Event::Response { token, status, pdu, .. } => self.response(token, status, &pdu).await,
            Event::Expired { token } => {
                self.setup.log.warn("a submit_sm was not answered in time; its fate at the SMSC is unknown");
                self.outgoing.unknown(token, self.config.on_unknown, "the SMSC did not answer");
            }
            Event::Refused { raw, why } => {
                self.setup.log.warn(format!("a {} of the SMSC's was refused: {why}", raw.id));
            }
            Event::Stray { raw } => {
                let (id, status, sequence) = (raw.id, raw.status, raw.sequence);
                self.setup.log.warn(format!("{id} {status} with sequence number {sequence} answers nothing of ours"));
            }
            Event::PeerUnbinding => self.setup.log.info("the SMSC unbinds"),
            Event::Closed { why, outstanding } => {
                for part in outstanding {
                    self.outgoing.unknown(part, self.config.on_unknown, "the connection was lost");
                }
                self.closed = Some(why);
            }
            // An SMSC's events; this end is the ESME.
            _ => {}
        }
    }

    fn request(&mut self, sequence: SequenceNumber, pdu: Pdu) {
        let (delivered, response): (Delivered, Pdu) = match pdu {
            Pdu::DeliverSm(pdu) => (pdu.into(), DeliverSmResp::default().into()),
            Pdu::DataSm(pdu) => (pdu.into(), DataSmResp::default().into()),
            other => {
                self.setup.log.info(format!("the SMSC sent {}", other.command_id()));
                if let Some(pdu) = answer_to(other.command_id()) {
                    self.reply(vec![Reply { sequence, status: CommandStatus::ESME_RINVCMDID, pdu }]);
                }
                return;
            }
        };
        let now = self.driver.now();
        let destination = delivered.source.digits.to_text();
        let reply = |status| Reply { sequence, status, pdu: response };
        match self.incoming.take(now, delivered) {
            Step::Store(arrivals) => {
                self.arrivals.extend(arrivals);
                self.replies.push(reply(CommandStatus::ESME_ROK));
            }
            Step::Answer(status) => self.reply(vec![reply(status)]),
            Step::Report(_) if self.config.disable_delivery_report => {
                self.reply(vec![reply(CommandStatus::ESME_ROK)]);
            }
            Step::Report(receipt) => self.report(&receipt, &destination, reply(CommandStatus::ESME_ROK)),
        }
        self.arrivals.extend(self.incoming.overdue(now));
    }

    /// A receipt joins the batch if its message is known, and else waits by itself until it is or cannot be.
    fn report(&mut self, receipt: &Receipt, destination: &str, reply: Reply) {
        let (status, details) = read_report(&self.config.deliver, receipt);
        let forms: Vec<SmscMessageId> = id_forms(&receipt.smsc_message_id).into_iter().map(SmscMessageId).collect();
        match find(&self.setup.store, &self.setup.id, &forms, destination) {
            Ok(Some(StoredMessage { origin, message })) => {
                self.arrivals.push(Arrival::Report { origin, message, status, details });
                self.replies.push(reply);
            }
            Ok(None) => {
                let (store, channel) = (self.setup.store.clone(), self.setup.id.clone());
                let (intake, log) = (self.setup.intake.clone(), self.setup.log.clone());
                let (wait, sent) = (self.config.deliver.receipt_wait, self.outgoing.next_order());
                let (destination, answered) = (destination.to_owned(), self.answered.subscribe());
                let id = receipt.smsc_message_id.clone();
                self.pending.push(Box::pin(async move {
                    let look = || find(&store, &channel, &forms, &destination);
                    let found = match wait_for(&store, look, answered, sent, wait).await {
                        Ok(Some(StoredMessage { origin, message })) => {
                            let arrival = Arrival::Report { origin, message, status, details };
                            intake.arrived(&channel, vec![arrival]).await
                        }
                        Ok(None) => {
                            log.warn(format!(
                                "a receipt for {id:?} matches no message; it was acknowledged and dropped"
                            ));
                            Ok(())
                        }
                        Err(_) => Err(IntakeError::Unavailable),
                    };
                    vec![Reply { status: answer(found), ..reply }]
                }));
            }
            Err(error) => {
                self.unreadable(&error);
                self.reply(vec![Reply { status: answer(Err(IntakeError::Unavailable)), ..reply }]);
            }
        }
    }

    async fn response(&mut self, part: Part, status: CommandStatus, pdu: &Pdu) {
        match self.outgoing.answered(part, status, pdu) {
            Effect::Taken => {
                if self.throttled && !self.outgoing.has_again() {
                    self.throttled = false;
                    tell(self.setup, Level::Ok, "throttled_end", "No longer throttled").await;
                }
            }
            Effect::SlowDown => {
                if !self.throttled {
                    self.throttled = true;
                    tell(self.setup, Level::Degraded, "throttled", "Throttled").await;
                }
            }
            Effect::BindUnusable => {
                self.setup.log.error(format!("the SMSC answered a submit_sm with {status}: binding again"));
                let now = self.driver.now();
                self.driver.session.unbind(now);
            }
            Effect::Refused => {
                self.setup.log.warn(format!("a submit_sm was refused with {status}: {}", status.meaning()));
            }
        }
    }

    /// Hands on what the batch decided and brought.
    async fn settle(&mut self) {
        if !self.outgoing.outcomes.is_empty() {
            let outcomes = std::mem::take(&mut self.outgoing.outcomes);
            self.setup.intake.decided(&self.setup.id, outcomes).await;
        }
        if self.answered.receiver_count() > 0 {
            self.answered.send_if_modified(|answered| {
                let oldest = self.outgoing.oldest_open();
                std::mem::replace(answered, oldest) != oldest
            });
        }
        if self.arrivals.is_empty() {
            debug_assert!(self.replies.is_empty(), "every answer that waits has something to wait for");
            return;
        }
        let (intake, channel) = (self.setup.intake.clone(), self.setup.id.clone());
        let (arrivals, replies) = (std::mem::take(&mut self.arrivals), std::mem::take(&mut self.replies));
        self.pending.push(Box::pin(async move {
            let status = answer(intake.arrived(&channel, arrivals).await);
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

    fn unreadable(&self, error: &ReadError) {
        self.setup.log.error(format!("the store could not be read: {error}"));
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

/// The message that a receipt is about. A form of the id other than the first must also fit the destination.
fn find(
    store: &Store,
    channel: &ChannelId,
    forms: &[SmscMessageId],
    destination: &str,
) -> Result<Option<StoredMessage>, ReadError> {
    let Some((first, others)) = forms.split_first() else { return Ok(None) };
    if let Some(found) = store.correlate(channel, std::slice::from_ref(first))? {
        return Ok(Some(found));
    }
    let found = store.correlate(channel, others)?;
    Ok(found.filter(|found| same_number(&found.message.to, destination)))
}

/// Whether two spellings may be one number: the shorter one's digits end the longer one's.
fn same_number(a: &str, b: &str) -> bool {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let (a, b) = (digits(a), digits(b));
    a.trim_start_matches('0').ends_with(b.trim_start_matches('0'))
        || b.trim_start_matches('0').ends_with(a.trim_start_matches('0'))
}

/// Looks for a receipt's message until everything that was sent before the receipt came has been answered and stored:
/// then it cannot be ours. A receipt may overtake its own submit_sm_resp.
async fn wait_for(
    store: &Store,
    look: impl Fn() -> Result<Option<StoredMessage>, ReadError>,
    mut answered: watch::Receiver<u64>,
    sent: u64,
    wait: Duration,
) -> Result<Option<StoredMessage>, ReadError> {
    let deadline = tokio::time::Instant::now() + wait;
    loop {
        let settled = *answered.borrow_and_update() >= sent;
        // Whatever was decided before has been written once this returns; an engine that fails answers the look-up.
        let _ = store.commit(Vec::new()).await;
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        if settled || tokio::time::timeout_at(deadline, answered.changed()).await.is_err() {
            return Ok(None);
        }
        if answered.has_changed().is_err() {
            // The link has ended: the SMSC will send the receipt again.
            return Ok(None);
        }
    }
}

fn bind(config: &EsmeConfig) -> Bind {
    // Lengths and octets were checked when the configuration was.
    let password = CString::oversize(config.password.clone().into_bytes()).unwrap_or_default();
    Bind {
        system_id: config.system_id.as_str().try_into().unwrap_or_default(),
        password: Password(password),
        system_type: config.system_type.as_str().try_into().unwrap_or_default(),
        interface_version: config.interface_version,
        address_range: Address {
            ton: Ton::UNKNOWN,
            npi: Npi::UNKNOWN,
            digits: config.address_range.as_str().try_into().unwrap_or_default(),
        },
        ..Bind::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_their_last_digits() {
        assert!(same_number("+27820001001", "27820001001"));
        assert!(same_number("0820001001", "27820001001"));
        assert!(!same_number("27820001002", "27820001001"));
    }
}
