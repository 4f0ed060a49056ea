//! What an ESME asks for, answered: submit_sm, submit_multi and data_sm taken or refused, query_sm, cancel_sm and
//! replace_sm on what was taken (§4.4, §4.5, §4.7 to §4.10).
//!
//! Not simulated: scheduled delivery, validity periods, replace_if_present, distribution lists.

use bytes::Bytes;
use chrono::Utc;
use smpp::pdu::{
    CancelSm, CancelSmResp, DataSmResp, Destination, QuerySm, QuerySmResp, ReplaceSm, ReplaceSmResp, SubmitMultiResp,
    SubmitSmResp, Unsuccess, UnsuccessList,
};
use smpp::text::content::Content;
use smpp::ussd::Ussd;
use smpp::{Address, CString, CommandStatus, MessageState, Pdu, RegisteredDelivery, SequenceNumber};

use super::connection::Connection;
use super::event::{SimEvent, Whole, shown};
use super::faults::Verdict;
use super::ids::Number;
use super::mailbox::{Delivery, Which};
use super::messages::Message;
use super::receipts::final_date;
use super::ussd::Shown;
use super::values::draw_state;

/// The parts of a submit that decide what becomes of it.
struct Request<'a> {
    source: &'a Address,
    /// Destinations that are addresses.
    destinations: Vec<&'a Address>,
    registered_delivery: RegisteredDelivery,
    /// Destinations of a submit_multi that are refused.
    unsuccess: Vec<Unsuccess>,
}

impl Connection {
    pub(super) fn submit(&mut self, sequence: SequenceNumber, pdu: Pdu) {
        let Some(request) = Request::of(&pdu) else { return };
        let content = Content::of(&pdu).and_then(Result::ok);
        let is_ussd = pdu.tlvs().is_some_and(|tlvs| Ussd::of(tlvs).is_some());
        let shown = content.as_ref().filter(|_| is_ussd).and_then(Content::text);
        let verdict = self.faults.judge(&self.config, self.driver.now(), self.waiting());
        let outcome = match verdict {
            Verdict::Refuse(status) => Err(status),
            Verdict::Take | Verdict::TakeSilently => self.take(&request, content.as_ref()),
        };
        let answered = verdict != Verdict::TakeSilently;
        self.shared.counters.submit(outcome.err(), answered);
        let id = outcome.ok().map(|number| self.shared.ids.text(&self.config, number)).unwrap_or_default();
        let status = outcome.err().unwrap_or(CommandStatus::ESME_ROK);
        if self.shared.watched() {
            let id = outcome.is_ok().then_some(&id);
            self.tell(&request, content, &pdu, id.cloned(), status, answered);
        }
        if let Some(text) = shown.filter(|_| outcome.is_ok())
            && let Some(turn) = self.shared.ussd.shown(&self.config, &pdu, text)
        {
            self.walk(turn);
        }
        if answered {
            let answer = answer(&pdu, id, request.unsuccess);
            self.respond_later(sequence, status, answer);
        }
    }

    /// A phone was shown a menu, and goes on.
    fn walk(&self, turn: Shown) {
        let Shown { phone, text, ended, reply } = turn;
        let answer = reply.as_ref().map(|reply| String::from_utf8_lossy(reply.short_message.octets()).into_owned());
        if let Some(reply) = reply {
            let system_id = self.mailbox.as_ref().map(|mailbox| mailbox.system_id.clone());
            let delivery = Delivery { pdu: reply.into(), receipt_for: None };
            self.shared.accounts.post(&self.config, system_id.as_deref(), delivery);
        }
        self.shared.tell(|| SimEvent::Ussd { connection: self.number, phone, text, answer, ended });
    }

