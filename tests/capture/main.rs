//! Captures: replayed against real peers and in virtual time, anonymised, written for dissectors.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod anonymise;
mod connections;
mod corpus;
mod follow;
mod fragments;
mod net;
mod packets;
mod player;
mod read;
mod recognise;
#[path = "../shared/server.rs"]
mod server;
mod support;
mod wire;
