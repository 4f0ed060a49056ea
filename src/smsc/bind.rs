//! One ESME at the simulator: its bind, its messages, what it is sent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use smpp::field::MessageState;
use smpp::net::{Direction, Driver};
use smpp::pdu::{
    BindMode, BindResp, CancelSmResp, DataSmResp, DeliverSm, QuerySmResp, ReplaceSmResp, SubmitMultiResp, SubmitSm,
    SubmitSmResp,
};
use smpp::receipt::Receipt;
use smpp::session::{Event, Ready, Role, Session, SessionConfig, answer_to};
use smpp::text::charset_of;
use smpp::text::udh::Udh;
use smpp::{
    Address, CommandStatus, EsmClass, MessageType, Pdu, RegisteredDelivery, SequenceNumber, ShortMessage, Tag, Tlvs,
};
use tokio::net::TcpStream;

use super::simulator::{ReceiptForm, Shared, SimEvent, now};

/// What a deliver_sm on its way was, so that it is not lost with the connection.
type Sent = Box<DeliverSm>;
type Tap = fn(Direction, &[u8]);

struct Bind {
    shared: Arc<Shared>,
    chance: fastrand::Rng,
    driver: Driver<TcpStream, Sent, Tap>,
    system_id: String,
    mode: Option<BindMode>,
    /// Answers that wait for their time.
    delayed: BTreeMap<(Instant, u64), (SequenceNumber, CommandStatus, Pdu)>,
    messages: u64,
    /// The present second and what came in it.
    second: (Instant, u32),
    cut: bool,
}

/// The version that we say we speak.
const VERSION: u32 = 0x34;

/// Serves a connection to its end.
pub(super) async fn serve(stream: TcpStream, shared: Arc<Shared>, seed: u64) {
    let window = std::num::NonZeroUsize::new(shared.config.window).unwrap_or(std::num::NonZeroUsize::MIN);
    let config = SessionConfig {
        role: Role::Smsc,
        window,
        max_unanswered: std::num::NonZeroUsize::new(100_000).unwrap_or(window),
        ..SessionConfig::default()
    };
    let session = Session::new(config, now());
    let tap: Tap = |_, _| {};
    let bind = Bind {
        chance: fastrand::Rng::with_seed(seed),
        driver: Driver::new(stream, session, smpp::raw::DEFAULT_MAX_PDU_LEN, tap),
        shared,
        system_id: String::new(),
        mode: None,
        delayed: BTreeMap::new(),
        messages: 0,
        second: (now(), 0),
        cut: false,
    };
    bind.run().await;
}

impl Bind {
    async fn run(mut self) {
        let shared = self.shared.clone();
        let begun = now();
        let mut stopping = false;
        loop {
            let next = self.deliver();
            let due = self.delayed.first_key_value().map(|((due, _), _)| *due);
            let cut_at = shared.config.cut_every.map(|after| begun + after);
            if self.cut {
                self.ended("cut");
                return;
            }
            let changed = shared.outbox.changed.notified();
            tokio::select! {
                event = self.driver.event() => {
                    if self.handle_all(event) {
                        self.driver.finish().await;
                        return;
                    }
                }
                () = until(due), if due.is_some() => self.answer_due(),
                () = until(next), if next.is_some() => {}
                () = changed => {}
                () = until(cut_at), if cut_at.is_some() => self.cut = true,
                () = shared.stop.cancelled(), if !stopping => {
                    stopping = true;
                    self.driver.session.unbind(now());
                }
            }
        }
    }

    /// Handles an event and all that came with it; whether the session is over.
    fn handle_all(&mut self, first: Event<Sent>) -> bool {
        let mut event = Some(first);
        while let Some(present) = event {
            if self.handle(present) {
                return true;
            }
            event = self.driver.session.poll_event();
        }
        false
    }

