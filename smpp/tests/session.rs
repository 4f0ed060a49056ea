//! Sessions under virtual time: binding, answering, timers, ends. Numbers are those of the field guide's corner cases.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use smpp::pdu::{
    Bind, BindMode, BindResp, DeliverSm, DeliverSmResp, EnquireLinkResp, GenericNack, SubmitSm, SubmitSmResp,
};
use smpp::session::{CloseReason, Event, PaceConfig, Ready, Refusal, Role, SendError, Session, SessionConfig, State};
use smpp::testing::{End, Link, Pair};
use smpp::{CommandId, CommandStatus, Pdu, RawPdu, SequenceNumber};

fn window(size: usize) -> SessionConfig {
    SessionConfig { window: NonZeroUsize::new(size).unwrap(), ..SessionConfig::default() }
}

fn pair(esme: SessionConfig) -> Pair<u32> {
    Pair::new(esme, SessionConfig::default(), Link::default())
}

/// Binds a pair.
fn bind<T>(pair: &mut Pair<T>, mode: BindMode) {
    let now = pair.now;
    pair.esme.bind(now, mode, Bind::default()).unwrap();
    let sequence = pair.until(|_, event| match event {
        Event::BindRequest { sequence, .. } => Some(sequence),
        _ => None,
    });
    let now = pair.now;
    let answer = Pdu::BindResp(mode, BindResp::default());
    pair.smsc.respond(now, sequence, CommandStatus::ESME_ROK, &answer).unwrap();
    pair.until(|end, event| (end == End::Esme && matches!(event, Event::Bound { .. })).then_some(()));
}

fn submit() -> Pdu {
    SubmitSm::default().into()
}

fn raw(pdu: &Pdu, status: CommandStatus, sequence: u32) -> RawPdu {
    pdu.to_raw(status, SequenceNumber(sequence))
}

/// An ESME that a hand-made peer has bound; its bind had sequence number 1.
fn bound(config: SessionConfig) -> (Session<u32>, Instant) {
    let now = Instant::now();
    let mut session = Session::new(config, now);
    session.bind(now, BindMode::Transceiver, Bind::default()).unwrap();
    let answer = Pdu::BindResp(BindMode::Transceiver, BindResp::default());
    session.handle_pdu(now, raw(&answer, CommandStatus::ESME_ROK, 1));
    assert!(matches!(session.poll_event(), Some(Event::Bound { .. })));
    session.poll_transmit();
    (session, now)
}

fn sent(session: &mut Session<u32>) -> Vec<RawPdu> {
    let mut octets = BytesMut::new();
    while let Some(more) = session.poll_transmit() {
        octets.extend_from_slice(&more);
    }
    std::iter::from_fn(|| RawPdu::split(&mut octets, 70_000).unwrap()).collect()
}

#[test]
fn every_mode_binds_and_carries_messages_its_way() {
    for (mode, esme_sends, smsc_sends) in
        [(BindMode::Transmitter, true, false), (BindMode::Receiver, false, true), (BindMode::Transceiver, true, true)]
    {
        let mut pair = pair(SessionConfig::default());
        bind(&mut pair, mode);
        let now = pair.now;
        assert_eq!(pair.esme.request(now, &submit(), 1).is_ok(), esme_sends, "{mode:?}");
        assert_eq!(pair.smsc.request(now, &DeliverSm::default().into(), 2).is_ok(), smsc_sends, "{mode:?}");
        assert_eq!(pair.esme.ready(now) == Ready::NotBound, !esme_sends);
    }
}

#[test]
fn a_refused_bind_ends_with_its_reason() {
    let mut pair = pair(SessionConfig::default());
    let now = pair.now;
    pair.esme.bind(now, BindMode::Transceiver, Bind::default()).unwrap();
    let sequence =
        pair.until(|_, event| if let Event::BindRequest { sequence, .. } = event { Some(sequence) } else { None });
    let now = pair.now;
    let refusal = Pdu::NoBody(CommandId::BIND_TRANSCEIVER_RESP);
    pair.smsc.respond(now, sequence, CommandStatus::ESME_RINVPASWD, &refusal).unwrap();
    let why = pair.until(|end, event| match event {
        Event::Closed { why, .. } if end == End::Esme => Some(why),
        _ => None,
    });
    assert_eq!(why, CloseReason::BindRefused(CommandStatus::ESME_RINVPASWD));
    assert_eq!(pair.smsc.state(), State::Open, "the ESME may try again on the same connection");
}

