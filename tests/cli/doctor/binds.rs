//! Which binds are tried after which refusal, and what the others are found to be.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use smpp::{BindMode, CommandId, CommandStatus, Pdu, SequenceNumber};

use super::examine;
use super::smsc::{Do, Scripted, refuse};

use BindMode::{Receiver, Transceiver, Transmitter};

#[tokio::test]
async fn every_mode_and_version_is_tried_and_parted_from() {
    let smsc = Scripted::start(|_| None).await;
    let examined = examine(&[&smsc.address.to_string()]).await;
    assert!(examined.bindable, "{:?}", examined.diagnosis);
    let expected = [
        (Transceiver, 0x34),
        (Transceiver, 0x34),
        (Transmitter, 0x34),
        (Receiver, 0x34),
        // Version 3.3 has no transceiver.
        (Transmitter, 0x33),
        (Transceiver, 0x50),
    ];
    assert_eq!(smsc.binds(), expected);
    assert_eq!(smsc.heard(CommandId::UNBIND).len(), expected.len(), "each is parted from in order");
    assert_eq!(examined.config().get("bind_type"), None);
}

#[tokio::test]
async fn what_may_mean_the_password_is_followed_by_one_more_bind() {
    let smsc = Scripted::start(|raw| match BindMode::of(raw.id) {
        Some(_) => refuse(raw, CommandStatus::ESME_RBINDFAIL),
        None => None,
    })
    .await;
    let examined = examine(&[&smsc.address.to_string()]).await;
    assert!(!examined.bindable);
    assert_eq!(smsc.binds(), [(Transceiver, 0x34), (Transmitter, 0x34)]);
    let said = examined.said("bind");
    assert!(said[3].starts_with("refused twice without a reason: nothing more was tried"), "{said:?}");
}

#[tokio::test]
async fn a_mode_that_is_not_offered_leads_to_the_pair() {
    for nack in [false, true] {
        let smsc = Scripted::start(move |raw| match raw.id {
            CommandId::BIND_TRANSCEIVER if nack => {
                // It could not read what it was asked.
                let nack = (smpp::pdu::GenericNack::default().into(), CommandStatus::ESME_RSYSERR, SequenceNumber(0));
                Some(Do::Say(vec![nack]))
            }
            CommandId::BIND_TRANSCEIVER => refuse(raw, CommandStatus::ESME_RINVCMDID),
            _ => None,
        })
        .await;
        let examined = examine(&[&smsc.address.to_string()]).await;
        assert_eq!(examined.config()["bind_type"], "tx+rx", "{:?}", examined.diagnosis);
        assert_eq!(smsc.binds()[..3], [(Transceiver, 0x34), (Transmitter, 0x34), (Receiver, 0x34)]);
        assert_eq!(smsc.heard(CommandId::UNBIND).len(), smsc.binds().len() - 1);
        assert_eq!(examined.verdicts("window"), ["good"], "the transmitter is asked the rest");
    }
}

#[tokio::test]
async fn an_account_that_only_sends_gets_a_channel_that_only_sends() {
    let smsc = Scripted::start(|raw| match raw.id {
        CommandId::BIND_TRANSCEIVER | CommandId::BIND_RECEIVER => refuse(raw, CommandStatus::ESME_RINVBNDSTS),
        _ => None,
    })
    .await;
    let examined = examine(&[&smsc.address.to_string()]).await;
    assert_eq!(examined.config()["bind_type"], "tx");
}

#[tokio::test]
async fn an_account_that_is_bound_already_is_left_alone() {
    let smsc = Scripted::start(|raw| match BindMode::of(raw.id) {
        Some(_) => refuse(raw, CommandStatus::ESME_RALYBND),
        None => None,
    })
    .await;
    let examined = examine(&[&smsc.address.to_string()]).await;
    assert_eq!(smsc.binds().len(), 1, "{:?}", examined.diagnosis);
}

#[tokio::test]
async fn an_answer_that_is_no_bind_response_is_no_bind() {
    let smsc = Scripted::start(|raw| match raw.id {
        CommandId::BIND_TRANSCEIVER => {
            let other = Pdu::BindResp(Transmitter, smpp::pdu::BindResp::default());
            Some(Do::Say(vec![(other, CommandStatus::ESME_ROK, raw.sequence)]))
        }
        _ => None,
    })
    .await;
    let examined = examine(&[&smsc.address.to_string()]).await;
    assert_eq!(examined.config()["bind_type"], "tx+rx", "{:?}", examined.diagnosis);
}

#[tokio::test]
async fn answers_out_of_order_are_answers_and_missing_ones_are_counted() {
    // Collects the burst and answers it backwards, or only in part.
    for (answered, window, said) in [
        (10, 10, "10 requests at once are all answered, out of order, which is allowed"),
        (4, 1, "of 10 requests at once 4 were answered: no answer within 2 s"),
    ] {
        let burst = std::sync::Mutex::new(Vec::new());
        let smsc = Scripted::start(move |raw| {
            // The first two ask whether it is answered at all, before and after the second bind.
            let (CommandId::ENQUIRE_LINK, 4..) = (raw.id, raw.sequence.0) else { return None };
            let mut burst = burst.lock().unwrap();
            burst.extend(super::smsc::usual(raw));
            if burst.len() < 10 {
                return Some(Do::Say(Vec::new()));
            }
            Some(Do::Say(burst.drain(..).rev().take(answered).collect()))
        })
        .await;
        let examined = examine(&[&smsc.address.to_string(), "--timeout", "2s"]).await;
        assert_eq!(examined.said("window"), [said], "{:?}", examined.diagnosis);
        assert_eq!(examined.config()["window_size"], window);
    }
}

#[tokio::test]
async fn a_bind_that_ends_the_other_is_told() {
    // The second bind ends the first: whoever asks there finds nobody.
    let (binds, ended) = (AtomicUsize::new(0), AtomicBool::new(false));
    let smsc = Scripted::start(move |raw| {
        if BindMode::of(raw.id).is_some() {
            binds.fetch_add(1, Ordering::SeqCst);
        }
        let ends = raw.id == CommandId::ENQUIRE_LINK && binds.load(Ordering::SeqCst) == 2;
        (ends && !ended.swap(true, Ordering::SeqCst)).then_some(Do::Close)
    })
    .await;
    let examined = examine(&[&smsc.address.to_string()]).await;
    assert_eq!(examined.said("several binds"), ["a second bind is accepted, and ends the first"]);
    assert_eq!(examined.verdicts("window"), ["good"], "the second is asked the rest: {:?}", examined.diagnosis);
}
