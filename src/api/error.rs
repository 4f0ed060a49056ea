//! The one place where errors become a status and a body (Junebug reference §1.2).

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use super::guard::Forbidden;
use super::junebug::wire::envelope;
use super::peers::Undone;
use crate::access::{AccountError, Denied};
use crate::gateway::GatewayError;
use crate::gateway::routing::RoutingError;
use crate::store::CommitError;
use crate::web::Response;
use crate::web::body::BodyError;

/// Why a request was not answered as asked.
#[derive(Debug)]
pub enum ApiError {
    /// No such path.
    NoPath,
    /// The path exists, but not with this method.
    WrongMethod {
        /// Those it has.
        allowed: String,
    },
    /// The request's URL is too long.
    LongUrl {
        /// The most octets of its path and query.
        limit: usize,
    },
    /// Nobody knows who asks.
    Denied(Denied),
    /// Whoever asks may not do this.
    Forbidden(Forbidden),
    /// Too many requests are being answered.
    Overloaded,
    /// The answer took too long.
    TooLong(Duration),
    /// We stop, or have a bug.
    BrokenOff,
    /// The body is compressed, or otherwise not what it is.
    Encoded(String),
    /// The body is no JSON.
    NotJson(String),
    /// The body does not have the form that it must have: one item per violation.
    Invalid(Vec<Violation>),
    /// A query parameter is wrong.
    BadQuery(String),
    /// The body was not read.
    Body(BodyError),
    /// RabbitMQ's management interface does not say how its queues are, for this reason.
    Management(String),
    /// The same, for whoever may not know where it is and what is asked.
    Unseen,
    /// The gateway did not do it.
    Gateway(GatewayError),
    /// An account was not changed.
    Account(AccountError),
    /// The node that should have done it has not.
    Undone(Undone),
    /// Some nodes have done it, and these have not answered.
    Partly {
        /// What has been done so far.
        done: String,
        /// The nodes.
        silent: Vec<String>,
    },
}

/// One violation of a body's schema.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// What is wrong, as Junebug's validator says it.
    pub message: String,
    /// Which rule says so.
    pub schema_path: Vec<String>,
}

impl From<GatewayError> for ApiError {
    fn from(error: GatewayError) -> Self {
        Self::Gateway(error)
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl From<Denied> for ApiError {
    fn from(error: Denied) -> Self {
        Self::Denied(error)
    }
}

impl From<Forbidden> for ApiError {
    fn from(error: Forbidden) -> Self {
        Self::Forbidden(error)
    }
}

impl From<AccountError> for ApiError {
    fn from(error: AccountError) -> Self {
        Self::Account(error)
    }
}

impl From<Undone> for ApiError {
    fn from(error: Undone) -> Self {
        Self::Undone(error)
    }
}

const NO_PATH: &str = "The requested URL was not found on the server. If you entered the URL manually please check \
                       your spelling and try again.";
const UNSEEN: &str = "RabbitMQ's queues cannot be seen; credentials with the scope 'read' are told why";
const WRONG_METHOD: &str = "The method is not allowed for the requested URL.";

impl From<ApiError> for Response {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::NoPath => http_level(StatusCode::NOT_FOUND, NO_PATH),
            ApiError::WrongMethod { allowed } => {
                let mut response = http_level(StatusCode::METHOD_NOT_ALLOWED, WRONG_METHOD);
                if let Ok(allowed) = HeaderValue::try_from(allowed) {
                    response.headers_mut().insert(ALLOW, allowed);
                }
                response
            }
            ApiError::LongUrl { limit } => {
                http_level(StatusCode::URI_TOO_LONG, &format!("the path and query are longer than {limit} octets"))
            }
            ApiError::Denied(error) => denied(&error),
            ApiError::Forbidden(error) => forbidden(&error.to_string()),
            ApiError::Overloaded => later(
                one(StatusCode::SERVICE_UNAVAILABLE, "too many requests at a time", "Busy", "try again in a moment"),
                1,
            ),
            ApiError::TooLong(time) => {
                let message = format!("the request was not answered within {} s", time.as_secs());
                later(one(StatusCode::SERVICE_UNAVAILABLE, "too slow", "Timeout", &message), 5)
            }
            ApiError::BrokenOff => {
                let message = "the request was broken off; look whether what it asked for has been done";
                one(StatusCode::INTERNAL_SERVER_ERROR, "generic error", "BrokenOff", message)
            }
            ApiError::Encoded(encoding) => {
                let message = format!("request bodies must not be encoded, and this one is '{encoding}'");
                http_level(StatusCode::UNSUPPORTED_MEDIA_TYPE, &message)
            }
            ApiError::NotJson(message) => {
                one(StatusCode::BAD_REQUEST, "json decode error", "JsonDecodeError", &message)
            }
            ApiError::Invalid(violations) => invalid(violations),
            ApiError::BadQuery(message) => one(StatusCode::BAD_REQUEST, "api usage error", "ApiUsageError", &message),
            ApiError::Body(error) => match error {
                BodyError::TooLarge { .. } => http_level(StatusCode::PAYLOAD_TOO_LARGE, &error.to_string()),
                BodyError::TooSlow(_) => http_level(StatusCode::REQUEST_TIMEOUT, &error.to_string()),
                BodyError::Broken => http_level(StatusCode::BAD_REQUEST, &error.to_string()),
            },
            ApiError::Management(message) => {
                one(StatusCode::INTERNAL_SERVER_ERROR, "generic error", "ManagementError", &message)
            }
            ApiError::Unseen => ApiError::Management(UNSEEN.to_owned()).into(),
            ApiError::Gateway(error) => gateway(&error),
            ApiError::Account(error) => account(&error),
            ApiError::Undone(error) => undone(&error),
            ApiError::Partly { done, silent } => {
                let message = format!("{done}; ask again for the rest: no answer from {}", silent.join(", "));
                later(one(StatusCode::SERVICE_UNAVAILABLE, "node unreachable", "NodeUnreachable", &message), 5)
            }
        }
    }
}

