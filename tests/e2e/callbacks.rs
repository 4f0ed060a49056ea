//! Callbacks: durable, in order per message, retried, isolated.

use bytes::Bytes;
use hyper::{HeaderMap, Method, StatusCode};
use serde_json::json;

use crate::support::{DEADLINE, Maybug, Receiver, Scripted, client, soon};

fn channel() -> serde_json::Value {
    json!({"type": "loopback", "config": {}, "mo_url": null})
}

#[tokio::test]
async fn events_arrive_in_order_with_their_token_and_a_failed_one_holds_back_the_next() {
    let mut receiver = Receiver::start().await;
    receiver.script([Scripted::Answer(StatusCode::INTERNAL_SERVER_ERROR, vec![])]);
    let maybug = Maybug::start().await;
    let id = maybug.channel(channel()).await;
    let url = receiver.url("/events?a=b");
    let message = json!({"to": "1", "content": "x", "event_url": url, "event_auth_token": "s3cr3t"});
    let message = maybug.send(&id, message).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let posted = receiver.next().await;
        assert_eq!(
            (posted.path.as_str(), &posted.headers["authorization"]),
            ("/events?a=b", &"Token s3cr3t".parse().unwrap())
        );
        assert_eq!(posted.body["message_id"], json!(message));
        seen.push(posted.body["event_type"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen, ["submitted", "submitted", "delivery_succeeded"]);
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let mut receiver = Receiver::start().await;
    receiver.script([Scripted::Answer(StatusCode::SERVICE_UNAVAILABLE, vec![("retry-after", "2".to_owned())])]);
    let maybug = Maybug::start().await;
    let id = maybug.channel(channel()).await;
    maybug.send(&id, json!({"to": "1", "content": "x", "event_url": receiver.url("/e")})).await;
    receiver.next().await;
    let asked = tokio::time::Instant::now();
    let posted = receiver.next().await;
    assert_eq!(
        (&posted.body["event_type"], &posted.headers["x-junebug-attempt"]),
        (&json!("submitted"), &"2".parse().unwrap())
    );
    assert!(asked.elapsed().as_millis() > 1_900, "the receiver wanted two seconds");
}

#[tokio::test]
async fn what_a_receiver_will_never_take_is_kept_aside_until_somebody_has_it_made_again() {
    let mut receiver = Receiver::start().await;
    let elsewhere = Receiver::start().await;
    receiver.script([
        Scripted::Answer(StatusCode::FOUND, vec![("location", elsewhere.url("/elsewhere"))]),
        Scripted::Answer(StatusCode::UNAUTHORIZED, Vec::new()),
    ]);
    let maybug = Maybug::start().await;
    let id = maybug.channel(channel()).await;
    let message = maybug.send(&id, json!({"to": "1", "content": "x", "event_url": receiver.url("/e")})).await;
    for event in ["submitted", "delivery_succeeded"] {
        assert_eq!(receiver.next().await.body["event_type"], event);
    }
    let parked = async |path: &str, count: usize| {
        soon("what was given up", async {
            loop {
                let (_, answer) = maybug.get(path).await;
                let parked = answer["result"]["callbacks"].as_array().unwrap().clone();
                if parked.len() == count {
                    return parked;
                }
            }
        })
        .await
    };
    let both = parked("/callbacks/", 2).await;
    assert_eq!(
        (&both[0]["message_id"], &both[0]["channel_id"], &both[0]["kind"]),
        (&json!(message), &json!(id), &json!("event"))
    );
    assert!(both[0]["reason"].as_str().unwrap().starts_with("the answer 302 Found (redirects are not followed)"));
    assert!(both[1]["reason"].as_str().unwrap().starts_with("the answer 401 Unauthorized"));
    let (first, second) = (both[0]["id"].as_str().unwrap(), both[1]["id"].as_str().unwrap());
    let (_, page) = maybug.get("/callbacks?limit=1").await;
    assert_eq!((&page["result"]["callbacks"], &page["result"]["cursor"]), (&json!([both[0]]), &json!(first)));
    let (_, page) = maybug.get(&format!("/callbacks?limit=1&cursor={first}")).await;
    assert_eq!(page["result"], json!({"callbacks": [both[1]], "cursor": null}));
    // The body is what was sent, octet for octet.
    let url = format!("{}/callbacks", maybug.base).parse().unwrap();
    let answer = client().request(Method::GET, &url, HeaderMap::new(), Bytes::new(), DEADLINE).await.unwrap();
    let answer = std::str::from_utf8(&answer.body).unwrap();
    assert!(answer.contains(r#""body":{"event_type":"submitted","message_id":"#), "{answer}");
    for query in ["limit=0", "limit=501", "limit=x", "cursor=x", "after=1-1", "n=1"] {
        let (status, answer) = maybug.get(&format!("/callbacks/?{query}")).await;
        assert_eq!((status, &answer["result"]["errors"][0]["type"]), (400, &json!("ApiUsageError")), "{query}");
    }
    let (status, _) = maybug.post(&format!("/callbacks/retry?chanel={id}"), json!({})).await;
    assert_eq!(status, 400, "all of them would be made again");
    assert_eq!(maybug.post(&format!("/callbacks/{first}/retry"), json!({})).await.0, 200);
    assert_eq!(receiver.next().await.body["event_type"], "submitted");
    assert_eq!(parked("/callbacks/", 1).await[0]["id"], second);
    let (_, answer) = maybug.post(&format!("/callbacks/retry?channel={id}"), json!({})).await;
    assert_eq!(answer["result"]["retried"], 1);
    assert_eq!(receiver.next().await.body["event_type"], "delivery_succeeded");
    parked("/callbacks/", 0).await;
    let (status, answer) = maybug.post(&format!("/callbacks/{first}/retry"), json!({})).await;
    assert_eq!((status, &answer["result"]["errors"][0]["type"]), (404, &json!("CallbackNotFound")));
    drop(elsewhere);
}

#[tokio::test]
async fn of_a_components_statuses_that_could_not_be_told_only_the_latest_is_told_again() {
    let mut receiver = Receiver::start().await;
    receiver.script([Scripted::Answer(StatusCode::SERVICE_UNAVAILABLE, Vec::new())]);
    let maybug = Maybug::start().await;
    // Nothing listens there: `starting`, then `binding` and `connection_failed` in turn.
    let config = json!({"twisted_endpoint": "tcp:127.0.0.1:1", "system_id": "a", "password": "b"});
    maybug.channel(json!({"type": "smpp", "config": config, "mo_url": null, "status_url": receiver.url("/s")})).await;
    let first = receiver.next().await;
    let second = receiver.next().await;
    assert_ne!(first.body, second.body, "the first was superseded while it waited");
    assert_ne!(second.headers["x-junebug-attempt"], "1");
}

#[tokio::test]
async fn a_receiver_that_hangs_costs_nobody_else() {
    let mut hung = Receiver::start().await;
    hung.script(vec![Scripted::Hang; 16]);
    let mut healthy = Receiver::start().await;
    let maybug = Maybug::start().await;
    let id = maybug.channel(channel()).await;
    for _ in 0..8 {
        maybug.send(&id, json!({"to": "1", "content": "x", "event_url": hung.url("/e")})).await;
    }
    hung.next().await;
    for _ in 0..20 {
        maybug.send(&id, json!({"to": "1", "content": "x", "event_url": healthy.url("/e")})).await;
    }
    for _ in 0..40 {
        healthy.next().await;
    }
}

#[tokio::test]
async fn a_host_has_eight_places_however_many_channels_call_it() {
    let mut hung = Receiver::start().await;
    hung.script(vec![Scripted::Hang; 64]);
    let mut healthy = Receiver::start().await;
    let maybug = Maybug::start().await;
    let echo = |url: String| json!({"type": "loopback", "config": {"echo": true}, "mo_url": url});
    for n in 0..4 {
        let id = maybug.channel(echo(hung.url(&format!("/{n}")))).await;
        for _ in 0..6 {
            maybug.send(&id, json!({"to": "1", "from": "2", "content": "x"})).await;
        }
    }
    let id = maybug.channel(echo(healthy.url("/mo"))).await;
    for _ in 0..8 {
        hung.next().await;
    }
    for n in 0..20 {
        maybug.send(&id, json!({"to": "1", "from": "2", "content": n.to_string()})).await;
    }
    for _ in 0..20 {
        healthy.next().await;
    }
    assert_eq!(hung.posted(), 0, "more than eight at a time");
}

#[tokio::test]
async fn a_url_that_is_none_is_refused_in_the_log_without_its_password() {
    let maybug = Maybug::start().await;
    let echo = json!({"type": "loopback", "config": {"echo": true}, "mo_url": "http://me:hunter2@host:99999999/"});
    let id = maybug.channel(echo).await;
    maybug.send(&id, json!({"to": "1", "from": "2", "content": "x"})).await;
    let path = format!("/channels/{id}/logs?level=warning");
    let log = soon("the refusal in the log", async {
        loop {
            let log = maybug.get(&path).await.1["result"].to_string();
            if log.contains("invalid port number") {
                return log;
            }
            tokio::task::yield_now().await;
        }
    });
    assert!(!log.await.contains("hunter2"));
}

#[tokio::test]
async fn callbacks_survive_a_restart() {
    let mut receiver = Receiver::start().await;
    receiver.script([Scripted::Answer(StatusCode::BAD_GATEWAY, vec![])]);
    let maybug = Maybug::start().await;
    let id = maybug.channel(channel()).await;
    maybug.send(&id, json!({"to": "1", "content": "x", "event_url": receiver.url("/e")})).await;
    receiver.next().await;
    let directory = maybug.directory.clone();
    maybug.server.stop().await;
    let _again = Maybug::at(directory, |_| {}).await;
    assert_eq!(receiver.next().await.body["event_type"], "submitted");
    assert_eq!(receiver.next().await.body["event_type"], "delivery_succeeded");
}

#[tokio::test]
async fn an_empty_url_is_none() {
    let maybug = Maybug::start().await;
    let id =
        maybug.channel(json!({"type": "loopback", "config": {"echo": true}, "mo_url": "", "status_url": ""})).await;
    let message = maybug.send(&id, json!({"to": "1", "content": "x", "event_url": ""})).await;
    maybug.events(&id, &message, 2).await;
    let (_, log) = maybug.get(&format!("/channels/{id}/logs?level=warning")).await;
    assert_eq!(log["result"], json!([]), "nobody was called");
}

#[tokio::test]
async fn private_networks_are_not_called() {
    let maybug = Maybug::start().await;
    let id = maybug.channel(channel()).await;
    let message = json!({"to": "1", "content": "x", "event_url": "http://169.254.169.254/latest"});
    maybug.send(&id, message).await;
    let path = format!("/channels/{id}/logs?level=warning");
    soon("the refusal in the log", async {
        loop {
            let (_, answer) = maybug.get(&path).await;
            if answer["result"].to_string().contains("requests to 169.254.169.254 are not allowed") {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}
