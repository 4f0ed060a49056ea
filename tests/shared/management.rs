//! RabbitMQ's management interface, as far as health asks it: how many messages wait in a queue, and how many per second
//! are acknowledged. Queues that it has not been told of are not there.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use hyper::StatusCode;
use hyper::body::Incoming;
use maybug::config::{AmqpConfig, Config};
use maybug::web::Response;
use maybug::web::server::{Handler, Limits, serve};
use percent_encoding::percent_decode_str;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) struct Management {
    address: SocketAddr,
    queues: Mutex<HashMap<String, (u64, f64)>>,
    /// The names that it was asked for.
    asked: watch::Sender<Vec<String>>,
    /// Whether it answers.
    answers: watch::Sender<bool>,
}

impl Management {
    pub(crate) async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let management = Arc::new(Self {
            address: listener.local_addr().unwrap(),
            queues: Mutex::default(),
            asked: watch::Sender::default(),
            answers: watch::Sender::new(true),
        });
        tokio::spawn(serve(listener, management.clone(), Limits::default(), CancellationToken::new()));
        management
    }

    /// Lets a server ask it, and no RabbitMQ.
    pub(crate) fn configure(&self, config: &mut Config) {
        config.amqp = Some(AmqpConfig { port: 1, ..AmqpConfig::default() });
        config.rabbitmq_management_interface = Some(self.address.to_string());
    }

    /// Messages and rates of a channel's three queues: inbound, outbound, event.
    pub(crate) fn has(&self, channel: &str, states: [(u64, f64); 3]) {
        let named = ["inbound", "outbound", "event"].into_iter().zip(states);
        self.queues.lock().unwrap().extend(named.map(|(kind, state)| (format!("{channel}.{kind}"), state)));
    }

    /// The names that it was asked for.
    pub(crate) fn asked(&self) -> watch::Receiver<Vec<String>> {
        self.asked.subscribe()
    }

    /// Whether it answers from now on, those included that wait.
    pub(crate) fn answer(&self, whether: bool) {
        self.answers.send_replace(whether);
    }
}

impl Handler for Management {
    async fn call(self: Arc<Self>, _: SocketAddr, request: hyper::Request<Incoming>) -> Response {
        // guest:guest, and the virtual host `/`.
        assert_eq!(request.headers()["authorization"], "Basic Z3Vlc3Q6Z3Vlc3Q=");
        let name = request.uri().path().strip_prefix("/api/queues/%2F/").unwrap();
        let name = percent_decode_str(name).decode_utf8().unwrap().into_owned();
        self.asked.send_modify(|asked| asked.push(name.clone()));
        self.answers.subscribe().wait_for(|answers| *answers).await.unwrap();
        let found = self.queues.lock().unwrap().get(&name).copied();
        let body = match found {
            Some((messages, rate)) => {
                json!({"name": name, "messages": messages, "message_stats": {"ack_details": {"rate": rate}}})
            }
            None => json!({"error": "Object Not Found", "reason": "Not Found"}),
        };
        let mut response = Response::new(Bytes::from(body.to_string()).into());
        if found.is_none() {
            *response.status_mut() = StatusCode::NOT_FOUND;
        }
        response
    }
}
