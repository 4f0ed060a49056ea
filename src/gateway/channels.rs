//! The life of channels: created, changed, restarted, deleted; each runs in a task of its own.
//!
//! What is wrong is found before anything changes. What runs follows the directory: whoever has changed that settles the
//! channel's place. A channel that panics is started again with a back-off and costs the others nothing.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, Stream, StreamExt};
use tokio::sync::OwnedMutexGuard;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::directory::{Assigned, Directory};
use super::error::MASK;
use super::{Activity, Gateway, GatewayError, GatewayIntake, queues};
use crate::channel::{AnyChannelType, Intake, Setup, StatusReport};
use crate::model::{ChannelId, ChannelProperties, JsonObject, Level, RateLimit};
use crate::store::Change;

/// A channel that has been made to run, or not to, as it was assigned.
pub(super) type Settled = (ChannelId, Result<(), GatewayError>);

/// A channel's place: its task while it runs. Whoever creates, changes or deletes the channel holds it meanwhile; other
/// channels are not concerned.
type Place = Arc<tokio::sync::Mutex<Option<Running>>>;

/// Every channel's place.
#[derive(Default)]
pub(super) struct Places {
    places: Mutex<HashMap<ChannelId, Place>>,
    /// Channels that do not run only because the store could not be read.
    unread: Mutex<BTreeSet<ChannelId>>,
    /// How to end each where it stands, whoever holds its place.
    cuts: Mutex<HashMap<ChannelId, CancellationToken>>,
}

/// A channel's task, what it was made of, and how to end it.
pub(super) struct Running {
    of: Arc<ChannelProperties>,
    stop: CancellationToken,
    /// Ends it where it stands.
    cut: CancellationToken,
    task: JoinHandle<()>,
}

/// Most channels of one server: each has a task, a socket and a log.
const MAX_CHANNELS: usize = 10_000;
/// How long a channel that is cut off may take to go.
const CUT_WAIT: Duration = Duration::from_secs(5);
/// Longest pause before a channel that panicked is started again.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Properties that a running channel is made of.
const RUNS_ON: [&str; 4] = ["type", "config", "rate_limit_count", "rate_limit_window"];

impl Places {
    fn all(&self) -> MutexGuard<'_, HashMap<ChannelId, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cuts(&self) -> MutexGuard<'_, HashMap<ChannelId, CancellationToken>> {
        self.cuts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unread(&self) -> MutexGuard<'_, BTreeSet<ChannelId>> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A channel's place, nobody else's while it is held.
    async fn hold(&self, id: &ChannelId) -> OwnedMutexGuard<Option<Running>> {
        let place = self.all().entry(id.clone()).or_default().clone();
        place.lock_owned().await
    }

    /// Forgets a place that is empty, unless somebody waits for it.
    fn forget(&self, id: &ChannelId) {
        let mut places = self.all();
        if places.get(id).is_some_and(|place| Arc::strong_count(place) <= 2) {
            places.remove(id);
        }
    }
}

impl Running {
    /// Whether another one of these properties would be the same.
    fn is_of(&self, channel: &ChannelProperties) -> bool {
        RUNS_ON.iter().all(|key| self.of.properties.get(*key) == channel.properties.get(*key))
    }
}

impl Gateway {
    /// Defines a channel and starts it.
    ///
    /// # Errors
    /// [`GatewayError`]; nothing is left behind then.
    pub async fn create_channel(&self, properties: JsonObject) -> Result<Arc<ChannelProperties>, GatewayError> {
        self.check_room()?;
        let channel = ChannelProperties { id: ChannelId::mint(), properties };
        if self.0.config.require_destination && !channel.has_destination() {
            let message = "One or both of \"mo_url\" and \"amqp_queue\" must be specified";
            return Err(GatewayError::Usage(message.to_owned()));
        }
        self.put_channel(&channel.id, channel.properties).await
    }

    /// That one more channel can be defined.
    pub(super) fn check_room(&self) -> Result<(), GatewayError> {
        if self.0.directory.load().channels.len() >= MAX_CHANNELS {
            return Err(GatewayError::Usage(format!("there are {MAX_CHANNELS} channels already, which is the most")));
        }
        Ok(())
    }

