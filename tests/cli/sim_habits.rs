//! Simulated SMSCs whose sessions and answers are odd, as an ESME meets them.

use std::time::Duration;

use bytes::BytesMut;
use maybug::smsc::{
    AnswerHabits, ErrorBody, InterfaceVersion, NetworkErrorCode, SessionHabits, SimEvent, SimulatorConfig,
};
use smpp::pdu::{Bind, BindMode, SubmitSm};
use smpp::session::Event;
use smpp::{CommandId, CommandStatus, MessageState, Pdu, RawPdu, SequenceNumber, Tag};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::esme::{Esme, message};
use crate::simulator::start;
use crate::support::soon;

fn session(session: SessionHabits) -> SimulatorConfig {
    SimulatorConfig { session, ..SimulatorConfig::default() }
}

fn answers(answers: AnswerHabits) -> SimulatorConfig {
    SimulatorConfig { answers, ..SimulatorConfig::default() }
}

fn without_receipt(text: &str) -> SubmitSm {
    SubmitSm { registered_delivery: smpp::RegisteredDelivery::NONE, ..message(text) }
}

#[tokio::test]
async fn the_first_binds_of_each_account_are_refused() {
    let status = CommandStatus::ESME_RALYBND;
    let habits = SessionHabits { refuse_bind: Some(status), refuse_binds: Some(2), ..SessionHabits::default() };
    let simulator = start(session(habits)).await;
    for name in ["first", "second"] {
        for _ in 0..2 {
            let refused = Esme::bind(simulator.address(), BindMode::Transceiver, name, "").await;
            assert_eq!(refused.err(), Some(status));
        }
        assert!(Esme::bind(simulator.address(), BindMode::Transceiver, name, "").await.is_ok());
    }
    simulator.reconfigure(|config| config.session.refuse_bind = None);
    let refused = Esme::bind(simulator.address(), BindMode::Transceiver, "third", "").await;
    assert_eq!(refused.err(), Some(CommandStatus::ESME_RBINDFAIL));
}

#[tokio::test]
async fn it_unbinds_once_it_has_answered_so_many() {
    let simulator = start(session(SessionHabits { unbind_after: Some(2), ..SessionHabits::default() })).await;
    let mut esme = Esme::trx(simulator.address()).await;
    for _ in 0..2 {
        assert_eq!(esme.submit(without_receipt("x")).await.0, CommandStatus::ESME_ROK);
    }
    assert!(matches!(esme.event().await, Event::PeerUnbinding));
}

#[tokio::test(start_paused = true)]
async fn it_unbinds_when_the_connection_is_old_enough() {
    let unbind_every = Some(Duration::from_secs(600));
    let simulator = start(session(SessionHabits { unbind_every, ..SessionHabits::default() })).await;
    let begun = tokio::time::Instant::now();
    let mut esme = Esme::attached(&simulator).await;
    assert!(matches!(esme.event().await, Event::PeerUnbinding));
    assert_eq!(begun.elapsed().as_secs(), 600);
}

#[tokio::test]
async fn a_cut_may_come_in_the_middle_of_a_response() {
    let habits = SessionHabits { cut_after: Some(1), cut_mid_pdu: true, ..SessionHabits::default() };
    let mut seen = Vec::new();
    let simulator = start(session(habits)).await;
    let mut events = simulator.events();
    let mut octets = BytesMut::new();
    let bind = Bind { system_id: "test".try_into().unwrap(), ..Bind::default() };
    Pdu::Bind(BindMode::Transceiver, bind).encode(CommandStatus::ESME_ROK, SequenceNumber(1), &mut octets);
    let mut stream = TcpStream::connect(simulator.address()).await.unwrap();
    stream.write_all(&octets.split()).await.unwrap();
    seen.resize(16 + "maybug-sim".len() + 1 + 5, 0);
    soon("the bind", stream.read_exact(&mut seen)).await.unwrap();
    for sequence in [2, 3] {
        Pdu::from(without_receipt("x")).encode(CommandStatus::ESME_ROK, SequenceNumber(sequence), &mut octets);
    }
    stream.write_all(&octets).await.unwrap();
    soon("the cut", stream.read_to_end(&mut seen)).await.unwrap();
    let mut rest = BytesMut::from(&seen[..]);
    let answered = [CommandId::BIND_TRANSCEIVER_RESP, CommandId::SUBMIT_SM_RESP]
        .map(|id| RawPdu::split(&mut rest, 1000).unwrap().is_some_and(|raw| raw.id == id && raw.status.is_ok()));
    assert_eq!(answered, [true, true]);
    let whole = usize::try_from(u32::from_be_bytes(rest[..4].try_into().unwrap())).unwrap();
    assert_eq!((rest.len(), &rest[4..8]), (whole / 2, &[0x80, 0, 0, 4][..]));
    // It had been taken, which the ESME cannot know.
    let mut taken = 0;
    while taken < 2 {
        let event = soon("the message", events.recv()).await.unwrap();
        taken += usize::from(matches!(*event, SimEvent::Message { id: Some(_), .. }));
    }
}

