//! USSD over SMPP in the three dialects of the field guide (§6).

use maybug::smsc::{SimEvent, SimulatorConfig, UssdDialect};
use serde_json::{Value, json};
use smpp::pdu::DeliverSm;
use smpp::{CommandStatus, Tag};

use crate::peer::{Peer, ScriptedSmsc, mo};
use crate::support::{Maybug, Receiver, Smsc, soon};

const PHONE: &str = "27820001001";

struct Gateway {
    maybug: Maybug,
    receiver: Receiver,
    peer: Peer<tokio::net::TcpStream>,
    channel: String,
}

async fn gateway(family: &str, config: Value) -> Gateway {
    let smsc = ScriptedSmsc::listen().await;
    let receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let class = |name: &str| format!("vumi.transports.smpp.processors.{family}.{name}");
    let mut merged = json!({
        "deliver_short_message_processor": class("DeliverShortMessageProcessor"),
        "submit_short_message_processor": class("SubmitShortMessageProcessor"),
        "registered_delivery": false,
    });
    merged.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
    let channel = maybug.smpp_channel(smsc.address(), merged, json!({"mo_url": receiver.url("/mo")})).await;
    let peer = smsc.bound().await;
    Gateway { maybug, receiver, peer, channel }
}

fn turn(text: &str, op: u32, parameter: (Tag, u16)) -> DeliverSm {
    let mut pdu = mo(PHONE, text);
    pdu.destination.digits = "555".try_into().unwrap();
    pdu.tlvs.push_integer(Tag::USSD_SERVICE_OP, op);
    pdu.tlvs.push(parameter.0, &parameter.1.to_be_bytes());
    pdu
}

impl Gateway {
    /// A turn of the phone's, and what the application hears of it.
    async fn dial(&mut self, pdu: DeliverSm) -> Value {
        assert_eq!(self.peer.deliver(pdu).await, CommandStatus::ESME_ROK);
        self.receiver.next().await.body
    }

    /// A turn of the application's: its operation and session, as the operator sees them.
    async fn reply(&mut self, to: &Value, text: &str, session_event: &str, tag: Tag) -> (u32, u32) {
        let reply = json!({
            "reply_to": to["message_id"], "content": text, "channel_data": {"session_event": session_event},
        });
        self.maybug.send(&self.channel, reply).await;
        let (raw, submit) = self.peer.submit().await;
        self.peer.take(&raw, text).await;
        assert_eq!(submit.short_message.octets(), text.as_bytes());
        (submit.tlvs.integer(Tag::USSD_SERVICE_OP).unwrap(), submit.tlvs.integer(tag).unwrap())
    }
}

fn shown(body: &Value) -> (&Value, &Value, &Value) {
    (&body["channel_data"]["session_event"], &body["to"], &body["content"])
}

/// Field guide 8.7 #114.
#[tokio::test]
async fn the_default_dialect_carries_its_session_info() {
    let mut gateway = gateway("default", json!({})).await;
    let info = Tag::ITS_SESSION_INFO;
    let first = gateway.dial(turn("*123#", 0x01, (info, 0x00f0))).await;
    assert_eq!(shown(&first), (&json!("new"), &json!("555"), &json!("*123#")));
    assert_eq!(gateway.reply(&first, "1. Balance", "resume", info).await, (0x02, 0x00f0));
    let next = gateway.dial(turn("1", 0x12, (info, 0x00f0))).await;
    assert_eq!(shown(&next), (&json!("resume"), &json!("555"), &json!("1")));
    assert_eq!(gateway.reply(&next, "R 5.00", "close", info).await, (0x02, 0x00f1));
    let gone = gateway.dial(turn("", 0x12, (info, 0x00f1))).await;
    assert_eq!(gone["channel_data"]["session_event"], "close");
}

/// Field guide 8.7 #114.
#[tokio::test]
async fn mica_names_sessions_by_reference_which_outlive_a_restart_and_end_from_either_side() {
    let smsc = ScriptedSmsc::listen().await;
    let receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let processor = "vumi.transports.smpp.processors.mica.DeliverShortMessageProcessor";
    let config = json!({"deliver_short_message_processor": processor});
    let channel = maybug.smpp_channel(smsc.address(), config, json!({"mo_url": receiver.url("/mo")})).await;
    let peer = smsc.bound().await;
    let mut gateway = Gateway { maybug, receiver, peer, channel };
    let reference = Tag::USER_MESSAGE_REFERENCE;
    let first = gateway.dial(turn("*123#", 0x01, (reference, 7))).await;
    assert_eq!(shown(&first), (&json!("new"), &json!("*123#"), &Value::Null));
    assert_eq!(gateway.reply(&first, "1. Balance", "resume", reference).await, (0x02, 7));
    let path = format!("/channels/{}/restart", gateway.channel);
    let restart = gateway.maybug.post(&path, json!({}));
    let (_, (status, _)) = tokio::join!(gateway.peer.unbound(), restart);
    assert_eq!(status, 200);
    gateway.peer = smsc.bound().await;
    let next = gateway.dial(turn("1", 0x12, (reference, 7))).await;
    assert_eq!(shown(&next), (&json!("resume"), &json!("*123#"), &json!("1")));
    assert_eq!(gateway.reply(&next, "Bye", "close", reference).await, (0x17, 7));
    // The session is over: another turn of it is of an unknown one.
    let stray = gateway.dial(turn("2", 0x12, (reference, 7))).await;
    assert_eq!(shown(&stray), (&json!("resume"), &json!("555"), &json!("2")));
    // The phone gives up.
    gateway.dial(turn("*123#", 0x01, (reference, 8))).await;
    let gone = gateway.dial(turn("", 0x81, (reference, 8))).await;
    assert_eq!(shown(&gone), (&json!("close"), &json!("*123#"), &Value::Null));
}

