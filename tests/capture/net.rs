//! Recordings made here, replayed over sockets: against the simulator, a channel, and the other side of themselves.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use maybug::capture::{self, CapturedPdu, Conversation, Sender};
use maybug::endpoint::{Endpoint, EndpointText};
use maybug::gateway::Via;
use maybug::model::ChannelId;
use maybug::replay::net::{Options, ReplayError, as_esme, as_smsc};
use maybug::replay::{Difference, Ids, Pace, Plan, Summary};
use maybug::server::Server;
use maybug::smsc::{IdFormat, PhoneMessage, Simulator, SimulatorConfig};
use smpp::net::Direction;
use smpp::pdu::{Bind, BindResp, DeliverSmResp};
use smpp::session::{CloseReason, Role};
use smpp::{BindMode, CommandId, CommandStatus, Password, Pdu, RawPdu, Tag};
use tokio::net::TcpListener;

use crate::server::{channel, draft, soon, start};
use crate::support::{Script, receipt, submit};

/// A simulator whose first connection is recorded.
struct Recorded {
    simulator: Simulator,
    tape: Arc<Mutex<Vec<CapturedPdu>>>,
}

impl Recorded {
    async fn start(config: SimulatorConfig) -> Self {
        let tape: Arc<Mutex<Vec<CapturedPdu>>> = Arc::default();
        let (recorder, begun) = (tape.clone(), Instant::now());
        let tap = move |_: u64, direction: Direction, octets: &[u8]| {
            let sender = if direction == Direction::Sent { Sender::Smsc } else { Sender::Esme };
            let mut octets = BytesMut::from(octets);
            while let Some(raw) = RawPdu::split(&mut octets, usize::MAX).unwrap() {
                recorder.lock().unwrap().push(CapturedPdu { at: begun.elapsed(), sender, raw });
            }
        };
        let simulator = Simulator::start_tapped(([127, 0, 0, 1], 0).into(), config, Arc::new(tap)).await.unwrap();
        Self { simulator, tape }
    }

    fn conversation(&self) -> Conversation {
        let esme = "127.0.0.1:40000".parse().unwrap();
        Conversation { esme, smsc: self.simulator.address(), pdus: self.tape.lock().unwrap().clone() }
    }
}

fn endpoint(address: SocketAddr) -> Endpoint {
    EndpointText::tcp(address.ip().to_string(), address.port()).open().unwrap()
}

fn plan(conversation: &Conversation, role: Role) -> (Plan, Arc<Mutex<Ids>>) {
    let ids = Ids::of(std::slice::from_ref(conversation));
    (Plan::new(conversation, 1, role, &ids), Arc::new(Mutex::new(ids)))
}

fn options(patience: Duration) -> Options {
    Options { pace: Pace::Max, window: None, patience }
}

const LONG: Duration = Duration::from_secs(30);

async fn replay(conversation: &Conversation, smsc: SocketAddr) -> Result<(Summary, Vec<Difference>), ReplayError> {
    let (plan, ids) = plan(conversation, Role::Esme);
    let mut found = Vec::new();
    let (smsc, options) = (endpoint(smsc), options(LONG));
    let done = as_esme(plan, &smsc, &options, ids, |difference| found.push(difference));
    let summary = soon("the replay", done).await?;
    Ok((summary, found))
}

/// Twenty messages; a receipt for each.
fn twenty() -> Conversation {
    let mut script = Script::bound();
    for number in 0..20 {
        script.taken(number + 2, submit("27820001001", &format!("message {number}")), &format!("{number:08x}"));
    }
    for number in 0..20 {
        script.smsc(number + 1, CommandStatus::ESME_ROK, receipt("27820001001", &format!("{number:08x}"), "").into());
        script.esme(number + 1, DeliverSmResp::default().into());
    }
    script.conversation
}

