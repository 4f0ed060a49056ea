//! The driver on a stream: order of reading, time-outs and ends, in virtual time.
#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::num::NonZeroUsize;
use std::time::Duration;

use bytes::BytesMut;
use smpp::net::Driver;
use smpp::pdu::{Bind, BindMode, BindResp, SubmitSm, SubmitSmResp};
use smpp::session::{CloseReason, Event, Session, SessionConfig};
use smpp::{CommandStatus, FrameError, Pdu, SequenceNumber};
use tokio::io::{AsyncWriteExt, DuplexStream};

type Tapped = Driver<DuplexStream, u32, fn(smpp::net::Direction, &[u8])>;

/// A bound ESME and the other end of its stream.
async fn bound(config: SessionConfig) -> (Tapped, DuplexStream) {
    let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
    let session = Session::new(config, tokio::time::Instant::now().into_std());
    let mut driver: Tapped = Driver::new(ours, session, 70_000, |_, _| {});
    let now = driver.now();
    driver.session.bind(now, BindMode::Transceiver, Bind::default()).unwrap();
    theirs.write_all(&octets(Pdu::BindResp(BindMode::Transceiver, BindResp::default()), 1)).await.unwrap();
    assert!(matches!(driver.event().await, Event::Bound { .. }));
    (driver, theirs)
}

fn octets(pdu: impl Into<Pdu>, sequence: u32) -> BytesMut {
    let mut out = BytesMut::new();
    pdu.into().encode(CommandStatus::ESME_ROK, SequenceNumber(sequence), &mut out);
    out
}

/// Pain 25: the answer is on the wire in time and only our reading of it is late; the caller must not take it for a
/// time-out and send the message a second time.
#[tokio::test(start_paused = true)]
async fn pain_25_an_answer_that_waits_to_be_read_is_no_timeout() {
    // More answers than one read brings.
    let config = SessionConfig { window: NonZeroUsize::new(2_000).unwrap(), ..SessionConfig::default() };
    let (mut driver, mut theirs) = bound(config).await;
    let now = driver.now();
    for token in 0..2_000 {
        let sequence = driver.session.request(now, &SubmitSm::default().into(), token).unwrap();
        theirs.write_all(&octets(SubmitSmResp::default(), sequence.0)).await.unwrap();
    }
    // Nobody looks for longer than any timer.
    tokio::time::advance(Duration::from_secs(600)).await;
    for expected in 0..2_000 {
        match driver.event().await {
            Event::Response { token, status, .. } => assert_eq!((token, status.is_ok()), (expected, true)),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pdu_whose_rest_does_not_come_ends_the_session_however_it_trickles() {
    let config = SessionConfig { pdu_read_timeout: Duration::from_secs(10), ..SessionConfig::default() };
    let (mut driver, mut theirs) = bound(config).await;
    let begun = tokio::time::Instant::now();
    let trickle = tokio::spawn(async move {
        for octet in octets(SubmitSmResp::default(), 2) {
            theirs.write_all(&[octet]).await.unwrap();
            tokio::time::sleep(Duration::from_secs(4)).await;
        }
    });
    let Event::Closed { why, .. } = driver.event().await else { panic!("it goes on") };
    assert!(matches!(why, CloseReason::Framing(FrameError::Stalled { .. })), "{why}");
    assert_eq!(begun.elapsed().as_secs(), 10);
    trickle.abort();
}
