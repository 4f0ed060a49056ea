//! A provider that asks for a slower pace is left alone, and then tried with one message until it takes one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::{Value, json};

use super::Stage;
use super::bounds::sms;
use super::provider::Asked;
use crate::support::{soon, types};

fn numbered(number: usize) -> Value {
    json!({"to": "27820001001", "from": "8110", "content": number.to_string()})
}

fn retry_after(seconds: u32) -> BTreeMap<String, String> {
    [("Retry-After".to_owned(), seconds.to_string())].into()
}

/// What provider and phones ask, beside a way to send.
fn both_ways() -> Value {
    let mut config = sms(json!({}));
    config["inbound"] = json!([
        {"path": "/mo", "from": "{in.from}"},
        {"path": "/receipt", "kind": "receipt", "id": "{in.id}", "state": "{in.state}", "states": {"delivered": ["ok"]}},
        {"path": "/ussd", "session": "{in.id}", "from": "{in.phone}", "content": "{in.text}", "hold": true},
    ]);
    config["reply"] = json!({"continue": {"body": {"text": "{content}"}}});
    config
}

impl Stage {
    /// The number of the message that the provider is next asked to take.
    async fn number(&mut self) -> usize {
        let asked = soon("a request", self.provider.asked()).await;
        let body: Value = serde_json::from_str(&asked.body).unwrap();
        body["text"].as_str().unwrap().parse().unwrap()
    }

