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
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter, DuplexStream};

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

/// Its answers are asked for a million times and never read.
#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_is_not_read_from() {
    let (mut driver, mut theirs) = bound(SessionConfig::default()).await;
    let flood = async {
        for n in 0..1_000_000_u32 {
            theirs.write_all(&octets(smpp::pdu::EnquireLink::default(), n + 1)).await.unwrap();
        }
    };
    let read = tokio::time::timeout(Duration::from_secs(5), async {
        tokio::select! { () = flood => {}, event = driver.event() => panic!("{event:?}") }
    })
    .await;
    let waiting = driver.session.poll_transmit().map_or(0, |octets| octets.len());
    assert!(read.is_err() && waiting <= 512 * 1024, "all 16 MB were read; {waiting} octets of answers wait in memory");
}

/// As TLS does while the socket is full.
#[tokio::test(start_paused = true)]
async fn what_a_stream_holds_back_is_flushed() {
    let (ours, mut theirs) = tokio::io::duplex(1024);
    let session: Session<u32> = Session::new(SessionConfig::default(), tokio::time::Instant::now().into_std());
    let mut driver = Driver::new(BufWriter::with_capacity(4096, ours), session, 70_000, |_, _: &[u8]| {});
    let now = driver.now();
    driver.session.bind(now, BindMode::Transceiver, Bind::default()).unwrap();
    let mut bind = vec![0; octets(Pdu::Bind(BindMode::Transceiver, Bind::default()), 1).len()];
    tokio::select! {
        read = theirs.read_exact(&mut bind) => { read.unwrap(); }
        event = driver.event() => panic!("the bind never came: {event:?}"),
    }
}
