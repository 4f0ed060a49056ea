//! The `dmark` channel type: turns of phones that come as HTTP requests and wait for their reply.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::header::AUTHORIZATION;
use hyper::{HeaderMap, Method};
use maybug::web::client::{Allowed, Answer, Client};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use url::Url;

use crate::support::{DEADLINE, Maybug, Receiver, soon, types};

/// A channel on a port of its own, and whoever plays the provider.
struct Dmark {
    id: String,
    /// Where the channel listens.
    url: Url,
}

const TURN: [(&str, &str); 7] = [
    ("transactionId", "t-1"),
    ("msisdn", "256700000001"),
    ("ussdServiceCode", "404"),
    ("transactionTime", "20260101T10:00:00"),
    ("ussdRequestString", "*404#"),
    ("creationTime", "20260101T10:00:00"),
    ("response", "false"),
];

impl Dmark {
    async fn channel(maybug: &Maybug, receiver: &mut Receiver, config: Value) -> Self {
        let mut merged = json!({"web_path": "/ussd", "web_port": 0, "web_interface": "127.0.0.1"});
        merged.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
        let properties = json!({
            "type": "dmark", "config": merged, "mo_url": receiver.url("/mo"), "status_url": receiver.url("/status"),
        });
        let id = maybug.channel(properties).await;
        Self::listening(id, receiver).await
    }

    async fn listening(id: String, receiver: &mut Receiver) -> Self {
        let told = receiver.told("listening").await;
        assert_eq!((&told["component"], &told["status"]), (&json!("listener"), &json!("ok")));
        let url = format!("http://{}/ussd", told["details"]["address"].as_str().unwrap());
        Self { id, url: Url::parse(&url).unwrap() }
    }

    /// A turn's parameters, some of them changed.
    fn turn(&self, changed: &[(&str, &str)]) -> Url {
        let mut url = self.url.clone();
        for (name, value) in TURN {
            let changed = changed.iter().find(|(other, _)| *other == name);
            url.query_pairs_mut().append_pair(name, changed.map_or(value, |(_, value)| value));
        }
        url
    }

    fn ask(&self, changed: &[(&str, &str)]) -> JoinHandle<Answer> {
        let url = self.turn(changed);
        tokio::spawn(async move { get(&url, HeaderMap::new()).await })
    }
}

async fn get(url: &Url, headers: HeaderMap) -> Answer {
    let client = Client::new(Allowed { networks: vec!["127.0.0.0/8".parse().unwrap()] });
    client.request(Method::GET, url, headers, Bytes::new(), DEADLINE).await.unwrap()
}

fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn a_turn_waits_for_its_reply_and_a_transaction_is_a_session() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let dmark = Dmark::channel(&maybug, &mut receiver, json!({"fix_to_addr": true})).await;

    let asked = dmark.ask(&[]);
    let mo = receiver.mo().await;
    assert_eq!((&mo["to"], &mo["from"], &mo["content"]), (&json!("*404#"), &json!("256700000001"), &Value::Null));
    assert_eq!(mo["channel_data"], json!({"session_id": "t-1", "session_event": "new"}));
    let reply = maybug.send(&dmark.id, json!({"reply_to": mo["message_id"], "content": "Käse?"})).await;
    let answer = asked.await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.headers["content-type"]), (200, &"application/json".parse().unwrap()));
    assert_eq!(body(&answer), json!({"responseString": "Käse?", "action": "request"}));
    let events = maybug.events(&dmark.id, &reply, 1).await;
    assert_eq!(types(&events), ["submitted"]);

    let asked = dmark.ask(&[("ussdRequestString", "1 €")]);
    let mo = receiver.mo().await;
    assert_eq!((&mo["content"], &mo["channel_data"]["session_event"]), (&json!("1 €"), &json!("resume")));
    let bye = json!({"reply_to": mo["message_id"], "content": "Bye", "channel_data": {"continue_session": false}});
    maybug.send(&dmark.id, bye).await;
    assert_eq!(body(&asked.await.unwrap()), json!({"responseString": "Bye", "action": "end"}));

    for component in ["request", "response"] {
        let (_, shown) = maybug.get(&format!("/channels/{}", dmark.id)).await;
        let shown = &shown["result"]["status"]["components"][component];
        let expected = if component == "request" { "request_parsed" } else { "response_sent" };
        assert_eq!((&shown["type"], &shown["status"]), (&json!(expected), &json!("ok")));
    }
}

