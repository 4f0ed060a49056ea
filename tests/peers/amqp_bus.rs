//! The bus alone with a real RabbitMQ: what consuming a queue ends with, whatever is in hand then.

use hyper::Method;
use maybug::bus::{Bus, Incoming};
use maybug::config::AmqpConfig;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::rabbitmq::RabbitMq;
use crate::server::soon;

/// As many as are read at a time.
const BATCH: usize = 128;

/// Consumes a queue that has `count` messages; when this returns, all are in hand.
async fn consumed(rabbitmq: &RabbitMq, bus: &Bus, queue: &str, count: usize) -> Incoming {
    bus.watch().up().await;
    let incoming = bus.consume(queue, 256).await.unwrap();
    let bodies = vec![&b"x"[..]; count];
    bus.publisher().publish(queue, &bodies).await;
    let path = format!("/api/queues/%2F/{queue}");
    soon("messages in hand", async {
        while rabbitmq.manage(Method::GET, &path, &Value::Null).await.1["messages_unacknowledged"] != count {
            tokio::task::yield_now().await;
        }
    })
    .await;
    incoming
}

/// Reads to the end: how many there were.
async fn rest(incoming: &mut Incoming) -> usize {
    let mut count = 0;
    soon("the end of what is in hand", async {
        loop {
            match incoming.next(BATCH).await {
                Ok(messages) if !messages.is_empty() => count += messages.len(),
                _ => return,
            }
        }
    })
    .await;
    count
}

#[tokio::test]
async fn consuming_ends_after_what_is_in_hand() {
    let rabbitmq = RabbitMq::shared().await;
    let bus = Bus::start(&rabbitmq.config());
    // The broker is slow to say what is in hand: all at a time.
    let ends = [1, BATCH - 1, BATCH, BATCH + 1].map(async |count| {
        let (cancelled, deleted) = (format!("cancelled-{count}"), format!("deleted-{count}"));
        let (mut ours, mut brokers) =
            tokio::join!(consumed(&rabbitmq, &bus, &cancelled, count), consumed(&rabbitmq, &bus, &deleted, count));
        ours.cancel().await.unwrap();
        assert_eq!(rest(&mut ours).await, count);
        // The broker itself ends it when the queue goes.
        let path = format!("/api/queues/%2F/{deleted}");
        assert_eq!(rabbitmq.manage(Method::DELETE, &path, &json!({})).await.0, 204);
        assert_eq!(rest(&mut brokers).await, count);
    });
    futures_util::future::join_all(ends).await;
    bus.stop().await;
}

#[tokio::test]
async fn a_broker_that_says_nothing_is_left_with_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let bus = Bus::start(&AmqpConfig { port, ..AmqpConfig::default() });
    let mut heard = Vec::new();
    soon("the end of the connection", async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_to_end(&mut heard).await.unwrap();
    })
    .await;
    assert_eq!(heard, b"AMQP\0\0\x09\x01");
    bus.stop().await;
}
