//! The HTTP APIs: each translates its wire format to the gateway's vocabulary and back, nothing else.
//!
//! All share one port and one table of routes; what is not about a route is answered in Junebug's envelope.

pub(crate) mod accounts;
mod callbacks;
pub mod error;
pub mod guard;
mod health;
mod import;
mod junebug;
mod openapi;
pub mod peers;
mod query;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use hyper::body::Incoming;
use hyper::header::CONTENT_ENCODING;
use tokio::time::timeout;

use self::error::ApiError;
use self::guard::{Caller, Guard};
use self::peers::{Claim, Peers, Turn};
use crate::gateway::Gateway;
use crate::nodes::Whereabouts;
use crate::store::Duty;
use crate::web::body::Asked;
use crate::web::management::Management;
use crate::web::route::{Answer, Found, Request, Route, Routes, Scope};
use crate::web::server::Handler;
use crate::web::{Response, body, json};

/// What the APIs put up with and show.
#[derive(Clone, Copy, Debug)]
pub struct ApiLimits {
    /// Longest request body in octets.
    pub body: usize,
    /// How long a request body may take to arrive.
    pub body_time: Duration,
    /// How long a request may take to be answered.
    pub time: Duration,
    /// Most requests that are answered at a time.
    pub requests: usize,
    /// Most log entries in one answer.
    pub max_logs: usize,
}

/// Most octets of a request's path and query.
const MAX_URL: usize = 8 * 1024;
/// How deep the JSON of a body may be nested.
const MAX_DEPTH: usize = 64;
/// A glance waits this part of a request's time for its password, and then is a stranger's.
const GLANCE: u32 = 12;

/// The APIs on one gateway, as one caller uses them.
#[derive(Clone)]
pub struct Api {
    gateway: Gateway,
    guard: Arc<Guard>,
    limits: ApiLimits,
    management: Option<Management>,
    caller: Caller,
    /// Whether a node asks for whoever has asked it, or somebody says so: then nobody else is asked.
    asked_by_node: bool,
    /// The other nodes, where there may be some.
    peers: Option<Arc<Peers>>,
    table: Arc<Table>,
}

/// The routes, and how many of them are in use.
struct Table {
    routes: Routes<Api>,
    running: AtomicUsize,
}

/// Every route.
#[must_use]
pub fn routes() -> Vec<Route<Api>> {
    let facades = [
        junebug::routes(),
        callbacks::routes(),
        accounts::routes(),
        health::routes(),
        import::routes(),
        openapi::routes(),
        peers::routes(),
    ];
    facades.into_iter().flatten().collect()
}

impl Api {
    /// The APIs of a gateway, the interface that health asks for queues, and where things are done if this is one of several
    /// nodes.
    #[must_use]
    pub fn new(
        gateway: Gateway,
        guard: Guard,
        limits: ApiLimits,
        management: Option<Management>,
        whereabouts: Option<Whereabouts>,
    ) -> Self {
        let table = Table { routes: Routes::new(routes()), running: AtomicUsize::new(0) };
        Self {
            gateway,
            guard: Arc::new(guard),
            limits,
            management,
            caller: Caller::Stranger,
            asked_by_node: false,
            peers: whereabouts.map(Peers::new),
            table: Arc::new(table),
        }
    }

    /// A request's body.
    async fn body(&self, request: Request) -> Result<Bytes, ApiError> {
        self.read(request).await.map(|(body, _)| body)
    }

    /// A request's body, and the request as it was.
    async fn read(&self, request: Request) -> Result<(Bytes, Request), ApiError> {
        if let Some(encoding) = request.inner.headers().get(CONTENT_ENCODING).filter(|encoding| *encoding != "identity")
        {
            return Err(ApiError::Encoded(String::from_utf8_lossy(encoding.as_bytes()).into_owned()));
        }
        let Request { inner, params } = request;
        let (head, body) = inner.into_parts();
        let body = body::read_asked(body, self.limits.body, self.limits.body_time).await?;
        if json::is_deeper(&body, MAX_DEPTH) {
            return Err(ApiError::NotJson(format!("nested more than {MAX_DEPTH} deep")));
        }
        let inner = hyper::Request::from_parts(head, Asked::Whole(body.clone()));
        Ok((body, Request { inner, params }))
    }

