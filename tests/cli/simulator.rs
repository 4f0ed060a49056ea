//! The simulated SMSC as an ESME meets it, and `maybug sim`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use maybug::smsc::{
    AnswerHabits, IdFormat, PhoneMessage, ReceiptForm, SessionHabits, SimEvent, Simulator, SimulatorConfig,
};
use smpp::pdu::{BindMode, CancelSm, QuerySm, ReplaceSm, SubmitMulti};
use smpp::pdu::{Destination, Destinations};
use smpp::receipt::{Receipt, receipt_text};
use smpp::session::Event;
use smpp::{Address, CommandStatus, MessageState, Pdu, RegisteredDelivery, ShortMessage, Tag};

use crate::esme::{Esme, message};
use crate::support::{maybug, soon, stderr};

pub(crate) async fn start(config: SimulatorConfig) -> Simulator {
    Simulator::start(([127, 0, 0, 1], 0).into(), config).await.unwrap()
}

pub(crate) fn read(receipt: &smpp::pdu::DeliverSm) -> Receipt {
    let text = receipt_text(receipt.data_coding, receipt.short_message.octets());
    Receipt::parse(&receipt.tlvs, &text).unwrap()
}

#[tokio::test]
async fn accounts_and_modes_decide_who_may_bind() {
    let accounts = vec!["shop:s3cret:tx".parse().unwrap()];
    let simulator = start(SimulatorConfig { accounts, ..SimulatorConfig::default() }).await;
    let bind = |mode, system_id, password| Esme::bind(simulator.address(), mode, system_id, password);
    assert_eq!(bind(BindMode::Transmitter, "else", "s3cret").await.err(), Some(CommandStatus::ESME_RINVSYSID));
    assert_eq!(bind(BindMode::Transmitter, "shop", "wrong").await.err(), Some(CommandStatus::ESME_RINVPASWD));
    assert_eq!(bind(BindMode::Transceiver, "shop", "s3cret").await.err(), Some(CommandStatus::ESME_RBINDFAIL));
    assert!(bind(BindMode::Transmitter, "shop", "s3cret").await.is_ok());
    simulator.reconfigure(|config| config.session.refuse_bind = Some(CommandStatus::ESME_RALYBND));
    assert_eq!(bind(BindMode::Transmitter, "shop", "s3cret").await.err(), Some(CommandStatus::ESME_RALYBND));
}

#[tokio::test]
async fn a_receipt_waits_for_a_receiver_of_its_account_and_survives_a_cut() {
    let simulator = start(SimulatorConfig { id_format: IdFormat::Decimal, ..SimulatorConfig::default() }).await;
    let mut tx = Esme::bind(simulator.address(), BindMode::Transmitter, "shop", "").await.unwrap();
    let (status, id) = tx.submit(message("hello")).await;
    assert_eq!((status, id.len()), (CommandStatus::ESME_ROK, 10));
    let _stranger = Esme::bind(simulator.address(), BindMode::Receiver, "else", "").await.unwrap();
    let mut rx = Esme::bind(simulator.address(), BindMode::Receiver, "shop", "").await.unwrap();
    // It is seen but not answered before the connection goes.
    assert!(matches!(rx.event().await, Event::Request { .. }));
    simulator.cut();
    assert!(matches!(rx.event().await, Event::Closed { .. }));
    let mut rx = Esme::bind(simulator.address(), BindMode::Receiver, "shop", "").await.unwrap();
    let receipt = rx.delivery(CommandStatus::ESME_ROK).await;
    let read = read(&receipt);
    assert_eq!((read.smsc_message_id, read.state, read.text), (id, "DELIVERED".to_owned(), Some("hello".to_owned())));
    assert_eq!(receipt.source.digits.to_text(), "27820001001");
}