/// Field guide 8.5 #65.
#[test]
fn a_bind_that_nobody_answers_times_out_on_both_ends() {
    let mut pair = pair(SessionConfig::default());
    let begun = pair.now;
    pair.esme.bind(begun, BindMode::Transceiver, Bind::default()).unwrap();
    let why = pair.until(|end, event| match event {
        Event::Closed { why, .. } if end == End::Esme => Some(why),
        _ => None,
    });
    assert_eq!((why, pair.now - begun), (CloseReason::BindTimeout, Duration::from_secs(30)));
}

#[test]
fn a_bind_answered_by_another_binds_response_ends() {
    let now = Instant::now();
    let mut session: Session<u32> = Session::new(SessionConfig::default(), now);
    session.bind(now, BindMode::Transceiver, Bind::default()).unwrap();
    let answer = Pdu::BindResp(BindMode::Receiver, BindResp::default());
    session.handle_pdu(now, raw(&answer, CommandStatus::ESME_ROK, 1));
    assert!(matches!(session.poll_event(), Some(Event::Closed { why: CloseReason::BindMismatch, .. })));
}

/// Field guide 8.5 #69.
#[test]
fn a_delivery_before_the_bind_is_refused() {
    let now = Instant::now();
    let mut session: Session<u32> = Session::new(SessionConfig::default(), now);
    session.handle_pdu(now, raw(&DeliverSm::default().into(), CommandStatus::ESME_ROK, 9));
    let answers = sent(&mut session);
    assert_eq!((answers[0].id, answers[0].status), (CommandId::DELIVER_SM_RESP, CommandStatus::ESME_RINVBNDSTS));
    assert!(matches!(session.poll_event(), Some(Event::Refused { why: Refusal::WrongState, .. })));
}

/// Field guide 8.2 #25.
#[test]
fn answers_in_any_order_find_their_request() {
    let (mut session, now) = bound(window(3));
    for token in 0..3 {
        session.request(now, &submit(), token).unwrap();
    }
    assert_eq!(session.ready(now), Ready::WindowFull);
    assert_eq!(session.request(now, &submit(), 9), Err(SendError::WindowFull));
    for (sequence, expected) in [(3, 1), (4, 2), (2, 0)] {
        session.handle_pdu(now, raw(&SubmitSmResp::default().into(), CommandStatus::ESME_ROK, sequence));
        let Some(Event::Response { token, .. }) = session.poll_event() else { panic!() };
        assert_eq!(token, expected);
    }
    assert_eq!(session.ready(now), Ready::Now(3));
}

/// Field guide 8.2 #20, #22, #26.
#[test]
fn answers_to_nothing_are_strays() {
    let (mut session, now) = bound(SessionConfig::default());
    session.request(now, &submit(), 1).unwrap();
    for (sequence, stray) in [(77, true), (2, false), (2, true)] {
        session.handle_pdu(now, raw(&SubmitSmResp::default().into(), CommandStatus::ESME_ROK, sequence));
        assert_eq!(matches!(session.poll_event(), Some(Event::Stray { .. })), stray, "{sequence}");
    }
    assert_eq!(session.state(), State::Bound(BindMode::Transceiver));
}

/// Field guide 8.2 #21.
#[test]
fn an_answer_of_another_kind_leaves_the_fate_unknown() {
    let (mut session, now) = bound(SessionConfig::default());
    session.request(now, &submit(), 5).unwrap();
    session.handle_pdu(now, raw(&EnquireLinkResp::default().into(), CommandStatus::ESME_ROK, 2));
    assert!(matches!(session.poll_event(), Some(Event::Expired { token: 5 })));
    assert!(matches!(session.poll_event(), Some(Event::Stray { .. })));
}

/// Field guide 8.2 #27 to #30.
#[test]
fn generic_nack_completes_what_it_names() {
    let (mut session, now) = bound(SessionConfig::default());
    session.request(now, &submit(), 5).unwrap();
    session.handle_pdu(now, raw(&GenericNack::default().into(), CommandStatus::ESME_RINVCMDID, 0));
    assert!(matches!(session.poll_event(), Some(Event::Stray { .. })), "zero names nothing");
    session.handle_pdu(now, raw(&GenericNack::default().into(), CommandStatus::ESME_RTHROTTLED, 2));
    let Some(Event::Response { token: 5, status, .. }) = session.poll_event() else { panic!() };
    assert_eq!(status, CommandStatus::ESME_RTHROTTLED);
    assert_eq!(session.ready(now), Ready::At(now + Duration::from_millis(100)), "it throttles like any answer");
}

