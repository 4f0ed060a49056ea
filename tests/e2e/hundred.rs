//! One server bound at once to a hundred SMSCs, no two of which behave alike.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::ValueEnum;
use futures_util::future::join_all;
use maybug::gateway::Via;
use maybug::model::{ChannelId, DeliveryStatus, Event, EventKind, MessageId};
use maybug::smsc::{
    AnswerHabits, ErrorBody, IdFormat, InterfaceVersion, Intermediate, ReceiptDates, ReceiptErr, ReceiptForm,
    ReceiptHabits, ReceiptText, SessionHabits, SimulatorConfig, Span,
};
use serde_json::json;
use smpp::CommandStatus;
use smpp::field::MessageState;

use crate::support::{DEADLINE, Maybug, Smsc};

/// What an SMSC does with every message.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Ends(MessageState, DeliveryStatus),
    Refuses(CommandStatus, &'static str),
    Nacks(CommandStatus, &'static str),
    /// Takes it and says no more.
    Silent,
}

const FATES: [Fate; 6] = [
    Fate::Ends(MessageState::DELIVERED, DeliveryStatus::Delivered),
    Fate::Ends(MessageState::UNDELIVERABLE, DeliveryStatus::Failed),
    Fate::Refuses(CommandStatus::ESME_RINVDSTADR, "ESME_RINVDSTADR"),
    Fate::Ends(MessageState::EXPIRED, DeliveryStatus::Failed),
    Fate::Nacks(CommandStatus::ESME_RINVSRCADR, "ESME_RINVSRCADR"),
    Fate::Silent,
];
const IDS: [(IdFormat, Option<IdFormat>); 11] = [
    (IdFormat::Hex, None),
    (IdFormat::Hex, Some(IdFormat::Decimal)),
    (IdFormat::Decimal, Some(IdFormat::UpperHex)),
    (IdFormat::UpperHex, Some(IdFormat::Hex)),
    (IdFormat::Decimal, None),
    (IdFormat::Uuid, None),
    (IdFormat::PaddedHex, Some(IdFormat::Hex)),
    (IdFormat::Hex, Some(IdFormat::PaddedDecimal)),
    (IdFormat::PaddedDecimal, Some(IdFormat::Decimal)),
    (IdFormat::Prefixed, None),
    (IdFormat::Decimal, Some(IdFormat::PaddedHex)),
];
const FORMS: [ReceiptForm; 3] = [ReceiptForm::Both, ReceiptForm::Text, ReceiptForm::Tlvs];

/// The one of these that a number takes, when every `stride` numbers take the next.
fn one<T: Copy>(of: &[T], number: usize, stride: usize) -> T {
    of[number / stride % of.len()]
}

/// What goes wrong with the sessions of one of the hundred; whether its messages may be taken twice.
fn session(number: usize) -> (SessionHabits, bool) {
    let version = if number % 9 == 4 {
        InterfaceVersion::V33
    } else {
        one(InterfaceVersion::value_variants(), 1 + number % 2, 1)
    };
    let quiet = SessionHabits { interface_version: version, ..SessionHabits::default() };
    match number % 13 {
        5 => (SessionHabits { cut_after: Some(9), ..quiet }, true),
        7 => (SessionHabits { cut_after: Some(6), cut_mid_pdu: true, ..quiet }, true),
        9 => (SessionHabits { unbind_after: Some(4), ..quiet }, false),
        11 => (SessionHabits { refuse_binds: Some(1), refuse_bind: Some(CommandStatus::ESME_RSYSERR), ..quiet }, false),
        _ => (quiet, false),
    }
}

/// The habits of one of the hundred.
fn habits(number: usize) -> (SimulatorConfig, Fate, bool) {
    let fate = FATES[number % FATES.len()];
    let (id_format, receipt_id_format) = IDS[number % IDS.len()];
    let (session, twice) = session(number);
    let has_tlvs = session.interface_version != InterfaceVersion::V33;
    let throttle = number.is_multiple_of(7).then_some(20);
    let mut config = SimulatorConfig {
        seed: Some(number as u64),
        id_format,
        receipt_id_format,
        receipt_form: if has_tlvs { one(&FORMS, number, 2) } else { ReceiptForm::Text },
        // Slow to answer, slow to tell, or both.
        response_delay: Span::fixed(Duration::from_millis([0, 5, 20][number % 3])),
        receipt_delay: Span::fixed(Duration::from_millis([0, 0, 30, 100][number % 4])),
        throttle,
        window_limit: if number.is_multiple_of(11) { 2 } else { 10_000 },
        read_rate: number.is_multiple_of(17).then_some(4_000),
        answers: AnswerHabits {
            error_body: one(ErrorBody::value_variants(), number, FATES.len()),
            refusal_text: (has_tlvs && number % 5 == 2).then(|| format!("reason {number}")),
            network_error: (has_tlvs && number % 4 == 1).then(|| "3:539".parse().unwrap()),
            congestion_state: has_tlvs && throttle.is_some(),
            ..AnswerHabits::default()
        },
        receipts: ReceiptHabits {
            receipt_text: one(ReceiptText::value_variants(), number, 3),
            receipt_dates: one(ReceiptDates::value_variants(), number, 1),
            receipt_err: one(ReceiptErr::value_variants(), number, 4),
            receipts_first: number % 5 == 3,
            duplicate_receipts: if number % 8 == 3 { 1.0 } else { 0.0 },
            intermediate: one(Intermediate::value_variants(), number, 2),
        },
        session,
        ..SimulatorConfig::default()
    };
    match fate {
        Fate::Ends(state, _) => config.states = vec![(state, 1)],
        Fate::Refuses(status, _) => config.errors = vec![(1.0, status)],
        Fate::Nacks(status, _) => config.answers.nacks = vec![(1.0, status)],
        Fate::Silent => config.receipt_form = ReceiptForm::None,
    }
    (config, fate, twice)
}

#[test]
fn no_two_of_the_hundred_are_alike() {
    let alike = |config: SimulatorConfig| SimulatorConfig { seed: None, ..config };
    let all: Vec<_> = (0..100).map(|number| alike(habits(number).0)).collect();
    for (number, one) in all.iter().enumerate() {
        one.check().unwrap();
        let twin = all[..number].iter().position(|other| other == one);
        assert_eq!(twin, None, "{number}");
    }
}

/// The events of a message, once they are `enough`.
async fn events(maybug: &Maybug, channel: &str, message: &str, enough: impl Fn(&[Event]) -> bool) -> Vec<Event> {
    let (channel, message): (ChannelId, MessageId) = (channel.into(), message.parse().unwrap());
    let mut events = Vec::new();
    let waited = tokio::time::timeout(DEADLINE, async {
        while !enough(&events) {
            tokio::task::yield_now().await;
            events = maybug.server.gateway().events(Via::Channel(&channel), message).await.unwrap();
        }
    });
    if waited.await.is_err() {
        let (_, status) = maybug.get(&format!("/channels/{channel}")).await;
        panic!("waited too long: {events:?} {status}");
    }
    events
}

fn report(event: &Event) -> Option<DeliveryStatus> {
    match event.kind {
        EventKind::DeliveryReport { status } => Some(status),
        _ => None,
    }
}

/// The ids that an event tells are those that the SMSC gave for this phone; all of them, unless it took copies.
fn check_ids(number: usize, sent: &Event, given: &[String], twice: bool) {
    let EventKind::Ack { sent_message_id } = &sent.kind else { panic!("SMSC {number}: {sent:?}") };
    let told: BTreeSet<&str> = sent_message_id.split(',').collect();
    let given: BTreeSet<&str> = given.iter().map(String::as_str).collect();
    let right = if twice { told.is_subset(&given) } else { told == given };
    assert!(right, "SMSC {number}: told {told:?}, given {given:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_smscs_of_different_habits_at_once() {
    let maybug = Maybug::start().await;
    let begun = (0..100).map(|number| {
        let maybug = &maybug;
        async move {
            let (config, fate, twice) = habits(number);
            let version = if config.session.interface_version == InterfaceVersion::V33 { 33 } else { 34 };
            let smsc = Smsc::start(config).await;
            let bind_type = if number % 2 == 0 { "trx" } else { "tx+rx" };
            let binds = json!({
                "bind_type": bind_type, "bind_count": 1 + number % 3 / 2, "registered_delivery": true,
                "strict_vumi": number % 10 == 9, "send_multipart_udh": number % 10 == 9, "interface_version": version,
            });
            let channel = maybug.smpp_channel(smsc.simulator.address(), binds, json!({})).await;
            (number, smsc, channel, fate, twice)
        }
    });
    let mut channels = join_all(begun).await;
    let mut sent = Vec::new();
    for turn in 0..5 {
        let turn = channels.iter().map(|(number, _, channel, _, _)| {
            let maybug = &maybug;
            async move {
                // The last is a long one.
                let content = if turn == 4 { "long ".repeat(60) } else { format!("message {turn}") };
                let phone = format!("2782{number:03}{turn:04}");
                let message = json!({"to": format!("+{phone}"), "content": content});
                (*number, phone, maybug.send(channel, message).await)
            }
        });
        sent.extend(join_all(turn).await);
    }
    let mut told = Vec::new();
    for (number, phone, message) in sent {
        let (_, _, channel, fate, _) = &channels[number];
        match fate {
            Fate::Ends(_, last) => {
                let ended = |events: &[Event]| events.iter().any(|event| report(event) == Some(*last));
                let events = events(&maybug, channel, &message, ended).await;
                let mut finals = events.iter().filter_map(report).filter(|status| *status != DeliveryStatus::Pending);
                assert!(finals.all(|status| status == *last), "SMSC {number}: {events:?}");
                told.push((number, phone, events.into_iter().next()));
            }
            Fate::Refuses(_, expected) | Fate::Nacks(_, expected) => {
                let events = events(&maybug, channel, &message, |events| !events.is_empty()).await;
                let EventKind::Nack { reason } = &events[0].kind else { panic!("SMSC {number}: {events:?}") };
                assert_eq!(reason, expected, "SMSC {number}");
            }
            Fate::Silent => {
                let events = events(&maybug, channel, &message, |events| !events.is_empty()).await;
                told.push((number, phone, events.into_iter().next()));
            }
        }
    }
    let given: Vec<BTreeMap<String, Vec<String>>> = channels.iter_mut().map(|(_, smsc, ..)| smsc.ids()).collect();
    for (number, phone, event) in &told {
        check_ids(*number, event.as_ref().unwrap(), &given[*number][phone], channels[*number].4);
    }
    for (number, _, channel, _, twice) in &channels {
        let (_, inbox) = maybug.get(&format!("/channels/{channel}/receipts")).await;
        // Only copies that were sent again after a cut may leave receipts over.
        assert!(*twice || inbox["result"] == json!([]), "SMSC {number}: {inbox}");
    }
}
