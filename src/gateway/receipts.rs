//! Receipts that no message is known for: listed, given to a message by hand, dropped.

use super::{Gateway, GatewayError, intake};
use crate::model::{ChannelId, EventKind, MessageId, Timestamp, UnmatchedReceipt};
use crate::store::Change;

impl Gateway {
    /// The receipts of a channel that belong to no message that we know, the oldest first.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub async fn unmatched_receipts(&self, channel: &ChannelId) -> Result<Vec<UnmatchedReceipt>, GatewayError> {
        self.channel(channel)?;
        let notes = self.0.store.notes(channel, UnmatchedReceipt::NOTES).await?;
        Ok(notes.iter().filter_map(|(_, record)| serde_json::from_slice(record).ok()).collect())
    }

    /// Gives a receipt to a message, which gets its event as if the receipt had named it.
    ///
    /// # Errors
    /// [`GatewayError`]; nothing has changed then.
    pub async fn match_receipt(
        &self,
        channel: &ChannelId,
        receipt: MessageId,
        message: MessageId,
    ) -> Result<UnmatchedReceipt, GatewayError> {
        let receipt = self.unmatched_receipt(channel, receipt).await?;
        let stored = self
            .0
            .store
            .message(std::slice::from_ref(channel), message)
            .await?
            .filter(|stored| stored.message.channel == *channel);
        let stored =
            stored.ok_or_else(|| GatewayError::Usage(format!("The channel has no message with id {message}")))?;
        let now = Timestamp::now();
        let kind = EventKind::DeliveryReport { status: receipt.status };
        let event = intake::event(&stored.message, kind, receipt.details.clone(), now);
        let callbacks = intake::event_callbacks(&self.0.directory.load(), &stored.message, &event, now);
        let record = Change::Record { event, origin: stored.origin, leaves: None, correlate: Vec::new(), callbacks };
        self.0.store.commit(vec![record, forget(channel, &receipt)]).await?;
        Ok(receipt)
    }

    /// Drops a receipt.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub async fn drop_receipt(&self, channel: &ChannelId, receipt: MessageId) -> Result<(), GatewayError> {
        let receipt = self.unmatched_receipt(channel, receipt).await?;
        Ok(self.0.store.commit(vec![forget(channel, &receipt)]).await?)
    }

    async fn unmatched_receipt(&self, channel: &ChannelId, id: MessageId) -> Result<UnmatchedReceipt, GatewayError> {
        self.0.directory.load().running(channel)?;
        let found = self.unmatched_receipts(channel).await?.into_iter().find(|receipt| receipt.id == id);
        found.ok_or(GatewayError::ReceiptNotFound)
    }
}

fn forget(channel: &ChannelId, receipt: &UnmatchedReceipt) -> Change {
    Change::SaveNote { channel: channel.clone(), name: receipt.note(), record: None }
}
