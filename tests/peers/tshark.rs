//! tshark reads what our ESME and our SMSC say to each other, and finds nothing malformed.

use std::process::Command;
use std::sync::{Arc, Mutex};

use maybug::smsc::{PhoneMessage, Simulator, SimulatorConfig};
use smpp::net::Direction;

use crate::pcap::write_pcap;
use crate::support::{must_succeed, program};

#[tokio::test(flavor = "multi_thread")]
async fn it_dissects_our_traffic_without_a_malformed_packet() {
    let chunks: Arc<Mutex<Vec<(bool, Vec<u8>)>>> = Arc::default();
    let tapped = chunks.clone();
    let tap = Arc::new(move |_, direction, octets: &[u8]| {
        tapped.lock().unwrap().push((direction == Direction::Received, octets.to_vec()));
    });
    let listen = ([127, 0, 0, 1], 0).into();
    let simulator = Simulator::start_tapped(listen, SimulatorConfig::default(), tap).await.unwrap();
    let address = simulator.address().to_string();
    let long = "Ein langer Text mit Umlauten: äöü. ".repeat(10);
    for (arguments, text) in [
        (&["--receipt"][..], "Hello for 5 €"),
        (&["--encoding", "ucs2", "--receipt"], "Привет 😀"),
        (&["--long", "udh16"], &long),
        (&["--long", "sar"], &long),
        (&["--long", "payload", "--encoding", "latin1"], &long),
    ] {
        let phone = PhoneMessage { from: "27820001001".into(), to: "40404".into(), text: text.to_owned() };
        simulator.inject(&phone).unwrap();
        let mut send = Command::new(env!("CARGO_BIN_EXE_maybug"));
        send.args(["send", &address, "-t", "27820001001", "-f", "40404", "-q"]).args(arguments).arg(text);
        tokio::task::spawn_blocking(|| must_succeed(send)).await.unwrap();
    }
    simulator.stop().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("smpp.pcap");
    std::fs::write(&file, write_pcap(&chunks.lock().unwrap())).unwrap();

    let tshark = |arguments: &[&str]| {
        let mut command = program("tshark");
        command.arg("-r").arg(&file).args(["-d", "tcp.port==2775,smpp"]).args(arguments);
        must_succeed(command)
    };
    assert_eq!(tshark(&["-Y", "_ws.malformed || tcp.analysis.flags"]), "");
    let commands = tshark(&["-Y", "smpp", "-T", "fields", "-e", "smpp.command_id"]);
    let count = |id: &str| commands.split([',', '\n']).filter(|found| *found == id).count();
    // submit_sm: one, one, then three segments, three segments, one; as many responses. Five binds and unbinds.
    assert_eq!((count("0x00000004"), count("0x80000004")), (9, 9), "{commands}");
    assert_eq!((count("0x00000009"), count("0x80000009"), count("0x00000006")), (5, 5, 5));
    assert_eq!(count("0x00000005"), count("0x80000005"));
    let destinations = tshark(&["-Y", "smpp.command_id == 4", "-T", "fields", "-e", "smpp.destination_addr"]);
    assert!(destinations.lines().all(|line| line.split(',').all(|one| one == "27820001001")), "{destinations}");
    let receipts = tshark(&["-Y", "smpp.opt_params", "-T", "fields", "-e", "smpp.message_state"]);
    assert_eq!(receipts.split([',', '\n']).filter(|state| matches!(*state, "2" | "0x02")).count(), 2, "{receipts}");
}
