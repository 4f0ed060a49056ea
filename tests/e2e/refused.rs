//! What `telnet` and `dmark` channels do while the store refuses: nothing that came is lost, and whoever sent it waits or
//! is told to come again.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use hyper::{HeaderMap, Method};
use maybug::channel::{Arrival, ChannelTypes, Intake, IntakeError, Outcome, Setup, StatusReport, Stop};
use maybug::model::{ChannelId, SessionEvent};
use maybug::store::{Store, StoreConfig};
use maybug::telemetry::ChannelLogs;
use maybug::telemetry::channel_log::LogFiles;
use maybug::web::client::{Allowed, Answer, Client};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use url::Url;

use crate::support::{DEADLINE, soon};

/// What a message says of its session, and its content.
type Told = (SessionEvent, Option<String>);

/// Refuses so many times what is told next, and then takes it.
#[derive(Clone)]
struct Refusing {
    refusals: Arc<Mutex<u32>>,
    refused: Arc<Notify>,
    told: mpsc::UnboundedSender<Told>,
    listening: mpsc::UnboundedSender<String>,
}

impl Intake for Refusing {
    async fn arrived(&self, _: &ChannelId, arrivals: Vec<Arrival>) -> Result<(), IntakeError> {
        {
            let mut refusals = self.refusals.lock().unwrap();
            if *refusals > 0 {
                *refusals -= 1;
                self.refused.notify_one();
                return Err(IntakeError::Busy);
            }
        }
        for arrival in arrivals {
            if let Arrival::Message { message, .. } = arrival {
                self.told.send((message.session_event.unwrap(), message.content.clone())).unwrap();
            }
        }
        Ok(())
    }

    async fn decided(&self, _: &ChannelId, _: Vec<Outcome>) {}

    async fn status(&self, _: &ChannelId, report: StatusReport) {
        if report.kind == "listening" {
            self.listening.send(report.details["address"].as_str().unwrap().to_owned()).unwrap();
        }
    }
}

/// A channel over such a store.
struct Running {
    intake: Refusing,
    told: mpsc::UnboundedReceiver<Told>,
    address: String,
    stop: Stop,
    task: tokio::task::JoinHandle<()>,
    _directory: tempfile::TempDir,
}

impl Running {
    async fn start(channel_type: &str, config: Value) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = StoreConfig { path: directory.path().join("data"), min_free: 0, ..StoreConfig::default() };
        let logs = LogFiles { path: directory.path().join("logs"), rotate_size: 1 << 20, max_files: 1, privacy: false };
        let (id, stop) = (ChannelId::from("c"), Stop::new());
        let (told, told_later) = mpsc::unbounded_channel();
        let (listening, mut listens) = mpsc::unbounded_channel();
        let intake = Refusing { refusals: Arc::default(), refused: Arc::default(), told, listening };
        let setup = Setup {
            id: id.clone(),
            config: config.as_object().unwrap().clone(),
            rate_limit: None,
            store: Store::open(&store).await.unwrap(),
            intake: intake.clone(),
            client: client(),
            log: ChannelLogs::start(logs).unwrap().channel(&id),
            stop: stop.clone(),
        };
        let run = ChannelTypes::<Refusing>::built_in().get(channel_type).unwrap().clone().run(setup);
        let task = tokio::spawn(async move { run.await.unwrap() });
        let address = soon("the port", listens.recv()).await.unwrap();
        Self { intake, told: told_later, address, stop, task, _directory: directory }
    }

    fn refuse(&self, times: u32) {
        *self.intake.refusals.lock().unwrap() = times;
    }

    async fn told(&mut self) -> Told {
        soon("a message", self.told.recv()).await.unwrap()
    }

    async fn end(self) {
        self.stop.cancel();
        soon("the channel's end", self.task).await.unwrap();
    }
}

fn client() -> Client {
    Client::new(Allowed { networks: vec!["127.0.0.0/8".parse().unwrap()] })
}

fn line(text: &str) -> Told {
    (SessionEvent::Resume, Some(text.to_owned()))
}

#[tokio::test]
async fn a_line_that_the_store_refuses_is_told_again_before_the_next_one() {
    let mut telnet = Running::start("telnet", json!({"twisted_endpoint": "tcp:0:interface=127.0.0.1"})).await;
    telnet.refuse(1);
    let mut terminal = TcpStream::connect(&telnet.address).await.unwrap();
    assert_eq!(telnet.told().await, (SessionEvent::New, None));
    telnet.refuse(2);
    terminal.write_all(b"one\ntwo\n").await.unwrap();
    assert_eq!(telnet.told().await, line("one"));
    assert_eq!(telnet.told().await, line("two"));
    telnet.refuse(1);
    drop(terminal);
    assert_eq!(telnet.told().await, (SessionEvent::Close, None));
    telnet.end().await;
}

#[tokio::test]
async fn a_store_that_refuses_for_good_does_not_hold_up_the_end() {
    let telnet = Running::start("telnet", json!({"twisted_endpoint": "tcp:0:interface=127.0.0.1"})).await;
    telnet.refuse(u32::MAX);
    let _terminal = TcpStream::connect(&telnet.address).await.unwrap();
    soon("a refusal", telnet.intake.refused.notified()).await;
    telnet.end().await;
}

#[tokio::test]
async fn a_turn_that_the_store_refuses_comes_again_and_is_still_the_first() {
    let config = json!({"web_port": 0, "web_path": "u", "web_interface": "127.0.0.1", "request_timeout": 0.01});
    let mut dmark = Running::start("dmark", config).await;
    let address = dmark.address.clone();
    let ask = async || -> Answer {
        let query = "transactionId=1&msisdn=2&ussdServiceCode=3&transactionTime=4&ussdRequestString=5&creationTime=6\
                     &response=7";
        let url = Url::parse(&format!("http://{address}/u?{query}")).unwrap();
        client().request(Method::GET, &url, HeaderMap::new(), Bytes::new(), DEADLINE).await.unwrap()
    };
    dmark.refuse(1);
    let answer = ask().await;
    assert_eq!((answer.status.as_u16(), answer.headers.contains_key("retry-after")), (503, true));
    assert_eq!(ask().await.status.as_u16(), 504);
    assert_eq!(dmark.told().await, (SessionEvent::New, None));
    assert_eq!(ask().await.status.as_u16(), 504);
    assert_eq!(dmark.told().await, line("5"));
    dmark.end().await;
}
