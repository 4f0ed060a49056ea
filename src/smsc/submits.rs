//! What an ESME hands in, taken or refused: submit_sm, submit_multi, data_sm and broadcast_sm (§4.4, §4.5, §4.7, v5.0 §4.6).

use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::Utc;
use smpp::pdu::{
    BroadcastSmResp, DataSmResp, Destination, GenericNack, SubmitMultiResp, SubmitSmResp, Unsuccess, UnsuccessList,
};
use smpp::text::content::Content;
use smpp::ussd::Ussd;
use smpp::{
    Address, CString, CommandStatus, EsmClass, MessageState, Pdu, RegisteredDelivery, SequenceNumber, Tag, Tlvs,
};

use super::config::ErrorBody;
use super::connection::Connection;
use super::event::{SimEvent, Whole, shown};
use super::faults::Verdict;
use super::ids::Number;
use super::mailbox::Delivery;
use super::messages::{Message, Times};
use super::times::until;
use super::ussd::Shown;
use super::values::{draw_state, happens};

/// The parts of a submit that decide what becomes of it.
struct Request<'a> {
    service_type: &'a CString<6>,
    source: &'a Address,
    /// Destinations that can be delivered to.
    destinations: Vec<&'a Address>,
    registered_delivery: RegisteredDelivery,
    /// When to deliver; now when absent.
    schedule: Option<&'a CString<17>>,
    validity: Option<&'a CString<17>>,
    /// The validity of a data_sm (`qos_time_to_live`).
    lives: Option<Duration>,
    replaces: bool,
    /// Destinations of a submit_multi that are refused.
    unsuccess: Vec<Unsuccess>,
}

/// A submit that was taken.
#[derive(Clone, Copy)]
struct Taken {
    number: Number,
    /// When it ends, and its receipt leaves.
    ends: Instant,
    scheduled: bool,
}

impl Connection {
    pub(super) fn submit(&mut self, sequence: SequenceNumber, pdu: Pdu) {
        let everybody = Address::default();
        let Some(request) = Request::of(&pdu, &everybody) else { return };
        let content = content(&pdu);
        let is_ussd = pdu.tlvs().is_some_and(|tlvs| Ussd::of(tlvs).is_some());
        let shown = content.as_ref().filter(|_| is_ussd).and_then(Content::text);
        let verdict = self.faults.judge(&self.config, self.driver.now(), self.waiting());
        let outcome = match verdict {
            Verdict::Refuse(status) | Verdict::Nack(status) => Err(status),
            Verdict::Take | Verdict::TakeSilently => self.take(&request, content.as_ref()),
        };
        let answered = verdict != Verdict::TakeSilently;
        self.shared.counters.submit(outcome.err(), answered);
        let taken = outcome.ok();
        let id = taken.map(|taken| self.shared.ids.text(&self.config, taken.number));
        let status = outcome.err().unwrap_or(CommandStatus::ESME_ROK);
        if self.shared.watched() {
            self.tell(&request, content, &pdu, id.clone(), status, answered);
        }
        if let Some(text) = shown.filter(|_| taken.is_some())
            && let Some(mailbox) = &self.mailbox
            && let Some(turn) = self.shared.ussd.shown(&self.config, &mailbox.system_id, &pdu, text)
        {
            self.walk(turn);
        }
        if answered {
            let nacked = matches!(verdict, Verdict::Nack(_));
            let answer = if nacked { GenericNack::default().into() } else { self.response(&request, &pdu, id) };
            let first = self.config.receipts.receipts_first && request.registered_delivery.0 & 0x03 != 0;
            let receipt = taken.filter(|taken| first && !taken.scheduled).map(|taken| taken.ends);
            self.respond_later(sequence, status, answer, receipt);
        }
    }

    /// A phone was shown a menu, and goes on.
    fn walk(&self, turn: Shown) {
        let Shown { phone, text, ended, reply, outcome } = turn;
        let answer = reply.as_ref().map(|reply| String::from_utf8_lossy(reply.short_message.octets()).into_owned());
        if let Some(reply) = reply {
            let system_id = self.mailbox.as_ref().map(|mailbox| mailbox.system_id.clone());
            let delivery = Delivery { pdu: reply.into(), receipt_for: None };
            self.shared.accounts.post(&self.config, system_id.as_deref(), delivery);
        }
        let connection = self.number;
        self.shared.tell(|| SimEvent::Ussd { connection, phone: phone.clone(), text, answer, ended });
        self.shared.walked(phone, outcome);
    }

