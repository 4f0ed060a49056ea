//! Every channel, router and destination as the message path needs them: one snapshot, read without a lock and replaced
//! whole when a definition changes.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::GatewayError;
use super::routing::Routing;
use crate::model::{
    ChannelId, ChannelProperties, DestinationId, DestinationProperties, Outbound, QueueOwner, RouterId,
    RouterProperties,
};

/// Which of the channels that there are run in this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Assigned {
    /// Every one.
    #[default]
    All,
    /// These, as far as they are there; the others run elsewhere, or nowhere.
    Only(HashSet<ChannelId>),
}

impl Assigned {
    pub(super) fn includes(&self, channel: &ChannelId) -> bool {
        match self {
            Self::All => true,
            Self::Only(channels) => channels.contains(channel),
        }
    }
}

/// See the file's head.
#[derive(Clone, Default)]
pub(super) struct Directory {
    pub(super) channels: HashMap<ChannelId, Arc<ChannelProperties>>,
    pub(super) routers: BTreeMap<RouterId, Arc<Router>>,
    pub(super) assigned: Arc<Assigned>,
    by_channel: HashMap<ChannelId, RouterId>,
    /// By the name of an AMQP queue: who sends and receives by it.
    queues: Arc<BTreeMap<Arc<str>, Vec<QueueOwner>>>,
}

/// A router with its destinations.
pub struct Router {
    /// The router itself.
    pub properties: RouterProperties,
    /// Its destinations, sorted by id.
    pub destinations: BTreeMap<DestinationId, Arc<DestinationProperties>>,
    /// What they make together; nothing when the stored configuration cannot be read any more.
    pub(super) routing: Option<Box<dyn Routing>>,
}

impl Router {
    /// Every channel that it names.
    pub(super) fn channels(&self) -> Vec<&ChannelId> {
        self.routing.as_ref().map(|routing| routing.channels()).unwrap_or_default()
    }

    /// The channel whose MOs it routes.
    pub(super) fn channel(&self) -> Option<&ChannelId> {
        self.routing.as_ref()?.channel()
    }

    /// The channel that it keeps to itself: as it is stored, so that a router which cannot be built still keeps others off
    /// its channel.
    fn claims(&self) -> Option<ChannelId> {
        match &self.routing {
            Some(routing) => routing.channel().cloned(),
            None => self.properties.config().get("channel")?.as_str().map(ChannelId::from),
        }
    }

    /// What it keeps phones for, and of which channel. Another type keeps them for other reasons, and another channel has
    /// other phones.
    pub(super) fn keeps(&self) -> (&str, Option<&ChannelId>) {
        (self.properties.router_type(), self.channel())
    }
}

impl Directory {
    /// The channels on which what comes out of an AMQP queue may be sent.
    pub(super) fn fed_by(&self, queue: &str) -> Vec<ChannelId> {
        let owners = self.queues.get(queue).into_iter().flatten();
        let channels = owners.flat_map(|owner| match owner {
            QueueOwner::Channel(channel) => vec![channel],
            QueueOwner::Destination(router, _) => {
                self.router(router).map(|router| router.channels()).unwrap_or_default()
            }
        });
        let distinct: BTreeSet<&ChannelId> = channels.collect();
        distinct.into_iter().cloned().collect()
    }

    /// Nothing yet, of which this will run here.
    pub(super) fn of(assigned: Assigned) -> Self {
        Self { assigned: Arc::new(assigned), ..Self::default() }
    }

    /// Finds again who has what; to be asked for after every change.
    pub(super) fn index(&mut self) {
        let claims = |(id, router): (&RouterId, &Arc<Router>)| Some((router.claims()?, id.clone()));
        self.by_channel = self.routers.iter().filter_map(claims).collect();
        let mut queues: BTreeMap<Arc<str>, Vec<QueueOwner>> = BTreeMap::new();
        for channel in self.channels.values() {
            if let Some(queue) = channel.amqp_queue() {
                queues.entry(queue.into()).or_default().push(QueueOwner::Channel(channel.id.clone()));
            }
        }
        for destination in self.routers.values().flat_map(|router| router.destinations.values()) {
            if let Some(queue) = destination.amqp_queue() {
                let owner = QueueOwner::Destination(destination.router.clone(), destination.id.clone());
                queues.entry(queue.into()).or_default().push(owner);
            }
        }
        queues.values_mut().for_each(|owners| owners.sort_by(|a, b| a.id().cmp(b.id())));
        self.queues = Arc::new(queues);
    }