fn denied(error: &Denied) -> Response {
    let message = error.to_string();
    match error {
        Denied::Source { .. } => forbidden(&message),
        Denied::TooSoon { seconds } => {
            later(one(StatusCode::TOO_MANY_REQUESTS, "too many wrong passwords", "TooSoon", &message), *seconds)
        }
        Denied::Crowded => later(one(StatusCode::TOO_MANY_REQUESTS, "passwords busy", "Busy", &message), 1),
        Denied::Busy => later(one(StatusCode::SERVICE_UNAVAILABLE, "passwords busy", "Busy", &message), 1),
        _ => {
            let mut response = one(StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized", &message);
            for scheme in ["Bearer realm=\"maybug\"", "Basic realm=\"maybug\", charset=\"UTF-8\""] {
                response.headers_mut().append(WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
            }
            response
        }
    }
}

fn forbidden(message: &str) -> Response {
    one(StatusCode::FORBIDDEN, "forbidden", "Forbidden", message)
}

fn account(error: &AccountError) -> Response {
    let message = error.to_string();
    match error {
        AccountError::NotFound(_) => one(StatusCode::NOT_FOUND, "account not found", "AccountNotFound", &message),
        AccountError::TokenNotFound { .. } => one(StatusCode::NOT_FOUND, "token not found", "TokenNotFound", &message),
        AccountError::Exists(_) => one(StatusCode::CONFLICT, "account exists", "AccountExists", &message),
        AccountError::NoAdmin => one(StatusCode::CONFLICT, "no admin left", "NoAdmin", &message),
        AccountError::Bad { .. } => one(StatusCode::BAD_REQUEST, "api usage error", "ApiUsageError", &message),
        AccountError::Secret(_) => one(StatusCode::INTERNAL_SERVER_ERROR, "generic error", "SecretError", &message),
        AccountError::Store(error) => store(error),
    }
}

fn undone(error: &Undone) -> Response {
    let message = error.to_string();
    let unavailable =
        |description, kind, seconds| later(one(StatusCode::SERVICE_UNAVAILABLE, description, kind, &message), seconds);
    match error {
        Undone::Misdirected(_) => http_level(StatusCode::MISDIRECTED_REQUEST, &message),
        Undone::Nobody { .. } => unavailable("no node", "NoNode", 5),
        Undone::Unreached { .. } | Undone::Unanswered { .. } => unavailable("node unreachable", "NodeUnreachable", 5),
        Undone::Unknown { .. } => unavailable("store unavailable", "StoreUnavailable", 5),
    }
}

fn store(error: &CommitError) -> Response {
    let message = error.to_string();
    match error {
        CommitError::Busy => later(one(StatusCode::SERVICE_UNAVAILABLE, "store busy", "StoreBusy", &message), 1),
        _ => later(one(StatusCode::SERVICE_UNAVAILABLE, "store unavailable", "StoreUnavailable", &message), 30),
    }
}

fn gateway(error: &GatewayError) -> Response {
    let message = error.to_string();
    let bad = |description, kind| one(StatusCode::BAD_REQUEST, description, kind, &message);
    match error {
        GatewayError::ChannelNotFound => one(StatusCode::NOT_FOUND, "channel not found", "ChannelNotFound", ""),
        GatewayError::Elsewhere(_) => {
            later(one(StatusCode::SERVICE_UNAVAILABLE, "channel elsewhere", "ChannelElsewhere", &message), 1)
        }
        GatewayError::RouterNotFound(_) => one(StatusCode::NOT_FOUND, "router not found", "RouterNotFound", &message),
        GatewayError::DestinationNotFound { .. } => {
            one(StatusCode::NOT_FOUND, "destination not found", "DestinationNotFound", &message)
        }
        GatewayError::InvalidRouterType { .. } => bad("invalid router type", "InvalidRouterType"),
        GatewayError::Routing(RoutingError::Router(_)) => bad("invalid router config", "InvalidRouterConfig"),
        GatewayError::Routing(RoutingError::Destination(_)) => {
            bad("invalid router destination config", "InvalidRouterDestinationConfig")
        }
        GatewayError::NoRoute { .. } => bad("no route", "NoRoute"),
        GatewayError::CallbackNotFound(_) => {
            one(StatusCode::NOT_FOUND, "callback not found", "CallbackNotFound", &message)
        }
        GatewayError::FailureNotFound(_) => {
            one(StatusCode::NOT_FOUND, "failure not found", "FailureNotFound", &message)
        }
        GatewayError::Bus(_) => {
            later(one(StatusCode::SERVICE_UNAVAILABLE, "broker unavailable", "BrokerUnavailable", &message), 5)
        }
        GatewayError::ReceiptNotFound => one(StatusCode::NOT_FOUND, "receipt not found", "ReceiptNotFound", ""),
        GatewayError::NotQueued(_) => one(StatusCode::NOT_FOUND, "message not found", "MessageNotFound", &message),
        GatewayError::InvalidChannelType { .. } => bad("invalid channel type", "InvalidChannelType"),
        GatewayError::Config(error) => {
            let mut item = json!({"type": "ConfigError", "message": message});
            if !error.key.is_empty() {
                item["key"] = json!(error.key);
            }
            envelope(StatusCode::BAD_REQUEST, "config error", &json!({"errors": [item]}))
        }
        GatewayError::Usage(_) => bad("api usage error", "ApiUsageError"),
        GatewayError::MessageNotFound(_) => bad("message not found", "MessageNotFound"),
        GatewayError::MessageTooLong { .. } => bad("message too long", "MessageTooLong"),
        GatewayError::QueueFull { .. } => {
            later(one(StatusCode::TOO_MANY_REQUESTS, "queue full", "QueueFull", &message), 5)
        }
        GatewayError::RateLimitExceeded { seconds, .. } => {
            let refusal = one(StatusCode::TOO_MANY_REQUESTS, "rate limit exceeded", "RateLimitExceeded", &message);
            later(refusal, *seconds)
        }
        GatewayError::Store(error) => store(error),
        GatewayError::Read(_) | GatewayError::Log(_) => {
            one(StatusCode::INTERNAL_SERVER_ERROR, "generic error", "ReadError", &message)
        }
    }
}

/// A refusal that passes.
fn later(mut response: Response, seconds: u64) -> Response {
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn one(status: StatusCode, description: &str, kind: &str, message: &str) -> Response {
    envelope(status, description, &json!({"errors": [{"type": kind, "message": message}]}))
}

fn invalid(mut violations: Vec<Violation>) -> Response {
    violations.sort();
    let items: Vec<Value> = violations
        .into_iter()
        .map(|v| json!({"type": "invalid_body", "message": v.message, "schema_path": v.schema_path}))
        .collect();
    envelope(StatusCode::BAD_REQUEST, "api usage error", &json!({"errors": items}))
}

/// Errors that HTTP itself has a name for.
fn http_level(status: StatusCode, text: &str) -> Response {
    let name = status.canonical_reason().unwrap_or_default();
    let message = format!("{} {name}: {text}", status.as_u16());
    let item = json!({"code": status.as_u16(), "type": name, "message": message});
    envelope(status, text, &json!({"errors": [item]}))
}
