//! A part of a store in Redis: what there is, or one channel's messages. Any node reads it; the one that holds it writes it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{OpenError, StoreConfig, Tenure};
use crate::engine::{Common, Engine, Reader, Role};
use crate::redis::lease::{Lease, TakeError};
use crate::redis::{Redis, Slot};

/// See the file's head.
pub(super) struct Part {
    pub(super) slot: Slot,
    part: (Role, u16),
    reader: Reader,
    held: Mutex<Option<Held>>,
    /// Held by whoever takes it or lets it go.
    changing: tokio::sync::Mutex<()>,
}

struct Held {
    engine: Arc<Engine>,
    lease: Lease,
}

/// Why a part was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HoldError {
    /// Another node has it.
    #[error("the node {by} has it")]
    Taken {
        /// The node.
        by: String,
        /// For how long, unless it goes on.
        left: Duration,
    },
    /// It was taken and could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl Part {
    pub(super) fn new(redis: &Redis, name: &str, role: Role, number: u16) -> Arc<Self> {
        let slot = redis.slot(name);
        let reader = Reader::of(slot.clone());
        Arc::new(Self { slot, part: (role, number), reader, held: Mutex::default(), changing: Default::default() })
    }

    /// The number of its lanes' shard.
    pub(super) fn number(&self) -> u16 {
        self.part.1
    }

    /// Whoever reads it.
    pub(super) fn reader(&self) -> Reader {
        self.held().as_ref().map_or_else(|| self.reader.clone(), |held| held.engine.reader.clone())
    }

    /// Whoever writes it, if that is this node.
    pub(super) fn engine(&self) -> Option<Arc<Engine>> {
        self.held().as_ref().map(|held| held.engine.clone())
    }

    /// Whether this node writes it, as far as it knows.
    pub(super) fn is_held(&self) -> bool {
        !matches!(self.tenure(), None | Some(Tenure::Lost { by: Some(_) }))
    }

    /// Takes it, unless this node has it already.
    pub(super) async fn hold(
        &self,
        node: &str,
        config: &StoreConfig,
        common: &Common,
    ) -> Result<Arc<Engine>, HoldError> {
        let _changing = self.changing.lock().await;
        if let Some(engine) = self.engine() {
            return Ok(engine);
        }
        let (lease, epoch) = self.slot.take(node).await.map_err(|error| match error {
            TakeError::Busy { by, left, .. } => HoldError::Taken { by, left },
            TakeError::Redis(error) => OpenError::Engine(error.to_string()).into(),
        })?;
        match Engine::in_slot((self.slot.clone(), epoch), self.part, config, common).await {
            Ok(engine) => {
                *self.held() = Some(Held { engine: engine.clone(), lease });
                // Whoever waits for what expires does not know of it yet.
                common.earlier.notify_one();
                Ok(engine)
            }
            Err(error) => {
                let _ = lease.release().await;
                Err(error.into())
            }
        }
    }

    /// Writes what waits, and lets other nodes have it.
    pub(super) async fn let_go(&self) {
        let _changing = self.changing.lock().await;
        let held = self.held().take();
        if let Some(Held { engine, lease }) = held {
            engine.close().await;
            if let Err(error) = lease.release().await {
                tracing::debug!(slot = ?self.slot, %error, "a lease was not given back, and ends by itself");
            }
        }
    }

    /// How this node's right to it stands now; `None` if it does not hold it.
    pub(super) fn tenure(&self) -> Option<Tenure> {
        let held = self.held();
        let Held { engine, lease } = held.as_ref()?;
        // What cannot be written any more is as good as gone.
        Some(engine.failure().map_or_else(|| lease.tenure(), |reason| Tenure::Lost { by: Some(reason) }))
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
