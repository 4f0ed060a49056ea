//! What the gateway talks about: messages, events, channels, statuses, callbacks, accounts.
//!
//! Plain data with serde; no sockets, no store, no protocol. Names and formats that applications see are
//! Junebug's (`api/junebug/wire.rs` and `gateway/callbacks.rs` write them); records on disk are these structs.

pub mod account;
pub mod callback;
pub mod channel;
pub mod event;
pub mod id;
pub mod message;
pub mod receipt;
pub mod router;
pub mod status;
pub mod timestamp;

pub use account::{Account, PasswordHash, Permission, Token, TokenHash};
pub use callback::{Callback, CallbackKind, CallbackTarget, QueueOwner};
pub use channel::{ChannelProperties, Priority, RateLimit};
pub use event::{DeliveryStatus, Event, EventKind};
pub use id::{ChannelId, DestinationId, EventId, MessageId, RouterId, SmscMessageId};
pub use message::{Inbound, JsonObject, Outbound, SessionEvent};
pub use receipt::{Candidate, UnmatchedReceipt};
pub use router::{DestinationProperties, RouterProperties};
pub use status::{Level, Status};
pub use timestamp::Timestamp;
