//! Several nodes on one Redis are one service: whichever is asked, the answer is the same.
// What a server waits for is nested deeper than the compiler follows by itself.
#![recursion_limit = "256"]
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod away;
mod channels;
#[allow(dead_code, reason = "this binary needs less of it than others do")]
#[path = "../shared/daemon.rs"]
mod daemon;
mod definitions;
mod pair;
mod parts;
#[allow(dead_code, reason = "this binary needs less of it than others do")]
#[path = "../e2e/peer.rs"]
mod peer;
#[allow(dead_code, reason = "this binary needs less of it than others do")]
#[path = "../shared/redis.rs"]
mod redis;
#[allow(dead_code, reason = "this binary needs less of it than others do")]
#[path = "../shared/support.rs"]
mod support;
mod trust;
