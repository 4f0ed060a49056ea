//! Every channel, router and destination as the message path needs them: one snapshot, read without a lock and replaced
//! whole when a definition changes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::routing::Routing;
use crate::model::{
    ChannelId, ChannelProperties, DestinationId, DestinationProperties, Outbound, RouterId, RouterProperties,
};

/// See the file's head.
#[derive(Clone, Default)]
pub(super) struct Directory {
    pub(super) channels: HashMap<ChannelId, Arc<ChannelProperties>>,
    routers: HashMap<RouterId, Arc<Router>>,
    by_channel: HashMap<ChannelId, RouterId>,
    /// By the name of an AMQP queue: who sends and receives by it.
    queues: Arc<BTreeMap<Arc<str>, Vec<QueueOwner>>>,
}

/// Who has an AMQP queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum QueueOwner {
    /// A channel.
    Channel(ChannelId),
    /// A destination of a router.
    Destination(RouterId, DestinationId),
}

impl QueueOwner {
    /// Its id.
    pub(super) fn id(&self) -> &Arc<str> {
        match self {
            Self::Channel(channel) => &channel.0,
            Self::Destination(_, destination) => &destination.0,
        }
    }
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
    /// The channel whose MOs it routes.
    pub(super) fn channel(&self) -> Option<&ChannelId> {
        self.routing.as_ref()?.channel()
    }
}

impl Directory {
    /// Channels, and no router yet.
    pub(super) fn of(channels: HashMap<ChannelId, Arc<ChannelProperties>>) -> Self {
        let mut directory = Self { channels, ..Self::default() };
        directory.find_queues();
        directory
    }

    /// Who has which AMQP queue; to be asked for again after every change.
    pub(super) fn find_queues(&mut self) {
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

    /// See there.
    pub(super) fn queues(&self) -> &Arc<BTreeMap<Arc<str>, Vec<QueueOwner>>> {
        &self.queues
    }

    /// Whether this AMQP queue is a channel's, or a destination's whose router has to do with the channel.
    pub(super) fn has_queue(&self, queue: &str, channel: &ChannelId) -> bool {
        let owners = self.queues.get(queue).map_or(&[][..], Vec::as_slice);
        owners.iter().any(|owner| match owner {
            QueueOwner::Channel(id) => id == channel,
            QueueOwner::Destination(router, _) => {
                let routing = self.router(router).and_then(|router| router.routing.as_ref());
                routing.is_some_and(|routing| routing.channels().contains(&channel))
            }
        })
    }

    /// The AMQP queues that an MT's events go to, each once.
    pub(super) fn event_queues(&self, message: &Outbound) -> Vec<&str> {
        let mut queues = Vec::new();
        if let Some((router, destinations)) = self.owners(message) {
            let own = destinations.iter().filter_map(|destination| self.destination(router, destination)?.amqp_queue());
            queues.extend(own);
        }
        if message.destination.is_none() {
            queues.extend(self.channels.get(&message.channel).and_then(|channel| channel.amqp_queue()));
        }
        queues.sort_unstable();
        queues.dedup();
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
        let mut ids: Vec<RouterId> = self.routers.keys().cloned().collect();
        ids.sort();
        ids
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
        self.remove_router(&router.properties.id);
        // As it is stored, so that a router which cannot be built still keeps others off its channel.
        let config = router.properties.config();
        let stored = config.get("channel").and_then(|channel| channel.as_str()).map(ChannelId::from);
        let channel = router.routing.as_ref().map_or(stored, |routing| routing.channel().cloned());
        if let Some(channel) = channel {
            self.by_channel.insert(channel, router.properties.id.clone());
        }
        self.routers.insert(router.properties.id.clone(), router);
    }

    pub(super) fn remove_router(&mut self, id: &RouterId) {
        self.routers.remove(id);
        self.by_channel.retain(|_, router| router != id);
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
