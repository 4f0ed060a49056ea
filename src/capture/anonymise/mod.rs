//! A capture that can be given away: the same conversations with other people in them, saying other things.
//!
//! What changes: numbers and senders, texts, credentials, message ids, dates, IP addresses. What stays: commands,
//! statuses, sequence numbers, lengths, flags, alphabets, headers of segments, tags of parameters, times between PDUs,
//! ports, and which receipt belongs to which message. The same original always becomes the same other.

mod alike;
mod disguise;
mod keyed;
mod message_ids;
mod names;

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use aho_corasick::AhoCorasick;
use bytes::BytesMut;

use self::disguise::Disguise;
use self::keyed::Key;
use self::message_ids::Relations;
use super::conversation::{CapturedPdu, Conversation};
use super::rewrite::rewrite;

/// What has become of a capture.
#[derive(Clone, Debug, PartialEq)]
pub struct Anonymised {
    /// Its conversations, in the same order.
    pub conversations: Vec<Conversation>,
    /// Originals of four characters or more that are still to be found somewhere in them: by coincidence, because
    /// short ones are many, or because receipts are written so (`stat`).
    pub leftovers: Vec<Vec<u8>>,
}

/// How often another result is tried for when originals are left in one.
const ATTEMPTS: u32 = 8;

/// Conversations with other names and texts. The same seed makes the same of the same; it is to be kept secret, for
/// whoever has it can try which number has become which.
#[must_use]
pub fn anonymise(conversations: &[Conversation], seed: &str) -> Anonymised {
    let relations = Relations::of(conversations);
    let nothing = HashSet::new();
    // What there is to replace shows itself when it is replaced.
    let mut rehearsal = Disguise::new(Key::new(seed, 0), &relations, &nothing);
    for captured in conversations.iter().flat_map(|conversation| &conversation.pdus) {
        rewrite(&captured.raw, &mut rehearsal);
    }
    let originals = rehearsal.originals;
    let search = Search::new(&originals);
    let mut best: Option<Anonymised> = None;
    for attempt in 0..ATTEMPTS {
        let mut disguise = Disguise::new(Key::new(seed, attempt), &relations, &originals);
        let mut hosts = Hosts::default();
        let conversations: Vec<Conversation> =
            conversations.iter().map(|conversation| disguised(conversation, &mut disguise, &mut hosts)).collect();
        let leftovers = search.leftovers(&conversations);
        if best.as_ref().is_none_or(|best| leftovers.len() < best.leftovers.len()) {
            best = Some(Anonymised { conversations, leftovers });
        }
        if best.as_ref().is_some_and(|best| best.leftovers.is_empty()) {
            break;
        }
    }
    best.unwrap_or_else(|| Anonymised { conversations: Vec::new(), leftovers: Vec::new() })
}

fn disguised(conversation: &Conversation, disguise: &mut Disguise<'_>, hosts: &mut Hosts) -> Conversation {
    let pdus =
        conversation.pdus.iter().map(|captured| CapturedPdu { raw: rewrite(&captured.raw, disguise), ..*captured });
    Conversation { esme: hosts.other(conversation.esme), smsc: hosts.other(conversation.smsc), pdus: pdus.collect() }
}

/// Hosts in the order in which they are met, as addresses that belong to nobody.
#[derive(Default)]
struct Hosts(HashMap<IpAddr, IpAddr>);

impl Hosts {
    fn other(&mut self, address: SocketAddr) -> SocketAddr {
        let number = u16::try_from(self.0.len() + 1).unwrap_or(u16::MAX);
        let [high, low] = number.to_be_bytes();
        let other = *self.0.entry(address.ip()).or_insert_with(|| match address.ip() {
            // RFC 2544: for benchmarks, never routed.
            IpAddr::V4(_) => Ipv4Addr::new(198, 18, high, low).into(),
            // RFC 3849: for documentation.
            IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number).into(),
        });
        SocketAddr::new(other, address.port())
    }
}

/// Looks for originals.
struct Search {
    originals: Vec<Vec<u8>>,
    automaton: Option<AhoCorasick>,
}

/// Words of receipts, which say nothing about anybody.
const VOCABULARY: &str = "id: sub:001 dlvrd:001 submit date: done date: stat: DELIVRD EXPIRED DELETED UNDELIV ACCEPTD UNKNOWN REJECTD err:000 text:";

impl Search {
    fn new(originals: &HashSet<Vec<u8>>) -> Self {
        let said = |original: &&Vec<u8>| !std::str::from_utf8(original).is_ok_and(|word| VOCABULARY.contains(word));
        let mut originals: Vec<Vec<u8>> = originals.iter().filter(said).cloned().collect();
        originals.sort_unstable();
        // It fails on more patterns than memory holds; then nothing is looked for, and everything still replaced.
        let automaton = AhoCorasick::new(&originals).ok();
        Self { originals, automaton }
    }

    fn leftovers(&self, conversations: &[Conversation]) -> Vec<Vec<u8>> {
        let Some(automaton) = &self.automaton else { return Vec::new() };
        let mut found = HashSet::new();
        let mut octets = BytesMut::new();
        for captured in conversations.iter().flat_map(|conversation| &conversation.pdus) {
            octets.clear();
            captured.raw.encode(&mut octets);
            found.extend(automaton.find_overlapping_iter(&octets[..]).map(|found| found.pattern().as_usize()));
        }
        let mut found: Vec<usize> = found.into_iter().collect();
        found.sort_unstable();
        found.into_iter().filter_map(|index| self.originals.get(index).cloned()).collect()
    }
}