    /// Defines a channel under an id of the caller's, or replaces the one that has it, and starts it.
    ///
    /// # Errors
    /// [`GatewayError`]; nothing has changed then.
    pub async fn put_channel(
        &self,
        id: &ChannelId,
        properties: JsonObject,
    ) -> Result<Arc<ChannelProperties>, GatewayError> {
        let channel = ChannelProperties { id: id.clone(), properties };
        check_rate_limit(&channel)?;
        self.check(&channel)?;
        let gateway = self.clone();
        finish(async move {
            let mut place = gateway.0.places.hold(&channel.id).await;
            let turn = gateway.0.defining.lock().await;
            gateway.check_unrouted(&channel)?;
            gateway.define(channel, turn, &mut place).await
        })
        .await
    }

    /// Replaces the given top-level properties of a channel. A secret that comes back masked has not changed.
    ///
    /// # Errors
    /// [`GatewayError`]; nothing has changed then.
    pub async fn update_channel(
        &self,
        id: &ChannelId,
        changes: JsonObject,
    ) -> Result<Arc<ChannelProperties>, GatewayError> {
        let (gateway, id) = (self.clone(), id.clone());
        finish(async move {
            let mut place = gateway.0.places.hold(&id).await;
            let turn = gateway.0.defining.lock().await;
            let before = gateway.channel(&id)?;
            let mut channel = (*before).clone();
            channel.properties.extend(changes);
            gateway.unmask(&mut channel, &before);
            if channel == *before {
                return Ok(before);
            }
            gateway.check_unrouted(&channel)?;
            check_rate_limit(&channel)?;
            gateway.check(&channel)?;
            gateway.define(channel, turn, &mut place).await
        })
        .await
    }

    /// Stops a channel and forgets it; its messages can be looked up until they expire.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub async fn delete_channel(&self, id: &ChannelId) -> Result<(), GatewayError> {
        let (gateway, id) = (self.clone(), id.clone());
        finish(async move {
            let mut place = gateway.0.places.hold(&id).await;
            gateway.channel(&id)?;
            gateway.vacate(&id, &mut place, gateway.0.config.channel_drain).await;
            gateway.0.sticky.forget(&gateway.0.store, &id).await?;
            {
                let _turn = gateway.0.defining.lock().await;
                gateway.0.store.commit(vec![Change::DeleteChannel(id.clone())]).await?;
                gateway.update_directory(|directory| {
                    directory.channels.remove(&id);
                });
            }
            gateway.forget(&id);
            Ok(())
        })
        .await
    }

