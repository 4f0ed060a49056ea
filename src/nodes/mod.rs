//! One node of several that share a store: it works for the channels that are its own, lets go of those that another node
//! should have, and follows what the others change.
//!
//! Which node should have what is the same for all of them ([`Duty::place`]); which one has it is what Redis says. So a
//! channel is never bound twice: it begins when its lease has been taken, and has ended before the lease is given back, or
//! can end.

mod identity;
mod round;
mod whereabouts;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

pub use self::identity::member;
use self::round::Rounds;
pub use self::whereabouts::{Where, Whereabouts};
use crate::access::Accounts;
use crate::gateway::Gateway;
use crate::store::Nodes;

/// How long all that a node has may take to be handed over when it ends; other nodes take the rest when its leases end.
const HANDED_OVER: Duration = Duration::from_secs(60);

/// How often it is looked how those channels are that routers choose from and that are other nodes'.
const LEVELS: Duration = Duration::from_secs(2);

/// This node, at work.
pub struct Node {
    whereabouts: Whereabouts,
    drain: CancellationToken,
    /// How much is left to be handed over.
    left: watch::Receiver<Option<usize>>,
    rounds: AbortOnDropHandle<Nodes>,
    _levels: AbortOnDropHandle<()>,
    end: CancellationToken,
}

impl Node {
    /// Begins: whatever is this node's, and nobody else has, is taken and run.
    ///
    /// # Errors
    /// What there is could not be read.
    pub async fn start(nodes: Nodes, gateway: Gateway, accounts: Arc<Accounts>) -> anyhow::Result<Self> {
        let (drain, end) = (CancellationToken::new(), CancellationToken::new());
        let (left, told) = watch::channel(None);
        let (whereabouts, seen) = Whereabouts::new(&nodes);
        let routed = gateway.clone();
        let mut rounds = Rounds::new(nodes, gateway, accounts, seen);
        // Whoever is alone has all that it can have before it listens.
        rounds.first().await.context("the other nodes cannot be seen")?;
        let levels = AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                routed.learn_levels().await;
                tokio::time::sleep(LEVELS).await;
            }
        }));
        let rounds = AbortOnDropHandle::new(tokio::spawn(rounds.run(drain.clone(), end.clone(), left)));
        Ok(Self { whereabouts, drain, left: told, rounds, _levels: levels, end })
    }

    /// Where things are done.
    #[must_use]
    pub fn whereabouts(&self) -> &Whereabouts {
        &self.whereabouts
    }

    /// Hands everything over, if there is another node, and waits until that is done: what is asked of this one meanwhile is
    /// still answered.
    pub async fn hand_over(&mut self) {
        self.drain.cancel();
        let none = self.left.wait_for(|left| *left == Some(0));
        if tokio::time::timeout(HANDED_OVER, none).await.is_err() {
            tracing::warn!(
                "not everything could be handed over to other nodes; they take it when the leases of this one end"
            );
        }
    }

    /// Takes and lets go of nothing any more. The gateway is shut down next, and then [`Nodes::leave`].
    pub async fn stop(self) -> Option<Nodes> {
        self.end.cancel();
        self.rounds.await.ok()
    }
}
