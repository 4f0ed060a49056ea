//! Random operations on both ends of a link that delays, splits and is cut: every request ends exactly once, windows
//! are never exceeded, nothing hangs.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use proptest::prelude::*;
use smpp::pdu::{Bind, BindMode, BindResp, DeliverSm, SubmitSm};
use smpp::session::{Event, SessionConfig, State, answer_to};
use smpp::testing::{End, Link, Pair};
use smpp::{CommandStatus, Pdu};

#[derive(Clone, Debug)]
enum Operation {
    Send(End),
    Step(u8),
    Unbind(End),
    Cut,
    Garbage(End, Vec<u8>),
}

fn end() -> impl Strategy<Value = End> {
    prop::sample::select(&[End::Esme, End::Smsc][..])
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        20 => end().prop_map(Operation::Send),
        20 => (1_u8..8).prop_map(Operation::Step),
        1 => end().prop_map(Operation::Unbind),
        1 => Just(Operation::Cut),
        1 => (end(), prop::collection::vec(any::<u8>(), 1..40)).prop_map(|(end, octets)| Operation::Garbage(end, octets)),
    ]
}

/// What one end does with its requests: a token per request, an end per token.
#[derive(Default)]
struct Ledger {
    sent: u32,
    ended: BTreeMap<u32, u32>,
}

fn handle(pair: &mut Pair<u32>, ledgers: &mut [Ledger; 2], mood: &mut u32) -> bool {
    let Some(events) = pair.step() else { return false };
    for (end, event) in events {
        let ledger = &mut ledgers[usize::from(end == End::Smsc)];
        let now = pair.now;
        match event {
            Event::BindRequest { sequence, mode, .. } => {
                let answer = Pdu::BindResp(mode, BindResp::default());
                // The link may have been cut meanwhile.
                let _ = pair.smsc.respond(now, sequence, CommandStatus::ESME_ROK, &answer);
            }
            Event::Request { sequence, pdu } => {
                *mood = mood.wrapping_mul(1_103_515_245).wrapping_add(12_345);
                let status = match *mood >> 16 & 7 {
                    // Left unanswered: it must expire.
                    0 => continue,
                    1 => CommandStatus::ESME_RTHROTTLED,
                    2 => CommandStatus::ESME_RSYSERR,
                    _ => CommandStatus::ESME_ROK,
                };
                if let Some(answer) = answer_to(pdu.command_id()) {
                    let _ = pair.end(end).respond(now, sequence, status, &answer);
                }
            }
            Event::Response { token, .. } | Event::Expired { token } => *ledger.ended.entry(token).or_default() += 1,
            Event::Closed { outstanding, .. } => {
                outstanding.into_iter().for_each(|token| *ledger.ended.entry(token).or_default() += 1);
                // The other end sees the stream end.
                let other = if end == End::Esme { End::Smsc } else { End::Esme };
                if pair.end(other).state() != State::Unbinding {
                    pair.end(other).handle_close();
                }
            }
            _ => {}
        }
    }
    true
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn every_request_ends_exactly_once(
        operations in prop::collection::vec(operation(), 1..120),
        latency in 0_u64..3_000,
        split in 0_usize..30,
        size in 1_usize..12,
        mut mood in any::<u32>(),
    ) {
        let config = SessionConfig {
            window: NonZeroUsize::new(size).unwrap(),
            response_timeout: Duration::from_secs(5),
            ..SessionConfig::default()
        };
        let link = Link { latency: Duration::from_millis(latency), split };
        let mut pair: Pair<u32> = Pair::new(config.clone(), config, link);
        let mut ledgers = [Ledger::default(), Ledger::default()];
        let now = pair.now;
        pair.esme.bind(now, BindMode::Transceiver, Bind::default()).unwrap();
        for operation in operations {
            match operation {
                Operation::Send(end) => {
                    let now = pair.now;
                    let pdu: Pdu = if end == End::Esme { SubmitSm::default().into() } else { DeliverSm::default().into() };
                    let ledger = &mut ledgers[usize::from(end == End::Smsc)];
                    if pair.end(end).request(now, &pdu, ledger.sent).is_ok() {
                        ledger.sent += 1;
                    }
                    prop_assert!(pair.end(end).outstanding() <= size);
                }
                Operation::Step(count) => for _ in 0..count {
                    handle(&mut pair, &mut ledgers, &mut mood);
                },
                Operation::Unbind(end) => {
                    let now = pair.now;
                    pair.end(end).unbind(now);
                }
                Operation::Cut => pair.cut(),
                Operation::Garbage(end, octets) => pair.inject(end, &octets),
            }
        }
        // Enquire_link goes on for ever on a healthy link, so the end is asked for.
        let now = pair.now;
        pair.esme.unbind(now);
        let mut steps = 0;
        while handle(&mut pair, &mut ledgers, &mut mood) && pair.esme.state() != State::Closed {
            steps += 1;
            prop_assert!(steps < 100_000, "it never ends");
        }
        while handle(&mut pair, &mut ledgers, &mut mood) && pair.smsc.state() != State::Closed {
            steps += 1;
            prop_assert!(steps < 200_000, "it never ends");
        }
        pair.cut();
        handle(&mut pair, &mut ledgers, &mut mood);
        for ledger in &ledgers {
            let expected: BTreeMap<u32, u32> = (0..ledger.sent).map(|token| (token, 1)).collect();
            prop_assert_eq!(&ledger.ended, &expected);
        }
    }
}
