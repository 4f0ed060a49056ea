//! What may be written: one change says one thing that happened.

use std::sync::Arc;

use super::{Queued, Tally, Ticket};
use crate::model::{
    Account, Callback, ChannelId, ChannelProperties, DestinationId, DestinationProperties, Event, Inbound, MessageId,
    Outbound, RouterId, RouterProperties, SmscMessageId, Status, Timestamp,
};

/// Changes that become durable together.
pub type Batch = Vec<Change>;

/// One thing that happened.
#[derive(Debug)]
pub enum Change {
    /// An MT was accepted: save it, make it findable by id, queue it on its channel, at its `send_at` if that is to come.
    Accept(Arc<Outbound>),
    /// An MT that another server has sent, and what became of it there: as if it had been sent here. It is in no queue.
    Archive {
        /// The message.
        message: Arc<Outbound>,
        /// Its events, in their order.
        events: Vec<Event>,
        /// The provider's ids by which later receipts will name it.
        correlate: Vec<SmscMessageId>,
    },
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
        /// The requests that we now owe its sender.
        callbacks: Vec<Callback>,
    },
    /// An MT leaves its queue without its channel, with this event; nothing of this is written when the channel has it in hand
    /// by now, or it has left.
    Withdraw {
        /// Where it was found.
        queued: Queued,
        /// The event.
        event: Event,
        /// The requests that we now owe its sender.
        callbacks: Vec<Callback>,
        /// Counts it, if it came to pass.
        tally: Tally,
    },
    /// Put an MT back into its queue, not before `at`. Its place among its priority is kept when `at` is near.
    Retry {
        /// [`Delivery::ticket`].
        ticket: Ticket,
        /// Not before.
        at: Timestamp,
    },
    /// An MO arrived: save it for replies, and owe its callbacks.
    Receive {
        /// The message.
        message: Arc<Inbound>,
        /// The requests that we now owe applications.
        callbacks: Vec<Callback>,
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
    /// What a callback tells is somebody else's: it leaves its queue and is owed like this.
    CallbackMoved(Ticket, Callback),
    /// A callback that was given up is owed again, as if it had just been recorded.
    CallbackRevived(Ticket, Callback),
    /// A callback that was given up is forgotten.
    CallbackForgotten(Ticket),
    /// A channel keeps something of its own under a name, or keeps it no longer.
    SaveNote {
        /// The channel.
        channel: ChannelId,
        /// `session/27820001001+12`, `receipt/0192…`: unique within the channel.
        name: String,
        /// Whatever the channel needs later; `None` forgets it.
        record: Option<Vec<u8>>,
    },
    /// A channel was defined or changed.
    SaveChannel(ChannelProperties),
    /// A channel was deleted. Its messages age out.
    DeleteChannel(ChannelId),
    /// An account was made or changed.
    SaveAccount(Arc<Account>),
    /// The account of this name was deleted.
    DeleteAccount(String),
    /// A router was defined or changed.
    SaveRouter(RouterProperties),
    /// A router was deleted, with its destinations.
    DeleteRouter(RouterId),
    /// A destination was defined or changed.
    SaveDestination(DestinationProperties),
    /// A destination was deleted.
    DeleteDestination(RouterId, DestinationId),
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
