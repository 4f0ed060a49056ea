//! When messages are delivered at a simulated SMSC, until when, and what takes their place. Time is virtual.

use std::time::Duration;

use maybug::smsc::{InterfaceVersion, SessionHabits, Simulator, SimulatorConfig, Span};
use smpp::pdu::{
    BroadcastSm, CancelBroadcastSm, CancelSm, DataSm, Destination, Destinations, QueryBroadcastSm, QuerySm, ReplaceSm,
    SubmitMulti, SubmitSm,
};
use smpp::{Address, CString, CommandStatus, MessageState, Pdu, RegisteredDelivery, ShortMessage, Tag};

use crate::esme::{Esme, message};
use crate::simulator::{read, start};

/// Ten seconds from a message's beginning to its end.
async fn smsc() -> Simulator {
    let session = SessionHabits { interface_version: InterfaceVersion::V50, ..SessionHabits::default() };
    let receipt_delay = Span::fixed(Duration::from_secs(10));
    start(SimulatorConfig { receipt_delay, session, ..SimulatorConfig::default() }).await
}

fn source() -> Address {
    Address::detected("40404").unwrap()
}

fn time(text: &str) -> CString<17> {
    text.try_into().unwrap()
}

fn scheduled(schedule: &str, validity: &str) -> SubmitSm {
    SubmitSm { schedule_delivery_time: time(schedule), validity_period: time(validity), ..message("x") }
}

async fn state(esme: &mut Esme, id: &str) -> MessageState {
    let query = QuerySm { message_id: id.try_into().unwrap(), source: source(), ..QuerySm::default() };
    let (CommandStatus::ESME_ROK, Pdu::QuerySmResp(response)) = esme.ask(query).await else { panic!("{id}") };
    response.message_state
}

