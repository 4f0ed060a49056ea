//! The life of routers and destinations: created, replaced, changed, deleted. What is wrong is found before anything
//! changes; one change at a time, since each is checked against all others.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::channels::finish;
use super::directory::{Directory, Router};
use super::routing::{Keep, Routing, RoutingError, Sight};
use super::{Gateway, GatewayError, queues};
use crate::model::{
    ChannelId, DestinationId, DestinationProperties, Inbound, JsonObject, Level, RouterId, RouterProperties, Timestamp,
};
use crate::store::Change;

/// Most routers of one server.
const MAX_ROUTERS: usize = 10_000;
/// Most destinations of one router: each message is compared with all of them.
const MAX_DESTINATIONS: usize = 10_000;

/// What a router's properties become.
pub enum Edit {
    /// These and no others.
    Replace(JsonObject),
    /// These beside those that there are.
    Merge(JsonObject),
}

impl Edit {
    fn apply(self, properties: &mut JsonObject) {
        match self {
            Self::Replace(new) => *properties = new,
            Self::Merge(new) => properties.extend(new),
        }
    }
}

impl Gateway {
    /// Every router's id, sorted.
    #[must_use]
    pub fn routers(&self) -> Vec<RouterId> {
        self.0.directory.load().router_ids()
    }

    /// A router with its destinations.
    ///
    /// # Errors
    /// [`GatewayError::RouterNotFound`].
    pub fn router(&self, id: &RouterId) -> Result<Arc<Router>, GatewayError> {
        let directory = self.0.directory.load();
        directory.router(id).cloned().ok_or_else(|| GatewayError::RouterNotFound(id.clone()))
    }

    /// A destination of a router.
    ///
    /// # Errors
    /// [`GatewayError::RouterNotFound`], [`GatewayError::DestinationNotFound`].
    pub fn destination(
        &self,
        router: &RouterId,
        destination: &DestinationId,
    ) -> Result<Arc<DestinationProperties>, GatewayError> {
        find(&*self.router(router)?, destination)
    }

    /// Defines a router.
    ///
    /// # Errors
    /// [`GatewayError`]; nothing is left behind then.
    pub async fn create_router(&self, properties: JsonObject) -> Result<Arc<Router>, GatewayError> {
        self.put_router(&RouterId::mint(), properties).await
    }

    /// Defines a router under an id of the caller's, or replaces the one that has it; its destinations stay.
    ///
    /// # Errors
    /// [`GatewayError`]; nothing has changed then.
    pub async fn put_router(&self, id: &RouterId, properties: JsonObject) -> Result<Arc<Router>, GatewayError> {
        let (gateway, id) = (self.clone(), id.clone());
        finish(async move {
            let _turn = gateway.0.defining.lock().await;
            let destinations = match gateway.router(&id) {
                Ok(router) => router.destinations.clone(),
                Err(_) if gateway.routers().len() >= MAX_ROUTERS => {
                    let message = format!("there are {MAX_ROUTERS} routers already, which is the most");
                    return Err(GatewayError::Usage(message));
                }
                Err(_) => BTreeMap::new(),
            };
            gateway.define_router(RouterProperties { id, properties }, destinations).await
        })
        .await
    }

    /// Changes a router.
    ///
    /// # Errors
    /// [`GatewayError`]; nothing has changed then.
    pub async fn edit_router(&self, id: &RouterId, edit: Edit) -> Result<Arc<Router>, GatewayError> {
        let (gateway, id) = (self.clone(), id.clone());
        finish(async move {
            let _turn = gateway.0.defining.lock().await;
            let before = gateway.router(&id)?;
            let mut properties = before.properties.clone();
            edit.apply(&mut properties.properties);
            gateway.define_router(properties, before.destinations.clone()).await
        })
        .await
    }