    fn handle(&mut self, event: Event<Sent>) -> bool {
        match event {
            Event::BindRequest { sequence, mode, bind } => {
                let system_id = bind.system_id.to_text();
                let status = self.judge_bind(&system_id, &bind.password.0.to_text());
                let mut tlvs = Tlvs::default();
                tlvs.push_integer(Tag::SC_INTERFACE_VERSION, VERSION);
                let answer = BindResp { system_id: "maybug".try_into().unwrap_or_default(), tlvs };
                if status.is_ok() {
                    self.system_id = system_id;
                    self.mode = Some(mode);
                }
                self.respond(sequence, status, &Pdu::BindResp(mode, answer));
            }
            Event::Bound { .. } => self.tell(SimEvent::Bound { system_id: self.system_id.clone() }),
            Event::Request { sequence, pdu } => self.request(sequence, pdu),
            Event::Response { token, status, .. } => self.acknowledged(&token, status),
            Event::Expired { token } => self.put_back(*token),
            Event::Closed { why, outstanding } => {
                outstanding.into_iter().for_each(|sent| self.put_back(*sent));
                self.ended(&why.to_string());
                return true;
            }
            _ => {}
        }
        false
    }

    fn judge_bind(&self, system_id: &str, password: &str) -> CommandStatus {
        let config = &self.shared.config;
        if let Some(status) = config.refuse_bind {
            return status;
        }
        match config.accounts.iter().find(|(known, _)| known == system_id) {
            _ if config.accounts.is_empty() => CommandStatus::ESME_ROK,
            None => CommandStatus::ESME_RINVSYSID,
            Some((_, expected)) if expected != password => CommandStatus::ESME_RINVPASWD,
            Some(_) => CommandStatus::ESME_ROK,
        }
    }

    fn request(&mut self, sequence: SequenceNumber, pdu: Pdu) {
        match pdu {
            Pdu::SubmitSm(submit) => {
                let (status, id) = self.submit(&submit);
                let message_id = id.as_str().try_into().unwrap_or_default();
                self.respond_later(sequence, status, SubmitSmResp { message_id, ..Default::default() }.into());
            }
            Pdu::DataSm(data) => {
                let submit = SubmitSm {
                    source: data.source,
                    destination: data.destination,
                    esm_class: data.esm_class,
                    registered_delivery: data.registered_delivery,
                    data_coding: data.data_coding,
                    tlvs: data.tlvs,
                    ..SubmitSm::default()
                };
                let (status, id) = self.submit(&submit);
                let message_id = id.as_str().try_into().unwrap_or_default();
                self.respond_later(sequence, status, DataSmResp { message_id, ..Default::default() }.into());
            }
            Pdu::SubmitMulti(multi) => {
                let id = self.shared.config.id_format.format(self.shared.mint());
                let message_id = id.as_str().try_into().unwrap_or_default();
                tracing::debug!(destinations = multi.destinations.0.len(), "submit_multi");
                let answer = SubmitMultiResp { message_id, ..Default::default() };
                self.respond_later(sequence, CommandStatus::ESME_ROK, answer.into());
            }
            Pdu::QuerySm(query) => {
                let known = self.shared.state(&query.message_id.to_text());
                let status = known.map_or(CommandStatus::ESME_RQUERYFAIL, |_| CommandStatus::ESME_ROK);
                let message_state = known.unwrap_or_default();
                let answer = QuerySmResp { message_id: query.message_id, message_state, ..Default::default() };
                self.respond(sequence, status, &answer.into());
            }
            Pdu::CancelSm(cancel) => {
                let known = self.shared.state(&cancel.message_id.to_text()).is_some();
                let status = if known { CommandStatus::ESME_ROK } else { CommandStatus::ESME_RCANCELFAIL };
                self.respond(sequence, status, &CancelSmResp::default().into());
            }
            Pdu::ReplaceSm(replace) => {
                let known = self.shared.state(&replace.message_id.to_text()).is_some();
                let status = if known { CommandStatus::ESME_ROK } else { CommandStatus::ESME_RREPLACEFAIL };
                self.respond(sequence, status, &ReplaceSmResp::default().into());
            }
            other => {
                if let Some(answer) = answer_to(other.command_id()) {
                    self.respond(sequence, CommandStatus::ESME_RINVCMDID, &answer);
                }
            }
        }
    }

