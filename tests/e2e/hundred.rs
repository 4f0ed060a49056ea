//! One server bound at once to a hundred SMSCs, no two of which behave alike.

use std::time::Duration;

use maybug::smsc::{IdFormat, ReceiptForm, SessionHabits, SimulatorConfig, Span};
use serde_json::json;
use smpp::CommandStatus;
use smpp::field::MessageState;

use crate::support::{Maybug, Smsc, types};

/// What an SMSC does with every message.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Ends(MessageState, &'static str),
    Refuses(CommandStatus, &'static str),
    /// Takes it and says no more.
    Silent,
}

const FATES: [Fate; 5] = [
    Fate::Ends(MessageState::DELIVERED, "delivery_succeeded"),
    Fate::Ends(MessageState::UNDELIVERABLE, "delivery_failed"),
    Fate::Ends(MessageState::EXPIRED, "delivery_failed"),
    Fate::Refuses(CommandStatus(0x0b), "ESME_RINVDSTADR"),
    Fate::Silent,
];
const IDS: [(IdFormat, Option<IdFormat>); 6] = [
    (IdFormat::Hex, None),
    (IdFormat::Hex, Some(IdFormat::Decimal)),
    (IdFormat::Decimal, Some(IdFormat::UpperHex)),
    (IdFormat::UpperHex, Some(IdFormat::Hex)),
    (IdFormat::Decimal, None),
    (IdFormat::Uuid, None),
];
const FORMS: [ReceiptForm; 3] = [ReceiptForm::Both, ReceiptForm::Text, ReceiptForm::Tlvs];

/// The habits of one of the hundred.
fn habits(number: usize) -> (SimulatorConfig, Fate) {
    let fate = FATES[number % FATES.len()];
    let (id_format, receipt_id_format) = IDS[number % IDS.len()];
    let mut config = SimulatorConfig {
        seed: Some(number as u64),
        id_format,
        receipt_id_format,
        receipt_form: FORMS[number % FORMS.len()],
        // Slow to answer, slow to tell, or both.
        response_delay: Span::fixed(Duration::from_millis([0, 5, 20][number % 3])),
        receipt_delay: Span::fixed(Duration::from_millis([0, 0, 30, 100][number % 4])),
        throttle: number.is_multiple_of(7).then_some(20),
        window_limit: if number.is_multiple_of(11) { 2 } else { 10_000 },
        session: SessionHabits { cut_after: (number % 13 == 5).then_some(9), ..SessionHabits::default() },
        read_rate: number.is_multiple_of(17).then_some(4_000),
        ..SimulatorConfig::default()
    };
    match fate {
        Fate::Ends(state, _) => config.states = vec![(state, 1)],
        Fate::Refuses(status, _) => config.errors = vec![(1.0, status)],
        Fate::Silent => config.receipt_form = ReceiptForm::None,
    }
    (config, fate)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_smscs_of_different_habits_at_once() {
    let maybug = Maybug::start().await;
    let mut channels = Vec::new();
    for number in 0..100 {
        let (config, fate) = habits(number);
        let smsc = Smsc::start(config).await;
        let bind_type = if number % 2 == 0 { "trx" } else { "tx+rx" };
        let binds = json!({
            "bind_type": bind_type, "bind_count": 1 + number % 3 / 2, "registered_delivery": true,
            "strict_vumi": number % 10 == 9, "send_multipart_udh": number % 10 == 9,
        });
        let channel = maybug.smpp_channel(smsc.simulator.address(), binds, json!({})).await;
        channels.push((number, smsc, channel, fate));
    }
    let mut sent = Vec::new();
    for turn in 0..5 {
        for (number, _, channel, fate) in &channels {
            // The last is a long one.
            let content = if turn == 4 { "long ".repeat(60) } else { format!("message {turn}") };
            let message = json!({"to": format!("+2782{number:03}{turn:04}"), "content": content});
            sent.push((*number, channel.clone(), maybug.send(channel, message).await, *fate));
        }
    }
    for (number, channel, message, fate) in sent {
        match fate {
            Fate::Ends(_, last) => {
                let events = loop {
                    let events = maybug.events(&channel, &message, 2).await;
                    if events.last().unwrap()["event_type"] != "delivery_pending" {
                        break events;
                    }
                    tokio::task::yield_now().await;
                };
                assert_eq!(types(&events)[0], "submitted", "SMSC {number}");
                assert_eq!(*types(&events).last().unwrap(), last, "SMSC {number}");
            }
            Fate::Refuses(_, reason) => {
                let events = maybug.events(&channel, &message, 1).await;
                assert_eq!(events[0]["event_details"]["reason"], reason, "SMSC {number}");
            }
            Fate::Silent => assert_eq!(types(&maybug.events(&channel, &message, 1).await), ["submitted"]),
        }
    }
    for (number, _, channel, _) in &channels {
        let (_, inbox) = maybug.get(&format!("/channels/{channel}/receipts")).await;
        // Only copies that were sent again after a cut may leave receipts over.
        let cut = number % 13 == 5;
        assert!(cut || inbox["result"] == json!([]), "SMSC {number}: {inbox}");
    }
}
