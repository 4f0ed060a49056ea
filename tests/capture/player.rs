//! Both sides of a recording played against each other, in virtual time: no socket, no clock.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use maybug::capture::Conversation;
use maybug::replay::net::{Options, session_config};
use maybug::replay::{Difference, Ids, Pace, Plan, Player, Summary, What};
use smpp::pdu::{Bind, DeliverSmResp, QuerySm, QuerySmResp};
use smpp::session::{CloseReason, Role};
use smpp::testing::{End, Link, Pair};
use smpp::{CommandId, CommandStatus, Pdu};

use crate::support::{Script, answer, from_phone, receipt, submit};

/// What came of playing one recording as the ESME against another as the SMSC.
struct Played {
    esme: Summary,
    smsc: Summary,
    differences: Vec<Difference>,
    took: Duration,
    /// What happened, as far as the ends' events show it.
    transcript: Vec<String>,
    closed: Option<CloseReason>,
}

const PATIENCE: Duration = Duration::from_secs(5);

fn play(esme: &Conversation, smsc: &Conversation, pace: Pace) -> Played {
    let plan = |conversation: &Conversation, role| {
        let ids = Ids::of(std::slice::from_ref(conversation));
        (Plan::new(conversation, 1, role, &ids), Arc::new(Mutex::new(ids)))
    };
    let ((esme_plan, esme_ids), (smsc_plan, smsc_ids)) = (plan(esme, Role::Esme), plan(smsc, Role::Smsc));
    let options = Options { pace, window: None, patience: PATIENCE };
    let (mode, bind): (_, Bind) = (esme_plan.mode, esme_plan.bind.clone());
    let mut pair: Pair<usize> =
        Pair::new(session_config(&esme_plan, &options), session_config(&smsc_plan, &options), Link::default());
    let begun = pair.now;
    let mut esme = Player::new(esme_plan, pace, PATIENCE, esme_ids, begun);
    let mut smsc = Player::new(smsc_plan, pace, PATIENCE, smsc_ids, begun);
    pair.esme.bind(begun, mode, bind).unwrap();
    let mut transcript = Vec::new();
    let mut differences = Vec::new();
    for _ in 0..100_000 {
        esme.drive(pair.now, &mut pair.esme);
        smsc.drive(pair.now, &mut pair.smsc);
        differences.extend(std::iter::from_fn(|| esme.difference()));
        differences.extend(std::iter::from_fn(|| smsc.difference()));
        if esme.closed().is_some() && smsc.closed().is_some() {
            let (took, closed) = (pair.now - begun, esme.closed());
            return Played { esme: esme.summary(), smsc: smsc.summary(), differences, took, transcript, closed };
        }
        // A player that is due before the link is wakes first.
        let wake = esme.wake().into_iter().chain(smsc.wake()).min();
        let Some(events) = pair.step_until(wake) else { panic!("nothing will ever happen again: {transcript:#?}") };
        for (end, event) in events {
            transcript.push(format!("{:?} {end:?} {event:?}", pair.now - begun));
            let now = pair.now;
            match end {
                End::Esme => esme.handle(now, &mut pair.esme, event),
                End::Smsc => smsc.handle(now, &mut pair.smsc, event),
            }
        }
    }
    panic!("it never ended");
}

/// Two messages with receipts, one message from a phone, one query; ids in two bases.
fn recording() -> Script {
    let mut script = Script::bound();
    script.wait(Duration::from_secs(1));
    script.taken(2, submit("27820001001", "one"), "38601fa");
    script.wait(Duration::from_secs(2));
    script.taken(3, submit("27820001002", "two"), "38601fb");
    let query = QuerySm { message_id: "38601fa".try_into().unwrap(), ..QuerySm::default() };
    script.esme(4, query.into());
    let state = QuerySmResp { message_id: "38601fa".try_into().unwrap(), ..QuerySmResp::default() };
    script.smsc(4, CommandStatus::ESME_ROK, state.into());
    script.wait(Duration::from_secs(10));
    for (sequence, (from, id)) in (1..).zip([("27820001001", "0059113978"), ("27820001002", "0059113979")]) {
        script.smsc(sequence, CommandStatus::ESME_ROK, receipt(from, id, "x").into());
        script.esme(sequence, DeliverSmResp::default().into());
    }
    script.smsc(3, CommandStatus::ESME_ROK, from_phone("27820001001", "hello").into());
    script.esme(3, DeliverSmResp::default().into());
    script
}

#[test]
fn a_recording_against_itself_differs_in_nothing_at_any_pace() {
    let recording = recording().conversation;
    for (pace, least, most) in [(Pace::Scaled(1.0), 13, 14), (Pace::Scaled(10.0), 1, 2), (Pace::Max, 0, 1)] {
        let played = play(&recording, &recording, pace);
        assert_eq!(played.differences, [], "{pace:?}");
        assert_eq!((played.esme.sent, played.esme.answered, played.smsc.sent, played.smsc.answered), (3, 3, 3, 3));
        assert_eq!((played.esme.recognised, played.smsc.recognised), (3, 3), "{pace:?}");
        let took = played.took.as_secs();
        assert!((least..most).contains(&took), "{pace:?} took {took} s");
        assert_eq!(played.closed, Some(CloseReason::Unbound));
        assert_eq!(play(&recording, &recording, pace).transcript, played.transcript);
    }
}

