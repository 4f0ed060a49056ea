//! The server as its users see it: over HTTP and SMPP, in process on free ports, and as a process that is killed.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod bad_input;
mod bad_pdus;
mod callbacks;
mod crash;
mod junebug;
mod pressure;
mod smpp_channel;
mod support;