    /// Stops a channel and starts it.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub async fn restart_channel(&self, id: &ChannelId) -> Result<(), GatewayError> {
        let (gateway, id) = (self.clone(), id.clone());
        finish(async move {
            let mut place = gateway.0.places.hold(&id).await;
            gateway.0.directory.load().running(&id)?;
            let drain = gateway.0.config.channel_drain;
            gateway.vacate(&id, &mut place, drain).await;
            gateway.settle(&id, &mut place, drain).await
        })
        .await
    }

    /// Lets these channels run here, and no others: those that have come are started, those that have gone end as if they
    /// were deleted, and stay defined. When this returns nothing is done for the others any more: they have unbound, nothing
    /// comes out of their applications' queues, nobody is told what they owe, and all of it can be read from the store. Of
    /// several calls the last one counts, whenever the others return.
    ///
    /// A channel that was deleted is assigned like any other while something is owed for it.
    ///
    /// # Errors
    /// [`GatewayError::Read`] when a channel could not be started; the next [`Gateway::refresh`] tries again.
    pub async fn assign(&self, assigned: Assigned) -> Result<(), GatewayError> {
        let settled: Vec<_> = self.reassign(assigned, self.0.config.channel_drain).collect().await;
        settled.into_iter().try_for_each(|(_, settled)| settled)
    }

    /// The same, channel by channel as each of those that have come or gone is as it should be. Those that have gone are cut
    /// off unless they have unbound within `drain`; what they had in flight may be sent again then.
    pub fn reassign(&self, assigned: Assigned, drain: Duration) -> impl Stream<Item = Settled> + Send + use<> {
        let assigned = Arc::new(assigned);
        // Accepted no more, then ended.
        let before = self.update_directory(|directory| directory.assigned = assigned.clone());
        let directory = self.0.directory.load_full();
        let moved = directory.channels.keys().filter(|id| directory.runs(id) != before.runs(id)).cloned();
        // Those that end already are waited for, and those that owe something still are not in the directory.
        let mut here: BTreeSet<_> = self.0.places.all().keys().cloned().collect();
        here.append(&mut self.0.served.ids().into_iter().collect());
        here.retain(|id| !directory.assigned.includes(id));
        here.extend(moved);
        here.append(&mut self.0.places.unread());
        let gateway = self.clone();
        let settled = here.into_iter().map(move |id| {
            let (gateway, settling) = (gateway.clone(), id.clone());
            finish(async move { Ok(gateway.settle_one(settling, drain).await) }).map(|settled| (id, settled.flatten()))
        });
        settled.collect::<FuturesUnordered<_>>()
    }

    /// Ends what runs for a channel where it stands, also while something waits for its end in order.
    pub fn cut(&self, channel: &ChannelId) {
        if let Some(cut) = self.0.places.cuts().remove(channel) {
            cut.cancel();
        }
    }

    /// How long a channel may take to end in order.
    #[must_use]
    pub fn channel_drain(&self) -> Duration {
        self.0.config.channel_drain
    }

    /// Makes what runs in these channels' places be what the directory says. They wait for none but themselves, and what is
    /// wrong with one keeps no other from running.
    pub(super) async fn settle_all(
        &self,
        ids: impl IntoIterator<Item = ChannelId>,
        drain: Duration,
    ) -> Result<(), GatewayError> {
        let mut ids: BTreeSet<_> = ids.into_iter().collect();
        ids.append(&mut self.0.places.unread());
        let settled = ids.into_iter().map(|id| self.settle_one(id, drain));
        futures_util::future::join_all(settled).await.into_iter().collect()
    }

    /// The same for one, whose log is told what is wrong. What could not be read is left for the next time.
    async fn settle_one(&self, id: ChannelId, drain: Duration) -> Result<(), GatewayError> {
        let mut place = self.0.places.hold(&id).await;
        let Err(error) = self.settle(&id, &mut place, drain).await else { return Ok(()) };
        self.0.logs.channel(&id).failure(format!("the channel was not started: {error}"), &error);
        if let GatewayError::Read(_) = error {
            self.0.places.unread().insert(id);
            return Err(error);
        }
        Ok(())
    }

    /// Makes what runs in a channel's place be what the directory says.
    async fn settle(&self, id: &ChannelId, place: &mut Option<Running>, drain: Duration) -> Result<(), GatewayError> {
        if self.0.config.activity == Activity::Idle {
            return Ok(());
        }
        let directory = self.0.directory.load_full();
        let wanted = |directory: &Directory| directory.running(id).ok().cloned();
        if let (Some(running), Some(channel)) = (place.as_ref(), wanted(&directory))
            && running.is_of(&channel)
        {
            return Ok(());
        }
        let is_new = place.is_none();
        if directory.assigned.includes(id) {
            self.vacate(id, place, drain).await;
        } else {
            // What its last answers owe is for whoever has it next.
            tokio::join!(self.vacate(id, place, drain), self.0.served.end(id), self.0.queues.put_down(self));
        }
        // That may have taken long.
        let directory = self.0.directory.load_full();
        let Some(channel) = wanted(&directory) else {
            if directory.channels.contains_key(id) {
                self.forget_words(id);
                self.0.places.forget(id);
            } else {
                self.forget(id);
            }
            return Ok(());
        };
        self.check(&channel)?;
        let opened = self.0.store.open_channel(id).await;
        opened.map_err(|error| GatewayError::Read(error.to_string().into()))?;
        // Whether or not it has a router: one may be made at this moment, by whoever believes it to run already.
        if is_new {
            // One that ended in a hurry and comes back: what it decided.
            self.written(id).await;
            self.0.sticky.reload(&self.0.store, id).await?;
        }
        *place = Some(self.run(channel)?);
        Ok(())
    }

    fn forget(&self, id: &ChannelId) {
        self.forget_words(id);
        self.forget_traces(&id.0);
        self.0.places.cuts().remove(id);
        self.0.places.forget(id);
    }

    /// Forgets what has been said of a channel and by it, that its next words are no repetition.
    fn forget_words(&self, id: &ChannelId) {
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        self.0.sticky.drop(id);
        self.0.meters.forget(id);
    }

    /// Stops all channels at once, each within the drain time. What they decided is written when the store is closed, which
    /// does not wait for ever where it takes nothing.
    pub(super) async fn stop_all(&self) {
        let ids: Vec<ChannelId> = self.0.places.all().keys().cloned().collect();
        let stops = ids.iter().map(|id| async move {
            let mut place = self.0.places.hold(id).await;
            self.end(id, &mut place, self.0.config.channel_drain).await;
        });
        futures_util::future::join_all(stops).await;
    }

    async fn define(
        &self,
        channel: ChannelProperties,
        turn: tokio::sync::MutexGuard<'_, ()>,
        place: &mut Option<Running>,
    ) -> Result<Arc<ChannelProperties>, GatewayError> {
        self.0.store.commit(vec![Change::SaveChannel(channel.clone())]).await?;
        let saved = Arc::new(channel);
        self.update_directory(|directory| {
            directory.channels.insert(saved.id.clone(), saved.clone());
        });
        drop(turn);
        self.settle(&saved.id, place, self.0.config.channel_drain).await?;
        Ok(saved)
    }

    /// That nobody is named to get MOs that a router takes.
    fn check_unrouted(&self, channel: &ChannelProperties) -> Result<(), GatewayError> {
        let directory = self.0.directory.load();
        match directory.router_of(&channel.id).filter(|_| channel.has_destination()) {
            None => Ok(()),
            Some(router) => Err(GatewayError::Usage(format!(
                "Router {} takes this channel's messages: it can have no \"mo_url\" or \"amqp_queue\" of its own",
                router.properties.id
            ))),
        }
    }

    /// Ends what runs in a channel's place, within the drain time. What it decided is written then: its successor must
    /// not be handed a message that the provider has taken.
    async fn vacate(&self, id: &ChannelId, place: &mut Option<Running>, drain: Duration) {
        // Where another node has the successor, what waits is written before that one gets it.
        if self.end(id, place, drain).await && self.0.directory.load().assigned.includes(id) {
            self.written(id).await;
        }
    }

    /// Waits until everything is written that is about a channel; not at the end, which does not wait for ever.
    async fn written(&self, id: &ChannelId) {
        tokio::select! {
            // An engine that fails answers whatever anybody asks of it.
            _ = self.0.store.settled(id) => {}
            () = self.0.closing.cancelled() => {}
        }
    }

    /// Ends what runs in a channel's place, within the drain time; whether there was anything.
    async fn end(&self, id: &ChannelId, place: &mut Option<Running>, drain: Duration) -> bool {
        let Some(mut channel) = place.take() else { return false };
        channel.stop.cancel();
        if tokio::time::timeout(drain, &mut channel.task).await.is_err() {
            channel.cut.cancel();
            self.0.logs.channel(id).warn("the channel did not end in time and was cut off");
            if tokio::time::timeout(CUT_WAIT, channel.task).await.is_err() {
                self.0.logs.channel(id).error("the channel does not let itself be cut off; it is left behind");
            }
        }
        true
    }

    /// Runs a channel in a task that outlives its panics.
    fn run(&self, channel: Arc<ChannelProperties>) -> Result<Running, GatewayError> {
        let channel_type = self.channel_type(channel.channel_type())?.clone();
        let stop = CancellationToken::new();
        let setup = {
            let (gateway, channel, stop) = (self.clone(), channel.clone(), stop.clone());
            move || Setup {
                id: channel.id.clone(),
                config: channel.config(),
                rate_limit: channel.rate_limit().map(RateLimit::per_second),
                store: gateway.0.store.clone(),
                intake: GatewayIntake(gateway.clone()),
                client: gateway.0.client.clone(),
                log: gateway.0.logs.channel(&channel.id),
                stop: stop.clone(),
            }
        };
        let cut = CancellationToken::new();
        self.0.places.cuts().insert(channel.id.clone(), cut.clone());
        let task = tokio::spawn(supervise(channel_type, setup, stop.clone(), cut.clone()));
        Ok(Running { of: channel, stop, cut, task })
    }
}

