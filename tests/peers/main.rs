//! Against peers written by others: npm `smpp`, PyPI `smpplib`, Kannel, tshark. `tests/run` installs them.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod captures;
mod dissector;
mod fixtures;
mod kannel;
mod kannel_config;
mod libraries;
mod openapi;
mod process;
#[path = "../shared/server.rs"]
mod server;
mod tshark;