#[tokio::test]
async fn refusals_are_empty_or_tell_more_than_the_status() {
    let errors = vec![(1.0, CommandStatus::ESME_RSUBMITFAIL)];
    let simulator = start(SimulatorConfig { errors, ..SimulatorConfig::default() }).await;
    let mut esme = Esme::trx(simulator.address()).await;
    assert_eq!(esme.submit(message("x")).await, (CommandStatus::ESME_RSUBMITFAIL, String::new()));
    simulator.reconfigure(|config| {
        config.answers.error_body = ErrorBody::Id;
        config.answers.refusal_text = Some("no credit left".to_owned());
        config.answers.network_error = Some("3:27".parse().unwrap());
    });
    let (_, Pdu::SubmitSmResp(response)) = esme.ask(message("x")).await else { panic!() };
    assert_eq!(response.message_id.to_text().len(), 8);
    assert_eq!(response.tlvs.text(Tag::ADDITIONAL_STATUS_INFO_TEXT).as_deref(), Some("no credit left"));
    assert_eq!(&response.tlvs.octets_of(Tag::NETWORK_ERROR_CODE).unwrap()[..], [3, 0, 27]);
    simulator.reconfigure(|config| config.answers.error_body = ErrorBody::None);
    let refused = (CommandStatus::ESME_RSUBMITFAIL, Pdu::NoBody(CommandId::SUBMIT_SM_RESP));
    assert_eq!(esme.ask(message("x")).await, refused);
    simulator.reconfigure(|config| {
        config.errors.clear();
        config.answers = AnswerHabits { nacks: vec![(1.0, CommandStatus::ESME_RSYSERR)], ..AnswerHabits::default() };
    });
    let (status, answer) = esme.ask(message("x")).await;
    assert_eq!((status, answer.command_id()), (CommandStatus::ESME_RSYSERR, CommandId::GENERIC_NACK));
}

#[tokio::test(start_paused = true)]
async fn responses_tell_how_near_the_throttle_is() {
    let congested = AnswerHabits { congestion_state: true, throttle_burst: Some(4), ..AnswerHabits::default() };
    let session = SessionHabits { interface_version: InterfaceVersion::V50, ..SessionHabits::default() };
    let simulator = start(SimulatorConfig { throttle: Some(1), session, ..answers(congested) }).await;
    let mut esme = Esme::attached(&simulator).await;
    let mut seen = Vec::new();
    for _ in 0..5 {
        let (status, Pdu::SubmitSmResp(response)) = esme.ask(without_receipt("x")).await else { panic!() };
        seen.push((status.is_ok(), response.tlvs.integer(Tag::CONGESTION_STATE).unwrap()));
    }
    assert_eq!(seen, [(true, 25), (true, 50), (true, 75), (true, 100), (false, 100)]);
}

#[tokio::test]
async fn each_version_says_which_it_is_and_3_3_has_no_parameters() {
    for (interface_version, told) in
        [(InterfaceVersion::V33, None), (InterfaceVersion::V34, Some(0x34)), (InterfaceVersion::V50, Some(0x50))]
    {
        let simulator = start(session(SessionHabits { interface_version, ..SessionHabits::default() })).await;
        let mut esme = Esme::connect(simulator.address()).await;
        let tlvs = esme.bind_as(BindMode::Transceiver, "test", "").await.unwrap();
        assert_eq!(tlvs.integer(Tag::SC_INTERFACE_VERSION), told);
        esme.submit(message("x")).await;
        let receipt = esme.delivery(CommandStatus::ESME_ROK).await;
        assert_eq!(receipt.tlvs.is_empty(), told.is_none());
    }
}

#[tokio::test]
async fn it_asks_an_esme_to_bind_and_again_when_that_has_ended() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let outbind = listener.local_addr().ok();
    let simulator = start(session(SessionHabits { outbind, ..SessionHabits::default() })).await;
    simulator
        .inject(&maybug::smsc::PhoneMessage { from: "27820001001".into(), to: "40404".into(), text: "hello".into() })
        .unwrap();
    for _ in 0..2 {
        let (stream, _) = soon("a connection", listener.accept()).await.unwrap();
        let mut esme = Esme::over(stream);
        let Event::Request { pdu: Pdu::Outbind(outbind), .. } = esme.event().await else { panic!() };
        assert_eq!(outbind.system_id.to_text(), "maybug-sim");
        esme.bind_as(BindMode::Receiver, "test", "").await.unwrap();
        // Not answered, so it is delivered again.
        assert!(matches!(esme.event().await, Event::Request { pdu: Pdu::DeliverSm(_), .. }));
    }
}

#[tokio::test]
async fn a_networks_reason_is_in_receipts_of_failures() {
    let states = vec![(MessageState::UNDELIVERABLE, 1)];
    for (reason, octets) in [("3:27", [3, 0, 27]), ("027", *b"027")] {
        let network_error = reason.parse::<NetworkErrorCode>().ok();
        let habits = AnswerHabits { network_error, ..AnswerHabits::default() };
        let simulator = start(SimulatorConfig { states: states.clone(), ..answers(habits) }).await;
        let mut esme = Esme::trx(simulator.address()).await;
        esme.submit(message("x")).await;
        let receipt = esme.delivery(CommandStatus::ESME_ROK).await;
        assert_eq!(&receipt.tlvs.octets_of(Tag::NETWORK_ERROR_CODE).unwrap()[..], octets);
        assert_eq!(crate::simulator::read(&receipt).err.as_deref(), Some("027"));
    }
}
