//! Accepting HTTP: one task per connection, limits on each, an orderly end.
//!
//! At the bounds on connections, of all and of one address, a new one is answered 503 and closed; at the bound on those
//! it is just closed.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::subscriber::subscriber;
use super::watched::{Answering, Watched};
use super::{Response, refusal};

/// What answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one from this peer.
    fn call(
        self: Arc<Self>,
        peer: SocketAddr,
        request: hyper::Request<Incoming>,
    ) -> impl Future<Output = Response> + Send;
}

/// What a listener puts up with.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most connections at a time.
    pub connections: usize,
    /// Most connections of one address at a time; loopback is exempt.
    pub per_address: usize,
    /// How long a request's head may take from its first octet on.
    pub head: Duration,
    /// How long a connection may idle before its next request.
    pub idle: Duration,
    /// How long a peer may take nothing of its answer.
    pub stall: Duration,
    /// How long running requests may take once the server is to end.
    pub drain: Duration,
    /// Whether those whose request is none are told so in an envelope. Not where answers of handlers may be errors without
    /// a body, which look the same.
    pub envelopes: bool,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connections: 4_096,
            per_address: 64,
            head: seconds(10),
            idle: seconds(60),
            stall: seconds(30),
            drain: seconds(10),
            envelopes: true,
        }
    }
}

/// Octets of a request's head that are read; also what a connection may buffer.
const MAX_HEAD: usize = 32 * 1024;
/// Connections that may be told at a time that there are too many.
const REFUSALS: usize = 64;
/// How long telling them may take.
const REFUSAL: Duration = Duration::from_secs(1);

