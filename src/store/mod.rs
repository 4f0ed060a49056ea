//! The durable pipeline's port: what may be written, what may be read, and the queues that come out of it.
//!
//! Writers say what happened as [`Change`]s; a [`Batch`] of them becomes durable as a whole or not at all. A
//! message and its queue entry, or an event, its correlation and its callback, are one batch, so no crash can
//! separate them. Which engine does it is decided in one place, at start.

use std::sync::Arc;

use crate::model::{
    Callback, ChannelId, ChannelProperties, Event, Inbound, MessageId, Outbound, SmscMessageId, Status, Timestamp,
};

/// Where a queue entry stands. Opaque to everybody but the engine; cheap to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket {
    pub(crate) lane: u32,
    pub(crate) seq: u64,
}

/// Changes that become durable together.
pub type Batch = Vec<Change>;

/// One thing that happened.
#[derive(Debug)]
pub enum Change {
    /// An MT was accepted: save it, make it findable by id, queue it on its channel.
    Accept(Arc<Outbound>),
    /// Something became of an MT.
    Record {
        /// The event itself, kept with the message.
        event: Event,
        /// Where the message is kept ([`Delivery::origin`], [`StoredMessage::origin`]).
        origin: Ticket,
        /// Set when the message leaves its channel's queue with this event ([`Delivery::ticket`]).
        leaves: Option<Ticket>,
        /// The provider's ids by which later receipts will name the message.
        correlate: Vec<SmscMessageId>,
        /// The request that we now owe its sender.
        callback: Option<Callback>,
    },
    /// Put an MT back into its queue, not before `at`. Its place among its priority is kept when `at` is near.
    Retry {
        /// [`Delivery::ticket`].
        ticket: Ticket,
        /// Not before.
        at: Timestamp,
    },
    /// An MO arrived: save it for replies, and owe its callback.
    Receive {
        /// The message.
        message: Arc<Inbound>,
        /// The request that we now owe the application.
        callback: Option<Callback>,
        /// Segments that it was joined from; they are forgotten.
        joined_from: Vec<PartId>,
    },
    /// One segment of a long MO arrived.
    SavePart {
        /// The channel.
        channel: ChannelId,
        /// The segment's own id.
        id: PartId,
        /// Whatever the channel needs to join it later.
        record: Vec<u8>,
    },
    /// Segments that will never be complete.
    DropParts {
        /// The channel.
        channel: ChannelId,
        /// Their ids.
        ids: Vec<PartId>,
    },
    /// A callback's receiver took it, or nobody will ever want it.
    CallbackDone(Ticket),
    /// A callback failed; try again not before `at`.
    CallbackRetry {
        /// [`CallbackDelivery::ticket`].
        ticket: Ticket,
        /// Not before.
        at: Timestamp,
    },
    /// A callback was given up: kept aside, out of its queue.
    CallbackParked {
        /// [`CallbackDelivery::ticket`].
        ticket: Ticket,
        /// Why, for whoever looks at it.
        reason: String,
    },
    /// A channel was defined or changed.
    SaveChannel(ChannelProperties),
    /// A channel was deleted. Its messages age out.
    DeleteChannel(ChannelId),
    /// The latest word of a channel's component, and the request that we owe `status_url`.
    SaveStatus {
        /// The status.
        status: Status,
        /// The request.
        callback: Option<Callback>,
    },
}

/// Names a stored segment of a long MO.
pub type PartId = MessageId;

/// Why changes were not made durable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// More is waiting to be written than the bound allows; nothing of the batch was written.
    #[error("the store is busy: too much is waiting to be written")]
    Busy,
    /// The disk guard refuses this kind of change; nothing of the batch was written.
    #[error("the disk is too full to accept this")]
    DiskFull,
    /// The engine refuses writes after a failure until it has been reopened.
    #[error("the store does not accept writes: {0}")]
    NotReady(Arc<str>),
}

/// A read failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the store could not be read: {0}")]
pub struct ReadError(pub Arc<str>);

/// An MT and where it is kept.
#[derive(Clone, Debug)]
pub struct StoredMessage {
    /// For [`Change::Record`].
    pub origin: Ticket,
    /// The message.
    pub message: Arc<Outbound>,
}

/// An MT handed to its channel. It stays in the queue until a [`Change::Record`] says that it leaves.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its queue entry.
    pub ticket: Ticket,
    /// Where the message is kept; differs from `ticket` after a long delay.
    pub origin: Ticket,
    /// The message.
    pub message: Arc<Outbound>,
    /// It may have been sent before: it was in the queue's head when the process died.
    pub possible_duplicate: bool,
}

/// A callback handed to the dispatcher. It stays in its queue until done or parked.
#[derive(Clone, Debug)]
pub struct CallbackDelivery {
    /// Its queue entry.
    pub ticket: Ticket,
    /// How often it has been tried before.
    pub attempts: u32,
    /// The request.
    pub callback: Arc<Callback>,
}

/// How much waits in a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Entries without a final fate, in flight ones included.
    pub waiting: u64,
}
