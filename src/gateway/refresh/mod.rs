//! Definitions that another holder of the store has changed: read again, and what differs applied to what runs. Nothing is
//! written but what only whoever runs a channel can write: that phones are forgotten which another router kept. What has not
//! changed is not touched.
//!
//! The directory becomes what is stored in one step, so that no router points to nothing meanwhile; then the places of those
//! channels are settled that differ (`channels`). A start is the same, from nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::channels::finish;
use super::directory::{Directory, Router};
use super::{Gateway, GatewayError};
use crate::model::{ChannelId, ChannelProperties, DestinationProperties, RouterProperties};
use crate::store::{ReadError, Store};

/// How often definitions are read that somebody else changes all the time, before they are taken as they are: whoever
/// changed them asks for another look.
const LOOKS: usize = 8;

/// Everything that is defined, as it was at one moment.
struct Stored {
    channels: Vec<ChannelProperties>,
    routers: Vec<RouterProperties>,
    destinations: Vec<DestinationProperties>,
}

impl Stored {
    /// Routers are what they were before and after the channels were read: so all of it was there when that was done.
    async fn read(store: &Store) -> Result<Self, ReadError> {
        let (mut before, mut looks) = ((store.routers().await?, store.destinations().await?), 1);
        loop {
            let channels = store.channels().await?;
            let after = (store.routers().await?, store.destinations().await?);
            if before == after || looks == LOOKS {
                let (routers, destinations) = after;
                return Ok(Self { channels, routers, destinations });
            }
            (before, looks) = (after, looks + 1);
        }
    }
}

impl Gateway {
    /// Applies what another holder of the store has defined, changed and deleted: as if it had been done here, but written
    /// it is already. When this returns, what runs is what is stored.
    ///
    /// # Errors
    /// [`GatewayError::Read`]: what could not be read is as it was, and the next call tries again.
    pub async fn refresh(&self) -> Result<(), GatewayError> {
        let gateway = self.clone();
        finish(async move {
            let differ = gateway.reread().await?;
            gateway.settle_all(differ, gateway.0.config.channel_drain).await
        })
        .await
    }

    /// Makes the directory be what is stored; returns the channels that differ, whose places are to be settled.
    pub(super) async fn reread(&self) -> Result<Vec<ChannelId>, GatewayError> {
        // What is being changed here is in the store and in the directory, or in neither.
        let _turn = self.0.defining.lock().await;
        let stored = Stored::read(&self.0.store).await?;
        let before = self.0.directory.load_full();
        let fresh = self.fresh(stored, &before);
        let kept_otherwise = self.load_phones(&before, &fresh).await?;
        self.update_directory(|directory| {
            directory.channels.clone_from(&fresh.channels);
            directory.routers.clone_from(&fresh.routers);
        });
        for channel in kept_otherwise {
            if let Err(error) = self.0.sticky.forget(&self.0.store, &channel).await {
                tracing::warn!(%channel, %error, "phones that another router kept are forgotten as they expire only");
            }
        }
        for (id, router) in &before.routers {
            let now = fresh.routers.get(id);
            let gone =
                router.destinations.keys().filter(|id| now.is_none_or(|now| !now.destinations.contains_key(*id)));
            gone.for_each(|id| self.forget_traces(&id.0));
            if now.is_none() {
                self.forget_traces(&id.0);
            }
        }
        let ids = before.channels.keys().chain(fresh.channels.keys());
        let differ = ids.filter(|id| before.channels.get(*id) != fresh.channels.get(*id));
        Ok(differ.cloned().collect())
    }

    /// What is stored; what has not changed is what it was.
    fn fresh(&self, stored: Stored, before: &Directory) -> Directory {
        let Stored { channels, routers, mut destinations } = stored;
        let channels = channels.into_iter().map(|channel| match before.channels.get(&channel.id) {
            Some(same) if **same == channel => (channel.id, same.clone()),
            _ => (channel.id.clone(), Arc::new(channel)),
        });
        let routers = routers.into_iter().map(|properties| {
            let own = destinations.extract_if(.., |destination| destination.router == properties.id);
            let own: BTreeMap<_, _> = own.map(|own| (own.id.clone(), Arc::new(own))).collect();
            match before.routers.get(&properties.id) {
                Some(same) if same.properties == properties && same.destinations == own => {
                    (properties.id, same.clone())
                }
                _ => (properties.id.clone(), Arc::new(self.rebuilt(properties, own))),
            }
        });
        let mut fresh = Directory::clone(before);
        fresh.channels = channels.collect();
        fresh.routers = routers.collect();
        fresh.index();
        fresh
    }

    /// Reads the phones of those channels that run here and have a router now. Those of a channel that does not run yet are
    /// read when it begins. Returns the channels whose phones another router kept than the one that they have now, if any.
    async fn load_phones(&self, before: &Directory, fresh: &Directory) -> Result<Vec<ChannelId>, ReadError> {
        let keeper = |router: &Arc<Router>| (router.properties.id.clone(), router.properties.router_type().to_owned());
        let mut kept_otherwise = Vec::new();
        for channel in before.channels.keys().filter(|channel| before.runs(channel)) {
            match [before, fresh].map(|directory| directory.router_of(channel).map(keeper)) {
                [was, is] if was == is => {}
                [None, _] => self.0.sticky.reload(&self.0.store, channel).await?,
                [Some(_), _] => kept_otherwise.push(channel.clone()),
            }
        }
        Ok(kept_otherwise)
    }
}

#[cfg(test)]
mod tests;