/// That a rate limit is whole (Junebug reference §9): a count above zero needs a window, and a window a count.
fn check_rate_limit(channel: &ChannelProperties) -> Result<(), GatewayError> {
    let given = |key: &str| channel.properties.get(key).filter(|value| !value.is_null());
    let limits = |key: &str| given(key).is_some_and(|value| value.as_u64() != Some(0));
    for (key, other) in [("rate_limit_count", "rate_limit_window"), ("rate_limit_window", "rate_limit_count")] {
        if limits(key) && given(other).is_none() {
            return Err(GatewayError::Usage(format!("\"{key}\" must be given together with \"{other}\"")));
        }
    }
    match given("rate_limit_action").map(|action| (action.as_str(), action)) {
        None | Some((Some("queue" | "reject"), _)) => Ok(()),
        Some((_, other)) => {
            let message = format!("Invalid rate_limit_action {other}: it must be \"queue\" or \"reject\"");
            Err(GatewayError::Usage(message))
        }
    }
}

/// Finishes what has begun, although whoever asked for it may have gone: a channel is never left half changed.
pub(super) async fn finish<T: Send + 'static>(
    work: impl Future<Output = Result<T, GatewayError>> + Send + 'static,
) -> Result<T, GatewayError> {
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is ending, and with it everybody who could read the answer.
        Err(_) => std::future::pending().await,
    }
}