    /// Waits until so many messages are in the queue and none is in hand: what is refused goes back when the others that
    /// were under way have their answers.
    async fn waits(&self, count: u64) {
        soon("the end of what is under way", async {
            let mut queue = self.queue().await;
            while queue["total"] != count || queue["in_hand"] != 0 {
                tokio::task::yield_now().await;
                queue = self.queue().await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn one_refusal_holds_all_messages_back_and_they_leave_in_their_order_afterwards() {
    let mut stage = Stage::open(sms(json!({"window": 1}))).await;
    stage.provider.holds(true);
    stage.provider.will_say(429, &retry_after(2), "");
    for number in 0..50 {
        stage.sends(&numbered(number)).await;
    }
    let refused = Instant::now();
    stage.provider.holds(false);
    let mut asked = vec![stage.number().await, stage.number().await];
    assert!(refused.elapsed() >= Duration::from_secs(2), "asked again after {:?}", refused.elapsed());
    while asked.len() < 51 {
        asked.push(stage.number().await);
    }
    assert_eq!(asked, std::iter::once(0).chain(0..50).collect::<Vec<_>>());
    stage.receiver.told("throttled").await;
    stage.receiver.told("sending").await;
    stage.waits(0).await;
    assert_eq!(stage.provider.unheard(), 0);
}

#[tokio::test]
async fn what_was_under_way_goes_back_too_and_one_message_tries_it() {
    let mut stage = Stage::open(sms(json!({}))).await;
    stage.provider.holds(true);
    for number in 0..50 {
        stage.sends(&numbered(number)).await;
    }
    let mut first = Vec::new();
    while first.len() < 10 {
        first.push(stage.number().await);
        stage.provider.will_say(429, &retry_after(2), "");
    }
    stage.provider.will_say(429, &[].into(), "");
    first.sort_unstable();
    assert_eq!(first, (0..10).collect::<Vec<_>>());
    let refused = Instant::now();
    stage.provider.holds(false);
    assert_eq!(stage.number().await, 0);
    assert!(refused.elapsed() >= Duration::from_secs(2), "asked again after {:?}", refused.elapsed());
    assert_eq!(stage.number().await, 0, "one that is refused again is followed by no other");
    let mut rest = Vec::new();
    while rest.len() < 49 {
        rest.push(stage.number().await);
    }
    // Ten are under way at a time and come in any order: before each there were all but nine of those in front of it.
    assert!(rest.iter().enumerate().all(|(place, number)| *number <= place + 10), "{rest:?}");
    rest.sort_unstable();
    assert_eq!(rest, (1..50).collect::<Vec<_>>());
    stage.waits(0).await;
    assert_eq!(stage.provider.unheard(), 0);
}

#[tokio::test]
async fn while_nothing_is_sent_messages_are_cancelled_and_phones_heard_and_answered() {
    let mut stage = Stage::open(both_ways()).await;
    stage.provider.will_say(200, &[].into(), r#"{"id": "a1"}"#);
    let delivered = stage.sends(&numbered(9)).await;
    assert_eq!(stage.number().await, 9);
    stage.maybug.events(&stage.channel, &delivered, 1).await;
    stage.provider.will_say(429, &retry_after(3_600), "");
    let refused = stage.sends(&numbered(0)).await;
    assert_eq!(stage.number().await, 0);
    let told = stage.receiver.told("throttled").await;
    let message = "Messages wait: the provider asks for a slower pace with status 429";
    assert_eq!((&told["status"], &told["message"]), (&json!("degraded"), &json!(message)));
    let waiting = stage.sends(&numbered(1)).await;
    stage.waits(2).await;

    assert_eq!(stage.gets("/mo?from=1").await.0, 200);
    assert_eq!(stage.hears().await["from"], "1");
    assert_eq!(stage.gets("/receipt?id=a1&state=ok").await.0, 200);
    let events = stage.maybug.events(&stage.channel, &delivered, 2).await;
    assert_eq!(types(&events), ["submitted", "delivery_succeeded"]);
    let path = "/ussd?id=1&phone=555&text=".to_owned();
    let asked = Asked { method: "GET".into(), path, headers: [].into(), body: String::new() };
    let phone = stage.provider.ask(asked);
    stage.hears().await;
    stage.sends(&json!({"reply_to": "<mo_id>", "content": "hi"})).await;
    assert_eq!(soon("the reply", phone).await.unwrap().body, "hi");

    stage.waits(2).await;
    for id in [&waiting, &refused] {
        let path = format!("/channels/{}/messages/{id}", stage.channel);
        assert_eq!(stage.maybug.request(Method::DELETE, &path, b"").await.0, 200);
        assert_eq!(types(&stage.maybug.events(&stage.channel, id, 1).await), ["rejected"]);
    }
    assert_eq!(stage.provider.unheard(), 0);
}

#[tokio::test]
async fn a_channel_is_restarted_while_nothing_is_sent() {
    let mut stage = Stage::open(sms(json!({}))).await;
    stage.provider.will_say(503, &retry_after(3_600), "");
    stage.sends(&numbered(0)).await;
    assert_eq!(stage.number().await, 0);
    stage.receiver.told("throttled").await;
    let id = stage.sends(&numbered(1)).await;
    let path = format!("/channels/{}/restart", stage.channel);
    assert_eq!(stage.maybug.request(Method::POST, &path, b"").await.0, 200);
    let mut again = [stage.number().await, stage.number().await];
    again.sort_unstable();
    assert_eq!(again, [0, 1]);
    let events = stage.maybug.events(&stage.channel, &id, 1).await;
    assert_eq!(types(&events), ["submitted"]);
    stage.receiver.told("sending").await;
}

#[tokio::test]
async fn a_provider_may_say_it_in_its_own_words_and_without_a_time() {
    let says = |code: &str| json!([{"json": {"code": code}}]);
    let mut stage = Stage::open(sms(json!({"success": says("^0$"), "throttled": says("^31$")}))).await;
    for code in [31, 31, 0] {
        stage.provider.will_say(200, &[].into(), &json!({"code": code}).to_string());
    }
    let id = stage.sends(&numbered(0)).await;
    assert_eq!(types(&stage.maybug.events(&stage.channel, &id, 1).await), ["submitted"]);
    assert_eq!(stage.provider.unheard(), 3);
    stage.receiver.told("throttled").await;
    stage.receiver.told("sending").await;
}