#[tokio::test]
async fn a_recording_of_the_simulator_is_the_same_against_another_and_differs_where_that_refuses() {
    let config = SimulatorConfig { seed: Some(1), id_format: IdFormat::Hex, ..SimulatorConfig::default() };
    let recorded = Recorded::start(config.clone()).await;
    replay(&twenty(), recorded.simulator.address()).await.unwrap();
    let recording = recorded.conversation();
    // Other ids, and receipts that write them in another base.
    let receipts = Some(IdFormat::Decimal);
    let config = SimulatorConfig { seed: Some(2), receipt_id_format: receipts, ..config };
    let other = Recorded::start(config.clone()).await;
    let (summary, found) = replay(&recording, other.simulator.address()).await.unwrap();
    assert_eq!(found, []);
    assert_eq!((summary.sent, summary.answered, summary.expected, summary.recognised), (20, 20, 20, 20));
    let ids = |conversation: &Conversation| Ids::of(std::slice::from_ref(conversation));
    assert_ne!(format!("{:?}", ids(&recording)), format!("{:?}", ids(&other.conversation())));

    let errors = vec![(1.0, CommandStatus::ESME_RMSGQFUL)];
    let refusing = Recorded::start(SimulatorConfig { errors, ..config }).await;
    let (plan, ids) = plan(&recording, Role::Esme);
    let (mut found, options) = (0, options(Duration::from_millis(200)));
    let smsc = endpoint(refusing.simulator.address());
    let done = as_esme(plan, &smsc, &options, ids, |_| found += 1);
    let summary = soon("the replay", done).await.unwrap();
    assert_eq!((found, summary.differences, summary.recognised), (20, 20, 0));
}

#[tokio::test]
async fn a_hundred_thousand_pdus_go_as_fast_as_the_window_allows() {
    let mut script = Script::bound();
    for number in 0..50_000_u32 {
        script.taken(number + 2, submit("27820001001", &format!("message {number}")), &number.to_string());
    }
    let conversation = script.conversation;
    assert!(conversation.pdus.len() > 100_000);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let options = Options { window: std::num::NonZeroUsize::new(100), ..options(LONG) };
    let (smsc_plan, smsc_ids) = plan(&conversation, Role::Smsc);
    let (esme_plan, esme_ids) = plan(&conversation, Role::Esme);
    let smsc = as_smsc(smsc_plan, &listener, &options, smsc_ids, |found| panic!("{found:?}"));
    let to = endpoint(address);
    let esme = as_esme(esme_plan, &to, &options, esme_ids, |found| panic!("{found:?}"));
    let (smsc, esme) = soon("the replay", async { tokio::join!(smsc, esme) }).await;
    let (smsc, esme) = (smsc.unwrap(), esme.unwrap());
    assert_eq!((esme.sent, esme.answered, esme.differences), (50_000, 50_000, 0));
    assert_eq!((smsc.recognised, smsc.in_turn, smsc.unrecorded), (50_000, 0, 0));
}

#[tokio::test]
async fn a_refused_bind_is_a_failure_and_other_credentials_help() {
    let account = "shop:s3cret".parse().unwrap();
    let smsc = Recorded::start(SimulatorConfig { accounts: vec![account], ..SimulatorConfig::default() }).await;
    let Err(ReplayError::NotBound { conversation: 1, why: CloseReason::BindRefused(_) }) =
        replay(&twenty(), smsc.simulator.address()).await
    else {
        panic!("it was bound")
    };
    let (mut plan, ids) = plan(&twenty(), Role::Esme);
    plan.bind.system_id = "shop".try_into().unwrap();
    plan.bind.password = Password("s3cret".try_into().unwrap());
    let (to, options) = (endpoint(smsc.simulator.address()), options(LONG));
    let done = as_esme(plan, &to, &options, ids, |_| {});
    assert_eq!(soon("the replay", done).await.unwrap().sent, 20);
}

