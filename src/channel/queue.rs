//! A channel's MTs as fast as its rate limit lets them leave, and as its provider takes them.
//!
//! For every channel type but `smpp`, whose binds share a limit that counts PDUs (`esme/pace`).

use std::time::Duration;

use smpp::session::{Pace, PaceConfig};
use tokio::time::Instant;

use crate::model::ChannelId;
use crate::store::{Delivery, OutboundQueue, ReadError, Store};

/// See the file's head.
pub struct MtQueue {
    queue: OutboundQueue,
    pace: Pace,
}

impl MtQueue {
    pub(super) fn open(store: &Store, channel: &ChannelId, rate: Option<f64>) -> Self {
        let config = PaceConfig { rate, ..PaceConfig::default() };
        Self { queue: store.outbound(channel), pace: Pace::new(config, Instant::now().into_std()) }
    }

    /// As [`OutboundQueue::exactly`].
    pub(super) fn exactly(self) -> Self {
        Self { queue: self.queue.exactly(), ..self }
    }

    /// Up to `max` MTs, the highest priority first and FIFO within one; waits until there is one that may leave. Dropped
    /// before it returns, it has taken nothing; what it returned goes back into the queue when `self` is dropped without
    /// an [`Outcome`](super::Outcome) for it.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub async fn pull(&mut self, max: usize) -> Result<Vec<Delivery>, ReadError> {
        let budget = loop {
            match self.budget() {
                Ok(budget) => break budget,
                Err(at) => tokio::time::sleep_until(at).await,
            }
        };
        let pulled = self.queue.pull(max.min(budget)).await?;
        self.spend(pulled.len());
        Ok(pulled)
    }

    /// How many MTs may leave now, at least one; otherwise when the next one may.
    pub(super) fn budget(&mut self) -> Result<usize, Instant> {
        self.pace.budget(Instant::now().into_std()).map_err(Into::into)
    }

    /// So many MTs leave.
    pub(super) fn spend(&mut self, count: usize) {
        let now = Instant::now().into_std();
        (0..count).for_each(|_| self.pace.spend(now));
    }

    /// The provider asks for a slower pace: nothing leaves for as long as it says, or else longer each time.
    pub(super) fn refused(&mut self, asked: Option<Duration>) {
        let now = Instant::now().into_std();
        self.pace.refused(now);
        self.pace.hold(now, asked.unwrap_or_default());
    }

    /// The provider has taken one.
    pub(super) fn accepted(&mut self) {
        self.pace.accepted(Instant::now().into_std());
    }

    /// Whether the provider has taken none since it asked for a slower pace: whoever sends tries one at a time.
    pub(super) fn is_refused(&self) -> bool {
        self.pace.is_refused()
    }

    /// The queue without regard to the limit, for whoever looks for MTs and does not know yet which of them will leave.
    pub(super) fn unpaced(&mut self) -> &mut OutboundQueue {
        &mut self.queue
    }
}
