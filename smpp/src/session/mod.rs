//! One SMPP session, either end, without I/O and without a clock.
//!
//! Methods are of four kinds. *Getters* look: [`Session::state`], [`Session::window_space`], [`Session::ready`].
//! *Inputs* tell what arrived: [`Session::handle_pdu`], [`Session::handle_timeout`], [`Session::handle_close`].
//! *Commands* ask for something: [`Session::bind`], [`Session::request`], [`Session::respond`],
//! [`Session::unbind`]. *Outputs* are polled until empty after each input or command:
//! [`Session::poll_transmit`], [`Session::poll_event`], [`Session::poll_timeout`]. Nothing blocks, nothing sleeps.
//!
//! enquire_link is asked and answered here, unreadable requests and those out of turn are refused here; every
//! other request reaches the caller, who answers each exactly once.

mod config;
mod event;
mod pace;
mod state;
mod timers;
mod window;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

pub use config::{Role, SessionConfig, SessionConfigError};
pub use event::{CloseReason, Event, Refusal, interface_version};
pub use pace::{Pace, PaceConfig};
pub use state::State;

use crate::command::{CommandId, CommandStatus, SequenceNumber};
use crate::error::FrameError;
use crate::pdu::{
    Bind, BindMode, BindResp, BroadcastSmResp, CancelBroadcastSmResp, CancelSmResp, DataSmResp, DeliverSmResp,
    EnquireLink, EnquireLinkResp, GenericNack, Pdu, QueryBroadcastSmResp, QuerySmResp, ReplaceSmResp, SubmitMultiResp,
    SubmitSmResp, Unbind, UnbindResp,
};
use crate::raw::RawPdu;
use crate::tlv::Tag;

use timers::{Timer, Timers};
use window::{Outstanding, Window};

/// See the module's head. `T` identifies the caller's requests and comes back with their answers.
///
/// ```
/// use std::time::Instant;
/// use smpp::pdu::{Bind, BindMode, SubmitSm};
/// use smpp::session::{Event, Ready, Session, SessionConfig};
///
/// let now = Instant::now();
/// let mut session: Session<&str> = Session::new(SessionConfig::default(), now);
/// session.bind(now, BindMode::Transceiver, Bind::default()).unwrap();
/// let bind = session.poll_transmit().unwrap(); // write this to the socket
/// assert_eq!(bind[4..8], [0, 0, 0, 9]);
/// # let mut buffer = bytes::BytesMut::from(&[0,0,0,17,0x80,0,0,9,0,0,0,0,0,0,0,1,0][..]);
/// # let answer = smpp::RawPdu::split(&mut buffer, 64).unwrap().unwrap();
/// session.handle_pdu(now, answer); // what the socket brought
/// assert!(matches!(session.poll_event(), Some(Event::Bound { .. })));
/// assert_eq!(session.ready(now), Ready::Now(10));
/// session.request(now, &SubmitSm::default().into(), "first").unwrap();
/// ```
#[derive(Debug)]
pub struct Session<T> {
    config: SessionConfig,
    state: State,
    next_sequence: SequenceNumber,
    /// The counter has come round: a number may still be outstanding from before.
    wrapped: bool,
    window: Window<T>,
    pace: Pace,
    timers: Timers,
    /// Requests of the peer that the caller has not answered yet.
    unanswered: usize,
    /// SMSC: the bind that waits for the caller's answer.
    bind_request: Option<SequenceNumber>,
    /// What an orderly end is waiting for, while unbinding.
    ending: Option<Ending>,
    /// How we were bound when we asked to end: the peer may send as before until it has agreed.
    leaving: Option<BindMode>,
    transmit: BytesMut,
    events: VecDeque<Event<T>>,
}

/// The stages of an orderly end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// We want to unbind once what is outstanding has been answered.
    Draining,
    /// Our unbind is on the wire.
    AwaitingResponse,
    /// The peer unbinds, and is still owed answers.
    PeerUnbinds(SequenceNumber),
    /// The peer has unbound; answers to what is outstanding may still come.
    PeerUnbound,
}

/// Permission to send the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// This many may be sent now.
    Now(usize),
    /// None before this instant: the pace or a back-off holds them.
    At(Instant),
    /// None before an answer comes.
    WindowFull,
    /// None: not bound, or not for sending.
    NotBound,
}

/// A command that the session could not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The window is full.
    #[error("the window is full")]
    WindowFull,
    /// The session's state does not allow the command (§2.3).
    #[error("{0} is not allowed in this state")]
    WrongState(CommandId),
    /// Only requests can be sent as requests, only responses as responses.
    #[error("{0} cannot be sent this way")]
    WrongKind(CommandId),
}

