//! `maybug replay` and `maybug decode --make-fixture`, as a user runs them.

use std::process::Output;

use maybug::smsc::{Simulator, SimulatorConfig};
use serde_json::Value;
use smpp::CommandStatus;

use crate::support::{maybug, soon, stderr, stdout};

const KANNEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/pcap/kannel-1.4.5-to-node-smpp-0.5.1.pcapng");

async fn simulator(config: SimulatorConfig) -> (Simulator, String) {
    let simulator = Simulator::start(([127, 0, 0, 1], 0).into(), config).await.unwrap();
    let address = simulator.address().to_string();
    (simulator, address)
}

/// Runs it where the simulator's tasks can go on.
async fn replay(arguments: &[&str]) -> Output {
    let words: Vec<String> = std::iter::once("replay").chain(arguments.iter().copied()).map(str::to_owned).collect();
    let run = tokio::task::spawn_blocking(move || maybug(&words.iter().map(String::as_str).collect::<Vec<_>>()));
    soon("the replay", run).await.unwrap()
}

#[tokio::test]
async fn differences_are_told_and_the_exit_status_tells_that_there_are_some() {
    let (_simulator, to) = simulator(SimulatorConfig::default()).await;
    let output = replay(&[KANNEL, "--to", &to, "--speed", "max", "--timeout", "500ms"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let said = stdout(&output);
    assert!(
        said.contains("conversation 1, PDU 38 submit_sm: status: ESME_RINVDSTADR recorded, ESME_ROK came"),
        "{said}"
    );
    assert!(said.contains("14 requests sent, 14 answered, 1 conversation"), "{said}");
    assert!(said.contains("3 differences from the recording\n2 of 6 recorded requests of the SMSC came"), "{said}");

    let output = replay(&[KANNEL, "--to", &to, "--speed", "max", "--timeout", "500ms", "--json"]).await;
    let lines: Vec<Value> = stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let throttled = lines.iter().find(|line| line["pdu"] == 40).unwrap();
    assert_eq!((&throttled["recorded"]["status"], &throttled["live"]["status"]), (&0x58.into(), &0.into()));
    assert_eq!(throttled["fields"][0]["name"], "status");
    let done = lines.last().unwrap();
    assert_eq!((&done["event"], &done["differences"], &done["sent"]), (&"done".into(), &3.into(), &14.into()));
}

#[tokio::test]
async fn both_sides_of_a_recording_are_the_same_to_each_other() {
    let mut smsc = tokio::process::Command::new(env!("CARGO_BIN_EXE_maybug"))
        .args(["replay", KANNEL, "--listen", "127.0.0.1:0", "--speed", "max", "--json"])
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(smsc.stdout.take().unwrap()));
    let listening: Value = serde_json::from_str(&soon("listening", lines.next_line()).await.unwrap().unwrap()).unwrap();
    let output = replay(&[KANNEL, "--to", listening["address"].as_str().unwrap(), "--speed", "max"]).await;
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    assert!(stdout(&output).contains("\n0 differences from the recording\n6 of 6 recorded requests of the SMSC came"));
    let done: Value = serde_json::from_str(&soon("the end", lines.next_line()).await.unwrap().unwrap()).unwrap();
    assert_eq!((&done["differences"], &done["received"]["same_content"]), (&0.into(), &14.into()));
    assert!(soon("the end", smsc.wait()).await.unwrap().success());
}

#[tokio::test]
async fn what_keeps_a_replay_from_happening_is_said_with_status_two() {
    let accounts = vec!["shop:s3cret".parse().unwrap()];
    let (_simulator, to) = simulator(SimulatorConfig { accounts, ..SimulatorConfig::default() }).await;
    let fast = ["--speed", "max", "--timeout", "500ms"];
    for (arguments, why) in [
        (vec![KANNEL, "--to", to.as_str()], "the SMSC refused the bind of conversation 1 with ESME_R"),
        (vec![KANNEL, "--to", "127.0.0.1:1"], "the SMSC cannot be connected to"),
        (vec![KANNEL, "--to", "nowhere"], "--to nowhere: expected HOST:PORT"),
        (vec![KANNEL, "--to", to.as_str(), "--conversation", "2"], "there is no conversation 2: the capture has 1"),
        (vec!["Cargo.toml", "--to", to.as_str()], "Cargo.toml: this is no pcap or pcapng file"),
        (vec!["nothing.pcap", "--to", to.as_str()], "nothing.pcap: the file cannot be opened"),
        (vec![KANNEL], "required"),
        (vec![KANNEL, "--to", to.as_str(), "--speed", "0"], "expected max, or a positive number"),
    ] {
        let output =
            replay(&[&arguments[..], &fast[..if arguments.contains(&"--speed") { 0 } else { 4 }]].concat()).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(why), "{arguments:?}: {}", stderr(&output));
    }
    let own = [KANNEL, "--to", &to, "--system-id", "shop", "--password", "s3cret"];
    let output = replay(&[&own[..], &fast[..]].concat()).await;
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
}

#[tokio::test]
async fn a_fixture_has_other_people_in_it_and_replays_like_the_original() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("fixture.pcap");
    let out = out.to_str().unwrap();
    let make = |out: &str| maybug(&["decode", KANNEL, "--make-fixture", out, "--seed", "a secret"]);
    let output = make(out);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).starts_with("56 PDUs of 1 conversation in "), "{}", stdout(&output));
    let (original, made) = (std::fs::read(KANNEL).unwrap(), std::fs::read(out).unwrap());
    let has = |octets: &[u8], word: &str| octets.windows(word.len()).any(|window| window == word.as_bytes());
    for word in ["27831230001", "foobar"] {
        assert!(!has(&made, word), "{word}");
    }
    assert!(has(&original, "27831230001"));
    let again = directory.path().join("again.pcap");
    make(again.to_str().unwrap());
    assert_eq!(std::fs::read(again).unwrap(), made);

    let errors = vec![(1.0, CommandStatus::ESME_RSYSERR)];
    let (_simulator, to) = simulator(SimulatorConfig { errors, ..SimulatorConfig::default() }).await;
    let output = replay(&[out, "--to", &to, "--speed", "max", "--timeout", "500ms"]).await;
    assert!(stdout(&output).contains("14 requests sent, 14 answered"), "{}", stdout(&output));
}
