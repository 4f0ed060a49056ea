//! What was answered with ESME_ROK is kept, and what was not kept is taken when it comes again: whatever the store
//! refuses in between, and wherever a connection ends.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use maybug::channel::esme::Smpp;
use maybug::channel::{Arrival, ChannelType, Fate, Intake, IntakeError, Outcome, Setup, StatusReport, Stop};
use maybug::model::{ChannelId, DeliveryStatus, Event, EventKind, JsonObject, MessageId, Outbound, Timestamp};
use maybug::store::{Change, Store, StoreConfig};
use maybug::telemetry::ChannelLogs;
use maybug::telemetry::channel_log::LogFiles;
use maybug::web::client::{Allowed, Client};
use serde_json::json;
use smpp::pdu::{DeliverSm, Unbind};
use smpp::{CommandId, CommandStatus, EsmClass, Pdu, SequenceNumber, ShortMessage};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::peer::{Peer, ScriptedSmsc, mo, receipt};
use crate::support::{Maybug, Receiver, soon};

const PHONE: &str = "27820001001";

/// A segment of a message of two.
fn part(number: u8, text: &str) -> DeliverSm {
    let octets = [&[5, 0, 3, 7, 2, number], text.as_bytes()].concat();
    DeliverSm { esm_class: EsmClass(0x40), short_message: ShortMessage::new(octets).unwrap(), ..mo(PHONE, "") }
}

fn octets(pdu: impl Into<Pdu>, sequence: u32) -> Vec<u8> {
    let mut out = BytesMut::new();
    pdu.into().encode(CommandStatus::ESME_ROK, SequenceNumber(sequence), &mut out);
    out.to_vec()
}

// Where a connection ends

#[tokio::test]
async fn a_segment_that_comes_with_an_unbind_is_not_lost() {
    let smsc = ScriptedSmsc::listen().await;
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let soon = json!({"initial_reconnect_delay": 0.01});
    maybug.smpp_channel(smsc.address(), soon, json!({"mo_url": receiver.url("/mo")})).await;
    let mut peer = smsc.bound().await;
    assert_eq!(peer.deliver(part(1, "Hello ")).await, CommandStatus::ESME_ROK);
    peer.write(&[octets(part(2, "world"), 900), octets(Unbind::default(), 901)].concat()).await;
    let answer = peer.expect(CommandId::DELIVER_SM_RESP).await;
    assert_eq!((answer.sequence, answer.status), (SequenceNumber(900), CommandStatus::ESME_ROK));
    assert_eq!(receiver.next().await.body["content"], "Hello world");
    // A repetition is no second message.
    let mut peer = smsc.bound().await;
    assert_eq!(peer.deliver(part(2, "world")).await, CommandStatus::ESME_ROK);
    assert_eq!(peer.deliver(mo(PHONE, "next")).await, CommandStatus::ESME_ROK);
    assert_eq!(receiver.next().await.body["content"], "next");
}

#[tokio::test]
async fn the_last_receipt_of_a_long_message_is_told_although_the_connection_ended_with_it() {
    let smsc = ScriptedSmsc::listen().await;
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let channel = maybug.smpp_channel(smsc.address(), json!({}), json!({})).await;
    let mut peer = smsc.bound().await;
    let body = json!({"to": PHONE, "content": "x".repeat(200), "event_url": receiver.url("/e")});
    maybug.send(&channel, body).await;
    for id in ["a1", "a2"] {
        let (raw, _) = peer.submit().await;
        peer.take(&raw, id).await;
    }
    assert_eq!(receiver.next().await.body["event_type"], "submitted");
    assert_eq!(peer.deliver(receipt(PHONE, "a1", "DELIVRD")).await, CommandStatus::ESME_ROK);
    assert_eq!(receiver.next().await.body["event_type"], "delivery_pending");
    peer.write(&[octets(receipt(PHONE, "a2", "DELIVRD"), 900), octets(Unbind::default(), 901)].concat()).await;
    assert_eq!(receiver.next().await.body["event_type"], "delivery_succeeded");
}

#[tokio::test]
async fn what_is_passed_on_is_answered_before_the_unbind_is() {
    let smsc = ScriptedSmsc::listen().await;
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    maybug
        .smpp_channel(smsc.address(), json!({"initial_reconnect_delay": 0.01}), json!({"mo_url": receiver.url("/mo")}))
        .await;
    for round in 0..20 {
        let mut peer = smsc.bound().await;
        let text = round.to_string();
        peer.write(&[octets(mo(PHONE, &text), 1000), octets(Unbind::default(), 1001)].concat()).await;
        let first = peer.read().await.unwrap();
        assert_eq!((first.id, first.status), (CommandId::DELIVER_SM_RESP, CommandStatus::ESME_ROK));
        assert_eq!(peer.read().await.unwrap().id, CommandId::UNBIND_RESP);
        assert_eq!(receiver.next().await.body["content"], text);
    }
}

// What the store refuses

/// What is refused, once.
type Refused = fn(&Arrival) -> bool;

