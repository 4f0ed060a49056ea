//! `maybug doctor`, against SMSCs in good health and others.

mod binds;
mod channel;
mod limits;
mod messages;
mod smsc;
mod tls;

use std::collections::BTreeSet;
use std::process::Output;

use maybug::channel::ChannelType;
use maybug::channel::esme::Smpp;
use maybug::smsc::{IdFormat, Simulator, SimulatorConfig};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::support::{maybug, soon, stderr, stdout};

async fn smsc(config: SimulatorConfig) -> (Simulator, String) {
    let accounts = vec!["shop:s3cret".parse().unwrap()];
    let config = SimulatorConfig { accounts, ..config };
    let simulator = Simulator::start(([127, 0, 0, 1], 0).into(), config).await.unwrap();
    let address = simulator.address().to_string();
    (simulator, address)
}

/// Binds that are tried where a transceiver works: that, a second one beside it, both halves, versions 3.3 and 5.0.
const BINDS: usize = 6;

/// What the command told as JSON.
struct Examined {
    bindable: bool,
    diagnosis: Value,
    error: String,
}

impl Examined {
    fn said(&self, probe: &str) -> Vec<&str> {
        findings(&self.diagnosis, probe).into_iter().map(|finding| finding["said"].as_str().unwrap()).collect()
    }

    fn verdicts(&self, probe: &str) -> Vec<&str> {
        findings(&self.diagnosis, probe).into_iter().map(|finding| finding["verdict"].as_str().unwrap()).collect()
    }

    /// The configuration of the channel.
    fn config(&self) -> &Value {
        &self.diagnosis["channel"]["config"]
    }
}

async fn examine(arguments: &[&str]) -> Examined {
    let output = doctor(&[arguments, &["--json"]].concat()).await;
    Examined {
        bindable: output.status.success(),
        diagnosis: serde_json::from_str(stdout(&output)).unwrap_or_default(),
        error: stderr(&output).to_owned(),
    }
}

/// Runs it where the SMSC's tasks can go on.
async fn doctor(arguments: &[&str]) -> Output {
    let mut words = vec!["doctor", "--system-id", "shop"];
    if !arguments.contains(&"--timeout") {
        words.extend(["--timeout", "5s"]);
    }
    words.extend(arguments);
    let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    let run = tokio::task::spawn_blocking(move || maybug(&words.iter().map(String::as_str).collect::<Vec<_>>()));
    soon("the examination", run).await.unwrap()
}

fn findings<'a>(diagnosis: &'a Value, probe: &str) -> Vec<&'a Value> {
    diagnosis["findings"].as_array().unwrap().iter().filter(|finding| finding["probe"] == probe).collect()
}

#[tokio::test]
async fn a_healthy_smsc_is_examined_and_its_channel_is_written_without_the_password() {
    let receipt_id_format = Some(IdFormat::Decimal);
    let (simulator, address) = smsc(SimulatorConfig { receipt_id_format, ..Default::default() }).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("channel.json");
    let to = ["--password", "s3cret", "--to", "27820001001", "--json", "--write", file.to_str().unwrap()];
    let output = doctor(&[&[address.as_str()], &to[..]].concat()).await;
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!stdout(&output).contains("s3cret"), "the password is nowhere");
    let diagnosis: Value = serde_json::from_str(stdout(&output)).unwrap();
    for probe in
        ["name", "connection", "keep-alive", "window", "unknown command", "message", "receipt", "several binds"]
    {
        assert_eq!(findings(&diagnosis, probe)[0]["verdict"], "good", "{probe}: {diagnosis}");
    }
    assert_eq!(findings(&diagnosis, "bind").len(), BINDS);
    let channel: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let mut config = channel["config"].as_object().unwrap().clone();
    assert_eq!((&config["msg_id_type"], config.get("password")), (&1.into(), None));
    config.insert("password".to_owned(), "s3cret".into());
    Smpp::default().check(&config).unwrap();
    // Nothing is left behind.
    assert_eq!(simulator.counters().accepted, 1);
}

#[tokio::test]
async fn a_refused_password_is_tried_once() {
    let (simulator, address) = smsc(SimulatorConfig::default()).await;
    let output = doctor(&[&address, "--password", "wrong"]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = stdout(&output);
    assert!(said.contains("refused with ESME_RINVPASWD (0x0000000e): Invalid password."), "{said}");
    assert!(said.contains("nothing more was tried: SMSCs lock accounts that keep trying"), "{said}");
    // One to see whether the port is open, one to bind.
    assert_eq!((simulator.counters().connections, simulator.counters().binds), (2, 0));
    let examined = examine(&[&address, "--password", "longer than eight"]).await;
    assert!(examined.said("bind")[1].starts_with("the password was sent in full, 17 characters"));
}

#[tokio::test]
async fn an_smsc_without_transceivers_gets_a_pair() {
    let config = SimulatorConfig { bind_modes: "tx+rx".parse().unwrap(), ..Default::default() };
    let (_simulator, address) = smsc(config).await;
    let output = doctor(&[&address, "--password", "s3cret"]).await;
    assert!(output.status.success(), "{}", stdout(&output));
    assert!(stdout(&output).contains(r#""bind_type": "tx+rx""#), "{}", stdout(&output));
}

#[tokio::test]
async fn what_is_no_smsc_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await;
        }
    });
    let output = doctor(&[&address]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = stdout(&output);
    assert!(said.contains("BAD  greeting: it said \"SSH-2.0-OpenSSH_9.2\\r\\n\" unasked, which is no SMPP"), "{said}");
    assert!(!said.contains("transceiver"), "it is not told the password: {said}");
    let output = doctor(&["no.such.host.invalid:2775"]).await;
    assert!(stdout(&output).contains("BAD  name: no.such.host.invalid cannot be resolved"), "{}", stdout(&output));
    let output = doctor(&["nowhere"]).await;
    assert!(stderr(&output).contains("nowhere: expected HOST:PORT"), "{}", stderr(&output));
}

#[tokio::test]
async fn each_family_of_addresses_is_tried() {
    use std::net::ToSocketAddrs;

    let (_simulator, address) = smsc(SimulatorConfig::default()).await;
    let port = address.rsplit(':').next().unwrap();
    let name = format!("localhost:{port}");
    let examined = examine(&[&name, "--password", "s3cret"]).await;
    assert!(examined.bindable, "{:?}", examined.diagnosis);
    // A machine without IPv6 knows one family only.
    let families = name.to_socket_addrs().unwrap().map(|address| address.is_ipv4()).collect::<BTreeSet<_>>();
    let expected: Vec<&str> = families.iter().map(|ipv4| if *ipv4 { "good" } else { "note" }).collect();
    let mut verdicts = examined.verdicts("connection");
    verdicts.sort_unstable_by(|one, other| other.cmp(one));
    assert_eq!(verdicts, expected, "{:?}", examined.diagnosis);
    assert!(examined.said("name")[0].contains("127.0.0.1 (IPv4)"));
    // From an address of the other family nothing can be reached.
    let endpoint = format!(r"tcp:host=127.0.0.1:port={port}:bindAddress=\:\:1");
    let examined = examine(&[&endpoint]).await;
    assert_eq!(examined.said("connection"), ["no address is of bindAddress's family"]);
}