    /// Whether a channel that there is runs here.
    pub(super) fn runs(&self, channel: &ChannelId) -> bool {
        self.assigned.includes(channel) && self.channels.contains_key(channel)
    }

    /// A channel, wherever it runs.
    ///
    /// # Errors
    /// [`GatewayError::ChannelNotFound`].
    pub(super) fn channel(&self, channel: &ChannelId) -> Result<&Arc<ChannelProperties>, GatewayError> {
        self.channels.get(channel).ok_or(GatewayError::ChannelNotFound)
    }

    /// A channel that runs here.
    ///
    /// # Errors
    /// [`GatewayError::ChannelNotFound`], [`GatewayError::Elsewhere`].
    pub(super) fn running(&self, channel: &ChannelId) -> Result<&Arc<ChannelProperties>, GatewayError> {
        let found = self.channel(channel)?;
        if self.assigned.includes(channel) { Ok(found) } else { Err(GatewayError::Elsewhere(channel.clone())) }
    }

    /// See there.
    pub(super) fn queues(&self) -> &Arc<BTreeMap<Arc<str>, Vec<QueueOwner>>> {
        &self.queues
    }

    /// The AMQP queue that somebody has.
    pub(super) fn queue_of(&self, owner: &QueueOwner) -> Option<&str> {
        match owner {
            QueueOwner::Channel(channel) => self.channels.get(channel)?.amqp_queue(),
            QueueOwner::Destination(router, destination) => self.destination(router, destination)?.amqp_queue(),
        }
    }

    /// The AMQP queues that an MT's events go to, each once, and by whom it has them.
    pub(super) fn event_queues(&self, message: &Outbound) -> Vec<(&str, QueueOwner)> {
        let destinations = self.owners(message).into_iter().flat_map(|(router, destinations)| {
            destinations.into_iter().map(|destination| QueueOwner::Destination(router.clone(), destination))
        });
        let channel = message.destination.is_none().then(|| QueueOwner::Channel(message.channel.clone()));
        let owners = destinations.chain(channel);
        let mut queues: Vec<_> = owners.filter_map(|owner| Some((self.queue_of(&owner)?, owner))).collect();
        queues.sort_by_key(|(queue, _)| *queue);
        queues.dedup_by_key(|(queue, _)| *queue);
        queues
    }

    pub(super) fn router(&self, id: &RouterId) -> Option<&Arc<Router>> {
        self.routers.get(id)
    }

    /// The router that owns a channel's MOs.
    pub(super) fn router_of(&self, channel: &ChannelId) -> Option<&Arc<Router>> {
        self.routers.get(self.by_channel.get(channel)?)
    }

    /// Every router's id, sorted.
    pub(super) fn router_ids(&self) -> Vec<RouterId> {
        self.routers.keys().cloned().collect()
    }

    /// A destination of a router.
    pub(super) fn destination(
        &self,
        router: &RouterId,
        destination: &DestinationId,
    ) -> Option<&Arc<DestinationProperties>> {
        self.routers.get(router)?.destinations.get(destination)
    }

    pub(super) fn put_router(&mut self, router: Arc<Router>) {
        self.routers.insert(router.properties.id.clone(), router);
    }

    /// The router that an MT belongs to, and the destinations that are told of it.
    pub(super) fn owners(&self, message: &Outbound) -> Option<(&RouterId, Vec<DestinationId>)> {
        let router = match &message.router {
            Some(router) => self.routers.get(router)?,
            None => self.router_of(&message.channel)?,
        };
        let destinations = match (&message.destination, &router.routing) {
            (Some(destination), _) => vec![destination.clone()],
            (None, Some(routing)) => routing.hears(message),
            (None, None) => Vec::new(),
        };
        Some((&router.properties.id, destinations))
    }
}
