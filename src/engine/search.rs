//! Looking for messages, the newest first, a bounded amount of work at a time.
//!
//! A phone's messages are found by an index of their own. Everything else goes by the order of time (`order.rs`), and is
//! read and compared. What was looked at without success counts as work too: a page may be short, or empty, and
//! still say where to go on.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::keys::{self, Place};
use super::order::{self, Order, SLACK};
use super::reads::Reader;
use super::rows::{Found as RowFound, Span, Table};
use crate::model::{ChannelId, Inbound, MessageId, Timestamp};
use crate::store::{Direction, Found, Kept, Page, ReadError, Search, Standing};

/// Most entries of an index looked at in one go.
const LOOK: usize = 8_192;
/// Most messages read in one go.
const READ: usize = 1_024;
/// Entries of an index read at once.
const BLOCK: usize = 256;
/// Readers whose indexes are begun together.
const OPENED: usize = 64;
/// Octets of text after which a page ends.
pub(super) const OCTETS: usize = 4 * 1024 * 1024;

/// Where a message is.
enum Whereabouts {
    Outbound,
    Inbound(ChannelId),
}

/// A row of an index.
type Row = (Order, Whereabouts);
/// What a key and a value say.
type ReadRow = fn(&[u8], &[u8]) -> Option<Row>;

/// One index, from young to old.
struct Source<'a> {
    reader: &'a Reader,
    table: Table,
    /// What has not been read yet; `None` at the end.
    rest: Option<Span>,
    /// What has, the youngest last.
    block: Vec<RowFound>,
    read: ReadRow,
    head: Option<Row>,
}

impl<'a> Source<'a> {
    async fn new(
        reader: &'a Reader,
        table: Table,
        (prefix, bounds): (&[u8], &Bounds),
        read: ReadRow,
    ) -> Result<Self, ReadError> {
        let key = |place: MessageId| [prefix, place.0.as_bytes()].concat();
        let rest = Some(Span::new(key(bounds.oldest), key(bounds.before)));
        let mut source = Self { reader, table, rest, block: Vec::new(), read, head: None };
        source.advance().await?;
        Ok(source)
    }

    async fn advance(&mut self) -> Result<Option<Row>, ReadError> {
        let next = loop {
            let Some((key, value)) = self.block.pop() else {
                if self.read_on().await? {
                    continue;
                }
                break None;
            };
            let next = (self.read)(&key, &value);
            if next.is_some() {
                break next;
            }
        };
        Ok(std::mem::replace(&mut self.head, next))
    }

    /// Whether there was more.
    async fn read_on(&mut self) -> Result<bool, ReadError> {
        let Some(rest) = self.rest.take() else { return Ok(false) };
        self.block = self.reader.rows.last(self.table, &rest, BLOCK).await?;
        self.rest = self.block.get(BLOCK - 1).map(|(key, _)| rest.before(key.clone()));
        self.block.reverse();
        Ok(!self.block.is_empty())
    }
}

/// Places between which messages can be.
struct Bounds {
    oldest: MessageId,
    before: MessageId,
}

impl Bounds {
    fn of(search: &Search) -> Self {
        let slack = i64::try_from(SLACK.as_micros()).unwrap_or_default();
        let at = |micros: i64| MessageId::first_of(Timestamp(micros));
        let until = search.until.map(|until| at(until.0.saturating_add(slack)));
        let before = [search.before, until].into_iter().flatten().fold(order::END, MessageId::min);
        let oldest = search.since.map(|since| at(since.0.saturating_sub(slack)));
        Self { oldest: oldest.unwrap_or(MessageId(uuid::Uuid::nil())), before }
    }
}

impl Reader {
    /// The next messages of these, at most `limit`; each has the MOs of the channels beside it.
    pub(crate) async fn search(
        parts: &[(Self, Vec<ChannelId>)],
        search: &Search,
        limit: usize,
    ) -> Result<Page, ReadError> {
        let all = stream::iter(parts).map(|(reader, channels)| reader.sources(search, channels)).buffered(OPENED);
        let mut sources: Vec<Source<'_>> = all.try_collect::<Vec<_>>().await?.into_iter().flatten().collect();
        let mut page = Page::default();
        let (mut looked, mut read, mut octets) = (0, 0, 0);
        let mut last = None;
        // The youngest head of all comes next.
        while let Some(source) = sources
            .iter_mut()
            .filter(|source| source.head.is_some())
            .max_by_key(|source| source.head.as_ref().map(|(order, _)| *order))
        {
            if page.found.len() == limit || looked == LOOK || read == READ || octets >= OCTETS {
                page.next = last;
                break;
            }
            let reader = source.reader;
            let Some((order, whereabouts)) = source.advance().await? else { break };
            looked += 1;
            last = Some(MessageId(uuid::Uuid::from_bytes(order)));
            if let Some(found) = reader.look_at(search, &order, whereabouts, &mut read).await? {
                octets += found.message.content().map_or(0, str::len);
                page.found.push(found);
            }
        }
        Ok(page)
    }

