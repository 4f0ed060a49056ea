//! Junebug's HTTP API, one test for each line of what it promises: over HTTP, on a server of each test's own. The
//! number and the words of a line are in `tests/conformance/junebug.txt`; where this server means to differ from
//! Junebug 0.2.0 the test holds it to the difference and says so.
// What a server waits for is nested deeper than the compiler follows by itself.
#![recursion_limit = "256"]
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod bodies;
mod channels;
mod courier;
mod destinations;
mod envelope;
mod events;
mod extended;
mod inbound;
mod logs_health_config;
#[allow(dead_code, reason = "this binary needs less of it than e2e does")]
#[path = "../shared/management.rs"]
mod management;
mod routers;
mod routing;
mod sending;
mod setup;
mod status;
#[allow(dead_code, reason = "this binary needs less of it than e2e does")]
#[path = "../shared/support.rs"]
mod support;
