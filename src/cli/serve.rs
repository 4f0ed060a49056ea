//! `maybug serve`: configuration, store, gateway, API; an orderly end.

use anyhow::Context;
use serde_json::json;

use super::args::ServeArgs;
use super::jb::given;
use crate::config::{Auth, Config, LogFormat};
use crate::model::JsonObject;
use crate::server::Server;
use crate::smsc::{self, Simulator};
use crate::telemetry::log::ProcessLog;

pub(super) async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let environment = |name: &str| std::env::var(name).ok();
    let config = Config::load(args.config.as_deref(), environment, flags(&args));
    let config = match &args.config {
        Some(file) => config.with_context(|| file.display().to_string())?,
        None => config?,
    };
    let process_log = ProcessLog {
        format: config.log_format,
        filter: &config.log_level,
        standard_error: environment("JUNEBUG_DISABLE_LOGGING").is_none_or(|value| value.is_empty()),
        file: config.logfile.as_deref(),
    };
    process_log.start().with_context(|| {
        let file = config.logfile.clone().unwrap_or_default();
        format!("the logfile {} cannot be written", file.display())
    })?;
    if environment("JUNEBUG_REACTOR").is_some() {
        tracing::warn!("JUNEBUG_REACTOR is not used: there is one event loop, on as many threads as there are cores");
    }
    config.notes().iter().for_each(|line| tracing::warn!("{line}"));
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
    let mut keys = given([
        ("interface", json!(args.interface)),
        ("port", json!(args.port)),
        ("data", json!(args.data)),
        ("redis", json!(args.redis)),
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
    ]);
    keys.extend(args.junebug.keys());
    keys
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

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use serde_json::Value;

    use super::*;
    use crate::cli::args::Command;

    /// The keys that a command line sets.
    fn keys(words: &[&str]) -> Value {
        let words: Vec<OsString> = words.iter().map(Into::into).collect();
        let args = crate::cli::parse(&words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
        let Command::Serve(args) = args.command else { panic!("{words:?} is another command") };
        let mut keys = flags(&args);
        keys.extend(args.config.map(|file| ("config".to_owned(), json!(file))));
        Value::Object(keys)
    }

    /// Junebug reference §3.1: short and long spelling, a value, the key or service and key, what it becomes.
    const FLAGS: [(&str, &str, &str, &str, &str); 27] = [
        ("-c", "--config", "f.yaml", "config", "\"f.yaml\""),
        ("-i", "--interface", "::1", "interface", "\"::1\""),
        ("-p", "--port", "8081", "port", "8081"),
        ("-l", "--log-file", "j.log", "logfile", "\"j.log\""),
        ("-sd", "--sentry-dsn", "https://k@s/1", "sentry_dsn", "\"https://k@s/1\""),
        ("-redish", "--redis-host", "r", "redis/host", "\"r\""),
        ("-redisp", "--redis-port", "6380", "redis/port", "6380"),
        ("-redisdb", "--redis-db", "7", "redis/db", "7"),
        ("-redispass", "--redis-password", "s", "redis/password", "\"s\""),
        ("-amqph", "--amqp-host", "a", "amqp/hostname", "\"a\""),
        ("-amqpp", "--amqp-port", "5673", "amqp/port", "5673"),
        ("-amqpvh", "--amqp-vhost", "/v", "amqp/vhost", "\"/v\""),
        ("-amqpu", "--amqp-user", "u", "amqp/username", "\"u\""),
        ("-amqppass", "--amqp-password", "s", "amqp/password", "\"s\""),
        ("-ittl", "--inbound-message-ttl", "60", "inbound_message_ttl", "60"),
        ("-ottl", "--outbound-message-ttl", "70", "outbound_message_ttl", "70"),
        ("-ch", "--channels", "x:y.Z", "channels", "{\"x\":\"y.Z\"}"),
        ("-rch", "--replace-channels", "False", "replace_channels", "true"),
        ("--routers", "--routers", "x:y.Z", "routers", "{\"x\":\"y.Z\"}"),
        ("--replace-routers", "--replace-routers", "", "replace_routers", "false"),
        ("-pl", "--plugin", "{\"type\":\"t\"}", "plugins", "[{\"type\":\"t\"}]"),
        ("-mw", "--metric-window", "2.5", "metric_window", "2.5"),
        ("-lp", "--logging-path", "l/", "logging_path", "\"l/\""),
        ("-lrs", "--log-rotate-size", "9", "log_rotate_size", "9"),
        ("-mlf", "--max-log-files", "3", "max_log_files", "3"),
        ("-ml", "--max-logs", "4", "max_logs", "4"),
        ("-rmi", "--rabbitmq-management-interface", "r:15672", "rabbitmq_management_interface", "\"r:15672\""),
    ];

    /// Junebug 191: Each flag of `jb` sets its key, in its short and its long spelling.
    #[test]
    fn line_191_each_flag_sets_its_key_in_every_spelling() {
        for (short, long, value, key, expected) in FLAGS {
            let expected: Value = serde_json::from_str(expected).unwrap();
            let expected = match key.split_once('/') {
                Some((service, key)) => json!({service: {key: expected}}),
                None => json!({key: expected}),
            };
            for flag in [short, long] {
                let joined = format!("{flag}={value}");
                assert_eq!(keys(&["jb", flag, value]), expected, "{flag}");
                assert_eq!(keys(&["/usr/bin/jb", &joined]), expected, "{joined}");
                assert_eq!(keys(&["maybug", "serve", flag, value]), expected, "{flag}");
            }
        }
        for flag in ["-aer", "--allow-expired-replies"] {
            assert_eq!(keys(&["jb", flag, "-p", "1"]), json!({"allow_expired_replies": true, "port": 1}));
        }
        assert_eq!(
            keys(&["jb", "-ch", "a:b.C", "-ch", "d:e:F", "-pl", "{}", "-pl", "{}"]),
            json!({"channels": {"a": "b.C", "d": "e:F"}, "plugins": [{}, {}]})
        );
        assert_eq!(keys(&["jb"]), json!({}));
    }

    #[test]
    fn the_type_of_queues_is_checked() {
        let type_of = |word| ["maybug", "serve", "--amqp-queue-type", word].map(OsString::from);
        assert_eq!(
            keys(&["maybug", "serve", "--amqp-queue-type", "quorum"]),
            json!({"amqp": {"queue_type": "quorum"}})
        );
        let told = crate::cli::parse(&type_of("mirrored")).unwrap_err().to_string();
        assert!(told.contains("[possible values: classic, quorum]"), "{told}");
    }

    #[test]
    fn other_commands_keep_their_own_spellings() {
        let words = ["maybug", "send", "-s", "x", "-t", "1", "h:1", "-pl"].map(OsString::from);
        assert_eq!(crate::cli::jb::translate(&words), words);
        let told = crate::cli::parse(&["jb", "-pl", "[]"].map(OsString::from)).unwrap_err().to_string();
        assert!(told.contains("expected an object"), "{told}");
    }
}
