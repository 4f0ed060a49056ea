//! Every key layout and record format of the embedded engine, and their version.
//!
//! Keys are big endian, so that a lane's entries lie in the order of their numbers. Each value begins with a format
//! octet and the second it was written in, which is what retention goes by; the rest is the record as JSON, which can
//! grow fields without a migration.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::order::Order;
use crate::model::{ChannelId, MessageId, SmscMessageId, Timestamp};
use crate::store::Ticket;

/// Version of everything in this file; a store of another version is refused at start.
pub(super) const FORMAT: u8 = 3;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A record as JSON.
    Record,
    /// A queue entry that stands for an earlier one: its ticket, the number of attempts so far, its record. The record
    /// is repeated because the earlier one may be past its retention by then.
    Reference,
    /// A queue entry's end, with or without an event.
    Final,
    /// A queue entry that has left its place for a long delay.
    Moved,
    /// How often a queue entry has been tried so far.
    Attempts,
    /// When a queue entry is not worth anything any more.
    Expiry,
}

impl Kind {
    const fn octet(self) -> u8 {
        match self {
            Self::Record => b'r',
            Self::Reference => b'R',
            Self::Final => b'f',
            Self::Moved => b'm',
            Self::Attempts => b'a',
            Self::Expiry => b'e',
        }
    }

    const fn of(octet: u8) -> Option<Self> {
        match octet {
            b'r' => Some(Self::Record),
            b'R' => Some(Self::Reference),
            b'f' => Some(Self::Final),
            b'm' => Some(Self::Moved),
            b'a' => Some(Self::Attempts),
            b'e' => Some(Self::Expiry),
            _ => None,
        }
    }
}

/// Octets before a value's content.
const HEAD: usize = 5;

/// A value: head and content.
pub(super) fn value(kind: Kind, at: Timestamp, content: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(HEAD + content.len());
    head(&mut octets, kind, at);
    octets.extend_from_slice(content);
    octets
}

/// A value whose content is a record.
///
/// # Errors
/// serde's, for a record that JSON cannot say.
pub(super) fn record<T: Serialize>(kind: Kind, at: Timestamp, record: &T) -> serde_json::Result<Vec<u8>> {
    let mut octets = Vec::with_capacity(512);
    head(&mut octets, kind, at);
    serde_json::to_writer(&mut octets, record)?;
    Ok(octets)
}

fn head(octets: &mut Vec<u8>, kind: Kind, at: Timestamp) {
    octets.push(kind.octet());
    octets.extend_from_slice(&seconds(at).to_be_bytes());
}

fn seconds(at: Timestamp) -> u32 {
    u32::try_from(at.0 / 1_000_000).unwrap_or_default()
}

/// A value's kind and content.
pub(super) fn open(value: &[u8]) -> Option<(Kind, &[u8])> {
    Some((Kind::of(*value.first()?)?, value.get(HEAD..)?))
}

/// A value's record, if it has one.
pub(super) fn read<T: DeserializeOwned>(value: &[u8]) -> Option<T> {
    let (Kind::Record | Kind::Final, content) = open(value)? else { return None };
    serde_json::from_slice(content).ok()
}

/// How often an entry was tried, and whether it may have reached its receiver by that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Tries {
    /// At most 2^31 - 1 are kept.
    pub(super) attempts: u32,
    pub(super) possible_duplicate: bool,
}

/// The bit of the number of attempts that says so.
const POSSIBLE_DUPLICATE: u32 = 1 << 31;

/// The content of a reference.
pub(super) fn reference(origin: Ticket, tries: Tries, record: &[u8]) -> Vec<u8> {
    let flag = if tries.possible_duplicate { POSSIBLE_DUPLICATE } else { 0 };
    let attempts = tries.attempts.min(POSSIBLE_DUPLICATE - 1) | flag;
    [&entry(origin)[..], &attempts.to_be_bytes(), record].concat()
}

