//! Maybug: a connector server for SMS and USSD, centred on SMPP.
//!
//! ```text
//! HTTP client -> api ─> gateway/outbound ─> store (message + queue, one group commit) ─> channel/esme <──> SMSC
//! HTTP client <─ gateway/callbacks <─ store <─ gateway/intake <─────── Intake ───────── channel/esme
//! ```
//!
//! # Floors
//!
//! A file imports from its own module or a lower floor, never upwards; a test sees to it.
//!
//! | floor | module | what |
//! |---|---|---|
//! | 0 | the crate `smpp` | the protocol, without sockets and clocks |
//! | 1 | [`model`], [`config`], [`pattern`] | what everybody talks about; what an operator may set; Python's patterns |
//! | 2 | [`store`] on `engine` | the durable pipeline: changes in, queues and look-ups out |
//! | 2 | `redis` | ordered tables in Redis, written by one process at a time |
//! | 2 | [`bus`] | RabbitMQ: messages to and from applications, in Vumi's JSON |
//! | 2 | [`web`], [`telemetry`] | HTTP in and out; process log, channel logs, rates |
//! | 2 | [`endpoint`], [`capture`] | connecting to a peer, with TLS; SMPP conversations from capture files |
//! | 3 | [`moving`] | all that a store has as a file, and back into another place |
//! | 3 | [`access`] | accounts: who may use the API |
//! | 3 | [`channel`] | one connection to a provider each; talks upwards through the trait it declares |
//! | 4 | [`gateway`] | the rules of the product; names no engine and no wire format |
//! | 5 | [`api`], [`smsc`] | wire formats to `model` and back; the simulated SMSC |
//! | 5 | [`migrate`] | other connectors' configurations to channels |
//! | 5 | [`doctor`] | SMSCs, examined; refusals, explained; channels, written |
//! | 5 | [`replay`] | recorded conversations, said again |
//! | 6 | [`server`], then [`cli`] | assembly |
//!
//! # A message's way
//!
//! `api/junebug/messages` reads a draft, [`gateway::Gateway::send`] checks it and commits it with its queue entry, and
//! only then is it answered. The channel's link pulls as many as its session permits, cuts them into PDUs and sends
//! them; the answer becomes an event, the provider's ids and the callback in one batch, which nobody waits for: a
//! crash in between sends the message again, which the window bounds. A receipt is acknowledged to the SMSC once its
//! event and callback are durable. The dispatcher makes callbacks until they are taken.
//!
//! # Invariants
//!
//! - A message is answered or acknowledged only once it is durable.
//! - Nothing unbounded sits between socket and disk; each bound has a policy: wait, refuse with 429 or 503 and
//!   `Retry-After`, answer ESME_RTHROTTLED or ESME_RX_T_APPN, drop and count (logs).
//! - One channel, one receiver of callbacks, one peer cannot slow another: own task, own queue, own limits.
//! - No global state, so that ten servers run in one test.
// What a server waits for is nested deeper than the compiler follows by itself.
#![recursion_limit = "256"]

pub mod access;
pub mod api;
pub mod bus;
pub mod capture;
pub mod channel;
pub mod cli;
pub mod config;
pub mod doctor;
pub mod endpoint;
mod engine;
pub mod gateway;
pub mod migrate;
pub mod model;
pub mod moving;
pub mod nodes;
pub mod pattern;
mod redis;
pub mod replay;
pub mod server;
pub mod smsc;
pub mod store;
pub mod telemetry;
pub mod web;
