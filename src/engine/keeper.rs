//! What is done now and then beside the writing: a look at the disk, and the removal of what is old.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::committer::Condition;
use super::guard::{Guard, Limits};
use super::inbox::{self, Inbox};
use super::rows::Fjall;
use super::sweep::Sweeper;
use crate::model::Timestamp;

/// How often the disk is looked at and swept.
const KEEPER_PERIOD: Duration = Duration::from_secs(1);
/// The same while there is more that is old than one pass takes.
const BEHIND_PERIOD: Duration = Duration::from_millis(100);
/// Room in the inbox without which nothing is swept: those who wait for the store go first.
const SWEEP_ROOM: usize = inbox::MOST_OPS / 4;

/// The disk that the rows are on.
pub(super) struct Disk {
    pub(super) limits: Limits,
    pub(super) tables: Fjall,
}

/// Looks at the disk and removes what is past its retention.
pub(super) struct Keeper {
    pub(super) guard: Guard,
    pub(super) disk: Option<Disk>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) condition: Arc<Condition>,
    pub(super) sweeper: Sweeper,
}

impl Keeper {
    /// Runs until the engine goes.
    pub(super) async fn run(mut self, mut ended: oneshot::Receiver<()>) {
        // What goes on is said once.
        let mut sound = true;
        let mut period = KEEPER_PERIOD;
        while tokio::time::timeout(period, &mut ended).await.is_err() {
            self.look();
            if self.condition.check().is_err() {
                continue;
            }
            let swept = self.inbox.offer(SWEEP_ROOM, self.sweeper.pass(Timestamp::now())).await;
            if let Err(error) = &swept
                && sound
            {
                tracing::warn!(%error, "old records could not be looked for");
            }
            sound = swept.is_ok();
            period = if sound && self.sweeper.is_behind() { BEHIND_PERIOD } else { KEEPER_PERIOD };
        }
    }

    pub(super) fn look(&self) {
        if let Some(disk) = &self.disk {
            self.guard.look(&disk.tables, &disk.limits);
        }
    }
}