/// A queue entry's record as JSON, where it first was, how often it was tried; `None` for anything else.
pub(super) fn queued(ticket: Ticket, value: &[u8]) -> Option<(Ticket, Tries, &[u8])> {
    match open(value)? {
        (Kind::Record, record) => Some((ticket, Tries::default(), record)),
        (Kind::Reference, content) => {
            let tried = attempts(content.get(12..)?)?;
            let (attempts, possible_duplicate) = (tried & !POSSIBLE_DUPLICATE, tried & POSSIBLE_DUPLICATE != 0);
            Some((self::ticket(content)?, Tries { attempts, possible_duplicate }, content.get(16..)?))
        }
        _ => None,
    }
}

/// A number of attempts from the front of a content.
fn attempts(octets: &[u8]) -> Option<u32> {
    octets.first_chunk().copied().map(u32::from_be_bytes)
}

/// The content of an entry's number of attempts: whether it stands for an earlier entry, too. Such an entry may be
/// handed out before its turn, which no mark says: after a crash it is suspected.
pub(super) fn noted_attempts(attempts: u32, reference: bool) -> [u8; 4] {
    let flag = if reference { POSSIBLE_DUPLICATE } else { 0 };
    (attempts.min(POSSIBLE_DUPLICATE - 1) | flag).to_be_bytes()
}

/// The same, read back.
pub(super) fn read_attempts(content: &[u8]) -> (u32, bool) {
    let noted = attempts(content).unwrap_or_default();
    (noted & !POSSIBLE_DUPLICATE, noted & POSSIBLE_DUPLICATE != 0)
}

/// The second in which a value was written.
pub(super) fn written(value: &[u8]) -> Option<u32> {
    value.get(1..HEAD)?.try_into().ok().map(u32::from_be_bytes)
}

/// The same as an instant.
pub(super) fn since(value: &[u8]) -> Timestamp {
    Timestamp(written(value).map_or(0, |seconds| i64::from(seconds) * 1_000_000))
}

/// `msg`: lane, number.
pub(super) fn entry(ticket: Ticket) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&ticket.lane.to_be_bytes());
    key[4..].copy_from_slice(&ticket.seq.to_be_bytes());
    key
}

/// `smsc`: the ticket of the message, and how many ids it has.
pub(super) fn correlation(ticket: Ticket, segments: u8) -> [u8; 13] {
    let mut content = [0; 13];
    content[..12].copy_from_slice(&entry(ticket));
    content[12] = segments;
    content
}

/// A ticket from the front of a key or a content.
pub(super) fn ticket(octets: &[u8]) -> Option<Ticket> {
    let lane = u32::from_be_bytes(*octets.first_chunk()?);
    let seq = u64::from_be_bytes(*octets.get(4..)?.first_chunk()?);
    Some(Ticket { lane, seq })
}

/// `fate`: lane, number, order of recording.
pub(super) fn fate(ticket: Ticket, ordinal: u64) -> [u8; 20] {
    let mut key = [0; 20];
    key[..12].copy_from_slice(&entry(ticket));
    key[12..].copy_from_slice(&ordinal.to_be_bytes());
    key
}

/// An address without what it may be written with: a plus sign, spaces around it.
pub(super) fn digits(address: &str) -> &str {
    let address = address.trim();
    address.strip_prefix('+').unwrap_or(address)
}

/// Octets of an address that are part of a key; addresses that differ only behind are told apart by their messages.
const ADDRESS: usize = 40;

/// `phone`: the phone's address, NUL; behind it the message's place in the order of time.
pub(super) fn phone_prefix(address: &str) -> Vec<u8> {
    let digits = digits(address).as_bytes();
    [&digits[..digits.len().min(ADDRESS)], &[0]].concat()
}

/// `phone`: the phone's address, the message's place. The value is the channel of an MO, and empty for an MT.
pub(super) fn phone(address: &str, message: &Order) -> Vec<u8> {
    let mut key = phone_prefix(address);
    key.extend(message);
    key
}

/// A part's id, in `meta`; [`super::order`] has what messages are kept under.
pub(super) fn id(id: MessageId) -> [u8; 16] {
    *id.0.as_bytes()
}

