//! Against peers written by others: npm `smpp`, PyPI `smpplib`, Kannel, tshark, RabbitMQ, Redis, nginx. `tests/run` installs them.
// What a server waits for is nested deeper than the compiler follows by itself.
#![recursion_limit = "256"]
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod amqp;
mod amqp_bus;
mod amqp_changes;
mod amqp_edges;
mod amqp_failures;
mod amqp_topology;
mod amqp_trouble;
mod amqp_wishes;
#[path = "../shared/application.rs"]
mod application;
mod captures;
#[path = "../shared/daemon.rs"]
mod daemon;
mod dissector;
mod fixtures;
mod health;
mod junebug_queues;
mod junebug_redis;
mod kannel;
mod kannel_config;
mod libraries;
mod nginx;
mod openapi;
#[allow(dead_code, reason = "this binary needs less of it than e2e does")]
#[path = "../e2e/peer.rs"]
mod peer;
#[path = "../shared/process.rs"]
mod process;
#[path = "../shared/rabbitmq.rs"]
mod rabbitmq;
#[allow(dead_code, reason = "this binary needs one server only")]
#[path = "../shared/redis.rs"]
mod redis;
#[path = "../shared/server.rs"]
mod server;
#[allow(dead_code, reason = "this binary needs less of it than e2e does")]
#[path = "../shared/support.rs"]
mod support;
mod tshark;