/// The next receipt, its id and state, and after how many seconds it came.
async fn receipt(esme: &mut Esme, since: tokio::time::Instant) -> (String, String, u64) {
    let receipt = read(&esme.delivery(CommandStatus::ESME_ROK).await);
    (receipt.smsc_message_id, receipt.state, since.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn scheduled_messages_wait_and_old_ones_expire() {
    let simulator = smsc().await;
    let mut esme = Esme::attached(&simulator).await;
    for (schedule, validity, last, after) in [
        ("000000010000000R", "", "DELIVERED", 3610),
        ("", "000000000005000R", "EXPIRED", 5),
        ("", "000000000015000R", "DELIVERED", 10),
        // It would expire while it waits.
        ("000000010000000R", "000000000500000R", "EXPIRED", 300),
        ("200101000000000+", "", "DELIVERED", 10),
    ] {
        let begun = tokio::time::Instant::now();
        let (status, id) = esme.submit(scheduled(schedule, validity)).await;
        assert_eq!(status, CommandStatus::ESME_ROK);
        let waits = schedule.ends_with('R');
        let stands = if waits { MessageState::SCHEDULED } else { MessageState::ENROUTE };
        assert_eq!(state(&mut esme, &id).await, stands);
        assert_eq!(receipt(&mut esme, begun).await, (id, last.to_owned(), after), "{schedule} {validity}");
    }
    let bad = [("soon", "", CommandStatus::ESME_RINVSCHED), ("", "later", CommandStatus::ESME_RINVEXPIRY)];
    for (schedule, validity, status) in bad {
        assert_eq!(esme.submit(scheduled(schedule, validity)).await.0, status);
    }
}

#[tokio::test(start_paused = true)]
async fn scheduled_messages_can_be_given_other_times_and_cancelled() {
    let simulator = smsc().await;
    let mut esme = Esme::attached(&simulator).await;
    let begun = tokio::time::Instant::now();
    let (_, sooner) = esme.submit(scheduled("000000010000000R", "")).await;
    let (_, later) = esme.submit(scheduled("000000000100000R", "")).await;
    let (_, gone) = esme.submit(scheduled("000000030000000R", "")).await;
    for (id, schedule) in [(&sooner, "000000000010000R"), (&later, "000000020000000R")] {
        let replace = ReplaceSm {
            message_id: id.as_str().try_into().unwrap(),
            source: source(),
            schedule_delivery_time: time(schedule),
            registered_delivery: RegisteredDelivery::RECEIPT,
            short_message: ShortMessage::new(&b"other"[..]).unwrap(),
            ..ReplaceSm::default()
        };
        assert_eq!(esme.ask(replace).await.0, CommandStatus::ESME_ROK);
    }
    assert_eq!(receipt(&mut esme, begun).await, (sooner, "DELIVERED".to_owned(), 20));
    let cancel = CancelSm { message_id: gone.as_str().try_into().unwrap(), source: source(), ..CancelSm::default() };
    assert_eq!(esme.ask(cancel).await.0, CommandStatus::ESME_ROK);
    assert_eq!(receipt(&mut esme, begun).await, (gone, "DELETED".to_owned(), 20));
    assert_eq!(receipt(&mut esme, begun).await, (later, "DELIVERED".to_owned(), 7210));
}

#[tokio::test(start_paused = true)]
async fn a_message_replaces_those_of_its_service_between_its_addresses() {
    let simulator = smsc().await;
    let mut esme = Esme::attached(&simulator).await;
    let begun = tokio::time::Instant::now();
    let of = |service_type: &str, replace_if_present_flag| SubmitSm {
        service_type: service_type.try_into().unwrap(),
        replace_if_present_flag,
        ..message("x")
    };
    let (_, first) = esme.submit(of("WX", 0)).await;
    let (_, other) = esme.submit(of("CMT", 0)).await;
    let (_, second) = esme.submit(of("WX", 1)).await;
    let delivered = |id| (id, "DELIVERED".to_owned(), 10);
    assert_eq!(receipt(&mut esme, begun).await, (first, "DELETED".to_owned(), 0));
    assert_eq!(receipt(&mut esme, begun).await, delivered(other));
    assert_eq!(receipt(&mut esme, begun).await, delivered(second));
}

#[tokio::test(start_paused = true)]
async fn a_submit_multi_names_the_destinations_that_it_does_not_reach() {
    let simulator = smsc().await;
    let mut esme = Esme::attached(&simulator).await;
    let address = |digits| Destination::Address(Address::detected(digits).unwrap());
    let multi = |destinations| SubmitMulti {
        source: source(),
        destinations: Destinations(destinations),
        registered_delivery: RegisteredDelivery::RECEIPT,
        ..SubmitMulti::default()
    };
    let nobody = || Destination::Address(Address::default());
    let (status, Pdu::SubmitMultiResp(answer)) = esme.ask(multi(vec![nobody(), address("27820001001")])).await else {
        panic!()
    };
    assert_eq!((status, answer.unsuccess.0.len()), (CommandStatus::ESME_ROK, 1));
    assert_eq!(answer.unsuccess.0[0].error_status_code, CommandStatus::ESME_RINVDSTADR.0);
    assert_eq!(esme.ask(multi(vec![nobody()])).await.0, CommandStatus::ESME_RINVDSTADR);
    assert_eq!(esme.delivery(CommandStatus::ESME_ROK).await.source.digits.to_text(), "27820001001");
}

#[tokio::test(start_paused = true)]
async fn broadcasts_and_data_sm_are_answered() {
    let simulator = smsc().await;
    let mut esme = Esme::attached(&simulator).await;
    let begun = tokio::time::Instant::now();
    let registered_delivery = RegisteredDelivery::RECEIPT;
    let mut data = DataSm { source: source(), destination: source(), registered_delivery, ..DataSm::default() };
    data.tlvs.push(Tag::MESSAGE_PAYLOAD, b"hello");
    data.tlvs.push_integer(Tag::QOS_TIME_TO_LIVE, 5);
    let (status, Pdu::DataSmResp(answer)) = esme.ask(data).await else { panic!() };
    assert_eq!(status, CommandStatus::ESME_ROK);
    assert_eq!(receipt(&mut esme, begun).await, (answer.message_id.to_text(), "EXPIRED".to_owned(), 5));
    let mut broadcast = BroadcastSm { source: source(), ..BroadcastSm::default() };
    broadcast.tlvs.push(Tag::MESSAGE_PAYLOAD, b"flood");
    let (status, Pdu::BroadcastSmResp(answer)) = esme.ask(broadcast).await else { panic!() };
    assert_eq!(status, CommandStatus::ESME_ROK);
    let query =
        QueryBroadcastSm { message_id: answer.message_id.clone(), source: source(), ..QueryBroadcastSm::default() };
    let (_, Pdu::QueryBroadcastSmResp(standing)) = esme.ask(query.clone()).await else { panic!() };
    assert_eq!(standing.tlvs.integer(Tag::MESSAGE_STATE), Some(u32::from(MessageState::ENROUTE.0)));
    let cancel = CancelBroadcastSm { message_id: answer.message_id, source: source(), ..CancelBroadcastSm::default() };
    assert_eq!(esme.ask(cancel.clone()).await.0, CommandStatus::ESME_ROK);
    let (_, Pdu::QueryBroadcastSmResp(standing)) = esme.ask(query).await else { panic!() };
    assert_eq!(standing.tlvs.integer(Tag::MESSAGE_STATE), Some(u32::from(MessageState::DELETED.0)));
    assert_eq!(esme.ask(cancel).await.0, CommandStatus::ESME_RBCASTCANCELFAIL);
}