#[test]
fn every_answer_that_differs_is_told_with_both() {
    let mut other = Script::bound();
    other.esme(2, submit("27820001001", "one").into());
    other.smsc(2, CommandStatus::ESME_RTHROTTLED, answer(""));
    other.esme(3, submit("27820001002", "two").into());
    let mut recorded = Script::bound();
    recorded.taken(2, submit("27820001001", "one"), "a");
    recorded.taken(3, submit("27820001002", "two"), "b");
    let query = QuerySm { message_id: "a".try_into().unwrap(), ..QuerySm::default() };
    recorded.esme(4, query.into());
    recorded.smsc(4, CommandStatus::ESME_ROK, QuerySmResp::default().into());
    let played = play(&recorded.conversation, &other.conversation, Pace::Max);
    let found: Vec<_> = played.differences.iter().map(|found| (found.number, found.request)).collect();
    let (submit, query) = (CommandId::SUBMIT_SM, CommandId::QUERY_SM);
    assert_eq!(found, [(3, submit), (5, submit), (7, query)]);
    let [throttled, missing, never_asked] = &played.differences[..] else { panic!() };
    let status = |answer: &Option<maybug::replay::Answer>| answer.as_ref().map(|answer| answer.status);
    assert_eq!(
        (status(&throttled.recorded), status(&throttled.live)),
        (Some(CommandStatus::ESME_ROK), Some(CommandStatus::ESME_RTHROTTLED))
    );
    assert!(matches!(&never_asked.what, What::NotSent(why) if why.contains("was not taken")));
    assert_eq!(missing.what, What::Missing);
    assert_eq!((played.esme.differences, played.smsc.differences), (3, 0));
}

#[test]
fn requests_are_answered_by_content_then_in_turn_and_what_is_unknown_is_taken() {
    let mut recorded = Script::bound();
    for (sequence, (text, id)) in (2..).zip([("one", "1"), ("two", "2"), ("three", "3")]) {
        recorded.taken(sequence, submit("27820001001", text), id);
    }
    let mut live = Script::bound();
    for (sequence, (text, id)) in (2..).zip([("three", "3"), ("new", "1"), ("two", "2"), ("more", "unrecorded-1")]) {
        live.taken(sequence, submit("27820001001", text), id);
    }
    let played = play(&live.conversation, &recorded.conversation, Pace::Max);
    assert_eq!(played.differences, []);
    assert_eq!((played.smsc.recognised, played.smsc.in_turn, played.smsc.unrecorded), (2, 1, 1));
    let ids = ["\"3\"", "\"1\"", "\"2\"", "\"unrecorded-1\""];
    let answers: Vec<&String> = played.transcript.iter().filter(|line| line.contains("SubmitSmResp(")).collect();
    assert_eq!(answers.len(), 4);
    for (line, id) in answers.iter().zip(ids) {
        assert!(line.contains(&format!("message_id: {id}")), "{line}");
    }
}

#[test]
fn a_receipt_waits_for_its_message_and_is_given_up_after_patience() {
    let recording = recording().conversation;
    // An ESME that submits the second message only.
    let mut live = Script::bound();
    live.taken(2, submit("27820001002", "two"), "38601fb");
    let played = play(&live.conversation, &recording, Pace::Max);
    let found: Vec<_> = played.differences.iter().map(|found| (found.request, &found.what)).collect();
    let [(CommandId::DELIVER_SM, What::NotSent(why))] = &found[..] else { panic!("{found:?}") };
    assert!(why.contains("never submitted"), "{why}");
    assert_eq!(played.smsc.sent, 2);
}

#[test]
fn without_a_bind_in_it_a_recording_binds_for_what_it_has() {
    let mut script = Script::unbound();
    script.smsc(9, CommandStatus::ESME_ROK, from_phone("27820001001", "hello").into());
    script.esme(9, DeliverSmResp::default().into());
    let played = play(&script.conversation, &script.conversation, Pace::Scaled(1.0));
    assert_eq!((played.differences, played.smsc.sent), (vec![], 1));
    let refused = |status| {
        let mut script = Script::unbound();
        script.esme(1, Pdu::Bind(smpp::BindMode::Transceiver, Bind::default()));
        script.smsc(1, status, Pdu::BindResp(smpp::BindMode::Transceiver, Default::default()));
        script.conversation
    };
    let wrong_password = refused(CommandStatus::ESME_RINVPASWD);
    let played = play_refused(&wrong_password, &wrong_password);
    assert_eq!(played, []);
    let [difference] = &play_refused(&wrong_password, &refused(CommandStatus::ESME_RINVSYSID))[..] else { panic!() };
    assert_eq!(difference.request, CommandId::BIND_TRANSCEIVER);
}

/// What the ESME finds where the bind is refused.
fn play_refused(esme: &Conversation, smsc: &Conversation) -> Vec<Difference> {
    let ids = Ids::default();
    let plan = Plan::new(esme, 1, Role::Esme, &ids);
    let mut pair: Pair<usize> = Pair::new(Default::default(), Default::default(), Link::default());
    let now = pair.now;
    let smsc_plan = Plan::new(smsc, 1, Role::Smsc, &ids);
    let ids = Arc::new(Mutex::new(ids));
    let mut player = Player::new(plan, Pace::Max, PATIENCE, ids.clone(), now);
    let mut smsc = Player::new(smsc_plan, Pace::Max, PATIENCE, ids, now);
    pair.esme.bind(now, smpp::BindMode::Transceiver, Bind::default()).unwrap();
    while player.closed().is_none() {
        for (end, event) in pair.step().unwrap() {
            let now = pair.now;
            match end {
                End::Esme => player.handle(now, &mut pair.esme, event),
                End::Smsc => smsc.handle(now, &mut pair.smsc, event),
            }
        }
    }
    std::iter::from_fn(|| player.difference()).collect()
}