    /// Takes a message or refuses it; its id, empty when refused.
    fn submit(&mut self, submit: &SubmitSm) -> (CommandStatus, String) {
        self.messages += 1;
        let status = self.judge_message();
        let mut id = String::new();
        if status.is_ok() {
            let number = self.shared.mint();
            id = self.shared.config.id_format.format(number);
            let state = self.final_state();
            self.shared.remember(number, state);
            if submit.registered_delivery.wants_receipt(state == MessageState::DELIVERED) {
                let due = now() + self.shared.config.receipt_delay;
                self.shared.outbox.push(&self.system_id, due, [self.receipt(submit, number, state)]);
            }
            self.shared.counters.accepted.fetch_add(1, Ordering::Relaxed);
        } else {
            self.shared.counters.refused.fetch_add(1, Ordering::Relaxed);
        }
        if self.shared.events.receiver_count() > 0 {
            self.tell(SimEvent::Message {
                id: (!id.is_empty()).then(|| id.clone()),
                from: submit.source.digits.to_text(),
                to: submit.destination.digits.to_text(),
                text: text(submit),
                status,
            });
        }
        if self.shared.config.cut_after.is_some_and(|most| self.messages >= most) {
            self.cut = true;
        }
        (status, id)
    }

    fn judge_message(&mut self) -> CommandStatus {
        let present = now();
        if let Some(limit) = self.shared.config.throttle {
            if present.duration_since(self.second.0).as_secs() >= 1 {
                self.second = (present, 0);
            }
            self.second.1 += 1;
            if self.second.1 > limit {
                return CommandStatus::ESME_RTHROTTLED;
            }
        }
        let mut drawn = self.chance.f64();
        for (share, status) in &self.shared.config.errors {
            if drawn < *share {
                return *status;
            }
            drawn -= share;
        }
        CommandStatus::ESME_ROK
    }

    fn final_state(&mut self) -> MessageState {
        let states = &self.shared.config.states;
        let total: u32 = states.iter().map(|(_, weight)| weight).sum();
        let mut drawn = self.chance.u32(0..total.max(1));
        for (state, weight) in states {
            if drawn < *weight {
                return *state;
            }
            drawn -= weight;
        }
        MessageState::DELIVERED
    }

    fn receipt(&self, submit: &SubmitSm, number: u64, state: MessageState) -> DeliverSm {
        let config = &self.shared.config;
        let id = config.receipt_id_format.format(number);
        let mut tlvs = Tlvs::default();
        if config.receipt_form != ReceiptForm::Text {
            tlvs.push_text(Tag::RECEIPTED_MESSAGE_ID, &id);
            tlvs.push_integer(Tag::MESSAGE_STATE, u32::from(state.0));
        }
        let date = chrono::Utc::now().format("%y%m%d%H%M").to_string();
        let delivered = state == MessageState::DELIVERED;
        let receipt = Receipt {
            smsc_message_id: id,
            state: state.word().unwrap_or("UNKNOWN").to_owned(),
            dlvrd: Some(if delivered { "001" } else { "000" }.to_owned()),
            submit_date: Some(date.clone()),
            done_date: Some(date),
            text: Some(text(submit)).filter(|text| text.is_ascii()),
            ..Receipt::default()
        };
        let said = if config.receipt_form == ReceiptForm::Tlvs { String::new() } else { receipt.format() };
        DeliverSm {
            source: submit.destination.clone(),
            destination: Address { ..submit.source.clone() },
            esm_class: EsmClass::DELIVERY_RECEIPT,
            registered_delivery: RegisteredDelivery::NONE,
            short_message: ShortMessage::new(said.into_bytes()).unwrap_or_default(),
            tlvs,
            ..DeliverSm::default()
        }
    }