    async fn sources(&self, search: &Search, channels: &[ChannelId]) -> Result<Vec<Source<'_>>, ReadError> {
        let bounds = Bounds::of(search);
        if bounds.oldest >= bounds.before {
            return Ok(Vec::new());
        }
        let phone = match search.direction {
            _ if search.address.is_some() => search.address.as_deref(),
            Some(Direction::Outbound) => search.to.as_deref(),
            Some(Direction::Inbound) => search.from.as_deref(),
            None => None,
        };
        if let Some(phone) = phone {
            let prefix = keys::phone_prefix(phone);
            let source = Source::new(self, Table::Phone, (&prefix, &bounds), |key, value| {
                let order = *key.last_chunk()?;
                let (_, channel) = keys::open(value)?;
                let whereabouts = match std::str::from_utf8(channel).ok()? {
                    "" => Whereabouts::Outbound,
                    channel => Whereabouts::Inbound(channel.into()),
                };
                Some((order, whereabouts))
            });
            return Ok(vec![source.await?]);
        }
        let mut sources = Vec::new();
        if search.direction != Some(Direction::Inbound) {
            let source = Source::new(self, Table::Id, (&[], &bounds), |key, _| {
                Some((key.try_into().ok()?, Whereabouts::Outbound))
            });
            sources.push(source.await?);
        }
        let outbound_only = search.direction == Some(Direction::Outbound)
            || search.status.is_some_and(|status| status != Standing::Received);
        for channel in channels.iter().filter(|channel| search.channel.as_ref().is_none_or(|meant| meant == *channel)) {
            if outbound_only {
                break;
            }
            let prefix = keys::of_channel(channel, &[]);
            let source = Source::new(self, Table::Inbound, (&prefix, &bounds), |key, _| {
                let (channel, order) = key.split_last_chunk()?;
                let channel = std::str::from_utf8(channel.strip_suffix(&[0])?).ok()?;
                Some((*order, Whereabouts::Inbound(channel.into())))
            });
            sources.push(source.await?);
        }
        Ok(sources)
    }

    /// A message, if it is one that is meant. Counts what is read.
    async fn look_at(
        &self,
        search: &Search,
        order: &Order,
        whereabouts: Whereabouts,
        read: &mut usize,
    ) -> Result<Option<Found>, ReadError> {
        match whereabouts {
            Whereabouts::Inbound(channel) => {
                let meant = search.direction != Some(Direction::Outbound)
                    && search.status.is_none_or(|status| status == Standing::Received)
                    && search.channel.as_ref().is_none_or(|meant| *meant == channel);
                if !meant {
                    return Ok(None);
                }
                *read += 1;
                let message =
                    self.inbound_at(&channel, order).await?.filter(|message| matches_inbound(search, message));
                let message = message.map(|message| Kept::Inbound(Arc::new(message)));
                Ok(message.map(|message| Found { message, standing: Standing::Received, events: Vec::new() }))
            }
            Whereabouts::Outbound if search.direction == Some(Direction::Inbound) => Ok(None),
            Whereabouts::Outbound => self.look_at_outbound(search, order, read).await,
        }
    }

    async fn look_at_outbound(
        &self,
        search: &Search,
        order: &Order,
        read: &mut usize,
    ) -> Result<Option<Found>, ReadError> {
        // The lane says which channel's it is, without the message.
        if let (Some(channel), Some(lanes)) = (&search.channel, &self.lanes) {
            let place = self.rows.get(Table::Id, order).await?;
            let place = place.as_deref().and_then(keys::open).and_then(|(_, content)| keys::place(content));
            let lane = match place {
                Some(Place::Entry(ticket)) => Some(ticket.lane),
                Some(Place::Due(key)) => keys::ticket(&key[8..]).map(|ticket| ticket.lane),
                Some(Place::Deposit(_)) | None => None,
            };
            if !lane.and_then(|lane| lanes.numbered(lane)).is_some_and(|lane| lane.is_of(channel)) {
                return Ok(None);
            }
        }
        *read += 1;
        let Some(stored) = self.message_at(order).await? else { return Ok(None) };
        let message = &stored.message;
        let party = |meant: &Option<String>, text: &str| meant.as_ref().is_none_or(|meant| same(meant, text));
        let meant = party(&search.address, &message.to)
            && party(&search.to, &message.to)
            && party(&search.from, message.from.as_deref().unwrap_or_default())
            && in_time(search, message.accepted_at);
        if !meant {
            return Ok(None);
        }
        let events = self.events(&stored).await?;
        let unplaced = keys::ordinal_of(stored.origin).is_some() && message.send_at.is_some();
        let waiting = if unplaced { Standing::Scheduled } else { Standing::Queued };
        let standing = events.last().map_or(waiting, |last| Standing::after(&last.kind));
        if search.status.is_some_and(|status| status != standing) {
            return Ok(None);
        }
        Ok(Some(Found { message: Kept::Outbound(stored.message), standing, events }))
    }
}

fn matches_inbound(search: &Search, message: &Inbound) -> bool {
    let party = |meant: &Option<String>, text: &str| meant.as_ref().is_none_or(|meant| same(meant, text));
    party(&search.address, &message.from)
        && party(&search.to, &message.to)
        && party(&search.from, &message.from)
        && in_time(search, message.received_at)
}

/// Whether two spellings are one address.
fn same(meant: &str, text: &str) -> bool {
    keys::digits(meant) == keys::digits(text)
}

fn in_time(search: &Search, at: Timestamp) -> bool {
    search.since.is_none_or(|since| at >= since) && search.until.is_none_or(|until| at < until)
}
