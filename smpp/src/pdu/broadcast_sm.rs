//! broadcast_sm, query_broadcast_sm, cancel_broadcast_sm and their responses (SMPP v5.0 §4.6): cell broadcast.
//!
//! What is broadcast, where and how often is in optional parameters, some of which v5.0 makes mandatory; they are kept
//! as they came.

use super::body;
use crate::field::{Address, DataCoding};
use crate::wire::CString;

body! {
    /// A message to every phone in some areas (SMPP v5.0 §4.6.1.1).
    BroadcastSm {
        /// Teleservice.
        service_type: CString<6> = "service_type",
        /// From whom.
        source: Address = "source_addr",
        /// An earlier broadcast that this one replaces; otherwise empty.
        message_id: CString<65> = "message_id",
        /// Urgency.
        priority_flag: u8 = "priority_flag",
        /// When to begin; empty is now.
        schedule_delivery_time: CString<17> = "schedule_delivery_time",
        /// Until when; empty is the message centre's default.
        validity_period: CString<17> = "validity_period",
        /// 1 replaces the broadcast that `message_id` names.
        replace_if_present_flag: u8 = "replace_if_present_flag",
        /// How the payload is coded.
        data_coding: DataCoding = "data_coding",
        /// A message stored at the message centre to send instead; 0 is none.
        sm_default_msg_id: u8 = "sm_default_msg_id",
    }
}

body! {
    /// The message centre took it, or not (SMPP v5.0 §4.6.1.2).
    BroadcastSmResp {
        /// The message centre's id of the broadcast.
        message_id: CString<65> = "message_id",
    }
}

body! {
    /// Asks how far a broadcast has come (SMPP v5.0 §4.6.2.1).
    QueryBroadcastSm {
        /// The message centre's id of it.
        message_id: CString<65> = "message_id",
        /// Its source address, as submitted.
        source: Address = "source_addr",
    }
}

body! {
    /// How far it has come; the state is in `message_state` (SMPP v5.0 §4.6.2.3).
    QueryBroadcastSmResp {
        /// The id asked for.
        message_id: CString<65> = "message_id",
    }
}

body! {
    /// Ends a broadcast (SMPP v5.0 §4.6.3.1).
    CancelBroadcastSm {
        /// Teleservice of the broadcasts to end, when no id is given.
        service_type: CString<6> = "service_type",
        /// The message centre's id of it; empty for all of the service type.
        message_id: CString<65> = "message_id",
        /// Its source address, as submitted.
        source: Address = "source_addr",
    }
}

body! {
    /// It has ended, or not (SMPP v5.0 §4.6.3.3).
    CancelBroadcastSmResp {}
}