/// `smsc`, `inbound` and channel-bound records of `meta`: channel, NUL, the rest.
pub(super) fn of_channel(channel: &ChannelId, rest: &[u8]) -> Vec<u8> {
    of_name(channel.as_str(), rest)
}

/// Most octets of a provider's id of a message: fjall's keys have at most 65,536, the channel's id included.
const MAX_SMSC_ID: usize = 32 * 1024;

/// `smsc`: channel, NUL, the provider's id; none for an id that is longer than any key may be, which is found by nobody.
pub(super) fn smsc(channel: &ChannelId, id: &SmscMessageId) -> Option<Vec<u8>> {
    (id.0.len() <= MAX_SMSC_ID).then(|| of_channel(channel, id.0.as_bytes()))
}

/// Records of `meta` that belong to something with a name: the name, NUL, the rest.
pub(super) fn of_name(name: &str, rest: &[u8]) -> Vec<u8> {
    [name.as_bytes(), &[0], rest].concat()
}

/// Place among an entry's fates of its end without an event.
pub(super) const END: u64 = u64::MAX;
/// Place among an entry's fates of its number of attempts.
pub(super) const ATTEMPTS: u64 = u64::MAX - 1;

/// A key of `due`.
pub(super) type DueKey = [u8; DUE];
const DUE: usize = 20;

/// `due`: when (in microseconds), lane, number.
pub(super) fn due(at: Timestamp, ticket: Ticket) -> DueKey {
    let mut key = [0; 20];
    key[..8].copy_from_slice(&u64::try_from(at.0).unwrap_or_default().to_be_bytes());
    key[8..].copy_from_slice(&entry(ticket));
    key
}

/// When a key of `due` is due.
pub(super) fn due_at(key: &DueKey) -> Timestamp {
    let micros = key.first_chunk().copied().map_or(0, u64::from_be_bytes) & !EXPIRY;
    Timestamp(i64::try_from(micros).unwrap_or(i64::MAX))
}

/// The same for what waits to be sent; never, for the first expiry.
pub(super) fn due_time(key: &DueKey) -> Timestamp {
    if is_expiry(key) { Timestamp(i64::MAX) } else { due_at(key) }
}

/// The bit of the time that sets expiries apart: they lie behind everything that waits to be sent.
const EXPIRY: u64 = 1 << 63;

/// `due`: when an entry expires.
pub(super) fn expiry(at: Timestamp, ticket: Ticket) -> DueKey {
    let mut key = due(at, ticket);
    key[0] |= 0x80;
    key
}

/// Before every expiry, and behind everything else, in `due`.
pub(super) fn expiries() -> DueKey {
    expiry(Timestamp(0), Ticket { lane: 0, seq: 0 })
}

/// Whether a key of `due` is that of an expiry.
pub(super) fn is_expiry(key: &DueKey) -> bool {
    key[0] & 0x80 != 0
}

/// The bit of the number that says that an entry of `due` has no place in its lane yet: the rest of the number is one
/// that no other such entry has.
const UNPLACED: u64 = 1 << 63;

/// Stands for the place in its lane that a scheduled MT will get.
pub(super) fn unplaced(lane: u32, ordinal: u64) -> Ticket {
    Ticket { lane, seq: ordinal | UNPLACED }
}

/// The number of an MT that has no place in its lane yet; `None` for any other entry.
pub(super) fn ordinal_of(ticket: Ticket) -> Option<u64> {
    (ticket.seq & UNPLACED != 0).then_some(ticket.seq & !UNPLACED)
}

/// The place that a record points to: a queue entry, what waits in `due`, or what another node left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Entry(Ticket),
    Due(DueKey),
    Deposit(DepositKey),
}

/// A place from a record's content.
pub(super) fn place(content: &[u8]) -> Option<Place> {
    match content.len() {
        DUE => content.try_into().ok().map(Place::Due),
        DEPOSIT => content.try_into().ok().map(Place::Deposit),
        _ => ticket(content).map(Place::Entry),
    }
}

