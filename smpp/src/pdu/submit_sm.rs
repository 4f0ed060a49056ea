//! submit_sm and its response (§4.4): a message on its way to a phone.

use super::body;
use crate::field::{Address, DataCoding, EsmClass, RegisteredDelivery};
use crate::wire::{CString, ShortMessage};

body! {
    /// A message to one phone (§4.4.1).
    SubmitSm {
        /// Teleservice; empty is the SMSC's default (§5.2.11).
        service_type: CString<6> = "service_type",
        /// From whom; empty is the SMSC's default.
        source: Address = "source_addr",
        /// To whom.
        destination: Address = "destination_addr",
        /// Mode, type and features.
        esm_class: EsmClass = "esm_class",
        /// GSM protocol identifier.
        protocol_id: u8 = "protocol_id",
        /// 0 (lowest) to 3 (§5.2.14).
        priority_flag: u8 = "priority_flag",
        /// When to send; empty is now (§7.1.1).
        schedule_delivery_time: CString<17> = "schedule_delivery_time",
        /// Until when to try; empty is the SMSC's default (§7.1.1).
        validity_period: CString<17> = "validity_period",
        /// Which receipts are wanted.
        registered_delivery: RegisteredDelivery = "registered_delivery",
        /// 1 replaces an earlier message of the same service and addresses.
        replace_if_present_flag: u8 = "replace_if_present_flag",
        /// How the text is coded.
        data_coding: DataCoding = "data_coding",
        /// A message stored at the SMSC to send instead; 0 is none.
        sm_default_msg_id: u8 = "sm_default_msg_id",
        /// The text; empty when `message_payload` has it.
        short_message: ShortMessage = "short_message",
    }
}

body! {
    /// The SMSC took it, or not (§4.4.2).
    SubmitSmResp {
        /// The SMSC's id of the message.
        message_id: CString<65> = "message_id",
    }
}