    /// Sends what is due for this bind; says when the next will be.
    fn deliver(&mut self) -> Option<Instant> {
        if !matches!(self.mode, Some(BindMode::Receiver | BindMode::Transceiver)) {
            return None;
        }
        while let Ready::Now(_) = self.driver.session.ready(now()) {
            match self.shared.outbox.take(&self.system_id, now()) {
                Ok(message) => {
                    let pdu = Pdu::DeliverSm(message.clone());
                    if self.driver.session.request(now(), &pdu, Box::new(message.clone())).is_err() {
                        self.put_back(message);
                        return None;
                    }
                }
                Err(due) => return due,
            }
        }
        None
    }

    fn acknowledged(&mut self, sent: &DeliverSm, status: CommandStatus) {
        let receipt = sent.esm_class.message_type() == MessageType::DeliveryReceipt;
        self.tell(SimEvent::Delivered { status, receipt });
        match status.class() {
            smpp::StatusClass::Ok => {
                self.shared.counters.delivered.fetch_add(1, Ordering::Relaxed);
            }
            // As an SMSC would: what was refused for now is tried again.
            smpp::StatusClass::Temporary | smpp::StatusClass::SlowDown => {
                let later = now() + std::time::Duration::from_secs(1);
                self.shared.outbox.push(&self.system_id, later, [sent.clone()]);
            }
            _ => {}
        }
    }

    fn put_back(&self, message: DeliverSm) {
        self.shared.outbox.push(&self.system_id, now(), [message]);
    }

    fn respond_later(&mut self, sequence: SequenceNumber, status: CommandStatus, pdu: Pdu) {
        let config = &self.shared.config;
        if config.no_response > 0.0 && self.chance.f64() < config.no_response {
            return;
        }
        if config.response_delay.is_zero() {
            return self.respond(sequence, status, &pdu);
        }
        let due = now() + config.response_delay;
        self.delayed.insert((due, self.messages), (sequence, status, pdu));
    }

    fn answer_due(&mut self) {
        let present = now();
        while let Some(entry) = self.delayed.first_entry().filter(|entry| entry.key().0 <= present) {
            let (sequence, status, pdu) = entry.remove();
            self.respond(sequence, status, &pdu);
        }
    }

    fn respond(&mut self, sequence: SequenceNumber, status: CommandStatus, pdu: &Pdu) {
        // §4.4.2: no body with an error, as many SMSCs do; ours keeps the id of a bind.
        let bare = !status.is_ok() && !matches!(pdu, Pdu::BindResp(..));
        let answer = if bare { &Pdu::NoBody(pdu.command_id()) } else { pdu };
        if let Err(error) = self.driver.session.respond(now(), sequence, status, answer) {
            tracing::debug!(%error, "an answer came too late");
        }
    }

    fn tell(&self, event: SimEvent) {
        // Nobody needs to listen.
        let _ = self.shared.events.send(event);
    }

    fn ended(&mut self, why: &str) {
        if self.mode.is_some() {
            self.tell(SimEvent::Unbound { system_id: self.system_id.clone(), why: why.to_owned() });
        }
    }
}

impl Drop for Bind {
    /// A connection that is cut takes nothing with it that was not acknowledged.
    fn drop(&mut self) {
        self.driver.session.handle_close();
        while let Some(event) = self.driver.session.poll_event() {
            if let Event::Closed { outstanding, .. } = event {
                outstanding.into_iter().for_each(|sent| self.put_back(*sent));
            }
        }
    }
}

/// What a message says, without header; what cannot be read is marked.
fn text(submit: &SubmitSm) -> String {
    let payload = submit.tlvs.octets_of(Tag::MESSAGE_PAYLOAD);
    let octets = payload.unwrap_or_else(|| submit.short_message.octets().clone());
    let body = if submit.esm_class.udhi() { Udh::split(&octets).map_or(octets, |udh| udh.text) } else { octets };
    match charset_of(submit.data_coding) {
        Some(charset) => charset.decode_lossy(&body),
        None => format!("{body:x}"),
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
}
