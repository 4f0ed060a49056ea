//! What one node of several does to share a store in Redis with the others: it says that it is there, takes what it is to
//! work for, and lets it go.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::many::Many;
use super::part::{HoldError, Part};
use super::shards::Shards;
use super::{OpenError, Store, StoreConfig, Tenure};
use crate::model::ChannelId;
use crate::redis::placement::place;
use crate::redis::registry::{Registry, is_there};

pub use crate::redis::registry::{Member, View};

/// How long a node waits for one that has its id, and from one look to the next.
const PATIENCE: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(200);

/// A node's place among those that share a store.
pub struct Nodes {
    registry: Registry,
    duties: Duties,
    own: String,
}

/// Something that one node does at a time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Duty {
    /// To lead: to change what there is.
    Lead,
    /// To work for a channel.
    Channel(ChannelId),
}

impl Duty {
    fn name(&self) -> &str {
        match self {
            Self::Lead => super::SETTINGS,
            Self::Channel(channel) => channel.as_str(),
        }
    }

    /// The node that should do it.
    #[must_use]
    pub fn place<'a>(&self, nodes: &'a [Member]) -> Option<&'a Member> {
        place(self.name(), nodes)
    }
}

impl std::fmt::Display for Duty {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lead => formatter.write_str("the lead"),
            Self::Channel(channel) => write!(formatter, "the channel {channel}"),
        }
    }
}

/// What is to be done, and who does it. Clones are the same.
#[derive(Clone)]
pub struct Duties(Arc<Many>);

impl Store {
    /// Opens a store in Redis together with other nodes, of which this is one. Nothing is held yet.
    ///
    /// # Errors
    /// [`OpenError`]; a store in a directory has no nodes.
    pub async fn join(config: &StoreConfig, own: Member) -> Result<(Self, Nodes), OpenError> {
        let id = own.id.clone();
        let store = Box::pin(Self::open_as(config, Some(&id))).await?;
        let Shards::Many(many) = &store.0.shards else {
            return Err(OpenError::Engine("a store in a directory is one process's alone".to_owned()));
        };
        // Whoever had the id before may only be about to end.
        let since = Instant::now();
        let away = |error: crate::redis::RedisError| OpenError::Engine(error.to_string());
        while is_there(&many.redis, &id).await.map_err(away)? {
            if since.elapsed() > PATIENCE {
                return Err(OpenError::Held { by: format!("a node with the same name and address, {id}") });
            }
            tokio::time::sleep(AGAIN).await;
        }
        let nodes = Nodes { registry: Registry::join(&many.redis, own), duties: Duties(many.clone()), own: id };
        Ok((store, nodes))
    }
}

impl Nodes {
    /// The id of this one.
    #[must_use]
    pub fn own(&self) -> &str {
        &self.own
    }

    /// Which nodes there are, and the revision of what there is, whenever that changes.
    #[must_use]
    pub fn view(&self) -> watch::Receiver<View> {
        self.registry.view()
    }

    /// Whoever knows that there is news notifies this, and the view is renewed before its time.
    #[must_use]
    pub fn sooner(&self) -> Arc<Notify> {
        self.registry.sooner()
    }

    /// What is to be done.
    #[must_use]
    pub fn duties(&self) -> &Duties {
        &self.duties
    }

    /// Tells the others that this node is about to go: from now on its duties are theirs.
    pub fn drain(&self) {
        self.registry.drain();
    }

    /// Is no node any more.
    pub async fn leave(self) {
        if let Err(error) = self.registry.leave().await {
            tracing::debug!(%error, "Redis was not told that this node has gone, and forgets it by itself");
        }
    }
}

impl Duties {
    /// Takes a duty, unless another node has it; nothing happens where this node has it.
    ///
    /// # Errors
    /// [`HoldError`].
    pub async fn take(&self, duty: &Duty) -> Result<(), HoldError> {
        let engine = self.0.hold(&*self.part(duty)?).await?;
        let Duty::Channel(channel) = duty else { return Ok(()) };
        let ended = self.0.end_deleted(channel, &engine).await;
        ended.map_err(|error| OpenError::Engine(error.to_string()).into())
    }

    /// Lets a duty go, once all that this node has written for it is durable. Nothing may be done for it any more.
    pub async fn let_go(&self, duty: &Duty) {
        if let Ok(part) = self.part(duty) {
            part.let_go().await;
        }
    }

    /// What this node has, and how its right to it stands at this moment.
    #[must_use]
    pub fn held(&self) -> Vec<(Duty, Tenure)> {
        let lead = self.0.settings().tenure().map(|tenure| (Duty::Lead, tenure));
        let channels = self.0.all().into_iter();
        let channels = channels.filter_map(|(id, part)| Some((Duty::Channel(id), part.tenure()?)));
        lead.into_iter().chain(channels).collect()
    }

    /// The id of the node that has a duty, if any has.
    ///
    /// # Errors
    /// Why Redis could not be asked.
    pub async fn holder(&self, duty: &Duty) -> Result<Option<String>, OpenError> {
        let holder = self.0.redis.slot(duty.name()).holder().await;
        holder.map_err(|error| OpenError::Engine(error.to_string()))
    }

    /// All channels that have messages: those that there are, and those that were deleted and have some left.
    #[must_use]
    pub fn channels(&self) -> Vec<ChannelId> {
        self.0.all().into_iter().map(|(id, _)| id).collect()
    }

    /// Finds out what others have made, after [`View::revision`] has changed.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn look_again(&self) -> Result<(), OpenError> {
        self.0.look_again().await
    }

    /// Tells the others that what there is may have changed: whoever begins to lead does not know whether that was said.
    pub async fn tell(&self) {
        self.0.tell().await;
    }

    fn part(&self, duty: &Duty) -> Result<Arc<Part>, OpenError> {
        match duty {
            Duty::Lead => Ok(self.0.settings().clone()),
            Duty::Channel(channel) => {
                let none = || OpenError::Engine(format!("nobody has made the channel {channel} yet"));
                self.0.part(channel).ok_or_else(none)
            }
        }
    }
}