/// A store that refuses the next of what it is told to refuse, and keeps back what says `hold`.
#[derive(Clone)]
struct Refusing {
    store: Store,
    gate: Arc<Notify>,
    held: Arc<Notify>,
    refuse: Arc<Mutex<Option<Refused>>>,
    told: Arc<Mutex<Vec<String>>>,
}

impl Intake for Refusing {
    async fn arrived(&self, channel: &ChannelId, arrivals: Vec<Arrival>) -> Result<(), IntakeError> {
        {
            let mut refuse = self.refuse.lock().unwrap();
            if refuse.is_some_and(|refused| arrivals.iter().any(refused)) {
                *refuse = None;
                return Err(IntakeError::Busy);
            }
        }
        let mut told = Vec::new();
        let mut changes = Vec::new();
        for arrival in arrivals {
            let channel = channel.clone();
            changes.push(match arrival {
                Arrival::Part { id, record } => Change::SavePart { channel, id, record },
                Arrival::DropParts { ids } => Change::DropParts { channel, ids },
                Arrival::Note { name, record } => Change::SaveNote { channel, name, record },
                Arrival::Message { message, joined_from } => {
                    let content = message.content.clone().unwrap_or_default();
                    if content == "hold" {
                        self.held.notify_one();
                        self.gate.notified().await;
                    }
                    told.push(content);
                    Change::Receive { message, callbacks: Vec::new(), joined_from }
                }
                Arrival::Report { origin, message, status, announce, details } => {
                    if announce {
                        told.push(format!("{status:?}"));
                    }
                    let event = event(&message, channel, EventKind::DeliveryReport { status }, details);
                    Change::Record { event, origin, leaves: None, correlate: Vec::new(), callbacks: Vec::new() }
                }
            });
        }
        self.store.commit(changes).await.unwrap();
        self.told.lock().unwrap().extend(told);
        Ok(())
    }

    async fn decided(&self, channel: &ChannelId, outcomes: Vec<Outcome>) {
        for Outcome { ticket, origin, message, fate } in outcomes {
            if message.content == "slow" {
                self.held.notify_one();
                self.gate.notified().await;
            }
            let Fate::Submitted { correlate, details, .. } = fate else { panic!("refused") };
            let kind = EventKind::Ack { sent_message_id: String::new() };
            let event = event(&message, channel.clone(), kind, details);
            let change = Change::Record { event, origin, leaves: Some(ticket), correlate, callbacks: Vec::new() };
            self.store.post(vec![change]).await.unwrap();
        }
    }

    async fn status(&self, _: &ChannelId, _: StatusReport) {}
}

fn event(message: &Outbound, channel: ChannelId, kind: EventKind, details: JsonObject) -> Event {
    Event { id: MessageId::mint(), message: message.id, channel, at: Timestamp::now(), kind, details }
}

fn message(content: &str) -> Outbound {
    let record = json!({
        "id": MessageId::mint(), "channel": "c", "to": PHONE, "content": content, "accepted_at": Timestamp::now(),
    });
    serde_json::from_value(record).unwrap()
}

/// A channel over such a store, bound.
struct Bound {
    intake: Refusing,
    peer: Peer<TcpStream>,
    stop: Stop,
    task: tokio::task::JoinHandle<()>,
    _directory: tempfile::TempDir,
}

