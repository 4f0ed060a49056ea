//! The server as its users see it: over HTTP and SMPP, in process on free ports, and as a process that is killed.
// What a server waits for is nested deeper than the compiler follows by itself.
#![recursion_limit = "256"]
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod abandoned;
mod auth;
mod auth_limits;
mod bad_input;
mod bad_pdus;
mod binds;
mod callbacks;
mod cancel;
mod dmark;
mod durability;
mod extending;
mod failover;
mod field_guide;
mod health;
mod http_channel;
mod hundred;
mod import;
mod junebug;
mod lifecycle;
mod log_privacy;
#[path = "../shared/management.rs"]
mod management;
mod message_logs;
mod openapi;
mod passwords;
mod peer;
mod pressure;
mod rate_limit;
mod receipts;
mod refresh;
mod refused;
mod results;
mod routers;
mod schedule;
mod search;
mod smpp_channel;
#[allow(dead_code, reason = "this binary needs less of it than others do")]
#[path = "../shared/support.rs"]
mod support;
mod telnet;
mod texts;
mod throttling;
mod unanswered;
mod ussd;
mod vendor_tlvs;
