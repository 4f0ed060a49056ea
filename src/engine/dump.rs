//! What rows have, a page at a time, as records without numbers of lanes. Nothing is written, and nobody is kept from writing.
//! What cannot be read ends it: it would be missing without a word.
//!
//! An MT comes where it waits: at its place in its lane, or at its time. What has ended comes where it first was.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::de::DeserializeOwned;

use super::Role;
use super::keys::{self, DueKey, Kind, Place, Tries, table};
use super::lane::{Lane, Waits as Standing};
use super::lanes::{Common, Lanes};
use super::rows::{Fjall, Found, RedisRows, Rows, Span, Table};
use super::sweep::Identified;
use crate::model::{ChannelId, Event, MessageId, SmscMessageId};
use crate::redis::{Fence, Slot};
use crate::store::{OpenError, ReadError, Record, StoreConfig, Ticket, Waits};

/// Rows read at once.
const PAGE: usize = 256;
/// Messages that are looked up together.
const LOOKS: usize = 64;

/// A look through all that an engine has that nobody has opened.
pub(crate) struct Look {
    rows: Rows,
    lanes: Lanes,
    parts: VecDeque<Part>,
    closed: bool,
    used: bool,
    fenced: Option<Fenced>,
}

/// A slot, and what was written of its holder and of how often that had written it, when a look into it began.
pub(crate) struct Fenced {
    slot: Slot,
    before: Option<Fence>,
}

/// What is left of one kind of rows.
struct Part {
    what: What,
    rest: Rest,
}

#[derive(Clone)]
enum What {
    Meta(&'static str),
    Lane(Arc<Lane>),
    Due,
    Correlations,
    Inbound,
}

enum Rest {
    Span(Span),
    /// Of a table without an order.
    Cursor(u64),
}

/// What became of an MT: its events, and where it went if it has left its place.
#[derive(Default)]
struct Fate {
    events: Vec<Event>,
    moved: Option<Place>,
}

impl Look {
    /// Into the store in `config.path`; `None` if there is none.
    pub(crate) async fn into_directory(config: &StoreConfig) -> Result<Option<Self>, OpenError> {
        if !Fjall::is_there(&config.path) {
            return Ok(None);
        }
        // Nothing is too old for whoever only reads.
        let kept = Duration::MAX;
        let config = StoreConfig { retention: kept, correlation_retention: kept, ..config.clone() };
        Self::into(Rows::Fjall(Fjall::open(&config)?), Role::All, config.unfinished).await
    }

    /// Into a slot of Redis, whoever has it; `None` if there is nothing in it.
    pub(crate) async fn into_slot(slot: Slot, role: Role, unfinished: bool) -> Result<Option<Self>, OpenError> {
        let before = slot.fence().await.map_err(|error| OpenError::Engine(error.to_string()))?;
        let look = Self::into(Rows::Redis(RedisRows::look(slot.clone())), role, unfinished).await?;
        Ok(look.map(|look| Self { fenced: Some(Fenced { slot, before }), ..look }))
    }

    /// Refuses a slot into which an import was not finished.
    pub(crate) async fn check_finished(slot: Slot) -> Result<(), OpenError> {
        Rows::Redis(RedisRows::look(slot)).check_finished().await
    }

    async fn into(rows: Rows, role: Role, unfinished: bool) -> Result<Option<Self>, OpenError> {
        if !rows.is_there().await? {
            return Ok(None);
        }
        if !unfinished {
            rows.check_finished().await?;
        }
        let lanes = Lanes::new(&Common::alone(), 0);
        let known = rows.clean_mark().await?;
        rows.recover(&lanes, known.as_ref(), unfinished).await?;
        let mut all = lanes.all();
        all.sort_by_key(|lane| lane.number);
        let used = !all.is_empty();
        let meta = |table| Part { what: What::Meta(table), rest: Rest::Span(Span::of(keys::meta(table, &[]))) };
        let (outbound, callbacks): (Vec<_>, Vec<_>) = all.into_iter().partition(|lane| lane.outbound);
        let outbound = outbound.into_iter().map(|lane| {
            let rest = Rest::Span(Span::of(lane.number.to_be_bytes()));
            Part { what: What::Lane(lane), rest }
        });
        // What has been taken is of no interest any more.
        let callbacks = callbacks.into_iter().map(|lane| {
            let from = keys::entry(lane.ticket(lane.live().start)).to_vec();
            let rest = Rest::Span(Span { from, ..Span::of(lane.number.to_be_bytes()) });
            Part { what: What::Lane(lane), rest }
        });
        let mut parts = VecDeque::new();
        if role != Role::Messages {
            parts.extend([table::CHANNEL, table::ACCOUNT, table::ROUTER, table::DESTINATION].map(meta));
        }
        if role != Role::Settings {
            parts.push_back(meta(table::STATUS));
            // What waits for its time comes behind what waits for its turn, where it would get its place.
            parts.extend(outbound.chain(callbacks));
            parts.push_back(Part { what: What::Due, rest: Rest::Span(Span::new([], keys::expiries())) });
            let rest = if rows.is_at_hand() { Rest::Span(Span::since([])) } else { Rest::Cursor(0) };
            parts.push_back(Part { what: What::Correlations, rest });
            parts.push_back(Part { what: What::Inbound, rest: Rest::Span(Span::since([])) });
            parts.extend([table::PART, table::NOTE, table::PARKED].map(meta));
        }
        Ok(Some(Self { rows, lanes, parts, closed: known.is_some(), used, fenced: None }))
    }

