//! IP packets put together of their fragments.
//!
//! Bounded: so many packets, of so many pieces each, for so long. What does not come together is given up and counted.

use std::collections::HashMap;
use std::time::Duration;

use etherparse::defrag::IpDefragBuf;

use super::link::{Fragment, PacketId};

/// Packets that wait for their other pieces; each is of 64 KiB at most.
const MOST_PACKETS: usize = 256;
/// Pieces of a packet that lie apart: as many as 64 KiB in packets of 576 octets have, and then some.
const MOST_PIECES: usize = 256;
/// How long a packet waits for its pieces (RFC 8200 §4.5).
const PATIENCE: Duration = Duration::from_secs(60);

/// See the file's head.
#[derive(Default)]
pub(super) struct Fragments {
    waiting: HashMap<PacketId, Waiting>,
    /// Packets of which a piece has ever come.
    began: u64,
    /// Packets that have not come together.
    pub(super) given_up: u64,
}

struct Waiting {
    pieces: IpDefragBuf,
    /// How many packets had begun before it.
    order: u64,
    since: Duration,
}

impl Fragments {
    /// Takes a piece; the packet's payload when it was the last that was missing.
    pub(super) fn push(&mut self, at: Duration, fragment: &Fragment<'_>) -> Option<Vec<u8>> {
        let id = fragment.packet;
        // Identifications come again.
        if self.waiting.get(&id).is_some_and(|waiting| at.saturating_sub(waiting.since) > PATIENCE) {
            self.give_up(&id);
        }
        if !self.waiting.contains_key(&id) && self.waiting.len() >= MOST_PACKETS {
            let oldest = self.waiting.iter().min_by_key(|(_, waiting)| waiting.order).map(|(id, _)| *id);
            oldest.iter().for_each(|id| self.give_up(id));
        }
        let waiting = self.waiting.entry(id).or_insert_with(|| {
            self.began += 1;
            Waiting { pieces: IpDefragBuf::new(id.protocol, Vec::new(), Vec::new()), order: self.began, since: at }
        });
        let added = waiting.pieces.add(fragment.offset, fragment.more, fragment.payload);
        if added.is_err() || waiting.pieces.sections().len() > MOST_PIECES {
            self.give_up(&id);
            return None;
        }
        if !waiting.pieces.is_complete() {
            return None;
        }
        self.waiting.remove(&id).map(|waiting| waiting.pieces.take_bufs().0)
    }

    /// No more will come.
    pub(super) fn finish(&mut self) {
        self.given_up += self.waiting.len() as u64;
        self.waiting.clear();
    }

    fn give_up(&mut self, id: &PacketId) {
        self.given_up += u64::from(self.waiting.remove(id).is_some());
    }
}