impl<T> Session<T> {
    /// A session on a connection that has just been made.
    #[must_use]
    pub fn new(config: SessionConfig, now: Instant) -> Self {
        let mut timers = Timers::new(now);
        if config.role == Role::Smsc {
            timers.deadline = Some(now + config.bind_timeout);
        }
        Self {
            pace: Pace::new(config.pace, now),
            config,
            state: State::Open,
            next_sequence: SequenceNumber::FIRST,
            wrapped: false,
            window: Window::new(),
            timers,
            unanswered: 0,
            bind_request: None,
            ending: None,
            leaving: None,
            transmit: BytesMut::new(),
            events: VecDeque::new(),
        }
    }

    /// The same session, numbering its requests from here on; for tests and captures.
    #[must_use]
    pub fn with_next_sequence(mut self, next: SequenceNumber) -> Self {
        self.next_sequence = next;
        self
    }

    // Getters

    /// Where the session stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// How many more requests the window takes.
    #[must_use]
    pub fn window_space(&self) -> usize {
        self.config.window.get().saturating_sub(self.window.requests())
    }

    /// How long the rest of a PDU may take, for whoever reads the stream.
    #[must_use]
    pub fn pdu_read_timeout(&self) -> Duration {
        self.config.pdu_read_timeout
    }