#[tokio::test]
async fn receipts_look_as_configured() {
    for (form, id_format, receipt_id_format) in [
        (ReceiptForm::Text, IdFormat::Hex, IdFormat::Decimal),
        (ReceiptForm::Tlvs, IdFormat::Decimal, IdFormat::UpperHex),
        (ReceiptForm::Both, IdFormat::Uuid, IdFormat::Uuid),
    ] {
        let states = vec![(MessageState::EXPIRED, 1)];
        let ids = Some(receipt_id_format);
        let config =
            SimulatorConfig { receipt_form: form, id_format, receipt_id_format: ids, states, ..Default::default() };
        let simulator = start(config).await;
        let mut esme = Esme::trx(simulator.address()).await;
        esme.submit(message("x")).await;
        let receipt = esme.delivery(CommandStatus::ESME_ROK).await;
        assert_eq!(receipt.short_message.octets().is_empty(), form == ReceiptForm::Tlvs);
        assert_eq!(receipt.tlvs.integer(Tag::MESSAGE_STATE), (form != ReceiptForm::Text).then_some(3));
        let id = read(&receipt).smsc_message_id;
        let looks = match receipt_id_format {
            IdFormat::Decimal => id.len() == 10 && id.parse::<u64>().is_ok(),
            IdFormat::Uuid => id.len() == 36,
            _ => id.len() == 8 && id == id.to_ascii_uppercase(),
        };
        assert!(looks, "{form:?} {id}");
    }
}

#[tokio::test]
async fn messages_can_be_queried_cancelled_and_replaced_while_on_their_way() {
    let receipt_delay = Duration::from_secs(3600).into();
    let simulator = start(SimulatorConfig { receipt_delay, ..SimulatorConfig::default() }).await;
    let mut esme = Esme::trx(simulator.address()).await;
    let (_, id) = esme.submit(message("x")).await;
    let source = Address::detected("40404").unwrap();
    let message_id: smpp::CString<65> = id.as_str().try_into().unwrap();
    let query = QuerySm { message_id: message_id.clone(), source: source.clone(), ..QuerySm::default() };
    let (status, answer) = esme.ask(query.clone()).await;
    let Pdu::QuerySmResp(answer) = answer else { panic!("{answer:?}") };
    assert_eq!((status, answer.message_state), (CommandStatus::ESME_ROK, MessageState::ENROUTE));
    let short_message = ShortMessage::new(&b"other"[..]).unwrap();
    let registered_delivery = RegisteredDelivery::RECEIPT;
    let replace = ReplaceSm {
        message_id: message_id.clone(),
        source: source.clone(),
        registered_delivery,
        short_message,
        ..ReplaceSm::default()
    };
    assert_eq!(esme.ask(replace.clone()).await.0, CommandStatus::ESME_ROK);
    let cancel = CancelSm { message_id, source, ..CancelSm::default() };
    assert_eq!(esme.ask(cancel.clone()).await.0, CommandStatus::ESME_ROK);
    let receipt = read(&esme.delivery(CommandStatus::ESME_ROK).await);
    assert_eq!((receipt.state.as_str(), receipt.text.as_deref()), ("DELETED", Some("other")));
    assert_eq!(esme.ask(cancel).await.0, CommandStatus::ESME_RCANCELFAIL);
    assert_eq!(esme.ask(replace).await.0, CommandStatus::ESME_RREPLACEFAIL);
    let unknown = QuerySm { message_id: "ffff".try_into().unwrap(), ..query };
    assert_eq!(esme.ask(unknown).await.0, CommandStatus::ESME_RINVMSGID);
}

#[tokio::test]
async fn submit_multi_reaches_addresses_and_refuses_lists() {
    let simulator = start(SimulatorConfig::default()).await;
    let mut esme = Esme::trx(simulator.address()).await;
    let address = |digits| Destination::Address(Address::detected(digits).unwrap());
    let list = Destination::List("friends".try_into().unwrap());
    let multi = SubmitMulti {
        source: Address::detected("40404").unwrap(),
        destinations: Destinations(vec![address("27820001001"), list, address("27820001002")]),
        registered_delivery: RegisteredDelivery::RECEIPT,
        ..SubmitMulti::default()
    };
    let (status, answer) = esme.ask(multi).await;
    let Pdu::SubmitMultiResp(answer) = answer else { panic!("{answer:?}") };
    assert_eq!((status, answer.unsuccess.0.len()), (CommandStatus::ESME_ROK, 1));
    assert_eq!(answer.unsuccess.0[0].error_status_code, CommandStatus::ESME_RINVDLNAME.0);
    for destination in ["27820001001", "27820001002"] {
        let receipt = esme.delivery(CommandStatus::ESME_ROK).await;
        assert_eq!(receipt.source.digits.to_text(), destination);
    }
}

