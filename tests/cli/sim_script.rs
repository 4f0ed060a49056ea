//! Script files of `maybug sim`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use smpp::pdu::BindMode;
use smpp::{CommandStatus, MessageState};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::esme::{Esme, message};
use crate::simulator::read;
use crate::support::{maybug, soon, stderr};

/// A simulator with a script, ended with the test.
struct Sim {
    child: Child,
    lines: Box<dyn Iterator<Item = String> + Send>,
    address: std::net::SocketAddr,
}

impl Sim {
    fn run(script: &str, flags: &[&str]) -> Self {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(script.as_bytes()).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_maybug"))
            .args(["sim", "--listen", "127.0.0.1:0", "--script", file.path().to_str().unwrap()])
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines: Box<dyn Iterator<Item = String> + Send> = Box::new(lines.map_while(Result::ok));
        // Once it listens, it has read the file.
        let first = lines.next().unwrap();
        let address = first.strip_prefix("listening on ").unwrap().parse().unwrap();
        lines.next().unwrap();
        Self { child, lines, address }
    }

    async fn bind(&self, name: &str, password: &str) -> Result<Esme, CommandStatus> {
        Esme::bind(self.address, BindMode::Transceiver, name, password).await
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to kill.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_treated_as_everybody_but_for_their_own_keys() {
    let script = "
        system_id: operator
        id_format: decimal
        states: [undeliv]
        error: ['0:ESME_RSYSERR']
        accounts:
          - {system_id: plain, password: one}
          - system_id: odd
            password: 2
            id_format: prefixed
            states: expired:1
            refuse_binds: 1
          - {system_id: down, error: '1:ESME_RSUBMITFAIL', bind_modes: trx}
    ";
    let sim = Sim::run(script, &["--states", "rejectd", "--error", "0:ESME_RSYSERR"]);
    let mut plain = sim.bind("plain", "one").await.unwrap();
    assert_eq!(sim.bind("odd", "2").await.err(), Some(CommandStatus::ESME_RBINDFAIL));
    let mut odd = sim.bind("odd", "2").await.unwrap();
    let mut down = sim.bind("down", "").await.unwrap();
    assert_eq!(sim.bind("else", "").await.err(), Some(CommandStatus::ESME_RINVSYSID));
    let transmitter = Esme::bind(sim.address, BindMode::Transmitter, "down", "").await;
    assert_eq!(transmitter.err(), Some(CommandStatus::ESME_RBINDFAIL));
    assert_eq!((plain.smsc.as_str(), odd.smsc.as_str()), ("operator", "operator"));
    let (_, id) = plain.submit(message("x")).await;
    assert!(id.len() == 10 && id.parse::<u64>().is_ok(), "{id}");
    // The command line comes after the file, and an account's own keys after both.
    assert_eq!(read(&plain.delivery(CommandStatus::ESME_ROK).await).state, "REJECTED");
    let (_, id) = odd.submit(message("x")).await;
    assert!(id.starts_with("SMSC-"), "{id}");
    assert_eq!(read(&odd.delivery(CommandStatus::ESME_ROK).await).state, "EXPIRED");
    assert_eq!(down.submit(message("x")).await.0, CommandStatus::ESME_RSUBMITFAIL);
    let query = smpp::pdu::QuerySm {
        message_id: id.as_str().try_into().unwrap(),
        source: smpp::Address::detected("40404").unwrap(),
        ..smpp::pdu::QuerySm::default()
    };
    let (_, smpp::Pdu::QuerySmResp(standing)) = odd.ask(query).await else { panic!() };
    assert_eq!(standing.message_state, MessageState::EXPIRED);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_and_plain_connections_come_to_one_port() {
    let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (cert, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    std::fs::write(&cert, identity.cert.pem()).unwrap();
    std::fs::write(&key, identity.signing_key.serialize_pem()).unwrap();
    let sim = Sim::run(&format!("tls: {{cert: {}, key: {}}}", cert.display(), key.display()), &[]);
    let mut roots = RootCertStore::empty();
    roots.add(identity.cert.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(sim.address).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let stream = soon("the handshake", TlsConnector::from(Arc::new(config)).connect(name, tcp)).await.unwrap();
    let mut encrypted = Esme::over(stream);
    encrypted.bind_as(BindMode::Transceiver, "shop", "").await.unwrap();
    assert_eq!(encrypted.submit(message("x")).await.0, CommandStatus::ESME_ROK);
    let mut plain = sim.bind("shop", "").await.unwrap();
    assert_eq!(plain.submit(message("x")).await.0, CommandStatus::ESME_ROK);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_phones_of_a_script_dial_and_say_how_it_went() {
    let script = "
        ussd:
          dialect: mica
          phones:
            - {phone: 27820001001, dial: '*120#', steps: [{expect: Balance, answer: 1}]}
    ";
    let mut sim = Sim::run(script, &[]);
    let mut esme = sim.bind("shop", "").await.unwrap();
    let dialled = esme.delivery(CommandStatus::ESME_ROK).await;
    assert_eq!(&dialled.short_message.octets()[..], b"*120#");
    let mut menu = message("Sorry");
    menu.tlvs.push_integer(smpp::Tag::USSD_SERVICE_OP, 2);
    menu.tlvs
        .push(smpp::Tag::USER_MESSAGE_REFERENCE, &dialled.tlvs.octets_of(smpp::Tag::USER_MESSAGE_REFERENCE).unwrap());
    esme.submit(menu).await;
    // It gives up.
    let given_up = loop {
        let delivery = esme.delivery(CommandStatus::ESME_ROK).await;
        if let Some(op) = delivery.tlvs.integer(smpp::Tag::USSD_SERVICE_OP) {
            break op;
        }
    };
    assert_eq!(given_up, 0x81);
    let failed = sim.lines.find(|line| line.contains("FAILED")).unwrap();
    assert_eq!(failed, "USSD 27820001001 FAILED at step 1: expected \"Balance\", was shown \"Sorry\"");
}

/// The scenario of `docs/simulator.md`.
#[tokio::test(flavor = "multi_thread")]
async fn the_documented_script_runs() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/simulator.md")).unwrap();
    let script = page.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let sim = Sim::run(script, &[]);
    let mut radio = sim.bind("radio", "s3cret").await.unwrap();
    assert_eq!(&radio.delivery(CommandStatus::ESME_ROK).await.short_message.octets()[..], b"*120#");
    let (_, id) = radio.submit(message("x")).await;
    let receipt = read(&radio.delivery(CommandStatus::ESME_ROK).await);
    assert_eq!((receipt.smsc_message_id, receipt.done_date.unwrap().len()), (id, 14));
    assert_eq!(sim.bind("bank", "s3cret").await.err(), Some(CommandStatus::ESME_RBINDFAIL));
}

#[test]
fn what_is_wrong_with_a_script_is_said_with_its_path_and_what_is_allowed() {
    for (script, said) in [
        ("receipt_dely: 1s", "unknown key 'receipt_dely', did you mean 'receipt-delay'?"),
        ("acounts: []", "unknown key 'acounts', did you mean 'accounts'?"),
        (
            "id_format: octal",
            "id_format cannot be read: invalid value 'octal' for '--id-format <ID_FORMAT>' [possible values: hex, upper-hex,",
        ),
        ("throttle: fast", "throttle cannot be read: invalid value 'fast'"),
        ("throttle: {a: 1}", "throttle must be a value or a list of values"),
        ("json: 7", "json cannot be read: unexpected value '7'"),
        ("accounts: {a: b}", "accounts must be a list of maps"),
        ("accounts: [{password: a}]", "accounts[0].system_id is missing"),
        (
            "accounts: [{system_id: a}, {system_id: b, stats: delivrd}]",
            "unknown key 'accounts[1].stats', did you mean 'states'?",
        ),
        ("accounts: [{system_id: a, states: gone}]", "accounts[0].states cannot be read: invalid value 'gone'"),
        ("accounts: [{system_id: a, seed: 1}]", "accounts[0].seed belongs to the whole simulator, not to one account"),
        (
            "accounts: [{system_id: a, id_format: uuid, receipt_id_format: hex}]",
            "account a: id-format and receipt-id-format must both be uuid",
        ),
        ("account: [secret]", "account has the form SYSTEM_ID:PASSWORD"),
        ("tls: {cert: none.pem}", "the certificate none.pem cannot be read"),
        ("tls: {crt: none.pem}", "tls.crt is unknown: tls has cert and key"),
        ("ussd: {phnes: []}", "ussd.phnes: unknown field `phnes`, expected `phones` or `asked`"),
        ("ussd: {dialect: x}", "ussd.dialect cannot be read: invalid value 'x'"),
        ("ussd: {phones: [{phone: 1}]}", "ussd.phones[0]: missing field `dial`"),
        (
            "ussd: {phones: [{phone: 1, dial: 2, steps: [{expects: x}]}]}",
            "ussd.phones[0].steps[0].expects: unknown field `expects`, expected one of `expect`, `answer`, `steps`",
        ),
        ("ussd: {asked: [[]]}", "ussd.asked[0]: needs at least one step"),
        (
            "accounts: [{system_id: a, interface_version: '3.3', ussd: {phones: [{phone: 1, dial: 2}]}}]",
            "account a: ussd needs optional parameters, and interface-version 3.3 has none",
        ),
        ("{interface_version: '3.3', network_error: '027'}", "network-error needs optional parameters"),
        ("congestion_state: true", "congestion-state needs throttle"),
        ("tls_key: a.pem", "--tls-cert"),
    ] {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(script.as_bytes()).unwrap();
        let output = maybug(&["sim", "--listen", "127.0.0.1:0", "--script", file.path().to_str().unwrap()]);
        assert!(!output.status.success() && stderr(&output).contains(said), "{script}: {}", stderr(&output));
        assert!(!stderr(&output).contains("secret"), "{}", stderr(&output));
    }
}
