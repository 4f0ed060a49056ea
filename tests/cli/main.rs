//! The commands as a user runs them, and the simulator as an ESME meets it.
// What a server waits for is nested deeper than the compiler follows by itself.
#![recursion_limit = "256"]
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod account;
mod check;
#[path = "../shared/daemon.rs"]
#[allow(dead_code, reason = "this binary starts no RabbitMQ")]
mod daemon;
mod decode;
mod doctor;
mod esme;
mod export;
mod jb;
mod moving;
mod replay;
mod send;
#[path = "../shared/redis.rs"]
#[allow(dead_code, reason = "this binary needs one server only")]
mod servers;
mod sim_habits;
mod sim_receipts;
mod sim_script;
mod sim_times;
mod simulator;
mod support;