#[tokio::test]
async fn a_channel_meets_its_recorded_smsc_again() {
    let directory = tempfile::tempdir().unwrap();
    let server = start(directory.path()).await;
    let recorded = Recorded::start(SimulatorConfig::default()).await;
    let text = "from a phone, in two segments: ".repeat(8);
    let phone = PhoneMessage { from: "27820001001".into(), to: "40404".into(), text };
    recorded.simulator.inject(&phone).unwrap();
    say_hello(&server, recorded.simulator.address()).await;
    let recording = recorded.conversation();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (plan, ids) = plan(&recording, Role::Smsc);
    assert_eq!((plan.requests(), plan.expected()), (3, 1));
    let mut found = Vec::new();
    let options = options(LONG);
    let smsc = as_smsc(plan, &listener, &options, ids, |difference| found.push(difference));
    let (summary, ()) = soon("the replay", async { tokio::join!(smsc, say_hello(&server, address)) }).await;
    let summary = summary.unwrap();
    assert_eq!(found, []);
    assert_eq!((summary.sent, summary.answered, summary.recognised, summary.in_turn), (3, 3, 1, 0));
    server.stop().await;
}

/// How many deliver_sm a channel has answered.
fn answered(server: &Server, channel: &ChannelId) -> usize {
    let sent = server.gateway().pdu_chunks(channel).into_iter().filter(|chunk| !chunk.received);
    let octets: Vec<u8> = sent.flat_map(|chunk| chunk.octets).collect();
    let mut octets = BytesMut::from(&octets[..]);
    let pdus = std::iter::from_fn(|| RawPdu::split(&mut octets, usize::MAX).unwrap());
    pdus.filter(|raw| raw.id == CommandId::DELIVER_SM_RESP).count()
}

/// A channel that sends a message, gets its receipt, and unbinds.
async fn say_hello(server: &Server, smsc: SocketAddr) {
    let channel = channel(server, smsc).await;
    let message = server.gateway().send(Via::Channel(&channel), draft("40404", "hello €")).await.unwrap();
    // What the SMSC has sent is answered once it is durable, in any order: an unbind before that would be another story.
    soon("the receipt, and an answer to it and both segments", async {
        while server.gateway().events(Via::Channel(&channel), message.id).await.unwrap().len() < 2
            || answered(server, &channel) < 3
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
    server.gateway().delete_channel(&channel).await.unwrap();
}

#[tokio::test]
async fn a_pair_of_binds_is_played_at_once_and_receipts_come_on_the_other() {
    let bound = |mode, system_id: &str| {
        let mut script = Script::unbound();
        let bind = Bind { system_id: system_id.try_into().unwrap(), ..Bind::default() };
        script.esme(1, Pdu::Bind(mode, bind));
        let mut answer = BindResp::default();
        answer.tlvs.push_integer(Tag::SC_INTERFACE_VERSION, 0x34);
        script.smsc(1, CommandStatus::ESME_ROK, Pdu::BindResp(mode, answer));
        script
    };
    let (mut sends, mut receives) = (bound(BindMode::Transmitter, "pair"), bound(BindMode::Receiver, "pair"));
    for number in 0..5 {
        sends.taken(number + 2, submit("27820001001", &number.to_string()), &format!("{number:x}abc"));
        receives.smsc(
            number + 2,
            CommandStatus::ESME_ROK,
            receipt("27820001001", &format!("{number:x}abc"), "").into(),
        );
        receives.esme(number + 2, DeliverSmResp::default().into());
    }
    receives.conversation.esme.set_port(40_002);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pair.pcap");
    let mut file = std::fs::File::create(&path).unwrap();
    capture::write(&[sends.conversation, receives.conversation], &mut file).unwrap();

    let smsc = Simulator::start(([127, 0, 0, 1], 0).into(), SimulatorConfig::default()).await.unwrap();
    let mut maybug = tokio::process::Command::new(env!("CARGO_BIN_EXE_maybug"));
    maybug.arg("replay").arg(&path).args(["--to", &smsc.address().to_string()]);
    let output = soon("the replay", maybug.output()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.starts_with("5 requests sent, 5 answered, 2 conversations in "), "{said}");
    assert!(said.contains("\n5 of 5 recorded requests of the SMSC came"), "{said}");
}
