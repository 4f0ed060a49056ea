//! HTTP in and out, and nothing about what it says: accept, limits, routes; requests to others.

pub mod body;
pub mod client;
pub mod json;
mod look;
pub mod management;
mod refusal;
pub mod route;
pub mod server;
pub mod stream;
pub mod subscriber;
mod watched;

/// What a handler answers.
pub type Response = hyper::Response<stream::Body>;
