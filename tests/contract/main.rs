//! What every store must do, over the engines that there are.
// What a server waits for is nested deeper than the compiler follows by itself.
#![recursion_limit = "256"]
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

#[path = "../shared/daemon.rs"]
#[allow(dead_code, reason = "this binary starts no RabbitMQ")]
mod daemon;
mod embedded_directory;
mod place;
mod redis_place;
mod redis_server;
#[path = "../shared/redis.rs"]
#[allow(dead_code, reason = "this binary needs no TLS")]
mod servers;
mod store_basics;
mod store_channels;
mod store_faults;
mod store_marks;
mod store_model;
mod store_moving;
mod store_retention;
mod store_schedule;
mod store_search;
mod store_support;
mod store_withdraw;
