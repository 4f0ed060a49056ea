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

impl Directory {
    /// Channels, and no router yet.
    pub(super) fn of(channels: HashMap<ChannelId, Arc<ChannelProperties>>) -> Self {
        Self { channels, ..Self::default() }
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
