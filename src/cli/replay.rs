//! `maybug replay`: a recorded conversation, said again to a live peer.

use std::io::Write;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use smpp::session::{CloseReason, Role};
use smpp::{CString, Password};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use smpp::explain::Refused;

use super::advice::explain;
use super::args::ReplayArgs;
use super::replay_text;
use crate::capture::Conversation;
use crate::endpoint::{Endpoint, EndpointText};
use crate::replay::net::{Options, ReplayError, as_esme, as_smsc};
use crate::replay::{Difference, Ids, Plan, Summary};

/// Exit status when an answer differs from the recording.
const DIFFERS: u8 = 1;
/// Exit status when there was no replay, or not of every conversation.
const FAILED: u8 = 2;

pub(super) async fn run(args: ReplayArgs) -> ExitCode {
    match replay(&args).await {
        Ok(summary) if summary.differences == 0 => ExitCode::SUCCESS,
        Ok(_) => DIFFERS.into(),
        Err(error) => {
            eprintln!("maybug: {error:#}");
            FAILED.into()
        }
    }
}

async fn replay(args: &ReplayArgs) -> anyhow::Result<Summary> {
    let conversations = chosen(args)?;
    let alone: Vec<Conversation> = conversations.iter().map(|(_, conversation)| conversation.clone()).collect();
    let ids = Arc::new(Mutex::new(Ids::of(&alone)));
    let options = Options { pace: args.speed, window: args.window, patience: args.timeout };
    let begun = Instant::now();
    let count = conversations.len();
    let (role, played) = match (&args.to, args.listen) {
        (Some(to), _) => (Role::Esme, play_esmes(args, to, conversations, &options, ids).await),
        (None, Some(address)) => {
            let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
            let local = listener.local_addr()?;
            match args.json {
                true => println!("{}", serde_json::json!({"event": "listening", "address": local.to_string()})),
                false => println!("listening on {local}"),
            }
            (Role::Smsc, play_smsc(args, &listener, &conversations, &options, ids).await)
        }
        (None, None) => bail!("give --to or --listen"),
    };
    let (summary, failure) = played;
    let took = begun.elapsed();
    match args.json {
        true => println!("{}", replay_text::summary_object(&summary, count, took)),
        false => println!("{}", replay_text::summary(&summary, role, count, took)),
    }
    failure.map_or(Ok(summary), Err)
}

/// The conversations to play, and their numbers in the capture.
fn chosen(args: &ReplayArgs) -> anyhow::Result<Vec<(usize, Conversation)>> {
    let conversations = super::capture::conversations(&args.file)?;
    let there = conversations.len();
    let mut numbered: Vec<(usize, Conversation)> = (1..).zip(conversations).collect();
    if let Some(wanted) = args.conversation {
        numbered.retain(|(number, _)| *number == wanted);
        if numbered.is_empty() {
            bail!("there is no conversation {wanted}: the capture has {there}");
        }
    } else if args.listen.is_some() && there > 1 {
        bail!("the capture has {there} conversations; choose the one to play with --conversation");
    }
    Ok(numbered)
}

type Played = (Summary, Option<anyhow::Error>);

async fn play_smsc(
    args: &ReplayArgs,
    listener: &TcpListener,
    conversations: &[(usize, Conversation)],
    options: &Options,
    ids: Arc<Mutex<Ids>>,
) -> Played {
    let Some((number, conversation)) = conversations.first() else { return Default::default() };
    let plan = Plan::new(conversation, *number, Role::Smsc, &locked(&ids));
    let json = args.json;
    match as_smsc(plan, listener, options, ids, |difference| show(json, &difference)).await {
        Ok(summary) => (summary, None),
        Err(error) => (Summary::default(), Some(error.into())),
    }
}

async fn play_esmes(
    args: &ReplayArgs,
    to: &str,
    conversations: Vec<(usize, Conversation)>,
    options: &Options,
    ids: Arc<Mutex<Ids>>,
) -> Played {
    let smsc = match endpoint(to) {
        Ok(smsc) => Arc::new(smsc),
        Err(error) => return (Summary::default(), Some(error.context(format!("--to {to}")))),
    };
    let start = |conversation: &Conversation| conversation.pdus.first().map(|captured| captured.at).unwrap_or_default();
    let first = conversations.iter().map(|(_, conversation)| start(conversation)).min().unwrap_or_default();
    let (mut summary, mut failure) = (Summary::default(), None);
    let mut tasks: JoinSet<Result<Summary, ReplayError>> = JoinSet::new();
    for (number, conversation) in conversations {
        let mut plan = Plan::new(&conversation, number, Role::Esme, &locked(&ids));
        if let Err(error) = credentials(args, &mut plan) {
            return (summary, Some(error));
        }
        let (smsc, options, ids, json) = (smsc.clone(), options.clone(), ids.clone(), args.json);
        let later: Duration = options.pace.scaled(start(&conversation).saturating_sub(first));
        tasks.spawn(async move {
            tokio::time::sleep(later).await;
            as_esme(plan, &smsc, &options, ids, |difference| show(json, &difference)).await
        });
    }
    while let Some(done) = tasks.join_next().await {
        match done {
            Ok(Ok(played)) => summary += played,
            Ok(Err(error)) => failure = Some(explained(error)),
            Err(error) => failure = Some(anyhow!("a conversation could not be played: {error}")),
        }
    }
    (summary, failure)
}

fn explained(error: ReplayError) -> anyhow::Error {
    match &error {
        ReplayError::NotBound { why: CloseReason::BindRefused(status), conversation } => {
            anyhow!("the SMSC refused the bind of conversation {conversation} with {}", explain(*status, Refused::Bind))
        }
        _ => error.into(),
    }
}

fn locked(ids: &Mutex<Ids>) -> std::sync::MutexGuard<'_, Ids> {
    // Ids are whole after each change.
    ids.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn credentials(args: &ReplayArgs, plan: &mut Plan) -> anyhow::Result<()> {
    if let Some(system_id) = &args.system_id {
        plan.bind.system_id = system_id.as_str().try_into().context("--system-id")?;
    }
    if let Some(password) = &args.password {
        // Longer than the standard allows, which some SMSCs do.
        plan.bind.password = Password(CString::oversize(password.clone()).context("--password")?);
    }
    Ok(())
}

/// `HOST:PORT`, or an endpoint as channels have them.
fn endpoint(text: &str) -> anyhow::Result<Endpoint> {
    let named = ["tcp:", "ssl:", "tls:"].iter().any(|scheme| text.starts_with(scheme));
    let endpoint = if named {
        EndpointText::parse(text).map_err(anyhow::Error::msg)?
    } else {
        let (host, port) = text.rsplit_once(':').context("expected HOST:PORT")?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        EndpointText::tcp(host, port.parse().with_context(|| format!("{port:?} is no port"))?)
    };
    Ok(endpoint.open()?)
}

fn show(json: bool, difference: &Difference) {
    let line = match json {
        true => replay_text::object(difference).to_string(),
        false => replay_text::line(difference),
    };
    // Who closed our output wants no more lines; the exit status still tells.
    let _ = writeln!(std::io::stdout(), "{line}");
}
