//! Requests to others: no redirects, limits on time and size, and no way into networks we must not reach.
//!
//! The address is checked after the name has been resolved, and exactly that address is connected to, so a name that
//! changes its mind gains nothing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use base64::Engine;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::{Method, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use ipnet::IpNet;
use tokio::time::{Instant, timeout_at};
use url::{Host, Url};

/// Where requests may go beyond the public Internet.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    /// Networks that are allowed although they are private.
    pub networks: Vec<IpNet>,
}

/// An HTTP client; clones share their connections.
#[derive(Clone)]
pub struct Client {
    pool: Pool<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>,
    allowed: Arc<Allowed>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; empty when it was longer than 64 KiB or did not arrive whole in time.
    pub body: Bytes,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The URL's address is in a network that is not allowed.
    #[error("requests to {0} are not allowed; add its network to callback_allow to permit them")]
    Forbidden(String),
    /// The URL is none that HTTP can use.
    #[error("{0:?} is no http or https URL")]
    BadUrl(String),
    /// No answer in time.
    #[error("no answer within {} s", .0.as_secs())]
    TooSlow(Duration),
    /// No connection could be made, so nothing was sent.
    #[error("no connection: {0}")]
    NotSent(String),
    /// The exchange failed; the request may have arrived.
    #[error("{0}")]
    Failed(String),
}

/// Most octets of an answer that are read.
const MAX_ANSWER: usize = 64 * 1024;
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest wait that an answer's `Retry-After` is granted.
const MOST_ASKED: Duration = Duration::from_secs(3600);

impl Answer {
    /// How long to wait before asking again, if it says so (RFC 9110 §10.2.3); an hour at most.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let patience = matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
        let asked = self.headers.get(RETRY_AFTER).filter(|_| patience)?.to_str().ok()?;
        let asked = match asked.parse() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => httpdate::parse_http_date(asked).ok()?.duration_since(SystemTime::now()).ok()?,
        };
        Some(asked.min(MOST_ASKED))
    }
}

impl Client {
    /// A client that may go to the public Internet and to `allowed`.
    #[must_use]
    pub fn new(allowed: Allowed) -> Self {
        // Whoever came first has installed the same provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let allowed = Arc::new(allowed);
        let mut http = HttpConnector::new_with_resolver(Resolver { allowed: allowed.clone() });
        http.set_connect_timeout(Some(CONNECT));
        http.set_nodelay(true);
        http.enforce_http(false);
        let https = HttpsConnectorBuilder::new()
            .with_native_roots()
            .unwrap_or_else(|error| {
                tracing::warn!(%error, "no root certificates: https callbacks will fail");
                HttpsConnectorBuilder::new().with_tls_config(no_roots())
            })
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let pool = Pool::builder(TokioExecutor::new())
            .pool_max_idle_per_host(8)
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_timer(TokioTimer::new())
            .build(https);
        Self { pool, allowed }
    }

    /// Sends a request. User-info in the URL becomes basic authentication, and replaces any in `headers`.
    ///
    /// # Errors
    /// [`ClientError`]; an answer of any status is none.
    pub async fn request(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Answer, ClientError> {
        let until = Instant::now() + timeout;
        let (head, body) = self.open(method, url, headers, body, timeout).await?.into_parts();
        // A body that is too long, too slow or cut off is not worth more of our time; the status says enough.
        let body = match timeout_at(until, Limited::new(body, MAX_ANSWER).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            _ => Bytes::new(),
        };
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    /// The same, without waiting for the answer's body, of which any amount may come, at any time.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn open(
        &self,
        method: Method,
        url: &Url,
        mut headers: HeaderMap,
        body: Bytes,
        timeout: Duration,
    ) -> Result<hyper::Response<Incoming>, ClientError> {
        let bad = || ClientError::BadUrl(without_userinfo(url).to_string());
        self.check_literal(url)?;
        if let Some(basic) = basic_authorization(url) {
            headers.insert(AUTHORIZATION, basic);
        }
        let mut request = hyper::Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = without_userinfo(url).as_str().parse().map_err(|_| bad())?;
        *request.headers_mut() = headers;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad());
        }
        let until = Instant::now() + timeout;
        let answer = timeout_at(until, self.pool.request(request)).await.map_err(|_| ClientError::TooSlow(timeout))?;
        answer.map_err(|error| failed(error.is_connect(), &error))
    }

    /// Addresses written as such never pass the resolver.
    fn check_literal(&self, url: &Url) -> Result<(), ClientError> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(_)) => return Ok(()),
            None => return Err(ClientError::BadUrl(without_userinfo(url).to_string())),
        };
        if self.allowed.permits(address) { Ok(()) } else { Err(ClientError::Forbidden(address.to_string())) }
    }
}

fn no_roots() -> rustls::ClientConfig {
    rustls::ClientConfig::builder().with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
}

/// The innermost cause says what happened; the outer ones say that something did.
fn failed(connecting: bool, error: &(dyn std::error::Error + 'static)) -> ClientError {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    // An I/O error that was made from another one hides it from `source`.
    let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    if let Some(Forbidden(address)) = inner.and_then(|inner| inner.downcast_ref()) {
        return ClientError::Forbidden(address.clone());
    }
    let why = cause.to_string();
    if connecting { ClientError::NotSent(why) } else { ClientError::Failed(why) }
}

/// A URL without the name and the password in it.
#[must_use]
pub(crate) fn without_userinfo(url: &Url) -> Url {
    let mut plain = url.clone();
    // Fails only for URLs that cannot have any.
    let _ = plain.set_username("");
    let _ = plain.set_password(None);
    plain
}

fn basic_authorization(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pair = format!("{}:{}", decode(url.username()), decode(url.password().unwrap_or_default()));
    let mut value = HeaderValue::try_from(format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl Allowed {
    /// Whether an address may be connected to.
    #[must_use]
    pub fn permits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address)) || is_public(address)
    }
}

