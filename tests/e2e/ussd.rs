//! USSD over SMPP in the three dialects of the field guide (§6).

use maybug::smsc::{SimEvent, SimulatorConfig, Step, Turn, UssdDialect, UssdHabits, UssdPhone, UssdScript};
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
        let ussd = UssdHabits { dialect, answers: vec!["yes".to_owned()], ..UssdHabits::default() };
        let config = SimulatorConfig { ussd, ..SimulatorConfig::default() };
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

const DIALECTS: [(UssdDialect, &str); 3] =
    [(UssdDialect::Tata, "default"), (UssdDialect::Mica, "mica"), (UssdDialect::Sixdee, "sixdee")];

fn step(expect: &str, answer: Option<&str>) -> Turn {
    Turn(vec![Step { expect: expect.into(), answer: answer.map(Into::into), steps: Vec::new() }])
}

/// A simulated SMSC of a dialect, and a channel bound to it whose application the test is.
struct Menu {
    smsc: Smsc,
    receiver: Receiver,
    maybug: Maybug,
    channel: String,
}

impl Menu {
    async fn open(family: &str, ussd: UssdHabits) -> Self {
        let smsc = Smsc::start(SimulatorConfig { ussd, ..SimulatorConfig::default() }).await;
        let receiver = Receiver::start().await;
        let maybug = Maybug::start().await;
        let class = format!("vumi.transports.smpp.processors.{family}.DeliverShortMessageProcessor");
        let config = json!({"deliver_short_message_processor": class});
        let properties = json!({"mo_url": receiver.url("/mo")});
        let channel = maybug.smpp_channel(smsc.simulator.address(), config, properties).await;
        Self { smsc, receiver, maybug, channel }
    }

    /// What the application hears next: the session event and the text.
    async fn hears(&mut self) -> Value {
        self.receiver.next().await.body
    }

    async fn shows(&self, to: &Value, text: &str, session_event: &str) {
        let reply = json!({
            "reply_to": to["message_id"], "content": text, "channel_data": {"session_event": session_event},
        });
        self.maybug.send(&self.channel, reply).await;
    }

    async fn outcome(&mut self) -> Result<usize, String> {
        self.smsc
            .next("the outcome", |event| match event {
                SimEvent::Walked { outcome, .. } => Some(outcome.clone()),
                _ => None,
            })
            .await
    }
}

/// The simulator plays a menu to the gateway: each text is checked, and the walk comes out as it should.
#[tokio::test]
async fn a_phone_follows_its_steps_and_tells_how_it_went() {
    for (dialect, family) in DIALECTS {
        let steps = vec![step("1. Balance", Some("1")), step("R 5", None)];
        let phones = vec![UssdPhone { phone: PHONE.into(), dial: "*120#".into(), steps }];
        let script = UssdScript { phones, ..UssdScript::default() };
        let mut menu = Menu::open(family, UssdHabits { dialect, script, ..UssdHabits::default() }).await;
        let dialled = menu.hears().await;
        assert_eq!((&dialled["channel_data"]["session_event"], &dialled["to"]), (&json!("new"), &json!("*120#")));
        menu.shows(&dialled, "1. Balance 2. Data", "resume").await;
        let chosen = menu.hears().await;
        assert_eq!(chosen["content"], "1", "{family}");
        menu.shows(&chosen, "R 5.00", "close").await;
        assert_eq!(menu.outcome().await, Ok(2), "{family}");
        assert_eq!(menu.smsc.simulator.counters().walks, 1);
    }
}

/// A text that the script does not expect fails the walk, and the phone hangs up.
#[tokio::test]
async fn a_phone_hangs_up_on_a_text_that_it_does_not_expect() {
    for (dialect, family) in DIALECTS {
        let steps = vec![step("1. Balance", Some("1"))];
        let phones = vec![UssdPhone { phone: PHONE.into(), dial: "*120#".into(), steps }];
        let script = UssdScript { phones, ..UssdScript::default() };
        let mut menu = Menu::open(family, UssdHabits { dialect, script, ..UssdHabits::default() }).await;
        let dialled = menu.hears().await;
        menu.shows(&dialled, "Sorry", "resume").await;
        assert_eq!(menu.hears().await["channel_data"]["session_event"], "close", "{family}");
        let failure = menu.outcome().await.unwrap_err();
        assert_eq!(failure, r#"step 1: expected "1. Balance", was shown "Sorry""#);
    }
}

/// The network ends a session in which the application says nothing.
#[tokio::test]
async fn a_session_without_an_answer_is_closed_by_the_network() {
    for (dialect, family) in DIALECTS {
        let steps = vec![step("1. Balance", Some("1"))];
        let phones = vec![UssdPhone { phone: PHONE.into(), dial: "*120#".into(), steps }];
        let script = UssdScript { phones, ..UssdScript::default() };
        let timeout = std::time::Duration::from_millis(20);
        let mut menu = Menu::open(family, UssdHabits { dialect, script, timeout, ..UssdHabits::default() }).await;
        assert_eq!(menu.hears().await["channel_data"]["session_event"], "new");
        let closed = menu.hears().await;
        assert_eq!((&closed["channel_data"]["session_event"], &closed["from"]), (&json!("close"), &json!(PHONE)));
        assert_eq!(menu.outcome().await, Err("step 1: the session timed out".into()), "{family}");
    }
}

/// The gateway plays a menu to the simulator: the application opens it at the phone.
#[tokio::test]
async fn an_application_opens_a_menu_at_a_phone() {
    let choice = |expect: &str, answer: &str| Step {
        expect: expect.into(),
        answer: Some(answer.into()),
        steps: vec![step("Thank you", None)],
    };
    let asked = vec![Turn(vec![choice("in English", "good"), choice("auf Deutsch", "gut")])];
    let script = UssdScript { asked, ..UssdScript::default() };
    let mut menu = Menu::open("default", UssdHabits { script, ..UssdHabits::default() }).await;
    menu.smsc.bound().await;
    let question = json!({
        "to": PHONE, "from": "*555#", "content": "Wie war es? (auf Deutsch)",
        "channel_data": {"session_event": "new", "tlvs": {"ussd_service_op": 2, "its_session_info": "00f0"}},
    });
    menu.maybug.send(&menu.channel, question).await;
    let answer = menu.hears().await;
    assert_eq!((&answer["content"], &answer["to"]), (&json!("gut"), &json!("*555#")), "{answer}");
    menu.shows(&answer, "Thank you", "close").await;
    assert_eq!(menu.outcome().await, Ok(2));
}
