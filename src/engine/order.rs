//! Where messages lie in the order of time, by which they are searched and swept.
//!
//! An id that is made of the time at which its message came says it itself. Any other, such as an application's own or one
//! from another server, would lie anywhere: its message is kept under a place made of that time, and an alias leads there
//! from the id.

use sha2::{Digest, Sha256};

use super::rows::{Rows, Table};
use crate::model::{Inbound, MessageId, Outbound, Timestamp};
use crate::store::ReadError;

/// By how much an id's time and its message's may differ, as those of a long MO whose first segment came early.
pub(super) const SLACK: std::time::Duration = std::time::Duration::from_secs(600);

/// Octets of a place.
const PLACE: usize = 16;
/// Sorts behind every place: what aliases begin with.
const ALIAS: u8 = u8::MAX;
/// Behind every place, and before every alias.
pub(super) const END: MessageId = MessageId(uuid::Uuid::from_u128((ALIAS as u128) << 120));

/// A place in the order of time.
pub(super) type Order = [u8; PLACE];

/// How a message is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id {
    pub(super) order: Order,
    /// The key of the row that leads from the id to its place, unless they are one.
    pub(super) alias: Option<[u8; PLACE + 1]>,
}

impl Id {
    pub(super) fn of_mt(message: &Outbound) -> Self {
        Self::new(message.id, message.accepted_at)
    }

    pub(super) fn of_mo(message: &Inbound) -> Self {
        Self::new(message.id, message.received_at)
    }

    /// The id of a message that came at `at`.
    pub(super) fn new(id: MessageId, at: Timestamp) -> Self {
        let says_so = id.minted_at().is_some_and(|minted| minted.until(at).max(at.until(minted)) <= SLACK);
        if says_so && id < END {
            return Self { order: *id.0.as_bytes(), alias: None };
        }
        // As a version 7 id has it: the milliseconds, then what sorts within one. Only a digest tells apart those who make
        // their ids of counters.
        let mut order = *MessageId::first_of(at).0.as_bytes();
        let within = u16::try_from(at.0.rem_euclid(1_000)).unwrap_or_default();
        let digest = Sha256::digest(id.0.as_bytes());
        order[6..8].copy_from_slice(&within.to_be_bytes());
        order[8..].copy_from_slice(digest.first_chunk::<8>().unwrap_or(&[0; 8]));
        Self { order: *uuid::Builder::from_custom_bytes(order).as_uuid().as_bytes(), alias: Some(alias(id)) }
    }
}

fn alias(id: MessageId) -> [u8; PLACE + 1] {
    let mut key = [ALIAS; PLACE + 1];
    key[1..].copy_from_slice(id.0.as_bytes());
    key
}

/// Whether the message at this place has an alias.
pub(super) fn has_alias(order: &Order) -> bool {
    uuid::Uuid::from_bytes(*order).get_version_num() != 7
}

/// Whether an alias leads to this place, and not to that of a younger message with the same id.
pub(super) async fn leads_to(rows: &Rows, table: Table, alias: &[u8], order: &Order) -> Result<bool, ReadError> {
    Ok(rows.get_surely(table, alias).await?.as_deref() == Some(&order[..]))
}

impl Rows {
    /// What `table` has of the message with this id, under this prefix.
    pub(super) async fn by_id(&self, table: Table, prefix: &[u8], id: MessageId) -> Result<Option<Vec<u8>>, ReadError> {
        let key = |rest: &[u8]| [prefix, rest].concat();
        if id.minted_at().is_some()
            && let Some(found) = self.get(table, &key(id.0.as_bytes())).await?
        {
            return Ok(Some(found));
        }
        match self.get(table, &key(&alias(id))).await? {
            Some(order) => self.get(table, &key(&order)).await,
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::rows::{Fjall, Row};
    use crate::store::StoreConfig;

    fn at(seconds: u64) -> Timestamp {
        Timestamp(1_700_000_000_000_000).plus(Duration::from_secs(seconds))
    }

    fn id(seconds: u64) -> MessageId {
        let unix = uuid::Timestamp::from_unix(uuid::NoContext, 1_700_000_000 + seconds, 0);
        MessageId(uuid::Uuid::new_v7(unix))
    }

    #[tokio::test]
    async fn an_alias_leads_to_one_place_only() {
        let directory = tempfile::tempdir().unwrap();
        let config = StoreConfig { path: directory.path().to_owned(), ..StoreConfig::default() };
        let rows = Rows::Fjall(Fjall::open(&config).unwrap());
        let [older, younger] = [0, 1].map(|seconds| Id::new(MessageId(uuid::Uuid::nil()), at(seconds)));
        let alias = younger.alias.unwrap();
        assert_eq!(older.alias, younger.alias);
        let row = Row { table: Table::Id, key: alias.to_vec(), value: Some(younger.order.to_vec()) };
        rows.write(vec![row]).await.unwrap();
        for (id, leads) in [(older, false), (younger, true)] {
            assert_eq!(leads_to(&rows, Table::Id, &alias, &id.order).await.unwrap(), leads);
        }
    }

    #[test]
    fn an_id_made_of_the_time_is_its_own_place_and_any_other_lies_where_its_message_came() {
        let own = id(0);
        assert_eq!(Id::new(own, at(599)), Id { order: *own.0.as_bytes(), alias: None });
        let counted = |n| MessageId(uuid::Uuid::from_u128(n));
        let places = [
            Id::new(id(0), at(0)),
            Id::new(counted(2), at(1)),
            Id::new(MessageId(uuid::Uuid::from_u128(u128::MAX)), at(1).plus(Duration::from_micros(1))),
            Id::new(id(0), at(601)),
            Id::new(counted(1), at(700)),
            Id::new(id(800), at(800)),
        ];
        assert!(places.is_sorted_by(|one, other| one.order < other.order), "{places:?}");
        assert!(places.iter().all(|id| has_alias(&id.order) == id.alias.is_some()));
        assert_ne!(Id::new(counted(1), at(0)).order, Id::new(counted(2), at(0)).order);
        for wild in [i64::MIN, i64::MAX] {
            let place = Id::new(counted(1), Timestamp(wild));
            assert!(MessageId(uuid::Uuid::from_bytes(place.order)) < END);
        }
    }
}
