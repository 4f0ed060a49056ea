//! `maybug export store` and `maybug import`: all that a stopped server has, as a file, and back into a directory or a Redis.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, BufRead, BufReader, BufWriter};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::Context;
use serde_json::json;

use super::args::{ExportStoreArgs, ImportArgs, StorePlace};
use super::progress::Progress;
use crate::config::LogFormat;
use crate::moving::{self, Counts, MovingError, Step};
use crate::store::{Contents, OpenError, StoreConfig};
use crate::telemetry::log::ProcessLog;

/// Who may read what has secrets in it.
const OWNER: u32 = 0o600;
/// How the bar looks.
const BAR: &str = "{spinner} {human_pos} records, {per_sec}";

pub(super) async fn export(args: ExportStoreArgs) -> anyhow::Result<()> {
    let config = config(&args.place)?;
    let contents = Contents::open(&config).await.map_err(stopped)?.ok_or(MovingError::Nothing)?;
    if !args.crashed {
        let forgotten = |error| anyhow::anyhow!("{error}, or say --crashed if nobody will ever use it again");
        moving::check_in_order(&contents).map_err(forgotten)?;
    }
    let mut progress = Progress::new(args.json, BAR);
    let tell = |counts: &Counts| told(&mut progress, "exported", counts);
    let counts = match args.output.as_deref() {
        Some(path) => into_file(path, contents, tell).await?,
        None => moving::export(contents, &mut BufWriter::new(io::stdout().lock()), tell).await?,
    };
    let total = counts.total();
    progress.end(json!({"exported": total, "counts": counts, "done": true}), || {
        format!("{total} records exported{}", by_kind(&counts))
    });
    Ok(())
}

pub(super) async fn import(args: ImportArgs) -> anyhow::Result<()> {
    // What is wrong with the place, such as a Redis that forgets: it is told while there is a choice.
    let format = if args.json { LogFormat::Json } else { LogFormat::Text };
    ProcessLog { format, filter: "warn", standard_error: true, file: None }.start()?;
    let config = config(&args.place)?;
    let mut input: Box<dyn BufRead> = match args.file.to_str() {
        Some("-") => Box::new(BufReader::new(io::stdin())),
        _ => {
            let file = File::open(&args.file).with_context(|| args.file.display().to_string())?;
            Box::new(BufReader::new(file))
        }
    };
    let mut progress = Progress::new(args.json, BAR);
    let tell = |step, counts: &Counts| match step {
        Step::Restoring => told(&mut progress, "imported", counts),
        Step::ReadingBack => told(&mut progress, "found", counts),
    };
    let imported = moving::import(&mut input, &config, tell).await;
    let counts = match imported {
        Err(MovingError::Open(error)) => return Err(stopped(error)),
        imported => imported?,
    };
    // They are the same, or it would have failed.
    let total = counts.total();
    progress.end(json!({"imported": total, "found": total, "counts": counts, "done": true}), || {
        format!("{total} records imported, {total} found there{}", by_kind(&counts))
    });
    Ok(())
}

fn config(place: &StorePlace) -> anyhow::Result<StoreConfig> {
    let redis = match (&place.data, &place.redis) {
        (None, None) => {
            let from_environment = std::env::var("MAYBUG_REDIS").ok();
            Some(from_environment.context("say where the store is: --data DIR, or --redis URL, or MAYBUG_REDIS")?)
        }
        (_, redis) => redis.clone(),
    };
    let redis = redis.map(|url| url.parse()).transpose().context("the URL of the Redis")?;
    Ok(StoreConfig { path: place.data.clone().unwrap_or_default(), redis, ..StoreConfig::default() })
}

/// An earlier export is given up once this one is whole.
async fn into_file(path: &Path, contents: Contents, tell: impl FnMut(&Counts)) -> anyhow::Result<Counts> {
    if path.exists() && !path.is_file() {
        return Ok(moving::export(contents, &mut BufWriter::new(create(path)?), tell).await?);
    }
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = Path::new(&part);
    let file = create(part)?;
    let exported = async {
        let counts = moving::export(contents, &mut BufWriter::new(&file), tell).await?;
        file.sync_all()?;
        std::fs::rename(part, path)?;
        Ok::<_, MovingError>(counts)
    };
    let exported = exported.await;
    if exported.is_err() {
        // It has secrets in it, and is of no use.
        let _ = std::fs::remove_file(part);
    }
    exported.with_context(|| path.display().to_string())
}

/// A file that only its owner can read, whoever could read what it was before.
fn create(path: &Path) -> anyhow::Result<File> {
    let open = || {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(OWNER).open(path)?;
        if file.metadata()?.is_file() {
            file.set_permissions(Permissions::from_mode(OWNER))?;
        }
        Ok::<_, io::Error>(file)
    };
    open().with_context(|| path.display().to_string())
}

/// What to do about a place that cannot be opened.
fn stopped(error: OpenError) -> anyhow::Error {
    match error {
        OpenError::Locked { .. } => anyhow::anyhow!("{error}. Stop the server first"),
        error => error.into(),
    }
}

fn told(progress: &mut Progress, done: &str, counts: &Counts) {
    let total = counts.total();
    progress.tell(total, "", || json!({done: total, "counts": counts}), || format!("{total} records {done}"));
}

/// How many of each kind, as the rest of a sentence.
fn by_kind(counts: &Counts) -> String {
    let kinds: Vec<_> = counts.0.keys().map(|kind| format!("{kind} {}", counts.of(kind))).collect();
    if kinds.is_empty() { String::new() } else { format!(": {}", kinds.join(", ")) }
}
