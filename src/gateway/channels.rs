//! The life of channels: created, changed, restarted, deleted; each runs in a task of its own.
//!
//! What is wrong is found before anything changes. A channel that panics is started again with a back-off and costs
//! the others nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::error::MASK;
use super::{Gateway, GatewayError, GatewayIntake};
use crate::channel::{ChannelType, Intake, Setup, StatusReport};
use crate::model::{ChannelId, ChannelProperties, JsonObject, Level};
use crate::store::Change;

/// A channel's task and how to end it.
pub(super) struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Most channels of one server: each has a task, a socket and a log.
const MAX_CHANNELS: usize = 10_000;
/// Longest pause before a channel that panicked is started again.
const MAX_PAUSE: Duration = Duration::from_secs(60);

impl Gateway {
    /// Defines a channel and starts it.
    ///
    /// # Errors
    /// [`GatewayError`]; nothing is left behind then.
    pub async fn create_channel(&self, properties: JsonObject) -> Result<Arc<ChannelProperties>, GatewayError> {
        let channel = ChannelProperties { id: ChannelId::mint(), properties };
        check(&channel)?;
        let mut running = self.0.running.lock().await;
        if self.0.directory.load().len() >= MAX_CHANNELS {
            return Err(GatewayError::Usage(format!("there are {MAX_CHANNELS} channels already, which is the most")));
        }
        self.define(channel, &mut running).await
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
        check(&channel)?;
        let mut running = self.0.running.lock().await;
        self.define(channel, &mut running).await
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
        let mut running = self.0.running.lock().await;
        let before = self.channel(id)?;
        let mut channel = (*before).clone();
        channel.properties.extend(changes);
        unmask(&mut channel, &before);
        if channel == *before {
            return Ok(before);
        }
        check(&channel)?;
        let restarts = ["type", "config"].iter().any(|key| before.properties.get(*key) != channel.properties.get(*key));
        if restarts {
            return self.define(channel, &mut running).await;
        }
        self.save(channel).await
    }

    /// Stops a channel and forgets it; its messages can be looked up until they expire.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub async fn delete_channel(&self, id: &ChannelId) -> Result<(), GatewayError> {
        let mut running = self.0.running.lock().await;
        self.channel(id)?;
        self.stop_channel(id, &mut running).await;
        self.0.store.commit(vec![Change::DeleteChannel(id.clone())]).await?;
        self.update_directory(|directory| {
            directory.remove(id);
        });
        self.0.logs.delete(id);
        self.0.rates.forget(id);
        Ok(())
    }

    /// Stops a channel and starts it.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub async fn restart_channel(&self, id: &ChannelId) -> Result<(), GatewayError> {
        let mut running = self.0.running.lock().await;
        let channel = self.channel(id)?;
        self.stop_channel(id, &mut running).await;
        running.insert(id.clone(), self.run(&channel)?);
        Ok(())
    }

    /// Starts a stored channel.
    pub(super) async fn start_channel(&self, channel: &ChannelProperties) -> Result<(), GatewayError> {
        check(channel)?;
        let started = self.run(channel)?;
        self.0.running.lock().await.insert(channel.id.clone(), started);
        Ok(())
    }

    /// Stops all channels at once, each within the drain time.
    pub(super) async fn stop_all(&self) {
        let mut running = self.0.running.lock().await;
        running.values().for_each(|channel| channel.stop.cancel());
        for (id, channel) in running.drain() {
            self.join(&id, channel).await;
        }
    }

    async fn define(
        &self,
        channel: ChannelProperties,
        running: &mut HashMap<ChannelId, Running>,
    ) -> Result<Arc<ChannelProperties>, GatewayError> {
        let saved = self.save(channel).await?;
        self.stop_channel(&saved.id, running).await;
        running.insert(saved.id.clone(), self.run(&saved)?);
        Ok(saved)
    }

    async fn save(&self, channel: ChannelProperties) -> Result<Arc<ChannelProperties>, GatewayError> {
        self.0.store.commit(vec![Change::SaveChannel(channel.clone())]).await?;
        let saved = Arc::new(channel);
        self.update_directory(|directory| {
            directory.insert(saved.id.clone(), saved.clone());
        });
        Ok(saved)
    }

    fn update_directory(&self, change: impl Fn(&mut HashMap<ChannelId, Arc<ChannelProperties>>)) {
        self.0.directory.rcu(|directory| {
            let mut directory = HashMap::clone(directory);
            change(&mut directory);
            directory
        });
    }

    async fn stop_channel(&self, id: &ChannelId, running: &mut HashMap<ChannelId, Running>) {
        if let Some(channel) = running.remove(id) {
            channel.stop.cancel();
            self.join(id, channel).await;
        }
    }

    async fn join(&self, id: &ChannelId, mut channel: Running) {
        if tokio::time::timeout(self.0.config.channel_drain, &mut channel.task).await.is_err() {
            channel.task.abort();
            self.0.logs.channel(id).warn("the channel did not end in time and was cut off");
        }
    }

    /// Runs a channel in a task that outlives its panics.
    fn run(&self, channel: &ChannelProperties) -> Result<Running, GatewayError> {
        let name = channel.channel_type();
        let channel_type = ChannelType::named(name).ok_or_else(|| GatewayError::InvalidChannelType(name.to_owned()))?;
        let stop = CancellationToken::new();
        let setup = {
            let (gateway, channel, stop) = (self.clone(), channel.clone(), stop.clone());
            move || Setup {
                id: channel.id.clone(),
                config: channel.config(),
                rate_limit: channel.rate_limit(),
                store: gateway.0.store.clone(),
                intake: GatewayIntake(gateway.clone()),
                log: gateway.0.logs.channel(&channel.id),
                stop: stop.clone(),
            }
        };
        let task = tokio::spawn(supervise(channel_type, setup, stop.clone()));
        Ok(Running { stop, task })
    }
}

