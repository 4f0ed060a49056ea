//! `maybug send` against the simulator.

use maybug::smsc::{SimEvent, Simulator, SimulatorConfig};
use smpp::CommandStatus;

use crate::support::{maybug, soon, stderr, stdout};

async fn send(arguments: Vec<String>) -> std::process::Output {
    let run = move || maybug(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    soon("the end of send", tokio::task::spawn_blocking(run)).await.unwrap()
}

fn arguments(simulator: &Simulator, more: &[&str]) -> Vec<String> {
    let address = simulator.address().to_string();
    let all = ["send", &address, "-t", "27820001001", "-f", "40404", "-s", "shop", "-p", "s3cret"];
    all.iter().chain(more).map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_its_pdus_and_its_receipt_are_shown_and_the_password_is_not() {
    let simulator = Simulator::start(([127, 0, 0, 1], 0).into(), SimulatorConfig::default()).await.unwrap();
    let mut events = simulator.events();
    let text = "Grüße 😀 ".repeat(20);
    let output = send(arguments(&simulator, &["--receipt", &text])).await;
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stdout(&output);
    for part in ["> bind_transceiver", "password: ********", "> submit_sm", "segment 3 of 3", "receipt for", "> unbind"]
    {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert!(!said.contains("s3cret"));
    let whole = soon("the whole message", async {
        loop {
            if let SimEvent::Message { whole: Some(whole), .. } = &*events.recv().await.unwrap() {
                return whole.clone();
            }
        }
    });
    let whole = whole.await;
    assert_eq!((whole.text, whole.segments), (text, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_explained_and_ends_with_an_error() {
    let accounts = vec!["shop:other".parse().unwrap()];
    let config = SimulatorConfig { accounts, ..SimulatorConfig::default() };
    let simulator = Simulator::start(([127, 0, 0, 1], 0).into(), config).await.unwrap();
    let output = send(arguments(&simulator, &["x"])).await;
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.contains("refused the bind with ESME_RINVPASWD (0x0000000e): Invalid password.\nUsual cause:"),
        "{said}"
    );

    simulator.reconfigure(|config| {
        config.accounts.clear();
        config.errors = vec![(1.0, CommandStatus::ESME_RINVDSTADR)];
    });
    let output = send(arguments(&simulator, &["x"])).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("refused the message with ESME_RINVDSTADR"), "{}", stderr(&output));

    simulator.reconfigure(|config| {
        config.errors.clear();
        config.states = vec![(smpp::MessageState::UNDELIVERABLE, 1)];
    });
    let output = send(arguments(&simulator, &["--receipt", "--quiet", "x"])).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("was not delivered: UNDELIVERABLE"), "{}", stderr(&output));

    simulator.reconfigure(|config| config.no_response = 1.0);
    let output = send(arguments(&simulator, &["--quiet", "--timeout", "300ms", "x"])).await;
    assert!(stderr(&output).contains("gave up after 0.3 s"), "{}", stderr(&output));
}
