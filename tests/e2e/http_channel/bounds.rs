//! What a channel of the type `http` refuses, survives, bounds and hides.

use hyper::Method;
use serde_json::{Value, json};

use super::Stage;
use super::provider::Asked;
use crate::support::{Maybug, soon, types};

/// A provider of SMS whose answers are JSON.
pub(super) fn sms(outbound: Value) -> Value {
    let mut all = json!({
        "url": "https://provider.example.org/send", "body": {"json": {"to": "{to}", "text": "{content}"}},
        "message_id": {"json": "id"}, "retry": {"first": 0.001, "longest": 0.01},
    });
    all.as_object_mut().unwrap().extend(outbound.as_object().unwrap().clone());
    json!({"outbound": all})
}

/// A provider of USSD whose sessions are kept by their id.
fn ussd(reply: Value) -> Value {
    json!({
        "web_port": 0, "transport_type": "ussd", "reply": reply,
        "inbound": [{
            "path": "/ussd", "session": "{in.id}", "from": "{in.phone}", "to": "{in.code}", "content": "{in.text}",
            "hold": true,
        }],
    })
}

fn message() -> Value {
    json!({"to": "27820001001", "from": "8110", "content": "x"})
}

#[tokio::test]
async fn what_is_temporary_is_tried_again_and_what_is_final_is_not() {
    let mut stage = Stage::open(sms(json!({}))).await;
    for status in [503, 429, 500] {
        stage.provider.will_say(status, &[].into(), "later");
    }
    stage.provider.will_say(200, &[].into(), r#"{"id": "a1"}"#);
    let id = stage.sends(&message()).await;
    let events = stage.maybug.events(&stage.channel, &id, 1).await;
    assert_eq!(types(&events), ["submitted"]);
    let told = stage.receiver.told("temporary_failure").await;
    let message = "A message is tried again later: the provider answers with status 503 for the moment";
    assert_eq!((&told["status"], &told["message"]), (&json!("degraded"), &json!(message)));
    assert_eq!(stage.provider.unheard(), 4);

    stage.provider.will_say(422, &[].into(), "no such number");
    let id = stage.sends(&self::message()).await;
    let events = stage.maybug.events(&stage.channel, &id, 1).await;
    let reason = "the provider answered with status 422: no such number";
    assert_eq!((types(&events), &events[0]["event_details"]["reason"]), (vec!["rejected"], &json!(reason)));
    assert_eq!(stage.provider.unheard(), 5);
}

#[tokio::test]
async fn a_provider_that_takes_some_and_puts_others_off_has_one_status_until_none_waits() {
    // What is refused for the pace of all is put off by itself.
    let mut stage = Stage::open(sms(json!({"throttled": []}))).await;
    stage.provider.will_say(429, &[].into(), "");
    stage.sends(&message()).await;
    stage.receiver.told("temporary_failure").await;
    stage.receiver.told("sending").await;
    // Nothing but the one that is put off has been heard of since, whatever becomes of others.
    stage.provider.will_say(429, &[("Retry-After".to_owned(), "3600".to_owned())].into(), "");
    stage.sends(&message()).await;
    stage.receiver.told("temporary_failure").await;
    let id = stage.sends(&message()).await;
    assert_eq!(types(&stage.maybug.events(&stage.channel, &id, 1).await), ["submitted"]);
    let (_, shown) = stage.maybug.get(&format!("/channels/{}", stage.channel)).await;
    let shown = &shown["result"]["status"]["components"]["outbound"];
    assert_eq!((&shown["type"], &shown["status"]), (&json!("temporary_failure"), &json!("degraded")));
}

#[tokio::test]
async fn a_message_that_is_too_old_is_given_up() {
    let retry = json!({"first": 0.001, "longest": 0.01, "max_age": 0.05});
    let mut config = sms(json!({"retry": retry}));
    // Nobody may be reached there.
    config["outbound"]["url"] = json!("http://10.255.255.1/send");
    let maybug = Maybug::start().await;
    let channel = maybug.channel(json!({"type": "http", "config": config, "mo_url": null})).await;
    let id = maybug.send(&channel, message()).await;
    let events = maybug.events(&channel, &id, 1).await;
    let reason = events[0]["event_details"]["reason"].as_str().unwrap();
    assert_eq!(types(&events), ["expired"]);
    assert!(
        reason.starts_with("it was given up after ") && reason.contains("10.255.255.1 are not allowed"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_message_without_an_answer_is_sent_again_or_reported() {
    let mut stage = Stage::open(sms(json!({"timeout": 0.05}))).await;
    stage.provider.holds(true);
    let id = stage.sends(&message()).await;
    for _ in 0..2 {
        soon("a request", stage.provider.asked()).await;
    }
    stage.provider.holds(false);
    let events = stage.maybug.events(&stage.channel, &id, 1).await;
    assert_eq!(types(&events), ["submitted"]);

    let mut stage = Stage::open(sms(json!({"timeout": 0.05, "on_unknown": "report"}))).await;
    stage.provider.holds(true);
    let id = stage.sends(&message()).await;
    let events = stage.maybug.events(&stage.channel, &id, 1).await;
    let reason = "whether the provider has it is not known: no answer within 0 s";
    assert_eq!((types(&events), &events[0]["event_details"]["reason"]), (vec!["rejected"], &json!(reason)));
}

#[tokio::test]
async fn no_more_requests_are_made_at_a_time_than_the_window_allows() {
    let mut stage = Stage::open(sms(json!({"window": 2}))).await;
    stage.provider.holds(true);
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(stage.sends(&message()).await);
    }
    for _ in 0..2 {
        soon("a request", stage.provider.asked()).await;
    }
    stage.provider.holds(false);
    for id in ids {
        stage.maybug.events(&stage.channel, &id, 1).await;
    }
    assert_eq!(stage.provider.most(), 2);
}

#[tokio::test]
async fn a_text_that_would_begin_another_header_is_refused() {
    let mut stage = Stage::open(sms(json!({"headers": {"X-Text": "{content}"}}))).await;
    let id = stage.sends(&json!({"to": "1", "content": "a\r\nX-Evil: 1"})).await;
    let events = stage.maybug.events(&stage.channel, &id, 1).await;
    let reason = "the header x-text would have a line end or a control character in it";
    assert_eq!((types(&events), &events[0]["event_details"]["reason"]), (vec!["rejected"], &json!(reason)));
    assert_eq!(stage.provider.unheard(), 0);
}

/// The answer that says what a receipt is for may come after it.
#[tokio::test]
async fn a_receipt_that_overtakes_its_answer_finds_its_message() {
    let mut config = sms(json!({}));
    config["web_port"] = json!(0);
    config["inbound"] = json!([
        {"path": "/receipt", "kind": "receipt", "id": "{in.id}", "state": "{in.state}", "states": {"delivered": ["ok"]}},
        {"path": "/mo", "from": "{in.from}"},
    ]);
    let mut stage = Stage::open(config).await;
    stage.provider.holds(true);
    stage.provider.will_say(200, &[].into(), r#"{"id": "a1"}"#);
    let id = stage.sends(&message()).await;
    soon("the request", stage.provider.asked()).await;
    let asked = Asked {
        method: "POST".into(),
        path: "/receipt?id=a1&state=ok".into(),
        headers: [].into(),
        body: String::new(),
    };
    let receipt = stage.provider.ask(asked);
    // Meanwhile something else is on disk and told: the receipt would have been, too, had it not been held up.
    assert_eq!(stage.gets("/mo?from=1").await.0, 200);
    stage.hears().await;
    stage.provider.holds(false);
    assert_eq!(soon("the receipt's answer", receipt).await.unwrap().status, 200);
    let events = stage.maybug.events(&stage.channel, &id, 2).await;
    assert_eq!(types(&events), ["submitted", "delivery_succeeded"]);

    // One for nobody is kept aside, and acknowledged.
    assert_eq!(stage.gets("/receipt?id=other&state=ok").await.0, 200);
    let (_, kept) = stage.maybug.get(&format!("/channels/{}/receipts", stage.channel)).await;
    assert_eq!(kept["result"][0]["smsc_message_id"], "other", "{kept}");

    // Of one that is longer than 4 KiB the beginning is.
    assert_eq!(stage.gets(&format!("/receipt?id={}&state=ok", "y".repeat(4_096))).await.0, 200);
    let (_, kept) = stage.maybug.get(&format!("/channels/{}/receipts", stage.channel)).await;
    let ids: Vec<&str> =
        kept["result"].as_array().unwrap().iter().map(|kept| kept["smsc_message_id"].as_str().unwrap()).collect();
    assert!(ids.contains(&"y".repeat(128).as_str()) && ids.contains(&"other"), "{kept}");
}

/// Others that are under way longer do not keep it from its message, which was heard of long ago.
#[tokio::test]
async fn a_receipt_waits_for_its_own_message_only() {
    let mut config = sms(json!({}));
    config["web_port"] = json!(0);
    config["inbound"] = json!([
        {"path": "/theirs", "kind": "receipt", "id": "{in.id}", "state": "{in.state}", "states": {"delivered": ["ok"]}},
        {"path": "/ours", "kind": "receipt", "id": "{in.id}", "id_of": "message", "state": "{in.state}",
         "states": {"delivered": ["ok"]}},
        {"path": "/mo", "from": "{in.from}"},
    ]);
    for theirs in [true, false] {
        let mut stage = Stage::open(config.clone()).await;
        stage.provider.holds(true);
        let mut ids = Vec::new();
        for _ in 0..2 {
            ids.push(stage.sends(&message()).await);
            soon("the request", stage.provider.asked()).await;
        }
        let path = if theirs { "/theirs?state=ok&id=a1".to_owned() } else { format!("/ours?state=ok&id={}", ids[0]) };
        let asked = Asked { method: "GET".into(), path, headers: [].into(), body: String::new() };
        let receipt = stage.provider.ask(asked);
        assert_eq!(stage.gets("/mo?from=1").await.0, 200);
        stage.hears().await;
        stage.provider.will_say(200, &[].into(), r#"{"id": "a1"}"#);
        stage.provider.answers_one();
        assert_eq!(soon("the receipt's answer", receipt).await.unwrap().status, 200);
        let events = stage.maybug.events(&stage.channel, &ids[0], 2).await;
        assert_eq!(types(&events), ["submitted", "delivery_succeeded"]);
    }
}

/// Each would be waited for as long as the last, which is longer than anybody waits here.
#[tokio::test]
async fn receipts_of_one_request_wait_together_for_what_they_are_for() {
    let mut config = sms(json!({}));
    config["web_port"] = json!(0);
    config["inbound"] =
        json!([{"path": "/receipts", "kind": "receipt", "each": "id", "id": "{item}", "state": "{in.state}"}]);
    let mut stage = Stage::open(config).await;
    stage.provider.holds(true);
    stage.sends(&message()).await;
    soon("the request", stage.provider.asked()).await;
    assert_eq!(stage.gets("/receipts?state=ok&id=a&id=b&id=c&id=d&id=e").await.0, 200);
    let (_, kept) = stage.maybug.get(&format!("/channels/{}/receipts", stage.channel)).await;
    assert_eq!(kept["result"].as_array().unwrap().len(), 5, "{kept}");
}

#[tokio::test]
async fn a_request_that_nobody_answers_ends_with_the_answer_for_that() {
    let reply = json!({
        "timeout": 0.05, "timeout_response": {"status": 503, "body": {"text": "Sorry, {in.phone}"}},
        "continue": {"body": {"text": "{content}"}},
    });
    let mut stage = Stage::open(ussd(reply)).await;
    let said = stage.gets("/ussd?id=1&phone=555&code=*1%23&text=").await;
    assert_eq!(said, (503, "Sorry, 555".to_owned()));
    stage.hears().await;
    let id = stage.sends(&json!({"reply_to": "<mo_id>", "content": "late"})).await;
    let events = stage.maybug.events(&stage.channel, &id, 1).await;
    let reason = "Could not find original request.";
    assert_eq!((types(&events), &events[0]["event_details"]["reason"]), (vec!["rejected"], &json!(reason)));
}

#[tokio::test]
async fn sessions_survive_a_restart_and_requests_that_wait_are_told_to_come_again() {
    let mut stage = Stage::open(ussd(json!({"continue": {"body": {"text": "{content}"}}}))).await;
    let asked = Asked {
        method: "GET".into(),
        path: "/ussd?id=1&phone=555&code=*1%23&text=".into(),
        headers: [].into(),
        body: String::new(),
    };
    let waiting = stage.provider.ask(asked);
    assert_eq!(stage.hears().await["channel_data"]["session_event"], "new");
    stage.maybug.request(Method::POST, &format!("/channels/{}/restart", stage.channel), b"").await;
    assert_eq!(soon("the request that waited", waiting).await.unwrap().status, 503);
    stage.listens().await;
    let asked = Asked {
        method: "GET".into(),
        path: "/ussd?id=1&phone=555&code=other&text=1".into(),
        headers: [].into(),
        body: String::new(),
    };
    let waiting = stage.provider.ask(asked);
    let mo = stage.hears().await;
    assert_eq!((&mo["channel_data"]["session_event"], &mo["to"]), (&json!("resume"), &json!("*1#")));
    stage.sends(&json!({"reply_to": "<mo_id>", "content": "hi"})).await;
    assert_eq!(soon("the answer", waiting).await.unwrap().body, "hi");
}

#[tokio::test]
async fn what_cannot_be_stored_is_not_taken() {
    let full = Maybug::with(|config| config.min_free = u64::MAX / 8).await;
    let config = json!({"web_port": 0, "inbound": [{"path": "/mo", "from": "{in.from}", "content": "{in.text}"}]});
    let stage = Stage::on(full, config).await;
    let asked =
        Asked { method: "GET".into(), path: "/mo?from=1&text=x".into(), headers: [].into(), body: String::new() };
    let said = soon("the answer", stage.provider.ask(asked)).await.unwrap();
    assert_eq!((said.status, &said.headers["retry-after"]), (503, &"1".parse().unwrap()));
}

#[tokio::test]
async fn a_list_is_a_message_for_each_item() {
    let config = json!({"web_port": 0, "inbound": [{
        "path": "/mo", "each": "items", "from": "{item.sender.number}", "content": "{item.text}",
        "response": {"body": {"json": {"taken": {"$each": "{message_id}"}}}},
    }]});
    let mut stage = Stage::open(config).await;
    let asked = Asked {
        method: "POST".into(),
        path: "/mo".into(),
        headers: [("Content-Type".to_owned(), "application/json; charset=utf-8".to_owned())].into(),
        body: r#"[{"sender": {"number": 1}, "text": "a"}, {"sender": {"number": 2}, "text": "b"}]"#.into(),
    };
    let asked = stage.provider.ask(asked);
    let mut ids = Vec::new();
    for (from, content) in [("1", "a"), ("2", "b")] {
        let mo = stage.hears().await;
        assert_eq!((&mo["from"], &mo["content"]), (&json!(from), &json!(content)));
        ids.push(mo["message_id"].clone());
    }
    assert_eq!(soon("the answer", asked).await.unwrap().body, json!({"taken": ids}).to_string());
}

#[tokio::test]
async fn what_is_beyond_reason_is_refused() {
    let config = json!({"web_port": 0, "inbound": [
        {"path": "/list", "each": "to", "from": "1", "to": "{item}"},
        {"path": "/session", "session": "{in.id}", "from": "1"},
        {"path": "/body", "from": "1", "content": "{in.text}"},
        {"path": "/held", "from": "1", "content": "{in.text}", "hold": true},
        {"path": "/mo", "from": "{in.from}", "to": "{in.to|optional}"},
        {"path": "/strict", "from": "{in.from}", "unexpected": "refuse"},
        {"path": "/said", "session": "{in.id}", "from": "1", "content": "{in.text}", "cumulative": "*"},
        {"path": "/receipt", "kind": "receipt", "id": "{in.id}", "state": "{in.state|default:''}",
         "from": "{in.from|optional}", "to": "{in.to|optional}", "details": {"why": "{in.why|optional}"}},
    ], "reply": {"continue": {}}});
    let mut stage = Stage::open(config).await;
    let said = stage.gets(&format!("/list?{}", "to=1&".repeat(101))).await;
    assert_eq!(said, (413, "the request has more than 100 messages".to_owned()));
    let said = stage.gets(&format!("/session?id={}", "x".repeat(257))).await;
    assert_eq!(said, (400, "the session's name is longer than 256 octets".to_owned()));
    let asked = Asked {
        method: "POST".into(),
        path: "/body".into(),
        headers: [].into(),
        body: format!("text={}", "x".repeat(256 * 1024)),
    };
    assert_eq!(soon("the answer", stage.provider.ask(asked)).await.unwrap().status, 413);
    // What waits for its reply is remembered until it comes.
    let asked = Asked {
        method: "POST".into(),
        path: "/held".into(),
        headers: [].into(),
        body: format!("text={}", "x".repeat(8 * 1024)),
    };
    let said = soon("the answer", stage.provider.ask(asked)).await.unwrap();
    let why =
        "the request is longer than 8192 octets, headers included, which is the most for one that waits for its reply";
    assert_eq!((said.status, said.body.as_str()), (413, why));
    let long = "x".repeat(257);
    for (path, what) in [
        (format!("/mo?from={long}"), "the sender's address is longer than 256 octets"),
        (format!("/mo?from=1&to={long}"), "the receiver's address is longer than 256 octets"),
        (
            format!("/said?id=1&text={}", "x".repeat(4_097)),
            "what the phone has said in its session is longer than 4096 octets",
        ),
    ] {
        assert_eq!(stage.gets(&path).await, (400, what.to_owned()));
    }
    // Beyond what a key of the store may have.
    for (field, what) in [
        ("id", "the message's id is longer than 512 octets"),
        ("id=1&state", "what the receipt says is longer than 512 octets"),
        ("id=1&from", "the phone's address is longer than 256 octets"),
        ("id=1&to", "our side's address is longer than 256 octets"),
        ("id=1&why", "what the receipt tells beside that is longer than 4096 octets"),
    ] {
        let asked = Asked {
            method: "POST".into(),
            path: "/receipt".into(),
            headers: [].into(),
            body: format!("{field}={}", "x".repeat(70_000)),
        };
        let said = soon("the answer", stage.provider.ask(asked)).await.unwrap();
        assert_eq!((said.status, said.body.as_str()), (400, what));
    }
    // No more of what is unexpected is told than a person reads.
    let many: String = (0..100).map(|number| format!("{number}{}=1&", "x".repeat(100))).collect();
    let (_, body) = stage.gets(&format!("/strict?{many}")).await;
    let told: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(told["missing_parameter"], json!(["from"]));
    let named: Vec<usize> =
        told["unexpected_parameter"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().len()).collect();
    assert_eq!(named, [64; 20]);
    assert_eq!(stage.gets("/elsewhere").await, (404, "Not found".to_owned()));
    // What is within it is taken, and nothing before was.
    assert_eq!(stage.gets("/session?id=1").await.0, 200);
    assert_eq!(stage.hears().await["channel_data"]["session_event"], "new");
}

/// What docs/http-channel.md says is what happens.
#[tokio::test]
async fn the_worked_example_works() {
    let (_, rest) = include_str!("../../../docs/http-channel.md").split_once("```json\n").unwrap();
    let example: Value = serde_json::from_str(rest.split_once("```").unwrap().0).unwrap();
    let mut stage = Stage::open(example["config"].clone()).await;
    assert_eq!(stage.gets("/hook/mo?key=only-they-know").await.0, 405);
    let post = |path: &str, body: Value| Asked {
        method: "POST".into(),
        path: path.into(),
        headers: [("Content-Type".to_owned(), "application/json".to_owned())].into(),
        body: body.to_string(),
    };
    let mo = post("/hook/mo?key=only-they-know", json!({"from": "27820001001", "to": "8110", "text": "Hi"}));
    assert_eq!(soon("the answer", stage.provider.ask(mo)).await.unwrap().status, 200);
    let mo = stage.hears().await;
    assert_eq!((&mo["from"], &mo["to"], &mo["content"]), (&json!("+27820001001"), &json!("8110"), &json!("Hi")));
    stage.provider.will_say(202, &[].into(), r#"{"messages": [{"id": "m-1"}]}"#);
    let id = stage.sends(&json!({"reply_to": "<mo_id>", "content": "Hello"})).await;
    let asked = soon("the request", stage.provider.asked()).await;
    let expected = json!({"to": "27820001001", "from": "8110", "text": "Hello", "reference": id});
    assert_eq!(serde_json::from_str::<Value>(&asked.body).unwrap(), expected);
    assert_eq!(
        (asked.path.as_str(), &asked.headers["authorization"]),
        ("/v1/messages", &"Bearer s3cret".parse().unwrap())
    );
    let receipt = post("/hook/receipt?key=only-they-know", json!({"id": "m-1", "status": "DELIVRD"}));
    assert_eq!(soon("the answer", stage.provider.ask(receipt)).await.unwrap().status, 200);
    assert_eq!(types(&stage.maybug.events(&stage.channel, &id, 2).await), ["submitted", "delivery_succeeded"]);
    let wrong = post("/hook/receipt?key=other", json!({"id": "m-1", "status": "DELIVRD"}));
    assert_eq!(soon("the answer", stage.provider.ask(wrong)).await.unwrap().status, 403);
}

#[tokio::test]
async fn requests_from_elsewhere_are_forbidden() {
    let config = json!({
        "web_port": 0, "allow_from": ["192.0.2.0/24"],
        "inbound": [{"path": "/mo", "from": "{in.from}", "content": "{in.text}"}],
    });
    let stage = Stage::open(config).await;
    assert_eq!(stage.gets("/mo?from=1&text=x").await, (403, "Forbidden".to_owned()));
}

#[tokio::test]
async fn secrets_are_masked_come_back_unchanged_and_stay_out_of_logs() {
    let mut config = sms(json!({"query": {"key": "{secret.key}", "pass": "{sender.pass}"}}));
    config["secrets"] = json!({"key": "hunter2"});
    config["senders"] = json!({"*": {"pass": "swordfish"}});
    let mut stage = Stage::open(config).await;
    let path = format!("/channels/{}", stage.channel);
    let (_, shown) = stage.maybug.get(&path).await;
    assert!(!shown.to_string().contains("hunter2") && !shown.to_string().contains("swordfish"), "{shown}");
    let (status, _) = stage.maybug.post(&path, json!({"config": shown["result"]["config"], "label": "x"})).await;
    assert_eq!(status, 200);
    stage.provider.will_say(503, &[].into(), "");
    let id = stage.sends(&message()).await;
    assert_eq!(soon("a request", stage.provider.asked()).await.path, "/send?key=hunter2&pass=swordfish");
    stage.maybug.events(&stage.channel, &id, 1).await;
    // A provider repeats what it was told.
    stage.provider.will_say(403, &[].into(), "hunter2 is no key, nor swordfish a password");
    let id = stage.sends(&message()).await;
    let events = stage.maybug.events(&stage.channel, &id, 1).await;
    let reason = "the provider answered with status 403: ******** is no key, nor ******** a password";
    assert_eq!(events[0]["event_details"]["reason"], reason);
    let (_, logs) = stage.maybug.get(&format!("{path}/logs?n=100")).await;
    assert!(!logs.to_string().contains("hunter2") && !logs.to_string().contains("swordfish"), "{logs}");
}

#[tokio::test]
async fn what_is_wrong_in_a_configuration_is_named() {
    let maybug = Maybug::start().await;
    let inbound = |route: Value| json!({"web_port": 0, "inbound": [route]});
    let polled =
        |body: Value| json!({"web_port": 0, "mailbox": {}, "inbound": [{"kind": "poll", "response": {"body": body}}]});
    for (config, expected) in [
        (json!({}), "Field 'outbound' or 'inbound' must be given: the channel would neither send nor receive"),
        (json!({"outbound": {}}), "Field 'outbound': missing field `url`"),
        (json!({"outbuond": {}}), "unknown field `outbuond`"),
        (sms(json!({"windw": 3})), "Field 'outbound.windw': unknown field `windw`"),
        (sms(json!({"window": 0})), "Field 'outbound.window' must be from 1 to 1000"),
        (
            sms(json!({"method": "CONNECT"})),
            "Field 'outbound.method': 'CONNECT' is none of: GET, POST, PUT, PATCH, DELETE",
        ),
        (
            sms(json!({"url": "https://{to}/x"})),
            "Field 'outbound.url' must begin with http:// or https:// and the whole host",
        ),
        (
            sms(json!({"url": "https://h{to}"})),
            "Field 'outbound.url' must begin with http:// or https:// and the whole host",
        ),
        (sms(json!({"url": "file:///etc/passwd"})), "Field 'outbound.url' must begin with http://"),
        (sms(json!({"query": {"to": "{too}"}})), "Field 'outbound.query': there is no field 'too' here"),
        (sms(json!({"query": {"to": "{to|shout}"}})), "Field 'outbound.query.to': there is no filter 'shout'"),
        (sms(json!({"query": {"to": "{to"}})), "Field 'outbound.query.to': a '{' has no counterpart"),
        (sms(json!({"query": {"to": "{secret.x}"}})), "Field 'outbound.query': 'secrets' has no 'x'"),
        (sms(json!({"query": {"to": "{to|table:x}"}})), "Field 'outbound.query': 'tables' has no 'x'"),
        (sms(json!({"body": {"json": {"a": ["{"]}}})), "Field 'outbound.body.json': in 'a': a '{' has no counterpart"),
        (sms(json!({"success": [{"body": "("}]})), "Field 'outbound.success[0].body': '(' is no regular expression"),
        (sms(json!({"timeout": 0})), "Field 'outbound.timeout': must be a number of seconds larger than zero"),
        (json!({"inbound": [{"from": "{in.x}"}]}), "Field 'web_port' must be given for 'inbound'"),
        (inbound(json!({"path": "mo", "from": "1"})), "Field 'inbound[0].path': the path 'mo' does not begin with /"),
        (inbound(json!({"content": "{in.x}"})), "Field 'inbound[0].from' must be given for messages without a session"),
        (inbound(json!({"from": "{to}"})), "Field 'inbound[0].from': there is no field 'to' here"),
        (inbound(json!({"from": "{in.x}", "hold": true})), "Field 'reply' must be given for 'inbound[0].hold'"),
        (inbound(json!({"kind": "receipt", "id": "{in.x}"})), "Field 'inbound[0].state' must be given for receipts"),
        (
            inbound(json!({"from": "1", "each": "items", "session": "{in.x}"})),
            "Field 'inbound[0].each' excludes 'hold' and 'session'",
        ),
        (inbound(json!({"kind": "poll"})), "Field 'mailbox' must be given for 'inbound[0]', which polls"),
        (
            json!({"outbound": {"url": "https://h/"}, "mailbox": {}}),
            "Field 'mailbox' needs a request in 'inbound' whose kind is 'poll': nobody would ask for messages",
        ),
        (
            polled(json!({"text": "none"})),
            "Field 'inbound[0].response' must have a list in its JSON for a poll, {\"$each\": …}: it would tell no message",
        ),
        (
            polled(json!({"json": ["{content}", {"$each": "x"}]})),
            "Field 'inbound[0].response': there is no field 'content' here; there are: in, path, header, secret, now",
        ),
        (
            polled(json!({"json": {"$each": "{content}{in.ref}"}})),
            "Field 'inbound[0].response': there is no field 'in.ref' here; there are: to, from,",
        ),
        (
            {
                let mut both = polled(json!({"json": {"$each": "{content}"}}));
                both["outbound"] = json!({"url": "https://h/"});
                both
            },
            "Field 'mailbox' excludes 'outbound' and 'hold': messages wait until they are asked for",
        ),
        (
            inbound(json!({"from": "1", "response": {"status": 99}})),
            "Field 'inbound[0].response.status': 99 is no status",
        ),
        (inbound(json!({"from": "1", "response": {"headers": {"a b": "x"}}})), "'a b' is no header"),
    ] {
        let properties = json!({"type": "http", "config": config, "mo_url": null});
        let (status, answer) = maybug.post("/channels/", properties).await;
        let told = answer["result"]["errors"][0]["message"].as_str().unwrap_or_default().to_owned();
        assert!(status == 400 && told.contains(expected), "{config}: {answer}");
    }
}
