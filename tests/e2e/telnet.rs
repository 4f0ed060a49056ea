//! The `telnet` channel type: whoever connects is a phone.

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::support::{Maybug, Receiver, soon, types};

/// Somebody at a terminal.
struct Terminal {
    /// The phone's number, so to speak.
    address: String,
    stream: BufReader<TcpStream>,
}

impl Terminal {
    async fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        Self { address: stream.local_addr().unwrap().to_string(), stream: BufReader::new(stream) }
    }

    async fn types(&mut self, octets: &[u8]) {
        self.stream.get_mut().write_all(octets).await.unwrap();
    }

    /// The next line, with its end; nothing once the connection has been closed.
    async fn reads(&mut self) -> String {
        let mut line = String::new();
        soon("a line", self.stream.read_line(&mut line)).await.unwrap();
        line
    }
}

/// A channel and where it listens.
async fn channel(maybug: &Maybug, receiver: &mut Receiver, config: Value) -> (String, String) {
    let mut merged = json!({"twisted_endpoint": "tcp:0:interface=127.0.0.1"});
    merged.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
    let properties = json!({
        "type": "telnet", "config": merged, "mo_url": receiver.url("/mo"), "status_url": receiver.url("/status"),
    });
    let id = maybug.channel(properties).await;
    let told = receiver.told("listening").await;
    assert_eq!((&told["component"], &told["status"]), (&json!("telnet"), &json!("ok")));
    (id, told["details"]["address"].as_str().unwrap().to_owned())
}

fn event(mo: &Value) -> (&str, &Value) {
    (mo["channel_data"]["session_event"].as_str().unwrap(), &mo["content"])
}

#[tokio::test]
async fn a_connection_is_a_session_and_each_line_a_message() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let (id, address) = channel(&maybug, &mut receiver, json!({})).await;
    let mut terminal = Terminal::connect(&address).await;
    let mo = receiver.mo().await;
    assert_eq!(event(&mo), ("new", &Value::Null));
    assert_eq!((&mo["from"], &mo["to"]), (&json!(terminal.address), &json!(address)));

    // WILL NAWS and a size, as clients say them unasked.
    terminal.types(b"\xff\xfb\x1fhel\xff\xfa\x1f\x00\x50\x00\x18\xff\xf0lo\r\nK\xc3\xa4se\n").await;
    let mo = receiver.mo().await;
    assert_eq!(event(&mo), ("resume", &json!("hello")));
    assert_eq!(event(&receiver.mo().await), ("resume", &json!("Käse")));

    let reply = json!({"reply_to": mo["message_id"], "content": "two\r\nlines €"});
    let message = maybug.send(&id, reply).await;
    assert_eq!((terminal.reads().await, terminal.reads().await), ("two\n".to_owned(), "lines €\n".to_owned()));
    let events = maybug.events(&id, &message, 1).await;
    assert_eq!(types(&events), ["submitted"]);

    terminal.types(b"/QUIT\n").await;
    assert_eq!(terminal.reads().await, "");
    let mo = receiver.mo().await;
    assert_eq!((event(&mo), &mo["from"]), (("close", &Value::Null), &json!(terminal.address)));
    // One close for each session: the next word is of another.
    let other = Terminal::connect(&address).await;
    assert_eq!(event(&receiver.mo().await).0, "new");
    drop(other);
    assert_eq!(event(&receiver.mo().await).0, "close");
}

#[tokio::test]
async fn a_reply_that_closes_the_session_closes_the_connection() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let config = json!({"to_addr": "*404#", "transport_type": "ussd"});
    let (id, address) = channel(&maybug, &mut receiver, config).await;
    let mut terminal = Terminal::connect(&address).await;
    let mo = receiver.mo().await;
    assert_eq!(mo["to"], "*404#");
    let bye = json!({"reply_to": mo["message_id"], "content": "Bye", "channel_data": {"session_event": "close"}});
    let message = maybug.send(&id, bye).await;
    assert_eq!((terminal.reads().await, terminal.reads().await), ("Bye\n".to_owned(), String::new()));
    assert_eq!(types(&maybug.events(&id, &message, 1).await), ["submitted"]);
    assert_eq!(event(&receiver.mo().await).0, "close");
}