    fn take(&mut self, request: &Request<'_>, content: Option<&Content>) -> Result<Taken, CommandStatus> {
        let mailbox = self.mailbox.as_ref().ok_or(CommandStatus::ESME_RINVBNDSTS)?;
        let Some((first, others)) = request.destinations.split_first() else {
            return Err(CommandStatus::ESME_RINVDSTADR);
        };
        // A header was announced that is not there (§5.2.12).
        let content = content.ok_or(CommandStatus::ESME_RINVESMCLASS)?;
        let submitted = Utc::now();
        let time = |text: Option<&CString<17>>, status| {
            text.map_or(Ok(None), |text| until(text, submitted).map_err(|_| status))
        };
        let schedule = time(request.schedule, CommandStatus::ESME_RINVSCHED)?;
        let validity = time(request.validity, CommandStatus::ESME_RINVEXPIRY)?.or(request.lives);
        let now = self.driver.now();
        let delay = self.config.receipt_delay.draw(&mut self.faults.rng);
        let times = Times::new(now, schedule, delay, validity);
        let message = Message {
            service_type: request.service_type.clone(),
            source: request.source.clone(),
            destination: (*first).clone(),
            others: others.iter().map(|address| (*address).clone()).collect(),
            data_coding: content.data_coding,
            octets: content.octets.clone(),
            registered_delivery: request.registered_delivery,
            submitted,
            times,
            twice: happens(self.config.receipts.duplicate_receipts, &mut self.faults.rng),
            state: MessageState::ENROUTE,
            fate: draw_state(&self.config.states, &mut self.faults.rng),
            finished: None,
        };
        let number = self.shared.ids.mint();
        match mailbox.accept(&self.config, &self.shared.ids, number, message, request.replaces) {
            true => Ok(Taken { number, ends: times.ends(), scheduled: schedule.is_some() }),
            false => Err(CommandStatus::ESME_RMSGQFUL),
        }
    }

    fn tell(
        &self,
        request: &Request<'_>,
        content: Option<Content>,
        pdu: &Pdu,
        id: Option<String>,
        status: CommandStatus,
        answered: bool,
    ) {
        let Some(mailbox) = &self.mailbox else { return };
        let first = request.destinations.first();
        let whole = content.as_ref().zip(first).filter(|_| status.is_ok()).and_then(|(content, to)| {
            let (whole, segments) = mailbox.join(self.driver.now(), request.source, to, content)?;
            Some(Whole { text: shown(&whole), segments })
        });
        let to: Vec<String> = request.destinations.iter().map(|address| address.digits.to_text()).collect();
        self.shared.tell(|| SimEvent::Message {
            connection: self.number,
            system_id: mailbox.system_id.clone(),
            id,
            from: request.source.digits.to_text(),
            to: to.join(","),
            text: content.as_ref().map(shown).unwrap_or_default(),
            concat: content.as_ref().and_then(|content| content.concat),
            whole,
            status,
            answered,
            pdu: Box::new(pdu.clone()),
        });
    }

    /// The response of a submit that was taken under `id`, or refused.
    fn response(&mut self, request: &Request<'_>, pdu: &Pdu, id: Option<String>) -> Pdu {
        let mut tlvs = Tlvs::default();
        let answers = &self.config.answers;
        if answers.congestion_state {
            let load = self.faults.load(&self.config, self.driver.now());
            tlvs.push_integer(Tag::CONGESTION_STATE, load.into());
        }
        if id.is_none() {
            if let Some(text) = &answers.refusal_text {
                tlvs.push_text(Tag::ADDITIONAL_STATUS_INFO_TEXT, text);
            }
            if let Some(code) = answers.network_error {
                tlvs.push(Tag::NETWORK_ERROR_CODE, &code.0);
            }
        }
        let made_up = || match answers.error_body {
            ErrorBody::Id => self.shared.ids.text(&self.config, self.shared.ids.mint()),
            ErrorBody::EmptyId | ErrorBody::None => String::new(),
        };
        // Ids of ours are at most 36 characters.
        let message_id = CString::new(Bytes::from(id.unwrap_or_else(made_up))).unwrap_or_default();
        match pdu {
            Pdu::SubmitMulti(_) => {
                SubmitMultiResp { message_id, unsuccess: UnsuccessList(request.unsuccess.clone()), tlvs }.into()
            }
            Pdu::DataSm(_) => DataSmResp { message_id, tlvs }.into(),
            Pdu::BroadcastSm(_) => BroadcastSmResp { message_id, tlvs }.into(),
            _ => SubmitSmResp { message_id, tlvs }.into(),
        }
    }
}