    fn take(&mut self, request: &Request<'_>, content: Option<&Content>) -> Result<Number, CommandStatus> {
        let mailbox = self.mailbox.as_ref().ok_or(CommandStatus::ESME_RINVBNDSTS)?;
        let Some((first, others)) = request.destinations.split_first() else {
            return Err(CommandStatus::ESME_RINVDSTADR);
        };
        if request.destinations.iter().any(|destination| destination.digits.is_empty()) {
            return Err(CommandStatus::ESME_RINVDSTADR);
        }
        // A header was announced that is not there (§5.2.12).
        let content = content.ok_or(CommandStatus::ESME_RINVESMCLASS)?;
        let message = Message {
            source: request.source.clone(),
            destination: (*first).clone(),
            others: others.iter().map(|address| (*address).clone()).collect(),
            data_coding: content.data_coding,
            octets: content.octets.clone(),
            registered_delivery: request.registered_delivery,
            submitted: Utc::now(),
            state: MessageState::ENROUTE,
            fate: draw_state(&self.config.states, &mut self.faults.rng),
            finished: None,
        };
        let number = self.shared.ids.mint();
        let at = self.driver.now() + self.config.receipt_delay.draw(&mut self.faults.rng);
        match mailbox.accept(self.config.queue_limit, number, message, at) {
            true => Ok(number),
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

    pub(super) fn query(&mut self, sequence: SequenceNumber, query: &QuerySm) {
        let number = self.number_of(&query.message_id);
        let now = self.driver.now();
        let found = number
            .zip(self.mailbox.as_ref())
            .and_then(|(number, mailbox)| mailbox.query(&self.config, &self.shared.ids, now, number, &query.source));
        let (status, response) = match found {
            Some((message_state, finished)) => {
                let response = QuerySmResp {
                    message_id: query.message_id.clone(),
                    final_date: final_date(finished),
                    message_state,
                    ..QuerySmResp::default()
                };
                (CommandStatus::ESME_ROK, response)
            }
            None => (CommandStatus::ESME_RINVMSGID, QuerySmResp::default()),
        };
        self.respond(sequence, status, &response.into());
    }

    pub(super) fn cancel(&mut self, sequence: SequenceNumber, cancel: &CancelSm) {
        let now = self.driver.now();
        let which = if cancel.message_id.is_empty() {
            Some(Which::Between(&cancel.source, &cancel.destination))
        } else {
            self.number_of(&cancel.message_id).map(|number| Which::One(number, &cancel.source))
        };
        let status = match (which, &self.mailbox) {
            (Some(Which::One(number, _)), Some(mailbox)) if !mailbox.knows(number) => CommandStatus::ESME_RINVMSGID,
            (Some(which), Some(mailbox)) => match mailbox.cancel(&self.config, &self.shared.ids, now, which) {
                0 => CommandStatus::ESME_RCANCELFAIL,
                _ => CommandStatus::ESME_ROK,
            },
            _ => CommandStatus::ESME_RINVMSGID,
        };
        self.respond(sequence, status, &CancelSmResp::default().into());
    }

    pub(super) fn replace(&mut self, sequence: SequenceNumber, replace: &ReplaceSm) {
        let status = match self.number_of(&replace.message_id).zip(self.mailbox.as_ref()) {
            Some((number, mailbox)) if mailbox.knows(number) => {
                let replaced = mailbox.replace(number, &replace.source, |message| {
                    message.octets = replace.short_message.octets().clone();
                    message.registered_delivery = replace.registered_delivery;
                });
                if replaced { CommandStatus::ESME_ROK } else { CommandStatus::ESME_RREPLACEFAIL }
            }
            _ => CommandStatus::ESME_RINVMSGID,
        };
        self.respond(sequence, status, &ReplaceSmResp::default().into());
    }

    fn number_of(&self, id: &CString<65>) -> Option<Number> {
        self.shared.ids.number(&self.config, &id.to_text())
    }
}

impl<'a> Request<'a> {
    fn of(pdu: &'a Pdu) -> Option<Self> {
        let (source, destinations, registered_delivery) = match pdu {
            Pdu::SubmitSm(pdu) => (&pdu.source, vec![&pdu.destination], pdu.registered_delivery),
            Pdu::DataSm(pdu) => (&pdu.source, vec![&pdu.destination], pdu.registered_delivery),
            Pdu::SubmitMulti(pdu) => {
                let addresses = pdu.destinations.0.iter().filter_map(|destination| match destination {
                    Destination::Address(address) => Some(address),
                    Destination::List(_) => None,
                });
                (&pdu.source, addresses.collect(), pdu.registered_delivery)
            }
            _ => return None,
        };
        Some(Self { source, destinations, registered_delivery, unsuccess: lists(pdu) })
    }
}

/// The distribution lists of a submit_multi, of which we have none.
fn lists(pdu: &Pdu) -> Vec<Unsuccess> {
    let Pdu::SubmitMulti(pdu) = pdu else { return Vec::new() };
    let refused = pdu.destinations.0.iter().filter_map(|destination| match destination {
        Destination::List(name) => Some(Unsuccess {
            destination: Address {
                digits: name.to_text().as_str().try_into().unwrap_or_default(),
                ..Address::default()
            },
            error_status_code: CommandStatus::ESME_RINVDLNAME.0,
        }),
        Destination::Address(_) => None,
    });
    refused.collect()
}

fn answer(pdu: &Pdu, id: String, unsuccess: Vec<Unsuccess>) -> Pdu {
    // Ids of ours are at most 36 characters.
    let message_id = CString::new(Bytes::from(id)).unwrap_or_default();
    match pdu {
        Pdu::SubmitMulti(_) => {
            SubmitMultiResp { message_id, unsuccess: UnsuccessList(unsuccess), ..SubmitMultiResp::default() }.into()
        }
        Pdu::DataSm(_) => DataSmResp { message_id, ..DataSmResp::default() }.into(),
        _ => SubmitSmResp { message_id, ..SubmitSmResp::default() }.into(),
    }
}
