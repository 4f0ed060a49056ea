//! The rules of the product: what happens to a message between an API and a channel.
//!
//! Accepting is in `outbound`, what channels tell in `intake`, callbacks in `callbacks`, the life of channels in
//! `channels`. Names no engine and no wire format of an API.

pub mod bodies;
mod callbacks;
mod channels;
mod directory;
mod error;
mod hosts;
mod import;
mod intake;
pub mod listing;
mod meter;
mod outbound;
mod parked;
mod queues;
mod receipts;
mod refresh;
pub mod retry;
mod routers;
pub mod routing;
mod search;
mod templates;
mod withdrawals;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::{StreamExt, stream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use self::callbacks::CallbackPolicy;
use self::callbacks::Served;
use self::directory::Directory;
pub use self::directory::{Assigned, Router};
pub use self::error::{GatewayError, StartError};
use self::hosts::Hosts;
pub use self::import::{Import, Imported};
pub use self::intake::GatewayIntake;
use self::meter::Meters;
pub use self::outbound::{Draft, FARTHEST, ReplyTo, Via};
pub use self::parked::Parked;
use self::queues::Queues;
pub use self::queues::failures::{FailedMessage, FailedMessages};
pub use self::routers::Edit;
use self::routing::{RouterTypes, StickyRoutes};
use crate::bus::Bus;
use crate::channel::ChannelTypes;
use crate::model::{
    CallbackKind, ChannelId, ChannelProperties, DestinationId, Event, EventId, JsonObject, Level, MessageId, RouterId,
    Status, Timestamp,
};
use crate::store::{Depth, QueueLength, Store};
use crate::telemetry::channel_log::{PduChunk, PduOwners};
use crate::telemetry::{ChannelLogs, Label, Rates};
use crate::web::client::Client;

/// Statuses that are read together.
const LOOKS: usize = 16;

/// Rules that an operator sets.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// How long an MO can be replied to.
    pub inbound_ttl: Duration,
    /// How long after an MT was accepted its receipts are posted; later ones can only be asked for.
    pub outbound_ttl: Duration,
    /// Sends a reply whose MO has expired as an ordinary message.
    pub allow_expired_replies: bool,
    /// Refuses new channels that nobody could receive from.
    pub require_destination: bool,
    /// Whether MOs that end a session are forwarded.
    pub forward_session_close: bool,
    /// Most messages that may wait for one channel.
    pub queue_limit: u64,
    /// Whether channel secrets are shown.
    pub expose_secrets: bool,
    /// How callbacks are made.
    pub callbacks: CallbackPolicy,
    /// How long channels may take to finish what is in flight.
    pub channel_drain: Duration,
    /// What it does beside answering.
    pub activity: Activity,
    /// Which channels run here until [`Gateway::assign`] says otherwise.
    pub assigned: Assigned,
}

/// What a gateway does beside answering whoever asks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Channels run, callbacks are made.
    Full,
    /// Neither: what is stored can be looked at and changed.
    Idle,
}

/// What a server can run, beyond what it comes with if a program adds to it: the extension point.
pub struct Types {
    /// The channel types.
    pub channels: ChannelTypes<GatewayIntake>,
    /// The router types.
    pub routers: RouterTypes,
}

impl Default for Types {
    fn default() -> Self {
        Self { channels: ChannelTypes::built_in(), routers: RouterTypes::built_in() }
    }
}

/// By channel and component: what was told, and when.
type Told = HashMap<ChannelId, HashMap<&'static str, Word>>;

/// The latest status of a component.
struct Word {
    status: Status,
    at: Timestamp,
    /// Its callback's, if anybody was to be told.
    callback: EventId,
}

/// The gateway; clones are the same one.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