#[tokio::test]
async fn phones_write_before_anybody_listens_and_a_refusal_for_now_is_tried_again() {
    let retry_delay = Duration::from_millis(20);
    let simulator = start(SimulatorConfig { retry_delay, ..SimulatorConfig::default() }).await;
    let mut events = simulator.events();
    let text = "Zażółć gęślą jaźń 😀 ".repeat(5);
    let phone = PhoneMessage { from: "27820001001".into(), to: "40404".into(), text };
    let segments = simulator.inject(&phone).unwrap();
    assert_eq!(segments, 2);
    let mut esme = Esme::trx(simulator.address()).await;
    esme.delivery(CommandStatus::ESME_RX_T_APPN).await;
    let second = esme.delivery(CommandStatus::ESME_ROK).await;
    let first = esme.delivery(CommandStatus::ESME_ROK).await;
    assert!(first.esm_class.udhi() && first.data_coding.0 == 8);
    assert_eq!([first.short_message.octets()[5], second.short_message.octets()[5]], [1, 2]);
    let mut statuses = Vec::new();
    while statuses.len() < 3 {
        // The answers leave with the next thing that this end does.
        tokio::select! {
            event = events.recv() => if let SimEvent::Delivered { status, receipt: false, .. } = *event.unwrap() {
                statuses.push(status);
            },
            event = esme.driver.event() => panic!("{event:?}"),
        }
    }
    assert_eq!(statuses, [CommandStatus::ESME_RX_T_APPN, CommandStatus::ESME_ROK, CommandStatus::ESME_ROK]);
    let too_long = PhoneMessage { from: "2".repeat(70), ..phone };
    assert!(simulator.inject(&too_long).is_err());
}

#[tokio::test]
async fn overload_is_refused_and_silence_is_silence() {
    let answers = AnswerHabits { throttle_burst: Some(2), ..AnswerHabits::default() };
    let simulator = start(SimulatorConfig { throttle: Some(1), answers, ..SimulatorConfig::default() }).await;
    let mut esme = Esme::trx(simulator.address()).await;
    let statuses = |simulator: &Simulator| {
        let counters = simulator.counters();
        (counters.accepted, counters.throttled, counters.unanswered)
    };
    for _ in 0..4 {
        esme.submit(message("x")).await;
    }
    assert_eq!(statuses(&simulator), (2, 2, 0));
    simulator.reconfigure(|config| {
        config.throttle = None;
        config.queue_limit = 1;
        config.receipt_delay = Duration::from_secs(3600).into();
    });
    assert_eq!(esme.submit(message("x")).await.0, CommandStatus::ESME_ROK);
    assert_eq!(esme.submit(message("x")).await.0, CommandStatus::ESME_RMSGQFUL);
    simulator.reconfigure(|config| {
        config.queue_limit = 100;
        config.no_response = 1.0;
    });
    esme.request(message("x"), 7);
    // Taken after it, and answered first: nothing else comes.
    let query = QuerySm { message_id: "0".try_into().unwrap(), ..QuerySm::default() };
    assert_eq!(esme.ask(query).await.0, CommandStatus::ESME_RINVMSGID);
    assert_eq!((esme.driver.session.outstanding(), statuses(&simulator).2), (1, 1));
}

