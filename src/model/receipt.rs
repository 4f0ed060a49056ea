//! Delivery receipts that no message could be found for.

use serde::{Deserialize, Serialize};

use super::{DeliveryStatus, JsonObject, MessageId, Timestamp};

/// A receipt that was acknowledged to the provider and belongs to no message that we know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnmatchedReceipt {
    /// Our id of it.
    pub id: MessageId,
    /// When it came.
    pub received_at: Timestamp,
    /// The id that it names its message by.
    pub smsc_message_id: String,
    /// Another id in its text, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_message_id: Option<String>,
    /// The phone that the message was for.
    pub phone: String,
    /// Our side's address.
    pub sender: String,
    /// What it would mean for its message.
    pub status: DeliveryStatus,
    /// What its event would tell beyond that.
    pub details: JsonObject,
    /// Its text as it came.
    pub text: String,
    /// Messages that it may belong to, the likeliest first.
    pub candidates: Vec<Candidate>,
}

impl UnmatchedReceipt {
    /// Begins the names of the notes that such receipts are kept in; the id follows.
    pub const NOTES: &str = "receipt/";

    /// The name of its note.
    #[must_use]
    pub fn note(&self) -> String {
        format!("{}{}", Self::NOTES, self.id)
    }
}

/// A message that a receipt may belong to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Our id of it.
    pub message_id: MessageId,
    /// To whom it was sent.
    pub to: String,
    /// The ids that the provider gave it.
    pub smsc_message_ids: Vec<String>,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Why it may be the one.
    pub why: String,
}
