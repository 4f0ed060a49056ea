//! Lines 177 to 194: logs, health, configuration.

use maybug::config::{AmqpConfig, Config};
use serde_json::{Value, json};

use crate::management::Management;
use crate::routing::Routed;
use crate::setup::{becomes, error, keys, loopback, telnet, with_quiet};
use crate::support::{Maybug, Process, call, soon};

/// A server that gives its callbacks up at once, so that each of them is one entry in a log.
async fn impatient(max_logs: usize) -> Maybug {
    Maybug::with(|config| {
        config.callback_max_age = 0;
        config.max_logs = max_logs;
    })
    .await
}

/// A channel that has logged its start, and two entries for each of these messages.
async fn channel_with(maybug: &Maybug, messages: usize) -> String {
    let id = maybug.channel(loopback(json!({}))).await;
    for _ in 0..messages {
        maybug.send(&id, json!({"to": "1", "content": "x", "event_url": "http://127.0.0.1:1/"})).await;
    }
    let all = maybug.directory.path().join("logs").join(&id);
    let entries = || std::fs::read_to_string(&all).unwrap_or_default().lines().count();
    becomes(maybug, &format!("/channels/{id}/logs"), |_| entries() == 1 + 2 * messages).await;
    id
}

/// The messages of a channel's log.
async fn log(maybug: &Maybug, channel: &str, query: &str) -> Vec<Value> {
    let (status, answer) = maybug.get(&format!("/channels/{channel}/logs{query}")).await;
    assert_eq!((status, &answer["description"]), (200, &json!("logs retrieved")));
    answer["result"].as_array().unwrap().clone()
}

/// Junebug 177: A log without entries is an empty list.
#[tokio::test]
async fn line_177_an_empty_log_is_an_empty_list() {
    let maybug = with_quiet().await;
    let id = maybug.channel(json!({"type": "quiet", "config": {}})).await;
    assert_eq!(log(&maybug, &id, "").await, [] as [Value; 0]);
}

/// Junebug 178: `n` gives that many, the newest first.
#[tokio::test]
async fn line_178_n_entries_are_the_newest_first() {
    let maybug = impatient(100).await;
    let id = channel_with(&maybug, 1).await;
    let (all, two) = (log(&maybug, &id, "").await, log(&maybug, &id, "?n=2").await);
    assert_eq!((all.len(), &two[..]), (3, &all[..2]));
    assert!(all[0]["timestamp"].as_f64() >= all[1]["timestamp"].as_f64(), "{all:?}");
    assert_eq!(all[2]["message"], "loopback: Running (running)");
}

/// Junebug 179: No more than `max_logs`, whatever `n` is.
#[tokio::test]
async fn line_179_max_logs_bounds_n() {
    let maybug = impatient(2).await;
    let id = channel_with(&maybug, 1).await;
    assert_eq!(log(&maybug, &id, "?n=3").await.len(), 2);
}

/// Junebug 180: Without `n` there are `max_logs`.
#[tokio::test]
async fn line_180_without_n_there_are_max_logs() {
    let maybug = impatient(2).await;
    let id = channel_with(&maybug, 1).await;
    assert_eq!(log(&maybug, &id, "").await.len(), 2);
}

/// Junebug 181: No more than there are. 0 is none, where Junebug gives all; what is no number is 400, not 500.
#[tokio::test]
async fn line_181_n_may_be_more_than_there_are() {
    let maybug = impatient(100).await;
    let id = channel_with(&maybug, 0).await;
    assert_eq!(log(&maybug, &id, "?n=2").await.len(), 1);
    assert_eq!(log(&maybug, &id, "?n=0").await.len(), 0);
    for (n, why) in [("-1", "must not be negative"), ("abc", "is not a whole number"), ("2.0", "is not a whole number")]
    {
        let (status, answer) = maybug.get(&format!("/channels/{id}/logs?n={n}")).await;
        assert_eq!((status, error(&answer)), (400, ("ApiUsageError", format!("\"n\" {why}: '{n}'").as_str())));
    }
    assert_eq!(maybug.get("/channels/nope/logs?n=x").await.0, 400, "before the channel is looked for");
}

/// Junebug 182: An entry has the channel, a level of Python's, a time in seconds and a message.
#[tokio::test]
async fn line_182_an_entry_has_four_keys() {
    let maybug = impatient(100).await;
    let id = channel_with(&maybug, 0).await;
    let entry = log(&maybug, &id, "").await.remove(0);
    assert_eq!(keys(&entry), ["level", "logger", "message", "timestamp"]);
    assert_eq!((&entry["logger"], &entry["level"]), (&json!(id), &json!(20)));
    assert!(entry["timestamp"].is_f64() && entry["message"].is_string(), "{entry}");
}

