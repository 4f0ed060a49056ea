//! tshark dissects what a channel and the simulator say to each other, and finds nothing malformed.

use std::io::Write;
use std::sync::{Arc, Mutex};

use maybug::config::Config;
use maybug::server::Server;
use maybug::smsc::{PhoneMessage, SimEvent, Simulator, SimulatorConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use crate::process::soon;

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

/// The tape as a capture: Ethernet, IPv4, TCP without checksums, port 2775.
fn write_pcap(path: &std::path::Path, tape: &[(bool, Vec<u8>)]) {
    let mut file = std::fs::File::create(path).unwrap();
    let header: [u32; 6] = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1];
    header.iter().for_each(|word| file.write_all(&word.to_le_bytes()).unwrap());
    let mut sequence = [1_u32, 1];
    for (number, (up, octets)) in (0_u32..).zip(tape) {
        let (ports, own, other) = if *up { ([40_000_u16, 2775], 0, 1) } else { ([2775, 40_000], 1, 0) };
        let total = u16::try_from(40 + octets.len()).unwrap();
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
        frame.extend([0x45, 0]);
        frame.extend(total.to_be_bytes());
        frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1 + own, 10, 0, 0, 1 + other]);
        ports.iter().for_each(|port| frame.extend(port.to_be_bytes()));
        frame.extend(sequence[usize::from(own)].to_be_bytes());
        frame.extend(sequence[usize::from(other)].to_be_bytes());
        frame.extend([0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
        frame.extend(octets);
        sequence[usize::from(own)] += u32::try_from(octets.len()).unwrap();
        let length = u32::try_from(frame.len()).unwrap();
        [number, 0, length, length].iter().for_each(|word| file.write_all(&word.to_le_bytes()).unwrap());
        file.write_all(&frame).unwrap();
    }
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
    let config = Config {
        interface: "127.0.0.1".into(),
        port: 0,
        data: directory.path().join("data"),
        logging_path: directory.path().join("logs"),
        min_free: 0,
        ..Config::default()
    };
    let server = Server::start(&config).await.unwrap();
    let channel = json!({"type": "smpp", "mo_url": null, "config": {
        "twisted_endpoint": format!("tcp:127.0.0.1:{}", between.port()), "system_id": "me", "password": "secret",
        "registered_delivery": true,
    }});
    let channel = server.gateway().create_channel(channel.as_object().unwrap().clone()).await.unwrap();
    let texts = ["plain", "€ and {}", "žluťoučký kůň", &"long ".repeat(80), &"длинное ".repeat(20)];
    for text in texts {
        let draft = maybug::gateway::Draft {
            to: Some("+27820001001".into()),
            from: Some("Maybug".into()),
            content: text.to_owned(),
            ..Default::default()
        };
        server.gateway().send(&channel.id, draft).await.unwrap();
    }
    let text = "from a phone ".repeat(20);
    let phone = PhoneMessage { from: "27820001001".into(), to: "40404".into(), text };
    simulator.inject(&phone).unwrap();
    // 1 + 1 + 1 + 3 + 3 segments each way, and two segments from the phone.
    let mut acknowledged = 0;
    soon("receipts and the message from the phone", async {
        while acknowledged < 9 + 2 {
            acknowledged += usize::from(matches!(events.recv().await.unwrap(), SimEvent::Delivered { .. }));
        }
    })
    .await;
    server.stop().await;
    simulator.stop().await;
    soon("the end of the connection", wire).await.unwrap();

    let path = directory.path().join("tape.pcap");
    write_pcap(&path, &tape.lock().unwrap());
    let mut tshark = Command::new("tshark");
    tshark.args(["-n", "-d", "tcp.port==2775,smpp", "-Y", "smpp", "-T", "json", "-r"]).arg(&path);
    let output = soon("tshark", tshark.output()).await.expect("tests/run installs tshark");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
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
