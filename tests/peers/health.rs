//! `/health` with the management interface of a real RabbitMQ.

use bytes::Bytes;
use hyper::{HeaderMap, Method};
use maybug::config::{AmqpConfig, Config, Secret};
use maybug::server::Server;
use maybug::web::client::{Allowed, Client};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::rabbitmq::RabbitMq;
use crate::server::{DEADLINE, config, soon};

/// What a server says of its health.
async fn health(server: &Server) -> Value {
    let client = Client::new(Allowed { networks: vec!["127.0.0.0/8".parse().unwrap()] });
    let url = format!("http://{}/health/", server.addresses()[0]).parse().unwrap();
    let answer = client.request(Method::GET, &url, HeaderMap::new(), Bytes::new(), DEADLINE).await.unwrap();
    let envelope: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(envelope["status"], answer.status.as_u16());
    envelope
}

/// Asks until the answer is wanted: the interface learns of messages some time after they have come.
async fn until(server: &Server, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    soon(what, async {
        loop {
            let answer = health(server).await;
            if wanted(&answer) {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// A port at which the interface is until the task is aborted, which cuts its connections off.
async fn interface(rabbitmq: &RabbitMq) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, management) = (listener.local_addr().unwrap().port(), rabbitmq.management);
    let passes_on = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut ours, _)) = listener.accept().await {
            connections.spawn(async move {
                let mut its = TcpStream::connect(("127.0.0.1", management)).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut ours, &mut its).await;
            });
        }
    });
    (port, passes_on)
}

fn with(directory: &tempfile::TempDir, amqp: AmqpConfig, interface: u16) -> Config {
    let interface = format!("127.0.0.1:{interface}");
    Config { amqp: Some(amqp), rabbitmq_management_interface: Some(interface), ..config(directory.path()) }
}

#[tokio::test]
async fn queues_that_nobody_empties_are_told() {
    let rabbitmq = RabbitMq::shared().await;
    let (port, passes_on) = interface(&rabbitmq).await;
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&with(&directory, rabbitmq.config(), port)).await.unwrap();
    let answer = health(&server).await;
    assert_eq!((&answer["description"], &answer["result"]), (&json!("queues ok"), &json!([])));

    let loopback = json!({"type": "loopback", "config": {}, "mo_url": null});
    let channel = server.gateway().create_channel(loopback.as_object().unwrap().clone()).await.unwrap();
    let queue = |kind: &str| format!("{}.{kind}", channel.id);
    // A channel whose queues are not there is no reason to worry.
    server.gateway().create_channel(loopback.as_object().unwrap().clone()).await.unwrap();
    for kind in ["event", "outbound", "inbound"] {
        let path = format!("/api/queues/%2F/{}", queue(kind));
        assert_eq!(rabbitmq.manage(Method::PUT, &path, &json!({"durable": true})).await.0, 201);
    }
    let answer = until(&server, "three queues", |answer| answer["result"].as_array().unwrap().len() == 3).await;
    assert_eq!(answer["description"], "queues ok");
    let names: Vec<_> = answer["result"].as_array().unwrap().iter().map(|state| state["name"].clone()).collect();
    assert_eq!(names, ["inbound", "outbound", "event"].map(queue));
    assert_eq!(answer["result"][0], json!({"name": queue("inbound"), "messages": 0, "stuck": false}));

    // A router's destinations come after the channels.
    let gateway = server.gateway();
    let object = |value: Value| value.as_object().unwrap().clone();
    let routed = gateway.create_channel(object(json!({"type": "loopback", "config": {}}))).await.unwrap();
    let router = object(json!({"type": "from_address", "config": {"channel": routed.id}}));
    let router = gateway.create_router(router).await.unwrap().properties.id.clone();
    let destination = object(json!({"config": {"regular_expression": "."}, "amqp_queue": "shop"}));
    let destination = gateway.create_destination(&router, destination).await.unwrap().id.clone();
    for queue in [format!("{destination}.inbound"), "shop.inbound".to_owned()] {
        let path = format!("/api/queues/%2F/{queue}");
        assert_eq!(rabbitmq.manage(Method::PUT, &path, &json!({"durable": true})).await.0, 201);
    }
    // The bridge has declared what it takes from.
    let answer = until(&server, "three more queues", |answer| answer["result"].as_array().unwrap().len() == 6).await;
    let names: Vec<_> = (3..6).map(|place| answer["result"][place]["name"].clone()).collect();
    assert_eq!(names, [&format!("{destination}.inbound"), "shop.inbound", "shop.outbound"]);

    let message =
        json!({"properties": {}, "routing_key": queue("outbound"), "payload": "x", "payload_encoding": "string"});
    let publish = "/api/exchanges/%2F/amq.default/publish";
    assert_eq!(rabbitmq.manage(Method::POST, publish, &message).await.1["routed"], true);
    let answer = until(&server, "a stuck queue", |answer| answer["description"] == "queues stuck").await;
    assert_eq!((&answer["status"], &answer["code"]), (&json!(500), &json!("Internal Server Error")));
    let stuck = json!({"name": queue("outbound"), "messages": 1, "rate": 0.0, "stuck": true});
    assert_eq!(answer["result"][1], stuck);
    assert_eq!(answer["result"][2]["stuck"], false);

    let get = json!({"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"});
    let path = format!("/api/queues/%2F/{}/get", queue("outbound"));
    assert_eq!(rabbitmq.manage(Method::POST, &path, &get).await.0, 200);
    until(&server, "the queue to flow again", |answer| answer["description"] == "queues ok").await;

    let elsewhere = tempfile::tempdir().unwrap();
    let amqp = AmqpConfig { password: Secret("a wrong one".to_owned()), ..rabbitmq.config() };
    let stranger = Server::start(&with(&elsewhere, amqp, port)).await.unwrap();
    let loopback = json!({"type": "loopback", "config": {}, "mo_url": null});
    stranger.gateway().create_channel(loopback.as_object().unwrap().clone()).await.unwrap();
    let error = health(&stranger).await["result"]["errors"][0].clone();
    assert_eq!(error["type"], "ManagementError");
    assert!(error["message"].as_str().unwrap().contains("answers 401"), "{error}");
    assert!(!error["message"].as_str().unwrap().contains("a wrong one"), "{error}");
    stranger.stop().await;

    passes_on.abort();
    let answer = until(&server, "no verdict", |answer| answer["description"] == "generic error").await;
    assert_eq!(answer["status"], 500);
    let message = answer["result"]["errors"][0]["message"].as_str().unwrap().to_owned();
    assert!(message.contains(&format!("127.0.0.1:{port} cannot be asked")), "{message}");
    server.stop().await;
}
