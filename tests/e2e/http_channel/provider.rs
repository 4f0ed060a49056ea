//! A provider: it records what it is asked and answers what it has been told to; and it asks.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{HeaderMap, Method, StatusCode};
use maybug::web::Response;
use maybug::web::client::{Allowed, Client};
use maybug::web::server::{Handler, Limits, serve};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::support::DEADLINE;

/// A request of the provider's.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    #[serde(default = "get")]
    pub(crate) method: String,
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) body: String,
}

fn get() -> String {
    "GET".to_owned()
}

impl Asked {
    /// With the names of messages in it.
    pub(crate) fn named(&self, named: impl Fn(&str) -> String) -> Self {
        Self { path: named(&self.path), body: named(&self.body), ..self.clone() }
    }
}

/// A request that came, or a response.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// See the file's head.
pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    heard: mpsc::UnboundedReceiver<Heard>,
    answers: Arc<Mutex<VecDeque<Response>>>,
    busy: Arc<Busy>,
    client: Client,
    calls: String,
    stop: CancellationToken,
}

struct Recorder {
    heard: mpsc::UnboundedSender<Heard>,
    answers: Arc<Mutex<VecDeque<Response>>>,
    busy: Arc<Busy>,
}

/// How it answers: at once, or when it is told.
struct Busy {
    holds: watch::Sender<bool>,
    /// Requests that are answered while it holds, the first that came first.
    answered: Semaphore,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Handler for Recorder {
    async fn call(self: Arc<Self>, _: SocketAddr, request: hyper::Request<Incoming>) -> Response {
        let (head, body) = request.into_parts();
        let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        let heard = Heard { method: head.method, path: head.uri.to_string(), status: 0, headers: head.headers, body };
        let now = self.busy.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.busy.most.fetch_max(now, Ordering::Relaxed);
        self.heard.send(heard).unwrap();
        let mut holds = self.busy.holds.subscribe();
        tokio::select! {
            free = holds.wait_for(|holds| !holds) => drop(free.unwrap()),
            one = self.busy.answered.acquire() => one.unwrap().forget(),
        }
        self.busy.now.fetch_sub(1, Ordering::Relaxed);
        let answer = self.answers.lock().unwrap().pop_front();
        answer.unwrap_or_default()
    }
}

impl Provider {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, heard) = mpsc::unbounded_channel();
        let answers = Arc::new(Mutex::new(VecDeque::new()));
        let stop = CancellationToken::new();
        let busy = Arc::new(Busy {
            holds: watch::Sender::new(false),
            answered: Semaphore::new(0),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        });
        let recorder = Arc::new(Recorder { heard: sender, answers: answers.clone(), busy: busy.clone() });
        tokio::spawn(serve(listener, recorder, Limits::default(), stop.clone()));
        let client = Client::new(Allowed { networks: vec!["127.0.0.0/8".parse().unwrap()] });
        Self { address, heard, answers, busy, client, calls: String::new(), stop }
    }

    /// From now on it answers only when it no longer holds.
    pub(crate) fn holds(&self, holds: bool) {
        self.busy.holds.send_replace(holds);
    }

    /// It answers the first request that it holds.
    pub(crate) fn answers_one(&self) {
        self.busy.answered.add_permits(1);
    }

    /// Most requests that it had at a time.
    pub(crate) fn most(&self) -> usize {
        self.busy.most.load(Ordering::Relaxed)
    }

    /// Whom it asks.
    pub(crate) fn calls(&mut self, address: &str) {
        address.clone_into(&mut self.calls);
    }

    /// What it says to the next request that has no answer yet.
    pub(crate) fn will_say(&self, status: u16, headers: &BTreeMap<String, String>, body: &str) {
        let mut response = Response::new(Bytes::copy_from_slice(body.as_bytes()).into());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        for (name, value) in headers {
            response.headers_mut().insert(name.parse::<hyper::header::HeaderName>().unwrap(), value.parse().unwrap());
        }
        self.answers.lock().unwrap().push_back(response);
    }

    /// Asks; the response comes when it does.
    pub(crate) fn ask(&self, asked: Asked) -> JoinHandle<Heard> {
        let client = self.client.clone();
        let url = format!("http://{}{}", self.calls, asked.path);
        tokio::spawn(async move {
            let mut headers = HeaderMap::new();
            for (name, value) in &asked.headers {
                headers.insert(name.parse::<hyper::header::HeaderName>().unwrap(), value.parse().unwrap());
            }
            let (method, url) = (asked.method.parse::<Method>().unwrap(), Url::parse(&url).unwrap());
            let answer = client.request(method.clone(), &url, headers, asked.body.into(), DEADLINE).await.unwrap();
            let body = String::from_utf8(answer.body.to_vec()).unwrap();
            Heard { method, path: asked.path, status: answer.status.as_u16(), headers: answer.headers, body }
        })
    }

    /// The next request that came.
    pub(crate) async fn asked(&mut self) -> Heard {
        self.heard.recv().await.unwrap()
    }

    /// How many requests came that [`Provider::asked`] has not returned.
    pub(crate) fn unheard(&self) -> usize {
        self.heard.len()
    }

    /// How many answers nobody has asked for.
    pub(crate) fn unsaid(&self) -> usize {
        self.answers.lock().unwrap().len()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
