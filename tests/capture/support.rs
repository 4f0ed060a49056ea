//! Conversations made by hand.

use std::time::Duration;

use maybug::capture::{CapturedPdu, Conversation, Sender};
use smpp::pdu::{Bind, BindResp, DeliverSm, SubmitSm, SubmitSmResp};
use smpp::receipt::Receipt;
use smpp::{
    Address, BindMode, CommandStatus, EsmClass, Password, Pdu, RegisteredDelivery, SequenceNumber, ShortMessage,
};

/// A conversation that grows PDU by PDU.
pub(crate) struct Script {
    pub(crate) conversation: Conversation,
    now: Duration,
}

impl Script {
    /// Bound as a transceiver.
    pub(crate) fn bound() -> Self {
        let mut script = Self::unbound();
        let bind = Bind {
            system_id: "operator7".try_into().unwrap(),
            password: Password("hunter22".try_into().unwrap()),
            interface_version: 0x34,
            ..Bind::default()
        };
        script.esme(1, Pdu::Bind(BindMode::Transceiver, bind));
        let answer = BindResp { system_id: "MNO-SMSC".try_into().unwrap(), ..BindResp::default() };
        script.smsc(1, CommandStatus::ESME_ROK, Pdu::BindResp(BindMode::Transceiver, answer));
        script
    }

    /// Nothing said yet.
    pub(crate) fn unbound() -> Self {
        let conversation = Conversation {
            esme: "10.1.2.3:40001".parse().unwrap(),
            smsc: "10.9.8.7:2775".parse().unwrap(),
            pdus: Vec::new(),
        };
        Self { conversation, now: Duration::ZERO }
    }

    pub(crate) fn wait(&mut self, time: Duration) -> &mut Self {
        self.now += time;
        self
    }

    pub(crate) fn esme(&mut self, sequence: u32, pdu: Pdu) -> &mut Self {
        self.say(Sender::Esme, CommandStatus::ESME_ROK, sequence, pdu)
    }

    pub(crate) fn smsc(&mut self, sequence: u32, status: CommandStatus, pdu: Pdu) -> &mut Self {
        self.say(Sender::Smsc, status, sequence, pdu)
    }

    fn say(&mut self, sender: Sender, status: CommandStatus, sequence: u32, pdu: Pdu) -> &mut Self {
        self.now += Duration::from_millis(1);
        let raw = pdu.to_raw(status, SequenceNumber(sequence));
        self.conversation.pdus.push(CapturedPdu { at: self.now, sender, raw });
        self
    }

    /// A submit and its answer.
    pub(crate) fn taken(&mut self, sequence: u32, submit: SubmitSm, id: &str) -> &mut Self {
        self.esme(sequence, submit.into());
        self.smsc(sequence, CommandStatus::ESME_ROK, answer(id))
    }
}

pub(crate) fn answer(id: &str) -> Pdu {
    SubmitSmResp { message_id: id.try_into().unwrap(), ..SubmitSmResp::default() }.into()
}

pub(crate) fn submit(to: &str, text: &str) -> SubmitSm {
    let encoded = smpp::text::encode(text);
    SubmitSm {
        source: Address::detected("40404").unwrap(),
        destination: Address::detected(to).unwrap(),
        registered_delivery: RegisteredDelivery::RECEIPT,
        data_coding: encoded.data_coding,
        short_message: ShortMessage::new(encoded.octets).unwrap(),
        ..SubmitSm::default()
    }
}

pub(crate) fn from_phone(from: &str, text: &str) -> DeliverSm {
    let encoded = smpp::text::encode(text);
    DeliverSm {
        source: Address::detected(from).unwrap(),
        destination: Address::detected("40404").unwrap(),
        data_coding: encoded.data_coding,
        short_message: ShortMessage::new(encoded.octets).unwrap(),
        ..DeliverSm::default()
    }
}

pub(crate) fn receipt(from: &str, id: &str, text: &str) -> DeliverSm {
    let receipt = Receipt {
        smsc_message_id: id.to_owned(),
        state: "DELIVRD".to_owned(),
        submit_date: Some("2609011130".to_owned()),
        done_date: Some("2609011131".to_owned()),
        text: Some(text.to_owned()),
        ..Receipt::default()
    };
    DeliverSm {
        esm_class: EsmClass::DELIVERY_RECEIPT,
        short_message: ShortMessage::new(receipt.format().into_bytes()).unwrap(),
        ..from_phone(from, "")
    }
}
