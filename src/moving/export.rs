//! A store's records, as lines.

use std::io::Write;

use super::{Counts, End, FORMAT, Head, Lines, MovingError, Tail, VERSION, hexadecimal};
use crate::model::Timestamp;
use crate::store::Contents;

/// Writes all that a store has; tells now and then how much that is so far.
///
/// # Errors
/// [`MovingError`]; what has been written then is no whole export.
pub async fn export(
    mut contents: Contents,
    out: &mut impl Write,
    mut tell: impl FnMut(&Counts),
) -> Result<Counts, MovingError> {
    let head = Head {
        format: FORMAT.to_owned(),
        version: VERSION,
        at: Timestamp::now().to_string(),
        by: env!("CARGO_PKG_VERSION").to_owned(),
    };
    out.write_all(&line(&head)?)?;
    let (mut counts, mut lines) = (Counts::default(), Lines::default());
    while let Some(records) = contents.next().await? {
        for record in &records {
            let line = line(record)?;
            lines.add(&line);
            counts.add(record);
            out.write_all(&line)?;
        }
        tell(&counts);
    }
    let end = End { records: lines.count, counts, sha256: hexadecimal(&lines.mark().digest) };
    let tail = Tail { end };
    out.write_all(&line(&tail)?)?;
    out.flush()?;
    Ok(tail.end.counts)
}

/// How much a store has.
///
/// # Errors
/// [`MovingError::Read`].
pub async fn count(mut contents: Contents, mut tell: impl FnMut(&Counts)) -> Result<Counts, MovingError> {
    let mut counts = Counts::default();
    while let Some(records) = contents.next().await? {
        records.iter().for_each(|record| counts.add(record));
        tell(&counts);
    }
    Ok(counts)
}

/// That nobody writes a store where no lock says so.
///
/// # Errors
/// [`MovingError::InUse`].
pub fn check_in_order(contents: &Contents) -> Result<(), MovingError> {
    match contents.holder() {
        Some(holder) => Err(MovingError::InUse { holder: holder.to_owned() }),
        None => Ok(()),
    }
}

/// Something as one line.
fn line(what: &impl serde::Serialize) -> std::io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(what)?;
    // Texts have none: these lie between the parts of a body that somebody has written over several lines.
    line.iter_mut().filter(|octet| matches!(octet, b'\n' | b'\r')).for_each(|octet| *octet = b' ');
    line.push(b'\n');
    Ok(line)
}
