//! The command line: one file per command.

mod account;
mod advice;
pub mod args;
mod capture;
mod captured;
mod check;
mod counts;
mod decode;
mod doctor;
mod export;
mod fixture;
mod import;
mod jb;
mod moving;
mod nginx;
mod pdu_content;
mod post;
mod progress;
mod remote;
mod replay;
mod replay_text;
mod script;
mod send;
mod serve;
mod simulator;
mod target;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;

use self::args::{AccountPlace, Args, Command};
use crate::store::{OpenError, Store, StoreConfig};

/// Reads the command line, and the script that it names.
///
/// # Errors
/// What is wrong with either, to be told with [`clap::Error::exit`].
pub fn parse(words: &[OsString]) -> Result<Args, clap::Error> {
    let words = &jb::translate(words);
    let args = Args::try_parse_from(words)?;
    match &args.command {
        Command::Sim(sim) => match &sim.script {
            Some(file) => script::parse(words, file),
            None => Ok(args),
        },
        _ => Ok(args),
    }
}

/// Runs a command; errors are told on standard error, whole.
pub async fn run(args: Args) -> ExitCode {
    let done = match args.command {
        Command::Serve(args) => Box::pin(serve::run(*args)).await,
        Command::Sim(args) => Box::pin(simulator::run(*args)).await,
        Command::Send(args) => match args.url.clone() {
            Some(url) => Box::pin(post::run(args, url)).await,
            None => Box::pin(send::run(args)).await,
        },
        Command::Account(args) => Box::pin(account::run(args.command)).await,
        Command::Export(args) => Box::pin(export::run(args)).await,
        Command::Import(args) => Box::pin(moving::import(args)).await,
        Command::Check(args) => Box::pin(check::run(&args)).await,
        Command::Doctor(args) => Box::pin(doctor::run(&args)).await,
        Command::Decode(args) => match &args.make_fixture {
            Some(out) => fixture::run(&args, out),
            None => decode::run(&args),
        },
        Command::Replay(args) => return replay::run(args).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("maybug: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Where the store of a server is that does not run.
fn stopped(place: &AccountPlace) -> anyhow::Result<StoreConfig> {
    let redis = match (&place.data, &place.redis) {
        (None, None) => std::env::var("MAYBUG_REDIS").ok(),
        (_, redis) => redis.clone(),
    };
    let redis = redis.map(|url| url.parse()).transpose().context("the URL of the Redis")?;
    let path = place.data.clone().unwrap_or_else(|| StoreConfig::default().path);
    Ok(StoreConfig { path, redis, ..StoreConfig::default() })
}

/// The store of a server that does not run. What that server would keep is kept, however old.
async fn open_store(config: StoreConfig) -> anyhow::Result<Store> {
    let kept = Duration::MAX;
    let config = StoreConfig { retention: kept, correlation_retention: kept, ..config };
    match Store::open(&config).await {
        Ok(store) => Ok(store),
        Err(error @ (OpenError::Locked { .. } | OpenError::Held { .. })) => {
            bail!("{error}. While the server runs, ask it: --api http://127.0.0.1:8080, with a token in MAYBUG_TOKEN")
        }
        Err(error) => Err(error.into()),
    }
}

/// Sleeps until then; for ever without a time.
async fn until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
