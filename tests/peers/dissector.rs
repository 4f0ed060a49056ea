//! tshark dissects what a channel and the simulator say to each other, and finds nothing malformed.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use maybug::capture::{self, CapturedPdu, Conversation, Sender};
use maybug::gateway::Via;
use maybug::smsc::{PhoneMessage, SimEvent, Simulator, SimulatorConfig};
use serde_json::Value;
use smpp::RawPdu;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::server::{channel, draft, soon, start};
use crate::tshark::tshark;

/// Octets in the order in which they passed: to the SMSC, or from it.
type Tape = Arc<Mutex<Vec<(bool, Vec<u8>)>>>;

/// Passes one connection on and keeps what it carries.
async fn wiretap(listener: TcpListener, smsc: std::net::SocketAddr, tape: Tape) {
    let (esme, _) = listener.accept().await.unwrap();
    let smsc = TcpStream::connect(smsc).await.unwrap();
    let (esme_read, esme_write) = esme.into_split();
    let (smsc_read, smsc_write) = smsc.into_split();
    let pass = async |mut from: tokio::net::tcp::OwnedReadHalf, mut to: tokio::net::tcp::OwnedWriteHalf, up: bool| {
        let mut buffer = vec![0; 1_200];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            tape.lock().unwrap().push((up, buffer[..count].to_vec()));
            if to.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(pass(esme_read, smsc_write, true), pass(smsc_read, esme_write, false));
}

/// The tape as a capture, at a PDU a second.
fn write_pcap(path: &Path, tape: &[(bool, Vec<u8>)]) {
    let mut buffers = [BytesMut::new(), BytesMut::new()];
    let mut pdus = Vec::new();
    for (up, octets) in tape {
        let buffer = &mut buffers[usize::from(*up)];
        buffer.extend_from_slice(octets);
        let sender = if *up { Sender::Esme } else { Sender::Smsc };
        while let Some(raw) = RawPdu::split(buffer, usize::MAX).unwrap() {
            pdus.push(CapturedPdu { at: Duration::from_secs(pdus.len() as u64), sender, raw });
        }
    }
    let (esme, smsc) = ("10.0.0.1:40000".parse().unwrap(), "10.0.0.2:2775".parse().unwrap());
    capture::write(&[Conversation { esme, smsc, pdus }], &mut File::create(path).unwrap()).unwrap();
}

#[tokio::test]
async fn tshark_finds_every_pdu_and_nothing_malformed() {
    let simulator = Simulator::start(([127, 0, 0, 1], 0).into(), SimulatorConfig::default()).await.unwrap();
    let mut events = simulator.events();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let between = listener.local_addr().unwrap();
    let tape = Tape::default();
    let wire = tokio::spawn(wiretap(listener, simulator.address(), tape.clone()));

    let directory = tempfile::tempdir().unwrap();
    let server = start(directory.path()).await;
    let channel = channel(&server, between).await;
    let texts = ["plain", "€ and {}", "žluťoučký kůň", &"long ".repeat(80), &"длинное ".repeat(20)];
    for text in texts {
        server.gateway().send(Via::Channel(&channel), draft("Maybug", text)).await.unwrap();
    }
    let text = "from a phone ".repeat(20);
    let phone = PhoneMessage { from: "27820001001".into(), to: "40404".into(), text };
    simulator.inject(&phone).unwrap();
    // 1 + 1 + 1 + 3 + 3 segments each way, and two segments from the phone.
    let mut acknowledged = 0;
    soon("receipts and the message from the phone", async {
        while acknowledged < 9 + 2 {
            acknowledged += usize::from(matches!(*events.recv().await.unwrap(), SimEvent::Delivered { .. }));
        }
    })
    .await;
    server.stop().await;
    simulator.stop().await;
    soon("the end of the connection", wire).await.unwrap();

    let path = directory.path().join("tape.pcap");
    write_pcap(&path, &tape.lock().unwrap());
    let text = tshark(&path, &["-Y", "smpp", "-T", "json"]).await;
    assert!(!text.contains("malformed"), "tshark found something malformed");
    // A frame with several PDUs has the key `smpp` several times; counting commands counts PDUs.
    let commands = |id: &str| text.matches(&format!("\"smpp.command_id\": \"{id}\"")).count();
    assert_eq!((commands("0x00000009"), commands("0x80000009")), (1, 1), "binds");
    assert_eq!((commands("0x00000004"), commands("0x80000004")), (9, 9), "submits");
    assert_eq!((commands("0x00000005"), commands("0x80000005")), (11, 11), "deliveries");
    assert_eq!((commands("0x00000006"), commands("0x80000006")), (1, 1), "unbinds");
    let frames: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(frames.iter().all(|frame| frame["_source"]["layers"]["smpp"] != Value::Null));
}
