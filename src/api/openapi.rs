//! The description of all APIs for programs: `openapi.json`, written by hand and held to the route table by a test.

use bytes::Bytes;
use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderValue};

use super::Api;
use crate::web::Response;
use crate::web::route::{Answer, On, Request, Route, Scope};

/// OpenAPI 3.1.
const DESCRIPTION: &str = include_str!("openapi.json");

pub(super) fn routes() -> Vec<Route<Api>> {
    vec![Route { method: Method::GET, pattern: "/openapi.json", scope: Scope::Open, on: On::Any, handler: show }]
}

/// Not in the envelope: this is a document, and programs read it as it is.
fn show(_: Api, _: Request) -> Answer {
    Box::pin(async {
        let mut response = Response::new(Bytes::from_static(DESCRIPTION.as_bytes()).into());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    })
}
