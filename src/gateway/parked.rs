//! Callbacks that were given up: listed, made again, forgotten.

use serde::Serialize;
use serde_json::value::RawValue;

use super::withdrawals::blocking;
use super::{Gateway, GatewayError};
use crate::model::{Callback, CallbackKind, CallbackTarget, ChannelId, DestinationId, MessageId, Timestamp};
use crate::store::{Change, Page, ParkedCallback, Ticket};

/// A callback that was given up, as it is shown.
#[derive(Debug, Serialize)]
pub struct Parked {
    /// What it is called.
    pub id: String,
    /// `mo`, `event` or `status`.
    pub kind: CallbackKind,
    /// The channel that it is about.
    pub channel_id: ChannelId,
    /// The router's destination that it was for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_id: Option<DestinationId>,
    /// The AMQP queue that it was for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amqp_queue: Option<String>,
    /// The message that it is about; nothing for a status.
    pub message_id: Option<MessageId>,
    /// Why it was given up.
    pub reason: String,
    /// When its cause was recorded, or when it was last revived.
    pub created_at: String,
    /// What would have been sent.
    pub body: Box<RawValue>,
}

/// Callbacks that are revived or forgotten in one write.
const BATCH: usize = 256;

impl Gateway {
    /// What `make` makes of callbacks that were given up, at most `limit`; of those behind `after`, if that is given. See
    /// [`Page`]. Their bodies may be long, so it is made away from the tasks that must not wait.
    ///
    /// # Errors
    /// [`GatewayError::Read`].
    pub async fn parked<T: Send + 'static>(
        &self,
        after: Option<Ticket>,
        limit: usize,
        make: impl FnOnce(Page<Parked, Ticket>) -> T + Send + 'static,
    ) -> Result<T, GatewayError> {
        self.look(async move |store| {
            let Page { found, next } = store.parked_callbacks(after, limit).await?;
            Ok(make(Page { found: found.into_iter().map(Parked::from).collect(), next }))
        })
        .await
    }

    /// Owes a callback again that was given up.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub async fn revive(&self, id: &str) -> Result<Parked, GatewayError> {
        let parked = self.parked_callback(id).await?;
        let (ticket, callback, _) = &parked;
        self.0.store.commit(vec![revived(*ticket, callback)]).await?;
        Ok(parked.into())
    }

    /// The channel whose callback this is, if several nodes share the store and it is one's.
    #[must_use]
    pub fn channel_of_callback(&self, id: &str) -> Option<ChannelId> {
        self.0.store.channel_of(id.parse().ok()?)
    }

    /// Owes all of them again that this node makes, of one channel or of all. Returns how many.
    ///
    /// # Errors
    /// [`GatewayError`]; some may have been revived then.
    pub async fn revive_all(&self, channel: Option<&ChannelId>) -> Result<usize, GatewayError> {
        // What is given up again meanwhile is younger, and waits for the next time.
        let begun = Timestamp::now();
        let (mut count, mut after) = (0, None);
        loop {
            let page = self.look(async move |store| store.parked_callbacks(after, BATCH).await).await?;
            let wanted = page.found.iter().filter(|(ticket, callback, _)| {
                let meant = callback.created_at < begun && channel.is_none_or(|id| callback.channel == *id);
                meant && self.0.store.holds(*ticket)
            });
            let changes: Vec<Change> = wanted.map(|(ticket, callback, _)| revived(*ticket, callback)).collect();
            count += changes.len();
            self.0.store.commit(changes).await?;
            if page.next.is_none() {
                return Ok(count);
            }
            after = page.next;
        }
    }

    /// Forgets one.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub async fn forget_parked(&self, id: &str) -> Result<(), GatewayError> {
        let (ticket, ..) = self.parked_callback(id).await?;
        Ok(self.0.store.commit(vec![Change::CallbackForgotten(ticket)]).await?)
    }

    async fn parked_callback(&self, id: &str) -> Result<ParkedCallback, GatewayError> {
        let gone = || GatewayError::CallbackNotFound(id.to_owned());
        let ticket: Ticket = id.parse().map_err(|_| gone())?;
        let store = self.0.store.clone();
        let (callback, reason) =
            blocking(async move || store.parked_callback(ticket).await).await??.ok_or_else(gone)?;
        Ok((ticket, callback, reason))
    }
}

/// Its age counts from now.
fn revived(ticket: Ticket, callback: &Callback) -> Change {
    Change::CallbackRevived(ticket, Callback { created_at: Timestamp::now(), ..callback.clone() })
}

impl From<ParkedCallback> for Parked {
    fn from((ticket, callback, reason): ParkedCallback) -> Self {
        let (destination_id, amqp_queue) = match callback.target {
            CallbackTarget::Destination { destination, .. } => (Some(destination), None),
            CallbackTarget::Queue { queue, .. } => (None, Some(queue)),
            _ => (None, None),
        };
        Self {
            id: ticket.to_string(),
            kind: callback.kind,
            channel_id: callback.channel,
            destination_id,
            amqp_queue,
            message_id: Some(callback.message).filter(|_| callback.kind != CallbackKind::Status),
            reason,
            created_at: callback.created_at.to_string(),
            body: callback.body,
        }
    }
}