/// Field guide 8.3 #31 to #35.
#[test]
fn answers_without_bodies_are_judged_by_their_status() {
    for status in [CommandStatus::ESME_ROK, CommandStatus::ESME_RSUBMITFAIL] {
        let (mut session, now) = bound(SessionConfig::default());
        session.request(now, &submit(), 5).unwrap();
        let bare = RawPdu { id: CommandId::SUBMIT_SM_RESP, status, sequence: SequenceNumber(2), body: Bytes::new() };
        session.handle_pdu(now, bare);
        let Some(Event::Response { status: told, pdu, .. }) = session.poll_event() else { panic!() };
        assert_eq!((told, pdu), (status, Pdu::NoBody(CommandId::SUBMIT_SM_RESP)));
    }
}

#[test]
fn an_unanswered_request_expires_and_frees_its_place() {
    let (mut session, now) = bound(window(1));
    session.request(now, &submit(), 5).unwrap();
    let later = session.poll_timeout().unwrap();
    session.handle_timeout(later);
    // The link is asked after first; the request's own time is a minute.
    let end = now + Duration::from_secs(60);
    session.handle_timeout(end);
    let events: Vec<_> = std::iter::from_fn(|| session.poll_event()).collect();
    assert!(events.contains(&Event::Expired { token: 5 }), "{events:?}");
    assert_eq!(session.ready(end), Ready::Now(1));
}

#[test]
fn the_link_is_asked_after_silence_and_given_up_when_it_stays_silent() {
    let config = SessionConfig { response_timeout: Duration::from_secs(10), ..SessionConfig::default() };
    let (mut session, now) = bound(config);
    assert_eq!(session.poll_timeout(), Some(now + Duration::from_secs(55)));
    session.handle_timeout(now + Duration::from_secs(55));
    assert_eq!(sent(&mut session)[0].id, CommandId::ENQUIRE_LINK);
    session.handle_timeout(now + Duration::from_secs(65));
    assert!(matches!(session.poll_event(), Some(Event::Closed { why: CloseReason::Silent, .. })));
}

#[test]
fn a_silent_link_is_given_up_however_late_a_response_may_come() {
    let config = SessionConfig {
        response_timeout: Duration::from_secs(1_000_000),
        enquire_link_timeout: Some(Duration::from_secs(10)),
        ..SessionConfig::default()
    };
    let (mut session, now) = bound(config);
    session.handle_timeout(now + Duration::from_secs(55));
    assert_eq!(session.poll_timeout(), Some(now + Duration::from_secs(65)));
    session.handle_timeout(now + Duration::from_secs(65));
    assert!(matches!(session.poll_event(), Some(Event::Closed { why: CloseReason::Silent, .. })));
}

/// Field guide 8.5 #70.
#[test]
fn a_peer_that_sends_but_never_answers_enquire_link_stays_up() {
    let config = SessionConfig { response_timeout: Duration::from_secs(10), ..SessionConfig::default() };
    let (mut session, now) = bound(config);
    for second in 1..200 {
        let at = now + Duration::from_secs(second * 9);
        session.handle_pdu(at, raw(&DeliverSm::default().into(), CommandStatus::ESME_ROK, 1));
        session.handle_timeout(at);
        let Some(Event::Request { sequence, .. }) = session.poll_event() else { panic!() };
        session.respond(at, sequence, CommandStatus::ESME_ROK, &DeliverSmResp::default().into()).unwrap();
    }
    assert_eq!(session.state(), State::Bound(BindMode::Transceiver));
}

/// Field guide 8.5 #68.
#[test]
fn enquire_link_is_answered_in_every_state() {
    let now = Instant::now();
    let mut session: Session<u32> = Session::new(SessionConfig::default(), now);
    for sequence in [0, 0xffff_ffff] {
        let ask = RawPdu {
            id: CommandId::ENQUIRE_LINK,
            status: CommandStatus(7),
            sequence: SequenceNumber(sequence),
            body: Bytes::from_static(&[1, 2]),
        };
        session.handle_pdu(now, ask);
        assert_eq!(sent(&mut session)[0], raw(&EnquireLinkResp::default().into(), CommandStatus::ESME_ROK, sequence));
    }
}

#[test]
fn idle_sessions_unbind_when_told_to() {
    let config = SessionConfig { inactivity_timeout: Some(Duration::from_secs(20)), ..SessionConfig::default() };
    let mut pair = pair(config);
    bind(&mut pair, BindMode::Transceiver);
    let begun = pair.now;
    let why = pair.until(|end, event| match event {
        Event::Closed { why, .. } if end == End::Esme => Some(why),
        _ => None,
    });
    assert_eq!(why, CloseReason::Unbound);
    assert!(pair.now - begun >= Duration::from_secs(19));
}