impl<'a> Request<'a> {
    /// `everybody` stands for the phones of a broadcast, which have no address.
    fn of(pdu: &'a Pdu, everybody: &'a Address) -> Option<Self> {
        Some(match pdu {
            Pdu::SubmitSm(pdu) => Self {
                service_type: &pdu.service_type,
                source: &pdu.source,
                destinations: Some(&pdu.destination).filter(|address| !address.digits.is_empty()).into_iter().collect(),
                registered_delivery: pdu.registered_delivery,
                schedule: Some(&pdu.schedule_delivery_time),
                validity: Some(&pdu.validity_period),
                lives: None,
                replaces: pdu.replace_if_present_flag == 1,
                unsuccess: Vec::new(),
            },
            Pdu::SubmitMulti(pdu) => {
                let (destinations, unsuccess) = destinations(&pdu.destinations.0);
                Self {
                    service_type: &pdu.service_type,
                    source: &pdu.source,
                    destinations,
                    registered_delivery: pdu.registered_delivery,
                    schedule: Some(&pdu.schedule_delivery_time),
                    validity: Some(&pdu.validity_period),
                    lives: None,
                    replaces: pdu.replace_if_present_flag == 1,
                    unsuccess,
                }
            }
            Pdu::DataSm(pdu) => Self {
                service_type: &pdu.service_type,
                source: &pdu.source,
                destinations: Some(&pdu.destination).filter(|address| !address.digits.is_empty()).into_iter().collect(),
                registered_delivery: pdu.registered_delivery,
                schedule: None,
                validity: None,
                lives: pdu.tlvs.integer(Tag::QOS_TIME_TO_LIVE).map(|seconds| Duration::from_secs(seconds.into())),
                replaces: false,
                unsuccess: Vec::new(),
            },
            Pdu::BroadcastSm(pdu) => Self {
                service_type: &pdu.service_type,
                source: &pdu.source,
                destinations: vec![everybody],
                registered_delivery: RegisteredDelivery::NONE,
                schedule: Some(&pdu.schedule_delivery_time),
                validity: Some(&pdu.validity_period),
                lives: None,
                replaces: false,
                unsuccess: Vec::new(),
            },
            _ => return None,
        })
    }
}

/// The destinations of a submit_multi, and those that are refused: addresses without digits, and distribution lists, of
/// which we have none.
fn destinations(all: &[Destination]) -> (Vec<&Address>, Vec<Unsuccess>) {
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    for destination in all {
        match destination {
            Destination::Address(address) if !address.digits.is_empty() => taken.push(address),
            Destination::Address(address) => refused
                .push(Unsuccess { destination: address.clone(), error_status_code: CommandStatus::ESME_RINVDSTADR.0 }),
            Destination::List(name) => refused.push(Unsuccess {
                destination: Address {
                    digits: name.to_text().as_str().try_into().unwrap_or_default(),
                    ..Address::default()
                },
                error_status_code: CommandStatus::ESME_RINVDLNAME.0,
            }),
        }
    }
    (taken, refused)
}

fn content(pdu: &Pdu) -> Option<Content> {
    match pdu {
        // It has neither header nor short_message.
        Pdu::BroadcastSm(pdu) => Content::new(EsmClass::default(), pdu.data_coding, &Bytes::new(), &pdu.tlvs).ok(),
        _ => Content::of(pdu).and_then(Result::ok),
    }
}
