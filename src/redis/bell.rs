//! Hears that MTs have been left for the holder of a slot. Nothing depends on it but how soon they are taken: a holder looks
//! for them now and then, whether it has heard of any or not.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::{sleep, timeout};

use super::Redis;
use super::error::RedisError;

/// From one attempt to listen to the next.
const AGAIN: Duration = Duration::from_secs(1);
/// How long it may be silent until it is asked whether the connection still lives.
const SILENT: Duration = Duration::from_secs(20);

impl Redis {
    /// Where it is said in which slot something has been left that was empty.
    pub(super) fn bell(&self) -> String {
        format!("{}:bell", self.0.config.prefix)
    }

    /// Tells each name of such a slot, for ever.
    pub(crate) async fn hear(&self, mut tell: impl FnMut(&str)) {
        loop {
            if let Err(error) = self.listen(&mut tell).await {
                tracing::debug!(%error, "it is not heard at once what other nodes accept");
            }
            sleep(AGAIN).await;
        }
    }

    /// The same, until the connection ends.
    async fn listen(&self, tell: &mut impl FnMut(&str)) -> Result<(), RedisError> {
        // Of a cluster every server is told.
        let masters = self.0.router.masters().await?;
        let Some(node) = masters.first() else { return Ok(()) };
        let (mut asks, mut heard) = node.listen().await?;
        let bell = self.bell();
        node.in_time(asks.subscribe(&bell)).await?;
        loop {
            match timeout(SILENT, heard.next()).await {
                Ok(Some(message)) => {
                    if let Ok(slot) = message.get_payload::<String>() {
                        tell(&slot);
                    }
                }
                Ok(None) => return Ok(()),
                // It is answered, and changes nothing.
                Err(_) => node.in_time(asks.subscribe(&bell)).await?,
            }
        }
    }
}