async fn supervise(
    channel_type: Arc<dyn AnyChannelType<GatewayIntake>>,
    setup: impl Fn() -> Setup<GatewayIntake>,
    stop: CancellationToken,
    cut: CancellationToken,
) {
    let mut pause = Duration::from_secs(1);
    loop {
        let Setup { id, intake, log, .. } = setup();
        let mut run = tokio::spawn(channel_type.clone().run(setup()));
        let ended = tokio::select! {
            ended = &mut run => ended,
            () = cut.cancelled() => {
                run.abort();
                // It says what may have been sent as it goes; a panic of its has no meaning any more.
                let _ = run.await;
                return;
            }
        };
        match ended {
            Ok(Ok(())) => return,
            Ok(Err(error)) => return log.failure(format!("the channel cannot run: {error}"), &error),
            Err(error) => log.failure(format!("the channel failed and will be started again: {error}"), &error),
        }
        let report = StatusReport {
            component: "channel",
            level: Level::Down,
            kind: "failed",
            message: "The channel failed and will be started again".to_owned(),
            details: JsonObject::new(),
        };
        intake.status(&id, report).await;
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(MAX_PAUSE),
            () = stop.cancelled() => return,
        }
    }
}

impl Gateway {
    /// The channel type with this name.
    ///
    /// # Errors
    /// [`GatewayError::InvalidChannelType`] tells every name.
    pub(super) fn channel_type(&self, name: &str) -> Result<&Arc<dyn AnyChannelType<GatewayIntake>>, GatewayError> {
        let types = &self.0.types.channels;
        types.get(name).ok_or_else(|| GatewayError::InvalidChannelType { name: name.to_owned(), known: types.names() })
    }

    fn check(&self, channel: &ChannelProperties) -> Result<(), GatewayError> {
        queues::check(&self.0.directory.load(), channel.amqp_queue())?;
        Ok(self.channel_type(channel.channel_type())?.check(&channel.config())?)
    }

    fn secrets(&self, channel: &ChannelProperties) -> &'static [&'static str] {
        self.0.types.channels.get(channel.channel_type()).map_or(&[], |channel_type| channel_type.secrets())
    }

    /// Puts back the secrets that came masked.
    fn unmask(&self, channel: &mut ChannelProperties, before: &ChannelProperties) {
        let kept = before.config();
        let Some(config) = channel.properties.get_mut("config").and_then(|config| config.as_object_mut()) else {
            return;
        };
        for secret in self.secrets(before) {
            if config.get(*secret).and_then(|value| value.as_str()) == Some(MASK)
                && let Some(value) = kept.get(*secret)
            {
                config.insert((*secret).to_owned(), value.clone());
            }
        }
    }

    /// A channel's properties as they may be shown.
    #[must_use]
    pub fn shown(&self, channel: &ChannelProperties) -> JsonObject {
        let mut shown = channel.properties.clone();
        if !self.exposes_secrets()
            && let Some(config) = shown.get("config").and_then(|config| config.as_object())
        {
            let masked = super::error::masked(config, self.secrets(channel));
            shown.insert("config".to_owned(), masked.into());
        }
        shown
    }
}