async fn supervise(channel_type: ChannelType, setup: impl Fn() -> Setup<GatewayIntake>, stop: CancellationToken) {
    let mut pause = Duration::from_secs(1);
    loop {
        let Setup { id, intake, log, .. } = setup();
        let mut run = tokio::spawn(channel_type.run(setup()));
        // When this task is aborted the channel's goes with it.
        let _abort = AbortOnDrop(run.abort_handle());
        match (&mut run).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => return log.error(format!("the channel cannot run: {error}")),
            Err(error) => log.error(format!("the channel failed and will be started again: {error}")),
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

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn check(channel: &ChannelProperties) -> Result<(), GatewayError> {
    let name = channel.channel_type();
    let channel_type = ChannelType::named(name).ok_or_else(|| GatewayError::InvalidChannelType(name.to_owned()))?;
    Ok(channel_type.check(&channel.config())?)
}

/// Puts back the secrets that came masked.
fn unmask(channel: &mut ChannelProperties, before: &ChannelProperties) {
    let secrets = ChannelType::named(before.channel_type()).map_or(&[][..], ChannelType::secrets);
    let kept = before.config();
    let Some(config) = channel.properties.get_mut("config").and_then(|config| config.as_object_mut()) else { return };
    for secret in secrets {
        if config.get(*secret).and_then(|value| value.as_str()) == Some(MASK)
            && let Some(value) = kept.get(*secret)
        {
            config.insert((*secret).to_owned(), value.clone());
        }
    }
}

impl Gateway {
    /// A channel's properties as they may be shown.
    #[must_use]
    pub fn shown(&self, channel: &ChannelProperties) -> JsonObject {
        let mut shown = channel.properties.clone();
        if !self.exposes_secrets()
            && let Some(channel_type) = ChannelType::named(channel.channel_type())
            && let Some(config) = shown.get("config").and_then(|config| config.as_object())
        {
            let masked = super::error::masked(config, channel_type.secrets());
            shown.insert("config".to_owned(), masked.into());
        }
        shown
    }
}