#[test]
fn unbinding_waits_for_answers_and_sends_nothing_new() {
    let mut pair = pair(SessionConfig::default());
    bind(&mut pair, BindMode::Transceiver);
    let now = pair.now;
    pair.esme.request(now, &submit(), 1).unwrap();
    pair.esme.unbind(now);
    pair.esme.unbind(now);
    assert!(matches!(pair.esme.request(now, &submit(), 2), Err(SendError::WrongState(_))));
    let sequence =
        pair.until(|_, event| if let Event::Request { sequence, .. } = event { Some(sequence) } else { None });
    let now = pair.now;
    pair.smsc.respond(now, sequence, CommandStatus::ESME_ROK, &SubmitSmResp::default().into()).unwrap();
    let (mut answered, mut ends) = (false, Vec::new());
    pair.until(|end, event| {
        answered |= matches!(event, Event::Response { token: 1, .. });
        if let Event::Closed { why, outstanding } = event {
            assert!(outstanding.is_empty());
            ends.push((end, why));
        }
        (ends.len() == 2).then_some(())
    });
    assert!(
        answered
            && ends.contains(&(End::Esme, CloseReason::Unbound))
            && ends.contains(&(End::Smsc, CloseReason::PeerUnbound))
    );
}

/// Field guide 2.1: until the peer has agreed to the end it may deliver, and is answered.
#[test]
fn what_is_delivered_while_we_unbind_is_answered_as_ever() {
    let (mut session, now) = bound(SessionConfig::default());
    session.request(now, &submit(), 1).unwrap();
    session.unbind(now);
    sent(&mut session);
    let deliver = raw(&DeliverSm::default().into(), CommandStatus::ESME_ROK, 50);
    session.handle_pdu(now, deliver.clone());
    let Some(Event::Request { sequence, .. }) = session.poll_event() else { panic!("it was refused") };
    session.handle_pdu(now, raw(&SubmitSmResp::default().into(), CommandStatus::ESME_ROK, 2));
    assert_eq!(sent(&mut session), [], "the answer that we owe comes before the unbind");
    session.respond(now, sequence, CommandStatus::ESME_ROK, &DeliverSmResp::default().into()).unwrap();
    assert_eq!(
        sent(&mut session).iter().map(|raw| raw.id).collect::<Vec<_>>(),
        [CommandId::DELIVER_SM_RESP, CommandId::UNBIND]
    );
    // Also after that, but not once the peer unbinds, too.
    assert!(matches!(session.poll_event(), Some(Event::Response { .. })));
    session.handle_pdu(now, deliver.clone());
    assert!(matches!(session.poll_event(), Some(Event::Request { .. })));
    session.handle_pdu(now, raw(&smpp::pdu::Unbind::default().into(), CommandStatus::ESME_ROK, 51));
    session.handle_pdu(now, deliver);
    assert_eq!(session.poll_event(), Some(Event::PeerUnbinding));
    assert!(matches!(session.poll_event(), Some(Event::Refused { why: Refusal::WrongState, .. })));
}

/// Field guide 8.5 #72.
#[test]
fn a_peer_that_unbinds_with_our_window_full_gets_its_answer_and_time_is_left_for_ours() {
    let (mut session, now) = bound(SessionConfig::default());
    session.request(now, &submit(), 1).unwrap();
    session.request(now, &submit(), 2).unwrap();
    sent(&mut session);
    session.handle_pdu(now, raw(&smpp::pdu::Unbind::default().into(), CommandStatus::ESME_ROK, 50));
    assert_eq!(sent(&mut session)[0].id, CommandId::UNBIND_RESP);
    assert_eq!(session.poll_event(), Some(Event::PeerUnbinding));
    session.handle_pdu(now, raw(&SubmitSmResp::default().into(), CommandStatus::ESME_ROK, 2));
    assert!(matches!(session.poll_event(), Some(Event::Response { token: 1, .. })));
    session.handle_timeout(now + Duration::from_secs(5));
    assert_eq!(session.poll_event(), Some(Event::Closed { why: CloseReason::PeerUnbound, outstanding: vec![2] }));
}

/// Field guide 8.5 #73, #74.
#[test]
fn an_unbind_ends_by_time_or_by_the_streams_end() {
    let (mut session, now) = bound(SessionConfig::default());
    session.unbind(now);
    session.handle_timeout(now + Duration::from_secs(5));
    assert!(matches!(session.poll_event(), Some(Event::Closed { why: CloseReason::UnbindTimeout, .. })));
    let (mut session, now) = bound(SessionConfig::default());
    session.unbind(now);
    session.handle_close();
    assert!(matches!(session.poll_event(), Some(Event::Closed { why: CloseReason::Unbound, .. })));
}