    /// Answers a request, unless it must not be. `place` is its own until it has ended, whoever still waits for it.
    async fn answer(
        &self,
        place: Place,
        peer: SocketAddr,
        request: hyper::Request<Incoming>,
    ) -> Result<Response, ApiError> {
        if request.uri().path_and_query().is_some_and(|path| path.as_str().len() > MAX_URL) {
            return Err(ApiError::LongUrl { limit: MAX_URL });
        }
        let claim = self.peers.as_ref().map_or(Claim::None, |peers| peers.claim(request.headers()));
        if let (Claim::True(_), Some(peers)) = (&claim, &self.peers)
            && let Found::Row(row, params) = peers.between.find(request.method(), request.uri().path())
        {
            return Ok((row.handler)(self.clone(), Request { inner: request.map(Asked::Arriving), params }).await);
        }
        let (row, params) = match self.table.routes.find(request.method(), request.uri().path()) {
            Found::Row(row, params) => (row, params),
            Found::WrongMethod(allowed) => return Err(ApiError::WrongMethod { allowed }),
            Found::NoPath => return Err(ApiError::NoPath),
        };
        let asked_by_node = !matches!(claim, Claim::None);
        let by_peer = matches!(claim, Claim::True(_));
        let caller = match claim {
            // It has been let in where it was asked.
            Claim::True(caller) => caller,
            Claim::None | Claim::False => {
                let asked = (request.uri(), request.headers());
                self.guard.admit(row, &params, asked, peer.ip(), self.limits.time / GLANCE).await?
            }
        };
        let changes = row.scope == Scope::Admin && row.method != Method::GET;
        let audited = changes.then(|| (caller.name().to_owned(), request.uri().path().to_owned()));
        let api = Self { caller, asked_by_node, ..self.clone() };
        let duty = api.peers.as_ref().and_then(|_| api.duty(row, &params));
        let answer = api.run(row.handler, duty, by_peer, Request { inner: request.map(Asked::Arriving), params });
        let Some((who, path)) = audited else { return Ok(answer.await) };
        let method = row.method.clone();
        // A change goes on when whoever asked has gone or waits no more, and so does the line about it.
        let change = tokio::spawn(async move {
            let _place = place;
            let answer = answer.await;
            // Where it was asked, which is where it is known from where.
            if answer.status().is_success() && !by_peer {
                tracing::info!(who, from = %peer.ip(), %method, path, "audit: a change was made");
            }
            answer
        });
        change.await.map_err(|_| ApiError::BrokenOff)
    }

    /// Answers a request, here or where its duty is done.
    async fn run(
        self,
        handler: fn(Self, Request) -> Answer,
        duty: Option<Duty>,
        for_peer: bool,
        request: Request,
    ) -> Response {
        let request = match (&self.peers, &duty) {
            (Some(peers), Some(duty)) => match self.turn(peers, duty, request).await {
                Ok(Turn::Ours(request)) => request,
                Ok(Turn::Theirs(answer)) => return answer,
                Err(error) => return error.into(),
            },
            _ => request,
        };
        let leads = (duty == Some(Duty::Lead)).then(|| self.clone());
        let gateway = for_peer.then(|| self.gateway.clone());
        let mut answer = handler(self, request).await;
        if let Some(api) = leads.filter(|_| answer.status().is_success()) {
            api.others_learn().await;
        }
        if let Some(gateway) = gateway {
            peers::tell_revision(&mut answer, gateway.revision());
        }
        answer
    }
}

impl Handler for Api {
    async fn call(self: Arc<Self>, peer: SocketAddr, request: hyper::Request<Incoming>) -> Response {
        let Some(place) = Place::of(&self.table, self.limits.requests) else { return ApiError::Overloaded.into() };
        let answer = timeout(self.limits.time, self.answer(place, peer, request)).await;
        answer.unwrap_or(Err(ApiError::TooLong(self.limits.time))).unwrap_or_else(Response::from)
    }
}

/// The place of a request that is being answered.
struct Place(Arc<Table>);

impl Place {
    /// `None` when `most` are taken.
    fn of(table: &Arc<Table>, most: usize) -> Option<Self> {
        let before = table.running.fetch_add(1, Ordering::Relaxed);
        Some(Self(table.clone())).filter(|_| before < most)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::route::On;

    #[test]
    fn what_any_node_changes_is_what_it_may_change() {
        // What is sent is left for the node that has the channel; the others find out themselves whose it is.
        let free = [
            "/channels/{channel}/messages",
            "/routers/{router}/destinations/{destination}/messages",
            "/callbacks/retry",
            "/import",
        ];
        for row in routes() {
            let on_any = row.method != Method::GET && row.on == On::Any;
            let expected = row.method == Method::POST && free.contains(&row.pattern);
            assert_eq!(on_any, expected, "{} {}", row.method, row.pattern);
            assert!(row.on != On::Channel || row.pattern.starts_with("/channels/{channel}"), "{}", row.pattern);
        }
    }
}