    /// Deletes a router with its destinations. Its channel keeps running.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub async fn delete_router(&self, id: &RouterId) -> Result<(), GatewayError> {
        let (gateway, id) = (self.clone(), id.clone());
        finish(async move {
            let _turn = gateway.0.defining.lock().await;
            let router = gateway.router(&id)?;
            gateway.0.store.commit(vec![Change::DeleteRouter(id.clone())]).await?;
            gateway.update_directory(|directory| {
                directory.routers.remove(&id);
            });
            router.destinations.keys().for_each(|destination| gateway.forget_traces(&destination.0));
            gateway.forget_traces(&id.0);
            gateway.forget_sticky(&router).await
        })
        .await
    }

    /// Defines a destination of a router.
    ///
    /// # Errors
    /// [`GatewayError`]; nothing is left behind then.
    pub async fn create_destination(
        &self,
        router: &RouterId,
        properties: JsonObject,
    ) -> Result<Arc<DestinationProperties>, GatewayError> {
        self.put_destination(router, &DestinationId::mint(), properties).await
    }

    /// Defines a destination under an id of the caller's, or replaces the one that has it.
    ///
    /// # Errors
    /// [`GatewayError`]; nothing has changed then.
    pub async fn put_destination(
        &self,
        router: &RouterId,
        id: &DestinationId,
        properties: JsonObject,
    ) -> Result<Arc<DestinationProperties>, GatewayError> {
        let (gateway, router, id) = (self.clone(), router.clone(), id.clone());
        finish(async move {
            let _turn = gateway.0.defining.lock().await;
            let router = gateway.router(&router)?;
            if router.destinations.len() >= MAX_DESTINATIONS && !router.destinations.contains_key(&id) {
                let message = format!("the router has {MAX_DESTINATIONS} destinations already, which is the most");
                return Err(GatewayError::Usage(message));
            }
            let destination = DestinationProperties { id, router: router.properties.id.clone(), properties };
            gateway.define_destination(&router, destination).await
        })
        .await
    }

    /// Changes a destination.
    ///
    /// # Errors
    /// [`GatewayError`]; nothing has changed then.
    pub async fn edit_destination(
        &self,
        router: &RouterId,
        id: &DestinationId,
        edit: Edit,
    ) -> Result<Arc<DestinationProperties>, GatewayError> {
        let (gateway, router, id) = (self.clone(), router.clone(), id.clone());
        finish(async move {
            let _turn = gateway.0.defining.lock().await;
            let router = gateway.router(&router)?;
            let mut destination = (*find(&router, &id)?).clone();
            edit.apply(&mut destination.properties);
            gateway.define_destination(&router, destination).await
        })
        .await
    }

    /// Deletes a destination: its router does not route to it any more.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub async fn delete_destination(&self, router: &RouterId, id: &DestinationId) -> Result<(), GatewayError> {
        let (gateway, router, id) = (self.clone(), router.clone(), id.clone());
        finish(async move {
            let _turn = gateway.0.defining.lock().await;
            let router = gateway.router(&router)?;
            find(&router, &id)?;
            let mut destinations = router.destinations.clone();
            destinations.remove(&id);
            let rebuilt = gateway.build(router.properties.clone(), destinations)?;
            let deletion = Change::DeleteDestination(router.properties.id.clone(), id.clone());
            gateway.0.store.commit(vec![deletion]).await?;
            gateway.update_directory(|directory| directory.put_router(rebuilt.clone()));
            gateway.forget_traces(&id.0);
            Ok(())
        })
        .await
    }

    async fn define_router(
        &self,
        properties: RouterProperties,
        destinations: BTreeMap<DestinationId, Arc<DestinationProperties>>,
    ) -> Result<Arc<Router>, GatewayError> {
        let router = self.build(properties.clone(), destinations)?;
        self.check_channels(&router)?;
        let before = self.router(&properties.id).ok();
        self.load_sticky(&router).await?;
        self.0.store.commit(vec![Change::SaveRouter(properties)]).await?;
        self.update_directory(|directory| directory.put_router(router.clone()));
        if let Some(before) = before.filter(|before| before.keeps() != router.keeps()) {
            self.forget_sticky(&before).await?;
        }
        Ok(router)
    }

    async fn define_destination(
        &self,
        router: &Router,
        destination: DestinationProperties,
    ) -> Result<Arc<DestinationProperties>, GatewayError> {
        queues::check(&self.0.directory.load(), destination.amqp_queue())?;
        let defined = Arc::new(destination.clone());
        let mut destinations = router.destinations.clone();
        destinations.insert(destination.id.clone(), defined.clone());
        let rebuilt = self.build(router.properties.clone(), destinations)?;
        self.check_channels(&rebuilt)?;
        self.0.store.commit(vec![Change::SaveDestination(destination)]).await?;
        self.update_directory(|directory| directory.put_router(rebuilt.clone()));
        Ok(defined)
    }

    /// A router of these definitions.
    fn build(
        &self,
        properties: RouterProperties,
        destinations: BTreeMap<DestinationId, Arc<DestinationProperties>>,
    ) -> Result<Arc<Router>, GatewayError> {
        let routing = self.routing(&properties, &destinations)?;
        Ok(Arc::new(Router { properties, destinations, routing: Some(routing) }))
    }

    fn routing(
        &self,
        properties: &RouterProperties,
        destinations: &BTreeMap<DestinationId, Arc<DestinationProperties>>,
    ) -> Result<Box<dyn Routing>, GatewayError> {
        let name = properties.router_type();
        let types = &self.0.types.routers;
        let unknown = || GatewayError::InvalidRouterType { name: name.to_owned(), known: types.names() };
        let router_type = types.get(name).ok_or_else(unknown)?;
        let destinations: Vec<_> = destinations.values().cloned().collect();
        Ok(router_type.build(&properties.config(), &destinations)?)
    }

    /// That the channels which a router names are there, and that the one whose MOs it takes has no other taker.
    fn check_channels(&self, router: &Router) -> Result<(), GatewayError> {
        let directory = self.0.directory.load();
        let Some(routing) = &router.routing else { return Ok(()) };
        let Some(channel) = routing.channel() else {
            let missing = routing.channels().into_iter().find(|channel| !directory.channels.contains_key(*channel));
            let missing = missing.map(|channel| format!("Channel {channel} does not exist"));
            return missing.map_or(Ok(()), |message| Err(RoutingError::Destination(message).into()));
        };
        let bad = |message: String| Err(RoutingError::Router(message).into());
        let Some(properties) = directory.channels.get(channel) else {
            return match uuid::Uuid::parse_str(channel.as_str()) {
                Ok(_) => bad(format!("Channel {channel} does not exist")),
                Err(_) => bad("Field 'channel' is not a valid UUID".to_owned()),
            };
        };
        if properties.has_destination() {
            return bad(format!("Channel {channel} already has a destination specified"));
        }
        match directory.router_of(channel).map(|other| &other.properties.id) {
            Some(other) if *other != router.properties.id => {
                bad(format!("Router {other} is already routing channel {channel}"))
            }
            _ => Ok(()),
        }
    }

    /// A stored router. One that cannot be built any more is kept, and says so.
    pub(super) fn rebuilt(
        &self,
        properties: RouterProperties,
        destinations: BTreeMap<DestinationId, Arc<DestinationProperties>>,
    ) -> Router {
        let routing = self.routing(&properties, &destinations);
        if let Err(error) = &routing {
            self.0.logs.of(&properties.id.0).failure(format!("the router does not route: {error}"), error);
        }
        Router { properties, destinations, routing: routing.ok() }
    }

    async fn load_sticky(&self, router: &Router) -> Result<(), GatewayError> {
        // Those of a channel that does not run here are read when it comes.
        match router.channel().filter(|channel| self.0.directory.load().runs(channel)) {
            Some(channel) => Ok(self.0.sticky.load(&self.0.store, channel).await?),
            None => Ok(()),
        }
    }

    async fn forget_sticky(&self, router: &Router) -> Result<(), GatewayError> {
        match router.channel() {
            Some(channel) => Ok(self.0.sticky.forget(&self.0.store, channel).await?),
            None => Ok(()),
        }
    }

    pub(super) fn forget_traces(&self, id: &Arc<str>) {
        self.0.logs.delete(id);
        self.0.rates.forget(id);
    }

    /// Where an MO goes, and what has to be written with it.
    pub(super) fn route(
        &self,
        directory: &Directory,
        router: &Router,
        message: &Inbound,
        now: Timestamp,
    ) -> (Vec<DestinationId>, Vec<Change>) {
        let log = || self.0.logs.of(&router.properties.id.0);
        let Some(routing) = &router.routing else {
            log().error(format!("Message {} was not routed: the router's configuration cannot be read", message.id));
            return (Vec::new(), Vec::new());
        };
        let route = routing.inbound(message, &Eyes { gateway: self, directory, router });
        if route.destinations.is_empty() {
            let why = route.nowhere.unwrap_or("no destination matches");
            log().warn(format!("Message {} was not routed: {why}", message.id));
        }
        let keep = |keep: Keep| self.0.sticky.keep(&message.channel, &message.from, keep, now);
        (route.destinations, route.keep.map(keep).unwrap_or_default())
    }

    /// The destination that takes over an MO which another one has failed to take so many times.
    pub(super) fn heir(&self, router: &RouterId, failed: &DestinationId, failures: u32) -> Option<DestinationId> {
        let directory = self.0.directory.load();
        let router = directory.router(router)?;
        router.routing.as_ref()?.heir(failed, failures, &Eyes { gateway: self, directory: &directory, router })
    }

    /// The channel that a router chooses for a number.
    pub(super) fn choose(
        &self,
        directory: &Directory,
        router: &Router,
        to: &str,
        from: Option<&DestinationId>,
    ) -> Result<ChannelId, GatewayError> {
        let chosen = router
            .routing
            .as_ref()
            .and_then(|routing| routing.outbound(to, from, &Eyes { gateway: self, directory, router }));
        chosen.ok_or_else(|| GatewayError::NoRoute { router: router.properties.id.clone(), to: to.to_owned() })
    }
}

