//! Maybug: a connector server for SMS and USSD, centred on SMPP.
//!
//! ```text
//! HTTP client -> api ─> gateway ─> store (message + queue, one group commit) ─> channel/esme <──> SMSC
//! HTTP client <─ gateway/callbacks <─ store <─ gateway/{events,inbound} <─ Intake <─ channel/esme
//! ```
//!
//! Floors, lowest first; a file imports from its own module or a lower floor, never upwards:
//! the crate `smpp`; [`model`], `config`; [`store`], `web`, `telemetry`; [`channel`]; `gateway`; `api`; `cli`.
//!
//! Invariants: a message is answered or acknowledged only once it is durable; nothing unbounded sits between
//! socket and disk; no global state, so that ten servers run in one test.

pub mod api;
pub mod channel;
pub mod cli;
pub mod config;
mod embedded;
pub mod gateway;
pub mod model;
pub mod server;
pub mod smsc;
pub mod store;
pub mod telemetry;
pub mod web;