/// Addresses of the public Internet; everything with a special meaning (RFC 6890) is not.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => {
            // All of the public Internet is in 2000::/3; what carries an IPv4 address that was not checked (NAT64, Teredo,
            // 6to4), documentation and protocol assignments are not the public Internet.
            let [first, second, ..] = address.segments();
            let special = matches!((first, second), (0x2001, 0..0x200 | 0xdb8) | (0x2002, _) | (0x3fff, 0..0x1000));
            first & 0xe000 == 0x2000 && !special
        }
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(a == 0
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || a >= 224
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19)))
}

/// Resolves names and drops the addresses that may not be used.
#[derive(Clone)]
struct Resolver {
    allowed: Arc<Allowed>,
}

/// A name whose every address is forbidden.
#[derive(Debug, thiserror::Error)]
#[error("requests to {0} are not allowed")]
struct Forbidden(String);

impl tower_service::Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let allowed = self.allowed.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let usable: Vec<_> = found.iter().copied().filter(|address| allowed.permits(address.ip())).collect();
            if usable.is_empty() && !found.is_empty() {
                return Err(std::io::Error::other(Forbidden(name.as_str().to_owned())));
            }
            Ok(usable.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn only_the_public_internet_and_what_is_allowed_can_be_reached() {
        let allowed = Allowed { networks: vec!["10.1.0.0/16".parse().unwrap()] };
        for (address, expected) in [
            ("93.184.216.34", true),
            ("10.1.2.3", true),
            ("10.2.2.3", false),
            ("127.0.0.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("0.0.0.0", false),
            ("224.0.0.1", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("fd00::1", false),
            ("fe80::1", false),
            ("2606:2800:220:1::1", true),
            ("64:ff9b::7f00:1", false),
            ("64:ff9b:1::7f00:1", false),
            ("::7f00:1", false),
            ("fec0::1", false),
            ("2001:0:7f00:1::", false),
            ("2002:7f00:1::", false),
            ("2001:db8::1", false),
            ("2a00:1450:4001::1", true),
        ] {
            assert_eq!(allowed.permits(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[tokio::test]
    async fn a_name_for_a_forbidden_address_is_refused() {
        let client = Client::new(Allowed::default());
        for url in ["http://localhost:1/", "http://127.0.0.1:1/", "http://2130706433/"] {
            let url = Url::parse(url).unwrap();
            let answer = client.request(Method::POST, &url, HeaderMap::new(), Bytes::new(), CONNECT).await;
            assert!(matches!(answer, Err(ClientError::Forbidden(_))), "{url} {answer:?}");
        }
    }

    /// A receiver that reads one request's head and answers with these octets; it closes the connection if it is to.
    async fn receiver(answer: &'static [u8], close: bool) -> (Url, tokio::task::JoinHandle<()>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await.unwrap();
            stream.write_all(answer).await.unwrap();
            if !close {
                std::future::pending::<()>().await;
            }
        });
        (url, task)
    }

    async fn ask(url: &Url, timeout: Duration) -> Result<Answer, ClientError> {
        let client = Client::new(Allowed { networks: vec!["127.0.0.0/8".parse().unwrap()] });
        client.request(Method::POST, url, HeaderMap::new(), Bytes::new(), timeout).await
    }

    #[tokio::test]
    async fn an_answer_whose_body_is_slow_or_cut_off_still_counts() {
        const BEGUN: &[u8] = b"HTTP/1.1 202 Accepted\r\nContent-Length: 9\r\n\r\nbegun";
        for (close, timeout) in [(false, Duration::from_millis(200)), (true, CONNECT)] {
            let (url, _receiver) = receiver(BEGUN, close).await;
            let answer = ask(&url, timeout).await.unwrap();
            assert_eq!((answer.status, answer.body.len()), (StatusCode::ACCEPTED, 0));
        }
    }

    #[tokio::test]
    async fn no_answer_is_an_error_in_time() {
        let (url, _receiver) = receiver(b"", false).await;
        let answer = ask(&url, Duration::from_millis(50)).await;
        assert!(matches!(answer, Err(ClientError::TooSlow(_))), "{answer:?}");
        let (url, _receiver) = receiver(b"", true).await;
        let answer = ask(&url, CONNECT).await;
        assert!(matches!(answer, Err(ClientError::Failed(_))), "{answer:?}");
    }

    #[tokio::test]
    async fn redirects_are_answers() {
        let (url, _receiver) =
            receiver(b"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", false).await;
        assert_eq!(ask(&url, CONNECT).await.unwrap().status, StatusCode::TEMPORARY_REDIRECT);
    }

    #[test]
    fn user_info_becomes_basic_authentication_and_leaves_the_url() {
        let url = Url::parse("http://user:p%40ss@host/path?q=1").unwrap();
        assert_eq!(basic_authorization(&url).unwrap(), "Basic dXNlcjpwQHNz");
        assert_eq!(without_userinfo(&url).as_str(), "http://host/path?q=1");
    }
}
