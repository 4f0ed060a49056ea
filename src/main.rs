//! The `maybug` binary: arguments to command to exit code.

use std::process::ExitCode;

use clap::Parser;
use maybug::cli::{self, args::Args};

fn main() -> ExitCode {
    let args = Args::parse();
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(cli::run(args)),
        Err(error) => {
            eprintln!("maybug: the runtime could not be started: {error}");
            ExitCode::FAILURE
        }
    }
}