#[tokio::test]
async fn a_session_outlives_a_restart() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let dmark = Dmark::channel(&maybug, &mut receiver, json!({})).await;
    let asked = dmark.ask(&[]);
    assert_eq!(receiver.mo().await["channel_data"]["session_event"], "new");

    let (directory, id) = (Arc::clone(&maybug.directory), dmark.id.clone());
    maybug.server.stop().await;
    // Whoever waits at the end is told to come again.
    let answer = asked.await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.headers["retry-after"]), (503, &"1".parse().unwrap()));

    let _maybug = Maybug::at(directory, |_| {}).await;
    let dmark = Dmark::listening(id, &mut receiver).await;
    let _asked = dmark.ask(&[("ussdRequestString", "1")]);
    assert_eq!(receiver.mo().await["channel_data"]["session_event"], "resume");
}

#[tokio::test]
async fn a_reply_that_answers_no_request_is_rejected() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let dmark = Dmark::channel(&maybug, &mut receiver, json!({"request_timeout": 0.05})).await;
    let reason = async |message: Value| {
        let id = maybug.send(&dmark.id, message).await;
        let events = maybug.events(&dmark.id, &id, 1).await;
        assert_eq!(types(&events), ["rejected"]);
        events[0]["event_details"]["reason"].clone()
    };
    assert_eq!(reason(json!({"to": "256700000001", "content": "x"})).await, "Missing fields: in_reply_to");
    assert_eq!(reason(json!({"to": "256700000001", "content": ""})).await, "Missing fields: in_reply_to, content");

    let asked = dmark.ask(&[]);
    let mo = receiver.mo().await;
    let answer = asked.await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (504, &b""[..]));
    soon("the status", async {
        loop {
            let (_, shown) = maybug.get(&format!("/channels/{}", dmark.id)).await;
            let shown = &shown["result"]["status"]["components"]["response"];
            if (&shown["type"], &shown["status"]) == (&json!("timeout"), &json!("down")) {
                return;
            }
        }
    })
    .await;
    let late = reason(json!({"reply_to": mo["message_id"], "content": "too late"})).await;
    assert_eq!(late, "Could not find original request.");
}

