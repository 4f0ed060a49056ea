//! Callbacks that were given up: listed, made again, forgotten.

use serde::Serialize;
use serde_json::value::RawValue;

use super::{Gateway, GatewayError};
use crate::model::{Callback, CallbackKind, CallbackTarget, ChannelId, DestinationId, MessageId, Timestamp};
use crate::store::{Change, Ticket};

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
    /// Callbacks that were given up, at most `limit`; those behind `after`, if that is given.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub fn parked(&self, after: Option<&str>, limit: usize) -> Result<Vec<Parked>, GatewayError> {
        let after = after.map(ticket).transpose()?;
        let rows = self.0.store.parked_callbacks(after, limit)?;
        Ok(rows.into_iter().map(|(ticket, callback, reason)| shown(ticket, callback, reason)).collect())
    }

    /// Owes a callback again that was given up.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub async fn revive(&self, id: &str) -> Result<Parked, GatewayError> {
        let (ticket, callback, reason) = self.parked_callback(id)?;
        self.0.store.commit(vec![revived(ticket, &callback)]).await?;
        Ok(shown(ticket, callback, reason))
    }

    /// Owes all of them again, of one channel or of all. Returns how many.
    ///
    /// # Errors
    /// [`GatewayError`]; some may have been revived then.
    pub async fn revive_all(&self, channel: Option<&ChannelId>) -> Result<usize, GatewayError> {
        // What is given up again meanwhile is younger, and waits for the next time.
        let begun = Timestamp::now();
        let (mut count, mut after) = (0, None);
        loop {
            let rows = self.0.store.parked_callbacks(after, BATCH)?;
            let Some((last, ..)) = rows.last() else { return Ok(count) };
            after = Some(*last);
            let wanted = rows.iter().filter(|(_, callback, _)| {
                callback.created_at < begun && channel.is_none_or(|id| callback.channel == *id)
            });
            let changes: Vec<Change> = wanted.map(|(ticket, callback, _)| revived(*ticket, callback)).collect();
            count += changes.len();
            self.0.store.commit(changes).await?;
        }
    }

    /// Forgets one.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub async fn forget_parked(&self, id: &str) -> Result<(), GatewayError> {
        let (ticket, ..) = self.parked_callback(id)?;
        Ok(self.0.store.commit(vec![Change::CallbackForgotten(ticket)]).await?)
    }

    fn parked_callback(&self, id: &str) -> Result<(Ticket, Callback, String), GatewayError> {
        let ticket = ticket(id)?;
        let found = self.0.store.parked_callback(ticket)?;
        let (callback, reason) = found.ok_or_else(|| GatewayError::CallbackNotFound(id.to_owned()))?;
        Ok((ticket, callback, reason))
    }
}

fn ticket(id: &str) -> Result<Ticket, GatewayError> {
    id.parse().map_err(|_| GatewayError::CallbackNotFound(id.to_owned()))
}

/// Its age counts from now.
fn revived(ticket: Ticket, callback: &Callback) -> Change {
    Change::CallbackRevived(ticket, Callback { created_at: Timestamp::now(), ..callback.clone() })
}

fn shown(ticket: Ticket, callback: Callback, reason: String) -> Parked {
    let (destination_id, amqp_queue) = match callback.target {
        CallbackTarget::Destination { destination, .. } => (Some(destination), None),
        CallbackTarget::Queue { queue } => (None, Some(queue)),
        _ => (None, None),
    };
    Parked {
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
