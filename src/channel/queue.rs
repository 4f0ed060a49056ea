//! A channel's MTs as fast as its rate limit lets them leave.
//!
//! For every channel type but `smpp`, whose binds share a limit that counts PDUs (`esme/pace`).

use smpp::session::{Pace, PaceConfig};
use tokio::time::Instant;

use crate::model::ChannelId;
use crate::store::{Delivery, OutboundQueue, ReadError, Store};

/// See the file's head.
pub struct MtQueue {
    queue: OutboundQueue,
    pace: Option<Pace>,
}

impl MtQueue {
    pub(super) fn open(store: &Store, channel: &ChannelId, rate: Option<f64>) -> Self {
        let config = PaceConfig { rate, ..PaceConfig::default() };
        let pace = rate.map(|_| Pace::new(config, Instant::now().into_std()));
        Self { queue: store.outbound(channel), pace }
    }

    /// Up to `max` MTs, the highest priority first and FIFO within one; waits until there is one that may leave. Dropped
    /// before it returns, it has taken nothing; what it returned goes back into the queue when `self` is dropped without
    /// an [`Outcome`](super::Outcome) for it.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub async fn pull(&mut self, max: usize) -> Result<Vec<Delivery>, ReadError> {
        let Some(pace) = &mut self.pace else { return self.queue.pull(max).await };
        let budget = loop {
            match pace.budget(Instant::now().into_std()) {
                Ok(budget) => break budget,
                Err(at) => tokio::time::sleep_until(at.into()).await,
            }
        };
        let pulled = self.queue.pull(max.min(budget)).await?;
        let now = Instant::now().into_std();
        pulled.iter().for_each(|_| pace.spend(now));
        Ok(pulled)
    }
}