    /// Requests per second in force: configured, or learned from the peer's refusals; `None` without a limit.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        self.pace.rate()
    }

    /// How many of the caller's requests wait for their answer.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.window.requests()
    }

    /// Those requests, oldest first.
    pub fn unanswered(&self) -> impl Iterator<Item = &T> {
        self.window.tokens()
    }

    /// Whether the caller may send requests, and how many.
    pub fn ready(&mut self, now: Instant) -> Ready {
        let may_send = match (self.config.role, self.state) {
            (Role::Esme, State::Bound(mode)) => mode != BindMode::Receiver,
            (Role::Smsc, State::Bound(mode)) => mode != BindMode::Transmitter,
            _ => false,
        };
        if !may_send {
            return Ready::NotBound;
        }
        let space = self.window_space();
        if space == 0 {
            return Ready::WindowFull;
        }
        match self.pace.budget(now) {
            Ok(budget) => Ready::Now(budget.min(space)),
            Err(at) => Ready::At(at),
        }
    }

    // Inputs

    /// A PDU arrived.
    pub fn handle_pdu(&mut self, now: Instant, raw: RawPdu) {
        if self.state == State::Closed {
            return;
        }
        self.timers.hear(now);
        match raw.id {
            CommandId::ENQUIRE_LINK => {
                if self.config.answers_enquire_link {
                    self.send(CommandStatus::ESME_ROK, raw.sequence, &EnquireLinkResp::default().into());
                }
            }
            CommandId::UNBIND => self.peer_unbinds(now, raw.sequence),
            id if id.is_response() => self.response(now, raw),
            _ => self.peer_request(now, raw),
        }
    }

    /// The stream cannot be cut into PDUs any more (§3.2): tells the peer and ends.
    pub fn handle_frame_error(&mut self, error: FrameError) {
        if self.state != State::Closed {
            let nack = GenericNack::default().into();
            self.send(CommandStatus::ESME_RINVCMDLEN, SequenceNumber(0), &nack);
            self.close(CloseReason::Framing(error));
        }
    }

    /// The instant of [`Session::poll_timeout`] has come, or any other.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(expired) = self.window.take_expired(now, self.config.response_timeout) {
            if let Some(token) = expired.token {
                self.events.push_back(Event::Expired { token });
            }
        }
        self.drained(now);
        while let Some(timer) = self.timers.ended(&self.config, self.state.bound().is_some(), now) {
            self.timer_ended(now, timer);
        }
    }

    /// The stream ended.
    pub fn handle_close(&mut self) {
        self.close(match self.ending {
            Some(Ending::PeerUnbinds(_) | Ending::PeerUnbound) => CloseReason::PeerUnbound,
            // The peer closed instead of answering our unbind: as good an answer (field guide §8.5).
            Some(Ending::AwaitingResponse) => CloseReason::Unbound,
            _ => CloseReason::ConnectionLost,
        });
    }

    // Commands

    /// ESME: asks to bind.
    ///
    /// # Errors
    /// [`SendError::WrongState`] unless the session is open and this end is the ESME.
    pub fn bind(&mut self, now: Instant, mode: BindMode, bind: Bind) -> Result<(), SendError> {
        if self.state != State::Open || self.config.role != Role::Esme {
            return Err(SendError::WrongState(mode.command_id()));
        }
        self.send_own(now, &Pdu::Bind(mode, bind));
        self.state = State::Binding(mode);
        self.timers.deadline = Some(now + self.config.bind_timeout);
        Ok(())
    }

    /// Sends a request. The window is enforced here; the pace is the caller's to keep by [`Session::ready`], so
    /// that the segments of one message need not be torn apart.
    ///
    /// # Errors
    /// [`SendError`] when it may not be sent; nothing has changed then.
    pub fn request(&mut self, now: Instant, pdu: &Pdu, token: T) -> Result<SequenceNumber, SendError> {
        let command = pdu.command_id();
        if command.is_response() || matches!(pdu, Pdu::NoBody(_)) {
            return Err(SendError::WrongKind(command));
        }
        if !self.state.permits(self.config.role, command) {
            return Err(SendError::WrongState(command));
        }
        if self.window_space() == 0 {
            return Err(SendError::WindowFull);
        }
        let sequence = self.take_sequence();
        self.send(CommandStatus::ESME_ROK, sequence, pdu);
        self.timers.active = now;
        self.pace.spend(now);
        // §4.12: alert_notification has no response, so nothing may wait for one.
        if command != CommandId::ALERT_NOTIFICATION && command != CommandId::OUTBIND {
            self.window.push(Outstanding { sequence, command, sent: now, token: Some(token) });
        }
        Ok(sequence)
    }

    /// Answers a request of the peer's. Each is answered exactly once, in any order.
    ///
    /// # Errors
    /// [`SendError`] when the session is over, or `pdu` is no response.
    pub fn respond(
        &mut self,
        now: Instant,
        sequence: SequenceNumber,
        status: CommandStatus,
        pdu: &Pdu,
    ) -> Result<(), SendError> {
        let command = pdu.command_id();
        if !command.is_response() {
            return Err(SendError::WrongKind(command));
        }
        if self.state == State::Closed {
            return Err(SendError::WrongState(command));
        }
        self.send(status, sequence, pdu);
        if self.bind_request == Some(sequence) {
            self.bind_answered(now, status);
        } else {
            self.unanswered = self.unanswered.saturating_sub(1);
            self.drained(now);
        }
        Ok(())
    }

    /// Ends in order: no new requests, answers to what is outstanding until the unbind timeout, then unbind.
    pub fn unbind(&mut self, now: Instant) {
        match self.state {
            State::Bound(mode) => {
                self.state = State::Unbinding;
                self.leaving = Some(mode);
                self.ending = Some(Ending::Draining);
                self.timers.deadline = Some(now + self.config.unbind_timeout);
                self.drained(now);
            }
            State::Open | State::Binding(_) => self.close(CloseReason::Unbound),
            State::Unbinding | State::Closed => {}
        }
    }

    // Outputs

    /// Octets to write, all that wait; `None` when there are none.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        if self.transmit.is_empty() { None } else { Some(self.transmit.split().freeze()) }
    }

    /// How many octets wait for [`Session::poll_transmit`].
    #[must_use]
    pub fn untransmitted(&self) -> usize {
        self.transmit.len()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event<T>> {
        self.events.pop_front()
    }

    /// When [`Session::handle_timeout`] is due at the latest; `None` when nothing is waited for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.state == State::Closed {
            return None;
        }
        let response = self.window.oldest().map(|sent| sent + self.config.response_timeout);
        let timers = self.timers.next(&self.config, self.state.bound().is_some());
        response.into_iter().chain(timers).min()
    }

    // Inside

    fn send(&mut self, status: CommandStatus, sequence: SequenceNumber, pdu: &Pdu) {
        pdu.encode(status, sequence, &mut self.transmit);
    }

    /// Sends a request of the session's own.
    fn send_own(&mut self, now: Instant, pdu: &Pdu) {
        let sequence = self.take_sequence();
        self.send(CommandStatus::ESME_ROK, sequence, pdu);
        self.window.push(Outstanding { sequence, command: pdu.command_id(), sent: now, token: None });
    }

    /// The next number that is not outstanding.
    fn take_sequence(&mut self) -> SequenceNumber {
        let mut sequence = self.next_sequence;
        while self.wrapped && self.window.contains(sequence) {
            sequence = sequence.next();
        }
        self.next_sequence = sequence.next();
        self.wrapped |= self.next_sequence < sequence;
        sequence
    }

    fn response(&mut self, now: Instant, raw: RawPdu) {
        let Some(outstanding) = self.window.take(raw.sequence) else {
            self.events.push_back(Event::Stray { raw });
            return;
        };
        let nack = raw.id == CommandId::GENERIC_NACK;
        let fits = nack || raw.id == outstanding.command.response();
        if let Some(token) = outstanding.token {
            if fits {
                self.answered(now, token, outstanding.sent, &raw);
            } else {
                self.events.push_back(Event::Expired { token });
                self.events.push_back(Event::Stray { raw });
            }
        } else if let Some(mode) = BindMode::of(outstanding.command) {
            self.bind_response(mode, fits && !nack, &raw);
        } else if outstanding.command == CommandId::UNBIND {
            self.close(CloseReason::Unbound);
        }
        self.drained(now);
    }

    fn answered(&mut self, now: Instant, token: T, sent: Instant, raw: &RawPdu) {
        if raw.status.is_ok() {
            self.pace.accepted(now);
        } else if self.config.slow_down.contains(&raw.status) {
            self.pace.refused(now);
        }
        // §8.3 of the field guide: a body that cannot be read does not change what the status says.
        let pdu = Pdu::decode(raw).unwrap_or(Pdu::NoBody(raw.id));
        if let Some(load) = pdu.tlvs().and_then(|tlvs| tlvs.integer(Tag::CONGESTION_STATE)) {
            self.pace.congestion(now, u8::try_from(load).unwrap_or(u8::MAX));
        }
        let latency = now.saturating_duration_since(sent);
        self.events.push_back(Event::Response { token, status: raw.status, pdu, latency });
    }

    fn bind_response(&mut self, mode: BindMode, fits: bool, raw: &RawPdu) {
        if !raw.status.is_ok() {
            return self.close(CloseReason::BindRefused(raw.status));
        }
        if !fits {
            return self.close(CloseReason::BindMismatch);
        }
        if self.state == State::Binding(mode) {
            self.state = State::Bound(mode);
            self.timers.deadline = None;
            self.timers.active = self.timers.heard;
            let (system_id, tlvs) = match Pdu::decode(raw) {
                Ok(Pdu::BindResp(_, body)) => (body.system_id.to_text(), body.tlvs),
                _ => Default::default(),
            };
            self.events.push_back(Event::Bound { mode, system_id, tlvs });
        }
    }

    fn peer_request(&mut self, now: Instant, raw: RawPdu) {
        let peer = match self.config.role {
            Role::Esme => Role::Smsc,
            Role::Smsc => Role::Esme,
        };
        let pdu = match Pdu::decode(&raw) {
            Ok(pdu) => pdu,
            Err(error) => return self.refuse(raw, error.status(), Refusal::Malformed(error)),
        };
        if let Pdu::Bind(mode, bind) = pdu {
            return self.peer_binds(mode, bind, raw);
        }
        if !self.leaving.map_or(self.state, State::Bound).permits(peer, raw.id) {
            return self.refuse(raw, CommandStatus::ESME_RINVBNDSTS, Refusal::WrongState);
        }
        self.timers.active = now;
        if raw.id.has_response() {
            if self.unanswered >= self.config.max_unanswered.get() {
                return self.refuse(raw, CommandStatus::ESME_RTHROTTLED, Refusal::TooMany);
            }
            self.unanswered += 1;
        }
        self.events.push_back(Event::Request { sequence: raw.sequence, pdu });
    }

    fn peer_binds(&mut self, mode: BindMode, bind: Bind, raw: RawPdu) {
        if self.config.role != Role::Smsc {
            return self.refuse(raw, CommandStatus::ESME_RINVCMDID, Refusal::WrongState);
        }
        if self.state != State::Open {
            return self.refuse(raw, CommandStatus::ESME_RALYBND, Refusal::WrongState);
        }
        self.state = State::Binding(mode);
        self.bind_request = Some(raw.sequence);
        self.events.push_back(Event::BindRequest { sequence: raw.sequence, mode, bind });
    }

    fn bind_answered(&mut self, now: Instant, status: CommandStatus) {
        self.bind_request = None;
        if let State::Binding(mode) = self.state {
            if status.is_ok() {
                self.state = State::Bound(mode);
                self.timers.deadline = None;
                self.timers.active = now;
                self.events.push_back(Event::Bound {
                    mode,
                    system_id: String::new(),
                    tlvs: crate::tlv::Tlvs::default(),
                });
            } else {
                // §2.2: an ESME may try again on the same connection until the session_init timer ends.
                self.state = State::Open;
            }
        }
    }

    /// Answers a request with an error, in its own response where it has one (§4.3).
    fn refuse(&mut self, raw: RawPdu, status: CommandStatus, why: Refusal) {
        if let Some(answer) = answer_to(raw.id) {
            self.send(status, raw.sequence, &answer);
        }
        self.events.push_back(Event::Refused { raw, why });
    }

    fn peer_unbinds(&mut self, now: Instant, sequence: SequenceNumber) {
        self.state = State::Unbinding;
        self.leaving = None;
        self.ending = Some(Ending::PeerUnbinds(sequence));
        self.timers.deadline = Some(now + self.config.unbind_timeout);
        self.events.push_back(Event::PeerUnbinding);
        self.drained(now);
    }

    /// Goes on with an orderly end once nothing of the caller's is outstanding, and nothing of the peer's. A peer that
    /// unbinds is answered last: it may hear nothing after that.
    fn drained(&mut self, now: Instant) {
        if self.unanswered > 0 {
            return;
        }
        if let Some(Ending::PeerUnbinds(sequence)) = self.ending {
            self.send(CommandStatus::ESME_ROK, sequence, &UnbindResp::default().into());
            self.ending = Some(Ending::PeerUnbound);
        }
        if self.window.requests() > 0 {
            return;
        }
        match self.ending {
            Some(Ending::Draining) => self.send_unbind(now),
            Some(Ending::PeerUnbound) => self.close(CloseReason::PeerUnbound),
            Some(Ending::AwaitingResponse | Ending::PeerUnbinds(_)) | None => {}
        }
    }

    fn send_unbind(&mut self, now: Instant) {
        self.ending = Some(Ending::AwaitingResponse);
        self.timers.deadline = Some(now + self.config.unbind_timeout);
        self.send_own(now, &Unbind::default().into());
    }

    fn timer_ended(&mut self, now: Instant, timer: Timer) {
        match (timer, self.ending) {
            (Timer::EnquireLink, _) => {
                self.send_own(now, &EnquireLink::default().into());
                self.timers.enquired = Some(now);
            }
            (Timer::Silence, _) => self.close(CloseReason::Silent),
            (Timer::Inactivity, _) => {
                self.timers.active = now;
                self.unbind(now);
            }
            (Timer::Deadline, None) => self.close(CloseReason::BindTimeout),
            // What was not answered by now is handed back when the unbind has been.
            (Timer::Deadline, Some(Ending::Draining)) => self.send_unbind(now),
            (Timer::Deadline, Some(Ending::AwaitingResponse)) => self.close(CloseReason::UnbindTimeout),
            (Timer::Deadline, Some(Ending::PeerUnbinds(sequence))) => {
                self.send(CommandStatus::ESME_ROK, sequence, &UnbindResp::default().into());
                self.close(CloseReason::PeerUnbound);
            }
            (Timer::Deadline, Some(Ending::PeerUnbound)) => self.close(CloseReason::PeerUnbound),
        }
    }

    fn close(&mut self, why: CloseReason) {
        if self.state == State::Closed {
            return;
        }
        self.state = State::Closed;
        self.ending = None;
        self.timers.deadline = None;
        let outstanding = self.window.drain().filter_map(|outstanding| outstanding.token).collect();
        self.events.push_back(Event::Closed { why, outstanding });
    }
}

