//! Redis as a keeper of ordered tables: a slot for each channel and one for what belongs to none, written by one process
//! at a time.
//!
//! A table is a sorted set of its keys, all with score 0 so that they lie in the order of their octets, and a hash of its
//! values; a table that is only read by key is a hash alone. Everything of a slot has the slot's name as hash tag, so that
//! a cluster keeps it on one node and one script can change all of it. Measured per message of six rows with values of
//! 350, 150 and four times about 15 octets: 1,650 octets of memory and 20 µs of Redis's time in batches of 64. Members
//! that are key and value in one, without the hash, take 1,340 octets and 39 µs, since what is overwritten has to be
//! found first.
//!
//! Whoever writes a slot has claimed it, and writes with the [`Epoch`] that it got: an older one is refused. Each write
//! has a number, too, so that one that was given up, repeated and arrives after all changes nothing.

mod config;
mod error;
mod inspect;
mod node;
mod pace;
mod route;
mod slot;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use config::{ConfigError, RedisConfig};
pub(crate) use error::{RedisError, WriteError};
pub(crate) use slot::{Epoch, Fence, Slot};

use route::Router;
use slot::Scripts;

/// The tables of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    Msg,
    Fate,
    Id,
    Smsc,
    Inbound,
    Phone,
    Due,
    Meta,
}

impl Table {
    pub(crate) const ALL: [Self; 8] =
        [Self::Msg, Self::Fate, Self::Id, Self::Smsc, Self::Inbound, Self::Phone, Self::Due, Self::Meta];

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

    /// Whether it is read by ranges, too.
    const fn is_ordered(self) -> bool {
        !matches!(self, Self::Smsc)
    }
}

/// A change of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Where.
    pub(crate) table: Table,
    /// Under which key.
    pub(crate) key: Vec<u8>,
    /// What is there from now on; `None` removes what is.
    pub(crate) value: Option<Vec<u8>>,
}

/// A Redis, or several that belong together. Clones share the connections, which come back by themselves.
#[derive(Clone)]
pub(crate) struct Redis(Arc<Shared>);

struct Shared {
    config: RedisConfig,
    router: Router,
    scripts: Scripts,
}

impl Redis {
    /// Connects, and finds out who is master. Of a cluster's masters some may be away.
    ///
    /// # Errors
    /// [`RedisError`].
    pub(crate) async fn connect(config: &RedisConfig) -> Result<Self, RedisError> {
        let shared = Shared { config: config.clone(), router: Router::new(config)?, scripts: Scripts::new() };
        let masters = shared.router.masters().await?;
        for master in &masters {
            match master.ask::<()>(&redis::cmd("PING")).await {
                Err(error) if masters.len() > 1 && error.is_passing() => {}
                answer => answer?,
            }
        }
        Ok(Self(Arc::new(shared)))
    }

    /// The slot of that name, whether there is anything in it or not.
    pub(crate) fn slot(&self, name: &str) -> Slot {
        Slot::new(self.clone(), name)
    }
}
