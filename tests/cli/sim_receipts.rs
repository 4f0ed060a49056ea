//! The receipts of simulated SMSCs: their forms, their times, and what becomes of messages until then.

use std::time::Duration;

use clap::ValueEnum;
use maybug::smsc::{
    AnswerHabits, IdFormat, Intermediate, ReceiptDates, ReceiptErr, ReceiptForm, ReceiptHabits, ReceiptText,
    SimulatorConfig, Span,
};
use smpp::receipt::receipt_text;
use smpp::session::Event;
use smpp::{CommandStatus, EsmClass, MessageState, Pdu};

use crate::esme::{Esme, message};
use crate::simulator::{read, start};

fn config(receipts: ReceiptHabits) -> SimulatorConfig {
    SimulatorConfig { receipts, ..SimulatorConfig::default() }
}

/// Digits as `9`: what a receipt looks like whenever it is sent.
fn shape(text: &str) -> String {
    text.chars().map(|character| if character.is_ascii_digit() { '9' } else { character }).collect()
}

#[tokio::test]
async fn receipts_are_written_as_in_the_field() {
    let shapes = [
        "id:9999999999 sub:999 dlvrd:999 submit date:9999999999 done date:9999999999 stat:UNDELIV err:999 text:hello",
        "id:9999999999 sub:999 dlvrd:999 submit date:9999999999 done date:9999999999 stat:UNDELIV err:999 Text:hello",
        "id:9999999999 sub:999 dlvrd:999 submit date:9999999999 done date:9999999999 stat:UNDELIV err:999",
        "id:9999999999 stat:UNDELIV text:hello",
        "id:9999999999 submit date:9999999999 done date:9999999999 stat:UNDELIV err:999",
        "sub:999 id:9999999999 err:999 dlvrd:999 done date:9999999999 submit date:9999999999 text:hello stat:UNDELIV",
        "ID:9999999999 SUB:999 DLVRD:999 SUBMIT DATE:9999999999 DONE DATE:9999999999 STAT:UNDELIV ERR:999 TEXT:hello",
        "id:9999999999 sub:null dlvrd:null submit date:9999999999 done date:9999999999 stat:UNDELIV err:null text:hello",
        "id:9999999999  \tsub:999  \tdlvrd:999  \tsubmit date:9999999999  \tdone date:9999999999  \tstat:UNDELIV  \terr:999  \ttext:hello\0",
        "id:9999999999 sub:999 dlvrd:999 submit date:9999999999 done date:9999999999 stat:UNDELIV err:999 text:hello MCC=999 MNC=9",
        "id:9999999999 sub:999 dlvrd:999 submit date:9999999999 done date:9999999999 stat:UNDELIV err:999 text:hello",
    ];
    assert_eq!(shapes.len(), ReceiptText::value_variants().len());
    let states = vec![(MessageState::UNDELIVERABLE, 1)];
    let base = SimulatorConfig {
        id_format: IdFormat::Decimal,
        receipt_form: ReceiptForm::Text,
        states,
        ..SimulatorConfig::default()
    };
    let simulator = start(base).await;
    let mut esme = Esme::trx(simulator.address()).await;
    for (layout, expected) in ReceiptText::value_variants().iter().zip(shapes) {
        simulator.reconfigure(|config| config.receipts.receipt_text = *layout);
        let (_, id) = esme.submit(message("hello")).await;
        let receipt = esme.delivery(CommandStatus::ESME_ROK).await;
        let content = smpp::text::content::Content::of(&receipt.clone().into()).unwrap().unwrap();
        assert_eq!(shape(&receipt_text(receipt.data_coding, &content.octets)), expected, "{layout:?}");
        assert_eq!(receipt.data_coding.0, if *layout == ReceiptText::Ucs2 { 8 } else { 0 });
        let text = receipt_text(receipt.data_coding, &content.octets);
        let read = smpp::receipt::Receipt::parse(&receipt.tlvs, &text).unwrap();
        assert_eq!((read.smsc_message_id, read.state.as_str()), (id, "UNDELIV"), "{layout:?}");
    }
}

