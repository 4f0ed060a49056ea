//! How far something has got that may take long, on standard error: a bar on a terminal, a line now and then otherwise.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

/// From one line to the next.
const REPORT: Duration = Duration::from_secs(5);

/// See the file's head.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    json: bool,
    reported: Instant,
}

impl Progress {
    /// With a bar that looks like this, unless it is to tell as JSON.
    pub(super) fn new(json: bool, template: &str) -> Self {
        let bar = (!json && io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar
        });
        Self { bar, json, reported: Instant::now() }
    }

    /// So much is done; what the bar says beside that, and the line.
    pub(super) fn tell(
        &mut self,
        count: u64,
        beside: &str,
        json: impl FnOnce() -> Value,
        text: impl FnOnce() -> String,
    ) {
        if let Some(bar) = &self.bar {
            bar.set_message(beside.to_owned());
            bar.set_position(count);
        } else if self.reported.elapsed() >= REPORT {
            self.reported = Instant::now();
            match self.json {
                true => eprintln!("{}", json()),
                false => eprintln!("{}", text()),
            }
        }
    }

    /// All of it is done.
    pub(super) fn end(self, json: Value, text: impl FnOnce() -> String) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        match self.json {
            true => eprintln!("{json}"),
            false => eprintln!("{}", text()),
        }
    }
}
