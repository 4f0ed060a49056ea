//! SMSCs that never stop talking, never listen, or never answer: every step of an examination ends.

use bytes::BytesMut;
use smpp::RawPdu;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::smsc::{delivery, usual};
use super::{BINDS, examine};

/// Answers what comes first on a connection and then only delivers, reading what comes or not.
async fn flood(listener: TcpListener, reads: bool) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let (mut from, mut to) = stream.into_split();
            let mut received = BytesMut::new();
            let bind = loop {
                match RawPdu::split(&mut received, 70_000).unwrap() {
                    Some(raw) => break raw,
                    None if matches!(from.read_buf(&mut received).await, Ok(1..)) => {}
                    None => return,
                }
            };
            let mut octets = BytesMut::new();
            for (pdu, status, sequence) in usual(&bind) {
                pdu.encode(status, sequence, &mut octets);
            }
            to.write_all(&octets).await.unwrap();
            octets.clear();
            for number in 1..1000 {
                let (pdu, status, sequence) = delivery("27820009999", b"flood", number);
                pdu.encode(status, sequence, &mut octets);
            }
            if reads {
                tokio::spawn(
                    async move { while from.read_buf(&mut BytesMut::new()).await.is_ok_and(|read| read > 0) {} },
                );
                while to.write_all(&octets).await.is_ok() {}
            } else {
                while to.write_all(&octets).await.is_ok() {}
                drop(from);
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_smsc_that_delivers_without_end_is_examined_all_the_same() {
    for reads in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let flooding = tokio::spawn(flood(listener, reads));
        let examined = examine(&[&address, "--to", "27820001001", "--timeout", "400ms"]).await;
        flooding.abort();
        let said = examined.said("keep-alive");
        assert_eq!(said, ["enquire_link: no answer within 0.4 s"], "reads: {reads}");
        assert_eq!(examined.said("window").len(), 1);
        // The first is taken as soon as it is asked for; the others wait for nobody.
        assert_eq!(examined.said("bind").len(), BINDS, "{:?}", examined.diagnosis);
    }
}

#[tokio::test]
async fn an_smsc_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let examined = examine(&[&address, "--timeout", "200ms"]).await;
    assert!(!examined.bindable);
    let binds = examined.said("bind");
    assert_eq!(binds[0], "transceiver, version 0x34: no answer within 0.2 s");
    assert_eq!(binds[2], "transmitter, version 0x34: no answer within 0.2 s");
    assert!(binds[3].starts_with("refused twice without a reason: nothing more was tried"), "{binds:?}");
    let refused = examine(&[&address, "--timeout", "2h"]).await;
    assert!(refused.error.contains("--timeout is more than 3600 s"), "{}", refused.error);
    drop(listener);
}
