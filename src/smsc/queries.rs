//! What an ESME asks about messages that were taken: query_sm, cancel_sm, replace_sm, and the same of broadcasts (§4.8 to
//! §4.10, v5.0 §4.6.2, §4.6.3).

use chrono::Utc;
use smpp::pdu::{
    CancelBroadcastSm, CancelBroadcastSmResp, CancelSm, CancelSmResp, QueryBroadcastSm, QueryBroadcastSmResp, QuerySm,
    QuerySmResp, ReplaceSm, ReplaceSmResp,
};
use smpp::{CString, CommandStatus, SequenceNumber, Tag, Tlvs};

use super::connection::Connection;
use super::ids::Number;
use super::mailbox::{Standing, Which};
use super::receipts::final_date;
use super::times::until;

impl Connection {
    pub(super) fn query(&mut self, sequence: SequenceNumber, query: &QuerySm) {
        let (status, response) = match self.standing(&query.message_id, &query.source) {
            Some(Standing { state, finished }) => {
                let response = QuerySmResp {
                    message_id: query.message_id.clone(),
                    final_date: final_date(finished),
                    message_state: state,
                    ..QuerySmResp::default()
                };
                (CommandStatus::ESME_ROK, response)
            }
            None => (CommandStatus::ESME_RINVMSGID, QuerySmResp::default()),
        };
        self.respond(sequence, status, &response.into());
    }

    pub(super) fn query_broadcast(&mut self, sequence: SequenceNumber, query: &QueryBroadcastSm) {
        let (status, response) = match self.standing(&query.message_id, &query.source) {
            Some(Standing { state, .. }) => {
                let mut tlvs = Tlvs::default();
                tlvs.push_integer(Tag::MESSAGE_STATE, state.0.into());
                (CommandStatus::ESME_ROK, QueryBroadcastSmResp { message_id: query.message_id.clone(), tlvs })
            }
            None => (CommandStatus::ESME_RINVMSGID, QueryBroadcastSmResp::default()),
        };
        self.respond(sequence, status, &response.into());
    }

    fn standing(&self, id: &CString<65>, source: &smpp::Address) -> Option<Standing> {
        let number = self.number_of(id)?;
        self.mailbox.as_ref()?.query(&self.config, &self.shared.ids, self.driver.now(), number, source)
    }

    pub(super) fn cancel(&mut self, sequence: SequenceNumber, cancel: &CancelSm) {
        let which = if cancel.message_id.is_empty() {
            Some(Which::Between(&cancel.service_type, &cancel.source, &cancel.destination))
        } else {
            self.number_of(&cancel.message_id).map(|number| Which::One(number, &cancel.source))
        };
        let status = self.delete(which, CommandStatus::ESME_RCANCELFAIL);
        self.respond(sequence, status, &CancelSmResp::default().into());
    }

    pub(super) fn cancel_broadcast(&mut self, sequence: SequenceNumber, cancel: &CancelBroadcastSm) {
        let everybody = smpp::Address::default();
        let which = if cancel.message_id.is_empty() {
            Some(Which::Between(&cancel.service_type, &cancel.source, &everybody))
        } else {
            self.number_of(&cancel.message_id).map(|number| Which::One(number, &cancel.source))
        };
        let status = self.delete(which, CommandStatus::ESME_RBCASTCANCELFAIL);
        self.respond(sequence, status, &CancelBroadcastSmResp::default().into());
    }

    fn delete(&self, which: Option<Which<'_>>, failure: CommandStatus) -> CommandStatus {
        match (which, &self.mailbox) {
            (Some(Which::One(number, _)), Some(mailbox)) if !mailbox.knows(number) => CommandStatus::ESME_RINVMSGID,
            (Some(which), Some(mailbox)) => {
                match mailbox.cancel(&self.config, &self.shared.ids, self.driver.now(), which) {
                    0 => failure,
                    _ => CommandStatus::ESME_ROK,
                }
            }
            _ => CommandStatus::ESME_RINVMSGID,
        }
    }

    pub(super) fn replace(&mut self, sequence: SequenceNumber, replace: &ReplaceSm) {
        let status = self.replaced(replace).err().unwrap_or(CommandStatus::ESME_ROK);
        self.respond(sequence, status, &ReplaceSmResp::default().into());
    }

    fn replaced(&mut self, replace: &ReplaceSm) -> Result<(), CommandStatus> {
        let number = self.number_of(&replace.message_id).ok_or(CommandStatus::ESME_RINVMSGID)?;
        let mailbox = self.mailbox.as_ref().filter(|mailbox| mailbox.knows(number));
        let mailbox = mailbox.ok_or(CommandStatus::ESME_RINVMSGID)?;
        let asked = Utc::now();
        let schedule = until(&replace.schedule_delivery_time, asked).map_err(|_| CommandStatus::ESME_RINVSCHED)?;
        let validity = until(&replace.validity_period, asked).map_err(|_| CommandStatus::ESME_RINVEXPIRY)?;
        let now = self.driver.now();
        let delay = self.config.receipt_delay.draw(&mut self.faults.rng);
        let replaced = mailbox.replace(&self.config, &self.shared.ids, now, number, &replace.source, |message| {
            message.octets = replace.short_message.octets().clone();
            message.registered_delivery = replace.registered_delivery;
            message.times.change(now, schedule, delay, validity);
        });
        if replaced { Ok(()) } else { Err(CommandStatus::ESME_RREPLACEFAIL) }
    }

    fn number_of(&self, id: &CString<65>) -> Option<Number> {
        self.shared.ids.number(&self.config, &id.to_text())
    }
}
