//! The other nodes of one service: what this one does not do is done by the one that does, and what is about all of them is
//! asked of each.
//!
//! A request is passed on once: whoever is asked by a node answers for itself, or says that it does not do this.

mod ask;
mod forward;
mod rows;
mod trust;

use std::sync::Arc;

use hyper::HeaderMap;
use tokio::sync::Semaphore;

pub(super) use self::ask::{Figures, missing};
pub use self::forward::Undone;
pub(super) use self::forward::{Turn, tell_revision};
pub(super) use self::rows::{between, routes};
use super::Api;
use super::guard::Caller;
use crate::nodes::Whereabouts;
use crate::web::client::{Allowed, Client};
use crate::web::route::Routes;

/// The other nodes, as this one reaches them.
pub(super) struct Peers {
    pub(super) whereabouts: Whereabouts,
    client: Client,
    /// What nodes alone may ask one another.
    pub(super) between: Routes<Api>,
    /// Whoever passes requests on, and whoever asks for parts of an answer: a node that is asked for a part asks nobody, so
    /// that the second never wait for the first.
    passing: Semaphore,
    asking: Semaphore,
}

/// Most requests that are passed on at a time, and most parts that are asked for: another node takes 64 connections from
/// one address.
const PASSING: usize = 40;
const ASKING: usize = 16;

/// Who another node says that it asks for.
pub(super) enum Claim {
    /// Nobody: the request is no node's.
    None,
    /// It does not know our key.
    False,
    /// It does.
    True(Caller),
}

impl Peers {
    pub(super) fn new(whereabouts: Whereabouts) -> Arc<Self> {
        // Nodes are where they say themselves, mostly in networks that nobody else is sent to.
        let networks = ["0.0.0.0/0", "::/0"].iter().filter_map(|network| network.parse().ok()).collect();
        Arc::new(Self {
            whereabouts,
            client: Client::new(Allowed { networks }),
            between: Routes::new(between()),
            passing: Semaphore::new(PASSING),
            asking: Semaphore::new(ASKING),
        })
    }

    /// Whether a request is another node's.
    pub(super) fn claim(&self, headers: &HeaderMap) -> Claim {
        if !trust::is_claimed(headers) {
            return Claim::None;
        }
        let own = self.whereabouts.own();
        own.and_then(|own| trust::believed(headers, &own.key)).map_or(Claim::False, Claim::True)
    }
}
