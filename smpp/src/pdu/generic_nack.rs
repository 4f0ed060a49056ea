//! generic_nack (§4.3): refuses a PDU whose own response cannot be used.

use super::body;

body! {
    /// The reason is the header's status; sequence number 0 when the culprit's could not be read.
    GenericNack {}
}
