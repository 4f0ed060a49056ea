//! The process log: `tracing` as text or JSON lines on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Starts the process log; only the first call of a process has an effect. `filter` is in tracing's syntax, for
/// instance `info,maybug::channel=debug`.
pub fn init(format: LogFormat, filter: &str) {
    // A bare level is ours; the store's engine speaks only of trouble.
    let engine = "fjall=warn,lsm_tree=warn";
    let filter = EnvFilter::try_new(format!("{engine},{filter}")).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A test that starts several servers has the first one's log.
    let _ = match format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
