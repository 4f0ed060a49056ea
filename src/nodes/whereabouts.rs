//! Where something is done: here, at another node, or nowhere for a moment.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::store::{Duties, Duty, Member, Nodes, OpenError, View};

/// Where something is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Where {
    /// By this node.
    Here,
    /// By that one.
    There(Member),
    /// By none, until one takes it.
    Nowhere,
}

/// See the file's head.
#[derive(Clone)]
pub struct Whereabouts {
    all: Duties,
    own: Arc<str>,
    view: watch::Receiver<View>,
    seen: watch::Receiver<Seen>,
    sooner: Arc<Notify>,
}

/// What this node has come to.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// What it works for.
    pub(super) duties: Arc<HashSet<Duty>>,
    /// The revision of what there is that it has applied.
    pub(super) revision: u64,
    /// It is about to go.
    pub(super) draining: bool,
}

/// How old what is known of the other nodes may be.
const FRESH: Duration = Duration::from_secs(8);

impl Whereabouts {
    pub(super) fn new(nodes: &Nodes) -> (Self, watch::Sender<Seen>) {
        let (seen, told) = watch::channel(Seen::default());
        let own = nodes.own().into();
        let (all, view, sooner) = (nodes.duties().clone(), nodes.view(), nodes.sooner());
        (Self { all, own, view, seen: told, sooner }, seen)
    }

    /// Where a duty is done.
    ///
    /// # Errors
    /// Why Redis could not be asked.
    pub async fn of(&self, duty: &Duty) -> Result<Where, OpenError> {
        if self.seen.borrow().duties.contains(duty) {
            return Ok(Where::Here);
        }
        let holder = self.all.holder(duty).await?;
        let other = holder.filter(|holder| **holder != *self.own);
        let member = other.and_then(|id| self.view.borrow().nodes.iter().find(|node| node.id == id).cloned());
        Ok(member.map_or(Where::Nowhere, Where::There))
    }

    /// What this node does.
    #[must_use]
    pub fn duties(&self) -> Arc<HashSet<Duty>> {
        self.seen.borrow().duties.clone()
    }

    /// All other nodes.
    #[must_use]
    pub fn others(&self) -> Vec<Member> {
        let nodes = self.view.borrow();
        nodes.nodes.iter().filter(|node| *node.id != *self.own).cloned().collect()
    }

    /// This node, as the others see it.
    #[must_use]
    pub fn own(&self) -> Option<Member> {
        self.view.borrow().nodes.iter().find(|node| *node.id == *self.own).cloned()
    }

    /// The revision of what there is that this node knows.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.seen.borrow().revision
    }

    /// Waits until this node knows that revision, no longer than that; whether it does.
    pub async fn knows(&self, revision: u64, within: Duration) -> bool {
        let mut seen = self.seen.clone();
        if seen.borrow().revision < revision {
            self.sooner.notify_one();
        }
        let knows = timeout(within, seen.wait_for(|seen| seen.revision >= revision)).await;
        knows.is_ok_and(|seen| seen.is_ok())
    }

    /// Why no more requests should come to this node, if that is so.
    #[must_use]
    pub fn complaint(&self) -> Option<&'static str> {
        if self.seen.borrow().draining {
            return Some("this node is about to end");
        }
        let heard = self.view.borrow().heard;
        let fresh = heard.is_some_and(|heard| heard.elapsed() < FRESH);
        (!fresh).then_some("Redis does not tell this node about the others")
    }
}
