//! The rate limit of a channel, whatever its type: what is beyond it waits or is refused.

use std::time::Duration;

use hyper::Method;
use hyper::header::RETRY_AFTER;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{Maybug, types};

async fn channel(maybug: &Maybug, properties: Value) -> String {
    let mut channel = json!({"type": "loopback", "config": {}, "mo_url": null});
    channel.as_object_mut().unwrap().extend(properties.as_object().unwrap().clone());
    maybug.channel(channel).await
}

/// Conformance list 195. That it takes long enough is asserted, never that it is fast.
#[tokio::test]
async fn ten_sends_leave_at_two_per_second_and_none_is_lost() {
    let maybug = Maybug::start().await;
    let id = channel(&maybug, json!({"rate_limit_count": 2, "rate_limit_window": 1})).await;
    let begun = Instant::now();
    let mut sent = Vec::new();
    for number in 0..10 {
        sent.push(maybug.send(&id, json!({"to": "1", "content": number.to_string()})).await);
    }
    for message in &sent {
        assert_eq!(types(&maybug.events(&id, message, 2).await), ["submitted", "delivery_succeeded"]);
    }
    // The first leaves at once, each other half a second after the one before.
    assert!(begun.elapsed() >= Duration::from_millis(4_450), "{:?}", begun.elapsed());
    let mut times = Vec::new();
    for message in &sent {
        let events = maybug.events(&id, message, 2).await;
        times.push(events[0]["timestamp"].as_str().unwrap().to_owned());
    }
    assert!(times.is_sorted(), "{times:?}");
}

#[tokio::test]
async fn what_is_beyond_the_limit_can_be_refused() {
    let maybug = Maybug::start().await;
    let limited = json!({"rate_limit_count": 2, "rate_limit_window": 3600, "rate_limit_action": "reject"});
    let id = channel(&maybug, limited).await;
    let other = channel(&maybug, json!({})).await;
    for _ in 0..2 {
        maybug.send(&id, json!({"to": "1", "content": "x"})).await;
    }
    let path = format!("/channels/{id}/messages/");
    let (status, headers, answer) = maybug.request(Method::POST, &path, br#"{"to": "1", "content": "x"}"#).await;
    assert_eq!((status, &answer["description"]), (429, &json!("rate limit exceeded")));
    assert_eq!(answer["result"]["errors"][0]["type"], "RateLimitExceeded");
    let after: u64 = headers[RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((3_500..=3_660).contains(&after), "{after}");
    let message = format!("this channel takes 2 messages in 3600 seconds; try again in {after} seconds");
    assert_eq!(answer["result"]["errors"][0]["message"], message);
    // Nobody else's limit, and none of the channel's own once it has been lifted.
    maybug.send(&other, json!({"to": "1", "content": "x"})).await;
    let (status, _) = maybug.post(&format!("/channels/{id}"), json!({"rate_limit_count": 0})).await;
    assert_eq!(status, 200);
    maybug.send(&id, json!({"to": "1", "content": "x"})).await;
}

#[tokio::test]
async fn a_limit_is_whole_or_none() {
    let maybug = Maybug::start().await;
    let id = channel(&maybug, json!({"rate_limit_count": 0})).await;
    for (limit, expected) in [
        (json!({"rate_limit_count": 5}), "\"rate_limit_count\" must be given together with \"rate_limit_window\""),
        (json!({"rate_limit_window": 5}), "\"rate_limit_window\" must be given together with \"rate_limit_count\""),
        (
            json!({"rate_limit_count": 5, "rate_limit_window": 5, "rate_limit_action": "drop"}),
            "Invalid rate_limit_action \"drop\": it must be \"queue\" or \"reject\"",
        ),
    ] {
        let mut created = json!({"type": "loopback", "config": {}});
        created.as_object_mut().unwrap().extend(limit.as_object().unwrap().clone());
        let (status, answer) = maybug.post("/channels/", created).await;
        let item = &answer["result"]["errors"][0];
        assert_eq!((status, &item["type"], &item["message"]), (400, &json!("ApiUsageError"), &json!(expected)));
    }
    let (status, _) = maybug.post(&format!("/channels/{id}"), json!({"rate_limit_count": 5})).await;
    assert_eq!(status, 400);
    let (_, shown) = maybug.get(&format!("/channels/{id}")).await;
    assert_eq!(shown["result"]["rate_limit_count"], 0);
    let both = json!({"rate_limit_count": 5, "rate_limit_window": 5});
    assert_eq!(maybug.post(&format!("/channels/{id}"), both).await.0, 200);
}
