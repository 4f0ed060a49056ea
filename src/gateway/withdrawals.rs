//! MTs that leave their queue without their channel: cancelled by whoever sent them, or expired while they wait.
//!
//! Whether an MT still waits is decided where it is handed out (`store`), so neither can take one out of a channel's
//! hands, and the event, its callback and the end of the wait are one write.

use std::time::Duration;

use serde_json::json;

use super::intake::{Counts, event, event_callbacks};
use super::{Gateway, GatewayError};
use crate::model::{ChannelId, EventKind, JsonObject, MessageId, Outbound, Priority, Timestamp};
use crate::store::{Change, CommitError, Queued, Tally};
use crate::telemetry::Label;

/// From a store that could not be read or written to the next try.
const AGAIN: Duration = Duration::from_secs(5);

impl Gateway {
    /// Cancels what waits for a channel, or what of it has this priority: scheduled and delayed messages too, not what the
    /// channel has in hand. How many.
    ///
    /// # Errors
    /// [`GatewayError`]; what was cancelled until then stays so.
    pub async fn cancel_all(&self, channel: &ChannelId, priority: Option<Priority>) -> Result<u64, GatewayError> {
        self.0.directory.load().running(channel)?;
        let tally = Tally::default();
        let mut all = self.0.store.all_queued(channel, priority);
        loop {
            let (back, found) = blocking(async move || {
                let found = all.look().await;
                (all, found)
            })
            .await?;
            all = back;
            let Some(found) = found? else { break };
            self.withdraw(found, &tally, cancelled).await?;
        }
        Ok(tally.total())
    }

    /// Cancels one message of a channel's.
    ///
    /// # Errors
    /// [`GatewayError::NotQueued`] when it waits no more, or never did.
    pub async fn cancel(&self, channel: &ChannelId, message: MessageId) -> Result<(), GatewayError> {
        self.0.directory.load().running(channel)?;
        let gone = || GatewayError::NotQueued(message.to_string());
        // It may get another place between the look and the withdrawal, when its time comes.
        for _ in 0..3 {
            let mut found = self.queued(channel, message).await?;
            if found.is_none() {
                // While it gets that place, it is in neither.
                self.0.store.settled(channel).await?;
                found = self.queued(channel, message).await?;
            }
            let queued = found.filter(|queued| queued.message.channel == *channel).ok_or_else(gone)?;
            let tally = Tally::default();
            self.withdraw(vec![queued], &tally, cancelled).await?;
            if tally.total() > 0 {
                return Ok(());
            }
        }
        Err(gone())
    }

    async fn queued(&self, channel: &ChannelId, message: MessageId) -> Result<Option<Queued>, GatewayError> {
        let (store, channel) = (self.0.store.clone(), channel.clone());
        Ok(blocking(async move || store.queued(&channel, message).await).await??)
    }

    /// Withdraws MTs that were found, however much waits to be written; returns once that is durable.
    async fn withdraw(
        &self,
        found: Vec<Queued>,
        tally: &Tally,
        why: fn(&Outbound) -> EventKind,
    ) -> Result<(), CommitError> {
        let Some(channel) = found.first().map(|queued| queued.message.channel.clone()) else { return Ok(()) };
        let now = Timestamp::now();
        let mut counts = Counts::default();
        let directory = self.0.directory.load_full();
        let batch = found.into_iter().map(|queued| {
            let message: &Outbound = &queued.message;
            counts.event(&directory, message, Label::Rejected);
            let mut details = JsonObject::new();
            if queued.possible_duplicate() {
                details.insert("possible_duplicate".to_owned(), json!(true));
            }
            let event = event(message, why(message), details, now);
            let callbacks = event_callbacks(&directory, message, &event, now);
            Change::Withdraw { queued, event, callbacks, tally: tally.clone() }
        });
        let batch = batch.collect();
        self.0.store.post(batch).await?;
        // Also what the look for them has found out; the next one goes by that.
        self.0.store.settled(&channel).await?;
        // Those that their channel got hold of meanwhile are counted too: few, and rates are no accounts.
        counts.count(&self.0.rates, now);
        Ok(())
    }

    /// Tells of MTs that expire while they wait, for as long as the gateway runs.
    pub(super) async fn expire(self) {
        loop {
            tokio::select! {
                () = self.0.store.expiring() => {}
                () = self.0.stop.cancelled() => return,
            }
            let store = self.0.store.clone();
            let found = match blocking(async move || store.expired(Timestamp::now()).await).await {
                Ok(Ok(found)) => found,
                Ok(Err(error)) => {
                    tracing::error!(%error, "expired messages could not be looked for");
                    self.pause().await;
                    continue;
                }
                Err(error) => {
                    tracing::error!(%error, "expired messages could not be looked for");
                    return;
                }
            };
            let tally = Tally::default();
            let withdrawn = tokio::select! {
                withdrawn = self.withdraw(found, &tally, expired) => withdrawn,
                // A store that takes nothing must not hold up the end; what is not written is found again.
                () = self.0.stop.cancelled() => return,
            };
            if let Err(error) = withdrawn {
                // They are found again after the restart that the store asks for.
                tracing::error!(%error, "expired messages could not be taken out of their queues");
                self.pause().await;
            }
        }
    }

    async fn pause(&self) {
        let _ = tokio::time::timeout(AGAIN, self.0.stop.cancelled()).await;
    }
}

fn cancelled(_: &Outbound) -> EventKind {
    EventKind::Nack { reason: "cancelled".to_owned() }
}

fn expired(message: &Outbound) -> EventKind {
    EventKind::Expired { reason: format!("not sent before {}", message.expires_at.unwrap_or_default()) }
}

/// Runs something that waits for the disk away from the tasks that must not.
pub(super) async fn blocking<T: Send + 'static>(
    read: impl AsyncFnOnce() -> T + Send + 'static,
) -> Result<T, GatewayError> {
    let runtime = tokio::runtime::Handle::current();
    let read = tokio::task::spawn_blocking(move || runtime.block_on(read())).await;
    read.map_err(|error| GatewayError::Read(error.to_string().into()))
}
