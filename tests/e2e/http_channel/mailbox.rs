//! MTs that wait until their phone asks for them wait in the channel's queue, as any other's do.

use hyper::Method;
use serde_json::{Value, json};

use super::Stage;
use crate::support::{soon, types};

/// Phones by the name in `channel_data.phone`.
fn phones(most: usize) -> Value {
    json!({
        "web_port": 0, "mailbox": {"of": "{channel_data.phone|default:''}", "most": most},
        "inbound": [{
            "path": "/{phone}", "kind": "poll", "mailbox": "{path.phone}",
            "response": {"body": {"json": {"$each": "{content}"}}},
        }],
    })
}

fn to(phone: &str, content: &str) -> Value {
    json!({"to": "1", "content": content, "channel_data": {"phone": phone}})
}

impl Stage {
    /// What a phone gets when it asks.
    async fn polls(&self, phone: &str) -> Value {
        let (status, body) = self.gets(&format!("/{phone}")).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Waits until so many messages are in the queue: what has left it is written while the phone has it already.
    async fn has_queued(&self, count: u64) {
        soon("the end of what phones have", async {
            while self.queue().await["total"] != count {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    pub(super) async fn queue(&self) -> Value {
        self.maybug.get(&format!("/channels/{}/queue", self.channel)).await.1["result"]["outbound"].clone()
    }
}

#[tokio::test]
async fn messages_wait_until_their_phone_asks_for_them() {
    let mut stage = Stage::example("smssync_multi").await;
    let id = stage.sends(&json!({"to": "123", "content": "for \"two\"", "channel_data": {"account": "two"}})).await;
    let (_, body) = stage.gets("/api/v1/smssync/two?task=send").await;
    let expected =
        r#"{"payload":{"messages":[{"message":"for \"two\"","to":"123"}],"secret":"secret2","task":"send"}}"#;
    assert_eq!(body, expected);
    assert_eq!(types(&stage.maybug.events(&stage.channel, &id, 1).await), ["submitted"]);
    // It is gone, and the other phone never had it.
    for (account, secret) in [("two", "secret2"), ("one", "secret1")] {
        let (_, body) = stage.gets(&format!("/api/v1/smssync/{account}?task=send")).await;
        assert_eq!(body, format!(r#"{{"payload":{{"messages":[],"secret":"{secret}","task":"send"}}}}"#));
    }
}

#[tokio::test]
async fn a_message_that_nobody_asks_for_is_counted_cancelled_and_expires() {
    let mut stage = Stage::open(phones(10)).await;
    let cancelled = stage.sends(&to("a", "cancelled")).await;
    let stays = stage.sends(&to("b", "stays")).await;
    // A phone that has nothing to get takes nothing from the others.
    assert_eq!(stage.polls("c").await, json!([]));
    let queue = stage.queue().await;
    assert_eq!((&queue["total"], &queue["in_hand"]), (&json!(2), &json!(0)), "{queue}");
    let path = format!("/channels/{}/messages/{cancelled}", stage.channel);
    assert_eq!(stage.maybug.request(Method::DELETE, &path, b"").await.0, 200);
    assert_eq!(types(&stage.maybug.events(&stage.channel, &cancelled, 1).await), ["rejected"]);
    let mut short = to("a", "expires");
    short["validity"] = json!(1);
    let expires = stage.sends(&short).await;
    assert_eq!(types(&stage.maybug.events(&stage.channel, &expires, 1).await), ["expired"]);
    assert_eq!((stage.polls("a").await, stage.polls("b").await), (json!([]), json!(["stays"])));
    assert_eq!(types(&stage.maybug.events(&stage.channel, &stays, 1).await), ["submitted"]);
}

#[tokio::test]
async fn messages_are_had_by_priority_and_then_in_their_order_however_many_wait_for_others() {
    let mut stage = Stage::open(phones(2)).await;
    for number in 0..5 {
        stage.sends(&to("a", &format!("a{number}"))).await;
        stage.sends(&to("b", &format!("b{number}"))).await;
    }
    let mut urgent = to("b", "urgent");
    urgent["priority"] = json!(5);
    stage.sends(&urgent).await;
    assert_eq!(stage.polls("b").await, json!(["urgent", "b0"]));
    assert_eq!(stage.polls("a").await, json!(["a0", "a1"]));
    assert_eq!(stage.polls("b").await, json!(["b1", "b2"]));
    assert_eq!(stage.polls("a").await, json!(["a2", "a3"]));
    stage.has_queued(3).await;
    assert_eq!(stage.polls("b").await, json!(["b3", "b4"]));
    assert_eq!((stage.polls("b").await, stage.polls("a").await), (json!([]), json!(["a4"])));
}

#[tokio::test]
async fn more_than_a_thousand_messages_are_had_in_their_order() {
    let mut stage = Stage::open(phones(1_000)).await;
    for number in 0..1_010 {
        stage.sends(&to("a", &number.to_string())).await;
    }
    let mut had = Vec::new();
    soon("all messages", async {
        while had.len() < 1_010 {
            had.extend(stage.polls("a").await.as_array().unwrap().clone());
        }
    })
    .await;
    assert_eq!(had, (0..1_010).map(|number| json!(number.to_string())).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_no_phone_has_had_survives_a_restart_and_polls_keep_to_the_rate_limit() {
    let mut stage = Stage::open(phones(10)).await;
    for number in 0..3 {
        stage.sends(&to("a", &number.to_string())).await;
    }
    assert_eq!(stage.polls("b").await, json!([]));
    let path = format!("/channels/{}", stage.channel);
    let limits = json!({"rate_limit_count": 1, "rate_limit_window": 3_600});
    assert_eq!(stage.maybug.post(&path, limits).await.0, 200);
    stage.listens().await;
    assert_eq!(stage.polls("a").await, json!(["0"]));
    assert_eq!(stage.polls("a").await, json!([]));
    stage.has_queued(2).await;
}

#[tokio::test]
async fn a_message_that_cannot_be_handed_over_costs_only_itself() {
    let mut config = phones(50);
    config["tables"] = json!({"prices": {"free": "0", "dear": "9"}});
    config["inbound"][0]["response"]["body"]["json"]["$each"] =
        json!({"text": "{content}", "price": "{channel_data.price|table:prices}", "key": "{channel_data.key}"});
    let mut stage = Stage::open(config).await;
    let (mut fit, mut unfit) = (Vec::new(), Vec::new());
    for number in 0..4 {
        let message = |price: &str, key: &str| json!({"to": "1", "content": number.to_string(), "channel_data": {"phone": "a", "price": price, key: "k"}});
        fit.push(stage.sends(&message("free", "key")).await);
        let reason = "channel_data.price is not in the table 'prices'";
        unfit.push((stage.sends(&message("gold", "key")).await, reason));
        unfit.push((stage.sends(&message("dear", "no_key")).await, "there is no channel_data.key"));
    }
    let expected: Vec<_> = (0..4).map(|number| json!({"text": number.to_string(), "price": "0", "key": "k"})).collect();
    assert_eq!(stage.polls("a").await, json!(expected));
    for id in fit {
        assert_eq!(types(&stage.maybug.events(&stage.channel, &id, 1).await), ["submitted"]);
    }
    for (id, reason) in unfit {
        let events = stage.maybug.events(&stage.channel, &id, 1).await;
        let told = events[0]["event_details"]["reason"].as_str().unwrap();
        assert_eq!((types(&events), told.ends_with(reason)), (vec!["rejected"], true), "{told}");
    }
    assert_eq!(stage.polls("a").await, json!([]));
}

#[tokio::test]
async fn what_a_question_lacks_is_no_messages_fault() {
    let mut config = phones(10);
    config["tables"] = json!({"phones": {"a": "known"}});
    config["inbound"][0]["response"]["body"]["json"] =
        json!({"ref": "{in.ref}", "who": "{path.phone|table:phones}", "messages": {"$each": "{content}"}});
    let mut stage = Stage::open(config).await;
    let id = stage.sends(&to("a", "x")).await;
    assert_eq!(stage.gets("/a").await, (400, json!({"missing_parameter": ["ref"]}).to_string()));
    assert_eq!(stage.gets("/b?ref=7").await, (400, "path.phone is not in the table 'phones'".to_owned()));
    assert_eq!(stage.queue().await["total"], 1);
    assert_eq!(stage.polls("a?ref=7").await, json!({"ref": "7", "who": "known", "messages": ["x"]}));
    assert_eq!(types(&stage.maybug.events(&stage.channel, &id, 1).await), ["submitted"]);
}