#[tokio::test]
async fn slow_reading_and_delayed_answers_take_their_time_in_order() {
    let response_delay = Duration::from_millis(50).into();
    let simulator =
        start(SimulatorConfig { read_rate: Some(2_000), response_delay, ..SimulatorConfig::default() }).await;
    let mut esme = Esme::trx(simulator.address()).await;
    let begun = std::time::Instant::now();
    let mut submit = message(&"x".repeat(140));
    submit.registered_delivery = RegisteredDelivery::NONE;
    for token in 0..5 {
        esme.request(submit.clone(), token);
    }
    for expected in 0..5 {
        let event = esme.event().await;
        assert!(matches!(event, Event::Response { token, .. } if token == expected), "{event:?}");
    }
    // Five PDUs of some 190 octets at 2,000 octets a second.
    assert!(begun.elapsed() > Duration::from_millis(400), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn connections_are_cut_and_enquire_link_is_ignored_as_told() {
    let config = SimulatorConfig {
        session: SessionHabits { cut_after: Some(2), ignore_enquire_link: true, ..SessionHabits::default() },
        ..SimulatorConfig::default()
    };
    let simulator = start(config).await;
    let mut esme = Esme::trx(simulator.address()).await;
    let mut raw = bytes::BytesMut::new();
    Pdu::from(smpp::pdu::EnquireLink::default()).encode(CommandStatus::ESME_ROK, smpp::SequenceNumber(99), &mut raw);
    for _ in 0..2 {
        assert_eq!(esme.submit(message("x")).await.0, CommandStatus::ESME_ROK);
    }
    esme.request(message("x"), 3);
    let outstanding = loop {
        if let Event::Closed { outstanding, .. } = esme.event().await {
            break outstanding;
        }
    };
    assert_eq!(outstanding, [3]);

    simulator.reconfigure(|config| config.session.cut_after = None);
    let mut stream = tokio::net::TcpStream::connect(simulator.address()).await.unwrap();
    let unbind = smpp::pdu::Unbind::default();
    Pdu::from(unbind).encode(CommandStatus::ESME_ROK, smpp::SequenceNumber(100), &mut raw);
    tokio::io::AsyncWriteExt::write_all(&mut stream, &raw).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer);
    soon("the end of the stream", read).await.unwrap();
    // unbind_resp alone: nobody has answered the enquire_link.
    assert_eq!(&answer[4..], [0x80, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 100]);
}

#[tokio::test]
async fn stopping_unbinds_everybody() {
    let simulator = start(SimulatorConfig::default()).await;
    let mut esme = Esme::trx(simulator.address()).await;
    let stop = tokio::spawn(simulator.stop());
    assert!(matches!(esme.event().await, Event::PeerUnbinding));
    while !matches!(esme.event().await, Event::Closed { .. }) {}
    esme.driver.finish().await;
    soon("the stop", stop).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sim_follows_its_script_prints_messages_and_ends_on_ctrl_c() {
    let mut script = tempfile::NamedTempFile::new().unwrap();
    script.write_all(b"listen: 127.0.0.1:0\nid_format: decimal\nstates: delivrd\naccount: ['test:']\n").unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_maybug"))
        .args(["sim", "--script", script.path().to_str().unwrap(), "--states", "undeliv"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let first = lines.next().unwrap();
    let address = first.strip_prefix("listening on ").unwrap().parse().unwrap();
    assert_eq!(lines.next().unwrap(), "test may bind; ctrl-c ends");
    let mut esme = Esme::trx(address).await;
    assert_eq!(lines.next().unwrap(), "bind test as transceiver");
    let (_, id) = esme.submit(message("Hi [you]")).await;
    assert_eq!(read(&esme.delivery(CommandStatus::ESME_ROK).await).state, "UNDELIVERABLE");
    child.stdin.as_mut().unwrap().write_all(b"27820001001 40404 two words\n").unwrap();
    let mo = esme.delivery(CommandStatus::ESME_ROK).await;
    assert_eq!(&mo.short_message.octets()[..], b"two words");
    esme.unbind().await;
    // ASCII brackets are other characters in GSM 03.38.
    assert_eq!(lines.next().unwrap(), format!("MT   40404 -> 27820001001 \"Hi ÄyouÑ\" id {id} ESME_ROK"));
    assert_eq!(lines.next().unwrap(), format!("DLR  27820001001 -> 40404 id {id} UNDELIV ESME_ROK"));
    assert_eq!(lines.next().unwrap(), "MO   27820001001 -> 40404 \"two words\" ESME_ROK");
    assert_eq!(lines.next().unwrap(), "gone test: the peer unbound");
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let ended = soon("the end", tokio::task::spawn_blocking(move || child.wait())).await.unwrap().unwrap();
    assert!(ended.success());
}

#[test]
fn what_is_wrong_with_a_script_or_a_flag_is_said() {
    let mut script = tempfile::NamedTempFile::new().unwrap();
    script.write_all(b"receipt_dely: 1s\n").unwrap();
    let output = maybug(&["sim", "--script", script.path().to_str().unwrap()]);
    assert!(
        stderr(&output).contains("unknown key 'receipt_dely', did you mean 'receipt-delay'?"),
        "{}",
        stderr(&output)
    );
    let output = maybug(&["sim", "--error", "0.1:ESME_NOPE"]);
    assert!(stderr(&output).contains("\"ESME_NOPE\" is not a command status"), "{}", stderr(&output));
    let output = maybug(&["sim", "--id-format", "uuid", "--receipt-id-format", "hex"]);
    assert!(stderr(&output).contains("must both be uuid, or neither"), "{}", stderr(&output));
}