#[tokio::test]
async fn a_request_whose_connection_has_gone_cannot_be_answered() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let dmark = Dmark::channel(&maybug, &mut receiver, json!({})).await;
    // The close may be noticed only after the reply, which then goes into the void: another request, another time.
    soon("the rejection", async {
        loop {
            let asked = dmark.ask(&[]);
            let mo = receiver.mo().await;
            asked.abort();
            assert!(asked.await.unwrap_err().is_cancelled());
            let id = maybug.send(&dmark.id, json!({"reply_to": mo["message_id"], "content": "hello?"})).await;
            if types(&maybug.events(&dmark.id, &id, 1).await) == ["rejected"] {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_request_lacks_or_has_too_much_is_named() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let dmark = Dmark::channel(&maybug, &mut receiver, json!({})).await;
    let mut url = dmark.url.clone();
    url.query_pairs_mut().append_pair("msisdn", "1").append_pair("x", "y");
    let answer = get(&url, HeaderMap::new()).await;
    assert_eq!(answer.status.as_u16(), 400);
    let expected = json!({
        "missing_parameter": [
            "transactionId", "ussdServiceCode", "transactionTime", "ussdRequestString", "creationTime", "response",
        ],
        "unexpected_parameter": ["x"],
    });
    assert_eq!(body(&answer), expected);
    let told = receiver.told("invalid_inbound_fields").await;
    assert_eq!((&told["component"], &told["status"], &told["details"]), (&json!("request"), &json!("down"), &expected));

    let mut url = dmark.url.clone();
    url.set_query(Some("msisdn=%ff"));
    let answer = get(&url, HeaderMap::new()).await;
    assert_eq!((answer.status.as_u16(), body(&answer)["invalid_request"]["method"].clone()), (400, json!("GET")));
    assert_eq!(receiver.told("invalid_encoding").await["status"], "down");

    let long = "x".repeat(300);
    for name in ["transactionId", "msisdn", "ussdServiceCode"] {
        let answer = dmark.ask(&[(name, &long)]).await.unwrap();
        assert_eq!((answer.status.as_u16(), body(&answer)), (400, json!({"invalid_parameter": [name]})));
    }
}

#[tokio::test]
async fn a_provider_must_know_the_password_and_the_path() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let config = json!({"web_username": "dmark", "web_password": "s3cret", "request_timeout": 0.01});
    let dmark = Dmark::channel(&maybug, &mut receiver, config).await;
    let answer = dmark.ask(&[]).await.unwrap();
    assert_eq!(answer.status.as_u16(), 401);
    assert_eq!(answer.headers["www-authenticate"], "Basic realm=\"channel\"");
    // dmark:s3cret
    let known = HeaderMap::from_iter([(AUTHORIZATION, "Basic ZG1hcms6czNjcmV0".parse().unwrap())]);
    assert_eq!(get(&dmark.turn(&[]), known).await.status.as_u16(), 504);
    let elsewhere = dmark.url.join("/other").unwrap();
    assert_eq!(get(&elsewhere, HeaderMap::new()).await.status.as_u16(), 404);
    let (_, shown) = maybug.get(&format!("/channels/{}", dmark.id)).await;
    assert_eq!(shown["result"]["config"]["web_password"], "********");
}

#[tokio::test]
async fn slow_replies_show_in_the_status() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let config = json!({"response_time_degraded": 0.001, "response_time_down": 60});
    let dmark = Dmark::channel(&maybug, &mut receiver, config).await;
    let asked = dmark.ask(&[]);
    let mo = receiver.mo().await;
    // Over the threshold, the smallest there is: it has been held for longer than since the message came.
    let came = Instant::now();
    while came.elapsed() <= Duration::from_millis(1) {
        tokio::task::yield_now().await;
    }
    maybug.send(&dmark.id, json!({"reply_to": mo["message_id"], "content": "x"})).await;
    asked.await.unwrap();
    let told = receiver.told("slow_response").await;
    assert_eq!((&told["component"], &told["status"]), (&json!("response"), &json!("degraded")));
    assert!(told["details"]["response_time"].as_f64().unwrap() >= 0.001);
}

#[tokio::test]
async fn channels_share_a_port_and_each_has_its_path() {
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    // A port that is free: whatever had it has gone.
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let config = |path: &str| json!({"web_port": port, "web_path": path, "request_timeout": 0.01});
    let first = Dmark::channel(&maybug, &mut receiver, config("/ussd")).await;
    let second = Dmark::channel(&maybug, &mut receiver, config("other/")).await;
    let ask = async |path: &str| {
        let mut url = first.turn(&[]);
        url.set_path(path);
        get(&url, HeaderMap::new()).await.status.as_u16()
    };
    assert_eq!((ask("/ussd").await, ask("/ussd/").await, ask("/other").await), (504, 504, 504));

    let third = json!({
        "type": "dmark", "mo_url": null, "status_url": receiver.url("/status"),
        "config": {"web_path": "ussd", "web_port": port, "web_interface": "127.0.0.1"},
    });
    let third = maybug.channel(third).await;
    let told = receiver.told("cannot_listen").await;
    assert_eq!((&told["channel_id"], &told["status"]), (&json!(third), &json!("down")));
    assert_eq!(told["message"], format!("another channel has the path /ussd on port {port}"));

    // The last one gone closes the port, and a restarted one opens it again at once.
    maybug.post(&format!("/channels/{}/restart", second.id), json!({})).await;
    soon("the path to come back", async { while ask("/other").await != 504 {} }).await;
    for id in [&first.id, &second.id, &third] {
        let (status, _, _) = maybug.request(Method::DELETE, &format!("/channels/{id}"), b"").await;
        assert_eq!(status, 200);
    }
    let again = Dmark::channel(&maybug, &mut receiver, config("/ussd")).await;
    assert_eq!(again.url.port(), Some(port));
    assert_eq!(ask("/other").await, 404);
}

#[tokio::test]
async fn what_is_wrong_with_a_configuration_is_named() {
    let maybug = Maybug::start().await;
    for (config, key, message) in [
        (json!({"web_port": 1}), "web_path", "Missing required config field 'web_path'"),
        (json!({"web_path": "/x"}), "web_port", "Missing required config field 'web_port'"),
        (
            json!({"web_path": "/x", "web_port": 1, "web_username": "u"}),
            "web_password",
            "Field 'web_password' must be given when web_username is",
        ),
        (
            json!({"web_path": "/x", "web_port": 1, "web_prot": 1}),
            "web_prot",
            "Unknown config field 'web_prot', did you mean 'web_port'?",
        ),
    ] {
        let (status, answer) = maybug.post("/channels/", json!({"type": "dmark", "config": config})).await;
        let item = &answer["result"]["errors"][0];
        assert_eq!((status, &item["key"], &item["message"]), (400, &json!(key), &json!(message)));
    }
}
