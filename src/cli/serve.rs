//! `maybug serve`: configuration, store, gateway, API; an orderly end.

use anyhow::Context;
use serde_json::{Value, json};

use super::args::ServeArgs;
use crate::config::{Auth, Config, LogFormat};
use crate::model::JsonObject;
use crate::server::Server;
use crate::smsc::{self, Simulator};
use crate::telemetry::log;

pub(super) async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let environment = |name: &str| std::env::var(name).ok();
    let config = Config::load(args.config.as_deref(), environment, flags(&args));
    let config = match &args.config {
        Some(file) => config.with_context(|| file.display().to_string())?,
        None => config?,
    };
    log::init(config.log_format, &config.log_level);
    config.without_effect.iter().for_each(|line| tracing::warn!("{line}"));
    let server = Server::start(&config).await?;
    for address in server.addresses() {
        tracing::info!("the API listens on http://{address}");
    }
    let demo = if args.demo { Some(demo(&server, config.auth()).await?) } else { None };
    asked_to_end().await;
    tracing::info!("ending: connections drain, channels unbind");
    server.stop().await;
    if let Some(simulator) = demo {
        simulator.stop().await;
    }
    Ok(())
}

/// Resolves on SIGINT or SIGTERM.
pub(super) async fn asked_to_end() {
    let interrupt = tokio::signal::ctrl_c();
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
        }
        Err(error) => {
            tracing::warn!(%error, "SIGTERM cannot be waited for");
            let _ = interrupt.await;
        }
    }
}

/// Flags that were given, under the names of their keys.
fn flags(args: &ServeArgs) -> JsonObject {
    let format = args.log_format.map(|format| match format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    });
    let given = [
        ("interface", json!(args.interface)),
        ("port", json!(args.port)),
        ("data", json!(args.data)),
        ("auth", json!(args.auth.then_some(true))),
        ("open", json!(args.open.then_some(true))),
        ("log_format", json!(format)),
        ("log_level", json!(args.log_level)),
        ("log_privacy", json!(args.log_privacy.then_some(true))),
        ("inbound_message_ttl", json!(args.inbound_message_ttl)),
        ("outbound_message_ttl", json!(args.outbound_message_ttl)),
        ("allow_expired_replies", json!(args.allow_expired_replies.then_some(true))),
        ("metric_window", json!(args.metric_window)),
        ("logging_path", json!(args.logging_path)),
        ("log_rotate_size", json!(args.log_rotate_size)),
        ("max_log_files", json!(args.max_log_files)),
        ("max_logs", json!(args.max_logs)),
    ];
    let given = given.into_iter().filter(|(_, value)| *value != Value::Null);
    given.map(|(key, value)| (key.to_owned(), value)).collect()
}

/// A simulated SMSC and a channel bound to it, and how to try them.
async fn demo(server: &Server, auth: Auth) -> anyhow::Result<Simulator> {
    let curl = match auth {
        Auth::Always => "curl -s -H \"Authorization: Bearer $MAYBUG_TOKEN\"",
        Auth::WithAccounts | Auth::Never => "curl -s",
    };
    let simulator = Simulator::start(([127, 0, 0, 1], 0).into(), smsc::demo()).await?;
    let api = server.addresses().first().context("the API listens nowhere")?;
    let channel = server.demo_channel(simulator.address()).await?;
    println!(
        "\nThe channel \"demo\" is bound to a simulated SMSC at {smsc}. Try, in another terminal:\n\n\
         1. Send a message:\n   {curl} -H 'Content-Type: application/json' \
         -d '{{\"to\": \"+27820001001\", \"from\": \"40404\", \"content\": \"Hello\"}}' \
         http://{api}/channels/{channel}/messages/\n\n\
         2. See the channel, and that it is bound:\n   {curl} http://{api}/channels/{channel}\n\n\
         3. See every PDU that crossed the wire:\n   {curl} 'http://{api}/channels/{channel}/logs?type=pdu&n=4'\n",
        smsc = simulator.address(),
    );
    Ok(simulator)
}