impl Bound {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = StoreConfig { path: directory.path().join("data"), min_free: 0, ..StoreConfig::default() };
        let store = Store::open(&config).await.unwrap();
        let logs = LogFiles { path: directory.path().join("logs"), rotate_size: 1 << 20, max_files: 1, privacy: false };
        let logs = ChannelLogs::start(logs).unwrap();
        let intake = Refusing {
            store: store.clone(),
            gate: Arc::default(),
            held: Arc::default(),
            refuse: Arc::default(),
            told: Arc::default(),
        };
        let smsc = ScriptedSmsc::listen().await;
        let endpoint = format!("tcp:127.0.0.1:{}", smsc.address().port());
        let config = json!({"twisted_endpoint": endpoint, "system_id": "me", "password": "p"});
        let (id, stop) = (ChannelId::from("c"), Stop::new());
        let setup = Setup {
            id: id.clone(),
            config: config.as_object().unwrap().clone(),
            rate_limit: None,
            store,
            intake: intake.clone(),
            client: Client::new(Allowed::default()),
            log: logs.channel(&id),
            stop: stop.clone(),
        };
        let task = tokio::spawn(async move { Smpp::default().run(setup).await.unwrap() });
        let peer = smsc.bound().await;
        Self { intake, peer, stop, task, _directory: directory }
    }

    /// Has another batch under way from now on.
    async fn hold(&mut self) {
        self.peer.request(mo(PHONE, "hold")).await;
        soon("the batch", self.intake.held.notified()).await;
    }

    fn refuse(&self, what: Refused) {
        *self.intake.refuse.lock().unwrap() = Some(what);
    }

    /// Delivers as SMSCs do: again, until it is taken.
    async fn deliver_until_taken(&mut self, pdu: DeliverSm) {
        soon("an answer of ESME_ROK", async {
            while self.peer.deliver(pdu.clone()).await != CommandStatus::ESME_ROK {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    fn told(&self) -> Vec<String> {
        self.intake.told.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn segments_that_were_not_stored_are_taken_when_they_come_again() {
    for refused in [1, 2] {
        let mut bound = Bound::start().await;
        bound.hold().await;
        if refused == 1 {
            bound.refuse(|arrival| matches!(arrival, Arrival::Part { .. }));
            assert_eq!(bound.peer.deliver(part(1, "a")).await, CommandStatus::ESME_RTHROTTLED);
            assert_ne!(bound.peer.deliver(part(1, "a")).await, CommandStatus::ESME_ROK, "memory is not to be believed");
        } else {
            assert_eq!(bound.peer.deliver(part(1, "a")).await, CommandStatus::ESME_ROK);
            bound.refuse(|arrival| matches!(arrival, Arrival::Message { .. }));
            assert_eq!(bound.peer.deliver(part(2, "b")).await, CommandStatus::ESME_RTHROTTLED);
        }
        bound.intake.gate.notify_one();
        bound.peer.expect(CommandId::DELIVER_SM_RESP).await;
        bound.deliver_until_taken(part(1, "a")).await;
        bound.deliver_until_taken(part(2, "b")).await;
        assert_eq!(bound.told(), ["hold", "ab"], "segment {refused} refused");
    }
}

#[tokio::test]
async fn a_repetition_is_not_acknowledged_before_what_it_repeats_is_stored() {
    let mut bound = Bound::start().await;
    let both = [octets(mo(PHONE, "hold"), 1), octets(part(1, "a"), 2), octets(part(1, "a"), 3)].concat();
    bound.peer.write(&both).await;
    soon("the batch", bound.intake.held.notified()).await;
    // Whatever needs no store is answered at once; none of the segments has been by then.
    let sequence = bound.peer.request(smpp::pdu::QuerySm::default()).await;
    assert_eq!(bound.peer.read().await.unwrap().sequence, sequence);
    bound.intake.gate.notify_one();
    for sequence in 1..=3 {
        let answer = bound.peer.expect(CommandId::DELIVER_SM_RESP).await;
        assert_eq!((answer.sequence.0, answer.status), (sequence, CommandStatus::ESME_ROK));
    }
}

#[tokio::test]
async fn a_channel_that_is_told_to_end_while_it_stores_something_unbinds() {
    let mut bound = Bound::start().await;
    bound.intake.store.commit(vec![Change::Accept(message("slow").into())]).await.unwrap();
    let (raw, _) = bound.peer.submit().await;
    bound.peer.take(&raw, "1").await;
    soon("the outcome", bound.intake.held.notified()).await;
    bound.stop.cancel();
    bound.intake.gate.notify_one();
    soon("the unbind", bound.peer.unbound()).await;
    soon("the channel's end", bound.task).await.unwrap();
}

#[tokio::test]
async fn what_was_on_the_wire_of_a_channel_that_was_cut_off_may_be_a_duplicate() {
    for panicked in [false, true] {
        let mut bound = Bound::start().await;
        let content = if panicked { "a" } else { "slow" };
        let messages = vec![Change::Accept(message(content).into()), Change::Accept(message("b").into())];
        bound.intake.store.commit(messages).await.unwrap();
        let (raw, _) = bound.peer.submit().await;
        bound.peer.submit().await;
        if !panicked {
            // Taken, but the store has no room for that word: the channel cannot end in order.
            bound.peer.take(&raw, "1").await;
            soon("the outcome", bound.intake.held.notified()).await;
            bound.stop.cancel();
        }
        bound.task.abort();
        let _ = (&mut bound.task).await;
        let mut queue = bound.intake.store.outbound(&"c".into());
        let again = queue.pull(10).await.unwrap();
        let flags: Vec<_> = again.iter().map(|d| (d.message.content.as_str(), d.possible_duplicate)).collect();
        assert!(flags.iter().all(|(_, flag)| *flag), "panicked {panicked}: {flags:?}");
    }
}

#[tokio::test]
async fn the_fate_of_a_message_is_told_although_its_receipt_was_not_stored_at_first() {
    let mut bound = Bound::start().await;
    let messages = vec![Change::Accept(message("short").into()), Change::Accept(message(&"x".repeat(200)).into())];
    bound.intake.store.commit(messages).await.unwrap();
    for id in ["s", "a1", "a2"] {
        let (raw, _) = bound.peer.submit().await;
        bound.peer.take(&raw, id).await;
    }
    bound.deliver_until_taken(receipt(PHONE, "a1", "DELIVRD")).await;
    for id in ["a2", "s"] {
        bound.refuse(|arrival| matches!(arrival, Arrival::Report { status: DeliveryStatus::Delivered, .. }));
        assert_eq!(bound.peer.deliver(receipt(PHONE, id, "DELIVRD")).await, CommandStatus::ESME_RTHROTTLED);
        bound.deliver_until_taken(receipt(PHONE, id, "DELIVRD")).await;
    }
    assert_eq!(bound.told(), ["Pending", "Delivered", "Delivered"]);
}
