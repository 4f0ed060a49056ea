//! Lines, into an empty place: in batches, of which each engine knows the last that it has, so that an import that was broken
//! off goes on where it was. Until what is there has been counted again, no server starts on it.

use std::io::{BufRead, Read};
use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;

use super::{Counts, End, FORMAT, Head, Lines, MovingError, Tail, VERSION, check_in_order, count, hexadecimal};
use crate::store::{CommitError, Contents, OpenError, Record, Restored, Store, StoreConfig};

/// Records in a batch.
const BATCH: usize = 256;
/// Octets after which one ends.
const OCTETS: usize = 4 * 1024 * 1024;
/// Octets that a line may have: more than any record has.
const LINE: u64 = 64 * 1024 * 1024;
/// How long a write that is refused, as by a Redis without memory, is repeated at least.
const PATIENCE: Duration = Duration::from_secs(10);

/// What an import does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It writes what it is given.
    Restoring,
    /// It counts what is there then.
    ReadingBack,
}

/// Restores what `input` has; tells now and then how much that is so far. What there is then.
///
/// # Errors
/// [`MovingError`]; no server starts on what is there then, and the same import can be run again.
pub async fn import(
    input: &mut impl BufRead,
    config: &StoreConfig,
    mut tell: impl FnMut(Step, &Counts),
) -> Result<Counts, MovingError> {
    let mut first = Vec::new();
    input.by_ref().take(LINE).read_until(b'\n', &mut first)?;
    let head: Head = serde_json::from_slice(&first).map_err(|_| MovingError::Format)?;
    if head.format != FORMAT {
        return Err(MovingError::Format);
    }
    if head.version != VERSION {
        return Err(MovingError::Version(head.version));
    }
    check_place(config).await?;
    // Whoever runs on it later decides how long things are kept.
    let kept = Duration::MAX;
    let config = &StoreConfig { unfinished: true, retention: kept, correlation_retention: kept, ..config.clone() };
    let store = Store::open(config).await?;
    let restored = restore(input, &store, |counts| tell(Step::Restoring, counts)).await;
    // In order: what may have been sent is known by that.
    store.close().await;
    let End { counts, .. } = restored?;
    let found = match Contents::open(config).await? {
        Some(contents) => count(contents, |counts| tell(Step::ReadingBack, counts)).await?,
        None => Counts::default(),
    };
    let differences = counts.differences(&found);
    if !differences.is_empty() {
        let words = differences.into_iter().map(|(kind, channel, said, found)| match &*channel {
            "" => format!("{kind}: {said} exported, {found} found"),
            channel => format!("{kind} of {channel}: {said} exported, {found} found"),
        });
        return Err(MovingError::Differs(words.collect::<Vec<_>>().join("; ")));
    }
    let store = Store::open(config).await?;
    let ended = unless_refused(&store, store.restore_ended()).await;
    store.close().await;
    ended?;
    Ok(found)
}

/// That there is nothing, or the beginning of an import.
async fn check_place(config: &StoreConfig) -> Result<(), MovingError> {
    let mut contents = match Contents::open(config).await {
        Ok(Some(contents)) => contents,
        Ok(None) | Err(OpenError::Unfinished) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    check_in_order(&contents)?;
    if contents.was_used() {
        return Err(MovingError::NotEmpty);
    }
    while let Some(records) = contents.next().await? {
        if !records.is_empty() {
            return Err(MovingError::NotEmpty);
        }
    }
    Ok(())
}

/// Restores all lines but the first; what the last says.
async fn restore(input: &mut impl BufRead, store: &Store, mut tell: impl FnMut(&Counts)) -> Result<End, MovingError> {
    let done = unless_refused(store, store.restore_begun()).await?;
    let (mut lines, mut counts) = (Lines::default(), Counts::default());
    let (mut batch, mut octets) = (Vec::new(), 0);
    let mut line = Vec::new();
    loop {
        line.clear();
        input.by_ref().take(LINE).read_until(b'\n', &mut line)?;
        match line.last() {
            Some(b'\n') => {}
            Some(_) if u64::try_from(line.len()) == Ok(LINE) => return Err(MovingError::Damaged),
            _ => return Err(MovingError::Truncated(lines.count)),
        }
        let said = |source| MovingError::Line { line: lines.count + 2, source };
        if line.starts_with(br#"{"end":"#) {
            let Tail { end } = serde_json::from_slice(&line).map_err(said)?;
            write(store, &mut batch, &lines.mark(), done).await?;
            let mark = lines.mark();
            let whole = end.records == mark.line && end.sha256 == hexadecimal(&mark.digest) && end.counts == counts;
            if done.is_some_and(|done| done.line > mark.line) {
                return Err(MovingError::Other);
            }
            return if whole { Ok(end) } else { Err(MovingError::Damaged) };
        }
        let record: Record = serde_json::from_slice(&line).map_err(said)?;
        // An id of a provider's leads to a message that is there.
        let turns = |last: &Record| is_correlation(&record) && !is_correlation(last);
        if batch.len() == BATCH || octets >= OCTETS || batch.last().is_some_and(turns) {
            write(store, &mut batch, &lines.mark(), done).await?;
            tell(&counts);
            octets = 0;
        }
        octets += line.len();
        lines.add(&line);
        counts.add(&record);
        batch.push(record);
    }
}

/// Restores a batch, unless that was done before.
async fn write(
    store: &Store,
    batch: &mut Vec<Record>,
    mark: &Restored,
    done: Option<Restored>,
) -> Result<(), MovingError> {
    let records = std::mem::take(batch);
    let first = mark.line.saturating_sub(u64::try_from(records.len()).unwrap_or(u64::MAX));
    match done {
        Some(done) if mark.line < done.line => return Ok(()),
        // Batches of the same records end at the same places.
        Some(done) if first < done.line && *mark != done => return Err(MovingError::Other),
        _ => {}
    }
    unless_refused(store, store.restore(records, mark)).await
}

/// Waits until it is written, unless that is refused again and again: a place that is full does not become empty.
async fn unless_refused<T>(
    store: &Store,
    writing: impl Future<Output = Result<T, CommitError>>,
) -> Result<T, MovingError> {
    let mut writing = pin!(writing);
    loop {
        if let Ok(written) = timeout(PATIENCE, &mut writing).await {
            return Ok(written?);
        }
        store.health().map_err(CommitError::NotReady)?;
    }
}

fn is_correlation(record: &Record) -> bool {
    matches!(record, Record::Correlation { .. })
}