/// Junebug 183: The entry of a failure has level 40 and an exception of strings: in Junebug its class is Python's, and its
/// stack one of frames.
#[tokio::test]
async fn line_183_a_failure_has_an_exception() {
    let maybug = impatient(100).await;
    let id = channel_with(&maybug, 1).await;
    let entries = log(&maybug, &id, "").await;
    let failure = &entries[0];
    assert_eq!(keys(failure), ["exception", "level", "logger", "message", "message_id", "timestamp"]);
    assert_eq!(failure["level"], 40);
    let exception = &failure["exception"];
    assert_eq!(keys(exception), ["class", "instance", "stack"]);
    assert_eq!(exception["class"], "CallbackError");
    let instance = exception["instance"].as_str().unwrap();
    assert!(instance.starts_with("CallbackError(") && instance.contains("Connection refused"), "{exception}");
    let stack = exception["stack"].as_array().unwrap();
    assert!(!stack.is_empty() && stack.iter().all(Value::is_string), "{exception}");
}

/// Junebug 184: Each channel has a log of its own.
#[tokio::test]
async fn line_184_each_channel_has_its_own_log() {
    let maybug = impatient(100).await;
    let (noisy, quiet) = (channel_with(&maybug, 2).await, channel_with(&maybug, 0).await);
    for id in [&noisy, &quiet] {
        assert!(log(&maybug, id, "").await.iter().all(|entry| entry["logger"] == json!(id)));
    }
    assert_eq!((log(&maybug, &noisy, "").await.len(), log(&maybug, &quiet, "").await.len()), (5, 1));
}

/// Junebug 185: The log of an unknown channel or router is 404.
#[tokio::test]
async fn line_185_the_log_of_nothing_is_404() {
    let maybug = Maybug::start().await;
    for (path, kind) in [("/channels/nope/logs", "ChannelNotFound"), ("/routers/nope/logs", "RouterNotFound")] {
        let (status, answer) = maybug.get(path).await;
        assert_eq!((status, error(&answer).0), (404, kind));
    }
}

/// Junebug 186: A router's log obeys `n` and `max_logs` as a channel's does.
#[tokio::test]
async fn line_186_a_routers_log_obeys_n() {
    let routed = Routed::on(Maybug::with(|config| config.max_logs = 3).await).await;
    for text in ["one", "two", "three", "four"] {
        routed.phone_writes("8110", text).await;
    }
    let file = routed.maybug.directory.path().join("logs").join(&routed.router);
    let entries = || std::fs::read_to_string(&file).unwrap_or_default().lines().count();
    let path = format!("{}/logs", routed.path());
    let all = becomes(&routed.maybug, &path, |_| entries() == 4).await;
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), 3);
    assert!(all.iter().all(|entry| entry["logger"] == json!(routed.router)), "{all:?}");
    for (n, count) in [("0", 0), ("1", 1), ("2", 2), ("9", 3)] {
        let (_, answer) = routed.maybug.get(&format!("{path}?n={n}")).await;
        assert_eq!(answer["result"], json!(all[..count]), "{n}");
    }
    assert_eq!(routed.maybug.get(&format!("{path}?n=x")).await.0, 400);
}

/// Junebug 187: Health is fine, with an empty object.
#[tokio::test]
async fn line_187_health_is_ok() {
    let maybug = Maybug::start().await;
    let (status, answer) = maybug.get("/health").await;
    let expected = json!({"status": 200, "code": "OK", "description": "health ok", "result": {}});
    assert_eq!((status, answer), (200, expected));
}

/// A server that asks such an interface, with a channel whose three queues have these messages and rates.
async fn managed(inbound: (u64, f64), outbound: (u64, f64), event: (u64, f64)) -> (Maybug, String) {
    let management = Management::start().await;
    let maybug = Maybug::with(|config| management.configure(config)).await;
    let id = maybug.channel(loopback(json!({}))).await;
    management.has(&id, [inbound, outbound, event]);
    (maybug, id)
}

/// Junebug 188: With RabbitMQ's management, and nothing stuck, health lists three queues of each channel.
#[tokio::test]
async fn line_188_flowing_queues_are_ok() {
    let (maybug, id) = managed((0, 0.0), (4583, 1.3), (0, 1.0)).await;
    let (status, answer) = maybug.get("/health").await;
    assert_eq!((status, &answer["description"]), (200, &json!("queues ok")));
    let queue = |kind: &str, messages: u64, rate: f64| json!({"name": format!("{id}.{kind}"), "messages": messages, "rate": rate, "stuck": false});
    let expected = [queue("inbound", 0, 0.0), queue("outbound", 4583, 1.3), queue("event", 0, 1.0)];
    assert_eq!(answer["result"], json!(expected));
}

