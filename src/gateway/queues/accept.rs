//! MTs that come out of an application's queue: accepted as they are, once.
//!
//! The application's id of a message stays its id; one that is known already came before and is not sent again. No limit
//! of characters applies (Junebug reference §4.1).

use std::sync::Arc;

use serde_json::Value;

use super::super::directory::Directory;
use super::super::{Gateway, GatewayError};
use super::wishes::{Wishes, wishes};
use crate::bus::vumi::UserMessage;
use crate::model::{JsonObject, MessageId, Outbound, QueueOwner};
use crate::store::{Change, CommitError};

/// Why a message is not accepted.
pub(super) enum NotAccepted {
    /// It came before.
    Known,
    /// It can never be sent.
    Refused(String),
    /// It cannot be sent while things are as they are: its channel has gone, or its queue is changing hands.
    NotNow(String),
    /// The store could not be read.
    Unreadable(Arc<str>),
}

impl From<GatewayError> for NotAccepted {
    fn from(error: GatewayError) -> Self {
        match error {
            GatewayError::Read(why) => Self::Unreadable(why),
            gone @ (GatewayError::ChannelNotFound
            | GatewayError::Elsewhere(_)
            | GatewayError::RouterNotFound(_)
            | GatewayError::DestinationNotFound { .. }) => Self::NotNow(gone.to_string()),
            // It is logged, and a log may have no numbers.
            GatewayError::NoRoute { router, .. } => {
                Self::NotNow(format!("Router {router} has no channel for its number"))
            }
            other => Self::Refused(other.to_string()),
        }
    }
}

impl Gateway {
    /// The MT that a message of an application means.
    pub(super) async fn taken(
        &self,
        directory: &Directory,
        owner: &QueueOwner,
        queue: &str,
        message: UserMessage,
    ) -> Result<Arc<Outbound>, NotAccepted> {
        let (id, app_message_id) = identity(queue, message.message_id);
        let (router, destination, channel) = match owner {
            QueueOwner::Channel(channel) => (None, None, channel.clone()),
            QueueOwner::Destination(router, destination) => {
                let found = directory.router(router).ok_or_else(|| GatewayError::RouterNotFound(router.clone()))?;
                let to = message.to_addr.as_deref().unwrap_or_default();
                let channel = self.choose(directory, found, to, Some(destination))?;
                (Some(router.clone()), Some(destination.clone()), channel)
            }
        };
        directory.channels.get(&channel).ok_or(GatewayError::ChannelNotFound)?;
        let reply_to = message.in_reply_to.as_deref().and_then(|id| id.parse::<MessageId>().ok());
        let answered = match reply_to {
            Some(id) => self.0.store.inbound(&channel, id).await.map_err(GatewayError::from)?,
            None => None,
        };
        let answered = answered.as_ref();
        let to = message.to_addr.or_else(|| answered.map(|answered| answered.from.clone()));
        let to = to.ok_or_else(|| NotAccepted::Refused("the field 'to_addr' is null".to_owned()))?;
        let mut transport_metadata = message.transport_metadata;
        if let Some(answered) = answered.filter(|_| transport_metadata.is_empty()) {
            transport_metadata.clone_from(&answered.transport_metadata);
        }
        // Vumi's `reply()` sends the MO's own metadata back, which was told and is not asked for: what is the same in both
        // is no instruction.
        let mut channel_data = message.helper_metadata;
        channel_data.remove("session_event");
        if let Some(answered) = answered {
            drop_told(&mut channel_data, &answered.channel_data);
        }
        let Wishes { priority, times } = wishes(&mut channel_data).map_err(NotAccepted::Refused)?;
        let taken = Outbound {
            id,
            channel,
            to,
            from: message.from_addr.or_else(|| answered.map(|answered| answered.to.clone())),
            group: message.group,
            content: message.content.unwrap_or_default(),
            reply_to,
            session_event: message.session_event,
            priority,
            channel_data,
            transport_type: message.transport_type,
            transport_metadata,
            provider: message.provider,
            event_url: None,
            event_auth_token: None,
            events_queued: true,
            app_message_id,
            destination,
            router,
            send_at: times.send_at,
            expires_at: times.expires_at,
            accepted_at: times.accepted_at,
        };
        match self.0.store.message(&directory.fed_by(queue), id).await.map_err(GatewayError::from)? {
            None => Ok(Arc::new(taken)),
            Some(stored) if stored.message.to == taken.to && stored.message.content == taken.content => {
                Err(NotAccepted::Known)
            }
            Some(_) => Err(NotAccepted::Refused(SAME_ID.to_owned())),
        }
    }

    /// Accepts MTs; when this returns they are durable.
    pub(super) async fn accept_taken(&self, taken: &[Arc<Outbound>]) -> Result<(), CommitError> {
        let changes = taken.iter().cloned().map(Change::Accept).collect();
        self.0.store.commit(changes).await?;
        taken.iter().for_each(|message| self.count_outbound(message));
        Ok(())
    }
}

/// Takes out of what a reply says what the MO said already: one parameter that is changed does not ask for the others.
fn drop_told(said: &mut JsonObject, told: &JsonObject) {
    said.retain(|key, value| match (value, told.get(key)) {
        (Value::Object(said), Some(Value::Object(told))) => {
            drop_told(said, told);
            !said.is_empty()
        }
        (value, told) => told != Some(value),
    });
}

/// Why a message with a used id is not taken.
pub(super) const SAME_ID: &str = "another message has its message_id";

/// Our id of a message, and its own where that is another text. One that is no UUID is hashed, with the queue's name: two
/// applications may count from one each.
fn identity(queue: &str, named: Arc<str>) -> (MessageId, Option<Arc<str>>) {
    if let Ok(id) = named.parse::<MessageId>() {
        let is_same = id.to_string() == *named;
        return (id, (!is_same).then_some(named));
    }
    (MessageId::hashed(&[queue.as_bytes(), &[0], named.as_bytes()]), Some(named))
}
