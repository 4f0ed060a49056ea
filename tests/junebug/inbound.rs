//! Lines 117 to 132: messages from phones reach the application.

use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::setup::{Terminal, echoing, keys, logged, phone_writes, telnet};
use crate::support::{Maybug, Receiver, Scripted, soon};

/// Junebug 117: A message is posted as JSON of nine keys.
#[tokio::test]
async fn line_117_a_message_is_posted_with_nine_keys() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let id = maybug.channel(echoing(&receiver.url("/mo"))).await;
    phone_writes(&maybug, &id, "žluť").await;
    let posted = receiver.next().await;
    assert_eq!((posted.path.as_str(), &posted.headers["content-type"]), ("/mo", &"application/json".parse().unwrap()));
    let nine = ["channel_data", "channel_id", "content", "from", "group", "message_id", "reply_to", "timestamp", "to"];
    let body = posted.body;
    assert_eq!(keys(&body), nine);
    assert_eq!(
        (&body["from"], &body["to"], &body["content"]),
        (&json!("+27820001001"), &json!("8110"), &json!("žluť"))
    );
    assert_eq!((&body["channel_id"], &body["group"], &body["reply_to"]), (&json!(id), &Value::Null, &Value::Null));
    assert_eq!(body["message_id"].as_str().unwrap().len(), 32);
    assert_eq!(body["timestamp"].as_str().unwrap().len(), "2024-03-01 09:29:59.999001".len());
}

/// Junebug 118: `mo_url_auth_token` comes as `Authorization: Token …`.
#[tokio::test]
async fn line_118_messages_carry_the_channels_token() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let mut channel = echoing(&receiver.url("/mo"));
    channel["mo_url_auth_token"] = json!("t0k");
    let id = maybug.channel(channel).await;
    phone_writes(&maybug, &id, "x").await;
    assert_eq!(receiver.next().await.headers["authorization"], "Token t0k");
}

/// Junebug 119: Without token and user-info there is no `Authorization`; user-info is Basic, and beats the token.
#[tokio::test]
async fn line_119_without_a_token_there_is_no_authorization() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let id = maybug.channel(echoing(&receiver.url("/mo"))).await;
    phone_writes(&maybug, &id, "x").await;
    assert!(!receiver.next().await.headers.contains_key("authorization"));
    let url = format!("http://me:pass@{}/mo", receiver.address);
    maybug.post(&format!("/channels/{id}"), json!({"mo_url": url, "mo_url_auth_token": "t"})).await;
    phone_writes(&maybug, &id, "x").await;
    assert_eq!(receiver.next().await.headers["authorization"], "Basic bWU6cGFzcw==");
}

/// Junebug 120: `session_event` is there for sessions, and absent for anything else.
#[tokio::test]
async fn line_120_session_event_is_for_sessions() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let id = maybug.channel(telnet(json!({"mo_url": receiver.url("/mo")}))).await;
    let mut terminal = Terminal::connect(&maybug, &id).await;
    assert_eq!(receiver.mo().await["channel_data"], json!({"session_event": "new"}));
    terminal.types("hello").await;
    let mo = receiver.mo().await;
    assert_eq!((&mo["channel_data"], &mo["content"]), (&json!({"session_event": "resume"}), &json!("hello")));
    drop(terminal);
    assert_eq!(receiver.mo().await["channel_data"], json!({"session_event": "close"}), "Junebug drops this one");
    let id = maybug.channel(echoing(&receiver.url("/mo"))).await;
    phone_writes(&maybug, &id, "x").await;
    assert_eq!(receiver.mo().await["channel_data"], json!({}));
}

/// Junebug 121: A message without text is posted with a `content` of null.
#[tokio::test]
async fn line_121_a_message_without_text_has_content_null() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let id = maybug.channel(telnet(json!({"mo_url": receiver.url("/mo")}))).await;
    let _terminal = Terminal::connect(&maybug, &id).await;
    assert_eq!(receiver.mo().await.get("content"), Some(&Value::Null));
}

/// Junebug 122: The query of `mo_url` stays.
#[tokio::test]
async fn line_122_the_query_of_mo_url_stays() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let id = maybug.channel(echoing(&receiver.url("/mo?a=b&c=%C3%A9"))).await;
    phone_writes(&maybug, &id, "x").await;
    assert_eq!(receiver.next().await.path, "/mo?a=b&c=%C3%A9");
}