/// Answers connections until `stop`, then lets running requests finish.
pub async fn serve<H: Handler>(listener: TcpListener, handler: Arc<H>, limits: Limits, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let addresses = Arc::new(Addresses { most: limits.per_address, taken: Mutex::default() });
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    // Not `pipeline_flush`: with it the answer to a bad head stays in the buffer and is lost.
    http.timer(TokioTimer::new()).header_read_timeout(limits.idle).max_buf_size(MAX_HEAD);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, usually: others may close some meanwhile.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let place = addresses.enter(peer.ip()).zip(places.clone().try_acquire_owned().ok());
        let Some(place) = place else {
            if let Ok(place) = refusals.clone().try_acquire_owned() {
                tokio::spawn(async move {
                    // Whoever does not even take this is no loss.
                    let _ = tokio::time::timeout(REFUSAL, refuse(stream)).await;
                    drop(place);
                });
            }
            continue;
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let handler = handler.clone();
        let answering = Answering::default();
        let stream = Watched::new(stream, answering.clone(), limits);
        let service = service_fn(move |request| {
            let answer = answering.clone().run(handler.clone().call(peer, request));
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let connection = graceful.watch(http.serve_connection(stream, service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended badly");
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests were still running at the end");
    }
}

/// Counts connections by address; asked once a connection.
struct Addresses {
    most: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection's place among those of its address.
struct Entered {
    addresses: Arc<Addresses>,
    /// `None` for one that is not counted.
    address: Option<IpAddr>,
}

impl Addresses {
    /// `None` when there is no place for one more.
    fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Entered> {
        let address = counted(address);
        if let Some(address) = address {
            let mut taken = self.taken();
            let count = taken.entry(address).or_default();
            if *count >= self.most {
                return None;
            }
            *count += 1;
        }
        Some(Entered { addresses: self.clone(), address })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut taken = self.addresses.taken();
        match taken.get_mut(&address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(&address)),
        }
    }
}

/// What a peer's connections are counted under.
fn counted(address: IpAddr) -> Option<IpAddr> {
    Some(address.to_canonical()).filter(|address| !address.is_loopback()).map(subscriber)
}

async fn refuse(mut stream: TcpStream) -> io::Result<()> {
    let why = "too many connections";
    let answer = refusal::answer(StatusCode::SERVICE_UNAVAILABLE, why, "Busy", "try again in a moment", Some(1));
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    // A socket closed with the request still unread would take the answer with it.
    let mut request = [0; 1024];
    while stream.read(&mut request).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::{Value, json};
    use tokio::sync::Notify;
    use tokio::task::JoinHandle;

    use super::*;

    /// Answers `/large` with 32 MiB, `/slow` once it is let, anything else with its path.
    #[derive(Default)]
    struct Echo {
        asked: Notify,
        let_go: Notify,
    }

    impl Handler for Echo {
        async fn call(self: Arc<Self>, _: SocketAddr, request: hyper::Request<Incoming>) -> Response {
            let path = request.uri().path().to_owned();
            if path == "/slow" {
                self.asked.notify_one();
                self.let_go.notified().await;
            }
            let body = if path == "/large" { vec![b'x'; 32 << 20] } else { path.into_bytes() };
            Response::new(Bytes::from(body).into())
        }
    }

    struct Running {
        address: SocketAddr,
        echo: Arc<Echo>,
        stop: CancellationToken,
        task: JoinHandle<()>,
    }

    async fn start(limits: Limits) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, echo, stop) =
            (listener.local_addr().unwrap(), Arc::new(Echo::default()), CancellationToken::new());
        let task = tokio::spawn(serve(listener, echo.clone(), limits, stop.clone()));
        Running { address, echo, stop, task }
    }

    async fn connect(address: SocketAddr, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// Everything until the server closes; a deadline turns a hang into a failure.
    async fn rest(stream: &mut TcpStream) -> String {
        let mut text = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut text)).await;
        read.expect("the server closes").unwrap();
        String::from_utf8(text).unwrap()
    }

    async fn until(stream: &mut TcpStream, end: &str) -> String {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) {
            text.push(stream.read_u8().await.unwrap());
        }
        String::from_utf8(text).unwrap()
    }

    /// An answer's head, and its body as far as its length says.
    async fn envelope(stream: &mut TcpStream) -> (String, Value) {
        let head = until(stream, "\r\n\r\n").await;
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut body).await.unwrap();
        (head, serde_json::from_slice(&body).unwrap())
    }

    fn get(path: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")
    }

    #[tokio::test]
    async fn pipelined_requests_are_answered_in_order() {
        let server = start(Limits::default()).await;
        let mut stream = connect(server.address, &(get("/a") + &get("/b") + &get("/c"))).await;
        let text = until(&mut stream, "/c").await;
        assert!(text.find("\r\n\r\n/a").unwrap() < text.find("\r\n\r\n/b").unwrap(), "{text}");
    }

    #[tokio::test]
    async fn a_head_that_does_not_arrive_ends_its_connection_and_no_idle_one() {
        let server = start(Limits { head: Duration::from_millis(50), ..Limits::default() }).await;
        let mut idle = connect(server.address, &get("/first")).await;
        until(&mut idle, "/first").await;
        let mut slow = connect(server.address, "GET /never HT").await;
        assert_eq!(rest(&mut slow).await, "");
        // The same on a connection that has been of use before.
        idle.write_all(get("/second").as_bytes()).await.unwrap();
        until(&mut idle, "/second").await;
        idle.write_all(b"GET /third HTTP/1.1\r\nHo").await.unwrap();
        assert_eq!(rest(&mut idle).await, "");
    }

    #[tokio::test]
    async fn an_answer_that_takes_long_is_no_slow_head() {
        let server = start(Limits { head: Duration::from_millis(50), ..Limits::default() }).await;
        let mut slow = connect(server.address, &get("/slow")).await;
        // Once this one has been closed for its head, the time of the other would have been over too.
        rest(&mut connect(server.address, "GET").await).await;
        server.echo.let_go.notify_one();
        until(&mut slow, "/slow").await;
    }

    #[tokio::test]
    async fn an_idle_connection_ends_after_its_time() {
        let server = start(Limits { idle: Duration::from_millis(50), ..Limits::default() }).await;
        let mut stream = connect(server.address, &get("/a")).await;
        assert!(rest(&mut stream).await.ends_with("/a"));
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_of_its_answer_frees_its_place() {
        let limits = Limits { connections: 1, stall: Duration::from_millis(100), ..Limits::default() };
        let server = start(limits).await;
        let _greedy = connect(server.address, &get("/large")).await;
        let served = async {
            let close = "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
            while !rest(&mut connect(server.address, close).await).await.ends_with("/a") {}
        };
        tokio::time::timeout(Duration::from_secs(20), served).await.expect("the place becomes free");
    }

    #[tokio::test]
    async fn one_connection_too_many_is_told_so() {
        let server = start(Limits { connections: 1, ..Limits::default() }).await;
        let mut first = connect(server.address, &get("/a")).await;
        until(&mut first, "/a").await;
        let mut second = connect(server.address, &get("/b")).await;
        let answer = rest(&mut second).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("Retry-After: 1"), "{head}");
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{answer}");
        assert_eq!(serde_json::from_str::<Value>(body).unwrap()["status"], 503);
        first.write_all(get("/c").as_bytes()).await.unwrap();
        until(&mut first, "/c").await;
    }

    #[test]
    fn connections_are_counted_by_address_and_loopback_is_not() {
        let addresses = Arc::new(Addresses { most: 2, taken: Mutex::default() });
        let enter = |address: &str| addresses.enter(address.parse().unwrap());
        let first = enter("203.0.113.1").unwrap();
        let second = enter("::ffff:203.0.113.1").unwrap();
        assert!(enter("203.0.113.1").is_none());
        let other = enter("203.0.113.2").unwrap();
        drop(second);
        let again = enter("203.0.113.1").unwrap();
        let network = [enter("2001:db8::1").unwrap(), enter("2001:db8::ffff:1").unwrap()];
        assert!(enter("2001:db8::2").is_none());
        assert!(enter("2001:db8:0:1::2").is_some());
        let loopback: Vec<_> = (0..9).map(|_| enter("127.0.0.1").unwrap()).collect();
        drop((first, other, again, network, loopback));
        assert!(addresses.taken().is_empty());
    }

    #[tokio::test]
    async fn a_head_that_is_too_long_or_none_is_refused() {
        let server = start(Limits::default()).await;
        let begun = "GET / HTTP/1.1\r\nHost: h\r\nX: ";
        let long = format!("{begun}{}", "x".repeat(MAX_HEAD - begun.len()));
        let many = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: x\r\n".repeat(100));
        for (request, status, reason) in [
            (&*long, 431, "Request Header Fields Too Large"),
            (&many, 431, "Request Header Fields Too Large"),
            ("NONSENSE\r\n\r\n", 400, "Bad Request"),
        ] {
            let mut stream = connect(server.address, request).await;
            let (head, body) = envelope(&mut stream).await;
            assert!(head.starts_with(&format!("HTTP/1.1 {status} {reason}\r\n")), "{head}");
            assert_eq!((&body["status"], &body["result"]["errors"][0]["type"]), (&json!(status), &json!(reason)));
        }
        // After a good one on the same connection.
        let mut stream = connect(server.address, &(get("/a") + "NONSENSE\r\n\r\n")).await;
        until(&mut stream, "/a").await;
        assert_eq!(envelope(&mut stream).await.1["status"], 400);
    }

    #[tokio::test]
    async fn at_the_end_running_requests_finish_and_idle_connections_close() {
        let server = start(Limits::default()).await;
        let mut idle = connect(server.address, &get("/a")).await;
        until(&mut idle, "/a").await;
        let mut running = connect(server.address, &get("/slow")).await;
        server.echo.asked.notified().await;
        server.stop.cancel();
        assert_eq!(rest(&mut idle).await, "");
        assert!(TcpStream::connect(server.address).await.is_err());
        server.echo.let_go.notify_one();
        assert!(rest(&mut running).await.ends_with("/slow"));
        server.task.await.unwrap();
    }

    #[tokio::test]
    async fn the_end_waits_for_no_request_for_ever() {
        let server = start(Limits { drain: Duration::from_millis(50), ..Limits::default() }).await;
        let mut running = connect(server.address, &get("/slow")).await;
        server.echo.asked.notified().await;
        server.stop.cancel();
        server.task.await.unwrap();
        server.echo.let_go.notify_one();
        let _ = rest(&mut running).await;
    }
}
