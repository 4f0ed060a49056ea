//! cancel_sm and its response (§4.9): take back what has not been delivered.

use super::body;
use crate::field::Address;
use crate::wire::CString;

body! {
    /// Cancels one message by id, or all of a service between two addresses (§4.9.1).
    CancelSm {
        /// Service of the messages when there is no id.
        service_type: CString<6> = "service_type",
        /// The SMSC's id; empty cancels by addresses.
        message_id: CString<65> = "message_id",
        /// Their source.
        source: Address = "source_addr",
        /// Their destination; empty when an id is given.
        destination: Address = "destination_addr",
    }
}

body! {
    /// Done, or not (§4.9.2): no mandatory parameters.
    CancelSmResp {}
}
