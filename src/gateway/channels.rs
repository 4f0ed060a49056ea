//! The life of channels: created, changed, restarted, deleted; each runs in a task of its own.
//!
//! What is wrong is found before anything changes. A channel that panics is started again with a back-off and costs
//! the others nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::error::MASK;
use super::{Activity, Gateway, GatewayError, GatewayIntake, queues};
use crate::channel::{AnyChannelType, Intake, Setup, StatusReport};
use crate::model::{ChannelId, ChannelProperties, JsonObject, Level, RateLimit};
use crate::store::Change;

/// A channel's place: its task while it runs. Whoever creates, changes or deletes the channel holds it meanwhile; other
/// channels are not concerned.
type Place = Arc<tokio::sync::Mutex<Option<Running>>>;

/// Every channel's place.
#[derive(Default)]
pub(super) struct Places(Mutex<HashMap<ChannelId, Place>>);

/// A channel's task and how to end it.
pub(super) struct Running {
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
            gateway.check_unrouted(&channel)?;
            gateway.define(channel, &mut place).await
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
            let differs = |key: &&str| before.properties.get(*key) != channel.properties.get(*key);
            if RUNS_ON.iter().any(differs) {
                return gateway.define(channel, &mut place).await;
            }
            gateway.save(channel).await
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
            gateway.vacate(&id, &mut place).await;
            gateway.0.sticky.forget(&gateway.0.store, &id).await?;
            gateway.0.store.commit(vec![Change::DeleteChannel(id.clone())]).await?;
            gateway.update_directory(|directory| {
                directory.channels.remove(&id);
            });
            gateway.0.logs.delete(&id.0);
            gateway.0.rates.forget(&id.0);
            gateway.0.meters.forget(&id);
            gateway.0.places.forget(&id);
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
            let channel = gateway.channel(&id)?;
            gateway.vacate(&id, &mut place).await;
            *place = Some(gateway.run(&channel)?);
            Ok(())
        })
        .await
    }

    /// Starts a stored channel.
    pub(super) async fn start_channel(&self, channel: &ChannelProperties) -> Result<(), GatewayError> {
        self.check(channel)?;
        let opened = self.0.store.open_channel(&channel.id).await;
        opened.map_err(|error| GatewayError::Read(error.to_string().into()))?;
        *self.0.places.hold(&channel.id).await = Some(self.run(channel)?);
        Ok(())
    }

    /// Stops all channels at once, each within the drain time. What they decided is written when the store is closed, which
    /// does not wait for ever where it takes nothing.
    pub(super) async fn stop_all(&self) {
        let ids: Vec<ChannelId> = self.0.places.all().keys().cloned().collect();
        let stops = ids.iter().map(|id| async move {
            let mut place = self.0.places.hold(id).await;
            self.end(id, &mut place).await;
        });
        futures_util::future::join_all(stops).await;
    }

    async fn define(
        &self,
        channel: ChannelProperties,
        place: &mut Option<Running>,
    ) -> Result<Arc<ChannelProperties>, GatewayError> {
        let saved = self.save(channel).await?;
        self.vacate(&saved.id, place).await;
        if self.0.config.activity == Activity::Full {
            *place = Some(self.run(&saved)?);
        }
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

    async fn save(&self, channel: ChannelProperties) -> Result<Arc<ChannelProperties>, GatewayError> {
        self.0.store.commit(vec![Change::SaveChannel(channel.clone())]).await?;
        let saved = Arc::new(channel);
        self.update_directory(|directory| {
            directory.channels.insert(saved.id.clone(), saved.clone());
        });
        Ok(saved)
    }

    /// Ends what runs in a channel's place, within the drain time. What it decided is written then: its successor must
    /// not be handed a message that the provider has taken.
    async fn vacate(&self, id: &ChannelId, place: &mut Option<Running>) {
        if self.end(id, place).await {
            // An engine that fails answers whatever the successor asks of it.
            let _ = self.0.store.settled(id).await;
        }
    }

    /// Ends what runs in a channel's place, within the drain time; whether there was anything.
    async fn end(&self, id: &ChannelId, place: &mut Option<Running>) -> bool {
        let Some(mut channel) = place.take() else { return false };
        channel.stop.cancel();
        if tokio::time::timeout(self.0.config.channel_drain, &mut channel.task).await.is_err() {
            channel.cut.cancel();
            self.0.logs.channel(id).warn("the channel did not end in time and was cut off");
            if tokio::time::timeout(CUT_WAIT, channel.task).await.is_err() {
                self.0.logs.channel(id).error("the channel does not let itself be cut off; it is left behind");
            }
        }
        true
    }

    /// Runs a channel in a task that outlives its panics.
    fn run(&self, channel: &ChannelProperties) -> Result<Running, GatewayError> {
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
        let task = tokio::spawn(supervise(channel_type, setup, stop.clone(), cut.clone()));
        Ok(Running { stop, cut, task })
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
