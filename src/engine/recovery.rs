//! What a start reads: per lane its marks and what was final above its floor.
//!
//! The cost is bound by the number of lanes and by what was in flight, not by what is stored or waits.

use std::collections::BTreeSet;

use super::keys::{self, Kind, table};
use super::lane::Recovered;
use super::lanes::Lanes;
use super::records::ORDINAL;
use super::rows::{Rows, Span, Table};
use crate::store::{ReadError, Ticket};

impl Rows {
    /// Rebuilds the lanes. After an end in order only `known` entries are suspected of having been sent, and after a run that
    /// could hand out nothing (`idle`) only those that say so themselves.
    pub(super) async fn recover(
        &self,
        lanes: &Lanes,
        known: Option<&BTreeSet<Ticket>>,
        idle: bool,
    ) -> Result<(), ReadError> {
        let prefix = keys::meta(table::LANE, &[]);
        for (key, name) in self.all(Table::Meta, Span::of(&prefix[..])).await? {
            let number = key.get(prefix.len()..).and_then(|key| key.try_into().ok()).map(u32::from_be_bytes);
            let (Some(number), Ok(name)) = (number, std::str::from_utf8(&name)) else { continue };
            let handed_saved = self.lane_mark(table::HANDED, number).await?;
            let suspect = if known.is_some() || idle { 0 } else { handed_saved };
            let mut recovered = Recovered { handed_saved, suspect, ..self.lane(number).await? };
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
    pub(super) async fn ordinal(&self) -> Result<u64, ReadError> {
        Ok(number(self.get(Table::Meta, &keys::meta(table::STORE, ORDINAL)).await?.as_deref()))
    }

    async fn lane(&self, lane: u32) -> Result<Recovered, ReadError> {
        let void = self.get(Table::Meta, &keys::meta(table::VOID, &lane.to_be_bytes())).await?;
        let closed = void.as_deref().and_then(|mark| mark.get(8)) == Some(&1);
        let void_unplaced = number(void.as_deref().and_then(|mark| mark.get(9..)));
        let void = number(void.as_deref());
        let floor = self.lane_mark(table::FLOOR, lane).await?.max(void);
        let last = self.last(Table::Msg, &Span::of(lane.to_be_bytes()), 1).await?;
        let last = last.first().and_then(|(key, _)| keys::ticket(key));
        let next = last.map_or(floor, |ticket| floor.max(ticket.seq + 1));
        let later = self.lane_mark(table::LATER, lane).await?;
        let mut recovered = Recovered { floor, next, later, void, void_unplaced, closed, ..Recovered::default() };
        self.fates(lane, &mut recovered).await?;
        Ok(recovered)
    }

    async fn lane_mark(&self, table: &str, lane: u32) -> Result<u64, ReadError> {
        Ok(number(self.get(Table::Meta, &keys::meta(table, &lane.to_be_bytes())).await?.as_deref()))
    }

    /// What became of entries at or above the floor.
    async fn fates(&self, lane: u32, recovered: &mut Recovered) -> Result<(), ReadError> {
        let above = Span {
            from: keys::fate(Ticket { lane, seq: recovered.floor }, 0).to_vec(),
            ..Span::of(lane.to_be_bytes())
        };
        for (key, value) in self.all(Table::Fate, above).await? {
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