#[tokio::test]
async fn dates_and_errors_of_receipts_have_several_forms() {
    let answers = AnswerHabits { network_error: Some("3:539".parse().unwrap()), ..AnswerHabits::default() };
    let states = vec![(MessageState::UNDELIVERABLE, 1)];
    let simulator = start(SimulatorConfig { answers, states, ..SimulatorConfig::default() }).await;
    let mut esme = Esme::trx(simulator.address()).await;
    for (dates, digits, form, error) in [
        (ReceiptDates::Minutes, 10, ReceiptErr::Decimal, "539"),
        (ReceiptDates::Seconds, 12, ReceiptErr::Hex, "21b"),
        (ReceiptDates::FullYear, 14, ReceiptErr::FourDigits, "0539"),
        (ReceiptDates::Zeros, 10, ReceiptErr::Unpadded, "539"),
    ] {
        simulator.reconfigure(|config| {
            config.receipts.receipt_dates = dates;
            config.receipts.receipt_err = form;
        });
        esme.submit(message("x")).await;
        let receipt = read(&esme.delivery(CommandStatus::ESME_ROK).await);
        let date = receipt.done_date.unwrap();
        assert_eq!((date.len(), receipt.err.as_deref()), (digits, Some(error)), "{dates:?}");
        assert_eq!(date == "0000000000", dates == ReceiptDates::Zeros);
    }
}

#[tokio::test]
async fn ids_may_be_padded_or_prefixed() {
    for (id_format, receipt_id_format, response, receipt) in [
        (IdFormat::Hex, IdFormat::PaddedHex, 8, 16),
        (IdFormat::PaddedDecimal, IdFormat::Decimal, 20, 10),
        (IdFormat::Prefixed, IdFormat::Prefixed, 13, 13),
    ] {
        let receipt_id_format = Some(receipt_id_format);
        let simulator = start(SimulatorConfig { id_format, receipt_id_format, ..SimulatorConfig::default() }).await;
        let mut esme = Esme::trx(simulator.address()).await;
        let (_, id) = esme.submit(message("x")).await;
        let told = read(&esme.delivery(CommandStatus::ESME_ROK).await).smsc_message_id;
        assert_eq!((id.len(), told.len()), (response, receipt), "{id} {told}");
        assert_eq!(id.starts_with("SMSC-"), told.starts_with("SMSC-"));
    }
}

#[tokio::test]
async fn a_receipt_may_overtake_its_response_and_come_twice() {
    let receipts = ReceiptHabits { receipts_first: true, duplicate_receipts: 1.0, ..ReceiptHabits::default() };
    let simulator = start(config(receipts)).await;
    let mut esme = Esme::trx(simulator.address()).await;
    esme.request(message("x"), 1);
    let mut order = Vec::new();
    while order.len() < 3 {
        match esme.event().await {
            Event::Request { sequence, pdu } => {
                esme.respond(sequence, &pdu, CommandStatus::ESME_ROK);
                let Pdu::DeliverSm(receipt) = pdu else { panic!("{pdu:?}") };
                order.push(read(&receipt).smsc_message_id);
            }
            Event::Response { pdu: Pdu::SubmitSmResp(response), .. } => {
                order.push(format!("response {}", response.message_id.to_text()));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(order, [order[0].clone(), order[0].clone(), format!("response {}", order[0])]);
}

#[tokio::test(start_paused = true)]
async fn messages_tell_that_they_are_on_their_way() {
    for (intermediate, class) in
        [(Intermediate::Notification, EsmClass(0x20)), (Intermediate::Receipt, EsmClass::DELIVERY_RECEIPT)]
    {
        let receipt_delay = Span::fixed(Duration::from_secs(60));
        let receipts = ReceiptHabits { intermediate, ..ReceiptHabits::default() };
        let simulator = start(SimulatorConfig { receipt_delay, ..config(receipts) }).await;
        let mut esme = Esme::attached(&simulator).await;
        let begun = tokio::time::Instant::now();
        esme.submit(message("x")).await;
        for (after, class, state) in [(30, class, "ENROUTE"), (60, EsmClass::DELIVERY_RECEIPT, "DELIVERED")] {
            let receipt = esme.delivery(CommandStatus::ESME_ROK).await;
            assert_eq!(
                (begun.elapsed().as_secs(), receipt.esm_class, read(&receipt).state.as_str()),
                (after, class, state)
            );
        }
    }
}
