//! query_sm and its response (§4.8): where a submitted message stands.

use super::body;
use crate::field::{Address, MessageState};
use crate::wire::CString;

body! {
    /// Asks for one message (§4.8.1).
    QuerySm {
        /// The SMSC's id of it.
        message_id: CString<65> = "message_id",
        /// Its source address, as submitted.
        source: Address = "source_addr",
    }
}

body! {
    /// Its state (§4.8.2).
    QuerySmResp {
        /// The id asked for.
        message_id: CString<65> = "message_id",
        /// When it reached a final state; empty before (§7.1.1).
        final_date: CString<17> = "final_date",
        /// The state.
        message_state: MessageState = "message_state",
        /// The network's error code.
        error_code: u8 = "error_code",
    }
}
