//! The `maybug` binary: arguments to command to exit code.
// What a server waits for is nested deeper than the compiler follows by itself.
#![recursion_limit = "256"]

use std::process::ExitCode;

use maybug::cli;

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    let args = match cli::parse(&words) {
        Ok(args) => args,
        Err(error) => error.exit(),
    };
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(cli::run(args)),
        Err(error) => {
            eprintln!("maybug: the runtime could not be started: {error}");
            ExitCode::FAILURE
        }
    }
}