/// Junebug 123: A message can be answered from the moment that `mo_url` has it, before `mo_url` answers.
#[tokio::test]
async fn line_123_a_message_can_be_answered_at_once() {
    let mut receiver = Receiver::start().await;
    receiver.script([Scripted::Hang]);
    let maybug = Maybug::start().await;
    let id = maybug.channel(echoing(&receiver.url("/mo"))).await;
    phone_writes(&maybug, &id, "x").await;
    let mo = receiver.mo().await;
    maybug.send(&id, json!({"reply_to": mo["message_id"], "content": "at once"})).await;
}

/// Junebug 124: A `mo_url` that answers 500 is logged with its code and body, and the message's id.
#[tokio::test]
async fn line_124_a_failing_mo_url_is_logged() {
    let mut receiver = Receiver::start().await;
    receiver.script([Scripted::Echo(StatusCode::INTERNAL_SERVER_ERROR)]);
    let maybug = Maybug::start().await;
    let id = maybug.channel(echoing(&receiver.url("/mo"))).await;
    phone_writes(&maybug, &id, "the text").await;
    let mo = receiver.mo().await;
    let entry = logged(&maybug, &id, "to mo_url failed because of the answer 500").await;
    let text = entry["message"].as_str().unwrap();
    assert!(text.contains(mo["message_id"].as_str().unwrap()), "{text}");
    assert!(text.contains(r#""to":"8110""#), "the body: {text}");
}

/// Junebug 125: A connection that `mo_url` drops is logged; later messages come, and here the first one too.
#[tokio::test]
async fn line_125_a_dropped_connection_stops_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let maybug = Maybug::start().await;
    let id = maybug.channel(echoing(&format!("http://{address}/mo"))).await;
    phone_writes(&maybug, &id, "first").await;
    let (mut stream, _) = soon("a connection", listener.accept()).await.unwrap();
    let _ = stream.read(&mut [0; 16]).await.unwrap();
    drop((stream, listener));
    logged(&maybug, &id, "to mo_url failed because of").await;
    let mut receiver = Receiver::at(address).await;
    phone_writes(&maybug, &id, "second").await;
    let mut texts = [receiver.mo().await["content"].clone(), receiver.mo().await["content"].clone()];
    texts.sort_by_key(Value::to_string);
    assert_eq!(texts, [json!("first"), json!("second")]);
}

/// Junebug 126: A host that has no address stops nothing; Junebug takes no further message until a restart.
#[tokio::test]
async fn line_126_a_host_without_address_stops_nothing() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let id = maybug.channel(echoing("http://nowhere.invalid/mo")).await;
    phone_writes(&maybug, &id, "first").await;
    logged(&maybug, &id, "to mo_url failed because of").await;
    maybug.post(&format!("/channels/{id}"), json!({"mo_url": receiver.url("/mo")})).await;
    phone_writes(&maybug, &id, "second").await;
    let mut texts = [receiver.mo().await["content"].clone(), receiver.mo().await["content"].clone()];
    texts.sort_by_key(Value::to_string);
    assert_eq!(texts, [json!("first"), json!("second")]);
}

/// Junebug 127: A `mo_url` that takes more than ten seconds has failed, and is tried again.
#[tokio::test]
async fn line_127_a_slow_mo_url_has_failed() {
    let mut receiver = Receiver::start().await;
    receiver.script([Scripted::Hang]);
    let maybug = Maybug::start().await;
    let id = maybug.channel(echoing(&receiver.url("/mo"))).await;
    phone_writes(&maybug, &id, "x").await;
    let first = receiver.mo().await;
    logged(&maybug, &id, "to mo_url failed because of no answer within 10 s").await;
    assert_eq!(receiver.mo().await, first);
}

/// Junebug 128: A message that was not taken comes again until it is.
#[tokio::test]
async fn line_128_a_message_comes_again_until_it_is_taken() {
    let mut receiver = Receiver::start().await;
    receiver.script(vec![Scripted::Answer(StatusCode::BAD_GATEWAY, vec![]); 2]);
    let maybug = Maybug::start().await;
    let id = maybug.channel(echoing(&receiver.url("/mo"))).await;
    phone_writes(&maybug, &id, "x").await;
    let first = receiver.mo().await;
    assert_eq!((&receiver.mo().await, &receiver.mo().await), (&first, &first));
    phone_writes(&maybug, &id, "next").await;
    assert_eq!(receiver.mo().await["content"], "next", "what was taken does not come again");
}