    /// Whether the last who wrote it has ended, in order.
    pub(crate) fn was_closed(&self) -> bool {
        self.closed
    }

    /// Whether there has ever been a queue: what is left of one may be no record, and still be in the way of others.
    pub(crate) fn was_used(&self) -> bool {
        self.used
    }

    /// By what it is known whether somebody writes here, where no lock keeps them from it.
    pub(crate) fn fenced(&mut self) -> Option<Fenced> {
        self.fenced.take()
    }

    /// The shards that channels' messages are in.
    pub(crate) async fn shards(&self) -> Result<Vec<(ChannelId, u16)>, ReadError> {
        self.rows.shards().await
    }

    /// The next records, perhaps none; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Record>>, ReadError> {
        let Some(Part { what, rest }) = self.parts.pop_front() else { return Ok(None) };
        let table = match &what {
            What::Meta(_) => Table::Meta,
            What::Lane(_) => Table::Msg,
            What::Due => Table::Due,
            What::Correlations => Table::Smsc,
            What::Inbound => Table::Inbound,
        };
        let (page, rest) = match rest {
            Rest::Span(span) => {
                let page = self.rows.first(table, &span, PAGE).await?;
                let rest = page.get(PAGE - 1).map(|(last, _)| Rest::Span(span.behind(last)));
                (page, rest)
            }
            Rest::Cursor(cursor) => match self.rows.scan(table, cursor, PAGE).await? {
                Some((next, page)) => (page, (next != 0).then_some(Rest::Cursor(next))),
                None => (Vec::new(), None),
            },
        };
        if let Some(rest) = rest {
            self.parts.push_front(Part { what: what.clone(), rest });
        }
        let records = match &what {
            What::Meta(table) => readable(page.iter().map(|row| meta(table, row)))?,
            What::Lane(lane) if lane.outbound => self.messages(lane, &page).await?,
            What::Lane(lane) => readable(page.iter().map(|row| owed(lane, row)))?,
            What::Due => self.due(&page).await?,
            What::Correlations => {
                let all = stream::iter(&page).map(|row| self.correlation(row)).buffered(LOOKS);
                all.try_collect::<Vec<_>>().await?.into_iter().flatten().collect()
            }
            What::Inbound => readable(page.iter().map(inbound))?,
        };
        Ok(Some(records))
    }

    /// Who has it, where somebody may without a lock.
    pub(crate) fn holder(&self) -> Option<&str> {
        self.fenced.as_ref().and_then(|fenced| fenced.before.as_ref()).map(|fence| &*fence.holder)
    }

    /// The MTs of a part of a lane.
    async fn messages(&self, lane: &Lane, page: &[Found]) -> Result<Vec<Record>, ReadError> {
        let ends = page
            .first()
            .zip(page.last())
            .and_then(|((first, _), (last, _))| Some((keys::ticket(first)?, keys::ticket(last)?)));
        let Some((first, last)) = ends else { return Ok(Vec::new()) };
        let mut fates = self.fates(first, last).await?;
        let mut found = Vec::with_capacity(page.len());
        for (key, value) in page {
            let Some(ticket) = keys::ticket(key) else { continue };
            let fate = fates.remove(&ticket.seq).unwrap_or_default();
            let (origin, tries, record) = queued(ticket, value)?;
            let waits = (lane.waits(ticket.seq) == Standing::Taken).then(|| waits(lane, ticket, tries));
            if waits.is_some() && origin != ticket {
                found.push(self.first_was(origin, value, record, waits).await?);
            } else if origin == ticket && !self.is_elsewhere(fate.moved).await? {
                let message = read(record)?;
                found.push(Record::Message { since: keys::since(value), message, events: fate.events, waits });
            }
        }
        Ok(found)
    }

