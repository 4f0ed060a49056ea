//! Looking things up without hurting those on their way: away from the tasks that must not wait for the disk, and few at
//! a time.

use super::withdrawals::blocking;
use super::{Gateway, GatewayError};
use crate::store::{Page, ReadError, Search, Store};

/// Looks that may be under way at a time.
pub(super) const SEARCHES: usize = 2;

impl Gateway {
    /// The next messages, the newest first, at most `limit`; see [`Page`].
    ///
    /// # Errors
    /// [`GatewayError::ChannelNotFound`], [`GatewayError::Read`].
    pub async fn search(&self, search: Search, limit: usize) -> Result<Page, GatewayError> {
        if let Some(channel) = &search.channel {
            self.channel(channel)?;
        }
        let channels = self.channels();
        self.look(async move |store| store.search(&search, &channels, limit).await).await
    }

    /// Looks in its turn at what there is much of.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        look: impl AsyncFnOnce(&Store) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, GatewayError> {
        // It goes with the work: whoever asked may have gone, and the work goes on without them.
        let turn = self.0.searches.clone().acquire_owned().await;
        let store = self.0.store.clone();
        let work = async move || {
            let seen = look(&store).await;
            drop(turn);
            seen
        };
        Ok(blocking(work).await??)
    }
}
