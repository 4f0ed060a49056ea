//! What a start reads: per lane its marks and what was final above its floor.
//!
//! The cost is bound by the number of lanes and by what was in flight, not by what is stored or waits.

use std::collections::BTreeSet;

use super::keys::{self, Kind, table};
use super::lane::Recovered;
use super::lanes::Lanes;
use super::tables::{Keyspaces, ORDINAL, get, unreadable};
use crate::store::{ReadError, Ticket};

impl Keyspaces {
    /// Rebuilds the lanes. After an end in order only `known` entries are suspected of having been sent.
    pub(super) fn recover(&self, lanes: &Lanes, known: Option<&BTreeSet<Ticket>>) -> Result<(), ReadError> {
        let prefix = keys::meta(table::LANE, &[]);
        for guard in self.meta.prefix(&prefix) {
            let (key, name) = guard.into_inner().map_err(|error| unreadable(&error))?;
            let number = key.get(prefix.len()..).and_then(|key| key.try_into().ok()).map(u32::from_be_bytes);
            let (Some(number), Ok(name)) = (number, std::str::from_utf8(&name)) else { continue };
            let handed_saved = self.mark(table::HANDED, number)?;
            let suspect = if known.is_some() { 0 } else { handed_saved };
            let mut recovered = Recovered { handed_saved, suspect, ..self.lane(number)? };
            let mine = Ticket { lane: number, seq: 0 }..=Ticket { lane: number, seq: u64::MAX };
            recovered.known = match known {
                Some(known) => known.range(mine).map(|known| known.seq).collect(),
                // They may have been handed out before their turn, and the mark says nothing of them.
                None => recovered.references.clone(),
            };
            lanes.restore(number, name).state().recover(recovered);
        }
        lanes.restored();
        Ok(())
    }

    /// A number above that of every event recorded so far.
    pub(super) fn ordinal(&self) -> Result<u64, ReadError> {
        Ok(number(get(&self.meta, &keys::meta(table::STORE, ORDINAL))?.as_deref()))
    }

    fn lane(&self, lane: u32) -> Result<Recovered, ReadError> {
        let void = get(&self.meta, &keys::meta(table::VOID, &lane.to_be_bytes()))?;
        let closed = void.as_deref().and_then(|mark| mark.get(8)) == Some(&1);
        let void_unplaced = number(void.as_deref().and_then(|mark| mark.get(9..)));
        let void = number(void.as_deref());
        let floor = self.mark(table::FLOOR, lane)?.max(void);
        let last = self.msg.prefix(lane.to_be_bytes()).next_back().map(fjall::Guard::key).transpose();
        let last = last.map_err(|error| unreadable(&error))?.and_then(|key| keys::ticket(&key));
        let next = last.map_or(floor, |ticket| floor.max(ticket.seq + 1));
        let later = self.mark(table::LATER, lane)?;
        let mut recovered = Recovered { floor, next, later, void, void_unplaced, closed, ..Recovered::default() };
        self.fates(lane, &mut recovered)?;
        Ok(recovered)
    }

    fn mark(&self, table: &str, lane: u32) -> Result<u64, ReadError> {
        Ok(number(get(&self.meta, &keys::meta(table, &lane.to_be_bytes()))?.as_deref()))
    }

    /// What became of entries at or above the floor.
    fn fates(&self, lane: u32, recovered: &mut Recovered) -> Result<(), ReadError> {
        let from = keys::fate(Ticket { lane, seq: recovered.floor }, 0).to_vec();
        let to = keys::fate(Ticket { lane, seq: u64::MAX }, u64::MAX).to_vec();
        for guard in self.fate.range(from..=to) {
            let (key, value) = guard.into_inner().map_err(|error| unreadable(&error))?;
            match (keys::ticket(&key), keys::open(&value)) {
                (Some(ticket), Some((Kind::Final | Kind::Moved, _))) => {
                    recovered.finals.insert(ticket.seq);
                }
                (Some(ticket), Some((Kind::Attempts, content))) => {
                    let (attempts, reference) = keys::read_attempts(content);
                    recovered.attempts.insert(ticket.seq, attempts);
                    if reference {
                        recovered.references.insert(ticket.seq);
                    }
                }
                _ => {}
            }
        }
        let finals = &recovered.finals;
        recovered.attempts.retain(|seq, _| !finals.contains(seq));
        recovered.references.retain(|seq| !finals.contains(seq));
        Ok(())
    }
}

/// A mark's number; zero when there is none yet.
fn number(mark: Option<&[u8]>) -> u64 {
    mark.and_then(|mark| mark.first_chunk().copied()).map_or(0, u64::from_be_bytes)
}