struct Inner {
    config: GatewayConfig,
    types: Types,
    store: Store,
    logs: ChannelLogs,
    rates: Arc<Rates>,
    /// Requests to receivers of callbacks and to providers.
    client: Client,
    meters: Meters,
    directory: ArcSwap<Directory>,
    /// Whose turn it is to change a definition, or to read all of them: held from a look at the directory or the store until
    /// both are as they should be, and while no channel is waited for.
    defining: tokio::sync::Mutex<()>,
    sticky: StickyRoutes,
    hosts: Hosts,
    queues: Queues,
    /// Where channels run.
    places: channels::Places,
    /// Who makes the callbacks of which channel.
    served: Served,
    /// The latest status of each component, so that repetitions are not told again.
    told: Mutex<Told>,
    /// The levels of channels that routers choose from and that run elsewhere.
    elsewhere: ArcSwap<HashMap<ChannelId, Level>>,
    stop: CancellationToken,
    /// Cancelled before that, when the end begins: nobody waits any more for what a store that is away does not write.
    closing: CancellationToken,
    dispatcher: Mutex<Option<tokio::task::JoinHandle<()>>>,
    expiry: Mutex<Option<tokio::task::JoinHandle<()>>>,
    /// Looks at messages have turns.
    searches: Arc<Semaphore>,
}

impl Gateway {
    /// Starts every stored channel that is to run here, the callbacks, and what goes over AMQP queues, if there is a broker.
    ///
    /// # Errors
    /// [`StartError`] when the store cannot be read.
    pub async fn start(
        config: GatewayConfig,
        types: Types,
        store: Store,
        logs: ChannelLogs,
        rates: Rates,
        client: Client,
        bus: Option<Bus>,
    ) -> Result<Self, StartError> {
        let policy = config.callbacks.clone();
        let directory = Directory::of(config.assigned.clone());
        let gateway = Self(Arc::new(Inner {
            config,
            types,
            store,
            logs,
            rates: Arc::new(rates),
            client: client.clone(),
            meters: Meters::default(),
            directory: ArcSwap::from_pointee(directory),
            defining: tokio::sync::Mutex::default(),
            sticky: StickyRoutes::default(),
            hosts: Hosts::new(policy.per_host, policy.retry),
            queues: Queues::new(bus),
            places: channels::Places::default(),
            served: Served::default(),
            told: Mutex::default(),
            elsewhere: ArcSwap::default(),
            stop: CancellationToken::new(),
            closing: CancellationToken::new(),
            dispatcher: Mutex::default(),
            expiry: Mutex::default(),
            searches: Arc::new(Semaphore::new(search::SEARCHES)),
        }));
        let channels = gateway.reread().await?;
        if gateway.0.config.activity == Activity::Idle {
            return Ok(gateway);
        }
        let lanes = gateway.0.store.callback_lanes().ok_or(StartError::AlreadyRunning)?;
        let dispatcher = tokio::spawn(callbacks::dispatch(gateway.clone(), lanes, client, policy));
        *gateway.0.dispatcher.lock().unwrap_or_else(PoisonError::into_inner) = Some(dispatcher);
        let expiry = tokio::spawn(gateway.clone().expire());
        *gateway.0.expiry.lock().unwrap_or_else(PoisonError::into_inner) = Some(expiry);
        // One that cannot be read now must not keep the others down; its log says so.
        let _ = gateway.settle_all(channels, gateway.0.config.channel_drain).await;
        gateway.0.queues.start(&gateway);
        Ok(gateway)
    }

    /// Ends in order: nothing more comes out of queues, channels finish what is in flight and unbind, callbacks stop, what
    /// waits is written.
    pub async fn shutdown(self) {
        self.0.closing.cancel();
        self.0.queues.stop().await;
        self.stop_all().await;
        self.0.stop.cancel();
        let dispatcher = self.0.dispatcher.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(dispatcher) = dispatcher {
            // It ends by itself once told; a panic in it has been reported.
            let _ = dispatcher.await;
        }
        let expiry = self.0.expiry.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(expiry) = expiry {
            let _ = expiry.await;
        }
        self.0.queues.close().await;
        self.0.store.clone().close().await;
    }

