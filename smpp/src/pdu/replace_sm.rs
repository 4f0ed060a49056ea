//! replace_sm and its response (§4.10): change what has not been delivered.

use super::body;
use crate::field::{Address, RegisteredDelivery};
use crate::wire::{CString, ShortMessage};

body! {
    /// New text and times for one message (§4.10.1).
    ReplaceSm {
        /// The SMSC's id of it.
        message_id: CString<65> = "message_id",
        /// Its source, as submitted.
        source: Address = "source_addr",
        /// New schedule; empty keeps it.
        schedule_delivery_time: CString<17> = "schedule_delivery_time",
        /// New validity; empty keeps it.
        validity_period: CString<17> = "validity_period",
        /// Which receipts are wanted.
        registered_delivery: RegisteredDelivery = "registered_delivery",
        /// A message stored at the SMSC to send instead; 0 is none.
        sm_default_msg_id: u8 = "sm_default_msg_id",
        /// The new text.
        short_message: ShortMessage = "short_message",
    }
}

body! {
    /// Done, or not (§4.10.2): no mandatory parameters.
    ReplaceSmResp {}
}
