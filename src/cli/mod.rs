//! The command line: one file per command.

pub mod args;
mod decode;
mod send;
mod serve;
mod simulator;

use std::process::ExitCode;

use self::args::{Args, Command};

/// Runs a command; errors are told on standard error, whole.
pub async fn run(args: Args) -> ExitCode {
    let done = match args.command {
        Command::Serve(args) => serve::run(args).await,
        Command::Sim(args) => simulator::run(args).await,
        Command::Send(args) => send::run(args).await,
        Command::Decode(args) => decode::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("maybug: {error:#}");
            ExitCode::FAILURE
        }
    }
}
