//! What can be looked for among messages, and what a look finds.

use std::str::FromStr;
use std::sync::Arc;

use crate::model::{
    ChannelId, DeliveryStatus, Event, EventKind, Inbound, MessageId, Outbound, SmscMessageId, Timestamp,
};

/// Which messages are meant; those that match everything that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// Of this channel.
    pub channel: Option<ChannelId>,
    /// To or from this phone, with or without `+`: the `to` of an MT, the `from` of an MO.
    pub address: Option<String>,
    /// To this address.
    pub to: Option<String>,
    /// From this address.
    pub from: Option<String>,
    /// Which way.
    pub direction: Option<Direction>,
    /// What became of it.
    pub status: Option<Standing>,
    /// Accepted or received then or later.
    pub since: Option<Timestamp>,
    /// Accepted or received before.
    pub until: Option<Timestamp>,
    /// Older than this place in the order of time: where the last look ended.
    pub before: Option<MessageId>,
}

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// MT.
    Outbound,
    /// MO.
    Inbound,
}

impl Direction {
    /// The API's word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
        }
    }
}

/// A word that is none of those that are known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("none of {0}")]
pub struct UnknownWord(&'static str);

impl FromStr for Direction {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        [Self::Outbound, Self::Inbound]
            .into_iter()
            .find(|direction| direction.name() == text)
            .ok_or(UnknownWord("outbound, inbound"))
    }
}

impl FromStr for Standing {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let known = Self::ALL.iter().find(|(_, name)| *name == text).map(|(standing, _)| *standing);
        known
            .ok_or(UnknownWord("scheduled, queued, submitted, pending, delivered, failed, rejected, expired, received"))
    }
}

/// What has become of a message so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Waits for its `send_at`.
    Scheduled,
    /// Waits for its turn, or for the provider's answer.
    Queued,
    /// The provider took it.
    Submitted,
    /// The provider says that it is on its way.
    Pending,
    /// On the phone.
    Delivered,
    /// It will not arrive.
    Failed,
    /// Refused, or cancelled.
    Rejected,
    /// Not taken by the provider in time.
    Expired,
    /// An MO.
    Received,
}

impl Standing {
    /// Every one, with the API's word.
    pub const ALL: [(Self, &'static str); 9] = [
        (Self::Scheduled, "scheduled"),
        (Self::Queued, "queued"),
        (Self::Submitted, "submitted"),
        (Self::Pending, "pending"),
        (Self::Delivered, "delivered"),
        (Self::Failed, "failed"),
        (Self::Rejected, "rejected"),
        (Self::Expired, "expired"),
        (Self::Received, "received"),
    ];

    /// The API's word.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(standing, _)| *standing == self).map_or("", |(_, name)| name)
    }

    /// What the last event says.
    pub(crate) fn after(last: &EventKind) -> Self {
        match last {
            EventKind::Ack { .. } => Self::Submitted,
            EventKind::Nack { .. } => Self::Rejected,
            EventKind::Expired { .. } => Self::Expired,
            EventKind::DeliveryReport { status: DeliveryStatus::Pending } => Self::Pending,
            EventKind::DeliveryReport { status: DeliveryStatus::Delivered } => Self::Delivered,
            EventKind::DeliveryReport { status: DeliveryStatus::Failed } => Self::Failed,
        }
    }
}

/// A message that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The message.
    pub message: Kept,
    /// What has become of it.
    pub standing: Standing,
    /// An MT's events, the oldest first.
    pub events: Vec<Event>,
}

/// A message of either kind.
#[derive(Clone, Debug)]
pub enum Kept {
    /// An MT.
    Outbound(Arc<Outbound>),
    /// An MO.
    Inbound(Arc<Inbound>),
}

impl Kept {
    /// The text.
    #[must_use]
    pub fn content(&self) -> Option<&str> {
        match self {
            Self::Outbound(message) => Some(&message.content),
            Self::Inbound(message) => message.content.as_deref(),
        }
    }
}

impl Found {
    /// The provider's ids of an MT.
    #[must_use]
    pub fn smsc_message_ids(&self) -> Vec<SmscMessageId> {
        let ids = self.events.iter().rev().find_map(|event| match &event.kind {
            EventKind::Ack { sent_message_id } => Some(sent_message_id),
            _ => None,
        });
        let ids = ids.into_iter().flat_map(|ids| ids.split(',')).filter(|id| !id.is_empty());
        ids.map(|id| SmscMessageId(id.to_owned())).collect()
    }
}

/// What one look found.
#[derive(Clone, Debug)]
pub struct Page<T = Found, C = MessageId> {
    /// In the order of the look; perhaps fewer than asked for although there are more.
    pub found: Vec<T>,
    /// Where to go on, as with [`Search::before`]; `None` at the end.
    pub next: Option<C>,
}

impl<T, C> Default for Page<T, C> {
    fn default() -> Self {
        Self { found: Vec::new(), next: None }
    }
}
