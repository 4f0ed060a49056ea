//! alert_notification (§4.12): a phone can be reached again. Has no response.

use super::body;
use crate::field::Address;

body! {
    /// A phone that set_dpf was set for is available (§4.12.1).
    AlertNotification {
        /// The phone.
        source: Address = "source_addr",
        /// Who wanted to know.
        esme: Address = "esme_addr",
    }
}
