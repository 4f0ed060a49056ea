//! The port to whatever keeps the engine's rows: ordered tables of octets, of which several are written at once or not at all.

mod fjall;

pub(super) use self::fjall::Fjall;

use crate::model::Timestamp;
use crate::store::ReadError;

/// The tables. Few, because each costs memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Table {
    /// Queue entries, each once.
    Msg,
    /// What became of them.
    Fate,
    /// Our message ids.
    Id,
    /// The providers' message ids.
    Smsc,
    /// MOs.
    Inbound,
    /// The messages of each phone.
    Phone,
    /// Queue entries that wait for their time, by time.
    Due,
    /// Everything small.
    Meta,
}

impl Table {
    /// Every one.
    pub(crate) const ALL: [Self; 8] =
        [Self::Msg, Self::Fate, Self::Id, Self::Smsc, Self::Inbound, Self::Phone, Self::Due, Self::Meta];

    /// What it is called where it is kept.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Msg => "msg",
            Self::Fate => "fate",
            Self::Id => "id",
            Self::Smsc => "smsc",
            Self::Inbound => "inbound",
            Self::Phone => "phone",
            Self::Due => "due",
            Self::Meta => "meta",
        }
    }
}

/// One change of one row; without a value it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) table: Table,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Option<Vec<u8>>,
}

/// A key and its value.
pub(super) type Found = (Vec<u8>, Vec<u8>);

/// From one key to before another, or without an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: Vec<u8>,
    pub(super) to: Option<Vec<u8>>,
}

impl Span {
    pub(super) fn new(from: impl Into<Vec<u8>>, to: impl Into<Vec<u8>>) -> Self {
        Self { from: from.into(), to: Some(to.into()) }
    }

    /// From this key on.
    pub(super) fn since(from: impl Into<Vec<u8>>) -> Self {
        Self { from: from.into(), to: None }
    }

    /// All keys that begin so.
    pub(super) fn of(prefix: impl Into<Vec<u8>>) -> Self {
        let from = prefix.into();
        let kept = from.iter().rposition(|octet| *octet != u8::MAX);
        let to = kept.map(|last| {
            let mut to = from[..=last].to_vec();
            to[last] += 1;
            to
        });
        Self { from, to }
    }

    /// What lies behind this key of it.
    pub(super) fn behind(self, key: &[u8]) -> Self {
        Self { from: [key, &[0]].concat(), ..self }
    }

    /// What lies before this key of it.
    pub(super) fn before(self, key: Vec<u8>) -> Self {
        Self { to: Some(key), ..self }
    }

    /// No key is in it.
    fn is_empty(&self) -> bool {
        self.to.as_ref().is_some_and(|to| *to <= self.from)
    }
}

/// Rows that are read at once where all of a span are wanted.
const PAGE: usize = 1_024;

/// Where the rows are.
#[derive(Clone)]
pub(super) enum Rows {
    Fjall(Fjall),
}

impl Rows {
    /// A row's value.
    pub(super) async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        match self {
            Self::Fjall(tables) => tables.get(table, key),
        }
    }

    /// The first rows of a span, `most` at most.
    pub(super) async fn first(&self, table: Table, span: &Span, most: usize) -> Result<Vec<Found>, ReadError> {
        if span.is_empty() {
            return Ok(Vec::new());
        }
        match self {
            Self::Fjall(tables) => tables.range(table, span).take(most).collect(),
        }
    }

    /// The last rows of a span, the last one first, `most` at most.
    pub(super) async fn last(&self, table: Table, span: &Span, most: usize) -> Result<Vec<Found>, ReadError> {
        if span.is_empty() {
            return Ok(Vec::new());
        }
        match self {
            Self::Fjall(tables) => tables.range(table, span).rev().take(most).collect(),
        }
    }

    /// All rows of a span, of which there are few.
    pub(super) async fn all(&self, table: Table, mut span: Span) -> Result<Vec<Found>, ReadError> {
        let mut all = Vec::new();
        loop {
            let page = self.first(table, &span, PAGE).await?;
            let ended = page.len() < PAGE;
            all.extend(page);
            match all.last() {
                Some((last, _)) if !ended => span = span.behind(last),
                _ => return Ok(all),
            }
        }
    }

    /// Writes rows, all or none, in their order; they are durable then.
    ///
    /// # Errors
    /// Why nothing is to be written any more.
    pub(super) async fn write(&self, rows: Vec<Row>) -> Result<(), String> {
        match self {
            Self::Fjall(tables) => tables.write(rows),
        }
    }

    /// Rows that are to be written now and then although nothing has happened.
    pub(super) fn heartbeat(&self, now: Timestamp) -> Vec<Row> {
        match self {
            Self::Fjall(_) => Fjall::heartbeat(now),
        }
    }
}
