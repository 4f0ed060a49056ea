//! npm `smpp`, either end.

use std::process::Command;

use serde_json::json;

use crate::support::{Talker, installed, must_succeed, program};

/// A script of `tests/peers/node`, from where its modules are installed.
fn script(name: &str) -> Command {
    let mut command = program("node");
    installed("node/node_modules/smpp");
    command.arg(installed("node").join(name));
    command
}

#[test]
fn as_esme_it_binds_submits_and_receives() {
    let (_sim, address) = Talker::sim(&["--account", "peer:secret", "--mo-every", "200ms"]);
    let (host, port) = address.split_once(':').unwrap();
    let mut esme = script("esme.mjs");
    esme.args([host, port]);
    must_succeed(esme);
}

#[test]
fn as_smsc_it_takes_what_send_sends() {
    let mut smsc = script("smsc.mjs");
    smsc.args(["--password", "secret"]);
    let mut smsc = Talker::start(smsc);
    let port = smsc.next("its port", |event| event["event"] == "listening")["port"].clone();
    let send = |arguments: &[&str]| {
        let mut send = Command::new(env!("CARGO_BIN_EXE_maybug"));
        send.args(["send", &format!("127.0.0.1:{port}"), "-t", "27820001001", "-f", "Maybug", "-p", "secret"]);
        send.args(arguments);
        send
    };
    let said = must_succeed(send(&["--receipt", "Grüße für 5 € 😀"]));
    assert!(said.contains("receipt for \"38601f0\": DELIVERED"), "{said}");
    let submit = smsc.next("the submit", |event| event["event"] == "submit");
    assert_eq!(
        (&submit["text"], &submit["from"], &submit["to"], &submit["data_coding"]),
        (&json!("Grüße für 5 € 😀"), &json!("Maybug"), &json!("27820001001"), &json!(8))
    );
    let answered = smsc.next("the answer to the receipt", |event| event["event"] == "answered");
    assert_eq!(answered["status"], 0);

    smsc.say(r#"{"do": "state", "word": "UNDELIV", "value": 5}"#);
    smsc.say(r#"{"do": "throttle"}"#);
    // The commands have been taken once an unknown one is answered.
    smsc.say(r#"{"do": "nothing"}"#);
    smsc.next("the refusal of a command", |event| event["event"] == "error");
    let throttled = send(&["-q", "x"]).output().unwrap();
    assert_eq!(throttled.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&throttled.stderr).contains("ESME_RTHROTTLED"));
    let undelivered = send(&["-q", "--receipt", "x"]).output().unwrap();
    assert!(String::from_utf8_lossy(&undelivered.stderr).contains("was not delivered: UNDELIVERABLE"));
}
