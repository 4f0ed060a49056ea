//! The commands as a user runs them, and the simulator as an ESME meets it.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod account;
mod check;
mod decode;
mod doctor;
mod esme;
mod export;
mod jb;
mod replay;
mod send;
mod sim_habits;
mod sim_receipts;
mod sim_script;
mod sim_times;
mod simulator;
mod support;