    /// A channel's properties.
    ///
    /// # Errors
    /// [`GatewayError::ChannelNotFound`].
    pub fn channel(&self, id: &ChannelId) -> Result<Arc<ChannelProperties>, GatewayError> {
        self.0.directory.load().channel(id).cloned()
    }

    /// Whether a channel that there is runs here.
    #[must_use]
    pub fn runs(&self, channel: &ChannelId) -> bool {
        self.0.directory.load().runs(channel)
    }

    /// The revision of what there is that other nodes know once they know what was last changed here.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.0.store.revision()
    }

    /// Every channel's id, sorted.
    #[must_use]
    pub fn channels(&self) -> Vec<ChannelId> {
        let mut ids: Vec<ChannelId> = self.0.directory.load().channels.keys().cloned().collect();
        ids.sort();
        ids
    }

    /// Whether secrets are shown.
    #[must_use]
    pub fn exposes_secrets(&self) -> bool {
        self.0.config.expose_secrets
    }

    /// The latest status of each component of a channel.
    ///
    /// # Errors
    /// [`GatewayError::Read`].
    pub async fn statuses(&self, channel: &ChannelId) -> Result<Vec<Status>, GatewayError> {
        Ok(self.0.store.statuses(channel).await?)
    }

    /// The rate of a channel, router or destination in the last complete window.
    #[must_use]
    pub fn rate(&self, id: &Arc<str>, label: Label) -> f64 {
        self.0.rates.rate(id, label, Timestamp::now())
    }

    /// How much waits in all queues of a channel. What is for an AMQP queue that several have counts for each of them.
    ///
    /// # Errors
    /// [`GatewayError::ChannelNotFound`].
    pub fn queue_length(&self, channel: &ChannelId) -> Result<QueueLength, GatewayError> {
        let properties = self.channel(channel)?;
        let mut length = self.0.store.queue_length(channel);
        if let Some(queue) = properties.amqp_queue() {
            length.inbound += self.0.store.owed_to_queue(&CallbackKind::Mo.routing_key(queue));
            length.events += self.0.store.owed_to_queue(&CallbackKind::Event.routing_key(queue));
        }
        Ok(length)
    }

    /// How much waits for a channel.
    #[must_use]
    pub fn depth(&self, channel: &ChannelId) -> Depth {
        self.0.store.depth(channel)
    }

    /// The events of an MT; none for a message that was not sent this way.
    ///
    /// # Errors
    /// [`GatewayError::Read`].
    pub async fn events(&self, via: Via<'_>, message: MessageId) -> Result<Vec<Event>, GatewayError> {
        let among = match via {
            Via::Channel(channel) if self.0.directory.load().channels.contains_key(channel) => vec![channel.clone()],
            // A router may have named other channels when it was sent.
            _ => self.channels(),
        };
        let Some(stored) = self.0.store.message(&among, message).await? else { return Ok(Vec::new()) };
        let message = &stored.message;
        let sent_so = match via {
            Via::Channel(channel) => {
                let router = message.router.as_ref().map(RouterId::as_str);
                message.channel == *channel || router == Some(channel.as_str())
            }
            Via::Destination(_, destination) => {
                let owners = self.0.directory.load().owners(message).map(|(_, destinations)| destinations);
                owners.is_some_and(|destinations| destinations.contains(destination))
            }
        };
        if sent_so { Ok(self.0.store.events(&stored).await?) } else { Ok(Vec::new()) }
    }

    /// The last entries of the log of a channel, router or destination, newest first; those about one message, if one is
    /// given.
    ///
    /// # Errors
    /// [`GatewayError::Log`].
    pub async fn log_entries(
        &self,
        id: &Arc<str>,
        count: usize,
        about: Option<MessageId>,
    ) -> Result<Vec<JsonObject>, GatewayError> {
        let log = self.0.logs.of(id);
        let read = tokio::task::spawn_blocking(move || log.entries(count, about)).await;
        let entries = read.map_err(|error| GatewayError::Log(error.to_string()))?;
        entries.map_err(|error| GatewayError::Log(error.to_string()))
    }

    /// Which messages a channel's last PDUs belong to.
    #[must_use]
    pub fn pdu_owners(&self, channel: &ChannelId) -> PduOwners {
        self.0.logs.channel(channel).pdu_owners()
    }

    /// A channel's last PDUs, oldest first.
    #[must_use]
    pub fn pdu_chunks(&self, channel: &ChannelId) -> Vec<PduChunk> {
        self.0.logs.channel(channel).pdu_chunks()
    }

    /// Whether everything is accepted.
    ///
    /// # Errors
    /// Why not.
    pub fn health(&self) -> Result<(), Arc<str>> {
        self.0.store.health()
    }

    /// Where callbacks of a kind go for a channel, and with which token; `None` when nobody wants them.
    fn channel_target(&self, channel: &ChannelId, kind: CallbackKind) -> Option<(String, Option<String>)> {
        let directory = self.0.directory.load();
        let properties = directory.channels.get(channel)?;
        let text = |key| properties.text(key).filter(|text| !text.is_empty()).map(ToOwned::to_owned);
        match kind {
            CallbackKind::Status => Some((text("status_url")?, None)),
            _ => Some((text("mo_url")?, text("mo_url_auth_token"))),
        }
    }

    /// Where a destination's MOs go, and with which token.
    fn destination_target(&self, router: &RouterId, destination: &DestinationId) -> Option<(String, Option<String>)> {
        let directory = self.0.directory.load();
        let destination = directory.destination(router, destination)?;
        Some((destination.text("mo_url")?.to_owned(), destination.text("mo_url_token").map(ToOwned::to_owned)))
    }

    /// The worst that a channel's components have said since the start; of one that runs elsewhere, when that was last
    /// looked at.
    fn told_level(&self, channel: &ChannelId) -> Option<Level> {
        if !self.0.directory.load().assigned.includes(channel) {
            return self.0.elsewhere.load().get(channel).copied();
        }
        let told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        // A broker that is away keeps no provider from taking messages.
        let own = told.get(channel)?.iter().filter(|(component, _)| **component != queues::COMPONENT);
        own.map(|(_, word)| word.status.level).min()
    }

    /// Learns how those channels are that routers choose from and that run elsewhere. What cannot be read is as it was.
    pub async fn learn_levels(&self) {
        let directory = self.0.directory.load_full();
        let chosen: HashSet<ChannelId> =
            directory.routers.values().flat_map(|router| router.channels()).cloned().collect();
        let elsewhere = chosen.into_iter().filter(|channel| !directory.assigned.includes(channel));
        let looks = stream::iter(elsewhere).map(async |channel| {
            let level = match self.0.store.statuses(&channel).await {
                Ok(statuses) => {
                    let own = statuses.iter().filter(|status| status.component != queues::COMPONENT);
                    own.map(|status| status.level).min()
                }
                Err(_) => self.0.elsewhere.load().get(&channel).copied(),
            };
            Some((channel, level?))
        });
        let levels = looks.buffer_unordered(LOOKS).filter_map(std::future::ready).collect().await;
        self.0.elsewhere.store(Arc::new(levels));
    }

    /// Changes the directory; returns the one before.
    fn update_directory(&self, change: impl Fn(&mut Directory)) -> Arc<Directory> {
        let before = self.0.directory.rcu(|directory| {
            let mut directory = Directory::clone(directory);
            change(&mut directory);
            directory.index();
            directory
        });
        self.0.queues.look();
        self.0.served.look();
        before
    }

    /// The worst of the components' levels; `None` when none has said anything.
    #[must_use]
    pub fn level(statuses: &[Status]) -> Option<Level> {
        statuses.iter().map(|status| status.level).min()
    }
}