    /// An MT that has left its first place, for a long delay.
    async fn first_was(
        &self,
        origin: Ticket,
        value: &[u8],
        record: &[u8],
        waits: Option<Waits>,
    ) -> Result<Record, ReadError> {
        let first = self.rows.get(Table::Msg, &keys::entry(origin)).await?;
        // It may be past its retention there.
        let since = keys::since(first.as_deref().unwrap_or(value));
        let events = self.fates(origin, origin).await?.remove(&origin.seq).unwrap_or_default().events;
        Ok(Record::Message { since, message: read(record)?, events, waits })
    }

    /// What became of the entries from one to another.
    async fn fates(&self, first: Ticket, last: Ticket) -> Result<BTreeMap<u64, Fate>, ReadError> {
        let span = Span::new(keys::fate(first, 0), keys::fate(Ticket { seq: last.seq.saturating_add(1), ..last }, 0));
        let mut fates = BTreeMap::<u64, Fate>::new();
        for (key, value) in self.rows.all(Table::Fate, span).await? {
            let Some(ticket) = keys::ticket(&key) else { continue };
            let fate = fates.entry(ticket.seq).or_default();
            match keys::open(&value) {
                Some((Kind::Moved, content)) => fate.moved = keys::place(content),
                // An end without an event.
                Some((Kind::Final, [])) | Some((Kind::Attempts, _)) => {}
                _ => fate.events.push(read(recorded(&value)?)?),
            }
        }
        Ok(fates)
    }

    /// Whether what has moved there waits there.
    async fn is_elsewhere(&self, moved: Option<Place>) -> Result<bool, ReadError> {
        Ok(match moved {
            None => false,
            Some(Place::Entry(ticket)) => {
                self.lanes.numbered(ticket.lane).is_some_and(|lane| lane.waits(ticket.seq) == Standing::Taken)
            }
            Some(Place::Due(key)) => {
                self.lanes.live(&key).is_some() && self.rows.get(Table::Due, &key).await?.is_some()
            }
        })
    }

    /// What waits for its time.
    async fn due(&self, page: &[Found]) -> Result<Vec<Record>, ReadError> {
        let mut found = Vec::with_capacity(page.len());
        for (key, value) in page {
            let Ok(key) = DueKey::try_from(&key[..]) else { continue };
            let (Some(lane), Some(ticket)) = (self.lanes.live(&key), keys::ticket(&key[8..])) else { continue };
            let (origin, tries, record) = queued(ticket, value)?;
            let Tries { attempts, possible_duplicate } = tries;
            let waits = Waits { attempts, possible_duplicate, until: Some(keys::due_at(&key)) };
            if !lane.outbound {
                found.push(Record::Owed { since: keys::since(value), callback: read(record)?, waits });
            } else if keys::ordinal_of(ticket).is_some() {
                let (since, events) = (keys::since(value), Vec::new());
                found.push(Record::Message { since, message: read(record)?, events, waits: Some(waits) });
            } else {
                found.push(self.first_was(origin, value, record, Some(waits)).await?);
            }
        }
        Ok(found)
    }

    async fn correlation(&self, (key, value): &Found) -> Result<Option<Record>, ReadError> {
        let Some((channel, id)) = of_channel(key) else { return Ok(None) };
        let content = keys::open(value).map(|(_, content)| content).unwrap_or_default();
        let (Ok(id), Some(origin)) = (std::str::from_utf8(id), keys::ticket(content)) else { return Ok(None) };
        // Without its message it leads nowhere.
        let message = self.rows.get(Table::Msg, &keys::entry(origin)).await?;
        let message = message.and_then(|value| keys::read::<Identified>(&value));
        Ok(message.map(|Identified { id: message, accepted_at }| Record::Correlation {
            since: keys::since(value),
            channel,
            smsc_message_id: SmscMessageId(id.to_owned()),
            message,
            accepted_at,
            segments: content.get(12).copied().unwrap_or(1),
        }))
    }
}