#[tokio::test]
async fn what_is_sent_to_nobody_is_rejected_and_shown_to_everybody() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let (id, address) = channel(&maybug, &mut receiver, json!({})).await;
    let mut terminals = [Terminal::connect(&address).await, Terminal::connect(&address).await];
    for _ in &terminals {
        assert_eq!(event(&receiver.mo().await).0, "new");
    }
    let message = maybug.send(&id, json!({"to": "27820001001", "content": "anybody?"})).await;
    let events = maybug.events(&id, &message, 1).await;
    assert_eq!(types(&events), ["rejected"]);
    assert_eq!(events[0]["event_details"]["reason"], "Unknown address.");
    for terminal in &mut terminals {
        assert_eq!(terminal.reads().await, "UNKNOWN ADDR [27820001001]: anybody?\n");
    }
}

#[tokio::test]
async fn a_line_that_is_too_long_is_told_and_the_next_one_goes_through() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let (_, address) = channel(&maybug, &mut receiver, json!({})).await;
    let mut terminal = Terminal::connect(&address).await;
    assert_eq!(event(&receiver.mo().await).0, "new");
    terminal.types(&[b'x'; 100_000]).await;
    terminal.types(b"\nshort\n").await;
    assert_eq!(terminal.reads().await, "LINE TOO LONG: at most 4096 octets\n");
    assert_eq!(event(&receiver.mo().await), ("resume", &json!("short")));
}

/// A terminal that reads nothing costs no other, and loses nothing that was not written.
#[tokio::test]
async fn somebody_who_does_not_read_holds_up_nobody_else() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let (id, address) = channel(&maybug, &mut receiver, json!({})).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let deaf = socket.connect(address.parse().unwrap()).await.unwrap();
    let number = deaf.local_addr().unwrap().to_string();
    let mut other = Terminal::connect(&address).await;
    for _ in 0..2 {
        assert_eq!(event(&receiver.mo().await).0, "new");
    }
    let large = "x".repeat(50_000);
    let mut sent = Vec::new();
    for _ in 0..200 {
        sent.push(maybug.send(&id, json!({"to": number, "content": large})).await);
    }
    maybug.send(&id, json!({"to": other.address, "content": "for you"})).await;
    assert_eq!(other.reads().await, "for you\n");
    drop(deaf);
    let mut rejected = 0;
    for message in &sent {
        let events = maybug.events(&id, message, 1).await;
        assert_eq!(events.len(), 1);
        rejected += usize::from(types(&events) == ["rejected"]);
    }
    assert!(rejected > 0, "more than the sockets hold was sent");
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_and_tried_again() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let properties = json!({
        "type": "telnet", "config": {"telnet_host": "127.0.0.1", "telnet_port": port}, "mo_url": null,
        "status_url": receiver.url("/status"),
    });
    let id = maybug.channel(properties).await;
    let told = receiver.told("cannot_listen").await;
    assert_eq!(
        (&told["channel_id"], &told["component"], &told["status"]),
        (&json!(id), &json!("telnet"), &json!("down"))
    );
    assert!(told["message"].as_str().unwrap().starts_with(&format!("127.0.0.1:{port} cannot be listened on: ")));
    drop(taken);
    assert_eq!(receiver.told("listening").await["status"], "ok");
    Terminal::connect(&format!("127.0.0.1:{port}")).await;
}

#[tokio::test]
async fn the_end_of_the_channel_ends_its_sessions() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let (id, address) = channel(&maybug, &mut receiver, json!({})).await;
    let mut terminal = Terminal::connect(&address).await;
    assert_eq!(event(&receiver.mo().await).0, "new");
    maybug.post(&format!("/channels/{id}/restart"), json!({})).await;
    assert_eq!(terminal.reads().await, "");
    assert_eq!(event(&receiver.mo().await).0, "close");
}

#[tokio::test]
async fn what_is_wrong_with_a_configuration_is_named() {
    let maybug = Maybug::start().await;
    for (config, key, message) in [
        (json!({}), "twisted_endpoint", "Missing required config field 'twisted_endpoint'"),
        (
            json!({"twisted_endpoint": "tcp:localhost:9001"}),
            "twisted_endpoint",
            "Field 'twisted_endpoint' is not a valid server endpoint: \"localhost\" is not a port number",
        ),
        (
            json!({"twisted_endpoint": "tcp:1", "to_adr": 1}),
            "to_adr",
            "Unknown config field 'to_adr', did you mean 'to_addr'?",
        ),
    ] {
        let (status, answer) = maybug.post("/channels/", json!({"type": "telnet", "config": config})).await;
        let item = &answer["result"]["errors"][0];
        assert_eq!((status, &item["key"], &item["message"]), (400, &json!(key), &json!(message)));
    }
}