/// A key of `deposit`.
pub(super) type DepositKey = [u8; DEPOSIT];
const DEPOSIT: usize = 26;

/// `deposit`: when it was accepted (in microseconds), its place among those that were accepted together, its place in the
/// order of time.
pub(super) fn deposit(at: Timestamp, place: u16, message: &Order) -> DepositKey {
    let mut key = [0; DEPOSIT];
    key[..8].copy_from_slice(&u64::try_from(at.0).unwrap_or_default().to_be_bytes());
    key[8..10].copy_from_slice(&place.to_be_bytes());
    key[10..].copy_from_slice(message);
    key
}

/// Stands for the place that an MT will get which its channel's holder has not taken yet: nothing has become of it.
pub(super) fn nowhere() -> Ticket {
    unplaced(u32::MAX, 0)
}

/// Key of the record that keeps idle keyspaces busy; sorts before every real key of theirs but is none.
pub(super) const HEARTBEAT: [u8; 1] = [0];

/// `meta`: a prefix that names the table, then the key in it.
pub(super) fn meta(table: &str, key: &[u8]) -> Vec<u8> {
    [table.as_bytes(), b"/", key].concat()
}

/// `meta` tables.
pub(super) mod table {
    /// Lane name to number.
    pub(in crate::engine) const LANE: &str = "lane";
    /// Lane number to floor.
    pub(in crate::engine) const FLOOR: &str = "floor";
    /// Lane number to the number below which entries may have been handed out.
    pub(in crate::engine) const HANDED: &str = "handed";
    /// Lane number to the number of its entries that wait on disk for their time.
    pub(in crate::engine) const LATER: &str = "later";
    /// Lane number to the number below which entries belonged to a channel that was deleted, whether it still is, and the
    /// same limit for entries that have no place yet.
    pub(in crate::engine) const VOID: &str = "void";
    /// Channel to its properties.
    pub(in crate::engine) const CHANNEL: &str = "channel";
    /// Account name to the account.
    pub(in crate::engine) const ACCOUNT: &str = "account";
    /// Router to its properties.
    pub(in crate::engine) const ROUTER: &str = "router";
    /// Router and destination to its properties.
    pub(in crate::engine) const DESTINATION: &str = "destination";
    /// Channel and component to its latest status.
    pub(in crate::engine) const STATUS: &str = "status";
    /// Channel and segment to its record.
    pub(in crate::engine) const PART: &str = "part";
    /// Channel and name to what the channel keeps under it.
    pub(in crate::engine) const NOTE: &str = "note";
    /// Queue entry to its callback and why that was given up.
    pub(in crate::engine) const PARKED: &str = "parked";
    /// Channel to the shard that has its messages.
    pub(in crate::engine) const SHARD: &str = "shard";
    /// What another node has accepted and this version could not read.
    pub(in crate::engine) const UNREAD: &str = "unread";
    /// Facts about the store itself.
    pub(in crate::engine) const STORE: &str = "store";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_by_number_and_values_read_back() {
        let ticket = |seq| Ticket { lane: 7, seq };
        assert!(entry(ticket(255)) < entry(ticket(256)));
        assert_eq!(super::ticket(&entry(ticket(256))), Some(ticket(256)));
        assert!(due(Timestamp(1), ticket(9)) < due(Timestamp(2), ticket(1)));
        let value = record(Kind::Record, Timestamp(5_000_000), &"x").unwrap();
        assert_eq!((written(&value), read::<String>(&value)), (Some(5), Some("x".to_owned())));
        assert_eq!(open(&[]), None);
        for possible_duplicate in [false, true] {
            let tries = Tries { attempts: 4, possible_duplicate };
            let content = reference(ticket(3), tries, b"record");
            let moved = self::value(Kind::Reference, Timestamp(0), &content);
            assert_eq!(queued(ticket(9), &moved), Some((ticket(3), tries, &b"record"[..])));
        }
        assert_eq!(queued(ticket(9), &value), Some((ticket(9), Tries::default(), &b"\"x\""[..])));
    }
}