/// Junebug 189: A queue with messages that nobody takes is stuck, which is 500; all queues are listed.
#[tokio::test]
async fn line_189_a_stuck_queue_is_500() {
    let (maybug, id) = managed((0, 0.0), (43, 0.0), (0, 1.0)).await;
    let (status, answer) = maybug.get("/health").await;
    assert_eq!((status, &answer["code"]), (500, &json!("Internal Server Error")));
    assert_eq!(answer["description"], "queues stuck");
    let stuck = json!({"name": format!("{id}.outbound"), "messages": 43, "rate": 0.0, "stuck": true});
    assert_eq!((answer["result"].as_array().unwrap().len(), &answer["result"][1]), (3, &stuck));
    assert_eq!((&answer["result"][0]["stuck"], &answer["result"][2]["stuck"]), (&json!(false), &json!(false)));
}

/// Junebug 190: The defaults are Junebug's; its `max_log_files` is said to be 5, and kept.
#[tokio::test]
async fn line_190_the_defaults_are_junebugs() {
    let config = Config::default();
    assert_eq!((config.interface.as_str(), config.port), ("localhost", 8080));
    assert_eq!((config.inbound_message_ttl, config.outbound_message_ttl), (600, 172_800));
    assert_eq!((config.metric_window, config.max_logs, config.log_rotate_size), (10.0, 100, 1_000_000));
    assert_eq!((config.logging_path.to_str(), config.max_log_files), (Some("logs/"), 5));
    assert!(!config.allow_expired_replies && !config.replace_channels && !config.replace_routers);
    assert_eq!((config.logfile, config.sentry_dsn.is_some()), (None, false));
    let amqp = AmqpConfig::default();
    assert_eq!((amqp.hostname.as_str(), amqp.port, amqp.vhost.as_str()), ("127.0.0.1", 5672, "/"));
    assert_eq!((amqp.username.as_str(), amqp.heartbeat), ("guest", 0));
}

/// How many entries of a log with more than two a server shows that is started like this.
async fn shown(file: Option<&str>, flags: &[&str]) -> usize {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.yaml");
    let mut words = Vec::new();
    if let Some(text) = file {
        std::fs::write(&path, text).unwrap();
        words.extend(["-c", path.to_str().unwrap()]);
    }
    words.extend(flags);
    let process = Process::start(directory.path(), &words).await;
    let config = json!({"twisted_endpoint": "tcp:127.0.0.1:1", "system_id": "me", "password": "p"});
    let created = call(&process.base, "/channels/", Some(json!({"type": "smpp", "config": config}))).await;
    let id = created["result"]["id"].as_str().unwrap();
    let written = directory.path().join("logs").join(id);
    soon("three entries", async {
        while std::fs::read_to_string(&written).unwrap_or_default().lines().count() < 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let log = call(&process.base, &format!("/channels/{id}/logs"), None).await;
    process.kill().await;
    log["result"].as_array().unwrap().len()
}

/// Junebug 192: A flag overrides the file, and the file the defaults.
#[tokio::test]
async fn line_192_flags_override_the_file() {
    assert!(shown(None, &[]).await >= 3, "the default is 100");
    assert_eq!(shown(Some("max_logs: 2\n"), &[]).await, 2);
    assert_eq!(shown(Some("max_logs: 2\n"), &["--max-logs", "1"]).await, 1);
    assert_eq!(shown(Some("max_logs: 2\n"), &["-ml", "1"]).await, 1);
}

/// Junebug 193: With `replace_channels` there are the types of `channels` and no other.
#[tokio::test]
async fn line_193_replace_channels_leaves_only_its_own() {
    let maybug = Maybug::with(|config| {
        config.channels.insert("foo".into(), "loopback".into());
        config.replace_channels = true;
    })
    .await;
    maybug.channel(json!({"type": "foo", "config": {}})).await;
    let (status, answer) = maybug.post("/channels/", telnet(json!({}))).await;
    assert_eq!((status, &answer["description"]), (400, &json!("invalid channel type")));
    let message = "Invalid channel type 'telnet', must be one of: foo";
    assert_eq!(error(&answer), ("InvalidChannelType", message));
}

/// Junebug 194: A directory for logs that does not exist is made.
#[tokio::test]
async fn line_194_the_directory_of_logs_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let logs = directory.path().join("not/there/yet");
    let maybug = Maybug::with(|config| config.logging_path = logs.clone()).await;
    let id = maybug.channel(loopback(json!({}))).await;
    becomes(&maybug, &format!("/channels/{id}/logs"), |log| log[0].is_object()).await;
    assert!(logs.join(&id).is_file());
}
