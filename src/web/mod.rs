//! HTTP in and out, and nothing about what it says: accept, limits, routes; requests to others.

pub mod body;
pub mod client;
pub mod json;
pub mod management;
mod refusal;
pub mod route;
pub mod server;
mod watched;

use bytes::Bytes;
use http_body_util::Full;

/// What a handler answers.
pub type Response = hyper::Response<Full<Bytes>>;