/// Field guide 8.5 #76.
#[test]
fn a_lost_connection_hands_back_what_was_outstanding_in_order() {
    let mut pair = pair(SessionConfig::default());
    bind(&mut pair, BindMode::Transceiver);
    let now = pair.now;
    for token in 0..5 {
        pair.esme.request(now, &submit(), token).unwrap();
    }
    pair.cut();
    let handed_back = pair.until(|end, event| match event {
        Event::Closed { why: CloseReason::ConnectionLost, outstanding } if end == End::Esme => Some(outstanding),
        _ => None,
    });
    assert_eq!(handed_back, [0, 1, 2, 3, 4]);
}

/// Field guide 8.2 #19.
#[test]
fn numbers_wrap_to_one_and_pass_over_those_in_use() {
    let now = Instant::now();
    let last = SequenceNumber(0x7fff_fffe);
    let mut session: Session<u32> = Session::new(window(10), now).with_next_sequence(last);
    session.bind(now, BindMode::Transceiver, Bind::default()).unwrap();
    let answer = Pdu::BindResp(BindMode::Transceiver, BindResp::default());
    session.handle_pdu(now, answer.to_raw(CommandStatus::ESME_ROK, last));
    let numbers: Vec<u32> = (0..3).map(|token| session.request(now, &submit(), token).unwrap().0).collect();
    assert_eq!(numbers, [0x7fff_ffff, 1, 2]);
}

#[test]
fn requests_that_the_caller_does_not_answer_have_a_bound() {
    let config = SessionConfig { max_unanswered: NonZeroUsize::new(2).unwrap(), ..SessionConfig::default() };
    let (mut session, now) = bound(config);
    for sequence in 0..3 {
        session.handle_pdu(now, raw(&DeliverSm::default().into(), CommandStatus::ESME_ROK, sequence));
    }
    assert_eq!(sent(&mut session)[0].status, CommandStatus::ESME_RTHROTTLED);
    let events: Vec<_> = std::iter::from_fn(|| session.poll_event()).collect();
    assert!(matches!(events[2], Event::Refused { why: Refusal::TooMany, .. }));
    session.respond(now, SequenceNumber(0), CommandStatus::ESME_ROK, &DeliverSmResp::default().into()).unwrap();
    session.handle_pdu(now, raw(&DeliverSm::default().into(), CommandStatus::ESME_ROK, 4));
    assert!(matches!(session.poll_event(), Some(Event::Request { .. })));
}

#[test]
fn lost_framing_is_told_to_the_peer_and_ends() {
    let mut pair = pair(SessionConfig::default());
    bind(&mut pair, BindMode::Transceiver);
    pair.inject(End::Smsc, b"HTTP/1.1 400 Bad Request");
    let why = pair.until(|end, event| match event {
        Event::Closed { why, .. } if end == End::Smsc => Some(why),
        _ => None,
    });
    assert!(matches!(why, CloseReason::Framing(_)));
    let nack = pair.until(|end, event| match event {
        Event::Stray { raw } if end == End::Esme => Some(raw),
        _ => None,
    });
    assert_eq!((nack.id, nack.status, nack.sequence.0), (CommandId::GENERIC_NACK, CommandStatus::ESME_RINVCMDLEN, 0));
}

/// Field guide 8.5 #79.
#[test]
fn the_pace_holds_although_answers_come_at_once() {
    let pace = PaceConfig { rate: Some(2.0), ..PaceConfig::default() };
    let (mut session, start) = bound(SessionConfig { pace, ..SessionConfig::default() });
    let mut now = start;
    let mut times = Vec::new();
    while times.len() < 3 {
        match session.ready(now) {
            Ready::Now(_) => {
                let sequence = session.request(now, &submit(), 0).unwrap();
                session.handle_pdu(now, raw(&SubmitSmResp::default().into(), CommandStatus::ESME_ROK, sequence.0));
                times.push(now - start);
            }
            Ready::At(at) => now = at,
            other => panic!("{other:?}"),
        }
    }
    assert!(times[2] >= Duration::from_millis(999), "{times:?}");
}

#[test]
fn configurations_that_make_no_sense_are_named() {
    let bad = SessionConfig { response_timeout: Duration::ZERO, ..SessionConfig::default() };
    assert_eq!(bad.check().unwrap_err().to_string(), "response_timeout must be longer than zero");
    let pace = PaceConfig { rate: Some(f64::NAN), ..PaceConfig::default() };
    assert!(SessionConfig { pace, role: Role::Smsc, ..SessionConfig::default() }.check().is_err());
}