/// How an entry waits in its lane.
fn waits(lane: &Lane, ticket: Ticket, tries: Tries) -> Waits {
    let attempts = tries.attempts.max(lane.noted_attempts(ticket.seq));
    Waits { attempts, possible_duplicate: lane.is_doubtful(ticket.seq, tries.possible_duplicate), until: None }
}

fn owed(lane: &Lane, (key, value): &Found) -> Result<Option<Record>, ReadError> {
    let Some(ticket) = keys::ticket(key).filter(|ticket| lane.waits(ticket.seq) == Standing::Taken) else {
        return Ok(None);
    };
    let (_, tries, record) = queued(ticket, value)?;
    let waits = Waits { possible_duplicate: false, ..waits(lane, ticket, tries) };
    Ok(Some(Record::Owed { since: keys::since(value), callback: read(record)?, waits }))
}

fn inbound((key, value): &Found) -> Result<Option<Record>, ReadError> {
    // Aliases, and what keeps the table busy, are no MOs.
    if of_channel(key).is_none() || keys::open(value).is_none() {
        return Ok(None);
    }
    Ok(Some(Record::Inbound { since: keys::since(value), message: read(recorded(value)?)? }))
}

/// A record of `meta`, of one of its tables.
fn meta(table: &'static str, (key, value): &Found) -> Result<Option<Record>, ReadError> {
    let Some(key) = key.get(keys::meta(table, &[]).len()..) else { return Ok(None) };
    let (since, content) = (keys::since(value), recorded(value)?);
    Ok(Some(match table {
        table::CHANNEL => Record::Channel(read(content)?),
        table::ACCOUNT => Record::Account(read(content)?),
        table::ROUTER => Record::Router(read(content)?),
        table::DESTINATION => Record::Destination(read(content)?),
        table::STATUS => Record::Status(read(content)?),
        table::PART => {
            let (channel, id) = of_channel(key).ok_or_else(|| unreadable("the key of a segment"))?;
            let id = id.try_into().map_err(|_| unreadable("the id of a segment"))?;
            let id = MessageId(uuid::Uuid::from_bytes(id));
            Record::Part { since, channel, id, record: content.to_vec() }
        }
        table::NOTE => {
            let (channel, name) = of_channel(key).ok_or_else(|| unreadable("the key of a note"))?;
            let name = String::from_utf8_lossy(name).into_owned();
            Record::Note { since, channel, name, record: content.to_vec() }
        }
        table::PARKED => {
            let (callback, reason) = read(content)?;
            Record::Parked { since, callback, reason }
        }
        _ => return Ok(None),
    }))
}

/// The channel that a key begins with, and the rest.
fn of_channel(key: &[u8]) -> Option<(ChannelId, &[u8])> {
    let end = key.iter().position(|octet| *octet == 0).filter(|end| *end > 0)?;
    Some((std::str::from_utf8(&key[..end]).ok()?.into(), &key[end + 1..]))
}

fn readable(records: impl Iterator<Item = Result<Option<Record>, ReadError>>) -> Result<Vec<Record>, ReadError> {
    records.filter_map(Result::transpose).collect()
}

/// The content of a value that must be a record's.
fn recorded(value: &[u8]) -> Result<&[u8], ReadError> {
    match keys::open(value) {
        Some((Kind::Record | Kind::Final, content)) => Ok(content),
        _ => Err(unreadable("it is of no known kind")),
    }
}

/// The content of a value that must be a queue entry's.
fn queued(ticket: Ticket, value: &[u8]) -> Result<(Ticket, Tries, &[u8]), ReadError> {
    keys::queued(ticket, value).ok_or_else(|| unreadable("it is of no known kind"))
}

fn read<T: DeserializeOwned>(record: &[u8]) -> Result<T, ReadError> {
    serde_json::from_slice(record).map_err(|error| unreadable(&error.to_string()))
}

fn unreadable(why: &str) -> ReadError {
    let what_to_do = "if a newer version of this program has written it, export with that one";
    ReadError(format!("one of its records is damaged or unknown ({why}); {what_to_do}").into())
}

impl Fenced {
    /// That nobody has written what was read, where nothing kept them from it.
    pub(crate) async fn check_unwritten(&self) -> Result<(), ReadError> {
        let now = self.slot.fence().await.map_err(|error| ReadError(error.to_string().into()))?;
        if now == self.before {
            return Ok(());
        }
        let by = now.map(|fence| fence.holder).unwrap_or_default();
        Err(ReadError(format!("it was written by {by} meanwhile; stop that server and begin again").into()))
    }
}
