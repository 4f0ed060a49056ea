//! Health with RabbitMQ's management interface: who sees the queues, and how often the interface is asked.

use futures_util::future::join_all;
use hyper::Method;
use hyper::header::HOST;
use serde_json::{Value, json};

use crate::auth::{account, ask, basic, bearer, guarded_with, with};
use crate::management::Management;
use crate::support::{Maybug, soon};

fn loopback() -> Value {
    json!({"type": "loopback", "config": {}, "mo_url": null})
}

/// The verdict and nothing else, to whoever has not shown that they may look.
async fn is_bare(maybug: &Maybug, authorization: &str, status: u16, description: &str) {
    for path in ["/health", "/health/"] {
        let said = with(&maybug.base, authorization, Method::GET, path, &json!({})).await;
        assert_eq!((said.status, &said.body["description"]), (status, &json!(description)), "{authorization}");
        assert_eq!(said.body["result"], json!({}), "{authorization}");
    }
}

#[tokio::test]
async fn the_names_of_queues_are_for_those_who_may_read() {
    for (rate, status, description) in [(1.5, 200, "queues ok"), (0.0, 500, "queues stuck")] {
        let management = Management::start().await;
        let (maybug, root) = guarded_with(|config| management.configure(config)).await;
        let made = with(&maybug.base, &root, Method::POST, "/channels/", &loopback()).await;
        let channel = made.body["result"]["id"].as_str().unwrap();
        management.has(channel, [(0, 0.0), (7, rate), (0, 0.0)]);
        let sender = account(&maybug, &root, json!({"name": "sender", "scopes": ["send"]})).await;
        let limited = json!({"name": "limited", "scopes": ["read"], "channels": ["another"]});
        let limited = account(&maybug, &root, limited).await;
        let reader = json!({"name": "reader", "scopes": ["read"], "password": "read it all"});
        let reader = account(&maybug, &root, reader).await;

        let anybody = ask(&maybug.base, &Method::GET, "/health", &[], "").await;
        assert_eq!((anybody.status, &anybody.body["result"]), (status, &json!({})));
        for authorization in [&sender, &limited, "Bearer mb_wrong", &basic("reader", "read it not"), "nonsense"] {
            is_bare(&maybug, authorization, status, description).await;
        }
        for authorization in [&reader, &root, &basic("reader", "read it all")] {
            let said = with(&maybug.base, authorization, Method::GET, "/health", &json!({})).await;
            assert_eq!((said.status, &said.body["description"]), (status, &json!(description)), "{authorization}");
            let outbound = &said.body["result"][1];
            assert_eq!(outbound["name"], format!("{channel}.outbound"), "{authorization}");
            assert_eq!((&outbound["messages"], &outbound["stuck"]), (&json!(7), &json!(status == 500)));
        }
    }
}

#[tokio::test]
async fn why_there_is_no_verdict_is_for_those_who_may_read() {
    let (maybug, root) = guarded_with(|config| {
        config.amqp = Some(maybug::config::AmqpConfig { port: 1, ..Default::default() });
        config.rabbitmq_management_interface = Some("127.0.0.1:1".to_owned());
    })
    .await;
    with(&maybug.base, &root, Method::POST, "/channels/", &loopback()).await;
    let anybody = ask(&maybug.base, &Method::GET, "/health", &[], "").await;
    let known = with(&maybug.base, &root, Method::GET, "/health", &json!({})).await;
    for (said, tells) in [(anybody, false), (known, true)] {
        let error = &said.body["result"]["errors"][0];
        assert_eq!((said.status, &error["type"]), (500, &json!("ManagementError")));
        assert_eq!(error["message"].as_str().unwrap().contains("127.0.0.1:1"), tells, "{error}");
    }
}

#[tokio::test]
async fn while_nobody_is_asked_who_they_are_only_pages_from_elsewhere_see_no_names() {
    let management = Management::start().await;
    let maybug = Maybug::with(|config| management.configure(config)).await;
    let channel = maybug.channel(loopback()).await;
    management.has(&channel, [(0, 0.0); 3]);
    for (host, rows) in [("localhost", Some(3)), ("evil.example", None)] {
        let said = ask(&maybug.base, &Method::GET, "/health", &[(HOST, host)], "").await;
        assert_eq!((said.status, &said.body["description"]), (200, &json!("queues ok")));
        assert_eq!(said.body["result"].as_array().map(Vec::len), rows, "{host}");
    }
}

#[tokio::test]
async fn however_many_ask_for_health_the_interface_is_asked_once() {
    let management = Management::start().await;
    let maybug = Maybug::with(|config| management.configure(config)).await;
    let channel = maybug.channel(loopback()).await;
    management.has(&channel, [(0, 0.0); 3]);
    management.answer(false);
    let mut asked = management.asked();
    // Whoever goes before there is an answer makes no more of it either.
    tokio::select! {
        _ = maybug.get("/health") => panic!("nothing has answered"),
        all = soon("three questions", asked.wait_for(|names| names.len() == 3)) => drop(all.unwrap()),
    }
    // More than may wait: the others are told at once, and then those that wait are let go.
    let crowd = (0..40).map(|_| async {
        let (status, headers, answer) = maybug.request(Method::GET, "/health", b"").await;
        if status == 503 {
            assert_eq!(
                (&headers["retry-after"], &answer["result"]["errors"][0]["type"]),
                (&"1".parse().unwrap(), &json!("Busy"))
            );
            management.answer(true);
        } else {
            assert_eq!((status, answer["result"].as_array().unwrap().len()), (200, 3), "{answer}");
            assert!(headers["age"].to_str().unwrap().parse::<u64>().unwrap() < 60, "{headers:?}");
        }
        status
    });
    let said = join_all(crowd).await;
    assert!(said.contains(&503) && said.contains(&200), "{said:?}");
    let mut names = asked.borrow().clone();
    names.sort();
    assert_eq!(names, ["event", "inbound", "outbound"].map(|kind| format!("{channel}.{kind}")));
}

#[tokio::test]
async fn why_the_store_takes_nothing_is_for_those_who_may_read() {
    let maybug = Maybug::start().await;
    let (_, made) = maybug.post("/accounts/", json!({"name": "root", "scopes": ["admin"]})).await;
    let root = bearer(made["result"]["token"].as_str().unwrap());
    let directory = maybug.directory.clone();
    maybug.server.stop().await;
    let full = Maybug::at(directory, |config| config.min_free = u64::MAX / 8).await;
    for (path, status) in [("/health", 500), ("/health/ready", 503)] {
        let anybody = ask(&full.base, &Method::GET, path, &[], "").await;
        let known = with(&full.base, &root, Method::GET, path, &json!({})).await;
        for (said, tells) in [(anybody, false), (known, true)] {
            let error = &said.body["result"]["errors"][0];
            assert_eq!((said.status, &error["type"]), (status, &json!("StoreUnavailable")), "{path}");
            assert_eq!(error["message"].as_str().unwrap().contains("disk"), tells, "{path}: {error}");
        }
    }
}