/// The response that carries an error to a request, or `None` for those that are never answered.
#[must_use]
pub fn answer_to(request: CommandId) -> Option<Pdu> {
    if request.is_response() {
        return None;
    }
    if let Some(mode) = BindMode::of(request) {
        return Some(Pdu::BindResp(mode, BindResp::default()));
    }
    Some(match request {
        CommandId::ALERT_NOTIFICATION | CommandId::OUTBIND => return None,
        CommandId::SUBMIT_SM => SubmitSmResp::default().into(),
        CommandId::SUBMIT_MULTI => SubmitMultiResp::default().into(),
        CommandId::DELIVER_SM => DeliverSmResp::default().into(),
        CommandId::DATA_SM => DataSmResp::default().into(),
        CommandId::QUERY_SM => QuerySmResp::default().into(),
        CommandId::CANCEL_SM => CancelSmResp::default().into(),
        CommandId::REPLACE_SM => ReplaceSmResp::default().into(),
        CommandId::BROADCAST_SM => BroadcastSmResp::default().into(),
        CommandId::QUERY_BROADCAST_SM => QueryBroadcastSmResp::default().into(),
        CommandId::CANCEL_BROADCAST_SM => CancelBroadcastSmResp::default().into(),
        CommandId::ENQUIRE_LINK => EnquireLinkResp::default().into(),
        CommandId::UNBIND => UnbindResp::default().into(),
        _ => GenericNack::default().into(),
    })
}
