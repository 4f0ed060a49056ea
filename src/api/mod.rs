//! The HTTP APIs: each translates its wire format to the gateway's vocabulary and back, nothing else.
//!
//! All share one port and one table of routes; what is not about a route is answered in Junebug's envelope.

mod callbacks;
pub mod error;
mod health;
mod import;
mod junebug;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;

use self::error::ApiError;
use crate::gateway::Gateway;
use crate::web::Response;
use crate::web::body;
use crate::web::management::Management;
use crate::web::route::{Found, Request, Routes};
use crate::web::server::Handler;

/// What the APIs put up with and show.
#[derive(Clone, Copy, Debug)]
pub struct ApiLimits {
    /// Longest request body in octets.
    pub body: usize,
    /// How long a request body may take to arrive.
    pub body_time: Duration,
    /// Most log entries in one answer.
    pub max_logs: usize,
}

/// The APIs on one gateway.
#[derive(Clone)]
pub struct Api {
    gateway: Gateway,
    limits: ApiLimits,
    management: Option<Management>,
    routes: Arc<Routes<Self>>,
}

impl Api {
    /// The APIs of a gateway, and the interface that health asks for queues.
    #[must_use]
    pub fn new(gateway: Gateway, limits: ApiLimits, management: Option<Management>) -> Self {
        let rows = [junebug::routes(), callbacks::routes(), health::routes(), import::routes()];
        let rows = rows.into_iter().flatten().collect();
        Self { gateway, limits, management, routes: Arc::new(Routes::new(rows)) }
    }

    /// A request's body.
    async fn body(&self, request: Request) -> Result<Bytes, ApiError> {
        Ok(body::read(request.inner.into_body(), self.limits.body, self.limits.body_time).await?)
    }
}

impl Handler for Api {
    async fn call(self: Arc<Self>, request: hyper::Request<Incoming>) -> Response {
        match self.routes.find(request.method(), request.uri().path()) {
            Found::Handler(handler, params) => handler(Self::clone(&self), Request { inner: request, params }).await,
            Found::WrongMethod(allowed) => ApiError::WrongMethod { allowed }.into(),
            Found::NoPath => ApiError::NoPath.into(),
        }
    }
}