fn find(router: &Router, destination: &DestinationId) -> Result<Arc<DestinationProperties>, GatewayError> {
    let found = router.destinations.get(destination).cloned();
    found.ok_or_else(|| GatewayError::DestinationNotFound {
        router: router.properties.id.clone(),
        destination: destination.clone(),
    })
}

/// What a routing sees.
struct Eyes<'a> {
    gateway: &'a Gateway,
    directory: &'a Directory,
    router: &'a Router,
}

impl Sight for Eyes<'_> {
    fn is_usable(&self, channel: &ChannelId) -> bool {
        self.directory.channels.contains_key(channel)
            && self.gateway.told_level(channel) != Some(Level::Down)
            && self.gateway.depth(channel).waiting < self.gateway.0.config.queue_limit
    }

    fn is_reachable(&self, destination: &DestinationId) -> bool {
        let Some(destination) = self.router.destinations.get(destination) else { return false };
        match destination.text("mo_url").map(url::Url::parse) {
            Some(Ok(url)) => !self.gateway.0.hosts.is_spared(&url),
            Some(Err(_)) => false,
            None => destination.amqp_queue().is_some(),
        }
    }

    fn kept_with(&self, phone: &str) -> Option<DestinationId> {
        let channel = self.router.routing.as_ref()?.channel()?;
        let kept = self.gateway.0.sticky.of(channel, phone, Timestamp::now())?;
        // It may have been deleted meanwhile.
        self.router.destinations.contains_key(&kept).then_some(kept)
    }
}