/// Field guide 8.7 #114.
#[tokio::test]
async fn sixdee_names_sessions_by_info_and_may_have_the_code_in_the_destination() {
    let mut gateway = gateway("sixdee", json!({"ussd_code_pdu_field": "destination_addr"})).await;
    let info = Tag::ITS_SESSION_INFO;
    let first = gateway.dial(turn("ignored", 0x01, (info, 0x1234))).await;
    assert_eq!(shown(&first), (&json!("new"), &json!("555"), &Value::Null));
    assert_eq!(gateway.reply(&first, "Menu", "resume", info).await, (0x02, 0x1234));
    let next = gateway.dial(turn("9", 0x12, (info, 0x1234))).await;
    assert_eq!(shown(&next), (&json!("resume"), &json!("555"), &json!("9")));
    assert_eq!(gateway.reply(&next, "Bye", "close", info).await, (0x17, 0x1235));
    // The end bit is looked at before the operation.
    let gone = gateway.dial(turn("", 0x12, (info, 0x1235))).await;
    assert_eq!(gone["channel_data"]["session_event"], "close");
}

/// Field guide 8.7 #114.
#[tokio::test]
async fn a_session_that_nobody_goes_on_with_is_forgotten() {
    let mut gateway = gateway("mica", json!({"max_session_length": 0.001})).await;
    let reference = Tag::USER_MESSAGE_REFERENCE;
    gateway.dial(turn("*123#", 0x01, (reference, 1))).await;
    // A turn in less than a millisecond after the one before is in time, and there may be some of those.
    soon("a turn that comes too late", async {
        loop {
            let turn = gateway.dial(turn("1", 0x12, (reference, 1))).await;
            if turn["to"] == "555" {
                return assert_eq!(shown(&turn), (&json!("resume"), &json!("555"), &json!("1")));
            }
        }
    })
    .await;
}

/// A simulated phone walks the menus of an application behind a channel, in each dialect; and one that is asked first.
#[tokio::test]
async fn a_simulated_phone_walks_a_menu_and_answers_one() {
    for (dialect, family) in
        [(UssdDialect::Tata, "default"), (UssdDialect::Mica, "mica"), (UssdDialect::Sixdee, "sixdee")]
    {
        let ussd_answers = vec!["yes".to_owned()];
        let config = SimulatorConfig { ussd_dialect: dialect, ussd_answers, ..SimulatorConfig::default() };
        let mut smsc = Smsc::start(config).await;
        let mut receiver = Receiver::start().await;
        let maybug = Maybug::start().await;
        let class = format!("vumi.transports.smpp.processors.{family}.DeliverShortMessageProcessor");
        let config = json!({"deliver_short_message_processor": class});
        let properties = json!({"mo_url": receiver.url("/mo")});
        let channel = maybug.smpp_channel(smsc.simulator.address(), config, properties).await;
        smsc.bound().await;
        smsc.simulator.dial(PHONE, "*123#", &["1".to_owned(), "2".to_owned()]);
        let dialled = receiver.next().await.body;
        assert_eq!(
            (&dialled["channel_data"]["session_event"], &dialled["to"]),
            (&json!("new"), &json!("*123#")),
            "{family}"
        );
        let mut last = dialled;
        for (menu, answer) in [("1. Balance", Some("1")), ("1. Airtime 2. Data", Some("2"))] {
            let reply =
                json!({"reply_to": last["message_id"], "content": menu, "channel_data": {"session_event": "resume"}});
            maybug.send(&channel, reply).await;
            let shown = smsc.next("the menu", |event| match event {
                SimEvent::Ussd { text, answer, ended: false, .. } => Some((text.clone(), answer.clone())),
                _ => None,
            });
            assert_eq!(shown.await, (menu.to_owned(), answer.map(str::to_owned)), "{family}");
            last = receiver.next().await.body;
            assert_eq!((&last["content"], &last["to"]), (&json!(answer.unwrap()), &json!("*123#")), "{family}");
        }
        let bye =
            json!({"reply_to": last["message_id"], "content": "5 GB", "channel_data": {"session_event": "close"}});
        maybug.send(&channel, bye).await;
        let over = smsc.next("the end", |event| match event {
            SimEvent::Ussd { text, answer, ended: true, .. } => Some((text.clone(), answer.clone())),
            _ => None,
        });
        assert_eq!(over.await, ("5 GB".to_owned(), None), "{family}");
        // Out of answers the phone gives up.
        smsc.simulator.dial(PHONE, "*5#", &[]);
        let dialled = receiver.next().await.body;
        let reply =
            json!({"reply_to": dialled["message_id"], "content": "?", "channel_data": {"session_event": "resume"}});
        maybug.send(&channel, reply).await;
        assert_eq!(receiver.next().await.body["channel_data"]["session_event"], "close", "{family}");
    }
}
