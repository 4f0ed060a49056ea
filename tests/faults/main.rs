//! What breaks while messages are on their way: we ourselves, the Redis that keeps them, the way there. What was answered
//! 201 leaves all the same, and hardly anything twice.
// What a server waits for is nested deeper than the compiler follows by itself.
#![recursion_limit = "256"]
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

#[path = "../shared/application.rs"]
mod application;
mod crash;
#[allow(dead_code, reason = "this binary needs less of it than others do")]
#[path = "../shared/daemon.rs"]
mod daemon;
mod nodes;
#[allow(dead_code, reason = "this binary needs less of it than others do")]
#[path = "../shared/process.rs"]
mod process;
#[allow(dead_code, reason = "this binary needs less of it than others do")]
#[path = "../shared/proxy.rs"]
mod proxy;
#[allow(dead_code, reason = "this binary needs less of it than others do")]
#[path = "../shared/rabbitmq.rs"]
mod rabbitmq;
mod rabbitmq_faults;
#[allow(dead_code, reason = "this binary needs less of it than others do")]
#[path = "../shared/redis.rs"]
mod redis;
mod redis_away;
mod redis_faults;
mod scene;
#[allow(dead_code, reason = "this binary needs less of it than others do")]
#[path = "../shared/server.rs"]
mod server;
mod smsc_faults;
#[allow(dead_code, reason = "this binary needs less of it than others do")]
#[path = "../shared/support.rs"]
mod support;
mod tally;
